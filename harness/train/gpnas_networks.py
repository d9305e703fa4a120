"""Networks of GPNAS's search space: its 13 operators, 3 initialisations and 4 activations, in cells.

Where the paper leaves a choice: operators keep size and channels; a separable convolution is applied once; the image is
halved in front of a reduction cell, by 2x2 average pooling and a 1x1 convolution to twice the channels; a cell puts out
the sum of the vertices that feed no other. "Gauss squared" is read as z |z|, the square of a Gaussian with its sign.
All three initialisations are scaled to the variance 2 / fan-in (He et al., ICCV 2015).
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from harness.spaces.gpnas_cell import Cell, cells_of
from harness.train.skeleton import DropPath, Shape, Skeleton

_ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {"selu": nn.SELU, "relu": nn.ReLU, "elu": nn.ELU, "tanh": nn.Tanh}


def network(text: str, shape: Shape, *, colours: int, classes: int) -> nn.Module:
    """The network of an architecture written as text."""
    normal, reduction = cells_of(text)
    return Skeleton(
        lambda channels, drop: CellGraph(normal, channels, drop),
        lambda incoming, outgoing, drop: nn.Sequential(
            _halving(incoming, outgoing), CellGraph(reduction, outgoing, drop)
        ),
        shape,
        colours=colours,
        classes=classes,
    )


class CellGraph(nn.Module):
    """A cell as a module: vertices add up their inputs, the output is the sum of those that feed no other."""

    def __init__(self, cell: Cell, channels: int, drop: DropPath) -> None:
        super().__init__()
        labels, edges = cell
        self.vertices = nn.ModuleList(_vertex(label, channels) for label in labels)
        self.into = [[i for i, j in edges if j == v] for v in range(1, len(labels) + 1)]
        self.loose = [v for v in range(1, len(labels) + 1) if all(i != v for i, _ in edges)]
        self.kept = [".identity" in label for label in labels]
        self.drop = drop

    def forward(self, x: Tensor) -> Tensor:
        nodes = [x]
        for vertex, sources, kept in zip(self.vertices, self.into, self.kept, strict=True):
            out = vertex(_sum([nodes[i] for i in sources]))
            nodes.append(out if kept else self.drop(out))
        return _sum([nodes[v] for v in self.loose])


def _sum(parts: list[Tensor]) -> Tensor:
    total = parts[0]
    for part in parts[1:]:
        total = total + part
    return total


def _vertex(label: str, channels: int) -> nn.Sequential:
    """Activation, operator and batch normalisation."""
    activation, operator, *initialisation = label.split(".")
    layers = _operator(operator, channels)
    for layer in layers:
        if isinstance(layer, nn.Conv2d):
            initialise(layer.weight, initialisation[0])
    return nn.Sequential(_ACTIVATIONS[activation](), *layers, nn.BatchNorm2d(channels))


def _operator(name: str, channels: int) -> list[nn.Module]:
    """The layers of an operator, which keep the size of the image."""
    if name == "identity":
        return []
    kind, kernel = name.split("_", 1)[0], int(name[-1])
    if kind == "avg":
        return [nn.AvgPool2d(kernel, 1, kernel // 2, count_include_pad=False)]
    if kind == "max":
        return [nn.MaxPool2d(kernel, 1, kernel // 2)]
    if kind == "dil":
        return [_convolution(channels, (kernel, kernel), dilation=2)]
    if kind == "sep":
        return [_convolution(channels, (kernel, kernel), groups=channels), _convolution(channels, (1, 1))]
    sides = [(int(part[0]), int(part[2])) for part in name.split("_")[1:]]
    return [_convolution(channels, side) for side in sides]


def _convolution(channels: int, kernel: tuple[int, int], *, dilation: int = 1, groups: int = 1) -> nn.Conv2d:
    padding = (dilation * (kernel[0] // 2), dilation * (kernel[1] // 2))
    return nn.Conv2d(channels, channels, kernel, 1, padding, dilation, groups, bias=False)


@torch.no_grad()
def initialise(weight: Tensor, kind: str) -> None:
    """Fill weights Float[out, in, h, w] with independent numbers of mean 0 and variance 2 / fan-in.

    They are uniform, normal (`gauss`), or z |z| of normal z (`gauss2`), whose variance is that of z^2 about zero, 3.
    """
    spread = math.sqrt(2.0 / weight[0].numel())
    if kind == "uniform":
        weight.uniform_(-math.sqrt(3.0) * spread, math.sqrt(3.0) * spread)
        return
    weight.normal_()
    if kind == "gauss2":
        weight.mul_(weight.abs() / math.sqrt(3.0))
    weight.mul_(spread)


def _halving(incoming: int, outgoing: int) -> nn.Sequential:
    """Half the size of the image, rounded down, and other channels."""
    return nn.Sequential(
        nn.ReLU(), nn.AvgPool2d(2, 2), nn.Conv2d(incoming, outgoing, 1, bias=False), nn.BatchNorm2d(outgoing)
    )
