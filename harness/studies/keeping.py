"""Where results are kept shard by shard: in a folder, or in memory."""

from __future__ import annotations

import glob
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any, Generic

from harness.errors import HarnessError
from harness.files import locked, made, sweep
from harness.studies.ranges import left_of
from harness.studies.records import JOINED, UNFINISHED, R, refusal
from harness.studies.runs import J, Sharded, kin


class Folder(Generic[J, R]):
    """A folder with one file for each result. Files are never changed once they are there."""

    reached = True

    def __init__(self, form: Sharded[J, R], folder: Path) -> None:
        """Sweep what killed processes left. Raises HarnessError if `folder` cannot be made or written."""
        self.form, self.folder = form, folder
        writable(folder)
        self._sweep()

    def path(self, job: J) -> Path:
        return self.folder / self.form.name(job)

    def complete(self, job: J) -> bool:
        return self.path(job).exists()

    def missing(self, job: J) -> list[range]:
        stored = [*self._stored(job)]
        for result in self.form.taken(job, self._kin(job), stored):
            self.add(result)
            stored.append(self.form.shard(result))
        return left_of(job.shards, stored)

    def shared(self, job: J) -> bool:
        return self._lock(job.id).exists()

    def __getstate__(self) -> dict[str, Any]:
        """Another process may work in another folder."""
        return {**vars(self), "folder": self.folder.absolute()}

    def add(self, result: R) -> None:
        """Keep the result of one shard, unless another process finished its job where there are no locks."""
        job = self.form.job(result)
        try:
            self.form.write(result, self._shard(job, self.form.shard(result)))
        except HarnessError:
            if not self.complete(job):
                raise

    def finish(self, job: J) -> None:
        """Join the shards of a job into its file, unless another process has, and remove them.

        Raises HarnessError if one of them is no longer there.
        """
        try:
            if not self.complete(job):
                self._join(job)
        except HarnessError:
            if not self.complete(job):
                raise
        with suppress(OSError):  # what stays is swept by the next run
            shutil.rmtree(self._unfinished(job.id), ignore_errors=True)
            self._unfinished(job.id).parent.rmdir()

    def _join(self, job: J) -> None:
        stored = sorted(self._stored(job).items(), key=_first)
        if left_of(job.shards, dict(stored)):
            told = f"shards of {job.label} on {job.benchmark} went from {self._unfinished(job.id)} meanwhile."
            raise HarnessError(told, "run the same command again.")
        self.form.write(self.form.join(job, [self.form.read(path) for _, path in stored]), self.path(job))

    def get(self, job: J) -> R:
        return self.form.read(self.path(job))

    @contextmanager
    def held(self, job: J) -> Iterator[bool]:
        with locked(self._lock(job.id), wait=False) as mine:
            yield mine
        with suppress(OSError):
            (self.folder / UNFINISHED).rmdir()

    def _unfinished(self, id_: str) -> Path:
        return self.folder / UNFINISHED / id_

    def _lock(self, id_: str) -> Path:
        return self.folder / UNFINISHED / f"{id_}.lock"

    def _shard(self, job: J, seeds: range) -> Path:
        return self._unfinished(job.id) / f"{seeds.start}-{seeds.stop}.parquet"

    def _stored(self, job: J) -> dict[range, Path]:
        """The files of shards, or parts of them, that can be read."""
        found = {}
        for path in self._unfinished(job.id).glob("*.parquet"):
            with suppress(HarnessError):
                found[self.form.shard(self.form.read(path))] = path
        return found

    def _kin(self, job: J) -> Iterator[R]:
        """The results of finished jobs that differ from this one in seeds only."""
        same = kin(json.loads(json.dumps(job.to_json())))
        for path in sorted(self.folder.glob(f"{glob.escape(self.path(job).name.removesuffix(f'{job.id}.parquet'))}*")):
            with suppress(HarnessError):
                if kin(self.form.said(path)[self.form.marks]) == same:
                    yield self.form.read(path)

    def _sweep(self) -> None:
        """Remove temporary files, locks, and shards of jobs that were finished, unless another process is at it."""
        sweep(self.folder)
        sweep(self.folder / JOINED)
        with suppress(OSError):  # another process does the same
            for left in (self.folder / UNFINISHED).glob("*/"):
                sweep(left)
                if next(self.folder.glob(f"*.{left.name}.parquet"), None) is not None:
                    with locked(self._lock(left.name), wait=False) as mine:
                        if mine:
                            shutil.rmtree(left, ignore_errors=True)
            for lock in (self.folder / UNFINISHED).glob("*.lock"):
                with suppress(HarnessError), locked(lock, wait=False):
                    pass  # it is removed when it is left
            (self.folder / UNFINISHED).rmdir()


class Memory(Generic[J, R]):
    """Results that live as long as this object."""

    reached = False

    def __init__(self, form: Sharded[J, R]) -> None:
        self.form = form
        self.results: dict[str, R] = {}
        self._parts: dict[str, dict[range, R]] = {}

    def complete(self, job: J) -> bool:
        return job.id in self.results

    def missing(self, job: J) -> list[range]:
        same = kin(job.to_json())
        known = (result for result in self.results.values() if kin(self.form.job(result).to_json()) == same)
        for result in self.form.taken(job, known, self._parts.get(job.id, {})):
            self.add(result)
        return left_of(job.shards, self._parts.get(job.id, {}))

    def add(self, result: R) -> None:
        self._parts.setdefault(self.form.job(result).id, {})[self.form.shard(result)] = result

    def finish(self, job: J) -> None:
        if not self.complete(job):
            parts = self._parts.pop(job.id)
            self.results[job.id] = self.form.join(job, [part for _, part in sorted(parts.items(), key=_first)])

    def get(self, job: J) -> R:
        return self.results[job.id]

    def held(self, job: J) -> AbstractContextManager[bool]:
        return nullcontext(True)

    def shared(self, job: J) -> bool:
        return False


def writable(folder: Path) -> None:
    """Make a folder for results. Raises HarnessError if that cannot be done, or nothing may be written into it."""
    try:
        made(folder)
    except FileExistsError:
        raise HarnessError(f"{folder} is a file, not a folder for results.", "choose another folder.") from None
    except OSError as error:
        raise refusal(folder / "-", error) from None
    if not os.access(folder, os.W_OK | os.X_OK):
        raise HarnessError(f"the folder {folder} is not writable.", "choose another folder.")


def _first(stored: tuple[range, object]) -> int:
    return stored[0].start
