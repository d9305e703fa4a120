"""Tables of your own: CSV or Parquet files described by a few lines of TOML (docs/your-own-table.md)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from harness.arrays import Ints
from harness.benchmarks import Converted, Family, Progress, Source, imported
from harness.errors import HarnessError
from harness.space import Parameter, SearchSpace, subspace
from harness.spaces import published
from harness.table import Facts, Table

_GRID = 1 << 24
"""The largest space that has an array over its whole grid for lookups."""


def load(name: str) -> Table:
    """The table that was brought under `name`."""
    stored = imported.load(f"own/{name}", "own")
    return table(stored.about, stored.arrays, stored.checksum)


def table(about: Mapping[str, Any], arrays: Mapping[str, Any], source: str) -> Table:
    """The table of stored `arrays` and what is known `about` them."""
    parameters = tuple(Parameter(**parameter) for parameter in about["parameters"])
    codes = arrays["codes"]
    of = published(about["space"]) if about.get("space") else None
    space = SearchSpace(parameters) if of is None else subspace(of.space, parameters)
    lookup: Callable[[Ints], Ints] | None = None
    if of is not None and of.finder is not None:
        lookup = of.finder(codes)
    elif space.cardinality > _GRID:
        lookup = partial(_rows, codes @ space.strides, space.strides)
    return Table(
        facts=Facts(**about["facts"]),
        space=space,
        fidelities=arrays["fidelities"],
        codes=codes,
        loss=arrays["loss"],
        cost=arrays["cost"],
        test=arrays.get("test"),
        lookup=lookup,
        source=source,
    )


def _rows(sorted_numbers: Ints, strides: Ints, codes: Ints) -> Ints:
    """Rows of codes in a table whose rows stand in the order of their lexicographic numbers."""
    numbers = codes @ strides
    at = np.minimum(np.searchsorted(sorted_numbers, numbers), len(sorted_numbers) - 1)
    return np.where(sorted_numbers[at] == numbers, at, -1)


class _Brought(Mapping[str, Facts]):
    """The facts of the tables that are in the data folder now; a damaged one is listed, and an error when loaded."""

    def __iter__(self) -> Iterator[str]:
        return (name.removeprefix("own/") for name in imported.names() if name.startswith("own/"))

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __getitem__(self, name: str) -> Facts:
        try:
            return Facts(**imported.load(f"own/{name}", "own").about["facts"])
        except HarnessError as error:
            reason = f"cannot be read: {error.message}"
            return Facts(f"own/{name}", reason, "", "", "", "", "", "", 1.0, "")


def _convert(files: Sequence[Path], progress: Progress) -> Iterator[Converted]:
    found: Iterator[Converted] = import_module("harness.benchmarks.own_convert").convert(files, progress)
    return found


family = Family(datasets=_Brought(), load=load, source=Source("own", lambda name: f"own/{name}", _convert))
