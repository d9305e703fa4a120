"""BANANAS (White, Neiswanger and Savani, "BANANAS: Bayesian optimization with neural architectures for neural
architecture search", AAAI 2021).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import numpy as np
from scipy.special import ndtri

from algorithms.batches import Batches
from algorithms.gpnas_plus import Best
from algorithms.predictors.ensemble import Ensemble
from algorithms.predictors.memory import Known
from harness import Floats, Ints, Param, Problem, Results, Streams
from harness.predictor import MakePredictor, Uses

NETWORK = Uses("their name; or auto: paths of graphs, else mlp", "auto", ("paths", "mlp"))


class BANANAS(Batches):
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
        super().__init__(problem, streams)
        self.initial, self.size, self.candidates = random, batch, candidates
        self.ensemble = Ensemble(problem, streams, predictor, ensemble)
        self.best = Best(problem, streams.child("parents"), parents)
        self.known = Known(len(problem.seeds), problem.space)
        self.mutations, self.thompson = streams.child("mutations"), streams.child("thompson")

    def tell(self, results: Results) -> None:
        full = results.fidelity == self.problem.full
        self.best.add(results.seeds[full], results.codes[full], results.loss[full])
        super().tell(results)

    def batch(self, seeds: Ints) -> Sequence[Ints]:
        late = self.history.count[seeds] > 0
        first, later = seeds[~late], seeds[late]
        found = dict(zip(first.tolist(), self.sampled(first, self.initial), strict=True))
        if later.size:
            found |= zip(later.tolist(), self.chosen(later), strict=True)
        for seed, codes in found.items():
            self.known.add(np.full(len(codes), seed), codes)
        return [found[seed] for seed in seeds.tolist()]

    def chosen(self, seeds: Ints) -> Sequence[Ints]:
        """The mutants with the lowest draws that are new, random configurations where there are too few."""
        mutants, others = self.mutants(seeds), self.sampled(seeds, self.size)
        order = self.drawn(seeds, mutants).argsort(axis=1, kind="stable")
        known = self.known.has(seeds, mutants)
        chosen = []
        for i, ranked in enumerate(order):
            _, first = np.unique(self.known.places(mutants[i, ranked]), return_index=True)
            distinct = ranked[np.sort(first)]
            new = mutants[i, distinct[~known[i, distinct]]]
            chosen.append(np.concatenate([new, others[i]])[: self.size])
        return chosen

    def drawn(self, seeds: Ints, codes: Ints) -> Floats:
        """A loss for each of codes Int[k, m, d] out of what the ensemble, fitted to all results, predicts, [k, m]."""
        self.ensemble.fit(self.history.of(seeds), seeds)
        mean, deviation = self.ensemble.spread(codes, seeds)
        return mean + deviation * ndtri(np.maximum(self.thompson.uniform(codes.shape[1], seeds), 2.0**-53))

    def mutants(self, seeds: Ints) -> Ints:
        """Configurations Int[k, m, d] that differ from one of the best results in one parameter."""
        draws = self.mutations.uniform(self.candidates * 3, seeds).reshape(len(seeds), self.candidates, 3)
        parents = self.best.drawn(seeds, draws[..., 0])
        return self.problem.space.mutate(parents.reshape(-1, parents.shape[2]), draws[..., 1:].reshape(-1, 2)).reshape(
            parents.shape
        )
