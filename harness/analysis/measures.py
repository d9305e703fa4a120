"""Numbers per seed out of a study: regret at a time, time to a target, area under the log-regret curve."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Literal

import numpy as np

from harness.arrays import Floats, Ints
from harness.errors import HarnessError
from harness.statistics import mean_log_area
from harness.studies.outcome import Outcome
from harness.studies.reference import Kind

Axis = Literal["time", "evaluations"]

_ROUNDING = 1e-6
"""A share of the smallest regret that counts: what is less is told apart by rounding only."""


def regret_name(outcomes: Iterable[Outcome], kind: Kind) -> str:
    """What this kind of regret of them is called: of fronts it is one of hypervolumes."""
    plain, front = {
        "val": ("validation regret", "hypervolume regret"),
        "test": ("test regret", "hypervolume regret, test errors"),
    }[kind]
    several = {bool(outcome.study.rules.objectives) for outcome in outcomes}
    return front if several == {True} else f"{plain} or {front}" if True in several else plain


def log_floor(outcomes: Iterable[Outcome], kind: Kind) -> float:
    """The regret that a regret of zero stands for in a logarithm: half of the smallest that the table tells from zero.

    Older results do not hold that; of them alone it is a thousandth of the lowest loss.
    """
    scales = [outcome.reference.scale(kind) for outcome in outcomes]
    known = [scale.least for scale in scales if scale.least is not None]
    return known[0] / 2 if known else 1e-3 * (abs(scales[0].optimum or 0.0) or 1.0)


def steps(outcome: Outcome, kind: Kind, by: Axis = "time") -> tuple[Ints, Floats, Floats]:
    """Position of the seed, time and regret of every incumbent, sorted by seed and then by time, Int[E], Float[E].

    In place of simulated seconds, the time may be the number of results by then.
    """
    run = outcome.trajectory
    kept = np.flatnonzero(run.incumbent)
    when = run.time if by == "time" else run.evaluation.astype(np.float64)
    return run.seed[kept], when[kept], outcome.regrets(kind)[kept]


def log_areas(outcomes: Sequence[Outcome], kind: Kind, start: float, end: float, by: Axis = "time") -> list[Floats]:
    """Means of log10 regret over log time from `start` to `end`, Float[S] of each of `outcomes` on one table.

    inf for a seed without result at `start`.
    """
    least = log_floor(outcomes, kind)
    return [
        mean_log_area(*steps(o, kind, by), seeds=len(o.trajectory.seeds), start=start, end=end, floor=least)
        for o in outcomes
    ]


def time_to(outcome: Outcome, kind: Kind, target: float) -> Floats:
    """When the regret of each seed's incumbent was first at most `target`, Float[S]; inf where it never was.

    An incumbent is chosen by what was observed, so that its regret may rise again later. A regret that is `target` but
    for rounding, which is not the same of an accuracy and of its error, reaches it.
    """
    seed, time, regret = steps(outcome, kind)
    reached = regret <= target + _ROUNDING * log_floor([outcome], kind)
    first = np.full(len(outcome.trajectory.seeds), np.inf)
    np.minimum.at(first, seed[reached], time[reached])
    return first


def regret_after(outcome: Outcome, kind: Kind, counts: Ints | Floats, by: Axis = "evaluations") -> Floats:
    """Regret of each seed's incumbent after `counts` [G] of evaluations, ascending, Float[S, G]; NaN before the first.

    With `by="time"`, counts are of simulated time.
    """
    seed, count, regret = steps(outcome, kind, by)
    since = np.full((len(outcome.trajectory.seeds), len(counts) + 1), -1)
    np.maximum.at(since, (seed, np.searchsorted(counts, count)), np.arange(len(seed)))
    return np.append(regret, np.nan)[np.maximum.accumulate(since, axis=1)[:, :-1]]


def time_spent(outcome: Outcome) -> Floats:
    """Seconds that each run took up to its last result, Float[S]: what it costs where it reaches no target.

    A run that was stopped early, as its incumbent could not change any more, costs what the runs of the study that went
    on took in the mean or, where there are none, the time of the study.
    """
    run = outcome.trajectory
    went_on = run.ended[~run.finished]
    whole = went_on.mean() if len(went_on) else outcome.end
    return np.where(run.finished, np.maximum(run.ended, whole), run.ended)


def everywhere(outcome: Outcome) -> float:
    """The time above 0 from which on every seed has an incumbent. Raises HarnessError if there is none."""
    first = float(outcome.first_times().max(initial=-math.inf))
    if not math.isfinite(first):
        raise lacking(outcome, math.inf)
    if not first:
        said = f"all that study {outcome.study.id} ({outcome.label} on {outcome.benchmark}) trained cost nothing"
        raise HarnessError(f"{said}: there is no time to draw.", "run it with a cost for each: --overhead 1.")
    return first


def lacking(outcome: Outcome, time: float) -> HarnessError:
    """What is to be said of a study that has seeds without an incumbent at `time`."""
    first = outcome.first_times()
    said = f"study {outcome.study.id} ({outcome.label} on {outcome.benchmark}) has seeds without a result"
    when = f" at {time:g} {outcome.unit}" if math.isfinite(time) else ""
    if (outcome.trajectory.evaluations[np.isinf(first)] > 0).any():
        return HarnessError(f"{said} with a loss{when}.", "all that they evaluated had none; run it for longer.")
    if math.isfinite(first.max(initial=-math.inf)):
        return HarnessError(f"{said}{when}.", "compare at later times with --at, or run them for longer.")
    hint = "its budget is too small to finish one evaluation; run it with a larger --budget."
    return HarnessError(f"{said}{when}.", hint)
