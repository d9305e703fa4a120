"""A Dask cluster of this machine: the scheduler in this process, and workers that are forks of one other process."""

from __future__ import annotations

import asyncio
import logging
import multiprocessing
import os
import tempfile
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from importlib import import_module
from multiprocessing import connection, forkserver
from multiprocessing.process import BaseProcess
from types import TracebackType
from typing import Any, Self

from harness.errors import HarnessError
from harness.processes import leave_with_parent, starting

_PRELOAD = "harness.studies.forked"
_SETTINGS = {
    "distributed.worker.profile.enabled": False,
    "distributed.admin.tick.interval": "500ms",
    "distributed.admin.system-monitor.interval": "10s",
    "distributed.admin.system-monitor.gil.enabled": False,
}
"""Nobody looks at what a worker measures of itself, which takes time from the work."""


_SECONDS_BETWEEN_LOOKS = 0.005
_SECONDS_BETWEEN_STARTS = 0.5
"""Of workers that take the place of others."""


def prepare() -> None:
    """Have the process started whose forks will be the workers: it imports while this one does other things."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([_PRELOAD])
    with starting():
        forkserver.ensure_running()


@contextmanager
def cluster(count: int) -> Iterator[Any]:
    """A cluster of so many workers, each with one thread. One that dies is replaced."""
    prepare()
    distributed: Any = import_module("distributed")
    dask: Any = import_module("dask")
    settings = {"threads_per_worker": 1, "processes": True, "dashboard_address": ":0", "silence_logs": False}
    with (
        dask.config.set(_SETTINGS),
        distributed.LocalCluster(n_workers=0, **settings) as found,
        _Workers(found, count),
    ):
        yield found


class _Workers:
    """Processes that work for the scheduler of a cluster."""

    def __init__(self, cluster: Any, count: int) -> None:
        self.cluster, self.count = cluster, count
        self._processes: dict[int, BaseProcess] = {}
        self._folder = tempfile.TemporaryDirectory(prefix="nas-harness-")
        self._left, self._leave = multiprocessing.Pipe(duplex=False)
        self._watch = threading.Thread(target=self._replace, daemon=True)

    def __enter__(self) -> Self:
        """Returns when all of them are there. Raises HarnessError if one ends instead."""
        with ExitStack() as stack:
            stack.callback(self._end)
            for name in range(self.count):
                self._begin(name)
            while len(self.cluster.scheduler.workers) < self.count:
                processes = self._processes.values()
                if connection.wait([process.sentinel for process in processes], _SECONDS_BETWEEN_LOOKS):
                    ended = next(process for process in processes if process.exitcode is not None)
                    told = f"a worker of local:{self.count} ended with status {ended.exitcode} as it started."
                    raise HarnessError(told)
            stack.pop_all()
        self._watch.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._leave.close()
        self._watch.join()
        self._end()

    def _end(self) -> None:
        for process in self._processes.values():
            process.kill()
        for process in self._processes.values():
            process.join()
        self._leave.close()
        self._left.close()
        self._folder.cleanup()

    def _begin(self, name: int) -> None:
        context = multiprocessing.get_context("forkserver")
        given = (self.cluster.scheduler_address, name, self._folder.name, dict(os.environ))
        self._processes[name] = context.Process(target=_work, args=given, daemon=True)
        with starting():
            self._processes[name].start()

    def _replace(self) -> None:
        while True:
            names: dict[object, int] = {process.sentinel: name for name, process in self._processes.items()}
            ended = connection.wait([self._left, *(process.sentinel for process in self._processes.values())])
            if self._left in ended:
                return
            for sentinel in ended:
                self._begin(names[sentinel])
            if connection.wait([self._left], _SECONDS_BETWEEN_STARTS):
                return


def _work(address: str, name: int, folder: str, environment: dict[str, str]) -> None:
    os.environ.clear()
    os.environ.update(environment)
    leave_with_parent()
    dask: Any = import_module("dask")
    logging.getLogger("distributed").setLevel(logging.WARNING)
    with dask.config.set(_SETTINGS):
        asyncio.run(_served(address, name, folder))


async def _served(address: str, name: int, folder: str) -> None:
    distributed: Any = import_module("distributed")
    worker = distributed.Worker(
        address,
        nthreads=1,
        name=name,
        local_directory=folder,
        memory_limit=0,
        dashboard=False,
    )
    async with worker:
        await worker.finished()
