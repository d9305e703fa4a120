"""Architectures drawn as graphs, and those that runs ended with. Cells of NAS-Bench-201 have operators on edges."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import FancyArrowPatch

from harness.arrays import Ints
from harness.benchmarks.nasbench201 import EDGES, OPERATORS
from harness.benchmarks.nasbench201 import SPACE as NB201
from harness.comparison import selected
from harness.errors import HarnessError
from harness.graphs import ABSENT
from harness.outcome import Kind, Outcome
from harness.plots.graphs import draw_graph, operator_handles
from harness.plots.style import COLOURS, STYLE, Width, panels
from harness.space import SearchSpace

NODES = np.array([(0.0, 0.0), (1.0, 0.75), (2.0, -0.75), (3.0, 0.0)])
BENDS = {(0, 3): 0.0, (0, 1): -0.1, (0, 2): 0.1, (1, 2): 0.0, (1, 3): -0.1, (2, 3): 0.1}
LOOKS: dict[str, tuple[str, Any]] = dict(
    zip(OPERATORS[1:], zip(("#777777", *COLOURS[:3]), ("--", "-", "-", ":"), strict=True), strict=True)
)
_PLAIN = {name: ("#777777", "--") if name == "skip_connect" else ("#222222", "-") for name in LOOKS}


class Incumbent(NamedTuple):
    """The most frequent incumbent of a study: its codes Int[d], how many runs have it, and its validation regret."""

    outcome: Outcome
    space: SearchSpace
    codes: Ints
    runs: int
    regret: float

    @property
    def note(self) -> str:
        """`288 of 500 runs, validation regret 0`."""
        return f"{self.runs} of {len(self.outcome.trajectory.seeds)} runs, validation regret {self.regret:.2g}"


def incumbents(outcomes: Sequence[Outcome], at: float | None = None) -> list[Incumbent]:
    """The most frequent incumbent of each study at simulated time `at` (default: the end).

    Raises HarnessError for configurations that are no graphs, and for a table that has changed since.
    """
    found = []
    for outcome in outcomes:
        table = outcome.study.load_table()
        if table.space.graphs is None:
            raise HarnessError(
                f"the configurations of {table.name} are no graphs to draw.", "name results of nb201, for example."
            )
        row, count = _most_frequent(outcome, outcome.end if at is None else at)
        regret = float(table.mean_loss[row, -1] - table.optimum.value)
        found.append(Incumbent(outcome, table.space, table.codes[row], count, regret))
    return found


def cell_figure(outcomes: Sequence[Outcome], kind: Kind, width: Width | None, *, at: float | None) -> Figure:
    """The most frequent incumbent of each study at simulated time `at` (default: the end) as a graph.

    Edges without an operator are left out. Raises HarnessError for configurations that are no graphs.
    """
    drawn = incumbents([outcome for same in selected(outcomes, kind).values() for outcome in same], at)
    with mpl.rc_context(STYLE):
        figure, axes = panels(len(drawn), width, 1.9)
        for axis, cell in zip(axes, drawn, strict=True):
            draw_cell(axis, cell.space, cell.codes)
            study = cell.outcome.study
            where = f"{study.label}, {study.benchmark.partition('/')[2]}"
            axis.set_title(f"{where}\n{cell.note}", fontsize=7)
        handles = {name: handle for cell in drawn for name, handle in _handles(cell.space).items()}
        columns = 2 if len(drawn) == 1 else 4
        figure.legend([*handles.values()], [*handles], loc="outside lower center", ncols=columns, frameon=False)
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


def draw_cell(axis: Axes, space: SearchSpace, codes: Ints, *, plain: bool = False) -> None:
    """Draw the configuration `codes` Int[d] of a space that has graphs; `plain`: pruned, and operators all alike."""
    assert space.graphs is not None
    if space != NB201:
        draw_graph(axis, space.graphs, codes, plain=plain)
        return
    if plain:
        reached = space.graphs.of(codes[None]).operators[0, 1:-1] != ABSENT
        codes = np.where(reached, codes, 0)
    _edges(axis, codes, _PLAIN if plain else LOOKS)


def _handles(space: SearchSpace) -> dict[str, Any]:
    """Legend entries of a space's operators."""
    if space != NB201:
        return operator_handles(space.graphs) if space.graphs is not None else {}
    return {name: Line2D([], [], color=colour, linestyle=style) for name, (colour, style) in LOOKS.items()}


def _edges(axis: Axes, codes: Ints, looks: Mapping[str, tuple[str, Any]]) -> None:
    """A cell of NAS-Bench-201, with arrows for its operators."""
    axis.set_axis_off()
    axis.set_aspect("equal")
    axis.set(xlim=(-0.4, 3.4), ylim=(-1.1, 1.1))
    for edge, code in zip(EDGES, codes.tolist(), strict=True):
        if OPERATORS[code] in looks:
            colour, style = looks[OPERATORS[code]]
            bend = f"arc3,rad={BENDS[edge]}"
            ends = (tuple(NODES[edge[0]]), tuple(NODES[edge[1]]))
            arrow = FancyArrowPatch(
                *ends, arrowstyle="-|>", connectionstyle=bend, color=colour, linestyle=style, linewidth=1.6,
                shrinkA=8, shrinkB=8, mutation_scale=9,
            )  # fmt: skip
            axis.add_patch(arrow)
    for i, (x, y) in enumerate(NODES):
        axis.scatter([x], [y], s=180, color="white", edgecolor="black", linewidth=0.8, zorder=3)
        axis.text(x, y, "in" if i == 0 else "out" if i == 3 else str(i), ha="center", va="center", fontsize=6, zorder=4)
