"""Accuracies that a paper prints beside those of our runs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from harness.analysis.reproduction import Reproduction
from harness.errors import HarnessError
from harness.numbers import ABSENT
from harness.studies.outcome import Outcome, reported
from harness.studies.reference import Kind

KINDS: tuple[Kind, ...] = ("val", "test")
COLUMNS = ("algorithm", "on", "accuracy (%)", "published", "ours")


def rows(recipe: Reproduction, outcomes: Sequence[Outcome]) -> list[list[str]]:
    """A row for each study, table and kind: mean ± standard deviation over runs of what each had chosen at its end.

    Where nothing is published of it, ours stand beside a dash. Raises HarnessError if no study has the label of a
    published number.
    """
    found = []
    for table in recipe.published:
        by_label = {outcome.study.label: outcome for outcome in reported(outcomes, table["on"])}
        for kind in KINDS:
            numbers: dict[str, tuple[float, float]] = table.get(kind, {})
            for label in numbers:
                if label not in by_label:
                    raise HarnessError(f"{recipe.name} has numbers of {label}, and no study of it.")
            for label, outcome in by_label.items():
                if outcome.reference.scale(kind).optimum is None:
                    continue
                ours = 100 * (1 - outcome.loss(kind, np.array([outcome.end]))[:, 0])
                theirs = _told(*numbers[label]) if label in numbers else ABSENT
                found.append(
                    [label, table["on"], kind, theirs, _told(ours.mean(), ours.std(ddof=min(1, len(ours) - 1)))]
                )
    return found


def _told(mean: float, deviation: float) -> str:
    return f"{mean:.2f} ± {deviation:.2f}"
