"""What the workers of a cluster do: a task is computed where table and code are the caller's, and somebody waits."""

from __future__ import annotations

import hashlib
import platform
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib import import_module, metadata
from pathlib import Path
from typing import Any, Generic, NamedTuple, Self

import numpy as np

from harness import registry
from harness.errors import HarnessError, reason
from harness.studies.executors import Call, Failed, K, T, Task
from harness.studies.study import folder_source, source_of

_SECONDS_BETWEEN_QUESTIONS = 0.1


class Cancelled(Exception):  # noqa: N818
    """Nobody waits for the result of this task any more."""


@cache
def about() -> dict[str, str]:
    """What makes a machine's numbers: versions, the hash of this package's files, and the kind of processor."""
    digest, root = hashlib.sha256(), Path(__file__).parents[1]
    for file in sorted(root.rglob("*.py")):
        digest.update(f"{file.relative_to(root)}\n".encode() + file.read_bytes())
    found: Any = np.show_config(mode="dicts")
    extensions = found.get("SIMD Extensions", {})
    kind = [platform.machine(), *extensions.get("found", [])[-1:]]
    return {
        "nas-harness": metadata.version("nas-harness"),
        "code": digest.hexdigest(),
        "numpy": np.__version__,
        "processor": " ".join(kind),
    }


def wanted() -> Callable[[], bool]:
    """Within a task: a function that says whether anybody still waits for it, and looks ten times a second."""
    from distributed import get_worker  # noqa: PLC0415

    worker: Any = get_worker()
    key, look, found = worker.get_current_task(), 0.0, True

    def still() -> bool:
        nonlocal look, found
        if (now := time.monotonic()) >= look:
            look = now + _SECONDS_BETWEEN_QUESTIONS
            task = worker.state.tasks.get(key)
            found = task is not None and task.state == "executing"
        return found

    return still


def say(topic: str, said: dict[str, Any]) -> None:
    """Within a task: tell the session of this topic, with the worker's address as `worker`."""
    from distributed import get_worker  # noqa: PLC0415

    worker: Any = get_worker()
    worker.log_event(topic, {**said, "worker": worker.address})


class Made(NamedTuple):
    """What a job is made of: the checksum of its table, the hash of the algorithm's or predictor's files."""

    table: str
    code: str


def planned(job: Any) -> Made:
    """Of a job that was planned here."""
    return Made(job.table if hasattr(job, "checksum_of") else registry.benchmark(job.benchmark).checksum, job.source)


def _found(job: Any) -> Made:
    """Here, where the job may not have been planned."""
    table = registry.benchmark(job.benchmark)
    checksum = job.checksum_of(table) if hasattr(job, "checksum_of") else table.checksum
    if not hasattr(job, "algorithm"):
        return Made(checksum, folder_source(registry.predictor(job.predictor)))
    factory = registry.algorithm(job.algorithm)
    return Made(checksum, source_of(factory, *getattr(factory, "parts", lambda **_: ())(**job.params)))


_found_here: dict[str, Made] = {}
"""By the id of a job, what was found in this process."""


@dataclass(frozen=True)
class Checked(Generic[K, T]):
    """Computes a task by a packed call, where the table and the code are those of the caller.

    A worker that cannot unpack what it is sent would end, with all that it has.
    """

    call: bytes
    planned: Made

    @classmethod
    def of(cls, call: Call[K, T], job: K) -> Self:
        """Tasks of a job that was planned here."""
        return cls(import_module("distributed.protocol.pickle").dumps(call), planned(job))

    def __call__(self, task: Task[K]) -> T | Failed:
        from distributed import get_worker  # noqa: PLC0415

        job, still, where = task.job, wanted(), f"the worker {get_worker().address}"
        try:
            call: Call[K, T] = import_module("distributed.protocol.pickle").loads(self.call)
        except Exception as error:
            told = f"{where} cannot import what {job.label} is made of: {reason(error)}."
            return Failed(HarnessError(told, "install the same there."))
        try:
            if job.id not in _found_here:
                _found_here[job.id] = _found(job)
        except HarnessError as error:
            return Failed(HarnessError(f"{where}: {error.message}", error.hint))
        if _found_here[job.id].table != self.planned.table:
            told = f"{where} has another version of the table {job.benchmark}."
            return Failed(HarnessError(told, "import the same there."))
        if _found_here[job.id].code != self.planned.code:
            return Failed(HarnessError(f"{where} has another version of {job.label}.", "install the same there."))

        def heard(share: float) -> None:
            """Shares do not travel: a study's progress is that of its whole shards."""
            if not still():
                raise Cancelled

        return call(job, task.shard, heard)
