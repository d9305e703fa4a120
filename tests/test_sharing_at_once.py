"""Searches by weight sharing handed out to several processes: the bits of one, and how they stop and go on."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from ranks import TINY_FILE, planned
from sharing_files import ASKED, bits

from harness import HarnessError
from harness.sharing import log
from harness.sharing.jobs import Share
from harness.sharing.search import SharedSearch, share
from harness.train import recipes
from harness.train.devices import Place
from harness.train.images import load
from harness.train.loop import Task, Watch
from harness.train.pool import Pool, Work

Harness = Callable[..., Any]
CPU = torch.device("cpu")


def diverging() -> SharedSearch:
    recipe = replace(recipes.read("sharing-digits"), epochs=2, lr=1e9, channels=4, cells=1)
    return SharedSearch.plan("digits201", "gdas", {}, load("digits", None, recipe, CPU), recipe, "fp32", "batch", 0)


def test_several_at_once_find_the_bits_of_one_process(harness: Harness) -> None:
    """With the weights, and the lookup table where there is one; what follows finds all there."""
    Path("tiny.toml").write_text(TINY_FILE)
    rows = [line.split("/")[-1] for line in harness(*ASKED, "--out", "here").out.splitlines()]
    answer = harness(*ASKED, "--workers", 2, "--out", "there")
    assert answer.status == 0, answer.err
    assert [line.split("/")[-1] for line in answer.out.splitlines()] == rows
    assert bits("there") == bits("here")
    assert not [*Path("there/searches/.unfinished").iterdir()]
    before = {path: path.stat().st_mtime_ns for path in Path("there/searches").rglob("*[0-9a-f].p*")}
    assert len(before) == 5
    assert harness(*ASKED, "--out", "there").out == answer.out
    assert {path: path.stat().st_mtime_ns for path in before} == before


def test_ctrl_c_keeps_checkpoints_from_which_the_same_command_goes_on(harness: Harness) -> None:
    Path("tiny.toml").write_text(TINY_FILE)
    words = [
        "search",
        "--space",
        "digits201",
        "--method",
        "gdas",
        "--data",
        "digits",
        "--device",
        "cpu",
        "--seeds",
        "2",
    ]
    words += ["--recipe", "tiny.toml", "--epochs", "10", "--out"]
    asked = [sys.executable, "-m", "harness", *words, "there", "--workers", "2"]
    stopped = subprocess.Popen(asked, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    kept = Path("there/searches/.unfinished")
    while not [*kept.glob("*.pt")] and stopped.poll() is None:
        time.sleep(0.01)
    stopped.send_signal(signal.SIGINT)
    _, said = stopped.communicate()
    assert stopped.returncode == 130, said
    assert "stopped: 0 of 2 searches are whole; the same command goes on from there." in said
    assert [*kept.glob("*.pt")]
    assert not [*Path("there/searches").glob("*.parquet")]
    assert harness(*words, "there", "--workers", 1).status == 0
    assert harness(*words, "here").status == 0
    assert bits("there") == bits("here")
    assert not [*kept.iterdir()]


def test_a_process_tells_of_epochs_and_notes(tmp_path: Path) -> None:
    heard: list[object] = []

    class Hears(Watch):
        def epoch(self, job: Task, epoch: int, row: dict[str, float]) -> None:
            heard.append((job.id, epoch, "val_accuracy" in row))

        def note(self, text: str) -> None:
            heard.append(text)

    diverges = diverging()
    with Pool(Work("digits", None, tmp_path), ["cpu"], lambda _: Hears()) as pool:
        pool.submit(0, Share(diverges))
        assert pool.next() == (0, diverges, None)
        pool.submit(0, Share(replace(diverges, checksum="0" * 64)))
        other = pool.next().outcome
    assert heard[0] == (diverges.id, 1, True)
    assert "this search ends here" in str(heard[-1])
    assert log.path(tmp_path, diverges).exists()
    assert isinstance(other, HarnessError)
    assert other.message == "digits has other images here than where the command was given."


def test_a_search_by_another_version_of_its_method_is_refused(tmp_path: Path) -> None:
    of, images = planned("gdas")
    with pytest.raises(HarnessError, match="gdas is another version here than where the command was given"):
        Share(replace(of, source="0" * 16))(images, Place(CPU), tmp_path, Watch())
    assert not [*tmp_path.iterdir()]


def test_a_search_takes_one_thread_of_a_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where its network is large, since sums over several threads round otherwise."""
    monkeypatch.setattr("harness.train.loop._SMALL_BATCH", 0)
    before, seen = torch.get_num_threads(), set[int]()

    class Counts(Watch):
        def step(self, epoch: int, done: float, images_per_second: float) -> None:
            seen.add(torch.get_num_threads())

    torch.set_num_threads(2)
    try:
        share(*planned("gdas"), Place(CPU), watch=Counts())
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
    assert seen == {1}


def test_what_cannot_be_done_at_once_is_refused(harness: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("tiny.toml").write_text(TINY_FILE)
    harness(*ASKED, "--workers", 0).refuses("workers must be at least 1, got 0.", "")
    harness(*ASKED, "--device", "cpu,gpu").refuses("unknown device 'gpu'", "cpu")
    kept = log.checkpoint_path(Path("results"), diverging())
    kept.parent.mkdir(parents=True)
    kept.write_bytes(b"nothing")
    harness(*ASKED, "--workers", 2).refuses("is not a checkpoint of this harness", "remove it")
    monkeypatch.setenv("WORLD_SIZE", "2")
    harness(*ASKED, "--workers", 2).refuses("trainings at once are started by one process.", "leave torchrun out")
    harness(*ASKED, "--cluster", "local:2").refuses("trainings at once are started by one process.", "leave torchrun")
