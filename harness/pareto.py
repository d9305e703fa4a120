"""Pareto dominance and the exact hypervolume, for many sets at once; every objective is minimised."""

from __future__ import annotations

from typing import Any

import numpy as np

from harness.arrays import Bools, Floats, Ints


def dominated(points: Floats, by: Floats) -> Bools:
    """Whether each of `points` Float[..., k] is weakly dominated by one of `by` Float[..., n, k], Bool[...].

    A point is weakly dominated by another that is nowhere worse, itself included; NaN dominates nothing.
    """
    worse: Any = by[..., 0] <= points[..., None, 0]
    for objective in range(1, points.shape[-1]):
        worse &= by[..., objective] <= points[..., None, objective]
    found: Bools = worse.any(axis=-1)
    return found


def front(points: Floats) -> Ints:
    """Rows of the Pareto front of `points` Float[n, k], in ascending order of the first objective, Int[m].

    Of equal points the first is taken; points with NaN or inf are left out.
    """
    finite = np.flatnonzero(np.isfinite(points).all(axis=1))
    left = finite[np.lexsort(points[finite].T[::-1])]
    kept: list[int] = []
    while left.size:  # the first in lexicographic order is dominated by none of those behind it
        kept.append(int(left[0]))
        left = left[~dominated(points[left], points[left[:1]])]
    return np.array(kept, dtype=np.int64)


def fittest(points: Floats, keep: int) -> tuple[Ints, Ints, Floats]:
    """Places of the best `keep` of points Float[S, n, k], with their front and their crowding distance, each [S, keep].

    Best by the crowded comparison of Deb et al. 2002: by the number of the front, from 0, then by the distance, which
    is inf for the ends of a front and for every point of an objective without a range. Points with inf, which are no
    results, come in the last front of their set; equal points share a front, and of equals the earlier comes first.
    """
    from harness import dominance

    shape = (len(points), keep)
    found, rank, distance = np.empty(shape, dtype=np.int64), np.empty(shape, dtype=np.int64), np.empty(shape)
    dominance.fittest(np.ascontiguousarray(points), found, rank, distance)
    return found, rank, distance


def hypervolume(points: Floats, reference: Floats) -> Floats:
    """Volume that each set of `points` Float[..., n, k] dominates up to `reference` Float[k], Float[...].

    Exact: a sweep for two objectives, for more by slices along the last one (n sets of one objective fewer). Points
    that are not better than the reference in every objective count nothing, and so do those with NaN.
    """
    better = np.all(points < reference, axis=-1, keepdims=True)
    return _volume(np.where(better, points, reference), np.asarray(reference, dtype=np.float64))


def _volume(points: Floats, reference: Floats) -> Floats:
    """`hypervolume` of points none of which is beyond the reference."""
    k = points.shape[-1]
    if k == 1:
        return reference[0] - points[..., 0].min(axis=-1, initial=reference[0])
    order = np.argsort(points[..., -1], axis=-1, kind="stable")
    along = np.take_along_axis(points, order[..., None], axis=-2)
    depth = np.diff(along[..., -1], axis=-1, append=reference[-1])
    if k == 2:
        lowest = np.minimum.accumulate(along[..., 0], axis=-1)
        return ((reference[0] - lowest) * depth).sum(axis=-1)
    total = np.zeros(points.shape[:-2])
    for stop in np.flatnonzero((depth > 0).reshape(-1, depth.shape[-1]).any(axis=0)) + 1:
        total += _volume(along[..., :stop, :-1], reference[:-1]) * depth[..., stop - 1]
    return total


class Archive:
    """The points that no later one dominates, of S sets that grow point by point."""

    def __init__(self, sets: int, objectives: int) -> None:
        self.points = np.full((objectives, sets, 16), np.inf)
        """Float[k, S, capacity], inf where a place is free."""
        self.label = np.full((sets, 16), -1, dtype=np.int64)
        """What each point was added under, Int[S, capacity]; -1 where a place is free."""
        self._used = np.zeros(sets, dtype=np.int64)

    def clear(self, where: Ints) -> None:
        """Forget the points of the sets at `where` Int[n]."""
        self.points[:, where] = np.inf
        self.label[where] = -1
        self._used[where] = 0

    def add(self, where: Ints, points: Floats, label: Ints) -> Bools:
        """Add a point to each of the sets at `where` Int[n] that does not weakly dominate it; Bool[n] says which."""
        from harness import dominance

        points, label = np.ascontiguousarray(points), np.ascontiguousarray(label)
        joined, done = np.empty(len(where), dtype=np.bool_), 0
        while True:
            done = dominance.add(self.points, self.label, self._used, where, points, label, joined, done)
            if done == len(where):
                return joined
            room = ((0, 0), (0, self.label.shape[1]))
            self.points = np.pad(self.points, ((0, 0), *room), constant_values=np.inf)
            self.label = np.pad(self.label, room, constant_values=-1)
