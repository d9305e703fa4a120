"""Progressive search (Liu, Zoph, Neumann, Shlens, Hua, Li, Fei-Fei, Yuille, Huang and Murphy, "Progressive neural
architecture search", ECCV 2018).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import numpy as np

from algorithms.batches import Batches
from algorithms.predictors.memory import Known
from harness import Ints, Param, Problem, Streams
from harness.predictor import MakePredictor, Uses


class PNAS(Batches):
    """PNAS: configurations grow by one parameter at a time; an ensemble says which K of the grown ones are trained.

    The configurations of a table have one size, so parameters that are not decided yet have the values of the best
    configuration so far, at first of the best of some random ones. At each level every member of the beam takes every
    value of the next parameter, surrogates fitted to all results predict the grown ones, and the K best are the new
    beam; those that were not trained yet are. After the last parameter it begins again with the first.
    """

    def __init__(
        self,
        problem: Problem,
        streams: Streams,
        predictor: Annotated[MakePredictor, Uses("their name; `harness list predictors`", "mlp")],
        *,
        random: Annotated[int, Param("configurations that are trained first", low=1)] = 16,
        beam: Annotated[int, Param("K, configurations that grow on", low=1)] = 16,
        ensemble: Annotated[int, Param("surrogates whose predictions are averaged", low=1)] = 5,
    ) -> None:
        super().__init__(problem, streams)
        self.initial, self.width = random, beam
        self.models = [predictor(problem, streams.child(f"surrogate {i}")) for i in range(ensemble)]
        self.known = Known(len(problem.seeds), problem.space)
        self.level = np.zeros(len(problem.seeds), dtype=np.int64)
        self.beam: list[Ints] = [np.zeros((0, problem.space.dimensions), dtype=np.int64)] * len(problem.seeds)

    def batch(self, seeds: Ints) -> Sequence[Ints]:
        found = dict(zip(seeds.tolist(), self.sampled(seeds, self.initial), strict=True))
        grows = seeds[self.history.count[seeds] > 0]
        if grows.size:
            seen = self.history.of(grows)
            for model in self.models:
                model.fit(seen, grows)
            for _ in range(self.problem.space.dimensions):
                for seed, codes in zip(grows.tolist(), self.grown(grows), strict=True):
                    found[seed] = codes
                grows = grows[[len(found[seed]) == 0 for seed in grows.tolist()]]
                if not grows.size:
                    break
            for seed, codes in zip(grows.tolist(), self.sampled(grows, self.width), strict=True):
                found[seed] = codes
        for seed in seeds.tolist():
            self.known.add(np.full(len(found[seed]), seed), found[seed])
        return [found[seed] for seed in seeds.tolist()]

    def grown(self, seeds: Ints) -> Sequence[Ints]:
        """The beams of the seeds grow by one parameter; what of the new ones is to be trained."""
        wide = [self.expanded(seed) for seed in seeds.tolist()]
        most = max(map(len, wide))
        padded = np.stack([codes[np.minimum(np.arange(most), len(codes) - 1)] for codes in wide])
        score = np.mean([model.predict(padded, seeds) for model in self.models], axis=0)
        new = []
        for i, seed in enumerate(seeds.tolist()):
            _, first = np.unique(self.known.places(wide[i]), return_index=True)
            first = np.sort(first)
            order = first[np.argsort(score[i, first], kind="stable")]
            self.beam[seed] = wide[i][order[: self.width]]
            self.level[seed] = (self.level[seed] + 1) % self.problem.space.dimensions
            new.append(self.beam[seed][~self.known.has(np.array([seed]), self.beam[seed][None])[0]])
        return new

    def expanded(self, seed: int) -> Ints:
        """Every member of a seed's beam with every value of its next parameter, Int[m, d]."""
        level = int(self.level[seed])
        if level == 0:
            count = self.history.count[seed]
            best = self.history.loss[seed, :count].argmin()
            self.beam[seed] = self.history.codes[seed, [best]].astype(np.int64)
        size = int(self.problem.space.sizes[level])
        wide = np.repeat(self.beam[seed], size, axis=0)
        wide[:, level] = np.tile(np.arange(size), len(self.beam[seed]))
        return wide
