"""What each seed has trained: its results, as predictors learn from them, and what it need not train again."""

from __future__ import annotations

from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from algorithms.predictors.data import ENUMERATED
from harness import Bools, Floats, Ints, Results, SearchSpace, Seen
from harness.graphs import fingerprints

_PLACES = 1 << 20
_START = 64


class History:
    """The results of S seeds in the order in which they were told; their arrays double when they are full."""

    def __init__(self, seeds: int, space: SearchSpace) -> None:
        self.count = np.zeros(seeds, dtype=np.int64)
        self.codes = np.zeros((seeds, _START, space.dimensions), dtype=np.int32)
        self.fidelity = np.zeros((seeds, _START), dtype=np.int32)
        self.loss: Floats = np.zeros((seeds, _START))

    def add(self, results: Results) -> None:
        at = results.seeds, self.count[results.seeds]
        if at[1].max(initial=0) == self.loss.shape[1]:
            for name in ("codes", "fidelity", "loss"):
                old = getattr(self, name)
                setattr(self, name, np.concatenate([old, np.zeros_like(old)], axis=1))
        self.codes[at], self.fidelity[at], self.loss[at] = results.codes, results.fidelity, results.loss
        self.count[results.seeds] += 1

    def of(self, seeds: Ints) -> Seen:
        """What the seeds at these positions have observed."""
        most = int(self.count[seeds].max())
        codes, fidelity = self.codes[seeds, :most], self.fidelity[seeds, :most]
        return Seen(codes.astype(np.int64), fidelity.astype(np.int64), self.loss[seeds, :most], self.count[seeds])


class Known:
    """The configurations that each of S seeds knows; of a space of graphs, those with the same pruned graph are one.

    Where the space says so, the order of the vertices makes no difference either.

    Exact where the space can be enumerated. Else a configuration is one of 2^20 places by its hash, so that of a
    thousand known ones a new one passes for known in one case of a thousand.
    """

    def __init__(self, seeds: int, space: SearchSpace) -> None:
        self.space = space
        self.exact = space.cardinality <= ENUMERATED
        self.known = np.zeros((seeds, space.cardinality if self.exact else _PLACES), dtype=np.bool_)

    def add(self, seeds: Ints, codes: Ints) -> None:
        """Each of the seeds at positions `seeds` Int[k] knows one of codes Int[k, d] now."""
        self.known[seeds, self.places(codes)] = True

    def has(self, seeds: Ints, codes: Ints) -> Bools:
        """Which of codes Int[k, m, d] the seeds know, Bool[k, m]."""
        return self.known[seeds[:, None], self.places(codes.reshape(-1, codes.shape[2])).reshape(codes.shape[:2])]

    def places(self, codes: Ints) -> Ints:
        """A number for each of codes Int[n, d], Int[n]."""
        if self.exact:
            return self._first_alike[codes @ self.space.strides]
        return (identities(self.space, codes) % np.uint64(_PLACES)).astype(np.int64)

    @cached_property
    def _first_alike(self) -> Ints:
        """For each number of a configuration the lowest that stands for the same."""
        sizes = self.space.sizes.tolist()
        hashes = identities(self.space, np.stack(np.unravel_index(np.arange(self.space.cardinality), sizes), axis=1))
        _, first, same = np.unique(hashes, return_index=True, return_inverse=True)
        return first[same]


def identities(space: SearchSpace, codes: Ints) -> NDArray[np.uint64]:
    """A number for each of codes Int[n, d], the same for those that are one configuration: see `Known`."""
    if space.graphs is None:
        return _hashed(codes)
    graphs = space.graphs.of(codes)
    if space.graphs.unordered:
        return fingerprints(graphs)
    adjacency, operators = graphs
    return _hashed(np.concatenate([adjacency.reshape(len(codes), -1), operators], axis=1))


def _hashed(rows: NDArray[np.integer]) -> NDArray[np.uint64]:
    """A 64-bit number for each row of small integers."""
    weights = np.random.Generator(np.random.PCG64(0)).integers(1 << 62, size=rows.shape[1], dtype=np.uint64)
    mixed = rows.astype(np.uint64) @ (2 * weights + np.uint64(1))
    return mixed ^ (mixed >> np.uint64(29))
