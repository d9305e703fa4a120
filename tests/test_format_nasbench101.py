"""NAS-Bench-101 files of the official form, read back number for number."""

import base64
import json
import random
import struct
from pathlib import Path
from typing import Any

import pytest

from harness.benchmarks.formats.content import FormatError
from harness.benchmarks.formats.nasbench101 import read, records

pytest.importorskip("google_crc32c", reason="the extra that reads NAS-Bench-101 is not installed")

CELLS = {
    "ff" * 15 + "00": ("0" + "1" + "00", "input,output", 1_000),
    "00" * 16: ("011" + "001" + "000", "input,maxpool3x3,output", 2_000),
    "0a" * 16: (
        "0110000000100000001000000010000001100000010000000",
        "input,conv3x3-bn-relu,conv1x1-bn-relu,maxpool3x3,conv1x1-bn-relu,conv3x3-bn-relu,output",
        8_555_530,
    ),
}


def crc32c(data: bytes) -> int:
    """Bit by bit from the definition (polynomial 0x1EDC6F41, reflected), then masked."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    crc ^= 0xFFFFFFFF
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def framed(payload: bytes) -> bytes:
    length = struct.pack("<Q", len(payload))
    return b"".join([length, struct.pack("<I", crc32c(length)), payload, struct.pack("<I", crc32c(payload))])


def message_class() -> Any:
    """`ModelMetrics` as the official protocol buffer, built at run time."""
    descriptor_pb2 = pytest.importorskip("google.protobuf.descriptor_pb2")
    message_factory = pytest.importorskip("google.protobuf.message_factory")
    file = descriptor_pb2.FileDescriptorProto(name="m.proto", package="nasbench", syntax="proto2")
    field = descriptor_pb2.FieldDescriptorProto
    evaluation = file.message_type.add(name="EvaluationData")
    names = ("current_epoch", "training_time", "train_accuracy", "validation_accuracy")
    for number, name in enumerate((*names, "test_accuracy"), 1):
        evaluation.field.add(name=name, number=number, type=field.TYPE_DOUBLE, label=1)
    evaluation.field.add(name="checkpoint_path", number=6, type=field.TYPE_STRING, label=1)
    metrics = file.message_type.add(name="ModelMetrics")
    metrics.field.add(
        name="evaluation_data",
        number=1,
        type=field.TYPE_MESSAGE,
        label=3,
        type_name=".nasbench.EvaluationData",
    )
    metrics.field.add(name="trainable_parameters", number=2, type=field.TYPE_INT32, label=1)
    metrics.field.add(name="total_time", number=3, type=field.TYPE_DOUBLE, label=1)
    return message_factory.GetMessages([file])["nasbench.ModelMetrics"]


def value(module_hash: str, epochs: int, repeat: int, metric: int, fraction: float) -> float:
    """A distinct number for each entry of the table."""
    return int(module_hash[:2], 16) + epochs / 128 + repeat * 10.0 + metric * 0.25 + fraction


def payload(module_hash: str, epochs: int, repeat: int, path: str | None = None) -> bytes:
    adjacency, operations, parameters = CELLS[module_hash]
    metrics = message_class()(trainable_parameters=parameters, total_time=1.0)
    for fraction in (0.0, 0.5, 1.0):
        seconds, train, valid, test = (value(module_hash, epochs, repeat, metric, fraction) for metric in range(4))
        metrics.evaluation_data.add(
            current_epoch=fraction * epochs,
            training_time=seconds,
            train_accuracy=train,
            validation_accuracy=valid,
            test_accuracy=test,
            checkpoint_path=path,
        )
    encoded = base64.b64encode(metrics.SerializeToString()).decode()
    return json.dumps([module_hash, epochs, adjacency, operations, encoded]).encode()


def write(path: Path, epochs: tuple[int, ...], checkpoint: str | None = None) -> Path:
    """All trainings in a random order, as repeats of a cell are not neighbours in the file."""
    jobs = [(cell, length, repeat) for cell in CELLS for length in epochs for repeat in range(3)]
    order = random.Random(1)
    keys = {job: order.random() for job in jobs}
    jobs.sort(key=lambda job: keys[job])
    seen: dict[tuple[str, int], int] = {}
    blobs = []
    for cell, length, _ in jobs:
        repeat = seen[cell, length] = seen.get((cell, length), -1) + 1
        blobs.append(framed(payload(cell, length, repeat, checkpoint)))
    path.write_bytes(b"".join(blobs))
    return path


@pytest.mark.parametrize("epochs", [(4, 12, 36, 108), (108,)])
@pytest.mark.parametrize("checkpoint", [None, "/path/to/model.ckpt-1"])
def test_numbers_are_those_at_the_end_of_training(
    tmp_path: Path, epochs: tuple[int, ...], checkpoint: str | None
) -> None:
    table = read(write(tmp_path / "f.tfrecord", epochs, checkpoint), cells=3)
    assert [row.tobytes().hex() for row in table.hash16] == sorted(CELLS)
    assert table.epochs.tolist() == list(epochs)
    assert table.params.tolist() == [2_000, 8_555_530, 1_000]
    assert table.num_vertices.tolist() == [3, 7, 2]
    assert table.ops.tolist() == [[2, 255, 255, 255, 255], [0, 1, 2, 1, 0], [255] * 5]
    assert table.adj_bits[[0, 2]].tolist() == [0b111, 0b1]
    edges = [(0, 1), (0, 2), (1, 3), (2, 4), (3, 5), (4, 5), (4, 6), (5, 6)]
    assert table.adj_bits[1] == sum(1 << (j * (j - 1) // 2 + i) for i, j in edges)
    for n, cell in enumerate(sorted(CELLS)):
        for f, length in enumerate(epochs):
            for r in range(3):
                metrics = (table.seconds, table.train_acc, table.val_acc, table.test_acc)
                found = [metric[n, f, r] for metric in metrics]
                assert found == [value(cell, length, r, m, 1.0) for m in range(4)]


@pytest.mark.reference("tfrecord")
def test_framing_agrees_with_the_tfrecord_package(tmp_path: Path) -> None:
    tfrecord = pytest.importorskip("tfrecord", reason="the package tfrecord is not installed")
    path = write(tmp_path / "f.tfrecord", (108,))
    assert [bytes(r) for r in tfrecord.tfrecord_iterator(str(path))] == list(records(path))
    length = struct.pack("<Q", 321)
    assert tfrecord.TFRecordWriter.masked_crc(length) == struct.pack("<I", crc32c(length))


def test_progress_ends_at_the_size_of_the_file(tmp_path: Path) -> None:
    path = write(tmp_path / "f.tfrecord", (108,))
    calls: list[tuple[int, int]] = []
    read(path, cells=None, progress=lambda done, total: calls.append((done, total)))
    assert calls[-1] == (path.stat().st_size, path.stat().st_size)


def test_truncation_and_flipped_bits_are_errors(tmp_path: Path) -> None:
    path = write(tmp_path / "f.tfrecord", (108,))
    whole = path.read_bytes()
    for end in range(0, len(whole), 97):
        path.write_bytes(whole[:end])
        with pytest.raises(FormatError, match=r"f\.tfrecord"):
            read(path, cells=3)
    for position in range(0, len(whole), 61):
        path.write_bytes(whole[:position] + bytes([whole[position] ^ 4]) + whole[position + 1 :])
        with pytest.raises(FormatError, match=r"f\.tfrecord"):
            read(path, cells=3)


def test_a_missing_training_or_cell_is_named(tmp_path: Path) -> None:
    path = tmp_path / "f.tfrecord"
    path.write_bytes(b"".join(framed(payload("00" * 16, 108, repeat)) for repeat in range(3)))
    with pytest.raises(FormatError, match="1 cells instead of 423,624"):
        read(path)
    path.write_bytes(path.read_bytes() + framed(payload("0a" * 16, 108, 0)))
    with pytest.raises(FormatError, match=f"1 instead of 3 trainings of cell {'0a' * 16} for 108"):
        read(path, cells=2)


@pytest.mark.parametrize(
    "record",
    [
        b"\xff",
        b"[1, 2]",
        b"{}",
        json.dumps(["00" * 16, 7, "0100", "input,output", ""]).encode(),
        json.dumps(["00" * 16, 108, "0100", "input,output", "!"]).encode(),
        json.dumps(["00" * 16, 108, "0100", "input,output", "CgA="]).encode(),
        json.dumps(["00" * 16, [4], "0100", "input,output", None]).encode(),
    ],
)
def test_a_foreign_record_is_an_error(tmp_path: Path, record: bytes) -> None:
    path = tmp_path / "f.tfrecord"
    path.write_bytes(framed(record))
    with pytest.raises(FormatError, match=r"Record 0 in .* is not one of NAS-Bench-101"):
        read(path, cells=None)


@pytest.mark.parametrize("content", [b"", b"\x89HDF\r\n\x1a\n" + bytes(90), b"<html>" + bytes(90)])
def test_another_file_is_told_what_is_wanted(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "other"
    path.write_bytes(content)
    with pytest.raises(FormatError, match=r"take nasbench_full\.tfrecord or nasbench_only108"):
        read(path)
