"""The one exception a user is meant to read: a full sentence and a hint."""

from collections.abc import Iterable
from difflib import get_close_matches


class HarnessError(Exception):
    """Bad input or a broken environment; anything else that is raised is a bug.

    `message` says what is wrong in one sentence, `hint` what to do about it.
    """

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message, hint)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} {self.hint}".strip()


def unknown(kind: str, name: str, known: Iterable[str], *, see: str = "") -> HarnessError:
    """The error for a `name` that is none of `known`, with its closest matches as the hint."""
    known = sorted(known)
    close = get_close_matches(name, known, n=3, cutoff=0.5)
    if close:
        hint = f"did you mean {' or '.join(close)}?"
    elif see:
        hint = f"`{see}` lists them."
    else:
        hint = f"choose from {', '.join(known)}." if known else "there are none."
    return HarnessError(f"unknown {kind} '{name}'.", hint)
