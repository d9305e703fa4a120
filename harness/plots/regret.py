"""Figures of anytime regret: mean over seeds with a band, on log-log axes."""

from __future__ import annotations

import math
import string
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from harness.analysis.bounds import Bound, floor, oracle, random_search
from harness.analysis.comparison import Statistic, selected
from harness.analysis.measures import Axis, everywhere, regret_after, regret_name, steps
from harness.arrays import Floats
from harness.errors import HarnessError
from harness.plots.style import COLOURS, STYLE, Width, legend, log_ticks, looks, outer_labels, panels, tell, titled
from harness.statistics import simultaneous_band
from harness.studies.outcome import Outcome, moments, time_name
from harness.studies.reference import Kind

Band = Literal["sem", "simultaneous"]
_Shown = Literal["sem", "simultaneous", "quartiles"]

_MAX_STAMPS = 2000
_BOUND_LABEL: dict[Bound, str] = {
    "oracle": "oracle",
    "random": "random search, expected",
    "floor": "floor of single observations",
}
_BOUND_DASHES: dict[Bound, Any] = {"oracle": (0, (1, 1)), "random": (0, (7, 2)), "floor": (0, (4, 1.5, 1, 1.5))}


def curve(outcome: Outcome, kind: Kind, by: Axis = "time") -> tuple[Floats, Floats, Floats]:
    """Times (T), mean regret and its standard error over seeds: a step function that holds from each time on.

    It begins when every seed has a result, and has a step at every time when some incumbent changed, thinned to
    2,000 of them, evenly spread on a log axis. In place of simulated seconds, times may be counts of evaluations, up to
    that of the shortest run, of those that could have gone on. Raises HarnessError if there is nothing to draw.
    """
    run, start = outcome.trajectory, everywhere(outcome)
    seed, stamps, _ = steps(outcome, kind, by)
    end = outcome.end
    if by == "evaluations":
        _, first = np.unique(seed, return_index=True)
        start, going = stamps[first].max(), run.evaluations[~run.finished]
        end = float(going.min() if going.size else run.evaluations.max())
    stamps = np.unique(np.append(stamps[(stamps >= start) & ((stamps <= end) | (by == "time"))], start))
    if len(stamps) > _MAX_STAMPS:
        targets = np.geomspace(stamps[0], stamps[-1], _MAX_STAMPS)
        stamps = np.unique(stamps[np.minimum(np.searchsorted(stamps, targets), len(stamps) - 1)])
    times = np.append(stamps, max(end, stamps.max(initial=start)))
    return (times, *moments(_regret(outcome, kind, times, by)))


def _regret(outcome: Outcome, kind: Kind, times: Floats, by: Axis) -> Floats:
    """Regret of each seed at `times` Float[G], in seconds or in evaluations, Float[S, G]."""
    return outcome.regret(kind, times) if by == "time" else regret_after(outcome, kind, times.astype(np.int64))


def regret_figure(
    outcomes: Sequence[Outcome],
    kind: Kind | Literal["both"],
    width: Width | None = None,
    *,
    statistic: Statistic = "mean",
    band: Band | None = None,
    bounds: Sequence[Bound] = (),
    x: Axis = "time",
) -> Figure:
    """Regret over simulated time or evaluations, `x`, a panel per benchmark; of `both` kinds, test below, lettered.

    The `band` of a mean is of two standard errors at each time, or holds the whole curve with 95 % confidence; that of
    a median is between the quartiles. `bounds` are drawn too: the oracle, the expectation of random search, and the
    floor that the noise of observations sets.

    Raises HarnessError if no outcome has this kind of regret, or some cannot be compared.
    """
    if statistic == "median" and band is not None:
        raise HarnessError(f"the band '{band}' is one of means.", "leave it out: that of a median is of quartiles.")
    if bounds and x == "evaluations":
        raise HarnessError("bounds are drawn over time.", "leave out bounds, or x.")
    shown_band: _Shown = "quartiles" if statistic == "median" else band or "sem"
    kinds: tuple[Kind, ...] = ("val", "test") if kind == "both" else (kind,)
    groups = [(k, same) for k in kinds for same in selected(outcomes, k).values()]
    own = looks(o for _, same in groups for o in same)
    with mpl.rc_context(STYLE):
        figure, axes = panels(len(groups), width)
        for i, (axis, (shown, same)) in enumerate(zip(axes, groups, strict=True)):
            lines = _bounds(same, shown, bounds)
            _panel(axis, [(o, {**own[o.label], "label": o.label}) for o in same], shown, shown_band, lines, x)
            letter = f"({string.ascii_lowercase[i]}) " if kind == "both" else ""
            titled(axis, f"{letter}{same[0].reference.title}")
        outer_labels(axes)
        what = {
            "sem": "mean ±2 SEM",
            "simultaneous": "mean and simultaneous\n95 % band",
            "quartiles": "median and quartiles",
        }[shown_band]
        runs = _runs([o for _, same in groups for o in same])
        legend(figure, f"{what}, {runs} runs", above=bool(bounds))
    return figure


def regression_figure(pairs: Sequence[tuple[Outcome, Outcome]]) -> Figure:
    """Validation regret of each pair (baseline, now) of outcomes of one algorithm, a panel for each pair."""
    both: tuple[dict[str, Any], ...] = (
        {"color": "#444444", "linestyle": "--", "zorder": 3, "label": "baseline"},
        {"color": COLOURS[0], "label": "now"},
    )
    with mpl.rc_context(STYLE):
        figure, axes = panels(len(pairs))
        for axis, pair in zip(axes, pairs, strict=True):
            _panel(axis, list(zip(pair, both, strict=True)), "val", "sem")
            titled(axis, f"{pair[0].label} on {pair[0].study.benchmark}")
        outer_labels(axes)
        legend(figure, f"mean ±2 SEM, {_runs([outcome for pair in pairs for outcome in pair])} runs")
    return figure


def _runs(outcomes: Sequence[Outcome]) -> str:
    seeds = sorted({len(o.trajectory.seeds) for o in outcomes})
    return " to ".join(map(str, dict.fromkeys((seeds[0], seeds[-1]))))


class _Line(NamedTuple):
    """Regret `mean` Float[T] at `times` Float[T]; 0 where it cannot be drawn on a log axis, and its label says so."""

    times: Floats
    mean: Floats
    look: dict[str, Any]


def _bounds(same: Sequence[Outcome], kind: Kind, names: Sequence[Bound]) -> list[_Line]:
    """The bounds `names` for comparable outcomes; the floor is that of the one with the most seeds."""
    if not names:
        return []
    if same[0].elsewhere:
        raise HarnessError(
            f"there are no bounds of what is reported on {same[0].elsewhere}.", "leave out bounds, or on."
        )
    most = max(same, key=lambda outcome: len(outcome.trajectory.seeds))
    table, rules = most.study.load_table(), most.study.rules
    ends = np.array([min(outcome.first_times().min() for outcome in same), max(outcome.end for outcome in same)])
    found = []
    for name in names:
        times, mean, label = ends, np.zeros(2), _BOUND_LABEL[name]
        if name == "random":
            times, mean = random_search(table, rules, kind, ends[1])
        elif name == "oracle":
            mean = np.full(2, oracle(table, rules, kind))
        else:
            mean = np.full(2, floor(table, rules, kind, most.trajectory.seeds).mean())
        if np.isnan(mean).any():
            raise HarnessError(
                f"{label} of {kind} regret is not known: the table lacks losses for it.", "leave it out."
            )
        label += ": 0" * bool((mean == 0).all())
        found.append(_Line(times, mean, {"color": "#777777", "linestyle": _BOUND_DASHES[name], "label": label}))
    return found


def _panel(
    axis: Axes,
    drawn: Sequence[tuple[Outcome, dict[str, Any]]],
    kind: Kind,
    band: _Shown,
    bounds: Sequence[_Line] = (),
    by: Axis = "time",
) -> None:
    panel = f"{drawn[0][0].benchmark}{', test' * (kind == 'test')}"
    lowest, highest, start, end = math.inf, 0.0, math.inf, 0.0
    for times, mean, look in bounds:
        shown = mean > 0
        axis.plot(times[shown], mean[shown], linewidth=0.9, zorder=1.5, **look)
        tell(axis, panel, look["label"], x=times[shown], y=mean[shown])
        lowest, highest = min(lowest, mean[shown].min(initial=math.inf)), max(highest, mean[shown].max(initial=0.0))
    for outcome, look in drawn:
        times, mean, sem = curve(outcome, kind, by)
        low, high = mean - 2 * sem, mean + 2 * sem
        if band == "quartiles":
            low, mean, high = np.quantile(_regret(outcome, kind, times, by), [0.25, 0.5, 0.75], axis=0)
        point: dict[str, Any] = {"marker": "o", "markersize": 3} if times[0] == times[-1] else {}
        axis.step(times, mean, where="post", **look, **point)
        if np.isfinite(low).all():
            if band == "simultaneous":
                low, high = simultaneous_band(_regret(outcome, kind, times, by), np.random.default_rng(0))
            highest = max(highest, high.max())
            axis.fill_between(
                times, np.maximum(low, 1e-300), high, step="post", color=look["color"], alpha=0.2, linewidth=0
            )
        tell(axis, panel, look["label"], x=times, y=mean, low=low, high=high)
        lowest = min(lowest, mean[mean > 0].min(initial=math.inf))
        highest = max(highest, mean[np.isfinite(mean)].max(initial=0.0))
        start, end = min(start, times[0]), max(end, times[-1])
    axis.set_yscale("log", nonpositive="clip")
    if math.isfinite(lowest):
        axis.set_ylim(max(lowest / 2, 1e-300), max(highest * 1.5, 1e-299))
    log_ticks(axis.yaxis)
    some = [outcome for outcome, _ in drawn]
    log_time(axis, start, end, "evaluations" if by == "evaluations" else time_name(some))
    axis.set_ylabel(regret_name(some, kind))


def log_time(axis: Axes, start: float, end: float, name: str) -> None:
    """Make the x axis time on a log scale, and call it `name`."""
    axis.set_xscale("log")
    if start < end:
        axis.set_xlim(start, end)
    log_ticks(axis.xaxis)
    axis.set_xlabel(name)
