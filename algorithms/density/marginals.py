"""Sums of product kernels multiplied out into counts of marginals: 2^d look-ups, whatever the number of data.

The table of one seed has an entry for each value, or "any" (`sizes[j]`), of every parameter, that of values x at
sum_j stride_j x_j. An entry holds the counts of both sides, the good ones in the lower half of its bits, the bad ones
in the upper. It is made small rather than quick to address: what takes time is to fetch it from memory.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from algorithms.density.history import BAD, GOOD
from harness import Floats, Ints
from harness.compiled import inner, prefetch

Counts = NDArray[np.unsignedinteger[Any]]


def strides(sizes: Ints) -> tuple[Ints, int]:
    """Steps of the parameters in the table, Int[d], and its number of entries."""
    places = [1, *(sizes + 1).tolist()]
    return np.cumprod(places[:-1], dtype=np.int64), math.prod(places)


@inner
def entries(stride: Ints, sizes: Ints, points: Floats, out: NDArray[np.int32]) -> None:
    """The entries that count points [C, d], [2^d, C]; bit j set: the value of parameter j is fixed, else any."""
    free = 0
    for j in range(len(sizes)):
        free += stride[j] * sizes[j]
    for c in range(len(points)):
        out[0, c] = free
    width = 1
    for j in range(len(sizes)):
        for c in range(len(points)):
            out[width, c] = stride[j] * (int(points[c, j]) - sizes[j])
        for i in range(width - 1, -1, -1):
            for c in range(len(points)):
                out[width + i, c] = out[i, c] + out[width, c]
        width *= 2


@inner
def expand(match: Floats, miss: Floats, out: Floats) -> None:
    """Coefficients [2^d] of the marginal counts in the sum of product kernels; bit j set: j is fixed.

    prod_j (miss_j + (match_j - miss_j) [x_j = X_ij]) multiplied out; the sum over the data i of
    prod_{j in T} [x_j = X_ij] is the count of x in the marginal T. An infinite `miss` stands
    for a parameter with one value, which all data share: a factor `match`.
    """
    out[0] = 1.0
    width = 1
    for j in range(len(match)):
        alone = np.isinf(miss[j])
        for i in range(width):
            out[width + i] = out[i] * (match[j] if alone else match[j] - miss[j])
            out[i] *= 0.0 if alone else miss[j]
        width *= 2


@inner
def place(counts: Counts, side: int) -> int:
    """What an entry grows by for an observation of a side; nothing where it is of none."""
    return 1 if side == GOOD else 1 << 4 * counts.itemsize if side == BAD else 0


@inner
def gather(table: Counts, at: NDArray[np.int32], out: Counts) -> None:
    """The entries [2^d, C] at these places of a table."""
    for i in range(len(at)):
        for c in range(at.shape[1]):
            out[i, c] = table[at[i, c]]


@inner
def marginal_sums(
    table: Counts,
    at: NDArray[np.int32],
    weight: Floats,
    n: Ints,
    following: Counts,
    then: NDArray[np.int32],
    out: Floats,
) -> None:
    """Both densities [C, 2] from the counts of marginals, which are `at` Int[2^d, C] in a table.

    Meanwhile those that are needed `then` are brought near from the table that follows.
    """
    half = 4 * table.itemsize
    counts, good, bad = np.empty(len(out), table.dtype), np.zeros(len(out)), np.zeros(len(out))
    for i in range(len(at)):
        for c in range(len(out)):
            prefetch(following, then[i, c])
            counts[c] = table[at[i, c]]
        for c in range(len(out)):
            good[c] += weight[GOOD, i] * np.int32(counts[c] & ((1 << half) - 1))
            bad[c] += weight[BAD, i] * np.int32(counts[c] >> half)
    for c in range(len(out)):
        out[c, GOOD], out[c, BAD] = good[c] / n[GOOD], bad[c] / n[BAD]


@inner
def apart(counts: Counts, side: int, out: Ints) -> None:
    """The counts [m] of one side."""
    half = 4 * counts.itemsize
    for i in range(len(out)):
        out[i] = counts[i] & ((1 << half) - 1) if side == GOOD else counts[i] >> half


@inner
def infinite_density(count: Ints, match: Floats, miss: Floats) -> float:
    """The infinite density of a point, by the counts [2^d] of its marginals, that differs from all data in a parameter
    of which they have one value alone.

    Its sign is that of the other factors: bandwidths above 1 make some of them negative.
    """
    d = len(match)
    hit, other, sign = np.empty(d), np.ones(d), np.empty(len(count))
    for j in range(d):
        hit[j] = np.sign(match[j])
        if np.isinf(miss[j]):
            hit[j] = hit[j] if count[1 << j] else 1.0
            other[j] = hit[j]
    expand(hit, other, sign)
    balance = 0.0
    for i in range(len(count)):
        balance += sign[i] * count[i]
    return np.inf if balance == count[0] else -np.inf if balance == -float(count[0]) else np.nan


def widened(table: Counts) -> Counts:
    """The entries with twice the bits."""
    good, bad = table & np.uint32(0xFFFF), table >> np.uint32(16)
    return bad.astype(np.uint64) << np.uint64(32) | good
