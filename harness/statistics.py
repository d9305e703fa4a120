"""Statistics of many runs, as functions of arrays whose first axis is the seed.

Seeds are independent and studies of the same seeds are paired: the noise that a seed observes does not depend on the
algorithm. Whatever draws random numbers needs a generator. Smaller is better throughout.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import combinations
from typing import Literal, NamedTuple

import numpy as np
import scipy  # loads scipy.stats when it is first used

from harness.arrays import Floats, Ints

Alternative = Literal["two-sided", "less", "greater"]
REPLICATES = 2000

LEAST_SEEDS = 30
"""Of fewer, a speed-up has no interval."""

_STEPS = 1 << 30
"""Of the largest difference, to which differences are rounded before they are ranked."""

_BLOCK = 250
"""Resamples that are looked at together."""


class Estimate(NamedTuple):
    """A number with the ends of its confidence interval."""

    value: float
    low: float
    high: float


def bootstrap_weights(seeds: int, rng: np.random.Generator, replicates: int = REPLICATES) -> Floats:
    """Shares of the seeds in samples drawn with replacement, Float[B, S]; each row sums to 1.

    A whole seed is drawn or not, with all its times, so that curves stay curves (Efron, "Bootstrap methods: another
    look at the jackknife", Annals of Statistics 7, 1979).
    """
    drawn = rng.integers(seeds, size=(replicates, seeds)) + seeds * np.arange(replicates)[:, None]
    return np.bincount(drawn.ravel(), minlength=replicates * seeds).reshape(replicates, seeds) / seeds


def bootstrap_means(values: Floats, rng: np.random.Generator, replicates: int = REPLICATES) -> Floats:
    """Means over resampled seeds of `values` Float[S, ...], Float[B, ...]."""
    return np.tensordot(bootstrap_weights(len(values), rng, replicates), values, axes=1)


def percentiles(replicates: Floats, confidence: float = 0.95) -> tuple[Floats, Floats]:
    """Ends of the central interval of bootstrap `replicates` Float[B, ...], two times Float[...]."""
    tail = (1.0 - confidence) / 2.0
    low, high = np.quantile(replicates, [tail, 1.0 - tail], axis=0)
    return low, high


def simultaneous_width(
    values: Floats, rng: np.random.Generator, confidence: float = 0.95, replicates: int = REPLICATES
) -> float:
    """Standard errors on either side of the mean of `values` Float[S, G] that hold the whole mean curve at once.

    The bootstrap sup-t band: the quantile of the largest studentised deviation over time (Montiel Olea and
    Plagborg-Moller, "Simultaneous confidence bands", Journal of Applied Econometrics 34, 2019).
    """
    return sup_t(values, bootstrap_weights(len(values), rng, replicates), confidence)


def sup_t(values: Floats, weights: Floats, confidence: float = 0.95) -> float:
    """`simultaneous_width` of `values` Float[S, G], resampled by `weights` Float[B, S] of `bootstrap_weights`.

    Each resample is divided by its own standard error (the bootstrap t: Hall, "Theoretical comparison of bootstrap
    confidence intervals", Annals of Statistics 16, 1988). With that of the seeds, 20 seeds cover 4 curves in 5.
    """
    centred = values - values.mean(axis=0)
    shift, square = weights @ centred, weights @ centred**2
    spread = square - shift**2
    varies = spread > 1e-9 * square.mean(axis=0)
    error = np.sqrt(np.where(varies, spread, 1.0) / (len(values) - 1))
    studentised = np.divide(np.abs(shift), error, out=np.zeros_like(shift), where=varies)
    return float(np.quantile(studentised.max(axis=1), confidence))


def simultaneous_band(
    values: Floats, rng: np.random.Generator, confidence: float = 0.95, replicates: int = REPLICATES
) -> tuple[Floats, Floats]:
    """Ends of a band that holds the whole mean curve of `values` Float[S, G] at once, two times Float[G].

    The mean +- `simultaneous_width` standard errors.
    """
    mean, sem = values.mean(axis=0), values.std(axis=0, ddof=1) / math.sqrt(len(values))
    width = simultaneous_width(values, rng, confidence, replicates) * sem
    return mean - width, mean + width


def mean_interval(values: Floats, confidence: float = 0.95) -> Estimate:
    """Mean of `values` Float[S], one per seed, and Student's interval."""
    mean, sem = float(values.mean()), float(values.std(ddof=1)) / math.sqrt(len(values))
    width = float(scipy.special.stdtrit(len(values) - 1, (1.0 + confidence) / 2.0)) * sem
    return Estimate(mean, mean - width, mean + width)


def paired_t(differences: Floats, alternative: Alternative = "two-sided") -> float:
    """p of Student's t test that the mean of `differences` Float[S], one per seed, is 0.

    Differences that are all the same have no variance: p is then 0 where they lie on the side of the alternative,
    and 1 otherwise.
    """
    if np.ptp(differences) == 0:
        side = {"two-sided": differences[0] != 0, "less": differences[0] < 0, "greater": differences[0] > 0}
        return 0.0 if side[alternative] else 1.0
    return float(scipy.stats.ttest_1samp(differences, 0.0, alternative=alternative).pvalue)


def paired_wilcoxon(differences: Floats, alternative: Alternative = "two-sided") -> float:
    """p of Wilcoxon's signed-rank test that `differences` Float[S], one per seed, are symmetric about 0.

    Zeros keep their ranks (Pratt, JASA 54, 1959), since seeds whose runs ended with the same architecture are
    frequent; p is 1 if all are zero. Differences that only rounding tells apart are tied: they are not the same of an
    accuracy and of its error.
    """
    if not differences.any():
        return 1.0
    settled = np.rint(differences / np.abs(differences).max() * _STEPS)
    return float(scipy.stats.wilcoxon(settled, zero_method="pratt", alternative=alternative).pvalue)


def holm(p: Floats) -> Floats:
    """Adjusted `p` Float[k] that control the family-wise error (Holm, Scandinavian Journal of Statistics 6, 1979)."""
    order = np.argsort(p, kind="stable")
    stepped = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    adjusted = np.empty(len(p))
    adjusted[order] = np.minimum(stepped, 1.0)
    return adjusted


def probability_of_improvement(values: Floats, other: Floats) -> float:
    """Chance that a run of `values` Float[S] is below one of `other` Float[T], ties counted half.

    Vargha and Delaney's A ("A critique and improvement of the CL common language effect size statistics", JEBS 25,
    2000): 0.5 where neither is better.
    """
    ordered = np.sort(other)
    above = len(other) - np.searchsorted(ordered, values, side="right")
    tied = len(other) - above - np.searchsorted(ordered, values, side="left")
    return float((above + 0.5 * tied).mean() / len(other))


def improvement_intervals(values: Floats, weights: Floats, confidence: float = 0.95) -> dict[tuple[int, int], Estimate]:
    """`probability_of_improvement` of each row of `values` Float[A, S] over every later one, by their positions.

    The interval is of the bootstrap over seeds, which are those of all rows, resampled together with `weights`
    Float[B, S] of `bootstrap_weights`.
    """
    pairs = list(combinations(range(len(values)), 2))
    chances = np.empty((len(pairs), len(weights)))
    for start in range(0, len(weights), _BLOCK):
        some = slice(start, start + _BLOCK)
        columns = np.ascontiguousarray(weights[some].T)
        sides = [_levels(row, columns) for row in values]
        for chance, (a, b) in zip(chances, pairs, strict=True):
            (levels, shares, _), (others, _, below) = sides[a], sides[b]
            left, right = (np.searchsorted(others, levels, side=side) for side in ("left", "right"))
            chance[some] = 1.0 - 0.5 * np.einsum("kb,kb->b", shares, below[left] + below[right])
    low, high = percentiles(chances.T, confidence)
    return {
        (a, b): Estimate(probability_of_improvement(values[a], values[b]), float(low[k]), float(high[k]))
        for k, (a, b) in enumerate(pairs)
    }


def _levels(values: Floats, columns: Floats) -> tuple[Floats, Floats, Floats]:
    """The K different `values` Float[S], ascending, by weights `columns` Float[S, B] of the seeds.

    Besides, the share of each in the resamples, Float[K, B], and that of all before each, Float[K + 1, B].
    """
    order = np.argsort(values, kind="stable")
    levels, first = np.unique(values[order], return_index=True)
    shares = np.add.reduceat(columns[order], first, axis=0)
    return levels, shares, np.concatenate([np.zeros_like(shares[:1]), np.cumsum(shares, axis=0)])


def kendall(
    values: Floats, other: Floats, rng: np.random.Generator, confidence: float = 0.95, replicates: int = REPLICATES
) -> Estimate:
    """Kendall's tau-b of `values` Float[n] and `other` Float[n], neither constant (Kendall, Biometrika 33, 1945).

    The interval is of the bootstrap over items; samples in which one side is constant are left out.
    """
    signs = [np.sign(x[:, None] - x) for x in (values, other)]
    weights = np.concatenate(
        [np.full((1, len(values)), 1.0 / len(values)), bootstrap_weights(len(values), rng, replicates)]
    )

    def concordance(a: Floats, b: Floats) -> Floats:
        return ((weights @ (a * b)) * weights).sum(axis=1)

    scale = np.sqrt(concordance(signs[0], signs[0]) * concordance(signs[1], signs[1]))
    tau = concordance(*signs)[scale > 0] / scale[scale > 0]
    low, high = percentiles(tau[1:], confidence)
    return Estimate(float(tau[0]), float(low), float(high))


def mean_log_area(
    seed: Ints, time: Floats, value: Floats, *, seeds: int, start: float, end: float, floor: float
) -> Floats:
    """Area under each seed's log10 curve over log time from `start` to `end`, over log(end / start); Float[S].

    The step function of seed s takes `value` Float[E] from `time` Float[E] on, where `seed` Int[E] is s; entries are
    sorted by seed and then by time. Exact, without a grid. Values below `floor` > 0 count as `floor`, so that a regret
    of zero has a logarithm. inf for a seed whose first step comes after `start`.
    """
    last = np.append(seed[1:] != seed[:-1], True) if len(seed) else np.zeros(0, dtype=np.bool_)
    until = np.where(last, end, np.append(time[1:], end)[: len(time)])
    clipped = np.log(np.clip([time, until], start, end))
    height = np.log10(np.maximum(value, floor))
    area = np.bincount(seed, weights=height * (clipped[1] - clipped[0]), minlength=seeds)
    began = np.bincount(seed, weights=time <= start, minlength=seeds) > 0
    return np.where(began, area / math.log(end / start), np.inf)


def expected_time(times: Floats, spent: Floats) -> float:
    """Expected running time to a target: all time spent, over the runs that reached it.

    `times` Float[S] are inf for a run that did not reach the target, which costs what it `spent` Float[S]; inf if none
    did (Hansen et al., "COCO: performance assessment", 2016).
    """
    reached = np.isfinite(times).sum()
    return float(_charged(times, spent).sum() / reached) if reached else math.inf


def _charged(times: Floats, spent: Floats) -> Floats:
    return np.where(np.isfinite(times), times, spent)


def speed_up(
    times: tuple[Floats, Floats],
    other: tuple[Floats, Floats],
    rng: np.random.Generator,
    confidence: float = 0.95,
    replicates: int = REPLICATES,
) -> Estimate:
    """How many times sooner `times` than `other`: ratio of expected times, of arguments of `expected_time`.

    The interval is of the bootstrap over seeds, both sides resampled together, its tails those at which the interval
    of a mean would be Student's (the expanded percentile interval: Hesterberg, "What teachers should know about the
    bootstrap", The American Statistician 69, 2015). Of fewer than 30 seeds, which often hold none of the failures that
    an expected time consists of, it is nan. inf where the other never reaches the target, 0 where only the other does,
    nan where neither does. Of a side that never does, no resample says how seldom it might: the share of its runs that
    arrive is drawn from Beta(1, S), whose upper quantiles are Clopper's and Pearson's limits for none of S, so that the
    interval has an end.
    """
    seeds = len(times[0])
    weights = bootstrap_weights(seeds, rng, replicates)

    def expected(reached_at: Floats, spent: Floats) -> Floats:
        arrived = np.isfinite(reached_at)
        share = weights @ arrived if arrived.any() else rng.beta(1.0, seeds, replicates)
        cost = weights @ _charged(reached_at, spent)
        return np.divide(cost, share, out=np.full(len(share), np.inf), where=share > 0)

    value = _ratio(np.array([expected_time(*other)]), np.array([expected_time(*times)]))[0]
    ratios = _ratio(expected(*other), expected(*times))
    if seeds < LEAST_SEEDS or np.isnan(value) or np.isnan(ratios).any():
        return Estimate(float(value), math.nan, math.nan)
    tail = _expanded_tail(seeds, confidence)
    low, high = np.quantile(ratios, [tail, 1.0 - tail], method="inverted_cdf")
    return Estimate(float(value), float(min(low, value)), float(max(high, value)))


def _expanded_tail(seeds: int, confidence: float) -> float:
    student = scipy.special.stdtrit(seeds - 1, (1.0 - confidence) / 2.0)
    return float(scipy.special.ndtr(math.sqrt(seeds / (seeds - 1)) * student))


def _ratio(upper: Floats, lower: Floats) -> Floats:
    """`upper / lower`, where inf / inf is nan without a warning."""
    both = np.isinf(upper) & np.isinf(lower)
    return np.where(both, np.nan, np.divide(upper, np.where(both, 1.0, lower)))


def ranks(scores: Floats) -> Floats:
    """Rank within each row of `scores` Float[..., A], 1 the lowest, ties shared."""
    return scipy.stats.rankdata(scores, axis=-1)


def friedman(scores: Floats) -> float:
    """p of Friedman's test that A > 2 algorithms rank alike in the blocks of `scores` Float[B, A]; 1 if all tie."""
    if (scores == scores[:, :1]).all():
        return 1.0
    return float(scipy.stats.friedmanchisquare(*scores.T).pvalue)


def nemenyi_distance(algorithms: int, blocks: int, alpha: float = 0.05) -> float:
    """The difference of average ranks over `blocks` that is significant between any two of `algorithms`.

    Demsar, "Statistical comparisons of classifiers over multiple data sets", JMLR 7, 2006.
    """
    quantile = scipy.stats.studentized_range.ppf(1.0 - alpha, algorithms, np.inf) / math.sqrt(2.0)
    return float(quantile * math.sqrt(algorithms * (algorithms + 1) / (6.0 * blocks)))


def cliques(average: Sequence[float], distance: float) -> list[tuple[int, int]]:
    """Longest runs (first, last) of ascending `average` ranks that no pair of which is `distance` apart."""
    found: list[tuple[int, int]] = []
    for first in range(len(average)):
        last = max(i for i in range(first, len(average)) if average[i] - average[first] < distance)
        if last > first and (not found or last > found[-1][1]):
            found.append((first, last))
    return found
