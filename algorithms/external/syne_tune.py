"""Syne Tune's schedulers (Salinas et al., "Syne Tune: A library for large scale hyperparameter tuning and reproducible
research", AutoML 2022), those that its `baselines` have.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple

import numpy as np

from algorithms.brackets import rungs
from algorithms.external import Library, library, seed
from harness import HarnessError, Ints, OneSeed, Problem

_ETA = 3


def _find() -> Mapping[str, Any]:
    module = library("syne_tune.optimizer.baselines", "syne-tune")
    scheduler = library("syne_tune.optimizer.scheduler", "syne-tune").TrialScheduler
    own = {name: c for name, c in vars(module).items() if inspect.isclass(c) and issubclass(c, scheduler)}
    return {name: c for name, c in own.items() if c.__module__ == module.__name__ and name != "EHVI"}


def _stops(scheduler: Any) -> bool:
    return "max_t" in inspect.signature(scheduler).parameters


class _Job(NamedTuple):
    trial: Any
    rung: int


class _Scheduler:
    """A trial that the scheduler lets continue goes on to the next fidelity of Hyperband's before a new one starts.

    Rung k is told as 3^k steps of training.
    """

    def __init__(self, found: Any, problem: Problem, generator: np.random.Generator, settings: dict[str, Any]) -> None:
        spaces = library("syne_tune.config_space", "syne-tune")
        self.trial = library("syne_tune.backend.trial_status", "syne-tune").Trial
        self.go_on = library("syne_tune.optimizer.scheduler", "syne-tune").SchedulerDecision.CONTINUE
        self.names = [f"x{j:04d}" for j in range(problem.space.dimensions)]
        self.used = rungs(problem.fidelities, _ETA, 0, 0) if _stops(found) else np.array([problem.full])
        space = {
            name: spaces.choice([*range(n)]) if p.kind == "categorical" else spaces.randint(0, n - 1)
            for name, p, n in zip(self.names, problem.space.parameters, problem.space.sizes.tolist(), strict=True)
        }
        metric = "metrics" if "metrics" in inspect.signature(found).parameters else "metric"
        steps = {
            "time_attr": "steps",
            "max_t": _ETA ** (len(self.used) - 1),
            "reduction_factor": _ETA,
            "grace_period": 1,
        }
        self.scheduler = found(
            space,
            **{metric: ["loss"] if metric == "metrics" else "loss"},
            do_minimize=True,
            random_seed=seed(generator),
            **(steps if _stops(found) else {}),
            **settings,
        )
        self.waiting: list[_Job] = []
        self.started = 0

    def ask(self) -> tuple[Ints, int, _Job]:
        if self.waiting:
            job = self.waiting.pop(0)
        else:
            suggestion = self.scheduler.suggest()
            if suggestion is None:
                raise HarnessError("Syne Tune's scheduler has no configuration left to suggest.")
            job = _Job(self.trial(self.started, suggestion.config, datetime.min), 0)
            self.started += 1
            self.scheduler.on_trial_add(job.trial)
        codes = np.array([int(job.trial.config[name]) for name in self.names])
        return codes, int(self.used[job.rung]), job

    def tell(self, handle: _Job, loss: float, cost: float) -> None:
        result = {"loss": loss, "steps": _ETA**handle.rung}
        if handle.rung == len(self.used) - 1:
            self.scheduler.on_trial_complete(handle.trial, result)
        elif self.scheduler.on_trial_result(handle.trial, result) == self.go_on:
            self.waiting.append(_Job(handle.trial, handle.rung + 1))


def _make(found: Any, problem: Problem, generator: np.random.Generator, **settings: Any) -> OneSeed:
    return _Scheduler(found, problem, generator, settings)


_KEPT = ("do_minimize", "random_seed", "max_t", "grace_period", "reduction_factor", "time_attr", "metric")
LIBRARY = Library("syne-tune", "syne-tune", _find, _make, kept=_KEPT, multifidelity=_stops)
