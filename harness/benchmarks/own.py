"""Tables of your own: CSV or Parquet files described by a few lines of TOML (docs/your-own-table.md)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from harness.benchmarks import Converted, Family, Progress, Source, imported
from harness.benchmarks.brought import Brought
from harness.benchmarks.own_table import table
from harness.table import Table


def load(name: str) -> Table:
    """The table that was brought under `name`."""
    stored = imported.load(f"own/{name}", "own")
    return table(stored.about, stored.arrays, stored.checksum)


def _convert(files: Sequence[Path], progress: Progress) -> Iterator[Converted]:
    from harness.benchmarks.own_convert import convert  # noqa: PLC0415  pyarrow is imported when it is used

    return convert(files, progress)


family = Family(
    datasets=Brought("own"),
    load=load,
    source=Source("own", lambda name: f"own/{name}", _convert, takes="a file TABLE.toml"),
)
"""Tables that users brought."""
