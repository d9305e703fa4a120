"""Files that are there whole or not at all, locks, and one sentence for whatever goes wrong with a file."""

from __future__ import annotations

import errno
import fcntl
import math
import os
import shutil
import stat
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from harness.errors import HarnessError

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""Errors of a disk or a quota that has no room left."""

_UNLOCKABLE = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL)
_ABSENT = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP)
_TEMPORARY = ".tmp"
_PARQUET = b"PAR1"
RESULTS = b"nas_harness"
"""The key of what results say of themselves, in the footers of their files."""
_TRIES = 100
_OTHERS = 100_000


def json_text(data: Any, **layout: Any) -> str:
    """JSON of `data`, with null for numbers that are not finite, which JSON does not have."""
    import json  # noqa: PLC0415 - what only shows its help needs none

    return json.dumps(_finite(data), allow_nan=False, **layout)


def _finite(data: Any) -> Any:
    if isinstance(data, Mapping):
        return {key: _finite(value) for key, value in data.items()}
    if isinstance(data, list | tuple):
        return [_finite(value) for value in data]
    return None if isinstance(data, float) and not math.isfinite(data) else data


def inside(folder: Path, *endings: str, without: Collection[str] = ()) -> list[Path]:
    """The files below `folder` that end so, sorted, but for those in folders that are called as one of `without`.

    What cannot be listed, or goes meanwhile, is passed over. Raises HarnessError where 100,000 other files are, as on a
    whole disk.
    """
    found, others = list[Path](), 0
    for where, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if name not in without]
        of_these = [Path(where, name) for name in names if name.endswith(endings)]
        found += of_these
        others += len(names) - len(of_these)
        if others > _OTHERS:
            raise HarnessError(
                f"{folder} has more than {_OTHERS:,} files that are none of {' and '.join(endings)}.",
                "name the folder in it that has the results.",
            )
    return sorted(found)


@contextmanager
def whole(
    path: Path, hint: str = "choose another name.", refuse: Callable[[Path, OSError], HarnessError] | None = None
) -> Iterator[Path]:
    """The name of a temporary file to fill, which then takes the place of `path`; its folder is made.

    File and folder are on the disk when it is left. While it is filled the temporary file is locked, so that `sweep`
    knows it from one that a killed process left. Raises HarnessError with the `hint`, or the error that `refuse` makes
    of `path` and the reason, if that cannot be done, or `path` is a device or a folder.
    """
    handle = -1
    temporary = path
    try:
        if reason := _irreplaceable(path):
            raise OSError(errno.EINVAL, reason)
        handle, temporary = claimed(path)
        yield temporary
        os.fsync(handle)
        temporary.replace(path)
        synced(path.parent)
    except OSError as error:
        if refuse is not None:
            raise refuse(path, error) from None
        full = "free some space, or " if error.errno in FULL else ""
        raise HarnessError(f"cannot write {path}: {error.strerror or error}.", f"{full}{hint}") from None
    finally:
        if handle >= 0:
            with suppress(OSError):
                temporary.unlink()
            _closed(handle)


@contextmanager
def output(path: Path) -> Iterator[Path]:
    """`whole` for a file that the user names. Raises HarnessError like it, and like `replaceable`."""
    replaceable(path)
    with whole(path) as temporary:
        yield temporary


def replaceable(path: Path, *inputs: Path) -> None:
    """Raise HarnessError if what is at `path` is no file, results, or one of the `inputs` that are read for it."""
    if reason := _irreplaceable(path) or ("it holds results" if _holds_results(path) else ""):
        raise HarnessError(f"cannot write {path}: {reason}.", "choose another name.")
    for source in inputs:
        with suppress(OSError):
            if path.samefile(source):
                raise HarnessError(f"cannot write {path}: it is what is read.", "choose another name.")


def _irreplaceable(path: Path) -> str:
    """Why no file may take the place of what is at `path`, by one look at it: another process may be making it."""
    try:
        mode = path.stat().st_mode
    except OSError as error:
        if error.errno in _ABSENT:
            return ""
        raise
    if stat.S_ISREG(mode):
        return ""
    return "it is a folder" if stat.S_ISDIR(mode) else "it is a device, not a file"


def _holds_results(path: Path) -> bool:
    """Whether the footer of a Parquet file is of this harness."""
    with suppress(OSError), path.open("rb") as file:
        if file.read(4) == _PARQUET and file.seek(0, os.SEEK_END) > 12:
            file.seek(-8, os.SEEK_END)
            length = int.from_bytes(file.read(4), "little")
            if file.read(4) == _PARQUET and length + 8 <= file.tell():
                file.seek(-8 - length, os.SEEK_END)
                return RESULTS in file.read(length)
    return False


def claimed(path: Path) -> tuple[int, Path]:
    """A new locked file beside `path`, of a name that nobody can guess."""
    while True:
        temporary = path.with_name(f".{path.name[:180]}.{os.urandom(8).hex()}{_TEMPORARY}")
        handle = _opened(temporary, os.O_EXCL)
        try:
            _flock(handle, fcntl.LOCK_EX)
            if os.fstat(handle).st_nlink:  # else it was swept before it was locked
                return handle, temporary
        except BaseException:  # an interrupt, too
            with suppress(OSError):
                temporary.unlink()
            _closed(handle)
            raise
        _closed(handle)


def _opened(path: Path, how: int = 0) -> int:
    """The descriptor of a file that is made if it is not there, as is its folder, which others may be removing."""
    for more in reversed(range(_TRIES)):
        try:
            made(path.parent)
            return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | how, 0o666)
        except (FileNotFoundError, FileExistsError):
            if not more:
                raise
    raise AssertionError


def _closed(handle: int) -> None:
    """Give a descriptor back, which an error of closing it does as well; what matters was put on the disk before."""
    with suppress(OSError):
        os.close(handle)


def made(folder: Path) -> None:
    """Make a folder with those above it, and put their names on the disk. Raises OSError if that cannot be done."""
    new = [path for path in (folder, *folder.parents) if not path.is_dir()]
    folder.mkdir(parents=True, exist_ok=True)
    for path in reversed(new):
        with suppress(PermissionError):  # a folder that may be written but not read
            synced(path.parent)


def synced(folder: Path) -> None:
    """Put the names in `folder` on the disk, where the file system can."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP, errno.EROFS):
            raise
    finally:
        _closed(handle)


def sweep(folder: Path) -> None:
    """Remove the temporary files and folders in `folder` that nobody is filling."""
    with suppress(OSError):
        for entry in os.scandir(folder):
            if entry.name.startswith(".") and entry.name.endswith(_TEMPORARY):
                _sweep(Path(entry.path))


def _sweep(path: Path) -> None:
    with suppress(OSError):
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink()
        finally:
            _closed(handle)


@contextmanager
def locked(path: Path, *, wait: bool = True) -> Iterator[bool]:
    """Hold the lock `path`, a file beside what it guards; whether it is held: not if another holds it, without `wait`.

    The lock goes with the process that holds it, however that ends. Where the file system has no locks it counts as
    held. The file is removed when it is left. Raises HarnessError if it cannot be made.
    """
    while True:
        held, handle = _try(path, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        try:
            if held and not _same(handle, path):
                continue
            yield held
            return
        finally:
            if held and _same(handle, path):
                with suppress(OSError):
                    path.unlink()
            _closed(handle)


def _try(path: Path, how: int) -> tuple[bool, int]:
    """Whether the lock `path` is held now, and its descriptor. Raises HarnessError if it cannot be told."""
    handle = -1
    try:
        handle = _opened(path)
        return _flock(handle, how), handle
    except OSError as error:
        if handle >= 0:
            _closed(handle)
        raise HarnessError(
            f"cannot lock {path}: {error.strerror or error}.", "free some space, or choose another place."
        ) from None


def _same(handle: int, path: Path) -> bool:
    """Whether `path` still is the open file, which another may have removed before it was locked."""
    try:
        return os.path.samestat(os.fstat(handle), path.stat())
    except OSError:
        return False


def _flock(handle: int, how: int) -> bool:
    try:
        fcntl.flock(handle, how)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno not in _UNLOCKABLE:
            raise
    return True


def content(path: Path) -> bytes:
    """The bytes of the file at `path`. Raises OSError like `arrow_file`."""
    return _file(path).read_bytes()


def arrow_file(path: Path) -> Any:
    """The file at `path` for readers of Arrow, which themselves take no name that is not UTF-8.

    Raises OSError if there is none, or if it is a pipe or device, which may never end.
    """
    import pyarrow  # noqa: PLC0415

    return pyarrow.OSFile(os.fsencode(_file(path)))


def _file(path: Path) -> Path:
    if not stat.S_ISREG(path.stat().st_mode):
        raise OSError(errno.EINVAL, "it is no file, but a folder, a pipe or a device")
    return path


@contextmanager
def reading(path: Path, what: str, hint: str) -> Iterator[None]:
    """Turn whatever is raised while `path` is read into one sentence: it is missing, denied, or no such `what`.

    `hint` says what to do about a file that is broken or foreign. Errors that are sentences already pass.
    """
    try:
        yield
    except HarnessError:
        raise
    except FileNotFoundError:
        raise HarnessError(f"there is no file {path}.", f"name {what}.") from None
    except PermissionError:
        raise HarnessError(f"{path} cannot be read: permission denied.", "let yourself read it.") from None
    except OSError as error:
        if error.errno is not None:
            raise HarnessError(f"{path} cannot be read: {error.strerror}.", "it may be whole: try again.") from None
        raise HarnessError(f"{path} is not {what}, or is broken: {_reason(error)}.", hint) from None
    except Exception as error:
        raise HarnessError(f"{path} is not {what}, or is broken: {_reason(error)}.", hint) from None


def _reason(error: Exception) -> str:
    first = (str(error).strip().splitlines() or [""])[0].rstrip(".: ")
    if isinstance(error, KeyError):
        return f"it has no {first}"
    return first[:200] or type(error).__name__
