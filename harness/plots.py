"""Figures of anytime regret: mean over seeds with a band of two standard errors, on log-log axes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter

from harness.arrays import Floats
from harness.errors import HarnessError
from harness.outcome import Kind, Outcome, moments

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#999933")
"""Distinguishable with any colour vision (Okabe and Ito, "Color universal design", 2008), its yellow made olive."""

DASHES = ("-", (0, (5, 1.2)), (0, (1.2, 1.2)), (0, (5, 1.2, 1.2, 1.2)))
FORMATS = ("pdf", "svg", "png", "pgf")
_STYLE: dict[Any, Any] = {
    "font.size": 8,
    "axes.labelsize": 8,
    "axes.titlesize": 8,
    "legend.fontsize": 7,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "axes.linewidth": 0.6,
    "lines.linewidth": 1.2,
    "axes.grid": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "grid.color": "#dddddd",
    "grid.linewidth": 0.5,
    "pdf.fonttype": 42,
    "svg.fonttype": "none",
    "savefig.dpi": 300,
}
_COLUMN_INCHES = 3.4
_MAX_STAMPS = 2000


def curve(outcome: Outcome, kind: Kind) -> tuple[Floats, Floats, Floats]:
    """Times (T), mean regret and its standard error over seeds: a step function that holds from each time on.

    It begins when every seed has a result, and has a step at every time when some incumbent changed, thinned to
    2,000 of them, evenly spread on a log axis. Raises HarnessError if there is nothing to draw.
    """
    stamps = outcome.trajectory.stamps()
    first = outcome.first_times().max(initial=-math.inf)
    if not math.isfinite(first):
        raise HarnessError(
            f"study {outcome.study.id} ({outcome.study.label} on {outcome.study.benchmark}) has a seed without any "
            "result.",
            "its budget is too small to finish one evaluation; run it with a larger --budget.",
        )
    stamps = stamps[stamps >= first]
    if len(stamps) > _MAX_STAMPS:
        targets = np.geomspace(stamps[0], stamps[-1], _MAX_STAMPS)
        stamps = np.unique(stamps[np.minimum(np.searchsorted(stamps, targets), len(stamps) - 1)])
    times = np.append(stamps, max(outcome.end, stamps[-1]))
    return (times, *moments(outcome.regret(kind, times)))


def regret_figure(outcomes: Sequence[Outcome], kind: Kind) -> Figure:
    """Regret over simulated time, one panel per benchmark.

    Raises HarnessError if no outcome has this kind of regret, or some cannot be compared.
    """
    drawable = [o for o in outcomes if kind == "val" or o.reference.test_optimum is not None]
    if not drawable:
        names = ", ".join(dict.fromkeys(o.study.benchmark for o in outcomes))
        raise HarnessError(f"there is no test metric in the table of {names}.", "plot --kind val instead.")
    benchmarks = list(dict.fromkeys(o.study.benchmark for o in drawable))
    columns = min(3, len(benchmarks))
    rows = math.ceil(len(benchmarks) / columns)
    labels = list(dict.fromkeys(o.study.label for o in drawable))
    with mpl.rc_context(_STYLE):
        size = (_COLUMN_INCHES if columns == 1 else 2.3 * columns + 1.2, 2.5 * rows)
        figure = Figure(figsize=size, layout="constrained")
        FigureCanvasAgg(figure)
        axes = figure.subplots(rows, columns, squeeze=False).ravel()
        for axis, benchmark in zip(axes, benchmarks, strict=False):
            same = [o for o in drawable if o.study.benchmark == benchmark]
            _comparable(same)
            _panel(axis, same, kind, labels)
        for axis in axes[len(benchmarks) :]:
            axis.set_axis_off()
        _legend(figure, drawable)
    return figure


def _legend(figure: Figure, outcomes: Sequence[Outcome]) -> None:
    """Inside a single panel, beside several."""
    lines = {str(line.get_label()): line for axis in figure.axes for line in axis.lines}
    seeds = sorted({len(o.trajectory.seeds) for o in outcomes})
    runs = " to ".join(map(str, dict.fromkeys((seeds[0], seeds[-1]))))
    settings: dict[str, Any] = {
        "title": f"mean ±2 SEM, {runs} runs",
        "title_fontsize": _STYLE["legend.fontsize"],
        "frameon": False,
    }
    if len(figure.axes) == 1:
        figure.axes[0].legend([*lines.values()], [*lines], **settings)
    else:
        figure.legend([*lines.values()], [*lines], loc="outside right upper", **settings)


def _panel(axis: Axes, outcomes: Sequence[Outcome], kind: Kind, labels: Sequence[str]) -> None:
    lowest, start = math.inf, math.inf
    for outcome in outcomes:
        times, mean, sem = curve(outcome, kind)
        i = labels.index(outcome.study.label)
        colour = COLOURS[i % len(COLOURS)]
        style = DASHES[i % len(DASHES)]
        axis.step(times, mean, where="post", color=colour, linestyle=style, label=outcome.study.label)
        if np.isfinite(sem).all():
            band = (np.maximum(mean - 2 * sem, 1e-300), mean + 2 * sem)
            axis.fill_between(times, *band, step="post", color=colour, alpha=0.2, linewidth=0)
        lowest = min(lowest, mean[mean > 0].min(initial=math.inf))
        start = min(start, times[0])
    axis.set_xscale("log")
    axis.set_yscale("log", nonpositive="clip")
    if math.isfinite(lowest):
        axis.set_ylim(bottom=lowest / 2)
    axis.set_xlim(start, max(o.end for o in outcomes))
    axis.xaxis.set_minor_locator(LogLocator(subs="auto"))
    axis.xaxis.set_minor_formatter(NullFormatter())
    axis.set_xlabel("estimated wall-clock time [s]")
    axis.set_ylabel("validation regret" if kind == "val" else "test regret")
    axis.set_title(outcomes[0].reference.title)


def _comparable(outcomes: Sequence[Outcome]) -> None:
    """Curves in one panel need the same table and rules, and one study per algorithm."""
    first = outcomes[0].study
    for study in (o.study for o in outcomes[1:]):
        for what in ("table", "rules.noise", "rules.incumbent", "rules.workers", "rules.overhead"):
            a, b = (_field(s, what) for s in (first, study))
            if a != b:
                raise HarnessError(
                    f"studies {first.id} and {study.id} on {first.benchmark} cannot share a panel: {what} is {a} in "
                    f"one and {b} in the other.",
                    "plot them separately, by the paths of their files.",
                )
    labels = [o.study.label for o in outcomes]
    for label in labels:
        if labels.count(label) > 1:
            same = ", ".join(o.study.id for o in outcomes if o.study.label == label)
            raise HarnessError(
                f"there are several studies of {label} on {first.benchmark}: {same}.",
                "name the files to plot, one for each curve.",
            )


def _field(study: object, path: str) -> object:
    for name in path.split("."):
        study = getattr(study, name)
    return study


def save(figure: Figure, path: Path) -> None:
    """Write the figure in the format of the file's ending. Raises HarnessError if that cannot be done."""
    kind = path.suffix.lstrip(".").lower()
    if kind not in FORMATS:
        raise HarnessError(f"cannot write a figure as '{path.name}'.", f"end its name in .{', .'.join(FORMATS)}")
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with mpl.rc_context(_STYLE):
            figure.savefig(temporary, format=kind)
        temporary.replace(path)
    except OSError as error:
        raise HarnessError(f"cannot write {path}: {error.strerror or error}.", "choose another -o.") from None
    finally:
        with suppress(OSError):
            temporary.unlink()
