"""Comparisons: the tests are those they are said to be, formats agree, and mixtures are refused."""

from __future__ import annotations

import csv
import io
import itertools
import json
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest
from scipy import stats

from harness import HarnessError, Rules
from harness.analysis.comparison import Comparison, compare, sentences
from harness.report.comparison import FORMATS
from harness.statistics import holm
from harness.studies.evaluate import evaluate
from harness.studies.outcome import Outcome
from harness.studies.study import Study
from harness.testing import synthetic_table

Harness = Callable[..., Any]


def outcome(algorithm: str, table: int = 3, seeds: int = 40, first: int = 0, **rules: Any) -> Outcome:
    data = synthetic_table(table, sizes=(5, 5, 5, 5), missing=0.0)
    settings = Rules(**{"budget": 800.0, **rules})
    study = Study.plan(data, algorithm, {}, first, first + seeds, settings)
    study = replace(study, benchmark=f"synthetic/{table}")
    return evaluate(study, table=data)


NAMES = ("rs", "re", "ls")


@cache
def studied() -> list[Outcome]:
    return [outcome(name, table) for table in (3, 4) for name in NAMES]


def test_cells_and_tests_are_those_of_scipy() -> None:
    found = compare(studied(), "val", at=(800.0, 200.0))
    assert [(row.benchmark, row.time) for row in found.rows] == [
        (f"synthetic/{table}", time) for table in (3, 4) for time in (200.0, 800.0)
    ]
    expected = []
    for row in found.rows:
        of_row = {
            o.study.label: o.regret("val", np.array([row.time]))[:, 0]
            for o in studied()
            if o.study.benchmark == row.benchmark
        }
        best = min(of_row, key=lambda name: of_row[name].mean())
        assert row.cells[best].worse is None
        for name in NAMES:
            assert row.cells[name].mean == pytest.approx(of_row[name].mean())
            assert row.cells[name].sem == pytest.approx(stats.sem(of_row[name]))
            if name != best:
                difference = of_row[name] - of_row[best]
                expected.append(stats.wilcoxon(difference, zero_method="pratt", alternative="greater").pvalue)
    cells = [c for row in found.rows for c in row.cells.values() if c.worse is not None]
    assert [c.worse for c in cells] == pytest.approx(holm(np.array(expected)).tolist())
    assert [c.top for c in cells] == [c.worse >= 0.05 for c in cells]  # type: ignore[operator]
    assert {c.top for c in cells} == {True, False}


def test_duels_are_of_all_pairs_at_the_last_time() -> None:
    found = compare(studied(), "test", at=(200.0, 800.0))
    assert [(d.benchmark, d.first, d.second) for d in found.duels] == [
        (f"synthetic/{table}", a, b) for table in (3, 4) for a, b in itertools.combinations(NAMES, 2)
    ]
    duel = found.duels[0]
    a, b = (o.regret("test", np.array([800.0]))[:, 0] for o in studied()[:2])
    assert duel.means == pytest.approx((a.mean(), b.mean()))
    assert duel.improvement.value == pytest.approx(stats.mannwhitneyu(b, a).statistic / 1600)
    assert duel.improvement.low < duel.improvement.value < duel.improvement.high


def test_sentences_name_the_better_first() -> None:
    (one,) = sentences(compare([studied()[0], studied()[2]], "val"))
    assert one.startswith("On synthetic/3 at 800 s, ls has a lower validation regret than rs: ")
    assert "in the mean of 40 seeds, and a run of ls is better with probability 0." in one
    assert sentences(compare([studied()[2], studied()[0]], "val"))[0][:60] == one[:60]
    many = sentences(compare(studied(), "val"))
    assert len(many) == 3
    assert many[1].startswith("ls has a lower validation regret than rs on 1 of 2 benchmarks, a higher one on 0")
    same = replace(studied()[0], study=replace(studied()[0].study, algorithm="twin"))
    (twins,) = sentences(compare([studied()[0], same], "val"))
    assert "rs is not told apart from twin" in twins
    assert "with probability 0.50" in twins
    assert "p = 1," in twins


def test_formats_hold_the_same_numbers() -> None:
    found = compare(studied(), "val")
    data = json.loads(FORMATS["json"](found))
    lines = list(csv.DictReader(io.StringIO(FORMATS["csv"](found))))
    cells = [(row["benchmark"], name, cell) for row in data["rows"] for name, cell in row["cells"].items()]
    assert [(b, n, c["mean"]) for b, n, c in cells] == [
        (r["benchmark"], r["algorithm"], float(r["mean"])) for r in lines
    ]
    assert data["sentences"] == sentences(found)
    top = sum(cell["top"] for _, _, cell in cells)
    markdown, latex = FORMATS["markdown"](found), FORMATS["latex"](found)
    assert markdown.count("**") == 2 * top
    assert latex.count("\\mathbf") == top
    assert latex.count("\\\\\n") == 3
    for rule in ("toprule", "midrule", "bottomrule"):
        assert latex.count(f"\\{rule}") == 1


def test_latex_escapes_names() -> None:
    study = replace(studied()[0].study, algorithm="my_algo")
    text = FORMATS["latex"](compare([replace(studied()[0], study=study), studied()[1]], "val"))
    assert "my\\_algo" in text.split("\\begin")[1]


def test_a_benchmark_may_lack_an_algorithm() -> None:
    found = compare(studied()[:5], "val")
    assert "| – |" in FORMATS["markdown"](found)
    assert " & -- \\\\" in FORMATS["latex"](found)


def refused(outcomes: list[Outcome], message: str, **settings: Any) -> None:
    with pytest.raises(HarnessError, match=message):
        _: Comparison = compare(outcomes, settings.pop("kind", "val"), **settings)


@pytest.mark.parametrize(
    "rules",
    [{"budget": 700.0}, {"evals": 99}, {"noise": "mean"}, {"incumbent": "any"}, {"workers": 2}, {"overhead": 1.0}],
)
def test_studies_under_other_rules_are_refused(rules: dict[str, Any]) -> None:
    (name,) = rules
    refused(
        [studied()[0], outcome("re", **rules)], f"cannot be compared: rules.{name} is .* in one and .* in the other"
    )


def test_what_cannot_be_compared_is_refused() -> None:
    first = studied()[0]
    other = replace(studied()[1], study=replace(studied()[1].study, table="f" * 64))
    refused([first, other], "cannot be compared: table is")
    refused([first, outcome("re", seeds=41)], "cannot be paired: seeds are 0:40 in one and 0:41 in the other")
    refused([first, outcome("re", first=1)], "cannot be paired")
    refused([outcome("rs", seeds=1)], "has 1 seed; a test needs at least 2")
    refused([first, first], "several studies of rs on synthetic/3")
    refused([first], "has seeds without a result at 0.1 s", at=[0.1])
    refused([], "there are no studies to compare")
    absent = replace(first, reference=replace(first.reference, test_optimum=None))
    refused([absent], "no test metric in the table of synthetic/3", kind="test")


def test_compare_command(harness: Harness) -> None:
    harness("run", "--algo", "rs,re", "--bench", "nb201", "--seeds", "20", "--budget", "1e6", "--processes", "1")
    answer = harness("compare", "results")
    assert answer.status == 0
    assert answer.out.startswith("On nb201/cifar10 at 1e+06 s, re has a lower validation regret than rs: ")
    assert "±" in answer.err
    assert "Bold: the lowest mean" in answer.err
    for form in ("markdown", "latex", "csv", "json"):
        assert "nb201/cifar10" in harness("compare", "results", "--format", form, "--at", "1e5,1e6").out
    harness(
        "run",
        "--algo",
        "rs,re",
        "--bench",
        "hpobench",
        "--seeds",
        "4",
        "--evals",
        "5",
        "--processes",
        "1",
        "--out",
        "h",
    )
    assert harness("compare", "h", "--kind", "test").status == 2
    assert "there is nothing at nowhere" in harness("compare", "nowhere").err
    assert "did you mean latex" in harness("compare", "results", "--format", "latx").err
