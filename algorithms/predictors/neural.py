"""The neural predictor (Wen et al., "Neural predictor for neural architecture search", ECCV 2020)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from algorithms.predictors.batched import Batched
from algorithms.predictors.data import Target, form
from algorithms.predictors.losses import Loss
from algorithms.predictors.networks import DirectedNetwork
from algorithms.predictors.training import Training
from harness import Floats, Ints, Problem, Seen, Streams

Schedule = Literal["fast", "paper"]
LEAST = 10
"""Configurations that must pass the classifier's threshold, and must not, for there to be a classifier."""


@dataclass(frozen=True)
class Recipe:
    """How a network is trained, and on what."""

    training: Training
    target: Target
    dropout: float = 0.0


RECIPES: Mapping[Schedule, Recipe] = {
    "fast": Recipe(Training(steps=150, batch=32, rate=2e-3), "log"),
    "paper": Recipe(Training(epochs=300, batch=10, rate=1e-4, l2=1e-3), "raw", 0.1),
}


class NeuralPredictor:
    """A bidirectional graph-convolutional network for each seed, fitted from scratch each time.

    It learns from results at the largest fidelity, or from all where there are none. With a `threshold` above 0 a
    network of the same form first learns to tell losses below it from others, the regressor learns from those below
    it alone, and what is rejected counts as worse than anything that is not: at the threshold and more, as far as the
    rejected ones were on average, by their probability of rejection. A seed with fewer than `LEAST` observations on
    either side has no classifier.
    """

    def __init__(
        self,
        problem: Problem,
        streams: Streams,
        *,
        schedule: Schedule = "fast",
        threshold: float = 0.0,
        loss: Loss = "mse",
        device: str = "cpu",
    ) -> None:
        recipe = RECIPES[schedule]
        network = DirectedNetwork(problem.space, dropout=recipe.dropout)
        self.training = recipe.training
        self.full = problem.full
        self.threshold = threshold
        self.regressor = Batched(
            network, streams.child("regressor"), target=form(problem, recipe.target), loss=loss, on=device
        )
        self.classifier = Batched(network, streams.child("classifier"), target="raw", on=device)
        self.staged = np.zeros(len(problem.seeds), dtype=np.bool_)
        self.excess = np.zeros(len(problem.seeds))

    @property
    def skipped(self) -> Ints:
        """Steps of each seed that were left out because their loss was not finite, Int[S]."""
        return self.regressor.skipped + self.classifier.skipped

    def fit(self, seen: Seen, where: Ints) -> None:
        seen = seen.only(seen.fidelity == self.full)
        if self.threshold:
            good, bad = (seen.valid & side for side in (seen.loss < self.threshold, seen.loss >= self.threshold))
            staged = np.minimum(good.sum(axis=1), bad.sum(axis=1)) >= LEAST
            self.staged[where] = staged
            at = where[staged]
            if at.size:
                self.classifier.fit(seen.of(staged), at, self.training, classes=good[staged])
                for i in np.flatnonzero(staged).tolist():
                    finite = seen.loss[i][bad[i] & np.isfinite(seen.loss[i])]
                    self.excess[where[i]] = finite.mean() - self.threshold if finite.size else 1.0
            seen = seen.only(good | ~staged[:, None])
        self.regressor.fit(seen, where, self.training)

    def predict(self, codes: Ints, where: Ints) -> Floats:
        losses = self.regressor.predict(codes, where, self.full)
        staged = self.staged[where]
        if staged.any():
            own = codes if codes.ndim == 2 else codes[staged]
            score = self.classifier.predict(own, where[staged], self.full)
            rejection = np.clip((1.0 - score) / 2.0, 0.0, 1.0)
            worse = self.threshold + self.excess[where[staged], None] * rejection
            losses[staged] = np.where(score > 0, np.minimum(losses[staged], self.threshold), worse)
        return losses
