"""Studies on the workers of Dask: the same bits as here, lost workers, and what answers at no address."""

from __future__ import annotations

import os
import signal
import warnings
from collections.abc import Callable, Iterator
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from conftest import Answer

from harness import HarnessError, Rules, registry
from harness.studies.cluster import Cluster
from harness.studies.evaluate import evaluate
from harness.studies.executors import Heard
from harness.studies.outcome import Outcome
from harness.studies.run import run
from harness.studies.store import ResultStore
from harness.studies.study import Study
from harness.testing import assert_same

pytest.importorskip("distributed", reason="--cluster needs the package distributed")
pytestmark = pytest.mark.filterwarnings("ignore")
Harness = Callable[..., Answer]


def studies() -> list[Study]:
    table = registry.benchmark("nb201")
    return [Study.plan(table, name, {}, 0, 60, Rules(budget=2e5)) for name in ("rs", "re")]


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
    killing = _Killing(str(flag))
    here, there = ResultStore(tmp_path / "here"), ResultStore(tmp_path / "there")
    run(studies(), here, evaluate)
    run(studies(), there, killing, executor=Cluster(scheduler.scheduler_address, print))
    assert flag.exists()
    for study in studies():
        assert_same(here.get(study).trajectory, there.get(study).trajectory)


class _Killing:
    """Like `evaluate`, but the worker of one shard is killed, once."""

    def __init__(self, flag: str) -> None:
        self.flag = flag

    def __call__(self, study: Study, shard: range, heard: Heard) -> Outcome:
        if study.algorithm == "re" and shard.start == 20 and not Path(self.flag).exists():
            Path(self.flag).touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return evaluate(study, shard, heard)


def test_a_worker_with_another_table_is_refused_by_name(scheduler: Any, tmp_path: Path) -> None:
    study = replace(studies()[0], table="0" * 64)
    with pytest.raises(HarnessError, match=r"the worker tcp://\S+ has another version of the table nb201/cifar10"):
        run([study], ResultStore(tmp_path), evaluate, executor=Cluster(scheduler.scheduler_address, print))


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("nowhere", "neither a cluster nor a scheduler file"),
        ("local:none", "is no cluster"),
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
