"""Outcomes of studies: trajectories with the true losses of their rows, regret over time, and summaries of it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from harness import registry
from harness.arrays import Floats, Ints
from harness.errors import HarnessError
from harness.rules import Rules
from harness.studies.fronts import replay
from harness.studies.reference import Kind, Reference, fronts_of, settled
from harness.studies.study import Study
from harness.table import Table
from harness.trajectory import Trajectory


@dataclass(frozen=True, eq=False)
class Outcome:
    """The trajectory of a study, or of some of its seeds, with the true losses of the rows in it.

    `val_loss` and `test_loss` Float[E] are means over repeats at the reported fidelity, NaN for an invalid
    configuration and where the table has none. `wall_seconds` is the time that the simulation took, and `cpu_seconds`
    that of its processors, both summed over processes, the latter NaN in files of earlier versions; `versions` of what
    made it. `elsewhere` names the table whose losses these are where it is not the one that was searched. `name` is
    what figures and tables call it, if not its study's label, and `alias` what is shown in place of that. `file` is
    where it was read from, all of it or more.
    """

    study: Study
    reference: Reference
    trajectory: Trajectory
    val_loss: Floats
    test_loss: Floats
    wall_seconds: float
    versions: Mapping[str, str]
    cpu_seconds: float = math.nan
    elsewhere: str = ""
    name: str = ""
    alias: str = ""
    file: Path | None = None

    @property
    def label(self) -> str:
        """What figures and tables call it."""
        return self.alias or self.own_label

    @property
    def own_label(self) -> str:
        """What it is called where nothing else is to be shown in place of that."""
        return self.name or self.study.label

    @classmethod
    def of(
        cls,
        study: Study,
        table: Table,
        trajectory: Trajectory,
        wall: float,
        versions: Mapping[str, str],
        cpu: float = math.nan,
    ) -> Outcome:
        val, test = _true(table, study.rules, trajectory, trajectory.row)
        return cls(study, Reference.of(table, study.rules), trajectory, val, test, wall, versions, cpu)

    def on(self, table: Table) -> Outcome:
        """The picks of the runs as `table` measures them, which may be another than the one that was searched.

        Times, evaluations and incumbents stay. Raises HarnessError if the configurations are of another space, or
        `table` does not have the reported fidelity.
        """
        searched = self.study.load_table()
        if table.space.parameters != searched.space.parameters:
            raise HarnessError(
                f"what {searched.name} found cannot be reported on {table.name}: that is a table of another space.",
                "name a table of the same space.",
            )
        if self.study.rules.numbers and table.name != searched.name:
            raise HarnessError(
                f"what was found for {', '.join(self.study.rules.numbers)} cannot be reported on another table.",
                "--on is for studies of one objective without constraints.",
            )
        run = self.trajectory
        val, test = _true(table, self.study.rules, run, np.where(run.row < 0, -1, table.rows(searched.codes[run.row])))
        reference = replace(Reference.of(table, self.study.rules), fidelities=self.reference.fidelities)
        elsewhere = table.name if table.name != self.study.benchmark else ""
        return replace(self, reference=reference, val_loss=val, test_loss=test, elsewhere=elsewhere)

    def renewed(self) -> Outcome:
        """With the test losses that its table has gained since the study was stored, if it has."""
        if self.reference.test_optimum is not None:
            return self
        facts = registry.benchmark_facts().get(self.study.benchmark)
        if facts is None or not facts.test:
            return self
        return self.on(self.study.load_table())

    def __repr__(self) -> str:
        return f"<Outcome of {self.label} on {self.benchmark}, {len(self.trajectory.seeds):,} seeds, {self.study.id}>"

    @property
    def unit(self) -> str:
        """The unit of simulated time."""
        return self.reference.unit

    @property
    def benchmark(self) -> str:
        """What the losses are of: the benchmark, or another table that its picks are reported on."""
        return f"{self.elsewhere} of {self.study.benchmark}" if self.elsewhere else self.study.benchmark

    @cached_property
    def seeds(self) -> Ints:
        """The seeds that ran, Int[S]."""
        return self.trajectory.seeds

    @cached_property
    def summary_at_end(self) -> dict[str, Any]:
        """`summary` at the end of the study."""
        return _summary(self, self.end)

    @cached_property
    def seeds_without(self) -> dict[Kind, int]:
        """How many seeds ever had an incumbent without this loss: its training has none, or it was not tested."""
        return {"val": self._without("val"), "test": self._without("test")}

    @cached_property
    def seeds_empty(self) -> int:
        """How many seeds never had an incumbent."""
        run = self.trajectory
        return len(run.seeds) - len(np.unique(run.seed[run.incumbent]))

    @property
    def end(self) -> float:
        """Simulated time at the end of the study: its budget or, without one, the last result of any seed."""
        budget = self.study.rules.budget
        return budget if math.isfinite(budget) else float(self.trajectory.ended.max(initial=0.0))

    def reaches(self, time: float) -> bool:
        """Whether something ran at `time`, or no incumbent could change by then."""
        return time <= self.end or (math.isinf(self.study.rules.budget) and bool(self.trajectory.finished.all()))

    def require(self, time: float) -> None:
        """Raise HarnessError unless the study `reaches` a time."""
        if not self.reaches(time):
            raise HarnessError(
                f"study {self.study.id} ({self.label} on {self.benchmark}) ended at {self.end:.6g} "
                f"{self.unit}: it says nothing of {time:.6g} {self.unit}.",
                "choose an earlier time, or run it for longer.",
            )

    def first_times(self) -> Floats:
        """When each seed had its first incumbent, Float[S]; inf for a seed that never had one.

        Time is drawn and measured on log axes, so 0, after a training that cost nothing, is a thousandth of the end.
        """
        run = self.trajectory
        first = np.full(len(run.seeds), np.inf)
        np.minimum.at(first, run.seed[run.incumbent], run.time[run.incumbent])
        return np.where(first == 0, self.end / 1000, first)

    def losses(self, kind: Kind) -> Floats:
        """`val_loss` or `test_loss` Float[E] as they count: the worst of the table where the training has no loss."""
        worst = self.reference.scale(kind).worst
        loss = self.val_loss if kind == "val" else self.test_loss
        lost = ~np.isfinite(self.val_loss) & (self.trajectory.row >= 0)
        return loss if worst is None else np.where(lost, worst, loss)

    def regrets(self, kind: Kind) -> Floats:
        """`losses` minus the optimum of the table, `settled`, Float[E]; NaN where it has no test metric."""
        scale = self.reference.scale(kind)
        return settled(self.losses(kind) - (np.nan if scale.optimum is None else scale.optimum), scale.least)

    def loss(self, kind: Kind, times: Floats) -> Floats:
        """True `val` or `test` loss of each seed's incumbent at `times` Float[G], Float[S, G]; NaN before the first."""
        return self.pick(self.losses(kind), times)

    def regret(self, kind: Kind, times: Floats) -> Floats:
        """`loss` minus the optimum of the table, Float[S, G]."""
        return self.pick(self.regrets(kind), times)

    def _without(self, kind: Kind) -> int:
        absent = np.isnan(self.val_loss if kind == "val" else self.losses("test")) & self.trajectory.incumbent
        return len(np.unique(self.trajectory.seed[absent]))

    def pick(self, column: Floats, times: Floats) -> Floats:
        """The value of `column` Float[E] at each seed's incumbent, Float[S, G]; NaN before the first."""
        at = self.trajectory.at(times)
        padded = np.append(column.astype(np.float64), np.nan)
        return padded[at]


def within(outcome: Outcome, seeds: range | Ints) -> Outcome | None:
    """The outcome of those of its seeds that are among `seeds`; None if there are none."""
    kept = np.isin(outcome.seeds, np.asarray(seeds))
    if kept.all():
        return outcome
    if not kept.any():
        return None
    run = outcome.trajectory
    entries = kept[run.seed]
    return replace(
        outcome,
        study=of_seeds(outcome.study, run.seeds[kept]),
        trajectory=run.part(kept),
        val_loss=outcome.val_loss[entries],
        test_loss=outcome.test_loss[entries],
        wall_seconds=outcome.wall_seconds * float(kept.mean()),
        cpu_seconds=outcome.cpu_seconds * float(kept.mean()),
    )


def of_seeds(study: Study, seeds: Ints) -> Study:
    """The study of ascending seeds."""
    return replace(study, first=int(seeds[0]), stop=int(seeds[-1]) + 1)


def unit_of(outcomes: Iterable[Outcome]) -> str:
    """The unit of simulated time of all the outcomes, or their units."""
    return " or ".join(dict.fromkeys(outcome.unit for outcome in outcomes)) or "s"


def time_name(outcomes: Sequence[Outcome]) -> str:
    """What an axis of the time of all the outcomes is called; that of weight sharing is measured, in seconds."""
    unit, shared = unit_of(outcomes), {registry.shares_weights(outcome.study.algorithm) for outcome in outcomes}
    if shared == {True}:
        return "measured time, not scaled [s]"
    if True in shared:
        return f"time [{unit}]: simulated, or measured and not scaled"
    return "estimated wall-clock time [s]" if unit == "s" else f"simulated time [{unit}]"


def reported(outcomes: Sequence[Outcome], benchmark: str | None) -> list[Outcome]:
    """The outcomes as they are or, with a `benchmark`, their picks `on` its table. Raises HarnessError like `on`."""
    if benchmark is None:
        return [*outcomes]
    table = registry.benchmark(benchmark)
    return [outcome.on(table) for outcome in outcomes]


def _true(table: Table, rules: Rules, run: Trajectory, row: Ints) -> tuple[Floats, Floats]:
    """Validation and test losses of results of the rows Int[E] (-1 for none), Float[E] each; NaN where absent.

    Means over repeats; of several objectives, one minus the hypervolume of what the seed holds from that result on.
    """
    table = rules.feasible(table)
    at = table.position(rules.report_fidelity)
    absent = np.full(len(row), np.nan)
    if rules.objectives:
        shares = replay(table, rules, run, *fronts_of(table, rules, at))
        val, test = [*(1.0 - share for share in shares), absent][:2]
        return val, test
    val, test = (
        absent if mean is None else np.where(row < 0, np.nan, mean[row])
        for mean in (table.loss_at(at), table.test_at(at))
    )
    return val, test


def moments(values: Floats) -> tuple[Floats, Floats]:
    """Mean and standard error of the mean over seeds of `values` Float[S, G]; NaN where a seed has no value yet."""
    seeds = len(values)
    sem = values.std(axis=0, ddof=1) / math.sqrt(seeds) if seeds > 1 else np.full(values.shape[1], np.nan)
    return values.mean(axis=0), sem


def summary(outcome: Outcome, time: float | None = None) -> dict[str, Any]:
    """One JSON row: means over seeds at simulated `time` (default: the end). Absent numbers are None."""
    if time is None:
        return {**outcome.summary_at_end}
    outcome.require(time)
    return _summary(outcome, time)


def _summary(outcome: Outcome, time: float) -> dict[str, Any]:
    at = np.array([time])

    def number(value: Any) -> float | None:
        return float(value) if np.isfinite(value) else None

    def quartiles(kind: Kind) -> dict[str, float | None]:
        found = np.quantile(outcome.regret(kind, at)[:, 0], [0.5, 0.25, 0.75])
        return {f"{kind}_regret_{name}": number(x) for name, x in zip(("median", "q25", "q75"), found, strict=True)}

    val, val_sem = (m[0] for m in moments(outcome.regret("val", at)))
    test, test_sem = (m[0] for m in moments(outcome.regret("test", at)))
    study, run, largest = outcome.study, outcome.trajectory, outcome.reference.fidelities[-1]
    rules = {
        name: ",".join(rule) or None if isinstance(rule, tuple) else rule for name, rule in vars(study.rules).items()
    }
    rules |= {name: rules[name] or largest for name in ("max_fidelity", "report_fidelity")}
    rules["budget"] = number(study.rules.budget)
    return {
        "benchmark": outcome.benchmark,
        "algorithm": study.algorithm,
        "params": dict(study.params),
        "study": study.id,
        "seeds": len(run.seeds),
        **rules,
        "splits": outcome.reference.splits,
        "time": time,
        "val_regret_mean": number(val),
        "val_regret_sem": number(val_sem),
        "val_loss_mean": number(outcome.loss("val", at).mean()),
        "val_optimum": outcome.reference.optimum,
        **quartiles("val"),
        "test_regret_mean": number(test),
        "test_regret_sem": number(test_sem),
        **quartiles("test"),
        "test_loss_mean": number(outcome.loss("test", at).mean()),
        "seeds_without_loss": int((outcome.pick(np.isnan(outcome.val_loss), at) == 1).sum()),
        "evaluations_mean": number(run.evaluations_by(time)),
        "finished_seeds": int(run.finished.sum()),
        "wall_seconds": outcome.wall_seconds,
        "cpu_seconds": number(outcome.cpu_seconds),
    }


def per_seed_rows(outcome: Outcome, time: float | None = None) -> list[dict[str, Any]]:
    """One JSON row per seed: its incumbent at simulated `time` (default: the end), None before the first.

    Of several objectives, that is the result that joined last what the seed holds, with the loss of all that it holds.
    """
    time = outcome.end if time is None else time
    outcome.require(time)
    run, at = outcome.trajectory, outcome.trajectory.at(np.array([time]))[:, 0]
    regrets = outcome.regrets("val")
    rows = []

    def number(value: float) -> float | None:
        return None if math.isnan(value) else float(value)

    for seed, i in zip(run.seeds.tolist(), at.tolist(), strict=True):
        found = i >= 0
        rows.append(
            {
                "benchmark": outcome.benchmark,
                "algorithm": outcome.study.algorithm,
                "study": outcome.study.id,
                "seed": seed,
                "time": time,
                "row": int(run.row[i]) if found else None,
                "observed_loss": float(run.loss[i]) if found else None,
                "val_loss": number(outcome.val_loss[i]) if found else None,
                "val_regret": number(regrets[i]) if found else None,
                "test_loss": number(outcome.test_loss[i]) if found else None,
                "found": float(run.time[i]) if found else None,
                "evaluation": int(run.evaluation[i]) if found else None,
            }
        )
    return rows
