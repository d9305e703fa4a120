"""What networks of cells have in common: the skeleton around the cells, stems, the auxiliary head, drop-path.

The auxiliary head, drop-path and the stem for images of 224 pixels are those of DARTS (Liu, Simonyan and Yang,
ICLR 2019).
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812


class Shape(Protocol):
    """What a recipe says of the network; `stem` is `small` or, for images of 224 pixels, `imagenet`."""

    @property
    def channels(self) -> int: ...
    @property
    def cells(self) -> int: ...
    @property
    def stem(self) -> str: ...
    @property
    def auxiliary(self) -> float: ...


class DropPath(nn.Module):
    """Drops the whole of an edge for single images with probability `rate`, in training (Larsson et al., ICLR 2017).

    The loop sets `rate`.
    """

    def __init__(self) -> None:
        super().__init__()
        self.rate = 0.0

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.rate == 0.0:
            return x
        kept = torch.rand(len(x), 1, 1, 1, device=x.device) >= self.rate
        return x * (kept / (1.0 - self.rate)).to(x.dtype)


class Halving1x1(nn.Conv2d):
    """A 1x1 convolution without bias on every `step`-th pixel of every `step`-th row.

    torch 2.13 on CPUs writes beyond its memory where a strided 1x1 convolution has few channels, which come last.
    """

    def __init__(self, incoming: int, outgoing: int, step: int = 2) -> None:
        super().__init__(incoming, outgoing, 1, bias=False)
        self.step = step

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x[:, :, :: self.step, :: self.step])


class AuxiliaryHead(nn.Sequential):
    """A classifier on an inner activation that is trained along and never asked (Szegedy et al., CVPR 2015)."""

    def __init__(self, channels: int, classes: int) -> None:
        super().__init__(
            nn.ReLU(),
            nn.AdaptiveAvgPool2d(2),
            nn.Conv2d(channels, 128, 1, bias=False),
            nn.BatchNorm2d(128),
            nn.ReLU(inplace=True),
            nn.Conv2d(128, 768, 2, bias=False),
            nn.BatchNorm2d(768),
            nn.ReLU(inplace=True),
            nn.Flatten(),
            nn.Linear(768, classes),
        )


def stem(kind: str, colours: int, channels: int) -> nn.Sequential:
    """The first layers: `small` keeps the size of the image, `imagenet` divides it by eight."""
    if kind == "small":
        return nn.Sequential(nn.Conv2d(colours, channels, 3, padding=1, bias=False), nn.BatchNorm2d(channels))
    widths = (colours, max(channels // 2, 1), channels, channels)
    layers: list[nn.Module] = []
    for incoming, outgoing in pairwise(widths):
        layers += [nn.Conv2d(incoming, outgoing, 3, 2, 1, bias=False), nn.BatchNorm2d(outgoing), nn.ReLU(inplace=True)]
    return nn.Sequential(*layers[:-1])


Normal = Callable[[int, DropPath], nn.Module]
Halving = Callable[[int, int, DropPath], nn.Module]


class Skeleton(nn.Module):
    """Stem, three stages of N normal cells with C, 2C and 4C channels, what halves the image in between, and logits.

    `normal(channels, drop)` makes a cell, `reduction(incoming, outgoing, drop)` what is between stages; both drop paths
    by the network's one `drop`.
    """

    def __init__(self, normal: Normal, reduction: Halving, shape: Shape, *, colours: int, classes: int) -> None:
        super().__init__()
        self.drop = DropPath()
        self.stem = stem(shape.stem, colours, shape.channels)
        widths = [shape.channels * factor for factor in (1, 2, 4)]
        self.reductions = nn.ModuleList(reduction(*pair, self.drop) for pair in pairwise(widths))
        self.stages = nn.ModuleList(
            nn.Sequential(*(normal(width, self.drop) for _ in range(shape.cells))) for width in widths
        )
        self.last = nn.Sequential(nn.BatchNorm2d(widths[-1]), nn.ReLU(inplace=True))
        self.classifier = nn.Linear(widths[-1], classes)
        self.auxiliary = AuxiliaryHead(widths[-1], classes) if shape.auxiliary else None

    def forward(self, x: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        x = self.stages[0](self.stem(x))
        x = self.stages[1](self.reductions[0](x))
        inner = self.reductions[1](x)
        x = self.stages[2](inner)
        logits: Tensor = self.classifier(F.adaptive_avg_pool2d(self.last(x), 1).flatten(1))
        if self.auxiliary is not None and self.training:
            return logits, self.auxiliary(inner)
        return logits
