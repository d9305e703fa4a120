"""Where shards are computed: in this process, or in several of this machine."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from itertools import islice
from multiprocessing import connection
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

from harness.errors import HarnessError
from harness.processes import leave_with_parent, starting


class Named(Protocol):
    """What is known of a job by those who compute it."""

    @property
    def benchmark(self) -> str: ...
    @property
    def label(self) -> str: ...
    @property
    def id(self) -> str:
        """Twelve hexadecimal digits by which all that is stored of it is named."""


K = TypeVar("K", bound=Named)
T = TypeVar("T")
Heard = Callable[[float], None]
Call = Callable[[K, range, Heard], T]
"""What is made of a job and a shard of its seeds; the last argument is told the done share of them, in [0, 1]."""

_SECONDS_BETWEEN_SHARES = 0.1


class Task(NamedTuple, Generic[K]):
    """A shard of a job."""

    job: K
    shard: range

    @property
    def key(self) -> str:
        return f"{self.job.id}-{self.shard.start}-{self.shard.stop}"

    def __str__(self) -> str:
        return f"seeds {self.shard.start} to {self.shard.stop - 1} of {self.job.label} on {self.job.benchmark}"


@dataclass(frozen=True)
class Failed:
    """In place of the result of a task: what was raised, and its traceback, which does not travel with it."""

    error: Exception
    trace: str = ""

    def __getstate__(self) -> dict[str, object]:
        try:
            pickle.loads(pickle.dumps(self.error))
        except Exception:
            return {"error": RuntimeError(f"{type(self.error).__name__}: {self.error}"), "trace": self.trace}
        return vars(self)

    def raised(self) -> Exception:
        """The error as it was raised, in whatever process."""
        if self.error.__traceback__ is None and self.trace:
            self.error.__cause__ = _InAWorker(f"\n{self.trace}")
        return self.error


class _InAWorker(Exception):  # noqa: N818
    """Stands for the traceback of another process."""


class Executor(Protocol):
    """Computes `call` of every task; tasks are taken as there is room for them, and results come as they are made.

    `heard` is told a task and its done share. A task whose worker is lost twice has failed.
    """

    local: bool
    """Whether what a worker writes to a folder is there for the caller."""
    status: str
    """Who is at work, where that changes."""

    def map(
        self, call: Call[K, T], tasks: Iterable[Task[K]], heard: Callable[[Task[K], float], None]
    ) -> Iterator[tuple[Task[K], T | Failed]]: ...


class Here:
    """This process."""

    local = True
    status = ""

    def map(
        self, call: Call[K, T], tasks: Iterable[Task[K]], heard: Callable[[Task[K], float], None]
    ) -> Iterator[tuple[Task[K], T | Failed]]:
        for task in tasks:
            yield task, call(task.job, task.shard, partial(heard, task))


class Processes:
    """At most `count` processes of this machine; `tell` hears of one that was lost, and is replaced by a new one.

    They are forks of one process, which has imported what all of them need: the `preload` of a call, names of modules.
    A lone task is computed in this process.
    """

    local = True
    status = ""

    def __init__(self, count: int, tell: Callable[[str], None]) -> None:
        self.count, self.tell = count, tell

    def map(
        self, call: Call[K, T], tasks: Iterable[Task[K]], heard: Callable[[Task[K], float], None]
    ) -> Iterator[tuple[Task[K], T | Failed]]:
        left = iter(tasks)
        again = list(islice(left, 2))[::-1]
        if len(again) == 1:
            yield from Here().map(call, again, heard)
            return
        lost = set[str]()
        idle: list[_Worker] = []
        busy: dict[Connection, tuple[_Worker, Task[K]]] = {}
        try:
            while True:
                while len(busy) < self.count and (task := again.pop() if again else next(left, None)) is not None:
                    worker = idle.pop() if idle else _Worker(call)
                    worker.take(task)
                    busy[worker.pipe] = worker, task
                if not busy:
                    return
                for pipe in connection.wait(list(busy)):
                    assert isinstance(pipe, Connection)
                    worker, task = busy[pipe]
                    try:
                        said = pipe.recv()
                    except (EOFError, ConnectionResetError):
                        del busy[pipe]
                        reason = worker.end()
                        if task.key in lost:
                            yield task, _given_up(task, reason)
                        else:
                            lost.add(task.key)
                            again.append(task)
                            self.tell(f"note: the process that ran {task} {reason}; they are run once more.")
                        continue
                    if isinstance(said, float):
                        heard(task, said)
                        continue
                    del busy[pipe]
                    idle.append(worker)
                    yield task, said.value
        finally:
            for worker in [*idle, *(worker for worker, _ in busy.values())]:
                worker.stop()


def local(processes: int, tell: Callable[[str], None]) -> Executor:
    """This process for one, else as many others."""
    return Here() if processes == 1 else Processes(processes, tell)


def _given_up(task: Task[Any], reason: str) -> Failed:
    return Failed(
        HarnessError(
            f"{task} could not be run: twice the process {reason}.",
            "if memory ran out, use fewer --processes; the same command goes on from what is stored.",
        )
    )


@dataclass(frozen=True)
class _Done:
    value: Any


class _Worker:
    """A process that computes one task after another. Ctrl-C does not reach it: it inherits that SIGINT is blocked."""

    def __init__(self, call: Call[Any, Any]) -> None:
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload([__name__, *getattr(call, "preload", ())])
        self.pipe, theirs = context.Pipe()
        self.process: BaseProcess = context.Process(target=_serve, args=(theirs, call, dict(os.environ)))
        with starting():
            self.process.start()
        theirs.close()

    def take(self, task: Task[Any]) -> None:
        with suppress(BrokenPipeError):  # it died meanwhile, which reading from the pipe tells
            self.pipe.send(task)

    def end(self) -> str:
        """What became of a process that has closed its pipe."""
        self.pipe.close()
        self.process.join()
        code = self.process.exitcode or 0
        if code == -signal.SIGKILL:
            return "was killed, likely as memory ran out"
        return f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with status {code}"

    def stop(self) -> None:
        self.process.terminate()
        self.process.join()
        self.pipe.close()


def _serve(pipe: Connection, call: Call[Any, Any], environment: dict[str, str]) -> None:
    os.environ.clear()
    os.environ.update(environment)
    leave_with_parent()
    with suppress(EOFError, BrokenPipeError):
        while True:
            task = pipe.recv()
            try:
                done = _Done(call(task.job, task.shard, _Throttled(pipe)))
            except Exception as error:
                done = _Done(Failed(error, traceback.format_exc()))
            pipe.send(done)


class _Throttled:
    """Sends shares, but not more often than anybody looks."""

    def __init__(self, pipe: Connection) -> None:
        self.pipe, self.next = pipe, 0.0

    def __call__(self, share: float) -> None:
        if (now := time.monotonic()) >= self.next or share >= 1.0:
            self.next = now + _SECONDS_BETWEEN_SHARES
            self.pipe.send(share if isinstance(share, float) else float(share))
