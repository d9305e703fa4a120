"""Assignments on several devices at once, one process per device, or several where it is named more than once.

An `Assignment` is a training (`harness.train.jobs`) or a search by weight sharing (`harness.sharing.jobs`). `Devices`
hand them out: `Here` to the devices of this machine, `harness.train.cluster` to those of others.
"""

from __future__ import annotations

import math
import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from multiprocessing import connection
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from types import TracebackType
from typing import Any, Generic, NamedTuple, NoReturn, Protocol, Self, TypeVar

import torch

from harness.errors import HarnessError
from harness.processes import leave_with_parent, starting
from harness.train import images
from harness.train.devices import Place, Precision, device_of, precision_of
from harness.train.images import ImageSet
from harness.train.loop import Interrupted, Task, Watch
from harness.train.recipes import Recipe

_SECONDS_BETWEEN_EPOCHS = 1.0
"""A process tells its caller of no more epochs than this."""


class OnImages(Task, Protocol):
    """A task on the image set `images`, by its checksum."""

    @property
    def images(self) -> str: ...
    @property
    def checksum(self) -> str: ...
    @property
    def precision(self) -> str: ...


J = TypeVar("J", bound=OnImages)
J_co = TypeVar("J_co", bound=OnImages, covariant=True)
T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


class Assignment(Protocol[J_co, T_co]):
    """What a device is given to do: a job, and how it becomes files in a folder. It travels to other processes."""

    @property
    def job(self) -> J_co: ...

    @property
    def label(self) -> str:
        """What it is called in messages."""
        ...

    @property
    def key(self) -> str:
        """Alike where the same is to be done."""
        ...

    def files(self, folder: Path) -> list[Path]:
        """All that it may leave in a folder; the last is there once it is whole."""
        ...

    def checkpoint(self, folder: Path) -> Path:
        """What it goes on from until then."""
        ...

    def __call__(self, images: ImageSet, place: Place, folder: Path, watch: Watch) -> T_co:
        """Do it, going on from what is in the folder; its outcome.

        Raises Interrupted where it was asked to stop, HarnessError where it cannot be done.
        """
        ...


class Ended(NamedTuple, Generic[J, T]):
    """A job that no longer runs, and what came of it: its outcome or, where it failed, the reason."""

    slot: int
    job: J
    outcome: T | HarnessError


class Trainers(Protocol[J, T]):
    """Slots that do one assignment each; `Pool` says what is promised."""

    devices: tuple[str, ...]

    def submit(self, slot: int, assignment: Assignment[J, T]) -> None: ...
    def next(self) -> Ended[J, T]: ...
    def __enter__(self) -> Self: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


@dataclass(frozen=True)
class Work:
    """What a process needs beside assignments: the image set as `images.load` takes it, and where files belong."""

    images: str
    root: Path | None
    folder: Path
    deterministic: bool = False
    compiled: bool = False

    def do(self, assignment: Assignment[J, T], device: str, folder: Path, watch: Watch) -> T:
        """Do an assignment on a device of this process, a CPU by one thread, in a `folder`.

        Raises HarnessError like the assignment, and where the images here are others than those of its job.
        """
        job, threads = assignment.job, torch.get_num_threads()
        where = device_of(device)
        exact = precision_of(job.precision, where)
        place = Place(where, exact, deterministic=self.deterministic, compiled=self.compiled)
        loaded = _loaded(self.images, self.root, job.recipe, place.device)
        if loaded.checksum != job.checksum:
            _loaded.cache_clear()  # they may be put right
            raise HarnessError(
                f"{job.images} has other images here than where the command was given.", "put the same in both places."
            )
        try:
            if place.device.type == "cpu":
                torch.set_num_threads(1)
            return assignment(loaded, place, folder, watch)
        finally:
            torch.set_num_threads(threads)


@lru_cache(maxsize=1)
def _loaded(name: str, root: Path | None, recipe: Recipe, device: torch.device) -> ImageSet:
    return images.load(name, root, recipe, device)


Watching = Callable[[Assignment[Any, Any]], Watch]
"""Who hears of an assignment: notes, and now and then an epoch."""


def unwatched(assignment: Assignment[Any, Any]) -> Watch:
    """Nobody hears of it."""
    return Watch()


class Devices(Protocol):
    """Where assignments are done: the device of each slot, and the precision of all."""

    names: tuple[str, ...]
    precision: Precision

    def pool(self, work: Work, watching: Watching = unwatched) -> Trainers[Any, Any]: ...


class Here:
    """Devices of this machine."""

    def __init__(self, names: Sequence[str], precision: str) -> None:
        self.names, self.precision = tuple(names), precision_of(precision, device_of(names[0]))

    def pool(self, work: Work, watching: Watching = unwatched) -> Trainers[Any, Any]:
        return Pool(work, self.names, watching)


def done(pool: Trainers[J, T], assignments: Iterable[Assignment[J, T]]) -> Iterator[tuple[J, T]]:
    """Every job with its outcome, as they end; a slot that is free takes the next. Raises HarnessError if one fails."""
    left, running = iter(assignments), 0
    for slot, assignment in zip(range(len(pool.devices)), left, strict=False):
        pool.submit(slot, assignment)
        running += 1
    while running:
        slot, job, outcome = pool.next()
        if isinstance(outcome, HarnessError):
            raise outcome
        if (following := next(left, None)) is not None:
            pool.submit(slot, following)
        else:
            running -= 1
        yield job, outcome


class Pool:
    """Slots that do one assignment each, on `devices` such as ("cpu", "cpu") or ("cuda:0", "cuda:1").

    What is whole becomes files in the folder of `work`; what is there is read.

    As a context manager, it asks the trainings that still run to stop when it is left, and waits: each ends after a
    step, and keeps its checkpoint.
    """

    def __init__(self, work: Work, devices: Sequence[str], watching: Watching = unwatched) -> None:
        self.work, self.watching = work, watching
        self.devices = tuple(devices)
        self.running: dict[int, tuple[Assignment[Any, Any], Watch]] = {}
        self.processes: dict[int, tuple[BaseProcess, Connection]] = {}
        self._ended: list[tuple[float, Ended[Any, Any]]] = []

    def submit(self, slot: int, assignment: Assignment[Any, Any]) -> None:
        """Do an assignment in a free slot. It goes on from its checkpoint in the folder, where there is one."""
        if slot in self.running:
            raise ValueError(f"slot {slot} is at work")
        if slot not in self.processes or not self.processes[slot][0].is_alive():
            self.processes[slot] = self._start(slot, type(assignment).__module__)
        self.running[slot] = assignment, self.watching(assignment)
        with suppress(ConnectionError):  # it died meanwhile, which `next` tells
            self.processes[slot][1].send(assignment)

    def next(self) -> Ended[Any, Any]:
        """Wait for an assignment to end; of several that have, the one that ended first."""
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

    def _start(self, slot: int, module: str) -> tuple[BaseProcess, Connection]:
        """A process that Ctrl-C does not reach, a fork of one that has imported `module`, in which no GPU is used."""
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload([module])
        ours, theirs = context.Pipe()
        about = (theirs, self.work, self.devices[slot], dict(os.environ))
        process = context.Process(target=_serve, args=about)
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
            assignment, watch = self.running[slot]
            try:
                said = pipe.recv()
            except (EOFError, ConnectionResetError):
                said = time.monotonic(), self._lost(slot, assignment)
            if isinstance(said, Said):
                said.to(watch, assignment.job)
                continue
            when, outcome = said
            del self.running[slot]
            self._ended.append((when, Ended(slot, assignment.job, outcome)))

    def _lost(self, slot: int, assignment: Assignment[Any, Any]) -> HarnessError:
        """Why the process of `slot` is gone; the next assignment in it gets a new one."""
        process, pipe = self.processes.pop(slot)
        pipe.close()
        process.join()
        code, on = process.exitcode or 0, f"{assignment.label}, on {self.devices[slot]}"
        if code < 0:
            return HarnessError(
                f"the process that trained {on} was killed by {signal.Signals(-code).name}.",
                "if the machine ran out of memory use fewer workers; the same command goes on from the checkpoints.",
            )
        return HarnessError(
            f"the process that trained {on} ended with status {code}.",
            "what it said stands above; the same command goes on from the checkpoints.",
        )


class Said(NamedTuple):
    """What a watch hears, on its way to the caller's: an epoch with what was measured then, or a note."""

    epoch: int
    row: dict[str, float]
    note: str = ""

    def to(self, watch: Watch, job: Task) -> None:
        if self.note:
            watch.note(self.note)
        else:
            watch.epoch(job, self.epoch, self.row)


class Passing(Watch):
    """Has what the caller should know sent to it, epochs no more often than once a second."""

    def __init__(self, send: Callable[[Said], None]) -> None:
        self.send, self.told = send, -math.inf

    def epoch(self, job: Task, epoch: int, row: dict[str, float]) -> None:
        if (now := time.monotonic()) >= self.told + _SECONDS_BETWEEN_EPOCHS:
            self.told = now
            self.send(Said(epoch, row))

    def note(self, text: str) -> None:
        self.send(Said(0, {}, text))


def _serve(pipe: Connection, work: Work, device: str, environment: dict[str, str]) -> None:
    """The process of a slot: do what comes through `pipe`, until it is closed or this process is asked to stop."""
    os.environ.clear()
    os.environ.update(environment)
    signal.signal(signal.SIGTERM, _leave)
    leave_with_parent()

    def send(said: Said) -> None:
        with suppress(ConnectionError):  # nobody listens any more; the assignment stops when its checkpoint is kept
            pipe.send(said)

    try:
        while True:
            assignment = pipe.recv()
            outcome: object
            try:
                outcome = work.do(assignment, device, work.folder, Passing(send))
            except HarnessError as error:
                outcome = error
            pipe.send((time.monotonic(), outcome))
    except (EOFError, ConnectionError, Interrupted):
        return


def _leave(number: int, frame: object) -> NoReturn:
    sys.exit(0)
