"""The numbers of results as files."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import harness as h


@pytest.mark.parametrize("ending", ["csv", "parquet", "json"])
def test_what_is_exported_is_what_python_gives(harness: Callable[..., Any], ending: str) -> None:
    h.run("rs,re", "nb201", seeds=5, evals=20, out="results", processes=1, quiet=True)
    loaded = h.load("results")
    read: Any = {
        "csv": partial(pd.read_csv, dtype=str),
        "parquet": pd.read_parquet,
        "json": lambda path: pd.DataFrame(json.loads(Path(path).read_text(encoding="utf-8"))),
    }[ending]
    for what, frame, options in (
        ("curves", loaded.curves(points=9), ("--points", 9)),
        ("curves", loaded.curves(seeds=False, times=[1e4]), ("--mean", "--at", "1e4")),
        ("trials", loaded.trials(), ()),
        ("incumbents", loaded.incumbents(), ()),
        ("summary", loaded.summary([1e4]), ("--at", "1e4")),
    ):
        answer = harness("export", what, "results", "-o", f"x.{ending}", *options)
        assert answer.status == 0, answer.err
        written = read(f"x.{ending}")
        assert [*written.columns] == [*frame.columns]
        for name in frame.columns:
            for a, b in zip(written[name], frame[name], strict=True):
                number = isinstance(a, str) and not isinstance(b, str)  # of a text, which pandas rounds
                assert (pd.isna(a) and pd.isna(b)) or (json.loads(a.lower()) if number else a) == b, (what, name)
    ranks = harness("export", "ranks", "results", "-o", f"x.{ending}", "--algo", "re,rs")
    assert ranks.status == 0
    assert {*read(f"x.{ending}")["algorithm"]} == {"rs", "re"}
    harness("export", "trials", "results", "-o", "x.xls").refuses("cannot write numbers as 'x.xls'", "csv, .parquet")
    assert not Path("x.xls").exists()


def test_numbers_are_valid_json(harness: Callable[..., Any]) -> None:
    h.run("rs", "hpobench", seeds=2, evals=3, out="results", processes=1, quiet=True)
    assert harness("export", "curves", "results", "-o", "x.json").status == 0
    rows = json.loads(Path("x.json").read_text(encoding="utf-8"))
    assert rows[-1]["test_regret"] is None
    assert rows[-1]["val_regret"] >= 0


def test_a_row_is_shown(harness: Callable[..., Any]) -> None:
    shown = json.loads(harness("show", "nb201:6111", "--json").out)
    assert shown["row"] == 6111
    assert shown["configuration"]["architecture"].startswith("|nor_conv")
    assert "edge_0_1" in harness("show", "nb201:6111").out
    harness("show", "nb201:99999").refuses("nb201/cifar10 has no row 99999", "its rows are 0 to 15,624")


def test_what_differs_between_rows_is_shown(harness: Callable[..., Any]) -> None:
    h.run("rs", "nb201", seeds="3:6", evals=5, workers=2, out="results", processes=1, quiet=True)
    h.run("rs", "nb201", seeds="3:6", evals=6, workers=2, out="results", processes=1, quiet=True)
    out = harness("show", "results").out
    assert all(word in out for word in ("workers", "evals limit", "study", "3:6"))
    assert "overhead" not in out
