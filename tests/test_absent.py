"""Losses that a table lacks where regret is reported: counted, said, and never NaN in what leaves the program."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from conftest import Answer

from harness import Rules, registry
from harness.analysis import bounds
from harness.files import json_text

Harness = Callable[..., Answer]
TOML = (
    'name = "{0}"\ncitation = "made up"\nfile = "{0}.csv"\n[parameters]\nx = "integer"\n[validation]\ncolumn = "{1}"\n'
)


@pytest.fixture
def early(harness: Harness, data_folder: Path) -> Path:
    """The two best configurations after one epoch diverge before the second, which is reported."""
    rows = [f"{x},{0.9 - x / 20},{'' if x > 7 else 0.5 - x / 50},1,2" for x in range(10)]
    Path("early.csv").write_text("x,v_1,v_2,c_1,c_2\n" + "\n".join(rows))
    Path("early.toml").write_text(TOML.format("early", "v_{e}") + '[cost]\ncolumn = "c_{e}"\n')
    assert harness("data", "import", "early.toml").status == 0
    run = ("run", "--bench", "own/early", "--algo", "rs,re,hb", "--max-fidelity", 1, "--budget", 30, "--seeds", 10)
    answer = harness(*run, "--processes", 1, "--out", "e", "--log", "all")
    assert "have had incumbents whose training has no loss at fidelity 2; they count as 0.5," in answer.err.replace(
        "\n", ""
    )
    return Path("e")


def test_an_incumbent_without_a_loss_counts_as_the_worst_and_is_counted(harness: Harness, early: Path) -> None:
    rows = json.loads(harness("show", early, "--json").out, parse_constant=pytest.fail)
    assert [row["seeds_without_loss"] for row in rows] == [10, 10, 10]
    assert [row["val_loss_mean"] for row in rows] == pytest.approx([0.5] * 3)
    (seed, *_) = json.loads(harness("show", early, "--per-seed", "--json").out, parse_constant=pytest.fail)
    assert (seed["val_loss"], seed["val_regret"]) == (None, pytest.approx(0.14))


@pytest.mark.parametrize("figure", ["regret", "ranks", "ecdf-regret", "violin"])
def test_what_is_drawn_is_said(harness: Harness, early: Path, figure: str) -> None:
    answer = harness("plot", early, "--figure", figure, "-o", "out.svg")
    assert answer.status == 0
    assert "note: 10 of 10 seeds of re on own/early have had incumbents whose training has no loss" in answer.err


def test_the_page_is_json_and_says_it(harness: Harness, early: Path) -> None:
    assert harness("report", early, "-o", "e.html").status == 0
    page = Path("e.html").read_text()
    data = re.search(r'type="application/json"[^>]*>(.*?)</script>', page, re.DOTALL)
    assert data is not None
    json.loads(data.group(1), parse_constant=pytest.fail)
    assert "they count as 0.5, the highest in the table" in page
    compared = harness("compare", early)
    assert "hb is not told apart from re" in compared.out
    assert "note: 10 of 10 seeds of hb" in compared.err


def test_a_missing_test_loss_refuses_test_regret_only(harness: Harness, data_folder: Path) -> None:
    Path("miss.csv").write_text("x,v,t\n0,0.5,\n1,0.6,0.7\n2,0.7,0.8\n3,0.8,0.9\n")
    Path("miss.toml").write_text(TOML.format("miss", "v") + '[test]\ncolumn = "t"\n')
    assert harness("data", "import", "miss.toml").status == 0
    assert harness("run", "--bench", "own/miss", "--algo", "rs,re", "--seeds", 6, "--out", "m").status == 0
    assert harness("report", "m", "-o", "m.html").status == 0
    assert "Test regret is left out" in Path("m.html").read_text()
    assert harness("compare", "m").status == 0
    harness("compare", "m", "--kind", "test").refuses(
        "lacks the test loss of incumbents that 6 of 6 seeds", "--kind val"
    )
    harness("plot", "m", "--kind", "test", "-o", "m.svg").refuses("lacks the test loss", "--kind val")


def test_bounds_count_a_row_without_a_loss_as_the_worst(harness: Harness, early: Path) -> None:
    table = registry.benchmark("own/early")
    regrets = bounds.regrets(table, Rules(evals=1), "val")
    assert regrets[8:].tolist() == [regrets[:8].max()] * 2
    _, mean = bounds.random_search(table, Rules(budget=30.0, max_fidelity=1), "val", 30.0)
    assert np.isfinite(mean).all()


def test_json_has_no_numbers_that_json_does_not_have() -> None:
    text = json_text({"a": [math.nan, (1.0, -math.inf)], "b": {"c": np.float64("nan")}})
    assert json.loads(text, parse_constant=pytest.fail) == {"a": [None, [1.0, None]], "b": {"c": None}}
