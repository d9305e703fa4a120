"""BANANAS against its paper: the path encoding, Thompson sampling, and what is trained."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import pytest

from algorithms.bananas import BANANAS
from algorithms.predictors import features
from algorithms.predictors.memory import identities
from algorithms.predictors.paths import Paths, routes
from algorithms.predictors.training import Training
from harness import Floats, Ints, Problem, Results, Rules, Streams, registry, simulate
from harness.spaces import nasbench101
from harness.spaces.nasbench201 import SPACE

SEEDS = np.arange(3)


def paths_201(codes: Ints) -> set[tuple[int, ...]]:
    """The paths of a NAS-Bench-201 cell: its edges are 0-1, 0-2, 1-2, 0-3, 1-3 and 2-3, operator 0 is none."""
    every = [tuple(codes[list(edges)].tolist()) for edges in ((3,), (0, 4), (1, 5), (0, 2, 5))]
    return {path for path in every if 0 not in path}


def test_a_cell_is_the_paths_that_it_has() -> None:
    encoding = Paths(SPACE)
    assert encoding.features(np.zeros((1, 6), dtype=np.int64)).shape == (1, 4 + 4**2 + 4**3)
    codes = np.random.default_rng(0).integers(5, size=(300, 6))
    found = encoding.features(codes)
    expected = [paths_201(one) for one in codes]
    assert found.sum(axis=1).tolist() == [len(paths) for paths in expected]
    common = found @ found.T
    for i in range(300):
        assert common[i].tolist() == [len(expected[i] & other) for other in expected]


def test_a_path_is_its_operators_wherever_its_vertices_stand() -> None:
    space = nasbench101.ENCODINGS["a"].space
    codes = np.random.default_rng(0).integers(space.sizes, size=(20_000, space.dimensions))
    alike = identities(space, codes)
    order = np.argsort(alike, kind="stable")
    same = np.flatnonzero(np.diff(alike[order].astype(np.int64)) == 0)
    first, second = codes[order[same]], codes[order[same + 1]]
    assert len(same) > 1000
    assert (first != second).any(axis=1).all()
    encoding = Paths(space)
    np.testing.assert_array_equal(encoding.features(first), encoding.features(second))


def test_routes_are_all_ways_along_the_edges() -> None:
    assert routes(np.triu(np.ones((4, 4), dtype=np.bool_), 1)) == [(0, 3), (0, 1, 3), (0, 2, 3), (0, 1, 2, 3)]
    assert len(routes(np.triu(np.ones((7, 7), dtype=np.bool_), 1))) == 2**5


class Sure:
    """A network that predicts the number of a configuration, and `off` more."""

    def __init__(self, off: float) -> None:
        self.off = off

    def fit(self, *_: Any) -> None: ...

    def predict(self, codes: Ints, where: Ints) -> Floats:
        return (codes @ SPACE.strides).astype(np.float64) + self.off


def made(**params: Any) -> BANANAS:
    search: Any = registry.algorithm("bananas")(
        Problem(SPACE, np.array([200]), SEEDS, 1, np.inf), Streams(SEEDS, "t"), **params
    )
    zeros = np.zeros(3, dtype=np.int64)
    for one in np.random.default_rng(0).integers(5, size=(40, 6)):
        codes = np.tile(one, (3, 1))
        search.known.add(SEEDS, codes)
        search.tell(Results(SEEDS, zeros, codes, zeros, (codes @ SPACE.strides).astype(np.float64), np.ones(3)))
    return search


def test_each_mutant_draws_a_loss_of_its_own() -> None:
    search = made()
    search.ensemble.models = [Sure(off) for off in (-20.0, 0.0, 20.0)]
    codes = np.random.default_rng(1).integers(5, size=(3, 4000, 6))
    off = search.scores(SEEDS, codes) - codes @ SPACE.strides
    assert abs(off.mean()) < 4 * 20 / 12_000**0.5
    assert off.std() == pytest.approx(20, rel=0.03)
    assert abs(np.corrcoef(off[:, :-1].ravel(), off[:, 1:].ravel())[0, 1]) < 0.05


def test_what_is_trained_are_the_new_mutants_of_the_best_that_draw_lowest() -> None:
    search = made(parents=4, batch=6, candidates=60)
    search.ensemble.models = [Sure(0.0), Sure(0.0)]
    best = np.unique(np.random.default_rng(0).integers(5, size=(40, 6)), axis=0)[:4]
    for codes in search.batch(SEEDS):
        assert len(np.unique(identities(SPACE, codes))) == 6
        assert ((codes[:, None] != best).sum(axis=2).min(axis=1) == 1).all()
        assert (np.diff(codes @ SPACE.strides) > 0).all()


def test_it_beats_random_search(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(features, "TRAINING", Training(steps=40))
    table, rules = registry.benchmark("nb201/cifar10"), Rules(evals=60, noise="mean", log="all")

    def regret(factory: Any) -> Floats:
        run = simulate(table, factory, seeds=np.arange(10), rules=rules)
        return run.loss.reshape(10, 60).min(axis=1) - table.optimum.value

    gain = regret(registry.algorithm("rs")) - regret(partial(registry.algorithm("bananas"), ensemble=2))
    assert gain.mean() > 2 * gain.std(ddof=1) / 10**0.5
