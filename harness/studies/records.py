"""What every stored thing has in common: its identity, its file, and the store that holds it.

A record is a Parquet file with a JSON footer, whole or absent. The footer has the digest of all columns and of itself,
which is verified on read as are the checksums of the pages; files of earlier versions have none.
"""

from __future__ import annotations

import glob
import hashlib
import json
import os
import re
import shutil
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any, ClassVar, Generic, Protocol, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from harness.arrays import Ints, of_column
from harness.errors import HarnessError
from harness.escapes import obeyed
from harness.fields import fit
from harness.files import FULL, locked, made, reading, sweep, whole

UNFINISHED = ".unfinished"
_DIGEST = "digest"
_PLAIN = {pa.int64(): np.dtype(np.int64), pa.float64(): np.dtype(np.float64)}
_TEXT = re.compile(rb'"(?:[^"\\]|\\.)*"')
"""A text in JSON."""

_MOST_BYTES = 80
"""Of each part of a file name; the id, by which it is known, is shorter."""

Columns = Mapping[str, Any]
"""One array of each column, or what pyarrow makes one of."""

Footer = dict[str, Any]


class Job(Protocol):
    """What is asked for: a study of an algorithm or of a predictor, seed by seed."""

    @property
    def benchmark(self) -> str: ...
    @property
    def label(self) -> str: ...
    @property
    def id(self) -> str:
        """Twelve hexadecimal digits by which all that is stored of it is named."""

    @property
    def seeds(self) -> Ints: ...
    @property
    def shards(self) -> list[range]:
        """The seeds in the portions that are computed and stored together."""

    def to_json(self) -> dict[str, Any]:
        """What it is identified by, its seeds as `first` and `stop`."""


R = TypeVar("R")
J = TypeVar("J", bound=Job)
K_contra = TypeVar("K_contra", contravariant=True)
Asked_contra = TypeVar("Asked_contra", bound=Job, contravariant=True)


def identity(data: Mapping[str, Any]) -> str:
    """Twelve hexadecimal digits of the hash of the canonical JSON."""
    return hashlib.sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()[:12]


def kin(data: Mapping[str, Any]) -> dict[str, Any]:
    """What jobs that differ in seeds only have in common, of their `to_json`."""
    return {name: value for name, value in data.items() if name not in ("first", "stop")}


def file_name(*parts: str) -> str:
    """`parts`, each cut to what names may have, as that of a Parquet file, without what paths and shells obey."""
    cut = [part.encode()[:_MOST_BYTES].decode(errors="ignore") for part in parts]
    return re.sub(r"[^\w.+-]", "-", ".".join(cut)) + ".parquet"


class Form(ABC, Generic[K_contra, R]):
    """The files of one kind: their columns, what their footers hold, and the results that they stand for."""

    what: ClassVar[str]
    """`a study of an algorithm`"""
    marks: ClassVar[str]
    """The field of the footer that only files of this kind have."""
    columns: ClassVar[pa.Schema]
    later: ClassVar[Sequence[str]] = ()
    """Columns of floats that files of earlier versions lack, and are NaN there."""
    footer: ClassVar[type]
    """A TypedDict of the fields of the footer, but for `schema`, `id` and the digest."""
    again: ClassVar[str]
    """What to do about a file that is broken."""
    makes: ClassVar[str] = "name the folder or files of --out."
    """What to do about a file that is something else."""
    key: ClassVar[bytes] = b"nas_harness"
    schema: ClassVar[int] = 1

    @abstractmethod
    def name(self, job: K_contra) -> str:
        """The file name of a job's result."""

    @abstractmethod
    def pack(self, result: R) -> tuple[str, Columns, Footer]:
        """The id, columns and footer of a result."""

    @abstractmethod
    def unpack(self, columns: Columns, footer: Footer) -> tuple[str, R]:
        """The inverse of `pack`, whose columns and fields are of the declared types."""

    def write(self, result: R, path: Path) -> None:
        """Write a result, whole or not at all. Raises HarnessError if that cannot be done."""
        id_, columns, footer = self.pack(result)
        table = pa.table({name: _column(columns[name], self.columns.field(name).type) for name in self.columns.names})
        said = {"schema": self.schema, "id": id_, **footer}
        said[_DIGEST] = _digest(table, said)
        table = table.replace_schema_metadata({self.key: json.dumps(said)})
        with whole(path, refuse=_refusal) as temporary, temporary.open("wb") as file:
            pq.write_table(table, file, compression="zstd", write_page_checksum=True)

    def read(self, path: Path) -> R:
        """The result at `path`.

        Raises HarnessError if it is of another kind, of a later version, or not what was written.
        """
        with reading(path, self.what, self.again):
            with pq.ParquetFile(path, page_checksum_verification=True) as file:
                footer = self._said(path, file.schema_arrow.metadata or {})
                table = file.read()
            self._check(table, path)
            id_, schema, digest = footer.pop("id", None), footer.pop("schema"), footer.pop(_DIGEST, None)
            if digest is not None and digest != _digest(table, {"schema": schema, "id": id_, **footer}):
                raise HarnessError(
                    f"{path} does not hold the numbers that were written: its digest differs.", self.again
                )
            columns = {name: of_column(table.column(name)) for name in table.column_names}
            columns |= {name: np.full(len(table), np.nan) for name in self.later if name not in columns}
            said = fit(footer, self.footer, f"the footer of {path}", self.again)
            try:
                found, result = self.unpack(columns, said)
            except HarnessError as error:
                raise HarnessError(f"{path} holds what there cannot be: {error.message}", self.again) from None
            if found != id_:
                raise HarnessError(f"{path} calls itself {id_}, but holds {found}.", self.again)
        return result

    def said(self, path: Path) -> Footer:
        """The footer of `path` alone. Raises HarnessError if it is of another kind or version, or broken."""
        with reading(path, self.what, self.again):
            return self._said(path, pq.read_schema(path).metadata or {})

    def protected(self, path: Path) -> bool:
        """Whether the file at `path`, which `read` takes, has a digest; those of earlier versions have none."""
        return _DIGEST in json.loads(pq.read_schema(path).metadata[self.key])

    def is_one(self, path: Path) -> bool:
        """Whether a file is of this kind, or broken, which `read` then says."""
        try:
            metadata = pq.read_schema(path).metadata or {}
            return self.marks in json.loads(metadata.get(self.key, b"{}"))
        except Exception:
            return True

    def _said(self, path: Path, metadata: Mapping[bytes, bytes]) -> Footer:
        """The footer. Raises HarnessError if it is not of this kind and version."""
        if self.key not in metadata:
            raise HarnessError(f"{path} is not {self.what}: it has no footer of this harness.", self.makes)
        if any(obeyed(json.loads(text)) for text in {*_TEXT.findall(metadata[self.key])}):
            told = "control characters, or commands to a log, in a name or text"
            raise HarnessError(f"the footer of {path} has {told}.", self.again)
        said = json.loads(metadata[self.key])
        if not isinstance(said, dict) or self.marks not in said:
            raise HarnessError(f"{path} is not {self.what}, but something else of this harness.", self.makes)
        if said.get("schema") != self.schema:
            raise HarnessError(
                f"{path} has results of schema {said.get('schema')}; this version reads schema {self.schema}.",
                "use the version of nas-harness that wrote it, or make it again.",
            )
        return said

    def _check(self, table: pa.Table, path: Path) -> None:
        for field in self.columns:
            if field.name not in table.column_names:
                if field.name in self.later:
                    continue
                raise HarnessError(f"{path} has no column '{field.name}', which is {field.type}.", self.again)
            column = table.column(field.name)
            if column.type != field.type:
                raise HarnessError(
                    f"the column '{field.name}' of {path} is {column.type}, expected {field.type}.", self.again
                )
            if column.null_count:
                raise HarnessError(f"the column '{field.name}' of {path} lacks {column.null_count} values.", self.again)
        if more := [name for name in table.column_names if name not in self.columns.names]:
            raise HarnessError(
                f"{path} has a column '{more[0]}' that this version does not know.",
                "use the version of nas-harness that wrote it.",
            )


class Sharded(Form[J, R]):
    """The files of results that are computed and stored in shards of their seeds."""

    @abstractmethod
    def job(self, result: R) -> J: ...

    @abstractmethod
    def seeds(self, result: R) -> Ints: ...

    @abstractmethod
    def join(self, job: J, parts: Sequence[R]) -> R:
        """The result of a job out of those of its shards, in their order."""

    @abstractmethod
    def portion(self, job: J, result: R, seeds: range) -> R:
        """Those of the seeds of a result of a job that differs in seeds only, as of this job."""

    def shard(self, result: R) -> range:
        seeds = self.seeds(result)
        return range(int(seeds[0]), int(seeds[-1]) + 1)

    def taken(self, job: J, results: Iterable[R], stored: Iterable[range]) -> Iterator[R]:
        """Portions for a job that has the shards `stored`, out of `results` of jobs that differ in seeds only.

        Each seed is taken once, if it can be out of a result that is taken whole, as counts over its seeds are then
        known.
        """
        left = _left(job.shards, stored)
        spans = sorted(((self.shard(result), result) for result in results), key=lambda pair: -len(pair[0]))
        for whole_only in (True, False):
            for span, result in spans:
                free = _joined(_overlaps(left, span))
                if not free or (whole_only and free != [span]):
                    continue
                for seeds in free:
                    yield self.portion(job, result, seeds)
                left = _left(left, free)


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


class Folder(Generic[J, R]):
    """A folder with one file for each result. Files are never changed once they are there."""

    reached = True

    def __init__(self, form: Sharded[J, R], folder: Path) -> None:
        """Sweep what killed processes left. Raises HarnessError if `folder` cannot be made or written."""
        self.form, self.folder = form, folder
        try:
            made(folder)
        except FileExistsError:
            raise HarnessError(f"{folder} is a file, not a folder for results.", "choose another --out.") from None
        except OSError as error:
            raise _refusal(folder / "-", error) from None
        if not os.access(folder, os.W_OK | os.X_OK):
            raise HarnessError(f"the folder {folder} is not writable.", "choose another --out.")
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
        return _left(job.shards, stored)

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
        if _left(job.shards, dict(stored)):
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
        return _left(job.shards, self._parts.get(job.id, {}))

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


def _first(stored: tuple[range, object]) -> int:
    return stored[0].start


def _overlaps(ranges: Iterable[range], span: range) -> list[range]:
    """What of the ranges is within `span`."""
    cut = (range(max(part.start, span.start), min(part.stop, span.stop)) for part in ranges)
    return [part for part in cut if part]


def _joined(ranges: Iterable[range]) -> list[range]:
    """Ascending ranges, those that follow upon each other as one."""
    found: list[range] = []
    for part in ranges:
        if found and found[-1].stop == part.start:
            found[-1] = range(found[-1].start, part.stop)
        else:
            found.append(part)
    return found


def _left(ranges: Iterable[range], stored: Iterable[range]) -> list[range]:
    """What of ascending ranges none of the `stored` has."""
    left = [*ranges]
    for gone in stored:
        sides = (
            (range(part.start, min(part.stop, gone.start)), range(max(part.start, gone.stop), part.stop))
            for part in left
        )
        left = [side for pair in sides for side in pair if side]
    return left


def find(paths: Iterable[Path], inside: Iterable[str], none: HarnessError, makes: str) -> list[Path]:
    """The files that `paths` name and those in folders among them that match a glob of `inside`, sorted, each once.

    Raises HarnessError for a path that does not exist, with the hint `makes`, and `none` if nothing was found.
    """
    found: dict[Path, None] = {}
    for path in paths:
        if path.is_dir():
            found.update(dict.fromkeys(sorted(file for pattern in inside for file in path.glob(pattern))))
        elif path.exists():
            found[path] = None
        else:
            raise HarnessError(f"there is nothing at {path}.", makes)
    if not found:
        raise none
    return [*found]


def _column(values: Any, kind: pa.DataType) -> pa.Array:
    """Those of plain numbers without Arrow's own conversion of arrays, which imports pandas."""
    if not isinstance(values, np.ndarray) or values.dtype.kind not in "bif":
        return pa.array(values, kind)
    if values.dtype == bool and kind == pa.bool_():
        return pa.Array.from_buffers(kind, len(values), [None, pa.py_buffer(np.packbits(values, bitorder="little"))])
    if kind not in _PLAIN or not np.can_cast(values.dtype, _PLAIN[kind]):
        return pa.array(values, kind)
    return pa.Array.from_buffers(kind, len(values), [None, pa.py_buffer(np.ascontiguousarray(values, _PLAIN[kind]))])


def _digest(table: pa.Table, footer: Footer) -> str:
    """Hash of every number of the columns, their names and types, and of the footer."""
    digest = hashlib.sha256(json.dumps(footer, sort_keys=True).encode())
    for name in table.column_names:
        column = table.column(name)
        kind = f"list<{column.type.value_type}>" if pa.types.is_list(column.type) else column.type
        digest.update(f"\0{name}\0{kind}\0{len(column)}\0".encode())
        values = of_column(column)
        if values.dtype == object:
            digest.update(json.dumps(column.to_pylist()).encode())
        else:
            digest.update(np.ascontiguousarray(values).data)
    return digest.hexdigest()


def _refusal(path: Path, error: OSError) -> HarnessError:
    """The error for a folder that cannot be written."""
    if error.errno in FULL:
        hint = "free some space and run the same command again: finished shards are kept."
    else:
        hint = "choose another --out."
    return HarnessError(f"cannot write to {path.parent}: {error.strerror or error}.", hint)
