"""NAS-Bench-101 (Ying et al., "NAS-Bench-101: Towards reproducible neural architecture search", ICML 2019).

423,624 cells of at most seven vertices and nine edges, each trained three times on CIFAR-10 for 4, 12, 36 and 108
epochs. The encodings A, B and C are those of nas_benchmarks, the code behind the published comparisons (same paper and
Klein and Hutter 2019), and so is their rule of validity.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from harness.arrays import Bools, Ints
from harness.benchmarks import Converted, Family, Progress, Source, check, imported
from harness.benchmarks.formats import nasbench101 as official
from harness.benchmarks.nasbench101_cells import (
    EDGE_SOURCES,
    EDGE_TARGETS,
    MAX_EDGES,
    ONE_SHOT_SPACES,
    OPERATORS,
    VERTICES,
    CellIndex,
    IntArray,
    cells_from_bits,
    decode_a,
    decode_b,
    decode_c,
)
from harness.errors import HarnessError
from harness.graphs import FIRST_OPERATOR, Graphs, GraphView, by_columns, pruned
from harness.space import Parameter, SearchSpace
from harness.table import Facts, Table

PRIORITIES = 1000
"""Values of an edge's priority in encoding C, evenly spaced in [0, 1]; ties go to the edge with the lower number."""

_EDGES = tuple(f"{i}_{j}" for i, j in zip(EDGE_SOURCES.tolist(), EDGE_TARGETS.tolist(), strict=True))
_DESCENDING = tuple(f"{i}_{j}" for j in range(6, 0, -1) for i in range(j - 1, -1, -1))
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
        cell_space((*(Parameter(f"slot_{k}", _DESCENDING) for k in range(MAX_EDGES)), *_OPS), decode_b),
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

CITATION = "Ying et al. NAS-Bench-101: Towards reproducible neural architecture search. ICML 2019"
URL = "https://github.com/google-research/nasbench"
SPLITS = "CIFAR-10: trained on 40,000 images, validated on 10,000, tested on the 10,000 of the test set"


def _facts(encoding: str) -> Facts:
    return Facts(
        name=f"nb101/{encoding}",
        title=f"NAS-Bench-101, encoding {encoding.upper()}",
        citation=CITATION,
        url=URL,
        licence="Apache-2.0",
        loss="validation error",
        cost="training time (s)",
        fidelity="epochs",
        budget=1e7,
        splits=SPLITS,
        test="test error",
        notes=f"Encoding of nas_benchmarks: {ENCODINGS[encoding].meaning}.",
        separate=True,
    )


def convert(files: Sequence[Path], progress: Progress) -> Iterator[Converted]:
    """The one table of NAS-Bench-101 out of its official TFRecord file."""
    if len(files) != 1:
        names = " or ".join(file.name for file in imported.official("nb101"))
        raise HarnessError(f"NAS-Bench-101 is one file, got {len(files)}.", f"take {names}.")
    table = official.read(files[0], cells=official.CELLS, progress=progress)
    adjacency, ops = cells_from_bits(table.num_vertices, table.adj_bits, table.ops)
    arrays = stored_arrays(adjacency, ops, table.epochs, 1 - table.val_acc, table.seconds, 1 - table.test_acc)
    check(files[0], partial(_table, "a", arrays, ""))
    yield "nb101", {**arrays, "params": table.params.astype(np.float64)}, {"files": [files[0].name]}


def stored_arrays(
    adjacency: Bools, ops: IntArray, epochs: Ints, loss: Any, cost: Any, test: Any
) -> Mapping[str, np.ndarray[Any, Any]]:
    """What is stored of N cells: Float[N, F, R] metrics, codes in each encoding, and the index that finds them.

    Of NAS-Bench-1Shot1's spaces it is the rows that they reach, and for each the first codes that do.
    """
    index = CellIndex.of_cells(adjacency, ops)
    one_shot: dict[str, IntArray] = {}
    for number, blocks in ONE_SHOT_SPACES.items():
        grid = np.indices(blocks.cardinalities, dtype=np.int8).reshape(len(blocks.cardinalities), -1).T
        rows, first = np.unique(index.rows(*blocks.decode(grid)), return_index=True)
        one_shot[f"one_shot_rows_{number}"] = rows[rows >= 0]
        one_shot[f"one_shot_codes_{number}"] = grid[first[rows >= 0]]
    edges = adjacency[:, EDGE_SOURCES, EDGE_TARGETS]
    count = edges.sum(axis=1)
    drawn = np.argsort(~adjacency[:, *_descending_pairs()], axis=1, kind="stable")[:, :MAX_EDGES]
    slots = np.where(np.arange(MAX_EDGES) < count[:, None], drawn, drawn[:, :1])
    return {
        "codes_a": np.concatenate([edges, ops], axis=1).astype(np.int8),
        "codes_b": np.concatenate([slots, ops], axis=1).astype(np.int8),
        "codes_c": np.concatenate([count[:, None], edges * (PRIORITIES - 1), ops], axis=1).astype(np.int16),
        "row_of": index.row_of,
        "epochs": epochs,
        "loss": loss,
        "cost": cost,
        "test": test,
        **one_shot,
    }


def _descending_pairs() -> tuple[Ints, Ints]:
    pairs = np.array([tuple(map(int, name.split("_"))) for name in _DESCENDING])
    return pairs[:, 0], pairs[:, 1]


def load(encoding: str) -> Table:
    """The table in one of the three encodings. Column: `params` (trainable parameters), where the file has them."""
    stored = imported.load("nb101", "nb101")
    return _table(encoding, stored.arrays, stored.checksum)


def _table(encoding: str, arrays: Mapping[str, Any], source: str) -> Table:
    used = ENCODINGS[encoding]
    return Table(
        facts=family.datasets[encoding],
        space=used.space,
        fidelities=arrays["epochs"],
        codes=arrays[f"codes_{encoding}"],
        loss=arrays["loss"],
        cost=arrays["cost"],
        test=arrays["test"],
        columns={"params": arrays["params"]} if "params" in arrays else {},
        lookup=partial(_rows, CellIndex(arrays["row_of"]), used.decode),
        source=source,
    )


def finder(encoding: str, codes: Ints) -> Callable[[Ints], Ints]:
    """What maps codes Int[n, d] to the rows of a table of cells `codes` Int[N, d], however a cell is written.

    Raises ValueError if a row is no cell, or is the same cell as another.
    """
    decode = ENCODINGS[encoding].decode
    return partial(_rows, CellIndex.of_cells(*decode(codes)), decode)


def _rows(index: CellIndex, decode: Decode, codes: Ints) -> Ints:
    return index.rows(*decode(codes), max_drawn_edges=MAX_EDGES)


SOURCE = Source("nb101", lambda dataset: "nb101", convert)

family = Family(datasets={name: _facts(name) for name in ENCODINGS}, load=load, source=SOURCE)
