"""Asynchronous successive halving (Li et al., "A system for massively parallel hyperparameter tuning", MLSys 2020)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from algorithms.brackets import lone, rungs
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
        root = rows * self.value.shape[1]
        while root.size:
            parent = np.maximum(node - 1, 0) >> 1
            rises = (node > 0) & self._above(value, tag, root + parent)
            self._put(root, node, parent, rises, value, tag)
            root, node, value, tag = root[rises], parent[rises], value[rises], tag[rises]

    def pop(self, rows: Ints) -> tuple[Floats, Ints]:
        """Take the top entry, value and tag, of each of `rows` Int[n]; none of them may be empty."""
        width = self.value.shape[1]
        top = self.value[rows, 0], self.tag[rows, 0].astype(np.int64)
        self.size[rows] -= 1
        last = self.size[rows]
        value, tag = self.value[rows, last], self.tag[rows, last]
        self.value[rows, last] = np.inf
        keeps = last > 0
        root, value, tag, node = rows[keeps] * width, value[keeps], tag[keeps], np.zeros(keeps.sum(), dtype=np.int64)
        while root.size:
            child = np.minimum(2 * node + 1, width - 2)
            right = root + child + 1
            child += self._above(self.value.take(right), self.tag.take(right), root + child)
            sinks = (2 * node + 1 < width) & ~self._above(value, tag, root + child)
            self._put(root, node, child, sinks, value, tag)
            root, node, value, tag = root[sinks], child[sinks], value[sinks], tag[sinks]
        return top

    def _above(self, value: Floats, tag: Tags, at: Ints) -> Bools:
        """Whether an entry belongs above what the flat index `at` holds."""
        held = self.value.take(at)
        return (value < held) | ((value == held) & (tag < self.tag.take(at)))

    def _put(self, root: Ints, node: Ints, source: Ints, moves: Bools, value: Floats, tag: Tags) -> None:
        """Fill each node with the entry of its `source` node where that moves, else with the new one."""
        self.value.reshape(-1)[root + node] = np.where(moves, self.value.take(root + source), value)
        self.tag.reshape(-1)[root + node] = np.where(moves, self.tag.take(root + source), tag)


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
        rows, loss, tag = seeds[valid], loss[valid], tag[valid]
        self.waiting.push(rows, loss, tag)
        enters = loss < -self.best.value[rows, 0]
        enters &= self.best.size[rows] > 0
        self.rest.push(rows[~enters], loss[~enters], tag[~enters])
        self.enter(rows[enters], loss[enters], tag[enters])
        value, tag = self.best.pop(rows[enters])
        self.ready[rows[enters]] -= ~self.gone[rows[enters], -tag]
        self.rest.push(rows[enters], -value, -tag)
        grows = (self.best.size[seeds] < self.told[seeds] // self.eta) & (self.rest.size[seeds] > 0)
        self.enter(seeds[grows], *self.rest.pop(seeds[grows]))

    def enter(self, seeds: Ints, loss: Floats, tag: Ints) -> None:
        """Count results among the best."""
        self.best.push(seeds, -loss, -tag)
        self.ready[seeds] += ~self.gone[seeds, tag]

    def take(self, seeds: Ints) -> Ints:
        """The best configuration that may go on, of seeds that have one ready, Int[n, d]."""
        _, tag = self.waiting.pop(seeds)
        self.gone[seeds, tag] = True
        self.ready[seeds] -= 1
        return self.codes[seeds, tag].astype(np.int64)


class ASHA:
    """Asynchronous successive halving: a worker promotes where it can, from the highest rung down, and never waits.

    A result may go on to the next rung once it is among the best 1/eta of the results of its own. Where there is
    none, a configuration is drawn uniformly for the lowest rung. Invalid configurations never go on. Where there is one
    rung it is random search.
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
        self.fidelities = rungs(problem.fidelities, eta, min_fidelity, max_fidelity)
        self.rungs = [Rung(seeds, eta, problem.space.sizes) for _ in self.fidelities[1:]]

    @staticmethod
    def note(fidelities: Ints, *, eta: int, min_fidelity: int, max_fidelity: int) -> str:
        """What a user should know where there is nothing to halve."""
        return lone(fidelities, eta, min_fidelity, max_fidelity, "random search")

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
