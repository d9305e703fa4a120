"""Adaptive Parzen estimators of single parameters (Bergstra, Bardenet, Bengio and Kegl, "Algorithms for
hyper-parameter optimization", NeurIPS 2011; Watanabe, "Tree-structured Parzen estimator", arXiv:2304.11127, 2023).
"""

from __future__ import annotations

import math
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from algorithms.density.history import BAD, BLOCK, GOOD, History, check, doubled
from algorithms.density.normal import cdf
from harness import Bools, Floats, HarnessError, Ints, SearchSpace
from harness.compiled import compiled, inner


class Split(NamedTuple):
    """The good observations of each seed, and what the density of the others needs.

    below   Int32[S, cap], times of the good ones, ascending; size Int[S] of them
    is_below  Bool[S, T]
    total   Int[S, V], all observations at each value (V values of all parameters in a row)
    times   Int[S, V], sum of their times
    until   Int[S, V], sum over the good ones of all observations at each value up to their time
    oldest, newest  Int[S, V], first and last time of the bad ones, -1 = none
    mark    Int32[S, T / 64 + 1, V], all observations at each value before time 64 m
    """

    below: NDArray[np.int32]
    size: Ints
    is_below: Bools
    total: Ints
    times: Ints
    until: Ints
    oldest: Ints
    newest: Ints
    mark: NDArray[np.int32]


class ParzenRules(NamedTuple):
    """Settings of `Parzen` as the kernels take them; `level`: the good observations weigh the same."""

    optuna: bool
    gamma: float
    cap: int
    prior: float
    forgetting: int
    level: bool


@compiled
def n_below(n: int, rules: ParzenRules) -> int:
    """How many of `n` observations are good."""
    share = rules.gamma * (n if rules.optuna else math.sqrt(n))
    return min(math.ceil(share), rules.cap)


@inner
def _count_until(history: History, split: Split, s: int, t: int, offset: Ints, by: int) -> None:
    """Add `by` times the observations at each value up to time `t` to `until`."""
    m = (t + 1) // BLOCK
    for v in range(split.until.shape[1]):
        split.until[s, v] += by * split.mark[s, m, v]
    for i in range(BLOCK * m, t + 1):
        for j in range(len(offset)):
            split.until[s, offset[j] + history.codes[s, i, j]] += by


@inner
def lower(history: History, split: Split, s: int, t: int, offset: Ints) -> None:
    """Move observation `t` from the bad to the good."""
    _count_until(history, split, s, t, offset, 1)
    place = split.size[s]
    while place > 0 and split.below[s, place - 1] > t:
        split.below[s, place] = split.below[s, place - 1]
        place -= 1
    split.below[s, place] = t
    split.size[s] += 1
    split.is_below[s, t] = True
    for j in range(len(offset)):
        code = history.codes[s, t, j]
        v = offset[j] + code
        first, last = split.oldest[s, v] == t, split.newest[s, v] == t
        if first and last:
            split.oldest[s, v] = split.newest[s, v] = -1
        elif first or last:
            step = 1 if first else -1
            i = t + step
            while split.is_below[s, i] or history.codes[s, i, j] != code:
                i += step
            if first:
                split.oldest[s, v] = i
            else:
                split.newest[s, v] = i


@inner
def raise_(history: History, split: Split, s: int, t: int, offset: Ints) -> None:
    """Move observation `t` from the good to the bad."""
    _count_until(history, split, s, t, offset, -1)
    split.size[s] -= 1
    later = False
    for i in range(split.size[s]):
        later |= split.below[s, i] == t
        if later:
            split.below[s, i] = split.below[s, i + 1]
    split.is_below[s, t] = False
    for j in range(len(offset)):
        v = offset[j] + history.codes[s, t, j]
        if split.oldest[s, v] < 0 or t < split.oldest[s, v]:
            split.oldest[s, v] = t
        split.newest[s, v] = max(split.newest[s, v], t)


@inner
def count_newest(split: Split, s: int, t: int, offset: Ints, code: Ints) -> None:
    """Count observation `t`, the newest, as a bad one."""
    for j in range(len(offset)):
        v = offset[j] + code[j]
        split.total[s, v] += 1
        split.times[s, v] += t
        split.newest[s, v] = t
        if split.oldest[s, v] < 0:
            split.oldest[s, v] = t
    if (t + 1) % BLOCK == 0:
        for v in range(split.total.shape[1]):
            split.mark[s, (t + 1) // BLOCK, v] = split.total[s, v]


@compiled
def _observe(
    history: History,
    split: Split,
    rules: ParzenRules,
    offset: Ints,
    seeds: Ints,
    codes: Ints,
) -> None:
    """Count the newest observation of each seed, first as a bad one, and restore the split."""
    for b in range(len(seeds)):
        s = seeds[b]
        t = history.seen[s] - 1
        count_newest(split, s, t, offset, codes[b])
        wanted = n_below(t + 1, rules)
        if wanted <= t and split.is_below[s, history.order[s, wanted]]:
            raise_(history, split, s, history.order[s, wanted], offset)
        for position in range(wanted):
            item = history.order[s, position]
            if not split.is_below[s, item]:
                lower(history, split, s, item, offset)


@inner
def _weight(rank: int, n: int, forgetting: int) -> float:
    """Linear forgetting: a ramp from 1 / n to 1, then 1 for the last `forgetting`."""
    if rank >= n - forgetting:
        return 1.0
    slope = (1.0 - 1.0 / n) / (n - forgetting - 1) if n > forgetting + 1 else 0.0
    return 1.0 / n + slope * rank


@inner
def _weigh_good(
    history: History,
    split: Split,
    rules: ParzenRules,
    s: int,
    offset: Ints,
    count: Ints,
    weight: Floats,
    edge: Floats,
) -> int:
    """Number [V] and weight [V] of the good observations at each value, the weights of the oldest and the newest
    [V, 2], and their number over all values."""
    n = split.size[s]
    keep = n if rules.level else rules.forgetting
    for v in range(len(count)):
        count[v], weight[v] = 0, 0.0
    for rank in range(n):
        w = _weight(rank, n, keep)
        for j in range(len(offset)):
            v = offset[j] + history.codes[s, split.below[s, rank], j]
            edge[v, 1] = w
            edge[v, 0] = edge[v, 0] if count[v] else w
            weight[v] += w
            count[v] += 1
    return int(n)


@inner
def _weigh_bad(
    history: History,
    split: Split,
    rules: ParzenRules,
    ordered: Bools,
    s: int,
    offset: Ints,
    count: Ints,
    ranks: Ints,
    weight: Floats,
    edge: Floats,
) -> int:
    """The same of the bad ones, with edges where values are ordered; `ranks` [V] are sums of their ranks in time.

    The rank of a bad one is its time less the number of good ones before it.
    """
    keep, size = rules.forgetting, split.size[s]
    n = history.seen[s] - size
    first = _weight(0, n, keep)
    slope = _weight(1, n, keep) - first if n > keep + 1 else 0.0
    for v in range(len(count)):
        count[v] = split.total[s, v]
        ranks[v] = split.times[s, v] - size * count[v] + split.until[s, v]
    for place in range(size):
        t = split.below[s, place]
        for j in range(len(offset)):
            v = offset[j] + history.codes[s, t, j]
            count[v] -= 1
            ranks[v] -= t - place
    for v in range(len(count)):
        weight[v] = first * count[v] + slope * ranks[v]
        for end in range(2 if ordered[v] and count[v] else 0):
            t = split.newest[s, v] if end else split.oldest[s, v]
            earlier = 0
            while earlier < size and split.below[s, earlier] < t:
                earlier += 1
            edge[v, end] = _weight(t - earlier, n, keep)
    t = history.seen[s] - 1
    for rank in range(n - 1, max(n - 1 - keep, -1), -1):
        while split.is_below[s, t]:
            t -= 1
        for j in range(len(offset)):
            weight[offset[j] + history.codes[s, t, j]] += 1.0 - first - slope * rank
        t -= 1
    return int(n)


@inner
def _normalise(out: Floats) -> None:
    total = 0.0
    for v in range(len(out)):
        total += out[v]
    for v in range(len(out)):
        out[v] /= total


@inner
def _categorical(count: Ints, weight: Floats, n: int, rules: ParzenRules, out: Floats) -> None:
    """Weighted counts with a prior pseudo-count: one per value (hyperopt), or shared out over
    the data's own kernels and one uniform kernel (Optuna)."""
    k = len(count)
    if rules.optuna:
        share = rules.prior / (n + 1)
        total = 0.0
        for v in range(k):
            total += weight[v]
        for v in range(k):
            out[v] = (weight[v] + share * total) / (1.0 + k * share) + rules.prior / k
    else:
        for v in range(k):
            out[v] = weight[v] + rules.prior
    _normalise(out)


@inner
def _add_kernel(mean: float, bandwidth: float, weight: float, low: float, high: float, own: bool, out: Floats) -> None:
    """Add the mass of a Gaussian in the unit cell of each value, cells cut at the ends.

    `own`: the kernel itself is truncated to the range, else the mixture (by the caller)."""
    if weight == 0.0:
        return
    k = len(out)
    before = cdf((low - mean) / bandwidth)
    if own:
        weight /= cdf((high - mean) / bandwidth) - before
    for v in range(k):
        edge = high if v == k - 1 else v + 0.5
        after = cdf((edge - mean) / bandwidth)
        out[v] += weight * (after - before)
        before = after


@inner
def _adaptive_parzen(count: Ints, weight: Floats, edge: Floats, n: int, rules: ParzenRules, out: Floats) -> None:
    """Into zeros a mixture of Gaussians in code units, bandwidth = distance to the farther neighbour.

    Among equal observations only the oldest and the newest have a neighbour at a distance; the
    rest share the smallest bandwidth. The prior, as wide as the range, is one more kernel; it
    counts as a neighbour in hyperopt. The outermost ones look inwards only.
    """
    k = len(count)
    half = 0.5 if rules.optuna else 0.0
    low, high = -half, k - 1 + half
    span, middle = high - low, 0.5 * (k - 1)
    narrow = span / min(100.0, n + 2.0)
    if k == 1:
        out[0] = 1.0
        return
    for v in range(k):
        if count[v] == 0:
            continue
        left, right = v - 1, v + 1
        while left >= 0 and count[left] == 0:
            left -= 1
        while right < k and count[right] == 0:
            right += 1
        before = v - left if left >= 0 else 0.0
        after = right - v if right < k else 0.0
        if n == 1:
            before = max(v - low, high - v) if rules.optuna else 0.5 * span
        elif not rules.optuna:
            if v >= middle:
                before = min(before, v - middle) if left >= 0 else v - middle
            else:
                after = min(after, middle - v) if right < k else middle - v
        if count[v] == 1:
            h = min(max(before, after, narrow), span)
            _add_kernel(v, h, weight[v], low, high, rules.optuna, out)
            continue
        for end in range(2):
            h = min(max(after if end else before, narrow), span)
            _add_kernel(v, h, edge[v, end], low, high, rules.optuna, out)
        if count[v] > 2:
            rest = weight[v] - edge[v, 0] - edge[v, 1]
            _add_kernel(v, narrow, rest, low, high, rules.optuna, out)
    _add_kernel(middle, span, rules.prior, low, high, rules.optuna, out)
    _normalise(out)


@inner
def _best_drawn(mass: Floats, uniform: Floats, rest: Floats, drawn: Ints) -> int:
    """Of the values that `uniform` [C] draw from the good of the masses [2, k] the first with the largest ratio."""
    values = mass.shape[1]
    for c in range(len(uniform)):
        rest[c], drawn[c] = uniform[c], 0
    for v in range(values - 1):
        for c in range(len(uniform)):
            rest[c] -= mass[GOOD, v]
            drawn[c] += rest[c] >= 0.0
    best, chosen = -1.0, 0
    for c in range(len(uniform)):
        ratio = mass[GOOD, drawn[c]] / mass[BAD, drawn[c]]
        if ratio > best:
            best, chosen = ratio, drawn[c]
    return chosen


@compiled
def _masses(
    history: History,
    split: Split,
    rules: ParzenRules,
    ordered: Bools,
    offset: Ints,
    seeds: Ints,
    uniforms: Floats,
    out: Floats,
    codes: Ints,
) -> None:
    """Probabilities [B, 2, V] of all values and the best of the drawn candidates [B, d]."""
    size = out.shape[2]
    count, ranks = np.empty(size, np.int64), np.empty(size, np.int64)
    weight, edge = np.empty(size), np.empty((size, 2))
    rest, drawn = np.empty(uniforms.shape[2]), np.empty(uniforms.shape[2], np.int64)
    for b in range(len(seeds)):
        for side in range(2):
            if side == GOOD:
                n = _weigh_good(history, split, rules, seeds[b], offset, count, weight, edge)
            else:
                n = _weigh_bad(history, split, rules, ordered, seeds[b], offset, count, ranks, weight, edge)
            for j in range(len(offset)):
                i = offset[j]
                stop = offset[j + 1] if j + 1 < len(offset) else size
                mass = out[b, side, i:stop]
                if ordered[i]:
                    _adaptive_parzen(count[i:stop], weight[i:stop], edge[i:stop], n, rules, mass)
                else:
                    _categorical(count[i:stop], weight[i:stop], n, rules, mass)
        for j in range(uniforms.shape[1]):
            stop = offset[j + 1] if j + 1 < len(offset) else size
            codes[b, j] = _best_drawn(out[b, :, offset[j] : stop], uniforms[b, j], rest, drawn)


class Parzen:
    """The two densities of univariate TPE for each of S seeds, by hyperopt's or Optuna's rules.

    Bandwidths are in code units. hyperopt: min(ceil(gamma sqrt n), `cap`) good observations, categorical values as
    `hp.choice`, ordinal ones as `hp.quniform(0, k - 1, 1)`. Optuna: min(ceil(gamma n), `cap`), categorical values as
    `suggest_categorical`, ordinal ones as `suggest_int(0, k - 1)`, `multivariate=False`. Both weigh all but the last
    `forgetting` observations down, unless the good ones are `level`. The number of random configurations before the
    first model is the caller's.

    Cost per proposal: O(V) for V values of all parameters, O(V k) kernel terms where ordinal, and the last
    `forgetting` observations, whatever the number of observations, of which counts and sums of times are kept. An
    observation is ranked among the `cap` + 1 best.
    """

    def __init__(
        self,
        space: SearchSpace,
        seeds: int,
        *,
        variant: Literal["hyperopt", "optuna"] = "hyperopt",
        gamma: float = 0.25,
        cap: int = 25,
        prior_weight: float = 1.0,
        forgetting: int = 25,
        level: bool = False,
    ) -> None:
        check(space)
        if not (gamma > 0 and cap >= 1 and prior_weight > 0 and forgetting >= 1):
            raise HarnessError("gamma, cap, prior_weight and forgetting must be positive.")
        self._ordered = np.repeat([p.kind == "ordinal" for p in space.parameters], space.sizes)
        self.rules = ParzenRules(variant == "optuna", gamma, cap, prior_weight, forgetting, level)
        self.offset: Ints = np.concatenate([[0], np.cumsum(space.sizes)[:-1]]).astype(np.int64)
        self._values = int(space.sizes.sum())
        shape = (seeds, self._values)
        best = np.zeros((seeds, cap + 1), np.int32)
        self._history = History.empty(seeds, space.dimensions)._replace(order=best)
        self.split = Split(
            below=np.zeros((seeds, cap + 1), np.int32),
            size=np.zeros(seeds, np.int64),
            is_below=np.zeros((seeds, BLOCK), np.bool_),
            total=np.zeros(shape, np.int64),
            times=np.zeros(shape, np.int64),
            until=np.zeros(shape, np.int64),
            oldest=np.full(shape, -1, np.int64),
            newest=np.full(shape, -1, np.int64),
            mark=np.zeros((seeds, 2, self._values), np.int32),
        )

    @property
    def count(self) -> Ints:
        """Observations of each seed, Int[S]."""
        return self._history.seen

    def add(self, seeds: Ints, codes: Ints, loss: Floats) -> None:
        """Add one observation, codes Int[B, d] and loss Float[B] (inf for invalid), to each of `seeds` Int[B]."""
        if self._history.full(seeds):
            y, self._history = self.split, self._history.doubled()._replace(order=self._history.order)
            self.split = y._replace(is_below=doubled(y.is_below), mark=doubled(y.mark))
        self._observe(seeds, np.ascontiguousarray(codes), np.ascontiguousarray(loss))

    def _observe(self, seeds: Ints, codes: Ints, loss: Floats) -> None:
        self._history.insert(seeds, codes, loss)
        _observe(self._history, self.split, self.rules, self.offset, seeds, codes)

    def masses(self, seeds: Ints) -> Floats:
        """Probabilities Float[B, 2, V], good then bad; those of parameter j start at `offset[j]`."""
        return self.run(seeds, np.empty((len(seeds), 0, 0)))[0]

    def propose(self, seeds: Ints, uniforms: Floats) -> Ints:
        """Codes Int[B, d]: for each parameter the candidate with the largest l / g, first of equals.

        `uniforms` Float[B, d, C] draw the candidates from the good density.
        """
        return self.run(seeds, uniforms)[1]

    def run(self, seeds: Ints, uniforms: Floats) -> tuple[Floats, Ints]:
        """Masses of the good and the rest, Float[k, 2, sum of sizes], and what each seed proposes, Int[k, d]."""
        out = np.zeros((len(seeds), 2, self._values))
        codes = np.empty((len(seeds), len(self.offset)), np.int64)
        _masses(self._history, self.split, self.rules, self._ordered, self.offset, seeds, uniforms, out, codes)
        return out, codes
