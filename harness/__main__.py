"""`python -m harness` is the command `harness`."""

import signal
import sys
import traceback
from typing import NoReturn


def main() -> NoReturn:
    """Entry point of the console script.

    Until the command line is imported there is nothing to lose: an interrupt ends the process at once.
    """
    handler = signal.getsignal(signal.SIGINT)
    if handler is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from harness.errors import CRASH  # noqa: PLC0415

    try:
        from harness import cli  # noqa: PLC0415
    except Exception:
        traceback.print_exc()
        print("error: the command line cannot be imported.", file=sys.stderr)
        sys.exit(CRASH)
    signal.signal(signal.SIGINT, handler)
    cli.main()


if __name__ == "__main__":
    main()
