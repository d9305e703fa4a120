"""Samples of large spaces: a proposal that nobody trained is answered by the nearest configuration that somebody did.

So a search sees the function that is constant around each measured configuration, the nearest-neighbour surrogate that
Syne Tune (Salinas et al., AutoML 2022) puts over tables.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from harness.arrays import Ints
from harness.space import SearchSpace

_UNIT = 1 << 20
"""The length of a parameter: distances are sums of squares of whole numbers, exact as floats below 2^53."""

_PAIRS = 1 << 22
"""Distances that are computed at once."""


def nearest(space: SearchSpace, codes: Ints) -> Callable[[Ints], Ints]:
    """What maps codes Int[n, d] to the nearest of the rows `codes` Int[N, d], Int[n]; of several to the first.

    The distance is Euclidean: from the first to the last value of an ordered parameter is as far as from one category
    to another, and its values are evenly spaced. It is computed in whole numbers, so that it does not depend on the
    machine or on what else is asked.
    """
    ordered = np.array([p.kind == "ordinal" for p in space.parameters])
    categories = np.flatnonzero(~ordered)

    def placed(some: Ints) -> np.ndarray:
        return np.rint(some[:, ordered] * (_UNIT / np.maximum(1, space.sizes[ordered] - 1)))

    points = placed(codes)
    half_square = np.square(points).sum(axis=1) / 2

    def rows(asked: Ints) -> Ints:
        found = np.empty(len(asked), dtype=np.int64)
        step = max(1, _PAIRS // len(codes))
        for start in range(0, len(asked), step):
            some = asked[start : start + step]
            distance = half_square - placed(some) @ points.T
            for j in categories:
                distance += (some[:, None, j] != codes[:, j]) * (_UNIT**2 / 2)
            found[start : start + step] = distance.argmin(axis=1)
        return found

    return rows
