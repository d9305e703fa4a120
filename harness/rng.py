"""Random streams that belong to a seed, not to a batch.

The n-th draw of the stream (seed, purpose) is a pure function of these three, so a seed draws the same numbers
alone, among 500 others, in any shard and in any process. The function is SplitMix64 (Steele, Lea and Flood,
"Fast splittable pseudorandom number generators", OOPSLA 2014) with a counter for its state.
"""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import NDArray

from harness.arrays import Floats, Ints

GAMMA = np.uint64(0x9E3779B97F4A7C15)
MIX = (
    (np.uint64(30), np.uint64(0xBF58476D1CE4E5B9)),
    (np.uint64(27), np.uint64(0x94D049BB133111EB)),
)
LAST = np.uint64(31)
DROPPED = np.uint64(11)
_CACHED = 1 << 13
"""Numbers that are made at a time, as long as they stay near the processor."""


def splitmix64(state: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """The output function of SplitMix64 on each element of `state`, in place."""
    shifted = np.empty_like(state)
    for shift, factor in MIX:
        state ^= np.right_shift(state, shift, out=shifted)
        state *= factor
    state ^= np.right_shift(state, LAST, out=shifted)
    return state


class Streams:
    """One stream of uniform numbers for each of `seeds` Int[S], told apart from others by `purpose`."""

    def __init__(self, seeds: Ints, purpose: str) -> None:
        self.seeds = np.asarray(seeds, dtype=np.int64)
        self.purpose = purpose
        salt = np.frombuffer(hashlib.blake2b(purpose.encode(), digest_size=8).digest(), dtype="<u8")
        key = splitmix64((self.seeds.astype(np.uint64) + np.uint64(1)) * GAMMA)
        self._key = splitmix64(key ^ salt.astype(np.uint64))
        self._drawn = np.zeros(len(self.seeds), dtype=np.uint64)

    def child(self, purpose: str) -> Streams:
        """Fresh streams of the same seeds for another purpose."""
        return Streams(self.seeds, f"{self.purpose}/{purpose}")

    def uniform(self, n: int, where: Ints) -> Floats:
        """The next `n` numbers in [0, 1) of the seeds at positions `where` Int[k], Float[k, n].

        Only these seeds advance; `where` holds no position twice.
        """
        start, steps = self.states(n, where), np.arange(1, n + 1, dtype=np.uint64) * GAMMA
        numbers, rows = np.empty((len(start), n)), max(1, _CACHED // max(1, n))
        for first in range(0, len(start), rows):
            part = slice(first, first + rows)
            _unit(start[part, None] + steps, numbers[part])
        return numbers

    def states(self, n: int, where: Ints) -> NDArray[np.uint64]:
        """What the next `n` numbers of the seeds at `where` Int[k] are made of by `compiled.uniform`, UInt[k].

        These seeds advance as by `uniform`.
        """
        drawn = self._drawn[where]
        self._drawn[where] = drawn + np.uint64(n)
        return self._key[where] + drawn * GAMMA

    def integers(self, high: int | Ints, n: int, where: Ints) -> Ints:
        """The next `n` integers in [0, high) of the seeds at `where`, Int[k, n]; `high` broadcasts to it."""
        return (self.uniform(n, where) * high).astype(np.int64)

    def at(self, counter: Ints, where: Ints) -> Floats:
        """Number `counter` Int[k] of the streams at `where` Int[k], Float[k]; nothing advances."""
        numbers = np.empty(len(counter))
        _unit(self._key[where] + (counter.astype(np.uint64) + np.uint64(1)) * GAMMA, numbers)
        return numbers

    def generator(self, position: int) -> np.random.Generator:
        """A numpy generator for the seed at `position`, for code that steps one seed at a time."""
        return np.random.Generator(np.random.Philox(key=int(self._key[position])))


def _unit(state: NDArray[np.uint64], numbers: Floats) -> None:
    """The numbers in [0, 1) that belong to `state`, which is overwritten."""
    splitmix64(state)
    state >>= DROPPED
    np.multiply(state, 2.0**-53, out=numbers, dtype=np.float64)
