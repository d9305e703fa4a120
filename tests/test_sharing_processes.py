"""Searches by weight sharing in several processes: what one process finds, to rounding, and the same each time."""

from __future__ import annotations

import copy
import json
import math
import os
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.distributed as dist
from torch.multiprocessing.spawn import spawn
from torchrun import two_processes

from harness import HarnessError, registry
from harness.arrays import Floats
from harness.sharing.search import Row, SharedRun, SharedSearch, share
from harness.train import recipes, results
from harness.train.devices import Place, settings
from harness.train.image_files import Arrays, read
from harness.train.images import ImageSet, of_arrays
from harness.train.loop import Watch

CPU = torch.device("cpu")
RECIPE = replace(recipes.read("sharing-digits"), batch=33, channels=4, cells=1)
"""Batches that two processes cannot halve."""
GIVEN: dict[str, dict[str, Any]] = {
    "adwp": {"hidden": 4},
    "enas": {"samples": 5},
    "fairnas": {"population": 4, "generations": 1},
    "gcn": {"samples": 20, "width": 8, "fit": 5, "finalists": 3},
    "p-darts": {"dropout": 0.0},
    "rsps": {"samples": 5},
    "setn": {"samples": 5},
    "spos": {"population": 4, "generations": 1},
}
SEARCHES = {
    **{name: (name, "digits201", GIVEN.get(name, {})) for name in registry.method_names()},
    "second order": ("darts", "digits201", {"order": "second"}),
    "chains": ("proxyless", "mobilenet/macro", {}),
}
EPOCHS = {"adwp": 10, "p-darts": 3, "pc-darts": 2}
STATISTICS: dict[str, Any] = {"gdas": "running", "snas": "recalibrated"}
ALONE = Place(CPU, deterministic=True)


def few(recipe: recipes.Recipe) -> ImageSet:
    """A hundred images of digits, half of them held out: two steps an epoch."""
    whole = read("digits", None)
    (x, y), test = whole.train, whole.test
    return of_arrays(Arrays("digits", (x[:100], y[:100]), test, 10), recipe, CPU)


def planned(name: str, **changed: Any) -> tuple[SharedSearch, ImageSet]:
    method, space, given = SEARCHES[name]
    recipe = replace(RECIPE, epochs=EPOCHS.get(name, 1), cells=2 if name == "p-darts" else 1)
    recipe = replace(recipe, batch=64) if name == "adwp" else recipe
    images = few(recipe)
    about = (images, recipe, "fp32", STATISTICS.get(name, "batch"), 0)
    return SharedSearch.plan(space, method, {**given, **changed}, *about), images


def timeless(rows: list[Row]) -> list[Row]:
    return [replace(row, seconds=0.0, scoring=0.0) for row in rows]


def numbers(rows: list[Row], run: SharedRun) -> tuple[list[Any], Floats]:
    """What was derived, and all numbers of the log and the trained weights."""
    ends = [end for row in rows for end in (row.derived, row.without) if end is not None]
    scores = [x for end in ends for x in (end.loss, end.accuracy)]
    logged = [x for row in rows for x in (row.train_loss, row.train_accuracy, *np.ravel(row.distribution))]
    state = [x.flatten().numpy() for name, x in run.network.state_dict().items() if "num_batches" not in name]
    return [end.text for end in ends], np.nan_to_num(np.concatenate([scores, logged, *state]))


class Stop(Watch):
    """An accident in the second epoch."""

    def step(self, epoch: int, done: float, images_per_second: float) -> None:
        if epoch == 1:
            raise InterruptedError


def interrupted(together: Place, folder: Path) -> bool:
    """Whether a search that goes on from a checkpoint gives the same bits; dropout draws in every process."""
    of, images = planned("p-darts", dropout=0.7)
    whole, _ = share(of, images, together)
    path = folder / "one.pt"
    with suppress(InterruptedError):
        share(of, images, together, checkpoint=path, watch=Stop())
    dist.barrier()
    again, _ = share(of, images, together, checkpoint=path)
    return path.exists() and timeless(again) == timeless(whole)


def joined(together: Place) -> float:
    """How far the loss of an epoch that one process began and two ended is from that of one process, relatively."""
    of, images = planned("rsps")
    with settings(ALONE):
        alone, stop = SharedRun(of, images, ALONE, Watch()), threading.Event()
        stop.set()
        alone.train_epoch(stop)
        run = SharedRun(of, images, together, Watch())
        run.restore(copy.deepcopy(alone.state()))
        for one in (alone, run):
            one.train_epoch(threading.Event())
            one.end_epoch()
    return abs(run.log[0].train_loss / alone.log[0].train_loss - 1.0)


def _process(rank: int, port: int, folder: Path) -> None:
    """The first of two processes writes how far two are from one, in float64, in which rounding stays small."""
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "GLOO_SOCKET_IFNAME": "lo"}
    torch.set_num_threads(1)
    dist.init_process_group("gloo", rank=rank, world_size=2)
    together, apart = Place(CPU, rank=rank, world=2, deterministic=True), {}
    same = interrupted(together, folder)
    torch.set_default_dtype(torch.float64)
    torch.Tensor.float = torch.Tensor.double  # type: ignore[method-assign]
    for name in SEARCHES:
        of, images = planned(name)
        derived, found = numbers(*share(of, images, together))
        if rank == 0:
            expected, alone = numbers(*share(of, images, ALONE))
            apart[name] = float(np.abs(found - alone).max()) if derived == expected else math.inf
    told = {"same": same, "joined": joined(together), "apart": apart}
    dist.destroy_process_group()
    if rank == 0:
        (folder / "told.json").write_text(json.dumps(told))


def test_two_processes_search_as_one_does(tmp_path: Path) -> None:
    """Every method, to rounding: weights, running means, distributions, losses and scores, in batches of odd sizes."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    spawn(_process, (port, tmp_path), nprocs=2)
    told = json.loads((tmp_path / "told.json").read_text())
    assert told["same"]
    assert told["joined"] < 1e-10
    assert told["apart"].keys() == SEARCHES.keys()
    assert max(told["apart"].values()) < 1e-10, told["apart"]


RECIPE_FILE = """\
title = "tiny"
epochs = 1
batch = 360
lr = 0.1
channels = 4
cells = 1
validation = 0.5
seeds = [0]
"""


def test_torchrun_searches_and_trains_the_best(harness: Callable[..., Any]) -> None:
    """One process writes and prints; what goes on from a search follows, and the same command finds all there."""
    Path("tiny.toml").write_text(RECIPE_FILE)
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
