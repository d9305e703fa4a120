"""MO-ASHA (Schmucker, Donini, Zafar, Salinas and Archambeau, "Multi-objective asynchronous successive halving",
arXiv:2106.12639, 2021).
"""

from __future__ import annotations

import numpy as np

from algorithms.brackets import rungs
from algorithms.density.fronts import Ranks, cut, members, rank_last, spread_out
from algorithms.density.history import doubled
from algorithms.hyperband import Eta, Largest, Smallest
from harness import Bools, Floats, HarnessError, Ints, Jobs, Problem, Results, Streams
from harness.compiled import compiled


@compiled
def _add(points: Floats, rank: Ranks, told: Ints, seeds: Ints) -> None:
    """Rank the newest point of each of the seeds."""
    for b in range(len(seeds)):
        rank_last(points[seeds[b]], rank[seeds[b]], told[seeds[b]])


@compiled
def _next(points: Floats, rank: Ranks, told: Ints, gone: Bools, seeds: Ints, eta: int, found: Ints) -> None:
    """The first result of each of the seeds that may go on and has not, into `found` Int[B]; -1 if there is none."""
    for b in range(len(seeds)):
        s = seeds[b]
        n, open_ = told[s], told[s]
        found[b] = -1
        if n // eta == 0:
            continue
        last, wanted = cut(rank[s], n, n // eta)
        for t in range(n):
            if not gone[s, t]:
                open_ = min(open_, rank[s, t])
        if open_ > last:
            continue
        order = spread_out(points[s], members(rank[s], n, open_))
        for t in order[: wanted if open_ == last else len(order)]:
            if not gone[s, t]:
                if np.isfinite(points[s, t]).all():
                    found[b] = t
                break


class Rung:
    """The results of one rung of all seeds, and which of them may go on.

    These are the first floor(n / eta) of its n results by their fronts; within a front, as an epsilon-net has them.
    """

    def __init__(self, seeds: int, eta: int, codes: Ints, objectives: int) -> None:
        self.eta = eta
        self.told = np.zeros(seeds, dtype=np.int64)
        self.codes = np.zeros((seeds, 16, len(codes)), dtype=np.min_scalar_type(int(codes.max())))
        self.points = np.zeros((seeds, 16, objectives))
        self.rank = np.zeros((seeds, 16), dtype=np.int32)
        self.gone = np.zeros((seeds, 16), dtype=np.bool_)
        self.next = np.full(seeds, -1)

    def add(self, seeds: Ints, codes: Ints, points: Floats) -> None:
        if self.told[seeds].max() == self.gone.shape[1]:
            for name in ("codes", "points", "rank", "gone"):
                setattr(self, name, doubled(getattr(self, name)))
        at = seeds, self.told[seeds]
        self.codes[at], self.points[at] = codes, points
        self.told[seeds] += 1
        _add(self.points, self.rank, self.told, seeds)
        self._look(seeds)

    def take(self, seeds: Ints) -> Ints:
        """The first configuration that may go on, of seeds that have a `next`, Int[n, d]."""
        at = seeds, self.next[seeds]
        self.gone[at] = True
        self._look(seeds)
        return self.codes[at].astype(np.int64)

    def _look(self, seeds: Ints) -> None:
        found = np.empty(len(seeds), dtype=np.int64)
        _next(self.points, self.rank, self.told, self.gone, seeds, self.eta, found)
        self.next[seeds] = found


class MOASHA:
    """Asynchronous successive halving of several objectives: the first fronts go on, and of a front an epsilon-net.

    A result may go on to the next rung once it is among the first 1/eta of the results of its own, by non-dominated
    fronts; within a front the lowest in the first objective comes first, then always the farthest from those before.
    Where there is none, a configuration is drawn uniformly for the lowest rung. Invalid configurations never go on. On
    a table with one fidelity it is random search.
    """

    several = True
    shard = 100

    def __init__(
        self,
        problem: Problem,
        streams: Streams,
        *,
        eta: Eta = 3,
        min_fidelity: Smallest = 0,
        max_fidelity: Largest = 0,
    ) -> None:
        if not problem.objectives:
            raise HarnessError(
                "moasha searches for several objectives.", "name them: --objectives error,latency.raspi4"
            )
        seeds = len(problem.seeds)
        self.problem = problem
        self.streams = streams
        self.fidelities = rungs(problem.fidelities, eta, min_fidelity, max_fidelity)
        self.rungs = [Rung(seeds, eta, problem.space.sizes, len(problem.objectives)) for _ in self.fidelities[1:]]

    def ask(self, seeds: Ints, worker: Ints) -> Jobs:
        space = self.problem.space
        codes = np.empty((len(seeds), space.dimensions), dtype=np.int64)
        level = np.zeros(len(seeds), dtype=np.int64)
        for i, rung in enumerate(self.rungs, start=1):
            level[rung.next[seeds] >= 0] = i
        for i, rung in enumerate(self.rungs, start=1):
            if (level == i).any():
                codes[level == i] = rung.take(seeds[level == i])
        new = level == 0
        codes[new] = space.sample(self.streams.uniform(space.dimensions, seeds[new]))
        return Jobs(codes, self.fidelities[level])

    def tell(self, results: Results) -> None:
        assert results.objectives is not None
        for fidelity, rung in zip(self.fidelities, self.rungs, strict=False):
            at = results.fidelity == fidelity
            if at.any():
                rung.add(results.seeds[at], results.codes[at], results.objectives[at])
