"""The tables of the real package nas-bench-graph."""

import pickle
import sys
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import numpy as np
import pytest

from harness.benchmarks.formats import nasbenchgraph
from harness.benchmarks.formats.content import FormatError


@pytest.fixture(autouse=True, scope="module")
def package() -> None:
    try:
        distribution("nas-bench-graph")
    except PackageNotFoundError:
        pytest.skip("the package nas-bench-graph is not installed")


@pytest.mark.parametrize("dataset", ["cora", "proteins"])
def test_every_number_is_that_of_the_file(dataset: str) -> None:
    path = nasbenchgraph.locate(dataset)
    table = nasbenchgraph.read(path)
    expected = pickle.loads(path.read_bytes())
    assert table.hashes.tolist() == sorted(expected)
    for name, column in {
        "valid_perf": table.valid,
        "perf": table.test,
        "latency": table.latency,
        "para": table.params,
    }.items():
        assert column.tolist() == [expected[key][name] for key in table.hashes.tolist()]
    assert "nas_bench_graph" not in sys.modules


def test_codes_are_the_digits_of_the_hash() -> None:
    table = nasbenchgraph.read(nasbenchgraph.locate("cora"))
    assert table.codes.shape == (26_206, 5)
    assert np.array_equal(table.codes @ 10 ** np.arange(4, -1, -1), table.hashes)
    (row,) = np.flatnonzero((table.codes == [8, 8, 1, 1, 1]).all(1))
    assert nasbenchgraph.LINKS[8] == (0, 1, 2, 3)
    assert [nasbenchgraph.OPERATIONS[code] for code in table.codes[row, 1:]] == [
        "skip",
        "gcn",
        "gcn",
        "gcn",
    ]


def test_all_nine_data_sets_are_there() -> None:
    assert [nasbenchgraph.locate(d).is_file() for d in nasbenchgraph.DATASETS] == [True] * 9


@pytest.mark.parametrize("table", [[], {}, {"a": 1}, {1: {"perf": 0.5}}, {99: 5}])
def test_another_pickle_is_an_error(tmp_path: Path, table: object) -> None:
    path = tmp_path / "x.bench"
    path.write_bytes(pickle.dumps(table))
    with pytest.raises(FormatError, match=r"x\.bench"):
        nasbenchgraph.read(path)
