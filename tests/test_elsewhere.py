"""What was found on one table, reported on another of the same space, and published numbers beside ours."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conftest import Answer

from harness import HarnessError, Rules, registry
from harness.analysis import reproduction
from harness.plots import draw
from harness.report import published
from harness.studies.evaluate import evaluate
from harness.studies.outcome import Outcome, reported, summary
from harness.studies.study import Study

Harness = Callable[..., Answer]
SHORT = Rules(budget=4000.0, max_fidelity=12, report_fidelity=200)


def outcome(benchmark: str, rules: Rules, algorithm: str = "rs", seeds: int = 4) -> Outcome:
    table = registry.benchmark(benchmark)
    study = Study.plan(table, algorithm, {}, 0, seeds, rules)
    return evaluate(study, table=table)


def test_picks_are_measured_by_the_other_table() -> None:
    found = outcome("nb201-mf/cifar10", SHORT)
    (there,) = reported([found], "nb201/cifar100")
    other = registry.benchmark("nb201/cifar100")
    last = found.trajectory.at(np.array([found.end]))[:, 0]
    cells = registry.benchmark("nb201-mf/cifar10").codes[found.trajectory.row[last]]
    rows = other.rows(cells)
    test = other.test_at(len(other.fidelities) - 1)
    assert test is not None
    np.testing.assert_array_equal(there.loss("val", np.array([found.end]))[:, 0], other.mean_loss[rows, -1])
    np.testing.assert_array_equal(there.loss("test", np.array([found.end]))[:, 0], test[rows])
    assert there.reference.optimum == other.optimum.value
    assert (there.regret("val", np.array([found.end])) >= 0).all()
    assert summary(there)["benchmark"] == "nb201/cifar100 of nb201-mf/cifar10"
    assert there.trajectory is found.trajectory


def test_on_the_table_that_was_searched_nothing_changes() -> None:
    found = outcome("nb201", Rules(budget=2e4))
    (same,) = reported([found], "nb201/cifar10")
    assert summary(same) == summary(found)


def test_a_stored_study_gains_the_test_losses_that_its_table_has_gained() -> None:
    found = outcome("nb201", Rules(budget=2e4))
    before = replace(
        found, test_loss=np.full_like(found.test_loss, np.nan), reference=replace(found.reference, test_optimum=None)
    )
    assert summary(before)["test_regret_mean"] is None
    assert summary(before.renewed()) == summary(found)
    assert found.renewed() is found


def test_another_space_is_refused() -> None:
    with pytest.raises(HarnessError, match=r"nb201/cifar10 found cannot be reported on hpobench/car"):
        reported([outcome("nb201", Rules(evals=3))], "hpobench/car")


def test_show_reports_on_another_table(harness: Harness) -> None:
    run = ("--seeds", "3", "--budget", "4000", "--max-fidelity", "12", "--report-fidelity", "200")
    assert harness("run", "--algo", "rs", "--bench", "nb201-mf", *run).status == 0
    (row,) = json.loads(harness("show", "results", "--on", "nb201/cifar100", "--json").out)
    assert row["benchmark"] == "nb201/cifar100 of nb201-mf/cifar10"
    assert row["val_optimum"] == pytest.approx(0.265066667)
    harness("show", "results", "--on", "nb201/cifar1000").refuses("unknown benchmark", "nb201/cifar100")
    harness("show", "nb201", "--on", "nb201/cifar100").refuses("no results at nb201", "harness run")


def test_one_figure_of_both_kinds_and_of_another_table() -> None:
    outcomes = [outcome(f"nb201/{dataset}", Rules(budget=6e4)) for dataset in ("cifar10", "cifar100", "imagenet16-120")]
    figure = draw(outcomes, {"figure": "regret", "kind": "both"})
    assert [axis.get_title()[:3] for axis in figure.axes] == ["(a)", "(b)", "(c)", "(d)", "(e)", "(f)"]
    assert [axis.get_ylabel() for axis in figure.axes] == ["validation regret"] * 3 + ["test regret"] * 3
    elsewhere = draw(outcomes[:1], {"on": "nb201/cifar100"})
    assert elsewhere.axes[0].get_title() == "NAS-Bench-201, cifar100"
    with pytest.raises(HarnessError, match="no bounds of what is reported on nb201/cifar100"):
        draw(outcomes[:1], {"on": "nb201/cifar100", "bounds": ["floor"]})
    with pytest.raises(HarnessError, match=r"kind 'both'\. choose from test, val"):
        draw(outcomes, {"figure": "violin", "kind": "both"})


def test_published_numbers_beside_ours(tmp_path: Path) -> None:
    path = tmp_path / "two.toml"
    path.write_text(
        """title = "a"
source = "b"
seeds = 3
[[studies]]
algo = ["rs"]
bench = ["nb201"]
[[published]]
on = "nb201/cifar100"
val.rs = [70.93, 1.09]
"""
    )
    recipe, found = reproduction.load(path), outcome("nb201-mf/cifar10", SHORT)
    (label, on, kind, theirs, ours), (*same, nothing, _) = published.rows(recipe, [found])
    assert (same, nothing) == (["rs", "nb201/cifar100", "test"], "–")
    assert (label, on, kind, theirs) == ("rs", "nb201/cifar100", "val", "70.93 ± 1.09")
    (there,) = reported([found], on)
    assert float(ours.split()[0]) == round(100 * (1 - there.loss("val", np.array([found.end])).mean()), 2)
    with pytest.raises(HarnessError, match="numbers of rs, and no study of it"):
        published.rows(recipe, [])
    path.write_text(path.read_text().replace("[70.93, 1.09]", "70.93"))
    with pytest.raises(HarnessError, match="is a list of 2"):
        reproduction.load(path)
