"""The facts that `harness show BENCH` prints, against plain loops."""

from __future__ import annotations

import itertools
import json
import math
from typing import Any

import numpy as np
import pytest

from harness import registry
from harness.analysis.tables import described, invalid_share, spearman
from harness.testing import synthetic_table


def test_optima_costs_and_gaps_by_plain_loops() -> None:
    table = synthetic_table(3)
    assert table.test is not None
    facts = described(table)
    means = {row: np.nanmean(table.loss[row, -1]) for row in range(len(table)) if table.repeats[row, -1]}
    best = min(means, key=means.__getitem__)
    assert facts["optimum"]["value"] == pytest.approx(means[best], rel=1e-15)
    assert facts["optimum"]["row"] == best
    assert facts["optimum_configuration"] == table.space.to_dict(table.codes[best])
    assert facts["test_loss_of_optimum"] == pytest.approx(np.nanmean(table.test[best, -1]), rel=1e-15)
    singles = [x for row in table.loss[:, -1].tolist() for x in row if not math.isnan(x)]
    assert facts["optimum_of_single_trainings"]["value"] == min(singles)
    assert facts["optimum_of_single_trainings"]["row"] == np.argwhere(table.loss[:, -1] == min(singles))[0, 0]
    assert facts["total_cost"] == pytest.approx(np.nansum(table.cost[:, -1]))
    assert facts["mean_cost"] == pytest.approx(np.nanmean([np.nanmean(c) for c in table.cost[:, -1] if c[0] > 0]))
    assert facts["absent_entries_share"] == np.isnan(table.loss).all(axis=2).mean()
    grid = itertools.product(*(range(k) for k in table.space.sizes))
    rows = [int(table.rows(np.array([codes]))[0]) for codes in grid]
    invalid = [row < 0 or not table.repeats[row, -1] for row in rows]
    assert facts["invalid_share"] == {"share": sum(invalid) / len(rows), "of": "all configurations"}
    json.dumps(facts)


def test_large_spaces_are_sampled_and_say_so(monkeypatch: pytest.MonkeyPatch) -> None:
    table = synthetic_table(3)
    exact = invalid_share(table)["share"]
    monkeypatch.setattr("harness.analysis.tables.ENUMERATED", 10)
    drawn = invalid_share(table)
    assert drawn["of"] == "100,000 configurations drawn uniformly"
    assert drawn["share"] == pytest.approx(exact, abs=4.5 * math.sqrt(exact * (1 - exact) / 100_000))
    assert drawn == invalid_share(table)


def test_spearman() -> None:
    assert spearman(np.array([1.0, 2, 3, 4]), np.array([10.0, 20, 25, 90])) == pytest.approx(1)
    assert spearman(np.array([1.0, 2, 3, 4]), np.array([4.0, 3, 2, 1])) == pytest.approx(-1)
    assert spearman(np.array([1.0, 2, 3, 4]), np.array([1.0, 3, 2, 4])) == pytest.approx(0.8)
    tied = spearman(np.array([1.0, 1, 2, 3]), np.array([1.0, 2, 3, 4]))
    assert tied == pytest.approx(np.corrcoef([1.5, 1.5, 3, 4], [1, 2, 3, 4])[0, 1])
    assert math.isnan(spearman(np.ones(3), np.arange(3.0)))


def test_12_epochs_agree_with_200_as_published(shared_data: Any) -> None:
    with np.load(shared_data / "nb201" / "nb201_more.npz") as more:
        agreement = spearman(more["cifar10_val_12ep"].astype(float), more["cifar10_valid_val_200ep"])
    assert agreement == pytest.approx(0.82, abs=0.005)


@pytest.mark.parametrize("name", ["nb201/cifar10", "fcnet/protein"])
def test_show_prints_them(harness: Any, name: str) -> None:
    answer = harness("show", name)
    assert answer.status == 0
    for label in ("optimum configuration", "optimum of single trainings", "invalid share", "mean cost", "total cost"):
        assert label in answer.out
    assert f"{registry.benchmark(name).optimum.value:.10g}" in answer.out
