"""Jobs of Slurm, by dask-jobqueue, as the workers of a Dask cluster."""

from __future__ import annotations

import re
import signal
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from importlib import import_module
from pathlib import Path
from typing import Any

from harness.errors import HarnessError, reason
from harness.escapes import plain
from harness.files import reading

_HINT = 'see the page "Run on a cluster" of the documents.'
_SECONDS_FOR_AN_ANSWER = 60
_TAIL = 4096
"""Bytes at the end of what a job wrote, in which its last line is looked for."""


def slurm(path: Path) -> Any:
    """The cluster that a YAML file describes. Raises HarnessError if it cannot be read or dask-jobqueue is missing."""
    try:
        with _signals_kept():
            jobqueue, yaml = import_module("dask_jobqueue"), import_module("yaml")
    except Exception as error:
        raise HarnessError(
            f"slurm: needs the package dask-jobqueue, which cannot be imported: {reason(error)}.",
            "install it: pip install 'nas-harness[cluster]'",
        ) from None
    with reading(path, "a YAML file with settings of SLURMCluster", _HINT):
        said = dict(yaml.safe_load(path.read_text(encoding="utf-8")))
        jobs = int(said.pop("jobs", 1))
    try:
        cluster = jobqueue.SLURMCluster(**said)
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
        told = (tried.stderr.strip() or "sbatch did not say why").splitlines()[-1].removeprefix("allocation failure: ")
        raise HarnessError(f"Slurm does not take the jobs of {path}: {told}.", _HINT)


class Jobs:
    """The jobs of a cluster of this `path`, of which dask-jobqueue forgets those that ended."""

    def __init__(self, cluster: Any, path: Path) -> None:
        self.cluster, self.path = cluster, path
        self._seen: dict[str, str | None] = {}
        """By the ids of jobs that were submitted, the folder of their output, which is the current one for None."""

    def note(self) -> None:
        """Take the jobs that there are now among those that were submitted."""
        jobs = [*self.cluster.workers.values()]
        self._seen |= {job.job_id: job.log_directory for job in jobs if job.job_id is not None}

    def gone(self) -> HarnessError | None:
        """Why no worker will come any more: no job waits or runs. None as long as one may, or Slurm does not say."""
        self.note()
        if not self._seen or _any_left([*self._seen]):
            return None
        ids = ", ".join(self._seen)
        return HarnessError(
            f"the jobs of slurm:{self.path} ({ids}) have ended, and no worker is left: {self._said()}.",
            f"sacct -j {ids.replace(' ', '')} tells how they ended; nodes need the Python of this command. The same "
            "command goes on from what is stored.",
        )

    def _said(self) -> str:
        """Where the output of jobs lies, and its last line."""
        folder = Path(next(iter(self._seen.values())) or ".").absolute()
        mine = re.compile(rf"(?<!\d)(?:{'|'.join(self._seen)})(?!\d)")
        found: list[tuple[float, Path, str]] = []
        with suppress(OSError):
            for path in folder.iterdir():
                if mine.search(path.name) and (line := _last_line(path)):
                    found.append((path.stat().st_mtime, path, line))
        if not found:
            return f"{folder} has no output of theirs"
        _, path, line = max(found)
        return f"{path} ends with '{plain(line)}'"


def _any_left(ids: Sequence[str]) -> bool:
    """Whether a job waits or runs, also where squeue does not answer."""
    words = ["squeue", "--noheader", "--format=%i", f"--jobs={','.join(ids)}"]
    try:
        told = subprocess.run(words, capture_output=True, text=True, timeout=_SECONDS_FOR_AN_ANSWER, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return True
    if told.returncode:  # it knows none of them any more, or has another trouble
        return "Invalid job id" not in told.stderr
    return bool(told.stdout.strip())


def _last_line(path: Path) -> str:
    """The last line that is not empty, or nothing where it cannot be read."""
    with suppress(OSError), path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - _TAIL))
        lines = file.read().decode(errors="replace").split("\n")
        return next((line.strip() for line in reversed(lines) if line.strip()), "")
    return ""
