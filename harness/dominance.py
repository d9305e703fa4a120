"""Compiled kernels of `pareto`: what array operations over many sets do too often, set by set."""

from __future__ import annotations

import numpy as np

from harness.arrays import Bools, Floats, Ints
from harness.compiled import compiled


@compiled
def dominates(points: Floats, a: int, b: int) -> bool:
    """Whether point `a` of points Float[n, k] is nowhere worse than `b` and somewhere better."""
    better = False
    for i in range(points.shape[1]):
        if points[a, i] > points[b, i]:
            return False
        better |= points[a, i] < points[b, i]
    return bool(better)


@compiled
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


@compiled
def ranks(points: Floats, order: Ints, found: Ints) -> None:
    """The front of each point Float[S, n, k], from 0, into `found` Int[S, n]; `order` Int[S, n] is lexicographic.

    None is dominated by one behind it, so that its front is the one after the last that has one before it.
    """
    count, n, _ = points.shape
    for s in range(count):
        for i in range(n):
            a, level = order[s, i], 0
            for before in range(i):
                b = order[s, before]
                if found[s, b] < level:
                    continue
                if dominates(points[s], b, a):
                    level = found[s, b] + 1
            found[s, a] = level


@compiled
def winners(points: Floats, seeds: Ints, rivals: Ints, chance: Floats, found: Ints) -> None:
    """One of each seed's `rivals` Int[n, m] in points Float[S, p, k] that no other dominates, into `found` Int[n].

    Of several, `chance` Float[n] in [0, 1) says which.
    """
    n, m = rivals.shape
    free, own = np.empty(m, np.bool_), np.empty((m, points.shape[2]))
    for i in range(n):
        for a in range(m):
            own[a] = points[seeds[i], rivals[i, a]]
        for a in range(m):
            free[a] = True
            for b in range(m):
                if dominates(own, b, a):
                    free[a] = False
                    break
        left = int(chance[i] * free.sum())
        for a in range(m):
            if free[a]:
                if left == 0:
                    found[i] = rivals[i, a]
                    break
                left -= 1


@compiled
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
