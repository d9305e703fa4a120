"""Running studies: shards of seeds, in this process or several, each stored as soon as it is done."""

from __future__ import annotations

import multiprocessing
import os
import platform
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, MutableSequence, Sequence
from concurrent.futures import FIRST_COMPLETED, CancelledError, ProcessPoolExecutor, wait
from contextlib import contextmanager
from functools import partial
from importlib.metadata import version
from multiprocessing import connection
from typing import Any

import numpy as np

from harness import registry
from harness.driven import drive
from harness.errors import HarnessError, PluginError
from harness.local import Local
from harness.simulation import simulate
from harness.studies.outcome import Outcome
from harness.studies.store import ResultStore
from harness.studies.study import Study

Progress = Callable[[Study, float], None]
Task = tuple[Any, range]
Work = Callable[[Any, range, Callable[[float], None]], Any]
_POLL_SECONDS = 0.1


def run(
    studies: Sequence[Any],
    store: Any,
    *,
    processes: int,
    progress: Callable[[Any, float], None],
    work: Work | None = None,
) -> None:
    """Bring every study to its file in `store`; what is there already is not run again.

    `work` makes of a study and a shard of its seeds what the store takes: simulated trajectories by default.

    `progress` is called with a study and the done share of its seeds in [0, 1]. Killed or interrupted at any moment,
    the same call goes on from the shards that were stored. Raises PluginError for studies that failed, when all others
    are done.
    """
    started = [study for study in studies if not store.complete(study)]
    tasks = [(study, shard) for study in started for shard in store.missing(study)]
    processes = min(processes, len(tasks))
    context = multiprocessing.get_context("spawn")
    shares: MutableSequence[float] = context.RawArray("d", len(tasks)) if processes > 1 else [0.0] * len(tasks)

    def report() -> None:
        for study in studies:
            left = sum(len(t[1]) * (1.0 - x) for t, x in zip(tasks, shares, strict=True) if t[0] is study)
            progress(study, 1.0 - left / len(study.seeds))

    def finish(study: Study) -> None:
        if store.complete(study) or not store.missing(study):
            store.finish(study)

    for study in started:
        finish(study)
    report()
    execute = _in_pool if processes > 1 else _here
    failed: dict[str, PluginError] = {}
    for i in execute(tasks, store, work or _simulated, shares, report, processes, failed):
        finish(tasks[i][0])
        report()
    if failed:
        raise _together([*failed.values()])


def _together(errors: Sequence[PluginError]) -> PluginError:
    """Several errors as one, a line each."""
    if len(errors) == 1:
        return errors[0]
    together = PluginError("\n".join(error.message for error in errors), errors[0].hint, subject="")
    together.__cause__ = ExceptionGroup("studies that failed", errors)
    return together


def _here(
    tasks: Sequence[Task],
    store: ResultStore,
    work: Work,
    shares: MutableSequence[float],
    report: Callable[[], None],
    _: int,
    failed: dict[str, PluginError],
) -> Iterator[int]:
    """Run the tasks one after another; yields the number of each when it is stored, or fills in why it `failed`."""

    def done(i: int, share: float) -> None:
        shares[i] = share
        report()

    for i, task in enumerate(tasks):
        if task[0].id in failed:
            continue
        try:
            store.add(work(*task, partial(done, i)))
        except PluginError as error:
            failed[task[0].id] = error
            continue
        done(i, 1.0)
        yield i


def _in_pool(
    tasks: Sequence[Task],
    store: ResultStore,
    work: Work,
    shares: MutableSequence[float],
    report: Callable[[], None],
    processes: int,
    failed: dict[str, PluginError],
) -> Iterator[int]:
    """Run the tasks in worker processes; yields the number of each when it is stored, or says why it `failed`."""
    context = multiprocessing.get_context("spawn")
    adopted = registry.adopted(str(getattr(study, "algorithm", "")) for study, _ in tasks)
    executor = ProcessPoolExecutor(processes, context, initializer=_start_worker, initargs=(shares, adopted))
    try:
        with _no_main():
            pending = {executor.submit(_pool_task, i, task, store, work): i for i, task in enumerate(tasks)}
        while pending:
            done, _ = wait(pending, timeout=_POLL_SECONDS, return_when=FIRST_COMPLETED)
            report()
            for future in done:
                i = pending.pop(future)
                try:
                    future.result()
                except PluginError as error:
                    failed.setdefault(tasks[i][0].id, error)
                except CancelledError:
                    pass
                else:
                    yield i
            for future, i in pending.items():
                if tasks[i][0].id in failed:
                    future.cancel()
    finally:
        for process in multiprocessing.active_children():
            process.terminate()
        executor.shutdown(cancel_futures=True)


@contextmanager
def _no_main() -> Iterator[None]:
    """Processes started meanwhile do not run the user's script again, of which they are sent what they need."""
    main = vars(sys.modules["__main__"])
    hidden = {name: main.pop(name) for name in ("__file__",) if name in main}
    hidden["__spec__"], main["__spec__"] = main.get("__spec__"), None
    try:
        yield
    finally:
        main.update(hidden)


class _Worker:
    """What a worker process was started with."""

    shares: MutableSequence[float]


def _start_worker(shares: MutableSequence[float], algorithms: bytes) -> None:
    _Worker.shares = shares
    registry.adopt_all(algorithms)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_leave_with_parent, daemon=True).start()


def _leave_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    connection.wait([parent.sentinel])
    os._exit(1)


def _pool_task(i: int, task: Task, store: ResultStore, work: Work) -> None:
    store.add(work(*task, partial(_Worker.shares.__setitem__, i)))
    _Worker.shares[i] = 1.0


def _simulated(study: Study, shard: range, progress: Callable[[float], None]) -> Outcome:
    table = registry.benchmark(study.benchmark)
    factory = registry.algorithm(study.algorithm)
    began = time.perf_counter()
    runs: dict[str, Any] = {"seeds": np.array(shard), "rules": study.rules, "progress": progress}
    try:
        if isinstance(factory, Local) and factory.drives:
            trajectory = drive(partial(factory.__wrapped__, **study.params), table, **runs)
        else:
            trajectory = simulate(table, partial(factory, **study.params), **runs)
    except HarnessError as error:
        subject = f"{registry.origin(registry.ALGORITHMS, study.algorithm)} on {study.benchmark}"
        if isinstance(error, PluginError):
            raise error.of(subject) from error
        raise PluginError(f"gave up: {error.message}", error.hint, subject) from error
    wall = time.perf_counter() - began
    return Outcome.of(study, table, trajectory, wall, versions())


def versions() -> dict[str, str]:
    """What made a result: it does not change the numbers, but helps to explain a difference."""
    return {"nas-harness": version("nas-harness"), "numpy": np.__version__, "python": platform.python_version()}
