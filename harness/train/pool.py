"""Trainings on several devices at once, one process per device, or several where it is named more than once.

`Devices` hand out trainings: `Here` to the devices of this machine, `harness.train.cluster` to those of others.
"""

from __future__ import annotations

import multiprocessing
import signal
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import connection
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, NoReturn, Protocol, Self

import torch

from harness.errors import HarnessError
from harness.processes import leave_with_parent, starting
from harness.train import images, results
from harness.train.devices import Place, Precision, device_of, precision_of
from harness.train.jobs import finish
from harness.train.loop import Interrupted, Watch, train
from harness.train.recipes import Recipe
from harness.train.results import Curve, Job, Origin


class Ended(NamedTuple):
    """A training that is no longer running, and what came of it: its curve or, where it failed, the reason."""

    slot: int
    job: Job
    outcome: Curve | HarnessError


class Trainers(Protocol):
    """Slots that train one job each; `Pool` says what is promised."""

    devices: tuple[str, ...]
    running: dict[int, Job]

    def submit(self, slot: int, job: Job, until: int | None = None, origin: Origin | None = None) -> None: ...
    def next(self) -> Ended: ...
    def __enter__(self) -> Self: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class Devices(Protocol):
    """Where trainings run: the device of each slot, and the precision of all."""

    names: tuple[str, ...]
    precision: Precision

    def pool(
        self,
        images_name: str,
        data_root: Path | None,
        recipe: Recipe,
        folder: Path,
        *,
        note: Callable[[Job, str], None] | None = None,
    ) -> Trainers: ...


class Here:
    """Devices of this machine."""

    def __init__(self, names: Sequence[str], precision: str) -> None:
        self.names, self.precision = tuple(names), precision_of(precision, device_of(names[0]))

    def pool(
        self,
        images_name: str,
        data_root: Path | None,
        recipe: Recipe,
        folder: Path,
        *,
        note: Callable[[Job, str], None] | None = None,
    ) -> Trainers:
        return Pool(images_name, data_root, recipe, self.names, self.precision, folder, note=note)


@dataclass(frozen=True)
class Work:
    """What a process needs to train: everything but the jobs."""

    images: str
    root: Path | None
    recipe: Recipe
    precision: Precision
    folder: Path


class Pool:
    """Slots that train one job each, on `devices` such as ("cpu", "cpu") or ("cuda:0", "cuda:1").

    All jobs are on the image set `images_name`, with the splits of `recipe`. Whole trainings become files in `folder`;
    those that are there are read. `note` is told what a user should know of a training.

    As a context manager, it asks the trainings that still run to stop when it is left, and waits: each ends after a
    step, and keeps its checkpoint.
    """

    def __init__(
        self,
        images_name: str,
        data_root: Path | None,
        recipe: Recipe,
        devices: Sequence[str],
        precision: Precision,
        folder: Path,
        *,
        note: Callable[[Job, str], None] | None = None,
    ) -> None:
        self.work = Work(images_name, data_root, recipe, precision, folder)
        self.devices = tuple(devices)
        self.note = note
        self.running: dict[int, Job] = {}
        self.processes: dict[int, tuple[BaseProcess, Connection]] = {}
        self._ended: list[tuple[float, Ended]] = []

    def submit(self, slot: int, job: Job, until: int | None = None, origin: Origin | None = None) -> None:
        """Train `job` in a free slot, to its end or for `until` epochs of its recipe's schedule.

        It goes on from its checkpoint in the folder, where there is one. `origin` is noted with a whole training.
        """
        if slot in self.running:
            raise ValueError(f"slot {slot} is at work")
        if slot not in self.processes or not self.processes[slot][0].is_alive():
            self.processes[slot] = self._start(slot)
        self.running[slot] = job
        with suppress(BrokenPipeError):  # it died meanwhile, which `next` tells
            self.processes[slot][1].send((job, until, origin))

    def next(self) -> Ended:
        """Wait for a training to end; of several that have, the one that ended first."""
        if not self.running and not self._ended:
            raise ValueError("nothing is running")
        while True:
            self._receive(0.0 if self._ended else None)
            if self._ended:
                self._ended.sort(key=lambda pair: pair[0])
                return self._ended.pop(0)[1]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            for slot, (process, pipe) in self.processes.items():
                if slot in self.running:
                    process.terminate()
                pipe.close()
            for process, _ in self.processes.values():
                process.join()
        finally:
            for process, _ in self.processes.values():
                process.kill()
            self.processes.clear()
            self.running.clear()

    def _start(self, slot: int) -> tuple[BaseProcess, Connection]:
        """A process that Ctrl-C does not reach."""
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        process = context.Process(target=_serve, args=(theirs, self.work, self.devices[slot]))
        with starting():
            process.start()
        theirs.close()
        return process, ours

    def _receive(self, timeout: float | None) -> None:
        """Take in what the processes at work have said, waiting for at least one of them."""
        pipes = {self.processes[slot][1]: slot for slot in self.running}
        for pipe in connection.wait(list(pipes), timeout):
            assert isinstance(pipe, Connection)
            slot = pipes[pipe]
            job = self.running[slot]
            try:
                said = pipe.recv()
            except (EOFError, ConnectionResetError):
                said = (time.monotonic(), self._lost(slot, job))
            if isinstance(said, str):
                if self.note is not None:
                    self.note(job, said)
                continue
            when, outcome = said
            del self.running[slot]
            self._ended.append((when, Ended(slot, job, outcome)))

    def _lost(self, slot: int, job: Job) -> HarnessError:
        """Why the process of `slot` is gone; the next training in it gets a new one."""
        process, pipe = self.processes.pop(slot)
        pipe.close()
        process.join()
        code, on = process.exitcode or 0, f"{job.architecture.text}, seed {job.seed}, on {self.devices[slot]}"
        if code < 0:
            return HarnessError(
                f"the process that trained {on} was killed by {signal.Signals(-code).name}.",
                "if the machine ran out of memory use fewer workers; the same command goes on from the checkpoints.",
            )
        return HarnessError(
            f"the process that trained {on} ended with status {code}.",
            "what it said stands above; the same command goes on from the checkpoints.",
        )


class _Passing(Watch):
    """Sends notes to the parent."""

    def __init__(self, pipe: Connection) -> None:
        self.pipe = pipe

    def note(self, text: str) -> None:
        self.pipe.send(text)


def _serve(pipe: Connection, work: Work, device: str) -> None:
    """The process of a slot: train what comes through `pipe`, until it is closed or this process is asked to stop."""
    signal.signal(signal.SIGTERM, _leave)
    leave_with_parent()
    if device == "cpu":
        torch.set_num_threads(1)
    loaded: images.ImageSet | None = None
    try:
        while True:
            job, until, origin = pipe.recv()
            outcome: object
            try:
                place = Place(device_of(device), work.precision)
                if loaded is None:
                    loaded = images.load(work.images, work.root, work.recipe, place.device)
                outcome = trained(job, until, loaded, place, work.folder, _Passing(pipe), origin)
            except HarnessError as error:
                outcome = error
            pipe.send((time.monotonic(), outcome))
    except (EOFError, BrokenPipeError, Interrupted):
        return


def trained(
    job: Job,
    until: int | None,
    loaded: images.ImageSet,
    place: Place,
    folder: Path,
    watch: Watch,
    origin: Origin | None = None,
) -> Curve:
    """The curve of a job to its end or for `until` epochs, whose file or checkpoint is in the folder from then on."""
    if until is None or until >= job.recipe.epochs:
        return finish(job, loaded, place, folder, origin=origin, watch=watch).curve
    if (target := results.path(folder, job)).exists():
        return results.read(target).curve.first(until)
    checkpoint = results.checkpoint_path(folder, job)
    return train(job, loaded, place, checkpoint=checkpoint, until=until, watch=watch).first(until)


def _leave(number: int, frame: object) -> NoReturn:
    sys.exit(0)
