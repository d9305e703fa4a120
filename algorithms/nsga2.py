"""NSGA-II (Deb, Pratap, Agarwal and Meyarivan, "A fast and elitist multiobjective genetic algorithm: NSGA-II", IEEE
Transactions on Evolutionary Computation 6, 2002), on integer codes.
"""

from __future__ import annotations

from typing import Annotated

import numpy as np
from numpy.typing import NDArray

from harness import Floats, HarnessError, Ints, Jobs, Param, Problem, Results, Streams
from harness.compiled import compiled, uniform
from harness.pareto import fittest


@compiled
def _breed(
    codes: Ints,
    rank: Ints,
    crowding: Floats,
    sizes: Ints,
    seeds: Ints,
    states: NDArray[np.uint64],
    crossover: float,
    rate: float,
    found: Ints,
) -> None:
    """A child of each seed into `found` Int[n, d], by the numbers of `states` UInt[n]: 5 + 3 d."""
    d, parents = len(sizes), np.empty(2, np.int64)
    for i in range(len(seeds)):
        s, state = seeds[i], states[i]
        for p in range(2):
            a = int(uniform(state, 2 * p) * rank.shape[1])
            b = int(uniform(state, 2 * p + 1) * rank.shape[1])
            second = rank[s, b] < rank[s, a] or (rank[s, b] == rank[s, a] and crowding[s, b] > crowding[s, a])
            parents[p] = b if second else a
        crossed = uniform(state, 4) < crossover
        for j in range(d):
            other = crossed and uniform(state, 5 + j) < 0.5
            code = codes[s, parents[int(other)], j]
            if sizes[j] > 1 and uniform(state, 5 + d + j) < rate:
                code = (code + 1 + int(uniform(state, 5 + 2 * d + j) * (sizes[j] - 1))) % sizes[j]
            found[i, j] = code


class NSGA2:
    """NSGA-II: tournaments by front, then by crowding, uniform crossover, mutation of each parameter; the best stay.

    A generation ends when as many children have been told as there are parents; of both the best fronts survive, and of
    the last of them the least crowded. Until the first generation is told, configurations are drawn uniformly. With
    several workers children are made of the parents of their time. All evaluations are at the largest fidelity.
    """

    several = True

    def __init__(
        self,
        problem: Problem,
        streams: Streams,
        *,
        population: Annotated[int, Param("parents, and children of a generation", low=2)] = 50,
        crossover: Annotated[float, Param("chance that a child has two parents", 0, 1)] = 0.9,
        mutation: Annotated[float, Param("changed parameters of a child on average", low=0)] = 1.0,
    ) -> None:
        if not problem.objectives:
            raise HarnessError("nsga2 searches for several objectives.", "name them: --objectives error,latency.raspi4")
        self.problem = problem
        self.initial = streams.child("initial")
        self.evolution = streams.child("evolution")
        self.size, self.crossover = population, crossover
        self.rate = min(1.0, mutation / problem.space.dimensions)
        shape = (len(problem.seeds), 2 * population)
        self.codes = np.zeros((*shape, problem.space.dimensions), dtype=np.int64)
        self.points = np.full((*shape, len(problem.objectives)), np.inf)
        self.rank = np.zeros((len(problem.seeds), population), dtype=np.int64)
        self.crowding = np.zeros((len(problem.seeds), population))
        self.told = np.zeros(len(problem.seeds), dtype=np.int64)

    def ask(self, seeds: Ints, worker: Ints) -> Jobs:
        first = self.told[seeds] < self.size
        if not first.any():
            return Jobs(self.children(seeds), self.problem.full)
        space = self.problem.space
        codes = np.empty((len(seeds), space.dimensions), dtype=np.int64)
        codes[first] = space.sample(self.initial.uniform(space.dimensions, seeds[first]))
        codes[~first] = self.children(seeds[~first])
        return Jobs(codes, self.problem.full)

    def children(self, seeds: Ints) -> Ints:
        """One child for each seed, Int[n, d]."""
        sizes = self.problem.space.sizes
        states = self.evolution.states(5 + 3 * len(sizes), seeds)
        found = np.empty((len(seeds), len(sizes)), dtype=np.int64)
        _breed(self.codes, self.rank, self.crowding, sizes, seeds, states, self.crossover, self.rate, found)
        return found

    def tell(self, results: Results) -> None:
        assert results.objectives is not None
        seeds, told = results.seeds, self.told[results.seeds]
        place = np.where(told < self.size, told, self.size + told % self.size)
        self.codes[seeds, place] = results.codes
        self.points[seeds, place] = results.objectives
        self.told[seeds] += 1
        complete = seeds[(told + 1) % self.size == 0]
        if complete.size:
            self.survive(complete)

    def survive(self, seeds: Ints) -> None:
        """Keep the best half of parents and children of these seeds."""
        best, self.rank[seeds], self.crowding[seeds] = fittest(self.points[seeds], self.size)
        self.codes[seeds, : self.size] = self.codes[seeds[:, None], best]
        self.points[seeds, : self.size] = self.points[seeds[:, None], best]
