"""Searches that train batches chosen among mutants of the best results, which a model judges."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence

import numpy as np

from algorithms.batches import Batches
from algorithms.gpnas_plus import Best
from algorithms.predictors.memory import Known
from harness import Floats, Ints, Problem, Results, Streams


class Chosen(Batches):
    """First `first` random configurations, then in batches of `size` those of a pool with the lowest scores.

    No configuration of a batch is one that was trained or another of the batch; random ones make up what is missing.
    All is trained at the largest fidelity. `best` are the results that mutants are made of.
    """

    def __init__(self, problem: Problem, streams: Streams, first: int, size: int, parents: int) -> None:
        super().__init__(problem, streams)
        self.first, self.size = first, size
        self.best = Best(problem, streams.child("parents"), parents)
        self.known = Known(len(problem.seeds), problem.space)

    @abstractmethod
    def pool(self, seeds: Ints) -> Ints:
        """What each of the seeds chooses from, codes Int[k, m, d]."""

    @abstractmethod
    def scores(self, seeds: Ints, codes: Ints) -> Floats:
        """How good codes Int[k, m, d] are by all results so far, Float[k, m], low if good."""

    def tell(self, results: Results) -> None:
        full = results.fidelity == self.problem.full
        self.best.add(results.seeds[full], results.codes[full], results.loss[full])
        super().tell(results)

    def batch(self, seeds: Ints) -> Sequence[Ints]:
        late = self.history.count[seeds] > 0
        first, later = seeds[~late], seeds[late]
        found = dict(zip(first.tolist(), self.sampled(first, self.first), strict=True))
        if later.size:
            found |= zip(later.tolist(), self.chosen(later), strict=True)
        for seed, codes in found.items():
            self.known.add(np.full(len(codes), seed), codes)
        return [found[seed] for seed in seeds.tolist()]

    def chosen(self, seeds: Ints) -> Sequence[Ints]:
        """Those of the pool with the lowest scores that are new, random configurations where there are too few."""
        pool, others = self.pool(seeds), self.sampled(seeds, self.size)
        order = self.scores(seeds, pool).argsort(axis=1, kind="stable")
        known = self.known.has(seeds, pool)
        chosen = []
        for i, ranked in enumerate(order):
            _, first = np.unique(self.known.places(pool[i, ranked]), return_index=True)
            distinct = ranked[np.sort(first)]
            new = pool[i, distinct[~known[i, distinct]]]
            chosen.append(np.concatenate([new, others[i]])[: self.size])
        return chosen
