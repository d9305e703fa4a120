"""All 423,624 cells of NAS-Bench-101 with the test accuracy that is public of each, as a table of one's own, and those
of them that are in the third space of NAS-Bench-1Shot1, as another.

    python bench/published_cells.py SHARED_DATA FOLDER
    harness data import FOLDER/nb101-test.toml
    harness data import FOLDER/1shot1-test.toml

Their errors are means of three trainings of 108 epochs. No validation accuracy and no training time is public of all
cells, so the test error is what is searched for, and every evaluation costs 1.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from harness.arrays import Floats, Ints
from harness.space import SearchSpace
from harness.spaces import nasbench101
from harness.spaces.nasbench101_cells import EDGE_SOURCES, EDGE_TARGETS, ONE_SHOT_SPACES, CellIndex, cells_from_bits

TOML = """\
name = "{name}"
title = "{title}, test error as the objective"
citation = "Ying et al. NAS-Bench-101: Towards reproducible neural architecture search. ICML 2019"
url = "https://github.com/google-research/nasbench"
licence = "Apache-2.0"
splits = "CIFAR-10: trained on 40,000 images; what is searched for is the error on the 10,000 of the test set"
file = "{name}.parquet"
space = "{space}"
images = "cifar10"
budget = 1e5

[validation]
column = "test_error"
"""


def main() -> None:
    shared, folder = map(Path, sys.argv[1:])
    with np.load(shared / "nb101" / "nb101_test108_all.npz") as archive:
        adjacency, ops = cells_from_bits(archive["num_vertices"], archive["adj_bits"], archive["ops"])
        error = 1.0 - archive["test_acc_108_mean3"].astype(np.float64)
    folder.mkdir(parents=True, exist_ok=True)
    edges = adjacency[:, EDGE_SOURCES, EDGE_TARGETS].astype(np.int8)
    own, one_shot = nasbench101.ENCODINGS["a"].space, nasbench101.ONE_SHOT["3"]
    write(folder, "nb101-test", "nb101/a", own, "NAS-Bench-101", np.concatenate([edges, ops], axis=1), error)
    every = np.stack(np.unravel_index(np.arange(one_shot.cardinality), one_shot.sizes.tolist()), axis=1)
    rows = CellIndex.of_cells(adjacency, ops).rows(*ONE_SHOT_SPACES[3].decode(every))
    cells, first = np.unique(rows, return_index=True)
    there = cells >= 0
    write(
        folder,
        "1shot1-test",
        "1shot1/3",
        one_shot,
        "NAS-Bench-1Shot1, space 3",
        every[first[there]],
        error[cells[there]],
    )


def write(folder: Path, name: str, kind: str, space: SearchSpace, title: str, codes: Ints, error: Floats) -> None:
    values = [np.array([str(v) for v in p.values])[codes[:, i]] for i, p in enumerate(space.parameters)]
    columns = [
        pa.array(column.astype(np.int8)) if parameter.values == (0, 1) else pa.array(column).dictionary_encode()
        for column, parameter in zip(values, space.parameters, strict=True)
    ]
    pq.write_table(
        pa.table([*columns, error], [*(p.name for p in space.parameters), "test_error"]), folder / f"{name}.parquet"
    )
    (folder / f"{name}.toml").write_text(TOML.format(name=name, space=kind, title=title))


if __name__ == "__main__":
    main()
