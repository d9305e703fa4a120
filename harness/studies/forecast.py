"""What a set of studies will cost, before they run: from the CPU seconds of those that ran."""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean
from typing import NamedTuple

from harness.studies.index import stored
from harness.studies.outcome import Outcome
from harness.studies.store import find
from harness.studies.study import Study

MEASURED = Path(__file__).with_name("seconds.json")
"""CPU seconds a seed by the label of studies and their benchmark, which `python -m bench.seconds` measures."""


class Expected(NamedTuple):
    """CPU seconds that a study is expected to cost, NaN where nothing like it was measured, and what says so."""

    study: Study
    seconds: float
    by: str


@dataclass
class Forecast:
    """CPU seconds a seed of studies that ran, by label and benchmark; `there` are the ids of those.

    Seconds of a study are those of its algorithm and parameters on its benchmark or, where there are none, the mean
    over other benchmarks. Those of runs of another length are taken in proportion to budgets or evaluations, where both
    have them.
    """

    shipped: Mapping[str, Mapping[str, float]]
    there: set[str] = field(default_factory=set)
    seen: dict[str, dict[str, list[Callable[[Study], float]]]] = field(
        default_factory=lambda: defaultdict(lambda: defaultdict(list))
    )

    @classmethod
    def of_stored(cls, folder: Path) -> Forecast:
        """What studies in `folder` cost, if there are any. Raises HarnessError for a broken file."""
        forecast = cls(json.loads(MEASURED.read_text(encoding="utf-8"))["seconds"])
        forecast.learn(stored(find([folder])) if folder.is_dir() and any(folder.glob("*.parquet")) else ())
        return forecast

    def learn(self, outcomes: Iterable[Outcome]) -> None:
        """Take in what `outcomes` cost."""
        for o in outcomes:
            spent = o.cpu_seconds if math.isfinite(o.cpu_seconds) else o.summary_at_end["wall_seconds"]
            self.there.add(o.study.id)
            self.seen[o.study.label][o.study.benchmark].append(_scaled(o.study, spent / max(len(o.study.seeds), 1)))

    def of(self, study: Study) -> Expected:
        """What the whole study is expected to cost."""
        seeds, here = len(study.seeds), self.seen.get(study.label, {})
        if found := [each(study) for each in here.get(study.benchmark, [])]:
            return Expected(study, seeds * fmean(found), "runs of the same")
        if found := [each(study) for runs in here.values() for each in runs]:
            return Expected(study, seeds * fmean(found), "other benchmarks")
        measured = self.shipped.get(study.label, {})
        if measured:
            each = measured.get(study.benchmark, fmean(measured.values()))
            return Expected(study, seeds * each, "the harness's own measurement")
        return Expected(study, math.nan, "nothing yet")


def _scaled(ran: Study, each: float) -> Callable[[Study], float]:
    """Seconds a seed of another study, out of those of one that `ran`."""

    def of(study: Study) -> float:
        ratios = [
            theirs / ours
            for theirs, ours in ((study.rules.budget, ran.rules.budget), (study.rules.evals, ran.rules.evals))
            if theirs and ours and math.isfinite(theirs) and math.isfinite(ours)
        ]
        return each * (min(ratios) if ratios else 1.0)

    return of


def total(expected: Sequence[Expected]) -> tuple[float, int]:
    """CPU seconds of those that are known, and how many are not."""
    known = [one.seconds for one in expected if math.isfinite(one.seconds)]
    return sum(known), len(expected) - len(known)


def duration(seconds: float) -> str:
    """`45 s`, `12 min`, `3.5 h` or `2.1 days`."""
    for unit, size, most in (("s", 1, 100), ("min", 60, 100), ("h", 3600, 72)):
        if seconds < most * size:
            number = seconds / size
            return f"{number:.0f} {unit}" if number >= 10 or unit == "s" else f"{number:.1f} {unit}"
    return f"{seconds / 86400:.1f} days"
