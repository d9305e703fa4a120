"""What runs with two objectives attain: their fronts at one time, over seeds, beside the true one."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from harness.analysis.comparison import common_end, selected
from harness.arrays import Floats
from harness.errors import HarnessError
from harness.plots.style import STYLE, Width, legend, log_ticks, looks, outer_labels, panels, tell, titled
from harness.studies.fronts import Front, held
from harness.studies.outcome import Kind, Outcome
from harness.table import Table

_TWO, _DECADE = 2, 10.0


def attainment_figure(outcomes: Sequence[Outcome], kind: Kind, width: Width | None, *, at: float | None) -> Figure:
    """The front that half of the runs attain at simulated time `at` (default: the end), and those of the quartiles.

    A run attains a point if something that it holds is as good in both mean objectives. The true front is black.
    Fonseca, da Fonseca and Hall, "Inferential performance assessment of stochastic optimisers and the attainment
    function", EMO 2001. Raises HarnessError unless studies have two objectives.
    """
    groups = selected(outcomes, kind)
    for outcome in outcomes:
        if len(outcome.study.rules.objectives) != _TWO:
            what = ", ".join(outcome.study.rules.objectives) or "one objective"
            raise HarnessError(
                f"an attainment figure is of two objectives, and study {outcome.study.id} ({outcome.label}) is of "
                f"{what}.",
                "run with two: --objectives error,params",
            )
    own = looks(outcomes)
    with mpl.rc_context(STYLE):
        figure, axes = panels(len(groups), width)
        for axis, same in zip(axes, groups.values(), strict=True):
            time = common_end(same) if at is None else at
            rules, table = same[0].study.rules, same[0].study.load_table()
            true = Front.of(
                rules.feasible(table), rules.objectives, table.position(rules.report_fidelity), test=kind == "test"
            )
            signs = np.array([_sign(table, name) for name in rules.objectives])
            for outcome in same:
                outcome.require(time)
                x, levels = attained(outcome, table, true, time)
                low, middle, high = levels
                there = np.isfinite(middle)
                band = there & np.isfinite(high)
                look = own[outcome.label]
                sx, sy = signs
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
            points = true.points * signs
            axis.step(*points.T, where="post", color="#777777", linewidth=0.9, label="true front", zorder=1.5)
            tell(axis, same[0].benchmark, "true front", x=points[:, 0], y=points[:, 1])
            _limits(axis, true, signs)
            axis.set(
                **dict(zip(("xlabel", "ylabel"), (_label(table, name, kind) for name in rules.objectives), strict=True))
            )
            titled(axis, f"{same[0].reference.title}, at {time:.4g} s")
        outer_labels(axes)
        legend(figure, "median and quartiles of runs")
    return figure


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
