"""Numbers of public repositories in Parquet files, which `bench/embed.py` made; NOTICE.md has sources and licences."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from harness.arrays import Floats, of_column


def path_of(file: str) -> Path:
    """`<file>.parquet`."""
    return Path(__file__).parent / f"{file}.parquet"


def columns(file: str, names: Sequence[str]) -> dict[str, Floats]:
    """The columns `names` of `<file>.parquet`, Float[N] each."""
    table = pq.ParquetFile(path_of(file)).read([*names])  # `read_table` would import pandas
    return {name: of_column(table.column(name)).astype(np.float64) for name in names}


def column(file: str, name: str) -> Callable[[], Floats]:
    """Reads one column when it is asked for."""
    return lambda: columns(file, [name])[name]


def names(file: str) -> list[str]:
    """The columns that `<file>.parquet` has."""
    found: list[str] = pq.read_schema(path_of(file)).names
    return found
