"""Figures of whole distributions: ranks over time, regret at a time, and times to targets, as COCO has them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from harness.analysis.comparison import common_end, complete, regret_at, require_paired, selected
from harness.analysis.measures import everywhere, log_floor, regret_name, time_to
from harness.arrays import Floats
from harness.plots.regret import log_time
from harness.plots.style import STYLE, Width, legend, log_ticks, looks, outer_labels, panels, tell, titled
from harness.statistics import bootstrap_weights, percentiles, ranks
from harness.studies.outcome import Outcome, time_name, unit_of
from harness.studies.reference import Kind

_STAMPS = 200
_REPLICATES = 500

Draw = Callable[[Axes, Sequence[Outcome], Mapping[str, Any]], None]
"""Fills a panel with the studies of a benchmark; the last argument has the look of each label."""


class Ranks(NamedTuple):
    """Average ranks of the algorithms `labels` (A) at times `x` Float[G], with the ends of their bands, Float[G, A].

    `x` is in simulated seconds where `seconds`, and a share of the budget otherwise.
    """

    labels: list[str]
    x: Floats
    seconds: bool
    average: Floats
    low: Floats
    high: Floats


def average_ranks(outcomes: Sequence[Outcome], kind: Kind) -> Ranks:
    """Rank of the mean regrets, averaged over benchmarks; the band holds 95 % of the ranks of resampled seeds.

    Of a single benchmark it is the rank of each run among those of its seed, averaged over seeds.

    Time is in seconds where all benchmarks have the same end, and the share of the budget otherwise; there are 200
    times, evenly spread on a log axis. Raises HarnessError if a study is missing or seeds are not the same.
    """
    groups = selected(outcomes, kind)
    labels = complete(groups)
    for same in groups.values():
        require_paired(same)
    ends = {name: common_end(same) for name, same in groups.items()}
    starts = [max(map(everywhere, same)) / ends[name] for name, same in groups.items()]
    shares = np.geomspace(max(starts), 1.0, _STAMPS)
    rank = _ranks if len(groups) > 1 else _ranks_of_runs
    drawn = [rank(groups[name], labels, kind, shares * ends[name]) for name in groups]
    average = np.mean([mean for mean, _ in drawn], axis=0)
    low, high = percentiles(np.mean([resampled for _, resampled in drawn], axis=0))
    common = len(set(ends.values())) == 1
    return Ranks(labels, shares * next(iter(ends.values())) if common else shares, common, average, low, high)


def rank_figure(outcomes: Sequence[Outcome], kind: Kind, width: Width | None) -> Figure:
    """`average_ranks` over time."""
    found = average_ranks(outcomes, kind)
    x, labels, benchmarks = found.x, found.labels, len(selected(outcomes, kind))
    own = looks(outcomes)
    with mpl.rc_context(STYLE):
        figure, (axis,) = panels(1, width)
        for i, label in enumerate(labels):
            axis.step(x, found.average[:, i], where="post", label=label, **own[label])
            band, colour = (found.low[:, i], found.high[:, i]), own[label]["color"]
            tell(axis, "ranks", label, x=x, y=found.average[:, i], low=band[0], high=band[1])
            axis.fill_between(x, *band, step="post", color=colour, alpha=0.12, linewidth=0)
        log_time(axis, x[0], x[-1], time_name(outcomes) if found.seconds else "share of the budget")
        axis.set_ylabel(f"average rank, {regret_name(outcomes, kind)}")
        axis.set_ylim(0.8, len(labels) + 0.2)
        axis.set_yticks(range(1, len(labels) + 1))
        what = f"{benchmarks} benchmarks" if benchmarks > 1 else f"runs of a seed on {outcomes[0].reference.title}"
        titled(axis, f"{what}, band of 95 % of resamples")
        legend(figure, above=True)
    return figure


def _ranks(same: Sequence[Outcome], labels: Sequence[str], kind: Kind, times: Floats) -> tuple[Floats, Floats]:
    """Ranks of the algorithms at `times` Float[G]: Float[G, A], and of resampled seeds Float[B, G, A]."""
    by_label = {o.label: o.regret(kind, times) for o in same}
    regrets = [by_label[label] for label in labels]
    weights = bootstrap_weights(len(regrets[0]), np.random.default_rng(0), _REPLICATES)
    means = np.stack([regret.mean(axis=0) for regret in regrets], axis=-1)
    return ranks(means), ranks(np.stack([weights @ regret for regret in regrets], axis=-1))


def _ranks_of_runs(same: Sequence[Outcome], labels: Sequence[str], kind: Kind, times: Floats) -> tuple[Floats, Floats]:
    """Ranks of runs among those of their seed: means over seeds Float[G, A], over resampled seeds Float[B, G, A]."""
    by_label = {o.label: o.regret(kind, times) for o in same}
    each = ranks(np.stack([by_label[label] for label in labels], axis=-1))
    weights = bootstrap_weights(len(each), np.random.default_rng(0), _REPLICATES)
    resampled = weights @ each.reshape(len(each), -1)
    return each.mean(axis=0), resampled.reshape(len(weights), *each.shape[1:])


def regret_ecdf_figure(outcomes: Sequence[Outcome], kind: Kind, width: Width | None, *, at: float | None) -> Figure:
    """Share of the runs with at most a regret at simulated time `at` (default: the end), a panel per benchmark."""
    groups = selected(outcomes, kind)

    def draw(axis: Axes, same: Sequence[Outcome], own: Mapping[str, Any]) -> None:
        time = common_end(same) if at is None else at
        least = log_floor(same, kind)
        found = {o.label: np.sort(regret_at(o, kind, [time])[:, 0]) for o in same}
        highest = max((np.nanmax(values, initial=least) for values in found.values()), default=least)
        for label, values in found.items():
            reached = np.maximum(values[np.isfinite(values)], least)
            share = np.arange(len(reached) + 1) / len(values)
            at_most, shares = [least, *reached, highest * 1.2], [0.0, *share[1:], share[-1]]
            axis.step(at_most, shares, where="post", label=label, **own[label])
            tell(axis, same[0].benchmark, label, x=at_most, y=shares)
        axis.set_xscale("log")
        log_ticks(axis.xaxis)
        axis.set_xlabel(f"{regret_name(same, kind)} at {time:.4g} {unit_of(same)}{zero_note(found.values(), least)}")
        axis.set_ylabel("share of runs")

    return _shares(groups, width, draw, "")


def zero_note(values: Iterable[Floats], least: float) -> str:
    """Where regrets below `least` are drawn, if there are any."""
    return f"\n(0 drawn at {least:.2g})" if any((v < least).any() for v in values) else ""


def time_ecdf_figure(
    outcomes: Sequence[Outcome], kind: Kind, width: Width | None, *, targets: Sequence[float]
) -> Figure:
    """Share of the pairs (run, target) that were reached, over simulated time, a panel per benchmark."""
    groups = selected(outcomes, kind)

    def draw(axis: Axes, same: Sequence[Outcome], own: Mapping[str, Any]) -> None:
        end = max(o.end for o in same)
        first = min(float(o.first_times().min()) for o in same)
        for o in same:
            times = np.sort(np.concatenate([time_to(o, kind, target) for target in targets]))
            reached = times[np.isfinite(times)]
            share = np.arange(len(reached) + 1) / len(times)
            by, shares = [first, *reached, end], [0.0, *share[1:], share[-1]]
            axis.step(by, shares, where="post", label=o.label, **own[o.label])
            tell(axis, o.benchmark, o.label, x=by, y=shares)
        log_time(axis, first, end, time_name(same))
        axis.set_ylabel("share of runs and targets" if len(targets) > 1 else f"share of runs at {targets[0]:g}")

    what = ", ".join(f"{target:g}" for target in targets) if len(targets) < 5 else f"{len(targets)} targets"
    return _shares(groups, width, draw, f"{regret_name(outcomes, kind)} {what}")


def _shares(
    groups: Mapping[str, Sequence[Outcome]],
    width: Width | None,
    draw: Draw,
    title: str,
) -> Figure:
    """Panels of shares in [0, 1], with a legend."""
    own = looks(o for same in groups.values() for o in same)
    with mpl.rc_context(STYLE):
        figure, axes = panels(len(groups), width)
        for axis, same in zip(axes, groups.values(), strict=True):
            draw(axis, same, own)
            axis.set_ylim(0, 1.02)
            titled(axis, same[0].reference.title)
        outer_labels(axes)
        legend(figure, title)
    return figure
