"""What needs no training: scores of untrained networks as predictors, and as what is trained first."""

from __future__ import annotations

from typing import Annotated

import numpy as np
import scipy  # loads scipy.stats when it is first used

from harness import Bools, Floats, Ints, Param, Problem, Seen, Streams

Warm = Annotated[str, Param("training-free score of those that are trained first: naswot, ...; or none")]
Scored = Annotated[int, Param("random configurations that it is asked for, for each seed", low=1)]


class ByScore:
    """The order of a training-free score, best first, with the mean and spread of the valid losses seen.

    Among the configurations of one call: the score's own scale says nothing, and spans orders of magnitude.
    """

    def __init__(self, problem: Problem, name: str) -> None:
        self.score = problem.score(name)
        self.mean, self.spread = (np.zeros(len(problem.seeds)) for _ in range(2))

    def fit(self, seen: Seen, where: Ints) -> None:
        loss = np.where(seen.valid & np.isfinite(seen.loss), seen.loss, np.nan)
        known = np.isfinite(loss).any(axis=1)
        loss, where = loss[known], where[known]
        self.mean[where], self.spread[where] = np.nanmean(loss, axis=1), np.nanstd(loss, axis=1)

    def predict(self, codes: Ints, where: Ints) -> Floats:
        score = self.score(codes, where)
        place = scipy.stats.rankdata(-score, axis=1) / (score.shape[1] + 1) - 0.5  # uniform, with variance 1 / 12
        return self.mean[where, None] + np.maximum(self.spread[where, None], 1e-9) * np.sqrt(12.0) * place


class Ranked:
    """The configurations that a score ranks highest among `scored` random ones of each seed, best first, each once."""

    def __init__(self, problem: Problem, streams: Streams, name: str, scored: int) -> None:
        self.space, self.streams, self.scored = problem.space, streams, scored
        self.score = problem.score(name)
        self.ranked: dict[int, list[Ints]] = {}

    def left(self, seeds: Ints) -> Bools:
        """Whether each of the seeds at positions `seeds` Int[k] has one left, Bool[k]."""
        self._rank(np.array([s for s in seeds.tolist() if s not in self.ranked], dtype=np.int64))
        return np.array([bool(self.ranked[s]) for s in seeds.tolist()], dtype=np.bool_)

    def take(self, seeds: Ints) -> Ints:
        """The next of each of the seeds, Int[k, d]; they have one `left`."""
        return np.reshape([self.ranked[s].pop() for s in seeds.tolist()], (len(seeds), self.space.dimensions))

    def _rank(self, seeds: Ints) -> None:
        if seeds.size:
            draws = self.streams.uniform(self.scored * self.space.dimensions, seeds)
            codes = self.space.sample(draws.reshape(-1, self.space.dimensions)).reshape(len(seeds), self.scored, -1)
            order = np.argsort(-self.score(codes, seeds), axis=1, kind="stable")
            for own, by, s in zip(codes, order, seeds.tolist(), strict=True):
                first = np.sort(np.unique(own[by], axis=0, return_index=True)[1])
                self.ranked[s] = [*own[by[first[::-1]]]]
