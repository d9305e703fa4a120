"""Tables refuse arrays that contradict each other, and average only what was measured."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from harness.arrays import of_column
from harness.table import repeats_in_order
from harness.testing import synthetic_table

BASELINE = Path(__file__).parents[1] / "results" / "baseline"


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


def test_a_training_without_a_loss_is_one_at_its_cost() -> None:
    table = synthetic_table(3)
    free = replace(table, loss=np.where(table.tried, table.loss, np.nan), source="a")
    lost = table.loss.copy()
    lost[-1, 0] = np.nan
    charged = replace(table, loss=lost, source="a")
    assert charged.checksum != free.checksum
    assert charged.tried.sum() == free.tried.sum()
    assert charged.repeats[-1, 0] == 0
    cost = table.cost.copy()
    cost[0, 0] = [np.nan, np.nan, 3.0]
    with pytest.raises(ValueError, match="come first"):
        replace(table, loss=np.where(np.isnan(cost), np.nan, lost), cost=cost)


def test_what_was_not_trained_is_not_seen() -> None:
    table = synthetic_table(3)
    seen = table.up_to(3)
    assert seen.fidelities.tolist() == [1, 3]
    np.testing.assert_array_equal(seen.loss, table.loss[:, :2])
    np.testing.assert_array_equal(seen.cost, table.cost[:, :2])
    assert seen.test is None
    assert table.up_to(9) is table
    assert table.up_to(None) is table


def test_optima_at_each_fidelity() -> None:
    table = synthetic_table(3)
    for position in range(3):
        best = table.optimum_at(position)
        assert best.value == np.nanmin(table.mean_loss[:, position]) == table.mean_loss[best.row, position]
        test, means = table.test_optimum_at(position), table.test_at(position)
        assert test is not None
        assert means is not None
        assert test.value == np.nanmin(means)
    assert table.optimum == table.optimum_at(2)


def test_a_test_metric_of_the_largest_fidelity_only() -> None:
    table = synthetic_table(3)
    assert table.test is not None
    last = replace(table, test=table.test[:, -1:])
    assert last.test_at(0) is None
    assert last.test_at(1) is None
    assert last.test_optimum_at(0) is None
    assert last.test_optimum == table.test_optimum


def test_a_stored_table_is_known_by_its_source() -> None:
    table = synthetic_table(3)
    stored = [replace(table, source=source) for source in ("a", "a", "b")]
    assert stored[0].checksum == stored[1].checksum
    assert len({table.checksum, stored[0].checksum, stored[2].checksum, stored[0].up_to(3).checksum}) == 4


def test_repeats_keep_their_place_along_the_fidelities() -> None:
    nan = np.nan
    loss = np.array([[[nan, 1.0, nan], [2.0, 3.0, nan]], [[nan, nan, 4.0], [nan, 5.0, 6.0]]])
    ordered = np.take_along_axis(loss, np.broadcast_to(repeats_in_order(loss), loss.shape), axis=2)
    np.testing.assert_array_equal(ordered, [[[1, nan, nan], [3, 2, nan]], [[4, nan, nan], [6, 5, nan]]])


@pytest.mark.parametrize("kind", [pa.int8(), pa.int64(), pa.float32(), pa.float64(), pa.bool_(), pa.string()])
@pytest.mark.parametrize("cells", [[], [1, 0], [1, None, 0], [None]])
def test_columns_of_arrow_are_what_arrow_makes_of_them(kind: pa.DataType, cells: list[int | None]) -> None:
    texts = kind == pa.string()
    values = [
        str(x) if texts and x is not None else bool(x) if kind == pa.bool_() and x is not None else x for x in cells
    ]
    column = pa.chunked_array([pa.array(values, kind), pa.array([None, *values], kind).slice(1)])
    ours, theirs = of_column(column), column.to_numpy()
    assert ours.dtype == theirs.dtype
    np.testing.assert_array_equal(ours, theirs)


def test_reading_tables_and_results_imports_no_pandas() -> None:
    """Nor, of results and embedded tables, Arrow's own functions."""
    code = (
        "import sys; from harness import registry; registry.benchmark('nb201');"
        "from harness.studies.store import find, read; from pathlib import Path;"
        f"[read(path) for path in find([Path({str(BASELINE)!r})])]; print('pyarrow.compute' in sys.modules);"
        "registry.benchmark('digits201'); print('pandas' in sys.modules)"
    )
    said = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    assert said == "False\nFalse\n"
