"""Jobs of Slurm, by dask-jobqueue, as the workers of a Dask cluster."""

from __future__ import annotations

import math
import re
import signal
import subprocess
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

from harness.errors import HarnessError, reason
from harness.escapes import plain
from harness.files import reading

_HINT = 'see the page "Run on a cluster" of the documents.'
_SECONDS_FOR_AN_ANSWER = 60
_SECONDS_BETWEEN_QUESTIONS = 10
_SECONDS_BETWEEN_QUESTIONS_AT_WORK = 60
"""Of squeue, as long as a worker is there."""
_LOSSES = 10
"""So many jobs may end in the middle of one task; Dask's three are too few where all do, at their wall time."""
_USELESS = 10
"""At least so many jobs in succession may end without a worker."""
_TAIL = 4096
"""Bytes at the end of what a job wrote, in which its last line is looked for."""


def slurm(path: Path) -> Any:
    """The cluster that a YAML file describes. Raises HarnessError if it cannot be read or dask-jobqueue is missing."""
    try:
        with _signals_kept():
            jobqueue, yaml, config = map(import_module, ("dask_jobqueue", "yaml", "dask.config"))
    except Exception as error:
        raise HarnessError(
            f"slurm: needs the package dask-jobqueue, which cannot be imported: {reason(error)}.",
            "install it: pip install 'nas-harness[cluster]'",
        ) from None
    with reading(path, "a YAML file with settings of SLURMCluster", _HINT):
        said = dict(yaml.safe_load(path.read_text(encoding="utf-8")))
        jobs = int(said.pop("jobs", 1))
    allowed = "distributed.scheduler.allowed-failures"
    try:
        with config.set({allowed: max(config.get(allowed), _LOSSES)}):
            cluster = jobqueue.SLURMCluster(**said, job_cls=_that_says_why(jobqueue.slurm.SLURMJob))
    except (TypeError, ValueError) as error:
        raise HarnessError(f"SLURMCluster does not take what is in {path}: {error}.", _HINT) from None
    with ExitStack() as stack:
        stack.callback(cluster.close)
        _submittable(cluster, path)
        cluster.scale(jobs=jobs)
        stack.pop_all()
    return cluster


@contextmanager
def _signals_kept() -> Iterator[None]:
    """What SIGINT and SIGTERM do stays as it is: dask_jobqueue has them exit when it is imported."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            if signal.getsignal(number) is not handler:
                signal.signal(number, handler)


def _submittable(cluster: Any, path: Path) -> None:
    """Raises HarnessError if Slurm would not take a job: when it is submitted, nobody would hear of it."""
    script = cluster.job_script()
    try:
        tried = subprocess.run(["sbatch", "--test-only"], input=script, capture_output=True, text=True, check=False)
    except OSError as error:
        raise HarnessError(f"sbatch cannot be run: {reason(error)}.", "run this where jobs are submitted.") from None
    if tried.returncode:
        raise _not_taken(path, tried.stderr)


def _not_taken(path: Path, told: str) -> HarnessError:
    """The last line of what sbatch `told` says why."""
    last = (told.strip() or "sbatch did not say why").splitlines()[-1]
    why = re.sub(r"(sbatch: error: )?((allocation failure|Batch job submission failed): )?", "", last, count=1)
    return HarnessError(f"Slurm does not take the jobs of {path}: {plain(why)}.", _HINT)


def _that_says_why(job: Any) -> Any:
    """A class of jobs that keep in `refused` why Slurm did not take them: nobody hears what dask-jobqueue raises."""

    async def start(self: Any) -> None:
        try:
            await job.start(self)
        except (OSError, RuntimeError, ValueError) as error:
            self.refused = str(error)
            self.status = import_module("distributed.core").Status.running

    return type(job.__name__, (job,), {"start": start, "refused": ""})


class _Job(NamedTuple):
    """What is known of a job."""

    id: str | None
    """None if Slurm did not take it, for which `refused` tells why."""
    folder: str | None
    """Of its output. None for the current one."""
    refused: str


class Jobs:
    """The jobs of a cluster of this `path`, in whose place others are submitted when they have ended.

    dask-jobqueue does that when a client connects only, and for jobs that had a worker. Those are always replaced. Jobs
    that brought none are, too, once another has brought one, until as many as there are to be, ten at least, have
    ended in succession without one: none would come then.
    """

    def __init__(self, cluster: Any, path: Path) -> None:
        self.cluster, self.path = cluster, path
        self._jobs: dict[str, _Job] = {}
        """By the names that dask-jobqueue gave them, which forgets jobs that lost their worker."""
        self._worked: set[str] = set()
        """Ids of jobs that brought a worker."""
        self._spare = 0
        """How many jobs that brought no worker are replaced until another brings one."""
        self._asked = -math.inf

    def tend(self) -> HarnessError | None:
        """Submit jobs for those that ended. Returns why no worker will come any more, or None if one may."""
        idle = self._idle()
        every = _SECONDS_BETWEEN_QUESTIONS if len(idle) == len(self._jobs) else _SECONDS_BETWEEN_QUESTIONS_AT_WORK
        if not idle or time.monotonic() < self._asked + every:
            return None
        self._asked = time.monotonic()
        left = _left([job.id for job in idle.values() if job.id])
        if left is None:
            return None
        ended = [name for name, job in idle.items() if job.id not in left]
        again = [name for name in ended if self._jobs[name].id in self._worked]
        useless = [name for name in ended if name not in again][: self._spare]
        self._spare -= len(useless)
        if not again + useless:
            return self._over() if len(ended) == len(self.cluster.worker_spec) else None
        for name in again + useless:
            self.cluster.worker_spec |= self.cluster.new_worker_spec()
            del self.cluster.worker_spec[name], self._jobs[name]
        self.cluster.scale(jobs=len(self.cluster.worker_spec))
        return None

    def _idle(self) -> dict[str, _Job]:
        """The jobs that were submitted and have no worker here now."""
        wanted, there = self.cluster.worker_spec, {**self.cluster.workers}
        self._jobs |= {
            name: _Job(job.job_id, job.log_directory, job.refused) for name, job in there.items() if name in wanted
        }
        names = {str(worker["name"]) for worker in [*self.cluster.scheduler_info["workers"].values()]}
        names |= {name.rpartition("-")[0] for name in names}  # one of several `processes`
        here = {job.id for name, job in self._jobs.items() if job.id and name in names}
        if here - self._worked:
            self._spare = max(len(wanted), _USELESS)
        self._worked |= here
        return {name: job for name, job in self._jobs.items() if job.id not in here}

    def _over(self) -> HarnessError:
        """Told where no job waits or runs."""
        ids = sorted((job.id for job in self._jobs.values() if job.id), key=int)
        if not ids:
            return _not_taken(self.path, next(iter(self._jobs.values())).refused)
        return HarnessError(
            f"the jobs of slurm:{self.path} ({', '.join(ids)}) have ended, and no worker is left: {self._said(ids)}.",
            f"sacct -j {','.join(ids)} tells how they ended; nodes need the Python of this command. The same "
            "command goes on from what is stored.",
        )

    def _said(self, ids: Iterable[str]) -> str:
        """Where the output of jobs lies, and its last line."""
        folder = Path(next(iter(self._jobs.values())).folder or ".").absolute()
        mine = re.compile(rf"(?<!\d)(?:{'|'.join(ids)})(?!\d)")
        found: list[tuple[float, Path, str]] = []
        with suppress(OSError):
            for path in folder.iterdir():
                if mine.search(path.name) and (line := _last_line(path)):
                    found.append((path.stat().st_mtime, path, line))
        if not found:
            return f"{folder} has no output of theirs"
        _, path, line = max(found)
        return f"{path} ends with '{plain(line)}'"


def _left(ids: list[str]) -> set[str] | None:
    """Those of the jobs that wait or run. None where squeue does not answer."""
    if not ids:
        return set()
    words = ["squeue", "--noheader", "--format=%i", f"--jobs={','.join(ids)}"]
    try:
        told = subprocess.run(words, capture_output=True, text=True, timeout=_SECONDS_FOR_AN_ANSWER, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    if told.returncode:  # it knows none of them any more, or has another trouble
        return set() if "Invalid job id" in told.stderr else None
    return set(told.stdout.split())


def _last_line(path: Path) -> str:
    """The last line that is not empty, or nothing where it cannot be read."""
    with suppress(OSError), path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - _TAIL))
        lines = file.read().decode(errors="replace").split("\n")
        return next((line.strip() for line in reversed(lines) if line.strip()), "")
    return ""
