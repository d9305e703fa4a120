"""A whole evaluation in one file: what it costs is said first, what is there is not run again."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from test_selection import outcome

from harness import registry
from harness.cli.grid import _Clock
from harness.studies.forecast import MEASURED, Expected, Forecast, duration, total
from harness.studies.outcome import Outcome

GRID = """
seeds = 4
report = "page.html"
[[studies]]
algo = ["rs", "re"]
bench = ["nb201/cifar10"]
evals = 10
params.re.population = 5
[[figures]]
figure = "regret"
output = ["out/regret.svg"]
"""


def spent(seconds: float, **made: Any) -> Outcome:
    return replace(outcome(**made), cpu_seconds=seconds)


def test_a_study_is_expected_to_cost_what_the_same_or_else_other_benchmarks_did() -> None:
    forecast = Forecast({"ls": {"nb201/cifar10": 0.5, "fcnet/protein": 1.5}})
    forecast.learn([spent(12.0, seeds="0:6"), spent(60.0, seeds="0:6", table=4, evals=30)])
    twice = forecast.of(outcome(seeds="6:18").study)
    assert (twice.seconds, twice.by) == (24.0, "runs of the same")
    longer = forecast.of(outcome(evals=40).study)
    assert longer.seconds == pytest.approx(4 * 12.0)
    elsewhere = forecast.of(outcome(table=5).study)
    assert elsewhere.seconds == pytest.approx((12.0 + 20.0) / 2)
    assert elsewhere.by == "other benchmarks"
    forecast.shipped = {"re": {"nb201/cifar10": 0.5, "fcnet/protein": 1.5}}
    shipped = forecast.of(outcome("re").study)
    assert (shipped.seconds, shipped.by) == (6 * 1.0, "the harness's own measurement")
    unknown = forecast.of(outcome("de").study)
    assert math.isnan(unknown.seconds)
    assert total([twice, unknown]) == (24.0, 1)


def test_files_of_earlier_versions_tell_their_wall_seconds() -> None:
    forecast = Forecast({})
    forecast.learn([replace(spent(math.nan), wall_seconds=3.0)])
    assert forecast.of(outcome().study).seconds == pytest.approx(3.0)


def test_measured_seconds_are_of_all_algorithms_that_come_with_the_harness() -> None:
    measured = json.loads(MEASURED.read_text(encoding="utf-8"))["seconds"]
    names = registry.algorithm_names()
    own = {name for name in names if not registry.algorithm(name).__module__.startswith("algorithms.external")}
    assert {label.partition("(")[0] for label in measured} == own
    assert all(seconds > 0 for by in measured.values() for seconds in by.values())


@pytest.mark.parametrize(
    ("seconds", "said"), [(0.4, "0 s"), (99.0, "99 s"), (150.0, "2.5 min"), (7200.0, "2.0 h"), (864000.0, "10.0 days")]
)
def test_durations_are_said_in_their_unit(seconds: float, said: str) -> None:
    assert duration(seconds) == said


def test_the_time_left_is_told_by_shares_of_expected_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    now, told = [0.0], list[str]()
    monkeypatch.setattr("harness.cli.grid.time.monotonic", lambda: now[0])
    cheap, dear = outcome("rs").study, outcome("re").study
    clock = _Clock([Expected(cheap, 100.0, ""), Expected(dear, 300.0, "")], told.append)
    now[0] = 30.0
    clock(cheap, 1.0)
    assert told == []
    now[0] = 100.0
    clock(dear, 1 / 3)
    assert told == ["grid: 1 of 2 studies, 50 % of the work; 1.7 min left."]


def test_a_grid_runs_draws_and_writes_its_page_and_only_what_is_missing_later(
    harness: Callable[..., Any], tmp_path: Path
) -> None:
    Path("e.toml").write_text(GRID, encoding="utf-8")
    dry = harness("grid", "e.toml", "--dry-run")
    assert dry.status == 0
    assert "0 of 2 studies are there" in dry.err
    assert "re(population=5)" in dry.out
    assert not Path("results").exists()
    ran = harness("grid", "e.toml")
    assert ran.status == 0
    assert ran.out.splitlines()[:2] == ["out/regret.svg", "page.html"]
    assert all(Path(line).exists() for line in ran.out.splitlines())
    assert "all 2 studies are there." in harness("grid", "e.toml").err
    Path("e.toml").write_text(GRID.replace('"re"]', '"re", "ls"]'), encoding="utf-8")
    more = harness("grid", "e.toml")
    assert "2 of 3 studies are there" in more.err
    assert len(more.out.splitlines()) == 5


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (("seeds = 4", ""), "has no 'seeds'"),
        (('"page.html"', "5"), "report"),
        (('"re"]', '"er"]'), "er"),
        (("evals", "evls"), "evls"),
        (("[[figures]]", '[[predict]]\npredictor = ["ridge"]\nbench = ["nb201"]\n[[figures]]'), "no part of a grid"),
    ],
)
def test_what_a_grid_cannot_say_is_refused(harness: Callable[..., Any], change: tuple[str, str], says: str) -> None:
    Path("e.toml").write_text(GRID.replace(*change), encoding="utf-8")
    answer = harness("grid", "e.toml")
    assert answer.status == 2
    assert says in answer.err
    assert not Path("results").exists()
