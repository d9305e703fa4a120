"""Networks for many seeds at once: every parameter has a seed axis in front, every product is a batched one."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from algorithms.predictors.data import GraphInputs
from harness import Ints, SearchSpace

Weights = Mapping[str, Tensor]


class Shape(NamedTuple):
    """A parameter's shape without the seed axis, and how it starts: uniform within +-bound around `start`.

    A `running` one is a statistic that is updated in training but has no gradient.
    """

    size: tuple[int, ...]
    bound: float = 0.0
    start: float = 0.0
    running: bool = False


class Network(Protocol):
    """A model as shapes and functions. M models, B configurations of each."""

    def shapes(self) -> Mapping[str, Shape]: ...

    def inputs(self, codes: Ints, fidelity: Ints) -> tuple[np.ndarray, ...]:
        """What `forward` takes, of n configurations Int[n, d] at fidelities Int[n]: arrays with n in front."""
        ...

    def forward(self, weights: Weights, inputs: tuple[Tensor, ...], noise: Tensor | None) -> Tensor:
        """Predicted targets Float[M, B] of inputs [M, B, ...]; `noise` Float[M, B, draws], in training only."""
        ...

    @property
    def draws(self) -> int:
        """Uniform numbers that a configuration takes in training."""
        ...


def glorot(rows: int, columns: int) -> Shape:
    """A weight matrix at half the scale of Glorot and Bengio (2010): small starts rank better from few observations."""
    return Shape((rows, columns), 0.5 * math.sqrt(6.0 / (rows + columns)))


def propagate(matrices: Tensor, hidden: Tensor) -> Tensor:
    """A H for every graph: Float[M, B, v, v] and Float[M, B, v, w] to Float[M, B, v, w]."""
    m, b, v, w = hidden.shape
    return torch.bmm(matrices.reshape(m * b, v, v), hidden.reshape(m * b, v, w)).view(m, b, v, w)


def mapped(hidden: Tensor, weight: Tensor) -> Tensor:
    """H W for every model: Float[M, ..., w] and Float[M, w, u] to Float[M, ..., u]."""
    return torch.bmm(hidden.reshape(len(weight), -1, weight.shape[1]), weight).view(*hidden.shape[:-1], -1)


def normalised(x: Tensor, weights: Weights, name: str, training: bool) -> Tensor:
    """Batch normalisation of Float[M, B, w] over B (Ioffe and Szegedy 2015), momentum 0.1."""
    if training:
        mean = x.mean(dim=1, keepdim=True)
        variance = (x - mean).square().mean(dim=1, keepdim=True)
        with torch.no_grad():
            weights[f"{name}.mean"].lerp_(mean, 0.1)
            weights[f"{name}.variance"].lerp_(variance, 0.1)
    else:
        mean, variance = weights[f"{name}.mean"], weights[f"{name}.variance"]
    return (x - mean) * (variance + 1e-5).rsqrt() * weights[f"{name}.scale"] + weights[f"{name}.shift"]


def normalisation(name: str, width: int) -> dict[str, Shape]:
    """The parameters of `normalised`."""
    return {
        f"{name}.scale": Shape((1, width), start=1.0),
        f"{name}.shift": Shape((1, width)),
        f"{name}.mean": Shape((1, width), running=True),
        f"{name}.variance": Shape((1, width), start=1.0, running=True),
    }


class Head:
    """The perceptron that GPNAS's predictor ends with: three layers, batch normalisation and ReLU between them."""

    def __init__(self, inputs: int, width: int) -> None:
        self.sizes = (inputs, width, width, 1)

    def shapes(self) -> dict[str, Shape]:
        found: dict[str, Shape] = {}
        for i in (1, 2, 3):
            found[f"head{i}"] = glorot(self.sizes[i - 1], self.sizes[i])
        return (
            found
            | normalisation("norm1", self.sizes[1])
            | normalisation("norm2", self.sizes[2])
            | {"bias": Shape((1, 1))}
        )

    def __call__(self, x: Tensor, weights: Weights, training: bool) -> Tensor:
        for i in (1, 2):
            x = functional.relu(normalised(torch.bmm(x, weights[f"head{i}"]), weights, f"norm{i}", training))
        return (torch.bmm(x, weights["head3"]) + weights["bias"]).squeeze(2)


class GraphNetwork:
    """GPNAS's predictor: graph convolutions, the largest value over the vertices, the epoch's embedding, a perceptron.

    H_k = ReLU(D^-1/2 (A + I) D^-1/2 H_(k-1) W_k), H_0 the embeddings of the operators. The first propagation meets
    one-hot labels, so it is done once for each graph, before any embedding.
    """

    draws = 0

    def __init__(self, space: SearchSpace, fidelities: int, width: int = 64, layers: int = 2) -> None:
        self.graphs = GraphInputs(space, "undirected")
        self.width, self.layers, self.fidelities = width, layers, fidelities
        self.head = Head(width + (_EPOCH if fidelities > 1 else 0), width)

    def shapes(self) -> dict[str, Shape]:
        labels, width = self.graphs.view.labels - 1, self.width
        found = {"embedding": Shape((labels, width), 1.0)}
        found |= {f"layer{k}": glorot(width, width) for k in range(1, self.layers + 1)}
        if self.fidelities > 1:
            found["epoch"] = Shape((self.fidelities, _EPOCH), 1.0)
        return found | self.head.shapes()

    def inputs(self, codes: Ints, fidelity: Ints) -> tuple[np.ndarray, ...]:
        matrices, labels = self.graphs.of(codes)
        return (
            matrices[:, 0],
            matrices[:, 0] @ labels,
            (fidelity[:, None] == np.arange(self.fidelities)).astype(np.float32),
        )

    def forward(self, weights: Weights, inputs: tuple[Tensor, ...], noise: Tensor | None) -> Tensor:
        matrices, first, epoch = inputs
        hidden = functional.relu(mapped(first, torch.bmm(weights["embedding"], weights["layer1"])))
        for k in range(2, self.layers + 1):
            hidden = functional.relu(propagate(matrices, mapped(hidden, weights[f"layer{k}"])))
        pooled = hidden.amax(dim=2)
        if self.fidelities > 1:
            pooled = torch.cat([pooled, torch.bmm(epoch, weights["epoch"])], dim=2)
        return self.head(pooled, weights, training=noise is not None)


_EPOCH = 16
