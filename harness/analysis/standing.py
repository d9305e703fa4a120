"""How algorithms stand over many benchmarks at the end of their runs: average rank, and what a proposal costs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from harness.analysis.comparison import complete, regret_at, require_paired, selected
from harness.statistics import Estimate, bootstrap_weights, percentiles, ranks
from harness.studies.outcome import Outcome
from harness.studies.reference import Kind

_REPLICATES = 2_000


@dataclass(frozen=True)
class Standing:
    """An algorithm's average `rank` over benchmarks, and its evaluations and CPU seconds, NaN where not measured.

    The interval holds 95 % of the ranks of resampled seeds: these benchmarks are taken as they are.
    """

    label: str
    rank: Estimate
    evaluations: int
    cpu_seconds: float

    @property
    def cpu_per_evaluation(self) -> float:
        return self.cpu_seconds / max(self.evaluations, 1)


def standings(outcomes: Sequence[Outcome], kind: Kind) -> list[Standing]:
    """By average rank of the mean regrets that studies end with, the best first.

    Raises HarnessError if a study is missing, seeds are not the same, or one has no result.
    """
    groups = selected(outcomes, kind)
    labels = complete(groups)
    drawn = []
    for same in groups.values():
        require_paired(same)
        by_label = {o.label: regret_at(o, kind, [o.end])[:, 0] for o in same}
        regrets = np.stack([by_label[label] for label in labels], axis=1)
        weights = bootstrap_weights(len(regrets), np.random.default_rng(0), _REPLICATES)
        drawn.append(ranks(np.concatenate([regrets.mean(axis=0, keepdims=True), weights @ regrets])))
    average = np.mean(drawn, axis=0)
    low, high = percentiles(average[1:])
    every = [o for same in groups.values() for o in same]
    found = [
        Standing(
            label,
            Estimate(float(average[0, i]), float(low[i]), float(high[i])),
            sum(int(o.trajectory.evaluations.sum()) for o in every if o.label == label),
            sum(o.cpu_seconds for o in every if o.label == label),
        )
        for i, label in enumerate(labels)
    ]
    return sorted(found, key=lambda standing: standing.rank.value)
