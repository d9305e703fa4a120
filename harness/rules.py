"""The rules of a simulated run: when it ends, what it costs, what is observed, and what counts as the incumbent."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from harness.errors import HarnessError
from harness.table import Table

Noise = Literal["sampled", "mean"]
IncumbentRule = Literal["largest", "any"]
Log = Literal["incumbents", "all"]


@dataclass(frozen=True)
class Rules:
    """How runs are simulated.

    A seed ends when its next result would come after `budget` seconds, after `evals` results, or when its algorithm
    has no more to propose. Every job first costs `overhead` seconds; with `continuation` a configuration that goes on
    from the largest fidelity it has finished costs the difference only. `noise`: each seed observes one training repeat
    per configuration, drawn from a stream of its own, or the mean of the repeats. `incumbent`: the best observed
    result among those at the largest fidelity the seed has observed, or at any. `log`: keep the results that became
    incumbents, or all; only with the former may a seed finish early, once it has observed the lowest loss that the
    table holds for it. Nothing is trained beyond `max_fidelity`, and losses and regrets are reported at
    `report_fidelity`, both values such as 200 epochs and the table's largest by default.
    """

    workers: int = 1
    budget: float = math.inf
    evals: int | None = None
    overhead: float = 0.0
    noise: Noise = "sampled"
    incumbent: IncumbentRule = "largest"
    log: Log = "incumbents"
    max_fidelity: int | None = None
    report_fidelity: int | None = None
    continuation: bool = False

    def __post_init__(self) -> None:
        if self.workers < 1:
            raise HarnessError(f"workers must be at least 1, got {self.workers}.")
        if not self.budget > 0:
            raise HarnessError(f"the budget must be positive, got {self.budget:g}.", "it is in simulated seconds.")
        if self.evals is not None and self.evals < 1:
            raise HarnessError(f"evals must be at least 1, got {self.evals}.")
        if not 0 <= self.overhead < math.inf:
            raise HarnessError(f"overhead must be a finite number of seconds and not negative, got {self.overhead:g}.")
        if math.isinf(self.budget) and self.evals is None:
            raise HarnessError("a run needs an end.", "give a budget in simulated seconds, or a number of evaluations.")

    def seen(self, table: Table) -> Table:
        """What runs see of `table`. Raises HarnessError if it does not have what these rules ask for."""
        table.position(self.report_fidelity)
        if self.continuation and table.facts.separate:
            raise HarnessError(
                f"the fidelities of {table.name} are separate trainings: none goes on from another.",
                "leave --continuation out.",
            )
        return table.up_to(self.max_fidelity)
