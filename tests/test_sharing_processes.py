"""Searches by weight sharing in several processes: what one process finds, to rounding, and the same each time."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from ranks import ALONE, SEARCHES, TINY_FILE, free_port, planned, search_together
from torch.multiprocessing.spawn import spawn
from torchrun import two_processes

from harness import HarnessError
from harness.sharing.search import SharedRun
from harness.train import results
from harness.train.loop import Watch


def test_two_processes_search_as_one_does(tmp_path: Path) -> None:
    """Every method, to rounding: weights, running means, distributions, losses and scores, in batches of odd sizes."""
    spawn(search_together, (free_port(), tmp_path), nprocs=2)
    told = json.loads((tmp_path / "told.json").read_text())
    assert told["same"]
    assert told["joined"] < 1e-10
    assert told["apart"].keys() == SEARCHES.keys()
    assert max(told["apart"].values()) < 1e-10, told["apart"]


def test_torchrun_searches_and_trains_the_best(harness: Callable[..., Any]) -> None:
    """One process writes and prints; what goes on from a search follows, and the same command finds all there."""
    Path("tiny.toml").write_text(TINY_FILE)
    asked = ["search", "--space", "digits201", "--method", "rsps", "--param", "rsps.samples=5", "--data", "digits"]
    asked += ["--epochs", "1", "--train", "best", "--recipe", "tiny.toml", "--device", "cpu", "--out", "r"]
    answer = two_processes(*asked)
    assert answer.returncode == 0, answer.stderr
    assert answer.stderr.count("images to train") == 1
    assert answer.stderr.count("the best by one-shot accuracy, trained from scratch") == 1
    paths = answer.stdout.splitlines()
    assert len({*paths}) == len(paths) == 3
    assert all(Path(path).exists() for path in paths)
    trained = [results.read(path) for path in Path("r/trained").glob("*.parquet")]
    assert {training.facts["processes"] for training in trained} == {2}
    kept = {path: path.stat().st_mtime_ns for path in Path("r").rglob("*") if path.is_file()}
    assert len(kept) == 5
    again = harness(*asked)
    assert again.out == answer.stdout
    assert {path: path.stat().st_mtime_ns for path in kept if path.parent.name != "r"}.items() <= kept.items()


def test_what_does_not_fit_several_processes_is_refused(
    harness: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    asked = ("search", "--space", "digits201", "--method", "darts", "--data", "digits", "--device")
    harness(*asked, "cuda:1").refuses("cuda:1 is one device, and here are 2 processes.", "--device cuda gives each")
    monkeypatch.setenv("WORLD_SIZE", "2")
    many = ("search", "--space", "nb201", "--algo", "rs", "--data", "digits", "--evals", "1")
    harness(*many).refuses("trainings at once are started by one process.", "leave torchrun out")
    of, images = planned("darts")
    with pytest.raises(HarnessError, match="batches of 33 images are too few for 17 processes"):
        SharedRun(of, images, replace(ALONE, world=17), Watch())
