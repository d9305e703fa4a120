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
import torch
from torch import Tensor

from harness.arrays import Bools, Floats, Ints
from harness.errors import HarnessError
from harness.sharing.product_graph import LARGEST, GraphRegression, ProductGraph, measured_similarity

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


def divided(sizes: Sequence[int], kept: int, count: int = 0) -> list[int]:
    """Lengths of `count` segments as equal as can be, longer ones first; of the fewest that fit, if that is 0.

    Raises HarnessError if one of them has more than a million architectures, or is empty.
    """
    for number in range(1, len(sizes) + 1) if count == 0 else [count]:
        parts = np.array_split(np.array(sizes), number)
        largest = max(math.prod(part.tolist()) * (kept if i else 1) for i, part in enumerate(parts))
        if largest <= LARGEST and min(map(len, parts)):
            return [len(part) for part in parts]
    if count == 0:
        raise HarnessError(f"one parameter and {kept} kept architectures are beyond {LARGEST:,}.", "keep fewer.")
    if count > len(sizes):
        raise HarnessError(f"there are {len(sizes)} parameters, too few for {count} segments.", "take fewer segments.")
    fits = len(divided(sizes, kept))
    raise HarnessError(
        f"a segment has {largest:,} architectures, beyond {LARGEST:,} vertices of a graph.",
        f"divide the {len(sizes)} parameters into {fits} segments or more.",
    )


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
    measured: int = 0,
    values: Sequence[Ints] | None = None,
    device: torch.device | str = "cpu",
) -> Lookup:
    """The last segment's table; what is not searched yet has the values of `base` Int[L].

    `segments` are numbers of parameters, L in all. Of a segment with no more than `samples` architectures all are
    scored. Similarities are assigned, or measured on so many architectures of each segment. `values` are the codes of
    each parameter, `sizes` of them; all unless given. `device` is the graph network's. Raises HarnessError where
    segments do not add up or one has more than a million architectures.
    """
    if sum(segments) != len(sizes):
        raise HarnessError(
            f"segments of {', '.join(map(str, segments))} parameters are {sum(segments)}; the space has {len(sizes)}.",
            "let them add up.",
        )
    allowed = [np.arange(k) for k in sizes] if values is None else values
    prefixes, first = base[None, :0], 0
    for i, length in enumerate(segments):
        last = first + length
        own = tuple(sizes[first:last])
        axes = own if i == 0 else (len(prefixes), *own)
        graph = ProductGraph(axes, device=device)
        parts = np.stack(np.meshgrid(*allowed[first:last], indexing="ij"), axis=-1).reshape(-1, length)
        codes = np.tile(base, (graph.vertices, 1))
        codes[:, :first] = np.repeat(prefixes, len(parts), axis=0)
        codes[:, first:last] = np.tile(parts, (len(prefixes), 1))
        rng = np.random.Generator(np.random.PCG64([seed, i]))
        chosen = np.sort(rng.permutation(graph.vertices)[:samples])
        if measured:
            similarity = _measured(axes, codes, score, rng.permutation(graph.vertices)[:measured])
            graph = ProductGraph(axes, similarity, device)
        model = GraphRegression(graph, width=width, seed=seed)
        model.fit(chosen, score(codes[chosen]), epochs=epochs)
        table = Lookup(codes, model.predict())
        first += length
        if i < len(segments) - 1:
            prefixes = table.best(score, finalists)[0][:kept, :first]
    return table


def _measured(axes: Sequence[int], codes: Ints, score: Score, vertices: Ints) -> list[Tensor]:
    """Similarities along each axis, by scores of `vertices` Int[n] with it set to each of its values."""
    places = np.stack(np.unravel_index(vertices, tuple(axes)), axis=1)
    varied = []
    for axis, k in enumerate(axes):
        moved = np.repeat(places, k, axis=0)
        moved[:, axis] = np.tile(np.arange(k), len(places))
        varied.append(score(codes[np.ravel_multi_index(tuple(moved.T), tuple(axes))]).reshape(-1, k))
    return measured_similarity(varied)
