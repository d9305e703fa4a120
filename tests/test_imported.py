"""Tables out of official files of NAS-Bench-201, NATS-Bench and FCNet, number for number; real samples of others."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import trials

from harness import Rules, Table, registry, simulate
from harness.benchmarks import imported, nasbench101, nasbench_graph
from harness.benchmarks.fcnet import SPACE as FCNET
from harness.benchmarks.formats import fcnet as fcnet_format
from harness.benchmarks.formats import nasbench201 as format201
from harness.benchmarks.formats import nasbenchgraph as format_graph
from harness.benchmarks.nasbench201_full import DATASETS
from harness.spaces.nasbench101_cells import cells_from_bits
from harness.testing import BenchmarkContract

Run = Callable[..., Any]


def contract(name: str) -> None:
    """Every test of the benchmark contract on an imported table."""
    tests: Any = type("Contract", (BenchmarkContract,), {"name": name})()
    for test in dir(BenchmarkContract):
        if test.startswith("test_"):
            getattr(tests, test)()


@pytest.fixture(scope="module")
def official() -> tuple[Any, list[dict[int, Any]]]:
    """The official package of NAS-Bench-201, and results of three architectures made with its classes."""
    pytest.importorskip("torch", reason="torch, which writes the files, is not installed")
    api = pytest.importorskip("nas_201_api", reason="nas-bench-201 is not installed")
    return api, trials.architectures(api)


@pytest.fixture
def imported201(
    official: Any, harness: Run, data_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> list[dict[int, Any]]:
    import torch

    api, expected = official
    del api
    infos = {i: {"full": both[200].state_dict(), "less": both[12].state_dict()} for i, both in enumerate(expected)}
    strings = [trials.string(codes) for codes in trials.CODES]
    content = {"meta_archs": strings, "total_archs": 3, "arch2infos": infos, "evaluated_indexes": {0, 1, 2}}
    torch.save(content, tmp_path / "NAS-Bench-201-v1_1-096897.pth")
    monkeypatch.setattr(format201, "ARCHITECTURES", 3)
    answer = harness("data", "import", "nb201", tmp_path / "NAS-Bench-201-v1_1-096897.pth")
    assert answer.status == 0
    return expected


def timed(expected: list[dict[int, Any]], index: int, dataset: str, epochs: int) -> list[Any]:
    """The trainings of one architecture that have times: by the fixture the early ones have not."""
    results = expected[index][epochs]
    seeds = sorted(results.dataset_seed[dataset])
    return [results.all_results[dataset, seed] for seed in seeds if index != 0 or seed == 888]


@pytest.mark.reference("nas_201_api")
@pytest.mark.parametrize("dataset", DATASETS)
def test_the_curve_of_nb201_is_what_the_official_classes_answer(imported201: Any, dataset: str) -> None:
    table = registry.benchmark(f"nb201-full/{dataset}")
    splits = DATASETS[dataset]
    assert table.codes.tolist() == [list(codes) for codes in trials.CODES]
    np.testing.assert_array_equal(table.fidelities, np.arange(1, 201))
    for index in range(3):
        runs = timed(imported201, index, splits.validation[0], 200)
        tests = imported201[index][200]
        for epoch in (0, 11, 199):
            loss = [1 - run.get_eval(splits.validation[1], epoch)["accuracy"] / 100 for run in runs]
            cost = [sum(run.get_train(e)["cur_time"] for e in range(epoch + 1)) for run in runs]
            assert table.repeats[index, epoch] == len(runs)
            np.testing.assert_array_equal(table.loss[index, epoch, : len(runs)], loss)
            np.testing.assert_allclose(table.cost[index, epoch, : len(runs)], cost, rtol=1e-14)
        name, split = splits.test
        seeds = tests.dataset_seed[name]
        test = [1 - tests.all_results[name, s].get_eval(split, 199)["accuracy"] / 100 for s in seeds]
        assert table.test is not None
        assert np.nanmean(table.test[index, -1]) == pytest.approx(np.mean(test), rel=1e-14)
    assert splits.words == table.facts.splits


@pytest.mark.reference("nas_201_api")
def test_cifar10_and_cifar10_valid_are_never_mixed(imported201: Any) -> None:
    half, whole = registry.benchmark("nb201-full/cifar10-valid"), registry.benchmark("nb201-full/cifar10")
    np.testing.assert_array_equal(half.loss, whole.loss)
    assert half.test is not None
    assert whole.test is not None
    assert not np.intersect1d(half.test, whole.test).size


@pytest.mark.reference("nats_bench", "nas_201_api")
def test_nats_folder_has_the_same_tables(
    official: Any, imported201: Any, harness: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    api = pytest.importorskip("nats_bench.api_utils", reason="nats_bench is not installed")
    folder = tmp_path / "NATS-tss-v1_0-3ffb9-simple"
    folder.mkdir()
    meta = {"meta_archs": [trials.string(codes) for codes in trials.CODES]}
    api.pickle_save(meta, folder / "meta.pickle")
    for index, both in enumerate(imported201):
        infos = {str(epochs): results.state_dict() for epochs, results in both.items()}
        api.pickle_save(infos, folder / f"{index:06d}.pickle")
    first = {name: imported.load(name, "nb201") for name in imported.names()}
    monkeypatch.setenv("NAS_HARNESS_DATA", str(tmp_path / "second"))
    assert harness("data", "import", "nb201", folder).status == 0
    assert imported.names() == list(first)
    for name, stored in first.items():
        for key, array in imported.load(name, "nb201").arrays.items():
            np.testing.assert_array_equal(array, stored.arrays[key])


@pytest.mark.reference("nas_201_api")
def test_separate_trainings_of_nb201(
    official: Any, harness: Run, data_folder: Path, tmp_path: Path, monkeypatch: Any
) -> None:
    import torch

    _, expected = official
    infos = {i: {"full": b[200].state_dict(), "less": b[12].state_dict()} for i, b in enumerate(expected) if i}
    content = {"meta_archs": [trials.string(codes) for codes in trials.CODES], "arch2infos": infos}
    torch.save(content, tmp_path / "f.pth")
    monkeypatch.setattr(format201, "ARCHITECTURES", 2)
    assert harness("data", "import", "nb201", tmp_path / "f.pth").status == 0
    for dataset, splits in DATASETS.items():
        table = registry.benchmark(f"nb201-12/{dataset}")
        assert table.fidelities.tolist() == [12, 200]
        assert table.facts.separate
        assert np.isnan(table.loss[0]).all(), "the file does not have the first architecture"
        for index in (1, 2):
            for f, epochs in enumerate((12, 200)):
                runs = timed(expected, index, splits.validation[0], epochs)
                loss = [1 - run.get_eval(splits.validation[1], epochs - 1)["accuracy"] / 100 for run in runs]
                np.testing.assert_array_equal(table.loss[index, f, : len(runs)], loss)
                cost = [sum(run.get_train(e)["cur_time"] for e in range(epochs)) for run in runs]
                np.testing.assert_allclose(table.cost[index, f, : len(runs)], cost, rtol=1e-14)


@pytest.mark.reference("nas_201_api")
def test_a_file_without_training_times_is_refused(
    official: Any, harness: Run, data_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    _, expected = official
    infos = {"full": expected[0][200].state_dict(), "less": expected[0][12].state_dict()}
    early = {key: run for key, run in infos["full"]["all_results"].items() if key[1] != 888}
    infos["full"] = {**infos["full"], "all_results": early}
    content = {"meta_archs": [trials.string(codes) for codes in trials.CODES], "arch2infos": {0: infos}}
    torch.save(content, tmp_path / "NAS-Bench-201-v1_0-e61699.pth")
    monkeypatch.setattr(format201, "ARCHITECTURES", 1)
    answer = harness("data", "import", "nb201", tmp_path / "NAS-Bench-201-v1_0-e61699.pth")
    assert answer.status == 2
    assert "no training times for nb201-full/cifar10, nb201-12/cifar10" in answer.err
    assert "NAS-Bench-201-v1_1-096897.pth has them" in answer.err
    assert imported.names() == []


class _Bomb:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return Path.touch, (self.path,)


@pytest.mark.reference("nas_201_api")
def test_a_malicious_file_is_not_executed(official: Any, harness: Run, data_folder: Path, tmp_path: Path) -> None:
    import torch

    content = {"meta_archs": [], "arch2infos": {0: _Bomb(tmp_path / "executed")}}
    torch.save(content, tmp_path / "NAS-Bench-201-v1_1-096897.pth")
    answer = harness("data", "import", "nb201", tmp_path / "NAS-Bench-201-v1_1-096897.pth")
    assert answer.status == 2
    assert "is refused: it asks for the name" in answer.err
    assert not (tmp_path / "executed").exists()
    assert imported.names() == []
    torch.load(tmp_path / "NAS-Bench-201-v1_1-096897.pth", weights_only=False)
    assert (tmp_path / "executed").exists(), "the bomb would not have gone off anyway"


def test_fcnet_curves_are_those_of_the_file(
    harness: Run, data_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("h5py", reason="the extra that reads FCNet is not installed")
    from test_format_fcnet import write

    monkeypatch.setattr(fcnet_format, "CONFIGURATIONS", 3)
    file = tmp_path / "fcnet_slice_localization_data.hdf5"
    content = write(file)
    assert harness("data", "import", "fcnet", file).out == "fcnet-curves/slice: imported\n"
    table = registry.benchmark("fcnet-curves/slice")
    np.testing.assert_array_equal(table.fidelities, np.arange(3, 101))
    assert table.test is not None
    for name, expected in content.items():
        (row,) = table.rows(FCNET.from_dict(json.loads(name))[None])
        np.testing.assert_array_equal(table.loss[row], expected["valid_mse"].T[2:])
        np.testing.assert_array_equal(table.test[row], expected["final_test_error"][None])
        np.testing.assert_array_equal(table.cost[row, 96], expected["runtime"] * 0.99)
        assert table.columns["model_size"][row] == expected["n_params"][0]
    contract("fcnet-curves/slice")
    rules = ["--algo", "rs", "--evals", 30, "--seeds", 2]
    assert harness("run", "--bench", "fcnet-curves/slice", "--continuation", *rules).status == 0
    other = harness("data", "import", "fcnet", file.rename(tmp_path / "slice.hdf5"))
    assert other.status == 2
    assert "an HDF5 file of another name" in other.err


def store_sample(shared_data: Path) -> np.ndarray:
    """The real 30,001 cells as the stored table of NAS-Bench-101; returns their rows in the enumeration.

    One repeat of each; seconds at fewer than 108 epochs are not published with it and are linear in the epochs here.
    """
    with np.load(shared_data / "nb101" / "nb101_test108_all.npz") as every:
        with np.load(shared_data / "nb101" / "nb101_mf_30k.npz") as sample:
            rows, epochs = sample["idx"], sample["epochs"].astype(np.int64)
            loss = 1 - sample["val_acc"].astype(np.float64)[..., None]
            cost = (sample["train_time_108"][:, None] * epochs / 108)[..., None]
        adjacency, ops = cells_from_bits(every["num_vertices"][rows], every["adj_bits"][rows], every["ops"][rows])
        test = 1 - every["test_acc_108_mean3"][rows].astype(np.float64)[:, None, None]
    imported.save("nb101", nasbench101.stored_arrays(adjacency, ops, epochs, loss, cost, test), {"files": ["sample"]})
    return rows


@pytest.fixture(scope="module")
def sample101(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NAS_HARNESS_DATA", str(tmp_path_factory.mktemp("nb101")))
        yield store_sample(shared_data)


@pytest.mark.parametrize("name", ["nb101/a", "nb101/b", "nb101/c", "1shot1/1", "1shot1/2", "1shot1/3"])
def test_the_contract_holds_for_real_cells(sample101: Any, name: str) -> None:
    contract(name)


@pytest.mark.parametrize("encoding", "abc")
def test_real_cells_run_through_the_simulator(sample101: Any, encoding: str) -> None:
    """Cells that are not in the sample count as invalid: loss inf at cost 0, and the run goes on."""
    table = registry.benchmark(f"nb101/{encoding}")
    assert len(table) == 30_001
    run = simulate(table, registry.algorithm("re"), seeds=np.arange(20), rules=Rules(evals=800, log="all"))
    invalid = run.row < 0
    assert 0.3 < invalid.mean() < 1
    assert np.isinf(run.loss[invalid]).all()
    np.testing.assert_array_equal(run.loss[~invalid], table.loss[run.row[~invalid], -1, 0])
    found = run.loss[run.incumbent & (run.evaluation > 400)]
    assert not found.size or found.min() < np.nanmedian(table.loss[:, -1, 0])
    again = simulate(table, registry.algorithm("re"), seeds=np.arange(7, 8), rules=Rules(evals=800, log="all"))
    np.testing.assert_array_equal(again.row, run.row[run.seed == 7])


@pytest.mark.parametrize("number", [1, 2, 3])
def test_one_shot_rows_are_the_published_ones(sample101: Any, shared_data: Path, number: int) -> None:
    published = np.load(shared_data / "nb101" / f"nb1shot1_space{number}_idx.npy")
    stored = imported.load("nb101", "nb101").arrays[f"one_shot_rows_{number}"]
    np.testing.assert_array_equal(sample101[stored], np.intersect1d(published, sample101))


def protocol_table(shared_data: Path) -> Table:
    """`nb201-12/cifar10` from published means; seconds of 12 epochs are 12/200 of those of 200, for this test only."""
    embedded = registry.benchmark("nb201/cifar10")
    with np.load(shared_data / "nb201" / "nb201_more.npz") as more:
        val12, test12 = more["cifar10_val_12ep"], more["cifar10_test_12ep"]
        test200 = more["cifar10_test_200ep"]
    cost = embedded.mean_cost[:, -1]
    arrays = {
        "codes": embedded.codes.astype(np.int8),
        "epochs": np.array([12, 200]),
        "loss": np.stack([1 - val12 / 100, embedded.mean_loss[:, -1]], axis=1)[..., None],
        "cost": np.stack([cost * 12 / 200, cost], axis=1)[..., None],
        "test": 1 - np.stack([test12, test200], axis=1)[..., None] / 100,
    }
    imported.save("nb201-12/cifar10", arrays, {"files": ["means"]})
    return registry.benchmark("nb201-12/cifar10")


@pytest.fixture(scope="module")
def graphs(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Two tables of the real package, imported."""
    if importlib.util.find_spec("nas_bench_graph") is None:
        pytest.skip("nas-bench-graph is not installed")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NAS_HARNESS_DATA", str(tmp_path_factory.mktemp("graphs")))
        patch.setattr(nasbench_graph, "DATASETS", ("cora", "proteins"))
        for name, arrays, about in nasbench_graph.convert((), lambda done, total: None):
            imported.save(name, arrays, about)
        yield


@pytest.mark.reference("nas_bench_graph")
@pytest.mark.parametrize("dataset", ["cora", "proteins"])
def test_graph_tables_are_those_of_the_package(graphs: Any, dataset: str) -> None:
    """Each row by the official hash of its codes; every other spelling finds one, but for the network of skips."""
    table = registry.benchmark(f"nb-graph/{dataset}")
    assert len(table) == (2_021 if dataset == "proteins" else 26_206)
    published = format_graph.read(format_graph.locate(dataset))
    row_of = dict(zip(published.hashes.tolist(), range(len(table)), strict=True))
    number = [format_graph.OPERATIONS.index(str(v)) for v in table.space.parameters[1].values]
    for row in range(0, len(table), 97):
        tree, *ops = table.codes[row].tolist()
        official = int("".join(map(str, (tree, *(number[op] for op in ops)))))
        if official in row_of:
            assert table.loss[row_of[official], 0, 0] == 1 - published.valid[row_of[official]]
            assert table.rows(table.codes[[row]]) == row_of[official]
    every = np.stack(np.unravel_index(np.arange(table.space.cardinality), table.space.sizes.tolist()), axis=1)
    assert (table.rows(every) == -1).sum() == 9, "nine trees of skips only"
    assert set(table.rows(every).tolist()) == set(range(-1, len(table)))
    contract(f"nb-graph/{dataset}")


@pytest.mark.reference("nas_bench_graph")
@pytest.mark.parametrize(
    ("a", "b"),
    [
        (("0-0-0-0", "gcn", "gat", "gin", "fc"), ("0-0-0-0", "fc", "gin", "gat", "gcn")),
        (("0-1-2-3", "gcn", "skip", "gat", "gin"), ("0-1-2-3", "skip", "gcn", "gat", "gin")),
        (("0-0-1-1", "skip", "gcn", "gat", "gin"), ("0-1-1-1", "skip", "gin", "gcn", "gat")),
    ],
)
def test_other_spellings_are_the_same_architecture(graphs: Any, a: tuple[str, ...], b: tuple[str, ...]) -> None:
    table = registry.benchmark("nb-graph/cora")
    names = [p.name for p in table.space.parameters]
    codes = np.array([table.space.from_dict(dict(zip(names, spelling, strict=True))) for spelling in (a, b)])
    assert len(set(table.rows(codes).tolist())) == 1


def test_search_on_12_epochs_reported_at_200(shared_data: Path, harness: Run, data_folder: Path) -> None:
    """The protocol of the NAS-Bench-201 paper: validation after 12 epochs, charged as such; test after 200."""
    table = protocol_table(shared_data)
    rules = ["--algo", "rs", "--seeds", 30, "--budget", 12000, "--bench", "nb201-12/cifar10"]
    run = harness("run", *rules, "--max-fidelity", 12, "--json", "--log", "all")
    assert run.status == 0, run.err
    (row,) = json.loads(run.out)
    assert (row["max_fidelity"], row["report_fidelity"]) == (12, 200)
    assert "trained on all 50,000" in row["splits"]
    assert row["val_optimum"] == pytest.approx(0.083933333)
    mean_cost = np.nanmean(table.mean_cost[:, 0])
    assert row["evaluations_mean"] == pytest.approx(12000 / mean_cost, rel=0.1)
    assert 0 < row["test_regret_mean"] < 0.03
    (shown,) = json.loads(harness("show", "results", "--json").out)
    assert shown["test_regret_mean"] == row["test_regret_mean"]
    at12 = json.loads(harness("run", *rules, "--max-fidelity", 12, "--report-fidelity", 12, "--json").out)[0]
    assert at12["study"] != row["study"]
    assert at12["val_optimum"] == pytest.approx(table.mean_loss[:, 0].min())
    refused = harness("run", *rules, "--continuation")
    assert refused.status == 2
    assert "separate trainings" in refused.err
    assert "its fidelities (epochs): 12, 200" in harness("run", *rules, "--report-fidelity", 50).err
    per_seed = json.loads(harness("show", "results", "--per-seed", "--json").out)
    best = next(r for r in per_seed if r["study"] == row["study"])
    assert table.loss[best["row"], 0, 0] == best["observed_loss"]
    assert table.loss[best["row"], 1, 0] == best["val_loss"]
    assert table.test is not None
    assert table.test[best["row"], 1, 0] == best["test_loss"]
