"""Accuracies that a paper prints beside those of our runs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from harness.analysis.reproduction import Recipe
from harness.errors import HarnessError
from harness.studies.outcome import Kind, Outcome, reported

COLUMNS = ("algorithm", "on", "accuracy (%)", "published", "ours")


def rows(recipe: Recipe, outcomes: Sequence[Outcome]) -> list[list[str]]:
    """A row for each published number: mean ± standard deviation over runs of what each had chosen at its end.

    Raises HarnessError if no study has the label of a published number.
    """
    found = []
    for table in recipe.published:
        by_label = {outcome.study.label: outcome for outcome in reported(outcomes, table["on"])}
        numbers: tuple[tuple[Kind, dict[str, tuple[float, float]]], ...] = (
            ("val", table.get("val", {})),
            ("test", table.get("test", {})),
        )
        for kind, published in numbers:
            for label, (mean, deviation) in published.items():
                if label not in by_label:
                    raise HarnessError(f"{recipe.name} has numbers of {label}, and no study of it.")
                outcome = by_label[label]
                ours = 100 * (1 - outcome.loss(kind, np.array([outcome.end]))[:, 0])
                shown = f"{ours.mean():.2f} ± {ours.std(ddof=min(1, len(ours) - 1)):.2f}"
                found.append([label, table["on"], kind, f"{mean:.2f} ± {deviation:.2f}", shown])
    return found
