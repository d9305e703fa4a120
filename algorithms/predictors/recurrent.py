"""Recurrent networks for many seeds at once, of operations whose every bit is the same in any batch.

A library's exponentials round differently at different places of an array. Gates and states are squashed by
x / sqrt(1 + x^2) instead of tanh, which has the same form and needs a root only.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor
from torch.nn import functional

from algorithms.predictors.batched import _paired, one_thread
from algorithms.predictors.parameters import Layout, Shape
from harness import Ints, SearchSpace, Streams

State = tuple[Tensor, Tensor]


def squash(x: Tensor) -> Tensor:
    """x / sqrt(1 + x^2), in (-1, 1)."""
    return x / (1.0 + x * x).sqrt()


def dense(x: Tensor, weight: Tensor) -> Tensor:
    """(x, 1) W for every model: Float[M, B, w] and Float[M, w + 1, u] to Float[M, B, u]."""
    return torch.bmm(functional.pad(x, (0, 1), value=1.0), weight)


def lstm(x: Tensor, state: State, weight: Tensor) -> State:
    """A step of a long short-term memory (Hochreiter and Schmidhuber 1997) of Float[M, B, w] states."""
    hidden, cell = state
    i, f, o, g = dense(torch.cat([x, hidden], dim=2), weight).chunk(4, dim=2)
    cell = (1.0 + squash(f)) / 2.0 * cell + (1.0 + squash(i)) / 2.0 * squash(g)
    return (1.0 + squash(o)) / 2.0 * squash(cell), cell


def tokens(space: SearchSpace, codes: Tensor) -> Tensor:
    """One-hot vectors of each parameter's value among all values of the space, Float[d, M, B, sum(sizes)]."""
    first = torch.from_numpy(space.sizes.cumsum() - space.sizes)
    return functional.one_hot(codes + first, int(space.sizes.sum())).float().movedim(2, 0)


class Models:
    """A network of the given shapes for each of the seeds of `streams`, and its Adam (Kingma and Ba 2015)."""

    def __init__(self, shapes: Mapping[str, Shape], streams: Streams) -> None:
        self.layout, self.streams = Layout(shapes), streams
        seeds = len(streams.seeds)
        self.weights, self.moment, self.square = (torch.zeros(seeds, self.layout.size) for _ in range(3))
        self.steps = torch.zeros(seeds, 1)

    def start(self, seeds: Ints) -> None:
        """Fresh weights for the seeds at these positions."""
        at = torch.tensor(seeds)
        self.weights[at] = torch.from_numpy(self.layout.initial(self.streams.uniform(self.layout.size, seeds)))
        for kept in (self.moment, self.square, self.steps):
            kept[at] = 0.0

    def apply(self, seeds: Ints, function: Callable[..., Tensor], *inputs: Tensor) -> Tensor:
        """function(weights, *inputs) of the seeds' models; the first axis of all is the seed."""
        with one_thread():
            views = self.layout.views(_paired(self.weights[torch.tensor(seeds)]))
            return function(views, *map(_paired, inputs))[: len(seeds)]

    def step(self, seeds: Ints, rate: float, loss: Callable[..., Tensor], *inputs: Tensor) -> None:
        """A step down the gradient of loss(weights, *inputs) Float[k]."""
        at = torch.tensor(seeds)
        with one_thread():
            rows = _paired(self.weights[at])
            leaves = {name: view.detach().requires_grad_() for name, view in self.layout.views(rows).items()}
            found = torch.autograd.grad(
                loss(leaves, *map(_paired, inputs)).sum(), tuple(leaves.values()), materialize_grads=True
            )
            gradient = torch.zeros_like(rows)
            for slot, part in zip(self.layout.views(gradient).values(), found, strict=True):
                slot.copy_(part)
        gradient = gradient[: len(at)]
        moment, square, steps = self.moment[at], self.square[at], self.steps[at] + 1.0
        moment = 0.9 * moment + 0.1 * gradient
        square = 0.999 * square + 0.001 * gradient * gradient
        # powers by the scalar function, one seed at a time: an array's may round by their place
        one, two = (torch.tensor([[1.0 - beta ** int(n)] for n in steps]) for beta in (0.9, 0.999))
        self.weights[at] -= rate * (moment / one) / ((square / two).sqrt() + 1e-8)
        self.moment[at], self.square[at], self.steps[at] = moment, square, steps


def recurrent(inputs: int, width: int, bound: float) -> Shape:
    """The weights of `lstm`."""
    return Shape((inputs + width + 1, 4 * width), bound)
