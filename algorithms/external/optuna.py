"""Optuna's samplers (Akiba et al., "Optuna: A next-generation hyperparameter optimization framework", KDD 2019)."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Mapping
from typing import Annotated, Any, NamedTuple

import numpy as np

from algorithms.brackets import rungs
from algorithms.external import Library, library, seed
from harness import Floats, HarnessError, Ints, OneSeed, Param, Problem, per_seed


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


_UNUSABLE = ("BruteForceSampler", "GridSampler", "PartialFixedSampler")
_NUMBERS_ONLY = ("CmaEsSampler", "QMCSampler")
_ONE_OBJECTIVE = ("CmaEsSampler",)
_PRUNERS: Mapping[str, Mapping[str, Any]] = {
    "HyperbandPruner": {"min_resource": 1, "reduction_factor": 3},
    "MedianPruner": {},
    "SuccessiveHalvingPruner": {"min_resource": 1, "reduction_factor": 3},
}


class _Sampler(NamedTuple):
    sampler: Any
    pruner: str


def _find() -> Mapping[str, _Sampler]:
    """Every sampler, alone and with a pruner: `TPESampler`, `TPESampler+HyperbandPruner`."""
    samplers = library("optuna.samplers", "optuna")
    usable = {
        name: getattr(samplers, name)
        for name in samplers.__all__
        if name.endswith("Sampler") and name not in _UNUSABLE and not inspect.isabstract(getattr(samplers, name))
    }
    return {
        f"{name}+{pruner}".rstrip("+"): _Sampler(found, pruner)
        for name, found in usable.items()
        for pruner in ("", *_PRUNERS)
    }


def _make(found: _Sampler, problem: Problem, generator: np.random.Generator, **settings: Any) -> OneSeed:
    name = found.sampler.__name__
    if name in _NUMBERS_ONLY and all(p.kind == "categorical" for p in problem.space.parameters):
        raise HarnessError(
            f"optuna's {name} searches numbers only, and every parameter here is a category.",
            "use optuna:TPESampler, or a benchmark with ordinal parameters, such as fcnet.",
        )
    return _Study(problem, name, found.pruner, seed=seed(generator), **settings)


LIBRARY = Library(
    "optuna",
    "optuna",
    _find,
    _make,
    kept=("seed", "warn_independent_sampling"),
    multifidelity=lambda found: bool(found.pruner),
    several=lambda found: not found.pruner and found.sampler.__name__ not in _ONE_OBJECTIVE,
    signature=lambda found: found.sampler,
)


class _Study:
    """An Optuna study, of all objectives of the problem. Categorical parameters are suggested as categories, ordinal
    ones as integers.

    With a pruner, a trial goes on from fidelity to fidelity of Hyperband's, rung k as step 3^k, until it is pruned;
    one that goes on comes before a new one.
    """

    def __init__(self, problem: Problem, sampler: str, pruner: str = "", **settings: Any) -> None:
        optuna = library("optuna", "optuna")
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self.problem = problem
        self.pruned = optuna.trial.TrialState.PRUNED
        self.used = rungs(problem.fidelities, 3, 0, 0) if pruner else np.array([problem.full])
        top = {"max_resource": 3 ** (len(self.used) - 1)} if pruner == "HyperbandPruner" else {}
        made = getattr(optuna.pruners, pruner)(**_PRUNERS[pruner], **top) if pruner else None
        self.waiting: list[tuple[Ints, Any, int]] = []
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self.study = optuna.create_study(
                study_name="harness",
                sampler=getattr(optuna.samplers, sampler)(**settings),
                pruner=made,
                directions=["minimize"] * max(1, len(problem.objectives)),
            )

    def ask(self) -> tuple[Ints, int, Any]:
        codes, trial, rung = self.waiting.pop(0) if self.waiting else (*self._new(), 0)
        return codes, int(self.used[rung]), (codes, trial, rung)

    def _new(self) -> tuple[Ints, Any]:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            trial = self.study.ask()
            codes = [
                trial.suggest_categorical(p.name, range(len(p.values)))
                if p.kind == "categorical"
                else trial.suggest_int(p.name, 0, len(p.values) - 1)
                for p in self.problem.space.parameters
            ]
        return np.array(codes), trial

    def tell_several(self, handle: Any, loss: float, objectives: Floats, cost: float) -> None:
        self.study.tell(handle[1], objectives.tolist())

    def tell(self, handle: Any, loss: float, cost: float) -> None:
        codes, trial, rung = handle
        if rung == len(self.used) - 1:
            self.study.tell(trial, loss)
            return
        trial.report(loss, 3**rung)
        if trial.should_prune():
            self.study.tell(trial, state=self.pruned)
        else:
            self.waiting.append((codes, trial, rung + 1))
