"""What stands for characters that a terminal of another encoding than Unicode's does not have."""

from __future__ import annotations

import codecs
import unicodedata

_INSTEAD = {
    "±": "+-",
    "–": "-",
    "—": "-",
    "−": "-",
    "…": "...",
    "×": "x",
    "∞": "inf",
    "·": "*",
    "≤": "<=",
    "≥": ">=",
    "→": "->",
    "“": '"',
    "”": '"',
    "‘": "'",
    "’": "'",
}  # fmt: skip


def plain(text: str) -> str:
    """The text in ASCII: signs by what is written for them, letters without accents, lines by hyphens, else `?`."""
    return "".join(_one(character) for character in text)


def _one(character: str) -> str:
    if character in _INSTEAD or character.isascii():
        return _INSTEAD.get(character, character)
    if "\u2500" <= character <= "\u257f":
        return "-"
    return unicodedata.normalize("NFKD", character).encode("ascii", "ignore").decode() or "?"


def _handle(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return plain(error.object[error.start : error.end]), error.end


HANDLER = "harness.plain"
"""The name of the handler of encoding errors that writes `plain` text."""
codecs.register_error(HANDLER, _handle)
