"""Checkpoints: whole or absent, of one job only, and read without running anything that is in them.

A file is a line with the SHA-256 of what follows it, which is what `torch.save` writes; earlier versions wrote no line.
"""

from __future__ import annotations

import hashlib
import io
import json
from pathlib import Path
from typing import Any, Protocol

import torch

from harness.errors import HarnessError
from harness.files import FULL, content, reading, whole

_LINE = b"nas-harness checkpoint 1 %s\n"
HEAD = len(_LINE % (b"0" * 64))
REMOVE = "remove it to train from the start."


class Recorded(Protocol):
    """What a checkpoint is of."""

    def to_json(self) -> dict[str, Any]: ...


def save(path: Path, job: Recorded, state: dict[str, Any]) -> None:
    """Write `state` in place of the checkpoint at `path`, which stays as it was if that cannot be done."""
    buffer = io.BytesIO()
    torch.save({"job": json.dumps(job.to_json(), sort_keys=True), **state}, buffer)
    line = _LINE % hashlib.sha256(buffer.getbuffer()).hexdigest().encode()
    with whole(path, refuse=_refusal) as temporary, temporary.open("wb") as file:
        file.write(line)
        file.write(buffer.getbuffer())


def load(path: Path, job: Recorded, device: torch.device) -> dict[str, Any]:
    """The state at `path`. Raises HarnessError if it is not whole or of another architecture, recipe or image set."""
    with reading(path, "a checkpoint of this harness", REMOVE):
        state: dict[str, Any] = torch.load(io.BytesIO(_checked(content(path))), map_location=device, weights_only=True)
        theirs, ours = json.loads(state["job"]), json.loads(json.dumps(job.to_json()))
    if theirs != ours:
        names = [key for key in ours if theirs.get(key) != ours[key]]
        told = f"{' and '.join(names)} {'differs' if len(names) == 1 else 'differ'}"
        raise HarnessError(f"the checkpoint {path} is of another training: its {told}.", REMOVE)
    return state


def verify(path: Path) -> bool:
    """Whether the file has a checksum; those of earlier versions have none. Raises HarnessError if it is broken."""
    with reading(path, "a checkpoint of this harness", REMOVE):
        found = content(path)
        return bool(_checked(found)) and not found.startswith(b"PK")


def _checked(found: bytes) -> bytes:
    """What `torch.save` wrote, of a file. Raises ValueError if that is not what the file holds."""
    if found.startswith(b"PK"):
        return found
    line, written = found[:HEAD], found[HEAD:]
    if line != _LINE % hashlib.sha256(written).hexdigest().encode():
        raise ValueError("its content does not have the checksum that it was written with")
    return written


def _refusal(path: Path, error: OSError) -> HarnessError:
    kept = "the same command goes on from the checkpoint before" if path.exists() else "run the same command again"
    return HarnessError(
        f"cannot write the checkpoint {path}: {error.strerror or error}.",
        f"free some space; {kept}." if error.errno in FULL else "choose another --out.",
    )
