"""MOTPE (Ozaki, Tanigaki, Watanabe, Nomura and Onishi, "Multiobjective tree-structured Parzen estimator for
computationally expensive optimization problems", JAIR 73, 2022), by the rules of Optuna.
"""

from __future__ import annotations

from typing import Annotated

from algorithms.density import FrontParzen
from algorithms.tpe import TPE
from harness import HarnessError, Param, Problem, Results, Streams


class MOTPE(TPE):
    """TPE of several objectives: for each parameter, the value that the first fronts have more often than the others.

    The good results are the best tenth by non-dominated fronts, and of the last front those that add the most
    hypervolume. The rules are those of Optuna 5 with `multivariate=False`. A model is made of the results that have
    been told. All evaluations are at the largest fidelity.
    """

    several = True

    def __init__(
        self,
        problem: Problem,
        streams: Streams,
        *,
        startup: Annotated[int, Param("results before the first model", low=1)] = 10,
        gamma: Annotated[float, Param("good: ceil(gamma n)", 1e-9, 1)] = 0.1,
        cap: Annotated[int, Param("good results at most", low=1)] = 1000,
        candidates: Annotated[int, Param("drawn from the good density for each parameter", low=1)] = 24,
        prior_weight: Annotated[float, Param("weight of the prior, in observations", low=1e-9)] = 1.0,
        forgetting: Annotated[int, Param("newest of the others that keep their full weight", low=1)] = 25,
    ) -> None:
        if not problem.objectives:
            raise HarnessError("motpe searches for several objectives.", "name them: --objectives error,latency.raspi4")
        super().__init__(problem, streams, variant="optuna", startup=startup, candidates=candidates)
        self.model = FrontParzen(
            problem.space,
            len(problem.seeds),
            len(problem.objectives),
            gamma=gamma,
            cap=cap,
            prior_weight=prior_weight,
            forgetting=forgetting,
            ratios=problem.ratios,
        )

    def tell(self, results: Results) -> None:
        assert results.objectives is not None
        self.model.add(results.seeds, results.codes, results.objectives)
