"""Regression checks: equal digests pass, planted faults fire, and what cannot be checked is refused."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as Xml

import numpy as np
import pytest
from conftest import ROOT

from harness import HarnessError, Rules, registry
from harness.analysis.regression import Judgement, exit_status, judge
from harness.report.regression import junit, markdown
from harness.studies import baseline
from harness.studies.evaluate import evaluate
from harness.studies.outcome import Outcome
from harness.studies.reference import least_regret
from harness.studies.store import read
from harness.studies.study import Study
from harness.testing import synthetic_table
from harness.trajectory import Trajectory

Harness = Callable[..., Any]
TABLE = synthetic_table(3, sizes=(5, 5, 5, 5), missing=0.0)
RULES = Rules(evals=60, budget=1e4)


def elsewhere(factory: Any) -> Any:
    """The same algorithm on other random numbers."""
    return lambda problem, streams: factory(problem, streams.child("elsewhere"))


def outcome(factory: Any, seeds: int = 60, rules: Rules = RULES, first: int = 0) -> Outcome:
    """What passes for `re` with its defaults, and is the `factory`, whose own parameters are set."""
    study = Study.plan(TABLE, "re", {}, first, first + seeds, rules)
    return evaluate(study, table=TABLE, factory=lambda problem, streams, **_: factory(problem, streams))


def evolution(**params: int) -> Any:
    return partial(registry.algorithm("re"), **{"population": 10, "sample": 5, **params})


def only(judgements: list[Judgement]) -> Judgement:
    (judgement,) = judgements
    return judgement


def test_the_same_numbers_are_the_same_whatever_the_code_is_called() -> None:
    a, b = outcome(evolution()), outcome(evolution())
    b = replace(b, study=replace(b.study, source="another", engine=99))
    judgement = only(judge([(a, b)]))
    assert (judgement.verdict, judgement.checks, exit_status([judgement])) == ("same", (), 0)


def test_fewer_seeds_are_held_against_the_first_of_the_baseline() -> None:
    assert only(judge([(outcome(evolution()), outcome(evolution(), 20))])).verdict == "same"
    assert only(judge([(outcome(evolution()), outcome(evolution(), 20, first=1))])).verdict != "same"


@pytest.mark.parametrize("column", [*Trajectory.COLUMNS, "evaluations", "ended", "finished"])
def test_the_digest_sees_every_number(column: str) -> None:
    a = outcome(evolution())
    values = getattr(a.trajectory, column).copy()
    values[3] = ~values[3] if values.dtype == bool else values[3] + 1
    b = replace(a, trajectory=replace(a.trajectory, **{column: values}))
    assert baseline.digest(a, 60) != baseline.digest(b, 60)


def test_a_worse_algorithm_fires_and_an_improved_one_is_better() -> None:
    good, bad = outcome(evolution()), outcome(registry.algorithm("rs"))
    worse, better = only(judge([(good, bad)])), only(judge([(bad, good)]))
    assert (worse.verdict, exit_status([worse])) == ("worse", 1)
    assert (better.verdict, exit_status([better])) == ("better", 0)
    for check in worse.checks:
        assert check.ratio > 1.05
        assert check.low < check.ratio < check.high
        assert check.worse < 0.01 < check.better
        assert (check.new / check.old) == pytest.approx(check.ratio)
    assert exit_status([better, worse]) == 1


def test_other_random_numbers_do_not_fire_and_more_seeds_decide() -> None:
    few = only(judge([(outcome(evolution()), outcome(elsewhere(evolution())))]))
    assert (few.verdict, exit_status([few])) == ("undecided", 3)
    arms = [outcome(make, 1500) for make in (evolution(), elsewhere(evolution()))]
    many = only(judge([(arms[0], arms[1])], margin=0.3))
    assert (many.verdict, exit_status([many])) == ("not worse", 3)


def test_checks_are_the_geometric_mean_and_the_mean_at_chosen_times() -> None:
    a, b = outcome(evolution()), outcome(registry.algorithm("rs"))
    checks = only(judge([(a, b)], at=(200.0, 80.0))).checks
    assert [c.measure.split(",")[0] for c in checks] == ["geometric mean", "mean at 80 s", "mean at 200 s"]
    start = max(a.first_times().max(), b.first_times().max())
    grid = np.geomspace(start, 200.0, 20_001)[:-1]
    for result, found in ((a, checks[0].old), (b, checks[0].new)):
        logs = np.log10(np.maximum(result.regret("val", grid), least_regret(TABLE.loss_at(-1)) / 2))
        assert found == pytest.approx(10 ** logs.mean(), rel=1e-3)
    for check, time in zip(checks[1:], (80.0, 200.0), strict=True):
        assert check.old == pytest.approx(a.regret("val", np.array([time])).mean())
        assert check.new == pytest.approx(b.regret("val", np.array([time])).mean())


def test_seeds_that_lost_their_results_are_worse() -> None:
    a = outcome(evolution())
    run = a.trajectory
    silent = replace(a, trajectory=replace(run, incumbent=run.incumbent & (run.seed != 7)))
    judgement = only(judge([(a, silent)]))
    assert judgement.verdict == "worse"
    assert all(check.ratio == np.inf for check in judgement.checks)
    with pytest.raises(HarnessError, match="has seeds without a result before"):
        judge([(silent, a)])
    with pytest.raises(HarnessError, match="choose later times with --at"):
        judge([(a, outcome(elsewhere(evolution())))], at=[1.0])


def test_reports_say_what_was_found() -> None:
    good, bad = outcome(evolution()), outcome(registry.algorithm("rs"))
    judgements = judge([(good, bad), (good, good)])
    text = markdown(judgements, 0.05, 0.01)
    assert "against the baseline: 1 worse, 1 same" in text
    assert text.count("| ✗ worse | re(") + text.count("| ✗ worse | re ") == 3
    suite = Xml.fromstring(junit(judgements, 0.05, 0.01))
    assert (suite.get("tests"), suite.get("failures")) == ("2", "1")
    assert [case.find("failure") is not None for case in suite] == [True, False]


@pytest.fixture
def kept(harness: Harness) -> Path:
    """A baseline of two small studies."""
    harness(
        "run",
        "--algo",
        "re,rs",
        "--bench",
        "nb201",
        "--seeds",
        "30",
        "--budget",
        "3e5",
        "--processes",
        "1",
        "--param",
        "re.population=10",
    )
    assert harness("baseline", "save", "kept", "results").status == 0
    return Path("kept")


def change(kept: Path, algorithm: str, monkeypatch: pytest.MonkeyPatch, factory: Any) -> None:
    """Make `algorithm` what `factory` is, as an edit of its file would."""
    known = {name: registry.algorithm(name) for name in registry.algorithm_names()}
    monkeypatch.setattr(registry, "algorithm", {**known, algorithm: factory}.__getitem__)


def test_regress_passes_at_once_where_nothing_changed(
    harness: Harness, kept: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    answer = harness("regress", "--baseline", kept, "--seeds", "10", "--processes", "1")
    assert answer.status == 0
    assert "2 same" in answer.out
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path))
    refused = harness("regress", "--baseline", kept, "--seeds", "10", "--processes", "1")
    assert refused.status == 2
    assert f"error: cannot write to {tmp_path}, which GITHUB_STEP_SUMMARY names: Is a directory." in refused.err


def test_regress_tells_worse_from_changed_and_accepts(
    harness: Harness, kept: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from algorithms.regularized_evolution import RegularizedEvolution

    class Elsewhere(RegularizedEvolution):
        def __init__(self, problem: Any, streams: Any, *, population: int = 100, sample: int = 10) -> None:
            super().__init__(problem, streams.child("elsewhere"), population=population, sample=sample)

    class Worst(Elsewhere):
        def tell(self, results: Any) -> None:
            super().tell(results._replace(loss=-results.loss))

    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "step.md"))
    files = ("--junit", "deep/junit.xml", "--figure", "deep/old-new.png", "--processes", "1")
    change(kept, "re", monkeypatch, Worst)
    before = sorted(kept.iterdir())
    answer = harness("regress", "--baseline", kept, "--accept", *files)
    assert answer.status == 1
    assert "1 worse, 1 same" in answer.out
    assert (tmp_path / "step.md").read_text() == answer.out
    assert Xml.parse("deep/junit.xml").getroot().get("failures") == "1"
    assert (tmp_path / "deep" / "old-new.png").stat().st_size > 10_000
    assert len(json.loads((tmp_path / "deep" / "old-new.json").read_text())["studies"]) == 4
    assert sorted(kept.iterdir()) == before

    change(kept, "re", monkeypatch, Elsewhere)
    assert harness("regress", "--baseline", kept, "--processes", "1").status == 3
    assert harness("regress", "--baseline", kept, "--accept", "--processes", "1").status == 0
    assert len(list(kept.iterdir())) == 2
    assert len(set(kept.iterdir()) & set(before)) == 1
    assert harness("regress", "--baseline", kept, "--processes", "1").status == 0


def test_a_baseline_keeps_one_study_of_each_kind(harness: Harness, kept: Path) -> None:
    again = (
        "--algo",
        "re,rs",
        "--bench",
        "nb201",
        "--budget",
        "3e5",
        "--processes",
        "1",
        "--param",
        "re.population=10",
    )
    harness("run", *again, "--seeds", "40")
    refused = harness("baseline", "save", kept, "results")
    assert refused.status == 2
    assert "differ in seeds or code only" in refused.err
    harness("run", *again, "--seeds", "20", "--out", "fewer")
    assert harness("baseline", "save", kept, "fewer").status == 0
    assert [read(path).study.stop for path in kept.iterdir()] == [20, 20]


def test_a_baseline_that_cannot_be_used_is_refused(harness: Harness, kept: Path, tmp_path: Path) -> None:
    def refused(*arguments: object) -> str:
        answer = harness("regress", *arguments)
        assert (answer.status, answer.out) == (2, "")
        return " ".join(answer.err.split())

    (tmp_path / "empty").mkdir()
    assert "there is no baseline at nowhere. hint: make one: harness baseline save" in refused("--baseline", "nowhere")
    assert "the baseline at empty is empty" in refused("--baseline", "empty")
    assert "has 30 seeds; cannot use 31. hint: give --seeds between 2 and 30." in refused(
        "--baseline", kept, "--seeds", "31"
    )
    assert "cannot use 1." in refused("--baseline", kept, "--seeds", "1")
    assert "leave out --seeds to --accept" in refused("--baseline", kept, "--seeds", "9", "--accept")
    for option, value in (("--margin", "-1%"), ("--margin", "much"), ("--alpha", "0"), ("--alpha", "100%")):
        assert "write it as 5% or 0.05" in refused("--baseline", kept, option, value)

    found = read(next(kept.glob("*.rs.*")))
    for name, study, text in (
        ("table", replace(found.study, table="0" * 64), "of another version of the table nb201/cifar10"),
        ("single", replace(found.study, stop=1), "has a single seed; a test needs more"),
        ("gone", replace(found.study, algorithm="gone"), "unknown algorithm 'gone'"),
    ):
        baseline.save(tmp_path / name, [replace(found, study=study)])
        assert text in refused("--baseline", name)


def test_the_committed_baseline_still_holds(harness: Harness) -> None:
    """If an algorithm changed on purpose: `harness regress --accept`."""
    answer = harness("regress", "--baseline", ROOT / "results" / "baseline", "--processes", "1")
    assert answer.status == 0, answer.out
    assert "3 same" in answer.out


PLUGIN_TEST = """
def test_curve(harness_regress):
    harness_regress("re", "nb201", seeds=20)

def test_one_that_is_not_there(harness_regress):
    harness_regress("ls", "nb201")
"""


def test_the_pytest_plugin_holds_an_algorithm_against_the_baseline(kept: Path, tmp_path: Path) -> None:
    (tmp_path / "results").mkdir(exist_ok=True)
    kept.rename("results/baseline")
    Path("test_mine.py").write_text(PLUGIN_TEST)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-W", "error", "--rootdir", "."]
    run = subprocess.run(command, capture_output=True, text=True, check=False, env=dict(os.environ))
    assert "1 failed, 1 passed" in run.stdout, run.stdout + run.stderr
    assert "the baseline has no study of ls on nb201/cifar10" in run.stdout


def test_the_pytest_plugin_costs_other_projects_nothing() -> None:
    code = (
        "import harness.pytest_plugin, sys; assert not {'numpy', 'scipy', 'matplotlib', 'pyarrow'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_pytest_plugin_fails_a_worse_algorithm(
    kept: Path, monkeypatch: pytest.MonkeyPatch, pytestconfig: pytest.Config
) -> None:
    from harness.pytest_plugin import regress

    class Constant:
        """Evaluates the first configuration that it drew again and again."""

        def __init__(self, problem: Any, streams: Any, *, population: int = 100, sample: int = 10) -> None:
            from algorithms.random_search import RandomSearch

            first = RandomSearch(problem, streams).ask(np.arange(len(problem.seeds)), np.zeros(0, dtype=np.int64))
            self.codes, self.full = first.codes, problem.full

        def ask(self, seeds: Any, worker: Any) -> Any:
            from harness import Jobs

            return Jobs(self.codes[seeds], self.full)

        def tell(self, results: Any) -> None:
            pass

    regress(kept, "re", "nb201", seeds=30)
    change(kept, "re", monkeypatch, Constant)
    with pytest.raises(pytest.fail.Exception, match="1 worse"):
        regress(kept, "re", "nb201")


def test_the_action_passes_options_that_exist(harness: Harness) -> None:
    help_text = harness("regress", "--help").out
    action = (ROOT / "action.yml").read_text()
    used = [word for line in action.splitlines() if "harness regress" in line for word in line.split()]
    options = {word for word in used if word.startswith("--")}
    assert {"--baseline", "--margin", "--alpha", "--junit", "--figure"} <= options
    assert all(option in help_text for option in options)
