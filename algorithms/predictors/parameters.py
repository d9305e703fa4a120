"""The parameters of networks by name: their shapes, how they start, and where they stand in a row of numbers."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple, TypeVar

import numpy as np

from algorithms.predictors.data import Float32s
from harness import Floats

if TYPE_CHECKING:
    from torch import Tensor

Rows = TypeVar("Rows", "Tensor", Float32s)

EPOCH = 16
"""Numbers that GPNAS's network embeds a fidelity in."""

_ALIGN = 64


class Shape(NamedTuple):
    """A parameter's shape without the seed axis, and how it starts: uniform within +-bound around `start`.

    A `running` one is a statistic that is updated in training but has no gradient.
    """

    size: tuple[int, ...]
    bound: float = 0.0
    start: float = 0.0
    running: bool = False


def glorot(rows: int, columns: int, scale: float = 0.5) -> Shape:
    """A weight matrix at a multiple of the scale of Glorot and Bengio (2010).

    In GPNAS's network, at half of it: small starts rank better from few observations.
    """
    return Shape((rows, columns), scale * math.sqrt(6.0 / (rows + columns)))


def normalisation(name: str, width: int) -> dict[str, Shape]:
    """The parameters of a batch normalisation."""
    return {
        f"{name}.scale": Shape((1, width), start=1.0),
        f"{name}.shift": Shape((1, width)),
        f"{name}.mean": Shape((1, width), running=True),
        f"{name}.variance": Shape((1, width), start=1.0, running=True),
    }


def perceptron(inputs: int, width: int) -> dict[str, Shape]:
    """Those of the perceptron that GPNAS's network ends with."""
    sizes = inputs, width, width, 1
    return (
        {f"head{i}": glorot(sizes[i - 1], sizes[i]) for i in (1, 2, 3)}
        | normalisation("norm1", width)
        | normalisation("norm2", width)
        | {"bias": Shape((1, 1))}
    )


def convolutions(operators: int, fidelities: int, width: int, layers: int) -> dict[str, Shape]:
    """Those of GPNAS's network; a fidelity is embedded where there are several."""
    found = {
        "embedding": Shape((operators, width), 1.0),
        "layers": Shape((layers, width, width), glorot(width, width).bound),
    }
    if fidelities == 1:
        return found | perceptron(width, width)
    return found | {"epoch": Shape((fidelities, EPOCH), 1.0)} | perceptron(width + EPOCH, width)


def directions(operators: int, width: int, layers: int, last: int) -> dict[str, Shape]:
    """Those of the neural predictor's network."""
    found: dict[str, Shape] = {}
    for k in range(1, layers + 1):
        found[f"along{k}"] = found[f"against{k}"] = glorot(width if k > 1 else operators, width, 1.0)
    found |= {"hidden": glorot(width, last, 1.0), "hidden.bias": Shape((1, last))}
    return found | {"output": glorot(last, 1, 1.0), "bias": Shape((1, 1))}


class Layout:
    """Where parameters stand in one row of numbers; each begins at a multiple of a vector register's width."""

    def __init__(self, shapes: Mapping[str, Shape]) -> None:
        self.shapes = shapes
        self.places: dict[str, slice] = {}
        self.size = 0
        for name, shape in shapes.items():
            self.places[name] = slice(self.size, self.size + math.prod(shape.size))
            self.size += -(-math.prod(shape.size) // _ALIGN) * _ALIGN

    def views(self, rows: Rows) -> dict[str, Rows]:
        """The parameters in Float[M, size], each Float[M, ...]."""
        return {name: rows[:, self.places[name]].reshape(-1, *shape.size) for name, shape in self.shapes.items()}

    def initial(self, draws: Floats) -> Float32s:
        """First values Float[M, size] out of uniform `draws` Float[M, size]."""
        values = np.zeros(draws.shape, dtype=np.float32)
        for name, shape in self.shapes.items():
            place = self.places[name]
            values[:, place] = (2.0 * draws[:, place] - 1.0) * shape.bound + shape.start
        return values
