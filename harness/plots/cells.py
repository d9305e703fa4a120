"""The architectures that runs ended with, drawn as graphs: cells of NAS-Bench-201."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import FancyArrowPatch

from harness import registry
from harness.arrays import Ints
from harness.benchmarks.nasbench201 import EDGES, OPERATORS
from harness.comparison import selected
from harness.errors import HarnessError
from harness.outcome import Kind, Outcome
from harness.plots.style import COLOURS, STYLE, Width, panels

_NODES = np.array([(0.0, 0.0), (1.0, 0.75), (2.0, -0.75), (3.0, 0.0)])
_BENDS = {(0, 3): 0.0, (0, 1): -0.1, (0, 2): 0.1, (1, 2): 0.0, (1, 3): -0.1, (2, 3): 0.1}
_LOOKS: dict[str, tuple[str, Any]] = dict(
    zip(OPERATORS[1:], zip(("#777777", *COLOURS[:3]), ("--", "-", "-", ":"), strict=True), strict=True)
)


def cell_figure(outcomes: Sequence[Outcome], kind: Kind, width: Width | None, *, at: float | None) -> Figure:
    """The most frequent incumbent of each study at simulated time `at` (default: the end) as a graph.

    Edges without an operator are left out. Raises HarnessError for another benchmark than NAS-Bench-201.
    """
    drawn = [outcome for same in selected(outcomes, kind).values() for outcome in same]
    for study in (outcome.study for outcome in drawn):
        if not study.benchmark.startswith("nb201/"):
            raise HarnessError(
                f"cells are drawn of nb201 only; study {study.id} is of {study.benchmark}.", "name results of nb201."
            )
    with mpl.rc_context(STYLE):
        figure, axes = panels(len(drawn), width, 1.9)
        for axis, outcome in zip(axes, drawn, strict=True):
            row, count = _most_frequent(outcome, outcome.end if at is None else at)
            table = registry.benchmark(outcome.study.benchmark)
            if table.checksum != outcome.study.table:
                raise HarnessError(
                    f"study {outcome.study.id} is of another version of the table {outcome.study.benchmark}.",
                    "run it again.",
                )
            _cell(axis, table.codes[row])
            regret = table.mean_loss[row, -1] - table.optimum.value
            where = f"{outcome.study.label}, {outcome.study.benchmark.partition('/')[2]}"
            runs = len(outcome.trajectory.seeds)
            axis.set_title(f"{where}\n{count} of {runs} runs, validation regret {regret:.2g}", fontsize=7)
        handles = [Line2D([], [], color=colour, linestyle=style) for colour, style in _LOOKS.values()]
        figure.legend(handles, [*_LOOKS], loc="outside lower center", ncols=2 if len(drawn) == 1 else 4, frameon=False)
    return figure


def _most_frequent(outcome: Outcome, time: float) -> tuple[int, int]:
    """Row of the most frequent incumbent, and how many runs have it; of several the one with the lowest loss."""
    at = outcome.trajectory.at(np.array([time]))[:, 0]
    if (at < 0).all():
        raise HarnessError(f"study {outcome.study.id} has no result at {time:g} s.", "choose a later time.")
    rows, first, counts = np.unique(outcome.trajectory.row[at[at >= 0]], return_index=True, return_counts=True)
    losses = outcome.val_loss[at[at >= 0]][first]
    best = np.lexsort([losses, -counts])[0]
    return int(rows[best]), int(counts[best])


def _cell(axis: Axes, codes: Ints) -> None:
    axis.set_axis_off()
    axis.set_aspect("equal")
    axis.set(xlim=(-0.4, 3.4), ylim=(-1.1, 1.1))
    for edge, code in zip(EDGES, codes.tolist(), strict=True):
        if OPERATORS[code] in _LOOKS:
            colour, style = _LOOKS[OPERATORS[code]]
            bend = f"arc3,rad={_BENDS[edge]}"
            ends = (tuple(_NODES[edge[0]]), tuple(_NODES[edge[1]]))
            arrow = FancyArrowPatch(
                *ends, arrowstyle="-|>", connectionstyle=bend, color=colour, linestyle=style, linewidth=1.6,
                shrinkA=8, shrinkB=8, mutation_scale=9,
            )  # fmt: skip
            axis.add_patch(arrow)
    for i, (x, y) in enumerate(_NODES):
        axis.scatter([x], [y], s=180, color="white", edgecolor="black", linewidth=0.8, zorder=3)
        axis.text(x, y, "in" if i == 0 else "out" if i == 3 else str(i), ha="center", va="center", fontsize=6, zorder=4)
