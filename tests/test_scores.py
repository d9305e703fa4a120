"""Training-free scores: what they cost, who may ask for them, and what they are good for."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pytest
from scipy.stats import spearmanr

from algorithms.predictors.catalogue import naswot, synflow
from algorithms.predictors.scores import Ranked
from harness import HarnessError, Ints, Jobs, Problem, Results, Rules, Seen, Streams, per_seed, registry, simulate
from harness.scoring import Scoring
from harness.studies.study import Study
from harness.table import Score, Table
from harness.testing import assert_same, synthetic_table
from harness.trajectory import Trajectory


def scored(**made: Any) -> Table:
    table = synthetic_table(1, **{"missing": 0.0, **made})
    rng = np.random.default_rng(0)
    numbers = -np.nan_to_num(table.loss_at(len(table.fidelities) - 1), nan=9.0) + rng.normal(0, 0.05, len(table))
    seconds = rng.uniform(0.1, 0.2, len(table))
    return replace(table, scores={"free": Score("made-up score", lambda: (numbers, seconds))})


class Asks:
    """Trains row 0, 1, 2, ..., and asks for the scores of ten rows from there before each job."""

    def __init__(self, problem: Problem, streams: Streams, table: Table) -> None:
        self.score, self.table, self.n = problem.score("free"), table, 0

    def ask(self, seeds: Ints, worker: Ints) -> Jobs:
        found = self.score(self.table.codes[self.n : self.n + 10], seeds)
        np.testing.assert_array_equal(found, np.tile(self.table.scores["free"].values[self.n : self.n + 10], (2, 1)))
        self.n += 1
        return Jobs(np.tile(self.table.codes[self.n - 1], (len(seeds), 1)), 0)

    def tell(self, results: Results) -> None: ...


def test_each_seed_pays_for_a_configuration_once() -> None:
    table = scored(repeats=1, fidelities=(1,))
    run = simulate(table, partial(Asks, table=table), seeds=np.arange(2), rules=Rules(evals=5, overhead=0.5, log="all"))
    seconds, clock = table.scores["free"].seconds, 0.0
    for n, time in enumerate(run.time[run.seed == 1]):
        new = seconds[:10].sum() if n == 0 else seconds[n + 9]
        clock += 0.5 + new + table.cost[n, 0, 0]
        assert time == pytest.approx(clock, rel=1e-12)


def test_configurations_that_a_table_lacks_are_worst_and_free() -> None:
    table = scored(missing=0.3)
    scoring = Scoring(table, 2)
    every = np.stack(np.unravel_index(np.arange(table.space.cardinality), table.space.sizes.tolist()), axis=1)
    found = scoring.score("free")(np.stack([every, every]), np.arange(2))
    there = table.rows(every) >= 0
    assert np.isneginf(found[:, ~there]).all()
    assert np.isfinite(found[:, there]).all()
    np.testing.assert_allclose(scoring.settled(np.arange(2)), table.scores["free"].seconds.sum(), rtol=1e-12)


def test_one_seed_at_a_time_pays_for_itself() -> None:
    table = scored(repeats=1, fidelities=(1,))

    class One:
        def __init__(self, problem: Problem, generator: np.random.Generator) -> None:
            self.score, self.seed = problem.score("free"), int(problem.seeds[0])

        def ask(self) -> tuple[Ints, int, None]:
            self.score(table.codes[: self.seed + 1], np.array([0]))
            return table.codes[0], 0, None

        def tell(self, handle: None, loss: float, cost: float) -> None: ...

    run = simulate(table, per_seed(One), seeds=np.array([3, 7]), rules=Rules(evals=1, log="all"))
    seconds = table.scores["free"].seconds
    paid = [table.cost[0, 0, 0] + seconds[:4].sum(), table.cost[0, 0, 0] + seconds[:8].sum()]
    np.testing.assert_allclose(run.time, paid, rtol=1e-12)


@pytest.mark.parametrize(
    "factory",
    [
        partial(registry.algorithm("npred"), warm="free", scored=60, random=12, top=5, predictor="ridge"),
        partial(registry.algorithm("gpnas+"), warm="free", scored=60, startup=8, predictor="ridge"),
    ],
)
def test_a_warm_start_trains_first_what_a_score_ranks_high(factory: Any) -> None:
    table = scored(fidelities=(1,), sizes=(4, 5, 3, 5))

    def run(seeds: list[int]) -> Trajectory:
        return simulate(table, factory, seeds=np.array(seeds), rules=Rules(evals=17, log="all", workers=2))

    batch = run([3, 5, 8])
    assert_same(batch, Trajectory.join([run([3]), run([5]), run([8])]))
    first = batch.row[batch.seed == 1][:8]
    values = table.scores["free"].values
    assert (values[first] > np.quantile(values, 0.7)).all()
    assert len({*first}) == 8
    cold = simulate(table, partial(factory, warm="none"), seeds=np.arange(3), rules=Rules(evals=17, log="all"))
    assert values[cold.row].mean() < values[first].mean()


def test_the_ranking_is_by_the_score_and_knows_no_twice() -> None:
    table = scored(sizes=(3, 4))
    problem = Rules(evals=1).problem(table, np.arange(2), Scoring(table, 2))
    ranked, found = Ranked(problem, Streams(np.arange(2), "t"), "free", 100), []
    where = np.arange(2)
    while ranked.left(where).all():
        found.append(table.rows(ranked.take(where)))
    order = np.argsort(-table.scores["free"].values)
    np.testing.assert_array_equal(np.array(found), np.stack([order, order], axis=1))


def test_scores_are_part_of_a_study_only_where_they_are_asked_for() -> None:
    table = registry.benchmark("nb201")
    cold = Study.plan(table, "npred", {}, 0, 1, Rules(evals=272))
    warm = Study.plan(table, "npred", {"warm": "naswot"}, 0, 1, Rules(evals=272))
    by_score = Study.plan(table, "npred", {"predictor": "synflow"}, 0, 1, Rules(evals=272))
    assert "scores" not in cold.to_json()
    assert cold.table == table.checksum
    assert (warm.scores, by_score.scores) == (("naswot",), ("synflow",))
    assert len({cold.table, warm.table, by_score.table}) == 3
    assert Study.from_json(warm.to_json()) == warm
    assert warm.load_table().name == table.name
    other = Score("", lambda: (table.scores["naswot"].values, table.scores["naswot"].seconds + 1.0))
    assert warm.checksum_of(replace(table, scores={"naswot": other})) != warm.table


def test_what_is_no_score_or_asked_for_late_is_refused() -> None:
    table = registry.benchmark("nb201")
    with pytest.raises(HarnessError, match="unknown training-free score of nb201/cifar10 'naswt'") as caught:
        Study.plan(table, "gpnas+", {"warm": "naswt"}, 0, 1, Rules(evals=5))
    assert "naswot" in caught.value.hint
    with pytest.raises(HarnessError, match="macro/cifar10 has no training-free scores"):
        Study.plan(registry.benchmark("macro"), "npred", {"predictor": "naswot"}, 0, 1, Rules(evals=272))
    with pytest.raises(HarnessError, match="'naswot' is asked for late"):
        Scoring(table, 1, ()).score("naswot")
    with pytest.raises(HarnessError, match="no training-free score 'naswot' here"):
        naswot(Problem(table.space, np.array([200]), np.array([0]), 1, 1.0), Streams(np.array([0]), "t"))


@pytest.mark.parametrize("dataset", ["cifar10", "cifar100", "imagenet16-120"])
def test_scores_as_predictors_rank_as_the_scores_do(dataset: str) -> None:
    """NASWOT ranks cells; where everything is cut off its score is -inf."""
    table = registry.benchmark(f"nb201/{dataset}")
    problem = Rules(evals=1).problem(table, np.arange(2), Scoring(table, 2))
    truth = table.loss_at(0)
    seen = Seen(
        table.codes[None, :50].repeat(2, 0), np.zeros((2, 50), np.int64), truth[None, :50].repeat(2, 0), np.full(2, 50)
    )
    for make, name, least in ((naswot, "naswot", 0.75), (synflow, "synflow", 0.7)):
        model = make(problem, Streams(np.arange(2), "t"))
        model.fit(seen, np.arange(2))
        found = model.predict(table.codes.astype(np.int64), np.arange(2))
        by_hand = spearmanr(-table.scores[name].values, truth).statistic
        assert spearmanr(found[1], truth).statistic == pytest.approx(by_hand, abs=1e-9)
        assert by_hand > least
        assert found.mean() == pytest.approx(truth[:50].mean(), rel=1e-6)
        assert found[0].std() == pytest.approx(truth[:50].std(), rel=0.02)
    assert np.isneginf(table.scores["naswot"].values).sum() == 201
    assert set(table.scores) == {"naswot", "synflow", "logsynflow"} | ({"regions"} if "cifar" in dataset else set())
