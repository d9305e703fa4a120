"""What a super-network and a method of weight sharing know of each other.

A super-network holds the weights of every operator at every place of a space. A place where an operator is chosen is a
*decision*: the edges of a cell for NAS-Bench-201. There are `d` decisions of at most `k` operators, and arrays over
them are [d, k]; where a decision has fewer, the rest is never active. A pass computes a `Choice`: one operator per
decision is the path of an architecture, several with weights are a mixture.

A method trains nothing itself. In every step of the weights the loop calls

    method.update(step)       the distribution moves, on images that are not the weights'
    method.choices()          what the weights are trained on: the gradients of all these passes are added up

and between epochs `begin` and `derive`, which says what the search would end with now.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from harness.arrays import Bools, Floats, Ints
from harness.errors import HarnessError
from harness.rng import Streams
from harness.sharing.segments import Lookup
from harness.space import SearchSpace
from harness.spaces import SKIPS

Statistics = Literal["batch", "running", "recalibrated"]
"""What batch normalisation takes in evaluation: the batch's own, running means, or those of reference images."""

Score = Callable[[Ints], Floats]
"""Validation accuracies Float[n] of architectures Int[n, p] of the space, with the super-network's weights."""


@dataclass(frozen=True, eq=False)
class Choice:
    """What a pass computes: the operators that are `active` Bool[d, k], added up with `weights` Float[d, k].

    Without weights each counts once. `edges` Float[d] weigh what comes of each decision. With a first axis of L cells
    active and weights are each cell's own. `predicted` take the place of the super-network's parameters, by name.
    """

    active: Bools
    weights: Tensor | None = None
    edges: Tensor | None = None
    predicted: Mapping[str, Tensor] | None = None

    def of(self, cell: int) -> Choice:
        """What the cell with this number computes."""
        if self.active.ndim == 2:
            return self
        return Choice(self.active[cell], None if self.weights is None else self.weights[cell], self.edges)


class Kernel(NamedTuple):
    """The weights of a convolution by the `name` of their parameter, and where they are used."""

    name: str
    cell: int
    decision: int
    operator: int
    shape: torch.Size


class SuperNetwork(nn.Module):
    """The network of all architectures of `space` at once.

    `operators` are the names of each decision's operators. Called with images Float[n, c, h, w] and a Choice it gives
    logits Float[n, classes]. Subclasses say what is computed and which architecture a distribution stands for.
    """

    space: SearchSpace
    operators: tuple[tuple[str, ...], ...]
    into: tuple[tuple[int, ...], ...]
    """The decisions whose results are added up, node by node."""
    statistics: Statistics
    """Of batch normalisation in evaluation."""
    skip_dropout: float
    """Probability with which what a skip connection carries is dropped in training, element by element."""

    cells: int = 1
    """Cells of a stage, where a stage may have fewer of them."""

    @property
    def normal(self) -> Bools:
        """The decisions that are not of a reduction cell, Bool[d]."""
        return np.ones(len(self.operators), dtype=np.bool_)

    @property
    def skips(self) -> Bools:
        """Where skip connections stand, Bool[d, k]."""
        return np.logical_or.reduce([self.named(name) for name in SKIPS])

    def deepen(self, cells: int) -> None:
        """Compute the first `cells` cells of each stage only, from now on."""

    def operators_at(self, decision: int) -> list[nn.Module]:
        """The modules among which a decision chooses, in all cells."""
        raise NotImplementedError

    @property
    def possible(self) -> Bools:
        """The operators that each decision has, Bool[d, k]."""
        sizes = np.array([len(names) for names in self.operators])
        return np.arange(sizes.max()) < sizes[:, None]

    def named(self, name: str) -> Bools:
        """Where the operator called `name` stands, Bool[d, k]."""
        k = self.possible.shape[1]
        return np.array([[*(n == name for n in names), *[False] * (k - len(names))] for names in self.operators])

    def kernels(self) -> list[Kernel]:
        """The convolutions of all operators, whose weights may be predicted. Raises HarnessError if none may be."""
        raise HarnessError(
            "the weights of this super-network cannot be predicted.", "nb201 and digits201 have one whose can."
        )

    def path(self, codes: Ints) -> Choice:
        """The choice of one operator per decision that makes the architecture with codes Int[p] of the space."""
        raise NotImplementedError

    def architecture(self, weights: Floats) -> Ints:
        """Codes Int[p] of the architecture that weights Float[d, k] stand for: of each decision the heaviest."""
        raise NotImplementedError

    def canonical(self, codes: Ints) -> Ints:
        """Codes Int[n, p] in place of Int[n, p]: equal ones where architectures are known to compute the same."""
        return codes

    def evaluate(self, x: Tensor, codes: Ints, reference: int | None = None) -> Tensor:
        """Logits Float[B, n, classes] of many architectures with codes Int[B, p], without gradients.

        With a `reference`, batch normalisation takes its statistics from the first so many images of `x`, and the
        logits are those of the rest.
        """
        raise NotImplementedError


@dataclass
class Setting:
    """What a method is told: the super-network, epochs of the search and steps of an epoch, and its random streams.

    The loop gives it streams of their own for every step, so that `state` need not keep them.
    """

    net: SuperNetwork
    epochs: int
    steps: int
    streams: Streams

    def uniform(self, *shape: int) -> Floats:
        """The next numbers in [0, 1), Float[shape]."""
        return self.streams.uniform(int(np.prod(shape)), np.zeros(1, dtype=np.int64))[0].reshape(shape)


@dataclass(frozen=True, eq=False)
class Step:
    """One step: a batch that the weights learn from, and one that they do not.

    `loss(choice, validation)` is the mean loss of a choice on either, with gradients, `accuracy(choice)` the share of
    hits on the latter; `optimizer` is that of the weights, with the learning rate of this step. `epoch` counts whole
    epochs before this one, `images` those of the batch that the weights learn from. Where several processes share the
    batches out, both are of all images, and gradients too: everything a method sees is alike in all processes.
    """

    epoch: int
    loss: Callable[[Choice, bool], Tensor]
    accuracy: Callable[[Choice], float]
    optimizer: torch.optim.Optimizer
    weights: tuple[nn.Parameter, ...]
    images: int


class Method:
    """A method of weight sharing; the entry points of `nas_harness.sharing` name classes.

    Operators see one in `partial` of the channels. What it would end with is derived every so many epochs, and at the
    end.
    """

    partial = 1
    every = 1
    single = False
    """Whether the weights learn single paths, so that they can score any architecture."""

    tabulates = False
    """Whether it keeps what it predicts, a `lookup` from which architectures are taken under constraints."""

    lookup: Lookup | None = None
    """What is predicted of all architectures among which the last derivation chose, where that is known."""

    def __init__(self, setting: Setting) -> None:
        self.setting, self.net = setting, setting.net

    def choices(self) -> list[Choice]:
        """What the weights learn in this step."""
        raise NotImplementedError

    def begin(self, epoch: int) -> None:
        """Called before each epoch, after `epoch` whole ones."""

    def update(self, step: Step) -> None:
        """Called before each step of the weights."""

    def after(self) -> None:
        """Called after each step of the weights."""

    def distribution(self) -> Floats:
        """Probabilities of the operators, Float[d, k]; uniform if nothing is learned."""
        possible = self.net.possible
        return possible / possible.sum(axis=1, keepdims=True)

    def derive(self, score: Score, *, none: bool) -> Ints:
        """Codes Int[p] of what the search would end with now; without `none` no decision may be the operator none."""
        weights = self.distribution()
        return self.net.architecture(weights if none else np.where(self.net.named("none"), -1.0, weights))

    def state(self) -> dict[str, Any]:
        """All that `load` needs to go on bit for bit: plain values, tensors, and state dicts."""
        return {}

    def load(self, state: dict[str, Any]) -> None:
        """Go on from `state`."""
