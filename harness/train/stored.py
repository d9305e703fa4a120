"""Whatever is stored in a folder of results, and whether it is what was written."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from harness.analysis import quality_store
from harness.errors import HarnessError
from harness.files import inside
from harness.studies.records import Form
from harness.studies.store import STUDIES
from harness.train import results, search_log

FORMS: tuple[Form[Any, Any], ...] = (STUDIES, quality_store.FORM, results.FORM, search_log.FORM)


class Checked(NamedTuple):
    """A file, what is wrong with it, if anything is, and whether it has a digest by which that is known."""

    path: Path
    wrong: str
    protected: bool


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


def checked(paths: Sequence[Path]) -> Iterator[Checked]:
    """Read every one of `files` to its last byte. Raises HarnessError like `files`."""
    for path in files(paths):
        try:
            yield Checked(path, "", _read(path))
        except HarnessError as error:
            yield Checked(path, error.message, protected=True)


def _read(path: Path) -> bool:
    """Whether the file has a digest. Raises HarnessError if it is not what was written."""
    if path.suffix == ".pt":
        from harness.train import checkpoint  # noqa: PLC0415  imports torch

        return checkpoint.verify(path)
    form = next((form for form in FORMS if form.is_one(path)), None)
    if form is None:
        raise HarnessError(f"{path} is nothing that this harness stores.")
    form.read(path)
    return form.protected(path)
