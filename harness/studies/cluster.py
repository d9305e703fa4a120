"""Shards computed by a Dask cluster. Workers need no file system of the caller's: results travel to it."""

from __future__ import annotations

import queue
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib import import_module, metadata
from pathlib import Path
from typing import Any, Generic

from harness import registry
from harness.errors import HarnessError, reason
from harness.files import reading
from harness.studies.evaluate import versions
from harness.studies.executors import Call, Failed, T, Task
from harness.studies.study import source_of

_SECONDS_TO_CONNECT = 10
_SECONDS_BETWEEN_LOOKS = 0.5
_AHEAD = 2
"""Tasks in flight for each thread of the workers, so that none waits for the next."""


class Cluster:
    """The workers of the scheduler at `address`.

    That is `tcp://host:port`, a scheduler file, `local:8` for as many processes of this machine, or `slurm:file.yaml`
    with the settings of dask-jobqueue's SLURMCluster and `jobs`, their number. `tell` hears where the dashboard is, and
    what is waited for.
    """

    local = False

    def __init__(self, address: str, tell: Callable[[str], None]) -> None:
        """Raises HarnessError if distributed is not installed, or it is no address."""
        try:
            import distributed  # noqa: F401, PLC0415
        except Exception as error:
            raise HarnessError(
                f"--cluster needs the package distributed, which cannot be imported: {reason(error)}.",
                "install it: pip install 'nas-harness[cluster]'",
            ) from None
        self.address, self.tell = address, tell

    def map(
        self, call: Call[T], tasks: Iterable[Task], heard: Callable[[Task, float], None]
    ) -> Iterator[tuple[Task, T | Failed]]:
        """Keyed by study and shard, so that a shard which two callers ask for is computed once."""
        left = iter(tasks)
        task = next(left, None)
        if task is None:
            return
        checked = _Checked(call)
        with self._client() as client:
            room = _AHEAD * self._threads(client)
            ended: queue.Queue[Any] = queue.Queue()
            flying: dict[str, tuple[Any, Task]] = {}
            try:
                while task is not None or flying:
                    while task is not None and len(flying) < room:
                        future = client.submit(checked, task, key=f"nas-harness-{task.key}", pure=True)
                        flying[future.key] = future, task
                        future.add_done_callback(ended.put)
                        task = next(left, None)
                    try:
                        future = ended.get(timeout=_SECONDS_BETWEEN_LOOKS)
                    except queue.Empty:
                        self._alive(client)
                        continue
                    _, done = flying.pop(future.key)
                    yield done, self._result(future, done)
            finally:
                client.cancel([future for future, _ in flying.values()])

    @contextmanager
    def _client(self) -> Iterator[Any]:
        distributed: Any = import_module("distributed")
        kind, _, rest = self.address.partition(":")
        with ExitStack() as stack:
            try:
                if kind == "local":
                    workers = int(rest) if rest.isdecimal() else 0
                    if workers < 1:
                        raise HarnessError(f"'{self.address}' is no cluster.", "write local:8 for eight processes.")
                    where = {"n_workers": workers, "threads_per_worker": 1, "dashboard_address": ":0"}
                    found = distributed.Client(
                        stack.enter_context(distributed.LocalCluster(**where)), timeout=_SECONDS_TO_CONNECT
                    )
                elif kind == "slurm":
                    found = distributed.Client(stack.enter_context(_slurm(Path(rest))), timeout=_SECONDS_TO_CONNECT)
                elif Path(self.address).is_file():
                    found = distributed.Client(scheduler_file=self.address, timeout=_SECONDS_TO_CONNECT)
                elif "://" in self.address:
                    found = distributed.Client(self.address, timeout=_SECONDS_TO_CONNECT)
                else:
                    raise HarnessError(
                        f"'{self.address}' is neither a cluster nor a scheduler file.",
                        "write tcp://host:8786, the path of a scheduler file, local:8, or slurm:config.yaml.",
                    )
            except (OSError, ValueError, TypeError) as error:
                raise HarnessError(
                    f"no scheduler answers at {self.address}: {str(error).splitlines()[0]}.",
                    "start one: dask scheduler; dask worker tcp://host:8786",
                ) from None
            client = stack.enter_context(found)
            self.tell(f"cluster: {client.scheduler.address}, dashboard at {client.dashboard_link}")
            yield client

    def _threads(self, client: Any) -> int:
        """Threads of all workers, once there are any. Raises HarnessError for a worker of another version."""
        if not client.scheduler_info(n_workers=-1)["workers"]:
            self.tell(f"the scheduler at {self.address} has no workers yet; waiting for the first: dask worker ADDRESS")
            client.wait_for_workers(1)
        found = client.run(metadata.version, "nas-harness", on_error="return")
        for worker, there in found.items():
            if there != (here := metadata.version("nas-harness")):
                what = "does not have nas-harness" if isinstance(there, Exception) else f"has nas-harness {there}"
                raise HarnessError(
                    f"the worker {worker} {what}; {here} is here.", f"install it there: pip install nas-harness=={here}"
                )
        for worker, theirs in client.run(versions).items():
            if theirs["numpy"].split(".")[0] != versions()["numpy"].split(".")[0]:
                raise HarnessError(f"the worker {worker} has numpy {theirs['numpy']}.", "install the same there.")
        return sum(client.nthreads().values())

    def _alive(self, client: Any) -> None:
        if client.status not in ("running", "connecting"):
            raise HarnessError(
                f"the scheduler at {self.address} is gone.", "the same command goes on from the shards that are stored."
            )

    def _result(self, future: Any, task: Task) -> Any:
        from distributed import KilledWorker  # noqa: PLC0415

        if future.cancelled():
            raise HarnessError(
                f"the scheduler at {self.address} lost {task}.", "the same command goes on from what is stored."
            )
        try:
            return future.result()
        except KilledWorker as error:
            return Failed(
                HarnessError(
                    f"{task} could not be run: {error.allowed_failures + 1} workers died of it, likely as memory ran "
                    f"out; the last one was {error.last_worker.address}.",
                    "start workers with more memory; the same command goes on from what is stored.",
                )
            )
        except Exception as error:
            return Failed(error)


@dataclass(frozen=True)
class _Checked(Generic[T]):
    """Computes a task where the table and the code are those that the job was planned with."""

    call: Call[T]

    def __call__(self, task: Task) -> T | Failed:
        from distributed import get_worker  # noqa: PLC0415

        job, where = task.job, f"the worker {get_worker().address}"
        try:
            if registry.benchmark(job.benchmark).checksum != job.table:
                raise HarnessError(
                    f"{where} has another version of the table {job.benchmark}.", "import the same there."
                )
            if hasattr(job, "algorithm"):
                factory = registry.algorithm(job.algorithm)
                parts = getattr(factory, "parts", lambda **_: ())(**job.params)
                if source_of(factory, *parts) != job.source:
                    raise HarnessError(f"{where} has another version of {job.algorithm}.", "install the same there.")
        except HarnessError as error:
            return Failed(error)
        return self.call(job, task.shard, _silent)


def _silent(share: float) -> None:
    """Shares do not travel: a study's progress is that of its whole shards."""


def _slurm(path: Path) -> Any:
    """The cluster that a YAML file describes. Raises HarnessError if it cannot be read or dask-jobqueue is missing."""
    try:
        jobqueue, yaml = import_module("dask_jobqueue"), import_module("yaml")
    except Exception as error:
        raise HarnessError(
            f"slurm: needs the package dask-jobqueue, which cannot be imported: {reason(error)}.",
            "install it: pip install 'nas-harness[cluster]'",
        ) from None
    with reading(path, "a YAML file with settings of SLURMCluster", "see docs/cluster.md."):
        said = dict(yaml.safe_load(path.read_text(encoding="utf-8")))
        jobs = int(said.pop("jobs", 1))
        cluster = jobqueue.SLURMCluster(**said)
        cluster.scale(jobs=jobs)
    return cluster
