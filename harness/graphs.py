"""Architectures as graphs: what graph predictors, GPNAS and drawings need to know of a space.

The graphs of a space have `v` vertices in topological order: the first is the input, the last the output, the others
carry an operator. Where operators stand on edges (NAS-Bench-201), the vertices are those of the line graph. What is on
no path from input to output is absent: it has no edge, and operator 0.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import permutations
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from harness.arrays import Bools, Ints
from harness.rng import splitmix64

ABSENT, INPUT, OUTPUT, FIRST_OPERATOR = range(4)
"""Vertex labels of every view; those from the last on are the space's own operators."""


class Graphs(NamedTuple):
    """`n` directed graphs: an edge i -> j at adjacency[:, i, j], Bool[n, v, v]; vertex labels Int[n, v]."""

    adjacency: Bools
    operators: NDArray[np.int8]


@dataclass(frozen=True, eq=False)
class Layout:
    """How architectures are drawn whose operators stand on edges, one parameter of the space for each of `edges`.

    `vertices` are their names, `places` where they lie in the plane; an edge swerves to the right by half of `bends`
    of its length.
    """

    edges: tuple[tuple[int, int], ...]
    vertices: tuple[str, ...]
    places: tuple[tuple[float, float], ...]
    bends: tuple[float, ...]


@dataclass(frozen=True, eq=False)
class GraphView:
    """How the configurations of a space are seen as graphs: `of` maps codes Int[n, d] to n graphs.

    `operators` are the names of the labels from `FIRST_OPERATOR` on. `unordered`: graphs that differ in the order of
    their vertices only are one architecture with one entry in a table. They are drawn with their vertices in a row
    where there is no `layout`.
    """

    vertices: int
    operators: tuple[str, ...]
    of: Callable[[Ints], Graphs]
    unordered: bool = False
    layout: Layout | None = None

    @property
    def labels(self) -> int:
        """Number of vertex labels."""
        return FIRST_OPERATOR + len(self.operators)


def pruned(adjacency: Bools, labels: Ints) -> Graphs:
    """The graphs without what is on no path from their first vertex to their last.

    `adjacency` Bool[n, v, v] has edges from lower to higher vertices only; `labels` Int[n, v - 2] are those of the
    vertices in between.
    """
    n, v, _ = adjacency.shape
    from_input = np.zeros((n, v), dtype=np.bool_)
    to_output = from_input.copy()
    from_input[:, 0] = to_output[:, -1] = True
    for i in range(1, v):
        from_input[:, i] = (from_input[:, :i] & adjacency[:, :i, i]).any(axis=1)
    for i in range(v - 2, -1, -1):
        to_output[:, i] = (to_output[:, i + 1 :] & adjacency[:, i, i + 1 :]).any(axis=1)
    present = from_input & to_output
    operators = np.full((n, v), INPUT, dtype=np.int8)
    operators[:, 1:-1] = np.where(present[:, 1:-1], labels, ABSENT)
    operators[:, -1] = OUTPUT
    return Graphs(adjacency & present[:, :, None] & present[:, None, :], operators)


def fingerprints(graphs: Graphs) -> NDArray[np.uint64]:
    """A number for each graph, UInt64[n], which does not depend on the order of its vertices.

    Every vertex takes in the sums over its predecessors and its successors, as often as there are vertices (Weisfeiler
    and Lehman 1968). It tells all cells of NAS-Bench-101 apart.
    """
    out_of = graphs.adjacency.astype(np.uint64)
    into = np.ascontiguousarray(out_of.transpose(0, 2, 1))
    hidden = splitmix64(graphs.operators.astype(np.uint64) + np.uint64(1))
    for _ in range(graphs.operators.shape[1]):
        before, after = (np.matmul(edges, hidden[:, :, None])[:, :, 0] for edges in (into, out_of))
        hidden = splitmix64(hidden + splitmix64(before + np.uint64(1)) + splitmix64(splitmix64(after + np.uint64(2))))
    return splitmix64(hidden.sum(axis=1))


def line_graph(edges: Sequence[tuple[int, int]], drawn: Bools, labels: Ints) -> Graphs:
    """The graphs whose vertices are the edges of others, pruned, Bool[n, e + 2, e + 2] and Int[n, e + 2].

    `edges` are (from, to) pairs of vertices, ordered so that those into a vertex come before those out of it; vertex 0
    is the input, the highest the output. `drawn` Bool[n, e] says which are there, `labels` Int[n, e] what is on them.
    """
    source, target = np.array(edges).T
    follows = np.zeros((len(edges) + 2,) * 2, dtype=np.bool_)
    follows[1:-1, 1:-1] = target[:, None] == source
    follows[0, 1:-1] = source == 0
    follows[1:-1, -1] = target == target.max()
    there = np.pad(drawn, [(0, 0), (1, 1)], constant_values=True)
    return pruned(follows & there[:, :, None] & there[:, None, :], labels)


def classes(graphs: Graphs) -> Ints:
    """Numbers of the graphs, Int[n], equal for those that are isomorphic: vertices renamed, labels kept.

    Input and output stay in place. All (v - 2)! orders of the others are tried, on graphs that are not the same.
    """
    kept, which = np.unique(_words(*graphs), axis=0, return_index=True, return_inverse=True)[1:]
    distinct = Graphs(graphs.adjacency[kept], graphs.operators[kept])
    v = graphs.operators.shape[1]
    least = _words(*distinct)
    for order in permutations(range(1, v - 1)):
        place = [0, *order, v - 1]
        words = _words(distinct.adjacency[:, place][:, :, place], distinct.operators[:, place])
        below = (words[:, 0] < least[:, 0]) | (words[:, 0] == least[:, 0]) & (words[:, 1] < least[:, 1])
        least[below] = words[below]
    return np.unique(least, axis=0, return_inverse=True)[1].ravel()[which.ravel()]


def _words(adjacency: Bools, operators: NDArray[np.int8]) -> NDArray[np.uint64]:
    """Graphs of at most eight vertices as two numbers each, [n, 2]."""
    n, v = operators.shape
    bits = np.zeros((n, 8), dtype=np.uint8)
    packed = np.packbits(adjacency.reshape(n, v * v), axis=1)
    bits[:, : packed.shape[1]] = packed
    labels = np.zeros((n, 8), dtype=np.uint8)
    labels[:, :v] = operators
    return np.concatenate([bits.view(np.uint64), labels.view(np.uint64)], axis=1)
