"""Tree-structured Parzen estimator (Bergstra, Bardenet, Bengio and Kegl, "Algorithms for hyper-parameter optimization",
NeurIPS 2011).
"""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np

from algorithms.density import Parzen
from harness import Ints, Jobs, Param, Problem, Results, Streams

Variant = Literal["hyperopt", "optuna"]
_STARTUP = {"hyperopt": 20, "optuna": 10}
_GAMMA = {"hyperopt": 0.25, "optuna": 0.1}


class TPE:
    """TPE: for each parameter on its own, the value that good results have more often than the others.

    The rules are those of hyperopt, or of Optuna with `multivariate=False`. A model is made of the results that have
    been told: running jobs do not count, as with Optuna's `constant_liar=False`. All evaluations are at the largest
    fidelity.
    """

    shard = 250
    preload = ("algorithms.density",)

    def __init__(
        self,
        problem: Problem,
        streams: Streams,
        *,
        variant: Annotated[Variant, Param("whose rules to follow")] = "hyperopt",
        startup: Annotated[int, Param("results before the first model; 0 for the variant's, 20 or 10", low=0)] = 0,
        gamma: Annotated[float, Param("good: ceil(gamma sqrt(n)), Optuna ceil(gamma n); 0 for 0.25, 0.1", 0)] = 0.0,
        cap: Annotated[int, Param("good results at most", low=1)] = 25,
        candidates: Annotated[int, Param("drawn from the good density for each parameter", low=1)] = 24,
        prior_weight: Annotated[float, Param("weight of the prior, in observations", low=1e-9)] = 1.0,
        forgetting: Annotated[int, Param("newest results that keep their full weight", low=1)] = 25,
    ) -> None:
        self.problem = problem
        self.initial = streams.child("initial")
        self.draws = streams.child("candidates")
        self.startup = startup or _STARTUP[variant]
        self.shape = (problem.space.dimensions, candidates)
        self.model = Parzen(
            problem.space,
            len(problem.seeds),
            variant=variant,
            gamma=gamma or _GAMMA[variant],
            cap=cap,
            prior_weight=prior_weight,
            forgetting=forgetting,
        )

    def ask(self, seeds: Ints, worker: Ints) -> Jobs:
        space = self.problem.space
        modelled = self.model.count[seeds] >= self.startup
        codes = np.empty((len(seeds), space.dimensions), dtype=np.int64)
        codes[~modelled] = space.sample(self.initial.uniform(space.dimensions, seeds[~modelled]))
        at = seeds[modelled]
        uniforms = self.draws.uniform(self.shape[0] * self.shape[1], at).reshape(-1, *self.shape)
        codes[modelled] = self.model.propose(at, uniforms)
        return Jobs(codes, self.problem.full)

    def tell(self, results: Results) -> None:
        self.model.add(results.seeds, results.codes, results.loss)
