"""The settings of figures, from which the options of `harness plot` follow and by which TOML files are checked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypedDict

from harness.errors import unknown
from harness.fields import hints, table
from harness.params import ABOVE_0, BELOW_1, FINITE, Option, Param

Name = Literal[
    "regret",
    "ranks",
    "ecdf-regret",
    "ecdf-time",
    "critical-difference",
    "speed-up",
    "violin",
    "standing",
    "cells",
    "attainment",
    "front",
    "prediction",
    "operators",
]


class Settings(TypedDict, total=False):
    """Every setting of a figure, with its option; `TAKES` says which figure takes which."""

    figure: Annotated[Name, Option("What to draw.", absent="regret")]
    measure: Annotated[
        Literal["mse", "spearman", "kendall", "regret", "precision", "fit_seconds", "query_seconds"],
        Option("What prediction shows.", absent="spearman"),
    ]
    kind: Annotated[
        Literal["val", "test", "both"], Option("Validation or test regret, or both in regret.", absent="val")
    ]
    width: Annotated[Literal["column", "page"], Option("One column or two.", absent="as its panels need")]
    statistic: Annotated[Literal["mean", "median"], Option("Mean, or median with quartiles, in regret.", absent="mean")]
    band: Annotated[Literal["sem", "simultaneous"], Option("Band of mean regret.", absent="sem")]
    bounds: Annotated[
        list[Literal["oracle", "random", "floor"]],
        Option(
            "Also draw in regret: the oracle, random search as expected, or the floor of noise; repeatable.",
            each="bound",
        ),
    ]
    x: Annotated[Literal["time", "evaluations"], Option("What regret is drawn over.", absent="time")]
    names: Annotated[dict[str, str], Option("What to show in place of names: 're=evolution,nb201/cifar10=CIFAR-10'.")]
    order: Annotated[list[str], Option("Algorithms and benchmarks in the order in which to draw them.")]
    on: Annotated[str, Option("Let another table of the same space measure what was found.", metavar="BENCH")]
    at: Annotated[
        float,
        Option(
            "Simulated time of ecdf-regret, critical-difference, violin, cells, attainment, front.",
            ABOVE_0,
            FINITE,
        ),
    ]
    targets: Annotated[
        list[Annotated[float, Param("a regret", 0.0, FINITE)]], Option("Regrets to reach, for ecdf-time and speed-up.")
    ]
    against: Annotated[str, Option("Algorithm to hold the others against, for speed-up.")]
    alpha: Annotated[float, Option("Level of critical-difference.", ABOVE_0, BELOW_1, absent="0.05")]
    blocks: Annotated[Literal["benchmarks", "seeds"], Option("What critical-difference ranks over.")]


SHOWN = ("names", "order", "on")
"""Settings of every figure of studies, which say how they are shown and what measures them."""

TAKES: Mapping[str, tuple[str, ...]] = {
    "regret": ("kind", "width", "statistic", "band", "bounds", "x", *SHOWN),
    "ranks": ("kind", "width", *SHOWN),
    "ecdf-regret": ("kind", "width", "at", *SHOWN),
    "ecdf-time": ("kind", "width", "targets", *SHOWN),
    "critical-difference": ("kind", "width", "at", "blocks", "alpha", *SHOWN),
    "speed-up": ("kind", "width", "targets", "against", *SHOWN),
    "violin": ("kind", "width", "at", *SHOWN),
    "standing": ("kind", "width", *SHOWN),
    "cells": ("kind", "width", "at", *SHOWN),
    "attainment": ("kind", "width", "at", *SHOWN),
    "front": ("kind", "width", "at", *SHOWN),
    "prediction": ("measure", "width"),
    "operators": (),
}
"""What each figure takes."""

_NEEDED = {"targets", "against"}
_FILES = {"results": list[str], "output": list[str]}
SEE = 'see the page "Draw figures" of the documents.'


def declared(figure: str) -> dict[str, Any]:
    """The settings that a figure takes, with their types. Raises HarnessError if there is no such figure."""
    if figure not in TAKES:
        raise unknown("figure", figure, TAKES)
    kinds = {name: hints(Settings)[name] for name in TAKES[figure]}
    return kinds if figure == "regret" or "kind" not in kinds else {**kinds, "kind": Literal["val", "test"]}


def checked(settings: Mapping[str, Any]) -> dict[str, Any]:
    """What the figure of `settings` is to be drawn with. Raises HarnessError for what it does not take or lacks."""
    figure = str(settings.get("figure", "regret"))
    kinds = declared(figure)
    given = {name: value for name, value in settings.items() if name not in ("figure", *_FILES)}
    return table(given, kinds, _NEEDED & kinds.keys(), f"the figure '{figure}':", SEE)


def check_file(settings: Mapping[str, Any], path: object) -> None:
    """Raise HarnessError unless each of the `settings` out of a TOML file is one of a figure."""
    table(settings, {**hints(Settings), **_FILES}, (), f"{path}:", SEE)
