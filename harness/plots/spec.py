"""Figures as data: which figure to draw of which results, out of a TOML file or options of the same names."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from harness import toml
from harness.analysis.comparison import peculiarities
from harness.errors import HarnessError, unknown
from harness.plots.cells import cell_figure
from harness.plots.contrasts import critical_difference_figure, speed_up_figure, violin_figure
from harness.plots.fronts import attainment_figure, front_figure
from harness.plots.profiles import rank_figure, regret_ecdf_figure, time_ecdf_figure
from harness.plots.quality import quality_figure
from harness.plots.regret import regret_figure
from harness.plots.settings import SEE, TAKES, check_file, checked
from harness.plots.standing import standing_figure
from harness.studies.outcome import Outcome, reported

FIGURES: dict[str, Callable[..., Figure]] = {
    "regret": regret_figure,
    "ranks": rank_figure,
    "ecdf-regret": regret_ecdf_figure,
    "ecdf-time": time_ecdf_figure,
    "critical-difference": critical_difference_figure,
    "speed-up": speed_up_figure,
    "violin": violin_figure,
    "standing": standing_figure,
    "cells": cell_figure,
    "attainment": attainment_figure,
    "front": front_figure,
}
_ALL = {**FIGURES, "prediction": quality_figure}
MOST = 100
"""Studies of one benchmark in one figure."""


def load(path: Path) -> dict[str, Any]:
    """The settings in a TOML file; its `results` and `output` are lists of paths relative to the working folder.

    Raises HarnessError if it cannot be read, or has a setting that no figure has.
    """
    settings = toml.read(path, SEE)
    check_file(settings, path)
    return settings


def draw(outcomes: Sequence[Any], settings: Mapping[str, Any]) -> Figure:
    """The figure that `settings` describe: `figure`, `kind`, `width`, and what that figure takes.

    `names` says what is shown in place of algorithms' labels and of benchmarks' titles, `order` which come first. With
    `on`, the table of that name measures what the runs found, instead of the one that they searched.

    The figure "prediction" is one of qualities, the others are of outcomes.

    Raises HarnessError for a figure or a setting that there is not, and for a value that it cannot take.
    """
    name = settings.get("figure", "regret")
    given = checked(settings)
    if name not in _ALL:
        raise HarnessError(f"the figure '{name}' is not one of studies.", "`harness plot` draws it.")
    names, order, on = given.pop("names", {}), given.pop("order", []), given.pop("on", None)
    if "targets" in given and not given["targets"]:
        raise HarnessError("targets cannot be [].", "they are regrets: targets = [1e-2, 1e-3]")
    defaults = {"kind": "val", "width": None, "at": None}
    arguments = {**{n: value for n, value in defaults.items() if n in TAKES[name]}, **given}
    if name != "prediction":
        for benchmark, count in Counter(outcome.benchmark for outcome in outcomes).items():
            if count > MOST:
                raise HarnessError(
                    f"a figure cannot tell {count:,} studies on {benchmark} apart.",
                    f"choose at most {MOST} of a benchmark: --algo, --bench and --budget select, or name files.",
                )
        outcomes = _shown(reported(outcomes, on), names, order)
        if "against" in arguments:
            arguments["against"] = names.get(arguments["against"], arguments["against"])
    figure = _ALL[name](outcomes, **arguments)
    if name != "prediction" and (told := peculiarities(outcomes)):
        figure.supxlabel("\n".join(told), fontsize=5, color="#555555")
    return figure


def _shown(outcomes: Sequence[Outcome], names: Mapping[str, str], order: Sequence[str]) -> list[Outcome]:
    """The outcomes under the `names` that are to be shown, in this `order` of labels and of benchmarks."""
    labels = list(dict.fromkeys(o.own_label for o in outcomes))
    benchmarks = list(dict.fromkeys(o.benchmark for o in outcomes))
    for name in [*names, *order]:
        if name not in (*labels, *benchmarks):
            raise unknown("algorithm or benchmark in the figure", name, [*labels, *benchmarks])

    def place(name: str, every: Sequence[str]) -> int:
        return order.index(name) if name in order else len(order) + every.index(name)

    if order:
        outcomes = sorted(outcomes, key=lambda o: (place(o.benchmark, benchmarks), place(o.own_label, labels)))
    return [
        replace(
            o,
            alias=names.get(o.own_label, ""),
            reference=replace(o.reference, title=names.get(o.benchmark, o.reference.title)),
        )
        for o in outcomes
    ]
