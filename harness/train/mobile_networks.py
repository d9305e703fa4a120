"""Networks of chains of inverted residual blocks.

With the stem `imagenet` they are those of their papers; with `small`, for smaller images, stem and first stage keep the
size. NAS-Bench-Macro's chains are those of the paper with `small`. A recipe's `channels` are those of the stem, all
other widths go with them, and 32 are published; its `cells` have no meaning here.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from harness.errors import HarnessError
from harness.spaces.mobilenet import SKIP, Block, Body, read
from harness.train.skeleton import DropPath, Halving1x1, Shape


def network(text: str, shape: Shape, *, colours: int, classes: int) -> nn.Module:
    """The network of a chain written as text."""
    body, names = read(text)
    drop = DropPath()
    widths = [(name, *scaled(block, body, shape)) for name, block in zip(names, body.blocks, strict=True)]
    blocks = [operator(name, incoming, outgoing, stride, body, drop) for name, incoming, outgoing, stride in widths]
    return Chain(blocks, body, shape, colours=colours, classes=classes)


def scaled(block: Block, body: Body, shape: Shape) -> tuple[int, int, int]:
    """Incoming and outgoing channels, and the stride, of a block in a network of this shape."""
    first = body.large and shape.stem == "small" and block is body.blocks[0]
    incoming, outgoing = (_width(c, body, shape) for c in (block.incoming, block.outgoing))
    return incoming, outgoing, 1 if first else block.stride


def operator(name: str, incoming: int, outgoing: int, stride: int, body: Body, drop: DropPath) -> nn.Module:
    """What stands at a block; a skipped one that changes the shape is a 1x1 convolution."""
    if name != SKIP:
        kernel, expansion = map(int, re.findall(r"\d+", name))
        return InvertedResidual(incoming, outgoing, kernel, expansion, stride, _activation(body), drop)
    if stride == 1 and incoming == outgoing:
        return nn.Identity()
    return nn.Sequential(Halving1x1(incoming, outgoing, stride), nn.BatchNorm2d(outgoing))


def _width(channels: int, body: Body, shape: Shape) -> int:
    return max(1, round(channels * shape.channels / body.stem))


def _activation(body: Body) -> type[nn.ReLU] | type[nn.ReLU6]:
    return nn.ReLU6 if body.large else nn.ReLU


def _conv(incoming: int, outgoing: int, kernel: int, stride: int = 1, groups: int = 1) -> list[nn.Module]:
    convolution = nn.Conv2d(incoming, outgoing, kernel, stride, kernel // 2, groups=groups, bias=False)
    return [convolution, nn.BatchNorm2d(outgoing)]


class InvertedResidual(nn.Module):
    """1x1 convolution to `expansion` times the channels, a depthwise one, a linear 1x1 one; residual in one shape."""

    def __init__(
        self,
        incoming: int,
        outgoing: int,
        kernel: int,
        expansion: int,
        stride: int,
        activation: type[nn.ReLU] | type[nn.ReLU6],
        drop: DropPath,
    ) -> None:
        super().__init__()
        inner = incoming * expansion
        layers: list[nn.Module] = [*_conv(incoming, inner, 1), activation(inplace=True)] if expansion > 1 else []
        layers += [
            *_conv(inner, inner, kernel, stride, groups=inner),
            activation(inplace=True),
            *_conv(inner, outgoing, 1),
        ]
        self.layers = nn.Sequential(*layers)
        self.residual = stride == 1 and incoming == outgoing
        self.drop = drop

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.layers(x)
        return x + self.drop(out) if self.residual else out


class Chain(nn.Module):
    """Stem, `blocks`, a 1x1 convolution, mean over the image, and logits. Raises HarnessError for an auxiliary head."""

    def __init__(self, blocks: Sequence[nn.Module], body: Body, shape: Shape, *, colours: int, classes: int) -> None:
        super().__init__()
        if shape.auxiliary:
            raise HarnessError("chains have no auxiliary head.", "choose another recipe, such as mobilenet.")
        width, first = shape.channels, _width(body.first, body, shape)
        activation, large = _activation(body), shape.stem == "imagenet"
        stem = [*_conv(colours, width, 3, 2 if large else 1), activation(inplace=True)]
        if body.first:
            stem += [InvertedResidual(width, first, 3, 1, 1, activation, DropPath())]
        self.stem = nn.Sequential(*stem)
        self.blocks = nn.ModuleList(blocks)
        last = _width(body.last, body, shape)
        self.last = nn.Sequential(*_conv(_width(body.stages[-1][1], body, shape), last, 1), activation(inplace=True))
        self.classifier = nn.Linear(last, classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        for block in self.blocks:
            x = block(x)
        return self.logits(x)

    def logits(self, x: Tensor) -> Tensor:
        """What comes of the last block's output."""
        found: Tensor = self.classifier(F.adaptive_avg_pool2d(self.last(x), 1).flatten(1))
        return found
