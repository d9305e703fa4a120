"""Running studies: the same numbers in any number of processes, and after being killed."""

from __future__ import annotations

import os
import pickle
import re
import resource
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest
from rich.progress import Progress
from workers import alive, dying, refusing, run_among_strangers

from harness import HarnessError, Rules, registry
from harness.report import tables
from harness.simulation import Share
from harness.studies.evaluate import evaluate
from harness.studies.executors import Heard, Processes, local
from harness.studies.keeping import Memory
from harness.studies.outcome import Outcome
from harness.studies.run import preloaded, run
from harness.studies.store import STUDIES, ResultStore, read
from harness.studies.study import Study
from harness.testing import assert_same


def studies(seeds: int = 40) -> list[Study]:
    table = registry.benchmark("nb201")
    rules = Rules(budget=2e5)
    return [Study.plan(table, name, {}, 5, 5 + seeds, rules) for name in ("rs", "re", "ls")]


def go(folder: Path, processes: int = 1) -> dict[str, list[float]]:
    seen: dict[str, list[float]] = {}
    plan = studies()
    store = ResultStore(folder)

    def progress(study: Study, share: float) -> None:
        seen.setdefault(study.algorithm, []).append(share)

    run(plan, store, evaluate, executor=local(processes, print), progress=progress)
    assert all(store.complete(study) for study in plan)
    return seen


def equal(a: Path, b: Path) -> None:
    names = sorted(p.name for p in a.iterdir())
    assert names == sorted(p.name for p in b.iterdir())
    assert len(names) == 3
    for name in names:
        assert_same(read(a / name).trajectory, read(b / name).trajectory)


def test_processes_change_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = go(tmp_path / "one")
    monkeypatch.setattr("harness.studies.study.SHARD", 15)
    go(tmp_path / "shards")
    equal(tmp_path / "one", tmp_path / "shards")
    monkeypatch.undo()
    go(tmp_path / "two", processes=2)
    equal(tmp_path / "one", tmp_path / "two")
    for shares in seen.values():
        assert shares == sorted(shares)
        assert shares[-1] == 1.0


@pytest.mark.parametrize("processes", [1, 2])
def test_shares_tell_of_evaluations(tmp_path: Path, processes: int) -> None:
    """They are those of the whole study in the end, also of processes."""
    seen: list[Share] = []
    plan = replace(studies()[0], rules=Rules(evals=400))
    run([plan], Memory(STUDIES), evaluate, executor=local(processes, print), progress=lambda _, s: seen.append(s))  # type: ignore[arg-type]
    assert seen == sorted(seen)
    made = [share.evaluations for share in seen]
    assert made == sorted(made)
    assert made[-1] == evaluate(plan).trajectory.evaluations.sum()
    assert len({*made}) > 2
    again = pickle.loads(pickle.dumps(seen[-1]))
    assert (again, again.evaluations) == (seen[-1], made[-1])


def test_without_a_terminal_a_line_tells_how_far_things_are(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(tables, "SECONDS_BETWEEN_LINES", 0.05)
    plan = studies()
    with tables.progress(plan, {plan[2].id}) as progress:
        progress(plan[2], 1.0)
        progress(plan[0], Share(0.5, 12_345))
        time.sleep(0.3)
    err = capsys.readouterr().err
    line = err.splitlines()[0]
    assert re.fullmatch(r"50 % of 3, 12,345 evaluations, 0:00:0\d left; nb201/cifar10 rs: 50 %", line), err
    assert "nb201/cifar10 re" in err.split(line)[-1]
    with tables.progress(plan, set(), quiet=True) as progress:
        progress(plan[0], 0.5)
        time.sleep(0.1)
    assert not capsys.readouterr().err


def test_a_bar_counts_the_time_of_its_own_study() -> None:
    plan = studies()
    with tables.bars(quiet=True) as shown:
        waiting = shown.add_task("later", start=False, total=1.0, note="")
        assert shown.tasks[waiting].elapsed is None
    assert not tables.Bar().render(shown.tasks[waiting]).pulse
    bars = Progress(disable=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tables, "bars", lambda quiet=False: bars)
        with tables.progress(plan, set()) as progress:
            progress(plan[0], 0.5)
    first, second, _ = bars.tasks
    assert first.started
    assert not second.started


def test_what_is_complete_is_not_run_again(tmp_path: Path) -> None:
    go(tmp_path)
    before = {p: p.stat().st_mtime_ns for p in tmp_path.iterdir()}
    assert {tuple(x) for x in go(tmp_path).values()} == {(1.0,)}
    assert {p: p.stat().st_mtime_ns for p in tmp_path.iterdir()} == before


def test_two_runs_of_one_study_do_not_disturb_each_other(tmp_path: Path) -> None:
    """Another thread, as another process, wants the study between two shards of this one; it waits, and finds it."""
    store, (study, *_) = ResultStore(tmp_path), studies(1100)
    others, made = list[threading.Thread](), list[range]()

    def count(job: Study, shard: range, heard: Heard) -> Outcome:
        made.append(shard)
        return evaluate(job, shard, heard)

    def overtake(_: Study, share: float) -> None:
        if share > 0.5 and not others:
            others.append(threading.Thread(target=run, args=([study], store, count)))
            others[0].start()

    run([study], store, count, progress=overtake)
    others[0].join()
    assert made == study.shards
    assert [p.name for p in tmp_path.iterdir()] == [store.path(study).name]
    assert read(store.path(study)).trajectory.seeds.tolist() == list(range(5, 1105))


def test_an_interrupted_study_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.studies.study.SHARD", 10)
    store, plan = ResultStore(tmp_path / "cut"), studies()

    def interrupt(study: Study, share: float) -> None:
        if study.algorithm == "re" and share > 0.6:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(plan, store, evaluate, progress=interrupt)
    assert [store.complete(study) for study in plan] == [True, False, False]
    assert len(store.missing(plan[1])) == 2
    go(tmp_path / "cut")
    go(tmp_path / "whole")
    equal(tmp_path / "cut", tmp_path / "whole")


def test_other_ranges_of_seeds_compute_what_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On disk and in memory; the file is that of a run of all seeds, but where seeds were taken out of others."""
    monkeypatch.setattr("harness.studies.study.SHARD", 30)
    plan, made = studies()[1], list[range]()

    def count(job: Study, shard: range, heard: Heard) -> Outcome:
        made.append(shard)
        return evaluate(job, shard, heard)

    def seeds(first: int, stop: int) -> Study:
        return replace(plan, first=first, stop=stop, rules=Rules(evals=15))

    for store in (ResultStore(tmp_path / "many"), Memory(STUDIES)):
        run([seeds(5, 45), replace(seeds(0, 60), rules=Rules(evals=9))], store, evaluate)
        for asked, left in [
            ((0, 60), [range(5), range(45, 60)]),
            ((2, 40), []),
            ((50, 80), [range(60, 80)]),
            ((0, 100), [range(80, 90), range(90, 100)]),
        ]:
            made.clear()
            run([seeds(*asked)], store, count)
            assert made == left
        alone = evaluate(seeds(0, 60))
        assert_same(store.get(seeds(0, 60)).trajectory, alone.trajectory)
        part, whole = store.get(seeds(2, 40)), evaluate(seeds(2, 40))
        assert not part.trajectory.pace.size
        assert_same(replace(part.trajectory, pace=whole.trajectory.pace), whole.trajectory)
        assert part.study == whole.study
    names = [p.name for p in (tmp_path / "many").iterdir()]
    assert len(names) == 6, names


def assert_group_ends(group: int) -> None:
    """No process of the group lives on for long."""
    for _ in range(200):
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return
        time.sleep(0.05)
    pytest.fail("workers outlived the process that started them")


COMMAND = ["--algo", "rs,re", "--bench", "nb201", "--seeds", "1100", "--budget", "1e6", "--processes"]


@pytest.mark.parametrize("processes", [1, 2])
def test_killed_and_run_again_equals_an_undisturbed_run(tmp_path: Path, processes: int) -> None:
    """SIGKILL as soon as the first shard is stored; no worker lives on, and the next run takes up the shard."""

    def start(folder: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "harness", "run", *COMMAND, str(processes), "--out", str(tmp_path / folder)]
        return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)

    killed = start("killed")
    unfinished = tmp_path / "killed" / ".unfinished"
    while not list(unfinished.glob("*/*.parquet")):
        assert killed.poll() is None, "it ended before it could be killed"
        time.sleep(0.005)
    os.kill(killed.pid, signal.SIGKILL)
    killed.wait()
    assert_group_ends(killed.pid)

    assert start("killed").wait() == 0
    assert start("whole").wait() == 0
    names = sorted(p.name for p in (tmp_path / "whole").iterdir())
    assert names == sorted(p.name for p in (tmp_path / "killed").iterdir())
    assert len(names) == 2
    for name in names:
        assert_same(read(tmp_path / "whole" / name).trajectory, read(tmp_path / "killed" / name).trajectory)


def test_ctrl_c_says_how_to_go_on(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "harness", "run", *COMMAND, "2", "--out", str(tmp_path)]
    handler = signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background would ignore it
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True)
    signal.signal(signal.SIGINT, handler)
    while not list(tmp_path.glob(".unfinished/*/*.parquet")):
        assert process.poll() is None
        time.sleep(0.005)
    os.killpg(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert out == b""
    assert b"interrupted" in err
    assert b"same command" in err
    assert b"Traceback" not in err
    assert_group_ends(process.pid)


def test_a_store_in_memory_takes_what_processes_made(tmp_path: Path) -> None:
    go(tmp_path)
    for executor in (None, Processes(2, print)):
        store, plan = Memory(STUDIES), studies()
        run(plan, store, evaluate, executor=executor)
        for study in plan:
            assert_same(store.get(study).trajectory, read(ResultStore(tmp_path).path(study)).trajectory)


@pytest.mark.parametrize("often", ["once", "always"])
def test_a_worker_that_dies_costs_its_shard_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, often: str) -> None:
    monkeypatch.setenv("DIES", str(tmp_path / often))
    store, plan, told = ResultStore(tmp_path / "results"), studies(), list[str]()
    executor = Processes(2, told.append)
    if often == "always":
        with pytest.raises(HarnessError, match=r"seeds 5 to 44 of re on nb201/cifar10 could not be run: twice"):
            run(plan, store, dying, executor=executor)
    else:
        run(plan, store, dying, executor=executor)
    assert len(told) == 1
    assert "seeds 5 to 44 of re on nb201/cifar10 was killed, likely as memory ran out" in told[0]
    assert [store.complete(study) for study in plan] == [True, often == "once", True]


def test_processes_import_what_the_command_does_wherever_it_is_run(tmp_path: Path) -> None:
    done = run_among_strangers(tmp_path / "cwd", "--processes", "2", "--out", str(tmp_path / "results"))
    assert done.returncode == 0, done.stderr
    assert "stranger" not in done.stderr


ORPHANED = """
import sys, test_run, workers
from pathlib import Path
from harness.studies.executors import local
from harness.studies.run import run
from harness.studies.store import ResultStore
run(test_run.studies(), ResultStore(Path(sys.argv[1])), workers.greedy, executor=local(2, print))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a worker ends once it lets the interpreter go")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_workers_end_with_what_started_them_whatever_they_are_in(tmp_path: Path, number: signal.Signals) -> None:
    calls = tmp_path / "calls"
    calls.mkdir()
    there = os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")])
    words = [sys.executable, "-c", ORPHANED, str(tmp_path / "results")]
    environment = {**os.environ, "CALLS": str(calls), "PYTHONPATH": there}
    with subprocess.Popen(words, start_new_session=True, env=environment) as process:
        while len([*calls.iterdir()]) < 2:
            assert process.poll() is None
            time.sleep(0.02)
        process.send_signal(number)
    began = time.monotonic()
    while left := alive(process.pid):
        assert time.monotonic() - began < 60, left
        time.sleep(0.05)


def test_a_system_that_has_no_more_files_or_processes_is_one_sentence(tmp_path: Path) -> None:
    few = ["--algo", "rs,re", "--bench", "nb201", "--seeds", "4", "--evals", "9", "--processes", "2", "--out"]
    done = subprocess.run(
        [sys.executable, "-m", "harness", "run", *few, str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (10, 10)),
    )
    said, hint = done.stderr.splitlines()[-2:]
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    assert said == "error: the system refuses more open files, processes or memory: Too many open files."
    assert "--processes" in hint


@pytest.mark.parametrize("processes", [1, 2])
def test_a_study_that_cannot_be_made_does_not_keep_others_from_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, processes: int
) -> None:
    monkeypatch.setattr("harness.studies.study.SHARD", 20)
    store, plan = ResultStore(tmp_path), studies()
    with pytest.raises(HarnessError, match=r"(?s)rs has no luck.*re has no luck") as caught:
        run(plan, store, refusing, executor=local(processes, print))
    assert "25" not in str(caught.value) or processes == 2
    assert [store.complete(study) for study in plan] == [False, False, True]


def test_what_nobody_locks_is_swept_and_a_broken_shard_is_made_again(tmp_path: Path) -> None:
    plan = studies(1100)[:1]
    store = ResultStore(tmp_path / "a")
    store.add(evaluate(plan[0], plan[0].shards[1]))
    (shard,) = (tmp_path / "a").rglob("*.parquet")
    shard.write_bytes(shard.read_bytes()[:-9])
    (tmp_path / "a" / ".unfinished" / plan[0].id / ".505-1005.parquet.0123.tmp").touch()
    (tmp_path / "a" / ".x.parquet.0123.tmp").touch()
    assert store.missing(plan[0]) == plan[0].shards
    store = ResultStore(tmp_path / "a")
    run(plan, store, evaluate)
    assert [path.name for path in (tmp_path / "a").rglob("*")] == [store.path(plan[0]).name]
    assert len(store.get(plan[0]).trajectory.seeds) == 1100


def test_three_processes_at_one_study_end_well(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "harness", "run", *COMMAND, "1", "--out", str(tmp_path / "a")]
    started = [subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) for _ in range(3)]
    told = [process.communicate()[1].decode() for process in started]
    assert [process.returncode for process in started] == [0, 0, 0], told
    assert len([*(tmp_path / "a").rglob("*")]) == 2


def test_it_is_said_that_nothing_is_heard(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Where an algorithm does not answer, or takes its time."""
    monkeypatch.setattr(tables, "SECONDS_BETWEEN_LINES", 0.05)
    monkeypatch.setattr(tables, "SECONDS_OF_SILENCE", 0.2)
    plan = studies()
    with tables.progress(plan, set()) as progress:
        progress(plan[0], Share(0.5, 12))
        time.sleep(0.1)
        assert "nothing heard" not in capsys.readouterr().err
        time.sleep(0.5)
        progress(plan[0], 1.0)
        time.sleep(0.1)
    err = capsys.readouterr().err
    assert "nb201/cifar10 rs: 50 % (nothing heard for 0:00:0" in err
    assert "nothing heard" not in err.splitlines()[-1]


@pytest.mark.parametrize(("benchmark", "module"), [("nb201/cifar10", "graph"), ("fcnet/protein", "early")])
def test_processes_share_the_imports_of_the_predictor_that_the_space_gets(
    benchmark: str, module: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = Study.plan(registry.benchmark(benchmark), "gpnas", {}, 0, 60, Rules(evals=20))
    shared = ("algorithms.density", f"algorithms.predictors.{module}")
    loaded = list[str]()
    load = registry.benchmark
    monkeypatch.setattr(registry, "benchmark", lambda name: loaded.append(name) or load(name))  # type: ignore[func-returns-value]
    assert preloaded([study, replace(study, stop=61), study]) == shared
    assert loaded == [benchmark]
