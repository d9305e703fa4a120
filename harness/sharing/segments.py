"""A search in segments by the graph network (Chen et al. 2020, Algorithm 1; see `product_graph`).

A space too large for one graph is searched a few parameters at a time. In each segment some architectures are scored, a
graph network fitted to their scores predicts all, the best by prediction are scored, and the K best of these are kept:
together they are one parameter of the next segment, the super-cell, with K values.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from harness.arrays import Bools, Floats, Ints
from harness.errors import HarnessError
from harness.sharing.product_graph import GraphRegression, ProductGraph

Score = Callable[[Ints], Floats]
"""Accuracies Float[n] of architectures Int[n, L]."""


@dataclass(frozen=True, eq=False)
class Lookup:
    """All architectures Int[n, L] of a segment, and what the graph network predicts of them, Float[n]."""

    codes: Ints
    predicted: Floats

    def best(self, score: Score, finalists: int, allowed: Bools | None = None) -> tuple[Ints, Floats]:
        """Of the best by prediction among the `allowed` Bool[n], their codes and scores, the best by score first.

        Raises HarnessError where nothing is allowed.
        """
        among = np.arange(len(self.codes)) if allowed is None else np.flatnonzero(allowed)
        if not among.size:
            raise HarnessError("no architecture of the last segment meets the constraint.", "allow more.")
        chosen = self.codes[among[np.argsort(-self.predicted[among], kind="stable")[:finalists]]]
        found = score(chosen)
        order = np.argsort(-found, kind="stable")
        return chosen[order], found[order]


def search(
    base: Ints,
    sizes: Sequence[int],
    segments: Sequence[int],
    score: Score,
    *,
    seed: int,
    samples: int = 2000,
    finalists: int = 100,
    kept: int = 6,
    width: int = 512,
    epochs: int = 600,
) -> Lookup:
    """The last segment's table; what is not searched yet has the values of `base` Int[L].

    `segments` are numbers of parameters, L in all. Of a segment with no more than `samples` architectures all are
    scored. Raises HarnessError where they do not add up or a segment has more than a million architectures.
    """
    if sum(segments) != len(sizes):
        raise HarnessError(
            f"segments of {', '.join(map(str, segments))} parameters are {sum(segments)}; the space has {len(sizes)}.",
            "let them add up.",
        )
    prefixes, first = base[None, :0], 0
    for i, length in enumerate(segments):
        own = tuple(sizes[first : first + length])
        axes = own if i == 0 else (len(prefixes), *own)
        graph = ProductGraph(axes)
        parts = np.stack(np.unravel_index(np.arange(math.prod(own)), own), axis=1)
        codes = np.tile(base, (graph.vertices, 1))
        codes[:, :first] = np.repeat(prefixes, len(parts), axis=0)
        codes[:, first : first + length] = np.tile(parts, (len(prefixes), 1))
        rng = np.random.Generator(np.random.PCG64([seed, i]))
        chosen = np.sort(rng.permutation(graph.vertices)[:samples])
        model = GraphRegression(graph, width=width, seed=seed)
        model.fit(chosen, score(codes[chosen]), epochs=epochs)
        table = Lookup(codes, model.predict())
        first += length
        if i < len(segments) - 1:
            prefixes = table.best(score, finalists)[0][:kept, :first]
    return table
