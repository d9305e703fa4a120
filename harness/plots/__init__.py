"""Figures of finished studies."""

from harness.plots.regret import curve, regression_figure, regret_figure
from harness.plots.spec import FIGURES, draw, load
from harness.plots.style import provenance, save

__all__ = ["FIGURES", "curve", "draw", "load", "provenance", "regression_figure", "regret_figure", "save"]
