"""NePS's optimizers (Stoll et al., "Neural pipeline search", 2023), by its ask and tell."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

import numpy as np

from algorithms.brackets import rungs
from algorithms.external import Library, library
from harness import Ints, OneSeed, Problem

_ETA = 3
_FIDELITY = "steps"


def _find() -> Mapping[str, Any]:
    """Those that need neither priors nor several objectives, in the space that the package calls classic."""
    known = library("neps.optimizers.algorithms", "neps").PredefinedOptimizers
    other = ("pibo", "primo", "grid_search", "mo_", "moasha", "neps_", "complex_")
    return {name: found for name, found in known.items() if not name.startswith(other)}


def _halves(found: Any) -> bool:
    return found.__name__ not in ("random_search", "bayesian_optimization")


class _Optimizer:
    """Rung k is told as 3^k steps; the k-th from the top is the k-th of the fidelities that Hyperband uses."""

    def __init__(self, found: Any, problem: Problem, settings: dict[str, Any]) -> None:
        neps = library("neps", "neps")
        self.names = [f"x{j:04d}" for j in range(problem.space.dimensions)]
        space = {
            name: neps.Categorical([*range(len(p.values))])
            if p.kind == "categorical"
            else neps.Integer(0, len(p.values) - 1)
            for name, p in zip(self.names, problem.space.parameters, strict=True)
        }
        self.used = rungs(problem.fidelities, _ETA, 0, 0) if _halves(found) else np.array([problem.full])
        if _halves(found):
            space[_FIDELITY] = neps.IntegerFidelity(1, _ETA ** (len(self.used) - 1))
        made = type("Space", (neps.PipelineSpace,), space)()
        own = {"sampler": "uniform"} if "sampler" in inspect.signature(found).parameters else {}
        self.optimizer = neps.AskAndTell(found(made, **own, **settings), worker_id="harness")

    def ask(self) -> tuple[Ints, int, Any]:
        trial = self.optimizer.ask()
        steps = trial.config.get(_FIDELITY, 1)
        rung = min(len(self.used) - 1, round(np.log(steps) / np.log(_ETA)))
        return np.array([int(trial.config[name]) for name in self.names]), int(self.used[rung]), trial

    def tell(self, handle: Any, loss: float, cost: float) -> None:
        self.optimizer.tell(
            handle, {"objective_to_minimize": loss, "cost": cost}, time_end=0.0, evaluation_duration=cost
        )


def _make(found: Any, problem: Problem, generator: np.random.Generator, **settings: Any) -> OneSeed:
    return _Optimizer(found, problem, settings)


_KEPT = ("sampler", "use_priors", "sample_prior_first", "ignore_fidelity")
LIBRARY = Library(
    "neural-pipeline-search",
    "neps",
    _find,
    _make,
    kept=_KEPT,
    multifidelity=_halves,
)
