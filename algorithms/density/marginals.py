"""Sums of product kernels multiplied out into counts of marginals: 2^d look-ups, whatever the number of data."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from algorithms.density.history import compiled
from harness import Floats, Ints


@compiled
def marginal_cells(stride: Ints, sizes: Ints, points: Floats | NDArray[np.uint8], c: int, cells: Ints) -> None:
    """Where the 2^d marginals of configuration `c` lie in the table; bit j set: j is fixed."""
    anywhere = 0
    for j in range(len(sizes)):
        anywhere += stride[j] * sizes[j]
    cells[0] = anywhere
    width = 1
    for j in range(len(sizes)):
        step = stride[j] * (int(points[c, j]) - sizes[j])
        for i in range(width):
            cells[width + i] = cells[i] + step
        width *= 2


@compiled
def expand(match: Floats, miss: Floats, out: Floats) -> None:
    """Coefficients [2^d] of the marginal counts in the sum of product kernels.

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
def marginal_sums(table: NDArray[np.int32], cells: Ints, weight: Floats, out: Floats, c: int) -> None:
    """Both densities at point `c` from the counts of its 2^d marginals."""
    good = bad = 0.0
    for i in range(len(cells)):
        cell = cells[i]
        good += weight[i, 0] * table[cell, 0]
        bad += weight[i, 1] * table[cell, 1]
    out[c, 0] = good / table[cells[0], 0]
    out[c, 1] = bad / table[cells[0], 1]


@compiled
def infinite_density(table: NDArray[np.int32], cells: Ints, side: int, match: Floats, miss: Floats) -> float:
    """The infinite density where a side has one value alone and the point another.

    Its sign is that of the other factors: bandwidths above 1 make some of them negative.
    """
    d = len(match)
    hit, other, sign = np.empty(d), np.ones(d), np.empty(len(cells))
    for j in range(d):
        hit[j] = np.sign(match[j])
        if np.isinf(miss[j]):
            hit[j] = hit[j] if table[cells[1 << j], side] else 1.0
            other[j] = hit[j]
    expand(hit, other, sign)
    balance = 0.0
    for i in range(len(cells)):
        balance += sign[i] * table[cells[i], side]
    n = table[cells[0], side]
    return np.inf if balance == n else -np.inf if balance == -n else np.nan
