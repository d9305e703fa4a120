"""The exact Pareto front of a table, and how much of its hypervolume the runs of a study hold over time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from harness.arrays import Floats, Ints
from harness.errors import HarnessError
from harness.pareto import Archive, front, hypervolume
from harness.rules import Rules
from harness.table import Table
from harness.trajectory import Trajectory

_BEYOND = 0.1
DEFINITION = (
    "share of the box between the ideal and the reference point that is dominated; the ideal point has the best value "
    "of each objective on the front, the nadir the worst, the reference lies a tenth of the range beyond the nadir"
)


@dataclass(frozen=True, eq=False)
class Front:
    """The Pareto front of the mean objectives `names` of a table: its `rows` Int[m] and `points` Float[m, k].

    `all` Float[N + 1, k] are the objectives of every row, and inf for row -1. All are minimised: where more is better
    they have the opposite sign. `hypervolume` is that of the front, by DEFINITION.
    """

    names: tuple[str, ...]
    all: Floats
    rows: Ints
    points: Floats
    ideal: Floats
    nadir: Floats
    reference: Floats
    hypervolume: float

    @classmethod
    def of(cls, table: Table, names: Sequence[str], position: int, *, test: bool = False) -> Front:
        """The front at a fidelity given by its index, with validation losses, or with `test` losses in their place.

        Raises HarnessError for an objective that the table does not have, or without a row that has all of them.
        """
        loss = table.test_at(position) if test else table.loss_at(position)
        assert loss is not None
        every = table.minimised(names, loss)
        rows = front(every)
        if not rows.size:
            raise HarnessError(f"no configuration of {table.name} has {', '.join(names)}.")
        points = every[rows]
        ideal, nadir = points.min(axis=0), points.max(axis=0)
        reference = nadir + _BEYOND * np.where(nadir > ideal, nadir - ideal, 1.0)
        padded = np.append(every, np.full((1, len(names)), np.inf), axis=0)
        found = cls(tuple(names), padded, rows, points, ideal, nadir, reference, 0.0)
        return cls(tuple(names), padded, rows, points, ideal, nadir, reference, float(found.share(points)))

    def share(self, points: Floats) -> Floats:
        """The hypervolume of sets of points Float[..., n, k], Float[...]."""
        return hypervolume((points - self.ideal) / (self.reference - self.ideal), np.ones(len(self.names)))


def described(table: Table, names: Sequence[str]) -> dict[str, Any]:
    """The exact front of `names` at the largest fidelity, for JSON, with the numbers as published.

    Raises HarnessError like `Front.of`, and for fewer than two objectives.
    """
    if len(set(names)) < max(2, len(names)):
        raise HarnessError(f"{','.join(names)} are not several objectives.", "name two or more, each once.")
    found = Front.of(table, names, len(table.fidelities) - 1)
    sign = np.array([-1.0 if name != table.primary and table.objective(name).more else 1.0 for name in names])

    def named(point: Floats) -> dict[str, float]:
        return dict(zip(names, (sign * point).tolist(), strict=True))

    return {
        "benchmark": table.name,
        "objectives": {name: table.objective_in_words(name) for name in names},
        "fidelity": int(table.fidelities[-1]),
        "ideal": named(found.ideal),
        "nadir": named(found.nadir),
        "reference": named(found.reference),
        "hypervolume": found.hypervolume,
        "definition": f"mean over repeats; hypervolume: {DEFINITION}",
        "front": [{"row": row, **named(point)} for row, point in zip(found.rows.tolist(), found.points, strict=True)],
    }


def replay(table: Table, rules: Rules, run: Trajectory, *fronts: Front) -> list[Floats]:
    """The hypervolume of the mean objectives of what each seed holds after each logged result, Float[E] for each front.

    A seed holds what no later result of its own dominates, as it observed them: the incumbents of several objectives.
    NaN for results that did not join.
    """
    observed = _observed(table, rules, run)
    found = [np.full(len(run.row), np.nan) for _ in fronts]
    archive = Archive(len(run.seeds), len(rules.objectives))
    fidelity = np.full(len(run.seeds), -1)
    for entry in _in_turn(run):
        seed = run.seed[entry]
        if rules.incumbent != "any":
            further = run.fidelity[entry] > fidelity[seed]
            archive.clear(seed[further])
            fidelity[seed] = run.fidelity[entry]
        archive.add(seed, observed[entry], entry)
        labels = archive.label[seed]
        rows = np.where(labels < 0, -1, run.row[labels])
        for share, front_ in zip(found, fronts, strict=True):
            share[entry] = front_.share(front_.all[rows])
    return found


def held(table: Table, rules: Rules, run: Trajectory, time: float) -> list[Ints]:
    """The rows that each seed holds at a time, in the order in which it found them."""
    kept = run.incumbent & (run.time <= time)
    observed = _observed(table, rules, run)
    found = []
    for seed in range(len(run.seeds)):
        of = np.flatnonzero(kept & (run.seed == seed))
        if rules.incumbent != "any" and of.size:
            of = of[run.fidelity[of] == run.fidelity[of].max()]
        found.append(run.row[of[np.sort(front(observed[of]))]])
    return found


def _observed(table: Table, rules: Rules, run: Trajectory) -> Floats:
    """The objectives of each logged result as its seed observed them, Float[E, k]."""
    points = table.minimised(rules.objectives, np.zeros(len(table)))
    points = np.append(points, np.full((1, points.shape[1]), np.inf), axis=0)[run.row]
    points[:, [name == table.primary for name in rules.objectives]] = run.loss[:, None]
    return points


def _in_turn(run: Trajectory) -> list[Ints]:
    """Positions of the results that joined: the first of every seed, then the second of every seed that has one, ..."""
    joined = np.flatnonzero(run.incumbent)
    start = np.searchsorted(run.seed[joined], np.arange(len(run.seeds)))
    turn = np.arange(len(joined)) - start[run.seed[joined]]
    order = np.argsort(turn, kind="stable")
    return np.split(joined[order], np.searchsorted(turn[order], np.arange(1, turn.max(initial=0) + 1)))
