"""Tables refuse arrays that contradict each other, and average only what was measured."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from harness.testing import synthetic_table


def test_means_are_over_the_repeats_that_exist() -> None:
    table = synthetic_table(3)
    row = int(np.flatnonzero(table.repeats[:, 2] == 2)[0])
    assert table.mean_loss[row, 2] == pytest.approx(table.loss[row, 2, :2].sum() / 2)
    absent = np.argwhere(table.repeats == 0)[0]
    assert np.isnan(table.mean_loss[tuple(absent)])


def test_codes_without_a_row_are_not_found() -> None:
    table = synthetic_table(3)
    grid = np.stack(np.meshgrid(*map(np.arange, table.space.sizes), indexing="ij"), axis=-1).reshape(-1, 4)
    rows = table.rows(grid)
    assert (rows == -1).sum() == table.space.cardinality - len(table) > 0
    np.testing.assert_array_equal(table.codes[rows[rows >= 0]], grid[rows >= 0])


def test_test_optimum_is_of_the_test_losses() -> None:
    table = synthetic_table(3)
    assert table.test_optimum is not None
    assert table.test_optimum.value == pytest.approx(table.optimum.value + 0.01)
    assert "made-up test loss" in table.test_optimum.definition


def test_the_checksum_is_of_every_number() -> None:
    table = synthetic_table(3)
    seen = {table.checksum, synthetic_table(4).checksum}
    for name in ("loss", "cost", "test"):
        changed = getattr(table, name).copy()
        changed[0, -1, 0] += 1e-9
        seen.add(replace(table, **{name: changed}).checksum)
    assert len(seen) == 5
    assert table.checksum == synthetic_table(3).checksum


@pytest.mark.parametrize("name", ["loss", "cost", "test", "codes", "fidelities"])
def test_arrays_of_another_shape_are_refused(name: str) -> None:
    table = synthetic_table(3)
    with pytest.raises(ValueError, match=r"shape|columns"):
        replace(table, **{name: getattr(table, name)[..., :-1]})


def test_gaps_between_repeats_and_unordered_fidelities_are_refused() -> None:
    table = synthetic_table(3)
    with pytest.raises(ValueError, match="come first"):
        replace(table, loss=table.loss[..., ::-1], cost=table.cost[..., ::-1])
    with pytest.raises(ValueError, match="ascend"):
        replace(table, fidelities=table.fidelities[::-1])
    with pytest.raises(ValueError, match="cost"):
        replace(table, cost=-table.cost)
