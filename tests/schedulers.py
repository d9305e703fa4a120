"""Schedulers and workers of Dask for tests, each a process of its own that can be killed, and what to run on them."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any, Self

from harness import Rules, registry
from harness.studies.evaluate import evaluate
from harness.studies.outcome import Outcome
from harness.studies.run import run
from harness.studies.store import ResultStore
from harness.studies.study import Study
from harness.testing import assert_same


def studies() -> list[Study]:
    table = registry.benchmark("nb201")
    return [Study.plan(table, name, {}, 0, 60, Rules(budget=2e5)) for name in ("rs", "re")]


class Outside:
    """A scheduler at a port and workers, each a process of its own."""

    def __init__(self) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.address = f"tcp://127.0.0.1:{self.port}"
        self.processes: list[subprocess.Popen[bytes]] = []
        self.scheduler()

    def scheduler(self) -> None:
        where = ("--host", "127.0.0.1", "--port", str(self.port), "--no-dashboard")
        self._start("scheduler", *where)

    def worker(self, name: str, path: str = "") -> subprocess.Popen[bytes]:
        """Modules in the folder `path` come before all others."""
        where = ("--nthreads", "1", "--no-nanny", "--no-dashboard", "--name", name, "--death-timeout", "60")
        return self._start("worker", self.address, *where, path=path)

    def wait(self) -> None:
        """Until the scheduler takes connections."""
        until(lambda: _answers(self.port))

    def kill(self) -> None:
        for process in self.processes:
            process.kill()
            process.wait()
        self.processes.clear()

    def _start(self, *words: str, path: str = "") -> subprocess.Popen[bytes]:
        process = started([sys.executable, "-m", "dask", *words], path)
        self.processes.append(process)
        return process


def started(words: list[str], path: str = "") -> subprocess.Popen[bytes]:
    """A silent process that finds the modules of the tests."""
    found = [path, str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, found)), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(words, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def until(holds: Callable[[], bool]) -> None:
    """Wait, a minute at most, for what other processes bring about."""
    deadline = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def _answers(port: int) -> bool:
    with suppress(OSError), socket.create_connection(("127.0.0.1", port)):
        return True
    return False


class Counted(ResultStore):
    """Knows how often each shard was added, and sets an event at the third."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.added: list[tuple[str, int]] = []
        self.three = threading.Event()

    def add(self, result: Outcome) -> None:
        super().add(result)
        self.added.append((result.study.id, int(result.seeds[0])))
        if len(self.added) == 3:
            self.three.set()


class Proxy:
    """Passes connections on to a port, until it is told to drop them all and to take none for a while."""

    def __init__(self, to: int) -> None:
        self.to, self.open, self.pairs = to, True, list[socket.socket]()
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.address = f"tcp://127.0.0.1:{self.socket.getsockname()[1]}"
        threading.Thread(target=self._serve, daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()
        for end in self.pairs:
            end.close()

    def drop(self, seconds: float) -> None:
        self.open = False
        for end in self.pairs:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        time.sleep(seconds)
        self.open = True

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                theirs, _ = self.socket.accept()
                self.pairs.append(theirs)
                if not self.open:
                    theirs.close()
                    continue
                ours = socket.create_connection(("127.0.0.1", self.to))
                self.pairs.append(ours)
                for one, other in ((theirs, ours), (ours, theirs)):
                    threading.Thread(target=self._pass, args=(one, other), daemon=True).start()

    def _pass(self, one: socket.socket, other: socket.socket) -> None:
        with suppress(OSError):
            while data := one.recv(1 << 16):
                other.sendall(data)
        with suppress(OSError):
            other.shutdown(socket.SHUT_RDWR)


def equal_to_one_process(store: ResultStore, folder: Path) -> None:
    here = ResultStore(folder)
    run(studies(), here, evaluate)
    for study in studies():
        assert_same(here.get(study).trajectory, store.get(study).trajectory)


def asked(outside: Outside, question: Callable[[Any], int]) -> int:
    """What the scheduler answers."""
    distributed: Any = import_module("distributed")
    with distributed.Client(outside.address, set_as_default=False) as client:
        return int(client.run_on_scheduler(question))


def tasks(dask_scheduler: Any) -> int:
    return len(dask_scheduler.tasks)


def callers(dask_scheduler: Any) -> int:
    """How many wait for the task that most do."""
    return max((len(task.who_wants or ()) for task in dask_scheduler.tasks.values()), default=0)
