"""Regularized evolution (Real et al., AAAI 2019) of several objectives: its tournaments are won by dominance."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from numpy.typing import NDArray

from harness import Floats, HarnessError, Ints, Jobs, Param, Problem, Results, Streams
from harness.compiled import compiled, uniform
from harness.dominance import undominated


@compiled
def _parents(points: Floats, seeds: Ints, states: NDArray[np.uint64], sample: int, found: Ints) -> None:
    """Places in points Float[S, p, k] of a parent of each seed, into `found` Int[n].

    It is one of those in a `sample` that no other of it dominates, by the numbers of `states` UInt[n]: sample + 1.
    """
    drawn, order, free = np.empty(sample, np.int64), np.empty(sample, np.int64), np.empty(sample, np.bool_)
    rivals = np.empty((sample, points.shape[2]))
    for i in range(len(seeds)):
        for a in range(sample):
            drawn[a] = int(uniform(states[i], a) * points.shape[1])
            for j in range(points.shape[2]):
                rivals[a, j] = points[seeds[i], drawn[a], j]
        left = int(uniform(states[i], sample) * undominated(rivals, order, free))
        for a in range(sample):
            if free[a]:
                if left == 0:
                    found[i] = drawn[a]
                    break
                left -= 1


class MultiObjectiveEvolution:
    """Regularized evolution: mutate one of those in a random sample of the population that no other in it dominates.

    The oldest dies. A parent is drawn from the results that have been told, so with several workers random
    configurations go on until the population is full. All evaluations are at the largest fidelity.
    """

    several = True

    def __init__(
        self,
        problem: Problem,
        streams: Streams,
        *,
        population: Annotated[int, Param("configurations alive at once", low=1)] = 100,
        sample: Annotated[int, Param("drawn with replacement to choose a parent from", low=1)] = 10,
    ) -> None:
        if not problem.objectives:
            raise HarnessError("mo-re searches for several objectives.", "name them: --objectives error,latency.raspi4")
        self.problem = problem
        self.initial = streams.child("initial")
        self.evolution = streams.child("evolution")
        self.sample = sample
        self.codes = np.zeros((len(problem.seeds), population, problem.space.dimensions), dtype=np.int64)
        self.points = np.zeros((len(problem.seeds), population, len(problem.objectives)))
        self.told = np.zeros(len(problem.seeds), dtype=np.int64)

    def ask(self, seeds: Ints, worker: Ints) -> Jobs:
        first = self.told[seeds] < self.codes.shape[1]
        if not first.any():
            return Jobs(self.children(seeds), self.problem.full)
        space = self.problem.space
        codes = np.empty((len(seeds), space.dimensions), dtype=np.int64)
        codes[first] = space.sample(self.initial.uniform(space.dimensions, seeds[first]))
        codes[~first] = self.children(seeds[~first])
        return Jobs(codes, self.problem.full)

    def children(self, seeds: Ints) -> Ints:
        """One mutated configuration for each seed, Int[n, d]."""
        parents = np.empty(len(seeds), dtype=np.int64)
        _parents(self.points, seeds, self.evolution.states(self.sample + 1, seeds), self.sample, parents)
        return self.problem.space.mutate(self.codes[seeds, parents], self.evolution.uniform(2, seeds))

    def tell(self, results: Results) -> None:
        assert results.objectives is not None
        oldest = self.told[results.seeds] % self.codes.shape[1]
        self.codes[results.seeds, oldest] = results.codes
        self.points[results.seeds, oldest] = results.objectives
        self.told[results.seeds] += 1
