"""`python -m harness` is the command `harness`."""

import os
import sys

TYPE_CHECKING = False  # as in `harness`: `typing` would be imported before an interrupt is heard

if TYPE_CHECKING:
    from typing import NoReturn

INTERRUPTED = 130
"""The exit status of a command that SIGINT ended, as shells have it."""


def leave(*_: object) -> "NoReturn":
    """Answer an interrupt where there is nothing to lose."""
    os.write(2, b"interrupted.\n")
    os._exit(INTERRUPTED)


def main() -> "NoReturn":
    """Entry point of the console script."""
    try:
        _main()
    except KeyboardInterrupt:
        leave()


def _main() -> "NoReturn":
    import signal  # noqa: PLC0415

    mine = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if mine:
        signal.signal(signal.SIGINT, leave)
    import atexit  # noqa: PLC0415
    import gc  # noqa: PLC0415

    atexit.register(gc.freeze)  # as Python ends, it would look through all that was imported for garbage
    if mine:
        # Python hands signals back to the system as it ends, which would kill what is done already.
        atexit.register(signal.signal, signal.SIGINT, signal.SIG_IGN)
    from harness.errors import CRASH  # noqa: PLC0415

    try:
        from harness import cli  # noqa: PLC0415
    except Exception:
        import traceback  # noqa: PLC0415

        traceback.print_exc()
        print("error: the command line cannot be imported.", file=sys.stderr)
        sys.exit(CRASH)
    if mine:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        cli.main()
    finally:
        if mine:
            signal.signal(signal.SIGINT, leave)


if __name__ == "__main__":
    main()
