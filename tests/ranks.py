"""What processes of a group do in tests: a module of its own, which a new one can import wherever the tests stand."""

from __future__ import annotations

import copy
import json
import math
import os
import socket
import threading
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from torch import nn

from harness import registry
from harness.arrays import Floats
from harness.sharing.search import Row, SharedRun, SharedSearch, share
from harness.spaces.architecture import Architecture
from harness.train import images, loop, recipes
from harness.train.devices import Place, settings
from harness.train.image_files import Arrays, read
from harness.train.images import ImageSet, of_arrays
from harness.train.loop import Watch
from harness.train.results import Job

CPU, GPU = torch.device("cpu"), torch.device("cuda", 0)
GOOD = "|nor_conv_3x3~0|+|none~0|nor_conv_3x3~1|+|skip_connect~0|none~1|nor_conv_3x3~2|"
TINY = replace(recipes.read("digits"), channels=8, epochs=2, batch=64, cutout=2, flip=True, clip=5.0)
SHARED = replace(recipes.read("sharing-digits"), epochs=2, batch=240)
TINY_FILE = """\
title = "tiny"
epochs = 1
batch = 360
lr = 0.1
channels = 4
cells = 1
validation = 0.5
seeds = [0]
"""
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


def search_together(rank: int, port: int, folder: Path) -> None:
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


def train_on_gpu(rank: int, world: int, port: int, backend: str, out: str) -> None:
    """Rows of an epoch of a training together."""
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    torch.backends.cudnn.allow_tf32 = False
    dist.init_process_group(backend, rank=rank, world_size=world)
    try:
        recipe = replace(TINY, epochs=1, batch=512)
        place = Place(GPU, rank=rank, world=world)
        found = images.load("digits", None, recipe, GPU)
        run = loop.Run(Job(Architecture.parse(GOOD), "digits", "", recipe, 777), found, place, loop.Watch())
        if world == 1:
            run.forward = nn.parallel.DistributedDataParallel(run.network, broadcast_buffers=False)
        run.train_epoch(threading.Event())
        run.end_epoch()
        if rank == 0:
            np.save(out, np.array(run.rows))
    finally:
        dist.destroy_process_group()


def search_on_gpu(rank: int, world: int, port: int, backend: str, out: str) -> None:
    """Numbers of a search together, and of one alone, in float64."""
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    torch.set_default_dtype(torch.float64)
    torch.Tensor.float = torch.Tensor.double  # type: ignore[method-assign]
    dist.init_process_group(backend, rank=rank, world_size=world)
    try:
        found = [searched(Place(GPU, rank=rank, world=world), together=True)]
        if rank == 0:
            np.save(out, [*found, searched(Place(GPU))])
    finally:
        dist.destroy_process_group()


def searched(place: Place, *, together: bool = False) -> list[float]:
    """Loss and distribution after an epoch of DARTS."""
    recipe = replace(SHARED, epochs=1)
    found = images.load("digits", None, recipe, place.device)
    search = SharedSearch.plan("digits201", "darts", {}, found, recipe, "fp32", "batch", 0)
    with settings(place):
        run = SharedRun(search, found, place, loop.Watch())
        if together:
            run.forward = run.parallel()
        run.train_epoch(threading.Event())
        run.end_epoch()
    return [run.log[0].train_loss, *np.ravel(run.log[0].distribution)]


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    return port
