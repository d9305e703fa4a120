"""Architectures as text: what is stored, typed on the command line, and built by `networks`.

A cell of NAS-Bench-201 is the benchmark's own string, `|nor_conv_3x3~0|+|none~0|skip_connect~1|+|...|`: per node the
operator on the edge from each earlier node. A cell of NAS-Bench-101 is the operators of its middle vertices and the
edges of its pruned graph, `conv3x3-bn-relu,maxpool3x3;0-1,0-2,1-2,2-3`: vertex 0 is the input, the last the output.
Architectures of GPNAS's space, `gpnas-cell:...`, are described in `gpnas_cell`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from harness.arrays import Bools, Ints
from harness.benchmarks import nasbench1shot1, nasbench101, nasbench201
from harness.benchmarks.formats.nasbench201 import codes as edge_codes
from harness.benchmarks.nasbench101_cells import MAX_EDGES, MIDDLE, ONE_SHOT_SPACES, OPERATORS, VERTICES, prune
from harness.errors import HarnessError
from harness.space import SearchSpace
from harness.table import Table
from harness.train import gpnas_cell

_EXAMPLES = (
    "write it as |nor_conv_3x3~0|+|none~0|nor_conv_3x3~1|+|skip_connect~0|none~1|avg_pool_3x3~2| (NAS-Bench-201), "
    "conv3x3-bn-relu,maxpool3x3;0-1,0-2,1-2,2-3 (NAS-Bench-101) or "
    "gpnas-cell:relu.conv_3x3.gauss,selu.max_pool_3x3;0-1,1-2:elu.identity;0-1"
)


@dataclass(frozen=True)
class Architecture:
    """A cell or two by the search `space`, nb201, nb101 or gpnas-cell, and the canonical `text`."""

    space: str
    text: str

    @classmethod
    def parse(cls, text: str) -> Architecture:
        """The architecture that `text` stands for. Raises HarnessError if it stands for none."""
        try:
            if text.startswith(gpnas_cell.PREFIX):
                return cls("gpnas-cell", gpnas_cell.canonical(text))
            if text.startswith("|"):
                return cls.nb201(np.array(edge_codes(text)))
            return cls.nb101(*cell_of(text))
        except ValueError:
            raise HarnessError(f"'{text}' is not an architecture.", _EXAMPLES) from None

    @classmethod
    def nb201(cls, codes: Ints) -> Architecture:
        """The cell of NAS-Bench-201 with `codes` Int[6]."""
        nodes: list[list[str]] = [[], [], []]
        for (source, target), code in zip(nasbench201.EDGES, codes.tolist(), strict=True):
            nodes[target - 1].append(f"{nasbench201.OPERATORS[code]}~{source}")
        return cls("nb201", "+".join(f"|{'|'.join(node)}|" for node in nodes))

    @classmethod
    def nb101(cls, adjacency: Bools, ops: Ints) -> Architecture:
        """The cell of NAS-Bench-101 with `adjacency` Bool[7, 7] and the middle vertices' `ops` Int[5].

        Raises ValueError if its input does not reach its output or it has more than nine edges.
        """
        pruned = prune(adjacency[None])[0]
        if not 0 < pruned.sum() <= MAX_EDGES:
            raise ValueError("not a cell of NAS-Bench-101")
        kept = np.flatnonzero(pruned.any(axis=0) | pruned.any(axis=1))
        inner = pruned[np.ix_(kept, kept)]
        edges = ",".join(f"{i}-{j}" for i, j in np.argwhere(inner))
        names = ",".join(OPERATORS[ops[vertex - 1]] for vertex in kept[1:-1])
        return cls("nb101", f"{names};{edges}")

    @classmethod
    def gpnas(cls, codes: Ints) -> Architecture:
        """The architecture of GPNAS's space with `codes` Int[44].

        Raises ValueError where the input of a cell does not reach its output.
        """
        return cls("gpnas-cell", gpnas_cell.text_of(codes))

    @classmethod
    def of(cls, table: Table, row: int) -> Architecture:
        """The architecture of a row of `table`. Raises HarnessError if its configurations are not architectures."""
        for fits in (_same, _within):
            for space, make in SPACES.values():
                if fits(table.space, space):
                    return make(space.from_dict(table.space.to_dict(table.codes[row])))
        raise HarnessError(
            f"{table.name} has no architectures that can be trained: its configurations are "
            f"{', '.join(p.name for p in table.space.parameters[:3])} and so on.",
            "train from studies on nb201, nb101, 1shot1, or tables of their search spaces.",
        )


def cell_of(text: str) -> tuple[Bools, Ints]:
    """Adjacency Bool[7, 7] and operators Int[5] of a cell of NAS-Bench-101 written as text.

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


def _same(a: SearchSpace, b: SearchSpace) -> bool:
    if a is b or [p.name for p in a.parameters] != [p.name for p in b.parameters]:
        return a is b
    return all([*p.values] == [*q.values] for p, q in zip(a.parameters, b.parameters, strict=True))


def _within(a: SearchSpace, b: SearchSpace) -> bool:
    """Whether the parameters of `a` are those of `b`, with some of their values."""
    if [p.name for p in a.parameters] != [p.name for p in b.parameters]:
        return False
    return all({*p.values} <= {*q.values} for p, q in zip(a.parameters, b.parameters, strict=True))


def _decoded(decode: Callable[[Any], tuple[Bools, Any]], codes: Ints) -> Architecture:
    adjacency, ops = decode(codes[None])
    return Architecture.nb101(adjacency[0], ops[0])


SPACES: dict[str, tuple[SearchSpace, Callable[[Ints], Architecture]]] = {
    "nb201": (nasbench201.SPACE, Architecture.nb201),
    **{
        "nb101" if name == "a" else f"nb101/{name}": (used.space, partial(_decoded, used.decode))
        for name, used in nasbench101.ENCODINGS.items()
    },
    **{
        f"1shot1/{number}": (nasbench1shot1.SPACES[str(number)], partial(_decoded, blocks.decode))
        for number, blocks in ONE_SHOT_SPACES.items()
    },
    "gpnas-cell": (gpnas_cell.SPACE, Architecture.gpnas),
}
"""Spaces of architectures by name, and what makes an architecture of codes Int[d], or raises ValueError if invalid."""
