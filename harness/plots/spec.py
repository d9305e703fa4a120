"""Figures as data: which figure to draw of which results, out of a TOML file or options of the same names."""

from __future__ import annotations

import inspect
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from harness import toml
from harness.analysis.bounds import BOUNDS
from harness.analysis.comparison import peculiarities
from harness.errors import HarnessError, unknown
from harness.fields import fit
from harness.plots.cells import cell_figure
from harness.plots.contrasts import critical_difference_figure, speed_up_figure, violin_figure
from harness.plots.fronts import attainment_figure
from harness.plots.profiles import rank_figure, regret_ecdf_figure, time_ecdf_figure
from harness.plots.quality import LABELS, quality_figure
from harness.plots.regret import regret_figure
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
}
_ALL = {**FIGURES, "prediction": quality_figure}
_WORDS: dict[str, tuple[str, ...]] = {
    "measure": tuple(LABELS),
    "kind": ("val", "test"),
    "width": ("column", "page"),
    "band": ("sem", "simultaneous"),
    "statistic": ("mean", "median"),
    "blocks": ("benchmarks", "seeds"),
    "x": ("time", "evaluations"),
}
_MOST = 100
"""Studies of one benchmark in one figure."""


def load(path: Path) -> dict[str, Any]:
    """The settings in a TOML file; its `results` and `output` are lists of paths relative to the working folder.

    Raises HarnessError if it cannot be read, or has a setting that no figure has.
    """
    settings = toml.read(path, "see docs/figures.md for what it says.")
    for name in ("results", "output"):
        given = settings.get(name, [])
        if not (isinstance(given, list) and all(isinstance(entry, str) for entry in given)):
            raise HarnessError(f"'{name}' in {path} must be a list of paths.", f'write {name} = ["results"]')
    return settings


_COMMON = ("results", "output", "figure", "on", "names", "order")
"""Settings of every figure."""


def draw(outcomes: Sequence[Any], settings: Mapping[str, Any]) -> Figure:
    """The figure that `settings` describe: `figure`, `kind`, `width`, and what that figure takes.

    `names` says what is shown in place of algorithms' labels and of benchmarks' titles, `order` which come first. With
    `on`, the table of that name measures what the runs found, instead of the one that they searched.

    The figure "prediction" is one of qualities, the others are of outcomes.

    Raises HarnessError for a figure or a setting that there is not, and for a value that it cannot take.
    """
    given = {name: value for name, value in settings.items() if name not in _COMMON}
    names = fit(settings.get("names", {}), dict[str, str], "names", 'write names = { re = "evolution" }')
    order = fit(settings.get("order", []), list[str], "order", 'write order = ["re", "rs"]')
    on = settings.get("on")
    name = settings.get("figure", "regret")
    if name not in _ALL:
        raise unknown("figure", str(name), _ALL)
    function = _ALL[name]
    if on is not None and (name == "prediction" or not isinstance(on, str)):
        raise HarnessError(
            f"the figure '{name}' cannot be drawn on {on}.", 'it is the name of a table: on = "nb201/cifar100"'
        )
    own = {n: p for n, p in inspect.signature(function).parameters.items() if n not in ("outcomes", "qualities")}
    for setting, value in given.items():
        if setting not in own:
            raise unknown(f"setting of the figure '{name}'", setting, own)
        if (name, setting, value) != ("regret", "kind", "both"):
            _check(setting, value)
    defaults = {"kind": "val", "width": None, "at": None}
    arguments = {**{name: value for name, value in defaults.items() if name in own}, **given}
    for setting, parameter in own.items():
        if setting not in arguments and parameter.default is inspect.Parameter.empty:
            raise HarnessError(f"the figure '{name}' needs {setting}.", "see docs/figures.md.")
    if name != "prediction":
        for benchmark, count in Counter(outcome.benchmark for outcome in outcomes).items():
            if count > _MOST:
                raise HarnessError(
                    f"a figure cannot tell {count:,} studies on {benchmark} apart.",
                    f"choose at most {_MOST} of a benchmark: --algo, --bench and --budget select, or name files.",
                )
        outcomes = _shown(reported(outcomes, on), names, order)
        if "against" in arguments:
            arguments["against"] = names.get(arguments["against"], arguments["against"])
    figure = function(outcomes, **arguments)
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


def _check(setting: str, value: Any) -> None:
    if setting in _WORDS:
        if value not in _WORDS[setting]:
            raise unknown(f"value of '{setting}'", str(value), _WORDS[setting])
    elif setting == "bounds":
        if not isinstance(value, list | tuple):
            raise HarnessError(f"bounds cannot be {value}.", 'it is a list: bounds = ["random", "floor"]')
        for bound in value:
            if bound not in BOUNDS:
                raise unknown("value of 'bounds'", str(bound), BOUNDS)
    elif setting == "targets":
        if not (isinstance(value, list) and value and all(_positive(v) or v == 0 for v in value)):
            raise HarnessError(f"targets cannot be {value}.", "they are regrets, 0 or more: targets = [1e-2, 1e-3]")
    elif setting == "against":
        if not isinstance(value, str):
            raise HarnessError(f"against cannot be {value}.", "it is the label of an algorithm: against = 're'")
    elif not _positive(value) or (setting == "alpha" and value >= 1):
        raise HarnessError(
            f"{setting} cannot be {value}.", "it is a number above 0" + ", below 1." * (setting == "alpha")
        )


def _positive(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < float("inf")
