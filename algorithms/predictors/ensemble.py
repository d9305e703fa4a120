"""Several predictors of one kind as one, whose spread says how sure they are."""

from __future__ import annotations

import numpy as np

from harness import Floats, Ints, Problem, Seen, Streams
from harness.predictor import MakePredictor


class Ensemble:
    """`members` predictors for each seed, each with random numbers of its own, fitted to the same observations.

    Lakshminarayanan et al., "Simple and scalable predictive uncertainty estimation using deep ensembles", NeurIPS 2017.
    """

    def __init__(self, problem: Problem, streams: Streams, member: MakePredictor, members: int) -> None:
        self.models = [member(problem, streams.child(f"network {i}")) for i in range(members)]

    def fit(self, seen: Seen, where: Ints) -> None:
        for model in self.models:
            model.fit(seen, where)

    def predict(self, codes: Ints, where: Ints) -> Floats:
        return self.spread(codes, where)[0]

    def spread(self, codes: Ints, where: Ints) -> tuple[Floats, Floats]:
        """Mean and standard deviation of the losses that the members predict, Float[k, m] each; see `Predictor`."""
        predicted = np.stack([model.predict(codes, where) for model in self.models])
        return predicted.mean(axis=0), predicted.std(axis=0, ddof=1)

    @property
    def skipped(self) -> Ints:
        """Steps of each seed that were left out because their loss was not finite, Int[S]."""
        return np.sum([getattr(model, "skipped", 0) for model in self.models], axis=0)
