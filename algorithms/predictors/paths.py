"""The path encoding (White, Neiswanger and Savani, "BANANAS: Bayesian optimization with neural architectures for
neural architecture search", AAAI 2021).
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from algorithms.predictors.data import view_of
from harness import Bools, Floats, Ints, SearchSpace

MOST = 1024
"""Paths that are told apart, those that random configurations have most often."""

_SAMPLE = 10_000
_ROUTES = 4096


class Paths:
    """Which paths from input to output the graphs of a space have, a path being the operators along it.

    The encoding is truncated as in the paper, to the paths that are most frequent in random configurations; routes too
    long to be listed are left out first. Raises HarnessError for a space without graphs.
    """

    def __init__(self, space: SearchSpace) -> None:
        self.view, self.dimensions = view_of(space), space.dimensions
        sample = space.sample(np.random.Generator(np.random.PCG64(0)).random((_SAMPLE, space.dimensions)))
        self.routes = routes(np.logical_or.reduce(self.view.of(sample).adjacency))
        found, count = np.unique(self.words(sample), return_counts=True)
        found, count = found[found > 0], count[found > 0]
        self.vocabulary = np.sort(found[np.argsort(-count, kind="stable")[:MOST]])

    def features(self, codes: Ints) -> Floats:
        """Whether codes Int[n, d] have each of the paths, Float[n, paths]."""
        words, known = self.words(codes), self.vocabulary
        column = np.minimum(np.searchsorted(known, words), len(known) - 1)
        row, route = np.nonzero(known[column] == words)
        out = np.zeros((len(codes), len(known)))
        out[row, column[row, route]] = 1.0
        return out

    def words(self, codes: Ints) -> NDArray[np.uint64]:
        """The operators along each route as one number, UInt64[n, routes]; 0 where the graph does not have it."""
        adjacency, operators = self.view.of(codes)
        labels, base = operators.astype(np.uint64), np.uint64(self.view.labels | 1)
        out = np.zeros((len(codes), len(self.routes)), dtype=np.uint64)
        for i, route in enumerate(self.routes):
            word = np.ones(len(codes), dtype=np.uint64)
            for vertex in route[1:-1]:
                word = word * base + labels[:, vertex]
            there = np.logical_and.reduce([adjacency[:, a, b] for a, b in pairwise(route)])
            out[:, i] = np.where(there, word, 0)
        return out


def routes(edges: Bools) -> list[tuple[int, ...]]:
    """The ways from the first vertex to the last along `edges` Bool[v, v], the short ones first."""
    whole: list[tuple[int, ...]] = []
    begun: list[tuple[int, ...]] = [(0,)]
    while begun and len(begun) <= _ROUTES:
        longer = [(*route, vertex) for route in begun for vertex in np.flatnonzero(edges[route[-1]]).tolist()]
        whole += [route for route in longer if route[-1] == len(edges) - 1]
        begun = [route for route in longer if route[-1] != len(edges) - 1]
    return whole
