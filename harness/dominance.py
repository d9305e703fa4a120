"""Compiled kernels of `pareto`: what array operations over many sets do too often, set by set."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba
import numpy as np

from harness.arrays import Bools, Floats, Ints

F = TypeVar("F", bound=Callable[..., Any])


def _compiled(function: F) -> F:
    try:
        return cast(F, numba.njit(cache=True, nogil=True)(function))
    except RuntimeError:  # no folder to cache in
        return cast(F, numba.njit(nogil=True)(function))


@_compiled
def add(
    held: Floats, label: Ints, used: Ints, where: Ints, points: Floats, new: Ints, joined: Bools, start: int
) -> int:
    """Add points Float[n, k] from `start` on to the sets Float[k, S, capacity] that do not weakly dominate them.

    Of each set the first `used` Int[S] places are in use, or free again (label -1). Returns the first point that has no
    room left, or n.
    """
    k = len(held)
    for i in range(start, len(where)):
        s, full = where[i], True
        if not np.isfinite(points[i]).all():
            joined[i] = False
            continue
        dominated = False
        for place in range(used[s]):
            below = label[s, place] >= 0
            for j in range(k):
                below = below and held[j, s, place] <= points[i, j]
            if below:
                dominated = True
                break
        joined[i] = not dominated
        if dominated:
            continue
        for place in range(used[s]):
            over = label[s, place] >= 0
            for j in range(k):
                over = over and points[i, j] <= held[j, s, place]
            if over:
                label[s, place] = -1
                held[:, s, place] = np.inf
        for place in range(label.shape[1]):
            if label[s, place] < 0:
                label[s, place] = new[i]
                held[:, s, place] = points[i]
                used[s] = max(used[s], place + 1)
                full = False
                break
        if full:
            return i
    return len(where)


@_compiled
def ranks(points: Floats, order: Ints, found: Ints) -> None:
    """The front of each point Float[S, n, k], from 0, into `found` Int[S, n]; `order` Int[S, n] is lexicographic.

    None is dominated by one behind it, so that its front is the one after the last that has one before it.
    """
    count, n, k = points.shape
    for s in range(count):
        for i in range(n):
            a, level = order[s, i], 0
            for before in range(i):
                b = order[s, before]
                if found[s, b] < level:
                    continue
                nowhere, somewhere = True, False
                for j in range(k):
                    nowhere = nowhere and points[s, b, j] <= points[s, a, j]
                    somewhere = somewhere or points[s, b, j] < points[s, a, j]
                if nowhere and somewhere:
                    level = found[s, b] + 1
            found[s, a] = level


@_compiled
def undominated(points: Floats, free: Bools) -> None:
    """Which points of each set Float[S, n, k] no other of it dominates, into `free` Bool[S, n]."""
    count, n, k = points.shape
    for s in range(count):
        for a in range(n):
            free[s, a] = True
            for b in range(n):
                nowhere, somewhere = True, False
                for j in range(k):
                    nowhere = nowhere and points[s, b, j] <= points[s, a, j]
                    somewhere = somewhere or points[s, b, j] < points[s, a, j]
                if nowhere and somewhere:
                    free[s, a] = False
                    break


@_compiled
def crowding(points: Floats, rank: Ints, order: Ints, distance: Floats) -> None:
    """Add to `distance` Float[S, n] the gaps of one objective, Float[S, n]; `order` is by front, then by its value."""
    count, n = points.shape
    for s in range(count):
        start = 0
        while start < n:
            stop = start + 1
            while stop < n and rank[s, order[s, stop]] == rank[s, order[s, start]]:
                stop += 1
            span = points[s, order[s, stop - 1]] - points[s, order[s, start]]
            for i in range(start, stop):
                gap = np.inf
                if start < i < stop - 1 and span > 0:
                    gap = (points[s, order[s, i + 1]] - points[s, order[s, i - 1]]) / span
                distance[s, order[s, i]] += gap
            start = stop
