"""GPNAS+: GPNAS with other children and a predictor that tells good from better (docs/algorithms/gpnas-plus.md).

As predictor-guided evolution does (White, Neiswanger and Savani, "BANANAS: Bayesian optimization with neural
architectures for neural architecture search", AAAI 2021), children are mutations of the best results.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

import numpy as np

from algorithms.filtered import FILTER, Filtered, Growth, Startup
from algorithms.hyperband import Eta, Lanes, Largest, Smallest
from algorithms.predictors.scores import Ranked, Scored, Warm
from harness import Bools, Floats, Ints, Param, Problem, Results, Streams
from harness.predictor import MakePredictor

CAPPED = replace(FILTER, settings={"target": "capped"})
MOST = 6
"""Parameters that a child may differ in from its parent."""


class GPNASPlus(Filtered):
    """GPNAS+: mutations of the best results, of which GPNAS's predictor picks the one to train.

    After `startup` random configurations, or with `warm` those of many that a training-free score ranks highest,
    `children` mutants are made, each of one of the `parents` best results at the largest fidelity that has as many; of
    those that were not trained yet, the one with the lowest predicted loss is trained. A mutant differs from its parent
    in one parameter, and with probability one half each in one more. The predictor need not tell the worse half of the
    results apart.
    """

    def __init__(
        self,
        problem: Problem,
        streams: Streams,
        predictor: Annotated[MakePredictor | None, CAPPED],
        *,
        startup: Startup = 16,
        children: Annotated[int, Param("mutants to choose from", low=1)] = 64,
        parents: Annotated[int, Param("best results that mutants are made of", low=1)] = 8,
        growth: Growth = 1.15,
        eta: Eta = 3,
        min_fidelity: Smallest = 0,
        max_fidelity: Largest = 0,
        brackets: Lanes = 1,
        warm: Warm = "none",
        scored: Scored = 1000,
    ) -> None:
        super().__init__(
            problem,
            streams,
            predictor,
            startup=startup,
            growth=growth,
            eta=eta,
            min_fidelity=min_fidelity,
            max_fidelity=max_fidelity,
            brackets=brackets,
        )
        self.ranked = None if warm == "none" else Ranked(problem, streams.child("warm"), warm, scored)
        self.mutants = children
        self.mutations = streams.child("mutations")
        self.best = {f: Best(problem, streams.child("parents"), parents) for f in self.fidelities.tolist()}

    def tell(self, results: Results) -> None:
        for fidelity, best in self.best.items():
            at = results.fidelity == fidelity
            best.add(results.seeds[at], results.codes[at], results.loss[at])
        super().tell(results)

    def first(self, seeds: Ints, random: Ints) -> Ints:
        if self.ranked is not None:
            left = self.ranked.left(seeds)
            random[left] = self.ranked.take(seeds[left])
        return random

    def children(self, seeds: Ints) -> Ints:
        """Mutants Int[n, m, d] of the best results."""
        space, shape = self.problem.space, (len(seeds), self.mutants)
        draws = self.mutations.uniform(self.mutants * (2 + 2 * MOST), seeds).reshape(*shape, -1)
        codes = np.empty((*shape, space.dimensions), dtype=np.int64)
        left = np.ones(len(seeds), dtype=np.bool_)
        for i, best in enumerate(reversed(self.best.values()), 1):
            use = left & (best.full[seeds] | (i == len(self.best)))
            codes[use] = best.drawn(seeds[use], draws[use, :, 0])
            left &= ~use
        mutants = codes.reshape(-1, space.dimensions)
        chance, each = draws[..., 1].reshape(-1, 1), draws[..., 2:].reshape(-1, MOST, 2)
        for step in range(MOST):
            mutants = np.where(chance < 0.5**step, space.mutate(mutants, each[:, step]), mutants)
        return mutants.reshape(codes.shape)


class Best:
    """The `most` best valid results of each of S seeds; random configurations until there is one."""

    def __init__(self, problem: Problem, streams: Streams, most: int) -> None:
        seeds, d = len(problem.seeds), problem.space.dimensions
        self.loss = np.full((seeds, most), np.inf)
        draws = streams.uniform(most * d, np.arange(seeds)).reshape(-1, d)
        self.codes = problem.space.sample(draws).reshape(seeds, most, d)

    def add(self, seeds: Ints, codes: Ints, loss: Floats) -> None:
        """One result, codes Int[k, d] and loss Float[k], of each of the seeds at positions `seeds` Int[k]."""
        worst = self.loss[seeds].argmax(axis=1)
        better = loss < self.loss[seeds, worst]
        at = seeds[better], worst[better]
        self.codes[at], self.loss[at] = codes[better], loss[better]

    @property
    def full(self) -> Bools:
        """Whether each seed has that many, Bool[S]."""
        return np.isfinite(self.loss).all(axis=1)

    def drawn(self, seeds: Ints, draws: Floats) -> Ints:
        """For each of `draws` Float[n, m] in [0, 1) one of what is there of the n seeds, codes Int[n, m, d]."""
        loss = self.loss[seeds]
        rank = (draws * np.maximum(np.isfinite(loss).sum(axis=1), 1)[:, None]).astype(np.int64)
        best = np.take_along_axis(loss.argsort(axis=1, kind="stable"), rank, axis=1)
        return self.codes[seeds[:, None], best]
