"""Tables of your own: CSV or Parquet files described by a few lines of TOML (docs/your-own-table.md)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from harness.benchmarks import Converted, Family, Progress, Source, imported
from harness.benchmarks.own_table import table
from harness.errors import HarnessError
from harness.table import Facts, Table


def load(name: str) -> Table:
    """The table that was brought under `name`."""
    stored = imported.load(f"own/{name}", "own")
    return table(stored.about, stored.arrays, stored.checksum)


class _Brought(Mapping[str, Facts]):
    """The facts of the tables that are in the data folder now; a damaged one is listed, and an error when loaded."""

    def __iter__(self) -> Iterator[str]:
        return (name.removeprefix("own/") for name in imported.names() if name.startswith("own/"))

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __getitem__(self, name: str) -> Facts:
        try:
            return Facts(**imported.known(f"own/{name}")["facts"])
        except HarnessError as error:
            reason = f"cannot be read: {error.message}"
            return Facts(f"own/{name}", reason, "", "", "", "", "", "", 1.0, "")


def _convert(files: Sequence[Path], progress: Progress) -> Iterator[Converted]:
    from harness.benchmarks.own_convert import convert  # noqa: PLC0415  pyarrow is imported when it is used

    return convert(files, progress)


family = Family(datasets=_Brought(), load=load, source=Source("own", lambda name: f"own/{name}", _convert))
"""Tables that users brought."""
