"""Which scheduler an address of a Dask cluster means."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

from harness.errors import HarnessError, reason
from harness.files import reading


@contextmanager
def scheduler(address: str) -> Iterator[dict[str, Any]]:
    """By which arguments a client finds the scheduler, which is there for as long as this lasts."""
    distributed: Any = import_module("distributed")
    kind, _, rest = address.partition(":")
    if kind == "local":
        workers = int(rest) if rest.isdecimal() else 0
        if workers < 1:
            raise HarnessError(f"'{address}' is no cluster.", "write local:8 for eight processes.")
        with distributed.LocalCluster(n_workers=workers, threads_per_worker=1, dashboard_address=":0") as cluster:
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
    cluster.scale(jobs=jobs)
    return cluster
