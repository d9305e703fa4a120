"""The graph network over a whole search space (Chen, Xie, Wu, Wei, Xu and Tian, "Fitting the search space of
weight-sharing NAS with graph convolutional networks", arXiv:2004.08423, 2020).

Vertices are all architectures of a product space k_1 x ... x k_L, edges join those that differ in one parameter, and a
network of Kipf and Welling (ICLR 2017) with two graph convolutions and a dense head is fitted to the accuracies of a
few of them. The matrix of the graph is never built: it is a sum of small matrices, one along each axis. As the head is
dense, a loss on some vertices needs the first layer at these and their neighbours only.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from harness.arrays import Floats, Ints
from harness.errors import HarnessError

LARGEST = 1_000_000
"""Vertices beyond which a space is to be divided into segments."""

ASSIGNED = math.exp(-0.5)
"""The paper's assigned similarity of two architectures that differ in one parameter."""

_PART, _CHANNELS = {"cpu": 64, "cuda": 4096}, 64


def gray_code(sizes: Sequence[int]) -> list[Tensor]:
    """The features of each parameter's values, reflected binary code, Float[k, bits]."""
    found = []
    for k in sizes:
        value, bits = torch.arange(k), torch.arange(max(1, (k - 1).bit_length()))
        found.append((((value ^ (value >> 1))[:, None] >> bits) & 1).float())
    return found


def assigned_similarity(sizes: Sequence[int]) -> list[Tensor]:
    """The same similarity of all values of each parameter, Float[k, k]."""
    return [torch.full((k, k), ASSIGNED) for k in sizes]


def measured_similarity(varied: Sequence[Floats]) -> list[Tensor]:
    """Correlations of accuracies with one value of a parameter and with another, Float[k, k]; negative ones are none.

    `varied` holds for each parameter the accuracies Float[n, k] of n architectures with it set to each of its values.
    """
    found = []
    for accuracy in varied:
        centred = accuracy - accuracy.mean(axis=0)
        scale = np.sqrt((centred**2).sum(axis=0))
        centred /= np.where(scale > 0, scale, 1.0)
        found.append(torch.from_numpy(np.maximum(centred.T @ centred, 0.0).astype(np.float32)))
    return found


class ProductGraph:
    """All architectures of a space with `sizes` Int[L] values, and A^ = D^-1/2 (A + I) D^-1/2 of their graph.

    Vertices are numbered lexicographically. `similarity` Float[k, k] for each parameter weighs the edges along it; the
    diagonals do not count. Raises HarnessError beyond a million vertices.
    """

    def __init__(
        self, sizes: Sequence[int], similarity: Sequence[Tensor] | None = None, device: torch.device | str = "cpu"
    ) -> None:
        self.sizes, self.vertices, self.device = tuple(sizes), math.prod(sizes), torch.device(device)
        if self.vertices > LARGEST:
            raise HarnessError(
                f"the graph of all architectures has {self.vertices:,} vertices, beyond {LARGEST:,}.",
                "search it in segments of fewer parameters.",
            )
        given = assigned_similarity(sizes) if similarity is None else similarity
        self.similarity = [(s * (1.0 - torch.eye(len(s)))).to(self.device) for s in given]
        degree = torch.ones(self.sizes, device=self.device)
        for axis, s in enumerate(self.similarity):
            degree += s.sum(dim=1).view(-1, *[1] * (len(sizes) - 1 - axis))
        self.root = degree.rsqrt().view(-1, 1)

    def propagate(self, hidden: Tensor) -> Tensor:
        """A^ H, Float[n, c], for H at all n vertices."""
        scaled = self.root * hidden
        total, inner = scaled.clone(), scaled.numel()
        for k, s in zip(self.sizes, self.similarity, strict=True):
            inner //= k
            outer = scaled.numel() // (k * inner)
            total += torch.matmul(s, scaled.view(outer, k, inner)).view_as(total)
        return self.root * total

    def neighbours(self, vertices: Tensor) -> tuple[Tensor, Tensor]:
        """The vertices Int[m] themselves and their neighbours, Int[m, 1 + sum(k - 1)], and their weights in A^."""
        where, weight = [vertices[:, None]], [torch.ones(len(vertices), 1, device=self.device)]
        stride = self.vertices
        for k, s in zip(self.sizes, self.similarity, strict=True):
            stride //= k
            own = vertices // stride % k
            other = (own[:, None] + torch.arange(1, k, device=self.device)) % k
            where.append(vertices[:, None] + (other - own[:, None]) * stride)
            weight.append(s[own[:, None], other])
        at = torch.cat(where, dim=1)
        return at, torch.cat(weight, dim=1) * self.root[vertices] * self.root[at].squeeze(2)

    def features(self) -> Tensor:
        """The Gray code of every vertex, Float[n, sum(bits)]."""
        number = torch.arange(self.vertices, device=self.device)
        columns, stride = [], self.vertices
        for k, code in zip(self.sizes, gray_code(self.sizes), strict=True):
            stride //= k
            columns.append(code.to(self.device)[number // stride % k])
        return torch.cat(columns, dim=1)


class GraphRegression:
    """ReLU(A^ ReLU(A^ X W1 + b1) W2 + b2) w + b on a product graph, fitted by the mean absolute error.

    X is the Gray code; A^ X is computed once. The defaults are the paper's: Adam at 0.01, divided by ten after a half
    and after three quarters of the epochs, weight decay as a part of the gradient, all labels in every step. Targets
    are standardised; the weights start as Glorot and Bengio (2010) have them.
    """

    def __init__(self, graph: ProductGraph, *, width: int = 512, seed: int = 0) -> None:
        self.graph = graph
        self.inputs = graph.propagate(graph.features())
        generator = torch.Generator().manual_seed(seed)
        shapes = (self.inputs.shape[1], width), (width,), (width, width), (width,), (width, 1), (1,)
        self.weights = [torch.zeros(shape) for shape in shapes]
        for weight in self.weights[::2]:
            torch.nn.init.xavier_uniform_(weight, generator=generator)
        self.weights = [weight.to(graph.device) for weight in self.weights]
        self.mean, self.scale = 0.0, 1.0

    def fit(
        self, vertices: Ints, accuracy: Floats, *, epochs: int = 600, rate: float = 0.01, decay: float = 5e-4
    ) -> list[float]:
        """Fit to the `accuracy` Float[m] of `vertices` Int[m]; the mean absolute error of each epoch.

        Raises HarnessError where it is not finite.
        """
        self.mean, self.scale = float(accuracy.mean()), float(accuracy.std()) or 1.0
        target = torch.from_numpy((accuracy - self.mean) / self.scale).float().to(self.graph.device)
        at, share = self.graph.neighbours(torch.from_numpy(vertices).to(self.graph.device))
        field = self.inputs[at]
        for weight in self.weights:
            weight.requires_grad_()
        adam = torch.optim.Adam(self.weights, lr=rate, weight_decay=decay)
        steps = torch.optim.lr_scheduler.MultiStepLR(adam, [epochs // 2, 3 * epochs // 4])
        history = []
        for epoch in range(epochs):
            adam.zero_grad()
            total = 0.0
            for part in torch.split(torch.arange(len(target)), _PART[self.graph.device.type]):
                hidden = torch.addmm(self.weights[1], field[part].flatten(0, 1), self.weights[0]).relu_()
                propagated = (share[part, None] @ hidden.view(*share[part].shape, -1)).squeeze(1)
                loss = (self._head(propagated @ self.weights[2]) - target[part]).abs().sum() / len(target)
                torch.autograd.backward(loss)
                total += loss.item()
            if not math.isfinite(total):
                raise HarnessError(f"the graph network's error is not finite in epoch {epoch + 1}.", "lower its rate.")
            adam.step()
            steps.step()
            history.append(total * self.scale)
        for weight in self.weights:
            weight.requires_grad_(False)
        return history

    @torch.no_grad()
    def predict(self) -> Floats:
        """The accuracy of every vertex, Float[n]: both layers everywhere, a few channels at a time."""
        first, shift, second = self.weights[:3]
        mixed = torch.zeros(self.graph.vertices, second.shape[1], device=self.graph.device)
        for part in torch.split(torch.arange(len(second)), _CHANNELS):
            hidden = functional.relu(self.inputs @ first[:, part] + shift[part])
            mixed.addmm_(self.graph.propagate(hidden), second[part])
        return (self._head(mixed) * self.scale + self.mean).double().cpu().numpy()

    def _head(self, mixed: Tensor) -> Tensor:
        return (functional.relu(mixed + self.weights[3]) @ self.weights[4] + self.weights[5]).squeeze(1)
