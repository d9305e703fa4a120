"""DEHB (Awad, Mallik and Hutter, "DEHB: Evolutionary Hyperband for scalable, robust and efficient hyperparameter
optimization", IJCAI 2021).
"""

from __future__ import annotations

from typing import Annotated

import numpy as np

from algorithms.brackets import Brackets, Turn, lone, rungs, sizes
from algorithms.differential_evolution import Boundary, bounded, crossed, decoded, distinct, mutants
from algorithms.hyperband import Eta, Largest, Smallest
from harness import Floats, Ints, Jobs, Param, Problem, Results, Streams

_PARENTS = 3
_POPULATION = 20


class DEHB:
    """DEHB: Hyperband's brackets, filled by differential evolution with a population per fidelity.

    A trial's target goes round the population of its fidelity; its mutant (rand1) is made of the best of the
    population one rung below, as many as the rung has places, or of its own in a bracket's first rung. If these are
    fewer than three parents, mutants of all populations together join them. In the first round of brackets the
    configurations above a bracket's first rung are not evolved but promoted: the best below that are not in the
    population yet. A result enters the population at once. A worker that finds every open bracket waiting for
    results opens another, so none ever waits.

    Where there is one rung this is asynchronous differential evolution with a population of 20.
    """

    def __init__(
        self,
        problem: Problem,
        streams: Streams,
        *,
        eta: Eta = 3,
        min_fidelity: Smallest = 0,
        max_fidelity: Largest = 0,
        mutation_factor: Annotated[float, Param("weight F of a difference of individuals", low=0, high=2)] = 0.5,
        crossover_probability: Annotated[float, Param("Cr, chance of a dimension to come from the mutant", 0, 1)] = 0.5,
        boundary: Annotated[Boundary, Param("outside of [0, 1]: draw anew, or take the bound")] = "random",
    ) -> None:
        self.problem = problem
        self.streams = streams
        self.factor = mutation_factor
        self.probability = crossover_probability
        self.boundary: Boundary = boundary
        self.rungs = rungs(problem.fidelities, eta, min_fidelity, max_fidelity)
        self.sizes = sizes(len(self.rungs), eta) if len(self.rungs) > 1 else np.array([[_POPULATION]])
        seeds, workers, d = len(problem.seeds), problem.workers, problem.space.dimensions
        self.brackets = Brackets(self.sizes, seeds, workers, lanes=workers)
        self.population = np.array([self.sizes[range(k + 1), range(k, -1, -1)].max() for k in range(len(self.rungs))])
        self.start = np.cumsum(self.population) - self.population
        everyone = int(self.population.sum())
        self.points = np.zeros((seeds, everyone + _PARENTS, d))
        self.points[:, :everyone] = streams.uniform(everyone * d, np.arange(seeds)).reshape(seeds, everyone, d)
        self.loss = np.full((seeds, everyone), np.inf)
        self.next = np.zeros((seeds, len(self.rungs)), dtype=np.int64)
        self.queue = np.zeros((seeds, workers, self.population[1:].max(initial=0), d))
        self.queued = np.zeros((seeds, workers), dtype=np.int64)
        self.trial = np.zeros((seeds, workers, d))
        self.target = np.zeros((seeds, workers), dtype=np.int64)

    @staticmethod
    def note(fidelities: Ints, *, eta: int, min_fidelity: int, max_fidelity: int) -> str:
        """What a user should know where there is nothing to halve."""
        return lone(fidelities, eta, min_fidelity, max_fidelity, "asynchronous differential evolution alone")

    def ask(self, seeds: Ints, worker: Ints) -> Jobs:
        turn, _ = self.brackets.ask(seeds, worker)
        level = turn.bracket % len(self.rungs) + turn.rung
        target = self.start[level] + self.next[seeds, level]
        self.next[seeds, level] = (self.next[seeds, level] + 1) % self.population[level]
        promotes = (turn.bracket < len(self.rungs)) & (turn.rung > 0)
        if promotes.any():
            starts = promotes & (turn.position == 0)
            self.fill_queue(seeds[starts], Turn(*(column[starts] for column in turn)), level[starts])
            promotes &= turn.position < self.queued[seeds, turn.lane]
        trial = np.empty((len(seeds), self.points.shape[2]))
        trial[promotes] = self.queue[seeds[promotes], turn.lane[promotes], turn.position[promotes]]
        evolves = ~promotes
        if evolves.any():
            below = level - (turn.rung > 0)
            count = self.brackets.size(turn.bracket, turn.rung)
            trial[evolves] = self.evolved(seeds[evolves], target[evolves], below[evolves], count[evolves])
        self.trial[seeds, worker] = trial
        self.target[seeds, worker] = target
        return Jobs(decoded(self.problem.space, trial), self.rungs[level])

    def tell(self, results: Results) -> None:
        self.brackets.tell(results.seeds, results.worker)
        target = self.target[results.seeds, results.worker]
        replaces = results.loss <= self.loss[results.seeds, target]
        seeds, worker = results.seeds[replaces], results.worker[replaces]
        self.points[seeds, target[replaces]] = self.trial[seeds, worker]
        self.loss[seeds, target[replaces]] = results.loss[replaces]

    def ranked(self, seeds: Ints, level: Ints) -> tuple[Ints, Floats]:
        """The individuals of these levels Int[n], best first, Int[n, m], and their losses Float[n, m].

        Smaller populations are filled up at the end with their first individual and a loss of inf.
        """
        number = np.arange(self.population.max())
        exists = number < self.population[level, None]
        individual = self.start[level, None] + np.where(exists, number, 0)
        loss = np.where(exists, self.loss[seeds[:, None], individual], np.inf)
        order = loss.argsort(axis=1, kind="stable")
        return np.take_along_axis(individual, order, axis=1), np.take_along_axis(loss, order, axis=1)

    def fill_queue(self, seeds: Ints, turn: Turn, level: Ints) -> None:
        """Choose what a rung that starts promotes: the best valid ones below that its own population lacks."""
        if not seeds.size:
            return
        individual, loss = self.ranked(seeds, level - 1)
        points = self.points[seeds[:, None], individual]
        own = self.points[seeds[:, None], self.ranked(seeds, level)[0]]
        new = ~(points[:, :, None] == own[:, None]).all(axis=3).any(axis=2) & (loss < np.inf)
        order = np.argsort(~new, axis=1, kind="stable")[:, : self.queue.shape[2]]
        self.queue[seeds, turn.lane, : order.shape[1]] = np.take_along_axis(points, order[..., None], axis=1)
        self.queued[seeds, turn.lane] = np.minimum(new.sum(axis=1), self.brackets.size(turn.bracket, turn.rung))

    def evolved(self, seeds: Ints, target: Ints, below: Ints, count: Ints) -> Floats:
        """A trial Float[n, d] for each target, from the `count` Int[n] best of the level `below` Int[n]."""
        d = self.points.shape[2]
        goal = self.points[seeds, target]
        pool, _ = self.ranked(seeds, below)
        few = np.flatnonzero(count < _PARENTS)
        if few.size:
            pool = np.pad(pool, [(0, 0), (0, _PARENTS)])
            everyone = np.broadcast_to(np.arange(self.loss.shape[1]), (len(few), self.loss.shape[1]))
            for i in range(_PARENTS):
                extra = self.loss.shape[1] + i
                size = np.full(len(few), self.loss.shape[1])
                self.points[seeds[few], extra] = self.mutant(seeds[few], everyone, size, goal[few])
                pool[few, count[few] + i] = extra
            count = np.where(count < _PARENTS, _PARENTS + 1, count)
        mutant = self.mutant(seeds, pool, count, goal)
        draws = self.streams.uniform(2 * d + 1, seeds)
        trial = crossed("bin", self.probability, goal, mutant, draws[:, : d + 1])
        return bounded(self.boundary, trial, draws[:, d + 1 :])

    def mutant(self, seeds: Ints, pool: Ints, count: Ints, target: Floats) -> Floats:
        """Mutants Float[n, d] of the first `count` Int[n] individuals in `pool` Int[n, m] other than the target.

        An individual at the same point as the target Float[n, d] is the target, but only the first of them. Where
        fewer than three are left, random points join them.
        """
        place = self.first_equal(seeds, pool, count, target)
        left = count - (place < count)
        picks = distinct(self.streams.uniform(_PARENTS, seeds), np.maximum(left, _PARENTS))
        missing = picks >= left[:, None]
        picks += picks >= place[:, None]
        picked = np.take_along_axis(pool, np.minimum(picks, pool.shape[1] - 1), axis=1)
        parents = self.points[seeds[:, None], picked]
        short = missing.any(axis=1)
        if short.any():
            random = self.streams.uniform(parents[0].size, seeds[short]).reshape(-1, *parents.shape[1:])
            parents[short] = np.where(missing[short][..., None], random, parents[short])
        return mutants("rand1", self.factor, parents, target, target)

    def first_equal(self, seeds: Ints, pool: Ints, count: Ints, target: Floats) -> Ints:
        """Where in its pool each target is first found, Int[n]; the pool's width m where it is not."""
        first = self.points[seeds[:, None], pool, 0] == target[:, :1]
        row, place = np.nonzero(first & (np.arange(pool.shape[1]) < count[:, None]))
        equal = (self.points[seeds[row], pool[row, place]] == target[row]).all(axis=1)
        found = np.full(len(pool), pool.shape[1])
        np.minimum.at(found, row[equal], place[equal])
        return found
