"""digits201: cells of NAS-Bench-201 trained on scikit-learn's digits by this project, with whole learning curves.

`harness tabulate` made it, by the command in its `notes`; the two files that it wrote are in `measured`.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from harness.benchmarks import Family, own
from harness.table import Facts, Table

if TYPE_CHECKING:
    from harness.benchmarks import Converted

PATH = Path(__file__).parent / "measured" / "digits201.toml"


@cache
def _measured() -> tuple[Converted, str]:
    from harness.benchmarks.columns import Columns  # noqa: PLC0415
    from harness.benchmarks.own_convert import Description, converted  # noqa: PLC0415

    description = Description.read(PATH)
    columns = Columns(PATH.parent / description.values["file"])
    return converted(description, columns), hashlib.sha256(columns.path.read_bytes()).hexdigest()


def load(dataset: str) -> Table:
    """The table, by the reader of tables of one's own."""
    (_, arrays, about), source = _measured()
    return replace(own.table(about, arrays, source), facts=family.datasets[dataset])
