"""Checkpoints: whole or absent, of one job only, and read without running anything that is in them."""

from __future__ import annotations

import io
import json
import os
import pickle
import zipfile
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch

from harness.errors import HarnessError
from harness.files import FULL
from harness.train.results import Job


def save(path: Path, job: Job, state: dict[str, Any]) -> None:
    """Write `state` in place of the checkpoint at `path`, which stays as it was if that cannot be done."""
    buffer = io.BytesIO()
    torch.save({"job": json.dumps(job.to_json(), sort_keys=True), **state}, buffer)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as file:
            file.write(buffer.getbuffer())
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        full = error.errno in FULL
        kept = "the same command goes on from the checkpoint before" if path.exists() else "run the same command again"
        raise HarnessError(
            f"cannot write the checkpoint {path}: {error.strerror or error}.",
            f"free some space; {kept}." if full else "choose another --out.",
        ) from None
    finally:
        with suppress(OSError):
            temporary.unlink()


def load(path: Path, job: Job, device: torch.device) -> dict[str, Any]:
    """The state at `path`. Raises HarnessError if it is not whole or of another architecture, recipe or image set."""
    remove = "remove it to train from the start."
    try:
        state: dict[str, Any] = torch.load(path, map_location=device, weights_only=True)
        theirs, ours = json.loads(state["job"]), job.to_json()
    except (
        OSError,
        RuntimeError,
        EOFError,
        KeyError,
        TypeError,
        ValueError,
        pickle.UnpicklingError,
        zipfile.BadZipFile,
    ):
        raise HarnessError(f"{path} is not a checkpoint of this harness, or not whole.", remove) from None
    if theirs != json.loads(json.dumps(ours)):
        differs = " and ".join(key for key in ours if theirs.get(key) != json.loads(json.dumps(ours[key])))
        raise HarnessError(f"the checkpoint {path} is of another training: its {differs} differ.", remove)
    return state
