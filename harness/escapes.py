"""Names and texts whose characters would be obeyed: by a terminal, by the log of a CI, by Markdown, by LaTeX."""

from __future__ import annotations

import re
import unicodedata

_TURNS = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""They turn the direction in which what follows is shown."""

_WORKFLOW = re.compile(r"\s*::|.*##\[")
"""What GitHub obeys where a log has it: `::error::` at the begin of a line, `##[error]` anywhere."""

_MARKUP = re.compile(r"[\\`*|]|<(?=[\w/!?])|\](?=\()")

_LATEX = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    **{character: f"\\{character}" for character in "_%&#${}"},
}


def controls(text: str) -> bool:
    """Whether the text has control characters, ends of lines, or characters that turn the direction of others."""
    return not text.isprintable() and any(_control(character) for character in text)


def obeyed(text: str) -> bool:
    """Whether a terminal or the log of a CI would obey a part of the text, which may have several lines."""
    lines = text.replace("\t", " ").split("\n")
    return any(controls(line) or _WORKFLOW.match(line) for line in lines)


def plain(text: str) -> str:
    """The text in one line that no terminal and no log obeys, its control characters as Python writes them."""
    line = "".join(c.encode("unicode_escape").decode() if _control(c) else c for c in text)
    return re.sub(r":(?=:)|##(?=\[)", r"\g<0>\\", line) if _WORKFLOW.match(line) else line


def _control(character: str) -> bool:
    return unicodedata.category(character) in ("Cc", "Zl", "Zp") or character in _TURNS


def markdown(text: str) -> str:
    """The text in one line of Markdown, in which nothing of it is markup."""
    return _MARKUP.sub(r"\\\g<0>", plain(text))


def latex(text: str) -> str:
    """The text in one line of a document that LaTeX sets."""
    return "".join(_LATEX.get(character, character) for character in plain(text))
