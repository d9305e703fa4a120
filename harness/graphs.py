"""Architectures as graphs, and search spaces as two: what graph predictors and GPNAS need to know of a space.

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
from harness.space import Parameter, SearchSpace

Translation = Callable[[Ints], Ints]

ABSENT, INPUT, OUTPUT, FIRST_OPERATOR = range(4)
"""Vertex labels of every view; those from the last on are the space's own operators."""


class Graphs(NamedTuple):
    """`n` directed graphs: an edge i -> j at adjacency[:, i, j], Bool[n, v, v]; vertex labels Int[n, v]."""

    adjacency: Bools
    operators: NDArray[np.int8]


@dataclass(frozen=True, eq=False)
class GraphView:
    """How the configurations of a space are seen as graphs: `of` maps codes Int[n, d] to n graphs.

    `operators` are the names of the labels from `FIRST_OPERATOR` on. `unordered`: graphs that differ in the order of
    their vertices only are one architecture with one entry in a table.
    """

    vertices: int
    operators: tuple[str, ...]
    of: Callable[[Ints], Graphs]
    unordered: bool = False

    @property
    def labels(self) -> int:
        """Number of vertex labels."""
        return FIRST_OPERATOR + len(self.operators)


@dataclass(frozen=True, eq=False)
class Split:
    """A space as two, connections and operators (D_sk and D_op of GPNAS).

    `apart` maps codes Int[n, d] to those of both parts, with -1 where a configuration leaves an operator open; `join`
    maps them back. `drop` holds the code of a plain connection and the code that it gets when it is dropped, the same
    for every parameter of `connections`; None where connections cannot be dropped.
    """

    connections: SearchSpace
    operators: SearchSpace
    apart: Callable[[Ints], tuple[Ints, Ints]]
    join: Callable[[Ints, Ints], Ints]
    drop: tuple[int, int] | None = None


def by_columns(
    parameters: Sequence[Parameter], connections: Sequence[int], drop: tuple[int, int] | None = None
) -> Split:
    """The split of a space by its parameters: those at the positions `connections`, and the others."""
    first = np.array(connections)
    second = np.setdiff1d(np.arange(len(parameters)), first)
    back = np.argsort(np.concatenate([first, second]))
    return Split(
        SearchSpace(tuple(parameters[i] for i in first)),
        SearchSpace(tuple(parameters[i] for i in second)),
        lambda codes: (codes[:, first], codes[:, second]),
        lambda one, other: np.concatenate([one, other], axis=1)[:, back],
        drop,
    )


def subspace(space: SearchSpace, parameters: Sequence[Parameter]) -> SearchSpace:
    """`space` with the values of `parameters` only, which are some of its own; its graphs and its split stay.

    If values are left out, each parameter of the split's parts has to follow from one parameter of the space.
    """
    if [len(p.values) for p in parameters] == space.sizes.tolist():
        return space
    kept = [
        np.array([[*whole.values].index(value) for value in part.values])
        for whole, part in zip(space.parameters, parameters, strict=True)
    ]
    up, down = _translations(kept)
    view, graphs, split = space.graphs, None, None
    if view is not None:
        graphs = GraphView(view.vertices, view.operators, lambda codes: view.of(up(codes)), view.unordered)
    if space.split is not None:
        every = np.arange(max(map(len, kept)))[:, None]
        seen = up(np.minimum(every, [len(values) - 1 for values in kept]))
        split = _subsplit(space.split, seen, up, down)
    return SearchSpace(tuple(parameters), graphs, split)


def _subsplit(split: Split, seen: Ints, up: Translation, down: Translation) -> Split:
    """The part of `split` that codes `seen` Int[n, d] have. A parameter that is always left open keeps one value."""
    kept = [
        [np.unique(column[column >= 0]) if (column >= 0).any() else np.zeros(1, np.int64) for column in codes.T]
        for codes in split.apart(seen)
    ]
    connections, operators = (
        SearchSpace(
            tuple(
                Parameter(p.name, tuple(p.values[int(code)] for code in codes), p.kind)
                for p, codes in zip(part.parameters, values, strict=True)
            )
        )
        for part, values in zip((split.connections, split.operators), kept, strict=True)
    )
    (first_up, first_down), (second_up, second_down) = map(_translations, kept)

    def apart(codes: Ints) -> tuple[Ints, Ints]:
        one, other = split.apart(up(codes))
        return first_down(one), second_down(other)

    def join(one: Ints, other: Ints) -> Ints:
        return down(split.join(first_up(one), second_up(other)))

    drop = None
    if split.drop is not None:
        plain, none = (first_down(np.full(split.connections.dimensions, code)) for code in split.drop)
        if plain.min() == plain.max() >= 0 and none.min() == none.max() >= 0:
            drop = int(plain[0]), int(none[0])
    return Split(connections, operators, apart, join, drop)


def _translations(kept: Sequence[Ints]) -> tuple[Translation, Translation]:
    """From codes Int[..., d] among the `kept` ones of each parameter to codes among all, and back; -1 stays -1."""
    up = np.full((len(kept), 2 + max(values.max() for values in kept)), -1)
    down = up.copy()
    for i, values in enumerate(kept):
        up[i, : len(values)] = values
        down[i, values] = np.arange(len(values))
    column = np.arange(len(kept))
    return (lambda codes: up[column, codes]), (lambda codes: down[column, codes])


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
