"""pymoo's algorithms of several objectives (Blank and Deb, "pymoo: Multi-objective optimization in Python", IEEE
Access 8, 2020), by ask and tell.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from algorithms.external import Library, library, seed
from harness import Floats, HarnessError, Ints, Problem

_MODULES = {"AGEMOEA": "age", "NSGA2": "nsga2", "SMSEMOA": "sms"}


def _find() -> Mapping[str, Any]:
    return {name: getattr(library(f"pymoo.algorithms.moo.{of}", "pymoo"), name) for name, of in _MODULES.items()}


class _Optimizer:
    """Parameters are pymoo's mixed variables: choices, and integers where they are ordinal. A generation at a time."""

    def __init__(self, found: Any, problem: Problem, generator: np.random.Generator, **settings: Any) -> None:
        if not problem.objectives:
            raise HarnessError(
                f"pymoo's {found.__name__} searches for several objectives.",
                "name them: --objectives error,latency.raspi4",
            )
        mixed, variable = library("pymoo.core.mixed", "pymoo"), library("pymoo.core.variable", "pymoo")
        variables = {
            f"x{j:04d}": variable.Choice(options=range(len(p.values)))
            if p.kind == "categorical"
            else variable.Integer(bounds=(0, len(p.values) - 1))
            for j, p in enumerate(problem.space.parameters)
        }
        single = mixed.MixedVariableDuplicateElimination()
        selection = found().mating.selection
        self.algorithm = found(
            sampling=mixed.MixedVariableSampling(),
            mating=mixed.MixedVariableMating(selection=selection, eliminate_duplicates=single),
            eliminate_duplicates=single,
            **settings,
        )
        theirs = library("pymoo.core.problem", "pymoo").Problem(vars=variables, n_obj=len(problem.objectives))
        self.algorithm.setup(theirs, termination=("n_gen", 10**9), seed=seed(generator))
        self.full, self.names = problem.full, list(variables)
        self.asked: list[Any] = []
        self.generation: Any = ()
        self.told = 0

    def ask(self) -> tuple[Ints, int, Any] | None:
        if not self.asked and self.told == len(self.generation):
            asked = self.algorithm.ask()
            if asked is None:  # nothing is left that was not tried
                return None
            self.generation, self.asked, self.told = asked, [*asked], 0
        if not self.asked:
            return None
        one = self.asked.pop(0)
        return np.array([int(one.X[name]) for name in self.names]), self.full, one

    def tell_several(self, handle: Any, loss: float, objectives: Floats, cost: float) -> None:
        handle.set("F", objectives.copy())
        handle.set("evaluated", {"F"})
        self.told += 1
        if self.told == len(self.generation):
            self.algorithm.tell(infills=self.generation)

    def tell(self, handle: Any, loss: float, cost: float) -> None:
        raise NotImplementedError


LIBRARY = Library("pymoo", "pymoo", _find, _Optimizer, several=lambda _: True)
