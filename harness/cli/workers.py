"""Who does the work of a command: processes, devices or a cluster, as its options say."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

import click

from harness.errors import HarnessError, PluginError

if TYPE_CHECKING:
    from harness.cli.options import Where
    from harness.studies.cluster import Cluster
    from harness.studies.executors import Executor
    from harness.studies.keeping import Folder
    from harness.studies.records import R
    from harness.studies.run import Work
    from harness.studies.runs import J
    from harness.train.pool import Devices


def execute(
    studies: Sequence[J],
    store: Folder[J, R],
    work: Work[J, R],
    where: Executor,
    heard: Callable[[J, float], None] = lambda _job, _share: None,
) -> None:
    """Bring to the store the studies that it does not have yet, with a bar for each; `heard` is told its share too.

    Where a plugin fails, the others go on, and the command ends with status 1.
    """
    from harness.report.running import run

    try:
        run(studies, store, work, where, heard=heard)
    except PluginError as error:
        error.status = 1
        raise
    except KeyboardInterrupt:
        reason = "interrupted. Finished shards are stored: the same command goes on from them."
        raise click.Abort(reason) from None


def executor(processes: int | None, cluster: Where | None = None) -> Executor:
    """What --processes or --cluster say, by default a process per core."""
    from harness.studies.executors import local

    tell = partial(click.echo, err=True)
    if cluster is None:
        return local(processes or len(os.sched_getaffinity(0)), tell)
    if processes is not None:
        raise HarnessError("studies are run either in --processes or on a --cluster.", "leave one of them out.")
    return on(cluster)


@contextmanager
def trainers(where: Where | None, device: Sequence[str], count: int | None, precision: str) -> Iterator[Devices]:
    """The devices of this machine that are named, or those of a cluster; `count` of them, or as many as there are."""
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise HarnessError(
            "trainings at once are started by one process.",
            "leave torchrun out; --device cuda:0,cuda:1 takes two GPUs.",
        )
    if where is not None:
        from harness.train.cluster import hosts

        with hosts(on(where), ",".join(device), count, precision) as devices:
            yield devices
    else:
        from harness.train.devices import slots
        from harness.train.pool import Here

        yield Here(slots(",".join(device), count), precision)


def on(where: Where) -> Cluster:
    """The cluster, which says on stderr what a user should know."""
    from harness.studies.cluster import Cluster

    return Cluster(where.address, partial(click.echo, err=True), local=where.shared)
