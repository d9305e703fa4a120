"""Benchmark families: each file turns one benchmark's published numbers into a `Table`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.errors import HarnessError
from harness.table import Facts, Table

Progress = Callable[[int, int], None]
"""Called with (bytes done, bytes in total) as an official file is read."""

Converted = tuple[str, Mapping[str, Any], Mapping[str, Any]]
"""A table ready to be stored: its name, its arrays by name, and JSON about it."""


@dataclass(frozen=True)
class OfficialFile:
    """A file of the manifest; `sha256` is empty where nobody publishes one, `fetch` False where it needs a browser.

    A `package` is named by what pip installs.
    """

    name: str
    url: str
    content: str
    sha256: str = ""
    gigabytes: float = 0.0
    fetch: bool = False
    package: bool = False
    note: str = ""


@dataclass(frozen=True)
class Source:
    """Official files that have to be imported, under the `name` that the manifest has for them.

    `stored` names the stored table of a dataset, `convert` reads the files one by one and yields the tables in them; it
    raises HarnessError for a file that is not what it should be. Where the files come with an installed `package`, it
    is given none. `takes` says in words what a source without official files is given. `files` are the official ones of
    a source that the manifest does not have, the one to take first: of another package.
    """

    name: str
    stored: Callable[[str], str]
    convert: Callable[[Sequence[Path], Progress], Iterator[Converted]]
    package: str = ""
    takes: str = ""
    files: tuple[OfficialFile, ...] = ()


@dataclass(frozen=True)
class Family:
    """What the entry points of `nas_harness.benchmarks` name: the datasets of a benchmark and how to load one.

    The benchmark `<entry point>/<dataset>` is `load(dataset)`; the entry point's name alone stands for the first.
    Without a `source` there is nothing to import; `files` names those in which its tables come then.
    """

    datasets: Mapping[str, Facts]
    load: Callable[[str], Table]
    source: Source | None = None
    files: Callable[[], Sequence[Path]] = tuple


def check(path: Path, make: Callable[[], Table]) -> None:
    """Make the table that was read from `path`, for the checks of its entries alone; HarnessError if they fail."""
    try:
        make()
    except ValueError as error:
        raise HarnessError(f"the numbers in {path} contradict each other: {error}.") from None
