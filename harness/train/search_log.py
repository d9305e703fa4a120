"""What a search asked and was told, event by event, in one Parquet file: whole after every event."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa

from harness.studies.store import SCHEMA, SEARCHES, read_table, write_table
from harness.train.search import Search


class Event(NamedTuple):
    """A question of a worker, or its answer.

    `kind`: `ask` for a job to run, `wait` for none yet, `tell` for the result of a job. `text` is the architecture of
    `codes`, empty where they are invalid; `epochs` count from the beginning of its training. `time` is in seconds since
    the search began, `cost` the seconds that were trained for the result, `loss` the validation error, inf where there
    is none; both are 0 in questions.
    """

    kind: str
    worker: int
    codes: tuple[int, ...]
    epochs: int
    text: str
    time: float
    loss: float = 0.0
    cost: float = 0.0


def path(folder: Path, search: Search) -> Path:
    """The log of a search in a folder of results."""
    space = search.space.replace("/", "-")
    return folder / SEARCHES / f"{space}.{search.images}.{search.algorithm}.{search.id}.parquet"


def read(source: Path) -> list[Event]:
    """The events in a log, none where there is no file. Raises HarnessError if it cannot be read."""
    if not source.exists():
        return []
    table, _ = read_table(source)
    return [Event(**{**row, "codes": tuple(row["codes"])}) for row in table.to_pylist()]


def write(target: Path, search: Search, events: Sequence[Event]) -> None:
    """Write the log, whole or not at all. Raises HarnessError if that cannot be done."""
    columns = {name: [getattr(event, name) for event in events] for name in Event._fields}
    table = pa.table({**columns, "codes": pa.array(columns["codes"], pa.list_(pa.int64()))})
    write_table(table, {"schema": SCHEMA, "search": search.to_json(), "id": search.id}, target)
