"""Algorithms on top of a trained super-network."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from ranks import TINY_FILE

from harness import registry
from harness.analysis.comparable import comparable
from harness.analysis.comparison import require_comparable
from harness.sharing import log, then
from harness.sharing.then import Score, Scores
from harness.studies.store import read
from harness.train.devices import device_of
from harness.train.images import load

SEARCH = ("search", "--space", "digits201", "--data", "digits", "--device", "cpu", "--recipe", "tiny.toml")


@pytest.fixture(autouse=True)
def _tiny() -> None:
    Path("tiny.toml").write_text(TINY_FILE)
    torch.set_num_threads(1)


def test_what_an_algorithm_finds_is_a_study(harness: Callable[..., Any]) -> None:
    sampling = (*SEARCH, "--method", "rsps", "--param", "rsps.samples=2", "--out", "r")
    answer = harness(*sampling, "--then", "re,hb", "--param", "re.population=5", "--evals", 14, "--json")
    assert answer.status == 0, answer.err
    rows = [row for row in json.loads(answer.out) if "+" in row["method"]]
    assert {row["method"] for row in rows} == {"rsps + re(population=5)", "rsps + hb"}
    files = {path: then.FORM.read(path) for path in Path("r/searches/then").glob("*.parquet")}
    table = registry.benchmark("digits201/digits")
    (before,) = [log.read(path) for path in Path("r/searches").glob("*.parquet")]
    images = load("digits", None, before.search.recipe, device_of("cpu"))
    scorer = log.scorer_of(before.search, images, log.weights_path(Path("r"), before.search), device_of("cpu"))
    for scores in files.values():
        seconds = [scores.trained, *(row.seconds for row in scores.rows)]
        assert seconds == sorted(seconds)
        assert seconds[0] == then.trained(before) < before.rows[-1].seconds
        assert len(scores.rows) == 14
        assert {row.images for row in scores.rows} <= {79, 239, 719}
        whole = [row for row in scores.rows if row.images == 719]
        codes = np.array([row.codes for row in whole])
        np.testing.assert_allclose(scorer(codes), [row.accuracy for row in whole])
        best = max(whole, key=lambda row: row.accuracy)
        (row,) = [r for r in rows if r["method"].endswith(scores.sequel.label) and r["none"]]
        assert row["one_shot_accuracy"] == best.accuracy
        at = table.rows(np.array(best.codes)[None])[0]
        assert row["regret"] == pytest.approx(table.mean_loss[at, -1] - table.optimum.value)
    assert any(row.images < 719 for scores in files.values() for row in scores.rows)
    params = [study["params"] for study in json.loads(harness("show", "r", "--json").out)]
    assert {"samples": 2, "then": "hb", "evals": 14, "none": True} in params
    assert harness("run", "--algo", "re", "--bench", "digits201", "--seeds", 1, "--evals", 5, "--out", "r").status == 0
    outcomes = [read(path) for path in Path("r").glob("*.parquet")]
    kept, told = comparable(outcomes, paired=False)
    assert (len(kept), told) == (len(outcomes), [])
    assert {"re", "rsps(samples=2, none=True)"} <= {one.label for one in kept}
    require_comparable(kept)
    again = harness(*sampling, "--then", "re,hb", "--param", "re.population=5", "--evals", 14)
    assert "seed 0 ..." not in again.err


def test_the_incumbent_is_the_best_on_most_images() -> None:
    search: Any = type("Search", (), {"space": "digits201"})
    rows = [
        Score(float(i), images, codes, 0.0, accuracy)
        for i, (images, codes, accuracy) in enumerate(
            [(9, (0,) * 6, 0.9), (27, (1,) * 6, 0.5), (9, (2,) * 6, 0.95), (27, (2,) * 6, 0.4), (27, (0,) * 6, 0.6)]
        )
    ]
    scores = Scores(type("Sequel", (), {"search": search}), 0.0, rows)  # type: ignore[arg-type]
    assert [better for _, better in then.incumbents(scores, none=True)] == [True, True, False, False, True]
    without = then.incumbents(scores, none=False)
    assert [(row.seconds, better) for row, better in without] == [(1.0, True), (2.0, False), (3.0, False)]


@pytest.mark.parametrize(
    ("given", "message", "hint"),
    [
        (("--method", "darts", "--then", "re"), "darts trains mixtures of operators", "--then goes with rsps"),
        (("--then", "re"), "--then goes on from methods", "--method rsps --then re"),
        (("--method", "rsps", "--evals", "5"), "--evals are scores of --then", "--then re"),
        (("--method", "rsps", "--budget", "5"), "--budget is of searches by --algo", "leave it out"),
        (("--method", "rsps", "--then", "nothing"), "unknown algorithm 'nothing'", "harness list"),
    ],
)
def test_what_does_not_fit_is_refused(harness: Callable[..., Any], given: Any, message: str, hint: str) -> None:
    harness(*SEARCH, *given).refuses(message, hint)
