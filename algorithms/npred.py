"""The neural predictor's search (Wen et al., "Neural predictor for neural architecture search", ECCV 2020)."""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray

from algorithms.predictors.data import ENUMERATED
from algorithms.predictors.memory import History, identities
from algorithms.predictors.scores import Ranked, Scored, Warm
from harness import Bools, Ints, Jobs, Param, Problem, Results, Streams
from harness.predictor import MakePredictor, Uses


class NPred:
    """Neural predictor: train N random configurations, predict all others, and train the K that look best.

    Random configurations do not repeat where the space can be enumerated; of those that are the same graph, the
    predictor picks one, once. With `warm`, the N are those of many that a training-free score ranks highest. Invalid
    ones are learnt from, but do not count as trained. In further rounds the predictor is fitted to all results, and K
    more are trained. All is trained at the largest fidelity; a run that has trained its last ends.
    """

    shard = 25

    def __init__(
        self,
        problem: Problem,
        streams: Streams,
        predictor: Annotated[MakePredictor, Uses("its name; `harness list predictors`", "neural")],
        *,
        random: Annotated[int, Param("N, random configurations that are trained first", low=1)] = 172,
        top: Annotated[int, Param("K, best ones by prediction that are trained in each round", low=1)] = 100,
        rounds: Annotated[int, Param("fits, each followed by K trainings", low=1)] = 1,
        pool: Annotated[int, Param("random configurations to predict where not all can be", low=1)] = 15000,
        warm: Warm = "none",
        scored: Scored = 1000,
    ) -> None:
        space, seeds = problem.space, len(problem.seeds)
        self.problem = problem
        self.goals = random + top * np.arange(rounds + 1)
        self.pool = pool
        self.initial, self.pools = streams.child("initial"), streams.child("pool")
        self.model = predictor(problem, streams.child("predictor"))
        self.warm = None if warm == "none" else Ranked(problem, streams.child("warm"), warm, scored)
        self.order = self._shuffled() if space.cardinality <= ENUMERATED else None
        self.history = History(seeds, space)
        self.trained, self.running = (np.zeros(seeds, dtype=np.int64) for _ in range(2))
        self.fits, self.drawn, self.next = (np.zeros(seeds, dtype=np.int64) for _ in range(3))
        self.ranked: list[Ints] = [np.zeros((0, space.dimensions), dtype=np.int64)] * seeds

    @staticmethod
    def evaluations(*, random: int, top: int, rounds: int, **_: Any) -> int:
        """Configurations that a whole run trains."""
        return random + rounds * top

    def ask(self, seeds: Ints, worker: Ints) -> Jobs:
        self.fit(seeds[self._may_fit(seeds)])
        wanted = self.trained[seeds] + self.running[seeds] < self.goals[self.fits[seeds]]
        codes = np.zeros((len(seeds), self.problem.space.dimensions), dtype=np.int64)
        first = self.fits[seeds] == 0
        begins = wanted & first & self._fresh(seeds)
        codes[begins] = self._random(seeds[begins])
        goes_on = wanted & ~first & (self.next[seeds] < [len(self.ranked[s]) for s in seeds.tolist()])
        for i in np.flatnonzero(goes_on).tolist():
            codes[i] = self.ranked[seeds[i]][self.next[seeds[i]]]
        self.next[seeds[goes_on]] += 1
        runs = begins | goes_on
        self.running[seeds[runs]] += 1
        return Jobs(codes, self.problem.full, wait=~runs)

    def tell(self, results: Results) -> None:
        seeds = results.seeds
        self.history.add(results)
        self.running[seeds] -= 1
        self.trained[seeds] += results.loss < np.inf

    def _may_fit(self, seeds: Ints) -> Bools:
        """Whether a round of each seed is over, or there is nothing left to train in it, and another follows."""
        over = self.trained[seeds] >= self.goals[self.fits[seeds]]
        over |= (self.fits[seeds] == 0) & ~self._fresh(seeds)
        return over & (self.running[seeds] == 0) & (self.fits[seeds] < len(self.goals) - 1)

    def fit(self, seeds: Ints) -> None:
        """Fit the predictors to all results, and rank what was not trained yet."""
        if not seeds.size:
            return
        seen = self.history.of(seeds)
        self.model.fit(seen, seeds)
        candidates = self.candidates(seeds)
        alike = self._identities(candidates)
        known = self._identities(seen.codes)
        order = np.argsort(self.model.predict(candidates, seeds), axis=1, kind="stable")
        for i, s in enumerate(seeds.tolist()):
            own, number = (candidates, alike) if candidates.ndim == 2 else (candidates[i], alike[i])
            _, first = np.unique(number[order[i]], return_index=True)
            new = order[i, np.sort(first)]
            self.ranked[s] = own[new[~np.isin(number[new], known[i, : seen.count[i]])]]
        self.next[seeds] = 0
        self.fits[seeds] += 1

    def candidates(self, seeds: Ints) -> Ints:
        """What the predictor chooses from: all configurations Int[m, d], or a pool for each seed Int[k, m, d]."""
        space = self.problem.space
        if self.order is not None:
            return np.stack(np.unravel_index(np.arange(space.cardinality), space.sizes.tolist()), axis=1)
        draws = self.pools.uniform(self.pool * space.dimensions, seeds)
        return space.sample(draws.reshape(-1, space.dimensions)).reshape(len(seeds), self.pool, space.dimensions)

    def _identities(self, codes: Ints) -> NDArray[np.uint64]:
        """A number for each of codes Int[..., d], the same for configurations that are one."""
        return identities(self.problem.space, codes.reshape(-1, codes.shape[-1])).reshape(codes.shape[:-1])

    def _fresh(self, seeds: Ints) -> Bools:
        """Whether there are random configurations left."""
        return self.drawn[seeds] < (self.problem.space.cardinality if self.order is not None else np.inf)

    def _random(self, seeds: Ints) -> Ints:
        space = self.problem.space
        if self.warm is not None and (left := self.warm.left(seeds)).any():
            codes = np.empty((len(seeds), space.dimensions), dtype=np.int64)
            codes[left] = self.warm.take(seeds[left])
            if not left.all():
                codes[~left] = self._random(seeds[~left])
            return codes
        if self.order is None:
            return space.sample(self.initial.uniform(space.dimensions, seeds))
        number = self.order[seeds, self.drawn[seeds]]
        self.drawn[seeds] += 1
        return np.stack(np.unravel_index(number, space.sizes.tolist()), axis=1)

    def _shuffled(self) -> Ints:
        """The numbers of all configurations in each seed's random order, Int[S, m]."""
        where = np.arange(len(self.problem.seeds))
        draws = self.initial.uniform(self.problem.space.cardinality, where)
        return draws.argsort(axis=1, kind="stable").astype(np.int32)
