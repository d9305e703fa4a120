"""SIGINT is answered once it is heard, whatever the code that it comes into makes of it."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

_SECONDS_UNTIL_AGAIN = 0.05
_AT_ONCE = 3


class Interrupts:
    """How often SIGINT was heard."""

    heard = 0

    def __call__(self, number: int, frame: object) -> NoReturn:
        """The handler of SIGINT. The third ends the process: somebody catches what it raises, as a plugin may."""
        self.heard += 1
        if self.heard >= _AT_ONCE:
            os.write(2, b"interrupted. Nothing half-done is left: every file is whole or absent.\n")
            os._exit(130)
        raise KeyboardInterrupt


@contextmanager
def answered() -> Iterator[Interrupts]:
    """While it is entered, an interrupt that Python drops, since it came into a finalizer, is raised once more.

    Where SIGINT is ignored, or somebody else's, it stays so.
    """
    interrupts, hook = Interrupts(), sys.unraisablehook
    mine = signal.getsignal(signal.SIGINT) is signal.default_int_handler

    def dropped(what: Any) -> None:
        if mine and what.exc_type is KeyboardInterrupt:
            again = threading.Timer(_SECONDS_UNTIL_AGAIN, os.kill, [os.getpid(), signal.SIGINT])
            again.daemon = True
            again.start()
        else:
            hook(what)

    sys.unraisablehook = dropped
    if mine:
        signal.signal(signal.SIGINT, interrupts)
    try:
        yield interrupts
    finally:
        if mine:
            signal.signal(signal.SIGINT, signal.default_int_handler)
        sys.unraisablehook = hook
