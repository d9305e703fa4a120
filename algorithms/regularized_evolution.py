"""Regularized evolution (Real et al., "Regularized evolution for image classifier architecture search", AAAI 2019)."""

from __future__ import annotations

from typing import Annotated

import numpy as np

from harness import Ints, Jobs, Param, Problem, Results, Streams


class RegularizedEvolution:
    """Regularized evolution: mutate the best of a random sample of the population; the oldest dies.

    The defaults are those of the NAS-Bench-101 comparison scripts that DEHB took over. A parent is drawn from the
    results that have been told, so with several workers random configurations go on until the population is full.
    """

    def __init__(
        self,
        problem: Problem,
        streams: Streams,
        *,
        population: Annotated[int, Param("configurations alive at once", low=1)] = 100,
        sample: Annotated[int, Param("drawn with replacement to choose a parent from", low=1)] = 10,
    ) -> None:
        self.problem = problem
        self.initial = streams.child("initial")
        self.evolution = streams.child("evolution")
        self.sample = sample
        self.codes = np.zeros((len(problem.seeds), population, problem.space.dimensions), dtype=np.int64)
        self.loss = np.zeros((len(problem.seeds), population))
        self.told = np.zeros(len(problem.seeds), dtype=np.int64)

    def ask(self, seeds: Ints, worker: Ints) -> Jobs:
        space = self.problem.space
        full = self.told[seeds] >= self.loss.shape[1]
        if full.all():
            return Jobs(self.children(seeds), self.problem.full)
        codes = np.empty((len(seeds), space.dimensions), dtype=np.int64)
        codes[~full] = space.sample(self.initial.uniform(space.dimensions, seeds[~full]))
        codes[full] = self.children(seeds[full])
        return Jobs(codes, self.problem.full)

    def children(self, seeds: Ints) -> Ints:
        """One mutated configuration for each seed, Int[n, d]."""
        draws = self.evolution.uniform(self.sample + 2, seeds)
        rivals = (draws[:, : self.sample] * self.loss.shape[1]).astype(np.int64)
        best = self.loss[seeds[:, None], rivals].argmin(axis=1)
        parents = self.codes[seeds, rivals[np.arange(len(seeds)), best]]
        return self.problem.space.mutate(parents, draws[:, self.sample :])

    def tell(self, results: Results) -> None:
        oldest = self.told[results.seeds] % self.loss.shape[1]
        self.codes[results.seeds, oldest] = results.codes
        self.loss[results.seeds, oldest] = results.loss
        self.told[results.seeds] += 1
