"""Accidents of a cluster: a scheduler, a network, a caller or a worker that goes away, and two callers at once."""

from __future__ import annotations

import errno
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import workers
from schedulers import (
    Counted,
    Outside,
    Proxy,
    asked,
    callers,
    equal_to_one_process,
    started,
    studies,
    tasks,
    until,
)

from harness import HarnessError
from harness.studies.cluster import Cluster, Session
from harness.studies.evaluate import evaluate
from harness.studies.run import run
from harness.studies.store import ResultStore

pytest.importorskip("distributed", reason="--cluster needs the package distributed")
pytestmark = [pytest.mark.cluster, pytest.mark.filterwarnings("ignore"), pytest.mark.usefixtures("small_shards")]


@pytest.fixture
def outside() -> Iterator[Outside]:
    found = Outside()
    try:
        yield found
    finally:
        found.kill()


@pytest.fixture
def small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.studies.study.SHARD", 10)


def test_a_scheduler_that_is_killed_and_comes_back(outside: Outside, tmp_path: Path) -> None:
    store, told = Counted(tmp_path / "there"), list[str]()

    def accident() -> None:
        store.three.wait(100)
        outside.kill()
        outside.scheduler()
        outside.worker("second")

    thread = threading.Thread(target=accident)
    thread.start()
    outside.worker("first")
    run(studies(), store, workers.slow, executor=Cluster(outside.address, told.append))
    thread.join()
    equal_to_one_process(store, tmp_path / "here")
    assert len(set(store.added)) == len(store.added) == 12
    said = "\n".join(told)
    assert "does not answer; waiting for it" in said
    assert "asked for once more" in said


def test_a_network_that_is_gone_for_a_while(outside: Outside, tmp_path: Path) -> None:
    outside.worker("first")
    store, told = Counted(tmp_path / "there"), list[str]()

    def accident() -> None:
        store.three.wait(100)
        proxy.drop(2.0)

    thread = threading.Thread(target=accident)
    outside.wait()
    with Proxy(outside.port) as proxy:
        thread.start()
        run(studies(), store, workers.slow, executor=Cluster(proxy.address, told.append))
        thread.join()
    equal_to_one_process(store, tmp_path / "here")
    assert len(set(store.added)) == len(store.added) == 12
    assert "does not answer; waiting for it" in "\n".join(told)


def stored(folder: Path) -> list[Path]:
    """The shards and studies in a folder."""
    return [*folder.rglob("*.parquet")]


def caller(outside: Outside, folder: Path) -> Any:
    """A process that runs the studies slowly on the cluster, in shards as small as those here."""
    return started([sys.executable, "-m", "caller", outside.address, str(folder)])


def test_a_caller_that_is_killed_goes_on_from_what_it_stored(outside: Outside, tmp_path: Path) -> None:
    outside.worker("first")
    there = tmp_path / "there"
    killed = caller(outside, there)
    until(lambda: len(stored(there)) >= 2)
    killed.kill()
    killed.wait()
    before = {path: path.stat().st_mtime_ns for path in stored(there)}
    assert 2 <= len(before) < 12
    store = Counted(there)
    run(studies(), store, workers.slow, executor=Cluster(outside.address, print))
    assert len(set(store.added)) == len(store.added) <= 12 - len(before)
    equal_to_one_process(store, tmp_path / "here")
    until(lambda: asked(outside, tasks) == 0)


def test_an_interrupted_caller_cancels_its_own_tasks_only(outside: Outside, tmp_path: Path) -> None:
    """Both want the same shards: those that the other one waits for go on."""
    outside.worker("first")
    there, mine = tmp_path / "there", Counted(tmp_path / "mine")
    other = caller(outside, there)
    until(lambda: len(stored(there)) >= 1)

    def interrupt() -> None:
        mine.three.wait(60)
        other.send_signal(signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    run(studies(), mine, workers.slow, executor=Cluster(outside.address, print))
    thread.join()
    assert other.wait(60) != 0
    assert not all(ResultStore(there).complete(study) for study in studies())
    equal_to_one_process(mine, tmp_path / "here")
    until(lambda: asked(outside, tasks) == 0)


def test_two_callers_of_one_study_share_its_shards(
    outside: Outside, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first shard waits until both want it."""
    calls, go = tmp_path / "calls", tmp_path / "go"
    monkeypatch.setenv("CALLS", str(calls))
    monkeypatch.setenv("GO", str(go))
    outside.worker("first")
    there, mine = tmp_path / "there", Counted(tmp_path / "mine")
    other = caller(outside, there)
    until(calls.exists)

    def begin() -> None:
        until(lambda: asked(outside, callers) == 2)
        go.touch()

    thread = threading.Thread(target=begin)
    thread.start()
    run(studies(), mine, workers.slow, executor=Cluster(outside.address, print))
    thread.join()
    assert other.wait(60) == 0
    equal_to_one_process(mine, tmp_path / "here")
    equal_to_one_process(ResultStore(there), tmp_path / "here")
    made = calls.read_text().split()
    assert made.count(made[0]) == 1
    assert 12 <= len(made) < 24


def test_a_worker_without_the_package_is_refused_by_name(outside: Outside, tmp_path: Path) -> None:
    """What such a worker answers, by a module that Python runs as it starts."""
    (tmp_path / "sitecustomize.py").write_text(
        "from importlib import metadata\nversion = metadata.version\n"
        "def absent(name):\n"
        "    if name == 'nas-harness':\n        raise metadata.PackageNotFoundError(name)\n"
        "    return version(name)\n"
        "metadata.version = absent\n"
    )
    outside.worker("bare", path=str(tmp_path))
    with pytest.raises(HarnessError, match=r"the worker bare \(tcp://\S+\) does not have nas-harness"):
        run(studies(), ResultStore(tmp_path / "out"), evaluate, executor=Cluster(outside.address, print))
    assert not stored(tmp_path / "out")


def test_a_worker_that_lacks_a_module_is_named(
    outside: Outside, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "mine"  # a worker has the current folder, which is its parent, in its path
    folder.mkdir()
    (folder / "only_here.py").write_text("def made(study, shard, heard):\n    raise AssertionError\n")
    monkeypatch.syspath_prepend(folder)
    made = import_module("only_here").made
    outside.worker("first")
    with pytest.raises(HarnessError, match=r"the worker tcp://\S+ cannot import what rs is made of: No module named"):
        run(studies(), ResultStore(tmp_path / "out"), made, executor=Cluster(outside.address, print))


def test_a_result_that_is_lost_with_the_last_worker_is_computed_by_the_next(
    outside: Outside, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its caller would wait for it without a word, and never ask whether a worker may come."""
    monkeypatch.setattr("harness.studies.cluster._SECONDS_TO_CONNECT", 3)
    told = list[str]()

    def awaited() -> bool:
        return any("has no workers; waiting for the first" in said for said in told)

    def replaced() -> None:
        with suppress(AssertionError):  # else the caller waits for good
            until(awaited)
        outside.worker("second")

    outside.wait()
    first = outside.worker("first")
    with Session(Cluster(outside.address, told.append)) as session:
        session.submit(abs, {"one": (-1,)})
        assert session.next() == ("one", 1)
        session.submit(abs, {"two": (-2,)})
        time.sleep(0.3)  # it is there, not fetched, and the workers were counted a moment ago
        told.clear()
        first.kill()
        first.wait()
        thread = threading.Thread(target=replaced)
        thread.start()
        assert session.next() == ("two", 2)
        thread.join()
    assert awaited()
    assert not any("does not answer" in said for said in told)


def test_a_worker_that_dies_while_it_is_checked_is_left_out(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was told as one that does not have the package."""
    monkeypatch.setenv("DASK_DISTRIBUTED__COMM__TIMEOUTS__CONNECT", "2s")  # of the scheduler, with the dead
    outside: Outside = request.getfixturevalue("outside")
    names, told = Session._names, list[str]()

    def accident(session: Session) -> dict[str, str]:
        found = names(session)
        if first.poll() is None:
            first.kill()
            first.wait()
            outside.worker("second")
        return found

    monkeypatch.setattr(Session, "_names", accident)
    outside.wait()
    first = outside.worker("first")
    with Session(Cluster(outside.address, told.append)) as session:
        session.submit(abs, {"one": (-1,)})
        assert session.next() == ("one", 1)
    assert not any("does not answer" in said for said in told)


def test_a_scheduler_without_workers_is_waited_for(outside: Outside, tmp_path: Path) -> None:
    outside.wait()
    told = list[str]()

    def tell(text: str) -> None:
        told.append(text)
        if "has no workers" in text:
            outside.worker("late")

    store = Counted(tmp_path / "there")
    run(studies()[:1], store, evaluate, executor=Cluster(outside.address, tell))
    assert len(store.added) == 6
    assert f"the scheduler at {outside.address} has no workers; waiting for the first: dask worker" in "\n".join(told)


def test_a_full_disk_of_the_caller_keeps_what_was_stored(
    outside: Outside, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, room, sync = Counted(tmp_path / "there"), threading.Event(), os.fsync

    def full(descriptor: int) -> None:
        if len(store.added) == 3 and not room.is_set():
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        sync(descriptor)

    outside.worker("first")
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(HarnessError, match="No space left on device"):
        run(studies(), store, evaluate, executor=Cluster(outside.address, print))
    assert len(store.added) == 3
    room.set()
    until(lambda: asked(outside, tasks) == 0)
    run(studies(), store, evaluate, executor=Cluster(outside.address, print))
    assert len(set(store.added)) == len(store.added) == 12
    equal_to_one_process(store, tmp_path / "here")


TINY = """\
title = "tiny"
epochs = 5
batch = 128
lr = 0.1
channels = 4
cells = 1
validation = 0.5
seeds = [5]
"""


def training(recipe: Any, loaded: Any) -> tuple[Any, Callable[[Path], Any]]:
    """An assignment, and what is known of it in a folder where it is whole, but for seconds."""
    from harness.spaces.architecture import Architecture
    from harness.train import results
    from harness.train.jobs import Train

    architecture = Architecture.parse("gpnas-cell:relu.conv_3x3.gauss,selu.max_pool_3x3;0-1,1-2:elu.identity;0-1")
    job = results.Job(architecture, loaded.name, loaded.checksum, recipe, 5)
    return Train(job), lambda folder: [*results.read(results.path(folder, job)).curve.val_loss]


def search(recipe: Any, loaded: Any) -> tuple[Any, Callable[[Path], Any]]:
    from harness.sharing import log
    from harness.sharing.jobs import Share
    from harness.sharing.search import SharedSearch

    of = SharedSearch.plan("digits201", "darts", {}, loaded, recipe, "fp32", "batch", 0)
    return Share(of), lambda folder: [
        replace(row, seconds=0.0, scoring=0.0) for row in log.read(log.path(folder, of)).rows
    ]


@pytest.mark.parametrize(("shared", "how"), [(True, "goes on from its last checkpoint"), (False, "begins again")])
@pytest.mark.parametrize("of", [training, search])
def test_an_assignment_whose_worker_is_lost(
    outside: Outside, tmp_path: Path, of: Callable[[Any, Any], Any], shared: bool, how: str
) -> None:
    pytest.importorskip("torch", reason="trainings need torch")
    from harness.train import images, recipes
    from harness.train.cluster import hosts
    from harness.train.devices import Place, device_of
    from harness.train.loop import Watch
    from harness.train.pool import Work

    path, notes, begun = tmp_path / "tiny.toml", list[str](), threading.Event()
    path.write_text(TINY)
    recipe = recipes.read(str(path))
    loaded = images.load("digits", None, recipe, device_of("cpu"))
    assignment, known = of(recipe, loaded)
    first = outside.worker("first")
    cluster = Cluster(outside.address, print, local=shared)
    watch = Watch()
    watch.note = notes.append  # type: ignore[method-assign, assignment]
    with hosts(cluster, "cpu", 1, "auto") as found:
        pool = found.pool(Work("digits", None, tmp_path / "out", deterministic=True), lambda _: watch)
        with pool:
            heard = found.session.heard

            def hear(said: dict[str, Any]) -> None:
                heard(said)
                begun.set()

            def accident() -> None:
                begun.wait(60)
                if shared:
                    until(assignment.checkpoint(tmp_path / "out").exists)
                first.kill()
                outside.worker("second")

            found.session.heard = hear
            thread = threading.Thread(target=accident)
            thread.start()
            pool.submit(0, assignment)
            ended = pool.next().outcome
            thread.join()
    assert not isinstance(ended, HarnessError)
    assignment(loaded, Place(device_of("cpu"), deterministic=True), tmp_path / "here", Watch())
    assert known(tmp_path / "out") == known(tmp_path / "here")
    assert len(known(tmp_path / "out")) == 5
    assert not assignment.checkpoint(tmp_path / "out").exists()
    assert [note for note in notes if how in note and "the worker that trained it was lost" in note]
