"""Tables of one's own: the documented example is executed, and every kind of mistake is named."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
from conftest import ROOT

from harness import registry
from harness.benchmarks import imported
from harness.spaces import nasbench101, nasbench201
from harness.spaces.architecture import Architecture
from harness.testing import BenchmarkContract

Run = Callable[..., Any]
PAGE = (ROOT / "docs" / "your-own-table.md").read_text()
FILES = {name: text for _, name, text in re.findall(r"```(csv|toml) (\S+)\n(.*?)```", PAGE, re.DOTALL)}


@pytest.fixture
def example(harness: Run, data_folder: Path) -> Path:
    """The files of the documentation in the current folder."""
    for name, text in FILES.items():
        Path(name).write_text(text)
    return data_folder


def test_the_documented_commands_do_what_is_printed(harness: Run, example: Path) -> None:
    blocks = re.findall(r"```console\n(.*?)```", PAGE, re.DOTALL)
    commands = 0
    for command, printed in re.findall(r"^\$ (harness .*)\n((?:(?!\$).*\n)*)", "".join(blocks), re.MULTILINE):
        answer = harness(*shlex.split(command)[1:])
        assert answer.status == 0, answer.err
        assert not printed or answer.out == printed
        commands += 1
    assert commands == 8


def test_long_rows_number_for_number(harness: Run, example: Path) -> None:
    assert harness("data", "import", "widgets.toml").status == 0
    table = registry.benchmark("own/widgets")
    assert table.fidelities.tolist() == [1, 9]
    assert table.loss.shape == (4, 2, 2)
    (row,) = table.rows(table.space.from_dict({"operator": "conv", "depth": 2, "lr": 0.1})[None])
    np.testing.assert_array_equal(table.loss[row], [[-61.0, np.nan], [-80.5, -81.0]])
    np.testing.assert_array_equal(table.cost[row], [[10, np.nan], [90, 91]])
    assert table.test is not None
    np.testing.assert_array_equal(table.test[row], [[-60.1, np.nan], [-79.9, -80.2]])
    (gap,) = table.rows(table.space.from_dict({"operator": "pool", "depth": 4, "lr": 0.01})[None])
    assert table.repeats[gap].tolist() == [0, 1]
    (absent,) = table.rows(table.space.from_dict({"operator": "conv", "depth": 4, "lr": 0.1})[None])
    assert absent == -1
    assert table.optimum.value == -84.1
    assert table.facts.loss == "val_acc, negated"
    assert table.facts.budget == 2000
    assert [p.kind for p in table.space.parameters] == ["categorical", "ordinal", "ordinal"]


def test_wide_curves_number_for_number(harness: Run, example: Path) -> None:
    assert harness("data", "import", "curves.toml").status == 0
    table = registry.benchmark("own/curves")
    assert table.fidelities.tolist() == [1, 2, 4]
    assert [*table.space.parameters[0].values] == ["small", "large"]
    (row,) = table.rows(table.space.from_dict({"size": "large", "lr": 0.1})[None])
    np.testing.assert_array_equal(table.loss[row, :, 0], [0.9, 0.3, 0.2])
    np.testing.assert_array_equal(table.cost[row, :, 0], [3, 6, 12])
    assert table.test is not None
    np.testing.assert_array_equal(table.test[row], [[0.22]])
    assert table.test_optimum is not None
    assert table.test_optimum_at(0) is None


def test_cells_of_a_published_space_number_for_number(harness: Run, example: Path) -> None:
    """The space has the operators that occur, the same on every edge, and the graphs of the published one."""
    assert harness("data", "import", "cells.toml").status == 0
    table = registry.benchmark("own/cells")
    assert [[*p.values] for p in table.space.parameters] == [["none", "skip_connect", "nor_conv_3x3"]] * 6
    conv, skip, none = "nor_conv_3x3", "skip_connect", "none"
    cell = dict(zip((p.name for p in table.space.parameters), (conv, none, none, skip, conv, none), strict=True))
    (row,) = table.rows(table.space.from_dict(cell)[None])
    assert table.loss[row, 0, 0] == 0.11
    assert table.facts.images == "cifar10"
    assert table.space.graphs is not None
    assert table.space.split is not None
    whole = nasbench201.SPACE
    assert whole.graphs is not None
    seen, published = table.space.graphs.of(table.codes[[row]]), whole.graphs.of(whole.from_dict(cell)[None])
    np.testing.assert_array_equal(seen.adjacency, published.adjacency)
    np.testing.assert_array_equal(seen.operators, published.operators)
    assert Architecture.of(table, int(row)).text == f"|{conv}~0|+|{none}~0|{none}~1|+|{skip}~0|{conv}~1|{none}~2|"


def cells_of_nasbench101(folder: Path, edges: list[str], operators: list[list[str]]) -> None:
    """A table of cells, each its edges such as "01 06 16" and its five operators."""
    names = [p.name for p in nasbench101.ENCODINGS["a"].space.parameters]
    rows: list[list[Any]] = [
        [*(int(f"{name[5]}{name[7]}" in drawn.split()) for name in names[:21]), *ops, 0.1 * (i + 1)]
        for i, (drawn, ops) in enumerate(zip(edges, operators, strict=True))
    ]
    lines = [",".join(str(value) for value in row) for row in [[*names, "test_error"], *rows]]
    (folder / "cells101.csv").write_text("\n".join(lines))
    (folder / "cells101.toml").write_text(
        'name = "cells101"\ncitation = "c"\nfile = "cells101.csv"\nspace = "nb101/a"\n'
        '[validation]\ncolumn = "test_error"\n'
    )


def test_a_cell_of_nasbench101_is_found_however_it_is_written(harness: Run, data_folder: Path, tmp_path: Path) -> None:
    one, other = "conv1x1-bn-relu", "conv3x3-bn-relu"
    cells_of_nasbench101(tmp_path, ["01 16", "01 12 26 06"], [[one] * 5, [one, other, one, one, one]])
    assert harness("data", "import", tmp_path / "cells101.toml").status == 0
    table = registry.benchmark("own/cells101")
    assert table.space is nasbench101.ENCODINGS["a"].space
    written_otherwise = dict.fromkeys(["edge_0_3", "edge_3_5", "edge_5_6", "edge_0_6"], 1)
    operators = {"op_1": other, "op_2": other, "op_3": one, "op_4": one, "op_5": other}
    whole = {p.name: 0 for p in table.space.parameters} | written_otherwise | operators
    codes = table.space.from_dict(whole)[None]
    assert table.rows(codes).tolist() == [1]
    assert table.rows(table.codes.astype(np.int64)).tolist() == [0, 1]
    assert harness("run", "--bench", "own/cells101", "--algo", "rs", "--evals", 3, "--seeds", 2).status == 0


def test_cells_of_nasbench101_that_are_the_same_are_named(harness: Run, data_folder: Path, tmp_path: Path) -> None:
    cells_of_nasbench101(tmp_path, ["01 16", "02 26"], [["conv1x1-bn-relu"] * 5] * 2)
    answer = harness("data", "import", tmp_path / "cells101.toml")
    assert answer.status == 2
    assert "hold the same architecture" in answer.err


@pytest.mark.parametrize("name", ["widgets", "curves", "cells"])
def test_the_contract_holds(harness: Run, example: Path, name: str) -> None:
    assert harness("data", "import", f"{name}.toml").status == 0
    contract: Any = type("Contract", (BenchmarkContract,), {"name": f"own/{name}"})()
    for test in dir(BenchmarkContract):
        if test.startswith("test_"):
            getattr(contract, test)()
    assert f"own/{name}" in harness("list", "benchmarks").out
    assert f"own/{name}" in registry.expand(["own/*"])


def test_parquet_gives_the_same_table(harness: Run, example: Path) -> None:
    harness("data", "import", "widgets.toml")
    first = imported.load("own/widgets", "own")
    pq.write_table(pyarrow.csv.read_csv("widgets.csv"), "widgets.parquet")
    Path("widgets.toml").write_text(FILES["widgets.toml"].replace("widgets.csv", "widgets.parquet"))
    harness("data", "import", "widgets.toml")
    assert imported.load("own/widgets", "own").checksum == first.checksum


def test_a_large_space_is_found_by_search(harness: Run, example: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    harness("data", "import", "widgets.toml")
    codes = np.stack(np.unravel_index(np.arange(8), (2, 2, 2)), axis=1)
    expected = registry.benchmark("own/widgets").rows(codes)
    monkeypatch.setattr("harness.benchmarks.own_table.GRID", 1)
    table = registry.benchmark("own/widgets")
    assert table.lookup is not None
    np.testing.assert_array_equal(table.rows(codes), expected)
    assert (expected == -1).sum() == 4


@pytest.mark.parametrize(
    ("file", "old", "new", "message"),
    [
        ("widgets.csv", "80.5", "eighty", "column 'val_acc', row 2: 'eighty' is not a number"),
        ("widgets.csv", "80.5", "inf", "column 'val_acc', row 2: 'inf' is not finite"),
        ("widgets.csv", "conv,2,0.1,1", ",2,0.1,1", "column 'operator', row 3: an empty cell is no value of a param"),
        ("widgets.csv", "conv,2,0.1,1", "conv,2.5,0.1,1", "column 'depth', row 3: '2.5' is not a whole number"),
        ("widgets.csv", "conv,2,0.1,1", "conv,2,,1", "column 'lr', row 3: an empty cell is not a number"),
        (
            "widgets.csv",
            "0,9,80.5,79.9,90",
            "0,9,80.5,79.9,",
            "column 'seconds', row 2: an empty cell is not a number of",
        ),
        ("widgets.csv", "0,9,80.5,79.9,90", "0,9,80.5,79.9,-1", "column 'seconds', row 2: '-1' is not a number of"),
        ("widgets.csv", "0,9,80.5,79.9,90", "0,9,80.5,79.9", "Expected 8 columns, got 7"),
        ("widgets.csv", "0.1,1,9", "0.1,0,9", "rows 2 and 3 of widgets.csv are the same configuration"),
        ("widgets.csv", FILES["widgets.csv"][FILES["widgets.csv"].index("\n") + 1 :], "", "has no rows"),
        ("widgets.toml", "val_acc", "val_ac", "unknown column of widgets.csv 'val_ac'. did you mean val_acc?"),
        ("widgets.toml", "lr = ", "rl = ", "unknown column of widgets.csv 'rl'"),
        ("widgets.toml", '"float"', '"real"', "gives parameter 'lr' the kind 'real'"),
        (
            "widgets.toml",
            '"maximize"',
            '"max"',
            "unknown value of widgets.toml: validation.goal 'max'. did",
        ),
        ("widgets.toml", "[repeat]", "[repeats]", "unknown field of widgets.toml 'repeats'. did you mean repeat?"),
        ("widgets.toml", "goal =", "gaol =", "unknown field of widgets.toml: validation 'gaol'"),
        ("widgets.toml", 'column = "seed"', "", "has no column in [repeat]"),
        ("widgets.toml", 'citation = "', 'title = "', "has no 'citation'"),
        ("widgets.toml", '"widgets"', '"My Widgets"', "names the table 'My Widgets'"),
        ("widgets.toml", "2000", "-1", "widgets.toml: budget is a number above 0, not -1"),
        ("widgets.toml", "2000", '"2000"', "widgets.toml: budget is a number, not '2000'"),
        ("widgets.toml", "widgets.csv", "gone.csv", "there is no file gone.csv"),
        ("widgets.toml", "[cost]", "[cost", "is not a readable TOML file"),
        (
            "widgets.toml",
            '"seconds"',
            '"seconds_{epochs}"',
            "has both a fidelity column and the curve columns of [cost]",
        ),
        ("curves.toml", '["small", "large"]', '["small"]', "column 'size', row 3: 'large' is none of small"),
        ("curves.toml", '["small", "large"]', '["small", "small", "large"]', "is empty or has one twice"),
        ("curves.toml", "val_{epochs}", "value_{epochs}", "has no column like 'value_{epochs}'"),
        ("curves.csv", "seconds_4", "seconds_5", "has other fidelities in [cost] than in [validation]"),
        ("cells.toml", '"nb201"', '"nb210"', "unknown space in cells.toml 'nb210'. did you mean nb201"),
        ("cells.toml", "[cost]", "[parameters]\nx = 'float'\n[cost]", "has both 'space' and [parameters]"),
        ("cells.toml", 'space = "nb201"', "", "has no 'parameters'"),
        ("cells.csv", "none,0.11", "nor_conv_5x5,0.11", "column 'edge_2_3', row 1: 'nor_conv_5x5' is none of none, sk"),
        ("cells.csv", "edge_2_3", "edge_3_2", "unknown column of cells.csv 'edge_2_3'"),
        ("widgets.csv", "80.5", "8_0", "column 'val_acc', row 2: '8_0' is not a number"),
        ("widgets.csv", "conv,2,0.1,1", "conv,2_0,0.1,1", "column 'depth', row 3: '2_0' is not a whole number"),
        ("widgets.csv", "conv,2,0.1,1", "conv,\u0662,0.1,1", "column 'depth', row 3: '\u0662' is not a whole number"),
        ("widgets.csv", "0.1,1,9", "0.1,,9", "column 'seed', row 3: an empty cell names no repeat"),
        ("widgets.csv", "pool,2", "\x1b[2J,2", "column 'operator', row 6: '\\x1b[2J' has control characters"),
        ("widgets.csv", "pool,2", "::error::x,2", "column 'operator', row 6: '::error::x' has control characters"),
        (
            "widgets.csv",
            FILES["widgets.csv"],
            FILES["widgets.csv"].replace(",", ";"),
            "separate cells by commas",
        ),
        (
            "widgets.toml",
            'lr = "float"',
            'val_acc = "float"',
            "column 'val_acc' as a parameter and in [validation]",
        ),
        ("widgets.toml", 'lr = "float"', 'epochs = "float"', "the column 'epochs' as a parameter and in [fidelity]"),
        ("curves.csv", "large,0.2", "large,0.1", "rows 3 and 4 of curves.csv are the same configuration"),
    ],
)
def test_mistakes_are_named(harness: Run, example: Path, file: str, old: str, new: str, message: str) -> None:
    assert old in FILES[file]
    Path(file).write_text(FILES[file].replace(old, new, 1))
    answer = harness("data", "import", f"{file.split('.', maxsplit=1)[0]}.toml")
    assert answer.status == 2, answer.err
    assert message in answer.err.replace("\nhint:", "")
    assert not list(example.rglob("*.npy"))


def test_a_file_beside_the_toml_is_a_mistake(harness: Run, example: Path) -> None:
    assert "names its data itself" in harness("data", "import", "widgets.toml", "widgets.csv").err


def test_a_broken_parquet_file_is_named(harness: Run, example: Path) -> None:
    Path("widgets.toml").write_text(FILES["widgets.toml"].replace("widgets.csv", "widgets.parquet"))
    Path("widgets.parquet").write_bytes(b"PAR1 nothing")
    assert "is not a readable Parquet file" in harness("data", "import", "widgets.toml").err


def test_a_damaged_table_spoils_no_other(harness: Run, example: Path) -> None:
    for name in ("widgets", "curves"):
        harness("data", "import", f"{name}.toml")
    (imported.path("own/widgets") / "table.json").write_text("{")
    assert "cannot be read" in harness("list", "benchmarks").out
    assert harness("run", "--bench", "own/curves", "--algo", "rs", "--evals", 3, "--seeds", 2).status == 0
    answer = harness("run", "--bench", "own/widgets", "--algo", "rs", "--evals", 3, "--seeds", 2)
    assert answer.status == 2
    assert "the stored table own/widgets" in answer.err
    assert "is damaged" in answer.err
    assert harness("data", "remove", "own/widgets").status == 0
