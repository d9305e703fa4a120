"""Joint kernel densities (Falkner, Klein and Hutter, "BOHB: Robust and efficient hyperparameter optimization at scale",
ICML 2018).
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from algorithms.density.distinct import rehash, row_density
from algorithms.density.history import BAD, BLOCK, GOOD, History, check, doubled
from algorithms.density.marginals import (
    Counts,
    apart,
    entries,
    expand,
    gather,
    infinite_density,
    marginal_sums,
    widened,
)
from algorithms.density.normal import cdf, quantile
from algorithms.density.tally import Layout, Rules, Tally, layout_of, observe, split
from harness import Bools, Floats, HarnessError, Ints, SearchSpace
from harness.compiled import compiled, inner, prefetch
from harness.compiled import uniform as number

TABLE_LIMIT, TABLE_DIMENSIONS = 1 << 17, 10
"""Entries and parameters up to which a seed's observations are counted in a table of all marginals."""

NARROW = 1 << 16
"""Observations from which on counts take more than 16 bits."""

FLOOR = 1e-32

States = NDArray[np.uint64]
_NONE = np.empty(0, np.uint64)


@compiled
def _fit(level: NDArray[np.int32], layout: Layout, floor: float, out: Floats) -> None:
    """Normal-reference bandwidths [2, d] of both sides from their level counts [d, K, 2]."""
    d = len(layout.sizes)
    for side in range(2):
        n = 0
        for v in range(layout.sizes[0]):
            n += level[0, v, side]
        narrower = n ** (-1.0 / (4 + d))
        for j in range(d):
            first = second = 0
            for v in range(layout.sizes[j]):
                first += v * level[j, v, side]
                second += v * v * level[j, v, side]
            spread = math.sqrt(n * second - first * first) / n
            if layout.ordered[j]:
                spread /= max(layout.sizes[j] - 1, 1)
            out[side, j] = max(1.06 * spread * narrower, floor)


@inner
def _kernels(level: NDArray[np.int32], layout: Layout, bandwidth: Floats, match: Floats, miss: Floats) -> None:
    """Aitchison-Aitken kernel values [2, d] at and off the datum.

    The kernel spreads its bandwidth over the values that occur on its side, as statsmodels does:
    where one value alone occurs, any other has infinite density.
    """
    for side in range(2):
        for j in range(len(layout.sizes)):
            seen = 0
            for v in range(layout.sizes[j]):
                seen += level[j, v, side] > 0
            match[side, j] = 1.0 - bandwidth[side, j]
            miss[side, j] = bandwidth[side, j] / (seen - 1) if seen > 1 else np.inf


@inner
def _group_kernels(layout: Layout, point: Floats, bandwidth: Floats, match: Floats, miss: Floats, out: Floats) -> None:
    """Products of kernels [G, cells] between `point` and every cell of each group."""
    width = 1
    for j in range(len(point)):
        g, k, h = layout.group[j], layout.sizes[j], bandwidth[j]
        if j == 0 or g != layout.group[j - 1]:
            out[g, 0] = 1.0
            width = 1
        for v in range(k - 1, -1, -1):
            if layout.ordered[j]:
                z = (v / max(k - 1, 1) - point[j]) / h
                kernel = math.exp(-0.5 * z * z) / (math.sqrt(2.0 * math.pi) * h)
            else:
                kernel = match[j] if point[j] == v else miss[j]
            for i in range(width):
                out[g, v * width + i] = out[g, i] * kernel
        width *= k


@inner
def _draw(
    data: NDArray[np.uint16],
    item: Ints,
    layout: Layout,
    factor: float,
    bandwidth: Floats,
    uniform: Floats,
    out: Floats,
) -> None:
    """Draw candidates [C, d] around data with the times `item` [C], by their `uniform` [C, 1 + d].

    Categorical values are kept with probability 1 - h, else uniform over all (the same uniform, rescaled). Ordinal
    ones are normal around the datum, standard deviation `factor * h`, truncated to [0, 1].
    """
    for j in range(len(layout.sizes)):
        h, k = bandwidth[j], layout.sizes[j]
        if layout.ordered[j]:
            h *= factor
            for c in range(len(out)):
                centre = data[item[c], j] / max(k - 1, 1)
                low, high = cdf(-centre / h), cdf((1.0 - centre) / h)
                x = centre + h * quantile(low + uniform[c, 1 + j] * (high - low))
                out[c, j] = min(max(x, 0.0), 1.0)
        else:
            for c in range(len(out)):
                rest = (uniform[c, 1 + j] - max(1.0 - h, 0.0)) / min(h, 1.0)
                datum, other = data[item[c], j], min(int(rest * k), k - 1)
                out[c, j] = datum if uniform[c, 1 + j] < 1.0 - h else other


@inner
def _first_equal(points: Floats, key: Floats, c: int) -> int:
    """The first point that equals point `c`; `key` [C] are numbers that equal points have in common."""
    key[c] = 0.0
    for j in range(points.shape[1]):
        key[c] += math.sqrt(j + 2.0) * points[c, j]
    for earlier in range(c):
        if key[earlier] == key[c]:
            j = 0
            while j < points.shape[1] and points[earlier, j] == points[c, j]:
                j += 1
            if j == points.shape[1]:
                return earlier
    return c


class _Model(NamedTuple):
    """The two densities of one seed, from its counts.

    n  Int[2], observations of each side; bandwidth, match, miss  Float[2, d]; weight  Float[2, 2^d], coefficients of
    the marginals, empty without a table of them
    """

    n: Ints
    bandwidth: Floats
    match: Floats
    miss: Floats
    weight: Floats


@inner
def _update(model: _Model, history: History, tally: Tally, layout: Layout, rules: Rules, s: int) -> None:
    """Make `model` that of seed `s`."""
    good, end = split(history.seen[s], rules)
    model.n[GOOD], model.n[BAD] = good, end - good
    _fit(tally.level[s], layout, rules.min_bandwidth, model.bandwidth)
    _kernels(tally.level[s], layout, model.bandwidth, model.match, model.miss)
    if model.weight.size:
        for side in range(2):
            expand(model.match[side], model.miss[side], model.weight[side])


@inner
def _lonely(miss: Floats) -> bool:
    """Whether a side has observed a single value of some parameter."""
    found = False
    for side in range(2):
        for j in range(miss.shape[1]):
            found |= np.isinf(miss[side, j])
    return found


@inner
def _unseen(counts: Counts, match: Floats, miss: Floats, out: Floats) -> None:
    """Set both densities of points where a side has a single value of a parameter, and the point another."""
    count = np.empty(len(counts), np.int64)
    for c in range(len(out)):
        for side in range(2):
            apart(counts[:, c], side, count)
            for j in range(match.shape[1]):
                if np.isinf(miss[side, j]) and count[1 << j] == 0:
                    out[c, side] = infinite_density(count, match[side], miss[side])


@inner
def _summed_pair(
    model: _Model, tally: Tally, layout: Layout, s: int, point: Floats, lowest: float, kernels: Floats, out: Floats
) -> None:
    """Both densities at a point, from the distinct configurations.

    The bad one may be left at a lower bound that puts the ratio g / l above `lowest`.
    """
    seen = tally.distinct[s]
    limit = np.inf
    for side in range(2):
        if side == BAD:
            limit = lowest * max(out[GOOD], FLOOR) * (1.0 + 1e-12)
        _group_kernels(layout, point, model.bandwidth[side], model.match[side], model.miss[side], kernels)
        out[side] = row_density(tally.joint[s, :seen], tally.weight[s, :seen], side, kernels, model.n[side], limit)


@inner
def _ratio(good: float, bad: float) -> float:
    """g / l with both floored; the floor of a bad density that is not a number is the floor."""
    floored = good if good > FLOOR or np.isnan(good) else FLOOR
    return (bad if bad > FLOOR else FLOOR) / floored


@inner
def _empty_model(corners: int, d: int) -> _Model:
    shape = (2, d)
    return _Model(np.empty(2, np.int64), np.empty(shape), np.empty(shape), np.empty(shape), np.empty((2, corners)))


@inner
def _choose(
    history: History, tally: Tally, rules: Rules, seeds: Ints, states: States, b: int, uniform: Floats, item: Ints
) -> None:
    """The times [C] of good data around which the candidates of seed `b` of these are drawn, if there are numbers.

    The numbers `uniform` [C, 1 + d] are made if there are states. What `_prepare` reads is fetched.
    """
    s = seeds[b]
    for i in range(uniform.size if len(states) else 0):
        uniform.flat[i] = number(states[b], i)
    good, _ = split(history.seen[s], rules)
    level, codes = tally.level[s], history.codes[s]
    for i in range(0, level.size, 16):
        prefetch(level, i)
    for c in range(len(item) if uniform.shape[1] else 0):
        item[c] = history.order[s, min(int(uniform[c, 0] * good), good - 1)]
        prefetch(codes, item[c] * codes.shape[1])


@inner
def _prepare(
    model: _Model,
    history: History,
    tally: Tally,
    layout: Layout,
    rules: Rules,
    s: int,
    uniform: Floats,
    item: Ints,
    points: Floats,
) -> None:
    """Make `model` that of seed `s`, and draw its points [C, d] from the good density if there are numbers for it."""
    _update(model, history, tally, layout, rules, s)
    if uniform.shape[1]:
        _draw(history.codes[s], item, layout, rules.factor, model.bandwidth[GOOD], uniform, points)


@inner
def _best(density: Floats) -> int:
    """The index of the best ratio of densities [C, 2], -1 where none is a number."""
    best, lowest = -1, np.inf
    for c in range(len(density)):
        ratio = _ratio(density[c, GOOD], density[c, BAD])
        if ratio < lowest:
            best, lowest = c, ratio
        if not np.isfinite(ratio) and np.isfinite(density[c, GOOD]):
            return c
    return best


@compiled
def _table_densities(
    history: History,
    tally: Tally,
    layout: Layout,
    rules: Rules,
    seeds: Ints,
    states: States,
    uniforms: Floats,
    points: Floats,
    out: Floats,
    best: Ints,
    chosen: Floats,
) -> None:
    """What `_row_densities` does, from tables of marginals; what the next seed needs of its own is fetched too."""
    d, candidates = len(layout.sizes), points.shape[1]
    corners = 1 << d
    models = (_empty_model(corners, d), _empty_model(corners, d))
    at = np.empty((2, corners, candidates), np.int32)
    counts = np.empty((corners, candidates), tally.table.dtype)
    item = np.empty((2, candidates), np.int64)
    for b in range(-2, len(seeds)):
        following, later = min(b + 1, len(seeds) - 1), b + 2
        if later < len(seeds):
            _choose(history, tally, rules, seeds, states, later, uniforms[later % len(uniforms)], item[later % 2])
        if following > max(b, -1):
            s, x, model = seeds[following], points[following % len(points)], models[following % 2]
            uniform = uniforms[following % len(uniforms)]
            _prepare(model, history, tally, layout, rules, s, uniform, item[following % 2], x)
            entries(layout.stride, layout.sizes, x, at[following % 2])
        if b >= 0:
            model, density = models[b % 2], out[b % len(out)]
            table, then = tally.table[seeds[b]], tally.table[seeds[following]]
            marginal_sums(table, at[b % 2], model.weight, model.n, then, at[following % 2], density)
            if _lonely(model.miss):
                gather(table, at[b % 2], counts)
                _unseen(counts, model.match, model.miss, density)
            best[b] = _best(density)
            for j in range(d):
                chosen[b, j] = points[b % len(points), max(best[b], 0), j]


@compiled
def _row_densities(
    history: History,
    tally: Tally,
    layout: Layout,
    rules: Rules,
    seeds: Ints,
    states: States,
    uniforms: Floats,
    points: Floats,
    out: Floats,
    best: Ints,
    chosen: Floats,
    prune: bool,
) -> None:
    """Densities [B, C, 2] at `points` [B, C, d] and the index of the best ratio [B], -1 where none is a number.

    With `uniform` [B, C, 1 + d], not empty, the points are first drawn from the good density. With `prune` a bad
    density may be left at a lower bound where the candidate has already lost.
    """
    candidates = points.shape[1]
    model = _empty_model(0, len(layout.sizes))
    item, key = np.empty(candidates, np.int64), np.empty(candidates)
    kernels = np.empty((len(layout.cells), np.max(layout.cells)))
    for b in range(len(seeds)):
        s, x, density, lowest = seeds[b], points[b % len(points)], out[b % len(out)], np.inf
        uniform = uniforms[b % len(uniforms)]
        _choose(history, tally, rules, seeds, states, b, uniform, item)
        _prepare(model, history, tally, layout, rules, s, uniform, item, x)
        prunes = prune and np.min(model.match) >= 0.0
        for c in range(candidates):
            twin = _first_equal(x, key, c)
            if twin < c:
                density[c, GOOD], density[c, BAD] = density[twin, GOOD], density[twin, BAD]
                continue
            _summed_pair(model, tally, layout, s, x[c], lowest if prunes else np.inf, kernels, density[c])
            lowest = np.fmin(lowest, _ratio(density[c, GOOD], density[c, BAD]))
        best[b] = _best(density)
        for j in range(x.shape[1]):
            chosen[b, j] = x[max(best[b], 0), j]


class ProductKDE:
    """The two joint densities of BOHB for each of S seeds, as hpbandster and statsmodels have them.

    Ordinal values have the coordinate code / (size - 1) in [0, 1] and a Gaussian kernel, categorical ones an
    Aitchison-Aitken kernel. Bandwidths follow the normal reference rule for each side, 1.06 std n^(-1 / (4 + d)), not
    below `min_bandwidth`; candidates are drawn with `bandwidth_factor` times that of the good ones where ordinal. The
    best `percent` of the observations are good, at least `minimum` (and d + 1) on each side.

    Cost: with categorical values only and a small space, the sum over the data is multiplied out into marginal
    counts, so that a density takes 2^d look-ups whatever the number of observations. Otherwise equal observations are
    merged, and a density takes one product of a few table look-ups for each distinct configuration seen. Ranking an
    observation moves O(n) integers.
    """

    def __init__(
        self,
        space: SearchSpace,
        seeds: int,
        *,
        percent: int = 15,
        minimum: int = 0,
        min_bandwidth: float = 1e-3,
        bandwidth_factor: float = 3.0,
    ) -> None:
        check(space)
        if not (0 < percent < 100 and min_bandwidth > 0 and bandwidth_factor > 0):
            raise HarnessError("percent must be from 1 to 99, min_bandwidth and bandwidth_factor positive.")
        self._layout, size = layout_of(space)
        self._d = d = space.dimensions
        self.rules = Rules(max(minimum, d + 1), percent, min_bandwidth, bandwidth_factor)
        tabled = not self._layout.ordered.any() and size <= TABLE_LIMIT and d <= TABLE_DIMENSIONS
        size, room = (size, 0) if tabled else (0, BLOCK)
        self._history = History.empty(seeds, d)
        self.tally = Tally(
            label=np.zeros((seeds, BLOCK), np.uint8),
            level=np.zeros((seeds, d, int(space.sizes.max()), 2), np.int32),
            table=np.zeros((seeds, size), np.uint32),
            row=np.zeros((seeds, room), np.int32),
            distinct=np.zeros(seeds, np.int64),
            weight=np.zeros((seeds, room, 2), np.int32),
            joint=np.zeros((seeds, room, len(self._layout.cells)), np.int32),
            slot=np.full((seeds, 2 * room), -1, np.int32),
        )

    @property
    def count(self) -> Ints:
        """Observations of each seed, Int[S]."""
        return self._history.seen

    @property
    def ready(self) -> Bools:
        """Whether each seed has more than d observations on both sides, Bool[S]."""
        n = self._history.seen
        good = np.maximum(self.rules.minimum, self.rules.percent * n // 100)
        bad = np.maximum(self.rules.minimum, (100 - self.rules.percent) * n // 100)
        return np.minimum(good + bad, n) - np.minimum(good, n) > self._d

    def add(self, seeds: Ints, codes: Ints, loss: Floats) -> None:
        """Add one observation, codes Int[B, d] and loss Float[B] (inf for invalid), to each of `seeds` Int[B]."""
        h, y = self._history, self.tally
        if h.full(seeds):
            self._history, y = h.doubled(), y._replace(label=doubled(y.label), row=doubled(y.row))
            if self._history.codes.shape[1] == NARROW:
                y = y._replace(table=widened(y.table))
        if y.slot.shape[1] and len(seeds) and y.distinct[seeds].max() == y.joint.shape[1]:
            slot = np.full((len(y.slot), 2 * y.slot.shape[1]), -1, np.int32)
            rehash(slot, y.distinct, y.joint)
            y = y._replace(weight=doubled(y.weight), joint=doubled(y.joint), slot=slot)
        self.tally = y
        codes = np.ascontiguousarray(codes)
        ranks = self._history.insert(seeds, codes, np.ascontiguousarray(loss))
        observe(self._history, y, self._layout, self.rules, seeds, codes, ranks)

    def bandwidths(self, seeds: Ints) -> Floats:
        """Bandwidths Float[B, 2, d] of the good and the bad density."""
        out = np.empty((len(seeds), 2, self._d))
        for b, s in enumerate(seeds):
            _fit(self.tally.level[s], self._layout, self.rules.min_bandwidth, out[b])
        return out

    def densities(self, seeds: Ints, points: Floats) -> Floats:
        """Densities Float[B, C, 2], good then bad, at `points` Float[B, C, d].

        A point has the code of a categorical value and the coordinate in [0, 1] of an ordinal one.
        """
        out = np.empty((*points.shape[:2], 2))
        self.run(seeds, _NONE, np.empty((len(seeds), 0, 0)), points.copy(), out, False)
        return out

    def propose(self, seeds: Ints, uniforms: Floats) -> tuple[Ints, Bools]:
        """Codes Int[B, d] of the candidate with the largest l / g, and whether there is one, Bool[B].

        `uniforms` Float[B, C, 1 + d] choose each candidate's good datum and the parameters around it. As in
        hpbandster, both densities are floored at 1e-32, the first of equals wins, and the first candidate that no bad
        datum can explain (infinite g, finite l) is taken at once.
        """
        return self._best(seeds, _NONE, uniforms)

    def propose_by(self, seeds: Ints, states: States, candidates: int) -> tuple[Ints, Bools]:
        """`propose` by the numbers that `Streams.states` UInt[B] stand for, made where and when they are used."""
        return self._best(seeds, states, np.empty((2, candidates, 1 + self._d)))

    def _best(self, seeds: Ints, states: States, uniforms: Floats) -> tuple[Ints, Bools]:
        candidates = uniforms.shape[1]
        points, out = np.empty((2, candidates, self._d)), np.empty((2, candidates, 2))
        best, chosen = self.run(seeds, states, uniforms, points, out, True)
        return self._codes(chosen), best >= 0

    def draw(self, seeds: Ints, uniforms: Floats) -> tuple[Ints, Floats]:
        """The codes Int[B, C, d] of all candidates of `propose`, and l / g of each, Float[B, C].

        Densities count as between 1e-32 and 1e32.
        """
        points = np.empty((*uniforms.shape[:2], self._d))
        density = np.empty((*points.shape[:2], 2))
        self.run(seeds, _NONE, uniforms, points, density, False)
        bounded = np.fmin(np.fmax(density, FLOOR), 1.0 / FLOOR)
        return self._codes(points), bounded[..., GOOD] / bounded[..., BAD]

    def _codes(self, points: Floats) -> Ints:
        scale = np.where(self._layout.ordered, self._layout.sizes - 1, 1)
        return np.rint(points * scale).astype(np.int64)

    def run(
        self, seeds: Ints, states: States, uniforms: Floats, points: Floats, out: Floats, prune: bool
    ) -> tuple[Ints, Floats]:
        """The index of the best ratio Int[B], -1 where none is a number, and its point Float[B, d].

        Points [., C, d] are drawn here where there are numbers for it: `uniforms` Float[., C, 1 + d], which `states`
        UInt[B] stand for if there are any. Those of seed b are at b modulo the length, as are the densities
        `out` Float[., C, 2]. With `prune` the densities of points that cannot be the best are left out.
        """
        if not self.ready[seeds].all():
            raise ValueError("a seed without enough observations has no density; see `ready`")
        best, chosen = np.empty(len(seeds), np.int64), np.empty((len(seeds), self._d))
        known = self._history, self.tally, self._layout, self.rules, seeds, states, uniforms, points, out, best, chosen
        if len(seeds) and self.tally.table.shape[1]:
            _table_densities(*known)
        elif len(seeds):
            _row_densities(*known, prune)
        return best, chosen
