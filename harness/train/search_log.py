"""What a search asked and was told, event by event, in one Parquet file: whole after every event."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypedDict

import pyarrow as pa

from harness.studies.records import Columns, Footer, Form, file_name, identity
from harness.studies.store import SEARCHES
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


class _Footer(TypedDict):
    search: dict[str, Any]


class Log(NamedTuple):
    """The events of a search, which is what its `to_json` says."""

    search: dict[str, Any]
    events: Sequence[Event]


class LogForm(Form[Search, Log]):
    """A row for each event."""

    what = "the log of a search"
    marks = "search"
    again = "if it is damaged, move it away; the search begins anew, its trainings are kept."
    makes = "`harness search` writes logs."
    footer = _Footer
    columns = pa.schema(
        {
            "kind": pa.string(),
            "worker": pa.int64(),
            "codes": pa.list_(pa.int64()),
            "epochs": pa.int64(),
            "text": pa.string(),
            "time": pa.float64(),
            "loss": pa.float64(),
            "cost": pa.float64(),
        }
    )

    def name(self, job: Search) -> str:
        return file_name(job.space, job.images, job.algorithm, job.id)

    def pack(self, result: Log) -> tuple[str, Columns, Footer]:
        columns = {name: [getattr(event, name) for event in result.events] for name in Event._fields}
        return identity(result.search), columns, {"search": result.search}

    def unpack(self, columns: Columns, footer: Footer) -> tuple[str, Log]:
        rows = zip(*(columns[name].tolist() for name in Event._fields), strict=True)
        events = [Event(*row)._replace(codes=tuple(map(int, row[2]))) for row in rows]
        return identity(footer["search"]), Log(footer["search"], events)


FORM = LogForm()


def path(folder: Path, search: Search) -> Path:
    """The log of a search in a folder of results."""
    return folder / SEARCHES / FORM.name(search)


def read(source: Path) -> list[Event]:
    """The events in a log, none where there is no file. Raises HarnessError if it cannot be read."""
    return [*FORM.read(source).events] if source.exists() else []


def write(target: Path, search: Search, events: Sequence[Event]) -> None:
    """Write the log, whole or not at all. Raises HarnessError if that cannot be done."""
    FORM.write(Log(search.to_json(), events), target)
