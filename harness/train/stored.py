"""Whatever is stored in a folder of results, and whether it is what was written."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain, combinations
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from harness.analysis import quality_store
from harness.arrays import Ints
from harness.errors import HarnessError
from harness.files import inside
from harness.spaces import resolve
from harness.studies.outcome import Outcome, contradiction
from harness.studies.records import Form, identity, kin
from harness.studies.store import SET_ASIDE, STUDIES
from harness.train import results, search_log

FORMS: tuple[Form[Any, Any], ...] = (STUDIES, quality_store.FORM, results.FORM, search_log.FORM)


_SHARED = ("harness.sharing.log:FORM", "harness.sharing.correlate:FORM", "harness.sharing.lookup:FORM")
"""What searches by weight sharing store; imported where a file is of no other form, since torch comes with it."""


class Checked(NamedTuple):
    """A file, what is wrong with it, if anything is, and whether it has a digest by which that is known.

    One that is `contradicted` is what was written, but another file has a run of one of its seeds with other numbers.
    """

    path: Path
    wrong: str
    protected: bool
    contradicted: bool = False


def files(paths: Sequence[Path]) -> list[Path]:
    """The records and checkpoints among `paths`, files or folders, hidden ones too, each once.

    Raises HarnessError for a path where there is nothing, and if there are none.
    """
    found: dict[Path, None] = {}
    for path in paths:
        if not path.exists():
            raise HarnessError(f"there is nothing at {path}.", "name a folder of results, or files in it.")
        found.update(dict.fromkeys(inside(path, ".parquet", ".pt") if path.is_dir() else [path]))
    if not found:
        raise HarnessError(f"there are no results in {', '.join(map(str, paths))}.", "`harness run` makes results.")
    return [*found]


def checked(paths: Sequence[Path]) -> list[Checked]:
    """Read every one of `files` to its last byte. Raises HarnessError like `files`."""
    found: dict[Path, Checked] = {}
    studies: dict[tuple[str, ...], list[tuple[Path, Ints]]] = {}
    for path in files(paths):
        try:
            record, protected = _read(path)
        except HarnessError as error:
            found[path] = Checked(path, error.message, protected=True)
            continue
        found[path] = Checked(path, "", protected)
        if isinstance(record, Outcome):
            apart = [part for part in path.parent.absolute().parts if part in SET_ASIDE]
            studies.setdefault((*apart, identity(kin(record.study.to_json()))), []).append((path, record.seeds))
    for group in (group for group in studies.values() if len(group) > 1):
        for path, wrong in _contradictions(group):
            found[path] = found[path]._replace(wrong=wrong, contradicted=True)
    return [*found.values()]


def _contradictions(group: Sequence[tuple[Path, Ints]]) -> Iterator[tuple[Path, str]]:
    """Files of studies that differ in seeds only which have other numbers than another one, and a sentence each."""
    paths = [path for path, seeds in group for _ in seeds]
    every = np.concatenate([seeds for _, seeds in group])
    order = np.argsort(every, kind="stable")
    shared: dict[tuple[Path, Path], None] = {}
    for same in np.split(order, np.flatnonzero(np.diff(every[order])) + 1):
        shared.update(dict.fromkeys(combinations([paths[i] for i in same], 2)))
    outcomes = {path: STUDIES.read(path) for path in dict.fromkeys(chain(*shared))}
    for a, b in shared:
        if wrong := contradiction(outcomes[a], outcomes[b]):
            yield from ((path, wrong) for path in (a, b))


def _read(path: Path) -> tuple[Any, bool]:
    """What is in the file, and whether it has a digest. Raises HarnessError if it is not what was written."""
    if path.suffix == ".pt":
        from harness.train import checkpoint  # noqa: PLC0415  imports torch

        return None, checkpoint.verify(path)
    every = chain(FORMS, map(resolve, _SHARED))
    form = next((form for form in every if form.is_one(path)), None)
    if form is None:
        raise HarnessError(f"{path} is nothing that this harness stores.")
    return form.read(path), form.protected(path)
