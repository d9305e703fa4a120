"""How networks are fitted, one for each seed, whatever they are computed with."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from algorithms.predictors.data import Float32s, Form, Targets
from algorithms.predictors.losses import Loss
from algorithms.predictors.parameters import Layout, Shape
from harness import Bools, Floats, Ints, Seen, Streams


@dataclass(frozen=True)
class Training:
    """How a network is fitted: Adam with a cosine schedule, on minibatches of `batch` out of shuffled passes.

    A fit takes `steps` steps or, if `epochs` is not 0, that many passes over the observations. `decay` shrinks the
    weights at each step (Loshchilov and Hutter 2019), `l2` is part of the gradient.
    """

    steps: int = 0
    epochs: int = 0
    batch: int = 32
    rate: float = 5e-3
    decay: float = 0.0
    l2: float = 0.0

    def length(self, count: Ints) -> Ints:
        """Steps of a fit to `count` Int[k] observations."""
        return np.full_like(count, self.steps) if self.steps else self.epochs * np.maximum(1, count // self.batch)

    def rate_at(self, step: int, steps: int) -> float:
        """The rate of a step of so many."""
        return self.rate * 0.5 * (1.0 + np.cos(np.pi * step / steps))

    def schedule(self, steps: int) -> Float32s:
        """What Adam is told at each of so many steps, Float[steps, 3].

        The rate with the correction of the mean slope, the correction of the mean square, what is left of the weights.
        """
        step = np.arange(1, steps + 1)
        rate = np.array([self.rate_at(i, steps) for i in range(steps)])
        columns = rate / (1.0 - 0.9**step), 1.0 / (1.0 - 0.999**step), 1.0 - rate * self.decay
        return np.stack(columns, axis=1).astype(np.float32)


class Networks(ABC):
    """A network for each of the seeds of `streams`.

    `skipped` Int[S] counts the steps that were left out because their loss was not finite.
    """

    block: int
    """Seeds that are trained, or predicted, together."""

    def __init__(self, shapes: Mapping[str, Shape], streams: Streams, target: Form, loss: Loss) -> None:
        seeds = len(streams.seeds)
        self.loss = loss
        self.levels = np.tile([0.0, 1.0], (seeds, 1))
        """Mean and spread of the predictions of what was learnt by its order, which says nothing of a level."""
        self.starts = streams.child("weights")
        self.shuffles = streams.child("shuffles")
        self.targets = Targets(seeds, target)
        self.skipped = np.zeros(seeds, dtype=np.int64)
        self.trained = Layout({name: shape for name, shape in shapes.items() if not shape.running})
        self.running = Layout({name: shape for name, shape in shapes.items() if shape.running})
        self.fitted = np.zeros(seeds, dtype=np.bool_)
        self.weights = np.zeros((seeds, self.trained.size), dtype=np.float32)
        self.statistics = np.zeros((seeds, self.running.size), dtype=np.float32)

    @abstractmethod
    def distinct(self, codes: Ints) -> tuple[Ints, Ints]:
        """Those of codes Int[n, d] that they can tell apart, and the position of each of the n among them, Int[n]."""

    @abstractmethod
    def train(self, seen: Seen, targets: Float32s, where: Ints, training: Training, steps: int) -> None:
        """Train those of the seeds at `where` Int[k], at most a block, on targets Float[k, n]."""

    @abstractmethod
    def apply(self, codes: Ints, where: Ints, fidelity: int) -> Floats | Float32s:
        """What those of at most a block of seeds predict of codes Int[k, m, d], or Int[m, d] for all, Float[k, m]."""

    def fit(
        self, seen: Seen, where: Ints, training: Training, *, warm: float = 0.0, classes: Bools | None = None
    ) -> None:
        """Fit the models of the seeds at `where` Int[k].

        They start at `warm` times where their last fits ended plus the rest of a fresh start, which generalises better
        than going on (Ash and Adams, "On warm-starting neural network training", NeurIPS 2020).

        With `classes` Bool[k, n] the network learns 1 for an observation that is of the class and -1 for others, by
        squared error too: exponentials round differently at different places of a batch.
        """
        targets = self.targets.fit(seen, where) if classes is None else np.where(classes, 1, -1).astype(np.float32)
        length = training.length(seen.count)
        for steps in np.unique(length).tolist():
            same = np.flatnonzero(length == steps)
            for start in range(0, len(same), self.block):
                part = same[start : start + self.block]
                self.start(where[part], warm)
                self.train(seen.of(part), targets[part], where[part], training, steps)
        self.fitted[where] = True

    def start(self, where: Ints, warm: float) -> None:
        """The weights that the seeds at `where` Int[k] start from; see `fit`."""
        fresh = self.trained.initial(self.starts.uniform(self.trained.size, where))
        kept = np.where(self.fitted[where], warm, 0.0).astype(np.float32)[:, None]
        # exactly the ends at 0 and 1
        change = self.weights[where] - fresh
        self.weights[where] = np.where(kept < 0.5, fresh + kept * change, self.weights[where] - (1.0 - kept) * change)
        statistics = self.running.initial(np.zeros((len(where), self.running.size)))
        self.statistics[where] = np.where(kept > 0, self.statistics[where], statistics)

    def predict(self, codes: Ints, where: Ints, fidelity: int) -> Floats:
        """Losses Float[k, m] of codes Int[k, m, d], or Int[m, d] for all, at a fidelity (index)."""
        shared = codes.ndim == 2
        if shared:
            codes, back = self.distinct(codes)
        out = np.empty((len(where), codes.shape[-2]))
        for start in range(0, len(where), self.block):
            part = slice(start, start + self.block)
            out[part] = self.apply(codes if shared else codes[part], where[part], fidelity)
        mean, spread = self.levels[where].T[:, :, None]
        losses = self.targets.losses((out - mean) / spread, where)
        return losses[:, back] if shared else losses


def shuffled(streams: Streams, count: Ints, where: Ints, steps: int, batch: int) -> Ints:
    """Which observations each step takes, Int[k, steps, batch]: passes over all `count` Int[k], each shuffled anew."""
    out = np.empty((len(where), steps * batch), dtype=np.int64)
    for i, n in enumerate(count.tolist()):
        passes = -(-out.shape[1] // n)
        draws = streams.uniform(passes * n, where[i : i + 1]).reshape(passes, n)
        out[i] = draws.argsort(axis=1, kind="stable").ravel()[: out.shape[1]]
    return out.reshape(len(where), steps, batch)
