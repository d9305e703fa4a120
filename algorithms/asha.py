"""Asynchronous successive halving (Li et al., "A system for massively parallel hyperparameter tuning", MLSys 2020)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from algorithms.brackets import rungs
from algorithms.hyperband import Eta, Largest, Smallest
from harness import Bools, Floats, Ints, Jobs, Problem, Results, Streams

Tags = NDArray[np.integer[Any]]


class Heaps:
    """A binary heap for each of `n` rows: `push` and `pop` step many rows together, in O(log size) array operations.

    Entries are a finite value Float and a tag Int; the lowest value is on top, of equal ones the lowest tag.
    """

    def __init__(self, n: int) -> None:
        self.size = np.zeros(n, dtype=np.int64)
        self.value = np.full((n, 15), np.inf)
        self.tag = np.zeros((n, 15), dtype=np.int32)

    def push(self, rows: Ints, value: Floats, tag: Ints) -> None:
        node = self.size[rows]
        self.size[rows] += 1
        if self.size.max() > self.value.shape[1]:
            more = [(0, 0), (0, self.value.shape[1] + 1)]
            self.value = np.pad(self.value, more, constant_values=np.inf)
            self.tag = np.pad(self.tag, more)
        while rows.size:
            parent = np.maximum(node - 1, 0) // 2
            rises = (node > 0) & self._above(value, tag, rows, parent)
            self._put(rows, node, np.where(rises, self.value[rows, parent], value), rises, parent, tag)
            rows, node, value, tag = rows[rises], parent[rises], value[rises], tag[rises]

    def pop(self, rows: Ints) -> tuple[Floats, Ints]:
        """Take the top entry, value and tag, of each of `rows` Int[n]; none of them may be empty."""
        top = self.value[rows, 0], self.tag[rows, 0].astype(np.int64)
        self.size[rows] -= 1
        last = self.size[rows]
        value, tag = self.value[rows, last], self.tag[rows, last]
        self.value[rows, last] = np.inf
        keeps = last > 0
        rows, value, tag, node = rows[keeps], value[keeps], tag[keeps], np.zeros(keeps.sum(), dtype=np.int64)
        while rows.size:
            child = np.minimum(2 * node + 1, self.value.shape[1] - 2)
            child += self._above(self.value[rows, child + 1], self.tag[rows, child + 1], rows, child)
            sinks = (2 * node + 1 < self.value.shape[1]) & ~self._above(value, tag, rows, child)
            self._put(rows, node, np.where(sinks, self.value[rows, child], value), sinks, child, tag)
            rows, node, value, tag = rows[sinks], child[sinks], value[sinks], tag[sinks]
        return top

    def _above(self, value: Floats, tag: Tags, rows: Ints, node: Ints) -> Bools:
        """Whether an entry belongs above what the node holds."""
        held = self.value[rows, node]
        return (value < held) | ((value == held) & (tag < self.tag[rows, node]))

    def _put(self, rows: Ints, node: Ints, value: Floats, moves: Bools, source: Ints, tag: Tags) -> None:
        self.tag[rows, node] = np.where(moves, self.tag[rows, source], tag)
        self.value[rows, node] = value


class Rung:
    """The results of one rung of all seeds, and which of them may go on.

    These are the best floor(n / eta) of its n results that have not gone on yet. A result's tag is its number in
    order of arrival, and of equal losses the earlier is better. `ready` Int[S] counts the results that may go on.
    """

    def __init__(self, seeds: int, eta: int, codes: Ints) -> None:
        self.eta = eta
        self.told = np.zeros(seeds, dtype=np.int64)
        self.ready = np.zeros(seeds, dtype=np.int64)
        self.codes = np.zeros((seeds, 16, len(codes)), dtype=np.min_scalar_type(int(codes.max())))
        self.gone = np.zeros((seeds, 16), dtype=np.bool_)
        self.waiting = Heaps(seeds)
        self.best = Heaps(seeds)
        self.rest = Heaps(seeds)

    def add(self, seeds: Ints, codes: Ints, loss: Floats) -> None:
        tag = self.told[seeds]
        self.told[seeds] += 1
        if self.told.max() > self.gone.shape[1]:
            self.codes = np.concatenate([self.codes, np.zeros_like(self.codes)], axis=1)
            self.gone = np.concatenate([self.gone, np.zeros_like(self.gone)], axis=1)
        self.codes[seeds, tag] = codes
        valid = loss < np.inf
        rows = seeds[valid]
        self.waiting.push(rows, loss[valid], tag[valid])
        self._move(rows, *self._exchanged(rows, loss[valid], tag[valid]), self.rest)
        grows = (self.best.size[seeds] < self.told[seeds] // self.eta) & (self.rest.size[seeds] > 0)
        rows = seeds[grows]
        self._move(rows, *self.rest.pop(rows), self.best)

    def _exchanged(self, rows: Ints, loss: Floats, tag: Ints) -> tuple[Floats, Ints]:
        """Let an entry in among the best; what it drives out, which may be itself."""
        self._move(rows, loss, tag, self.best)
        value, tag = self.best.pop(rows)
        self.ready[rows] -= ~self.gone[rows, -tag]
        return -value, -tag

    def _move(self, rows: Ints, loss: Floats, tag: Ints, to: Heaps) -> None:
        if to is self.best:
            to.push(rows, -loss, -tag)
            self.ready[rows] += ~self.gone[rows, tag]
        else:
            to.push(rows, loss, tag)

    def take(self, seeds: Ints) -> Ints:
        """The best configuration that may go on, of seeds that have one ready, Int[n, d]."""
        _, tag = self.waiting.pop(seeds)
        self.gone[seeds, tag] = True
        self.ready[seeds] -= 1
        return self.codes[seeds, tag].astype(np.int64)


class ASHA:
    """Asynchronous successive halving: a worker promotes where it can, from the highest rung down, and never waits.

    A result may go on to the next rung once it is among the best 1/eta of the results of its own. Where there is
    none, a configuration is drawn uniformly for the lowest rung. Invalid configurations never go on. On a table with
    one fidelity it is random search.
    """

    def __init__(
        self,
        problem: Problem,
        streams: Streams,
        *,
        eta: Eta = 3,
        min_fidelity: Smallest = 0,
        max_fidelity: Largest = 0,
    ) -> None:
        seeds = len(problem.seeds)
        self.problem = problem
        self.streams = streams
        self.fidelities = rungs(problem, eta, min_fidelity, max_fidelity)
        self.rungs = [Rung(seeds, eta, problem.space.sizes) for _ in self.fidelities[1:]]

    def ask(self, seeds: Ints, worker: Ints) -> Jobs:
        space = self.problem.space
        codes = np.empty((len(seeds), space.dimensions), dtype=np.int64)
        level = np.zeros(len(seeds), dtype=np.int64)
        for i, rung in enumerate(self.rungs, start=1):
            level[rung.ready[seeds] > 0] = i
        for i, rung in enumerate(self.rungs, start=1):
            if (level == i).any():
                codes[level == i] = rung.take(seeds[level == i])
        new = level == 0
        codes[new] = space.sample(self.streams.uniform(space.dimensions, seeds[new]))
        return Jobs(codes, self.fidelities[level])

    def tell(self, results: Results) -> None:
        for fidelity, rung in zip(self.fidelities, self.rungs, strict=False):
            at = results.fidelity == fidelity
            if at.any():
                rung.add(results.seeds[at], results.codes[at], results.loss[at])
