"""Which studies may be compared, and what the comparison says: a table, tests by seed, and sentences to quote."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace

import numpy as np

from harness.arrays import Floats
from harness.errors import HarnessError
from harness.rules import Rules
from harness.statistics import Estimate, bootstrap_weights, holm, improvement_intervals, paired_wilcoxon
from harness.studies.outcome import Kind, Outcome, moments

_SHARED = ("table", *(f"rules.{rule.name}" for rule in fields(Rules) if rule.name != "log"))


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
    found = [o for o in outcomes if kind == "val" or o.reference.test_optimum is not None]
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
    """A sentence for each study of which incumbents have no loss where regret is reported."""
    said = []
    for outcome in outcomes:
        if count := outcome.seeds_without["val"]:
            fidelity = outcome.study.rules.report_fidelity or outcome.reference.fidelities[-1]
            worst = "the highest" if outcome.reference.worst is None else f"{outcome.reference.worst:.6g}, the highest"
            said.append(
                f"{count} of {len(outcome.seeds)} seeds of {outcome.label} on "
                f"{outcome.benchmark} have had incumbents whose training has no loss at "
                f"{outcome.reference.fidelity} {fidelity}; they count as {worst} in the table."
            )
    return said


def require_comparable(outcomes: Sequence[Outcome]) -> None:
    """Raise HarnessError, naming the difference, unless all are of one table and under the same rules."""
    first = outcomes[0].study
    for study in (o.study for o in outcomes[1:]):
        for what in _SHARED:
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
class Cell:
    """Regret of one algorithm: mean and standard error over seeds.

    `worse` is p of its runs being worse than those of the best algorithm of the row, None for the best itself; `top`
    says that it is the best or not significantly worse.
    """

    mean: float
    sem: float
    worse: float | None = None
    top: bool = True


@dataclass(frozen=True)
class Row:
    """One benchmark at one simulated time; `cells` by the label of the algorithm, in the order of the studies."""

    benchmark: str
    time: float
    seeds: int
    cells: dict[str, Cell]


@dataclass(frozen=True)
class Duel:
    """Two algorithms on one benchmark at its last time: chance that a run of `first` is better, and p of a tie."""

    benchmark: str
    time: float
    seeds: int
    first: str
    second: str
    means: tuple[float, float]
    improvement: Estimate
    p: float


@dataclass(frozen=True)
class Comparison:
    """Every row and every duel of some studies, with p-values that Holm corrected over the rows and over the duels."""

    kind: Kind
    alpha: float
    rows: tuple[Row, ...]
    duels: tuple[Duel, ...]


def compare(outcomes: Sequence[Outcome], kind: Kind, *, at: Sequence[float] = (), alpha: float = 0.05) -> Comparison:
    """Compare the studies of each benchmark at simulated times `at` (default: the end).

    Wilcoxon's signed-rank test by seed: one-sided against the best mean of a row, two-sided in duels. Raises
    HarnessError if studies cannot be compared or paired, or a seed has no result at a time.
    """
    rows, duels = [], []
    for benchmark, same in selected(outcomes, kind).items():
        require_paired(same)
        labels, seeds = [o.label for o in same], len(same[0].trajectory.seeds)
        times = sorted(set(at)) or [common_end(same)]
        regrets = np.array([regret_at(o, kind, times) for o in same])
        weights = bootstrap_weights(seeds, np.random.default_rng(0))
        for i, time in enumerate(times):
            rows.append(Row(benchmark, time, seeds, _cells(labels, regrets[:, :, i])))
        where = Row(benchmark, times[-1], seeds, {})
        for (a, b), chance in improvement_intervals(regrets[:, :, -1], weights).items():
            duels.append(_duel(where, (labels[a], labels[b]), regrets[[a, b], :, -1], chance))
    return Comparison(kind, alpha, _marked(rows, alpha), _corrected(duels))


def regret_at(outcome: Outcome, kind: Kind, times: Sequence[float]) -> Floats:
    """Regret of each seed at `times`, Float[S, G]. Raises HarnessError if one has none yet."""
    outcome.require(max(times))
    regret = outcome.regret(kind, np.array(times))
    absent = np.isnan(regret).any(axis=0)
    if absent.any():
        time = times[int(absent.argmax())]
        raise HarnessError(
            f"study {outcome.study.id} ({outcome.label} on {outcome.study.benchmark}) has seeds without a "
            f"result at {time:g} s.",
            "compare at later times with --at, or run with a larger --budget.",
        )
    return regret


def _cells(labels: Sequence[str], regrets: Floats) -> dict[str, Cell]:
    """Cells of the `labels` out of `regrets` Float[A, S]."""
    means, sems = moments(regrets.T)
    best = int(means.argmin())
    worse = [None if i == best else paired_wilcoxon(r - regrets[best], "greater") for i, r in enumerate(regrets)]
    return {
        label: Cell(float(mean), float(sem), p) for label, mean, sem, p in zip(labels, means, sems, worse, strict=True)
    }


def _duel(where: Row, labels: tuple[str, str], regrets: Floats, chance: Estimate) -> Duel:
    """Duel of two algorithms with `regrets` Float[2, S]; its p is not corrected yet."""
    means = (float(regrets[0].mean()), float(regrets[1].mean()))
    p = paired_wilcoxon(regrets[0] - regrets[1])
    return Duel(where.benchmark, where.time, where.seeds, *labels, means, chance, p)


def _marked(rows: Sequence[Row], alpha: float) -> tuple[Row, ...]:
    """The rows with corrected p-values, and with the cells on top."""
    corrected = iter(holm(np.array([c.worse for row in rows for c in row.cells.values() if c.worse is not None])))

    def marked(cell: Cell) -> Cell:
        if cell.worse is None:
            return cell
        p = float(next(corrected))
        return replace(cell, worse=p, top=p >= alpha)

    return tuple(replace(row, cells={label: marked(cell) for label, cell in row.cells.items()}) for row in rows)


def _corrected(duels: Sequence[Duel]) -> tuple[Duel, ...]:
    p = holm(np.array([duel.p for duel in duels]))
    return tuple(replace(duel, p=float(x)) for duel, x in zip(duels, p, strict=True))


def sentences(comparison: Comparison) -> list[str]:
    """One sentence for each pair of algorithms, to quote."""
    pairs: dict[tuple[str, str], list[Duel]] = {}
    for duel in comparison.duels:
        pairs.setdefault((duel.first, duel.second), []).append(duel)
    regret = "validation regret" if comparison.kind == "val" else "test regret"
    return [
        _on_one(duels[0], regret, comparison.alpha) if len(duels) == 1 else _on_many(duels, regret, comparison.alpha)
        for duels in pairs.values()
    ]


_TEST = "Wilcoxon signed-rank test paired by seed, Holm-corrected"


def _on_one(duel: Duel, regret: str, alpha: float) -> str:
    ahead, behind, means, chance = duel.first, duel.second, duel.means, duel.improvement
    if chance.value < 0.5:
        ahead, behind, means = behind, ahead, (means[1], means[0])
        chance = Estimate(1 - chance.value, 1 - chance.high, 1 - chance.low)
    where = f"On {duel.benchmark} at {duel.time:.4g} s"
    told = f"has a lower {regret} than {behind}" if duel.p < alpha else f"is not told apart from {behind} in {regret}"
    return (
        f"{where}, {ahead} {told}: {means[0]:.3g} against {means[1]:.3g} in the mean of {duel.seeds} seeds, and a run "
        f"of {ahead} is better with probability {chance.value:.2f} [{chance.low:.2f}, {chance.high:.2f}] "
        f"({_p(duel.p)}, {_TEST})."
    )


def _on_many(duels: Sequence[Duel], regret: str, alpha: float) -> str:
    first, second = duels[0].first, duels[0].second
    ahead = sum(d.p < alpha and d.improvement.value > 0.5 for d in duels)
    behind = sum(d.p < alpha and d.improvement.value < 0.5 for d in duels)
    if behind > ahead:
        first, second, ahead, behind = second, first, behind, ahead
    chances = [d.improvement.value if d.first == first else 1 - d.improvement.value for d in duels]
    evidence = (
        f"a run of {first} is better with probability {min(chances):.2f} to {max(chances):.2f} "
        f"({_span([d.seeds for d in duels])} seeds, at {_span([d.time for d in duels])} s, {_TEST} over benchmarks, "
        f"alpha {alpha:g})."
    )
    if not ahead:
        return f"{first} and {second} are not told apart in {regret} on any of {len(duels)} benchmarks; {evidence}"
    return (
        f"{first} has a lower {regret} than {second} on {ahead} of {len(duels)} benchmarks, a higher one on {behind}, "
        f"and is not told apart on {len(duels) - ahead - behind}; {evidence}"
    )


def _span(numbers: Sequence[float]) -> str:
    return " to ".join(f"{number:.4g}" for number in sorted({min(numbers), max(numbers)}))


def _p(p: float) -> str:
    return "p < 0.001" if p < 0.001 else f"p = {p:.2g}"
