"""One-shot against true accuracy, before and after the graph network, and tau beside that of trivial baselines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from textwrap import fill
from typing import Any, NamedTuple

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from harness.arrays import Floats
from harness.plots.style import COLOURS, STYLE, panels


class Drawn(NamedTuple):
    """A row of panels: `title`, accuracies Float[n] of the table and, by name, what is said of them; rows of tau."""

    title: str
    truth: Floats
    said: Mapping[str, Floats]
    rows: Sequence[Mapping[str, Any]]


def correlation_figure(found: Sequence[Drawn]) -> Figure:
    """For each of `found` two scatter plots and tau of every predictor, all of the judged and the best half."""
    with mpl.rc_context(STYLE):
        figure, axes = panels(3 * len(found), height=2.6)
        figure.set_figwidth(9.5)
        for i, drawn in enumerate(found):
            for axis, (name, values) in zip(axes[3 * i : 3 * i + 2], drawn.said.items(), strict=True):
                axis.plot(100 * drawn.truth, 100 * values, ".", ms=2, alpha=0.5, color=COLOURS[0], mew=0)
                axis.set(xlabel="accuracy in the table (%)", ylabel=f"{name} (%)", title=fill(drawn.title, 45))
                worst = np.quantile(drawn.truth, 0.1)
                axis.set_xlim(100 * worst - 1, 100 * drawn.truth.max() + 0.5)
                shown = values[drawn.truth >= worst]
                axis.set_ylim(100 * shown.min() - 1, 100 * shown.max() + 1)
            axis, places = axes[3 * i + 2], np.arange(len(drawn.rows))[::-1]
            for shift, colour, part in ((0.14, COLOURS[0], "all"), (-0.14, COLOURS[1], "best half")):
                mean, low, high = (np.array([r["tau"][part][e] for r in drawn.rows]) for e in ("value", "low", "high"))
                axis.errorbar(
                    mean, places + shift, xerr=np.nan_to_num([mean - low, high - mean]),
                    fmt="o", ms=3, lw=1, color=colour, label=part,
                )  # fmt: skip
            axis.axvline(0, color="#777777", lw=0.6)
            axis.set_yticks(places, [row["words"] for row in drawn.rows])
            axis.set(xlabel="Kendall's tau with the table", xlim=(min(-0.1, axis.get_xlim()[0]), 1), title="")
            axis.legend(frameon=False, loc="lower right")
    return figure
