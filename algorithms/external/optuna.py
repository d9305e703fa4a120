"""Optuna's samplers (Akiba et al., "Optuna: A next-generation hyperparameter optimization framework", KDD 2019)."""

from __future__ import annotations

import warnings
from typing import Annotated, Any

import numpy as np

from algorithms.external import library, seed
from harness import Ints, OneSeed, Param, Problem, per_seed


@per_seed
def tpe(
    problem: Problem,
    generator: np.random.Generator,
    *,
    multivariate: Annotated[bool, Param("one density for all parameters; Optuna 5 has true for its default")] = False,
    constant_liar: Annotated[bool, Param("count running jobs as bad; Optuna 5 has true for its default")] = False,
) -> OneSeed:
    """Optuna's TPESampler, univariate and without a liar unless told otherwise, at the largest fidelity."""
    return _Study(problem, "TPESampler", seed=seed(generator), multivariate=multivariate, constant_liar=constant_liar)


@per_seed
def random(problem: Problem, generator: np.random.Generator) -> OneSeed:
    """Optuna's RandomSampler, at the largest fidelity."""
    return _Study(problem, "RandomSampler", seed=seed(generator))


class _Study:
    """An Optuna study. Categorical parameters are suggested as categories, ordinal ones as integers."""

    def __init__(self, problem: Problem, sampler: str, **settings: Any) -> None:
        optuna = library("optuna", "optuna")
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self.problem = problem
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self.study = optuna.create_study(sampler=getattr(optuna.samplers, sampler)(**settings))

    def ask(self) -> tuple[Ints, int, Any]:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            trial = self.study.ask()
            codes = [
                trial.suggest_categorical(p.name, range(len(p.values)))
                if p.kind == "categorical"
                else trial.suggest_int(p.name, 0, len(p.values) - 1)
                for p in self.problem.space.parameters
            ]
        return np.array(codes), self.problem.full, trial

    def tell(self, handle: Any, loss: float, cost: float) -> None:
        self.study.tell(handle, loss)
