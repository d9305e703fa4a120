"""The one exception a user is meant to read: a full sentence and a hint."""

from __future__ import annotations

from collections.abc import Callable, Iterable

CRASH = 70
"""The exit status of a bug, EX_SOFTWARE of sysexits.h; 1 is an answer of some commands."""


class HarnessError(Exception):
    """Bad input or a broken environment; anything else that is raised is a bug.

    `message` says what is wrong in one sentence, `hint` what to do about it, `status` is what the command exits with.
    """

    status = 2

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message, hint)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} {self.hint}".strip()


_UNNAMED = "the algorithm"


class PluginError(HarnessError):
    """A plugin failed, or what it answered breaks the contract: `did` goes on from `subject`, which names it."""

    def __init__(self, did: str, hint: str = "", subject: str = _UNNAMED) -> None:
        super().__init__(f"{subject} {did}".strip(), hint)
        self.args = (did, hint, subject)

    def of(self, subject: str) -> PluginError:
        """The same of a plugin that can be named."""
        did, hint, _ = self.args
        return PluginError(did, hint, subject)


class Blaming:
    """While it is entered, whatever a plugin raises becomes a PluginError of `subject`, but for its HarnessErrors.

    `where` says in what it failed, when that is wanted.
    """

    def __init__(self, where: Callable[[], str], subject: str = _UNNAMED) -> None:
        self.where = where
        self.subject = subject

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if isinstance(error, PluginError) and self.subject != _UNNAMED:
            raise error.of(self.subject) from error
        if isinstance(error, (Exception, SystemExit)) and not isinstance(error, HarnessError):
            reason = f"{type(error).__name__}: {' '.join(str(error).split())}".rstrip(": .")
            hint = "`harness --debug ...` shows the traceback."
            raise PluginError(f"failed {self.where()}: {reason}.", hint, self.subject) from error


def reason(error: BaseException) -> str:
    """What an exception says, in one line."""
    return " ".join(str(error).split()).rstrip(".") or type(error).__name__


def unknown(kind: str, name: str, known: Iterable[str], *, see: str = "") -> HarnessError:
    """The error for a `name` that is none of `known`, with its closest matches as the hint."""
    from difflib import get_close_matches  # most commands end without an unknown name

    known = sorted(known)
    same = [other for other in known if other.casefold() == name.casefold()]
    close = same or get_close_matches(name, known, n=3, cutoff=0.5)
    if close:
        hint = f"did you mean {' or '.join(close)}?"
    elif see:
        hint = f"`{see}` lists them."
    else:
        hint = f"choose from {', '.join(known)}." if known else "there are none."
    return HarnessError(f"unknown {kind} '{name}'.", hint)
