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
def fits(held: Floats, s: int, used: int, points: Floats, i: int) -> bool:
    """Whether point `i` of points Float[n, k] is finite, and set `s` of sets Float[k, S, capacity] has none as good."""
    k = len(held)
    for j in range(k):
        if not np.isfinite(points[i, j]):
            return False
    for place in range(used):
        below = True
        for j in range(k):
            below = below and held[j, s, place] <= points[i, j]
        if below:
            return False
    return True


@compiled
def add(
    held: Floats, label: Ints, used: Ints, where: Ints, points: Floats, new: Ints, joined: Bools, start: int
) -> int:
    """Add points Float[n, k] from `start` on to the sets Float[k, S, capacity] that do not weakly dominate them.

    Of each set the first `used` Int[S] places are in use, or free again (label -1, points inf). Returns the first point
    that has no room left, or n.
    """
    k = len(held)
    for i in range(start, len(where)):
        s, full = where[i], True
        joined[i] = fits(held, s, used[s], points, i)
        if not joined[i]:
            continue
        for place in range(used[s]):
            over = True
            for j in range(k):
                over = over and points[i, j] <= held[j, s, place]
            if over:
                label[s, place] = -1
                for j in range(k):
                    held[j, s, place] = np.inf
        for place in range(label.shape[1]):
            if label[s, place] < 0:
                label[s, place] = new[i]
                for j in range(k):
                    held[j, s, place] = points[i, j]
                used[s] = max(used[s], place + 1)
                full = False
                break
        if full:
            return i
    return len(where)


@compiled
def sort(order: Ints, points: Floats, first: int, stop: int) -> None:
    """Sort `order` Int[m], places in points Float[n, k], by the objectives from `first` to before `stop`.

    The first counts most; of equals the earlier stays before. By all objectives none is dominated by one behind it.
    """
    for i in range(1, len(order)):
        a, place = order[i], i
        while place > 0:
            b = order[place - 1]
            above = points[b, first] > points[a, first]
            if points[b, first] == points[a, first]:
                for j in range(first + 1, stop):
                    if points[b, j] != points[a, j]:
                        above = points[b, j] > points[a, j]
                        break
            if not above:
                break
            order[place] = b
            place -= 1
        order[place] = a


@compiled
def ranks(points: Floats, order: Ints, last: Ints, found: Ints) -> None:
    """The front of each of points Float[n, k], from 0, into `found` Int[n]: the one after the last that dominates it.

    `order` and `last` Int[n] are scratch. Of two objectives it is enough to look at the last that each front was given.
    """
    (n, k), fronts = points.shape, 0
    for a in range(n):
        order[a] = a
    sort(order, points, 0, k)
    for place in range(n):
        a, level = order[place], 0
        if k == 2:
            while level < fronts and dominates(points, last[level], a):
                level += 1
            fronts = max(fronts, level + 1)
            last[level] = a
        else:
            for before in range(place):
                b = order[before]
                if found[b] >= level and dominates(points, b, a):
                    level = found[b] + 1
        found[a] = level


@compiled
def by_front(rank: Ints, order: Ints, end: Ints) -> int:
    """Points in the order of their fronts `rank` Int[n], earlier ones first, into `order` Int[n]; how many fronts.

    `end` Int[n] gets where each front ends in it.
    """
    n, fronts = len(rank), 0
    for a in range(n):
        fronts = max(fronts, rank[a] + 1)
    for level in range(fronts):
        end[level] = 0
    for a in range(n):
        end[rank[a]] += 1
    for level in range(1, fronts):
        end[level] += end[level - 1]
    for a in range(n - 1, -1, -1):
        end[rank[a]] -= 1
        order[end[rank[a]]] = a
    for level in range(fronts - 1):
        end[level] = end[level + 1]
    end[fronts - 1] = n
    return fronts


@compiled
def crowding(points: Floats, front: Ints, order: Ints, minus: Floats) -> None:
    """Minus the crowding distance of a `front` Int[m] of points Float[n, k] into `minus` Float[n, 1].

    `order` Int[m] is scratch.
    """
    last = len(front) - 1
    for i in range(last + 1):
        minus[front[i], 0] = 0.0
    for j in range(points.shape[1]):
        for i in range(last + 1):
            order[i] = front[i]
        sort(order, points, j, j + 1)
        span = points[order[last], j] - points[order[0], j]
        for i in range(last + 1):
            gap = np.inf
            if 0 < i < last and span > 0:
                gap = (points[order[i + 1], j] - points[order[i - 1], j]) / span
            minus[order[i], 0] -= gap


@compiled
def fittest(points: Floats, found: Ints, ranked: Ints, crowded: Floats) -> None:
    """The first places of points Float[S, n, k] by front, then by crowding, into `found` Int[S, m], with both."""
    n, m = points.shape[1], found.shape[1]
    rank, order, end, scratch = (
        np.empty(n, np.int64),
        np.empty(n, np.int64),
        np.empty(n, np.int64),
        np.empty(n, np.int64),
    )
    minus = np.empty((n, 1))
    for s in range(len(points)):
        ranks(points[s], scratch, end, rank)
        start = 0
        for level in range(by_front(rank, order, end)):
            if start < m:
                front = order[start : end[level]]
                crowding(points[s], front, scratch[: len(front)], minus)
                sort(front, minus, 0, 1)
            start = end[level]
        for i in range(m):
            found[s, i], ranked[s, i], crowded[s, i] = order[i], rank[order[i]], 0.0 - minus[order[i], 0]


@compiled
def undominated(points: Floats, order: Ints, free: Bools) -> int:
    """Mark those of points Float[m, k] that no other dominates in `free` Bool[m]; how many there are.

    `order` Int[m] is scratch. Of two objectives the last that was found is the one that dominates, if any of them does.
    """
    (m, k), count = points.shape, 0
    for a in range(m):
        order[a] = a
    sort(order, points, 0, k)
    for place in range(m):
        a = order[place]
        free[a] = True
        for b in range(max(count - 1, 0) if k == 2 else 0, count):
            if dominates(points, order[b], a):
                free[a] = False
                break
        if free[a]:
            order[count] = a
            count += 1
    return count
