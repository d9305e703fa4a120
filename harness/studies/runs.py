"""Records of runs: those of one seed each, and those of many that are computed and stored in shards.

A seed has one run: in however many files it is, it counts once, and files with other numbers for it are refused.
"""

from __future__ import annotations

import json
from abc import abstractmethod
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, ClassVar, Protocol, TypeVar

import numpy as np

from harness.arrays import Ints
from harness.errors import HarnessError
from harness.studies.executors import Named
from harness.studies.ranges import joined, left_of, overlaps
from harness.studies.records import Form, K_contra, R


class Job(Named, Protocol):
    """What is asked for: a study of an algorithm or of a predictor, seed by seed."""

    @property
    def seeds(self) -> Ints: ...
    @property
    def shards(self) -> list[range]:
        """The seeds in the portions that are computed and stored together."""

    def to_json(self) -> dict[str, Any]:
        """What it is identified by, its seeds as `first` and `stop`."""


J = TypeVar("J", bound=Job)
Asked_contra = TypeVar("Asked_contra", bound=Job, contravariant=True)


def kin(data: Mapping[str, Any]) -> dict[str, Any]:
    """What jobs that differ in seeds only have in common, of their `to_json`."""
    return {name: value for name, value in data.items() if name not in ("first", "stop")}


def contradicted(first: object, second: object, run: str) -> str:
    """The sentence for two files with other numbers for a `run`, such as `seed 3 of re on nb201/cifar10`."""
    return f"{first} and {second} have different numbers for {run}."


class Single(Form[K_contra, R]):
    """The files of results that are the run of one seed each."""

    timed: ClassVar[Collection[str]] = ()
    """Columns of measured seconds, which are others each time."""

    @abstractmethod
    def title(self, result: R) -> str:
        """Whose numbers they are: `seed 3 of fairnas on nb201`."""

    def run_id(self, result: R) -> object:
        """What is the same in all files of one run, and in no other."""
        return self.pack(result)[0]

    def numbers(self, result: R) -> str:
        """What files of one run have to agree in, as JSON."""
        _, columns, _ = self.pack(result)
        return json.dumps({name: np.asarray(columns[name]).tolist() for name in columns if name not in self.timed})

    def read_once(self, paths: Iterable[Path]) -> dict[Path, R]:
        """The results at `paths`, each run once. Raises HarnessError like `read`, and for other numbers of one run."""
        kept: dict[Path, R] = {}
        first: dict[object, Path] = {}
        for path in paths:
            result = self.read(path)
            known = first.setdefault(self.run_id(result), path)
            if known is path:
                kept[path] = result
            elif self.numbers(kept[known]) != self.numbers(result):
                raise HarnessError(
                    contradicted(known, path, self.title(result)), "a seed has one run: keep the file that is meant."
                )
        return kept


class Sharded(Form[J, R]):
    """The files of results that are computed and stored in shards of their seeds."""

    @abstractmethod
    def job(self, result: R) -> J: ...

    @abstractmethod
    def seeds(self, result: R) -> Ints: ...

    @abstractmethod
    def sources(self, result: R) -> Sequence[Path]:
        """The files that a result was read from, none of one of this session."""

    @abstractmethod
    def same(self, a: R, b: R) -> bool:
        """Whether results of the same seeds have the same numbers, whatever seconds they took."""

    @abstractmethod
    def within(self, result: R, seeds: range | Ints) -> R | None:
        """The result of those of its seeds that are among `seeds`; None if there are none."""

    @abstractmethod
    def portion(self, job: J, result: R, seeds: range) -> R:
        """Those of the seeds of a result of a job that differs in seeds only, as of this job."""

    @abstractmethod
    def join(self, job: J, parts: Iterable[R]) -> R:
        """The result of a job out of those of its shards. Raises HarnessError like `distinct`."""

    def shard(self, result: R) -> range:
        seeds = self.seeds(result)
        return range(int(seeds[0]), int(seeds[-1]) + 1)

    def taken(self, job: J, results: Iterable[R], stored: Iterable[range]) -> Iterator[R]:
        """Portions for a job that has the shards `stored`, out of `results` of jobs that differ in seeds only.

        Each seed is taken once, if it can be out of a result that is taken whole, as counts over its seeds are then
        known. Raises HarnessError like `distinct`.
        """
        results = [*results]
        self.distinct(results)
        left = left_of(job.shards, stored)
        spans = sorted(((self.shard(result), result) for result in results), key=lambda pair: -len(pair[0]))
        for whole_only in (True, False):
            for span, result in spans:
                free = joined(overlaps(left, span))
                if not free or (whole_only and free != [span]):
                    continue
                for seeds in free:
                    yield self.portion(job, result, seeds)
                left = left_of(left, free)

    def distinct(self, results: Iterable[R]) -> list[R]:
        """Each seed of results that differ in seeds only once, of the longest that has it, the longest first.

        Raises HarnessError for a seed with different numbers in two of them.
        """
        parts: list[R] = []
        taken, owner = np.zeros((2, 0), dtype=np.int64)
        for result in sorted(results, key=lambda result: -len(self.seeds(result))):
            seeds = self.seeds(result)
            again = np.isin(seeds, taken)
            for i in np.unique(owner[np.isin(taken, seeds)]) if again.any() else ():
                if told := self.contradiction(parts[i], result):
                    hint = "a seed has one run: keep the file that is right. `harness verify` finds all such files."
                    raise HarnessError(told, hint)
            part = self.within(result, seeds[~again])
            if part is not None:
                taken = np.append(taken, self.seeds(part))
                owner = np.append(owner, np.full(len(self.seeds(part)), len(parts)))
                parts.append(part)
        return parts

    def contradiction(self, a: R, b: R) -> str:
        """Which seed has different numbers in results that differ in seeds only, in a sentence; empty if none has."""
        shared = np.intersect1d(self.seeds(a), self.seeds(b))
        if not shared.size or self._agree(a, b, shared):
            return ""
        seed = next(int(seed) for seed in shared if not self._agree(a, b, np.array([seed])))
        job = self.job(a)
        first, second = (
            " and ".join(map(str, self.sources(x))) or f"study {self.job(x).id} of this session" for x in (a, b)
        )
        return contradicted(first, second, f"seed {seed} of {job.label} on {job.benchmark}")

    def _agree(self, a: R, b: R, seeds: Ints) -> bool:
        """Whether the runs of `seeds`, which both have, are the same."""
        one, other = self.within(a, seeds), self.within(b, seeds)
        assert one is not None
        assert other is not None
        return self.same(one, other)


class Store(Protocol[Asked_contra, R]):
    """Where results are kept: whole ones of jobs, and of shards of those that are not finished."""

    def complete(self, job: Asked_contra) -> bool: ...

    def missing(self, job: Asked_contra) -> list[range]:
        """The shards of a job, or parts of them, that are not stored yet, or cannot be read.

        Seeds that a finished job has which differs in seeds only are taken over from it.
        """

    def add(self, result: R) -> None:
        """Keep the result of one shard."""

    def finish(self, job: Asked_contra) -> None:
        """Join the shards of a job, which are all there."""

    def get(self, job: Asked_contra) -> R:
        """The result of a job that is complete."""

    def held(self, job: Asked_contra) -> AbstractContextManager[bool]:
        """The lock of a job, if nobody else has it."""

    def shared(self, job: Asked_contra) -> bool:
        """Whether a copy of this store, in another process, is where the caller's is, who holds the job."""

    @property
    def reached(self) -> bool:
        """Whether other processes of this machine can `add` to a copy of it."""
