"""All 423,624 cells of NAS-Bench-101 with the test accuracy that is public of each, as a table of one's own.

    python bench/published_cells.py SHARED_DATA FOLDER
    harness data import FOLDER/nb101-test.toml

Their errors are means of three trainings of 108 epochs. No validation accuracy and no training time is public of all
cells, so the test error is what is searched for, and every evaluation costs 1.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from harness.spaces import nasbench101
from harness.spaces.nasbench101_cells import EDGE_SOURCES, EDGE_TARGETS, OPERATORS, cells_from_bits

TOML = """\
name = "nb101-test"
title = "NAS-Bench-101, test error as the objective"
citation = "Ying et al. NAS-Bench-101: Towards reproducible neural architecture search. ICML 2019"
url = "https://github.com/google-research/nasbench"
licence = "Apache-2.0"
splits = "CIFAR-10: trained on 40,000 images; what is searched for is the error on the 10,000 of the test set"
file = "nb101-test.parquet"
space = "nb101/a"
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
    edges = adjacency[:, EDGE_SOURCES, EDGE_TARGETS].astype(np.int8)
    columns = [*edges.T, *(pa.DictionaryArray.from_arrays(ops[:, i], OPERATORS).cast(pa.string()) for i in range(5))]
    names = [p.name for p in nasbench101.ENCODINGS["a"].space.parameters]
    folder.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table([*columns, error], [*names, "test_error"]), folder / "nb101-test.parquet")
    (folder / "nb101-test.toml").write_text(TOML)


if __name__ == "__main__":
    main()
