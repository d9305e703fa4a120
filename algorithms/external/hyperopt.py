"""hyperopt's algorithms (Bergstra, Yamins and Cox, "Making a science of model search", ICML 2013)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from algorithms.external import Library, library, seed
from harness import Ints, OneSeed, Problem

_NAMES = ("anneal", "rand", "tpe")


def _find() -> Mapping[str, Any]:
    return {name: library(f"hyperopt.{name}", "hyperopt").suggest for name in _NAMES}


class _Trials:
    """Categorical parameters are `hp.randint`, ordinal ones `hp.quniform(0, k - 1, 1)`."""

    def __init__(
        self, suggest: Any, problem: Problem, generator: np.random.Generator, settings: dict[str, Any]
    ) -> None:
        hyperopt, base = library("hyperopt", "hyperopt"), library("hyperopt.base", "hyperopt")
        hp, self.done = hyperopt.hp, (base.JOB_STATE_DONE, hyperopt.STATUS_OK)
        self.suggest, self.settings = suggest, settings
        self.problem, self.generator, self.trials = problem, generator, hyperopt.Trials()
        self.domain = base.Domain(
            lambda _: 0.0,
            {
                p.name: hp.randint(p.name, len(p.values))
                if p.kind == "categorical"
                else hp.quniform(p.name, 0, len(p.values) - 1, 1)
                for p in problem.space.parameters
            },
        )

    def ask(self) -> tuple[Ints, int, Any]:
        ids = self.trials.new_trial_ids(1)
        (doc,) = self.suggest(ids, self.domain, self.trials, seed(self.generator), **self.settings)
        codes = [int(doc["misc"]["vals"][p.name][0]) for p in self.problem.space.parameters]
        return np.array(codes), self.problem.full, doc

    def tell(self, handle: Any, loss: float, cost: float) -> None:
        handle["state"], status = self.done
        handle["result"] = {"loss": loss, "status": status}
        self.trials.insert_trial_docs([handle])
        self.trials.refresh()


def _make(found: Any, problem: Problem, generator: np.random.Generator, **settings: Any) -> OneSeed:
    return _Trials(found, problem, generator, settings)


LIBRARY = Library("hyperopt", "hyperopt", _find, _make, kept=("verbose",))
