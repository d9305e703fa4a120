"""Bounds of regret: the expectation of random search against brute force and simulation, the floor against counting."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness import HarnessError, Rules, registry, simulate
from harness.analysis.bounds import BOUNDS, expected_best, floor, oracle, random_search, regrets, shares
from harness.observations import Observations
from harness.plots import draw
from harness.plots.regret import curve
from harness.studies.evaluate import evaluate
from harness.studies.outcome import Outcome
from harness.studies.study import Study
from harness.testing import synthetic_table

NAN = math.nan
LOSS = np.array([[0.1, 0.5, 0.35], [0.2, 0.3, NAN], [0.15, 0.4, NAN], [0.25, NAN, NAN], [NAN, NAN, NAN]])
SHARE = np.array([0.3, 0.2, 0.1, 0.25, 0.1])
VALUE = np.array([0.03, 0.01, 0.0, 0.07, 0.5])
MADE = synthetic_table(4, sizes=(5, 5, 5, 5))
TABLE = replace(MADE, test=MADE.loss + np.random.default_rng(2).normal(0.0, 0.2, MADE.loss.shape))


def brute_force(draws: int) -> float:
    """Every choice of repeats, every sequence of draws; row 4 stands for all that is invalid."""
    chances = [*SHARE[:4], 1 - SHARE[:4].sum()]
    total = found = 0.0
    for repeats in itertools.product(range(3), range(2), range(2), range(1)):
        for sequence in itertools.product(range(5), repeat=draws):
            chance = math.prod(chances[row] for row in sequence) / 12
            seen = [(LOSS[row, repeats[row]], row) for row in sequence if row < 4]
            if seen:
                total += chance * VALUE[min(seen)[1]]
                found += chance
    return total / found


def test_the_expectation_of_random_search_is_that_of_brute_force() -> None:
    draws = np.array([1, 2, 3, 5])
    expected = [brute_force(n) for n in draws.tolist()]
    np.testing.assert_allclose(expected_best(LOSS, SHARE, VALUE, draws), expected, rtol=1e-12)


@pytest.mark.parametrize("n", [24, 25, 26, 100, 10_000])
def test_many_draws_without_noise_have_a_closed_form(n: int) -> None:
    rng = np.random.default_rng(0)
    loss, value, share = rng.random((300, 1)), rng.random(300), rng.dirichlet(np.ones(300)) * 0.9
    order = np.argsort(loss[:, 0])
    missed = (1 - np.cumsum(np.append(0.0, share[order]))) ** n
    exact = (-np.diff(missed) * value[order]).sum() / (1 - missed[-1])
    assert expected_best(loss, share, value, np.array([n]))[0] == pytest.approx(exact, rel=1e-5)


def test_ranks_taken_together_change_nothing_visible() -> None:
    rng = np.random.default_rng(1)
    loss = np.sort(rng.random((30_000, 1)), axis=0)
    n, k = 50, np.arange(30_001)
    exact = (-np.diff((1 - k / 30_000) ** n) * loss[:, 0]).sum()
    assert expected_best(loss, np.full(30_000, 1 / 30_000), loss[:, 0], np.array([n]))[0] == pytest.approx(exact, 1e-5)


def test_equal_losses_count_by_chance() -> None:
    loss, share = np.zeros((2, 1)), np.array([0.25, 0.5])
    np.testing.assert_allclose(expected_best(loss, share, np.array([0.0, 3.0]), np.array([1, 7, 999])), 2.0)


@pytest.mark.parametrize("kind", ["val", "test"])
@pytest.mark.parametrize("noise", ["sampled", "mean"])
def test_simulated_random_search_has_the_expected_regret(noise: Any, kind: Any) -> None:
    value, draws, seeds = regrets(TABLE, Rules(evals=1), kind), np.array([1, 8, 64, 512]), np.arange(2000)
    loss = TABLE.loss[:, -1] if noise == "sampled" else TABLE.mean_loss[:, -1:]
    run = simulate(TABLE, registry.algorithm("rs"), seeds=seeds, rules=Rules(evals=512, noise=noise))
    for n, expected in zip(draws.tolist(), expected_best(loss, shares(TABLE), value, draws), strict=True):
        held = np.full(len(seeds), -1)
        early = run.evaluation <= n
        held[run.seed[early]] = run.row[early]
        got = value[held[held >= 0]]
        assert got.mean() == pytest.approx(expected, abs=3 * got.std() / math.sqrt(len(got)))


@pytest.mark.parametrize(
    "rules",
    [{}, {"workers": 4}, {"overhead": 5.0}, {"noise": "mean"}, {"max_fidelity": 3, "report_fidelity": 9}],
)
def test_simulated_random_search_has_it_at_the_expected_time(rules: dict[str, Any]) -> None:
    table = synthetic_table(4, sizes=(5, 5, 5, 5), missing=0.0) if "max_fidelity" in rules else TABLE
    study = Study.plan(table, "rs", {}, 0, 2000, Rules(budget=3000.0, **rules))
    result = evaluate(study, table=table)
    times, expected = random_search(table, study.rules, "val", 3000.0)
    assert times[-1] == pytest.approx(3000.0, rel=0.02)
    start, mean, sem = curve(result, "val")
    shown = times > 2 * start[0]
    assert shown.sum() > 20
    at = np.searchsorted(start, times[shown], side="right") - 1
    assert (np.abs(mean[at] - expected[shown]) < 3.5 * sem[at] + 0.003 * mean[at]).all()


def test_evaluations_end_the_curve_too() -> None:
    rules = Rules(evals=40)
    assert random_search(TABLE, rules, "val", 1e9)[0][-1] == random_search(TABLE, rules, "val", 1e7)[0][-1]


def test_the_unit_of_costs_is_that_of_times_only() -> None:
    times, expected = random_search(TABLE, Rules(evals=40), "val", 1e7)
    tiny = replace(TABLE, cost=TABLE.cost * 1e-300, source="tiny")
    its, same = random_search(tiny, Rules(evals=40), "val", 1e-293)
    np.testing.assert_allclose(its, times * 1e-300)
    np.testing.assert_array_equal(same, expected)


def test_shares_are_counted() -> None:
    counts = np.bincount(TABLE.rows(np.indices((5, 5, 5, 5)).reshape(4, -1).T) + 1, minlength=len(TABLE) + 1)
    np.testing.assert_array_equal(shares(TABLE), counts[1:] / 625)


@pytest.mark.parametrize("incumbent", ["largest", "any"])
@pytest.mark.parametrize("noise", ["sampled", "mean"])
def test_the_floor_is_the_best_of_all_that_a_seed_can_observe(noise: Any, incumbent: Any) -> None:
    rules, seeds = Rules(evals=1, noise=noise, incumbent=incumbent), np.arange(5, 15)
    observations, value = Observations(TABLE, seeds, noise), regrets(TABLE, rules, "test")
    first = 0 if incumbent == "any" else 2
    for s, got in enumerate(floor(TABLE, rules, "test", seeds)):
        seen = {
            (row, f): observations.loss[observations.draw(np.array([s]), np.array([row]), f)][0]
            for row in range(len(TABLE))
            for f in range(first, 3)
        }
        row, _ = min(seen, key=seen.__getitem__)
        assert got == pytest.approx(value[row])
    np.testing.assert_array_equal(floor(TABLE, rules, "test", seeds[3:4]), floor(TABLE, rules, "test", seeds)[3:4])


def test_without_noise_there_is_no_floor_and_the_oracle_is_perfect_on_validation() -> None:
    rules = Rules(evals=1, noise="mean")
    assert (floor(TABLE, rules, "val", np.arange(9)) == 0).all()
    assert oracle(TABLE, rules, "val") == 0
    test = TABLE.test_at(len(TABLE.fidelities) - 1)
    assert test is not None
    assert oracle(TABLE, rules, "test") > 0
    assert oracle(TABLE, rules, "test") == test[TABLE.optimum.row] - np.nanmin(test)


def test_the_late_regret_of_a_search_is_the_floor() -> None:
    table = registry.benchmark("nb201")
    rules, seeds = Rules(evals=4000), np.arange(40)
    run = simulate(table, registry.algorithm("re"), seeds=seeds, rules=rules)
    held = run.row[run.at(np.array([np.inf]))[:, 0]]
    finished = run.finished
    assert finished.mean() > 0.8
    np.testing.assert_allclose(
        regrets(table, rules, "val")[held][finished], floor(table, rules, "val", seeds[finished]), atol=3e-3
    )


def outcome() -> Outcome:
    study = replace(Study.plan(TABLE, "rs", {}, 0, 40, Rules(budget=2000.0)), benchmark="synthetic/3")
    return evaluate(study, table=TABLE)


def test_figures_have_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "benchmark", {"synthetic/3": TABLE}.__getitem__)
    result = outcome()
    for kind in ("val", "test"):
        figure = draw([result], {"bounds": list(BOUNDS), "kind": kind})
        lines = {str(line.get_label()): line for line in figure.axes[0].lines}
        zero = ": 0" if kind == "val" else ""
        assert [*lines] == [
            f"oracle{zero}", "random search, expected", "floor of single observations", "rs",
        ]  # fmt: skip
        times, mean = random_search(TABLE, result.study.rules, kind, 2000.0)
        np.testing.assert_array_equal(lines["random search, expected"].get_xydata(), np.stack([times, mean], axis=1))
        level = floor(TABLE, result.study.rules, kind, result.study.seeds).mean()
        assert np.asarray(lines["floor of single observations"].get_ydata()).tolist() == [level, level]
        assert len(np.asarray(lines[f"oracle{zero}"].get_xdata())) == (0 if zero else 2)


def test_bounds_that_cannot_be_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    result = outcome()
    for bounds, message in (("floor", "bounds is a list, each one of oracle"), (["flour"], "flour")):
        with pytest.raises(HarnessError, match=message):
            draw([result], {"bounds": bounds})
    monkeypatch.setattr(registry, "benchmark", {"synthetic/3": synthetic_table(4)}.__getitem__)
    with pytest.raises(HarnessError, match="is of another version of the table synthetic/3"):
        draw([result], {"bounds": ["floor"]})


def test_plot_command_draws_bounds(harness: Callable[..., Any]) -> None:
    harness("run", "--algo", "rs", "--bench", "nb201", "--seeds", "10", "--budget", "1e5", "--processes", "1")
    answer = harness("plot", "results", "--bound", "random", "--bound", "floor", "-o", "a.svg")
    assert answer.status == 0
    assert "floor of single observations" in Path("a.svg").read_text()
    assert "did you mean floor" in harness("plot", "results", "--bound", "flor").err
    assert "figure 'violin' 'bounds'" in harness("plot", "results", "--figure", "violin", "--bound", "floor").err
