"""What a folder of many studies says of them, so that a file is read only once more of it is wanted.

The index is a cache: it is made of files that were read whole, holds for a file as long as that has the size, times
and inode that it had then, and for the code that made it. A damaged or foreign one is made anew, without a word.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import asdict, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from harness import __version__
from harness.errors import HarnessError
from harness.fields import fit
from harness.files import whole
from harness.studies.outcome import Outcome, Reference, summary
from harness.studies.records import identity, kin
from harness.studies.store import read
from harness.studies.study import Study, folder_source
from harness.trajectory import Trajectory

INDEX = ".index.json"
_FEW = 100
"""Studies that a folder has before it gets an index."""

_Entry = dict[str, Any]


class Stored(Outcome):
    """An outcome that reads its file when more is wanted of it than the index knows."""

    @classmethod
    def at(cls, path: Path, entry: Mapping[str, Any]) -> Stored:
        """The one at `path`, of which the index knows `entry`."""
        found = object.__new__(cls)
        vars(found).update(
            study=_study(entry["study"]),
            reference=_reference(json.dumps(entry["reference"])),
            seeds=np.concatenate([np.arange(first, stop) for first, stop in entry["seeds"]]),
            summary_at_end=entry["summary"],
            cpu_seconds=math.nan if (spent := entry["summary"]["cpu_seconds"]) is None else spent,
            seeds_without=entry["without"],
            seeds_empty=entry["empty"],
            _path=path,
        )
        return found

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        vars(self).update(vars(read(self._path)))
        return vars(self)[name]


def stored(paths: Iterable[Path]) -> list[Outcome]:
    """The studies at `paths`. Raises HarnessError for a file that is none, once it is read."""
    paths = [*paths]
    folders: dict[Path, list[Path]] = {}
    for path in paths:
        folders.setdefault(path.parent, []).append(path)
    found = {path: outcome for folder, files in folders.items() for path, outcome in _of_folder(folder, files).items()}
    return [found[path] for path in paths]


def _of_folder(folder: Path, files: list[Path]) -> dict[Path, Outcome]:
    if len(files) < _FEW:
        return {path: read(path) for path in files}
    known, found, new = _load(folder / INDEX), dict[Path, Outcome](), dict[str, _Entry]()
    try:
        for path in files:
            state = _state(path)
            entry = known.get(path.name)
            if entry is not None and entry["state"] == state:
                found[path] = Stored.at(path, entry)
            else:
                found[path] = read(path)
                if _state(path) == state:
                    new[path.name] = {"state": state, **_entry(found[path])}
    finally:
        if new:
            kept = {name: entry for name, entry in known.items() if (folder / name).exists()}
            _save(folder / INDEX, kept | new)
    return found


def _entry(outcome: Outcome) -> _Entry:
    seeds = outcome.seeds
    parts = np.split(seeds, np.flatnonzero(np.diff(seeds) != 1) + 1)
    return {
        "study": outcome.study.to_json(),
        "reference": asdict(outcome.reference),
        "seeds": [[int(part[0]), int(part[-1]) + 1] for part in parts],
        "summary": outcome.summary_at_end,
        "without": outcome.seeds_without,
        "empty": outcome.seeds_empty,
    }


def _state(path: Path) -> list[int]:
    try:
        found = path.stat()
    except OSError:
        return []
    return [found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino]


@cache
def _code() -> str:
    """Hash of the files that make what is in an index."""
    return identity({"version": __version__, "studies": folder_source(summary), "harness": folder_source(Trajectory)})


def _study(data: Mapping[str, Any]) -> Study:
    return replace(_of_kind(json.dumps(kin(data))), first=data["first"], stop=data["stop"])


@cache
def _of_kind(text: str) -> Study:
    """The study of the first seed of those that differ in seeds only, whose JSON is `text`."""
    return Study.from_json({**json.loads(text), "first": 0, "stop": 1})


@cache
def _reference(text: str) -> Reference:
    found: Reference = fit(json.loads(text), Reference, "the reference")
    return found


def _load(path: Path) -> dict[str, _Entry]:
    """The entries by file name; none if the index is not what was written, or by other code."""
    try:
        digest, _, text = path.read_bytes().partition(b"\n")
        if digest.decode() != _digest(text):
            return {}
        found: dict[str, _Entry] = json.loads(text)
    except (OSError, ValueError):
        return {}
    return found


def _save(path: Path, entries: Mapping[str, _Entry]) -> None:
    """Keep `entries`, where the folder can be written."""
    text = json.dumps(entries).encode()
    with suppress(HarnessError), whole(path) as temporary:
        temporary.write_bytes(_digest(text).encode() + b"\n" + text)


def _digest(text: bytes) -> str:
    return hashlib.sha256(_code().encode() + text).hexdigest()
