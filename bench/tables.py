"""How fast imported tables are: import of NAS-Bench-101, loading, lookups, and a long run.

    python bench/tables.py SHARED_DATA FOLDER

writes a file of the size and form of nasbench_full.tfrecord (2 GB) in FOLDER, imports it there, and measures. Cells,
hashes, parameter counts and test accuracies are the published ones of SHARED_DATA; the accuracies of shorter trainings
and all seconds only fill the file.
"""

from __future__ import annotations

import base64
import json
import os
import resource
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from google_crc32c import value as crc32c

from harness import Rules, registry, simulate
from harness.spaces.nasbench101_cells import OPERATORS

EPOCHS = (4, 12, 36, 108)


def masked(data: bytes) -> bytes:
    crc = crc32c(data)
    return struct.pack("<I", ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF)


def varint(number: int) -> bytes:
    found = b""
    while number > 127:
        found, number = found + bytes([number & 127 | 128]), number >> 7
    return found + bytes([number])


def records(cells: dict[str, Any], row: int) -> Iterator[bytes]:
    vertices, bits = int(cells["num_vertices"][row]), int(cells["adj_bits"][row])
    matrix = [["0"] * vertices for _ in range(vertices)]
    for k, (start, end) in enumerate((i, j) for j in range(vertices) for i in range(j)):
        matrix[start][end] = str(bits >> k & 1)
    adjacency = "".join(map("".join, matrix))
    names = ",".join(["input", *(OPERATORS[op] for op in cells["ops"][row][: vertices - 2]), "output"])
    test, parameters = float(cells["test_acc_108_mean3"][row]), b"\x10" + varint(int(cells["params"][row]))
    for epochs in EPOCHS:
        for repeat in range(3):
            message = b""
            for epoch, share in ((0, 0.1), (epochs / 2, 0.5), (epochs, epochs / (epochs + 1))):
                accuracy = test * share + repeat * 1e-3
                numbers = (9, epoch, 0x11, epoch * 16.0, 0x19, accuracy, 0x21, accuracy, 0x29, accuracy)
                message += struct.pack("<2sBdBdBdBdBd", b"\x0a\x2d", *numbers)
            metrics = base64.b64encode(message + parameters + b"\x19" + struct.pack("<d", 9.0)).decode()
            yield json.dumps([cells["hash16"][row].tobytes().hex(), epochs, adjacency, names, metrics]).encode()


def write(shared: Path, file: Path) -> None:
    with np.load(shared / "nb101" / "nb101_test108_all.npz") as archive:
        cells = dict(archive)
    with file.open("wb", buffering=1 << 22) as out:
        for row in range(len(cells["params"])):
            for payload in records(cells, row):
                length = struct.pack("<Q", len(payload))
                out.write(length + masked(length) + payload + masked(payload))


def timed(what: str, call: Any) -> Any:
    began = time.perf_counter()
    result = call()
    print(f"{what}: {time.perf_counter() - began:.2f} s", flush=True)
    return result


def main() -> None:
    shared, folder = Path(sys.argv[1]), Path(sys.argv[2])
    os.environ["NAS_HARNESS_DATA"] = str(folder)
    file = folder / "nasbench_full.tfrecord"
    if not file.exists():
        timed("write the file", lambda: write(shared, file))
    command = [sys.executable, "-m", "harness", "data", "import", "nb101", str(file)]
    timed(f"import {file.stat().st_size / 1e9:.2f} GB", lambda: subprocess.run(command, check=True))
    print(f"  peak memory {resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**20:.2f} GiB")
    for name in ("nb101/a", "nb101/b", "nb101/c", "1shot1/1", "1shot1/2", "1shot1/3"):
        code = (
            f"from harness import registry; import time; t = time.perf_counter(); registry.benchmark({name!r}).checksum"
        )
        code += "; print(f'{time.perf_counter() - t:.3f} s')"
        loaded = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
        print(f"load {name} in a fresh process: {loaded.stdout.strip()}")
    rng = np.random.default_rng(0)
    for name in ("nb101/a", "nb101/b", "nb101/c"):
        table = registry.benchmark(name)
        codes = rng.integers(0, table.space.sizes, (1_000_000, table.space.dimensions))
        table.rows(codes[:1])
        rows = timed(f"1,000,000 random encodings of {name} to rows", lambda t=table, c=codes: t.rows(c))
        print(f"  valid: {(rows >= 0).mean():.4f}")
    table, evolution = registry.benchmark("nb101/a"), registry.algorithm("re")
    rules = Rules(budget=1e6)
    timed("RE, 500 seeds, nb101/a, 1e6 s", lambda: simulate(table, evolution, seeds=np.arange(500), rules=rules))


if __name__ == "__main__":
    main()
