"""Patterns of connections, drawn in the order of how they fare."""

from __future__ import annotations

import matplotlib as mpl
from matplotlib.figure import Figure

from harness.analysis.stability import By, Fares, Patterns, ranking
from harness.errors import HarnessError
from harness.numbers import mean_sem, number
from harness.plots.drawing import GREY, PLAIN, Look, cell
from harness.plots.graphs import handles, paint
from harness.plots.style import STYLE, panels
from harness.table import Table


def require_graphs(table: Table) -> None:
    """Raise HarnessError unless the configurations of a table can be drawn."""
    if table.space.graphs is None:
        raise HarnessError(f"the configurations of {table.name} are no graphs to draw.", "leave --figure out.")


def stability_figure(found: Patterns, by: By, top: int, seen: Fares | None = None) -> Figure:
    """The first `top` patterns by `by`, the operators on them all alike; `seen` are predicted fares, means over seeds.

    Raises HarnessError if the configurations are no graphs.
    """
    require_graphs(found.table)
    measured = found.measured()
    order = ranking(measured, by)[:top]
    with mpl.rc_context(STYLE):
        figure, axes = panels(len(order), height=1.6)
        for rank, (axis, pattern) in enumerate(zip(axes, order.tolist(), strict=True), start=1):
            drawn = cell(found.table.space, found.table.codes[found.shown[pattern]], plain=True)
            paint(axis, drawn)
            count = found.count[pattern]
            lines = [f"{rank}. {count:,} architecture{'s' if count > 1 else ''}", words(measured, pattern)]
            if seen is not None:
                lines.append(f"predicted {words(seen, pattern)}")
            axis.set_title("\n".join(lines), fontsize=6.5)
        if drawn.strong:
            entries = handles({"any operator": Look(PLAIN, "-"), "skip connection": Look(GREY, "--")})
            figure.legend([*entries.values()], [*entries], loc="outside lower center", ncols=2, frameon=False)
        figure.suptitle(f"{found.table.facts.title}, {found.table.facts.loss}", fontsize=8)
    return figure


def words(fares: Fares, pattern: int) -> str:
    """How a pattern fares, without what was not measured."""
    mean, spread, best = (float(column[pattern]) for column in fares)
    return f"{mean_sem(mean, spread)}, best {number(best)}"
