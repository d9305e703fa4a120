"""Searches by weight sharing from the command line: the best is trained from scratch."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

TINY = """\
title = "tiny"
epochs = {epochs}
batch = 360
lr = 0.1
channels = 4
cells = 1
validation = 0.5
seeds = [0]
"""
SEARCH = ("search", "--space", "digits201", "--method", "gdas", "--data", "digits", "--device", "cpu")


def test_the_best_is_trained_by_the_recipe(harness: Callable[..., Any], tmp_path: Path) -> None:
    Path("tiny.toml").write_text(TINY.format(epochs=1))
    answer = harness(*SEARCH, "--epochs", 1, "--train", "best", "--recipe", "tiny.toml", "--out", "r", "--json")
    assert answer.status == 0
    *rows, last = json.loads(answer.out)
    assert last["trained"] == max(rows, key=lambda row: row["one_shot_accuracy"])["architecture"]
    assert last["searches"] == len(rows) == 2
    assert 0 < last["test_accuracy"] < 1
    assert len([*Path("r/trained").glob("*.parquet")]) == 1
