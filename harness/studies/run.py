"""Bringing jobs to a store, shard by shard, each stored as soon as it is done."""

from __future__ import annotations

import platform
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from functools import cache
from typing import Any, Generic

from harness import registry
from harness.errors import HarnessError, PluginError
from harness.simulation import Share
from harness.studies.executors import Executor, Failed, Heard, Here, Task
from harness.studies.records import R
from harness.studies.runs import J, Store

Work = Callable[[J, range, Heard], R]
"""Makes the result of a shard of a job; the last argument is told the done share of it."""

_SECONDS_BETWEEN_LOOKS = 0.2


def run(
    jobs: Sequence[J],
    store: Store[J, R],
    work: Work[J, R],
    *,
    executor: Executor | None = None,
    progress: Callable[[J, float], None] | None = None,
    failed: Callable[[J, Exception], None] | None = None,
) -> None:
    """Bring every job to its result in `store` by `work`; what is there already is not made again.

    `progress` is called with a job and the done `Share` of its seeds. Killed or interrupted at any moment, the same
    call goes on from the shards that were stored. A job that another process is at is waited for. What `work`
    raises ends its job only: `failed` is told, or it is raised once all others are made.
    """
    executor = executor or Here()
    tell = progress or (lambda _job, _share: None)
    left, failures = {job.id: job for job in jobs}, dict[str, Exception]()
    while left:
        round_ = _Round([*left.values()], store, tell)
        open_ = [job for job in left.values() if not store.complete(job)]
        names = tuple({str(getattr(job, "algorithm", "")) for job in open_})
        preload = () if isinstance(executor, Here) else preloaded(open_)
        call = _Call(work, store if store.reached and executor.local else None, names, preload)
        with round_.locks:
            for task, found in executor.map(call, round_.tasks(failures), round_.hear):
                if isinstance(found, Failed):
                    if task.job.id not in failures:
                        failures[task.job.id] = found.raised()
                        if failed is not None:
                            failed(task.job, failures[task.job.id])
                    continue
                if not isinstance(found, _Kept):
                    store.add(found)
                round_.end(task)
        left = {job.id: job for job in round_.busy}
        if left and not round_.worked:
            time.sleep(_SECONDS_BETWEEN_LOOKS)
    if failures and failed is None:
        raise _all(list(failures.values()))


def preloaded(jobs: Sequence[object]) -> tuple[str, ...]:
    """The modules that the algorithms and the predictors of these jobs name as their `preload`."""
    found, space = list[str](), cache(lambda benchmark: registry.benchmark(benchmark).space)
    for job in jobs:
        for kind, find in (("algorithm", registry.algorithm), ("predictor", registry.predictor)):
            if (name := getattr(job, kind, None)) is None:
                continue
            with suppress(HarnessError):
                factory: Any = find(name)
                parts: tuple[object, ...] = ()
                if hasattr(factory, "parts"):
                    known = space(job.benchmark) if hasattr(job, "benchmark") else None
                    parts = factory.parts(known, **getattr(job, "params", {}))
                for part in (factory, *parts):
                    found += getattr(part, "preload", ())
    return tuple(dict.fromkeys(found))


class _Kept:
    """A result that its worker has stored."""


@dataclass(frozen=True)
class _Call(Generic[J, R]):
    """What a worker does with a task: makes its result and, where it reaches the `store`, keeps it there.

    It brings the `algorithms` that were handed over to this process to other ones. A module of `preload` is imported
    once for all processes of a machine.
    """

    work: Work[J, R]
    store: Store[J, R] | None
    algorithms: tuple[str, ...]
    preload: tuple[str, ...]

    def __call__(self, job: J, shard: range, heard: Heard) -> R | _Kept | Failed:
        if self.store is not None and not self.store.shared(job):
            told = f"{platform.node()} does not see the folder of results that is here."
            return Failed(HarnessError(told, "leave out --store-on-workers: results will travel."))
        try:
            result = self.work(job, shard, heard)
        except Exception as error:
            return Failed(error, traceback.format_exc())
        if self.store is None:
            return result
        self.store.add(result)
        return _Kept()

    def __getstate__(self) -> dict[str, object]:
        return {**vars(self), "adopted": registry.adopted(self.algorithms)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        registry.adopt_all(state.pop("adopted"))
        vars(self).update(state)


class _Round(Generic[J, R]):
    """The jobs that nobody else is at; `busy` are the others."""

    def __init__(self, jobs: Sequence[J], store: Store[J, R], progress: Callable[[J, float], None]) -> None:
        self.jobs, self.store, self.progress = jobs, store, progress
        self.locks = ExitStack()
        self.busy: list[J] = []
        self.worked = False
        self._left: dict[str, dict[range, float]] = {}
        """Of every job at work the shards that are not stored, and their done shares."""
        self._evaluations: dict[tuple[str, range], int] = {}
        self._locks: dict[str, ExitStack] = {}

    def tasks(self, failures: dict[str, Exception]) -> Iterator[Task[J]]:
        """The shards that are missing, in the order of the jobs, as long as their job has not failed."""
        for job in self.jobs:
            if self.store.complete(job):
                self.progress(job, 1.0)
                continue
            lock = self._locks[job.id] = self.locks.enter_context(ExitStack())
            if not lock.enter_context(self.store.held(job)):
                lock.close()
                self.busy.append(job)
                continue
            if self.store.complete(job):
                self._finish(job)
                continue
            missing = self.store.missing(job)
            self._left[job.id] = dict.fromkeys(missing, 0.0)
            if not missing:
                self._finish(job)
                continue
            self._report(job)
            for shard in missing:
                if job.id in failures:
                    break
                yield Task(job, shard)

    def hear(self, task: Task[J], share: float) -> None:
        self._left[task.job.id][task.shard] = share
        self._evaluations[task.job.id, task.shard] = getattr(share, "evaluations", 0)
        self._report(task.job)

    def end(self, task: Task[J]) -> None:
        left = self._left[task.job.id]
        del left[task.shard]
        if left:
            self._report(task.job)
        else:
            self._finish(task.job)

    def _finish(self, job: J) -> None:
        self.store.finish(job)
        self._locks[job.id].close()
        self.worked = True
        self.progress(job, Share(1.0, self._made(job)))

    def _report(self, job: J) -> None:
        left = sum(len(shard) * (1.0 - share) for shard, share in self._left[job.id].items())
        self.progress(job, Share(1.0 - left / len(job.seeds), self._made(job)))

    def _made(self, job: J) -> int:
        return sum(made for (id_, _), made in self._evaluations.items() if id_ == job.id)


def _all(errors: Sequence[Exception]) -> Exception:
    """The first error that is a bug or, where there is none, a sentence for each."""
    sentences = [error for error in errors if isinstance(error, HarnessError)]
    if len(sentences) < len(errors):
        return next(error for error in errors if not isinstance(error, HarnessError))
    if len(sentences) == 1:
        return sentences[0]
    said, hint = "\n".join(error.message for error in sentences), sentences[0].hint
    plugins = any(isinstance(error, PluginError) for error in sentences)
    together = PluginError(said, hint, subject="") if plugins else HarnessError(said, hint)
    together.__cause__ = ExceptionGroup("what failed", sentences)
    return together
