"""Searches for several objectives that keep fronts: `moasha` and `motpe`."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from algorithms.asha import ASHA
from algorithms.density import FrontParzen, Parzen
from algorithms.density.fronts import covering, cut, members, rank_last, spread_out
from algorithms.moasha import MOASHA, Rung
from algorithms.motpe import MOTPE
from harness import HarnessError, Ints, Problem, Results, Streams
from harness.pareto import fittest, hypervolume
from harness.testing import synthetic_table

RNG = np.random.default_rng


def drawn(n: int, k: int, seed: int, levels: int = 12) -> Any:
    """Points with ties and equal ones, and some that are invalid."""
    points = RNG(seed).integers(levels, size=(n, k)).astype(float)
    points[RNG(seed + 1).random(n) < 0.05] = np.inf
    return points


def ranks(points: Any) -> Any:
    """The front of each point."""
    place, rank, _ = fittest(points, points.shape[1])
    return np.take_along_axis(rank, np.argsort(place, axis=1), axis=1)


@pytest.mark.parametrize("k", [1, 2, 3])
def test_fronts_that_grow_point_by_point_are_those_of_the_whole(k: int) -> None:
    for seed in range(20):
        points, rank = drawn(80, k, seed), np.zeros(80, np.int32)
        for n in range(1, 81):
            rank_last(points, rank, n)
            if n % 20 == 0:
                by_hand = ranks(np.append(points[:n], np.full((1, k), np.inf), axis=0)[None])[0, :n]
                np.testing.assert_array_equal(rank[:n], by_hand)
        for wanted in (1, 7, 30):
            level, left = cut(rank, 80, wanted)
            assert (rank < level).sum() + left == wanted
            assert 0 < left <= (rank == level).sum()
            np.testing.assert_array_equal(members(rank, 80, level), np.flatnonzero(rank == level))


def test_a_front_is_spread_out_farthest_first() -> None:
    points = np.array([[0.3, 30.0], [0.0, 100.0], [1.0, 0.0], [0.9, 5.0], [0.55, 12.0]])
    assert spread_out(points, np.arange(5)).tolist() == [1, 2, 0, 4, 3]
    assert spread_out(np.ones((3, 2)), np.array([2, 0])).tolist() == [2, 0]


def test_the_chosen_of_a_front_cover_the_most_one_by_one() -> None:
    for seed in range(30):
        points = RNG(seed).integers(15, size=(60, 2)).astype(float)
        front = np.flatnonzero(ranks(points[None])[0] == 0)
        worst = points[front].max(axis=0) * 1.1 + 0.1
        for wanted in range(1, len(front) + 1):
            taken = np.zeros(60, np.bool_)
            covering(points, front, wanted, worst, taken)
            assert taken.sum() == taken[front].sum() == wanted
            chosen: list[int] = []
            for _ in range(min(wanted, len(np.unique(points[front], axis=0)))):
                gained = [hypervolume(points[[*chosen, p]], worst) for p in front.tolist()]
                chosen.append(int(front[np.argmax(gained)]))
            np.testing.assert_allclose(hypervolume(points[taken], worst), hypervolume(points[chosen], worst))


def test_a_rung_lets_first_fronts_go_on() -> None:
    codes = np.arange(4).reshape(1, 4)
    rung = Rung(1, 2, np.array([200, 200, 200, 200]), 2)
    seed, gone = np.array([0]), []
    points = drawn(120, 2, 5, levels=30)
    for t, point in enumerate(points):
        rung.add(seed, codes * 0 + t, point[None])
        if t % 3 == 2 and rung.next[0] >= 0:
            first = int(rung.take(seed)[0, 0])
            rank = ranks(np.append(points[: t + 1], [[np.inf, np.inf]], axis=0)[None])[0, : t + 1]
            left = [i for i in range(t + 1) if i not in gone]
            level = min(rank[i] for i in left)
            assert rank[first] == level
            front = [i for i in spread_out(points, np.flatnonzero(rank == level)).tolist() if i not in gone]
            assert first == front[0]
            before = (rank < level).sum()
            order = spread_out(points, np.flatnonzero(rank == level)).tolist()
            assert before + order.index(first) < (t + 1) // 2
            gone.append(first)
    assert len(gone) > 30
    assert np.isfinite(points[gone]).all()


def test_moasha_is_asha_where_the_objectives_agree() -> None:
    table = synthetic_table(3, missing=0.0)
    seeds = np.arange(3)
    problem = Problem(table.space, table.fidelities, seeds, 2, np.inf, ("loss", "again"))
    one, several = ASHA(problem, Streams(seeds, "t")), MOASHA(problem, Streams(seeds, "t"))
    rng, zeros = RNG(0), np.zeros(3, dtype=np.int64)
    for _ in range(400):
        a, b = one.ask(seeds, zeros), several.ask(seeds, zeros)
        np.testing.assert_array_equal(a.codes, b.codes)
        np.testing.assert_array_equal(a.fidelity, b.fidelity)
        loss = np.where(rng.random(3) < 0.1, np.inf, rng.random(3))
        told = (seeds, zeros, a.codes, np.asarray(a.fidelity), loss, np.ones(3))
        one.tell(Results(*told))
        several.tell(Results(*told, np.stack([loss, loss], axis=1)))


def test_densities_of_one_order_are_those_of_one_objective() -> None:
    """Where both objectives agree the good are the lowest; up to 25 of them weigh the same with one objective too."""
    space = synthetic_table(1).space
    one = Parzen(space, 2, variant="optuna", gamma=0.1, cap=25)
    both = FrontParzen(space, 2, 2, gamma=0.1, cap=25, prior_weight=1.0, forgetting=25)
    rng, where = RNG(4), np.arange(2)
    for _ in range(230):
        codes, loss = np.stack([rng.integers(space.sizes) for _ in range(2)]), rng.random(2)
        one.add(where, codes, loss)
        both.add(where, codes, np.stack([loss, 3 * loss], axis=1))
    np.testing.assert_allclose(both.masses(where), one.masses(where), rtol=1e-12)


def good(model: FrontParzen, n: int) -> Ints:
    return np.flatnonzero(model.split.is_below[0, :n])


@pytest.mark.parametrize("k", [2, 3])
def test_the_good_are_the_first_fronts(k: int) -> None:
    space = synthetic_table(1).space
    model = FrontParzen(space, 1, k, gamma=0.1, cap=1000, prior_weight=1.0, forgetting=25)
    rng = RNG(k)
    points = rng.random((300, k))
    for n, point in enumerate(points, start=1):
        model.add(np.array([0]), rng.integers(space.sizes)[None], point[None])
        found = good(model, n)
        assert len(found) == -(-n // 10)
        if n % 50 == 0:
            rank = ranks(points[None, :n])[0]
            assert rank[found].max() <= np.sort(rank)[len(found) - 1]


@pytest.mark.parametrize("k", [2, 3])
@pytest.mark.reference("optuna")
def test_the_good_are_optunas(k: int) -> None:
    from optuna import create_study
    from optuna.samplers._tpe.sampler import _split_complete_trials_multi_objective
    from optuna.trial import create_trial

    space = synthetic_table(1).space
    for seed in range(6):
        model = FrontParzen(space, 1, k, gamma=0.1, cap=1000, prior_weight=1.0, forgetting=25)
        rng, study, trials = RNG(seed), create_study(directions=["minimize"] * k), []
        levels = 1000 if seed % 2 else 8
        for n in range(1, 160):
            point = rng.integers(levels, size=k) / levels - (0.5 if seed == 3 else 0.0)
            model.add(np.array([0]), rng.integers(space.sizes)[None], point[None])
            trials.append(create_trial(values=point.tolist()))
            trials[-1].number = n - 1
            below, _ = _split_complete_trials_multi_objective(trials, study, -(-n // 10))
            assert sorted(t.number for t in below) == good(model, n).tolist()


@pytest.mark.parametrize("make", [MOASHA, MOTPE])
def test_they_want_several_objectives(make: Any) -> None:
    table = synthetic_table(1)
    with pytest.raises(HarnessError, match="searches for several objectives"):
        make(Problem(table.space, table.fidelities, np.arange(1), 1, 1.0), Streams(np.arange(1), "t"))
