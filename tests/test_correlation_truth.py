"""The truth that super-networks are held against, out of tables with and without test losses."""

from __future__ import annotations

import numpy as np

from harness import registry
from harness.analysis.correlation import truth


def test_truths_are_mean_accuracies_at_the_largest_fidelity() -> None:
    table, rows = registry.benchmark("digits201"), np.array([3, 700])
    assert table.test is not None
    np.testing.assert_allclose(truth(table, rows, "val"), 1.0 - table.mean_loss[rows, -1])
    np.testing.assert_allclose(truth(table, rows, "test"), 1.0 - table.test[rows, -1].mean(axis=1))
    untested = registry.benchmark("macro")
    assert np.isnan(truth(untested, rows, "test")).all()
    assert np.isfinite(truth(untested, rows, "val")).all()
