"""Regularized evolution (Real et al., AAAI 2019) of several objectives: its tournaments are won by dominance."""

from __future__ import annotations

from typing import Annotated

import numpy as np

from harness import HarnessError, Ints, Jobs, Param, Problem, Results, Streams
from harness.pareto import winners


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
        space = self.problem.space
        codes = np.empty((len(seeds), space.dimensions), dtype=np.int64)
        full = self.told[seeds] >= self.codes.shape[1]
        codes[~full] = space.sample(self.initial.uniform(space.dimensions, seeds[~full]))
        if full.any():
            codes[full] = self.children(seeds[full])
        return Jobs(codes, self.problem.full)

    def children(self, seeds: Ints) -> Ints:
        """One mutated configuration for each seed, Int[n, d]."""
        draws = self.evolution.uniform(self.sample + 3, seeds)
        rivals = (draws[:, : self.sample] * self.codes.shape[1]).astype(np.int64)
        parents = self.codes[seeds, winners(self.points, seeds, rivals, draws[:, self.sample])]
        return self.problem.space.mutate(parents, draws[:, self.sample + 1 :])

    def tell(self, results: Results) -> None:
        assert results.objectives is not None
        oldest = self.told[results.seeds] % self.codes.shape[1]
        self.codes[results.seeds, oldest] = results.codes
        self.points[results.seeds, oldest] = results.objectives
        self.told[results.seeds] += 1
