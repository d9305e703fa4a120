"""What seeds observe of a table: training repeats drawn by each seed's own stream, and what jobs cost."""

from __future__ import annotations

import numpy as np

from harness.arrays import Bools, Floats, Ints
from harness.rng import Streams
from harness.rules import IncumbentRule, Noise
from harness.table import Table


class Observations:
    """What the seeds measure: one flat array of table entries, with one more that stands for invalid.

    An entry number is `(row * F + fidelity) * R + repeat`; with mean noise R is 1. A configuration that is not in
    the table (row -1), or has no repeat at that fidelity, is observed as loss inf at cost 0; a training without a loss
    as inf at the cost that it had.
    """

    def __init__(self, table: Table, seeds: Ints, noise: Noise) -> None:
        mean = noise == "mean"
        loss = table.mean_loss[..., None] if mean else table.loss
        cost = table.mean_cost[..., None] if mean else table.cost
        tried = table.tried.max(axis=2, keepdims=True) if mean else table.tried
        self.fidelities, self.repeats = loss.shape[1:]
        self.loss = self._entries(loss, ~np.isnan(loss), np.inf)
        self.cost = self._entries(cost, tried, 0.0)
        self._drawable = np.maximum(tried.sum(axis=2), 1).ravel()
        self._drawable = np.append(self._drawable, np.ones(self.fidelities, dtype=np.int64))
        self.seeds = seeds
        self._streams = Streams(seeds, "noise")
        self._rows = len(table)

    @staticmethod
    def _entries(values: Floats, there: Bools, invalid: float) -> Floats:
        """`values` as one flat array, with `invalid` where they are not there and in one more row."""
        entries = np.full((len(values) + 1, *values.shape[1:]), invalid)
        np.copyto(entries[:-1], values, where=there)
        return entries.ravel()

    def draw(self, where: Ints, rows: Ints, fidelity: Ints | int) -> Ints:
        """The entries that the seeds at `where` Int[n] see for these rows and fidelities, Int[n]."""
        rows = np.where(rows < 0, self._rows, rows)
        pair = rows * self.fidelities + fidelity
        if self.repeats == 1:
            return pair
        repeat = (self._streams.at(rows, where) * self._drawable[pair]).astype(np.int64)
        return pair * self.repeats + repeat

    def split(self, entry: Ints) -> tuple[Ints, Ints, Ints]:
        """Row (-1 for invalid), fidelity index and repeat of each entry."""
        pair, repeat = np.divmod(entry, self.repeats)
        row, fidelity = np.divmod(pair, self.fidelities)
        return np.where(row == self._rows, -1, row), fidelity, repeat

    def fidelity(self, entry: Ints) -> Ints:
        return entry // self.repeats % self.fidelities

    def lowest(self, rule: IncumbentRule) -> Floats:
        """The lowest loss that each seed can ever observe for an incumbent, Float[S].

        Configurations are visited by their lowest repeat, until nothing further down can be lower.
        """
        first = 0 if rule == "any" else self.fidelities - 1
        per_pair = self.loss.reshape(-1, self.fidelities, self.repeats)[:-1, first:].min(axis=2)
        order = np.argsort(per_pair, axis=None, kind="stable")
        bound = per_pair.ravel()[order]
        row, fidelity = np.divmod(order, per_pair.shape[1])
        lowest = np.full(len(self.seeds), np.inf)
        open_, start, size = np.arange(len(lowest)), 0, 64
        while open_.size and start < len(order):
            part = slice(start, start + size)
            n = len(order[part])
            where = np.repeat(open_, n)
            entry = self.draw(where, np.tile(row[part], open_.size), np.tile(fidelity[part] + first, open_.size))
            lowest[open_] = np.minimum(lowest[open_], self.loss[entry].reshape(-1, n).min(axis=1))
            start, size = start + n, 2 * size
            open_ = open_[lowest[open_] > bound[min(start, len(order) - 1)]]
        return lowest


class Checkpoints:
    """With `continuation`: the largest fidelity each seed has finished of each row, and what going on from it saves."""

    def __init__(self, observations: Observations, continuation: bool) -> None:
        self.observations = observations
        shape = (len(observations.seeds), len(observations.loss) // (observations.fidelities * observations.repeats))
        self.entry = np.full(shape, -1, dtype=np.int32) if continuation and observations.fidelities > 1 else None

    def cost(self, where: Ints, entry: Ints) -> Floats:
        """Seconds that the job `entry` Int[n] costs each of the seeds at `where` Int[n]."""
        cost = self.observations.cost
        if self.entry is None:
            return cost[entry]
        last, fidelity, repeat = self._last(where, entry)
        same = (
            (last >= 0) & (self.observations.fidelity(last) < fidelity) & (last % self.observations.repeats == repeat)
        )
        return np.where(same, np.maximum(cost[entry] - cost[last], 0.0), cost[entry])

    def finish(self, where: Ints, entry: Ints) -> None:
        """Take in one finished job per seed."""
        if self.entry is not None:
            last, fidelity, _ = self._last(where, entry)
            further = (self.observations.loss[entry] < np.inf) & (
                (last < 0) | (self.observations.fidelity(last) < fidelity)
            )
            self.entry[where[further], self._row(entry[further])] = entry[further]

    def _last(self, where: Ints, entry: Ints) -> tuple[Ints, Ints, Ints]:
        last = self.entry[where, self._row(entry)]  # type: ignore[index]
        return last, self.observations.fidelity(entry), entry % self.observations.repeats

    def _row(self, entry: Ints) -> Ints:
        return entry // (self.observations.fidelities * self.observations.repeats)
