"""Which scheduler an address of a Dask cluster means."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from harness.errors import HarnessError
from harness.studies import local_workers
from harness.studies.slurm import Jobs, slurm

_HOST_AND_PORT = re.compile(r"//.+:\d+/?")


class Scheduler(NamedTuple):
    """By which arguments a client finds a scheduler.

    `tend` is called every second or so. It replaces workers that ended, where that is ours to do, and returns why none
    will come any more, or None if one may.
    """

    found: dict[str, Any]
    tend: Callable[[], HarnessError | None] = lambda: None


@contextmanager
def scheduler(address: str) -> Iterator[Scheduler]:
    """The scheduler, which is there for as long as this lasts."""
    kind, _, rest = address.partition(":")
    if kind == "local":
        workers = int(rest) if rest.isdecimal() else 0
        if workers < 1:
            raise HarnessError(f"'{address}' is no cluster.", "write local:8 for eight processes.")
        with local_workers.cluster(workers) as cluster:
            yield Scheduler({"address": cluster})
    elif kind == "slurm":
        if not rest:
            raise HarnessError(f"'{address}' is no cluster.", "write slurm:config.yaml.")
        path = Path(rest)
        with slurm(path) as cluster:
            yield Scheduler({"address": cluster}, Jobs(cluster, path).tend)
    elif Path(address).is_file():
        yield Scheduler({"scheduler_file": address})
    elif "://" in address:
        if kind in ("tcp", "tls") and not _HOST_AND_PORT.fullmatch(rest):
            raise HarnessError(f"'{address}' has no host or no port.", "write tcp://host:8786.")
        yield Scheduler({"address": address})
    else:
        raise HarnessError(
            f"'{address}' is neither a cluster nor a scheduler file.",
            "write tcp://host:8786, the path of a scheduler file, local:8, or slurm:config.yaml.",
        )


def awaited(address: str, at: str) -> str:
    """That nobody works for the scheduler of this address, which listens `at`, and who will."""
    if address.startswith("slurm:"):
        return f"no job of {address} has a worker here; waiting for one: squeue tells why."
    return f"the scheduler at {address} has no workers; waiting for the first: dask worker {at}"
