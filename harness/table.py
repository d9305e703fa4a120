"""Tabular benchmarks as frozen arrays: N configurations x F fidelities x R training repeats."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

from harness.arrays import Bools, Floats, Ints, fixed
from harness.errors import HarnessError, unknown
from harness.space import SearchSpace

Lookup = Callable[[Ints], Ints]


@dataclass(frozen=True)
class Facts:
    """What a reader of a result has to know about the table behind it.

    `loss`, `test` and `cost` say in words what the numbers are (metric, split, unit), `fidelity` names the
    fidelity axis, and `budget` is the default length of a simulated run in seconds. `separate`: each fidelity is a
    training of its own, with its own schedule, so that none goes on from another. `images` names the image set of
    `harness train` that networks were trained on, where there is one. `ratios`: losses are errors of which 0 is the
    least there can be, so that their logarithms mean something; else only their order does. `unit`: of costs, and so of
    simulated time; seconds unless there are none.
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
    separate: bool = False
    images: str = ""
    ratios: bool = True
    unit: str = "s"


@dataclass(frozen=True, eq=False)
class Objective:
    """A further number of each configuration: `words` say what it is; less is better, unless `more` is.

    `unit` may be empty; `read` gives Float[N], NaN where it was not measured.
    """

    words: str
    unit: str
    read: Callable[[], Floats]
    more: bool = False

    @cached_property
    def values(self) -> Floats:
        """The numbers as published, Float[N]."""
        return self.read()

    @cached_property
    def minimised(self) -> Floats:
        """The numbers with the sign that makes less better, Float[N]."""
        return -self.values if self.more else self.values


@dataclass(frozen=True, eq=False)
class Score:
    """A number of each configuration that needs no training: more is better, in `words`.

    `read` gives the scores Float[N], -inf for the worst, and the seconds that each took, Float[N].
    """

    words: str
    read: Callable[[], tuple[Floats, Floats]]

    @cached_property
    def values(self) -> Floats:
        """The scores, Float[N]."""
        return self._read[0]

    @cached_property
    def seconds(self) -> Floats:
        """What each took, Float[N]."""
        return self._read[1]

    @cached_property
    def _read(self) -> tuple[Floats, Floats]:
        return self.read()


@dataclass(frozen=True)
class Optimum:
    """The lowest mean over repeats at a fidelity, and the row that has it."""

    value: float
    row: int
    definition: str


@dataclass(frozen=True, eq=False)
class Table:
    """A benchmark: everything that was ever measured, and nothing else.

    `loss`, `cost` (seconds of one training) and, where the benchmark has it, `test` are Float[N, F, R]; losses
    are minimised. NaN marks what was never measured: the repeats that exist stand first along R, and an entry
    with none is absent; inf marks what is measured and refused. A training with a cost and no loss, such as one that
    diverged, comes after those with a loss: it is drawn as they are, and costs what it took. `codes` Int[N, d] are the
    configurations in the benchmark's own order, `fidelities` Int[F] ascend, `columns` holds further numbers Float[N] by
    name, `objectives` those that may be searched for, `scores` those that need no training. A `test` measured at the
    largest fidelity only may be Float[N, 1, R]. `lookup` maps codes Int[n, d] to rows Int[n]; by default through an
    array over the whole grid of the space. `test_apart`: the test losses were added later, from another publication; no
    simulation reads them, so they are not in the checksum. `source` is the checksum of the stored arrays that the table
    was made of, if it was: they are not checked and hashed again.

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
    objectives: Mapping[str, Objective] = field(default_factory=dict)
    scores: Mapping[str, Score] = field(default_factory=dict)
    lookup: Lookup | None = None
    source: str = ""
    test_apart: bool = False

    def __repr__(self) -> str:
        measured = "x".join(map(str, self.loss.shape))
        return f"<Table {self.name}: {measured} losses by configuration, fidelity and repeat, {self.space!r}>"

    def __post_init__(self) -> None:
        shape = (len(self.codes), len(self.fidelities), self.loss.shape[2])
        for name, array in (("loss", self.loss), ("cost", self.cost), ("test", self.test)):
            last_only = name == "test" and array is not None and array.shape == (shape[0], 1, shape[2])
            if array is not None and array.shape != shape and not last_only:
                raise ValueError(f"{name} has shape {array.shape}, expected {shape}")
        if self.codes.shape != (len(self.codes), self.space.dimensions):
            raise ValueError(f"codes have shape {self.codes.shape}, the space has {self.space.dimensions} columns")
        if (np.diff(self.fidelities) <= 0).any():
            raise ValueError(f"fidelities must ascend, got {self.fidelities}")
        object.__setattr__(self, "fidelities", fixed(np.asarray(self.fidelities)))
        if not self.source:
            self._check_entries()

    def _check_entries(self) -> None:
        measured = np.isfinite(self.loss)
        for there in (measured, self.tried):
            if (there[..., 1:] & ~there[..., :-1]).any():
                raise ValueError("the repeats that exist must come first along the last axis")
        if not (self.cost[measured] >= 0).all() or (self.cost < 0).any():
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
    def ratios(self) -> bool:
        """Whether ratios of losses mean something: see `Facts`; of losses below 0 they never do."""
        return self.facts.ratios and not (self.loss < 0).any()

    @property
    def tried(self) -> Bools:
        """Which trainings there were, with a loss or without one at their cost, Bool[N, F, R]."""
        return ~np.isnan(self.loss) | np.isfinite(self.cost)

    @cached_property
    def mean_loss(self) -> Floats:
        """Validation loss, mean over repeats, Float[N, F]; NaN where absent."""
        return _mean(self.loss)

    @cached_property
    def mean_cost(self) -> Floats:
        """Seconds of one training, mean over repeats, Float[N, F]; NaN where absent."""
        return _mean(self.cost)

    def position(self, fidelity: int | None) -> int:
        """Index of a fidelity given by its value, the largest by default. Raises HarnessError if there is none."""
        if fidelity is None:
            return len(self.fidelities) - 1
        if fidelity not in self.fidelities:
            known = [str(f) for f in self.fidelities]
            shown = known if len(known) <= 12 else [*known[:3], "...", *known[-3:]]
            raise HarnessError(
                f"{self.name} has no fidelity {fidelity}.",
                f"its fidelities ({self.facts.fidelity}): {', '.join(shown)}.",
            )
        return int(np.searchsorted(self.fidelities, fidelity))

    def up_to(self, fidelity: int | None) -> Table:
        """The table as one sees it who never trains beyond `fidelity` (a value); without test losses."""
        count = self.position(fidelity) + 1
        if count == len(self.fidelities):
            return self
        return replace(
            self,
            fidelities=self.fidelities[:count],
            loss=self.loss[:, :count],
            cost=self.cost[:, :count],
            test=None,
        )

    def loss_at(self, position: int) -> Floats:
        """Validation loss at a fidelity given by its index, mean over repeats, Float[N]; NaN where absent."""
        return _mean(self.loss[:, position])

    def cost_at(self, position: int) -> Floats:
        """Seconds of one training to a fidelity given by its index, mean over repeats, Float[N]; NaN where absent."""
        return _mean(self.cost[:, position])

    def test_at(self, position: int) -> Floats | None:
        """Test loss at a fidelity given by its index, mean over repeats, Float[N]; None where it was not measured."""
        if self.test is None:
            return None
        from_end = position - len(self.fidelities)
        if self.test.shape[1] < -from_end:
            return None
        mean = _mean(self.test[:, from_end])
        return mean if np.isfinite(mean).any() else None

    @cached_property
    def optimum(self) -> Optimum:
        """Best validation loss at the largest fidelity: the zero of validation regret."""
        return self.optimum_at(len(self.fidelities) - 1)

    @cached_property
    def test_optimum(self) -> Optimum | None:
        """Best test loss at the largest fidelity: the zero of test regret; None without a test metric."""
        return self.test_optimum_at(len(self.fidelities) - 1)

    def optimum_at(self, position: int) -> Optimum:
        """Best validation loss at a fidelity given by its index."""
        return self._best(self.loss_at(position), self.facts.loss, position)

    def test_optimum_at(self, position: int) -> Optimum | None:
        """Best test loss at a fidelity given by its index; None where it was not measured."""
        mean = self.test_at(position)
        return None if mean is None else self._best(mean, self.facts.test, position)

    def _best(self, mean: Floats, what: str, position: int) -> Optimum:
        row = int(np.nanargmin(mean))
        at = f"{self.facts.fidelity} {self.fidelities[position]}"
        return Optimum(float(mean[row]), row, f"lowest {what}, mean over repeats, at {at}")

    @property
    def primary(self) -> str:
        """What the loss is called among objectives: `error` or `loss`."""
        return "error" if "error" in self.facts.loss else "loss"

    def objective(self, name: str) -> Objective:
        """The objective called `name`, besides the loss. Raises HarnessError if there is none."""
        if name not in self.objectives:
            known = [self.primary, *self.objectives]
            if not self.objectives:
                raise HarnessError(
                    f"{self.name} has no objectives besides its loss.", "`harness show BENCH` lists them."
                )
            raise unknown(f"objective of {self.name}", name, known, see=f"harness show {self.name}")
        return self.objectives[name]

    def objective_in_words(self, name: str) -> str:
        """What an objective is, its unit, and which way is better. Raises HarnessError if there is none."""
        if name == self.primary:
            return f"{self.facts.loss}, less is better"
        found = self.objective(name)
        unit = f" ({found.unit})" if found.unit else ""
        return f"{found.words}{unit}, {'more' if found.more else 'less'} is better"

    def score(self, name: str) -> Score:
        """The training-free score called `name`. Raises HarnessError if there is none."""
        if not self.scores:
            raise HarnessError(
                f"{self.name} has no training-free scores.", "nb201 has some: `harness show nb201` lists them."
            )
        if name not in self.scores:
            raise unknown(f"training-free score of {self.name}", name, self.scores, see=f"harness show {self.name}")
        return self.scores[name]

    def minimised(self, names: Sequence[str], loss: Floats) -> Floats:
        """The objectives `names` of each row with the given `loss` Float[N] in its place, all minimised, Float[N, k].

        A row that lacks one of them has inf in all.
        """
        points = np.stack([loss if name == self.primary else self.objective(name).minimised for name in names], axis=1)
        points[~np.isfinite(points).all(axis=1)] = np.inf
        return points

    def measured(self, rows: Ints, names: Sequence[str], position: int) -> dict[str, Floats]:
        """The objectives `names` at `rows` Int[n] as published, losses at the fidelity of this index, Float[n] each."""
        loss = self.loss_at(position)
        return {name: (loss if name == self.primary else self.objective(name).values)[rows] for name in names}

    def checksum_with(self, names: Iterable[str], scores: Iterable[str] = ()) -> str:
        """`checksum`, with the numbers of the objectives `names` and of training-free `scores` in it, if any."""
        names, scores = sorted({name for name in names if name != self.primary}), sorted({*scores})
        if not names and not scores:
            return self.checksum
        digest = hashlib.sha256(self.checksum.encode())
        for name in names:
            digest.update(name.encode())
            digest.update(np.ascontiguousarray(self.objective(name).minimised).data)
        for name in scores:
            digest.update(f"score {name}".encode())
            for numbers in (self.score(name).values, self.score(name).seconds):
                digest.update(np.ascontiguousarray(numbers).data)
        return digest.hexdigest()

    @cached_property
    def checksum(self) -> str:
        """SHA-256 over everything that a simulation reads; it is part of a study's identity."""
        digest = hashlib.sha256(repr([(p.name, *p.values) for p in self.space.parameters]).encode())
        if (self.tried & np.isnan(self.loss)).any():
            digest.update(b"trainings without a loss cost what they took")
        if self.space.varying is not self.space:
            digest.update(b"parameters of a single value are no dimensions")
        if self.source:
            digest.update(f"{self.name} {self.fidelities.tolist()} {self.source}".encode())
            return digest.hexdigest()
        for array in (self.fidelities, self.codes, self.loss, self.cost, None if self.test_apart else self.test):
            if array is not None:
                digest.update(repr(array.shape).encode())
                digest.update(np.ascontiguousarray(array).data)
        return digest.hexdigest()


def repeats_in_order(loss: Floats) -> Ints:
    """Order of the repeats of Float[N, F, R] in which those measured at more fidelities come first, Int[N, 1, R].

    So each keeps its place along the fidelities.
    """
    return np.argsort(-np.isfinite(loss).sum(axis=1), axis=1, kind="stable")[:, None]


def _mean(values: Floats) -> Floats:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Mean of empty slice", RuntimeWarning)
        return np.nanmean(values, axis=-1)
