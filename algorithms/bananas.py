"""BANANAS (White, Neiswanger and Savani, "BANANAS: Bayesian optimization with neural architectures for neural
architecture search", AAAI 2021).
"""

from __future__ import annotations

from typing import Annotated

import numpy as np
from scipy.special import ndtri

from algorithms.chosen import Chosen
from algorithms.predictors.ensemble import Ensemble
from harness import Floats, Ints, Param, Problem, Streams
from harness.predictor import MakePredictor, Uses

NETWORK = Uses("their name; or auto: paths of graphs, else mlp", "auto", ("paths", "mlp"))


class BANANAS(Chosen):
    """BANANAS: an ensemble of networks on path encodings; Thompson sampling picks among mutants of the best.

    After some random configurations each iteration fits the ensemble to all results, mutates one parameter of the best
    ones, draws a loss for each mutant on its own from a normal distribution with the ensemble's mean and spread
    (independent Thompson sampling), and trains the mutants with the lowest draws that were not trained yet. All is
    trained at the largest fidelity.
    """

    def __init__(
        self,
        problem: Problem,
        streams: Streams,
        predictor: Annotated[MakePredictor, NETWORK],
        *,
        random: Annotated[int, Param("configurations that are trained first", low=1)] = 10,
        batch: Annotated[int, Param("configurations that are trained between fits", low=1)] = 10,
        candidates: Annotated[int, Param("mutants to choose from", low=1)] = 100,
        parents: Annotated[int, Param("best results that mutants are made of", low=1)] = 10,
        ensemble: Annotated[int, Param("networks", low=2)] = 5,
    ) -> None:
        super().__init__(problem, streams, random, batch, parents)
        self.candidates = candidates
        self.ensemble = Ensemble(problem, streams, predictor, ensemble)
        self.mutations, self.thompson = streams.child("mutations"), streams.child("thompson")

    def scores(self, seeds: Ints, codes: Ints) -> Floats:
        """A loss for each of codes Int[k, m, d] out of what the ensemble, fitted to all results, predicts, [k, m]."""
        self.ensemble.fit(self.history.of(seeds), seeds)
        mean, deviation = self.ensemble.spread(codes, seeds)
        return mean + deviation * ndtri(np.maximum(self.thompson.uniform(codes.shape[1], seeds), 2.0**-53))

    def pool(self, seeds: Ints) -> Ints:
        """Configurations Int[k, m, d] that differ from one of the best results in one parameter."""
        draws = self.mutations.uniform(self.candidates * 3, seeds).reshape(len(seeds), self.candidates, 3)
        parents = self.best.drawn(seeds, draws[..., 0])
        return self.problem.space.mutate(parents.reshape(-1, parents.shape[2]), draws[..., 1:].reshape(-1, 2)).reshape(
            parents.shape
        )
