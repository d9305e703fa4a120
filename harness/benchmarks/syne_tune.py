"""Folders of Syne Tune's blackbox repository (Salinas et al., AutoML 2022), brought by users who have them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from harness.benchmarks import Converted, Family, Progress, Source, imported
from harness.benchmarks.brought import Brought
from harness.benchmarks.own_table import table
from harness.table import Table


def load(dataset: str) -> Table:
    """The table of a task that was brought, `dataset` being `<folder>-<task>`."""
    stored = imported.load(f"syne-tune/{dataset}", "syne-tune")
    return table(stored.about, stored.arrays, stored.checksum)


def _convert(files: Sequence[Path], progress: Progress) -> Iterator[Converted]:
    from harness.benchmarks.syne_tune_convert import convert  # noqa: PLC0415  pyarrow is imported when it is used

    return convert(files, progress)


_TAKES = "a folder of Syne Tune's blackbox repository"
family = Family(
    Brought("syne-tune"), load, Source("syne-tune", lambda task: f"syne-tune/{task}", _convert, takes=_TAKES)
)
"""Tasks of Syne Tune's blackboxes."""
