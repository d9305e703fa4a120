"""Claims of papers, tested: a statistic with its interval for each part of a claim, and what it says of the claim.

Every estimate is written so that larger numbers favour the claim. A part holds if its whole interval is above what is
claimed, does not hold if its whole interval is below, and is undecided otherwise. Intervals of means by seed are
Student's; others are of the bootstrap over whole seeds, all studies of a benchmark resampled together. They hold all
judged parts of a claim at once with 95 % confidence (Bonferroni).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise, product
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import numpy as np

from harness.analysis.comparison import common_end, final, require_paired, rows, selected
from harness.analysis.measures import Axis, everywhere, log_areas, regret_after, time_spent, time_to
from harness.arrays import Floats
from harness.errors import HarnessError, unknown
from harness.statistics import Estimate, bootstrap_weights, mean_interval, speed_up
from harness.studies.outcome import Outcome
from harness.studies.reference import Kind

if TYPE_CHECKING:
    from harness.analysis.quality import Quality

T = TypeVar("T")

Verdict = Literal["holds", "does not hold", "undecided"]
ALPHA = 0.05
_REPLICATES = 2_000
_STAMPS = 200


@dataclass(frozen=True)
class Finding:
    """One number of a claim: `what` it is on a `benchmark`, and its verdict, None for what is only told.

    `claimed` is what the estimate must exceed, None where the verdict is of a test that `what` names.
    """

    benchmark: str
    what: str
    estimate: Estimate
    claimed: float | None = None
    verdict: Verdict | None = None


def judge(estimate: Estimate, claimed: float) -> Verdict:
    """What an interval says of being above `claimed`."""
    if estimate.low > claimed:
        return "holds"
    return "does not hold" if estimate.high < claimed else "undecided"


def seeds_to_decide(finding: Finding, seeds: int) -> float:
    """About how many seeds would decide a part that `seeds` left undecided, if its estimate were the truth.

    The distance to what is claimed counts in logarithms where that is a ratio. The end of the interval on that side
    comes nearer by the square root of the number of seeds. inf where the estimate is what is claimed, NaN where it or
    that end is not finite: too few runs have arrived to tell.
    """
    (value, low, high), claimed = finding.estimate, finding.claimed
    assert claimed is not None
    end = low if value > claimed else high
    if claimed > 0:
        with np.errstate(divide="ignore"):
            value, end, claimed = (float(x) for x in np.log([value, end, claimed]))
    if not (math.isfinite(value) and math.isfinite(end)):
        return math.nan
    return seeds * ((end - value) / (claimed - value)) ** 2 if claimed != value else math.inf


def overall(findings: Sequence[Finding]) -> Verdict:
    """A claim holds if all its judged parts do, and does not if one does not. Raises HarnessError if none is judged."""
    verdicts = {finding.verdict for finding in findings} - {None}
    if not verdicts:
        raise HarnessError("there is nothing in the claim to judge.", "name studies for it.")
    if "does not hold" in verdicts:
        return "does not hold"
    return "undecided" if "undecided" in verdicts else "holds"


def tested(outcomes: Sequence[Any], claim: Mapping[str, Any]) -> list[Finding]:
    """The findings of a `claim`: its `statistic` by name, and what that takes, as in docs/claims.md.

    Raises HarnessError if a study is missing, or seeds are not the same.
    """
    return STATISTICS[claim["statistic"]](outcomes, claim)


def speed_ups(outcomes: Sequence[Outcome], claim: Mapping[str, Any]) -> list[Finding]:
    """How many times sooner `algorithm` reaches each regret of `targets` than each rival of `factors`, as claimed."""
    kind, name, targets = claim.get("kind", "val"), claim["algorithm"], claim["targets"]
    groups = selected(outcomes, kind)
    confidence = 1 - ALPHA / (len(groups) * len(claim["factors"]) * len(targets))
    found = []
    for (benchmark, same), target in product(groups.items(), targets):
        times = {label: (time_to(o, kind, target), time_spent(o)) for label, o in _labelled(same).items()}
        reached = {label: int(np.isfinite(arrived).sum()) for label, (arrived, _) in times.items()}
        for rival, claimed in claim["factors"].items():
            pair = (_of(times, name, benchmark), _of(times, rival, benchmark))
            estimate = speed_up(*pair, np.random.default_rng(0), confidence, _REPLICATES)
            counts = f"{reached[name]} against {reached[rival]} of {len(pair[0][0])} runs arrive"
            what = f"times sooner than {rival} to regret {target:g} ({counts})"
            found.append(Finding(benchmark, what, estimate, float(claimed), judge(estimate, float(claimed))))
    return found


def anytime(outcomes: Sequence[Outcome], claim: Mapping[str, Any]) -> list[Finding]:
    """Whether `algorithm` has the lowest regret at any time.

    Judged are the areas under the log-regret curves, as ratios of geometric means over log time, against each rival.
    The claim does not hold either where, at a decade of time, Wilcoxon's test by seed, corrected by Holm over a
    benchmark, finds the algorithm worse than the one with the lowest mean; no difference found says nothing for it.
    Told is for how much of log time its mean curve is lowest.
    """
    kind: Kind = claim.get("kind", "val")
    groups = selected(outcomes, kind)
    parts = sum(len(same) - 1 for same in groups.values())
    return [
        finding
        for benchmark, same in groups.items()
        for finding in _anytime(benchmark, _labelled(same), kind, claim["algorithm"], 1 - ALPHA / max(parts, 1))
    ]


def _anytime(benchmark: str, same: Mapping[str, Outcome], kind: Kind, name: str, confidence: float) -> list[Finding]:
    own = _of(same, name, benchmark)
    start, end = max(everywhere(o) for o in same.values()), common_end([*same.values()])
    if not start < end:
        raise HarnessError(f"there is no time on {benchmark} to compare.", "run with a larger budget.")
    rivals = [label for label in same if label != name]
    weights = bootstrap_weights(len(own.trajectory.seeds), np.random.default_rng(0), _REPLICATES)
    areas = dict(zip(same, log_areas([*same.values()], kind, start, end), strict=True))
    found = []
    for rival in rivals:
        estimate = _power(areas[rival] - areas[name], confidence)
        what = f"{kind} regret of {rival} over that of {name}, geometric means over log time"
        found.append(Finding(benchmark, what, estimate, 1.0, judge(estimate, 1.0)))
    stamps = sorted({*(10.0 ** np.arange(math.ceil(math.log10(start)), math.log10(end))).tolist(), end})
    for row in rows([*same.values()], kind, at=stamps, alpha=ALPHA):
        regrets = {label: o.regret(kind, np.array([row.time]))[:, 0] for label, o in same.items()}
        best = min(rivals, key=lambda label: row.cells[label].mean)
        estimate = _ratio(regrets[best], regrets[name], weights)
        top = ", ".join(label for label, cell in row.cells.items() if cell.top)
        when = f"at {row.time:.4g} {row.unit}"
        what = f"{kind} regret of {best} over that of {name} {when}; lowest or not told apart: {top}"
        found.append(Finding(benchmark, what, estimate, None, None if row.cells[name].top else "does not hold"))
    share = _share_lowest([own, *(same[rival] for rival in rivals)], kind, np.geomspace(start, end, _STAMPS), weights)
    return [*found, Finding(benchmark, f"share of log time with {name}'s mean {kind} regret the lowest", share)]


def _share_lowest(outcomes: Sequence[Outcome], kind: Kind, times: Floats, weights: Floats) -> Estimate:
    """The share of `times` at which the mean regret of the first outcome is at most those of the others."""
    regrets = [o.regret(kind, times) for o in outcomes]

    def share(weights: Floats) -> Floats:
        means = [weights @ regret for regret in regrets]
        return (means[0] <= np.min(means[1:], axis=0)).mean(axis=1)

    even = np.full((1, weights.shape[1]), 1 / weights.shape[1])
    return _interval(float(share(even)[0]), share(weights))


def efficiency(outcomes: Sequence[Outcome], claim: Mapping[str, Any]) -> list[Finding]:
    """How many times more trainings `against` needs to reach the mean regret that `algorithm` ends with.

    They are what a table's clock counts if it counts trainings, of which invalid configurations are none, and else
    evaluations. `factor` is claimed. Where there were invalid configurations, proposals for each training are told. Of
    the other studies of the same algorithm the mean regrets at the end are told, and which of them are lowest or not
    significantly worse.
    """
    kind: Kind = claim.get("kind", "val")
    groups = selected(outcomes, kind)
    confidence = 1 - ALPHA / len(groups)
    found = []
    for benchmark, same in groups.items():
        labelled = _labelled(same)
        own, other = (_of(labelled, claim[role], benchmark) for role in ("algorithm", "against"))
        estimate = _evaluations_ratio(own, other, kind, confidence)
        spent, unit = _trainings(own).max(), "trainings" if _counts_trainings(own) else "evaluations"
        what = f"{unit} of {claim['against']} for each of the {spent:g} of {claim['algorithm']} to the same regret"
        claimed = float(claim["factor"])
        found.append(Finding(benchmark, what, estimate, claimed, judge(estimate, claimed)))
        for o in (own, other) if unit == "trainings" else ():
            count = o.trajectory.evaluations / _trainings(o)
            if np.ptp(count) > 0:
                what = f"proposals of {o.study.label} for each of its trainings, invalid ones among them"
                found.append(Finding(benchmark, what, mean_interval(count)))
        variants = [o for o in same if o.study.algorithm == own.study.algorithm]
        if len(variants) > 1:
            found += _variants(benchmark, variants, kind)
    return found


def _counts_trainings(outcome: Outcome) -> bool:
    return outcome.unit == "evaluations"


def _trainings(outcome: Outcome) -> Floats:
    """How many each run did, Float[S], or evaluations where the clock does not count trainings."""
    run = outcome.trajectory
    return run.ended if _counts_trainings(outcome) else run.evaluations.astype(np.float64)


def _evaluations_ratio(own: Outcome, other: Outcome, kind: Kind, confidence: float) -> Estimate:
    """inf where the other never gets there."""
    by: Axis = "time" if _counts_trainings(own) else "evaluations"
    spent, most = _trainings(own).max(), _trainings(other).max()
    counts = np.unique(np.geomspace(1, most, 1000).astype(np.int64))
    final = regret_after(own, kind, np.array([spent]), by)
    curve = regret_after(other, kind, counts, by)
    curve = np.where(np.isnan(curve), np.inf, curve)

    def needed(weights: Floats) -> Floats:
        started = np.isfinite(curve).all(axis=0)
        means = np.full((len(weights), len(counts)), np.inf)
        means[:, started] = weights @ curve[:, started]
        reached = means <= (weights @ final) * (1 + 1e-9)
        return np.where(reached.any(axis=1), counts[reached.argmax(axis=1)], np.inf) / spent

    seeds = len(own.trajectory.seeds)
    weights = bootstrap_weights(seeds, np.random.default_rng(0), _REPLICATES)
    return _interval(float(needed(np.full((1, seeds), 1 / seeds))[0]), needed(weights), confidence)


def _variants(benchmark: str, variants: Sequence[Outcome], kind: Kind) -> list[Finding]:
    row, regrets = final(variants, kind, alpha=ALPHA)
    weights = bootstrap_weights(row.seeds, np.random.default_rng(0), _REPLICATES)
    found = []
    for o, regret in zip(variants, regrets, strict=True):
        note = " (lowest, or not told apart from it)" if row.cells[o.study.label].top else ""
        estimate = _interval(float(regret.mean()), weights @ regret)
        found.append(Finding(benchmark, f"{kind} regret of {o.study.label} at the end{note}", estimate))
    return found


def trend(qualities: Sequence[Quality], claim: Mapping[str, Any]) -> list[Finding]:
    """Gain of a predictor's `measure` from each sample size to the next, which is claimed to be above 0.

    Samples grow, so that sizes are paired by seed; seeds where the measure is not defined at both sizes are left out.
    """
    measure = claim.get("measure", "spearman")
    sign = -1.0 if measure in ("mse", "regret") else 1.0
    confidence = 1 - ALPHA / max(1, sum(len(q.study.sizes) - 1 for q in qualities))
    found = []
    for quality in qualities:
        sizes, values = quality.study.sizes, sign * quality.measures[measure]
        for i, (size, larger) in enumerate(pairwise(sizes)):
            gain = values[:, i + 1] - values[:, i]
            gain = gain[np.isfinite(gain)]
            if len(gain) < 2:
                raise HarnessError(
                    f"{measure} of {quality.study.label} is defined for {len(gain)} seeds at {size} and {larger}.",
                    "take more --seeds.",
                )
            estimate = mean_interval(gain, confidence)
            what = f"gain in {measure} of {quality.study.label} from {size} to {larger} configurations"
            found.append(Finding(quality.study.benchmark, what, estimate, 0.0, judge(estimate, 0.0)))
    return found


def phases(outcomes: Sequence[Outcome], claim: Mapping[str, Any]) -> list[Finding]:
    """Which of two parts of an algorithm does more, from `start` to `split` evaluations and from there to the end.

    `without` are the labels of the algorithm without its early part and without its late part. Judged is whether the
    early phase suffers more from leaving out the former, and the late one from the latter; told is what each leaves.
    Regrets are geometric means over log evaluations.
    """
    kind: Kind = claim.get("kind", "val")
    groups = selected(outcomes, kind)
    confidence = 1 - ALPHA / (2 * len(groups))
    found = []
    for benchmark, same in groups.items():
        labelled = _labelled(same)
        end = float(min(o.study.rules.evals or o.trajectory.evaluations.max() for o in same))
        windows = {"early": (claim["start"], claim["split"]), "late": (claim["split"], end)}
        if not 0 < claim["start"] < claim["split"] < end:
            raise HarnessError(f"the phases on {benchmark} end at {end:g} evaluations.", "choose an earlier split.")
        full, *ablated = (_of(labelled, name, benchmark) for name in (claim["algorithm"], *claim["without"]))
        for phase, (start, stop) in windows.items():
            areas = log_areas([full, *ablated], kind, start, stop, "evaluations")
            if not np.isfinite(areas).all():
                raise HarnessError(f"a seed on {benchmark} has no result by {start:g} evaluations.", "start later.")
            worse, other = claim["without"] if phase == "early" else claim["without"][::-1]
            difference = areas[1] - areas[2] if phase == "early" else areas[2] - areas[1]
            when = f"{phase} ({start:g} to {stop:g} evaluations)"
            estimate = _power(difference, confidence)
            what = f"{when}: regret of {worse} over that of {other}"
            found.append(Finding(benchmark, what, estimate, 1.0, judge(estimate, 1.0)))
            for name, area in zip(claim["without"], areas[1:], strict=True):
                what = f"{when}: regret of {name} over that of {claim['algorithm']}"
                found.append(Finding(benchmark, what, _power(area - areas[0], 1 - ALPHA)))
    return found


STATISTICS: dict[str, Callable[[Sequence[Any], Mapping[str, Any]], list[Finding]]] = {
    "speed-up": speed_ups,
    "anytime": anytime,
    "efficiency": efficiency,
    "trend": trend,
    "phases": phases,
}
NEEDS = {
    "speed-up": ("algorithm", "factors", "targets"),
    "anytime": ("algorithm",),
    "efficiency": ("algorithm", "against", "factor"),
    "trend": (),
    "phases": ("algorithm", "without", "start", "split"),
}


def _labelled(same: Sequence[Outcome]) -> dict[str, Outcome]:
    require_paired(same)
    return {o.study.label: o for o in same}


def _of(by_label: Mapping[str, T], label: str, benchmark: str) -> T:
    if label not in by_label:
        raise unknown(f"algorithm of the claim on {benchmark}", label, by_label)
    return by_label[label]


def _interval(value: float, replicates: Floats, confidence: float = 1 - ALPHA) -> Estimate:
    tail = (1 - confidence) / 2
    low, high = np.quantile(replicates, [tail, 1 - tail], method="inverted_cdf")
    return Estimate(value, float(low), float(high))


def _power(differences: Floats, confidence: float) -> Estimate:
    """Ten to the mean of `differences` Float[S] of logarithms."""
    return Estimate(*(float(10**end) for end in mean_interval(differences, confidence)))


def _ratio(upper: Floats, lower: Floats, weights: Floats) -> Estimate:
    """Ratio of the means of two arrays Float[S]; inf where the lower is 0, and 1 where both are."""

    def ratio(a: Floats, b: Floats) -> Floats:
        return np.where(b > 0, a / np.where(b > 0, b, 1.0), np.where(a > 0, np.inf, 1.0))

    value = ratio(upper.mean(keepdims=True), lower.mean(keepdims=True))[0]
    return _interval(float(value), ratio(weights @ upper, weights @ lower))
