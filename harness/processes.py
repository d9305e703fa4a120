"""How processes of this machine are started, and how they end with the one that started them."""

from __future__ import annotations

import fcntl
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import connection, resource_tracker


@contextmanager
def uninterrupted() -> Iterator[None]:
    """SIGINT waits for the end, and does not reach the processes started meanwhile: they inherit that it is blocked.

    The mask holds for this thread alone. Another, such as one of a matrix library, may be given the signal, for which
    the main thread then calls the handler: so the handler waits as well, else a process is left half started.
    """
    came: list[int] = []
    ours = threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGINT) is not None
    handler = signal.signal(signal.SIGINT, lambda number, _: came.append(number)) if ours else None
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        if ours:
            signal.signal(signal.SIGINT, handler)
        if came:
            signal.raise_signal(signal.SIGINT)


@contextmanager
def starting() -> Iterator[None]:
    """Processes are started meanwhile: they import what this one does, and SIGINT does not reach them."""
    with _same_path():
        resource_tracker.ensure_running()  # which ends with SIGINT no longer blocked
        with uninterrupted(), _no_main():
            yield


@contextmanager
def _same_path() -> Iterator[None]:
    """Processes started meanwhile import from where this one does.

    `python -c`, by which they are started, looks in the working directory first, where another checkout of this package
    may be, and a fork server of Python 3.11 to 3.13 preloads from there, whatever path it is given.
    """
    ours = {"PYTHONPATH": os.pathsep.join(path or os.curdir for path in sys.path), "PYTHONSAFEPATH": "1"}
    before = {name: os.environ.get(name) for name in ours}
    os.environ.update(ours)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name)
            if value is not None:
                os.environ[name] = value


@contextmanager
def _no_main() -> Iterator[None]:
    """Processes started meanwhile do not run the user's script again, of which they are sent what they need."""
    main = vars(sys.modules["__main__"])
    hidden = {name: main.pop(name) for name in ("__file__",) if name in main}
    hidden["__spec__"], main["__spec__"] = main.get("__spec__"), None
    try:
        yield
    finally:
        main.update(hidden)


def leave_with_parent() -> None:
    """Have this process end with the one that started it, whatever it is in. In its main thread.

    A thread waits for that, which cannot act as long as a compiled loop keeps the interpreter to itself. So the system
    is asked for the signal SIGIO on what the thread waits for, which ends a process at once (on Linux).
    """
    parent = multiprocessing.parent_process()
    assert parent is not None
    signal.signal(signal.SIGIO, signal.SIG_DFL)
    fcntl.fcntl(parent.sentinel, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(parent.sentinel, fcntl.F_SETFL, fcntl.fcntl(parent.sentinel, fcntl.F_GETFL) | os.O_ASYNC)
    threading.Thread(target=_leave_after, args=(parent.sentinel,), daemon=True).start()


def _leave_after(sentinel: int) -> None:
    connection.wait([sentinel])
    os._exit(1)
