"""Studies on the workers of Dask: the same bits as here, lost workers, and what answers at no address."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import workers
from conftest import Answer
from schedulers import Counted, equal_to_one_process, studies, until

from harness import HarnessError
from harness.studies.cluster import Cluster
from harness.studies.evaluate import evaluate
from harness.studies.run import run
from harness.studies.slurm import slurm
from harness.studies.store import ResultStore
from harness.testing import assert_same

pytest.importorskip("distributed", reason="--cluster needs the package distributed")
pytestmark = [pytest.mark.cluster, pytest.mark.filterwarnings("ignore")]
Harness = Callable[..., Answer]


@pytest.fixture(scope="module")
def scheduler() -> Iterator[Any]:
    """A scheduler of this machine and two workers in processes of their own."""
    distributed: Any = import_module("distributed")
    with (
        warnings.catch_warnings(action="ignore"),
        distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0") as cluster,
    ):
        yield cluster


def test_a_cluster_gives_the_bits_of_one_process(
    scheduler: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, there, told = ResultStore(tmp_path / "here"), ResultStore(tmp_path / "there"), list[str]()
    run(studies(), here, evaluate)
    monkeypatch.setattr("harness.studies.study.SHARD", 20)
    run(studies(), there, evaluate, executor=Cluster(scheduler.scheduler_address, told.append))
    for study in studies():
        assert_same(here.get(study).trajectory, there.get(study).trajectory)
    assert "dashboard at" in told[0]
    assert len([*(tmp_path / "there").rglob("*")]) == 2


def test_a_worker_that_is_killed_loses_nothing(scheduler: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.studies.study.SHARD", 20)
    flag = tmp_path / "flag"
    killing = workers.Killing(str(flag))
    here, there = ResultStore(tmp_path / "here"), ResultStore(tmp_path / "there")
    run(studies(), here, evaluate)
    run(studies(), there, killing, executor=Cluster(scheduler.scheduler_address, print))
    assert flag.exists()
    for study in studies():
        assert_same(here.get(study).trajectory, there.get(study).trajectory)


def test_processes_of_this_machine_are_workers_and_one_that_is_killed_is_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("harness.studies.study.SHARD", 20)
    flag, told = tmp_path / "flag", list[str]()
    store = workers.Elsewhere(tmp_path / "there")
    run(studies(), store, workers.Killing(str(flag)), executor=Cluster("local:1", told.append))
    assert flag.exists()
    assert "dashboard at" in told[0]
    equal_to_one_process(ResultStore(tmp_path / "there"), tmp_path / "here")


def test_workers_of_this_machine_import_what_the_command_does(tmp_path: Path) -> None:
    done = workers.run_among_strangers(tmp_path / "cwd", "--cluster", "local:2", "--out", str(tmp_path / "results"))
    assert done.returncode == 0, done.stderr
    assert "stranger" not in done.stderr


def test_a_worker_of_this_machine_that_cannot_start(tmp_path: Path) -> None:
    """Dask is told to preload what is not there."""
    words = ("run", "--algo", "rs", "--bench", "nb201", "--seeds", "3", "--cluster", "local:2", "--out", str(tmp_path))
    environment = {**os.environ, "DASK_DISTRIBUTED__WORKER__PRELOAD": "no.such.module"}
    command = [sys.executable, "-m", "harness", *words]
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 2
    assert "a worker of local:2 ended with status 1 as it started" in ended.stderr
    assert "No module named 'no'" in ended.stderr


def test_a_worker_with_another_table_is_refused_by_name(scheduler: Any, tmp_path: Path) -> None:
    study = replace(studies()[0], table="0" * 64)
    with pytest.raises(HarnessError, match=r"the worker tcp://\S+ has another version of the table nb201/cifar10"):
        run([study], ResultStore(tmp_path), evaluate, executor=Cluster(scheduler.scheduler_address, print))


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("nowhere", "neither a cluster nor a scheduler file"),
        ("local:none", "is no cluster"),
        ("slurm:", "'slurm:' is no cluster"),
        ("tcp://", "'tcp://' has no host or no port"),
        ("tls://there", "'tls://there' has no host or no port"),
        ("tcp://127.0.0.1:1", "no scheduler answers at tcp://127.0.0.1:1"),
    ],
)
def test_an_address_where_there_is_nothing(harness: Harness, address: str, said: str) -> None:
    answer = harness("run", "--algo", "rs", "--bench", "nb201", "--seeds", "4", "--cluster", address)
    assert (answer.status, answer.out) == (2, "")
    assert said in answer.err
    assert not [*Path("results").rglob("*.parquet")]


def test_processes_or_a_cluster(harness: Harness) -> None:
    answer = harness("run", "--algo", "rs", "--bench", "nb201", "--cluster", "local:2", "--processes", "2")
    answer.refuses("either in --processes or on a --cluster", "leave one")


def test_workers_that_share_the_file_system_store_themselves(
    scheduler: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("harness.studies.study.SHARD", 20)
    monkeypatch.chdir(tmp_path)
    store = workers.Elsewhere(Path("there"))
    run(studies(), store, evaluate, executor=Cluster(scheduler.scheduler_address, print, local=True))
    equal_to_one_process(ResultStore(tmp_path / "there"), tmp_path / "here")


def test_trainings_on_a_cluster_are_those_of_one_process(scheduler: Any, tmp_path: Path) -> None:
    """A child goes on from the checkpoint that came back from its first worker, and ends as if never stopped."""
    pytest.importorskip("torch", reason="trainings need torch")
    from harness.spaces.architecture import Architecture
    from harness.train import images, recipes, results
    from harness.train.cluster import hosts
    from harness.train.devices import Place, device_of
    from harness.train.jobs import Train
    from harness.train.loop import train
    from harness.train.pool import Work

    path = tmp_path / "tiny.toml"
    path.write_text(
        'title = "tiny"\nepochs = 2\nbatch = 128\nlr = 0.1\nchannels = 4\ncells = 1\nvalidation = 0.25\nseeds = [5]\n'
    )
    recipe = recipes.chosen(str(path), "gpnas-cell", "digits", None)
    loaded = images.load("digits", None, recipe, device_of("cpu"))
    architecture = Architecture.parse("gpnas-cell:relu.conv_3x3.gauss,selu.max_pool_3x3;0-1,1-2:elu.identity;0-1")
    job = results.Job(architecture, loaded.name, loaded.checksum, recipe, 5)
    with hosts(Cluster(scheduler.scheduler_address, print), "auto", None, "auto") as found:
        assert found.names == ("cpu", "cpu")
        with found.pool(Work("digits", None, tmp_path / "out")) as pool:
            pool.submit(0, Train(job, until=1))
            first = pool.next()
            assert results.checkpoint_path(tmp_path / "out", job).exists()
            pool.submit(1, Train(job))
            whole = pool.next()
    expected = train(job, loaded, Place(device_of("cpu")))
    assert (first.slot, whole.slot) == (0, 1)
    assert isinstance(first.outcome, results.Curve)
    assert isinstance(whole.outcome, results.Curve)
    np.testing.assert_array_equal(first.outcome.val_loss, expected.val_loss[:1])
    np.testing.assert_array_equal(whole.outcome.val_loss, expected.val_loss)
    assert results.read(results.path(tmp_path / "out", job)).curve.test_accuracy == expected.test_accuracy
    assert not results.checkpoint_path(tmp_path / "out", job).exists()


def test_two_callers_that_share_storage_each_get_their_files(scheduler: Any, tmp_path: Path) -> None:
    """One search, asked for by both at once; each has its own folder."""
    pytest.importorskip("torch", reason="searches by weight sharing need torch")
    from ranks import TINY_FILE

    from harness.sharing.jobs import Share
    from harness.sharing.search import SharedSearch
    from harness.train import images, recipes
    from harness.train.cluster import hosts
    from harness.train.devices import device_of
    from harness.train.pool import Work

    (tmp_path / "tiny.toml").write_text(TINY_FILE)
    recipe = recipes.read(str(tmp_path / "tiny.toml"))
    loaded = images.load("digits", None, recipe, device_of("cpu"))
    asked = Share(SharedSearch.plan("digits201", "gdas", {}, loaded, recipe, "fp32", "batch", 0))
    cluster = Cluster(scheduler.scheduler_address, print, local=True)
    with hosts(cluster, "cpu", 1, "auto") as one, hosts(cluster, "cpu", 1, "auto") as other:
        first, second = (at.pool(Work("digits", None, tmp_path / name)) for at, name in ((one, "a"), (other, "b")))
        with first, second:
            for pool in (first, second):
                pool.submit(0, asked)
            assert [pool.next().outcome for pool in (first, second)] == [None, None]
    assert all(asked.files(tmp_path / name)[-1].exists() for name in "ab")


def test_searches_by_weight_sharing_on_a_cluster_have_the_bits_of_one_process(scheduler: Any, harness: Harness) -> None:
    """With weights and lookup tables, written by workers or sent by them."""
    pytest.importorskip("torch", reason="searches by weight sharing need torch")
    from ranks import TINY_FILE
    from sharing_files import ASKED, bits

    Path("tiny.toml").write_text(TINY_FILE)
    for out, given in (("here", ()), ("shared", ("local:2",)), ("sent", (scheduler.scheduler_address,))):
        answer = harness(*ASKED, "--out", out, *(word for at in given for word in ("--cluster", at)))
        assert answer.status == 0, answer.err
    assert bits("shared") == bits("sent") == bits("here")
    assert len(bits("sent")) == 2


SBATCH = """#!/bin/bash
if [ "$1" = --test-only ]; then
  if grep -q nosuch; then echo 'allocation failure: Invalid partition name specified' >&2; exit 1; fi
  exit 0
fi
if [ -e "$JOBS/full" ]; then
  touch "$JOBS/refused"
  printf 'sbatch: error: %s\\n' QOSMaxSubmitJobPerUserLimit 'Batch job submission failed: Job violates policy' >&2
  exit 1
fi
cp "$1" "$JOBS/$$.sh"
echo "Submitted batch job $$"
if [ -n "$RUNS" ]; then setsid bash "$JOBS/$$.sh" >"slurm-$$.out" 2>&1 </dev/null & echo $! >"$JOBS/$$"; fi
"""
"""Takes a job, whose script is gone when this ends, and runs it in a group of processes if RUNS is set.

While there is a file `full` it takes none, and leaves `refused`.
"""
SQUEUE = """#!/bin/bash
ids="${@: -1}"
for id in $(tr , ' ' <<<"${ids#--jobs=}"); do
  grep -q '^State:[[:space:]]*[^ZX[:space:]]' "/proc/$(cat "$JOBS/$id")/status" 2>/dev/null && echo "$id"
done
exit 0
"""
SCANCEL = """#!/bin/bash
kill -9 -- "-$(cat "$JOBS/$1")" 2>/dev/null
exit 0
"""


@pytest.fixture
def slurm_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Settings for a Slurm that takes jobs and, if RUNS is set, runs them here at once."""
    pytest.importorskip("dask_jobqueue", reason="slurm: needs the package dask-jobqueue")
    (tmp_path / "bin").mkdir()
    (tmp_path / "jobs").mkdir()
    for name, script in (("sbatch", SBATCH), ("squeue", SQUEUE), ("scancel", SCANCEL)):
        (tmp_path / "bin" / name).write_text(script)
        (tmp_path / "bin" / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("JOBS", str(tmp_path / "jobs"))
    path = tmp_path / "slurm.yaml"
    path.write_text("cores: 1\nprocesses: 1\nnanny: false\nmemory: 1GB\nqueue: main\njobs: 2\n")
    return path


@pytest.fixture
def running(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    """The folder where jobs are known by their ids; a test of them ends within two minutes, whatever they do."""

    def late(*_: object) -> None:
        pytest.fail("jobs were waited for")  # which nothing takes for a scheduler that is away

    monkeypatch.setenv("RUNS", "1")
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))  # whose modules workers import
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("harness.studies.slurm._SECONDS_BETWEEN_QUESTIONS", 0.2)
    monkeypatch.setattr("harness.studies.slurm._SECONDS_BETWEEN_QUESTIONS_AT_WORK", 0.2)
    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(120)
    try:
        yield tmp_path / "jobs"
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
        ended(tmp_path / "jobs")


def ended(jobs: Path) -> None:
    """End all jobs."""
    for job in jobs.glob("[0-9]*"):
        if not job.suffix:
            with suppress(ProcessLookupError):
                os.killpg(int(job.read_text()), signal.SIGKILL)


def test_studies_on_slurm_have_the_bits_of_one_process(slurm_file: Path, running: Path, tmp_path: Path) -> None:
    store = ResultStore(tmp_path / "there")
    run(studies(), store, evaluate, executor=Cluster(f"slurm:{slurm_file}", print))
    equal_to_one_process(store, tmp_path / "here")
    assert len([*running.glob("*.sh")]) == 2


def test_jobs_that_end_at_once_are_not_waited_for(slurm_file: Path, running: Path, tmp_path: Path) -> None:
    slurm_file.write_text(f"{slurm_file.read_text()}python: /no/such/python\n")
    with pytest.raises(HarnessError, match="have ended, and no worker is left") as caught:
        run(studies(), ResultStore(tmp_path / "there"), evaluate, executor=Cluster(f"slurm:{slurm_file}", print))
    ids = [path.stem for path in running.glob("*.sh")]
    assert len(ids) == 2
    assert all(id_ in caught.value.message for id_ in ids)
    assert "/no/such/python: No such file or directory'" in caught.value.message
    assert str(tmp_path / "slurm-") in caught.value.message


@contextmanager
def after_three(store: Counted, accident: Callable[[], None]) -> Iterator[None]:
    """Has the accident happen once three shards are stored, while this lasts."""

    def wait() -> None:
        store.three.wait(100)
        accident()

    thread = threading.Thread(target=wait)
    thread.start()
    try:
        yield
    finally:
        thread.join()


@pytest.mark.parametrize("of_each", ["cores: 1\nprocesses: 1\njobs: 2", "cores: 2\nprocesses: 2\njobs: 1"])
def test_jobs_that_end_in_the_middle_are_replaced(
    slurm_file: Path, running: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, of_each: str
) -> None:
    monkeypatch.setattr("harness.studies.study.SHARD", 10)
    slurm_file.write_text(f"memory: 1GB\nqueue: main\n{of_each}\n")
    store = Counted(tmp_path / "there")
    with after_three(store, lambda: ended(running)):
        run(studies(), store, workers.slow, executor=Cluster(f"slurm:{slurm_file}", print))
    assert len([*running.glob("*.sh")]) > int(of_each[-1])
    equal_to_one_process(store, tmp_path / "here")


def test_jobs_that_bring_no_worker_any_more_are_not_replaced_without_end(
    slurm_file: Path, running: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first brings a worker, and each after it ends at once: its own replacement, and three in place of that."""
    monkeypatch.setattr("harness.studies.study.SHARD", 10)
    monkeypatch.setattr("harness.studies.slurm._USELESS", 3)
    gone = tmp_path / "gone"
    slurm_file.write_text(
        "cores: 1\nprocesses: 1\nmemory: 1GB\nqueue: main\njobs: 1\n"
        f"job_script_prologue: ['if [ -e {gone} ]; then echo no environment; exit 1; fi']\n"
    )
    store = Counted(tmp_path / "there")

    def accident() -> None:
        gone.touch()
        ended(running)

    with after_three(store, accident), pytest.raises(HarnessError, match="have ended, and no worker is left") as caught:
        run(studies(), store, workers.slow, executor=Cluster(f"slurm:{slurm_file}", print))
    assert len([*running.glob("*.sh")]) == 5
    assert "ends with 'no environment'" in caught.value.message
    assert "goes on from what is stored" in caught.value.hint
    assert 3 <= len(store.added) < 12


def test_jobs_that_slurm_does_not_take_for_a_while_are_asked_for_again(
    slurm_file: Path, running: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("harness.studies.study.SHARD", 10)
    slurm_file.write_text(slurm_file.read_text().replace("jobs: 2", "jobs: 1"))
    store = Counted(tmp_path / "there")

    def accident() -> None:
        (running / "full").touch()
        ended(running)
        until((running / "refused").exists)
        (running / "full").unlink()

    with after_three(store, accident):
        run(studies(), store, workers.slow, executor=Cluster(f"slurm:{slurm_file}", print))
    equal_to_one_process(store, tmp_path / "here")
    assert "Traceback" not in capfd.readouterr().err


def test_slurm_is_given_the_jobs_and_signals_stay(slurm_file: Path) -> None:
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    with slurm(slurm_file) as cluster:
        assert "#SBATCH -p main" in cluster.job_script()
        assert cluster.scheduler.allowed_failures == 10
        deadline = time.monotonic() + 60
        while len(cluster.workers) < 2:
            assert time.monotonic() < deadline, "no jobs were submitted"
            time.sleep(0.05)
        assert len({job.job_id for job in cluster.workers.values()}) == 2
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before


def test_jobs_that_slurm_does_not_take_are_one_sentence(
    slurm_file: Path, tmp_path: Path, harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ("run", "--algo", "rs", "--bench", "nb201", "--seeds", "3", "--cluster", f"slurm:{slurm_file}")
    slurm_file.write_text(slurm_file.read_text().replace("main", "nosuch"))
    answer = harness(*words)
    assert answer.status == 2
    assert f"Slurm does not take the jobs of {slurm_file}: Invalid partition name specified." in answer.err
    slurm_file.write_text(slurm_file.read_text().replace("nosuch", "main"))
    (tmp_path / "jobs" / "full").touch()
    answer = harness(*words)
    assert answer.status == 2
    assert f"Slurm does not take the jobs of {slurm_file}: Job violates policy." in answer.err
    assert "Traceback" not in answer.err
    slurm_file.write_text("cores: 4\nmemroy: 8GB\n")
    answer = harness(*words)
    assert answer.status == 2
    assert "SLURMCluster does not take what is in" in answer.err
    slurm_file.write_text("cores: 1\nmemory: 1GB\n")
    monkeypatch.setenv("PATH", str(tmp_path))
    answer = harness(*words)
    assert answer.status == 2
    assert "sbatch cannot be run: " in answer.err
    assert not [*tmp_path.rglob("*.parquet")]
