"""What every stored thing has in common: its identity and its file.

A record is a Parquet file with a JSON footer, whole or absent. The footer has the digest of all columns and of itself,
which is verified on read as are the checksums of the pages; files of earlier versions have none.
"""

from __future__ import annotations

import hashlib
import json
import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from harness.arrays import of_column
from harness.errors import HarnessError
from harness.escapes import obeyed
from harness.fields import fit
from harness.files import FULL, RESULTS, arrow_file, reading, whole

UNFINISHED = ".unfinished"
JOINED = ".joined"
"""Subfolders of results: shards of what is not finished, and studies whose seeds are in many files, each in one."""
_DIGEST = "digest"
_PLAIN = {pa.int64(): np.dtype(np.int64), pa.float64(): np.dtype(np.float64)}
_TEXT = re.compile(rb'"(?:[^"\\]|\\.)*"')
"""A text in JSON."""
_UNUSUAL = re.compile(rb"[^ -~]|\\|::|##\[")
"""What JSON has some of wherever a text in it would be obeyed."""

_MOST_BYTES = 80
"""Of each part of a file name; the id, by which it is known, is shorter."""

Columns = Mapping[str, Any]
"""One array of each column, or what pyarrow makes one of."""

Footer = dict[str, Any]


R = TypeVar("R")
K_contra = TypeVar("K_contra", contravariant=True)


def identity(data: Mapping[str, Any]) -> str:
    """Twelve hexadecimal digits of the hash of the canonical JSON."""
    return hashlib.sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()[:12]


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
    key: ClassVar[bytes] = RESULTS
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
        with whole(path, refuse=refusal) as temporary, temporary.open("wb") as file:
            pq.write_table(table, file, compression="zstd", write_page_checksum=True)

    def read(self, path: Path) -> R:
        """The result at `path`.

        Raises HarnessError if it is of another kind, of a later version, or not what was written.
        """
        with reading(path, self.what, self.again):
            with arrow_file(path) as source, pq.ParquetFile(source, page_checksum_verification=True) as file:
                footer = self._said(path, file.schema_arrow.metadata or {})
                table = file.read(use_threads=False)  # which cost more than they save where files are small
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
            return self._said(path, _schema(path).metadata or {})

    def protected(self, path: Path) -> bool:
        """Whether the file at `path`, which `read` takes, has a digest; those of earlier versions have none."""
        return _DIGEST in json.loads(_schema(path).metadata[self.key])

    def is_one(self, path: Path) -> bool:
        """Whether a file is of this kind, or broken, which `read` then says."""
        try:
            metadata = _schema(path).metadata or {}
            return self.marks in json.loads(metadata.get(self.key, b"{}"))
        except Exception:
            return True

    def _said(self, path: Path, metadata: Mapping[bytes, bytes]) -> Footer:
        """The footer. Raises HarnessError if it is not of this kind and version."""
        if self.key not in metadata:
            known = any(key.startswith(RESULTS) for key in metadata)
            told = ", but something else of this harness" if known else ": it has no footer of this harness"
            raise HarnessError(f"{path} is not {self.what}{told}.", self.makes)
        written = metadata[self.key]
        if _UNUSUAL.search(written) and any(obeyed(json.loads(text)) for text in {*_TEXT.findall(written)}):
            told = "control characters, or commands to a log, in a name or text"
            raise HarnessError(f"the footer of {path} has {told}.", self.again)
        said = json.loads(written)
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


def _schema(path: Path) -> pa.Schema:
    with arrow_file(path) as source:
        return pq.read_schema(source)


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


def refusal(path: Path, error: OSError) -> HarnessError:
    """The error for a folder that cannot be written."""
    if error.errno in FULL:
        hint = "free some space and run the same command again: finished shards are kept."
    else:
        hint = "choose another folder."
    return HarnessError(f"cannot write to {path.parent}: {error.strerror or error}.", hint)
