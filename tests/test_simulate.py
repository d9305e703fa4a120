"""The batched simulator against the scalar one, and the promises of the clock."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from oracle import observe, oracle

from harness import HarnessError, Jobs, Problem, Results, Rules, Streams, per_seed, simulate
from harness.observations import Observations
from harness.testing import assert_same, synthetic_table
from harness.trajectory import PACE_TIMES, Trajectory


class Erratic:
    """Random configurations at random fidelities; lets workers wait now and then, and notes what it is told."""

    def __init__(self, problem: Problem, streams: Streams) -> None:
        self.problem, self.streams = problem, streams
        self.running = np.zeros(len(problem.seeds), dtype=int)
        self.asked: dict[tuple[int, int], tuple[Any, int]] = {}

    def ask(self, seeds: Any, worker: Any) -> Jobs:
        d = self.problem.space.dimensions
        draws = self.streams.uniform(d + 2, seeds)
        codes = self.problem.space.sample(draws[:, :d])
        fidelity = (draws[:, d] * len(self.problem.fidelities)).astype(int)
        wait = (draws[:, d + 1] < 0.2) & (self.running[seeds] > 0)
        self.running[seeds] += ~wait
        for i in np.flatnonzero(~wait):
            slot = (int(seeds[i]), int(worker[i]))
            assert slot not in self.asked, "a busy worker was asked"
            self.asked[slot] = (codes[i].copy(), int(fidelity[i]))
        return Jobs(codes, fidelity, wait)

    def tell(self, results: Results) -> None:
        assert len(set(results.seeds.tolist())) == len(results.seeds)
        self.running[results.seeds] -= 1
        for seed, worker, codes, fidelity, *_ in zip(*results[:6], strict=True):
            asked = self.asked.pop((int(seed), int(worker)))
            np.testing.assert_array_equal(asked[0], codes)
            assert asked[1] == fidelity


rules = st.builds(
    Rules,
    workers=st.integers(1, 5),
    budget=st.sampled_from([5.0, 30.0, 200.0]),
    evals=st.sampled_from([1, 7, 60]),
    overhead=st.sampled_from([0.0, 0.5]),
    noise=st.sampled_from(["sampled", "mean"]),
    incumbent=st.sampled_from(["largest", "any"]),
    log=st.sampled_from(["incumbents", "all"]),
    max_fidelity=st.sampled_from([None, 3]),
    continuation=st.booleans(),
)
tables = st.builds(
    synthetic_table,
    st.integers(0, 10**6),
    sizes=st.sampled_from([(2, 3), (4,), (3, 2, 2)]),
    fidelities=st.sampled_from([(3,), (1, 3, 9)]),
    repeats=st.integers(1, 3),
    missing=st.sampled_from([0.0, 0.3]),
    levels=st.sampled_from([0, 2, 5]),
    diverged=st.sampled_from([0.0, 0.3]),
).filter(lambda table: np.isfinite(table.loss).any(axis=(0, 2)).all())


@settings(max_examples=150, deadline=None)
@given(tables, rules, st.integers(0, 10**9))
def test_batched_equals_scalar_event_for_event(table: Any, rules: Rules, first: int) -> None:
    seeds = np.arange(first, first + 4)
    run = simulate(table, Erratic, seeds=seeds, rules=rules)
    for s, seed in enumerate(seeds):
        events, finished = oracle(table, Erratic, int(seed), rules)
        kept = [(i + 1, e) for i, e in enumerate(events) if rules.log == "all" or e.incumbent]
        mine = run.seed == s
        columns = (run.evaluation, run.time, run.row, run.fidelity, run.repeat, run.loss, run.incumbent)
        assert list(zip(*(c[mine].tolist() for c in columns), strict=True)) == [(i, *e) for i, e in kept]
        assert run.evaluations[s] == len(events)
        assert run.finished[s] == finished
        assert run.ended[s] == (events[-1].time if events else 0.0)


@settings(max_examples=40, deadline=None)
@given(tables, rules, st.sets(st.integers(1, 7)))
def test_any_sharding_equals_the_whole(table: Any, rules: Rules, cuts: set[int]) -> None:
    seeds = np.arange(40, 48)
    whole = simulate(table, Erratic, seeds=seeds, rules=rules)
    shards = [simulate(table, Erratic, seeds=part, rules=rules) for part in np.split(seeds, sorted(cuts))]
    assert_same(Trajectory.join(shards), whole)


@settings(max_examples=60, deadline=None)
@given(tables, rules)
def test_the_clock_is_true(table: Any, rules: Rules) -> None:
    """Time never runs back, is within the budget, and no more work is done than the workers can do."""
    rules = replace(rules, log="all", continuation=False)
    run = simulate(table, Erratic, seeds=np.arange(5), rules=rules)
    assert (run.time <= rules.budget).all()
    for s in range(5):
        mine = run.seed == s
        times = run.time[mine]
        assert (np.diff(times) >= 0).all()
        costs = [
            observe(table, s, r, f, rules.noise)[2] for r, f in zip(run.row[mine], run.fidelity[mine], strict=True)
        ]
        busy = sum(costs) + rules.overhead * len(costs)
        assert busy <= rules.workers * times.max(initial=0.0) + 1e-9
        if rules.workers == 1:
            np.testing.assert_allclose(times, np.cumsum(np.array(costs) + rules.overhead))


@settings(max_examples=60, deadline=None)
@given(tables, rules)
def test_an_early_finish_changes_no_incumbent(table: Any, rules: Rules) -> None:
    settings = vars(rules)
    early = simulate(table, Erratic, seeds=np.arange(6), rules=Rules(**{**settings, "log": "incumbents"}))
    late = simulate(table, Erratic, seeds=np.arange(6), rules=Rules(**{**settings, "log": "all"}))
    keep = late.incumbent
    for name in Trajectory.COLUMNS:
        np.testing.assert_array_equal(getattr(early, name), getattr(late, name)[keep])
    assert (early.evaluations <= late.evaluations).all()
    assert (early.evaluations == late.evaluations)[~early.finished].all()


def test_lowest_is_the_least_a_seed_can_observe() -> None:
    for number in range(20):
        table = synthetic_table(number, levels=number % 3, fidelities=(1, 3))
        for noise in ("sampled", "mean"):
            seen = Observations(table, np.arange(3), noise)
            for rule, considered in (("largest", [1]), ("any", [0, 1])):
                lowest = seen.lowest(rule)  # type: ignore[arg-type]
                for seed in range(3):
                    every = [observe(table, seed, row, f, noise)[1] for row in range(len(table)) for f in considered]
                    assert lowest[seed] == min(every)


def test_repeats_are_drawn_evenly_and_never_where_there_is_none() -> None:
    table = synthetic_table(3, sizes=(10, 10), fidelities=(1,), repeats=3)
    seen = Observations(table, np.arange(3000), "sampled")
    for row in range(len(table)):
        entry = seen.draw(np.arange(3000), np.full(3000, row), 0)
        _, _, repeat = seen.split(entry)
        count = int(table.repeats[row, 0])
        assert set(repeat.tolist()) <= set(range(max(count, 1)))
        if count > 1:
            share = np.bincount(repeat, minlength=count) / 3000
            assert abs(share - 1 / count).max() < 4.5 * math.sqrt(1 / count * (1 - 1 / count) / 3000)


def test_pace_counts_every_result() -> None:
    table = synthetic_table(1)
    run = simulate(table, Erratic, seeds=np.arange(4), rules=Rules(budget=60.0, workers=2, log="all"))
    for time in (0.5, 3.3, 20.0, 47.0, 60.0, 1e6):
        assert run.evaluations_by(time) == (run.time <= time).sum() / 4
    assert run.pace[-1] == run.evaluations.sum()
    assert (np.diff(PACE_TIMES) > 0).all()


def test_progress_rises_to_the_end() -> None:
    seen: list[float] = []
    simulate(
        synthetic_table(1),
        Erratic,
        seeds=np.arange(4),
        rules=Rules(budget=2000.0, log="all"),
        progress=seen.append,
    )
    assert len(seen) > 2
    assert seen == sorted(seen)
    assert 0 <= seen[0] < seen[-1] <= 1


class _Broken(Erratic):
    def __init__(self, problem: Problem, streams: Streams, *, kind: str) -> None:
        super().__init__(problem, streams)
        self.kind = kind

    def ask(self, seeds: Any, worker: Any) -> Jobs:
        jobs = super().ask(seeds, worker)
        if self.kind == "codes":
            return jobs._replace(codes=self.problem.space.sizes + 0 * jobs.codes)
        if self.kind == "negative":
            return jobs._replace(codes=jobs.codes - 10)
        return jobs._replace(fidelity=3)


@pytest.mark.parametrize("kind", ["codes", "negative", "fidelity"])
def test_jobs_outside_of_the_problem_are_refused(kind: str) -> None:
    def factory(problem: Problem, streams: Streams) -> Any:
        return _Broken(problem, streams, kind=kind)

    with pytest.raises(HarnessError, match="outside of"):
        simulate(synthetic_table(), factory, seeds=np.arange(2), rules=Rules(evals=3))


def test_a_clock_that_stands_still_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.simulation.STALL_STEPS", 256)
    table = synthetic_table(0, sizes=(2, 2), fidelities=(1,), missing=0.0)
    table.loss[:-1] = table.cost[:-1] = np.nan

    class OnlyInvalid(Erratic):
        def ask(self, seeds: Any, worker: Any) -> Jobs:
            jobs = super().ask(seeds, worker)
            return Jobs(np.broadcast_to(table.codes[0], jobs.codes.shape), 0)

        def tell(self, results: Results) -> None:
            self.asked.clear()

    with pytest.raises(HarnessError, match="clock stand still"):
        simulate(table, OnlyInvalid, seeds=np.arange(1), rules=Rules(budget=10.0))


def test_an_algorithm_with_nothing_more_to_propose_ends() -> None:
    class Three(Erratic):
        """Three configurations per seed, and no more."""

        def __init__(self, problem: Problem, streams: Streams) -> None:
            super().__init__(problem, streams)
            self.proposed = np.zeros(len(problem.seeds), dtype=int)

        def ask(self, seeds: Any, worker: Any) -> Jobs:
            wait = self.proposed[seeds] == 3
            self.proposed[seeds] += ~wait
            return Jobs(np.zeros((len(seeds), self.problem.space.dimensions), dtype=int), 2, wait)

        def tell(self, results: Results) -> None:
            pass

    run = simulate(synthetic_table(), Three, seeds=np.arange(3), rules=Rules(budget=1e6, workers=2, log="all"))
    assert run.evaluations.tolist() == [3, 3, 3]


class _Promote:
    """One configuration, trained at fidelities 0, 2, 1, 2 and 2 again."""

    def __init__(self, problem: Problem, streams: Streams) -> None:
        self.turn, self.paid = 0, [0.0] * 0

    def ask(self, seeds: Any, worker: Any) -> Jobs:
        self.turn += 1
        return Jobs(np.zeros((1, 4), dtype=int), [0, 2, 1, 2, 2][self.turn - 1])

    def tell(self, results: Results) -> None:
        self.paid += results.cost.tolist()


def test_continuation_charges_the_difference_and_anything_else_in_full() -> None:
    table = synthetic_table(0, repeats=1, missing=0.0)
    cost = table.cost[table.rows(np.zeros((1, 4), dtype=int))[0], :, 0].tolist()
    for continuation, second in ((True, cost[2] - cost[0]), (False, cost[2])):
        made: list[_Promote] = []

        def factory(problem: Problem, streams: Streams, made: list[_Promote] = made) -> Any:
            made.append(_Promote(problem, streams))
            return made[0]

        simulate(table, factory, seeds=np.arange(1), rules=Rules(evals=5, continuation=continuation, log="all"))
        assert made[0].paid == [cost[0], second, cost[1], cost[2], cost[2]]


def test_what_a_table_does_not_have_is_refused() -> None:
    table = synthetic_table(0)
    separate = replace(table, facts=replace(table.facts, separate=True))
    with pytest.raises(HarnessError, match="separate trainings"):
        simulate(separate, Erratic, seeds=np.arange(1), rules=Rules(evals=1, continuation=True))
    for rules in (Rules(evals=1, max_fidelity=2), Rules(evals=1, report_fidelity=2)):
        with pytest.raises(HarnessError, match=r"no fidelity 2.*1, 3, 9"):
            simulate(table, Erratic, seeds=np.arange(1), rules=rules)


class _OneRandom:
    """One-seed random search by a numpy generator."""

    def __init__(self, problem: Problem, generator: np.random.Generator, *, pause: int = 0) -> None:
        self.problem, self.generator, self.pause = problem, generator, pause
        self.running: set[int] = set()
        self.told = 0

    def ask(self) -> tuple[Any, int, int] | None:
        assert len(self.problem.seeds) == 1
        if self.pause and len(self.running) >= self.pause:
            return None
        handle = max(self.running, default=self.told) + 1
        self.running.add(handle)
        return self.generator.integers(self.problem.space.sizes), self.problem.full, handle

    def tell(self, handle: int, loss: float, cost: float) -> None:
        self.running.remove(handle)
        self.told = max(self.told, handle)


@pytest.mark.parametrize("pause", [0, 2])
def test_per_seed_wraps_a_one_seed_optimizer(pause: int) -> None:
    def make(problem: Problem, generator: np.random.Generator, *, pause: int = pause) -> _OneRandom:
        return _OneRandom(problem, generator, pause=pause)

    factory = per_seed(make)
    assert factory.shard == 8  # type: ignore[attr-defined]
    table, rules = synthetic_table(2), Rules(budget=80.0, workers=4, log="all")
    whole = simulate(table, factory, seeds=np.arange(6), rules=rules)
    parts = [simulate(table, factory, seeds=np.arange(6)[part], rules=rules) for part in ([0], [1, 2], [3, 4, 5])]
    assert_same(Trajectory.join(parts), whole)
    for seed in range(6):
        events, _ = oracle(table, factory, seed, rules)
        assert run_rows(whole, seed) == [e.row for e in events]
    assert len({tuple(run_rows(whole, s)) for s in range(6)}) == 6


def run_rows(run: Trajectory, seed: int) -> list[int]:
    return run.row[run.seed == seed].tolist()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"workers": 0, "evals": 1}, "workers must be at least 1"),
        ({"budget": 0.0}, "budget must be positive"),
        ({"budget": math.nan}, "budget must be positive"),
        ({"evals": 0}, "evals must be at least 1"),
        ({"overhead": -1.0, "evals": 1}, "overhead"),
        ({}, "needs an end"),
    ],
)
def test_rules_refuse_what_makes_no_sense(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(HarnessError, match=message):
        Rules(**settings)
