"""Architectures drawn as graphs whose vertices carry operators."""

from __future__ import annotations

from itertools import cycle
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import FancyArrowPatch

from harness.arrays import Ints
from harness.graphs import ABSENT, FIRST_OPERATOR, INPUT, OUTPUT, GraphView
from harness.plots.style import COLOURS

_BEND = 0.45
"""An arc over n vertices is so many halves of n high."""


def draw_graph(axis: Axes, view: GraphView, codes: Ints, *, plain: bool = False) -> None:
    """Draw the configuration `codes` Int[d], pruned: operators by colour or, `plain`, all alike.

    Vertices stand in topological order, so that no edge passes one; the arcs of every other vertex are below.
    """
    graphs = view.of(codes[None])
    present = np.flatnonzero(graphs.operators[0] != ABSENT)
    labels, colours = graphs.operators[0, present].tolist(), operator_colours(view)
    edges = np.argwhere(graphs.adjacency[0][np.ix_(present, present)]).tolist()
    axis.set_axis_off()
    axis.set_aspect("equal")
    for i, j in edges:
        bend = (_BEND if i % 2 else -_BEND) * (j - i > 1)
        arrow = FancyArrowPatch(
            (i, 0), (j, 0), arrowstyle="-|>", connectionstyle=f"arc3,rad={bend}", color="#444444", linewidth=0.9,
            shrinkA=5, shrinkB=5, mutation_scale=7,
        )  # fmt: skip
        axis.add_patch(arrow)
    for i, label in enumerate(labels):
        ends = {INPUT: "in", OUTPUT: "out"}
        colour = "white" if plain or label in ends else colours[label - FIRST_OPERATOR]
        axis.scatter([i], [0], s=100, color=colour, edgecolor="black", linewidth=0.8, zorder=3)
        axis.text(i, 0, ends.get(label, ""), ha="center", va="center", fontsize=5, zorder=4)
    reach = [max((j - i for i, j in edges if i % 2 == side), default=1) * _BEND / 2 for side in (0, 1)]
    axis.set(xlim=(-0.4, len(labels) - 0.6), ylim=(-reach[1] - 0.3, reach[0] + 0.3))


def operator_colours(view: GraphView) -> list[str]:
    """The colours of a view's operators, as of its labels from the first operator on; of skips, grey."""
    rest = cycle(COLOURS)
    return ["#777777" if name.startswith("skip") else next(rest) for name in view.operators]


def operator_handles(view: GraphView) -> dict[str, Any]:
    """Legend entries of a view's operators."""
    return {
        name: Line2D([], [], color=colour, marker="o", linestyle="none")
        for name, colour in zip(view.operators, operator_colours(view), strict=True)
    }
