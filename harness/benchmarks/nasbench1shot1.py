"""NAS-Bench-1Shot1 (Zela, Siems and Hutter, "NAS-Bench-1Shot1: Benchmarking and dissecting one-shot neural architecture
search", ICLR 2020).

Three spaces of choice blocks with a fixed number of parents each, every configuration a cell of NAS-Bench-101: the
numbers are those of its table.
"""

from __future__ import annotations

from functools import partial

import numpy as np

from harness.arrays import Ints
from harness.benchmarks import Family, imported
from harness.benchmarks.nasbench101 import SOURCE, SPLITS
from harness.spaces.nasbench101 import ONE_SHOT
from harness.spaces.nasbench101_cells import ONE_SHOT_SPACES, CellIndex, ChoiceBlockSpace
from harness.table import Facts, Table


def _facts(number: str) -> Facts:
    return Facts(
        name=f"1shot1/{number}",
        title=f"NAS-Bench-1Shot1, search space {number}",
        citation="Zela, Siems and Hutter. NAS-Bench-1Shot1: Benchmarking and dissecting one-shot neural architecture "
        "search. ICLR 2020; table: Ying et al. NAS-Bench-101. ICML 2019",
        url="https://github.com/automl/nasbench-1shot1",
        licence="Apache-2.0",
        loss="validation error",
        cost="training time (s)",
        fidelity="epochs",
        budget=1e7,
        splits=SPLITS,
        test="test error",
        notes="The table of NAS-Bench-101. Optima are means of 3 trainings; the paper's code takes single ones.",
        separate=True,
    )


def load(number: str) -> Table:
    """The cells of one search space, in NAS-Bench-101's order."""
    stored = imported.load("nb101", "nb101")
    arrays, blocks = stored.arrays, ONE_SHOT_SPACES[int(number)]
    rows = arrays[f"one_shot_rows_{number}"]
    position = np.full(len(arrays["loss"]) + 1, -1)
    position[rows] = np.arange(len(rows))
    return Table(
        facts=family.datasets[number],
        space=ONE_SHOT[number],
        fidelities=arrays["epochs"],
        codes=arrays[f"one_shot_codes_{number}"],
        loss=arrays["loss"][rows],
        cost=arrays["cost"][rows],
        test=arrays["test"][rows],
        columns={"params": arrays["params"][rows]} if "params" in arrays else {},
        lookup=partial(_rows, CellIndex(arrays["row_of"]), blocks, position),
        source=stored.checksum,
    )


def _rows(index: CellIndex, blocks: ChoiceBlockSpace, position: Ints, codes: Ints) -> Ints:
    return position[index.rows(*blocks.decode(codes))]


family = Family(datasets={number: _facts(number) for number in ONE_SHOT}, load=load, source=SOURCE)
