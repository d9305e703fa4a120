"""The data folder: tables converted from official files or brought by the user, each whole or absent.

A stored table is a folder `tables/<name>` of one `.npy` file per array, which is memory-mapped when it is loaded, and
`table.json` with the schema version, what else is known of the table, and SHA-256 checksums of the arrays.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import platformdirs
from numpy.typing import NDArray

from harness.errors import HarnessError, unknown
from harness.files import FULL

SCHEMA = 1
VARIABLE = "NAS_HARNESS_DATA"
_PACKAGE = Path(__file__).parents[1]
_CHECKOUT = _PACKAGE.parent / "benchmarks_data"
_ABOUT = "table.json"

Array = NDArray[Any]


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
class Stored:
    """A table as it was stored: read-only arrays by name, JSON `about` it, and the checksum of both."""

    name: str
    arrays: Mapping[str, Array]
    about: Mapping[str, Any]
    checksum: str


def folder() -> Path:
    """The data folder: NAS_HARNESS_DATA, else `benchmarks_data` of the checkout, else the user's data directory."""
    if chosen := os.environ.get(VARIABLE):
        return Path(chosen)
    if (_CHECKOUT / "manifest.toml").is_file():
        return _CHECKOUT
    return platformdirs.user_data_path("nas-harness", appauthor=False)


@cache
def manifest() -> Mapping[str, tuple[OfficialFile, ...]]:
    """The official files of each source; the manifest stands in the checkout or travels in the wheel."""
    path = _CHECKOUT / "manifest.toml"
    path = path if path.is_file() else _PACKAGE / "benchmarks" / "manifest.toml"
    return {name: tuple(OfficialFile(**f) for f in files) for name, files in tomllib.loads(path.read_text()).items()}


def official(source: str) -> tuple[OfficialFile, ...]:
    """The official files of a source. Raises HarnessError for a name that the manifest does not have."""
    if source not in manifest():
        raise unknown("source of tables", source, manifest(), see="harness data list")
    return manifest()[source]


def path(name: str) -> Path:
    """Where the table `name`, such as `nb201-full/cifar10`, is stored."""
    return folder() / "tables" / name.replace("/", ".")


def names() -> list[str]:
    """The stored tables, in alphabetical order."""
    found = (folder() / "tables").glob(f"*/{_ABOUT}")
    return sorted(file.parent.name.replace(".", "/") for file in found if not file.parent.name.startswith("."))


def present(name: str) -> bool:
    """Whether the table `name` is stored."""
    return (path(name) / _ABOUT).is_file()


def size(name: str) -> int:
    """Bytes on disk of a stored table."""
    return sum(file.stat().st_size for file in path(name).iterdir())


def load(name: str, source: str) -> Stored:
    """The stored table `name`, its arrays memory-mapped.

    Raises HarnessError if it was not imported, which names the official file of `source` and the command to run, is of
    another schema, or is damaged.
    """
    if not present(name):
        raise not_imported(name, source)
    about = _about(name)
    try:
        arrays = {key: _mapped(path(name) / f"{key}.npy", entry) for key, entry in about["arrays"].items()}
    except (OSError, ValueError) as error:
        raise _damaged(name, str(error)) from None
    return Stored(name, arrays, about["about"], about["checksum"])


def not_imported(name: str, source: str) -> HarnessError:
    """The error for a table that is not in the data folder."""
    if source not in manifest():
        return HarnessError(f"there is no table {name} in {folder()}.", "bring it: harness data import TABLE.toml")
    first = official(source)[0]
    if first.package:
        return HarnessError(
            f"{name} is not imported: its numbers come with the package {first.name} of {first.url}",
            f"run: pip install '{first.name}' && harness data import {source}",
        )
    command = f"harness data import {source} {first.name}"
    hint = f"run: harness data fetch {source}" if first.fetch else f"download it and run: {command}"
    return HarnessError(f"{name} is not imported: it needs the official file {first.name} from {first.url}", f"{hint}")


def save(name: str, arrays: Mapping[str, Array], about: Mapping[str, Any]) -> None:
    """Store a table whole or not at all, in place of an older one of this name.

    What a killed process left of it is cleared away. Raises HarnessError if the disk has no room for it or the folder
    cannot be written.
    """
    target = path(name)
    temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    prepare()
    try:
        for left in target.parent.glob(f".{target.name}.*.tmp"):
            shutil.rmtree(left)
        temporary.mkdir()
        require_space(temporary, sum(array.nbytes for array in arrays.values()))
        entries = {key: _write(temporary / f"{key}.npy", array) for key, array in arrays.items()}
        whole = {"schema": SCHEMA, "name": name, "about": about, "arrays": entries}
        whole["checksum"] = _checksum(whole)
        (temporary / _ABOUT).write_text(json.dumps(whole, indent=1))
        _put_in_place(temporary, target)
    except OSError as error:
        raise cannot_write(folder(), error) from None
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def prepare() -> None:
    """Make the folder of tables. Raises HarnessError if it cannot be written."""
    tables = folder() / "tables"
    try:
        tables.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise cannot_write(folder(), error) from None
    if not os.access(tables, os.W_OK | os.X_OK):
        raise cannot_write(tables, PermissionError(errno.EACCES, os.strerror(errno.EACCES)))


def _put_in_place(temporary: Path, target: Path) -> None:
    if target.exists():
        old = target.with_name(f"{temporary.name}.old")
        target.rename(old)
        temporary.rename(target)
        shutil.rmtree(old)
    else:
        temporary.rename(target)


def verify(name: str) -> None:
    """Read all of a stored table. Raises HarnessError if it is not, bit for bit, what was stored."""
    about = _about(name)
    if about["checksum"] != _checksum(about):
        raise _damaged(name, f"the checksum of {_ABOUT} differs")
    try:
        for key, entry in about["arrays"].items():
            array = _mapped(path(name) / f"{key}.npy", entry)
            if _describe(array) != entry:
                raise _damaged(name, f"the checksum of {key} differs")
    except (OSError, ValueError) as error:
        raise _damaged(name, str(error)) from None


def remove(name: str) -> None:
    """Delete a stored table. Raises HarnessError if there is none or it cannot be deleted."""
    if not path(name).is_dir():
        raise unknown("stored table", name, names())
    try:
        gone = path(name).with_name(f".{path(name).name}.{os.getpid()}.gone")
        path(name).rename(gone)
        shutil.rmtree(gone)
    except OSError as error:
        raise cannot_write(folder(), error) from None


def require_space(where: Path, needed: int) -> None:
    """Raise HarnessError unless the disk of the folder `where` has room for `needed` bytes and a little more."""
    free = shutil.disk_usage(where).free
    if free < needed + (64 << 20):
        raise HarnessError(
            f"{folder()} needs {needed / 1e9:.2f} GB more, but its disk has {free / 1e9:.2f} GB free.",
            f"free some space, or choose another folder with --data or {VARIABLE}.",
        )


def cannot_write(where: Path, error: OSError) -> HarnessError:
    """The error for a data folder that cannot be written."""
    full = error.errno in FULL
    return HarnessError(
        f"cannot write to {where}: {error.strerror or error}.",
        "free some space." if full else f"choose another folder with --data or {VARIABLE}.",
    )


def _about(name: str) -> dict[str, Any]:
    try:
        about: dict[str, Any] = json.loads((path(name) / _ABOUT).read_text())
        schema = about["schema"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise _damaged(name, f"its {_ABOUT} cannot be read ({error})") from None
    if schema != SCHEMA:
        raise HarnessError(
            f"the table {name} in {folder()} is of schema {schema}; this version reads schema {SCHEMA}.",
            "import its official file again: `harness data list` names it.",
        )
    return about


def _mapped(file: Path, entry: Mapping[str, Any]) -> Array:
    array = np.asarray(np.load(file, mmap_mode="r", allow_pickle=False))
    if [str(array.dtype), list(array.shape)] != [entry["dtype"], entry["shape"]]:
        raise ValueError(f"{file.name} holds {array.dtype}{array.shape}")
    return array


def _write(file: Path, array: Array) -> dict[str, Any]:
    with file.open("wb") as out:
        np.save(out, np.ascontiguousarray(array), allow_pickle=False)
        out.flush()
        os.fsync(out.fileno())
    return _describe(array)


def _describe(array: Array) -> dict[str, Any]:
    digest = hashlib.sha256(np.ascontiguousarray(array).data).hexdigest()
    return {"dtype": str(array.dtype), "shape": list(array.shape), "sha256": digest}


def _checksum(whole: Mapping[str, Any]) -> str:
    content = json.dumps([whole[key] for key in ("schema", "name", "about", "arrays")], sort_keys=True)
    return hashlib.sha256(content.encode()).hexdigest()


def _damaged(name: str, reason: str) -> HarnessError:
    return HarnessError(
        f"the stored table {name} in {path(name)} is damaged: {reason}.",
        f"remove it and import it again: harness data remove {name}",
    )
