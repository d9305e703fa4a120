"""Which studies may be compared, and what the comparison says: a table, and tests by seed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, fields, replace
from typing import Literal, TypeVar

import numpy as np

from harness import registry
from harness.analysis.measures import lacking, log_areas, regret_after, regret_name, time_spent, time_to
from harness.arrays import Floats
from harness.errors import HarnessError, unknown
from harness.rules import Rules
from harness.statistics import (
    Estimate,
    bootstrap_weights,
    holm,
    improvement_intervals,
    mean_interval,
    paired_wilcoxon,
    speed_up,
)
from harness.studies.outcome import Outcome, moments, unit_of
from harness.studies.plan import note
from harness.studies.reference import Kind

Statistic = Literal["mean", "median"]

_SATURATED = 0.95
"""The share of an algorithm's runs on the floor of single observations from which on it cannot be told from another."""

_NAMED = 3
"""Tables of which the same is to be known are named up to so many."""
_SHARED = ("table", *(f"rules.{rule.name}" for rule in fields(Rules) if rule.name != "log"))


P = TypeVar("P", "Duel", "Area")


def by_benchmark(outcomes: Iterable[Outcome]) -> dict[str, list[Outcome]]:
    """The outcomes of each benchmark, in the order in which they are first named."""
    groups: dict[str, list[Outcome]] = {}
    for outcome in outcomes:
        groups.setdefault(outcome.benchmark, []).append(outcome)
    return groups


def measured(outcomes: Sequence[Outcome], kind: Kind) -> dict[str, list[Outcome]]:
    """The outcomes that have this kind of regret, by benchmark. Raises HarnessError if there are none."""
    if not outcomes:
        raise HarnessError("there are no studies to compare.", "make some: harness run --algo rs,re --bench nb201")
    found = [o for o in outcomes if o.reference.scale(kind).optimum is not None]
    if not found:
        names = ", ".join(by_benchmark(outcomes))
        raise HarnessError(f"there is no test metric in the table of {names}.", "use --kind val instead.")
    for outcome in found if kind == "test" else ():
        if count := outcome.seeds_without["test"]:
            raise HarnessError(
                f"the table of {outcome.benchmark} lacks the test loss of incumbents that {count} of "
                f"{len(outcome.seeds)} seeds of study {outcome.study.id} ({outcome.label}) had.",
                "use --kind val instead, which does not need it.",
            )
    return by_benchmark(found)


def common_end(outcomes: Sequence[Outcome]) -> float:
    """The latest time of which all outcomes say something: the smallest end of those whose runs could have gone on."""
    ends = [o.end for o in outcomes if not o.trajectory.finished.all()]
    return min(ends) if ends else max(o.end for o in outcomes)


def remarks(outcomes: Iterable[Outcome]) -> list[str]:
    """A sentence for each study of which seeds have no result, or incumbents no loss where regret is reported."""
    said = []
    for outcome in outcomes:
        if count := outcome.seeds_empty:
            said.append(
                f"{count} of {len(outcome.seeds)} seeds of {outcome.label} on {outcome.benchmark} had no result with "
                "a loss by the end: there is no mean over seeds."
            )
        if count := outcome.seeds_without["val"]:
            fidelity = outcome.study.rules.report_fidelity or outcome.reference.fidelities[-1]
            worst = "the highest" if outcome.reference.worst is None else f"{outcome.reference.worst:.6g}, the highest"
            said.append(
                f"{count} of {len(outcome.seeds)} seeds of {outcome.label} on "
                f"{outcome.benchmark} have had incumbents whose training has no loss at "
                f"{outcome.reference.fidelity} {fidelity}; they count as {worst} in the table."
            )
    return said


def peculiarities(outcomes: Iterable[Outcome]) -> list[str]:
    """What there is to know of the algorithms on the tables that they searched; many tables are counted."""
    found: dict[tuple[str, str], dict[str, None]] = {}
    for study, reference in ((o.study, o.reference) for o in outcomes):
        most = study.rules.max_fidelity or reference.fidelities[-1]
        with suppress(HarnessError):  # the algorithm may not be installed here
            if told := note(study, np.array([f for f in reference.fidelities if f <= most])):
                found.setdefault((study.algorithm, told), {})[study.benchmark] = None
    said = []
    for (algorithm, told), tables in found.items():
        where = [*tables] if len(tables) <= _NAMED else [f"{len(tables)} benchmarks"]
        said += [f"{algorithm} on {name}: {told}." for name in where]
    return said


def require_comparable(outcomes: Sequence[Outcome]) -> None:
    """Raise HarnessError, naming the difference, unless all are of one table and under the same rules.

    Searches by weight sharing are measured, not simulated by rules.
    """
    studies = sorted((o.study for o in outcomes), key=lambda study: registry.shares_weights(study.algorithm))
    first = studies[0]
    for study in studies[1:]:
        for what in _SHARED:
            if what.startswith("rules.") and registry.shares_weights(study.algorithm):
                continue
            a, b = (_field(s, what) for s in (first, study))
            if a != b:
                raise HarnessError(
                    f"studies {first.id} and {study.id} on {first.benchmark} cannot be compared: {what} is {a} in "
                    f"one and {b} in the other.",
                    "name the files of those that belong together.",
                )


def distinct(outcomes: Sequence[Outcome]) -> None:
    """Raise HarnessError if two studies of one benchmark have the same label."""
    for label, count in Counter(o.label for o in outcomes).items():
        if count > 1:
            same = ", ".join(o.study.id for o in outcomes if o.label == label)
            raise HarnessError(
                f"there are several studies of {label} on {outcomes[0].study.benchmark}: {same}.",
                "name the files, one for each label.",
            )


def selected(outcomes: Sequence[Outcome], kind: Kind) -> dict[str, list[Outcome]]:
    """The outcomes with this kind of regret by benchmark, of which each group may be compared."""
    groups = measured(outcomes, kind)
    for same in groups.values():
        require_comparable(same)
        distinct(same)
    return groups


def complete(groups: Mapping[str, Sequence[Outcome]]) -> list[str]:
    """The labels of the algorithms. Raises HarnessError if one of them lacks a study on one of the benchmarks."""
    labels = list(dict.fromkeys(o.label for same in groups.values() for o in same))
    for benchmark, same in groups.items():
        for label in labels:
            if label not in {o.label for o in same}:
                raise HarnessError(f"there is no study of {label} on {benchmark}.", "run it, or name fewer results.")
    return labels


def _field(study: object, path: str) -> object:
    for name in path.split("."):
        study = getattr(study, name)
    return study


def require_paired(outcomes: Sequence[Outcome], least: int = 2) -> None:
    """Raise HarnessError unless the outcomes are of the same seeds, and of enough of them for a test."""
    first = outcomes[0].study
    for study in (o.study for o in outcomes):
        if (study.first, study.stop) != (first.first, first.stop):
            raise HarnessError(
                f"studies {first.id} and {study.id} on {first.benchmark} cannot be paired: seeds are "
                f"{first.first}:{first.stop} in one and {study.first}:{study.stop} in the other.",
                "run both with the same --seeds.",
            )
        if study.stop - study.first < least:
            count = study.stop - study.first
            raise HarnessError(
                f"study {study.id} ({study.label} on {study.benchmark}) has {count} seed{'s' if count > 1 else ''}; "
                f"a test needs at least {least}.",
                "run it with more --seeds.",
            )


@dataclass(frozen=True)
class TableCell:
    """Regret of one algorithm: mean and standard error over seeds, median and quartiles (`low`, `high`).

    `worse` is p of its runs being worse than those of the best algorithm of the row, None for the best itself; `top`
    says that it is the best or not significantly worse.
    """

    mean: float
    sem: float
    median: float
    low: float
    high: float
    worse: float | None = None
    top: bool = True


@dataclass(frozen=True)
class Row:
    """One benchmark at one simulated time; `cells` by the label of the algorithm, in the order of the studies."""

    benchmark: str
    time: float
    seeds: int
    cells: dict[str, TableCell]
    unit: str = "s"


@dataclass(frozen=True)
class Duel:
    """Two algorithms on one benchmark at one time: chance that a run of `first` is better, and p of a tie.

    `centres` are the means, or medians, of their regrets.
    """

    benchmark: str
    time: float
    seeds: int
    first: str
    second: str
    centres: tuple[float, float]
    improvement: Estimate
    p: float
    unit: str = "s"


@dataclass(frozen=True)
class Area:
    """Two algorithms on one benchmark over all of log time from `start`, when every run has a result, to `end`.

    `ratio` is of the regret of `first` over that of `second`, as geometric means over log time and seeds: the areas
    under their log-regret curves. p is of a tie.
    """

    benchmark: str
    start: float
    end: float
    seeds: int
    first: str
    second: str
    ratio: Estimate
    p: float
    unit: str = "s"


@dataclass(frozen=True)
class SpeedUp:
    """How many times sooner than `second` an algorithm reaches a regret of `target`, by `statistics.speed_up`."""

    benchmark: str
    target: float
    seeds: int
    first: str
    second: str
    ratio: Estimate


@dataclass(frozen=True)
class Comparison:
    """Every row, duel, area and speed-up of some studies; Holm corrected p over the rows, the duels, and the areas.

    `regret` is what is compared, in words; `notes` say at which times there is nothing left to tell apart.
    """

    kind: Kind
    regret: str
    alpha: float
    rows: tuple[Row, ...]
    duels: tuple[Duel, ...]
    areas: tuple[Area, ...] = ()
    speed_ups: tuple[SpeedUp, ...] = ()
    statistic: Statistic = "mean"
    notes: tuple[str, ...] = ()


def compare(
    outcomes: Sequence[Outcome],
    kind: Kind,
    *,
    at: Sequence[float] = (),
    alpha: float = 0.05,
    statistic: Statistic = "mean",
    targets: Sequence[float] = (),
    against: str | None = None,
) -> Comparison:
    """Compare the studies of each benchmark at simulated times `at` (default: the end), and over all of log time.

    Wilcoxon's signed-rank test by seed: one-sided against the best mean, or median, of a row, two-sided in duels and
    of areas. How much sooner regrets of `targets` are reached is told of each algorithm `against` one, by default the
    first. Raises HarnessError if studies cannot be compared or paired, or a seed has no result at a time.
    """
    table = rows(outcomes, kind, at=at, alpha=alpha, statistic=statistic)
    duels, areas, speed_ups, notes = list[Duel](), list[Area](), list[SpeedUp](), list[str]()
    for benchmark, same in selected(outcomes, kind).items():
        labels = [o.label for o in same]
        weights = bootstrap_weights(len(same[0].trajectory.seeds), np.random.default_rng(0))
        for row in (row for row in table if row.benchmark == benchmark):
            regrets = np.array([regret_at(o, kind, [row.time])[:, 0] for o in same])
            for (a, b), chance in improvement_intervals(regrets, weights).items():
                duels.append(_duel(row, (labels[a], labels[b]), regrets[[a, b]], chance, statistic))
            notes += [told] if (told := _saturated(same, row)) else []
        areas += _areas(benchmark, same, kind)
        speed_ups += _speed_ups(benchmark, same, kind, targets, against)
    found = (alpha, table, _corrected(duels), _corrected(areas), tuple(speed_ups), statistic, tuple(notes))
    return Comparison(kind, regret_name(outcomes, kind), *found)


def rows(
    outcomes: Sequence[Outcome],
    kind: Kind,
    *,
    at: Sequence[float] = (),
    alpha: float = 0.05,
    statistic: Statistic = "mean",
) -> tuple[Row, ...]:
    """The table of `compare` alone."""
    found = []
    for benchmark, same in selected(outcomes, kind).items():
        require_paired(same)
        times = sorted(set(at)) or [common_end(same)]
        regrets = np.array([regret_at(o, kind, times) for o in same])
        labels, seeds = [o.label for o in same], len(same[0].trajectory.seeds)
        for i, time in enumerate(times):
            found.append(Row(benchmark, time, seeds, _cells(labels, regrets[:, :, i], statistic), unit_of(same)))
    return _marked(found, alpha)


def final(outcomes: Sequence[Outcome], kind: Kind, *, alpha: float = 0.05) -> tuple[Row, Floats]:
    """What the runs of studies on one benchmark ended with, each whenever that was, and their regrets Float[A, S].

    `time` is that of the latest. Raises HarnessError if a run has no result.
    """
    require_paired(outcomes)
    regrets = np.array([regret_after(o, kind, np.array([np.inf]), "time")[:, 0] for o in outcomes])
    for outcome, regret in zip(outcomes, regrets, strict=True):
        if np.isnan(regret).any():
            raise lacking(outcome, outcome.end)
    labels, seeds, end = [o.label for o in outcomes], regrets.shape[1], max(o.end for o in outcomes)
    row = Row(outcomes[0].benchmark, end, seeds, _cells(labels, regrets, "mean"), unit_of(outcomes))
    return _marked([row], alpha)[0], regrets


def regret_at(outcome: Outcome, kind: Kind, times: Sequence[float]) -> Floats:
    """Regret of each seed at `times`, Float[S, G]. Raises HarnessError if one has none yet."""
    outcome.require(max(times))
    regret = outcome.regret(kind, np.array(times))
    absent = np.isnan(regret).any(axis=0)
    if absent.any():
        time = times[int(absent.argmax())]
        raise lacking(outcome, time)
    return regret


def _cells(labels: Sequence[str], regrets: Floats, statistic: Statistic) -> dict[str, TableCell]:
    """Cells of the `labels` out of `regrets` Float[A, S]."""
    numbers = np.array([*moments(regrets.T), *np.quantile(regrets, [0.5, 0.25, 0.75], axis=1)])
    best = int(numbers[0 if statistic == "mean" else 2].argmin())
    worse = [None if i == best else paired_wilcoxon(r - regrets[best], "greater") for i, r in enumerate(regrets)]
    return {
        label: TableCell(mean, sem, median, low, high, p)
        for label, (mean, sem, median, low, high), p in zip(labels, numbers.T.tolist(), worse, strict=True)
    }


def _duel(where: Row, labels: tuple[str, str], regrets: Floats, chance: Estimate, statistic: Statistic) -> Duel:
    """Duel of two algorithms with `regrets` Float[2, S]; its p is not corrected yet."""
    first, second = (getattr(where.cells[label], statistic) for label in labels)
    p = paired_wilcoxon(regrets[0] - regrets[1])
    return Duel(where.benchmark, where.time, where.seeds, *labels, (first, second), chance, p, where.unit)


def _areas(benchmark: str, same: Sequence[Outcome], kind: Kind) -> Iterator[Area]:
    """Areas of every pair, whose p is not corrected yet; none where time is too short for a curve."""
    start, end = max(float(o.first_times().max()) for o in same), common_end(same)
    if not start < end:
        return
    found = log_areas(same, kind, start, end)
    for i, first in enumerate(same):
        for j in range(i + 1, len(same)):
            differences = found[i] - found[j]
            ratio = Estimate(*(float(10.0**x) for x in mean_interval(differences)))
            pair = first.label, same[j].label, ratio, paired_wilcoxon(differences)
            yield Area(benchmark, start, end, len(differences), *pair, unit_of(same))


def _speed_ups(
    benchmark: str, same: Sequence[Outcome], kind: Kind, targets: Sequence[float], against: str | None
) -> Iterator[SpeedUp]:
    labels = {o.label: o for o in same}
    second = same[0].label if against is None else against
    if targets and second not in labels:
        raise unknown(f"algorithm on {benchmark} to hold the others against", second, labels)
    for target in targets:
        other = time_to(labels[second], kind, target), time_spent(labels[second])
        for label, outcome in labels.items():
            if label != second:
                own = time_to(outcome, kind, target), time_spent(outcome)
                ratio = speed_up(own, other, np.random.default_rng(0))
                yield SpeedUp(benchmark, target, len(other[0]), label, second, ratio)


def _saturated(same: Sequence[Outcome], row: Row) -> str:
    """That at the time of a row nothing is left to tell several algorithms apart; empty if there is."""
    benchmark, time = row.benchmark, row.time
    shares = {o.label: float((o.trajectory.finished & (o.trajectory.ended <= time)).mean()) for o in same}
    there = {label: share for label, share in shares.items() if share >= _SATURATED}
    if len(there) < 2:
        return ""
    named = ", ".join(f"{label} ({share:.0%})" for label, share in there.items())
    return (
        f"on {benchmark} at {time:.4g} {row.unit}, runs of {named} have observed the lowest loss there is and sit on "
        f"the floor of single observations, where regrets differ by chance only: judge these by earlier times, --at, "
        "or areas."
    )


def _marked(rows: Sequence[Row], alpha: float) -> tuple[Row, ...]:
    """The rows with corrected p-values, and with the cells on top."""
    corrected = iter(holm(np.array([c.worse for row in rows for c in row.cells.values() if c.worse is not None])))

    def marked(cell: TableCell) -> TableCell:
        if cell.worse is None:
            return cell
        p = float(next(corrected))
        return replace(cell, worse=p, top=p >= alpha)

    return tuple(replace(row, cells={label: marked(cell) for label, cell in row.cells.items()}) for row in rows)


def _corrected(pairs: Sequence[P]) -> tuple[P, ...]:
    p = holm(np.array([pair.p for pair in pairs]))
    return tuple(replace(pair, p=float(x)) for pair, x in zip(pairs, p, strict=True))
