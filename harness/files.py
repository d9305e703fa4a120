"""Files that are there whole or not at all."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from harness.errors import HarnessError


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
        full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
        hint = "free some space, and run the same command again." if full else "choose another -o."
        raise HarnessError(f"cannot write {path}: {error.strerror or error}.", hint) from None
    finally:
        with suppress(OSError):
            temporary.unlink()
