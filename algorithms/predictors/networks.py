"""Networks for many seeds at once: every parameter has a seed axis in front, every product is a batched one."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from algorithms.predictors.data import Encoding, GraphInputs, features
from algorithms.predictors.parameters import Shape, convolutions, directions, perceptron
from harness import Ints, SearchSpace

Weights = Mapping[str, Tensor]


class Network(Protocol):
    """A model as shapes and functions. M models, B configurations of each."""

    def shapes(self) -> Mapping[str, Shape]: ...

    def inputs(self, codes: Ints, fidelity: Ints) -> tuple[np.ndarray, ...]:
        """What `forward` takes, of n configurations Int[n, d] at fidelities Int[n]: arrays with n in front."""
        ...

    def forward(self, weights: Weights, inputs: tuple[Tensor, ...], noise: Tensor | None) -> Tensor:
        """Predicted targets Float[M, B] of inputs [M, B, ...]; `noise` Float[M, B, draws], in training only."""
        ...

    def distinct(self, codes: Ints) -> tuple[Ints, Ints]:
        """Those of codes Int[n, d] that it can tell apart, and the position of each of the n among them, Int[n]."""
        ...

    @property
    def draws(self) -> int:
        """Uniform numbers that a configuration takes in training."""
        ...

    @property
    def block(self) -> int:
        """Seeds in one batched product: more do not fit the caches, fewer pay for the calls."""
        ...

    @property
    def chunk(self) -> int:
        """Configurations that are predicted at a time."""
        ...


def propagate(matrices: Tensor, hidden: Tensor) -> Tensor:
    """A H for every graph: Float[M, B, v, v] and Float[M, B, v, w] to Float[M, B, v, w]."""
    m, b, v, w = hidden.shape
    return torch.bmm(matrices.reshape(m * b, v, v), hidden.reshape(m * b, v, w)).view(m, b, v, w)


def mapped(hidden: Tensor, weight: Tensor) -> Tensor:
    """H W for every model: Float[M, ..., w] and Float[M, w, u] to Float[M, ..., u]."""
    return torch.bmm(hidden.reshape(len(weight), -1, weight.shape[1]), weight).view(*hidden.shape[:-1], -1)


class Largest(torch.autograd.Function):
    """The largest over the vertices of ReLU(x), Float[M, B, v, w] to Float[M, B, w]; equal ones share the gradient."""

    @staticmethod
    def forward(context: Any, x: Tensor) -> Tensor:
        largest = x.amax(dim=2).relu_()
        context.save_for_backward(x, largest)
        return largest

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> Tensor:
        x, largest = context.saved_tensors
        equal = torch.eq(x, largest[:, :, None], out=torch.empty_like(x))
        share = torch.where(largest > 0, gradient / equal.sum(dim=2), 0.0)
        return equal.mul_(share[:, :, None])


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


def perceived(x: Tensor, weights: Weights, training: bool) -> Tensor:
    """The perceptron that GPNAS's predictor ends with: three layers, batch normalisation and ReLU between them."""
    for i in (1, 2):
        x = functional.relu(normalised(torch.bmm(x, weights[f"head{i}"]), weights, f"norm{i}", training))
    return (torch.bmm(x, weights["head3"]) + weights["bias"]).squeeze(2)


class GraphNetwork:
    """GPNAS's predictor: graph convolutions, the largest value over the vertices, the epoch's embedding, a perceptron.

    H_k = ReLU(D^-1/2 (A + I) D^-1/2 H_(k-1) W_k), H_0 the embeddings of the operators. The first propagation meets
    one-hot labels, so it is done once for each graph, before any embedding. For a device; on the CPU the same network
    is `algorithms.predictors.convolution`.
    """

    draws, block, chunk = 0, 32, 1024

    def __init__(self, space: SearchSpace, fidelities: int, width: int = 64, layers: int = 2) -> None:
        self.graphs = GraphInputs(space, "undirected")
        self.width, self.layers, self.fidelities = width, layers, fidelities

    def shapes(self) -> dict[str, Shape]:
        return convolutions(self.graphs.view.labels - 1, self.fidelities, self.width, self.layers)

    def distinct(self, codes: Ints) -> tuple[Ints, Ints]:
        return self.graphs.distinct(codes)

    def inputs(self, codes: Ints, fidelity: Ints) -> tuple[np.ndarray, ...]:
        matrices, labels = self.graphs.of(codes)
        return (
            matrices[:, 0],
            matrices[:, 0] @ labels,
            (fidelity[:, None] == np.arange(self.fidelities)).astype(np.float32),
        )

    def forward(self, weights: Weights, inputs: tuple[Tensor, ...], noise: Tensor | None) -> Tensor:
        matrices, first, epoch = inputs
        hidden = mapped(first, torch.bmm(weights["embedding"], weights["layers"][:, 0]))
        for k in range(1, self.layers):
            hidden = propagate(matrices, mapped(functional.relu(hidden), weights["layers"][:, k]))
        pooled: Tensor = Largest.apply(hidden)  # type: ignore[no-untyped-call]
        if self.fidelities > 1:
            pooled = torch.cat([pooled, torch.bmm(epoch, weights["epoch"])], dim=2)
        return perceived(pooled, weights, training=noise is not None)


class DirectedNetwork:
    """The neural predictor's: information flows along the edges and against them, then the mean over the vertices.

    H_k = (ReLU(P H_(k-1) V_k) + ReLU(Q H_(k-1) W_k)) / 2, with H_0 the one-hot operators, and P and Q = A + I and
    A^T + I with rows that sum to one. The mean is over the vertices that are present, and a perceptron with one hidden
    layer follows. The first propagation is done once for each graph, all the halves of the layers at their end. For a
    device; on the CPU the same network is `algorithms.predictors.directed`.
    """

    block, chunk = 4, 64

    def __init__(
        self, space: SearchSpace, width: int = 144, layers: int = 3, last: int = 128, dropout: float = 0.0
    ) -> None:
        self.graphs = GraphInputs(space, "directed")
        self.width, self.layers, self.last, self.dropout = width, layers, last, dropout

    @property
    def draws(self) -> int:
        return self.layers * self.graphs.view.vertices * self.width + self.last if self.dropout else 0

    def shapes(self) -> dict[str, Shape]:
        return directions(self.graphs.view.labels - 1, self.width, self.layers, self.last)

    def distinct(self, codes: Ints) -> tuple[Ints, Ints]:
        return self.graphs.distinct(codes)

    def inputs(self, codes: Ints, fidelity: Ints) -> tuple[np.ndarray, ...]:
        matrices, labels = self.graphs.of(codes)
        along, against = np.ascontiguousarray(matrices.swapaxes(0, 1))
        return along, against, along @ labels, against @ labels, 1.0 / labels.sum(axis=(1, 2))[:, None]

    def forward(self, weights: Weights, inputs: tuple[Tensor, ...], noise: Tensor | None) -> Tensor:
        along, against, one, other, share = inputs
        one, other = mapped(one, weights["along1"]), mapped(other, weights["against1"])
        hidden = self._dropped(functional.relu(one) + functional.relu(other), noise, 1)
        for k in range(2, self.layers + 1):
            one = propagate(along, mapped(hidden, weights[f"along{k}"]))
            other = propagate(against, mapped(hidden, weights[f"against{k}"]))
            hidden = self._dropped(functional.relu(one) + functional.relu(other), noise, k)
        pooled = hidden.sum(dim=2) * (share * 0.5**self.layers)
        last = functional.relu(torch.bmm(pooled, weights["hidden"]) + weights["hidden.bias"])
        last = self._dropped(last, noise, self.layers + 1)
        return (torch.bmm(last, weights["output"]) + weights["bias"]).squeeze(2)

    def _dropped(self, hidden: Tensor, noise: Tensor | None, layer: int) -> Tensor:
        """Inverted dropout of Float[M, B, ...] by the part of the noise that belongs to the layer."""
        if noise is None or not self.dropout:
            return hidden
        first = (layer - 1) * self.graphs.view.vertices * self.width
        kept = noise[..., first : first + math.prod(hidden.shape[2:])] >= self.dropout
        return hidden * kept.view(hidden.shape) / (1.0 - self.dropout)


class FeatureNetwork:
    """GPNAS's perceptron on the features of the space, or on its paths, and the fidelity."""

    draws, block, chunk = 0, 16, 1024

    def __init__(self, space: Encoding, fidelities: int, width: int = 64) -> None:
        self.space, self.fidelities, self.width = space, fidelities, width

    def shapes(self) -> dict[str, Shape]:
        columns = self.space.features(np.zeros((1, self.space.dimensions), dtype=np.int64)).shape[1]
        return perceptron(columns + (self.fidelities if self.fidelities > 1 else 0), self.width)

    def distinct(self, codes: Ints) -> tuple[Ints, Ints]:
        return codes, np.arange(len(codes))

    def inputs(self, codes: Ints, fidelity: Ints) -> tuple[np.ndarray, ...]:
        return (features(self.space, self.fidelities, codes, fidelity).astype(np.float32),)

    def forward(self, weights: Weights, inputs: tuple[Tensor, ...], noise: Tensor | None) -> Tensor:
        return perceived(inputs[0], weights, training=noise is not None)
