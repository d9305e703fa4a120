"""GPNAS's predictor: GraphNetwork, fitted from scratch once and then half warm."""

from __future__ import annotations

from algorithms.predictors.batched import Batched, Training
from algorithms.predictors.data import Target
from algorithms.predictors.losses import Loss
from algorithms.predictors.networks import GraphNetwork
from harness import Floats, Ints, Problem, Seen, Streams

COLD = Training(steps=150)
WARM = Training(steps=75)
WARMTH = 0.5


class GraphPredictor:
    """A graph-convolutional network for each seed; every fit has the same number of steps, whatever was observed."""

    def __init__(
        self,
        problem: Problem,
        streams: Streams,
        *,
        first: Training = COLD,
        again: Training = WARM,
        width: int = 64,
        layers: int = 2,
        target: Target = "log",
        loss: Loss = "mse",
        device: str = "cpu",
    ) -> None:
        network = GraphNetwork(problem.space, len(problem.fidelities), width, layers)
        self.models = Batched(network, streams, target=target, loss=loss, on=device)
        self.full = problem.full
        self.first, self.again = first, again

    def fit(self, seen: Seen, where: Ints) -> None:
        warm = self.models.fitted[where]
        for chosen, training in ((~warm, self.first), (warm, self.again)):
            if chosen.any():
                self.models.fit(seen.of(chosen), where[chosen], training, warm=WARMTH)

    def predict(self, codes: Ints, where: Ints) -> Floats:
        return self.models.predict(codes, where, self.full)

    @property
    def skipped(self) -> Ints:
        """Steps left out for a loss that was not finite, Int[S]."""
        return self.models.skipped
