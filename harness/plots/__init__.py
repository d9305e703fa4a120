"""Figures of finished studies."""

from harness.plots.regret import curve, regression_figure, regret_figure
from harness.plots.style import provenance, save

__all__ = ["curve", "provenance", "regression_figure", "regret_figure", "save"]
