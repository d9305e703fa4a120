"""What methods of weight sharing learn: probabilities of the operators of every decision over epochs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import matplotlib as mpl
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from harness.arrays import Floats
from harness.errors import HarnessError
from harness.plots.style import COLOURS, STYLE, legend

_GREYS = {"none": "#cccccc", "skip_connect": "#777777", "skip": "#777777"}


class Course(Protocol):
    """What is drawn of the searches of one method, as `harness.sharing.course` has it."""

    @property
    def label(self) -> str: ...
    @property
    def decisions(self) -> tuple[str, ...]: ...
    @property
    def operators(self) -> tuple[tuple[str, ...], ...]: ...
    @property
    def probability(self) -> Floats: ...
    @property
    def moved(self) -> bool: ...


def colours(names: Sequence[str]) -> dict[str, str]:
    """A colour for each operator; none and skips are grey."""
    rest = iter(COLOURS)
    return {name: _GREYS[name] if name in _GREYS else next(rest) for name in names}


def operators_figure(courses: Sequence[Course]) -> Figure:
    """A row for each method that learns a distribution, a panel for each decision; raises HarnessError without any."""
    learned = [course for course in courses if course.moved]
    if max(len(course.probability) for course in courses) == 1:
        raise HarnessError(
            "these searches have one epoch, which is no course to draw.", "search with --epochs 2 or more."
        )
    if not learned:
        raise HarnessError("none of these searches learns a distribution.", "draw those of darts, gdas or snas.")
    wide = max(len(course.decisions) for course in learned)
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(1.25 * wide + 1.2, 1.25 * len(learned) + 0.6), layout="constrained")
        FigureCanvasAgg(figure)
        axes = figure.subplots(len(learned), wide, squeeze=False, sharex="row", sharey=True)
        shown = colours([*dict.fromkeys(name for course in learned for own in course.operators for name in own)])
        for row, course in zip(axes, learned, strict=True):
            epochs = np.arange(1, len(course.probability) + 1)
            for axis in row[len(course.decisions) :]:
                axis.set_axis_off()
            for d, axis in enumerate(row[: len(course.decisions)]):
                names = course.operators[d]
                parts = course.probability[:, d, : len(names)].T
                axis.stackplot(epochs, parts, colors=[shown[name] for name in names], labels=names, lw=0)
                axis.set(xlim=(1, max(2, epochs[-1])), ylim=(0, 1), title=course.decisions[d])
            row[0].set_ylabel(course.label)
            row[0].set_xlabel("epochs")
        legend(figure)
    return figure
