"""Cells of NAS-Bench-101 and NAS-Bench-1Shot1 as arrays: pruning, identity, encodings.

A cell is a directed acyclic graph: vertex 0 is the input, vertex 6 the output, the five vertices
between carry an operator. `n` cells are two arrays with the cell axis first:

    adjacency  Bool[n, 7, 7]  edge i -> j at [:, i, j]; only the strict upper triangle is read
    ops        Int[n, 5]      operators of vertices 1..5, positions in `OPERATORS`

A cell with fewer vertices leaves middle vertices without edges; the operator of a vertex that is
not on a path from input to output means nothing. Inside this module the 21 possible edges are one
integer, `edge bits`: bit j (j - 1) / 2 + i is edge i -> j, which makes the parents of every vertex
a contiguous bit field.

Two cells are the same architecture if their pruned graphs are isomorphic, operators included.
`CellIndex` decides this exactly and without a hash: only 13,839 of the 2^21 adjacency matrices are
pruned cells with at most nine edges, so each gets its canonical form by trying all 120 orders of
the middle vertices, and a query is three table lookups.

Ying et al. 2019, "NAS-Bench-101: Towards Reproducible Neural Architecture Search",
    https://arxiv.org/abs/1902.09635
Zela et al. 2020, "NAS-Bench-1Shot1: Benchmarking and Dissecting One-shot Neural Architecture
    Search", https://arxiv.org/abs/2001.10422
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from itertools import combinations, permutations
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

BoolArray = npt.NDArray[np.bool_]
IntArray = npt.NDArray[np.integer[Any]]

OPERATORS = ("conv3x3-bn-relu", "conv1x1-bn-relu", "maxpool3x3")
VERTICES = 7
MIDDLE = VERTICES - 2
MAX_EDGES = 9
GRAPH_CLASSES = 2494
"""Pruned graphs of at most nine edges up to isomorphism, without operators; `every_graph` counts them."""
EDGE_SOURCES, EDGE_TARGETS = np.triu_indices(VERTICES, 1)
NUM_EDGES = len(EDGE_SOURCES)

_OUTPUT = VERTICES - 1
_FIRST_BIT = [target * (target - 1) // 2 for target in range(VERTICES)]
_BIT_OF_EDGE = EDGE_TARGETS * (EDGE_TARGETS - 1) // 2 + EDGE_SOURCES
_NO_EDGE = NUM_EDGES
_BIT_OF_PAIR = np.full((VERTICES, VERTICES), _NO_EDGE, np.uint32)
_BIT_OF_PAIR[EDGE_SOURCES, EDGE_TARGETS] = _BIT_OF_EDGE
_BIT_VALUES = np.zeros((VERTICES, VERTICES), np.float32)
_BIT_VALUES[EDGE_SOURCES, EDGE_TARGETS] = np.exp2(_BIT_OF_EDGE)


# --- pruning and validity ---------------------------------------------------------------------


def cells_from_bits(num_vertices: IntArray, bits: IntArray, ops: IntArray) -> tuple[BoolArray, IntArray]:
    """Cells of 2 to 7 vertices, stored as edge bits over their own vertices.

    `num_vertices` and `bits` are Int[n], `ops` is Int[n, 5] with anything after the cell's last
    middle vertex. The output moves to vertex 6, the vertices in between stay without edges.
    """
    own_output = np.asarray(num_vertices, np.int64) - 1
    into_output = own_output * (own_output - 1) // 2
    bits = np.asarray(bits, np.int64)
    inner = bits & ((1 << into_output) - 1)
    whole = inner | (bits >> into_output) << _FIRST_BIT[_OUTPUT]
    unused = np.arange(1, _OUTPUT) >= own_output[:, None]
    return adjacency_of(whole), np.where(unused, 0, ops).astype(np.int8)


def prune(adjacency: BoolArray) -> BoolArray:
    """Bool[n, 7, 7] without the edges of vertices that are on no path from input to output.

    Vertices keep their numbers. A cell whose input does not reach its output loses every edge.
    """
    return adjacency_of(_without_loose_ends(edge_bits(adjacency)))


def num_edges(adjacency: BoolArray) -> IntArray:
    """Int[n] edges as they stand, before any pruning."""
    return np.bitwise_count(edge_bits(adjacency))


def valid(adjacency: BoolArray) -> BoolArray:
    """Bool[n]: input and output are connected and at most nine edges are left after pruning.

    The rule of NASBench (Ying et al. 2019). The vertex limit holds by shape.
    """
    pruned = _without_loose_ends(edge_bits(adjacency))
    return (pruned > 0) & (np.bitwise_count(pruned) <= MAX_EDGES)


def edge_bits(adjacency: BoolArray) -> npt.NDArray[np.uint32]:
    """UInt32[n] edge bits of Bool[n, 7, 7]."""
    exact: npt.NDArray[np.float32] = np.einsum("nij,ij->n", adjacency, _BIT_VALUES)  # below 2^24
    return exact.astype(np.uint32)


def adjacency_of(bits: IntArray) -> BoolArray:
    """Bool[n, 7, 7] of Int[n] edge bits."""
    return (bits.astype(np.uint32)[:, None, None] >> _BIT_OF_PAIR & 1).astype(np.bool_)


def _vertices_on_paths(bits: IntArray) -> npt.NDArray[np.uint8]:
    """UInt8[n] bit sets of the vertices on a path from input to output, 0 if there is none."""
    parents = [(bits >> _FIRST_BIT[v] & ((1 << v) - 1)).astype(np.uint8) for v in range(VERTICES)]
    after_input = np.ones(len(bits), np.uint8)
    for vertex in range(1, VERTICES):
        after_input |= ((parents[vertex] & after_input) > 0).view(np.uint8) << vertex
    before_output = np.full(len(bits), 1 << _OUTPUT, np.uint8)
    for vertex in range(_OUTPUT, 0, -1):
        before_output |= (before_output >> vertex & 1) * parents[vertex]
    connected = after_input >> _OUTPUT
    return after_input & before_output * connected


def _without_loose_ends(bits: npt.NDArray[np.uint32]) -> npt.NDArray[np.uint32]:
    """UInt32[n] edge bits after pruning."""
    kept: npt.NDArray[np.uint32] = bits & _edges_among()[_vertices_on_paths(bits)]
    return kept


@cache
def _edges_among() -> npt.NDArray[np.uint32]:
    """UInt32[128]: edge bits of the complete graph over each bit set of vertices."""
    members = np.arange(1 << VERTICES)[:, None] >> np.arange(VERTICES) & 1
    both = members[:, EDGE_SOURCES] & members[:, EDGE_TARGETS]
    bits: npt.NDArray[np.uint32] = (both << _BIT_OF_EDGE).sum(axis=1, dtype=np.uint32)
    return bits


# --- identity: rows of a table ----------------------------------------------------------------


class _Graphs(NamedTuple):
    """Every pruned graph of at most nine edges (g of them) up to isomorphism (c classes).

    Graph 0 and class 0 stand for all invalid adjacency matrices. An operator assignment becomes a
    number in base 3 whose digits are the operators of the used vertices in canonical order.
    """

    graph_of: npt.NDArray[np.uint16]  # [2^21] by edge bits before pruning
    class_of: npt.NDArray[np.int64]  # [g]
    digit_value: npt.NDArray[np.uint8]  # [g, 5] in one canonical order; 0 for unused vertices
    canonical: BoolArray  # [120, g] orders of the middle vertices that give the canonical form


@cache
def _orders() -> npt.NDArray[np.int64]:
    """Int[120, 7]: new numbers of the vertices, input and output in place."""
    inner = [(0, *order, _OUTPUT) for order in permutations(range(1, _OUTPUT))]
    return np.array(inner, np.int64)


def _digit_values() -> npt.NDArray[np.uint8]:
    """UInt8[120, 5]: place value of each middle vertex's operator under each order."""
    return (3 ** (_orders()[:, 1:_OUTPUT] - 1)).astype(np.uint8)


@cache
def every_graph() -> _Graphs:
    """Bring all 2^21 adjacency matrices into canonical form: the smallest of 120 relabellings."""
    drawn = np.arange(1 << NUM_EDGES, dtype=np.uint32)
    pruned = _without_loose_ends(drawn)
    is_valid = (pruned > 0) & (np.bitwise_count(pruned) <= MAX_EDGES)
    graphs = np.flatnonzero(is_valid & (pruned == drawn))

    number = np.zeros(1 << NUM_EDGES, np.uint16)
    number[graphs] = 1 + np.arange(len(graphs))
    graph_of = np.where(is_valid, number[pruned], 0).astype(np.uint16)

    edges = (graphs[:, None] >> _BIT_OF_EDGE & 1).astype(np.float64)
    orders = _orders()
    relabelled_bit = VERTICES * orders[:, EDGE_SOURCES] + orders[:, EDGE_TARGETS]
    forms = edges @ np.exp2(relabelled_bit).T  # sums of distinct powers below 2^49: exact
    canonical_form = forms.min(axis=1)
    canonical = forms == canonical_form[:, None]
    class_number = np.unique(canonical_form, return_inverse=True)[1]

    vertices = _vertices_on_paths(graphs)[:, None] >> np.arange(1, _OUTPUT) & 1
    digit_value = _digit_values()[canonical.argmax(axis=1)] * vertices.astype(np.uint8)
    return _Graphs(
        graph_of=graph_of,
        class_of=np.append(0, 1 + class_number),
        digit_value=np.pad(digit_value, ((1, 0), (0, 0))),
        canonical=np.ascontiguousarray(np.pad(canonical, ((1, 0), (0, 0))).T),
    )


class CellIndex:
    """Finds the row of a table that holds a cell's architecture, however the cell is written.

    `row_of` Int32[2495, 243] is the whole index, by graph class and operator assignment; it may be
    stored next to the table and handed back as it is.
    """

    def __init__(self, row_of: npt.NDArray[np.int32]) -> None:
        """Take up an index that `of_cells` built."""
        expected = (1 + GRAPH_CLASSES, len(OPERATORS) ** MIDDLE)
        if row_of.shape != expected:
            raise ValueError(f"a cell index has shape {expected}, not {row_of.shape}")
        self.row_of = row_of

    @classmethod
    def of_cells(cls, adjacency: BoolArray, ops: IntArray) -> "CellIndex":
        """Index a table's cells, Bool[N, 7, 7] and Int[N, 5], one row per architecture."""
        known = every_graph()
        graph = known.graph_of[edge_bits(adjacency)].astype(np.intp)
        ops = np.asarray(ops)
        bad = np.flatnonzero((graph == 0) | ~_known_operators(ops, known.digit_value[graph]))
        if len(bad):
            raise ValueError(f"row {bad[0]} is not a valid NAS-Bench-101 cell ({len(bad)} rows)")

        row_of = np.full((1 + GRAPH_CLASSES, len(OPERATORS) ** MIDDLE), -1, np.int32)
        used = known.digit_value > 0
        for digit_value, gives_canonical in zip(_digit_values(), known.canonical, strict=True):
            cell = np.flatnonzero(gives_canonical[graph])
            number = np.where(used[graph[cell]], ops[cell] * digit_value, 0).sum(axis=1)
            row_of[known.class_of[graph[cell]], number] = cell

        index = cls(row_of)
        found = index.rows(adjacency, ops)
        twice = np.flatnonzero(found != np.arange(len(found)))
        if len(twice):
            raise ValueError(f"rows {twice[0]} and {found[twice[0]]} hold the same architecture")
        return index

    def rows(self, adjacency: BoolArray, ops: IntArray, *, max_drawn_edges: int | None = None) -> npt.NDArray[np.int64]:
        """Int[n] row of each cell, -1 for an invalid cell or one that is not in the table.

        NASBench counts edges after pruning. `max_drawn_edges` also limits them before it:
        nas_benchmarks, the code behind the published curves of encoding A, refuses more than nine.
        """
        known = every_graph()
        bits = edge_bits(adjacency)
        graph = known.graph_of[bits]
        digit_value = known.digit_value[graph]
        ops = np.asarray(ops)
        accepted = _known_operators(ops, digit_value)
        if max_drawn_edges is not None:
            accepted &= np.bitwise_count(bits) <= max_drawn_edges
        number = np.where(accepted, np.einsum("nm,nm->n", ops, digit_value), 0)
        return np.where(accepted, self.row_of[known.class_of[graph], number], -1)


def _known_operators(ops: IntArray, digit_value: IntArray) -> BoolArray:
    """Bool[n]: every used vertex (digit value above 0) carries one of `OPERATORS`."""
    known: BoolArray = ((ops >= 0) & (ops < len(OPERATORS)) | (digit_value == 0)).all(axis=1)
    return known


# --- encodings of NAS-Bench-101 ---------------------------------------------------------------


def decode_a(codes: IntArray) -> tuple[BoolArray, IntArray]:
    """Decode encoding A, Int[n, 26]: 21 binary edges in row-major order, then 5 operators.

    `CellIndex.rows(..., max_drawn_edges=9)` gives nas_benchmarks' stricter validity.
    """
    return _cells(codes[:, :NUM_EDGES] > 0), codes[:, NUM_EDGES:]


def decode_b(codes: IntArray) -> tuple[BoolArray, IntArray]:
    """Decode encoding B, Int[n, 14]: 9 slots that each name one of the 21 edges, then 5 operators.

    Slots may name the same edge. Edges are numbered as nas_benchmarks numbers them in this
    encoding: by target and then source, both descending, from 0 = (5, 6) to 20 = (0, 1).
    """
    slots = codes[:, :MAX_EDGES].astype(np.uint32)
    bits = np.bitwise_or.reduce(np.uint32(1) << (NUM_EDGES - 1 - slots), axis=1)
    return adjacency_of(bits), codes[:, MAX_EDGES:]


def decode_c(codes: IntArray) -> tuple[BoolArray, IntArray]:
    """Decode encoding C, Int[n, 27]: number of edges 0..9, 21 priorities (row-major), 5 operators.

    The edges with the highest priorities are drawn. A priority is the integer code of a float on
    a fixed grid, of which only the order matters; ties go to the edge with the lower number.
    """
    count, priorities = codes[:, :1], codes[:, 1 : 1 + NUM_EDGES].astype(np.int64)
    without_ties = priorities * NUM_EDGES + np.arange(NUM_EDGES)[::-1]
    last_drawn = NUM_EDGES - np.maximum(count.astype(np.int64), 1)
    threshold = np.take_along_axis(np.sort(without_ties, axis=1), last_drawn, axis=1)
    return _cells((without_ties >= threshold) & (count > 0)), codes[:, 1 + NUM_EDGES :]


def _cells(edges: BoolArray) -> BoolArray:
    """Bool[n, 7, 7] of Bool[n, 21] edges in row-major order."""
    adjacency = np.zeros((len(edges), VERTICES, VERTICES), np.bool_)
    adjacency[:, EDGE_SOURCES, EDGE_TARGETS] = edges
    return adjacency


# --- NAS-Bench-1Shot1 -------------------------------------------------------------------------


@dataclass(frozen=True)
class ChoiceBlockSpace:
    """A search space of NAS-Bench-1Shot1: choice blocks with a fixed number of parents each.

    `num_parents[k]` belongs to node k + 1, the last one being the output. Codes are the operators
    of the choice blocks, then, for every node that has a choice, its set of parents as a position
    in the lexicographic list of combinations of earlier nodes. The number of configurations is
    their product: 3^blocks times C(node, parents) over the nodes. Loose ends are allowed; pruning
    them leaves an NAS-Bench-101 cell.
    """

    num_parents: tuple[int, ...]

    @property
    def blocks(self) -> int:
        """Number of choice blocks."""
        return len(self.num_parents) - 1

    @property
    def parameters(self) -> Mapping[str, tuple[str, ...] | tuple[tuple[int, ...], ...]]:
        """Values of each parameter, in the order of the codes, named as in 1Shot1's own code."""
        operators = {f"choice_block_{block + 1}_op": OPERATORS for block in range(self.blocks)}
        parents = {
            f"choice_block_{node}_parents": choices for node, choices in self._parent_choices() if len(choices) > 1
        }
        return MappingProxyType({**operators, **parents})

    @property
    def cardinalities(self) -> tuple[int, ...]:
        """Number of values of each parameter."""
        return tuple(len(values) for values in self.parameters.values())

    def decode(self, codes: IntArray) -> tuple[BoolArray, IntArray]:
        """Cells of Int[n, d] codes: `adjacency` Bool[n, 7, 7] and `ops` Int[n, 5]."""
        adjacency = np.zeros((len(codes), VERTICES, VERTICES), np.bool_)
        column = self.blocks
        for node, choices in self._parent_choices():
            target = _OUTPUT if node == len(self.num_parents) else node
            is_parent = np.zeros((len(choices), VERTICES), np.bool_)
            np.put_along_axis(is_parent, np.array(choices), True, axis=1)
            if len(choices) == 1:
                adjacency[:, :, target] = is_parent[0]
            else:
                adjacency[:, :, target] = is_parent[codes[:, column]]
                column += 1
        unused = ((0, 0), (0, MIDDLE - self.blocks))
        return adjacency, np.pad(codes[:, : self.blocks], unused)

    def _parent_choices(self) -> Iterator[tuple[int, tuple[tuple[int, ...], ...]]]:
        for node, parents in enumerate(self.num_parents, start=1):
            yield node, tuple(combinations(range(node), parents))


ONE_SHOT_SPACES: Mapping[int, ChoiceBlockSpace] = MappingProxyType(
    {
        1: ChoiceBlockSpace((1, 2, 2, 2, 2)),
        2: ChoiceBlockSpace((1, 1, 2, 2, 3)),
        3: ChoiceBlockSpace((1, 1, 1, 2, 2, 2)),
    }
)
