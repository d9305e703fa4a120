"""The package `hpbandster` (Falkner, Klein and Hutter, "BOHB: Robust and efficient hyperparameter optimization at
scale", ICML 2018): BOHB and Hyperband without its servers, workers and threads.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import numpy as np

from algorithms.brackets import rungs
from algorithms.external import Globals, Library, codes, configspace, library, seed, single
from algorithms.hyperband import Eta
from harness import Ints, OneSeed, Param, Problem, per_seed

_GENERATORS = "hpbandster.optimizers.config_generators"


@per_seed
def bohb(
    problem: Problem,
    generator: np.random.Generator,
    *,
    eta: Eta = 3,
    min_bandwidth: Annotated[float, Param("smallest bandwidth of a kernel", low=1e-9)] = 0.3,
) -> OneSeed:
    """BOHB of the package hpbandster, with its defaults but for `min_bandwidth`, which is ours."""
    return _Brackets(problem, seed(generator), eta, "bohb", "BOHB", min_bandwidth=min_bandwidth)


@per_seed
def hyperband(problem: Problem, generator: np.random.Generator, *, eta: Eta = 3) -> OneSeed:
    """Hyperband of the package hpbandster."""
    return _Brackets(problem, seed(generator), eta, "random_sampling", "RandomSampling")


class _Log:
    """Stands in for the package's logger; a model that fails is an error, not a warning and a random configuration."""

    def debug(self, *_: Any) -> None:
        pass

    def warning(self, message: str, *arguments: Any) -> None:
        if message.startswith("Sampling based optimization"):
            raise RuntimeError(f"hpbandster does not work with what is installed here: {message % arguments}")


class _Brackets:
    """The package's rule for brackets and its SuccessiveHalving, as its Master runs them.

    A worker that no open bracket can use opens the next one. Ordinal parameters are integers, as the package's models
    ask for.
    """

    def __init__(self, problem: Problem, seed: int, eta: int, module: str, name: str, **settings: float) -> None:
        single(problem, "hpbandster")
        self.job = library("hpbandster.core.dispatcher", "hpbandster").Job
        hyperband = library("hpbandster.optimizers.hyperband", "hpbandster").HyperBand
        make = getattr(library(f"{_GENERATORS}.{module}", "hpbandster"), name)
        used = rungs(problem.fidelities, eta, 0, 0)
        budgets = problem.fidelities[used].astype(np.float64)
        self.problem = problem
        self.index = dict(zip(budgets.tolist(), used.tolist(), strict=True))
        self.world = Globals(seed)
        with self.world():
            space = configspace(problem.space, seed, "UniformIntegerHyperparameter")
            self.generator = make(space, logger=_Log(), **settings)
        self.rule = hyperband.__new__(hyperband)
        self.rule.eta, self.rule.max_SH_iter, self.rule.budgets = eta, len(budgets), budgets
        self.rule.config_generator = self.generator
        self.open: list[Any] = []
        self.opened = 0

    def ask(self) -> tuple[Ints, int, Any]:
        with self.world():
            run = next(filter(None, (bracket.get_next_run() for bracket in self.open)), None)
            self.open = [bracket for bracket in self.open if not bracket.is_finished]
            if run is None:
                self.open.append(self.rule.get_next_iteration(self.opened, {"result_logger": None}))
                self.opened += 1
                run = self.open[-1].get_next_run()
        key, configuration, budget = run
        return (
            codes(configuration, self.problem.space.dimensions),
            self.index[float(budget)],
            self.job(key, config=configuration, budget=budget),
        )

    def tell(self, handle: Any, loss: float, cost: float) -> None:
        handle.result, handle.exception = {"loss": loss, "info": ""}, None
        with self.world():
            bracket = next(b for b in self.open if b.HPB_iter == handle.id[0])
            bracket.register_result(handle)
            self.generator.new_result(handle)


def _find() -> Mapping[str, Any]:
    library("hpbandster.core.dispatcher", "hpbandster")
    return {"BOHB": bohb, "HyperBand": hyperband}


LIBRARY = Library(
    "hpbandster", "hpbandster", _find, lambda found, *given, **settings: found.__wrapped__(*given, **settings)
)
