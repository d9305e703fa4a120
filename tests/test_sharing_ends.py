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

import numpy as np
import pytest
import torch

from algorithms.sharing.gdas import Gdas
from harness.sharing import log
from harness.sharing.method import Step
from harness.sharing.search import SharedRun, SharedSearch
from harness.spaces import published
from harness.train import checkpoint, recipes
from harness.train.devices import Place
from harness.train.images import load
from harness.train.loop import Watch

TINY = """\
title = "tiny"
epochs = {epochs}
batch = 360
lr = {lr}
channels = 4
cells = 1
validation = 0.5
seeds = [0]
"""
SEARCH = ("search", "--space", "digits201", "--method", "gdas", "--data", "digits", "--device", "cpu")
RSPS = (*SEARCH[:4], "rsps", *SEARCH[5:])


def test_the_best_is_trained_by_the_recipe(harness: Callable[..., Any], tmp_path: Path) -> None:
    Path("tiny.toml").write_text(TINY.format(epochs=1, lr=0.1))
    answer = harness(*SEARCH, "--epochs", 1, "--train", "best", "--recipe", "tiny.toml", "--out", "r", "--json")
    assert answer.status == 0
    *rows, last = json.loads(answer.out)
    assert last["trained"] == max(rows, key=lambda row: row["one_shot_accuracy"])["architecture"]
    assert last["searches"] == len(rows) == 2
    assert 0 < last["test_accuracy"] < 1
    assert len([*Path("r/trained").glob("*.parquet")]) == 1


def test_a_search_that_was_killed_goes_on_bit_for_bit(harness: Callable[..., Any]) -> None:
    """By SIGKILL, between a checkpoint and the end: alphas, weights and both optimizers come from the file."""
    Path("tiny.toml").write_text(TINY.format(epochs=3, lr=0.1))
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


def test_another_search_leaves_an_unfinished_one_as_it_is(harness: Callable[..., Any]) -> None:
    """Of another recipe it is refused; of another method or space it has a checkpoint of its own."""
    Path("tiny.toml").write_text(TINY.format(epochs=1, lr=0.1))
    Path("other.toml").write_text(TINY.format(epochs=1, lr=0.2))
    recipe = recipes.read("tiny.toml")
    images = load("digits", None, recipe, torch.device("cpu"))
    of = SharedSearch.plan("digits201", "gdas", {}, images, recipe, "fp32", "batch", 0)
    kept = log.checkpoint_path(Path("r"), of)
    checkpoint.save(kept, of, SharedRun(of, images, Place(torch.device("cpu")), Watch()).state())
    before = kept.read_bytes()
    for given in (("--recipe", "other.toml"), ("--recipe", "tiny.toml", "--param", "gdas.hot=5")):
        answer = harness(*SEARCH, *given, "--out", "r")
        assert answer.status == 2
        assert (
            f"{kept} is of another training: its {'params' if '--param' in given else 'recipe'} differs" in answer.err
        )
    for words in ((*RSPS, "--param", "rsps.samples=1"), (*SEARCH, "--space", "nb201")):
        assert harness(*words, "--recipe", "tiny.toml", "--out", "r").status == 0
    assert kept.read_bytes() == before
    assert harness(*SEARCH, "--recipe", "tiny.toml", "--out", "r").status == 0
    assert not kept.exists()
    assert len([*Path("r/searches").glob("*.parquet")]) == 3


def test_searches_without_a_table_say_what_can_be_drawn(harness: Callable[..., Any]) -> None:
    assert harness(*SEARCH, "--space", "nb201", "--epochs", 2, "--out", "r").status == 0
    harness("plot", "r").refuses("no finished study in r.", "harness plot r --figure operators")
    assert harness("plot", "r", "--figure", "operators", "-o", "learned.pdf").out == "learned.pdf\n"


def test_one_epoch_is_no_course(harness: Callable[..., Any]) -> None:
    harness("search", "--space", "digits201", "--method", "darts", "--data", "digits", "--epochs", "1", "--out", "r")
    said = "these searches have one epoch, which is no course to draw."
    harness("plot", "r", "--figure", "operators").refuses(said, "search with --epochs 2 or more.")


def test_a_search_that_diverged_keeps_its_log_and_says_so_each_time(harness: Callable[..., Any]) -> None:
    Path("wild.toml").write_text(TINY.format(epochs=3, lr=1e9))
    for _ in range(2):
        answer = harness(*RSPS, "--recipe", "wild.toml", "--out", "r")
        assert answer.status == 2
        (path,) = Path("r/searches").glob("*.parquet")
        assert f"rsps with seed 0 diverged before it derived anything; its log is {path}." in answer.err
    rows = log.read(path).rows
    assert 1 <= len(rows) < 3
    assert not any(row.derived for row in rows)


def test_a_distribution_that_is_not_finite_stops_the_search_with_its_log(
    harness: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was derived before is what it found."""

    def broken(method: Gdas, step: Step) -> None:
        if step.epoch == 1:
            with torch.no_grad():
                method.alphas[0, 0] = float("nan")

    monkeypatch.setattr(Gdas, "update", broken)
    Path("tiny.toml").write_text(TINY.format(epochs=3, lr=0.1))
    answer = harness(*SEARCH, "--recipe", "tiny.toml", "--out", "r", "--json")
    assert answer.status == 0
    assert "the loss or the distribution is not finite in epoch 2: this search ends here." in answer.err
    (path,) = Path("r/searches").glob("*.parquet")
    first, last = log.read(path).rows
    assert last.derived is None
    assert first.derived is not None
    row = json.loads(answer.out)[0]
    assert row["architecture"] == first.derived.text
    assert 0 < row["travelled"] < 1e-3


def test_a_collapse_to_skips_is_noted_each_time(harness: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    skip, convolution = (1, 2)
    assert published("digits201").space.parameters[0].values[skip] == "skip_connect"
    monkeypatch.setattr(Gdas, "derive", lambda method, score, *, none: np.full(6, skip))
    for given in (("--json",), ("--json",), ()):
        answer = harness(*SEARCH, "--epochs", 1, "--out", "r", *given)
        assert answer.status == 0
        assert "note: gdas, seed 0, collapsed to skip connections: |skip_connect~0|+" in answer.err
        assert not given or all(row["collapsed"] for row in json.loads(answer.out))
    monkeypatch.setattr(Gdas, "derive", lambda method, score, *, none: np.array([convolution, *[skip] * 5]))
    answer = harness(*SEARCH, "--epochs", 1, "--out", "other", "--json")
    assert "collapsed to" not in answer.err
