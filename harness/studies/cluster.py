"""Work for the workers of a Dask cluster, which need no file system of the caller's: results travel to it."""

from __future__ import annotations

import gc
import logging
import queue
import time
import uuid
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from importlib import import_module, metadata
from types import TracebackType
from typing import Any, NamedTuple, Self

from harness.errors import HarnessError, reason
from harness.studies import local_workers
from harness.studies.executors import Call, Failed, K, T, Task
from harness.studies.on_workers import Cancelled, Checked, about
from harness.studies.schedulers import awaited, scheduler

_SECONDS_TO_CONNECT = 10
_SECONDS_AWAY = 600
"""How long a scheduler that has answered may be away."""
_SECONDS_BETWEEN_LOOKS = 0.5
_SECONDS_BETWEEN_QUESTIONS = 0.1
_AHEAD = 2
"""Tasks in flight for each thread of the workers, so that none waits for the next."""
_SECONDS_AHEAD = 0.5
"""Of short tasks, so many are in flight as end within this time, since many cost little more to ask for than one."""
_TOGETHER = 64
"""Tasks that are asked for, or fetched, at once."""


class Cluster:
    """The workers of the scheduler at `address`.

    That is `tcp://host:port`, a scheduler file, `local:8` for as many processes of this machine, or `slurm:file.yaml`
    with the settings of dask-jobqueue's SLURMCluster and `jobs`, their number. `tell` hears where the dashboard is, and
    what is waited for. Where it is `local`, workers reach the caller's folders by the same paths.
    """

    def __init__(self, address: str, tell: Callable[[str], None], *, local: bool = False) -> None:
        """Raises HarnessError if distributed is not installed."""
        here = address.startswith("local:")
        if here:
            local_workers.prepare()
        gc.disable()  # what is imported stays
        try:
            import distributed  # noqa: F401, PLC0415
        except Exception as error:
            raise HarnessError(
                f"--cluster needs the package distributed, which cannot be imported: {reason(error)}.",
                "install it: pip install 'nas-harness[cluster]'",
            ) from None
        finally:
            gc.enable()
        self.address, self.tell, self.local = address, tell, local or here
        self.status = ""

    def map(
        self, call: Call[K, T], tasks: Iterable[Task[K]], heard: Callable[[Task[K], float], None]
    ) -> Iterator[tuple[Task[K], T | Failed]]:
        """Keyed by study and shard, so that a shard which two callers ask for is computed once."""
        left = iter(tasks)
        task = next(left, None)
        if task is None:
            return
        mine = f"-{uuid.uuid4().hex}" if self.local else ""  # what is stored is in a folder of this caller
        flying: dict[str, Task[K]] = {}
        began, ended = time.monotonic(), 0
        with Session(self) as session:
            while task is not None or flying:
                room = max(_AHEAD * session.threads, int(_SECONDS_AHEAD * ended / (time.monotonic() - began)))
                while task is not None and len(flying) - session.ready <= room // 2:
                    job, together = task.job, dict[str, Task[K]]()
                    while task is not None and task.job is job and len(together) < min(room - room // 2, _TOGETHER):
                        together[task.key + mine] = task
                        task = next(left, None)
                    session.submit(Checked.of(call, job), {key: (one,) for key, one in together.items()})
                    flying |= together
                key, found = session.next()
                done, ended = flying.pop(key), ended + 1
                self.status = f"{session.workers} workers, {len(flying)} tasks in flight"
                yield done, found.of(str(done)) if isinstance(found, Killed) else found


@dataclass(frozen=True)
class Killed:
    """In place of a result: so many workers ended in the middle of it."""

    workers: int
    last: str

    def of(self, what: str) -> Failed:
        return Failed(
            HarnessError(
                f"{what} could not be run: {self.workers} workers ended in the middle of it, likely as memory ran out "
                f"or it takes longer than workers live; the last one was {self.last}.",
                "start workers with more memory or time; the same command goes on from what is stored.",
            )
        )


class _Lost:
    """In place of a result that the scheduler does not know of any more."""


class _Asked(NamedTuple):
    """A task in flight."""

    call: Callable[..., Any]
    given: tuple[Any, ...]
    resources: Mapping[str, float] | None
    times: int
    future: Any


class Session:
    """Tasks in flight on a cluster, by key. Where the scheduler was away, what was in flight is asked for again.

    `threads` and `workers` count those that there are. When it is left, its tasks are cancelled,
    which those of other callers with the same keys do not notice.
    """

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.heard: Callable[[dict[str, Any]], None] = lambda said: None
        """Is told what tasks `say` on the topic of this session."""
        self.topic = f"nas-harness-{uuid.uuid4().hex}"
        self.threads = self.workers = 0
        self._asked: dict[str, _Asked] = {}
        self._ended: queue.Queue[tuple[str, Any]] = queue.Queue()
        self._ready: deque[tuple[str, Any]] = deque()
        self._stack = ExitStack()
        self._checked: set[str] = set()
        self._next_look = 0.0
        self._lost = False

    def __enter__(self) -> Self:
        """Raises HarnessError if nothing answers, or a worker has another version."""
        with ExitStack() as stack:
            stack.enter_context(_quiet())
            self._scheduler = stack.enter_context(scheduler(self.cluster.address))
            stack.callback(self._close)
            self._client = self._connected()
            self.cluster.tell(f"cluster: {self._client.scheduler.address}, dashboard at {self._client.dashboard_link}")
            self._look()
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def submit(
        self,
        call: Callable[..., Any],
        given: Mapping[str, tuple[Any, ...]],
        resources: Mapping[str, float] | None = None,
    ) -> None:
        """Have `call(*given[key])` made for every key, each by a worker that has the resources."""
        self._ask({key: _Asked(call, one, resources, 0, None) for key, one in given.items()})

    @property
    def ready(self) -> int:
        """How many tasks have ended of which `next` has not told yet."""
        return len(self._ready)

    def next(self) -> tuple[str, Any]:
        """Wait for a task to end: its key and result, Failed or Killed in its place."""
        while not self._ready:
            self._look()
            try:
                self._fetch(self._ended.get(timeout=_SECONDS_BETWEEN_LOOKS))
            except queue.Empty:
                continue
        return self._ready.popleft()

    def cancel(self) -> None:
        """Wait for none of the tasks any more."""
        with suppress(Exception):  # there may be nobody to tell
            self._client.cancel([asked.future for asked in self._asked.values() if asked.future is not None])
        self._asked.clear()

    def run(self, function: Callable[..., Any], *given: Any, having: str = "") -> dict[str, Any]:
        """What a function returns on each worker, or on those `having` a resource, by the worker's name."""
        found = self._client.run(function, *given, workers=self.having(having) if having else None)
        names = self._names()
        return {names[address]: value for address, value in found.items()}

    def having(self, resource: str) -> list[str]:
        """The addresses of workers that have a resource."""
        there = self._client.scheduler_info(n_workers=-1)["workers"]
        return [address for address, worker in there.items() if resource in worker["resources"]]

    def wait_for(self, resource: str) -> int:
        """How many workers have a resource, once there are any. Raises HarnessError if none will come."""
        told = False
        while True:
            if found := self.having(resource):
                return len(found)
            if not told:
                self.cluster.tell(
                    f"no worker at {self.cluster.address} has a {resource}; waiting for the first: "
                    f"dask worker ADDRESS --nthreads 1 --resources {resource}=1"
                )
                told = True
            self._tend()
            time.sleep(_SECONDS_BETWEEN_LOOKS)

    def _tend(self) -> None:
        """Have workers replaced that ended. Raises HarnessError if none will come any more."""
        if error := self._scheduler.tend():
            raise error

    def _ask(self, those: Mapping[str, _Asked]) -> None:
        """Ask for tasks of one call and the same resources."""
        client: Any = self._client
        self._asked |= {key: asked._replace(future=None) for key, asked in those.items()}
        one = next(iter(those.values()))
        keys = [f"nas-harness-{key}" + (f"-{asked.times}" if asked.times else "") for key, asked in those.items()]
        given = zip(*(asked.given for asked in those.values()), strict=True)
        try:
            futures = client.map(one.call, *map(list, given), key=keys, pure=True, resources=one.resources)
        except Exception:
            if client.status == "running":
                raise
            self._lost, self._next_look = True, 0.0
            return
        for (key, asked), future in zip(those.items(), futures, strict=True):
            self._asked[key] = asked._replace(future=future)
            self._hear(key, future)

    def _hear(self, key: str, future: Any) -> None:
        future.add_done_callback(lambda done: self._ended.put((key, done)))

    def _fetch(self, first: tuple[str, Any]) -> None:
        """Take the results of tasks that have ended, and ask again for what was lost on the way.

        A result that is lost with its worker is computed again, for which is not waited here: there may be no worker.
        """
        ended = [first]
        with suppress(queue.Empty):
            while len(ended) < _TOGETHER:
                ended.append(self._ended.get_nowait())
        ended = [(key, done) for key, done in ended if key in self._asked and self._asked[key].future is done]
        whole = [done for _, done in ended if done.status == "finished"]
        try:
            found = self._client.sync(
                partial(self._client.gather, whole, asynchronous=True), callback_timeout=_SECONDS_TO_CONNECT
            )
            values = dict(zip((done.key for done in whole), found, strict=True))
        except Exception:  # each says by itself what is wrong
            values = {}
        for key, done in ended:
            asked = self._asked[key]
            if done.status in ("pending", "lost"):
                self._hear(key, done)
                continue
            value = values[done.key] if done.key in values else _value(done)
            if isinstance(value, _Lost):
                self._lost, self._next_look = True, 0.0
            elif isinstance(value, Failed) and isinstance(value.error, Cancelled):
                self._ask({key: asked._replace(times=asked.times + 1)})
            else:
                del self._asked[key]
                self._ready.append((key, value))

    def _look(self) -> None:
        """See, now and then, to it that the scheduler is there, and what workers it has."""
        while time.monotonic() >= self._next_look:
            if self._lost or self._client.status != "running" or self._client.scheduler_comm is not self._line:
                self._reconnect()
            try:
                self._see()
            except OSError:
                self._lost = True
            else:
                self._next_look = time.monotonic() + 2 * _SECONDS_BETWEEN_LOOKS

    def _see(self) -> None:
        """Count and check workers, waiting for the first. Raises OSError if the scheduler does not answer."""
        here = self._client.nthreads()
        if not here:
            self.cluster.tell(awaited(self.cluster.address, self._client.scheduler.address))
            while not here:
                self._tend()
                time.sleep(_SECONDS_BETWEEN_QUESTIONS)
                here = self._client.nthreads()
        if new := here.keys() - self._checked:
            self._check([*new])
        self.threads, self.workers = sum(here.values()), len(here)
        self._tend()

    def _connected(self) -> Any:
        """A client of the scheduler. Raises OSError if it does not answer."""
        distributed: Any = import_module("distributed")
        try:
            client = distributed.Client(**self._scheduler.found, timeout=_SECONDS_TO_CONNECT, set_as_default=False)
        except (OSError, ValueError, TypeError) as error:
            raise HarnessError(
                f"no scheduler answers at {self.cluster.address}: {str(error).splitlines()[0]}.",
                "start one: dask scheduler; dask worker tcp://host:8786",
            ) from None
        self._line = client.scheduler_comm
        client.subscribe_topic(self.topic, lambda event: self.heard(event[1]))
        return client

    def _reconnect(self) -> None:
        """A new connection, in which all is asked for again that was in flight."""
        self.cluster.tell(
            f"the scheduler at {self.cluster.address} does not answer; waiting for it for {_SECONDS_AWAY // 60} "
            "minutes. Nothing is lost: if it stays away, the same command goes on from what is stored."
        )
        until = time.monotonic() + _SECONDS_AWAY
        self._close()
        self._lost = False
        while True:
            try:
                self._client = self._connected()
                break
            except HarnessError:
                if time.monotonic() > until:
                    raise HarnessError(
                        f"the scheduler at {self.cluster.address} is gone.",
                        "the same command goes on from what is stored.",
                    ) from None
                time.sleep(_SECONDS_BETWEEN_LOOKS)
        self.cluster.tell(f"the scheduler is there again; {len(self._asked)} tasks are asked for once more.")
        for key, asked in [*self._asked.items()]:
            self._ask({key: asked})

    def _close(self) -> None:
        if not hasattr(self, "_client"):
            return
        if self._client.status == "running" and not self._lost:
            with suppress(Exception):  # there may be nobody to tell
                self._client.cancel([asked.future for asked in self._asked.values() if asked.future is not None])
        with suppress(Exception):
            self._client.close(timeout=_SECONDS_TO_CONNECT)

    def _names(self) -> dict[str, str]:
        """Workers by address, as their owners know them."""
        found = self._client.scheduler_info(n_workers=-1)["workers"]
        named = {at: str(worker["name"]) for at, worker in found.items()}
        return _Names(
            {at: at if name in (at, "") or name.isdecimal() else f"{name} ({at})" for at, name in named.items()}
        )

    def _check(self, workers: list[str]) -> None:
        """Raises HarnessError for a worker of another version; where bits may differ, that is told.

        One that has gone meanwhile is not checked.
        """
        names, ours, here = self._names(), about(), list[str]()
        versions = self._client.run(metadata.version, "nas-harness", workers=workers, on_error="return")
        for at, there in versions.items():
            if isinstance(there, OSError):
                continue
            if there != (wanted := ours["nas-harness"]):
                what = "does not have nas-harness" if isinstance(there, Exception) else f"has nas-harness {there}"
                raise HarnessError(
                    f"the worker {names[at]} {what}; {wanted} is here.",
                    f"install it there: pip install nas-harness=={wanted}",
                )
            here.append(at)
        found = self._client.run(about, workers=here, on_error="return") if here else {}
        for at, theirs in found.items():
            if isinstance(theirs, OSError):
                continue
            if isinstance(theirs, Exception):
                raise theirs
            if theirs["code"] != ours["code"]:
                raise HarnessError(
                    f"the worker {names[at]} has other code of nas-harness {ours['nas-harness']}.",
                    "install the same there.",
                )
            if theirs["numpy"].split(".")[0] != ours["numpy"].split(".")[0]:
                raise HarnessError(f"the worker {names[at]} has numpy {theirs['numpy']}.", "install the same there.")
            unlike = [name for name in ("numpy", "processor") if theirs[name] != ours[name]]
            if unlike:
                told = " and ".join(f"the {name} {theirs[name]} ({ours[name]} here)" for name in unlike)
                self.cluster.tell(
                    f"note: the worker {names[at]} has {told}: last bits may differ where networks train."
                )
            self._checked.add(at)


@contextmanager
def _quiet() -> Iterator[None]:
    """Errors only of what distributed logs: that workers and lines are lost as a session ends is no news."""
    logger = logging.getLogger("distributed")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)


class _Names(dict[str, str]):
    """A worker that has just come or gone is named by its address."""

    def __missing__(self, address: str) -> str:
        return address


def _value(future: Any) -> Any:
    """The result of a future that has ended, or what stands for it."""
    from distributed import KilledWorker  # noqa: PLC0415
    from distributed.client import FutureCancelledError  # noqa: PLC0415

    try:
        return future.result(timeout=_SECONDS_TO_CONNECT)
    except KilledWorker as error:
        return Killed(error.allowed_failures + 1, str(error.last_worker.address if error.last_worker else "unknown"))
    except (FutureCancelledError, TimeoutError, OSError):  # the scheduler is away, or was
        return _Lost()
    except Exception as error:
        return Failed(error)
