"""The densities of TPE where several objectives say which observations are good."""

from __future__ import annotations

import numpy as np

from algorithms.density.fronts import Ranks, covering, cut, members, rank_last
from algorithms.density.history import BLOCK, History, doubled
from algorithms.density.parzen import Parzen, ParzenRules, Split, count_newest, lower, n_below, raise_
from harness import Bools, Floats, Ints, SearchSpace
from harness.compiled import compiled
from harness.pareto import hypervolume

_EPS = 1e-12
_STEPS = 1 << 20
"""Of the range of a front, to which its values are rounded: units and zeros of objectives leave nothing else behind."""


@compiled
def _framed(points: Floats, front: Ints, ratios: bool) -> tuple[Floats, Floats]:
    """Points Float[m, k] of a `front` Int[m], and what their hypervolume reaches to, Float[k].

    With `ratios` the points as they are, and 1.1 times the worst; else their place in the range of the front, and a
    tenth of it beyond the worst.
    """
    k = points.shape[1]
    found, low, reach = np.empty((len(front), k)), np.empty(k), np.empty(k)
    finite = True
    for j in range(k):
        low[j], reach[j] = np.inf, -np.inf
        for a in range(len(front)):
            found[a, j] = points[front[a], j]
            low[j], reach[j] = min(low[j], found[a, j]), max(reach[j], found[a, j])
        finite = finite and abs(reach[j]) < np.inf
    for j in range(k):
        if ratios or not finite:
            reach[j] = max(1.1 * reach[j], 0.9 * reach[j])
            reach[j] = reach[j] if reach[j] != 0 else _EPS
        else:
            width = reach[j] - low[j] if reach[j] > low[j] else 1.0
            for a in range(len(front)):
                found[a, j] = np.rint((found[a, j] - low[j]) / width * _STEPS)
            reach[j] = 1.1 * _STEPS
    return found, reach


@compiled
def _count(history: History, split: Split, offset: Ints, seeds: Ints, codes: Ints, points: Floats, rank: Ranks) -> None:
    """Count the newest observation of each seed as a bad one, and rank it."""
    for b in range(len(seeds)):
        s = seeds[b]
        count_newest(split, s, history.seen[s] - 1, offset, codes[b])
        rank_last(points[s], rank[s], history.seen[s])


@compiled
def _resplit(history: History, split: Split, offset: Ints, seeds: Ints, good: Bools) -> None:
    """Let the observations `good` Bool[B, T] of each seed be the good ones."""
    for b in range(len(seeds)):
        s = seeds[b]
        for t in range(history.seen[s]):
            if split.is_below[s, t] and not good[b, t]:
                raise_(history, split, s, t, offset)
        for t in range(history.seen[s]):
            if good[b, t] and not split.is_below[s, t]:
                lower(history, split, s, t, offset)


@compiled
def _choose(
    history: History,
    rules: ParzenRules,
    ratios: bool,
    seeds: Ints,
    points: Floats,
    rank: Ranks,
    good: Bools,
    left: Ints,
) -> None:
    """Mark the good ones of each seed; of more than two objectives, all but the `left` Int[B] of the last front."""
    for b in range(len(seeds)):
        s = seeds[b]
        n = history.seen[s]
        level, wanted = cut(rank[s], n, n_below(n, rules))
        for t in range(n):
            good[b, t] = rank[s, t] < level
        if points.shape[2] == 2:
            front = members(rank[s], n, level)
            framed, worst = _framed(points[s], front, ratios)
            taken = np.zeros(len(front), np.bool_)
            covering(framed, np.arange(len(front)), wanted, worst, taken)
            for i in range(len(front)):
                good[b, front[i]] = taken[i]
        else:
            left[b] = wanted


class FrontParzen(Parzen):
    """Optuna's univariate densities of several objectives: the good observations are the first by their fronts.

    Of the front in which the ceil(gamma n) good ones end, those are taken that, one by one, add the most hypervolume
    up to 1.1 times its worst values (Ozaki et al., "Multiobjective tree-structured Parzen estimator", JAIR 73, 2022)
    or, without `ratios`, to a tenth of its range beyond them. Good observations weigh the same. Telling a result takes
    O(n) for n observations.
    """

    def __init__(
        self,
        space: SearchSpace,
        seeds: int,
        objectives: int,
        *,
        gamma: float,
        cap: int,
        prior_weight: float,
        forgetting: int,
        ratios: bool = True,
    ) -> None:
        super().__init__(
            space,
            seeds,
            variant="optuna",
            gamma=gamma,
            cap=cap,
            prior_weight=prior_weight,
            forgetting=forgetting,
            level=True,
        )
        self._ratios = ratios
        self._points = np.zeros((seeds, BLOCK, objectives))
        self._rank = np.zeros((seeds, BLOCK), np.int32)

    def add(self, seeds: Ints, codes: Ints, loss: Floats) -> None:
        """Add one observation, codes Int[B, d] and objectives Float[B, k] (inf for invalid), to each of the seeds."""
        if self._history.full(seeds):
            self._points, self._rank = doubled(self._points), doubled(self._rank)
        super().add(seeds, codes, loss)

    def _observe(self, seeds: Ints, codes: Ints, loss: Floats) -> None:
        self._history.insert(seeds, codes, np.zeros(len(seeds)))
        self._points[seeds, self.count[seeds] - 1] = loss
        _count(self._history, self.split, self.offset, seeds, codes, self._points, self._rank)
        good = np.zeros((len(seeds), self._rank.shape[1]), np.bool_)
        left = np.zeros(len(seeds), np.int64)
        _choose(self._history, self.rules, self._ratios, seeds, self._points, self._rank, good, left)
        for b, s in enumerate(seeds.tolist()):
            if left[b]:
                n = int(self.count[s])
                front = np.flatnonzero(self._rank[s, :n] == cut(self._rank[s], n, n_below(n, self.rules))[0])
                framed, worst = _framed(self._points[s], front, self._ratios)
                good[b, front[_covering(framed, worst, int(left[b]))]] = True
        _resplit(self._history, self.split, self.offset, seeds, good)


def _covering(points: Floats, worst: Floats, wanted: int) -> Ints:
    """`covering` of points Float[m, k] for any number of objectives, Int[wanted]."""
    if wanted == len(points) or not np.isfinite(worst).all():
        return np.arange(wanted)
    _, unique = np.unique(points, axis=0, return_index=True)
    chosen: list[int] = []
    while len(chosen) < min(wanted, len(unique)):
        rest = unique[~np.isin(unique, chosen)]
        sets = np.concatenate([np.tile(points[chosen], (len(rest), 1, 1)), points[rest, None]], axis=1)
        chosen.append(int(rest[hypervolume(sets, worst).argmax()]))
    twins = np.setdiff1d(np.arange(len(points)), unique)
    return np.array([*chosen, *twins[: wanted - len(chosen)]])
