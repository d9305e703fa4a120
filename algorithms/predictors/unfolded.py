"""What vertices can know of their graphs: those that a network of so many layers cannot tell apart are one.

What a layer makes of a vertex follows from what the one before made of the vertex and of its neighbours along the edges
and against them, so of vertices that agree in this, in whatever graphs, one need be computed (Weisfeiler and Lehman
1968). Of the 68,686 vertices of NAS-Bench-201's different graphs there are 244 behind one layer, 22,590 behind two and
64,046 behind three.
"""

from __future__ import annotations

from typing import NamedTuple
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from algorithms.predictors.data import ENUMERATED, distinct, view_of
from algorithms.predictors.products import Sparse, sparse
from harness import Bools, Ints, SearchSpace
from harness.graphs import ABSENT, Graphs, GraphView
from harness.rng import splitmix64


class Unfolded(NamedTuple):
    """G graphs as nodes, each of which stands for vertices that are equal behind so many layers.

    Nodes are ordered by a hash of what they know, which is the same whatever other graphs there are.
    """

    last: Ints
    """Int[G, v], ascending: the nodes behind the last layer; -1 where there is no vertex."""
    edges: Sparse
    """[2, N, v], the propagation into each node: along the edges, and against them.

    It comes from nodes one layer before or, behind the first layer, from operators.
    """


def unfold(graphs: Graphs, layers: int, apart: bool = False) -> Unfolded:
    """Graphs for a network of so many layers, which propagates by A + I and A^T + I with rows that sum to one.

    `apart`: no two vertices are one, as if each had an operator of its own.
    """
    present = graphs.operators != ABSENT
    loops = np.eye(graphs.operators.shape[1], dtype=np.bool_) & present[:, :, None]
    edges = np.stack([graphs.adjacency, graphs.adjacency.transpose(0, 2, 1)]) | loops
    number = graphs.operators.astype(np.int64) - 1
    word, nodes = graphs.operators.astype(np.uint64), 0
    if apart:
        word = np.where(present, np.arange(word.size, dtype=np.uint64).reshape(word.shape), np.uint64(0))
    found: list[Sparse] = []
    for _ in range(layers):
        one, other = _summed(edges, word)
        word = splitmix64(one + splitmix64(splitmix64(other + np.uint64(1))))
        _, first, same = np.unique(word[present], return_index=True, return_inverse=True)
        graph, vertex = (at[first] for at in np.nonzero(present))
        found.append(_propagation(edges[:, graph, vertex], number[graph]))
        number[present] = nodes + same
        nodes += len(first)
    parts = (np.concatenate(part, axis=1) for part in zip(*found, strict=True))
    return Unfolded(np.sort(number, axis=1), Sparse(*parts))


def _summed(edges: Bools, word: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """The sums of the mixed words UInt64[n, v] of what Bool[2, n, v, v] leads to."""
    return np.matmul(edges.astype(np.uint64), splitmix64(word + np.uint64(1))[:, :, None])[..., 0]


def _propagation(edges: Bools, number: Ints) -> Sparse:
    """Means over those of the numbers Int[n, v] that `edges` Bool[2, n, v] say, in ascending order."""
    vertices = edges.shape[2]
    rows = sparse(*edges.shape)
    rows.length[:] = edges.sum(axis=2)
    ordered = np.sort(np.where(edges, number, np.iinfo(np.int64).max), axis=2)
    there = np.arange(vertices) < rows.length[..., None]
    rows.at[..., :vertices] = np.where(there, ordered, 0)
    rows.value[..., :vertices] = there / rows.length[..., None]
    return rows


class Unfoldings:
    """The graphs of a space for a network of so many layers. Raises HarnessError for a space without graphs."""

    def __init__(self, space: SearchSpace, layers: int) -> None:
        self.space, self.layers = space, layers
        self.view = view_of(space)

    def of(self, codes: Ints) -> tuple[Unfolded, Ints]:
        """Graphs, and which of them codes Int[..., d] are, Int[...]; all of the space where it can be enumerated."""
        if self.space.cardinality <= ENUMERATED:
            unfolded, number = self._all
            return unfolded, number[codes @ self.space.strides]
        few, same = distinct(self.view, codes.reshape(-1, codes.shape[-1]))
        return unfold(self.view.of(few), self.layers), same.reshape(codes.shape[:-1])

    def apart(self, codes: Ints) -> Unfolded:
        """A graph for each of codes Int[n, d], whose vertices have nothing in common with others."""
        return unfold(self.view.of(codes), self.layers, apart=True)

    @property
    def _all(self) -> tuple[Unfolded, Ints]:
        known = _KNOWN.setdefault(self.view, {})
        if self.layers not in known:
            sizes = self.space.sizes.tolist()
            every = np.stack(np.unravel_index(np.arange(self.space.cardinality), sizes), axis=1)
            few, same = distinct(self.view, every)
            known[self.layers] = unfold(self.view.of(few), self.layers), same
        return known[self.layers]


_KNOWN: WeakKeyDictionary[GraphView, dict[int, tuple[Unfolded, Ints]]] = WeakKeyDictionary()
