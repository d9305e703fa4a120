"""Trainings on the workers of a Dask cluster, one at a time on each.

Files travel: a worker is sent the checkpoint of a training and sends back the new one, or the training. Where storage
is shared it works in the caller's folder instead, and a training whose worker was lost goes on from its last epoch.
"""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

import torch

from harness.errors import HarnessError
from harness.files import whole
from harness.studies.cluster import Cluster, Killed, Session
from harness.studies.executors import Failed
from harness.studies.on_workers import Cancelled, say, wanted
from harness.train import images, results
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
            device = "cuda" if session.having(_GPU) else "cpu"
        if device == "cuda":
            workers = session.wait_for(_GPU)
        found = session.run(_precision, precision, device, having=_GPU if device == "cuda" else "")
        for name, theirs in found.items():
            if isinstance(theirs, HarnessError):
                raise HarnessError(f"the worker {name}: {theirs.message}", theirs.hint)
        if len({*found.values()}) > 1:
            told = ", ".join(f"{name} in {theirs}" for name, theirs in found.items())
            raise HarnessError(f"workers would train in unlike precisions: {told}.", "choose one by --precision.")
        self.cluster, self.session = cluster, session
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
    with Session(cluster) as session:
        yield Hosts(cluster, session, device, count, precision)


class _Pool:
    """Slots of a cluster: whichever worker is free trains. Files of the caller's folder travel with a training."""

    def __init__(self, hosts: Hosts, work: Work, note: Callable[[Job, str], None] | None) -> None:
        self.hosts, self.work, self.note = hosts, work, note
        self.devices = hosts.names
        self.running: dict[int, Job] = {}
        self._call = _Training(work, hosts.names[0], hosts.cluster.local, hosts.session.topic)
        self._slots: dict[str, list[int]] = {}
        self._ended: list[Ended] = []
        self._begun: set[str] = set()

    def submit(self, slot: int, job: Job, until: int | None = None, origin: Origin | None = None) -> None:
        if slot in self.running:
            raise ValueError(f"slot {slot} is at work")
        self.running[slot] = job
        end = until is None or until >= job.recipe.epochs
        key = f"{job.id}-{'whole' if end else until}"
        if slots := self._slots.get(key):
            slots.append(slot)
            return
        self._slots[key] = [slot]
        self._begun.discard(key)
        files = {} if self.hosts.cluster.local else _files(self.work.folder, job)
        resources = {_GPU: 1.0} if self.hosts.names[0] == "cuda" else None
        self.hosts.session.submit(self._call, {key: (key, job, until, origin, files)}, resources)

    def next(self) -> Ended:
        if not self.running and not self._ended:
            raise ValueError("nothing is running")
        while not self._ended:
            key, found = self.hosts.session.next()
            slots = self._slots.pop(key)
            outcome = self._outcome(self.running[slots[0]], found)
            self._ended += [Ended(slot, self.running.pop(slot), outcome) for slot in slots]
        return self._ended.pop(0)

    def __enter__(self) -> Self:
        self.hosts.session.heard = self._hear
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.hosts.session.cancel()
        self.running.clear()

    def _outcome(self, job: Job, found: object) -> Curve | HarnessError:
        if isinstance(found, Killed):
            found = found.of(f"the training of {job.architecture.text}, seed {job.seed},")
        if isinstance(found, Failed):
            if isinstance(found.error, HarnessError):
                return found.error
            raise found.raised()
        assert isinstance(found, _Trained)
        try:
            for name, content in found.files.items():
                with whole(self.work.folder / name, "choose another --out.") as temporary:
                    temporary.write_bytes(content)
            if results.path(self.work.folder, job).exists():
                results.checkpoint_path(self.work.folder, job).unlink(missing_ok=True)
        except HarnessError as error:
            return error
        return found.curve

    def _hear(self, said: dict[str, Any]) -> None:
        """Pass on what a worker says, and that another one has begun a training which is not the first to do so."""
        slots = self._slots.get(said["key"])
        job = self.running.get(slots[0]) if slots else None
        if job is None or self.note is None:
            return
        if "note" in said:
            self.note(job, said["note"])
        elif said["key"] in self._begun:
            how = "goes on from its last checkpoint" if said["goes_on"] else "begins again"
            self.note(job, f"the worker that trained it was lost; it {how} on {said['worker']}.")
        self._begun.add(said["key"])


class _Trained(NamedTuple):
    """A curve, and by name the files in the worker's folder that belong to it."""

    curve: Curve
    files: dict[str, bytes]


def _files(folder: Path, job: Job) -> dict[str, bytes]:
    """By its name in `folder`, the file of a training or, where it is not finished, its checkpoint."""
    for path in (results.path(folder, job), results.checkpoint_path(folder, job)):
        if path.exists():
            return {str(path.relative_to(folder)): path.read_bytes()}
    return {}


_ALONE = threading.Lock()
"""torch has one random state for all threads of a process."""


@dataclass(frozen=True)
class _Training:
    """Trains on a worker, in the caller's folder where that is `shared`, else in one that is removed."""

    work: Work
    device: str
    shared: bool
    topic: str

    def __call__(
        self, key: str, job: Job, until: int | None, origin: Origin | None, files: dict[str, bytes]
    ) -> _Trained | Failed:
        from distributed import get_worker  # noqa: PLC0415

        worker: Any = get_worker()
        threads = torch.get_num_threads()
        with _ALONE, tempfile.TemporaryDirectory(dir=worker.local_directory) as made:
            try:
                if self.device == "cpu":
                    torch.set_num_threads(1)
                return self._trained(key, job, until, origin, files, self.work.folder if self.shared else Path(made))
            except Interrupted:
                return Failed(Cancelled())
            except HarnessError as error:
                return Failed(HarnessError(f"the worker {worker.address}: {error.message}", error.hint))
            finally:
                torch.set_num_threads(threads)

    def _trained(
        self, key: str, job: Job, until: int | None, origin: Origin | None, files: dict[str, bytes], folder: Path
    ) -> _Trained:
        for name, content in files.items():
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).write_bytes(content)
        place = Place(device_of(self.device), self.work.precision)
        loaded = _loaded(self.work.images, self.work.root, job.recipe, place.device)
        if loaded.checksum != job.checksum:
            raise HarnessError(f"it has other images of {job.images}.", "put the same there.")
        say(self.topic, {"key": key, "goes_on": results.checkpoint_path(folder, job).exists()})
        curve = trained(job, until, loaded, place, folder, _Passing(self.topic, key), origin)
        return _Trained(curve, {} if self.shared else _files(folder, job))


class _Passing(Watch):
    """Passes notes on, and ends a training that nobody waits for."""

    def __init__(self, topic: str, key: str) -> None:
        self.topic, self.key, self.wanted = topic, key, wanted()

    def step(self, epoch: int, done: float, images_per_second: float) -> None:
        if not self.wanted():
            raise Interrupted

    def note(self, text: str) -> None:
        say(self.topic, {"key": self.key, "note": text})


@lru_cache(maxsize=1)
def _loaded(name: str, root: Path | None, recipe: Recipe, device: torch.device) -> images.ImageSet:
    return images.load(name, root, recipe, device)


def _precision(name: str, device: str) -> Precision | HarnessError:
    try:
        return precision_of(name, device_of(device))
    except HarnessError as error:
        return error
