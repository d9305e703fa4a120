"""BoTorch (Balandat et al., "BoTorch: A framework for efficient Monte-Carlo Bayesian optimization", NeurIPS 2020): a
Gaussian process on the values of parameters, and an acquisition function of the package's over candidates.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import numpy as np

from algorithms.external import Library, library
from harness import Ints, OneSeed, Param, Problem

_ACQUISITIONS = {
    "EI": "ExpectedImprovement",
    "LogEI": "LogExpectedImprovement",
    "qEI": "qExpectedImprovement",
    "qLogEI": "qLogExpectedImprovement",
}
Initial = Annotated[int, Param("random configurations first", low=2)]
Candidates = Annotated[
    int, Param("random configurations among the candidates; neighbours of the best come on top", low=1)
]


def _find() -> Mapping[str, Any]:
    acquisition = library("botorch.acquisition", "botorch")
    return {name: getattr(acquisition, found) for name, found in _ACQUISITIONS.items()}


class _Process:
    """Categories are 0/1 columns, ordinal values a column in [0, 1]; losses are standardised, and maximised negated."""

    def __init__(
        self, found: Any, problem: Problem, generator: np.random.Generator, initial: int, candidates: int
    ) -> None:
        self.found, self.problem, self.generator = found, problem, generator
        self.initial, self.candidates = initial, candidates
        self.codes: list[Ints] = []
        self.losses: list[float] = []
        self.asked: list[Ints] = []

    def ask(self) -> tuple[Ints, int, Ints]:
        modelled = len(self.asked) >= self.initial and len(self.losses) > 1
        codes = self._best_candidate() if modelled else self._random(1)[0]
        self.asked.append(codes)
        return codes, self.problem.full, codes

    def tell(self, handle: Ints, loss: float, cost: float) -> None:
        self.codes.append(handle)
        self.losses.append(loss)

    def _random(self, n: int) -> Ints:
        return self.problem.space.sample(self.generator.random((n, self.problem.space.dimensions)))

    def _best_candidate(self) -> Ints:
        torch, models = library("torch", "botorch"), library("botorch.models", "botorch")
        fit, likelihood = library("botorch.fit", "botorch"), library("gpytorch.mlls", "botorch")
        space, losses = self.problem.space, np.array(self.losses)
        seen = np.array(self.codes)
        best = np.repeat(seen[[losses.argmin()]], len(space.moves), axis=0)
        pool = np.concatenate([space.step(best, *space.moves.T), self._random(self.candidates)])
        pool = np.unique(pool, axis=0)
        new = pool[~(pool[:, None] == np.array(self.asked)).all(axis=2).any(axis=1)]
        pool = new if len(new) else pool
        scaled = -(losses - losses.mean()) / (losses.std() or 1.0)
        x, y = torch.tensor(space.features(seen)), torch.tensor(scaled)[:, None]
        model = models.SingleTaskGP(x, y, outcome_transform=None)
        fit.fit_gpytorch_mll(likelihood.ExactMarginalLogLikelihood(model.likelihood, model))
        acquisition = self.found(model, best_f=y.max())
        with torch.no_grad():
            return pool[int(acquisition(torch.tensor(space.features(pool))[:, None]).argmax())]


def _make(
    found: Any, problem: Problem, generator: np.random.Generator, *, initial: Initial = 10, candidates: Candidates = 500
) -> OneSeed:
    return _Process(found, problem, generator, initial, candidates)


LIBRARY = Library("botorch", "botorch", _find, _make, kept=("maximize", "tau_relu", "tau_max", "fat", "eta"))
