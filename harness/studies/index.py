"""What a folder of many studies says of them, so that a file is read only once more of it is wanted.

The index is a cache: it is made of files that were read whole, holds for a file as long as that has the size, times
and inode that it had then, and for the code that made it. So is each file in `.joined`, a study whose seeds are in many
files. A damaged or foreign one is made anew, without a word.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, replace
from functools import cache, partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from harness import __version__
from harness.errors import HarnessError
from harness.fields import fit
from harness.files import sweep, whole
from harness.studies.outcome import Outcome, of_seeds, summary
from harness.studies.records import JOINED, identity
from harness.studies.reference import Reference
from harness.studies.runs import kin
from harness.studies.store import read, write
from harness.studies.study import Study, folder_source
from harness.trajectory import Trajectory

INDEX = ".index.json"
_FEW = 100
"""Studies that a folder has before it gets an index."""

_MANY = 4
"""Files of a study from which on the study is kept as one file, too."""

_Entry = dict[str, Any]


class _File(NamedTuple):
    """A file, and the size, times and inode that it had."""

    path: Path
    state: list[int]


class Stored(Outcome):
    """An outcome that is read when more is wanted of it than is known without."""

    @classmethod
    def knowing(cls, rest: Callable[[], Outcome], **known: Any) -> Stored:
        """The one that `rest` reads, of which `known` is all that is needed to choose it."""
        found = object.__new__(cls)
        vars(found).update(known, _rest=rest)
        return found

    def __getattr__(self, name: str) -> Any:
        rest = vars(self).get("_rest")
        if name.startswith("_") or rest is None:
            raise AttributeError(f"an outcome has no '{name}'")
        vars(self).update(vars(rest()), _rest=None)
        return getattr(self, name)


def stored(paths: Iterable[Path]) -> list[Outcome]:
    """The studies at `paths`. Raises HarnessError for a file that is none, once it is read."""
    paths = [*paths]
    folders: dict[Path, list[Path]] = {}
    for path in paths:
        folders.setdefault(path.parent, []).append(path)
    found = {path: outcome for folder, files in folders.items() for path, outcome in _of_folder(folder, files).items()}
    return [found[path] for path in paths]


def together(outcomes: Sequence[Outcome], join: Callable[[Sequence[Outcome]], Outcome]) -> Outcome:
    """What `join` makes of outcomes that differ in seeds only, once more is wanted of it than an index knows."""
    files = [file for outcome in outcomes if (file := vars(outcome).get("_file")) is not None]
    longest_first = sorted(outcomes, key=lambda outcome: -len(outcome.seeds))
    seeds = np.sort(np.concatenate([outcome.seeds for outcome in longest_first]))
    if len(files) < len(outcomes) or not np.diff(seeds).all():
        return join(outcomes)
    study = of_seeds(longest_first[0].study, seeds)
    return Stored.knowing(
        partial(_joined, study, files, outcomes, join),
        study=study,
        reference=longest_first[0].reference,
        seeds=seeds,
        cpu_seconds=sum(outcome.cpu_seconds for outcome in longest_first),
    )


def _joined(
    study: Study,
    files: Sequence[_File],
    outcomes: Sequence[Outcome],
    join: Callable[[Sequence[Outcome]], Outcome],
) -> Outcome:
    """What `join` makes of the outcomes of `files`, which is kept if these are many of one folder."""
    if len(files) < _MANY or len({file.path.parent for file in files}) > 1:
        return join(outcomes)
    group, key = identity(kin(study.to_json())), [_code(), [[file.path.name, file.state] for file in files]]
    kept = files[0].path.parent / JOINED / f"{group}.{hashlib.sha256(json.dumps(key).encode()).hexdigest()}"
    with suppress(HarnessError):
        found = read(kept)
        if found.study == study:
            return replace(found, file=None)
    found = join(outcomes)
    with suppress(HarnessError, OSError):
        if all(_state(file.path) == file.state for file in files):
            write(found, kept)
            sweep(kept.parent)
            for older in kept.parent.glob(f"{group}.*"):
                if older != kept:
                    older.unlink()
    return found


def _of_folder(folder: Path, files: list[Path]) -> dict[Path, Outcome]:
    if len(files) < _FEW:
        return {path: read(path) for path in files}
    known, found, new = _load(folder / INDEX), dict[Path, Outcome](), dict[str, _Entry]()
    try:
        for path in files:
            state = _state(path)
            entry = known.get(path.name)
            if entry is not None and entry["state"] == state:
                found[path] = _known(path, entry)
            else:
                found[path] = outcome = read(path)
                if _state(path) == state:
                    new[path.name] = {"state": state, **_entry(outcome)}
                    vars(outcome).update(_file=_File(path, state))
    finally:
        if new:
            kept = {name: entry for name, entry in known.items() if (folder / name).exists()}
            _save(folder / INDEX, kept | new)
    return found


def _known(path: Path, entry: _Entry) -> Stored:
    """The study at `path`, of which the index knows `entry`."""
    return Stored.knowing(
        partial(read, path),
        study=_study(entry["study"]),
        reference=_reference(json.dumps(entry["reference"])),
        seeds=np.concatenate([np.arange(first, stop) for first, stop in entry["seeds"]]),
        summary_at_end=entry["summary"],
        cpu_seconds=math.nan if (spent := entry["summary"]["cpu_seconds"]) is None else spent,
        seeds_without=entry["without"],
        seeds_empty=entry["empty"],
        file=path,
        _file=_File(path, entry["state"]),
    )


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
