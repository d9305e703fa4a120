"""Whatever is stored in a folder of results, and whether it is what was written."""

from __future__ import annotations

import hashlib
import os
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
from harness.studies.records import UNFINISHED, Form, identity
from harness.studies.runs import Sharded, Single, contradicted, kin
from harness.studies.store import BASELINE, STUDIES
from harness.train import results, search_log

FORMS: tuple[Form[Any, Any], ...] = (STUDIES, quality_store.FORM, results.FORM, search_log.FORM)


_SHARED = tuple(f"harness.sharing.{name}:FORM" for name in ("log", "correlate", "lookup", "then"))
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
    """The records and checkpoints among `paths`, files or folders, hidden ones too, each once by whatever names.

    Raises HarnessError for a path where there is nothing, and if there are none.
    """
    found: dict[str, Path] = {}
    for path in paths:
        if not path.exists():
            raise HarnessError(f"there is nothing at {path}.", "name a folder of results, or files in it.")
        for file in inside(path, ".parquet", ".pt") if path.is_dir() else [path]:
            found.setdefault(os.path.realpath(file), file)
    if not found:
        raise HarnessError(f"there are no results in {', '.join(map(str, paths))}.", "`harness run` makes results.")
    return [*found.values()]


def checked(paths: Sequence[Path]) -> list[Checked]:
    """Read every one of `files` to its last byte. Raises HarnessError like `files`."""
    found: dict[Path, Checked] = {}
    many: dict[tuple[Sharded[Any, Any], tuple[str, ...]], list[tuple[Path, Ints]]] = {}
    single: dict[tuple[object, ...], tuple[Path, str]] = {}
    for path in files(paths):
        try:
            form, record, protected = _read(path)
        except HarnessError as error:
            found[path] = Checked(path, error.message, protected=True)
            continue
        found[path] = Checked(path, "", protected)
        apart = [part for part in path.parent.absolute().parts if part in (UNFINISHED, BASELINE)]
        if isinstance(form, Sharded):
            key = form, (*apart, identity(kin(form.job(record).to_json())))
            many.setdefault(key, []).append((path, form.seeds(record)))
        elif isinstance(form, Single):
            numbers = hashlib.sha256(form.numbers(record).encode()).hexdigest()
            first, known = single.setdefault((form, *apart, form.run_id(record)), (path, numbers))
            if numbers != known:
                told = contradicted(first, path, form.title(record))
                found |= {one: found[one]._replace(wrong=told, contradicted=True) for one in (first, path)}
    for (form, _), group in many.items():
        for path, wrong in _contradictions(form, group) if len(group) > 1 else ():
            found[path] = found[path]._replace(wrong=wrong, contradicted=True)
    return [*found.values()]


def _contradictions(form: Sharded[Any, Any], group: Sequence[tuple[Path, Ints]]) -> Iterator[tuple[Path, str]]:
    """Files of studies that differ in seeds only which have other numbers than another one, and a sentence each."""
    paths = [path for path, seeds in group for _ in seeds]
    every = np.concatenate([seeds for _, seeds in group])
    order = np.argsort(every, kind="stable")
    shared: dict[tuple[Path, Path], None] = {}
    for same in np.split(order, np.flatnonzero(np.diff(every[order])) + 1):
        shared.update(dict.fromkeys(combinations([paths[i] for i in same], 2)))
    results = {path: form.read(path) for path in dict.fromkeys(chain(*shared))}
    for a, b in shared:
        if wrong := form.contradiction(results[a], results[b]):
            yield from ((path, wrong) for path in (a, b))


def _read(path: Path) -> tuple[Form[Any, Any] | None, Any, bool]:
    """The form of the file, what is in it, and whether it has a digest; checkpoints have no form.

    Raises HarnessError if it is not what was written.
    """
    if path.suffix == ".pt":
        from harness.train import checkpoint  # noqa: PLC0415  imports torch

        return None, None, checkpoint.verify(path)
    every = chain(FORMS, map(resolve, _SHARED))
    form = next((form for form in every if form.is_one(path)), None)
    if form is None:
        raise HarnessError(f"{path} is nothing that this harness stores.")
    return form, form.read(path), form.protected(path)
