"""TOML files: UTF-8 whatever the locale, with or without a byte order mark."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from harness.files import reading


def read(path: Path, hint: str) -> dict[str, Any]:
    """What a TOML file says. Raises HarnessError with the `hint` if it cannot be read or is none."""
    with reading(path, "a readable TOML file", hint):
        return tomllib.loads(path.read_bytes().decode("utf-8-sig"))
