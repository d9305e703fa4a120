"""The rules of a simulated run: when it ends, what it costs, what is observed, and what counts as the incumbent."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from harness.algorithm import Problem
from harness.arrays import Bools, Floats, Ints
from harness.errors import HarnessError
from harness.scoring import Scoring
from harness.table import Table

Noise = Literal["sampled", "mean"]
IncumbentRule = Literal["largest", "any"]
Log = Literal["incumbents", "all"]


_MOST_WORKERS = 10_000


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
    `report_fidelity`, both values such as 200 epochs and the table's largest by default. With `objectives`, two or more
    names, a run is after their Pareto front: the results that nothing before them dominates are logged as incumbents
    are. A configuration that breaks one of the `constraints`, such as `latency.raspi4<=20`, is observed as invalid, at
    its cost.
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
    objectives: tuple[str, ...] = ()
    constraints: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.workers < 1:
            raise HarnessError(f"workers must be at least 1, got {self.workers}.")
        if self.workers > _MOST_WORKERS:
            raise HarnessError(f"{self.workers:,} simulated workers are too many.", f"take at most {_MOST_WORKERS:,}.")
        if not self.budget > 0:
            raise HarnessError(f"the budget must be positive, got {self.budget:g}.", "it is in simulated seconds.")
        if self.evals is not None and self.evals < 1:
            raise HarnessError(f"evals must be at least 1, got {self.evals}.")
        if not 0 <= self.overhead < math.inf:
            raise HarnessError(f"overhead must be a finite number of seconds and not negative, got {self.overhead:g}.")
        if len(self.objectives) == 1 or len(set(self.objectives)) < len(self.objectives):
            raise HarnessError(
                f"{','.join(self.objectives)} are not several objectives.", "name two or more, each once: error,latency"
            )
        for constraint in self.constraints:
            parsed(constraint)
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
        for name in self.objectives:
            if name != table.primary:
                table.objective(name)
        seen = self.feasible(table).up_to(self.max_fidelity)
        if not np.isfinite(seen.loss[:, -1]).any():
            raise HarnessError(
                f"{table.name} has no finite loss at {table.facts.fidelity} {seen.fidelities[-1]}.",
                "no algorithm can find anything there.",
            )
        if not self.overhead and not (seen.cost > 0).any():
            raise HarnessError(
                f"all trainings of {table.name} cost 0.", "charge each: --overhead 1 counts evaluations."
            )
        return seen

    def problem(self, table: Table, seeds: Ints, scoring: Scoring) -> Problem:
        """What algorithms know of runs on a table that is `seen`."""
        about = (self.workers, self.budget, self.objectives, scoring.score, table.ratios)
        return Problem(table.space, table.fidelities, seeds, *about)

    def feasible(self, table: Table) -> Table:
        """`table` with infinite losses where a constraint is broken. Raises HarnessError if that is everywhere."""
        if not self.constraints:
            return table
        broken = np.zeros(len(table), dtype=np.bool_)
        for constraint in self.constraints:
            name, below, bound = parsed(constraint)
            objective = table.objective(name)
            kept = objective.values <= bound if below else objective.values >= bound
            if not kept.any():
                best = np.nanmin(objective.values) if below else np.nanmax(objective.values)
                raise HarnessError(
                    f"no configuration of {table.name} has {constraint}.",
                    f"its {'smallest' if below else 'largest'} {name} is {best:.6g} {objective.unit}".rstrip() + ".",
                )
            broken |= ~kept
        if broken.all():
            raise HarnessError(f"no configuration of {table.name} has {' and '.join(self.constraints)}.")
        return replace(table, loss=_broken(table.loss, broken), test=_broken(table.test, broken))

    @property
    def numbers(self) -> tuple[str, ...]:
        """The objectives whose numbers a run depends on."""
        return (*self.objectives, *(parsed(constraint)[0] for constraint in self.constraints))


def parsed(constraint: str) -> tuple[str, bool, float]:
    """The objective of a constraint, whether it is bounded from above, and the bound. Raises HarnessError."""
    name, sign, bound = re.fullmatch(r"\s*(.*?)\s*(<=|>=|$)\s*(.*?)\s*", constraint).groups()  # type: ignore[union-attr]
    try:
        number = float(bound)
    except ValueError:
        number = math.nan
    if not (name and sign and math.isfinite(number)):
        raise HarnessError(f"'{constraint}' is not a constraint.", "write it as 'latency.raspi4<=20', with <= or >=.")
    return name, sign == "<=", number


def _broken(losses: Floats | None, broken: Bools) -> Any:
    """Losses Float[N, F, R] that are infinite where a row is `broken` Bool[N]."""
    if losses is None:
        return None
    return np.where(broken[:, None, None] & np.isfinite(losses), np.inf, losses)
