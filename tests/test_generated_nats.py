"""The generated folder of bench/nats.py, where it is imported whole: a few architectures of it, number for number."""

from __future__ import annotations

import concurrent.futures
import multiprocessing
import pickle
import shutil
from pathlib import Path
from typing import Any

import nats
import pytest

from harness import HarnessError
from harness.benchmarks.formats import nats as reader
from harness.benchmarks.formats.content import FormatError


def test_a_generated_folder_is_read_number_for_number(tmp_path: Path) -> None:
    nats.generate(tmp_path / "simple", 3)
    assert nats.check_reader(tmp_path / "simple", 3) > 40_000
    assert len({nats.name(index) for index in range(nats.ARCHITECTURES)}) == nats.ARCHITECTURES


def test_several_processes_read_the_same_numbers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nats.generate(tmp_path / "folder", 5)
    told: list[list[tuple[int, int]]] = []

    def read() -> Any:
        told.append([])
        return reader.read(tmp_path / "folder", architectures=5, progress=lambda *done: told[-1].append(done))

    alone = read()
    monkeypatch.setattr(reader, "_FILES_EACH", 1)
    monkeypatch.setattr(reader, "_FILES_AT_ONCE", 2)
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {0, 1})
    started: list[int] = []
    pool = concurrent.futures.ProcessPoolExecutor

    def noted(count: int, *rest: Any) -> Any:
        started.append(count)
        return pool(count, *rest)

    monkeypatch.setattr(reader, "ProcessPoolExecutor", noted)
    together = read()
    assert started == [2]
    assert told[0] == told[1]
    assert pickle.dumps(alone) == pickle.dumps(together)
    path = tmp_path / "folder" / "000003.pickle.pbz2"
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(FormatError, match=r"000003\.pickle\.pbz2 is not a whole bzip2 file"):
        read()
    shutil.copy(tmp_path / "folder" / "000001.pickle.pbz2", path.with_name("1.pickle.pbz2"))
    path.unlink()
    with pytest.raises(FormatError, match=r"/1\.pickle\.pbz2 does not hold the results of the architecture"):
        read()


def test_processes_that_read_end_if_killed_or_interrupted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nats.generate(tmp_path / "folder", 12)
    monkeypatch.setattr(reader, "_FILES_EACH", 1)
    monkeypatch.setattr(reader, "_FILES_AT_ONCE", 1)
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {0, 1})

    def kill(*_: int) -> None:
        for process in multiprocessing.active_children():
            process.kill()

    def interrupt(*_: int) -> None:
        raise KeyboardInterrupt

    before = len(multiprocessing.active_children())
    with pytest.raises(KeyboardInterrupt):
        reader.read(tmp_path / "folder", architectures=12, progress=interrupt)
    assert len(multiprocessing.active_children()) == before
    with pytest.raises(HarnessError, match=r"a process that read .*folder was killed"):
        reader.read(tmp_path / "folder", architectures=12, progress=kill)
    assert len(multiprocessing.active_children()) == before
