"""What searches by weight sharing leave in a folder, for tests that compare two."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from harness.sharing import log
from harness.train import checkpoint

ASKED = (
    *("search", "--space", "digits201", "--method", "gdas,gcn", "--data", "digits", "--device", "cpu"),
    *("--param", "gcn.samples=20", "--param", "gcn.width=8", "--param", "gcn.fit=5", "--param", "gcn.finalists=3"),
    *("--recipe", "tiny.toml"),
)
"""By the recipe `TINY_FILE`."""


def bits(folder: str) -> dict[str, Any]:
    """By the id of a search all but its seconds: the log, the weights, and the lookup table if there is one."""
    found = {}
    for path in Path(folder, "searches").glob("*.parquet"):
        search, rows = log.read(path)
        weights = checkpoint.load(log.weights_path(Path(folder), search), search, torch.device("cpu"))["network"]
        table = Path(folder, "searches", "lookup", f"{search.id}.parquet")
        found[search.id] = (
            [replace(row, seconds=0.0, scoring=0.0) for row in rows],
            {name: value.numpy().tobytes() for name, value in weights.items()},
            table.read_bytes() if table.exists() else None,
        )
    return found
