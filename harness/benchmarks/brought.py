"""The facts of tables that users bring: those that are in the data folder now."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from harness.benchmarks import imported
from harness.errors import HarnessError
from harness.table import Facts


class Brought(Mapping[str, Facts]):
    """By dataset of `family`; a damaged table is listed, and an error when loaded."""

    def __init__(self, family: str) -> None:
        self.family = family

    def __iter__(self) -> Iterator[str]:
        start = f"{self.family}/"
        return (name.removeprefix(start) for name in imported.names() if name.startswith(start))

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __getitem__(self, dataset: str) -> Facts:
        name = f"{self.family}/{dataset}"
        try:
            return Facts(**imported.known(name)["facts"])
        except HarnessError as error:
            return Facts(name, f"cannot be read: {error.message}", "", "", "", "", "", "", 1.0, "")
