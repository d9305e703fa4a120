"""Differential evolution (Storn and Price, "Differential evolution: a simple and efficient heuristic for global
optimization over continuous spaces", Journal of Global Optimization 11, 1997).

A configuration is a point of [0, 1]^d: a parameter of k values takes code floor(k x).
"""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np

from harness import Floats, HarnessError, Ints, Jobs, Param, Problem, Results, SearchSpace, Streams

Mutation = Literal["rand1", "rand2", "best1", "best2", "currenttobest1", "randtobest1"]
Crossover = Literal["bin", "exp"]
Boundary = Literal["random", "clip"]

_BEST, _TARGET = -2, -1
_MUTATIONS: dict[Mutation, tuple[int, ...]] = {
    "rand1": (0, 1, 2),
    "rand2": (0, 1, 2, 3, 4),
    "best1": (_BEST, 0, 1),
    "best2": (_BEST, 0, 1, 2, 3),
    "currenttobest1": (_TARGET, _BEST, _TARGET, 0, 1),
    "randtobest1": (0, _BEST, 0, 1, 2),
}
"""The points of base + F (a - b) [+ F (c - d)]: numbers of the parents drawn, the best, or the target."""


def parents_of(mutation: Mutation) -> int:
    """How many parents are drawn for one mutant."""
    return 1 + max(_MUTATIONS[mutation])


def distinct(draws: Floats, high: Ints | int) -> Ints:
    """`m` different integers in [0, high) for each row of uniform `draws` Float[n, m], Int[n, m]; `high` Int[n] >= m.

    The j-th is drawn from those that are left.
    """
    count = np.broadcast_to(high, len(draws))[:, None] - np.arange(draws.shape[1])
    picks = (draws * count).astype(np.int64)
    for j in range(1, draws.shape[1]):
        for earlier in np.sort(picks[:, :j], axis=1).T:
            picks[:, j] += picks[:, j] >= earlier
    return picks


def mutants(mutation: Mutation, factor: float, parents: Floats, best: Floats, target: Floats) -> Floats:
    """Mutants Float[n, d] from the parents drawn Float[n, m, d], the best Float[n, d] and the target Float[n, d]."""
    points = [*np.moveaxis(parents, 1, 0), best, target]
    base, *rest = (points[i] for i in _MUTATIONS[mutation])
    mutant = base
    for a, b in zip(rest[::2], rest[1::2], strict=True):
        mutant = mutant + factor * (a - b)
    return mutant


def crossed(crossover: Crossover, probability: float, target: Floats, mutant: Floats, draws: Floats) -> Floats:
    """Trials Float[n, d]: the target with some dimensions of the mutant, at least one; uniform `draws` Float[n, d + 1].

    Binomial crossover takes each dimension with `probability`, and the one that the first draw names if that took
    none. Exponential crossover takes a run of dimensions from there on, which goes on with `probability`.
    """
    d = target.shape[1]
    first = (draws[:, 0] * d).astype(np.int64)
    goes_on = draws[:, 1:] < probability
    if crossover == "bin":
        none = ~goes_on.any(axis=1)
        goes_on[none, first[none]] = True
        return np.where(goes_on, mutant, target)
    length = 1 + np.logical_and.accumulate(goes_on[:, 1:], axis=1).sum(axis=1)
    return np.where((np.arange(d) - first[:, None]) % d < length[:, None], mutant, target)


def bounded(boundary: Boundary, trial: Floats, draws: Floats) -> Floats:
    """`trial` Float[n, d] with what lies outside of [0, 1] replaced by `draws`, or by the nearest bound."""
    if boundary == "clip":
        return np.clip(trial, 0.0, 1.0)
    return np.where((trial < 0.0) | (trial > 1.0), draws, trial)


def decoded(space: SearchSpace, points: Floats) -> Ints:
    """Codes Int[n, d] of points Float[n, d] in [0, 1]; 1 belongs to the last value."""
    return np.minimum(space.sample(points), space.sizes - 1)


class DifferentialEvolution:
    """Differential evolution at the largest fidelity; a trial replaces its target unless it is worse.

    All trials of a generation are built from the population as it was before, then evaluated. Workers share one
    generation and wait where its last results decide what comes next. The defaults are those of the package `dehb`
    and of the scripts of the DEHB paper (rand1_bin).
    """

    def __init__(
        self,
        problem: Problem,
        streams: Streams,
        *,
        population: Annotated[int, Param("individuals", low=2)] = 20,
        mutation_factor: Annotated[float, Param("weight F of a difference of individuals", low=0, high=2)] = 0.5,
        crossover_probability: Annotated[float, Param("Cr, chance of a dimension to come from the mutant", 0, 1)] = 0.5,
        mutation: Annotated[Mutation, Param("what a mutant is made of")] = "rand1",
        crossover: Annotated[Crossover, Param("binomial or exponential")] = "bin",
        boundary: Annotated[Boundary, Param("outside of [0, 1]: draw anew, or take the bound")] = "random",
    ) -> None:
        if population < parents_of(mutation):
            raise HarnessError(
                f"a population of {population} is too small for the mutation '{mutation}'.",
                f"it draws {parents_of(mutation)} different parents.",
            )
        self.problem = problem
        self.streams = streams
        self.mutation: Mutation = mutation
        self.crossover: Crossover = crossover
        self.boundary: Boundary = boundary
        self.factor = mutation_factor
        self.probability = crossover_probability
        seeds, d = len(problem.seeds), problem.space.dimensions
        self.points = np.zeros((seeds, population, d))
        self.loss = np.full((seeds, population), np.inf)
        self.trials = streams.uniform(population * d, np.arange(seeds)).reshape(seeds, population, d)
        self.asked = np.zeros(seeds, dtype=np.int64)
        self.told = np.zeros(seeds, dtype=np.int64)
        self.target = np.zeros((seeds, problem.workers), dtype=np.int64)

    def ask(self, seeds: Ints, worker: Ints) -> Jobs:
        wait = self.asked[seeds] == self.loss.shape[1]
        target = np.where(wait, 0, self.asked[seeds])
        self.target[seeds, worker] = target
        self.asked[seeds] += ~wait
        return Jobs(decoded(self.problem.space, self.trials[seeds, target]), self.problem.full, wait)

    def tell(self, results: Results) -> None:
        seeds, target = results.seeds, self.target[results.seeds, results.worker]
        replaces = results.loss <= self.loss[seeds, target]
        at = seeds[replaces], target[replaces]
        self.points[at] = self.trials[at]
        self.loss[at] = results.loss[replaces]
        self.told[seeds] += 1
        self.breed(seeds[self.told[seeds] == self.loss.shape[1]])

    def breed(self, seeds: Ints) -> None:
        """Build the next generation's trials of the seeds at positions `seeds` Int[n]."""
        if not seeds.size:
            return
        n, (_, population, d), m = len(seeds), self.points.shape, parents_of(self.mutation)
        draws = self.streams.uniform(population * (m + 2 * d + 1), seeds).reshape(n * population, -1)
        target = self.points[seeds].reshape(-1, d)
        best = np.repeat(self.points[seeds, self.loss[seeds].argmin(axis=1)], population, axis=0)
        row = np.repeat(seeds, population)[:, None]
        parents = self.points[row, distinct(draws[:, :m], population)]
        mutant = mutants(self.mutation, self.factor, parents, best, target)
        trial = crossed(self.crossover, self.probability, target, mutant, draws[:, m : m + d + 1])
        self.trials[seeds] = bounded(self.boundary, trial, draws[:, m + d + 1 :]).reshape(n, population, d)
        self.asked[seeds] = self.told[seeds] = 0
