"""Non-dominated sorting of sets that grow point by point, and which points of a front come first."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from harness import Bools, Floats, Ints
from harness.compiled import compiled, inner
from harness.dominance import dominates

Ranks = NDArray[np.int32]


@compiled
def rank_last(points: Floats, rank: Ranks, n: int) -> None:
    """Give the last of the first `n` points Float[T, k] its front in `rank` Int[T], and move those that it pushes down.

    A front that gains points pushes on those of the next that they dominate, and no others.
    """
    level = 0
    for t in range(n - 1):
        if rank[t] >= level and dominates(points, t, n - 1):
            level = rank[t] + 1
    rank[n - 1] = level
    moved, size = np.empty(n, np.int64), 1
    moved[0] = n - 1
    while size:
        pushed, more = np.empty(n, np.int64), 0
        for t in range(n):
            if rank[t] != level:
                continue
            for m in range(size):
                if dominates(points, moved[m], t):
                    pushed[more] = t
                    more += 1
                    break
        level += 1
        for m in range(more):
            rank[pushed[m]] = level
        moved, size = pushed, more


@compiled
def cut(rank: Ranks, n: int, wanted: int) -> tuple[int, int]:
    """The front in which the best `wanted` of the first `n` end, and how many of it are among them."""
    size = np.zeros(n + 1, np.int64)
    for t in range(n):
        size[rank[t]] += 1
    level, left = 0, wanted
    while left > size[level]:
        left -= size[level]
        level += 1
    return level, left


@compiled
def members(rank: Ranks, n: int, level: int) -> Ints:
    """The points of a front, in order of arrival."""
    found, m = np.empty(n, np.int64), 0
    for t in range(n):
        if rank[t] == level:
            found[m] = t
            m += 1
    return found[:m]


@compiled
def spread_out(points: Floats, front: Ints) -> Ints:
    """The points of a `front` Int[m] as an epsilon-net (Clarkson 2006): next is the farthest from those before.

    The first is the lowest in the first objective; distances are in ranges of the front. Of equals the earlier counts.
    """
    m, k = len(front), points.shape[1]
    scale = np.empty(k)
    for i in range(k):
        low = high = points[front[0], i]
        for a in range(m):
            low, high = min(low, points[front[a], i]), max(high, points[front[a], i])
        scale[i] = 1.0 / (high - low) if high > low else 0.0
    distance, order = np.full(m, np.inf), np.empty(m, np.int64)
    chosen = 0
    for a in range(m):
        if points[front[a], 0] < points[front[chosen], 0]:
            chosen = a
    for step in range(m):
        order[step] = front[chosen]
        distance[chosen] = -1.0
        following = chosen
        for a in range(m):
            if distance[a] < 0:
                continue
            away = 0.0
            for i in range(k):
                away += ((points[front[a], i] - points[front[chosen], i]) * scale[i]) ** 2
            distance[a] = min(distance[a], away)
            if distance[following] < 0 or distance[a] > distance[following]:
                following = a
        chosen = following
    return order


@inner
def _by_first_objective(points: Floats, front: Ints) -> Ints:
    """The points of a front in ascending order of the first objective, earlier ones first."""
    order = np.empty(len(front), np.int64)
    for a in range(len(front)):
        place = a
        while place > 0 and points[order[place - 1], 0] > points[front[a], 0]:
            order[place] = order[place - 1]
            place -= 1
        order[place] = front[a]
    return order


@compiled
def covering(points: Floats, front: Ints, wanted: int, worst: Floats, taken: Bools) -> None:
    """Mark the `wanted` points of a `front` Int[m] that are chosen one by one for the most hypervolume up to `worst`.

    For two objectives. Of points that are equal the earliest counts; the others are taken when no more are left.
    """
    m, order, left = len(front), _by_first_objective(points, front), wanted
    right, top = np.empty(m), np.empty(m)
    for a in range(m):
        right[a], top[a] = worst[0], worst[1]
    while left:
        best, most = -1, -np.inf
        for a in range(m):
            twin = a > 0 and points[order[a], 0] == points[order[a - 1], 0]
            if not (taken[order[a]] or twin):
                gain = (right[a] - points[order[a], 0]) * (top[a] - points[order[a], 1])
                if gain > most:
                    best, most = a, gain
        if best < 0:
            break
        taken[order[best]] = True
        left -= 1
        for a in range(m):
            if a < best:
                right[a] = min(right[a], points[order[best], 0])
            else:
                top[a] = min(top[a], points[order[best], 1])
    for t in front:
        if left and not taken[t]:
            taken[t] = True
            left -= 1
