"""Whether an optimizer became worse: a paired test of its anytime curve against a baseline, with a margin.

For each study, the candidate is held against the baseline seed by seed in the geometric mean of regret over log time
(the area under the log-regret curve) and in mean regret at chosen times. An optimizer is called worse when a ratio of
new to old regret is shown to be above 1 + margin; not worse when all ratios are shown to be below it (a test of
non-inferiority); and undecided when the seeds do not tell.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from harness.analysis.measures import log_areas
from harness.arrays import Floats
from harness.errors import HarnessError
from harness.statistics import Alternative, bootstrap_means, holm, mean_interval, paired_t, percentiles
from harness.studies.baseline import digest
from harness.studies.outcome import Outcome

Verdict = Literal["same", "better", "not worse", "undecided", "worse"]


@dataclass(frozen=True)
class Check:
    """One measure of one study. `ratio` of new to old regret, with the ends of its 1 - alpha interval.

    p-values are one-sided: `worse` that the ratio exceeds 1 + margin, `better` that it is below 1 (both corrected by
    Holm over all checks), `inferior` that it is at least 1 + margin (rejected: shown not to be worse).
    """

    measure: str
    old: float
    new: float
    ratio: float
    low: float
    high: float
    worse: float
    better: float
    inferior: float


@dataclass(frozen=True, eq=False)
class Judgement:
    """What became of one study of the baseline."""

    baseline: Outcome
    candidate: Outcome
    seeds: int
    verdict: Verdict
    checks: tuple[Check, ...]


def judge(
    pairs: Sequence[tuple[Outcome, Outcome]], *, at: Sequence[float] = (), margin: float = 0.05, alpha: float = 0.01
) -> list[Judgement]:
    """Judge (baseline, candidate) pairs, the candidate's seeds being the baseline's first ones.

    `at` are the simulated times of mean regret (default: the end and a tenth of it). Raises HarnessError if the
    baseline has seeds without a result at one of them.
    """
    found = []
    for old, new in pairs:
        seeds = len(new.trajectory.seeds)
        same = digest(old, seeds) == digest(new, seeds)
        checks = () if same else tuple(_checks(old, new, seeds, at, margin, alpha))
        found.append(Judgement(old, new, seeds, "same", checks))
    return _decided(found, alpha)


def _checks(old: Outcome, new: Outcome, seeds: int, at: Sequence[float], margin: float, alpha: float) -> list[Check]:
    times = tuple(sorted(set(at or (old.end / 10, old.end))))
    end, first = times[-1], float(old.first_times()[:seeds].max())
    if first > times[0] or first == end:
        raise HarnessError(
            f"the baseline study {old.study.id} ({old.study.label} on {old.study.benchmark}) has seeds without a "
            f"result before {times[0]:g} {old.unit}.",
            "choose later times with --at, or save a study with a larger budget.",
        )
    both = max(first, float(new.first_times().max()))
    start = both if both < end else first
    before = old.regret("val", np.array(times))[:seeds]
    after = new.regret("val", np.array(times))
    past, now = log_areas([old, new], "val", start, end)
    checks = [_geometric(f"geometric mean, {start:.2g} to {end:.4g} {old.unit}", past[:seeds], now, margin, alpha)]
    checks += [
        _arithmetic(f"mean at {t:.4g} {old.unit}", before[:, i], after[:, i], margin, alpha)
        for i, t in enumerate(times)
    ]
    return checks


def _geometric(measure: str, old: Floats, new: Floats, margin: float, alpha: float) -> Check:
    """Check of mean log10 regrets `old` and `new` Float[S]: differences of logs are logs of ratios."""
    if not np.isfinite(new).all():
        return _absent(measure, 10.0 ** float(old.mean()))
    difference = new - old
    low, high = 10.0 ** np.array(mean_interval(difference, 1 - alpha))[1:]
    numbers = 10.0 ** np.array([old.mean(), new.mean(), difference.mean()])
    return _check(measure, numbers, (low, high), difference, difference - math.log10(1 + margin))


def _arithmetic(measure: str, old: Floats, new: Floats, margin: float, alpha: float) -> Check:
    """Check of regrets `old` and `new` Float[S]: their means are in the ratio r where new - r old has mean 0."""
    if not np.isfinite(new).all():
        return _absent(measure, float(old.mean()))
    means = bootstrap_means(np.stack([old, new], axis=1), _generator())
    low, high = percentiles(_ratio(means[:, 1], means[:, 0]), 1 - alpha)
    ratio = _ratio(new.mean(keepdims=True), old.mean(keepdims=True))[0]
    return _check(measure, [old.mean(), new.mean(), ratio], (low, high), new - old, new - (1 + margin) * old)


def _ratio(new: Floats, old: Floats) -> Floats:
    """`new / old`; 1 where both are 0, inf where only the old one is."""
    zero = np.where(new > 0, np.inf, 1.0)
    return np.divide(new, old, out=zero, where=old > 0)


def _check(
    measure: str, numbers: Sequence[float] | Floats, interval: tuple[Floats, Floats], plain: Floats, shifted: Floats
) -> Check:
    tests: tuple[tuple[Floats, Alternative], ...] = ((shifted, "greater"), (plain, "less"), (shifted, "less"))
    p = [paired_t(differences, alternative) for differences, alternative in tests]
    if not plain.any():
        p[2] = 0.0  # not a number changed, which the test cannot see where all regrets are 0
    return Check(measure, *map(float, (*numbers, *interval, *p)))


def _absent(measure: str, old: float) -> Check:
    """Seeds that had a result in the baseline have none now: worse, whatever the others do."""
    return Check(measure, old, math.inf, math.inf, math.inf, math.inf, 0.0, 1.0, 1.0)


def _generator() -> np.random.Generator:
    """The intervals of a report are those of the same resampled seeds each time it is made."""
    return np.random.default_rng(0)


def _decided(judgements: Sequence[Judgement], alpha: float) -> list[Judgement]:
    checks = [check for judgement in judgements for check in judgement.checks]
    worse, better = (holm(np.array([getattr(c, name) for c in checks])) for name in ("worse", "better"))
    corrected = iter(
        [replace(c, worse=float(w), better=float(b)) for c, w, b in zip(checks, worse, better, strict=True)]
    )
    decided = []
    for judgement in judgements:
        own = tuple(next(corrected) for _ in judgement.checks)
        decided.append(replace(judgement, checks=own, verdict=_verdict(own, alpha)))
    return decided


def _verdict(checks: Sequence[Check], alpha: float) -> Verdict:
    if not checks:
        return "same"
    if any(check.worse < alpha for check in checks):
        return "worse"
    if any(check.inferior >= alpha for check in checks):
        return "undecided"
    return "better" if any(check.better < alpha for check in checks) else "not worse"


def exit_status(judgements: Sequence[Judgement]) -> int:
    """0 if all studies are the same or better, 1 if one is worse, 3 if one changed and is not shown to be worse."""
    verdicts = {judgement.verdict for judgement in judgements}
    return 1 if "worse" in verdicts else 0 if verdicts <= {"same", "better"} else 3
