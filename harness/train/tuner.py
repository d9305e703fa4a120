"""Searches carried out: an algorithm asks, free devices train, and what was measured is told."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from harness.algorithm import Results
from harness.errors import HarnessError
from harness.spaces.architecture import Architecture
from harness.train import results, search_log
from harness.train.jobs import Train
from harness.train.pool import Trainers, done
from harness.train.results import Curve, Job, Training
from harness.train.search import Limits, Search
from harness.train.search_log import Event

_HERE = np.zeros(1, dtype=np.int64)
_INVALID_IN_A_ROW = 10_000


class Tuner:
    """A search as far as it has come: its events, replayed out of the log in `folder`, and what follows from them.

    `running` holds the question of each worker at work, `waiting` the workers that are to wait for the next result.
    Raises HarnessError if the log is of another course of the search.
    """

    def __init__(self, search: Search, folder: Path) -> None:
        self.search, self.path = search, search_log.path(folder, search)
        self.algorithm = search.start()
        self.events: list[Event] = []
        self.running: dict[int, Event] = {}
        self.waiting: set[int] = set()
        self.asked = self.told = 0
        self.seconds = 0.0
        for event in search_log.read(self.path):
            if event.kind == "tell":
                self._tell(event)
            elif self._ask(event.worker, event.time) != event:
                raise HarnessError(
                    f"the search in {self.path} cannot go on: after {self.told} results {search.algorithm} now asks "
                    "for something else than it did.",
                    "it was begun on another machine or with other packages; remove it to begin anew.",
                )

    @property
    def free(self) -> int | None:
        """The first worker that may ask."""
        every = range(self.search.workers)
        return next((w for w in every if w not in self.running and w not in self.waiting), None)

    def reached(self, limits: Limits) -> bool:
        """Whether no more is to be asked."""
        return self.seconds >= limits.budget or self.asked >= (limits.evals or math.inf)

    def ask(self, worker: int) -> Event:
        """What a free worker is to do; in the log before it is done."""
        event = self._ask(worker, self.seconds)
        search_log.write(self.path, self.search, self.events)
        return event

    def tell(self, worker: int, curve: Curve | None) -> None:
        """What came of a worker's job: its curve, or None for an invalid configuration."""
        asked, loss, cost = self.running[worker], math.inf, 0.0
        if curve is not None:
            before = max((e.epochs for e in self.events if e.kind == "tell" and e.text == asked.text), default=0)
            cost = float(curve.seconds[before : asked.epochs].sum())
            if not curve.diverged:
                loss = 1.0 - float(curve.val_accuracy[-1])
        self._tell(asked._replace(kind="tell", time=self.seconds, loss=loss, cost=cost))
        search_log.write(self.path, self.search, self.events)

    def best(self, top: int) -> list[Event]:
        """The last results of `top` architectures: those that came furthest, and of these the lowest losses."""
        last: dict[str, Event] = {}
        for event in self.events:
            if event.kind == "tell" and event.loss < math.inf:
                known = last.get(event.text)
                if known is None or event.epochs > known.epochs:
                    last[event.text] = event
        return sorted(last.values(), key=lambda e: (-e.epochs, e.loss))[:top]

    def job(self, event: Event) -> Job:
        """The whole training of the architecture of an event."""
        return self.search.job(Architecture.parse(event.text))

    def _ask(self, worker: int, now: float) -> Event:
        jobs = self.algorithm.ask(_HERE, np.array([worker]))
        if jobs.wait is not None and jobs.wait[0]:
            event = Event("wait", worker, (), 0, "", now)
            self.waiting.add(worker)
        else:
            codes, fidelity = jobs.codes[0], int(np.broadcast_to(jobs.fidelity, 1)[0])
            text = self.search.text(codes)
            event = Event("ask", worker, tuple(codes.tolist()), self.search.epochs[fidelity], text, now)
            self.running[worker] = event
            self.asked += 1
        self.events.append(event)
        return event

    def _tell(self, event: Event) -> None:
        fidelity = self.search.epochs.index(event.epochs)
        one = (np.array([x]) for x in (event.worker, event.codes, fidelity, event.loss, event.cost))
        self.algorithm.tell(Results(_HERE, *one))
        del self.running[event.worker]
        self.waiting.clear()
        self.told += 1
        self.seconds = event.time
        self.events.append(event)

    def drive(self, pool: Trainers[Job, Curve], limits: Limits, heard: Callable[[], None]) -> None:
        """Search until the limits are reached or the algorithm asks no more; `heard` is called after every result.

        What was running when the log was written is trained again, or further. Raises HarnessError if a training fails.
        """
        began, invalid = time.monotonic() - self.seconds, 0
        for slot, event in self.running.items():
            pool.submit(slot, Train(self.job(event), event.epochs))
        while True:
            self.seconds = time.monotonic() - began
            worker = None if self.reached(limits) else self.free
            if worker is not None:
                event = self.ask(worker)
                if event.text:
                    pool.submit(worker, Train(self.job(event), event.epochs))
                    invalid = 0
                elif event.kind == "ask":
                    self.tell(worker, None)
                    heard()
                    invalid += 1
                    _check(invalid, self.search)
            elif self.running:
                ended = pool.next()
                if isinstance(ended.outcome, HarnessError):
                    raise ended.outcome
                self.seconds = time.monotonic() - began
                self.tell(ended.slot, ended.outcome)
                heard()
            else:
                return

    def train_best(
        self, pool: Trainers[Job, Curve], folder: Path, top: int, heard: Callable[[], None]
    ) -> list[tuple[Event, Training]]:
        """The `top` architectures trained to the recipe's end into `folder`, each after what the search had seen of it.

        `heard` is called after each. In the end the checkpoints of all others are removed. Raises HarnessError if the
        search has trained none.
        """
        found = self.best(top)
        if not found:
            raise HarnessError(
                f"nothing was trained to a finite loss within the budget: {self.asked} architectures were asked for.",
                "give it a larger --budget, or more --evals.",
            )
        jobs = [self.job(event) for event in found]
        for _ in done(pool, [Train(job) for job in jobs if not results.path(folder, job).exists()]):
            heard()
        for text in dict.fromkeys(event.text for event in self.events if event.text):
            results.checkpoint_path(folder, self.search.job(Architecture.parse(text))).unlink(missing_ok=True)
        return [(event, results.read(results.path(folder, job))) for event, job in zip(found, jobs, strict=True)]


def _check(invalid: int, search: Search) -> None:
    if invalid == _INVALID_IN_A_ROW:
        raise HarnessError(
            f"{search.algorithm} proposed {invalid:,} invalid architectures of {search.space} in a row.",
            "search another space, or by another algorithm.",
        )
