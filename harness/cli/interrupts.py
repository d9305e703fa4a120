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


class Interrupts:
    """Whether a KeyboardInterrupt was raised."""

    heard = False

    def __call__(self, number: int, frame: object) -> NoReturn:
        """The handler of SIGINT."""
        self.heard = True
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
