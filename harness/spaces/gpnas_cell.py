"""GPNAS's search space for real training: a normal and a reduction cell of generalised operators.

A cell is a graph of an input and four vertices. A vertex adds up what comes in and applies an activation, an operator
whose weights start by one of three initialisations, and batch normalisation: 4 x 13 x 3 = 156 choices, apart from the
connections. The cell's output is the sum of the vertices that feed no other, as in NASNet (Zoph et al., CVPR 2018).

As text an architecture is `gpnas-cell:NORMAL:REDUCTION`, a cell being its vertices and edges,
`relu.conv_3x3.gauss,selu.max_pool_3x3;0-1,1-2`: 0 is the input. Vertices that the input does not reach are left out, so
are initialisations where there is no weight, and of the orders of the vertices the one whose text sorts first is taken.
"""

from __future__ import annotations

from itertools import permutations, product

import numpy as np

from harness.arrays import Bools, Ints
from harness.graphs import FIRST_OPERATOR, Graphs, GraphView, pruned
from harness.space import Parameter, SearchSpace, by_columns
from harness.spaces import Published

OPERATORS = (
    "identity",
    "conv_1x3_3x1",
    "conv_1x7_7x1",
    "dil_conv_3x3",
    "avg_pool_3x3",
    "max_pool_3x3",
    "max_pool_5x5",
    "max_pool_7x7",
    "conv_1x1",
    "conv_3x3",
    "sep_conv_3x3",
    "sep_conv_5x5",
    "sep_conv_7x7",
)
INITIALISATIONS = ("uniform", "gauss", "gauss2")
ACTIVATIONS = ("selu", "relu", "elu", "tanh")
VERTICES = 4
"""Vertices of a cell but its input."""

PREFIX = "gpnas-cell:"
CELLS = ("normal", "reduction")

_EDGES = tuple((i, j) for j in range(1, VERTICES + 1) for i in range(j))
_VERTEX = ("operator", "initialisation", "activation")

Cell = tuple[tuple[str, ...], tuple[tuple[int, int], ...]]
"""Labels of the vertices, and edges between them; vertex 0 is the input and has no label."""


def label(operator: str, initialisation: str, activation: str) -> str:
    """A vertex as text. The initialisation is left out where the operator has no weights."""
    weights = "conv" in operator
    return ".".join([activation, operator, *([initialisation] if weights else [])])


LABELS = tuple(dict.fromkeys(label(*choice) for choice in product(OPERATORS, INITIALISATIONS, ACTIVATIONS)))
"""The vertices that differ: 116 of the 156."""

_CHAIN = len(_VERTEX)
_CELL_SIZE = 1 + _CHAIN * VERTICES
_NAMES = ("cell", *ACTIVATIONS, *OPERATORS, *INITIALISATIONS, "no weights")
"""What the graphs' vertices carry; `cell` is the output of the normal cell, which is the input of the other."""


def _decoded(codes: Ints) -> tuple[Bools, Ints]:
    """Adjacency Bool[n, 2, 5, 5] and choices Int[n, 2, 4, 3], in the order of `_VERTEX`, of codes Int[n, d]."""
    n, edges = len(codes), len(CELLS) * len(_EDGES)
    source, target = np.array(_EDGES).T
    adjacency = np.zeros((n, len(CELLS), VERTICES + 1, VERTICES + 1), dtype=np.bool_)
    adjacency[:, :, source, target] = codes[:, :edges].reshape(n, len(CELLS), -1) > 0
    return adjacency, codes[:, edges:].reshape(n, len(CELLS), VERTICES, len(_VERTEX))


def _graphs(codes: Ints) -> Graphs:
    """Both cells in a row; a vertex is a chain of three: activation, operator, initialisation."""
    inner, chosen = _decoded(codes)
    operator, initialisation, activation = np.moveaxis(chosen, 3, 0)
    weights = np.array(["conv" in name for name in OPERATORS])[operator]
    start = np.where(weights, initialisation, len(INITIALISATIONS))
    first_operator = 1 + len(ACTIVATIONS)
    links = np.stack([1 + activation, first_operator + operator, first_operator + len(OPERATORS) + start], axis=3)
    size = len(CELLS) * _CELL_SIZE + 1
    adjacency = np.zeros((len(codes), size, size), dtype=np.bool_)
    labels = np.full((len(codes), size - 2), FIRST_OPERATOR)
    for cell, first in enumerate((0, _CELL_SIZE)):
        chain = first + 1 + np.arange(VERTICES * _CHAIN).reshape(VERTICES, _CHAIN)
        ends = [first, *chain[:, -1].tolist()]
        for i, j in _EDGES:
            adjacency[:, ends[i], chain[j - 1, 0]] = inner[:, cell, i, j]
        adjacency[:, chain[:, :-1], chain[:, 1:]] = True
        adjacency[:, chain[:, -1], first + _CELL_SIZE] = ~inner[:, cell, 1:].any(axis=2)
        labels[:, chain - 1] += links[:, cell]
    return pruned(adjacency, labels)


_PARAMETERS = (
    *(Parameter(f"{cell}_{i}_{j}", (0, 1)) for cell in CELLS for i, j in _EDGES),
    *(
        Parameter(f"{cell}_{name}_{v}", values)
        for cell in CELLS
        for v in range(1, VERTICES + 1)
        for name, values in zip(_VERTEX, (OPERATORS, INITIALISATIONS, ACTIVATIONS), strict=True)
    ),
)

SPACE = SearchSpace(
    _PARAMETERS,
    GraphView(len(CELLS) * _CELL_SIZE + 1, _NAMES, _graphs, unordered=True),
    by_columns(_PARAMETERS, range(len(CELLS) * len(_EDGES)), drop=(1, 0)),
)


def text_of(codes: Ints) -> str:
    """The canonical text of codes Int[d]. Raises ValueError where a cell's input does not reach its output."""
    adjacency, chosen = _decoded(codes[None])
    choices = (OPERATORS, INITIALISATIONS, ACTIVATIONS)
    cells = []
    for edges, vertices in zip(adjacency[0], chosen[0].tolist(), strict=True):
        labels = [label(*(values[i] for values, i in zip(choices, vertex, strict=True))) for vertex in vertices]
        cells.append(_canonical(labels, [(i, j) for i, j in np.argwhere(edges).tolist()]))
    return _printed(cells)


def canonical(text: str) -> str:
    """The canonical form of an architecture written as text. Raises ValueError if it is none."""
    return _printed([_canonical(list(labels), list(edges)) for labels, edges in cells_of(text)])


def cells_of(text: str) -> tuple[Cell, Cell]:
    """The normal and the reduction cell of an architecture written as text. Raises ValueError if it is none."""
    if not text.startswith(PREFIX):
        raise ValueError(f"'{text}' does not begin with {PREFIX}")
    normal, reduction = text.removeprefix(PREFIX).split(":")
    return _parsed(normal), _parsed(reduction)


def _parsed(cell: str) -> Cell:
    names, edges = cell.split(";")
    labels = [_known(name) for name in names.split(",")]
    if len(labels) > VERTICES:
        raise ValueError(f"more than {VERTICES} vertices")
    pairs = []
    for edge in edges.split(","):
        i, j = map(int, edge.split("-"))
        if not 0 <= i < j <= len(labels):
            raise ValueError(f"no edge {edge}")
        pairs.append((i, j))
    return tuple(labels), tuple(pairs)


def _known(name: str) -> str:
    """A label as it is written, an initialisation being allowed where there is nothing to initialise."""
    activation, operator, *rest = name.split(".")
    found = label(operator, rest[0] if rest else "", activation)
    if found not in LABELS or len(rest) > 1 or not {*rest} <= {*INITIALISATIONS}:
        raise ValueError(f"no vertex {name}")
    return found


def _canonical(labels: list[str], edges: list[tuple[int, int]]) -> Cell:
    """The cell without the vertices that its input does not reach, in the order whose text sorts first."""
    reached = {0}
    for i, j in sorted(set(edges)):
        if i in reached:
            reached.add(j)
    if len(reached) == 1:
        raise ValueError("the input of a cell does not reach its output")
    kept = sorted(reached)
    inner = [(kept.index(i), kept.index(j)) for i, j in set(edges) if i in reached]
    found: list[Cell] = []
    for order in permutations(range(1, len(kept))):
        place = (0, *order)
        moved = sorted((place[i], place[j]) for i, j in inner)
        if all(i < j for i, j in moved):
            names = sorted((place[v], labels[kept[v] - 1]) for v in range(1, len(kept)))
            found.append((tuple(name for _, name in names), tuple(moved)))
    return min(found)


def _printed(cells: list[Cell]) -> str:
    return PREFIX + ":".join(f"{','.join(labels)};{','.join(f'{i}-{j}' for i, j in edges)}" for labels, edges in cells)


published = Published(
    kind="gpnas-cell",
    title="GPNAS's generalised cells",
    space=SPACE,
    write=text_of,
    read=canonical,
    example="gpnas-cell:relu.conv_3x3.gauss,selu.max_pool_3x3;0-1,1-2:elu.identity;0-1",
    networks="harness.train.gpnas_networks:network",
)
