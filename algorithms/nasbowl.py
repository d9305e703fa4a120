"""NAS-BOWL (Ru, Wan, Dong and Osborne, "Interpretable neural architecture search via Bayesian optimisation with
Weisfeiler-Lehman kernels", ICLR 2021).
"""

from __future__ import annotations

from typing import Annotated

import numpy as np
from scipy.special import ndtr

from algorithms.chosen import Chosen
from harness import Floats, HarnessError, Ints, Param, Problem, Streams
from harness.predictor import MakePredictor, Sure, Uses

PROCESS = Uses("one that says how sure it is; or auto: gpwl on graphs, else gp", "auto", ("gpwl", "gp"))


class NASBOWL(Chosen):
    """NAS-BOWL: a Gaussian process, on the subtrees of graphs; expected improvement picks among mutants of the best.

    After some random configurations each iteration fits the process to all results and trains those new ones of a pool
    from which most improvement is expected over the lowest mean at anything seen. The pool are mutants of the best
    results, in which every parameter has changed with probability 1 / d, one at least, and `fresh` random
    configurations. All is trained at the largest fidelity.
    """

    def __init__(
        self,
        problem: Problem,
        streams: Streams,
        predictor: Annotated[MakePredictor, PROCESS],
        *,
        random: Annotated[int, Param("configurations that are trained first", low=2)] = 10,
        batch: Annotated[int, Param("configurations that are trained between fits", low=1)] = 5,
        mutants: Annotated[int, Param("mutants to choose from", low=1)] = 100,
        fresh: Annotated[int, Param("random configurations to choose from", low=0)] = 100,
        parents: Annotated[int, Param("best results that mutants are made of", low=1)] = 10,
    ) -> None:
        super().__init__(problem, streams, random, batch, parents)
        self.mutants, self.fresh = mutants, fresh
        model = predictor(problem, streams.child("process"))
        if not isinstance(model, Sure):
            raise HarnessError(
                "nasbowl needs a predictor that says how sure it is.", "take gpwl, or gp without graphs."
            )
        self.model = model
        self.mutations = streams.child("mutations")

    def pool(self, seeds: Ints) -> Ints:
        """Mutants of the best valid results, where there are any, and random configurations, Int[k, m, d]."""
        space, shape = self.problem.space, (len(seeds), self.mutants)
        draws = self.mutations.uniform(self.mutants * (1 + 2 * space.dimensions), seeds).reshape(*shape, -1)
        change, value = draws[..., 1:].reshape(*shape, 2, -1).transpose(2, 0, 1, 3)
        changes = (change < 1.0 / space.dimensions) | (change == change.min(axis=2, keepdims=True))
        step = 1 + (value * (space.sizes - 1)).astype(np.int64)
        mutants = (self.best.drawn(seeds, draws[..., 0]) + np.where(changes, step, 0)) % space.sizes
        if (without := ~np.isfinite(self.best.loss[seeds]).any(axis=1)).any():
            mutants[without] = self.sampled(seeds[without], self.mutants)
        return np.concatenate([mutants, self.sampled(seeds, self.fresh)], axis=1)

    def scores(self, seeds: Ints, codes: Ints) -> Floats:
        """The expected improvement of codes Int[k, m, d], negative, Float[k, m]."""
        self.model.fit(self.history.of(seeds), seeds)
        mean, deviation, lowest = self.model.posterior(codes, seeds)
        gain, deviation = lowest[:, None] - mean, np.maximum(deviation, 1e-12)
        ahead = gain / deviation
        return -(gain * ndtr(ahead) + deviation * np.exp(-0.5 * ahead**2) / (2.0 * np.pi) ** 0.5)
