"""The course of searches by weight sharing: probabilities of the operators, and the share of skips, over epochs."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from harness import registry
from harness.arrays import Floats
from harness.params import changed
from harness.params import label as written
from harness.sharing import log as logging
from harness.sharing.log import Log
from harness.sharing.search import Derived
from harness.spaces import published


class Course(NamedTuple):
    """Searches of one method: `label`, decisions by name with their operators, and what they learned.

    `probability` Float[E, d, k] is the mean over seeds after each epoch, `skips` Float[S, E] the mean probability of a
    skip connection; `moved` says whether anything was learned, `derived` how many edges of what was derived in the end
    are skips, by seed and hand-off of none, Float[S, 2].
    """

    label: str
    space: str
    images: str
    seeds: tuple[int, ...]
    decisions: tuple[str, ...]
    operators: tuple[tuple[str, ...], ...]
    probability: Floats
    skips: Floats
    derived: Floats

    @property
    def moved(self) -> bool:
        """Whether the distribution ever changed."""
        return bool(np.ptp(self.probability, axis=0).max() > 1e-9)


def courses(logs: Iterable[Log]) -> list[Course]:
    """The courses of logs, seeds of one search together up to the epoch that all of them reached."""
    same: dict[str, list[Log]] = {}
    for log in logs:
        data = {**log.search.to_json(), "seed": None}
        same.setdefault(json.dumps(data, sort_keys=True), []).append(log)
    return [_course(group) for group in same.values()]


def _course(group: list[Log]) -> Course:
    search = group[0].search
    parameters = published(search.space).space.parameters
    epochs = min(len(log.rows) for log in group)
    probability = np.mean([[row.distribution for row in log.rows[:epochs]] for log in group], axis=0)
    skips = np.array([[logging.skips(log, row) for row in log.rows[:epochs]] for log in group])
    ends = [[row for row in log.rows if row.derived and row.without][-1:] for log in group]
    derived = [[_skipped(search.space, d) for d in (row.derived, row.without)] for end in ends for row in end]
    label = written(search.method, changed(search.params, lambda: registry.method(search.method)))
    names, operators = tuple(p.name for p in parameters), tuple(tuple(map(str, p.values)) for p in parameters)
    seeds = tuple(log.search.seed for log in group)
    return Course(label, search.space, search.images, seeds, names, operators, probability, skips, np.array(derived))


def _skipped(space: str, derived: Derived | None) -> float:
    """The share of skip connections in what was derived."""
    if derived is None:
        return float("nan")
    parameters = published(space).space.parameters
    return float(np.mean(["skip" in str(p.values[c]) for p, c in zip(parameters, derived.codes, strict=True)]))
