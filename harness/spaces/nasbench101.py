"""The spaces of NAS-Bench-101 (Ying et al., "NAS-Bench-101: Towards reproducible neural architecture search", 2019)
and NAS-Bench-1Shot1 (Zela, Siems and Hutter, ICLR 2020), whose configurations are the same cells.

The encodings A, B and C are those of nas_benchmarks, the code behind the published comparisons (same paper and Klein
and Hutter 2019), and so is their rule of validity. A cell is written as the operators of its middle vertices and the
edges of its pruned graph, `conv3x3-bn-relu,maxpool3x3;0-1,0-2,1-2,2-3`: vertex 0 is the input, the last the output.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from harness.arrays import Bools, Ints
from harness.graphs import FIRST_OPERATOR, Graphs, GraphView, pruned
from harness.space import Parameter, SearchSpace, by_columns
from harness.spaces import Published
from harness.spaces.nasbench101_cells import (
    EDGE_SOURCES,
    EDGE_TARGETS,
    MAX_EDGES,
    MIDDLE,
    ONE_SHOT_SPACES,
    OPERATORS,
    VERTICES,
    CellIndex,
    ChoiceBlockSpace,
    decode_a,
    decode_b,
    decode_c,
    prune,
)

PRIORITIES = 1000
"""Values of an edge's priority in encoding C, evenly spaced in [0, 1]; ties go to the edge with the lower number."""

_EDGES = tuple(f"{i}_{j}" for i, j in zip(EDGE_SOURCES.tolist(), EDGE_TARGETS.tolist(), strict=True))
DESCENDING = tuple(f"{i}_{j}" for j in range(6, 0, -1) for i in range(j - 1, -1, -1))
_OPS = tuple(Parameter(f"op_{vertex}", OPERATORS) for vertex in range(1, 6))

Decode = Callable[[Ints], tuple[Bools, Any]]


@dataclass(frozen=True)
class Encoding:
    """How configurations are written: their space, and the cells Bool[n, 7, 7], Int[n, 5] that codes stand for."""

    space: SearchSpace
    decode: Decode
    meaning: str


def _graphs(decode: Decode, codes: Ints) -> Graphs:
    adjacency, ops = decode(codes)
    return pruned(adjacency, ops + FIRST_OPERATOR)


def cell_space(parameters: Sequence[Parameter], decode: Decode, drop: tuple[int, int] | None = None) -> SearchSpace:
    """The space of the cells Bool[n, 7, 7], Int[n, 5] that `decode` makes of codes.

    The parameters that have the operators for values are GPNAS's D_op, the others its D_sk.
    """
    connections = [i for i, p in enumerate(parameters) if tuple(p.values) != OPERATORS]
    view = GraphView(VERTICES, OPERATORS, partial(_graphs, decode), unordered=True)
    return SearchSpace(tuple(parameters), view, by_columns(parameters, connections, drop))


ENCODINGS = {
    "a": Encoding(
        cell_space((*(Parameter(f"edge_{e}", (0, 1)) for e in _EDGES), *_OPS), decode_a, drop=(1, 0)),
        decode_a,
        "21 binary edges and 5 operators; a cell with more than nine edges is invalid even where pruning would leave "
        "nine, as in nas_benchmarks",
    ),
    "b": Encoding(
        cell_space((*(Parameter(f"slot_{k}", DESCENDING) for k in range(MAX_EDGES)), *_OPS), decode_b),
        decode_b,
        "9 slots that each name one of 21 edges, and 5 operators",
    ),
    "c": Encoding(
        cell_space(
            (
                Parameter("edges", range(MAX_EDGES + 1), "ordinal"),
                *(Parameter(f"priority_{e}", np.linspace(0, 1, PRIORITIES).tolist(), "ordinal") for e in _EDGES),
                *_OPS,
            ),
            decode_c,
        ),
        decode_c,
        "the number of edges, 21 priorities of which the highest are drawn, and 5 operators",
    ),
}


def _blocks(blocks: ChoiceBlockSpace) -> SearchSpace:
    parameters = [
        Parameter(name, [v if isinstance(v, str) else "+".join(map(str, v)) for v in values])
        for name, values in blocks.parameters.items()
    ]
    return cell_space(parameters, blocks.decode)


ONE_SHOT = {str(number): _blocks(blocks) for number, blocks in ONE_SHOT_SPACES.items()}
"""The three search spaces of NAS-Bench-1Shot1."""


def finder(decode: Decode, codes: Ints) -> Callable[[Ints], Ints]:
    """What maps codes Int[n, d] to the rows of a table of cells `codes` Int[N, d], however a cell is written.

    Raises ValueError if a row is no cell, or is the same cell as another.
    """
    return partial(found, CellIndex.of_cells(*decode(codes)), decode)


def found(index: CellIndex, decode: Decode, codes: Ints) -> Ints:
    """The rows of `index` that codes Int[n, d] find, Int[n]; -1 for none."""
    return index.rows(*decode(codes), max_drawn_edges=MAX_EDGES)


def write(adjacency: Bools, ops: Ints) -> str:
    """The text of the cell with `adjacency` Bool[7, 7] and the middle vertices' `ops` Int[5].

    Raises ValueError if its input does not reach its output or it has more than nine edges.
    """
    pruned = prune(adjacency[None])[0]
    if not 0 < pruned.sum() <= MAX_EDGES:
        raise ValueError("not a cell of NAS-Bench-101")
    kept = np.flatnonzero(pruned.any(axis=0) | pruned.any(axis=1))
    inner = pruned[np.ix_(kept, kept)]
    edges = ",".join(f"{i}-{j}" for i, j in np.argwhere(inner))
    names = ",".join(OPERATORS[ops[vertex - 1]] for vertex in kept[1:-1])
    return f"{names};{edges}"


def cell_of(text: str) -> tuple[Bools, Ints]:
    """Adjacency Bool[7, 7] and operators Int[5] of a cell written as text.

    The output moves to vertex 6. Raises ValueError if `text` is no such cell.
    """
    names, semicolon, edges = text.partition(";")
    ops = [OPERATORS.index(name) for name in names.split(",") if name]
    if not semicolon or len(ops) > MIDDLE:
        raise ValueError("not a cell of at most seven vertices")
    adjacency = np.zeros((VERTICES, VERTICES), dtype=np.bool_)
    last = len(ops) + 1
    for edge in edges.split(","):
        i, j = map(int, edge.split("-"))
        if not 0 <= i < j <= last:
            raise ValueError(f"no edge {edge}")
        adjacency[i, VERTICES - 1 if j == last else j] = True
    return adjacency, np.array(ops + [0] * (MIDDLE - len(ops)))


def _of(space: SearchSpace, decode: Decode, title: str) -> Published:
    def text(codes: Ints) -> str:
        adjacency, ops = decode(codes[None])
        return write(adjacency[0], ops[0])

    return Published(
        kind="nb101",
        title=title,
        space=space,
        write=text,
        read=lambda text: write(*cell_of(text)),
        example="conv3x3-bn-relu,maxpool3x3;0-1,0-2,1-2,2-3",
        networks="harness.train.networks:nb101",
        finder=partial(finder, decode),
    )


a, b, c = (_of(used.space, used.decode, f"NAS-Bench-101, encoding {name.upper()}") for name, used in ENCODINGS.items())
one_shot_1, one_shot_2, one_shot_3 = (
    _of(ONE_SHOT[str(number)], blocks.decode, f"NAS-Bench-1Shot1, search space {number}")
    for number, blocks in ONE_SHOT_SPACES.items()
)
