"""Which of the studies at hand can be compared, and in a sentence each what was left out, and why."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from typing import Any

import numpy as np

from harness import registry
from harness.analysis.comparison import by_benchmark
from harness.arrays import Ints
from harness.errors import HarnessError
from harness.rules import Rules
from harness.studies.outcome import Outcome, within
from harness.studies.selection import spans

_RULES = tuple(rule.name for rule in fields(Rules) if rule.name != "log")
_MEASURED = Rules(evals=1)
_LEAST = 2
"""Seeds that a test needs."""

Comparable = tuple[list[Outcome], list[str]]


def comparable(outcomes: Sequence[Outcome], *, paired: bool, least: int = _LEAST) -> Comparable:
    """Those of the outcomes that can be compared, and sentences on what was left out.

    Of each benchmark they are those of one table and one set of rules, one for each label: of several, those that most
    algorithms have. With `paired` they are of the same seeds, `least` or more, chosen so that algorithms times seeds
    are most. Raises HarnessError if nothing is left.
    """
    kept: list[Outcome] = []
    told: list[str] = []
    for benchmark, same in by_benchmark(outcomes).items():
        some, why = _of_one_kind(same)
        some, twice = _distinct(some)
        why += twice
        if paired:
            some, seeds = _of_same_seeds(some, least)
            why += seeds
        kept += some
        told += [f"on {benchmark}, {sentence}" for sentence in why]
    if not kept and outcomes:
        raise HarnessError("none of the studies can be compared.", " ".join(told))
    return kept, told


def _of_one_kind(same: Sequence[Outcome]) -> Comparable:
    """Of one table and set of rules; searches by weight sharing, which are measured, go with any rules."""
    measured = [o for o in same if registry.shares_weights(o.study.algorithm)]
    if measured and len(measured) < len(same):
        kept, told = _of_one_kind([o for o in same if o not in measured])
        return [*kept, *(o for o in measured if o.study.table == kept[0].study.table)], told
    groups: dict[tuple[object, ...], list[Outcome]] = {}
    for outcome in same:
        rules = _MEASURED if measured else outcome.study.rules
        groups.setdefault((outcome.study.table, *(getattr(rules, name) for name in _RULES)), []).append(outcome)
    best = max(groups, key=lambda key: (len({o.label for o in groups[key]}), sum(map(_count, groups[key]))))
    told = []
    for key, group in groups.items():
        if key == best:
            continue
        names = ("table", *_RULES)
        at = next(i for i in range(len(key)) if key[i] != best[i])
        mine, other = (_value(k[at]) for k in (key, best))
        choose = f" (--budget {mine} chooses it)" if names[at] == "budget" and mine != "none" else ""
        told.append(f"{_labels(group)} is left out: its {names[at]} {_are(names[at])} {mine}, not {other}{choose}.")
    return groups[best], told


def _value(value: object) -> str:
    if isinstance(value, float):
        return f"{value:g}" if math.isfinite(value) else "none"
    if isinstance(value, tuple):
        return ", ".join(value) or "none"
    return "none" if value is None else str(value)[:12]


def _are(rule: str) -> str:
    return "are" if rule in ("objectives", "constraints") else "is"


def _distinct(same: Sequence[Outcome]) -> Comparable:
    """One outcome for each label, that of most seeds and of those the last."""
    kept: dict[str, Outcome] = {}
    told = []
    for outcome in same:
        old = kept.get(outcome.label)
        if old is None or _count(outcome) >= _count(old):
            kept[outcome.label] = outcome
        if old is not None:
            out = old if kept[outcome.label] is outcome else outcome
            told.append(
                f"study {out.study.id} of {out.label} is left out: {kept[out.label].study.id} has that name too."
            )
    return [*kept.values()], told


def _of_same_seeds(same: Sequence[Outcome], least: int) -> Comparable:
    sets = [o.seeds for o in same]
    candidates = [np.intersect1d(a, b) for i, a in enumerate(sets) for b in sets[i:]]
    every = sets[0]
    for seeds in sets:
        every = np.intersect1d(every, seeds)
    enough = [c for c in [every, *candidates] if len(c) >= least]
    if not enough:
        few = ", ".join(f"{o.label} has {spans(o.seeds)}" for o in same)
        return [], [f"nothing is left: a test needs {least} seeds that two algorithms share, and {few}."]

    def having(seeds: Ints) -> list[Outcome]:
        return [o for o in same if np.isin(seeds, o.seeds).all()]

    best = max(enough, key=lambda c: (len(having(c)) > 1, len(having(c)) * len(c)))
    kept = having(best)
    out = [o for o in same if o not in kept]
    told = [
        f"{_labels([o])} is left out: it has the seeds {spans(o.seeds)}, not {spans(best)}{_all_at(every, least)}."
        for o in out
    ]
    if any(_count(o) > len(best) for o in kept):
        told.append(f"algorithms are compared by the seeds {spans(best)}, which they share.")
    return [part for o in kept if (part := within(o, best)) is not None], told


def _all_at(every: Ints, least: int) -> str:
    return f" (--seeds {spans(every)} compares all)" if len(every) >= least and "," not in spans(every) else ""


def completed(outcomes: Sequence[Outcome]) -> Comparable:
    """Those of the outcomes in which every algorithm has a study on every benchmark, and what was left out for it.

    Whichever lacks most, a benchmark or an algorithm, goes first. Raises HarnessError if fewer than two algorithms are
    left.
    """
    kept, told = [*outcomes], list[str]()
    while True:
        labels = list(dict.fromkeys(o.label for o in kept))
        groups = by_benchmark(kept)
        lacks = {(b, label) for b, same in groups.items() for label in labels if label not in {o.label for o in same}}
        if not lacks:
            break
        share = {b: sum(1 for x, _ in lacks if x == b) / len(labels) for b in groups}
        gaps = {label: sum(1 for _, x in lacks if x == label) / len(groups) for label in labels}
        benchmark, label = max(share, key=lambda b: share[b]), max(gaps, key=lambda x: gaps[x])
        if (share[benchmark] >= gaps[label] or len(labels) == _LEAST) and len(groups) > 1:
            absent = ", ".join(x for b, x in sorted(lacks) if b == benchmark)
            told.append(f"{benchmark} is left out of ranks: it has no study of {absent}.")
            kept = [o for o in kept if o.study.benchmark != benchmark]
        else:
            absent = ", ".join(b for b, x in sorted(lacks) if x == label)
            told.append(f"{label} is left out of ranks: it has no study on {absent}.")
            kept = [o for o in kept if o.label != label]
    if len({o.label for o in kept}) < _LEAST:
        raise HarnessError("no two algorithms have studies on the same benchmarks to be ranked by.", " ".join(told))
    return kept, told


def drawable(outcomes: Sequence[Outcome], settings: Mapping[str, Any]) -> Comparable:
    """Those of the outcomes that a figure of these `settings` can show together, and what was left out."""
    figure = settings.get("figure", "regret")
    paired = figure in ("ranks", "standing", "speed-up") or settings.get("blocks") == "seeds"
    kept, told = comparable(outcomes, paired=paired)
    if figure in ("ranks", "standing", "speed-up", "critical-difference"):
        kept, incomplete = completed(kept)
        told += incomplete
    return kept, told


def told_by(comparable: Comparable, tell: Callable[[str], None]) -> list[Outcome]:
    """The outcomes, after `tell` was called with each sentence."""
    for sentence in comparable[1]:
        tell(f"note: {sentence}")
    return comparable[0]


def _labels(outcomes: Sequence[Outcome]) -> str:
    return ", ".join(f"{o.label} ({o.study.id})" for o in outcomes)


def _count(outcome: Outcome) -> int:
    return len(outcome.seeds)
