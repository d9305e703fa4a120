"""Trainings on the workers of a Dask cluster, one at a time on each.

Files travel: a worker is sent the checkpoint of a training and sends back the new one, or the training. Where storage
is shared it works in the caller's folder instead, and a training whose worker was lost goes on from its last epoch.
"""

from __future__ import annotations

import queue
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

import dask
import torch

from harness.errors import HarnessError
from harness.files import whole
from harness.studies import cluster as clusters
from harness.studies.cluster import Cluster, Killed, Session
from harness.studies.executors import Failed
from harness.train import checkpoint, images, results
from harness.train.devices import Place, Precision, device_of, precision_of
from harness.train.loop import Interrupted, Watch
from harness.train.pool import Ended, Trainers, Work, trained
from harness.train.recipes import Recipe
from harness.train.results import Curve, Job, Origin

_GPU = "GPU"
"""The resource that a worker with a GPU declares."""


class Hosts:
    """The devices of a cluster's workers: a slot for each worker, or `count` of them."""

    def __init__(self, cluster: Cluster, session: Session, device: str, count: int | None, precision: str) -> None:
        """Raises HarnessError if it is no device of a worker, or workers would train in unlike precisions."""
        if device not in ("auto", "cpu", "cuda"):
            raise HarnessError(
                f"--device {device} is of one machine.", "on a cluster it is cpu, or cuda: the GPU that a worker sees."
            )
        workers = session.workers
        if device == "auto":
            device = "cuda" if session.has(_GPU) else "cpu"
        if device == "cuda":
            workers = session.wait_for(_GPU)
        found = session.run(_precision, precision, device, having=_GPU if device == "cuda" else "")
        for name, theirs in found.items():
            if isinstance(theirs, HarnessError):
                raise HarnessError(f"the worker {name}: {theirs.message}", theirs.hint)
        if len({*found.values()}) > 1:
            told = ", ".join(f"{name} in {theirs}" for name, theirs in found.items())
            raise HarnessError(f"workers would train in unlike precisions: {told}.", "choose one by --precision.")
        self.cluster = cluster
        self.names = (device,) * (count or workers)
        self.precision: Precision = next(iter(found.values()))

    def pool(
        self,
        images_name: str,
        data_root: Path | None,
        recipe: Recipe,
        folder: Path,
        *,
        note: Callable[[Job, str], None] | None = None,
    ) -> Trainers:
        root = None if data_root is None else data_root.absolute()
        return _Pool(self, Work(images_name, root, recipe, self.precision, folder.absolute()), note)


@contextmanager
def hosts(cluster: Cluster, device: str, count: int | None, precision: str) -> Iterator[Hosts]:
    """The devices of a cluster. Raises HarnessError like `Session` and `Hosts`."""
    said = queue.SimpleQueue[dict[str, Any]]()
    with Session(cluster, said.put) as session:
        found = Hosts(cluster, session, device, count, precision)
        found.session, found.said = session, said
        yield found


def _precision(name: str, device: str) -> Precision | HarnessError:
    try:
        return precision_of(name, device_of(device))
    except HarnessError as error:
        return error
