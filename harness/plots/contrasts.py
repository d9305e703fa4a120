"""Figures that hold algorithms against each other: critical differences, speed-ups, distributions of final regret."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from harness.analysis.comparison import common_end, complete, regret_at, require_paired, selected
from harness.analysis.measures import log_floor, regret_name, time_spent, time_to
from harness.arrays import Floats
from harness.errors import HarnessError, unknown
from harness.plots.profiles import zero_note
from harness.plots.style import STYLE, Width, log_ticks, looks, outer_labels, panels, tell, titled
from harness.statistics import Estimate, cliques, friedman, nemenyi_distance, ranks, speed_up
from harness.studies.outcome import Outcome, unit_of
from harness.studies.reference import Kind

Blocks = Literal["benchmarks", "seeds"]


def critical_difference_figure(
    outcomes: Sequence[Outcome],
    kind: Kind,
    width: Width | None,
    *,
    at: float | None,
    blocks: Blocks = "benchmarks",
    alpha: float = 0.05,
) -> Figure:
    """Average ranks at simulated time `at` (default: the end); bars join those that Nemenyi's test cannot tell apart.

    Blocks are benchmarks (ranks of mean regrets) or runs, one for each benchmark and seed; the latter says something
    about these benchmarks only. Demsar, "Statistical comparisons of classifiers over multiple data sets", JMLR 7, 2006.
    """
    groups = selected(outcomes, kind)
    labels = complete(groups)
    scores = np.concatenate([_scores(same, labels, kind, at, blocks) for same in groups.values()])
    if len(scores) < 2 or len(labels) < 3:
        raise HarnessError(
            f"a critical-difference diagram needs 3 algorithms and 2 {blocks}, got {len(labels)} and {len(scores)}.",
            "name more results, or take runs for blocks: blocks = 'seeds'",
        )
    average = ranks(scores).mean(axis=0)
    distance = nemenyi_distance(len(labels), len(scores), alpha)
    title = f"{len(scores)} {blocks}, Friedman p = {friedman(scores):.2g}, alpha {alpha:g}"
    with mpl.rc_context(STYLE):
        rows = (len(labels) + 1) // 2
        figure, (axis,) = panels(1, width, 1.0 + 0.22 * rows)
        order = np.argsort(average, kind="stable")
        _diagram(axis, average, {labels[i]: looks(outcomes)[labels[i]]["color"] for i in order}, distance)
        for i in order:
            tell(axis, "ranks", labels[i], y=average[i], critical_difference=distance)
        titled(axis, title)
    return figure


def _scores(same: Sequence[Outcome], labels: Sequence[str], kind: Kind, at: float | None, blocks: Blocks) -> Floats:
    """Regrets Float[S, A], or their means Float[1, A]."""
    if blocks == "seeds":
        require_paired(same)
    by_label = {o.label: regret_at(o, kind, [o.end if at is None else at])[:, 0] for o in same}
    scores = np.stack([by_label[label] for label in labels], axis=1)
    return scores if blocks == "seeds" else scores.mean(axis=0, keepdims=True)


def _diagram(axis: Axes, average: Floats, colours: Mapping[str, str], distance: float) -> None:
    ordered, count = np.sort(average), len(colours)
    half = (count + 1) // 2
    axis.set_axis_off()
    axis.plot([1, count], [0, 0], color="black", linewidth=0.8)
    for tick in range(1, count + 1):
        axis.plot([tick, tick], [0, 0.15], color="black", linewidth=0.8)
        if tick % (1 + count // 15) == 0 or tick == 1:
            axis.text(tick, 0.25, str(tick), ha="center", va="bottom", fontsize=7)
    axis.plot([1, 1 + distance], [1.15, 1.15], color="black", linewidth=1.5)
    axis.text(1, 1.3, f"critical difference {distance:.2f}", ha="left", va="bottom", fontsize=7)
    bars = cliques(ordered.tolist(), distance)
    base = 0.25 + 0.22 * len(bars)
    for i, (rank, label) in enumerate(zip(ordered, colours, strict=True)):
        left = i < half
        depth = -(base + 0.45 * (i + 1 if left else count - i))
        edge = 1 - 0.08 * (count - 1) if left else count + 0.08 * (count - 1)
        axis.plot([rank, rank, edge], [0, depth, depth], color=colours[label], linewidth=0.9)
        text = f"{label}  {rank:.2f}" if left else f"{rank:.2f}  {label}"
        axis.text(edge, depth, f" {text} ", ha="right" if left else "left", va="center", fontsize=7)
    for i, (first, last) in enumerate(bars):
        height = -0.2 - 0.22 * i
        axis.plot([ordered[first] - 0.03, ordered[last] + 0.03], [height, height], color="#444444", linewidth=2.5)
    axis.set_xlim(1 - 0.45 * (count - 1), count + 0.45 * (count - 1))
    axis.set_ylim(-(base + 0.45 * half + 0.4), 1.9)


def speed_up_figure(
    outcomes: Sequence[Outcome],
    kind: Kind,
    width: Width | None,
    *,
    targets: Sequence[float],
    against: str,
) -> Figure:
    """How many times sooner than `against` each algorithm reaches the `targets`, a panel per benchmark.

    Ratios of expected running times, with 95 % intervals of the bootstrap over seeds where there are 30 of them.
    """
    groups = selected(outcomes, kind)
    labels = complete(groups)
    if against not in labels:
        raise unknown("algorithm to hold the others against", against, labels)
    rivals = [label for label in labels if label != against]
    if not rivals:
        raise HarnessError(f"there is no other algorithm than {against}.", "name the results of at least two.")
    with mpl.rc_context(STYLE):
        figure, axes = panels(len(groups), width, 0.9 + 0.22 * len(rivals) * len(targets))
        for axis, same in zip(axes, groups.values(), strict=True):
            require_paired(same)
            _speed_ups(axis, {o.label: o for o in same}, kind, targets, against, rivals)
            titled(axis, same[0].reference.title)
            place = axis.get_subplotspec()
            axis.tick_params(labelleft=place is None or place.is_first_col())
        outer_labels(axes)
    return figure


def _speed_ups(
    axis: Axes, same: dict[str, Outcome], kind: Kind, targets: Sequence[float], against: str, rivals: Sequence[str]
) -> None:
    own, names, open_ended = looks(same.values()), [], []
    for row, (label, target) in enumerate((label, target) for label in rivals for target in targets):
        times, other = ((time_to(same[name], kind, target), time_spent(same[name])) for name in (label, against))
        estimate = speed_up(times, other, np.random.default_rng(0))
        names.append(f"{label} to {target:g}")
        colour, low, high = own[label]["color"], estimate.low, estimate.high
        tell(axis, same[label].benchmark, label, target=target, y=estimate.value, low=low, high=high)
        if 0 < estimate.value < math.inf:
            whole = math.isfinite(high) and low > 0
            error = [[estimate.value - low], [high - estimate.value]] if whole else None
            axis.errorbar([estimate.value], [row], xerr=error, fmt="o", color=colour, markersize=3, capsize=2)
        if estimate.value in (0, math.inf) or high == math.inf:
            open_ended.append((row, estimate, colour))
        axis.text(1.04, row, _times(estimate), transform=axis.get_yaxis_transform(), va="center", fontsize=6)
    axis.axvline(1.0, color="black", linewidth=0.8)
    axis.set_xscale("log")
    axis.margins(x=0.15)
    ends = np.array([*axis.get_xlim(), 0.9, 1.1])
    axis.set_xlim(ends.min(), ends.max())
    for row, estimate, colour in open_ended:
        _arrow(axis, row, estimate, colour)
    log_ticks(axis.xaxis, powers=False)
    axis.set_yticks(range(len(names)), names)
    axis.set_ylim(len(names) - 0.5, -0.5)
    axis.set_xlabel(f"times sooner than {against}")


def _arrow(axis: Axes, row: int, estimate: Estimate, colour: str) -> None:
    """What goes on beyond an edge: a ratio that is 0 or infinite, or an interval without an upper end."""
    edge, marker = (1, ">") if estimate.value else (0, "<")
    axis.plot(edge, row, marker, color=colour, markersize=3, clip_on=False, transform=axis.get_yaxis_transform())
    start = estimate.low if estimate.value else estimate.high
    if math.isfinite(start) and start > 0:
        axis.plot([start, axis.get_xlim()[edge]], [row, row], color=colour)
        axis.plot(start, row, "|", color=colour, markersize=4)


def _times(estimate: Estimate) -> str:
    if math.isnan(estimate.value):
        return "neither arrives"
    if math.isinf(estimate.value):
        return "other never arrives"
    if estimate.value == 0:
        return "never arrives"
    low, high = (_short(end) for end in estimate[1:])
    return f"{_short(estimate.value)}x" + f" [{low}, {high}]" * (not math.isnan(estimate.low))


def _short(ratio: float) -> str:
    """Two significant digits, and `3.0` rather than `3`."""
    if math.isinf(ratio):
        return "∞"
    return f"{ratio:.0f}" if ratio >= 9.95 else f"{ratio:.1f}" if ratio >= 0.995 else f"{ratio:.2g}"


def violin_figure(outcomes: Sequence[Outcome], kind: Kind, width: Width | None, *, at: float | None) -> Figure:
    """Distribution of regret over runs at simulated time `at` (default: the end), with median and quartiles."""
    groups = selected(outcomes, kind)
    with mpl.rc_context(STYLE):
        figure, axes = panels(len(groups), width)
        for axis, same in zip(axes, groups.values(), strict=True):
            time = common_end(same) if at is None else at
            _violins(axis, same, kind, time)
            titled(axis, same[0].reference.title)
        outer_labels(axes)
    return figure


def _violins(axis: Axes, same: Sequence[Outcome], kind: Kind, time: float) -> None:
    least = log_floor(same, kind)
    regrets = [regret_at(o, kind, [time])[:, 0] for o in same]
    logs = [np.log10(np.maximum(regret, least)) for regret in regrets]
    own, places = looks(same), range(1, len(same) + 1)
    parts = axis.violinplot(logs, positions=places, widths=0.8, showextrema=False)
    bodies: Any = parts["bodies"]
    for body, outcome in zip(bodies, same, strict=True):
        body.set(facecolor=own[outcome.label]["color"], alpha=0.5, linewidth=0)
        (path,) = body.get_paths()
        path.vertices[:, 1] = 10.0 ** path.vertices[:, 1]
    for outcome, regret in zip(same, regrets, strict=True):
        tell(axis, outcome.benchmark, outcome.label, seed=outcome.trajectory.seeds, y=regret)
    low, middle, high = 10.0 ** np.array([np.quantile(values, [0.25, 0.5, 0.75]) for values in logs]).T
    axis.vlines(places, low, high, color="black", linewidth=2.5)
    axis.scatter(places, middle, color="white", edgecolor="black", linewidth=0.6, s=10, zorder=3)
    every = 10.0 ** np.concatenate(logs)
    axis.set_yscale("log")
    axis.set_ylim(every.min() / 1.5, every.max() * 1.5)
    log_ticks(axis.yaxis)
    axis.set_xticks(places, [o.label for o in same])
    axis.set_xlabel(zero_note(regrets, least).strip())
    axis.set_ylabel(f"{regret_name(same, kind)} at {time:.4g} {unit_of(same)}")
