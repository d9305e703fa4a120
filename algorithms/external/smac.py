"""SMAC's facades (Lindauer et al., "SMAC3: A versatile Bayesian optimization package for hyperparameter optimization",
JMLR 23, 2022), by its ask and tell.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from algorithms.brackets import rungs
from algorithms.external import Library, Planned, codes, configspace, library, seed
from harness import Ints, Problem

_FACADES = {
    "algorithm-configuration": "AlgorithmConfigurationFacade",
    "blackbox": "BlackBoxFacade",
    "hyperband": "HyperbandFacade",
    "hyperparameter": "HyperparameterOptimizationFacade",
    "multifidelity": "MultiFidelityFacade",
    "random": "RandomFacade",
}
_ETA = 3


def _find() -> Mapping[str, Any]:
    smac = library("smac", "smac")
    return {name: getattr(smac, facade) for name, facade in _FACADES.items()}


def _halves(facade: Any) -> bool:
    return facade.__name__ in ("HyperbandFacade", "MultiFidelityFacade")


class _Facade:
    """Budgets are 3^-k; the k-th from the top stands for the k-th of the fidelities that Hyperband uses."""

    def __init__(
        self, facade: Any, problem: Problem, generator: np.random.Generator, *, planned: Planned = 300
    ) -> None:
        smac, self.problem = library("smac", "smac"), problem
        self.value = library("smac.runhistory", "smac").TrialValue
        used = rungs(problem.fidelities, _ETA, 0, 0) if _halves(facade) else np.array([problem.full])
        self.used, number = used, seed(generator)
        with tempfile.TemporaryDirectory() as folder:
            scenario = smac.Scenario(
                configspace(problem.space, number, "OrdinalHyperparameter"),
                deterministic=True,
                n_trials=planned,
                seed=number,
                output_directory=Path(folder),
                **({"min_budget": float(_ETA) ** (1 - len(used)), "max_budget": 1.0} if _halves(facade) else {}),
            )
            self.facade = facade(scenario, target_function=None, overwrite=True, logging_level=False)
        # what the package would write after every result goes nowhere
        self.facade._optimizer.save = self.facade.runhistory.save = lambda *_, **__: None

    def ask(self) -> tuple[Ints, int, Any]:
        trial = self.facade.ask()
        below = 0 if trial.budget is None else round(-np.log(trial.budget) / np.log(_ETA))
        return codes(trial.config, self.problem.space.dimensions), int(self.used[len(self.used) - 1 - below]), trial

    def tell(self, handle: Any, loss: float, cost: float) -> None:
        self.facade.tell(handle, self.value(cost=loss, time=cost), save=False)


LIBRARY = Library("smac", "smac", _find, _Facade, kept=("overwrite",), multifidelity=_halves)
