"""Tables of one's own as they really are: what is written is what is read, whatever its form."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from harness import registry
from harness.benchmarks.nearest import nearest
from harness.space import Parameter, SearchSpace
from harness.table import Table
from harness.testing import BenchmarkContract

Run = Callable[..., Any]
Bring = Callable[..., Any]


@pytest.fixture
def bring(harness: Run, data_folder: Path) -> Bring:
    """Import the table of these rows and this TOML, of one parameter `x` and a validation loss `v` by default."""

    def call(rows: str | bytes, toml: str = '[parameters]\nx = "categorical"\n', metric: str = "v") -> Any:
        raw = rows.encode() if isinstance(rows, str) else rows
        Path("t.csv").write_bytes(raw)
        head = f'name = "t"\ncitation = "c"\nfile = "t.csv"\n{toml}\n[validation]\ncolumn = "{metric}"\n'
        Path("t.toml").write_text(head, encoding="utf-8")
        return harness("data", "import", "t.toml")

    return call


def brought(answer: Any) -> Table:
    assert answer.status == 0, answer.err
    return registry.benchmark("own/t")


@pytest.mark.parametrize(
    ("cells", "values"),
    [
        (["01", "1", "001"], ["001", "01", "1"]),
        (["1e-3", "0.001", "1e2", "100"], ["0.001", "1e-3", "100", "1e2"]),
        (["3", "null", "nan", "NA", "10"], ["3", "10", "NA", "nan", "null"]),
        (["2020-02-01", "2020-01-01"], ["2020-01-01", "2020-02-01"]),
        (["12:30", "12:31:00"], ["12:30", "12:31:00"]),
        (["true", "True", "FALSE"], ["FALSE", "True", "true"]),
        (["9223372036854775808", "10", "9"], ["9", "10", "9223372036854775808"]),
    ],
)
def test_a_categorical_value_is_the_text_that_is_written(bring: Bring, cells: list[str], values: list[str]) -> None:
    table = brought(bring("x,v\n" + "".join(f"{cell},{i}\n" for i, cell in enumerate(cells))))
    assert list(table.space.parameters[0].values) == values
    for i, cell in enumerate(cells):
        (row,) = table.rows(table.space.from_dict({"x": cell})[None])
        assert table.loss[row, 0, 0] == i


@pytest.mark.parametrize(
    ("values", "cells", "codes"),
    [
        ('["0", "1", "2"]', ["2", "0", "1"], [2, 0, 1]),
        ('["1", "01"]', ["01", "1"], [1, 0]),
        ("[0, 1, 2]", ["2", "00", "1.0"], [2, 0, 1]),
        ("[0.001, 100.0]", ["1e-3", "1e2"], [0, 1]),
        ("[true, false]", ["false", "True"], [1, 0]),
        ('[0, "0.0", "none"]', ["none", "0"], [2, 0]),
        ("[2020-02-01, 2020-01-01]", ["2020-01-01", "2020-02-01"], [1, 0]),
        ('["nan", "null"]', ["null", "nan"], [1, 0]),
    ],
)
def test_values_of_a_list_are_compared_in_their_own_type(
    bring: Bring, values: str, cells: list[str], codes: list[int]
) -> None:
    rows = "x,v\n" + "".join(f"{cell},{i}\n" for i, cell in enumerate(cells))
    table = brought(bring(rows, f"[parameters]\nx = {values}\n"))
    by_loss = table.codes[table.loss[:, 0, 0].argsort(), 0]
    assert by_loss.tolist() == codes


def test_numbers_are_what_they_mean(bring: Bring) -> None:
    """Other ways to write a number are the same value of an integer or a float, up to the largest that are exact."""
    rows = "x,y,v\n01,1e-3,1\n1.0,0.1,2\n9007199254740993,+.001,\n9007199254740992,1e-1,3\n"
    table = brought(bring(rows, '[parameters]\nx = "integer"\ny = "float"\n'))
    assert list(table.space.parameters[0].values) == [1, 2**53, 2**53 + 1]
    assert list(table.space.parameters[1].values) == [0.001, 0.1]


@pytest.mark.parametrize(
    ("rows", "toml", "message"),
    [
        ("x,v\nconv,1\n conv,2\n", '[parameters]\nx = "categorical"', "'conv' and ' conv' look the same"),
        ("x,v\n1,1\n", '[parameters]\nx = ["1", 1]', "row 1: '1' means both '1' and 1 of its list"),
        ("x,v\n1,1\n", "[parameters]\nx = [0.1, 1e-1]", "is empty or has one twice: 0.1"),
        ("x,v\n1,1\n", "[parameters]\nx = [nan]", "has nan, neither a text nor a number"),
        ("x,v\n1,1\n", "[parameters]\nx = [[1]]", "has [1], neither a text nor a number"),
        ("x,v\n1e99,1\n", '[parameters]\nx = "integer"', "row 1: '1e99' is not a whole number"),
        ("x,v\nnan,1\n", '[parameters]\nx = "float"', "row 1: 'nan' is not a number"),
        ("x,v\n  ,1\n", '[parameters]\nx = "categorical"', "row 1: '  ' is no value of a parameter"),
        ("x,v\n1,true\n", '[parameters]\nx = "float"', "column 'v', row 1: 'true' is not a number"),
        ("x,v\n1,\n", '[parameters]\nx = "float"', "column 'v' has no loss at all"),
        ("x,v\n1,1\n", '[parameters]\n"op_*" = "float"', "has the pattern 'op_*', which no column of t.csv fits"),
        ("x,v\n1,1\n1,2\n", '[parameters]\nx = "float"', "no column tells repeats apart"),
        ("x,v\n1,1\n", "sampled = 1\n[parameters]\nx = 'float'", "sampled is true or false, not 1"),
        ("x,v\n1,1\n", '[parameters]\nx = "float"\n[cost]\ncolumn = "s_{e"', "has a brace without its end"),
        ("x,e,v\n1,-1,1\n", '[parameters]\nx = "float"\n[fidelity]\ncolumn = "e"', "has a fidelity below 0: -1"),
        ("x,e,v\n1,a,1\n", '[parameters]\nx = "float"\n[fidelity]\ncolumn = "e"', "column 'e', row 1: 'a' is not a"),
        (
            "x,s,v\n1,1,1\n1,1,2\n",
            '[parameters]\nx = "float"\n[repeat]\ncolumn = "s"',
            "rows 1 and 2 of t.csv are the same configuration, fidelity and repeat (1 duplicates)",
        ),
        (
            "x,e,s,v\n1,1,5,1\n1,2,9,1\n1,3,8,1\n",
            '[parameters]\nx = "float"\n[fidelity]\ncolumn = "e"\n[cost]\ncolumn = "s"',
            "column 's', row 3: '8' is less than the 9 of a smaller fidelity of this training",
        ),
        (
            "x,e,v\n1,1,5\n1,2,\n",
            '[parameters]\nx = "float"\n[fidelity]\ncolumn = "e"',
            "column 'v' at the largest e, 2, has no loss at all",
        ),
    ],
)
def test_what_cannot_be_meant_is_refused(bring: Bring, rows: str, toml: str, message: str) -> None:
    answer = bring(rows, toml)
    assert answer.status == 2
    assert message in answer.err


def test_columns_that_mean_one_fidelity_are_named(bring: Bring) -> None:
    answer = bring("x,v_1,v_01\n1,1,2\n", metric="v_{e}")
    assert "the columns 'v_1' and 'v_01', which mean the same" in answer.err


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        ("größe,v\n1,1\n".encode("latin-1"), "line 1 has the byte 0xf6, as in Latin-1 or Windows-1252"),
        ("x,v\ngroß,1\n".encode("latin-1"), "line 2 has the byte 0xdf, as in Latin-1 or Windows-1252"),
        ("x,v\n1,1\n".encode("utf-16"), "it is UTF-16"),
    ],
)
def test_an_encoding_that_is_not_utf8_is_named(bring: Bring, raw: bytes, message: str) -> None:
    answer = bring(raw)
    assert answer.status == 2
    assert f"t.csv is not UTF-8 text: {message}" in answer.err


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_utf8_with_a_byte_order_mark(bring: Bring, mark: bytes) -> None:
    rows = "größe,v\nklein,1\n".encode()
    assert bring(mark + rows, '[parameters]\n"größe" = "categorical"').status == 0
    Path("t.toml").write_bytes(mark + Path("t.toml").read_bytes())
    table = brought(bring(mark + rows, '[parameters]\n"größe" = "categorical"'))
    assert table.space.parameters[0].name == "größe"


@pytest.mark.parametrize(
    ("array", "values"),
    [
        (pa.array([3.0, float("nan"), float("nan")]), ["3", "nan"]),
        (pa.array([0.1, 0.5, 0.1], pa.float32()), ["0.1", "0.5"]),
        (pa.array(["a", "b", "a"]).dictionary_encode(), ["a", "b"]),
        (pa.array([True, False, True]), ["false", "true"]),
        (pa.array([10, 9, 10]), ["9", "10"]),
    ],
)
def test_parquet_of_any_type(bring: Bring, harness: Run, array: pa.Array, values: list[str]) -> None:
    bring("x,v\n1,1\n", '[parameters]\nx = "categorical"\n[repeat]\nrows = true')
    pq.write_table(pa.table({"x": array, "v": pa.array([1, 2, 3], pa.int32())}), "t.parquet")
    Path("t.toml").write_text(Path("t.toml").read_text().replace("t.csv", "t.parquet"))
    table = brought(harness("data", "import", "t.toml"))
    assert list(table.space.parameters[0].values) == values
    assert np.isfinite(table.loss).sum() == 3


def test_rows_may_be_repeats(bring: Bring) -> None:
    table = brought(bring("x,v\n1,1\n2,4\n1,3\n1,2\n", '[parameters]\nx = "integer"\n[repeat]\nrows = true'))
    np.testing.assert_array_equal(table.loss[:, 0], [[1, 3, 2], [4, np.nan, np.nan]])


def test_seeds_that_differ_from_row_to_row_need_no_more_room_than_there_are_repeats(bring: Bring) -> None:
    rows = "x,s,v\n" + "".join(f"{i // 2},{2**63 + i},{i}\n" for i in range(100))
    table = brought(bring(rows, '[parameters]\nx = "integer"\n[repeat]\ncolumn = "s"'))
    np.testing.assert_array_equal(table.loss.ravel(), np.arange(100))
    assert table.loss.shape == (50, 1, 2)


def test_fractions_are_fidelities(bring: Bring, harness: Run) -> None:
    """0.1, 0.33 and 1 of the data are 10, 33 and 100 hundredths, in long rows and in columns."""
    long = "x,share,v\n" + "".join(f"{x},{f},{x + 1 / (i + 1)}\n" for x in (0, 1) for i, f in enumerate((0.1, 0.33, 1)))
    table = brought(bring(long, '[parameters]\nx = "integer"\n[fidelity]\ncolumn = "share"'))
    assert table.fidelities.tolist() == [10, 33, 100]
    assert table.facts.fidelity == "share in 1/100"
    wide = "x,v_1.0,v_0.1,v_0.33\n0,1.0,2.0,1.5\n"
    other = brought(bring(wide, '[parameters]\nx = "integer"\n[fidelity]\nname = "share"', metric="v_{share}"))
    assert other.fidelities.tolist() == [10, 33, 100]
    np.testing.assert_array_equal(other.loss[0, :, 0], [2.0, 1.5, 1.0])
    answer = harness("run", "--bench", "own/t", "--algo", "rs,hb", "--seeds", 2, "--evals", 3, "--max-fidelity", 33)
    assert answer.status == 0, answer.err


def test_a_pattern_stands_for_columns_that_nothing_else_names(bring: Bring) -> None:
    rows = "op_1,op_2,op_10,lr,v\na,b,c,1,1\n"
    table = brought(bring(rows, '[parameters]\nop_2 = ["b", "z"]\n"op_*" = "categorical"\n"*" = "float"'))
    assert [p.name for p in table.space.parameters] == ["op_2", "op_1", "op_10", "lr"]
    assert [p.kind for p in table.space.parameters] == ["ordinal", "categorical", "categorical", "ordinal"]


def test_a_tiny_share_of_hits_is_told(bring: Bring) -> None:
    rows = "a,b,c,v\n" + "".join(f"{i},{i},{i},{i}\n" for i in range(40))
    answer = bring(rows, '[parameters]\n"*" = "integer"')
    assert "40 of 64,000 configurations" in answer.out
    assert "of random proposals one in 1,600 is in the table: sampled = true" in answer.out


def test_every_proposal_of_a_sample_is_answered_by_its_nearest_row(bring: Bring, harness: Run) -> None:
    rng = np.random.default_rng(0)
    names = [f"p{i}" for i in range(9)]
    points = rng.uniform(size=(300, 9))
    rows = ",".join([*names, "op", "v"]) + "\n"
    rows += "".join(",".join(map(str, [*p, "ab"[i % 2], i / 300])) + "\n" for i, p in enumerate(points))
    answer = bring(rows, 'sampled = true\n[parameters]\n"p*" = "float"\nop = "categorical"')
    assert "300 of 3.9e+22 configurations" in answer.out
    assert "a proposal is answered by the nearest of them" in answer.out
    table = brought(answer)
    assert "a sample of its space" in table.facts.splits
    np.testing.assert_array_equal(table.rows(np.array(table.codes)), np.arange(300))
    asked = table.space.sample(rng.uniform(size=(200, 10)))
    place = np.concatenate([table.codes[:, :9] / 299, table.codes[:, 9:]], axis=1)
    apart = place[None] - np.concatenate([asked[:, :9] / 299, asked[:, 9:]], axis=1)[:, None]
    distance = np.square(apart).sum(axis=2)
    chosen = table.rows(asked)
    np.testing.assert_allclose(distance[np.arange(200), chosen], distance.min(axis=1), rtol=1e-5)
    contract: Any = type("Contract", (BenchmarkContract,), {"name": "own/t"})()
    for test in dir(BenchmarkContract):
        if test.startswith("test_"):
            getattr(contract, test)()
    ran = harness("run", "--bench", "own/t", "--algo", "rs,re,de,hb", "--seeds", 3, "--evals", 20)
    assert ran.status == 0, ran.err
    assert "a sample of its space" in " ".join(ran.err.split())


def test_nearest_takes_the_first_of_equals_and_does_not_depend_on_company() -> None:
    space = SearchSpace((Parameter("a", range(5), "ordinal"), Parameter("b", "xyz")))
    codes = np.array([[0, 0], [4, 0], [0, 1]])
    rows = nearest(space, codes)
    asked = np.array([[2, 0], [3, 0], [4, 2], [0, 2]])
    assert rows(asked).tolist() == [0, 1, 1, 0]
    assert [int(rows(one[None])[0]) for one in asked] == [0, 1, 1, 0]
