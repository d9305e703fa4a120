"""How good predictors are against the number of configurations they learnt from."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from harness.analysis.quality import Quality, summary
from harness.arrays import Floats, Ints
from harness.errors import HarnessError
from harness.plots.style import STYLE, Width, legend, log_ticks, outer_labels, panels, styles, tell, titled

LABELS = {
    "mse": "MSE",
    "spearman": "Spearman's rank correlation",
    "kendall": "Kendall's tau",
    "regret": "regret of the best predicted",
    "precision": "precision among the top 1 %",
    "fit_seconds": "CPU seconds of a fit",
    "query_seconds": "CPU seconds to predict the table",
}
_LOG = {"mse", "regret", "fit_seconds", "query_seconds"}


class Points(NamedTuple):
    """A measure of a predictor where it is known: sizes of samples, means, and two standard errors, each of [P]."""

    sizes: Ints
    mean: Floats
    error: Floats

    @classmethod
    def of(cls, quality: Quality, measure: str) -> Points:
        rows = [row for row in summary(quality) if row[f"{measure}_mean"] is not None]
        numbers = [(row["train"], row[f"{measure}_mean"], 2 * (row[f"{measure}_sem"] or 0.0)) for row in rows]
        sizes, mean, error = np.array(numbers, dtype=np.float64).reshape(-1, 3).T
        return cls(sizes.astype(np.int64), mean, error)


def sizes_of(same: Iterable[Quality]) -> list[int]:
    """The sizes of samples that any of the qualities has."""
    return sorted({size for quality in same for size in quality.study.sizes})


def by_benchmark(qualities: Iterable[Quality]) -> dict[str, list[Quality]]:
    """The qualities of each benchmark. Raises HarnessError if two of one benchmark have the same name."""
    groups: dict[str, list[Quality]] = {}
    for quality in qualities:
        groups.setdefault(quality.study.benchmark, []).append(quality)
    for name, same in groups.items():
        if len({quality.study.label for quality in same}) < len(same):
            raise HarnessError(f"two studies of one predictor on {name} differ in sizes, noise or code.", _NAME)
    return groups


def quality_figure(qualities: Sequence[Quality], measure: str = "spearman", width: Width | None = None) -> Figure:
    """A measure of predictors over the training sample, mean and two standard errors, one panel per benchmark.

    Raises HarnessError if two of a panel have the same name.
    """
    groups = by_benchmark(qualities)
    looks = styles(quality.study.label for quality in qualities)
    with mpl.rc_context(STYLE):
        figure, axes = panels(len(groups), width)
        for axis, same in zip(axes, groups.values(), strict=True):
            for quality in same:
                sizes, mean, error = Points.of(quality, measure)
                label = quality.study.label
                tell(axis, quality.study.benchmark, label, x=sizes, y=mean, low=mean - error, high=mean + error)
                axis.errorbar(sizes, mean, error, **looks[label], label=label, marker="o", ms=2.5)
            axis.set_xscale("log")
            ticks = sizes_of(same)
            axis.set_xticks(ticks, [str(size) for size in ticks])
            axis.xaxis.set_minor_locator(NullLocator())
            if measure in _LOG:
                axis.set_yscale("log", nonpositive="clip")
                log_ticks(axis.yaxis)
            unit = f" ({same[0].unit})" if measure == "mse" else ""
            axis.set(xlabel="training configurations", ylabel=LABELS[measure] + unit)
            titled(axis, same[0].reference.title)
        outer_labels(axes)
        seeds = sorted({len(quality.seeds) for quality in qualities})
        legend(figure, f"mean ±2 SEM, {' to '.join(map(str, dict.fromkeys((seeds[0], seeds[-1]))))} samples")
    return figure


_NAME = "name the files to draw, one for each predictor."
