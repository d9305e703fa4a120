"""The neural predictor (Wen et al., "Neural predictor for neural architecture search", ECCV 2020)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from algorithms.predictors import directed
from algorithms.predictors.data import Float32s, Form, Target, distinct, form
from algorithms.predictors.descent import LOSSES
from algorithms.predictors.directed import Weights
from algorithms.predictors.losses import Loss
from algorithms.predictors.parameters import directions
from algorithms.predictors.products import floats
from algorithms.predictors.training import Networks, Training, shuffled
from algorithms.predictors.unfolded import Unfoldings
from harness import Floats, Ints, Problem, SearchSpace, Seen, Streams

Schedule = Literal["fast", "paper"]
LEAST = 10
"""Configurations that must pass the classifier's threshold, and must not, for there to be a classifier."""

_CHUNK = 256


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


class Directions(Networks):
    """The neural predictor's network for each of the seeds of `streams`, on the CPU: see `directed`."""

    block = 500

    def __init__(
        self,
        space: SearchSpace,
        streams: Streams,
        target: Form,
        loss: Loss,
        dropout: float = 0.0,
        width: int = 144,
        layers: int = 3,
        last: int = 128,
    ) -> None:
        self.graphs = Unfoldings(space, layers)
        self.dropout, self.noise = np.float32(dropout), streams.child("dropout")
        super().__init__(directions(self.graphs.view.labels - 1, width, layers, last), streams, target, loss)

    def distinct(self, codes: Ints) -> tuple[Ints, Ints]:
        return distinct(self.graphs.view, codes)

    def train(self, seen: Seen, targets: Float32s, where: Ints, training: Training, steps: int) -> None:
        graphs, which = self.graphs.of(seen.codes)
        order = shuffled(self.shuffles, seen.count, where, steps, training.batch)
        flat = floats(4, self.trained.size)
        weights, slopes = self._named(flat[:1]), self._named(flat[1:2])
        schedule, loss, l2 = training.schedule(steps), LOSSES[self.loss], np.float32(training.l2)
        for i, s in enumerate(where.tolist()):
            codes, of = seen.codes[i, : seen.count[i]], which[i, : seen.count[i]]
            flat[0], flat[1:] = self.weights[s], 0.0
            learnt, at = (self.graphs.apart(codes), np.arange(len(codes))) if self.dropout else (graphs, of)
            room = directed.room(weights, learnt, training.batch, self.graphs.layers, bool(self.dropout > 0))
            (state,) = self.noise.states(steps * directed.draws(room) if self.dropout else 0, where[i : i + 1])
            self.skipped[s] += directed.fit(
                weights, slopes, room, directed.back(weights, room), flat, learnt, at, targets[i], order[i], schedule,
                l2, loss, self.dropout, state,
            )  # fmt: skip
            self.weights[s] = flat[0]
            if self.loss != "mse":
                answer = np.empty(len(codes), dtype=np.float32)
                directed.predict(weights, directed.room(weights, graphs, _CHUNK, 1), graphs, of, answer)
                self.levels[s] = answer.mean(dtype=np.float64), max(answer.std(dtype=np.float64), 1e-9)

    def apply(self, codes: Ints, where: Ints, fidelity: int) -> Float32s:
        out = np.empty((len(where), codes.shape[-2]), dtype=np.float32)
        flat = floats(1, self.trained.size)
        weights = self._named(flat)
        for i, s in enumerate(where.tolist()):
            if i == 0 or codes.ndim == 3:
                graphs, which = self.graphs.of(codes if codes.ndim == 2 else codes[i])
                room = directed.room(weights, graphs, _CHUNK, 1)
            flat[0] = self.weights[s]
            directed.predict(weights, room, graphs, which, out[i])
        return out

    def _named(self, row: Float32s) -> Weights:
        """What is in Float[1, size] of weights, to be written to."""
        views = {name: view[0] for name, view in self.trained.views(row).items()}
        layers = tuple((views[f"along{k}"], views[f"against{k}"]) for k in range(1, self.graphs.layers + 1))
        return Weights(layers, views["hidden"], views["hidden.bias"], views["output"], views["bias"])


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
        self.training = recipe.training
        self.full = problem.full
        self.threshold = threshold
        self.regressor = networks(
            problem.space, streams.child("regressor"), form(problem, recipe.target), loss, device, recipe.dropout
        )
        self.classifier = networks(problem.space, streams.child("classifier"), "raw", "mse", device, recipe.dropout)
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


def networks(space: SearchSpace, streams: Streams, target: Form, loss: Loss, device: str, dropout: float) -> Networks:
    """The network for each of the seeds of `streams`: loops, or torch for another device."""
    if device == "cpu":
        return Directions(space, streams, target, loss, dropout)
    from algorithms.predictors.batched import Batched
    from algorithms.predictors.networks import DirectedNetwork

    return Batched(DirectedNetwork(space, dropout=dropout), streams, target=target, loss=loss, on=device)
