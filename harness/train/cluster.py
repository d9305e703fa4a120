"""Assignments on the workers of a Dask cluster, one at a time on each.

Files travel: a worker is sent the checkpoint of an assignment and sends back the new one, or all that it has made.
Where storage is shared it works in the caller's folder instead, and what lost its worker goes on from its last epoch.
"""

from __future__ import annotations

import tempfile
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

from harness.errors import HarnessError
from harness.files import whole
from harness.studies.cluster import Cluster, Killed, Session
from harness.studies.executors import Failed
from harness.studies.on_workers import Cancelled, say, wanted
from harness.train.devices import Precision, device_of, precision_of
from harness.train.loop import Interrupted, Watch
from harness.train.pool import Assignment, Ended, Passing, Said, Trainers, Watching, Work, unwatched

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

    def pool(self, work: Work, watching: Watching = unwatched) -> Trainers[Any, Any]:
        root = None if work.root is None else work.root.absolute()
        return _Pool(self, replace(work, root=root, folder=work.folder.absolute()), watching)


@contextmanager
def hosts(cluster: Cluster, device: str, count: int | None, precision: str) -> Iterator[Hosts]:
    """The devices of a cluster. Raises HarnessError like `Session` and `Hosts`."""
    with Session(cluster) as session:
        yield Hosts(cluster, session, device, count, precision)


class _Pool:
    """Slots of a cluster: whichever worker is free does it. Files of the caller's folder travel with an assignment."""

    def __init__(self, hosts: Hosts, work: Work, watching: Watching) -> None:
        self.hosts, self.work, self.watching = hosts, work, watching
        self.devices = hosts.names
        self.running: dict[int, tuple[Assignment[Any, Any], Watch]] = {}
        self._call = _Doing(work, hosts.names[0], hosts.cluster.local, hosts.session.topic)
        self._mine = f"-{uuid.uuid4().hex}" if hosts.cluster.local else ""  # what is made is in a folder of this caller
        self._slots: dict[str, list[int]] = {}
        self._ended: list[Ended[Any, Any]] = []
        self._begun: set[str] = set()

    def submit(self, slot: int, assignment: Assignment[Any, Any]) -> None:
        if slot in self.running:
            raise ValueError(f"slot {slot} is at work")
        self.running[slot] = assignment, self.watching(assignment)
        key = assignment.key + self._mine
        if slots := self._slots.get(key):
            slots.append(slot)
            return
        self._slots[key] = [slot]
        self._begun.discard(key)
        files = {} if self.hosts.cluster.local else _files(self.work.folder, assignment)
        resources = {_GPU: 1.0} if self.hosts.names[0] == "cuda" else None
        self.hosts.session.submit(self._call, {key: (key, assignment, files)}, resources)

    def next(self) -> Ended[Any, Any]:
        if not self.running and not self._ended:
            raise ValueError("nothing is running")
        while not self._ended:
            key, found = self.hosts.session.next()
            slots = self._slots.pop(key)
            outcome = self._outcome(self.running[slots[0]][0], found)
            self._ended += [Ended(slot, self.running.pop(slot)[0].job, outcome) for slot in slots]
        return self._ended.pop(0)

    def __enter__(self) -> Self:
        self.hosts.session.heard = self._hear
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.hosts.session.cancel()
        self.running.clear()

    def _outcome(self, assignment: Assignment[Any, Any], found: object) -> object:
        if isinstance(found, Killed):
            found = found.of(assignment.label)
        if isinstance(found, Failed):
            if isinstance(found.error, HarnessError):
                return found.error
            raise found.raised()
        assert isinstance(found, _Done)
        try:
            for name, content in found.files.items():
                with whole(self.work.folder / name, "choose another --out.") as temporary:
                    temporary.write_bytes(content)
            if assignment.files(self.work.folder)[-1].exists():
                assignment.checkpoint(self.work.folder).unlink(missing_ok=True)
        except HarnessError as error:
            return error
        return found.outcome

    def _hear(self, said: dict[str, Any]) -> None:
        """Pass on what a worker says, and that another one has begun what is not begun for the first time."""
        slots = self._slots.get(said["key"])
        if not slots or slots[0] not in self.running:
            return
        assignment, watch = self.running[slots[0]]
        if "heard" in said:
            Said(*said["heard"]).to(watch, assignment.job)
        elif said["key"] in self._begun:
            how = "goes on from its last checkpoint" if said["goes_on"] else "begins again"
            watch.note(f"the worker that trained it was lost; it {how} on {said['worker']}.")
        self._begun.add(said["key"])


class _Done(NamedTuple):
    """An outcome, and by name the files in the worker's folder that belong to it."""

    outcome: object
    files: dict[str, bytes]


def _files(folder: Path, assignment: Assignment[Any, Any]) -> dict[str, bytes]:
    """By their names in `folder`, the files of what is whole; of what is not, its checkpoint."""
    paths = assignment.files(folder)
    if not paths[-1].exists():
        paths = [assignment.checkpoint(folder)]
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths if path.exists()}


_ALONE = threading.Lock()
"""torch has one random state for all threads of a process."""


@dataclass(frozen=True)
class _Doing:
    """Does an assignment on a worker, in the caller's folder where that is `shared`, else in one that is removed."""

    work: Work
    device: str
    shared: bool
    topic: str

    def __call__(self, key: str, assignment: Assignment[Any, Any], files: dict[str, bytes]) -> _Done | Failed:
        from distributed import get_worker  # noqa: PLC0415

        worker: Any = get_worker()
        with _ALONE, tempfile.TemporaryDirectory(dir=worker.local_directory) as made:
            try:
                return self._done(key, assignment, files, self.work.folder if self.shared else Path(made))
            except Interrupted:
                return Failed(Cancelled())
            except HarnessError as error:
                return Failed(HarnessError(f"the worker {worker.address}: {error.message}", error.hint))

    def _done(self, key: str, assignment: Assignment[Any, Any], files: dict[str, bytes], folder: Path) -> _Done:
        for name, content in files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(content)
        say(self.topic, {"key": key, "goes_on": assignment.checkpoint(folder).exists()})
        outcome = self.work.do(assignment, self.device, folder, _Passing(self.topic, key))
        return _Done(outcome, {} if self.shared else _files(folder, assignment))


class _Passing(Passing):
    """Ends what nobody waits for, too."""

    def __init__(self, topic: str, key: str) -> None:
        super().__init__(lambda said: say(topic, {"key": key, "heard": [*said]}))
        self.wanted = wanted()

    def step(self, epoch: int, done: float, images_per_second: float) -> None:
        if not self.wanted():
            raise Interrupted


def _precision(name: str, device: str) -> Precision | HarnessError:
    try:
        return precision_of(name, device_of(device))
    except HarnessError as error:
        return error
