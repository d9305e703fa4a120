"""What runs with two objectives attain: their fronts at one time, over seeds, beside the true one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from harness.analysis.comparison import common_end, selected
from harness.arrays import Floats
from harness.errors import HarnessError
from harness.plots.style import STYLE, Width, legend, log_ticks, looks, outer_labels, panels, tell, titled
from harness.studies.fronts import Front, held
from harness.studies.outcome import Outcome
from harness.studies.reference import Kind
from harness.table import Table

_TWO, _DECADE = 2, 10.0


def attainment_figure(outcomes: Sequence[Outcome], kind: Kind, width: Width | None, *, at: float | None) -> Figure:
    """The front that half of the runs attain at simulated time `at` (default: the end), and those of the quartiles.

    A run attains a point if something that it holds is as good in both mean objectives. The true front is black.
    Fonseca, da Fonseca and Hall, "Inferential performance assessment of stochastic optimisers and the attainment
    function", EMO 2001. Raises HarnessError unless studies have two objectives.
    """
    _require_two(outcomes, "an attainment figure")
    own = looks(outcomes)
    with mpl.rc_context(STYLE):
        groups = selected(outcomes, kind)
        figure, axes = panels(len(groups), width)
        for axis, same in zip(axes, groups.values(), strict=True):
            time = common_end(same) if at is None else at
            truth = _Truth.of(same[0], kind)
            for outcome in same:
                outcome.require(time)
                x, levels = attained(outcome, truth.table, truth.front, time)
                low, middle, high = levels
                there = np.isfinite(middle)
                band = there & np.isfinite(high)
                look = own[outcome.label]
                sx, sy = truth.signs
                axis.step(sx * x[there], sy * middle[there], where="post", label=outcome.label, **look)
                axis.fill_between(
                    sx * x[band],
                    sy * low[band],
                    sy * high[band],
                    step="post",
                    color=look["color"],
                    alpha=0.2,
                    linewidth=0,
                )
                tell(axis, outcome.benchmark, outcome.label, x=sx * x, y=sy * middle, low=sy * low, high=sy * high)
            truth.draw(axis, same[0].benchmark, kind)
            titled(axis, f"{same[0].reference.title}, at {time:.4g} {same[0].unit}")
        outer_labels(axes)
        legend(figure, "median and quartiles of runs")
    return figure


def front_figure(outcomes: Sequence[Outcome], kind: Kind, width: Width | None, *, at: float | None) -> Figure:
    """What the runs of each study hold at simulated time `at` (default: the end), in mean objectives.

    A dot is a configuration, its area the share of runs that hold it. The true front is grey. Raises HarnessError
    unless studies have two objectives.
    """
    _require_two(outcomes, "a figure of fronts")
    own = looks(outcomes)
    with mpl.rc_context(STYLE):
        groups = selected(outcomes, kind)
        figure, axes = panels(sum(map(len, groups.values())), width)
        rest = iter(axes)
        for same in groups.values():
            time = common_end(same) if at is None else at
            truth = _Truth.of(same[0], kind)
            for outcome, axis in zip(same, rest, strict=False):
                outcome.require(time)
                of_seeds = held(truth.table, outcome.study.rules, outcome.trajectory, time)
                rows, runs = np.unique(np.concatenate(of_seeds), return_counts=True)
                x, y = (truth.front.all[rows] * truth.signs).T
                colour = own[outcome.label]["color"]
                axis.scatter(x, y, s=1.5 + 40 * runs / len(of_seeds), color=colour, alpha=0.5, linewidths=0)
                tell(axis, outcome.benchmark, outcome.label, x=x, y=y, row=rows, runs=runs)
                truth.draw(axis, outcome.benchmark, kind)
                title = f"{outcome.label}, {outcome.reference.title}, at {time:.4g} {outcome.unit}"
                titled(axis, f"{title}: {len(rows):,} held by {len(of_seeds):,} runs")
        outer_labels(axes)
        legend(figure, "area: share of runs")
    return figure


def _require_two(outcomes: Sequence[Outcome], figure: str) -> None:
    for outcome in outcomes:
        if len(outcome.study.rules.objectives) != _TWO:
            what = ", ".join(outcome.study.rules.objectives) or "one objective"
            raise HarnessError(
                f"{figure} is of two objectives, and study {outcome.study.id} ({outcome.label}) is of {what}.",
                "run with two: --objectives error,params",
            )


class _Truth(NamedTuple):
    """The table that studies of one benchmark searched, and its exact front."""

    table: Table
    front: Front
    signs: Floats
    """What turns minimised objectives into those published, Float[2]."""

    @classmethod
    def of(cls, outcome: Outcome, kind: Kind) -> _Truth:
        rules, table = outcome.study.rules, outcome.study.load_table()
        position, test = table.position(rules.report_fidelity), kind == "test"
        found = Front.of(rules.feasible(table), rules.objectives, position, test=test)
        return cls(table, found, np.array([_sign(table, name) for name in rules.objectives]))

    def draw(self, axis: Axes, panel: str, kind: Kind) -> None:
        """The front, and axes that fit it."""
        points = self.front.points * self.signs
        axis.step(*points.T, where="post", color="#777777", linewidth=0.9, label="true front", zorder=1.5)
        tell(axis, panel, "true front", x=points[:, 0], y=points[:, 1])
        _limits(axis, self.front, self.signs)
        x, y = (_label(self.table, name, kind) for name in self.front.names)
        axis.set(xlabel=x, ylabel=y)


def attained(outcome: Outcome, table: Table, true: Front, time: float) -> tuple[Floats, Floats]:
    """First objectives Float[G], ascending, and what shares of .25, .5 and .75 of the runs attain there, Float[3, G].

    It is the second objective of the best that a run holds with at most this first one; inf where it holds none.
    """
    fronts = [true.all[rows] for rows in held(table, outcome.study.rules, outcome.trajectory, time)]
    x = np.unique(np.concatenate([*(points[:, 0] for points in fronts), true.points[:, 0]]))
    x = x[np.isfinite(x)]
    best = np.full((len(fronts), len(x)), np.inf)
    for seed, points in enumerate(fronts):
        order = np.argsort(points[:, 0], kind="stable")
        lowest = np.append(np.inf, np.minimum.accumulate(points[order, 1]))
        best[seed] = lowest[np.searchsorted(points[order, 0], x, side="right")]
    ranked, seeds = np.sort(best, axis=0), len(best)
    return x, ranked[[int(np.ceil(share * seeds)) - 1 for share in (0.25, 0.5, 0.75)]]


def _sign(table: Table, name: str) -> float:
    return 1.0 if name == table.primary or not table.objective(name).more else -1.0


def _label(table: Table, name: str, kind: Kind) -> str:
    if name == table.primary:
        return table.facts.loss if kind == "val" else table.facts.test
    unit = table.objective(name).unit
    return f"{name} [{unit}]" if unit else name


def _limits(axis: Axes, true: Front, signs: Floats) -> None:
    """The box between the ideal and the reference point, of which the hypervolume is a share, and a little more.

    An axis along which the front spans a decade is a log axis.
    """
    for which, (best, worst, sign) in enumerate(zip(true.ideal, true.reference, signs, strict=True)):
        edges = sorted((sign * (best - 0.05 * (worst - best)), sign * worst))
        shown = sign * true.points[:, which]
        if shown.min() > 0 and shown.max() > _DECADE * shown.min():
            (axis.set_xscale, axis.set_yscale)[which]("log")
            log_ticks((axis.xaxis, axis.yaxis)[which])
            edges = [shown.min() / 1.15, shown.max() * 1.15]
        (axis.set_xlim, axis.set_ylim)[which](*edges)
