"""TOML files: UTF-8 whatever the locale, with or without a byte order mark."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from harness.errors import HarnessError
from harness.escapes import obeyed
from harness.files import reading


def read(path: Path, hint: str) -> dict[str, Any]:
    """What a TOML file says. Raises HarnessError with the `hint` if it cannot be read or is none."""
    with reading(path, "a readable TOML file", hint):
        found = tomllib.loads(path.read_bytes().decode("utf-8-sig"))
        if any(map(obeyed, _texts(found))):
            raise HarnessError(f"{path} has control characters, or commands to a log, in a text.", "leave them out.")
    return found


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for name, entry in value.items():
            yield name
            yield from _texts(entry)
    elif isinstance(value, list):
        for entry in value:
            yield from _texts(entry)
