"""How well scores order architectures: Kendall's tau with the table, beside what needs no training at all.

Everything here is a function of arrays over architectures: codes Int[n, p], scores and the table's accuracies Float[n].
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import scipy  # loads scipy.stats when it is first used

from harness.arrays import Floats, Ints
from harness.graphs import classes
from harness.space import SearchSpace
from harness.statistics import Estimate, mean_interval
from harness.table import Table

PARTS: Mapping[str, float] = {"all": 1.0, "best half": 0.5, "best tenth": 0.1}
"""The architectures that tau is told of, as shares of those judged, the best of the table first."""

LEAST = 100
"""Architectures of which a tau is worth telling; of fewer its interval over seeds is all that can be read."""

_PENALTIES = np.logspace(-2, 4, 25)


def taus(truth: Floats, scores: Floats) -> Floats:
    """Kendall's tau-b of scores with the truth in each of PARTS, Float[3]; nan where one of both is constant."""
    order = np.argsort(-truth, kind="stable")
    found = []
    for share in PARTS.values():
        best = order[: math.ceil(share * len(order))]
        constant = np.ptp(truth[best]) == 0 or np.ptp(scores[best]) == 0
        found.append(math.nan if constant else scipy.stats.kendalltau(truth[best], scores[best]).statistic)
    return np.array(found)


def additive_ridge(codes: Ints, values: Floats, sizes: Sequence[int], at: Ints) -> Floats:
    """What ridge regression on one-hot codes, fitted to `values` Float[m] of `codes` Int[m, p], says of `at` Int[n, p].

    A sum over parameters of a number for each value; the penalty is that of the lowest leave-one-out error.
    """
    given, wanted = (np.hstack([np.eye(k)[c] for k, c in zip(sizes, rows.T, strict=True)]) for rows in (codes, at))
    centre, mean = given.mean(axis=0), values.mean()
    u, s, vt = np.linalg.svd(given - centre, full_matrices=False)
    target = u.T @ (values - mean)
    shrunk = s[:, None] ** 2 / (s[:, None] ** 2 + _PENALTIES)
    left = (values - mean)[:, None] - u @ (shrunk * target[:, None])
    alone = left / (1.0 - 1.0 / len(values) - u**2 @ shrunk)
    penalty = _PENALTIES[(alone**2).sum(axis=0).argmin()]
    return mean + (wanted - centre) @ (vt.T @ (s / (s**2 + penalty) * target))


def operator_counts(space: SearchSpace, codes: Ints) -> dict[str, Floats]:
    """Minus the number of decisions that are none, and the number that are convolutions, Float[n] each."""
    names = [[str(value) for value in p.values] for p in space.parameters]

    def count(chosen: Sequence[Sequence[bool]]) -> Floats:
        return np.sum([np.array(c)[row] for c, row in zip(chosen, codes.T, strict=True)], axis=0).astype(np.float64)

    return {
        "none": -count([[name == "none" for name in own] for own in names]),
        "convolutions": count([["conv" in name for name in own] for own in names]),
    }


def again(table: Table, rows: Ints, kind: str, rng: np.random.Generator) -> Floats:
    """Tau of the table with another training of the same architectures, in each of PARTS, Float[3].

    Of a table with repeats, a mean of all but one with the one left out; else of architectures whose graphs are the
    same under other codes, one with another. nan where there is neither.
    """
    values = table.loss[rows, -1] if kind == "val" or table.test is None else table.test[rows, -1]
    measured = np.isfinite(values).sum(axis=1)
    found = []
    for _ in range(20):
        if (measured > 1).mean() > 0.5:
            own = values[measured > 1]
            left = rng.integers(measured[measured > 1])
            one = own[np.arange(len(own)), left].copy()
            own = own.copy()
            own[np.arange(len(own)), left] = np.nan
            found.append(taus(-np.nanmean(own, axis=1), -one))
        elif table.space.graphs is not None:
            kinds = classes(table.space.graphs.of(table.codes[rows]))
            order = np.lexsort([rng.random(len(rows)), kinds])
            same = kinds[order]
            start = np.searchsorted(same, same)
            size = np.searchsorted(same, same, side="right") - start
            partner = order[start + (np.arange(len(rows)) - start + 1) % size]
            paired = size > 1
            mean = np.nanmean(values, axis=1)
            found.append(taus(-mean[order[paired]], -mean[partner[paired]]) if paired.any() else np.full(3, np.nan))
        else:
            return np.full(len(PARTS), np.nan)
    return np.mean(found, axis=0)


def perfect(repeated: float) -> float:
    """Tau of a table with the expected accuracies, if `repeated` is that of two trainings with each other.

    By Greiner's relation, as if both were normal: the correlation of two equally noisy numbers is the square of that of
    one with what is measured without noise.
    """
    r = math.sin(math.pi * repeated / 2)
    return 2 / math.pi * math.asin(math.sqrt(r)) if r >= 0 else math.nan


def over_seeds(values: Floats) -> list[Estimate]:
    """Means and Student's intervals over the seeds of Float[S, k]; of one seed there is no interval."""
    found = []
    for column in values.T:
        known = column[np.isfinite(column)]
        if len(known) > 1:
            found.append(mean_interval(known))
        else:
            found.append(Estimate(float(known[0]) if len(known) else math.nan, math.nan, math.nan))
    return found


def truth(table: Table, rows: Ints, kind: str) -> Floats:
    """Accuracies of the table, mean over repeats at the largest fidelity, Float[n]."""
    last = len(table.fidelities) - 1
    test = None if kind == "val" else table.test_at(last)
    return 1.0 - (table.loss_at(last) if test is None else test)[rows]
