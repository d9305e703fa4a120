"""Tabular benchmarks as frozen arrays: N configurations x F fidelities x R training repeats."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from harness.arrays import Floats, Ints
from harness.space import SearchSpace

Lookup = Callable[[Ints], Ints]


@dataclass(frozen=True)
class Facts:
    """What a reader of a result has to know about the table behind it.

    `loss`, `test` and `cost` say in words what the numbers are (metric, split, unit), `fidelity` names the
    fidelity axis, and `budget` is the default length of a simulated run in seconds.
    """

    name: str
    title: str
    citation: str
    url: str
    licence: str
    loss: str
    cost: str
    fidelity: str
    budget: float
    splits: str
    test: str = ""
    notes: str = ""


@dataclass(frozen=True)
class Optimum:
    """The lowest mean over repeats at the largest fidelity, and the row that has it."""

    value: float
    row: int
    definition: str


@dataclass(frozen=True, eq=False)
class Table:
    """A benchmark: everything that was ever measured, and nothing else.

    `loss`, `cost` (seconds of one training) and, where the benchmark has it, `test` are Float[N, F, R]; losses
    are minimised. NaN marks what was never measured: the repeats that exist stand first along R, and an entry
    with none is absent. `codes` Int[N, d] are the configurations in the benchmark's own order, `fidelities`
    Int[F] ascend, `columns` holds further numbers Float[N] by name. `lookup` maps codes Int[n, d] to rows
    Int[n]; by default through an array over the whole grid of the space.

    Raises ValueError if the arrays contradict each other.
    """

    facts: Facts
    space: SearchSpace
    fidelities: Ints
    codes: Ints
    loss: Floats
    cost: Floats
    test: Floats | None = None
    columns: Mapping[str, Floats] = field(default_factory=dict)
    lookup: Lookup | None = None

    def __post_init__(self) -> None:
        shape = (len(self.codes), len(self.fidelities))
        for name, array in (("loss", self.loss), ("cost", self.cost), ("test", self.test)):
            if array is not None and (array.shape[:2] != shape or array.shape != self.loss.shape):
                raise ValueError(f"{name} has shape {array.shape}, expected {(*shape, self.loss.shape[2])}")
        if self.codes.shape != (len(self.codes), self.space.dimensions):
            raise ValueError(f"codes have shape {self.codes.shape}, the space has {self.space.dimensions} columns")
        if (np.diff(self.fidelities) <= 0).any():
            raise ValueError(f"fidelities must ascend, got {self.fidelities}")
        measured = np.isfinite(self.loss)
        if (measured[..., 1:] & ~measured[..., :-1]).any():
            raise ValueError("the repeats that exist must come first along the last axis")
        if not (self.cost[measured] >= 0).all():
            raise ValueError("every measured loss needs a cost in seconds that is not negative")

    @property
    def name(self) -> str:
        return self.facts.name

    def __len__(self) -> int:
        return len(self.codes)

    def rows(self, codes: Ints) -> Ints:
        """Row of each configuration `codes` Int[n, d], Int[n]; -1 where the table does not have it."""
        if self.lookup is not None:
            return self.lookup(codes)
        return self._grid[codes @ self.space.strides]

    @cached_property
    def _grid(self) -> Ints:
        grid = np.full(self.space.cardinality, -1, dtype=np.int64)
        grid[self.codes @ self.space.strides] = np.arange(len(self))
        return grid

    @cached_property
    def repeats(self) -> Ints:
        """Number of training repeats of each entry, Int[N, F]."""
        return np.isfinite(self.loss).sum(axis=2)

    @cached_property
    def mean_loss(self) -> Floats:
        """Validation loss, mean over repeats, Float[N, F]; NaN where absent."""
        return _mean(self.loss)

    @cached_property
    def mean_cost(self) -> Floats:
        """Seconds of one training, mean over repeats, Float[N, F]; NaN where absent."""
        return _mean(self.cost)

    @cached_property
    def mean_test(self) -> Floats | None:
        """Test loss, mean over repeats, Float[N, F]; None where the table has no test metric."""
        return None if self.test is None else _mean(self.test)

    @cached_property
    def optimum(self) -> Optimum:
        """Best validation loss: the zero of validation regret."""
        return self._best(self.mean_loss, self.facts.loss)

    @cached_property
    def test_optimum(self) -> Optimum | None:
        """Best test loss: the zero of test regret; None where the table has no test metric."""
        return None if self.mean_test is None else self._best(self.mean_test, self.facts.test)

    def _best(self, mean: Floats, what: str) -> Optimum:
        row = int(np.nanargmin(mean[:, -1]))
        at = f"{self.facts.fidelity} {self.fidelities[-1]}"
        return Optimum(float(mean[row, -1]), row, f"lowest {what}, mean over repeats, at {at}")

    @cached_property
    def checksum(self) -> str:
        """SHA-256 over everything that a simulation reads; it is part of a study's identity."""
        digest = hashlib.sha256(repr([(p.name, *p.values) for p in self.space.parameters]).encode())
        for array in (self.fidelities, self.codes, self.loss, self.cost, self.test):
            if array is not None:
                digest.update(repr(array.shape).encode())
                digest.update(np.ascontiguousarray(array).data)
        return digest.hexdigest()


def _mean(values: Floats) -> Floats:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Mean of empty slice", RuntimeWarning)
        return np.nanmean(values, axis=2)
