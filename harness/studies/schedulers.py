"""Which scheduler an address of a Dask cluster means."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

from harness.errors import HarnessError, reason
from harness.files import reading
from harness.studies import local_workers


@contextmanager
def scheduler(address: str) -> Iterator[dict[str, Any]]:
    """By which arguments a client finds the scheduler, which is there for as long as this lasts."""
    kind, _, rest = address.partition(":")
    if kind == "local":
        workers = int(rest) if rest.isdecimal() else 0
        if workers < 1:
            raise HarnessError(f"'{address}' is no cluster.", "write local:8 for eight processes.")
        with local_workers.cluster(workers) as cluster:
            yield {"address": cluster}
    elif kind == "slurm":
        with slurm(Path(rest)) as cluster:
            yield {"address": cluster}
    elif Path(address).is_file():
        yield {"scheduler_file": address}
    elif "://" in address:
        yield {"address": address}
    else:
        raise HarnessError(
            f"'{address}' is neither a cluster nor a scheduler file.",
            "write tcp://host:8786, the path of a scheduler file, local:8, or slurm:config.yaml.",
        )


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
    hint = 'see the page "Run on a cluster" of the documents.'
    with reading(path, "a YAML file with settings of SLURMCluster", hint):
        said = dict(yaml.safe_load(path.read_text(encoding="utf-8")))
        jobs = int(said.pop("jobs", 1))
    try:
        cluster = jobqueue.SLURMCluster(**said)
    except (TypeError, ValueError) as error:
        raise HarnessError(f"SLURMCluster does not take what is in {path}: {error}.", hint) from None
    with ExitStack() as stack:
        stack.callback(cluster.close)
        _submittable(cluster, path, hint)
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


def _submittable(cluster: Any, path: Path, hint: str) -> None:
    """Raises HarnessError if Slurm would not take a job: when it is submitted, nobody would hear of it."""
    script = cluster.job_script()
    try:
        tried = subprocess.run(["sbatch", "--test-only"], input=script, capture_output=True, text=True, check=False)
    except OSError as error:
        raise HarnessError(f"sbatch cannot be run: {reason(error)}.", "run this where jobs are submitted.") from None
    if tried.returncode:
        told = (tried.stderr.strip() or "sbatch did not say why").splitlines()[-1].removeprefix("allocation failure: ")
        raise HarnessError(f"Slurm does not take the jobs of {path}: {told}.", hint)


def awaited(address: str, at: str) -> str:
    """That nobody works for the scheduler of this address yet, which listens `at`, and who will."""
    if address.startswith("slurm:"):
        return f"no job of {address} runs yet; waiting for the first: squeue tells why."
    return f"the scheduler at {address} has no workers; waiting for the first: dask worker {at}"
