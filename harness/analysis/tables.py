"""What there is to know of a benchmark before running on it: its optima, costs, gaps, and how its fidelities agree."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from typing import Any

import numpy as np
import scipy  # loads scipy.stats when it is first used

from harness.arrays import Floats, Ints
from harness.rng import Streams
from harness.table import Optimum, Score, Table

ENUMERATED = 1 << 21
"""The largest space of which every configuration is looked up."""

DRAWN = 100_000
"""Configurations drawn uniformly from a larger one."""

_CHUNK = 1 << 17


def described(table: Table) -> dict[str, Any]:
    """Everything a user may want to know of a table, for JSON."""
    best, test = table.optimum, table.test_optimum
    last = len(table.fidelities) - 1
    test_losses = table.test_at(last)
    repeats, counts = np.unique(table.repeats[:, -1], return_counts=True)
    trainings = table.cost if table.facts.separate else table.cost[:, -1]
    return {
        **asdict(table.facts),
        "configurations": len(table),
        "cardinality_of_space": table.space.cardinality,
        "parameters": {p.name: f"{p.kind} ({_listed(p.values)})" for p in table.space.parameters},
        "fidelities": table.fidelities.tolist(),
        "repeats": {str(r): int(c) for r, c in zip(repeats, counts, strict=True)},
        "columns": list(table.columns),
        "objectives": {name: table.objective_in_words(name) for name in (table.primary, *table.objectives)},
        "scores": {name: _score(score) for name, score in table.scores.items()},
        "optimum": asdict(best),
        "optimum_configuration": table.space.to_dict(table.codes[best.row]),
        "optimum_of_single_trainings": asdict(_single(table, table.loss[:, -1], table.facts.loss)),
        "test_loss_of_optimum": None if test_losses is None else float(test_losses[best.row]),
        "test_optimum": None if test is None else asdict(test),
        "test_optimum_configuration": None if test is None else table.space.to_dict(table.codes[test.row]),
        "test_optimum_of_single_trainings": None
        if table.test is None or test is None
        else asdict(_single(table, table.test[:, -1], table.facts.test)),
        "mean_cost": float(np.nanmean(table.cost_at(last))),
        "total_cost": float(np.nansum(trainings)),
        "invalid_share": invalid_share(table),
        "absent_entries_share": float((table.repeats == 0).mean()),
        "spearman_with_largest_fidelity": spearman_with_largest(table),
        "checksum": table.checksum,
    }


def _score(score: Score) -> str:
    return f"{score.words}, no training, more is better; {np.median(score.seconds):.2g} s in the median"


def _listed(values: Iterable[object]) -> str:
    texts = list(map(str, values))
    return ", ".join(texts) if len(texts) <= 40 else f"{', '.join(texts[:3])}, ..., {texts[-1]}: {len(texts):,} values"


def _single(table: Table, losses: Floats, what: str) -> Optimum:
    """The lowest loss of a single training, Float[N, R] at the largest fidelity."""
    row = int(np.where(np.isfinite(losses), losses, np.inf).min(axis=1).argmin())
    at = f"{table.facts.fidelity} {table.fidelities[-1]}"
    return Optimum(float(np.nanmin(losses[row])), row, f"lowest {what} of a single training, at {at}")


def invalid_share(table: Table) -> dict[str, Any]:
    """The share of configurations without a result at the largest fidelity, and of how many it is.

    Spaces of more than 2^21 configurations are not enumerated: the share is that of 100,000 uniform draws.
    """
    exact = table.space.cardinality <= ENUMERATED
    absent = np.append(table.repeats[:, -1] == 0, True)
    count = sum(int(absent[rows].sum()) for rows in uniform_rows(table, DRAWN))
    of = "all configurations" if exact else f"{DRAWN:,} configurations drawn uniformly"
    return {"share": count / (table.space.cardinality if exact else DRAWN), "of": of}


def uniform_rows(table: Table, drawn: int) -> Iterator[Ints]:
    """Rows of all configurations, -1 for those that the table does not have, in parts.

    Of a space of more than 2^21 they are those of `drawn` configurations, drawn uniformly.
    """
    space = table.space
    exact = space.cardinality <= ENUMERATED
    total = space.cardinality if exact else drawn
    streams = Streams(np.array([0]), "invalid share")
    for start in range(0, total, _CHUNK):
        size = min(_CHUNK, total - start)
        if exact:
            codes = np.stack(np.unravel_index(np.arange(start, start + size), space.sizes.tolist()), axis=1)
        else:
            draws = streams.uniform(size * space.dimensions, np.array([0]))
            codes = space.sample(draws.reshape(size, space.dimensions))
        yield table.rows(codes)


def spearman_with_largest(table: Table) -> dict[str, float | None]:
    """Spearman's rank correlation of the mean validation losses at each fidelity with those at the largest.

    None where the losses of a fidelity are all equal, or none is there at both.
    """
    last = table.loss_at(len(table.fidelities) - 1)
    found: dict[str, float | None] = {}
    for position, fidelity in enumerate(table.fidelities[:-1].tolist()):
        other = table.loss_at(position)
        both = np.isfinite(last) & np.isfinite(other)
        value = spearman(other[both], last[both])
        found[str(fidelity)] = None if math.isnan(value) else value
    return found


def spearman(a: Floats, b: Floats) -> float:
    """Spearman's correlation of Float[n] and Float[n], ties at their mean rank; NaN where one is constant or empty."""
    varies = len(a) > 0 and np.ptp(a) > 0 and np.ptp(b) > 0
    return float(scipy.stats.spearmanr(a, b).statistic) if varies else math.nan
