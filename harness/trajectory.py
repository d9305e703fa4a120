"""What a simulation leaves behind: finished jobs in columns, and step functions of time over them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from harness.arrays import Bools, Floats, Ints

PACE_TIMES: Floats = np.array([m * 10.0**e for e in range(-20, 30) for m in range(10, 100)])
"""Simulated times with two significant digits, at which evaluations are counted exactly, Float[G]."""

_MILLISECOND = 90 * 16
"""The position of 0.001 in it, from which positions are counted in files."""

_STEPS = 256
"""Whose times are counted together."""


@dataclass(frozen=True, eq=False)
class Trajectory:
    """Logged results of S runs, sorted by seed and, within a seed, by finish.

    Columns of length E: `seed` (a position in `seeds`), `time` (seconds), `evaluation` (1 for the first result of
    the seed), `row` (-1 for an invalid configuration), `fidelity` (index), `repeat`, `loss` (as observed) and
    `incumbent` (whether the result became the incumbent). Per seed, length S: `evaluations` (results told), `ended`
    (time of the last one) and `finished` (it stopped early, as nothing could improve its incumbent). `pace` Int[G]
    counts the results of all seeds up to each of `PACE_TIMES`; it is empty where that is not known, for a part of the
    seeds that were counted together.
    """

    seeds: Ints
    seed: Ints
    time: Floats
    evaluation: Ints
    row: Ints
    fidelity: Ints
    repeat: Ints
    loss: Floats
    incumbent: Bools
    evaluations: Ints
    ended: Floats
    finished: Bools
    pace: Ints

    COLUMNS = ("seed", "time", "evaluation", "row", "fidelity", "repeat", "loss", "incumbent")
    PER_SEED = ("seeds", "evaluations", "ended", "finished")

    def __repr__(self) -> str:
        results = f"{int(self.evaluations.sum()):,} results, of which {len(self.row):,} are logged"
        return f"<Trajectory of {len(self.seeds):,} seeds: {results}>"

    def at(self, times: Floats) -> Ints:
        """Position in the columns of each seed's incumbent at `times` Float[G], Int[S, G]; -1 before the first.

        A step function: a result counts from its finish time on, nothing is interpolated.
        """
        kept, order = np.flatnonzero(self.incumbent), np.argsort(times)
        since = np.full((len(self.seeds), len(times) + 1), -1, dtype=np.int64)
        np.maximum.at(since, (self.seed[kept], np.searchsorted(times[order], self.time[kept])), kept)
        found = np.empty((len(self.seeds), len(times)), dtype=np.int64)
        found[:, order] = np.maximum.accumulate(since, axis=1)[:, :-1]
        return found

    def stamps(self) -> Floats:
        """The times at which some seed's incumbent changed, ascending, Float[T]."""
        return np.unique(self.time[self.incumbent])

    def evaluations_by(self, time: float) -> float:
        """Mean number of results per seed up to `time`, rounded down to two significant digits; NaN if not known."""
        if time >= self.ended.max(initial=0.0):
            return float(self.evaluations.mean())
        if not self.pace.size:
            return math.nan
        before = int(np.searchsorted(PACE_TIMES, time, side="right")) - 1
        return float(self.pace[before]) / len(self.seeds) if before >= 0 else 0.0

    def packed_pace(self) -> tuple[list[int], list[int]]:
        """The positions at which `pace` rises, from that of 0.001, and its values from there on."""
        steps = np.flatnonzero(np.diff(self.pace, prepend=0))
        return (steps - _MILLISECOND).tolist(), self.pace[steps].tolist()

    @staticmethod
    def unpacked_pace(steps: Sequence[int], counts: Sequence[int], told: Ints) -> Ints:
        """`pace` out of what `packed_pace` gave.

        Without any it is not known, unless nothing was `told` to the S seeds, Int[S].
        """
        pace = np.zeros(len(PACE_TIMES) if len(steps) or not told.any() else 0, dtype=np.int64)
        pace[np.array(steps, dtype=np.int64) + _MILLISECOND] = np.diff(counts, prepend=0)
        return np.cumsum(pace)

    def part(self, kept: Bools) -> Trajectory:
        """The trajectory of the seeds that `kept` Bool[S] marks."""
        if kept.all():
            return self
        entries = kept[self.seed]
        columns = {name: getattr(self, name)[entries] for name in self.COLUMNS}
        columns["seed"] = (np.cumsum(kept) - 1)[columns["seed"]]
        per_seed = {name: getattr(self, name)[kept] for name in self.PER_SEED}
        return Trajectory(**columns, **per_seed, pace=self.pace[:0])

    @classmethod
    def join(cls, parts: Sequence[Trajectory]) -> Trajectory:
        """The trajectory of all seeds out of those of disjoint shards in the order of their seeds."""
        offsets = np.cumsum([0, *(len(part.seeds) for part in parts)])
        columns = {
            name: np.concatenate([getattr(part, name) for part in parts]) for name in (*cls.COLUMNS, *cls.PER_SEED)
        }
        columns["seed"] = np.concatenate([part.seed + o for part, o in zip(parts, offsets, strict=False)])
        known = all(part.pace.size for part in parts)
        return cls(**columns, pace=np.sum([part.pace for part in parts], axis=0) if known else parts[0].pace[:0])


class Recorder:
    """Collects what `simulate` logs, step by step."""

    def __init__(self, seeds: int) -> None:
        self.evaluations = np.zeros(seeds, dtype=np.int64)
        self.finished = np.zeros(seeds, dtype=np.bool_)
        self._told_by = np.zeros(len(PACE_TIMES), dtype=np.int64)
        self._times: list[Floats] = []
        self._kept: list[tuple[Ints, Floats, Ints, Ints, Floats, Bools]] = []

    def told(self, where: Ints, time: Floats) -> None:
        self.evaluations[where] += 1
        self._times.append(time)
        if len(self._times) == _STEPS:
            self._count()

    def _count(self) -> None:
        """How many results there were up to each of `PACE_TIMES`."""
        self._told_by += np.searchsorted(np.sort(np.concatenate(self._times)), PACE_TIMES, side="right")
        self._times.clear()

    def keep(self, where: Ints, time: Floats, entry: Ints, loss: Floats, incumbent: Bools) -> None:
        self._kept.append((where, time, self.evaluations[where], entry, loss, incumbent))

    def trajectory(self, seeds: Ints, ended: Floats, split: Callable[[Ints], tuple[Ints, Ints, Ints]]) -> Trajectory:
        """What was kept; `split` turns entry numbers into rows, fidelities and repeats."""
        if self._times:
            self._count()
        kept = self._kept or [(seeds[:0], ended[:0], seeds[:0], seeds[:0], ended[:0], seeds[:0] > 0)]
        seed, time, evaluation, entry, loss, incumbent = map(np.concatenate, zip(*kept, strict=True))
        order = np.argsort(seed, kind="stable")
        row, fidelity, repeat = split(entry[order])
        return Trajectory(
            seeds=seeds,
            seed=seed[order],
            time=time[order],
            evaluation=evaluation[order],
            row=row,
            fidelity=fidelity,
            repeat=repeat,
            loss=loss[order],
            incumbent=incumbent[order],
            evaluations=self.evaluations,
            ended=ended,
            finished=self.finished,
            pace=self._told_by.copy(),
        )
