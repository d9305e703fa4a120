"""Networks of the cells of DARTS (Liu, Simonyan and Yang, ICLR 2019): N normal cells, reduction, N, reduction, N.

A recipe's `cells` are N, so that 6 make the 20 cells of the paper's networks and 2 the 8 of its search. Drop-path
leaves skip connections alone; the auxiliary head sees the second reduction cell.
"""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from harness.spaces.darts import Cell, cells_of
from harness.train.skeleton import AuxiliaryHead, DropPath, Halving1x1, Shape, stem

INNER = 4


def network(text: str, shape: Shape, *, colours: int, classes: int) -> nn.Module:
    """The network of a genotype."""
    normal, reduce = cells_of(text)

    def make(widths: tuple[int, int, int], reduction: bool, after: bool, drop: DropPath) -> nn.Module:
        return FixedCell(reduce if reduction else normal, widths, reduction, after, drop)

    return CellNetwork(make, shape, colours=colours, classes=classes)


def operator(name: str, channels: int, stride: int, *, affine: bool = True) -> nn.Module:
    """An operator on `channels`; with `stride` 2 it halves the image."""
    if name == "skip_connect":
        return nn.Identity() if stride == 1 else Halved(channels, channels, affine=affine)
    if name == "max_pool_3x3":
        return nn.MaxPool2d(3, stride, 1)
    if name == "avg_pool_3x3":
        return nn.AvgPool2d(3, stride, 1, count_include_pad=False)
    kernel = int(name[-1])
    if name.startswith("dil"):
        return nn.Sequential(*_separable(channels, kernel, stride, 2, affine=affine))
    steps = [
        *_separable(channels, kernel, stride, 1, affine=affine),
        *_separable(channels, kernel, 1, 1, affine=affine),
    ]
    return nn.Sequential(*steps)


def _separable(channels: int, kernel: int, stride: int, dilation: int, *, affine: bool) -> list[nn.Module]:
    padding = dilation * (kernel // 2)
    depthwise = nn.Conv2d(channels, channels, kernel, stride, padding, dilation, channels, bias=False)
    pointwise = nn.Conv2d(channels, channels, 1, bias=False)
    return [nn.ReLU(), depthwise, pointwise, nn.BatchNorm2d(channels, affine=affine)]


class Halved(nn.Module):
    """Half the size of the image by two 1x1 convolutions, one on even and one on odd pixels."""

    def __init__(self, incoming: int, outgoing: int, *, affine: bool = True) -> None:
        super().__init__()
        self.even = Halving1x1(incoming, outgoing // 2)
        self.odd = Halving1x1(incoming, outgoing - outgoing // 2)
        self.norm = nn.BatchNorm2d(outgoing, affine=affine)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(x)
        out: Tensor = self.norm(torch.cat([self.even(x), self.odd(x[:, :, 1:, 1:])], 1))
        return out


def inputs(widths: tuple[int, int, int], after: bool, *, affine: bool = True) -> nn.ModuleList:
    """What makes a cell's two inputs alike: `widths` are their channels and the cell's own.

    `after` a reduction cell, the first input is twice as large as the second.
    """
    before, previous, own = widths

    def plain(incoming: int) -> nn.Module:
        return nn.Sequential(nn.ReLU(), nn.Conv2d(incoming, own, 1, bias=False), nn.BatchNorm2d(own, affine=affine))

    return nn.ModuleList([Halved(before, own, affine=affine) if after else plain(before), plain(previous)])


class FixedCell(nn.Module):
    """A cell with its eight operators."""

    def __init__(self, cell: Cell, widths: tuple[int, int, int], reduction: bool, after: bool, drop: DropPath) -> None:
        super().__init__()
        self.inputs = inputs(widths, after)
        self.sources = [source for _, source in cell]
        self.operators = nn.ModuleList(
            operator(name, widths[-1], 2 if reduction and source < 2 else 1) for name, source in cell
        )
        self.drop = drop

    def forward(self, before: Tensor, previous: Tensor) -> Tensor:
        nodes = [module(x) for module, x in zip(self.inputs, (before, previous), strict=True)]
        for j in range(INNER):
            one, other = (self._edge(edge, nodes[self.sources[edge]]) for edge in (2 * j, 2 * j + 1))
            nodes.append(one + other)
        return torch.cat(nodes[2:], 1)

    def _edge(self, edge: int, x: Tensor) -> Tensor:
        module = self.operators[edge]
        out: Tensor = module(x)
        return out if isinstance(module, nn.Identity) else self.drop(out)


class Make(Protocol):
    """Makes a cell of these widths: of its inputs, and its own, a quarter of what it puts out."""

    def __call__(self, widths: tuple[int, int, int], reduction: bool, after: bool, drop: DropPath) -> nn.Module: ...


class CellNetwork(nn.Module):
    """Stem, three stages of N normal cells with a reduction cell between, mean over the image, and logits.

    Every stage has its first `depth` cells only, where that is less.
    """

    def __init__(self, make: Make, shape: Shape, *, colours: int, classes: int) -> None:
        super().__init__()
        self.drop, self.depth, width = DropPath(), shape.cells, shape.channels
        self.large = shape.stem == "imagenet"
        before = previous = width if self.large else 3 * width
        self.stem = stem(shape.stem, colours, previous)
        after, cells = self.large, list[list[nn.Module]]()
        for stage in range(3):
            cells.append([])
            for place in range(shape.cells + (stage < 2)):
                reduction = place == shape.cells
                width *= 2 if reduction else 1
                cells[-1].append(make((before, previous, width), reduction, after, self.drop))
                before, previous, after = previous, INNER * width, reduction
        self.stages = nn.ModuleList(nn.ModuleList(stage[: shape.cells]) for stage in cells)
        self.reductions = nn.ModuleList(stage[-1] for stage in cells[:2])
        self.auxiliary = AuxiliaryHead(previous, classes) if shape.auxiliary else None
        self.classifier = nn.Linear(previous, classes)

    def forward(self, x: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        before = previous = self.stem[:5](x) if self.large else self.stem(x)
        if self.large:
            previous = self.stem[5:](before)
        for number, stage in enumerate(self.stages):
            assert isinstance(stage, nn.ModuleList)
            for cell in stage[: self.depth]:
                before, previous = previous, cell(before, previous)
            if number < len(self.reductions):
                if before.shape != previous.shape and self.depth < len(stage):
                    before = previous
                before, previous = previous, self.reductions[number](before, previous)
                inner = previous
        logits: Tensor = self.classifier(F.adaptive_avg_pool2d(previous, 1).flatten(1))
        if self.auxiliary is not None and self.training:
            return logits, self.auxiliary(inner)
        return logits
