"""Observations of each seed and their ranking."""

from __future__ import annotations

from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from harness import Floats, HarnessError, Ints, SearchSpace
from harness.compiled import compiled

A = TypeVar("A", bound=np.generic)

GOOD, BAD, UNUSED = 0, 1, 2
BLOCK = 64
_MOST_VALUES = 1 << 13


def check(space: SearchSpace) -> None:
    """Raise HarnessError for a parameter with more values than a code of a history can hold."""
    for p in space.parameters:
        if len(p.values) > _MOST_VALUES:
            raise HarnessError(
                f"parameter '{p.name}' has {len(p.values)} values, a density takes at most {_MOST_VALUES}.",
                "use an algorithm without a density, such as re or de.",
            )


class History(NamedTuple):
    """Observations in order of arrival, and their ranking.

    codes  UInt16[S, T, d]
    loss   Float[S, T]
    order  Int32[S, T], times by ascending loss, older first among equals; of those that are kept, the best
    seen   Int[S], their number
    """

    codes: NDArray[np.uint16]
    loss: Floats
    order: NDArray[np.int32]
    seen: Ints

    @classmethod
    def empty(cls, seeds: int, d: int) -> History:
        shape = (seeds, BLOCK)
        return cls(
            np.zeros((*shape, d), np.uint16), np.zeros(shape), np.zeros(shape, np.int32), np.zeros(seeds, np.int64)
        )

    def full(self, seeds: Ints) -> bool:
        """Whether one of these seeds Int[B] has no room for another observation."""
        return bool(len(seeds)) and bool(self.seen[seeds].max() == self.codes.shape[1])

    def doubled(self) -> History:
        return History(doubled(self.codes), doubled(self.loss), doubled(self.order), self.seen)

    def insert(self, seeds: Ints, codes: Ints, loss: Floats) -> Ints:
        """Append one observation, codes Int[B, d] and loss Float[B], for each of these seeds; their ranks Int[B]."""
        rank = np.empty(len(seeds), np.int64)
        _insert(self, seeds, codes, loss, rank)
        return rank


def doubled(array: NDArray[A]) -> NDArray[A]:
    """The array with as many zeros again along its axis 1."""
    return np.concatenate([array, np.zeros_like(array)], axis=1)


@compiled
def _insert(history: History, seeds: Ints, codes: Ints, losses: Floats, rank: Ints) -> None:
    for b in range(len(seeds)):
        s = seeds[b]
        t = history.seen[s]
        for j in range(codes.shape[1]):
            history.codes[s, t, j] = codes[b, j]
        history.loss[s, t] = losses[b]
        order = history.order[s]
        kept = min(t, len(order))
        low, high = 0, kept
        while low < high:
            middle = (low + high) // 2
            if history.loss[s, order[middle]] <= losses[b]:
                low = middle + 1
            else:
                high = middle
        moved = np.int32(t)
        for i in range(low, min(kept + 1, len(order))):
            order[i], moved = moved, order[i]
        history.seen[s] = t + 1
        rank[b] = low
