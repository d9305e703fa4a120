"""REINFORCE (Williams, "Simple statistical gradient-following algorithms for connectionist reinforcement learning",
Machine Learning 8, 1992), as the NAS-Bench-101 comparison used it (Ying et al., ICML 2019).
"""

from __future__ import annotations

import math
from typing import Annotated

import numpy as np

from harness import Floats, Ints, Jobs, Param, Problem, Results, Streams

_LOG2E, _LN2_HIGH, _LN2_LOW = 1.4426950408889634, 0.693147180369123816490, 1.90821492927058770002e-10
_SERIES = [1.0 / math.factorial(i) for i in range(13, -1, -1)]


def exp(x: Floats) -> Floats:
    """e^x for x <= 0, to a unit or two in the last place; 0 below -700.

    Made of sums and products alone, whose every bit is the same everywhere; `np.exp` is not the same on every
    machine, and may not be at every position of an array.
    """
    n = np.rint(np.maximum(x, -700.0) * _LOG2E)
    r = (x - n * _LN2_HIGH) - n * _LN2_LOW
    series = np.full_like(r, _SERIES[0])
    for coefficient in _SERIES[1:]:
        series *= r
        series += coefficient
    return np.where(x < -700.0, 0.0, np.ldexp(series, n.astype(np.int32)))


def reward(loss: Floats) -> Floats:
    """1 - loss, as in the benchmark's scripts; beyond a loss of 1, where that has no bound, 1 / loss - 1 > -1."""
    return np.where(loss <= 1.0, 1.0 - loss, 1.0 / np.maximum(loss, 1.0) - 1.0)


class Rewards:
    """What the losses of S seeds are worth: `reward` or, where ratios of losses mean nothing, a share of ranks.

    That is the share of the seed's results so far, this one among them, that are worse, ties counted half: the same
    whatever the unit and the zero of losses (rank-based shaping: Wierstra et al., "Natural evolution strategies", JMLR
    15, 2014).
    """

    def __init__(self, problem: Problem) -> None:
        self.ratios = problem.ratios
        self.count = np.zeros(len(problem.seeds), dtype=np.int64)
        self.seen = np.full((len(problem.seeds), 64), -np.inf)

    def of(self, seeds: Ints, loss: Floats) -> Floats:
        """The rewards of one finite loss Float[n] of each of the seeds at positions `seeds` Int[n], Float[n]."""
        if self.ratios:
            return reward(loss)
        at = seeds, self.count[seeds]
        if at[1].max(initial=0) == self.seen.shape[1]:
            self.seen = np.concatenate([self.seen, np.full_like(self.seen, -np.inf)], axis=1)
        self.seen[at] = loss
        self.count[seeds] += 1
        seen = self.seen[seeds]
        worse, equal = (seen > loss[:, None]).sum(axis=1), (seen == loss[:, None]).sum(axis=1)
        return (worse + equal / 2) / self.count[seeds]


class Reinforce:
    """REINFORCE: one categorical policy per parameter, moved along the score function times the advantage.

    The advantage is the reward less its exponential moving average, freed from the bias of its start, that has
    taken in this reward already. An invalid configuration changes nothing. With several workers a result moves the
    policy as it is when the result arrives.
    """

    def __init__(
        self,
        problem: Problem,
        streams: Streams,
        *,
        learning_rate: Annotated[float, Param("step along the gradient", low=0)] = 1.0,
        momentum: Annotated[float, Param("of the moving average of rewards", low=0, high=0.999999)] = 0.9,
    ) -> None:
        sizes = problem.space.sizes
        self.problem = problem
        self.streams = streams
        self.learning_rate = learning_rate
        self.momentum = momentum
        self.values = np.arange(sizes.max())
        self.exists = self.values < sizes[:, None]
        self.logits = np.zeros((len(problem.seeds), *self.exists.shape))
        self.cumulative = np.broadcast_to(self.exists.cumsum(axis=1, dtype=np.float64), self.logits.shape).copy()
        self.rewards = Rewards(problem)
        self.total = np.zeros(len(problem.seeds))
        self.weight = np.zeros(len(problem.seeds))

    def ask(self, seeds: Ints, worker: Ints) -> Jobs:
        cumulative = self.cumulative[seeds]
        level = self.streams.uniform(len(self.exists), seeds)[..., None] * cumulative[..., -1:]
        return Jobs((cumulative <= level).sum(axis=2), self.problem.full)

    def tell(self, results: Results) -> None:
        valid = results.loss < np.inf
        seeds = results.seeds[valid]
        gain = self.rewards.of(seeds, results.loss[valid])
        self.total[seeds] = self.momentum * self.total[seeds] + (1.0 - self.momentum) * gain
        self.weight[seeds] = self.momentum * self.weight[seeds] + (1.0 - self.momentum)
        advantage = gain - self.total[seeds] / self.weight[seeds]
        cumulative = self.cumulative[seeds]
        probability = np.diff(cumulative, axis=2, prepend=0.0) / cumulative[..., -1:]
        score = (results.codes[valid][..., None] == self.values) - probability
        logits = self.logits[seeds] + self.learning_rate * advantage[:, None, None] * score
        self.logits[seeds] = logits
        self.cumulative[seeds] = self.cumulate(logits)

    def cumulate(self, logits: Floats) -> Floats:
        """Cumulative probabilities of each parameter's values, unnormalised, Float[n, d, k]."""
        return (exp(logits - logits.max(axis=2, keepdims=True)) * self.exists).cumsum(axis=2)
