"""The search in segments by the graph network, on scores whose truth is known."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from harness import Floats, HarnessError, Ints
from harness.sharing.segments import Lookup, divided, search

SIZES = (3, 4, 3, 3, 4, 3)
PARTS = [np.random.default_rng(i).permutation(k) * 0.1 for i, k in enumerate(SIZES)]


def truth(codes: Ints) -> Floats:
    """Additive, but for a pair on both sides of the border between the segments."""
    return np.sum([part[codes[:, i]] for i, part in enumerate(PARTS)], axis=0) + 0.4 * (codes[:, 2] == codes[:, 3])


def found(kept: int) -> Lookup:
    zeros = np.zeros(6, np.int64)
    return search(zeros, SIZES, (3, 3), truth, seed=0, kept=kept, samples=24, finalists=12, width=16, epochs=60)


def test_the_kept_ones_are_a_parameter_of_the_next_segment() -> None:
    for kept in (1, 4):
        table = found(kept)
        assert len(table.codes) == kept * 36
        assert len(np.unique(table.codes[:, :3], axis=0)) == kept
        assert len(np.unique(table.codes, axis=0)) == len(table.codes)


def test_what_is_kept_holds_what_fewer_would_and_predictions_find_good_architectures() -> None:
    every = np.stack(np.unravel_index(np.arange(1296), SIZES), axis=1)
    one, several = found(1), found(6)
    assert {*map(tuple, one.codes.tolist())} < {*map(tuple, several.codes.tolist())}
    for table in (one, several):
        assert (truth(every) > table.best(truth, 12)[1][0] + 1e-9).mean() < 0.05


def test_a_constraint_is_met_and_one_that_nothing_meets_is_refused() -> None:
    table = found(4)
    codes, scores = table.best(truth, 10, table.codes[:, 4] == 1)
    assert (codes[:, 4] == 1).all()
    assert len(codes) == 10
    np.testing.assert_array_equal(scores, np.sort(truth(codes))[::-1])
    with pytest.raises(HarnessError, match="no architecture"):
        table.best(truth, 10, np.zeros(len(table.codes), np.bool_))


def test_segments_add_up() -> None:
    with pytest.raises(HarnessError, match="segments of 3, 2 parameters are 5; the space has 6"):
        search(np.zeros(6, np.int64), SIZES, (3, 2), truth, seed=0)


def test_the_paper_divides_nineteen_parameters_of_six_values_into_7_6_6() -> None:
    assert divided([6] * 19, 6) == [7, 6, 6]
    assert divided([6] * 7, 6) == [7]
    assert divided([3] * 8, 6, 2) == [4, 4]


def test_a_segment_beyond_a_million_says_how_to_segment() -> None:
    with pytest.raises(HarnessError, match="10,077,696 architectures, beyond 1,000,000") as caught:
        divided([6] * 9, 6, 1)
    assert caught.value.hint == "divide the 9 parameters into 2 segments or more."
    with pytest.raises(HarnessError, match="too few for 4 segments"):
        divided([3] * 3, 6, 4)


def test_values_are_those_that_may_be_chosen() -> None:
    values = [np.array([0, 2]), *(np.arange(k) for k in SIZES[1:])]
    small: dict[str, Any] = {"samples": 24, "finalists": 12, "width": 16, "epochs": 60}
    table = search(
        np.zeros(6, np.int64), [2, *SIZES[1:]], (3, 3), truth, seed=0, kept=4, measured=5, values=values, **small
    )
    assert {*table.codes[:, 0].tolist()} <= {0, 2}
    assert len(table.codes) == 4 * 36
