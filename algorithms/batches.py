"""Searches that train a batch of configurations, learn from all results, and propose the next batch.

What `nasnet`, `pnas` and `nao` have in common; they differ in how a batch is made.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np

from algorithms.predictors.memory import History
from harness import Ints, Jobs, Problem, Results, Streams


class Batches(ABC):
    """Batches at the largest fidelity. Workers with nothing to do wait for the last result of their seed's batch."""

    shard = 25

    def __init__(self, problem: Problem, streams: Streams) -> None:
        seeds, space = len(problem.seeds), problem.space
        self.problem = problem
        self.random = streams.child("random")
        self.history = History(seeds, space)
        self.queue: list[Ints] = [np.zeros((0, space.dimensions), dtype=np.int64)] * seeds
        self.left = np.zeros(seeds, dtype=np.int64)
        self.running = np.zeros(seeds, dtype=np.int64)

    @abstractmethod
    def batch(self, seeds: Ints) -> Sequence[Ints]:
        """The next configurations of each of the seeds, Int[m, d]; a seed that gets none ends."""

    def ask(self, seeds: Ints, worker: Ints) -> Jobs:
        over = seeds[(self.left[seeds] == 0) & (self.running[seeds] == 0)]
        if over.size:
            for seed, codes in zip(over.tolist(), self.batch(over), strict=True):
                self.queue[seed], self.left[seed] = codes, len(codes)
        runs = self.left[seeds] > 0
        codes = np.zeros((len(seeds), self.problem.space.dimensions), dtype=np.int64)
        for i in np.flatnonzero(runs).tolist():
            codes[i] = self.queue[seeds[i]][-self.left[seeds[i]]]
        self.left[seeds[runs]] -= 1
        self.running[seeds[runs]] += 1
        return Jobs(codes, self.problem.full, wait=~runs)

    def tell(self, results: Results) -> None:
        self.history.add(results)
        self.running[results.seeds] -= 1

    def sampled(self, seeds: Ints, number: int) -> Ints:
        """Random configurations Int[k, number, d]."""
        space = self.problem.space
        draws = self.random.uniform(number * space.dimensions, seeds)
        return space.sample(draws.reshape(-1, space.dimensions)).reshape(len(seeds), number, space.dimensions)
