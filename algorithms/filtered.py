"""Searches that a predictor filters: of many children, the one with the lowest predicted loss is trained.

What `gpnas` and `gpnas+` have in common; they differ in where children come from.
"""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from typing import Annotated

import numpy as np

from algorithms.brackets import Halving, rungs, sizes
from algorithms.predictors.memory import History, Known
from harness import Floats, Ints, Jobs, Param, Problem, Results, Streams
from harness.predictor import MakePredictor, Uses

FILTER = Uses("what filters children; none; or auto: gcn of graphs, else mlp", "auto", ("gcn", "mlp"), none=True)
Startup = Annotated[int, Param("random configurations before the first children", low=1)]
Growth = Annotated[float, Param("factor of results between fits of the predictor", 1.01)]


class Filtered(ABC):
    """Random configurations, then children that a predictor picks, never a configuration that is trained already.

    The predictor is fitted whenever the results have grown by the factor `growth`. Where the table has fidelities,
    children begin where Hyperband's brackets say.
    """

    shard = 25

    def __init__(
        self,
        problem: Problem,
        streams: Streams,
        predictor: MakePredictor | None,
        *,
        startup: int,
        growth: float,
        eta: int,
        min_fidelity: int,
        max_fidelity: int,
        brackets: int,
    ) -> None:
        space, seeds = problem.space, len(problem.seeds)
        self.problem = problem
        self.startup, self.growth = startup, growth
        self.random = streams.child("random")
        self.history, self.known = History(seeds, space), Known(seeds, space)
        self.predictor = predictor and predictor(problem, streams.child("predictor"))
        self.next_fit = np.full(seeds, startup)
        self.skipped = 0
        self.fidelities = rungs(problem.fidelities, eta, min_fidelity, max_fidelity)
        self.halving = Halving(problem, self.fidelities, sizes(len(self.fidelities), eta), self.propose, lanes=brackets)

    @abstractmethod
    def children(self, seeds: Ints) -> Ints:
        """Children Int[n, m, d] to choose from; of children that are predicted alike the first is taken."""

    def ask(self, seeds: Ints, worker: Ints) -> Jobs:
        return self.halving.ask(seeds, worker)

    def tell(self, results: Results) -> None:
        self.history.add(results)
        self.halving.tell(results)

    def propose(self, seeds: Ints, fidelity: Ints) -> Ints:
        """New configurations, Int[n, d], whatever the fidelity they begin at."""
        space = self.problem.space
        codes = space.sample(self.random.uniform(space.dimensions, seeds))
        late = self.history.count[seeds] >= self.startup
        codes[~late] = self.first(seeds[~late], codes[~late])
        if late.any():
            at = seeds[late]
            children = self.children(at)
            score = self.score(at, children)
            score[self.known.has(at, children)] = np.inf
            best = score.argmin(axis=1)[:, None]
            found = np.take_along_axis(score, best, axis=1) < np.inf
            chosen = np.take_along_axis(children, best[..., None], axis=1)[:, 0]
            codes[late] = np.where(found, chosen, codes[late])
        self.known.add(seeds, codes)
        return codes

    def first(self, seeds: Ints, random: Ints) -> Ints:
        """What is trained before the first children, Int[n, d]: the `random` ones that were drawn."""
        return random

    def score(self, seeds: Ints, children: Ints) -> Floats:
        """What orders the children, Float[n, m], lowest first: predicted losses; without a predictor their order."""
        if self.predictor is None:
            return np.tile(np.arange(children.shape[1], dtype=np.float64), (len(seeds), 1))
        due = seeds[self.history.count[seeds] >= self.next_fit[seeds]]
        if due.size:
            self.predictor.fit(self.history.of(due), due)
            self.next_fit[due] = np.ceil(self.history.count[due] * self.growth)
            self._tell_skipped()
        return np.nan_to_num(self.predictor.predict(children, seeds), nan=np.finfo(np.float64).max)

    def _tell_skipped(self) -> None:
        total = int(np.sum(getattr(self.predictor, "skipped", 0)))
        if total > self.skipped:
            warnings.warn(
                f"the predictor has left out {total} training steps whose loss was not finite",
                RuntimeWarning,
                stacklevel=2,
            )
            self.skipped = total
