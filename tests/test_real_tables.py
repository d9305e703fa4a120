"""Kinds of fault that real tables show: what is in a table's cells, its clock, its rungs and its names."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from algorithms.external import library
from harness import HarnessError, Parameter, Rules, SearchSpace, Table, registry, simulate
from harness.cli.train import tensorboard_writer
from harness.params import resolve
from harness.plots.regret import curve as regret_curve
from harness.plots.regret import regret_figure
from harness.studies.cluster import Cluster
from harness.studies.evaluate import evaluate
from harness.studies.plan import plan
from harness.studies.reference import least_regret
from harness.studies.store import find, read, write
from harness.studies.study import Study
from harness.testing import synthetic_table

Run = Callable[..., Any]


@pytest.fixture
def bring(harness: Run, data_folder: Path) -> Callable[..., str]:
    """`bring(csv, toml)` imports a table of one's own, `own/t` unless its TOML says otherwise; what was printed."""

    def imported(csv: str, toml: str = "") -> str:
        Path("t.csv").write_text(csv, encoding="utf-8")
        Path("t.toml").write_text(f'name = "t"\ncitation = "none"\nfile = "t.csv"\n{toml}', encoding="utf-8")
        answer = harness("data", "import", "t.toml")
        assert answer.status == 0, answer.err
        return str(answer.out)

    return imported


PARAMETERS = '[parameters]\nx = "integer"\n[validation]\ncolumn = "v"\n'
COST = '[cost]\ncolumn = "s"\n'


def test_a_training_that_diverged_costs_what_it_took(bring: Callable[..., str]) -> None:
    lines = [f"{x},{'' if x % 2 else 0.1 + x / 100},100" for x in range(40)]
    said = bring("x,v,s\n" + "\n".join(lines), PARAMETERS + COST)
    assert "20 of their entries without a loss (20 at the cost that they had)" in said
    rules = Rules(budget=1000.0, log="all")
    run = simulate(registry.benchmark("own/t"), registry.algorithm("rs"), seeds=np.arange(50), rules=rules)
    assert (run.evaluations == 10).all()
    assert 0.4 < np.isinf(run.loss).mean() < 0.6


def test_a_repeat_that_diverged_is_drawn_as_often_as_others(bring: Callable[..., str]) -> None:
    bring("x,r,v,s\n1,1,,7\n1,2,.5,9\n1,3,.6,9\n1,4,,\n", PARAMETERS + COST + '[repeat]\ncolumn = "r"\n')
    table = registry.benchmark("own/t")
    np.testing.assert_array_equal(table.cost[0, 0], [9, 9, 7, np.nan])
    run = simulate(table, registry.algorithm("rs"), seeds=np.arange(900), rules=Rules(evals=1, log="all"))
    assert np.bincount(run.repeat).tolist() == pytest.approx([300, 300, 300], abs=60)
    assert {*run.time[np.isinf(run.loss)]} == {7.0}


def test_seconds_below_zero_are_refused_beside_no_loss_too(harness: Run, data_folder: Path) -> None:
    Path("t.csv").write_text("x,v,s\n1,.5,3\n2,,-1\n")
    Path("t.toml").write_text('name = "t"\ncitation = "none"\nfile = "t.csv"\n' + PARAMETERS + COST)
    answer = harness("data", "import", "t.toml")
    assert answer.status == 2
    assert "column 's', row 2: '-1' is not a number of seconds." in answer.err


HIGH = "x,e,v\n" + "\n".join(f"{x},{e},{x / e}" for x in range(5) for e in (80, 120, 200)) + "\n"
LONG = '[fidelity]\ncolumn = "e"\n'


def test_halving_with_a_single_rung_says_what_it_is(harness: Run, bring: Callable[..., str]) -> None:
    bring(HIGH, PARAMETERS + LONG)

    def said(**given: Any) -> list[str]:
        told: list[str] = []
        plan(["rs", "hb", "sh", "asha", "bohb", "dehb"], ["own/t"], range(2), given, told.append, evals=3)
        return told

    halving = "on own/t: halving by 3 has a single rung (none of the table's is 3 times below 200), so this is"
    rest = ["random search"] * 3 + ["BOHB's model-based search alone", "asynchronous differential evolution alone"]
    names = ["hb", "sh", "asha", "bohb", "dehb"]
    assert said() == [f"note: {a} {halving} {b}." for a, b in zip(names, rest, strict=True)]
    assert len(said(hb={"eta": 2}, dehb={"eta": 2})) == 3
    assert len(said(hb={"eta": 2, "min_fidelity": 200})) == 5


def test_seconds_that_are_all_0_are_no_clock(harness: Run, bring: Callable[..., str]) -> None:
    bring("x,v,s\n1,.5,0\n2,.7,0\n3,.9,0\n", PARAMETERS + COST)
    table = registry.benchmark("own/t")
    assert (table.facts.unit, table.facts.budget) == ("evaluations", 200.0)
    assert (table.cost == 1).all()
    free = replace(table, cost=np.zeros_like(table.cost), source="free")
    with pytest.raises(HarnessError, match="all trainings of own/t cost 0"):
        simulate(free, registry.algorithm("rs"), seeds=np.arange(2), rules=Rules(evals=3))


@pytest.mark.parametrize("cost", ["", COST])
def test_without_seconds_a_training_costs_its_fidelity(cost: str, harness: Run, bring: Callable[..., str]) -> None:
    lines = [f"{x},{e},{'' if (x, e) == (1, 9) else (x + 1) / e},0" for x in range(6) for e in (1, 3, 9)]
    bring("x,e,v,s\n" + "\n".join(lines), PARAMETERS + LONG + 'name = "epochs"\n' + cost)
    table = registry.benchmark("own/t")
    np.testing.assert_array_equal(table.cost[..., 0], [[1, 3, 9]] * 6)
    assert table.facts.cost == "epochs: the table has no seconds above 0"
    run = harness("run", "--bench", "own/t", "--algo", "rs,hb", "--seeds", 6, "--budget", 50, "--processes", 1)
    assert "time (epochs)" in run.err
    assert "On own/t at 50 epochs" in harness("compare", "results").out
    assert "| benchmark | time (epochs) |" in harness("compare", "results", "--format", "markdown").out
    assert harness("report", "results", "-o", "page.html").status == 0
    page = Path("page.html").read_text()
    assert '"unit": "epochs"' in page or '"unit":"epochs"' in page
    assert "to 50 epochs" in page
    outcomes = [read(path) for path in find([Path("results")])]
    axis = regret_figure(outcomes, "val").axes[0]
    assert axis.get_xlabel() == "simulated time [epochs]"
    with pytest.raises(HarnessError, match=r"ended at 50 epochs: it says nothing of 60 epochs"):
        outcomes[0].require(60.0)


@pytest.mark.parametrize(
    "raised", ["RuntimeError('built for\\nanother ABI')", "OSError('libfoo.so: no')", "ImportError('x')"]
)
def test_a_package_that_fails_to_import_is_one_sentence(
    harness: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, raised: str
) -> None:
    for package in ("optuna", "distributed", "tensorboard"):
        monkeypatch.delitem(sys.modules, package, raising=False)
        for name in [name for name in sys.modules if name.startswith((f"{package}.", "torch.utils.tensorboard"))]:
            monkeypatch.delitem(sys.modules, name)
        (tmp_path / f"{package}.py").write_text(f"raise {raised}\n")
    monkeypatch.syspath_prepend(tmp_path)
    for call in (
        lambda: library("optuna", "optuna"),
        lambda: Cluster("tcp://localhost:1", print),
        lambda: tensorboard_writer(tmp_path),
    ):
        with pytest.raises(HarnessError, match=r"cannot be imported: \S") as failed:
            call()
        assert "\n" not in failed.value.message
        assert "pip install" in failed.value.hint


@pytest.mark.parametrize("seconds", [1e-12, 1e14])
def test_results_are_counted_at_any_time(seconds: float, tmp_path: Path) -> None:
    table = synthetic_table(1, fidelities=(1,), missing=0.0)
    table = replace(table, cost=np.full_like(table.cost, seconds))
    study = Study.plan(table, "rs", {}, 0, 3, Rules(budget=40.5 * seconds, log="all"))
    result = evaluate(study, table=table)
    write(result, tmp_path / "a.parquet")
    for outcome in (result, read(tmp_path / "a.parquet")):
        assert [outcome.trajectory.evaluations_by(n * seconds * 1.001) for n in (1, 7, 20, 40)] == [1, 7, 20, 40]


def test_losses_whose_squares_are_not_finite_are_refused(harness: Run, data_folder: Path) -> None:
    Path("t.csv").write_text("x,v\n1,.5\n2,-1e200\n")
    Path("t.toml").write_text('name = "t"\ncitation = "none"\nfile = "t.csv"\n' + PARAMETERS)
    assert "column 'v', row 2: '-1e200' is beyond 1e+150" in harness("data", "import", "t.toml").err


def test_the_smallest_numbers_have_logarithms() -> None:
    assert least_regret(np.array([0.0, 5e-324, 1e-323])) == 1e-300


@pytest.mark.parametrize("name", ["tpe", "bohb", "gpnas", "hier-ea", "asha"])
def test_parameters_of_hundreds_of_values_are_searched(name: str) -> None:
    """Codes beyond 255, and beyond 32,767 where there is no density, stay what they are."""
    count = 40_000 if name in ("hier-ea", "asha") else 1_000
    space = SearchSpace((Parameter("x", range(count), "ordinal"), Parameter("y", range(2))))
    codes = np.stack(np.divmod(np.arange(2 * count), 2), axis=1)
    loss = np.repeat(np.abs(codes[:, 0] / count - 0.93)[:, None, None] + 0.01, 3, axis=1)
    facts = synthetic_table(1).facts
    table = Table(facts, space, np.array([1, 3, 9]), codes, loss, np.ones_like(loss) * np.array([[1], [3], [9]]))
    given: dict[str, dict[str, object]] = {"bohb": {"random_fraction": 0.1}, "gpnas": {"predictor": "none"}}
    factory = registry.algorithm(name)
    made = partial(factory, **resolve(name, factory, given.get(name, {})))
    run = simulate(table, made, seeds=np.arange(4), rules=Rules(evals=150, log="all"))
    full = run.fidelity == 2
    assert np.quantile(table.codes[run.row[full & (run.evaluation > 100)], 0] / count, 0.5) > 0.6


def test_fidelities_without_any_loss_agree_with_none(bring: Callable[..., str], harness: Run) -> None:
    bring("x,e,v\n" + "\n".join(f"{x},{e},{x if e == 9 else ''}" for x in range(4) for e in (1, 9)), PARAMETERS + LONG)
    shown = harness("show", "own/t", "--json")
    assert json.loads(shown.out)["spearman_with_largest_fidelity"] == {"1": None}, shown.err


def test_seeds_that_evaluated_nothing_with_a_loss_need_more_evaluations(
    bring: Callable[..., str], harness: Run
) -> None:
    bring("x,v,s\n" + "\n".join(f"{x},{1 if x == 30 else ''},9" for x in range(40)), PARAMETERS + COST)
    for given, hint in (
        (("--evals", 2), "all that they evaluated had none"),
        (("--budget", 5), "its budget is too small"),
    ):
        run = ("run", "--bench", "own/t", "--algo", "rs", *given, "--seeds", 8, "--processes", 1, "--out", given[0][2:])
        assert harness(*run).status == 0
        for command in (("compare", given[0][2:]), ("plot", given[0][2:])):
            answer = harness(*command)
            assert (answer.status, answer.err.count("has seeds without a result")) == (2, 1)
            assert f"hint: {hint}" in answer.err


def test_a_training_that_costs_nothing_begins_at_a_thousandth_of_the_end(
    bring: Callable[..., str], harness: Run
) -> None:
    bring("x,v,s\n" + "\n".join(f"{x},{1 - x / 9},{5 * (x == 8)}" for x in range(9)), PARAMETERS + COST)
    run = ("run", "--bench", "own/t", "--algo", "rs,re", "--seeds", 6, "--processes", 1, "--out")
    assert harness(*run, "timed", "--budget", 50).status == 0
    for words in (("compare", "timed"), ("report", "timed", "-o", "a.html")):
        assert harness(*words).status == 0, words
    outcome = read(find([Path("timed")])[0])
    assert {*outcome.first_times()} <= {0.05, 5.0}
    times, mean, _ = regret_curve(outcome, "val")
    assert (times[0], mean[0]) == (outcome.first_times().max(), pytest.approx(outcome.regret("val", times[:1]).mean()))
    assert harness("data", "remove", "own/t").status == 0
    bring("x,v,s\n" + "\n".join(f"{x},{1 - x / 99},{5 * (x == 98)}" for x in range(99)), PARAMETERS + COST)
    assert harness(*run, "free", "--evals", 1, "--seeds", 2).status == 0
    for words in (("report", "free", "-o", "b.html"), ("plot", "free")):
        answer = harness(*words)
        assert (answer.status, answer.err.count("trained cost nothing: there is no time to draw")) == (2, 1)


def test_a_parameter_with_the_name_of_a_column_stands_beside_it(bring: Callable[..., str], harness: Run) -> None:
    bring(
        "seed,loss,v\n3,8,.5\n4,9,.7\n", '[parameters]\nseed = "integer"\nloss = "float"\n[validation]\ncolumn = "v"\n'
    )
    assert harness("run", "--bench", "own/t", "--algo", "rs", "--evals", 9, "--seeds", 2, "--processes", 1).status == 0
    assert harness("export", "incumbents", "results", "-o", "i.json").status == 0
    rows = json.loads(Path("i.json").read_text())
    assert [(row["seed"], row["parameter.seed"], row["loss"]) for row in rows] == [(0, 3, 8.0), (1, 3, 8.0)]
    shown = harness("show", "own/t:1").out.split()
    assert shown[shown.index("loss") + 1] == "0.7"
    assert shown[shown.index("parameter.loss") + 1] == "9"


def test_seeds_without_any_result_are_said(bring: Callable[..., str], harness: Run) -> None:
    """Half of the trainings diverge, and three draws are all there are: one seed in eight has no mean to give."""
    bring("x,v,s\n" + "\n".join(f"{x},{'' if x % 2 else 0.1 + x / 100},100" for x in range(40)), PARAMETERS + COST)
    answer = harness("run", "--bench", "own/t", "--algo", "rs", "--budget", 300, "--seeds", 40, "--processes", 1)
    assert answer.status == 0, answer.err
    found = read(Path(answer.out.strip()))
    count = int(np.isinf(found.first_times()).sum())
    assert 0 < count < 20
    said = " ".join(answer.err.split())
    assert (
        f"{count} of 40 seeds of rs on own/t had no result with a loss by the end: there is no mean over seeds" in said
    )
