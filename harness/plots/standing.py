"""How algorithms stand over many benchmarks, with what their proposals cost."""

from __future__ import annotations

import math
from collections.abc import Sequence

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from harness.analysis.comparison import selected
from harness.analysis.measures import regret_name
from harness.analysis.standing import standings
from harness.plots.style import STYLE, Width, log_ticks, looks, panels, tell
from harness.studies.outcome import Outcome
from harness.studies.reference import Kind


def standing_figure(outcomes: Sequence[Outcome], kind: Kind, width: Width | None) -> Figure:
    """Average ranks at the end of studies with their intervals; beside them CPU seconds an evaluation, if measured."""
    found = standings(outcomes, kind)
    costs = [standing.cpu_per_evaluation for standing in found]
    measured, benchmarks = any(map(math.isfinite, costs)), len(selected(outcomes, kind))
    own, at = looks(outcomes), np.arange(len(found))
    with mpl.rc_context(STYLE):
        figure, axes = panels(1 + measured, width or "page", 0.6 + 0.16 * len(found))
        for y, standing in enumerate(found):
            colour = own[standing.label]["color"]
            rank, cost = standing.rank, standing.cpu_per_evaluation
            numbers = {"y": rank.value, "low": rank.low, "high": rank.high, "cpu_per_evaluation": cost}
            tell(axes[0], "ranks", standing.label, **numbers)
            axes[0].plot([standing.rank.low, standing.rank.high], [y, y], color=colour)
            axes[0].plot([standing.rank.value], [y], "o", color=colour, markersize=3.5)
        axes[0].set_xlabel(f"average rank, {regret_name(outcomes, kind)}")
        title = f"{benchmarks} benchmark{'s' * (benchmarks > 1)}, 95 % of resampled seeds"
        axes[0].set_title(title, loc="left")
        if measured:
            axes[1].scatter(costs, at, s=14, c=[own[standing.label]["color"] for standing in found])
            axes[1].set_xscale("log")
            log_ticks(axes[1].xaxis)
            axes[1].set_xlabel("CPU seconds an evaluation")
        for axis in axes:
            axis.set_yticks(at, [standing.label for standing in found] if axis is axes[0] else [])
            axis.set_ylim(len(found) - 0.5, -0.5)
        return figure
