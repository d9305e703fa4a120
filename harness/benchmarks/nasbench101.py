"""NAS-Bench-101 (Ying et al., "NAS-Bench-101: Towards reproducible neural architecture search", ICML 2019).

423,624 cells of at most seven vertices and nine edges, each trained three times on CIFAR-10 for 4, 12, 36 and 108
epochs. The encodings A, B and C are those of nas_benchmarks, the code behind the published comparisons (same paper and
Klein and Hutter 2019), and so is their rule of validity.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from harness.arrays import Bools, Ints
from harness.benchmarks import Converted, Family, Progress, Source, check, imported
from harness.benchmarks.formats import nasbench101 as official
from harness.errors import HarnessError
from harness.spaces.nasbench101 import DESCENDING, ENCODINGS, PRIORITIES, found
from harness.spaces.nasbench101_cells import (
    EDGE_SOURCES,
    EDGE_TARGETS,
    MAX_EDGES,
    ONE_SHOT_SPACES,
    CellIndex,
    IntArray,
    cells_from_bits,
)
from harness.table import Facts, Table

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
    pairs = np.array([tuple(map(int, name.split("_"))) for name in DESCENDING])
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
        lookup=partial(found, CellIndex(arrays["row_of"]), used.decode),
        source=source,
    )


SOURCE = Source("nb101", lambda dataset: "nb101", convert)

family = Family(datasets={name: _facts(name) for name in ENCODINGS}, load=load, source=SOURCE)
