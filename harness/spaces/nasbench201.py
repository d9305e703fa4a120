"""The space of NAS-Bench-201 (Dong and Yang, "NAS-Bench-201: Extending the scope of reproducible NAS", ICLR 2020).

A cell has four nodes and an operator on each of its six edges. It is written as the benchmark's own string,
`|nor_conv_3x3~0|+|none~0|skip_connect~1|+|...|`: per node the operator on the edge from each earlier node.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from harness.arrays import Ints
from harness.graphs import FIRST_OPERATOR, Graphs, GraphView, Layout, line_graph
from harness.space import Parameter, SearchSpace, Split, subspace
from harness.spaces import Published

OPERATORS = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
EDGES = ((0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3))
"""(from, to) of each edge in the order of the codes, which is that of the benchmark's architecture strings."""

_NAMES = tuple(f"edge_{i}_{j}" for i, j in EDGES)
_NONE, _SKIP, _OPERATOR = range(3)
_LAYOUT = Layout(
    EDGES,
    ("in", "1", "2", "out"),
    ((0.0, 0.0), (1.0, 0.75), (2.0, -0.75), (3.0, 0.0)),
    (-0.1, 0.1, 0.0, 0.0, -0.1, 0.1),
)


def _graphs(codes: Ints) -> Graphs:
    """The line graph: skip connections are operators, edges without one are absent."""
    return line_graph(EDGES, codes > _NONE, codes + (FIRST_OPERATOR - 1))


def _apart(codes: Ints) -> tuple[Ints, Ints]:
    return np.minimum(codes, _OPERATOR), np.where(codes < _OPERATOR, -1, codes - _OPERATOR)


def _join(connections: Ints, operators: Ints) -> Ints:
    return np.where(connections < _OPERATOR, connections, operators + _OPERATOR)


SPACE = SearchSpace(
    tuple(Parameter(name, OPERATORS) for name in _NAMES),
    GraphView(len(EDGES) + 2, OPERATORS[1:], _graphs, layout=_LAYOUT),
    Split(
        SearchSpace(tuple(Parameter(name, ("none", "skip_connect", "operator")) for name in _NAMES)),
        SearchSpace(tuple(Parameter(name, OPERATORS[_OPERATOR:]) for name in _NAMES)),
        _apart,
        _join,
        drop=(_SKIP, _NONE),
    ),
)


def write(names: tuple[str, ...]) -> str:
    """The string of a cell with these operators on `EDGES`."""
    nodes: list[list[str]] = [[], [], []]
    for (source, target), name in zip(EDGES, names, strict=True):
        nodes[target - 1].append(f"{name}~{source}")
    return "+".join(f"|{'|'.join(node)}|" for node in nodes)


def codes(architecture: str) -> tuple[int, ...]:
    """Codes of the operators on `EDGES` of a string such as `|none~0|+|none~0|none~1|+|...|`, or ValueError."""
    nodes = [node.strip("|").split("|") for node in architecture.split("+")]
    names, sources = zip(*(edge.split("~") for node in nodes for edge in node), strict=True)
    if [len(node) for node in nodes] != [1, 2, 3] or "".join(sources) != "001012":
        raise ValueError(f"{architecture!r} is not a cell of four nodes")
    return tuple(OPERATORS.index(name) for name in names)


def _of(space: SearchSpace, title: str) -> Published:
    values = space.parameters[0].values
    back = {OPERATORS.index(str(name)): code for code, name in enumerate(values)}

    def inner(text: str) -> Ints:
        found = codes(text)
        if not {*found} <= {*back}:
            raise ValueError(f"{text} has an operator that the space lacks")
        return np.array([back[code] for code in found])

    return Published(
        kind="nb201",
        title=title,
        space=space,
        write=lambda row: write(tuple(str(values[code]) for code in row.tolist())),
        read=lambda text: write(tuple(OPERATORS[code] for code in codes(text))),
        example="|nor_conv_3x3~0|+|none~0|nor_conv_3x3~1|+|skip_connect~0|none~1|avg_pool_3x3~2|",
        networks="harness.train.networks:nb201",
        codes=inner,
        supernet="harness.sharing.cells:nb201",
    )


def _only(operators: tuple[str, ...]) -> SearchSpace:
    return subspace(SPACE, tuple(replace(p, values=operators) for p in SPACE.parameters))


published = _of(SPACE, "NAS-Bench-201")
digits = _of(_only(("none", "skip_connect", "nor_conv_3x3")), "NAS-Bench-201, three operators")
