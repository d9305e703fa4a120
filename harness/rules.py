"""The rules of a simulated run: when it ends, what it costs, what is observed, and what counts as the incumbent."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args, get_type_hints

from harness.errors import HarnessError
from harness.fields import hints, table
from harness.params import FINITE, Option

if TYPE_CHECKING:
    from harness.algorithm import Problem
    from harness.arrays import Bools, Floats, Ints
    from harness.scoring import Scoring
    from harness.table import Table

Noise = Literal["sampled", "mean"]
IncumbentRule = Literal["largest", "any"]
Log = Literal["incumbents", "all"]

_MOST_WORKERS = 10_000


@dataclass(frozen=True)
class Rule(Option):
    """What a field of `Rules` says of itself: its option of `harness run`, and how it is told of results.

    Told are a `clause` of the sentence under a table, and a `line` of the report's list under a `heading`: templates
    of `value`, of the table's fidelity, `unit`, and of the unit of its costs, `time`, for values other than the
    default, or a text for each value.
    """

    clause: str | Mapping[str, str] = ""
    line: str | Mapping[str, str] = ""
    heading: str = ""


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

    budget: Annotated[
        float,
        Rule(
            "Simulated seconds per run.",
            0.0,
            absent="the benchmark's, unless --evals",
            line="{value:.4g} {time}",
            heading="runs",
        ),
    ] = math.inf
    evals: Annotated[int | None, Rule("Evaluations per run.", 1, line="{value} evaluations", heading="runs")] = None
    workers: Annotated[
        int, Rule("Simulated asynchronous workers.", 1, _MOST_WORKERS, line="{value}, asynchronous", heading="workers")
    ] = 1
    overhead: Annotated[
        float,
        Rule(
            "Simulated seconds charged per job.", 0.0, FINITE, line="{value:g} {time} for each job", heading="overhead"
        ),
    ] = 0.0
    incumbent: Annotated[
        IncumbentRule,
        Rule(
            "Best observed at the largest fidelity observed so far, or at any.",
            clause={
                "largest": "incumbent: best observed at the largest observed fidelity",
                "any": "incumbent: best observed at any fidelity",
            },
            line={
                "largest": "the best observed validation loss at the largest fidelity that the run has observed",
                "any": "the best observed validation loss at any fidelity",
            },
            heading="incumbent",
        ),
    ] = "largest"
    noise: Annotated[
        Noise,
        Rule(
            "Each seed observes one training repeat of a configuration, or the mean of all.",
            clause={"sampled": "noise: sampled", "mean": "noise: mean"},
            line={
                "sampled": "a run observes one training repeat of each configuration, at equal seeds the same for every"
                " algorithm",
                "mean": "a run observes the mean of the training repeats",
            },
            heading="noise",
        ),
    ] = "sampled"
    max_fidelity: Annotated[
        int | None,
        Rule(
            "Train nothing beyond it, e.g. 12 epochs.",
            absent="the largest",
            clause="nothing trained beyond {unit} {value}",
            line="nothing beyond {unit} {value}",
            heading="training",
        ),
    ] = None
    report_fidelity: Annotated[int | None, Rule("Report losses and regrets at it.", absent="the largest")] = None
    continuation: Annotated[
        bool,
        Rule(
            "Going on from a lower fidelity costs the difference only.",
            clause="continued trainings cost the difference",
            line="going on from a lower fidelity costs the difference",
            heading="continuation",
        ),
    ] = False
    objectives: Annotated[
        tuple[str, ...],
        Rule(
            "Search for the Pareto front of two or more: error,latency.raspi4.",
            clause="objectives: {value}",
            line="{value}: runs are after the Pareto front, and regret is one of hypervolumes",
            heading="objectives",
        ),
    ] = ()
    constraints: Annotated[
        tuple[str, ...],
        Rule(
            "Bound of an objective that a result must keep: 'latency.raspi4<=20'; repeatable.",
            each="constraint",
            clause="constraint: {value}",
            line="{value}: what breaks it is trained at its cost, and is no incumbent",
            heading="constraint",
        ),
    ] = ()
    log: Annotated[Log, Rule("Store the results that became incumbents, or all (then no seed finishes early).")] = (
        "incumbents"
    )

    @classmethod
    def of(cls, **given: Any) -> Rules:
        """Rules as a user of Python gives them.

        Raises HarnessError for a rule that there is not, and for a value that is none of it.
        """
        plain = {name: value.item() if getattr(value, "shape", None) == () else value for name, value in given.items()}
        return cls(**table(plain, hints(Rules), (), "the rules:"))

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
        for name in ("budget", "overhead"):
            object.__setattr__(self, name, float(getattr(self, name)))

    @property
    def changed(self) -> dict[str, Any]:
        """The rules that are not the default ones."""
        return {f.name: value for f in fields(self) if (value := getattr(self, f.name)) != f.default}

    def clauses(self, unit: str) -> list[str]:
        """What the sentence under a table says of them; `unit` is the table's fidelity."""
        return [text for _, text in self._told("clause", unit)]

    def lines(self, unit: str, time: str) -> dict[str, str]:
        """What the report's list says of them, by heading; `time` is the unit of the table's costs."""
        found: dict[str, list[str]] = {}
        for rule, text in self._told("line", unit, time):
            found.setdefault(rule.heading, []).append(text)
        return {heading: " or ".join(texts) for heading, texts in found.items()}

    def _told(self, how: Literal["clause", "line"], unit: str, time: str = "s") -> Iterator[tuple[Rule, str]]:
        changed = self.changed
        for name, rule in RULES.items():
            value, said = getattr(self, name), getattr(rule, how)
            if isinstance(said, Mapping):
                yield rule, said[value]
            elif said and name in changed:
                told = ", ".join(value) if isinstance(value, tuple) else value
                yield rule, said.format(value=told, unit=unit, time=time)

    def seen(self, table: Table) -> Table:
        """What runs see of `table`. Raises HarnessError if it does not have what these rules ask for."""
        import numpy as np

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
        from harness.algorithm import Problem

        about = (self.workers, self.budget, self.objectives, scoring.score, table.ratios)
        return Problem(table.space, table.fidelities, seeds, *about)

    def feasible(self, table: Table) -> Table:
        """`table` with infinite losses where a constraint is broken. Raises HarnessError if that is everywhere."""
        if not self.constraints:
            return table
        import numpy as np

        left, done = np.ones(len(table), dtype=np.bool_), list[str]()
        for constraint in self.constraints:
            name, below, bound = parsed(constraint)
            if name == table.primary:
                raise HarnessError(
                    f"{name} is the loss of {table.name}, which is known after a training only: it is no constraint.",
                    "make it an objective: --objectives " + ",".join([name, *table.objectives][:2]),
                )
            objective = table.objective(name)
            kept = left & (objective.values <= bound if below else objective.values >= bound)
            done.append(constraint)
            if not kept.any():
                best, way = (np.nanmin, "smallest") if below else (np.nanmax, "largest")
                those = f" of those with {' and '.join(done[:-1])}" if done[:-1] else ""
                raise HarnessError(
                    f"no configuration of {table.name} has {' and '.join(done)}.",
                    f"the {way} {name}{those} is {best(objective.values[left]):.6g} {objective.unit}".rstrip() + ".",
                )
            left = kept
        broken = ~left
        return replace(table, loss=_broken(table.loss, broken), test=_broken(table.test, broken))

    @property
    def numbers(self) -> tuple[str, ...]:
        """The objectives whose numbers a run depends on."""
        return (*self.objectives, *(parsed(constraint)[0] for constraint in self.constraints))


RULES: Mapping[str, Rule] = {
    name: next(note for note in get_args(kind) if isinstance(note, Rule))
    for name, kind in get_type_hints(Rules, include_extras=True).items()
}
"""What each field of `Rules` says of itself."""


def parsed(constraint: str) -> tuple[str, bool, float]:
    """The objective of a constraint, whether it is bounded from above, and the bound. Raises HarnessError."""
    name, sign, bound = map(str.strip, re.split("(<=|>=|$)", constraint, maxsplit=1))
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
    import numpy as np

    return np.where(broken[:, None, None] & np.isfinite(losses), np.inf, losses)
