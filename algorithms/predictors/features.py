"""Predictors on one-hot and scaled features: what a reviewer asks a graph network to be held against."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from scipy.linalg import cho_factor, cho_solve

from algorithms.predictors.batched import Batched
from algorithms.predictors.by_seed import BySeed, Process
from algorithms.predictors.data import Encoding, Target, form
from algorithms.predictors.losses import Loss
from algorithms.predictors.networks import FeatureNetwork
from algorithms.predictors.paths import Paths
from algorithms.predictors.training import Training
from harness import Floats, Ints, Problem, SearchSpace, Seen, Streams

TRAINING = Training(steps=150)
LENGTHS = (0.5, 1.0, 2.0, 4.0)
"""Length scales that a Gaussian process chooses from, in the root of the number of parameters."""

NOISES = (1e-3, 1e-2, 1e-1, 0.5)
"""Variances of its noise, as shares of that of the targets."""

_PART = 4096


class FeaturePredictor:
    """A multilayer perceptron for each seed, fitted from scratch each time."""

    def __init__(
        self,
        problem: Problem,
        streams: Streams,
        *,
        width: int = 64,
        target: Target = "log",
        loss: Loss = "mse",
        device: str = "cpu",
    ) -> None:
        network = FeatureNetwork(self.encoding(problem.space), len(problem.fidelities), width)
        self.models = Batched(network, streams, target=form(problem, target), loss=loss, on=device)
        self.full = problem.full
        self.training = TRAINING

    def encoding(self, space: SearchSpace) -> Encoding:
        """What the network sees of a configuration."""
        return space

    def fit(self, seen: Seen, where: Ints) -> None:
        self.models.fit(seen, where, self.training)

    def predict(self, codes: Ints, where: Ints) -> Floats:
        return self.models.predict(codes, where, self.full)

    @property
    def skipped(self) -> Ints:
        """Steps of each seed that were left out because their loss was not finite, Int[S]."""
        return self.models.skipped


class PathPredictor(FeaturePredictor):
    """A multilayer perceptron on the paths of graphs."""

    def encoding(self, space: SearchSpace) -> Encoding:
        return Paths(space)


class Ridge(BySeed):
    """Linear regression with an L2 penalty on all but the intercept, which the standardised targets do not need."""

    def __init__(self, problem: Problem, streams: Streams, *, penalty: float = 1.0, target: Target = "log") -> None:
        super().__init__(problem, streams, target)
        self.penalty = penalty

    def learn(self, x: Floats, y: Floats, seed: int) -> tuple[Floats, Floats]:
        mean = x.mean(axis=0)
        centred = x - mean
        matrix = centred.T @ centred + self.penalty * np.eye(x.shape[1])
        return mean, cho_solve(cho_factor(matrix), centred.T @ y)

    def apply(self, model: tuple[Floats, Floats], x: Floats) -> Floats:
        mean, weights = model
        return (x - mean) @ weights


class Learnt(NamedTuple):
    """What a process has learnt of features Float[n, k]: its length scale, and what every `Process` has."""

    x: Floats
    length: float
    factor: Floats
    solution: Floats
    variance: float
    lowest: float


class GaussianProcess(Process):
    """A Gaussian process with a squared-exponential kernel.

    Length scale and noise are those of a small grid with the highest marginal likelihood; the variance is that of the
    targets.
    """

    def __init__(self, problem: Problem, streams: Streams, *, target: Target = "log") -> None:
        super().__init__(problem, streams, target)
        self.unit = problem.space.dimensions

    def learn(self, x: Floats, y: Floats, seed: int) -> Learnt:
        distance = self._distance(x, x)
        best, found = -np.inf, Learnt(x, 1.0, np.eye(len(x)), np.zeros(len(x)), 1.0, 0.0)
        for length in LENGTHS:
            kernel = np.exp(-distance / (2.0 * length**2))
            for noise in NOISES:
                factor = cho_factor(kernel + noise * np.eye(len(x)), lower=True)
                solution = cho_solve(factor, y)
                evidence = -0.5 * float(y @ solution) - float(np.log(np.diagonal(factor[0])).sum())
                if evidence > best:
                    lowest = float((y - noise * solution).min())
                    best, found = evidence, Learnt(x, length, factor[0], solution, 1.0, lowest)
        return found

    def correlations(self, model: Learnt, x: Floats) -> Floats:
        return np.exp(-self._distance(x, model.x) / (2.0 * model.length**2))

    def apply(self, model: Learnt, x: Floats) -> Floats:
        parts = (x[i : i + _PART] for i in range(0, len(x), _PART))
        return np.concatenate([self.correlations(model, part) @ model.solution for part in parts])

    def _distance(self, a: Floats, b: Floats) -> Floats:
        """Squared distances, in units of one parameter in each dimension, Float[n, m]."""
        squares = (a**2).sum(axis=1)[:, None] + (b**2).sum(axis=1) - 2.0 * a @ b.T
        return np.maximum(squares, 0.0) / self.unit


class Forest(BySeed):
    """A random forest (Breiman 2001), scikit-learn's with its defaults."""

    def __init__(self, problem: Problem, streams: Streams, *, trees: int = 100, target: Target = "log") -> None:
        super().__init__(problem, streams, target)
        self.trees = trees

    def learn(self, x: Floats, y: Floats, seed: int) -> Any:
        from sklearn.ensemble import RandomForestRegressor

        state = int(self.streams.integers(2**31 - 1, 1, np.array([seed]))[0, 0])
        return RandomForestRegressor(self.trees, random_state=state).fit(x, y)

    def apply(self, model: Any, x: Floats) -> Floats:
        return model.predict(x)
