"""Files that are there whole or not at all."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from harness.errors import HarnessError

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""Errors of a disk or a quota that has no room left."""


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """The name of a temporary file to fill, which then takes the place of `path`; its folder is made.

    Raises HarnessError if that cannot be done.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        temporary.replace(path)
    except OSError as error:
        full = "free some space, or " if error.errno in FULL else ""
        raise HarnessError(f"cannot write {path}: {error.strerror or error}.", f"{full}choose another -o.") from None
    finally:
        with suppress(OSError):
            temporary.unlink()
