"""Every system call of the store's writer fails in turn: a file is the old or the new one, and nothing is left."""

from __future__ import annotations

import errno
import fcntl
import io
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from harness import HarnessError, Rules, registry
from harness.studies.evaluate import evaluate
from harness.studies.outcome import Outcome
from harness.studies.run import run
from harness.studies.store import ResultStore, read, write
from harness.studies.study import Study
from harness.testing import assert_same

CALLS = [(os, name) for name in ("open", "fsync", "replace", "fstat", "close", "mkdir", "unlink")] + [(fcntl, "flock")]
CLOSE = os.close
KINDS = [errno.ENOSPC, errno.EIO, errno.EINTR, "short"]


class Calls:
    """Counts system calls, of which the one with the number `bad` fails as `kind` says."""

    def __init__(self, bad: int = -1, kind: int | str = 0) -> None:
        self.count, self.bad, self.kind = 0, bad, kind

    def fails(self) -> bool:
        self.count += 1
        return self.count - 1 == self.bad

    def made(self, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*given: Any, **options: Any) -> Any:
            if self.fails() and isinstance(self.kind, int):
                if real is CLOSE:
                    real(*given)  # the descriptor is gone whatever close says
                raise OSError(self.kind, os.strerror(self.kind))
            return real(*given, **options)

        return call

    def opened(self, path: Path, mode: str) -> io.BufferedWriter:
        calls = self

        class Raw(io.FileIO):
            def write(self, data: Any) -> int:
                bad = calls.fails()
                if bad and isinstance(calls.kind, int):
                    raise OSError(calls.kind, os.strerror(calls.kind))
                return super().write(memoryview(data)[: max(1, len(data) // 3)] if bad else data)

        return io.BufferedWriter(Raw(path, mode))

    @contextmanager
    def intercepted(self) -> Iterator[None]:
        with pytest.MonkeyPatch.context() as patch:
            for owner, name in CALLS:
                patch.setattr(owner, name, self.made(getattr(owner, name)))
            patch.setattr(Path, "open", lambda path, mode: self.opened(path, mode))  # noqa: PLW0108
            yield


@cache
def outcomes() -> tuple[Outcome, Outcome]:
    """An old and a new result of one study."""
    study = Study.plan(registry.benchmark("nb201"), "re", {}, 0, 3, Rules(budget=5e4))
    old = evaluate(study, range(3), lambda _: None)
    return old, replace(old, wall_seconds=old.wall_seconds + 1)


def attempt(path: Path, calls: Calls) -> HarnessError | None:
    with calls.intercepted():
        try:
            write(outcomes()[1], path)
        except HarnessError as error:
            return error
    return None


def number_of_calls(folder: Path) -> int:
    calls = Calls()
    write(outcomes()[0], folder / "a.parquet")
    assert attempt(folder / "a.parquet", calls) is None
    return calls.count


def descriptors() -> Iterator[str]:
    """What this process has open."""
    for link in Path("/proc/self/fd").iterdir():
        with suppress(OSError):
            yield os.readlink(link)


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_is_the_old_or_the_new_one_whichever_call_fails(tmp_path: Path, kind: int | str) -> None:
    old, new = outcomes()
    path = tmp_path / "a.parquet"
    count = number_of_calls(tmp_path)
    assert count > 10
    said = 0
    for bad in range(count):
        write(old, path)
        error = attempt(path, Calls(bad, kind))
        found = read(path)
        assert found.wall_seconds in (old.wall_seconds, new.wall_seconds)
        assert_same(found.trajectory, old.trajectory)
        if error is None:
            assert found.wall_seconds == new.wall_seconds
        else:
            assert error.message.startswith(f"cannot write to {tmp_path}: ")
            assert ("free some space" in error.hint) == (kind == errno.ENOSPC)
            said += 1
        ResultStore(tmp_path)
        assert [left.name for left in tmp_path.iterdir()] == ["a.parquet"]
    assert said == 0 if kind == "short" else said > 5
    assert not [target for target in descriptors() if target.startswith(str(tmp_path))]


@pytest.mark.parametrize("kind", [errno.ENOSPC, errno.EIO])
def test_a_run_is_one_sentence_and_goes_on_whichever_call_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: int
) -> None:
    monkeypatch.setattr("harness.studies.study.SHARD", 2)
    (old, _), made = outcomes(), dict[range, Outcome]()

    def work(study: Study, shard: range, heard: Callable[[float], None]) -> Outcome:
        if shard not in made:
            made[shard] = evaluate(study, shard, heard)
        return made[shard]

    def again(folder: Path) -> None:
        run([old.study], ResultStore(folder), work)

    again(tmp_path / "dry")
    with (dry := Calls()).intercepted():
        again(tmp_path / "counted")
    for bad in range(kind == errno.EIO, dry.count, 2):
        folder = tmp_path / str(bad)
        with Calls(bad, kind).intercepted(), suppress(HarnessError):
            again(folder)
        again(folder)
        path = ResultStore(folder).path(old.study)
        assert [*folder.rglob("*")] == [path]
        assert_same(read(path).trajectory, old.trajectory)
