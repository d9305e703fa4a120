"""Comparisons: the tests are those they are said to be, formats agree, and mixtures are refused."""

from __future__ import annotations

import csv
import io
import itertools
import json
import math
import re
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest
from rich.table import Table as Grid
from scipy import stats

from harness import HarnessError, Rules
from harness.analysis.comparison import Comparison, compare
from harness.analysis.measures import log_areas, time_spent, time_to
from harness.numbers import mean_sem, number, quartiles, ratio
from harness.plots import draw
from harness.report import tables
from harness.report.comparison import FORMATS
from harness.report.sentences import sentences
from harness.statistics import holm, speed_up
from harness.studies.evaluate import evaluate
from harness.studies.outcome import Outcome, summary
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


def test_duels_are_of_all_pairs_at_every_time() -> None:
    found = compare(studied(), "test", at=(200.0, 800.0))
    assert [(d.benchmark, d.time, d.first, d.second) for d in found.duels] == [
        (f"synthetic/{table}", time, a, b)
        for table in (3, 4)
        for time in (200.0, 800.0)
        for a, b in itertools.combinations(NAMES, 2)
    ]
    duel = found.duels[3]
    a, b = (o.regret("test", np.array([800.0]))[:, 0] for o in studied()[:2])
    assert duel.centres == pytest.approx((a.mean(), b.mean()))
    assert duel.improvement.value == pytest.approx(stats.mannwhitneyu(b, a).statistic / 1600)
    assert duel.improvement.low < duel.improvement.value < duel.improvement.high


def test_medians_are_told_with_quartiles() -> None:
    found = compare(studied(), "val", statistic="median")
    for row in found.rows:
        for name, cell in row.cells.items():
            (of_row,) = [o for o in studied() if (o.study.benchmark, o.label) == (row.benchmark, name)]
            regret = of_row.regret("val", np.array([row.time]))[:, 0]
            assert (cell.low, cell.median, cell.high) == pytest.approx(np.percentile(regret, [25, 50, 75]))
        assert row.cells[min(row.cells, key=lambda n: row.cells[n].median)].worse is None
    assert found.duels[0].centres[0] == found.rows[0].cells["rs"].median
    for form in ("markdown", "latex"):
        text = FORMATS[form](found)
        assert "median [quartiles]" in text
        assert "±" not in text.split("Bold")[1]
    assert "in the median of 40 seeds" in sentences(compare(studied()[:2], "val", statistic="median"))[0]


def test_a_median_is_shown_and_drawn_with_quartiles() -> None:
    row = summary(studied()[0])
    regret = studied()[0].regret("val", np.array([800.0]))[:, 0]
    told = [row[f"val_regret_{name}"] for name in ("q25", "median", "q75")]
    assert told == pytest.approx(np.percentile(regret, [25, 50, 75]))
    grid, *lines = tables.summaries(studied()[:1], [row], "median")
    assert isinstance(grid, Grid)
    assert f"{quartiles(told[1], told[0], told[2])}" in [*grid.columns[3].cells]
    assert "median [quartiles] over seeds" in str(lines[0])
    axis = draw(studied()[:1], {"statistic": "median"}).axes[0]
    assert np.asarray(axis.lines[0].get_ydata())[-1] == pytest.approx(told[1])
    with pytest.raises(HarnessError, match="the band 'sem' is one of means"):
        draw(studied()[:1], {"statistic": "median", "band": "sem"})


def test_all_of_time_is_judged_by_areas() -> None:
    found = compare(studied(), "val")
    assert [(a.benchmark, a.first, a.second) for a in found.areas] == [
        (f"synthetic/{table}", a, b) for table in (3, 4) for a, b in itertools.combinations(NAMES, 2)
    ]
    area = found.areas[0]
    rs, re = log_areas(studied()[:2], "val", area.start, area.end)
    assert area.ratio.value == pytest.approx(10 ** (rs - re).mean())
    assert area.start == max(o.first_times().max() for o in studied()[:3])
    raw = [
        stats.wilcoxon(a - b, zero_method="pratt").pvalue
        for same in (studied()[:3], studied()[3:])
        for a, b in itertools.combinations(log_areas(same, "val", max(o.first_times().max() for o in same), 800.0), 2)
    ]
    assert [a.p for a in found.areas] == pytest.approx(holm(np.array(raw)).tolist())
    assert any("over log time" in text and "[" not in text for text in sentences(found))
    one = sentences(compare(studied()[:2], "val"))[1]
    assert one.startswith(f"On synthetic/3 over log time from {area.start:.4g} to 800 s, ")


def test_speed_ups_are_sentences_with_intervals() -> None:
    regrets = np.concatenate([o.regret("val", np.array([800.0])) for o in studied()[:3]])
    reached, never = float(np.quantile(regrets, 0.8)), -1.0
    found = compare(studied()[:3], "val", targets=[reached, never], against="re")
    assert [(s.target, s.first, s.second) for s in found.speed_ups] == [
        (target, name, "re") for target in (reached, never) for name in ("rs", "ls")
    ]
    one, two = ((time_to(o, "val", reached), time_spent(o)) for o in studied()[:2])
    assert found.speed_ups[0].ratio == speed_up(one, two, np.random.default_rng(0))
    said = sentences(found)[-4:]
    assert all(" sooner than " in text and "95 % interval" in text for text in said[:2])
    assert said[2] == "On synthetic/3, neither rs nor re reaches a validation regret of -1 in 40 runs."
    first = dict.fromkeys(o.label for o in studied())
    assert {s.second for s in compare(studied(), "val", targets=[1.0]).speed_ups} == {next(iter(first))}
    with pytest.raises(HarnessError, match="to hold the others against 'rx'"):
        compare(studied()[:3], "val", targets=[1.0], against="rx")


def test_that_nothing_is_left_to_tell_apart_is_said() -> None:
    assert not compare(studied()[:3], "val", at=(200.0,)).notes
    ended = [replace(o, trajectory=replace(o.trajectory, finished=np.ones(40, np.bool_))) for o in studied()[:3]]
    (note,) = compare(ended, "val").notes
    assert "on synthetic/3 at 800 s, runs of rs (100%), re (100%), ls (100%) have observed the lowest loss" in note
    assert note in FORMATS["markdown"](compare(ended, "val"))


def test_sentences_name_the_better_first() -> None:
    (one, _) = sentences(compare([studied()[0], studied()[2]], "val"))
    assert one.startswith("On synthetic/3 at 800 s, ls has a lower validation regret than rs: ")
    assert "in the mean of 40 seeds, and a run of ls is better with probability 0." in one
    assert sentences(compare([studied()[2], studied()[0]], "val"))[0][:60] == one[:60]
    many = sentences(compare(studied(), "val"))
    assert len(many) == 6
    assert many[2].startswith("ls has a lower validation regret than rs on 1 of 2 benchmarks, a higher one on 0")
    same = replace(studied()[0], study=replace(studied()[0].study, algorithm="twin"))
    (twins, over) = sentences(compare([studied()[0], same], "val"))
    assert "rs is not told apart from twin" in twins
    assert "with probability 0.50" in twins
    assert "p = 1," in twins
    assert "1 times [1, 1] as much in the geometric mean" in over


def test_numbers_are_written_in_one_way() -> None:
    assert [number(x) for x in (0.0, 0.0336, 0.117, 1234.0, 12340.0, 3.59e-4, math.inf)] == [
        *("0", "0.03360", "0.1170", "1234", "1.23e+04", "3.59e-04", "∞")
    ]
    assert mean_sem(0.0, 0.0) == "0 ± 0"
    assert mean_sem(0.0138, 0.0006) == "0.01380 ± 0.00060"
    assert quartiles(1.0357e-3, 0.0, 1.0357e-3) == "1.04e-03 [0, 1.04e-03]"
    assert ratio(1.5, 1.234, math.inf, " times") == "1.5 times [1.23, ∞]"
    assert ratio(math.nan) == "–"


def test_sentences_have_the_numbers_of_the_table() -> None:
    found = compare([studied()[0], studied()[2]], "val")
    cells = found.rows[0].cells
    first, second = (number(cells[label].mean) for label in ("ls", "rs"))
    assert f"{first} against {second} in the mean" in sentences(found)[0]


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
    assert latex.count("\\mathbf") == len(found.rows)
    assert latex.count("\\underline") == top - len(found.rows)
    assert latex.count("\\\\\n") == 3 + len(NAMES)
    row, names = found.rows[0], [*found.rows[0].cells]
    exponent = math.floor(math.log10(min(cell.mean for cell in row.cells.values())))
    assert f"$\\times 10^{{{exponent}}}$" in latex.split("\\midrule")[0]
    for name in names:
        line = next(line for line in latex.splitlines() if line.startswith(f"{name} & "))
        mean, sem = map(float, re.findall(r"[\d.]+", line.split(" & ")[1])[:2])
        assert mean == pytest.approx(row.cells[name].mean / 10**exponent, abs=0.005)
        assert sem == pytest.approx(row.cells[name].sem / 10**exponent, abs=0.005)
    for rule in ("toprule", "midrule", "bottomrule"):
        assert latex.count(f"\\{rule}") == 1


def test_latex_escapes_names() -> None:
    study = replace(studied()[0].study, algorithm="my_algo")
    text = FORMATS["latex"](compare([replace(studied()[0], study=study), studied()[1]], "val"))
    assert "my\\_algo" in text.split("\\begin")[1]


def test_a_benchmark_may_lack_an_algorithm() -> None:
    found = compare(studied()[:5], "val")
    assert "| – |" in FORMATS["markdown"](found)
    assert " & --" in FORMATS["latex"](found)


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
