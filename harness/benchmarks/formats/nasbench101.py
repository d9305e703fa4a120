"""NAS-Bench-101: `nasbench_full.tfrecord` and `nasbench_only108.tfrecord` as arrays.

Ying et al., "NAS-Bench-101: Towards Reproducible Neural Architecture Search", ICML 2019.

A TFRecord is: length (uint64), masked CRC-32C of the length, payload, masked CRC-32C of the
payload. A payload is a JSON array [module hash, epochs, adjacency, operations, metrics], where
metrics is the base64 of the protobuf message `ModelMetrics`:

    1 evaluation_data (repeated): 1 current_epoch, 2 training_time, 3 train_accuracy,
      4 validation_accuracy, 5 test_accuracy (doubles), 6 checkpoint_path
    2 trainable_parameters (varint), 3 total_time (double)

Every training is evaluated three times: before the first step, halfway and at the end.
The arrays hold the end.
"""

import binascii
import json
import struct
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from harness.benchmarks.formats.content import FormatError, Progress, describe, extra, require_file

__all__ = ["CELLS", "NasBench101", "read", "records"]

CELLS: Final = 423_624
EPOCHS: Final = (4, 12, 36, 108)
REPEATS: Final = 3
OPERATIONS: Final = {"conv3x3-bn-relu": 0, "conv1x1-bn-relu": 1, "maxpool3x3": 2}
NO_OPERATION: Final = 255

_WANTED = "the TFRecord file of NAS-Bench-101"
_HINT = "take nasbench_full.tfrecord or nasbench_only108.tfrecord"
_LONGEST_RECORD = 1 << 20
_CRC_MASK = 0xA282EAD8


@dataclass(frozen=True)
class NasBench101:
    """The table, rows in ascending order of hash; N cells, F epochs, R = 3 trainings.

    `hash16` uint8[N, 16]: isomorphism-invariant MD5 of the cell.
    `num_vertices` uint8[N]; vertex 0 is the input, the last one the output.
    `adj_bits` uint32[N]: bit k is edge (i, j), k running over j and within j over i < j.
    `ops` uint8[N, 5]: middle vertices in order (`OPERATIONS`), 255 where there is none.
    `params` int64[N]: trainable parameters.
    `epochs` int64[F]: length of each separate training.
    `train_acc`, `val_acc`, `test_acc` float64[N, F, R]: fractions at the end of training.
    `seconds` float64[N, F, R]: training time from the first step to the end.
    """

    hash16: NDArray[np.uint8]
    num_vertices: NDArray[np.uint8]
    adj_bits: NDArray[np.uint32]
    ops: NDArray[np.uint8]
    params: NDArray[np.int64]
    epochs: NDArray[np.int64]
    train_acc: NDArray[np.float64]
    val_acc: NDArray[np.float64]
    test_acc: NDArray[np.float64]
    seconds: NDArray[np.float64]


def records(path: Path, progress: Progress | None = None) -> Iterator[bytes]:
    """Yield the payloads of a TFRecord file, each with its two checksums verified."""
    crc32c = extra("google_crc32c", "google-crc32c").value
    size = require_file(path, _WANTED, _HINT)
    header = struct.Struct("<QI")
    done = count = 0
    with path.open("rb", buffering=1 << 20) as file:
        while head := file.read(12):
            if len(head) < 12:
                raise FormatError(f"{path} ends inside record {count}: the download is truncated.")
            length, length_crc = header.unpack(head)
            if _masked(crc32c(head[:8])) != length_crc:
                if not count:
                    raise FormatError(f"{path} is {describe(path)}, not {_WANTED}; {_HINT}.")
                raise FormatError(f"The length of record {count} in {path} fails its checksum.")
            if length > _LONGEST_RECORD:
                raise FormatError(f"Record {count} in {path} has {length} bytes, too many for it.")
            body = file.read(length + 4)
            if len(body) < length + 4:
                raise FormatError(f"{path} ends inside record {count}: the download is truncated.")
            payload = body[:-4]
            if _masked(crc32c(payload)) != int.from_bytes(body[-4:], "little"):
                raise FormatError(f"Record {count} in {path} fails its checksum.")
            yield payload
            count += 1
            done += 16 + length
            if progress and not count & 0xFFFF:
                progress(done, size)
    if progress:
        progress(size, size)


def read(path: Path, *, cells: int | None = CELLS, progress: Progress | None = None) -> NasBench101:
    """Read the official file; `cells` is the number it must hold (None: any, for samples)."""
    columns = _Columns()
    for count, payload in enumerate(records(path, progress)):
        try:
            columns.append(json.loads(payload))
        except (ValueError, TypeError, IndexError, AttributeError, struct.error) as error:
            raise FormatError(f"Record {count} in {path} is not one of NAS-Bench-101 ({error}); {_HINT}.") from error
    if cells is not None and len(columns.params) != cells:
        raise FormatError(
            f"{path} holds {len(columns.params):,} cells instead of {cells:,}: "
            "the download is truncated, or it is a sample."
        )
    return columns.table(path)


class _Columns:
    """Records as they come, in any order: one row per hash, one entry per training."""

    def __init__(self) -> None:
        self.rows: dict[str, int] = {}
        self.cells: list[tuple[int, int, bytes]] = []
        self.params = array("q")
        self.row = array("i")
        self.epochs = array("i")
        self.final = tuple(array("d") for _ in range(4))

    def append(self, record: Any) -> None:
        if not isinstance(record, list) or len(record) != 5:
            raise ValueError("a record has five fields")
        module_hash, epochs, adjacency, operations, metrics = record
        if epochs not in EPOCHS:
            raise ValueError(f"{epochs!r} is not a number of epochs of the benchmark")
        message = binascii.a2b_base64(metrics)
        final, parameters = _metrics(message)
        row = self.rows.get(module_hash)
        if row is None:
            if len(bytes.fromhex(module_hash)) != 16:
                raise ValueError("the hash has not 32 hexadecimal digits")
            row = self.rows[module_hash] = len(self.rows)
            self.cells.append(_cell(adjacency, operations))
            self.params.append(parameters)
        self.row.append(row)
        self.epochs.append(epochs)
        for column, value in zip(self.final, final, strict=True):
            column.append(value)

    def table(self, path: Path) -> NasBench101:
        if not self.rows:
            raise FormatError(f"{path} holds no record; {_HINT}.")
        hash16 = np.frombuffer(bytes.fromhex("".join(self.rows)), np.uint8).reshape(-1, 16)
        words = hash16.view(">u8")
        by_hash = np.lexsort((words[:, 1], words[:, 0]))
        rank = np.empty(len(by_hash), np.int64)
        rank[by_hash] = np.arange(len(by_hash))
        epochs, fidelity = np.unique(np.asarray(self.epochs), return_inverse=True)
        slot = rank[np.asarray(self.row)] * len(epochs) + fidelity
        trainings = np.bincount(slot, minlength=len(by_hash) * len(epochs))
        if (trainings != REPEATS).any():
            worst = int(np.argmax(trainings != REPEATS))
            raise FormatError(
                f"{path} holds {trainings[worst]} instead of {REPEATS} trainings of cell "
                f"{hash16[by_hash[worst // len(epochs)]].tobytes().hex()} for "
                f"{epochs[worst % len(epochs)]} epochs: the download is truncated."
            )
        order = np.argsort(slot, kind="stable")
        shape = (len(by_hash), len(epochs), REPEATS)
        seconds, train, val, test = (np.asarray(c)[order].reshape(shape) for c in self.final)
        vertices, bits, ops = zip(*self.cells, strict=True)
        return NasBench101(
            hash16=hash16[by_hash],
            num_vertices=np.array(vertices, np.uint8)[by_hash],
            adj_bits=np.array(bits, np.uint32)[by_hash],
            ops=np.frombuffer(b"".join(ops), np.uint8).reshape(-1, 5)[by_hash],
            params=np.asarray(self.params).astype(np.int64)[by_hash],
            epochs=epochs.astype(np.int64),
            train_acc=train,
            val_acc=val,
            test_acc=test,
            seconds=seconds,
        )


def _masked(crc: int) -> int:
    return (((crc >> 15) | (crc << 17)) + _CRC_MASK) & 0xFFFFFFFF


@lru_cache(maxsize=1 << 16)
def _cell(adjacency: str, operations: str) -> tuple[int, int, bytes]:
    """Vertices, edge bits and the five operation codes of a cell as the records spell it."""
    names = operations.split(",")
    vertices = len(names)
    if not 2 <= vertices <= 7 or len(adjacency) != vertices**2 or set(adjacency) - {"0", "1"}:
        raise ValueError("the adjacency matrix does not fit the operations")
    if (names[0], names[-1]) != ("input", "output"):
        raise ValueError("the first vertex must be 'input' and the last 'output'")
    edges = [(i, j) for j in range(vertices) for i in range(j)]
    bits = sum(int(adjacency[i * vertices + j]) << k for k, (i, j) in enumerate(edges))
    if bits.bit_count() != adjacency.count("1"):
        raise ValueError("the adjacency matrix is not upper triangular")
    unknown = set(names[1:-1]) - OPERATIONS.keys()
    if unknown:
        raise ValueError(f"{unknown.pop()!r} is not an operation of the benchmark")
    ops = bytes(OPERATIONS[name] for name in names[1:-1])
    return vertices, bits, ops.ljust(5, bytes([NO_OPERATION]))


_EVALUATION = b"\x0a\x2d\x09"
_USUAL = struct.Struct("<" + "3sdBdBdBdBd" * 3 + "B")
_USUAL_TAGS = (0x11, 0x19, 0x21, 0x29)


def _metrics(message: bytes) -> tuple[tuple[float, ...], int]:
    """(Seconds, train, validation, test accuracy) at the end of training; parameters.

    Messages of the usual layout, three evaluations of five doubles each, are unpacked at once;
    any other valid encoding of the same fields takes the general path.
    """
    if len(message) > _USUAL.size:
        usual = _USUAL.unpack_from(message)
        if (
            usual[0:21:10] == (_EVALUATION,) * 3
            and usual[22:29:2] == _USUAL_TAGS
            and usual[30] == 0x10
            and usual[1] < usual[11] < usual[21]
        ):
            return usual[23:30:2], _varint(message, _USUAL.size)[0]
    fields = list(_fields(message))
    evaluations = [dict(_fields(value)) for number, value in fields if number == 1]
    if len(evaluations) != 3:
        raise ValueError(f"{len(evaluations)} evaluations instead of 3")
    start, half, end = (_double(evaluation, 1) for evaluation in evaluations)
    if not start < half < end:
        raise ValueError("the evaluations are not in the order start, halfway, end")
    final = tuple(_double(evaluations[2], number) for number in (2, 3, 4, 5))
    return final, dict(fields)[2]


def _double(message: dict[int, Any], number: int) -> float:
    """A double field; one that equals its default may be left out of the message."""
    return float(struct.unpack("<d", message.get(number, bytes(8)))[0])


def _fields(message: bytes) -> Iterator[tuple[int, Any]]:
    """(Number, value) of each field on the protobuf wire: varints as int, the rest as bytes."""
    position = 0
    while position < len(message):
        tag, position = _varint(message, position)
        kind = tag & 7
        if kind == 0:
            value, position = _varint(message, position)
            yield tag >> 3, value
            continue
        if kind == 2:
            length, position = _varint(message, position)
        elif kind in (1, 5):
            length = 8 if kind == 1 else 4
        else:
            raise ValueError(f"protobuf wire type {kind}")
        if position + length > len(message):
            raise ValueError("a protobuf field runs over the end")
        yield tag >> 3, message[position : position + length]
        position += length


def _varint(message: bytes, position: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = message[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
        shift += 7
        if shift > 63:
            raise ValueError("a protobuf varint is too long")
