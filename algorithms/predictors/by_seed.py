"""Models of a library, or of a few lines of algebra, that have no axis for seeds."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.linalg import solve_triangular
from threadpoolctl import threadpool_limits

from algorithms.predictors.data import Target, Targets, features, form
from harness import Floats, Ints, Problem, Seen, Streams


class BySeed:
    """A model for each seed on its own, on features [n, ...], mostly Float[n, k], and standardised targets Float[n]."""

    def __init__(self, problem: Problem, streams: Streams, target: Target) -> None:
        self.problem = problem
        self.streams = streams
        self.targets = Targets(len(problem.seeds), form(problem, target))
        self.models: dict[int, Any] = {}

    def learn(self, x: Any, y: Floats, seed: int) -> Any:
        """A model of the seed at position `seed`."""
        raise NotImplementedError

    def apply(self, model: Any, x: Any) -> Floats:
        """The targets that a model predicts for features [m, ...], Float[m]."""
        raise NotImplementedError

    def fit(self, seen: Seen, where: Ints) -> None:
        targets = self.targets.fit(seen, where).astype(np.float64)
        with threadpool_limits(1):
            for i, (seed, n) in enumerate(zip(where.tolist(), seen.count.tolist(), strict=True)):
                x = self.features(seen.codes[i, :n], seen.fidelity[i, :n])
                self.models[seed] = self.learn(x, targets[i, :n], seed)

    def predict(self, codes: Ints, where: Ints) -> Floats:
        shared = self.features(codes, self.problem.full) if codes.ndim == 2 else None
        out = np.empty((len(where), codes.shape[-2]))
        with threadpool_limits(1):
            for i, seed in enumerate(where.tolist()):
                x = self.features(codes[i], self.problem.full) if shared is None else shared
                out[i] = self.apply(self.models[seed], x)
        return self.targets.losses(out, where)

    def features(self, codes: Ints, fidelity: Ints | int) -> Any:
        """What a model sees of codes Int[n, d] at a fidelity (index), [n, ...]."""
        return features(self.problem.space, len(self.problem.fidelities), codes, fidelity)


class Process(BySeed):
    """A Gaussian process for each seed (Rasmussen and Williams 2006).

    A model has the Cholesky `factor` of the correlations of what was seen, noise added, its `solution` Float[n] for
    the targets, the `variance`, and the `lowest` mean at anything seen.
    """

    def correlations(self, model: Any, x: Any) -> Floats:
        """Those of features [m, ...] with what the model has seen, Float[m, n]."""
        raise NotImplementedError

    def posterior(self, codes: Ints, where: Ints) -> tuple[Floats, Floats, Floats]:
        mean, deviation = np.empty((2, len(where), codes.shape[1]))
        with threadpool_limits(1):
            for i, seed in enumerate(where.tolist()):
                model = self.models[seed]
                share = self.correlations(model, self.features(codes[i], self.problem.full))
                left = 1.0 - (solve_triangular(model.factor, share.T, lower=True) ** 2).sum(axis=0)
                mean[i], deviation[i] = share @ model.solution, (model.variance * np.maximum(left, 0.0)) ** 0.5
        return mean, deviation, np.array([self.models[seed].lowest for seed in where.tolist()])
