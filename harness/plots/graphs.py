"""Drawings of architectures painted by matplotlib."""

from __future__ import annotations

from typing import Any

from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import FancyArrowPatch

from harness.plots.drawing import Drawing, Look


def paint(axis: Axes, drawing: Drawing) -> None:
    """Paint the drawing on an axis of its own."""
    axis.set_axis_off()
    axis.set_aspect("equal")
    left, right, low, high = drawing.box
    axis.set(xlim=(left, right), ylim=(low, high))
    strong = drawing.strong
    for arrow in drawing.arrows:
        ends = (drawing.vertices[i][:2] for i in (arrow.start, arrow.end))
        gap = 8 if strong else 5
        patch = FancyArrowPatch(
            *ends, arrowstyle="-|>", connectionstyle=f"arc3,rad={arrow.bend}", color=arrow.look.colour,
            linestyle=arrow.look.line, linewidth=1.6 if strong else 0.9, shrinkA=gap, shrinkB=gap,
            mutation_scale=9 if strong else 7,
        )  # fmt: skip
        axis.add_patch(patch)
    size, font = (180, 6) if strong else (100, 5)
    for x, y, text, _, colour in drawing.vertices:
        axis.scatter([x], [y], s=size, color=colour or "white", edgecolor="black", linewidth=0.8, zorder=3)
        axis.text(x, y, text, ha="center", va="center", fontsize=font, zorder=4)


def handles(keys: dict[str, Look]) -> dict[str, Any]:
    """Legend entries of operators."""
    return {name: _handle(look) for name, look in keys.items()}


def _handle(look: Look) -> Line2D:
    if look.line:
        return Line2D([], [], color=look.colour, linestyle=look.line)
    return Line2D([], [], color=look.colour, marker="o", linestyle="none")
