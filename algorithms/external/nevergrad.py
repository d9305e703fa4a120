"""Nevergrad's optimizers (Rapin and Teytaud, "Nevergrad: A gradient-free optimization platform", 2018), by its
registry.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from algorithms.external import Library, Planned, library, seed
from harness import Ints, Problem


def _registry() -> Mapping[str, Any]:
    return dict(library("nevergrad", "nevergrad").optimizers.registry)


class _Optimizer:
    """Categories are choices, ordinal parameters choices that move to their neighbours."""

    def __init__(self, found: Any, problem: Problem, generator: np.random.Generator, *, planned: Planned = 300) -> None:
        p = library("nevergrad", "nevergrad").p
        space = p.Tuple(
            *(
                (p.Choice if parameter.kind == "categorical" else p.TransitionChoice)(range(len(parameter.values)))
                for parameter in problem.space.parameters
            )
        )
        space.random_state.seed(seed(generator))
        self.optimizer = found(space, budget=planned, num_workers=problem.workers)
        self.full = problem.full

    def ask(self) -> tuple[Ints, int, Any]:
        candidate = self.optimizer.ask()
        return np.array(candidate.value), self.full, candidate

    def tell(self, handle: Any, loss: float, cost: float) -> None:
        self.optimizer.tell(handle, loss)


LIBRARY = Library("nevergrad", "nevergrad", _registry, _Optimizer, kept=("budget", "num_workers"))
