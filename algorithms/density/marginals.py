"""Sums of product kernels multiplied out into counts of marginals: 2^d look-ups, whatever the number of data.

The table of one seed has an entry for each value, or "any" (`sizes[j]`), of every parameter. What a point needs of the
first `near` parameters, its values there with each subset of them replaced by "any", lies side by side in a block of
2^near entries, repeated for all of these values: a density reads 2^(d - near) short runs of memory, where time goes.
The entry of values x and a subset of fixed near parameters T, as the bits of a number, is T + sum_j stride_j x_j.
An entry holds the counts of both sides, the good ones in the lower half of its bits, the bad ones in the upper.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from algorithms.density.history import BAD, GOOD
from harness import Floats, Ints
from harness.compiled import compiled

NEAR = 2

Counts = NDArray[np.unsignedinteger[Any]]


def strides(sizes: Ints, near: int) -> tuple[Ints, int]:
    """Steps of the parameters in the table, Int[d], and its number of entries."""
    places = [1 << near, *(sizes + (np.arange(len(sizes)) >= near)).tolist()]
    return np.cumprod(places[:-1], dtype=np.int64), math.prod(places)


@compiled
def counted(stride: Ints, sizes: Ints, near: int, codes: NDArray[np.uint16], t: int, out: Ints) -> None:
    """The entries that count observation `t`, each number of `out` one of them."""
    out[0] = 0
    width = 1
    for j in range(len(sizes)):
        code = int(codes[t, j])
        values = sizes[j] if j < near else 1
        fixed = stride[j] * code + (1 << j) if j < near else stride[j] * code
        for i in range(width):
            start = out[i]
            out[i] = start + fixed
            for v in range(values):
                out[width * (v + 1) + i] = start + stride[j] * (v if j < near else sizes[j])
        width *= values + 1


@compiled
def blocks(stride: Ints, sizes: Ints, near: int, points: Floats, out: Ints) -> None:
    """Where the blocks of each point begin, [2^(d - near), C]; bit j - near set: the value of parameter j is fixed."""
    out[0] = 0
    for j in range(len(sizes)):
        for c in range(len(points)):
            out[0, c] += stride[j] * (int(points[c, j]) if j < near else sizes[j])
    width = 1
    for j in range(near, len(sizes)):
        for i in range(width):
            for c in range(len(points)):
                out[width + i, c] = out[i, c] + stride[j] * (int(points[c, j]) - sizes[j])
        width *= 2


@compiled
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


@compiled
def place(counts: Counts, side: int) -> int:
    """What an entry grows by for an observation of a side; nothing where it is of none."""
    return 1 if side == GOOD else 1 << 4 * counts.itemsize if side == BAD else 0


@compiled
def gather(table: Counts, start: Ints, out: Counts) -> None:
    """The counts [2^d, C] of the marginals of each point, whose blocks begin at `start` [2^(d - near), C]."""
    size = len(out) // len(start)
    for b in range(len(start)):
        for i in range(size):
            fixed = table[i:]
            for c in range(start.shape[1]):
                out[b * size + i, c] = fixed[start[b, c]]


@compiled
def marginal_sums(counts: Counts, weight: Floats, n: Ints, out: Floats) -> None:
    """Both densities [C, 2] from the counts of marginals [2^d, C]."""
    half = 4 * counts.itemsize
    good, bad = np.zeros(len(out)), np.zeros(len(out))
    for i in range(len(weight)):
        for c in range(len(out)):
            good[c] += weight[i, GOOD] * np.int32(counts[i, c] & ((1 << half) - 1))
            bad[c] += weight[i, BAD] * np.int32(counts[i, c] >> half)
    for c in range(len(out)):
        out[c, GOOD], out[c, BAD] = good[c] / n[GOOD], bad[c] / n[BAD]


@compiled
def apart(counts: Counts, side: int, out: Ints) -> None:
    """The counts [m] of one side."""
    half = 4 * counts.itemsize
    for i in range(len(out)):
        out[i] = counts[i] & ((1 << half) - 1) if side == GOOD else counts[i] >> half


@compiled
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
    return (table.astype(np.uint64) >> 16 << 32) | (table & 0xFFFF)
