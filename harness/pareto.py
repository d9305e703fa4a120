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


def ranks(points: Floats) -> Ints:
    """Number of the front of each point, from 0, of Float[S, n, k], Int[S, n] (Deb et al. 2002, non-dominated sorting).

    Points with inf, which are no results, come in the last front of their set. Equal points share a front.
    """
    if points.shape[2] == 2:
        return _ranks_of_two(points)
    n = points.shape[1]
    nowhere = np.ones((len(points), n, n), dtype=np.bool_)
    somewhere = np.zeros((len(points), n, n), dtype=np.bool_)
    for objective in range(points.shape[2]):
        one, other = points[:, :, None, objective], points[:, None, :, objective]
        nowhere &= one <= other
        somewhere |= one < other
    beats = nowhere & somewhere
    found = np.full(points.shape[:2], -1, dtype=np.int64)
    level = 0
    while (open_ := found < 0).any():
        beaten = (beats & open_[:, :, None]).any(axis=1)
        found[open_ & ~beaten] = level
        level += 1
    return found


def _ranks_of_two(points: Floats) -> Ints:
    """`ranks` of two objectives, in one pass in lexicographic order: of each front only its last point can dominate."""
    order = np.lexsort((points[..., 1], points[..., 0]), axis=1)
    along = np.take_along_axis(points, order[..., None], axis=1)
    tails = np.full((*order.shape, 2), np.nan)
    sets, found = np.arange(len(points)), np.empty_like(order)
    for i in range(order.shape[1]):
        point = along[:, i, None]
        beaten = (tails[..., 1] < point[..., 1]) | ((tails[..., 1] == point[..., 1]) & (tails[..., 0] < point[..., 0]))
        rank = beaten.sum(axis=1)
        tails[sets, rank] = along[:, i]
        found[sets, order[:, i]] = rank
    return found


def crowding(points: Floats, rank: Ints) -> Floats:
    """Crowding distance of each point within its front, of Float[S, n, k] and Int[S, n], Float[S, n] (Deb et al. 2002).

    The ends of a front have inf, and so has every point of an objective without a range.
    """
    distance = np.zeros(rank.shape)
    for objective in range(points.shape[2]):
        values = points[..., objective]
        order = np.lexsort((values, rank), axis=1)
        v, r = np.take_along_axis(values, order, axis=1), np.take_along_axis(rank, order, axis=1)
        first = np.ones(r.shape, dtype=np.bool_)
        first[:, 1:] = r[:, 1:] != r[:, :-1]
        last = np.ones(r.shape, dtype=np.bool_)
        last[:, :-1] = first[:, 1:]
        position = np.arange(r.shape[1])
        start = np.maximum.accumulate(np.where(first, position, 0), axis=1)
        stop = np.minimum.accumulate(np.where(last, position, r.shape[1] - 1)[:, ::-1], axis=1)[:, ::-1]
        with np.errstate(invalid="ignore", divide="ignore"):
            span = np.take_along_axis(v, stop, axis=1) - np.take_along_axis(v, start, axis=1)
            gap = np.zeros(v.shape)
            gap[:, 1:-1] = (v[:, 2:] - v[:, :-2]) / span[:, 1:-1]
        gap[first | last | ~(gap >= 0)] = np.inf
        np.put_along_axis(distance, order, np.take_along_axis(distance, order, axis=1) + gap, axis=1)
    return distance


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

    def clear(self, where: Ints) -> None:
        """Forget the points of the sets at `where` Int[n]."""
        self.points[:, where] = np.inf
        self.label[where] = -1

    def add(self, where: Ints, points: Floats, label: Ints) -> Bools:
        """Add a point to each of the sets at `where` Int[n] that does not weakly dominate it; Bool[n] says which."""
        new: Any = np.isfinite(points).all(axis=1)
        new[new] = ~self._dominates(where[new], points[new])
        if not new.any():
            return new
        at, point = where[new], points[new].T[:, :, None]
        held, names = self.points[:, at], self.label[at]
        over = (point <= held).all(axis=0)
        held[:, over] = np.inf
        names[over] = -1
        if (names >= 0).all(axis=1).any():
            room = ((0, 0), (0, names.shape[1]))
            held = np.pad(held, ((0, 0), *room), constant_values=np.inf)
            names = np.pad(names, room, constant_values=-1)
            self.points = np.pad(self.points, ((0, 0), *room), constant_values=np.inf)
            self.label = np.pad(self.label, room, constant_values=-1)
        free, row = (names < 0).argmax(axis=1), np.arange(len(at))
        held[:, row, free], names[row, free] = point[:, :, 0], label[new]
        self.points[:, at], self.label[at] = held, names
        return new

    def _dominates(self, where: Ints, points: Floats) -> Bools:
        """Whether the set at each of `where` Int[n] weakly dominates its point, Bool[n]."""
        every = len(where) == self.points.shape[1]
        below = np.ones((len(where), self.points.shape[2]), dtype=np.bool_)
        for objective, held in zip(points.T, self.points, strict=True):
            below &= (held if every else held[where]) <= objective[:, None]
        found: Any = below.any(axis=1)
        return found
