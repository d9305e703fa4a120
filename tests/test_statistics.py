"""Statistics: nominal coverage on data whose truth is known, equality with scipy, and exact small cases."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from harness import statistics as s

TRIALS = 400


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def assert_coverage(hits: int, confidence: float, bias: float) -> None:
    """Four binomial standard errors, and `bias` for what the bootstrap is known to lack at this many seeds."""
    error = 4 * math.sqrt(confidence * (1 - confidence) / TRIALS)
    assert confidence - error - bias <= hits / TRIALS <= confidence + error


@pytest.mark.parametrize("draw", [lambda g: g.normal(2.0, 1.0, 100), lambda g: g.exponential(2.0, 100)])
def test_the_bootstrap_interval_of_a_mean_covers_it(draw: Callable[[np.random.Generator], np.ndarray]) -> None:
    hits = 0
    for trial in range(TRIALS):
        low, high = s.percentiles(s.bootstrap_means(draw(rng(trial)), rng(trial + 9000), 500), 0.9)
        hits += bool(low <= 2.0 <= high)
    assert_coverage(hits, 0.9, bias=0.02)


def test_the_simultaneous_band_covers_the_whole_curve_and_pointwise_ones_do_not() -> None:
    simultaneous = pointwise = 0
    for trial in range(TRIALS):
        walks = rng(trial).normal(0.0, 1.0, (60, 20)).cumsum(axis=1)
        low, high = s.simultaneous_band(walks, rng(trial + 9000), 0.9, 300)
        simultaneous += bool(((low <= 0) & (high >= 0)).all())
        low, high = s.percentiles(s.bootstrap_means(walks, rng(trial + 9000), 300), 0.9)
        pointwise += bool(((low <= 0) & (high >= 0)).all())
    assert_coverage(simultaneous, 0.9, bias=0.03)
    assert pointwise / TRIALS < 0.8


def test_the_band_has_no_width_where_seeds_agree() -> None:
    values = np.column_stack([np.ones(10), rng().normal(size=10)])
    low, high = s.simultaneous_band(values, rng())
    assert low[0] == high[0] == 1.0
    assert low[1] < values[:, 1].mean() < high[1]


def test_the_bootstrap_resamples_whole_seeds_by_its_generator() -> None:
    values = np.column_stack([np.arange(7.0), 10.0 * np.arange(7.0)])
    means = s.bootstrap_means(values, rng(3))
    np.testing.assert_allclose(means[:, 1], 10.0 * means[:, 0])
    np.testing.assert_array_equal(means, s.bootstrap_means(values, rng(3)))
    assert not np.array_equal(means, s.bootstrap_means(values, rng(4)))


@pytest.mark.parametrize("alternative", ["two-sided", "less", "greater"])
def test_paired_tests_equal_scipy(alternative: s.Alternative) -> None:
    a, b = rng(1).normal(0.3, 1.0, 40), rng(2).normal(0.0, 1.0, 40)
    assert s.paired_t(a - b, alternative) == pytest.approx(stats.ttest_rel(a, b, alternative=alternative).pvalue)
    expected = stats.wilcoxon(a, b, zero_method="pratt", alternative=alternative).pvalue
    assert s.paired_wilcoxon(a - b, alternative) == pytest.approx(expected)


def test_paired_tests_without_variance() -> None:
    assert s.paired_wilcoxon(np.zeros(9)) == 1.0
    assert [s.paired_t(np.full(9, x), "greater") for x in (-1.0, 0.0, 1.0)] == [1.0, 1.0, 0.0]
    assert [s.paired_t(np.full(9, x), "less") for x in (-1.0, 0.0, 1.0)] == [0.0, 1.0, 1.0]
    assert [s.paired_t(np.full(9, x)) for x in (-1.0, 0.0, 1.0)] == [0.0, 1.0, 0.0]


@given(st.lists(st.floats(0.0, 1.0), min_size=1, max_size=8))
def test_holm_is_the_step_down_procedure(given_p: list[float]) -> None:
    p = np.array(given_p)
    adjusted = s.holm(p)
    for level in (0.01, 0.05, 0.3):
        rejected = set()
        for step, i in enumerate(np.argsort(p, kind="stable")):
            if p[i] * (len(p) - step) > level:
                break
            rejected.add(int(i))
        assert set(np.flatnonzero(adjusted <= level).tolist()) == rejected
    assert (adjusted >= p).all()


@pytest.mark.parametrize("levels", [1, 5, 10_000])
def test_the_interval_of_improvement_is_that_of_every_pair_of_runs(levels: int) -> None:
    values = rng(levels).integers(levels, size=(3, 40)) / 7
    weights = s.bootstrap_weights(40, rng(), 300)
    found = s.improvement_intervals(values, weights)
    assert list(found) == [(0, 1), (0, 2), (1, 2)]
    for (a, b), estimate in found.items():
        wins = (values[a][:, None] < values[b]) + 0.5 * (values[a][:, None] == values[b])
        assert estimate.value == pytest.approx(wins.mean())
        expected = s.percentiles(np.einsum("bi,ij,bj->b", weights, wins, weights))
        np.testing.assert_allclose(estimate[1:], expected, rtol=1e-12)


def test_probability_of_improvement_is_the_u_statistic() -> None:
    a, b = rng(1).integers(0, 9, 30).astype(float), rng(2).integers(0, 9, 50).astype(float)
    u = stats.mannwhitneyu(b, a).statistic
    assert s.probability_of_improvement(a, b) == pytest.approx(u / (30 * 50))
    assert s.probability_of_improvement(a, a) == 0.5
    assert s.probability_of_improvement(a - 20, a) == 1.0


def test_log_area_is_exact_for_steps() -> None:
    seed, time = np.array([0, 0, 0, 1, 2]), np.array([1.0, 10.0, 1e3, 2.0, 1.0])
    value = np.array([1.0, 0.1, 0.0, 1e-2, 1e-2])
    area = s.mean_log_area(seed, time, value, seeds=4, start=1.0, end=1e4, floor=1e-3)
    assert area.tolist() == pytest.approx([(0 * 1 - 1 * 2 - 3 * 1) / 4, math.inf, -2.0, math.inf])
    inner = s.mean_log_area(seed, time, value, seeds=3, start=100.0, end=1e3, floor=1e-3)
    assert inner.tolist() == pytest.approx([-1.0, -2.0, -2.0])


def test_expected_time_charges_runs_that_failed_what_they_spent() -> None:
    times, spent = np.array([10.0, 20.0, math.inf, 30.0]), np.array([50.0, 60.0, 100.0, 70.0])
    assert s.expected_time(times, spent) == pytest.approx(160 / 3)
    assert s.expected_time(np.full(3, math.inf), spent[:3]) == math.inf


def test_the_interval_of_a_speed_up_covers_it() -> None:
    hits = 0
    for trial in range(TRIALS):
        generator = rng(trial)
        times, other = generator.exponential(1.0, 100), generator.exponential(3.0, 100)
        times[times > 8.0] = other[other > 8.0] = math.inf
        spent = np.full(100, 8.0)
        estimate = s.speed_up((times, spent), (other, spent), rng(trial + 9000), 0.9, 500)
        assert estimate.low <= estimate.value <= estimate.high
        hits += estimate.low <= 3.0 <= estimate.high
    assert_coverage(hits, 0.9, bias=0.02)


def test_that_a_side_never_arrived_does_not_say_that_it_cannot() -> None:
    """One run in fifty of the other arrives: of most samples of 40 seeds, one or none does."""
    hits, none = 0, 0
    for trial in range(TRIALS):
        generator = rng(trial)
        times, other = np.full(40, 2.0), np.where(generator.random(40) < 0.02, 5.0, math.inf)
        spent = np.full(40, 10.0)
        estimate = s.speed_up((times, spent), (other, spent), rng(trial + 9000), 0.9, 500)
        truth = (0.02 * 5.0 + 0.98 * 10.0) / 0.02 / 2.0
        hits += estimate.low <= truth <= estimate.high
        none += math.isinf(estimate.value)
    assert none > TRIALS // 3
    assert hits >= 0.9 * TRIALS


def test_speed_up_where_a_side_never_arrives() -> None:
    never, soon, later = ((np.full(30, time), np.full(30, 10.0)) for time in (math.inf, 2.0, 6.0))
    for pair, end in (((soon, never), 1), ((never, soon), 2)):
        estimate = s.speed_up(*pair, rng())
        assert estimate.value == (math.inf, 0.0)[end - 1]
        assert estimate[3 - end] == estimate.value
        limit = 1.0 - 0.025 ** (1 / 30)  # of the share that arrives, where none of 30 did
        bound = 10.0 / limit / 2.0
        assert estimate[end] == pytest.approx((bound, 1.0 / bound)[end - 1], rel=0.15)
    assert np.isnan(s.speed_up(never, never, rng()).value)
    assert s.speed_up(soon, later, rng()) == pytest.approx((3.0, 3.0, 3.0))


def test_a_speed_up_of_few_seeds_has_no_interval() -> None:
    few = [(rng(i).exponential(1.0, 29), np.full(29, 10.0)) for i in (0, 1)]
    estimate = s.speed_up(few[0], few[1], rng())
    assert estimate.value == pytest.approx(few[1][0].mean() / few[0][0].mean())
    assert np.isnan(estimate[1:]).all()


def test_the_interval_of_a_mean_is_students() -> None:
    values = rng(3).normal(size=12)
    mean, low, high = s.mean_interval(values, 0.99)
    expected = stats.t.interval(0.99, 11, loc=values.mean(), scale=stats.sem(values))
    assert (mean, low, high) == pytest.approx((values.mean(), *expected))


def test_ranks_friedman_and_nemenyi() -> None:
    scores = rng(5).normal(size=(12, 4)) + np.arange(4) * 0.5
    expected = np.array([stats.rankdata(row) for row in scores])
    np.testing.assert_array_equal(s.ranks(scores), expected)
    assert s.friedman(scores) == pytest.approx(stats.friedmanchisquare(*scores.T).pvalue)
    assert s.friedman(np.ones((5, 3))) == 1.0
    # Table 5 (a) of Demsar, 2006: q for alpha 0.05 and k of 2, 5 and 10
    for k, q in ((2, 1.960), (5, 2.728), (10, 3.164)):
        assert s.nemenyi_distance(k, 14) == pytest.approx(q * math.sqrt(k * (k + 1) / (6 * 14)), rel=4e-4)


def test_cliques_are_the_longest_runs_that_are_close() -> None:
    assert s.cliques([1.0, 1.4, 2.0, 3.5], 1.1) == [(0, 2)]
    assert s.cliques([1.0, 2.0, 3.0], 1.5) == [(0, 1), (1, 2)]
    assert s.cliques([1.0, 3.0], 1.5) == []


def test_kendall_is_that_of_scipy() -> None:
    rng = np.random.default_rng(0)
    for n in (3, 8, 40):
        a, b = rng.integers(6, size=n).astype(float), rng.normal(size=n)
        a[:2] = 0, 5
        b = b + a * 0.3
        b[1] = b[0]
        found = s.kendall(a, b, np.random.default_rng(1))
        assert found.value == pytest.approx(stats.kendalltau(a, b).statistic, abs=1e-12)
        assert found.low <= found.value <= found.high
    whole = s.kendall(np.arange(9.0), np.arange(9.0), np.random.default_rng(2))
    assert whole == pytest.approx((1, 1, 1))
