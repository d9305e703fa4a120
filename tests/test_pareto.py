"""Dominance, fronts and hypervolumes against definitions and against other packages."""

from __future__ import annotations

import numpy as np
import pytest

from harness.dominance import undominated
from harness.pareto import Archive, dominated, fittest, front, hypervolume

RNG = np.random.default_rng(0)


def sets(k: int, n: int = 12, count: int = 40) -> np.ndarray:
    """Random sets, on a coarse grid so that ties and duplicates abound, some points beyond the reference, some NaN."""
    points = RNG.integers(0, 9, (count, n, k)) / 8.0
    points[::3] += RNG.random((len(points[::3]), n, k)) * 0.3
    points[1::4, 0, 0] = np.nan
    points[:, -1] = points[:, 0]
    return points


def ranks(points: np.ndarray) -> np.ndarray:
    """The front of each point, in the place of the point."""
    return by_place(points)[0]


def by_place(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Front and crowding distance of each point, in the place of the point."""
    place, rank, distance = fittest(points, points.shape[1])
    back = np.argsort(place, axis=1)
    return np.take_along_axis(rank, back, axis=1), np.take_along_axis(distance, back, axis=1)


def strictly(a: np.ndarray, b: np.ndarray) -> bool:
    return bool((a <= b).all() and (a < b).any())


@pytest.mark.parametrize("k", [1, 2, 3, 4])
def test_hypervolume_counts_cells(k: int) -> None:
    """On a grid it is the number of cells that some point dominates."""
    points = RNG.integers(0, 6, (30, 7, k)).astype(float)
    cells = np.stack(np.meshgrid(*[np.arange(5)] * k, indexing="ij"), axis=-1).reshape(-1, k)
    counted = [(np.all(p[:, None] <= cells, axis=2).any(axis=0)).sum() for p in points]
    np.testing.assert_array_equal(hypervolume(points, np.full(k, 5.0)), counted)


@pytest.mark.reference("moocore")
@pytest.mark.parametrize("k", [2, 3, 4])
def test_hypervolume_is_that_of_moocore(k: int) -> None:
    import moocore

    points, reference = sets(k, 25), np.full(k, 1.05)
    known = [moocore.hypervolume(p[np.isfinite(p).all(axis=1)], ref=reference) for p in points]
    np.testing.assert_allclose(hypervolume(points, reference), known, rtol=0, atol=1e-12)


@pytest.mark.reference("pymoo")
@pytest.mark.parametrize("k", [2, 3])
def test_ranks_and_crowding_are_those_of_pymoo(k: int) -> None:
    from pymoo.operators.survival.rank_and_crowding.metrics import calc_crowding_distance
    from pymoo.util.nds.non_dominated_sorting import NonDominatedSorting

    points = RNG.random((20, 30, k))
    points[::2] = np.round(points[::2], 1)
    rank = ranks(points)
    for p, r in zip(points, rank, strict=True):
        for level, known in enumerate(NonDominatedSorting().do(p)):
            np.testing.assert_array_equal(np.flatnonzero(r == level), np.sort(known))
    distinct = RNG.random((20, 30, k))
    rank, distance = by_place(distinct)
    for p, r, d in zip(distinct, rank, distance, strict=True):
        for level in range(r.max() + 1):
            of = np.flatnonzero(r == level)
            if len(of) > 2:
                np.testing.assert_allclose(d[of], calc_crowding_distance(p[of], filter_out_duplicates=False) * k)


def test_a_set_alone_has_what_it_has_in_a_batch() -> None:
    for k in (2, 3):
        points = sets(k)
        whole = hypervolume(points, np.ones(k))
        np.testing.assert_array_equal(whole, [hypervolume(p, np.ones(k)) for p in points])
        filled = np.where(np.isnan(points), np.inf, points)
        np.testing.assert_array_equal(ranks(filled), np.concatenate([ranks(p[None]) for p in filled]))


@pytest.mark.parametrize("k", [2, 3])
@pytest.mark.parametrize("keep", [1, 13, 30])
def test_the_fittest_are_first_by_front_then_by_crowding(k: int, keep: int) -> None:
    """By definition, in numpy: the front after the last that has one that dominates; gaps of stable orders."""
    points = RNG.integers(0, 7, (20, 30, k)) / 4.0
    points[::3, 4] = np.inf
    for p, place, rank, distance in zip(points, *fittest(points, keep), strict=True):
        level = np.full(30, -1)
        left = np.arange(30)
        while left.size:
            first = [i for i in left if not any(strictly(p[j], p[i]) for j in left)]
            level[first] = level.max() + 1
            left = np.setdiff1d(left, first)
        gaps = np.zeros(30)
        for front_ in range(level.max() + 1):
            of = np.flatnonzero(level == front_)
            for values in p[of].T:
                order = of[np.argsort(values, kind="stable")]
                along = np.sort(values)
                gap = np.full(len(of), np.inf)
                if along[-1] > along[0]:
                    gap[1:-1] = (along[2:] - along[:-2]) / (along[-1] - along[0])
                gaps[order] += gap
        best = np.lexsort((-gaps, level))[:keep]
        np.testing.assert_array_equal(place, best)
        np.testing.assert_array_equal(rank, level[best])
        np.testing.assert_array_equal(distance, gaps[best])


@pytest.mark.parametrize("k", [1, 2, 3])
def test_the_undominated_of_a_sample(k: int) -> None:
    for points in RNG.integers(0, 5, (200, 8, k)) / 4.0:
        free = np.zeros(8, np.bool_)
        count = undominated(points, np.empty(8, np.int64), free)
        assert free.tolist() == [not any(strictly(q, p) for q in points) for p in points]
        assert count == free.sum()


def test_no_points_have_no_volume() -> None:
    assert hypervolume(np.empty((0, 2)), np.ones(2)) == 0.0
    assert hypervolume(np.full((3, 4, 2), np.inf), np.ones(2)).tolist() == [0.0, 0.0, 0.0]


@pytest.mark.parametrize("k", [2, 3])
def test_front_by_definition(k: int) -> None:
    points = sets(k, 40, 1)[0]
    rows = front(points)
    assert (np.diff(points[rows, 0]) >= 0).all()
    for row, point in enumerate(points):
        if not np.isfinite(point).all():
            assert row not in rows
        elif row in rows:
            assert not any(strictly(other, point) for other in points)
        else:
            assert any(strictly(points[r], point) or (r < row and (points[r] == point).all()) for r in rows)


@pytest.mark.parametrize("k", [2, 3])
def test_an_archive_holds_the_front_of_what_it_was_given(k: int) -> None:
    points = sets(k, 60, 5)
    archive = Archive(len(points), k)
    where = np.arange(len(points))
    for i in range(points.shape[1]):
        before = [points[s, archive.label[s][archive.label[s] >= 0]] for s in where]
        joined = archive.add(where, points[:, i], np.full(len(where), i))
        for s in where:
            fits = np.isfinite(points[s, i]).all() and not dominated(points[s, i], before[s])
            assert joined[s] == fits
    for s in where:
        np.testing.assert_array_equal(np.sort(archive.label[s][archive.label[s] >= 0]), np.sort(front(points[s])))
    archive.clear(where[:1])
    assert (archive.label[0] < 0).all()
    assert (archive.label[1] >= 0).any()
