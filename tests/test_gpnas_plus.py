"""GPNAS+: whose mutants it proposes; test_gpnas.py has what it shares with GPNAS."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from algorithms.gpnas_plus import MOST, Best, GPNASPlus
from harness import Ints, Problem, Results, Streams, registry
from harness.spaces.nasbench201 import SPACE

SEEDS = np.arange(3)


def problem(fidelities: tuple[int, ...] = (200,)) -> Problem:
    return Problem(SPACE, np.array(fidelities), SEEDS, 1, np.inf)


def told(algorithm: GPNASPlus, codes: Ints, loss: Ints, fidelity: int = 0) -> None:
    zeros = np.zeros(3, dtype=np.int64)
    for one, y in zip(codes, loss, strict=True):
        every = np.tile(one, (3, 1))
        algorithm.tell(Results(SEEDS, zeros, every, zeros + fidelity, np.full(3, y), np.ones(3)))


def random_codes(n: int) -> Ints:
    return np.random.default_rng(0).integers(5, size=(n, 6))


class Nothing:
    """In place of Hyperband, which would have to have asked first."""

    def tell(self, results: Results) -> None: ...


def made(of: Problem | None = None, **params: Any) -> GPNASPlus:
    algorithm: Any = registry.algorithm("gpnas+")(of or problem(), Streams(SEEDS, "t"), predictor="none", **params)
    algorithm.halving = Nothing()
    return algorithm


def test_mutants_are_near_the_best_results() -> None:
    algorithm, codes = made(parents=2, children=4000), random_codes(30)
    told(algorithm, codes, np.random.default_rng(1).permutation(30).astype(float))
    order = np.random.default_rng(1).permutation(30).argsort()
    children = algorithm.children(SEEDS)
    off = (children[:, :, None] != codes[order[:2]]).sum(axis=3)
    changed = off.min(axis=2)
    assert changed.max() <= MOST
    assert (off[..., 0] < off[..., 1]).mean() == pytest.approx(0.5, abs=0.04)
    assert 0.45 < (changed == 1).mean() < 0.6


def test_the_best_are_the_lowest_valid_losses() -> None:
    best, rng = Best(problem(), Streams(SEEDS, "t"), 4), np.random.default_rng(2)
    codes, loss = rng.integers(5, size=(40, 3, 6)), rng.random((40, 3))
    loss[rng.random((40, 3)) < 0.3] = np.inf
    for one, y in zip(codes, loss, strict=True):
        best.add(SEEDS, one, y)
    assert best.full.all()
    drawn = best.drawn(SEEDS, np.tile((np.arange(4) + 0.5) / 4, (3, 1)))
    for s in SEEDS:
        assert (drawn[s] == codes[loss[:, s].argsort()[:4], s]).all()


def test_until_there_are_enough_parents_are_those_there_are() -> None:
    best, codes = Best(problem(), Streams(SEEDS, "t"), 4), random_codes(2)
    nothing = best.drawn(SEEDS, np.array([[0.0, 0.99]] * 3))
    assert (nothing[:, 0] == nothing[:, 1]).all()
    best.add(SEEDS, np.tile(codes[0], (3, 1)), np.full(3, np.inf))
    assert (best.drawn(SEEDS, np.array([[0.0, 0.99]] * 3)) == nothing).all()
    best.add(SEEDS, np.tile(codes[1], (3, 1)), np.ones(3))
    assert (best.drawn(SEEDS, np.array([[0.0, 0.99]] * 3)) == codes[1]).all()
    assert not best.full.any()


def test_parents_are_of_the_largest_fidelity_that_has_enough() -> None:
    algorithm: Any = registry.algorithm("gpnas+")(
        problem((20, 200)), Streams(SEEDS, "t"), predictor="none", parents=2, eta=10
    )
    algorithm.halving = Nothing()
    small, large = random_codes(4)[:2], random_codes(4)[2:]
    told(algorithm, small, np.array([0, 0]), 0)
    told(algorithm, large[:1], np.array([1]), 1)
    assert _near(algorithm, small)
    told(algorithm, large[1:], np.array([1]), 1)
    assert _near(algorithm, large)


def _near(algorithm: GPNASPlus, codes: Ints) -> bool:
    """Whether most children differ in one parameter from one of `codes`."""
    off = (algorithm.children(SEEDS)[:, :, None] != codes).sum(axis=3).min(axis=2)
    return bool((off <= 1).mean() > 0.5)
