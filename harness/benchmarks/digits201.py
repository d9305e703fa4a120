"""digits201: cells of NAS-Bench-201 trained on scikit-learn's digits by this project, with whole learning curves.

`harness tabulate` made it, by the command in its notes; the two files that it wrote are in `measured`.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from functools import cache
from pathlib import Path

from harness.benchmarks import Converted, Family
from harness.benchmarks.own_table import table
from harness.table import Facts, Table

PATH = Path(__file__).parent / "measured" / "digits201.toml"
COMMAND = (
    "harness tabulate nb201 --data digits --name digits201 --only none,skip_connect,nor_conv_3x3 "
    "--recipe digits201 --repeats 1"
)


@cache
def _measured() -> tuple[Converted, str]:
    from harness.benchmarks.columns import Columns  # noqa: PLC0415
    from harness.benchmarks.own_convert import converted  # noqa: PLC0415
    from harness.benchmarks.own_description import Description  # noqa: PLC0415

    description = Description.read(PATH)
    columns = Columns(PATH.parent / description.values["file"])
    return converted(description, columns), hashlib.sha256(columns.path.read_bytes()).hexdigest()


def load(dataset: str) -> Table:
    """The table, by the reader of tables of one's own."""
    (_, arrays, about), source = _measured()
    return replace(table(about, arrays, source), facts=family.datasets[dataset])


def _files() -> list[Path]:
    return [PATH, PATH.with_suffix(".parquet")]


family = Family(
    datasets={
        "digits": Facts(
            name="digits201/digits",
            title="NAS-Bench-201's cells of three operators on digits, learning curves of 12 epochs",
            citation="nas-harness. digits201: 729 cells of NAS-Bench-201 trained on digits. 2026",
            url="https://archive.ics.uci.edu/dataset/80",
            licence="Apache-2.0; the images: Alpaydin and Kaynak, CC BY 4.0, as in scikit-learn (BSD-3-Clause)",
            loss="validation error",
            cost="training time (s)",
            fidelity="epochs",
            budget=140.0,
            splits="719 images to train, 719 to validate, 359 to test, drawn class by class",
            test="test error",
            notes=f"Made by `{COMMAND}` with torch 2.13.0+cpu, one thread each of two processes on a server of two "
            "x86-64 cores (Intel Xeon, AVX-512); seconds are the thread's.",
            images="digits",
        )
    },
    load=load,
    files=_files,
)
