"""NAS-BOWL against its paper: the kernel, the process, expected improvement, and what is trained."""

from __future__ import annotations

from collections import Counter
from functools import partial
from typing import Any

import numpy as np
import pytest
from scipy import stats

from algorithms.predictors.memory import identities
from algorithms.predictors.subtrees import NOISES, SubtreeProcess, Subtrees, indicators
from harness import Floats, HarnessError, Ints, Problem, Results, Rules, SearchSpace, Seen, Streams, registry, simulate
from harness.spaces import nasbench101
from harness.spaces.nasbench201 import SPACE
from harness.testing import synthetic_table

SEEDS = np.arange(3)
CELLS = nasbench101.ENCODINGS["a"].space


def process(space: SearchSpace, seeds: Ints = SEEDS, fidelities: Any = (200,), **params: Any) -> SubtreeProcess:
    problem = Problem(space, np.array(fidelities), seeds, 1, np.inf)
    made: Any = registry.predictor("gpwl")(problem, Streams(seeds, "t"), **params)
    return made


def subtrees(space: SearchSpace, codes: Ints, depth: int) -> Counter[Any]:
    """Those of one configuration, each written out: its operator, and those that its edges lead to."""
    assert space.graphs is not None
    adjacency, operators = (part[0] for part in space.graphs.of(codes[None]))
    own: list[Any] = [(0, int(operator)) for operator in operators]
    found: Counter[Any] = Counter()
    for level in range(depth + 1):
        found.update(one for one, operator in zip(own, operators, strict=True) if operator)
        own = [(level + 1, own[i], *sorted(own[j] for j in np.flatnonzero(adjacency[i]))) for i in range(len(own))]
    return found


@pytest.mark.parametrize("space", [SPACE, CELLS], ids=["nb201", "nb101"])
@pytest.mark.parametrize("depth", [0, 1, 2, 3])
def test_what_two_graphs_have_in_common_are_the_subtrees_that_can_be_matched(space: SearchSpace, depth: int) -> None:
    codes = np.random.default_rng(0).integers(space.sizes, size=(60, space.dimensions))
    words = Subtrees(space, depth).of(codes).reshape(60, -1)
    known = np.unique(words[words > 0])
    has = indicators(words, known)
    expected = [subtrees(space, one, depth) for one in codes]
    common = np.array([[(a & b).total() for b in expected] for a in expected])
    np.testing.assert_array_equal((has @ has.T).toarray(), common)
    assert (words > 0).sum(axis=1).tolist() == [one.total() for one in expected]


def seen(codes: Ints, loss: Floats, fidelity: int = 0) -> Seen:
    k, n = loss.shape
    return Seen(codes, np.full((k, n), fidelity), loss, np.full(k, n))


@pytest.mark.parametrize("seed", [0, 1])
def test_a_process_is_its_formulas_at_the_likeliest_depth_and_noise(seed: int) -> None:
    rng = np.random.default_rng(seed)
    codes, queries = rng.integers(5, size=(1, 30, 6)), rng.integers(5, size=(1, 9, 6))
    trees = [subtrees(SPACE, one, 1) for one in codes[0]]
    loss = 0.1 + 0.01 * np.array([[len(tree) for tree in trees]]) + rng.random((1, 30)) / 100
    model = process(SPACE, np.array([4]), target="raw")
    model.fit(seen(codes, loss), np.array([0]))
    mean, deviation, lowest = model.posterior(queries, np.array([0]))

    every = np.concatenate([codes[0], queries[0]])
    y = (loss[0] - loss.mean()) / loss.std()
    found = {}
    for depth in (1, 2):
        counts = [subtrees(SPACE, one, depth) for one in every]
        common = np.array([[(a & b).total() for b in counts] for a in counts], dtype=np.float64)
        share = common / np.sqrt(np.outer(np.diag(common), np.diag(common)))
        for noise in NOISES:
            shape = share[:30, :30] + noise * np.eye(30)
            variance = float(y @ np.linalg.solve(shape, y)) / 30
            found[stats.multivariate_normal(cov=variance * shape).logpdf(y)] = (share, noise, variance)
    share, noise, variance = found[max(found)]
    gain = np.linalg.solve(share[:30, :30] + noise * np.eye(30), share[:30]).T
    expected = gain @ y
    left = variance * (1.0 - (gain * share[:30].T).sum(axis=1))
    np.testing.assert_allclose(mean[0], expected[30:], atol=1e-5)
    np.testing.assert_allclose(deviation[0], left[30:] ** 0.5, atol=1e-5)
    assert lowest[0] == pytest.approx(expected[:30].min(), abs=1e-5)
    losses = model.predict(queries[0], np.array([0]))[0]
    np.testing.assert_allclose(losses, expected[30:] * loss.std() + loss.mean(), atol=1e-6)


def test_a_fidelity_is_told_from_another() -> None:
    codes = np.random.default_rng(0).integers(5, size=(1, 40, 6))
    near, far = seen(codes, np.full((1, 40), 0.1), 1), seen(codes, np.full((1, 40), 0.5), 0)
    names = ("codes", "fidelity", "loss")
    both = [np.concatenate([getattr(near, name), getattr(far, name)], axis=1) for name in names]
    model = process(SPACE, np.array([4]), (3, 200))
    model.fit(Seen(both[0], both[1], both[2], np.array([80])), np.array([0]))
    assert model.predict(codes[0], np.array([0])).max() < 0.2


class Believing:
    """What predicts the number of a configuration, and is as sure of each as the parameter 0 says."""

    def fit(self, *_: Any) -> None: ...

    def posterior(self, codes: Ints, where: Ints) -> tuple[Floats, Floats, Floats]:
        spread = (100 * codes[..., 0]).astype(np.float64)
        return (codes @ SPACE.strides).astype(np.float64), spread, np.full(len(where), 3000.0)


def made(**params: Any) -> Any:
    search: Any = registry.algorithm("nasbowl")(
        Problem(SPACE, np.array([200]), SEEDS, 1, np.inf), Streams(SEEDS, "t"), **params
    )
    zeros = np.zeros(3, dtype=np.int64)
    for one in np.random.default_rng(0).integers(5, size=(40, 6)):
        codes = np.tile(one, (3, 1))
        search.known.add(SEEDS, codes)
        search.tell(Results(SEEDS, zeros, codes, zeros, (codes @ SPACE.strides).astype(np.float64), np.ones(3)))
    search.model = Believing()
    return search


def test_expected_improvement_is_the_mean_gain_over_draws() -> None:
    codes = np.random.default_rng(1).integers(5, size=(3, 20, 6))
    found = -made().scores(SEEDS, codes)
    mean, deviation, lowest = Believing().posterior(codes, SEEDS)
    draws = mean[..., None] + deviation[..., None] * np.random.default_rng(2).normal(size=(3, 20, 20_000))
    gains = np.maximum(lowest[:, None, None] - draws, 0.0)
    assert (np.abs(found - gains.mean(axis=2)) <= 5 * gains.std(axis=2) / 20_000**0.5 + 0.05).all()


def test_the_pool_are_mutants_of_the_best_and_random_ones() -> None:
    pool = made(parents=1, mutants=4000, fresh=50).pool(SEEDS)
    assert pool.shape == (3, 4050, 6)
    best = np.unique(np.random.default_rng(0).integers(5, size=(40, 6)), axis=0)[:1]
    changed = (pool[:, :4000, None] != best).sum(axis=3).min(axis=2)
    assert changed.min() == 1
    n = np.arange(1, 7)
    chance = stats.binom.pmf(n, 6, 1 / 6) + (n == 1) * stats.binom.pmf(0, 6, 1 / 6)
    assert changed.mean() == pytest.approx((n * chance).sum(), rel=0.05)


def test_without_a_valid_result_the_pool_is_random() -> None:
    search: Any = registry.algorithm("nasbowl")(Problem(SPACE, np.array([200]), SEEDS, 1, np.inf), Streams(SEEDS, "t"))
    zeros, (first, *_) = np.zeros(3, dtype=np.int64), search.batch(SEEDS)
    codes = np.tile(first[0], (3, 1))
    search.tell(Results(SEEDS, zeros, codes, zeros, np.array([np.inf, 0.1, np.inf]), np.ones(3)))
    changed = (search.pool(SEEDS)[:, :100] != first[0]).mean(axis=(1, 2))
    assert (np.abs(changed[[0, 2]] - 0.8) < 0.1).all()
    assert changed[1] < 0.4


def test_what_is_trained_are_the_new_ones_of_the_pool_that_promise_most() -> None:
    search, same = made(batch=6), made(batch=6)
    pool = same.pool(SEEDS)
    scores = same.scores(SEEDS, pool)
    for i, codes in enumerate(search.batch(SEEDS)):
        ids, places = identities(SPACE, pool[i]), same.known.places(pool[i])
        new = [j for j in np.argsort(scores[i], kind="stable") if not same.known.known[i, places[j]]]
        expected = [j for n, j in enumerate(new) if ids[j] not in ids[new[:n]]][:6]
        np.testing.assert_array_equal(codes, pool[i, expected])


def test_it_needs_a_predictor_that_is_sure() -> None:
    with pytest.raises(HarnessError, match=r"says how sure it is\. take gpwl, or gp without graphs"):
        made(predictor="ridge")
    with pytest.raises(HarnessError, match="are no graphs, which this predictor needs"):
        simulate(
            synthetic_table(1),
            partial(registry.algorithm("nasbowl"), predictor="gpwl"),
            seeds=SEEDS,
            rules=Rules(evals=1),
        )


def test_it_beats_random_search() -> None:
    table, rules = registry.benchmark("nb201/cifar10"), Rules(evals=60, noise="mean", log="all")

    def regret(name: str) -> Floats:
        run = simulate(table, registry.algorithm(name), seeds=np.arange(10), rules=rules)
        return run.loss.reshape(10, 60).min(axis=1) - table.optimum.value

    gain = regret("rs") - regret("nasbowl")
    assert gain.mean() > 2 * gain.std(ddof=1) / 10**0.5
