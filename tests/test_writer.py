"""Every system call of the store's writer fails in turn: a file is the old or the new one, and nothing is left."""

from __future__ import annotations

import errno
import fcntl
import io
import os
import random
import threading
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


class Power:
    """What is on the disk for certain: contents of files and entries of folders as they were when last synced."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.contents: dict[int, bytes] = {}
        self.entries: dict[int, dict[str, int]] = {}
        self.folders: set[int] = set()
        self.lost: list[Callable[[Path, random.Random], None]] = []
        for path in [root, *root.rglob("*")]:
            self._sync(path)

    def _sync(self, path: Path) -> None:
        inode = path.stat().st_ino
        if path.is_dir():
            self.entries[inode] = {entry.name: entry.inode() for entry in os.scandir(path)}
        else:
            self.contents[inode] = path.read_bytes()

    def _cut(self) -> None:
        """Remember how the disk would look if power was lost now."""
        contents, entries, now = dict(self.contents), dict(self.entries), dict[int, bytes | dict[str, int]]()
        gone: dict[int, bytes | dict[str, int]] = {inode: {} for inode in self.folders}
        for path in [self.root, *self.root.rglob("*")]:
            inode = path.stat().st_ino
            if path.is_dir():
                self.folders.add(inode)
            now[inode] = (
                {entry.name: entry.inode() for entry in os.scandir(path)} if path.is_dir() else path.read_bytes()
            )
        root = self.root.stat().st_ino

        def restore(target: Path, rng: random.Random, inode: int = root) -> None:
            found = now.get(inode, gone.get(inode, b""))
            if isinstance(found, bytes):
                kept = rng.randrange(len(found) + 1)
                target.write_bytes(contents.get(inode) or found[:kept] + bytes(rng.choice((0, len(found) - kept))))
                return
            target.mkdir()
            synced = entries.get(inode, {})
            for name in {*found, *synced}:
                there = rng.choice((synced, synced, found)).get(name)
                if there is not None:
                    restore(target / name, rng, there)

        self.lost.append(restore)

    @contextmanager
    def watched(self) -> Iterator[None]:
        real = {name: getattr(os, name) for name in ("open", "fsync", "replace", "unlink", "mkdir")}

        def opened(path: Any, flags: int, *given: Any, **options: Any) -> int:
            new = flags & os.O_CREAT and not os.path.exists(path)
            handle: int = real["open"](path, flags, *given, **options)
            if new:
                inode = os.fstat(handle).st_ino  # which a file or folder may have had that is gone
                self.contents.pop(inode, None)
                self.folders.discard(inode)
            self._cut()
            return handle

        def fsync(handle: int) -> None:
            real["fsync"](handle)
            self._sync(Path(os.readlink(f"/proc/self/fd/{handle}")))
            self._cut()

        def then(name: str) -> Callable[..., None]:
            def call(*given: Any, **options: Any) -> None:
                real[name](*given, **options)
                if name == "mkdir":
                    self.entries.pop(os.stat(given[0]).st_ino, None)
                self._cut()

            return call

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(os, "open", opened)
            patch.setattr(os, "fsync", fsync)
            for name in ("replace", "unlink", "mkdir"):
                patch.setattr(os, name, then(name))
            yield


@pytest.mark.parametrize("where", ["a.parquet", "new/folder/a.parquet"])
def test_after_a_loss_of_power_a_file_is_the_old_or_the_new_one(tmp_path: Path, where: str) -> None:
    """Whatever was not synced is lost, or there in part; what was written before `write` returned is there."""
    old, new = outcomes()
    disk = tmp_path / "disk"
    disk.mkdir()
    path = Path(where)
    if len(path.parts) == 1:
        write(old, disk / path)
    power = Power(disk)
    with power.watched():
        write(new, disk / path)
    assert len(power.lost) > 4
    for i, restore in enumerate(power.lost):
        for attempt_ in range(5):
            after = tmp_path / f"{i}-{attempt_}"
            restore(after, random.Random(f"{i} {attempt_}"))
            there = (after / path).exists()
            assert there or len(path.parts) > 1
            if there:
                assert read(after / path).wall_seconds in (old.wall_seconds, new.wall_seconds)
            ResultStore((after / path).parent)
            assert {left.name for left in (after / path).parent.iterdir()} <= {path.name}
    strict = tmp_path / "strict"
    power.lost[-1](strict, Always())
    assert read(strict / path).wall_seconds == new.wall_seconds


class Always(random.Random):
    """Everything that was not synced is lost."""

    def choice(self, seq: Any) -> Any:
        return seq[0]

    def randrange(self, *_: Any) -> int:
        return 0


def test_after_a_loss_of_power_a_run_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.studies.study.SHARD", 2)
    (old, _), disk, kept = outcomes(), tmp_path / "disk", dict[range, Outcome]()
    disk.mkdir()

    def work(study: Study, shard: range, heard: Callable[[float], None]) -> Outcome:
        if shard not in kept:
            kept[shard] = evaluate(study, shard, heard)
        return kept[shard]

    power = Power(disk)
    with power.watched():
        run([old.study], ResultStore(disk / "results"), work)
    for i, restore in enumerate(power.lost):
        after = tmp_path / str(i)
        restore(after, random.Random(i) if i % 2 else Always())
        run([old.study], store := ResultStore(after / "results"), work)
        assert [*(after / "results").rglob("*")] == [store.path(old.study)]
        assert_same(read(store.path(old.study)).trajectory, old.trajectory)
    strict = tmp_path / "strict"
    power.lost[-1](strict, Always())
    assert ResultStore(strict / "results").complete(old.study)


class Schedule:
    """Threads of which one goes on at a time: at every system call it is drawn which."""

    CALLS = ("open", "fsync", "replace", "fstat", "mkdir", "unlink", "rmdir", "scandir", "stat")

    def __init__(self, seed: int) -> None:
        self.rng, self.turn = random.Random(seed), threading.Condition()
        self.threads: list[int] = []
        self.now = -1

    def step(self) -> None:
        me = threading.get_ident()
        if me not in self.threads:
            return
        with self.turn:
            self.now = self.rng.choice(self.threads)
            self.turn.notify_all()
            self.turn.wait_for(lambda: self.now == me)

    def run(self, *works: Callable[[], None]) -> list[BaseException]:
        """What was raised by works that ran at once."""
        raised: list[BaseException] = []
        ready = threading.Barrier(len(works) + 1)

        def one(work: Callable[[], None]) -> None:
            self.threads.append(threading.get_ident())
            ready.wait()
            with self.turn:
                self.turn.wait_for(lambda: self.now == threading.get_ident())
            try:
                work()
            except BaseException as error:
                raised.append(error)
            with self.turn:
                self.threads.remove(threading.get_ident())
                self.now = self.rng.choice(self.threads) if self.threads else -1
                self.turn.notify_all()

        started = [threading.Thread(target=one, args=(work,)) for work in works]
        with self.patched():
            for thread in started:
                thread.start()
            ready.wait()
            with self.turn:
                self.threads.sort(key=[thread.ident for thread in started].index)
                self.now = self.rng.choice(self.threads)
                self.turn.notify_all()
            for thread in started:
                thread.join(60)
        return raised

    @contextmanager
    def patched(self) -> Iterator[None]:
        def stepping(real: Callable[..., Any]) -> Callable[..., Any]:
            def call(*given: Any, **options: Any) -> Any:
                self.step()
                return real(*given, **options)

            return call

        real = fcntl.flock

        def flock(handle: int, how: int) -> None:
            while True:
                self.step()
                try:
                    return real(handle, how | fcntl.LOCK_NB)
                except BlockingIOError:
                    if how & fcntl.LOCK_NB:
                        raise

        with pytest.MonkeyPatch.context() as patch:
            for name in self.CALLS:
                patch.setattr(os, name, stepping(getattr(os, name)))
            patch.setattr(fcntl, "flock", flock)
            patch.setattr("harness.studies.run.time.sleep", lambda _: self.step())
            yield


@pytest.mark.parametrize("locks", [True, False])
def test_writers_at_once_end_well_under_any_schedule(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, locks: bool
) -> None:
    """Two runs of one study and one that sweeps, of one process id; without locks, too, where each may do all of it."""
    monkeypatch.setattr("harness.studies.study.SHARD", 2)
    (old, _), kept = outcomes(), dict[range, Outcome]()
    for shard in old.study.shards:
        kept[shard] = evaluate(old.study, shard)
    for seed in range(25):
        made: list[range] = []

        def work(study: Study, shard: range, heard: Callable[[float], None], made: list[range] = made) -> Outcome:
            made.append(shard)
            return kept[shard]

        folder = tmp_path / str(seed)

        def go(folder: Path = folder, work: Any = work) -> None:
            run([old.study], ResultStore(folder), work)

        def sweep(folder: Path = folder) -> None:
            for _ in range(3):
                ResultStore(folder)

        if not locks:
            monkeypatch.setattr(fcntl, "flock", _none)
        assert Schedule(seed).run(go, go, *([sweep] if locks else [])) == []
        (path,) = [*folder.rglob("*")]
        assert_same(read(path).trajectory, old.trajectory)
        assert sorted(made, key=lambda shard: shard.start) == old.study.shards if locks else len(made) >= 2


def _none(*_: Any) -> None:
    raise OSError(errno.ENOLCK, "no locks")


COMMANDS: dict[str, tuple[str, ...]] = {
    "run": ("run", "--algo", "re", "--bench", "nb201", "--seeds", "2", "--evals", "3", "--processes", "1"),
    "predict": ("predict", "nb201", "--predictor", "ridge", "--seeds", "2", "--train", "20", "--processes", "1"),
    "plot": ("plot", "there", "-o", "a.svg"),
    "report": ("report", "there", "-o", "a.html"),
    "export": ("export", "summary", "there", "-o", "a.csv"),
    "baseline": ("baseline", "save", "kept", "there"),
    "grid": ("grid", "grid.toml", "--processes", "1"),
}


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("kind", [errno.ENOSPC, errno.EIO])
def test_a_command_whose_disk_fails_exits_with_2_and_leaves_nothing_half_done(
    command: str, kind: int, harness: Callable[..., Any]
) -> None:
    assert harness(*COMMANDS["run"], "--out", "there").status == 0
    Path("grid.toml").write_text('seeds = 2\n[[studies]]\nalgo = ["rs"]\nbench = ["nb201"]\nevals = 3\n')
    before = sorted(path for path in Path().rglob("*") if path.is_file())

    def fail(*_: Any) -> None:
        raise OSError(kind, os.strerror(kind))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", fail)
        answer = harness(*COMMANDS[command])
    assert answer.status == 2
    assert "Traceback" not in answer.err
    (said,) = (line for line in answer.err.splitlines() if line.startswith("error: "))
    assert os.strerror(kind) in said
    assert sorted(path for path in Path().rglob("*") if path.is_file()) == before
    assert harness(*COMMANDS[command]).status == 0
