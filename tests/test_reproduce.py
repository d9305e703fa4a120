"""Recipes and claims: what they say is run and judged, and what cannot be is refused before anything runs."""

from __future__ import annotations

import json
import math
import shlex
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from conftest import Answer

from harness import HarnessError, Rules, registry
from harness.analysis import claims, reproduction
from harness.analysis.claims import Finding
from harness.analysis.measures import regret_after, time_spent
from harness.report import claims as claims_page
from harness.statistics import Estimate, mean_interval
from harness.studies.evaluate import evaluate
from harness.studies.outcome import Outcome
from harness.studies.study import Study
from harness.testing import synthetic_table

Harness = Callable[..., Answer]
TABLE = synthetic_table(3, missing=0.0)
RECIPE = """
title = "Two"
source = "nobody"
seeds = 9
[[studies]]
algo = ["rs", "re"]
bench = ["nb201/cifar10"]
evals = 30
params.re.population = 5
[[figures]]
figure = "regret"
output = ["out/a.svg"]
[claim]
says = "Evolution is the best."
statistic = "anytime"
algorithm = "re(population=5)"
"""


def outcome(algorithm: str = "rs", seeds: int = 40, **rules: Any) -> Outcome:
    settings = Rules(**{"evals": 60, **rules})
    study = Study.plan(TABLE, algorithm, {}, 0, seeds, settings)
    return evaluate(study, table=TABLE)


def renamed(result: Outcome, algorithm: str) -> Outcome:
    return replace(result, study=replace(result.study, algorithm=algorithm, params={}))


def better(result: Outcome, algorithm: str, factor: float) -> Outcome:
    """The same runs with each regret divided by `factor`."""
    optimum = result.reference.optimum
    made = replace(result, val_loss=(result.val_loss - optimum) / factor + optimum)
    return renamed(made, algorithm)


def test_every_ready_recipe_names_what_there_is() -> None:
    from harness.plots.spec import FIGURES

    ready = reproduction.ready()
    assert {f"claim-{i}" for i in range(1, 6)} <= {*ready}
    for path in ready.values():
        recipe = reproduction.load(path)
        assert recipe.benchmarks
        for table in recipe.studies:
            known = {*registry.algorithm_names()}
            assert all(name in known or name.partition(":")[0] in registry.library_names() for name in table["algo"])
            for name, given in table.get("params", {}).items():
                assert {*given} <= {*_parameters(name)}
        assert {figure["figure"] for figure in recipe.figures} <= {*FIGURES, "prediction"}
        assert recipe.figures


def _parameters(name: str) -> list[str]:
    from harness.params import declared

    return [*declared(registry.algorithm(name))]


def test_a_recipe_runs_what_is_not_there_and_judges(harness: Harness) -> None:
    Path("two.toml").write_text(RECIPE)
    command = ("reproduce", "two.toml", "--seeds", "6", "--processes", "1")
    answer = harness(*command)
    assert answer.status == 0, answer.err
    path, sentence = answer.out.splitlines()
    assert path == "out/a.svg"
    assert sentence.startswith("two: ")
    assert sentence.endswith("6 seeds). Evolution is the best.")
    source = json.loads(Path("out/a.json").read_text())
    assert source["figure"] == {"reproduces": "two", "figure": "regret"}
    stored = {p: p.stat().st_mtime_ns for p in Path("results").glob("*.parquet")}
    assert {study["id"] for study in source["studies"]} == {p.name.split(".")[-2] for p in stored}
    run = ("run", "--algo", "rs,re", "--bench", "nb201/cifar10", "--evals", "30", "--param", "re.population=5")
    same = harness(*run, "--seeds", "6", "--processes", "1")
    assert {*map(Path, same.out.split())} == {*stored}
    again = harness(*command, "-o", "b.svg", "--write", "docs/claims.md")
    assert again.out.splitlines()[::2] == ["b.svg", "docs/claims.md"]
    assert {p: p.stat().st_mtime_ns for p in stored} == stored
    assert "](../b.svg)" in Path("docs/claims.md").read_text()
    assert "numbers" in source
    assert source == json.loads(Path("b.json").read_text()) | {"numbers": source["numbers"]}


def test_tables_that_are_absent_are_told_before_anything_runs(harness: Harness, data_folder: Path) -> None:
    Path("two.toml").write_text(RECIPE.replace('"nb201/cifar10"', '"nb201/cifar10", "nb101/a"'))
    answer = harness("reproduce", "two.toml")
    assert answer.status == 2
    assert "nb101 is not imported" in answer.err
    assert "harness data fetch nb101" in answer.err
    assert not Path("results").exists()


def test_reproduce_lists_and_suggests(harness: Harness) -> None:
    listed = harness("reproduce").out
    assert all(name in listed for name in (*reproduction.ready(), "claims"))
    answer = harness("reproduce", "gpnas-fig8")
    assert answer.status == 2
    assert "did you mean gpnas-fig" in answer.err


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ('algo = ["rs", "re"]', 'algo = "rs"', "a.toml: studies[0].algo is a list, each a text, not 'rs'"),
        ("evals = 30", "evalss = 30", "unknown field of a.toml: studies[0] 'evalss'. did you mean evals?"),
        ("evals = 30", "objectives = 'error'", "a.toml: studies[0].objectives is a list, each a text, not 'error'"),
        ("evals = 30", "continuation = 1", "a.toml: studies[0].continuation is true or false, not 1"),
        ('bench = ["nb201/cifar10"]', "bench = []", "has an empty list of names"),
        ("[[figures]]", "[[published]]\non = 'nb201/cifar10'\nval.rs = [90.9]\n[[figures]]", "val.rs is a list of 2"),
        ("evals = 30", 'evals = "many"', "a.toml: studies[0].evals is a whole number, not 'many'"),
        ("evals = 30", 'noise = "none"', "unknown value of a.toml: studies[0].noise 'none'"),
        ("params.re.population", "params.ls.population", "unknown plugin with params in a.toml 'ls'"),
        ('statistic = "anytime"', 'statistic = "any"', "did you mean anytime?"),
        ('algorithm = "re(population=5)"', "", "the claim in a.toml needs algorithm"),
        ("seeds = 9", "", "a.toml has no 'seeds'"),
        ("seeds = 9", "seeds = 0", "a.toml: seeds is a whole number of at least 1, not 0"),
        ("[[studies]]", "[studies]", "a.toml: studies is a list, each a table"),
        ("title", "= title", "is not a readable TOML file"),
    ],
)
def test_recipes_that_make_no_sense_are_refused(old: str, new: str, told: str) -> None:
    Path("a.toml").write_text(RECIPE.replace(old, new))
    with pytest.raises(HarnessError) as refused:
        reproduction.load(Path("a.toml"))
    assert told in str(refused.value)


def test_formats_and_labels_are_refused(harness: Harness) -> None:
    Path("a.toml").write_text(RECIPE.replace("a.svg", "a.gif"))
    assert "cannot write a figure as 'a.gif'" in harness("reproduce", "a.toml").err
    assert not Path("results").exists()
    Path("a.toml").write_text(RECIPE.replace('figure = "regret"', 'figure = "violin"\nat = 0'))
    assert "a: figures[0]: at is a number above 0, not 0" in harness("reproduce", "a.toml").err
    assert not Path("results").exists()
    Path("a.toml").write_text(RECIPE.replace("re(population=5)", "re"))
    answer = harness("reproduce", "a.toml", "--seeds", "3", "--processes", "1")
    assert answer.status == 2
    assert "unknown algorithm of the claim on nb201/cifar10 're'" in answer.err


@pytest.mark.parametrize(
    ("estimate", "verdict"),
    [((2, 1.1, 3), "holds"), ((2, 0.9, 3), "undecided"), ((0.5, 0.2, 0.9), "does not hold"), ((1, 1, 1), "undecided")],
)
def test_an_interval_decides(estimate: tuple[float, float, float], verdict: str) -> None:
    assert claims.judge(Estimate(*estimate), 1.0) == verdict


@pytest.mark.parametrize(
    ("estimate", "claimed", "told"),
    [
        ((2.0, 0.5, 8.0), 1.0, "undecided: about 160 seeds would tell"),  # a factor of 4 that must become one of 2
        ((2.0, 1.0, 5.0), 3.0, "undecided: about 210 seeds would tell"),  # (log 2.5 / log 1.5)^2 = 5.107
        ((0.02, -0.01, 0.05), 0.0, "undecided: about 90 seeds would tell"),  # differences: 0.03 / 0.02
        ((1.001, 0.9, 1.1), 1.0, "undecided: about equal"),
        ((1.0, 0.9, 1.1), 1.0, "undecided: about equal"),
        ((math.inf, 0.9, math.inf), 1.0, "undecided: too few runs arrive"),
        ((2.0, 0.0, 8.0), 1.0, "undecided: too few runs arrive"),
        ((2.0, 1.1, 8.0), 1.0, "holds"),
    ],
)
def test_an_undecided_part_says_what_would_decide_it(
    estimate: tuple[float, float, float], claimed: float, told: str
) -> None:
    found = Finding("b", "w", Estimate(*estimate), claimed, claims.judge(Estimate(*estimate), claimed))
    assert claims_page.grid([found], 40)[0][-1] == told


def test_seeds_that_would_decide_do() -> None:
    rng, seeds = np.random.default_rng(1), 50
    differences = rng.normal(0.2, 1.0, 100_000)

    def finding(n: int) -> Finding:
        estimate = mean_interval(differences[:n])
        return Finding("b", "w", Estimate(0.2, estimate.low - estimate.value + 0.2, math.inf), 0.0, "undecided")

    needed = math.ceil(claims.seeds_to_decide(finding(seeds), seeds))
    assert finding(needed * 2).estimate.low > 0 > finding(needed // 2).estimate.low


def test_a_claim_is_as_good_as_its_parts() -> None:
    def parts(*verdicts: Any) -> list[Finding]:
        return [Finding("b", "w", Estimate(1, 1, 1), 0.0, verdict) for verdict in verdicts]

    assert claims.overall(parts("holds", None, "holds")) == "holds"
    assert claims.overall(parts("holds", "undecided")) == "undecided"
    assert claims.overall(parts("holds", "undecided", "does not hold")) == "does not hold"
    with pytest.raises(HarnessError, match="nothing in the claim to judge"):
        claims.overall(parts(None))


def test_regret_after_evaluations_is_that_of_the_last_incumbent() -> None:
    result, counts = outcome(log="all"), np.array([1, 2, 7, 30, 60, 90])
    found, run = regret_after(result, "val", counts), result.trajectory
    for s in range(5):
        for g, count in enumerate(counts):
            held = [j for j in np.flatnonzero(run.seed == s) if run.evaluation[j] <= count and run.incumbent[j]]
            assert found[s, g] == pytest.approx(result.val_loss[held[-1]] - result.reference.optimum, rel=1e-7)


def test_planted_speed_up_is_found() -> None:
    slow = outcome(noise="mean", evals=3000)
    fast = renamed(replace(slow, trajectory=replace(slow.trajectory, time=slow.trajectory.time / 4)), "quick")
    claim = {"algorithm": "quick", "factors": {"rs": 3.0}, "targets": [0.0]}
    (found,) = claims.speed_ups([slow, fast], claim)
    assert found.estimate.value == pytest.approx(4.0)
    assert found.verdict == "holds"
    assert "40 against 40 of 40 runs arrive" in found.what
    (found,) = claims.speed_ups([slow, fast], {**claim, "factors": {"rs": 5.0}})
    assert found.verdict == "does not hold"


def test_planted_regret_is_found_at_any_time() -> None:
    worse = outcome()
    found = claims.anytime([worse, better(worse, "good", 2.0)], {"algorithm": "good"})
    assert claims.overall(found) == "holds"
    assert 1.0 < found[0].estimate.value <= 2.0 + 1e-9
    assert found[1].estimate.value == pytest.approx(2.0)
    assert found[-1].estimate == Estimate(1.0, 1.0, 1.0)
    found = claims.anytime([worse, better(worse, "good", 2.0)], {"algorithm": "rs"})
    assert {f.verdict for f in found} == {"does not hold", None}
    assert found[-1].estimate.value < 1.0


def test_planted_efficiency_is_found() -> None:
    long = outcome(evals=60)
    short = renamed(outcome(evals=3), "short")
    short = replace(short, study=replace(short.study, rules=long.study.rules))
    claim = {"algorithm": "short", "against": "rs", "factor": 5.0}
    (found,) = claims.efficiency([long, short], claim)
    assert found.estimate.value == pytest.approx(1.0)
    assert found.verdict == "does not hold"
    best = replace(short, val_loss=np.full_like(short.val_loss, short.reference.optimum - 1.0))
    (found,) = claims.efficiency([long, best], claim)
    assert found.estimate == Estimate(np.inf, np.inf, np.inf)
    assert found.verdict == "holds"


def test_efficiency_counts_trainings_where_the_clock_does() -> None:
    """A rival half of whose proposals are invalid is charged for those that were trained."""
    long = outcome(evals=60, log="all")
    short = renamed(outcome(evals=30, log="all"), "short")
    counted = [
        replace(
            o,
            reference=replace(o.reference, unit="evaluations"),
            trajectory=replace(
                o.trajectory, time=o.trajectory.evaluation / 2.0, ended=o.trajectory.evaluations / (1.0 + half)
            ),
        )
        for o, half in ((long, True), (replace(short, study=replace(short.study, rules=long.study.rules)), True))
    ]
    claim = {"algorithm": "short", "against": "rs", "factor": 5.0}
    found, *_ = claims.efficiency(counted, claim)
    assert found.estimate.value == pytest.approx(1.0)
    assert "for each of the 15 of short" in found.what


def test_variants_are_compared_by_what_they_end_with() -> None:
    """One that takes twice as long for as many evaluations has not made half of them when the other ends."""
    rival, quick = outcome(evals=60), outcome("re", evals=60)
    run = quick.trajectory
    slow = replace(
        quick,
        study=replace(quick.study, params={"population": 5}),
        trajectory=replace(run, time=2 * run.time, ended=2 * run.ended),
    )
    found = claims.efficiency([rival, quick, slow], {"algorithm": "re", "against": "rs", "factor": 5.0})
    told = [f.estimate.value for f in found if "at the end" in f.what]
    assert told == pytest.approx([quick.regret("val", np.array([math.inf])).mean()] * 2)


def test_a_trend_is_that_of_every_step() -> None:
    rng = np.random.default_rng(0)
    rising = np.array([0.2, 0.5, 0.5]) + 0.01 * rng.standard_normal((30, 3))
    rising[0, 0] = np.nan
    study = SimpleNamespace(benchmark="b", label="p", sizes=(10, 20, 40))
    quality: Any = SimpleNamespace(study=study, measures={"spearman": rising, "mse": -rising})
    for measure in ("spearman", "mse"):
        first, second = claims.trend([quality], {"measure": measure})
        assert first.estimate.value == pytest.approx(np.nanmean(rising[1:, 1] - rising[1:, 0]))
        assert (first.verdict, second.verdict) == ("holds", "undecided")


def test_phases_tell_which_part_leads() -> None:
    full = outcome(evals=60)
    early = full.trajectory.evaluation <= 10

    def without(name: str, hurt: Any) -> Outcome:
        return renamed(replace(full, val_loss=np.where(hurt, full.val_loss + 0.5, full.val_loss)), name)

    claim = {"algorithm": "rs", "without": ["early", "late"], "start": 2, "split": 10}
    parts = [full, without("early", early), without("late", ~early)]
    judged = [f for f in claims.phases(parts, claim) if f.verdict]
    assert len(judged) == 2
    assert judged[0].verdict == "holds"
    swapped = [f for f in claims.phases(parts, {**claim, "without": ["late", "early"]}) if f.verdict]
    assert swapped[0].verdict == "does not hold"
    assert swapped[0].estimate.value == pytest.approx(1 / judged[0].estimate.value)
    with pytest.raises(HarnessError, match="choose an earlier split"):
        claims.phases(parts, {**claim, "split": 60})


def test_a_page_keeps_what_was_not_tested_again(tmp_path: Path) -> None:
    page = tmp_path / "claims.md"
    recipe = reproduction.load(reproduction.ready()["claim-1"])
    never = claims_page.untested(recipe)
    claims_page.update(page, {"claim-2": "## Two\n\nVerdict: **holds**, 5 seeds.\n"}, {"claim-1": never})
    text = page.read_text()
    assert "| Two | holds |" in text
    assert f"| {recipe.title} | not tested |" in text
    assert text.index("<!-- claim-1 -->") < text.index("<!-- claim-2 -->")
    claims_page.update(page, {"claim-1": "## One\n\nVerdict: **undecided**, 5 seeds.\n"}, {"claim-2": "## Never\n"})
    text = page.read_text()
    assert "| One | undecided |\n| Two | holds |" in text
    assert "Never" not in text
    claims_page.update(page, {}, {})
    assert page.read_text() == text


def test_a_run_that_fails_costs_what_it_took() -> None:
    """Runs that `evals` end are charged their own time, those that were stopped early the mean of the others."""
    slow = outcome(evals=30)
    run = replace(slow.trajectory, finished=np.zeros(40, dtype=np.bool_), ended=np.arange(1.0, 41.0))
    np.testing.assert_array_equal(time_spent(replace(slow, trajectory=run)), run.ended)
    finished = np.arange(40) < 10
    spent = time_spent(replace(slow, trajectory=replace(run, finished=finished)))
    assert (spent[:10] == run.ended[10:].mean()).all()
    np.testing.assert_array_equal(spent[10:], run.ended[10:])
    whole = time_spent(replace(slow, trajectory=replace(run, finished=np.ones(40, dtype=np.bool_))))
    assert (whole == 40.0).all()


def test_a_faster_rival_does_not_stretch_the_runs_that_fail() -> None:
    slow = renamed(outcome(evals=30), "slow")
    own = replace(slow.trajectory, time=slow.trajectory.time / 100, ended=slow.trajectory.ended / 100)
    fast = renamed(replace(slow, trajectory=own), "fast")
    target = float(np.median(slow.regret("val", np.array([slow.end]))))
    (found,) = claims.speed_ups([slow, fast], {"algorithm": "fast", "factors": {"slow": 1.0}, "targets": [target]})
    assert found.estimate.value == pytest.approx(100.0)


def test_rules_are_declared_once() -> None:
    from harness.cli.run import command
    from harness.report.commands import runs

    rules = Rules(
        budget=2e5, workers=3, max_fidelity=12, continuation=True, objectives=("a", "b"), constraints=("a<=2",)
    )
    options = {option.name: option for option in command.params}
    assert {*rules.changed} < {*vars(rules)} <= {*options}
    study = replace(outcome().study, rules=rules)
    (line,) = runs([study])
    given = command.make_context("run", shlex.split(line)[2:]).params
    assert {name: given[name] for name in rules.changed} == {**rules.changed, "objectives": ["a", "b"]}
    assert rules.clauses("epoch") == [
        "incumbent: best observed at the largest observed fidelity",
        "noise: sampled",
        "nothing trained beyond epoch 12",
        "continued trainings cost the difference",
        "objectives: a, b",
        "constraint: a<=2",
    ]
    assert rules.lines("epoch", "s")["runs"] == "2e+05 s"
    assert {"workers": "3, asynchronous", "training": "nothing beyond epoch 12"}.items() <= rules.lines(
        "epoch", "s"
    ).items()
    assert Rules(budget=100).budget.hex() == (100.0).hex()
