"""Figures of finished studies."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from harness.plots.regret import curve, regression_figure, regret_figure
    from harness.plots.spec import FIGURES, draw, load
    from harness.plots.style import provenance, save

_HOME = {
    "FIGURES": "spec",
    "curve": "regret",
    "draw": "spec",
    "load": "spec",
    "provenance": "style",
    "regression_figure": "regret",
    "regret_figure": "regret",
    "save": "style",
}

__all__ = ["FIGURES", "curve", "draw", "load", "provenance", "regression_figure", "regret_figure", "save"]


def __getattr__(name: str) -> Any:
    """Load a name when it is first used, so that the options of `harness plot` do not wait for matplotlib."""
    if name not in _HOME:
        raise AttributeError(f"module 'harness.plots' has no attribute '{name}'")
    return getattr(import_module(f"harness.plots.{_HOME[name]}"), name)
