"""Searches by weight sharing from the command line: the best is trained from scratch."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from harness.sharing import log

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


def test_a_search_that_was_killed_goes_on_bit_for_bit(harness: Callable[..., Any]) -> None:
    """By SIGKILL, between a checkpoint and the end: alphas, weights and both optimizers come from the file."""
    Path("tiny.toml").write_text(TINY.format(epochs=3))
    darts = ("search", "--space", "digits201", "--method", "darts", "--data", "digits", "--device", "cpu")
    asked = (*darts, "--recipe", "tiny.toml", "--out")
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    killed = subprocess.Popen(
        [sys.executable, "-m", "harness", *asked, "killed"], env=environment, stdout=-3, stderr=-3, cwd=Path.cwd()
    )
    kept = Path("killed/searches/.unfinished/digits201.digits.darts.0.pt")
    while not kept.exists() and killed.poll() is None:
        time.sleep(0.002)
    killed.send_signal(signal.SIGKILL)
    assert killed.wait() == -signal.SIGKILL
    assert kept.exists()
    assert not [*Path("killed/searches").glob("*.parquet")]
    found = []
    for out in ("killed", "whole"):
        assert harness(*asked, out).status == 0
        (path,) = Path(out, "searches").glob("*.parquet")
        found.append([replace(row, seconds=0.0, scoring=0.0) for row in log.read(path).rows])
    assert len(found[0]) == 3
    assert found[0] == found[1]
