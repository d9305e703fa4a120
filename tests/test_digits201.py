"""digits201, the table that this project measured: where it comes from, that it can be measured again, and a search."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from scipy.stats import spearmanr

from harness import Rules, registry, simulate
from harness.benchmarks import digits201
from harness.spaces.architecture import Architecture
from harness.train import incumbents, recipes, validation
from harness.train.results import Curve, Job, Training

TABLE = registry.benchmark("digits201")
FIRST = 3
"""Epochs that are trained again."""


def made() -> Any:
    from harness.train import tabulate

    return json.loads(pq.read_schema(digits201.PATH.with_suffix(".parquet")).metadata[tabulate.KEY])


def test_it_is_whole() -> None:
    assert len(TABLE) == TABLE.space.cardinality == 729
    assert TABLE.fidelities.tolist() == [*range(1, 13)]
    assert (TABLE.repeats == 1).all()
    assert TABLE.test is not None
    assert np.isfinite(TABLE.test[:, -1]).all()
    assert (np.diff(TABLE.cost, axis=1) > 0).all()
    np.testing.assert_allclose(TABLE.loss * 719, np.round(TABLE.loss * 719), atol=1e-9)
    assert digits201.PATH.with_suffix(".parquet").stat().st_size < 500_000


def test_its_facts_are_those_of_the_files() -> None:
    assert made()["command"] == digits201.COMMAND
    assert f"`{digits201.COMMAND}`" in TABLE.facts.notes
    assert made()["recipe"] == recipes.read("digits201").to_json()
    assert TABLE.facts.images == made()["images"]["name"] == "digits"
    assert f"torch {made()['versions']['torch']}" in TABLE.facts.notes
    assert not TABLE.facts.separate


def test_cells_can_be_measured_again() -> None:
    """The first epochs of three cells: where rounding differs, trainings drift apart, by some images of the 719."""
    torch = pytest.importorskip("torch")
    from harness.train import images, loop
    from harness.train.devices import Place

    place, recipe = Place(torch.device("cpu")), recipes.read("digits201")
    found = images.load("digits", None, recipe, place.device)
    assert found.checksum == made()["images"]["checksum"]
    assert found.words.startswith("719 images to train, 719 to validate")
    order = np.argsort(TABLE.mean_loss[:, -1])
    for row in (order[0], order[len(order) // 2], order[-1]):
        job = Job(Architecture.of(TABLE, int(row)), found.name, found.checksum, recipe, 777)
        curve = loop.train(job, found, place, until=1 if row == order[-1] else FIRST)
        n = len(curve.lr)
        assert (1 - curve.val_accuracy)[0] == pytest.approx(TABLE.loss[row, 0, 0], abs=0.05)
        np.testing.assert_allclose(1 - curve.val_accuracy, TABLE.loss[row, :n, 0], atol=0.15)


def test_it_is_worth_searching() -> None:
    """Cells differ by more than the sampling of images explains, and early epochs say something of late ones."""
    connected = TABLE.mean_loss[:, -1] < 0.5
    assert connected.mean() > 0.5
    last = TABLE.mean_loss[connected, -1]
    assert last.std() > np.sqrt(last.mean() * (1 - last.mean()) / 719)
    for epoch, least in ((4, 0.3), (8, 0.5)):
        assert spearmanr(TABLE.mean_loss[connected, epoch - 1], last).statistic > least


def regret(name: str, evals: int, **rules: Any) -> tuple[float, float]:
    """Mean regret of 20 seeds after the first result at the largest fidelity, and at the end."""
    seeds = np.arange(20 if name != "gpnas" else 6)
    run = simulate(TABLE, registry.algorithm(name), seeds=seeds, rules=Rules(evals=evals, log="all", **rules))
    largest = run.fidelity == len(TABLE.fidelities) - 1
    ends = []
    for seed in range(len(seeds)):
        own = np.flatnonzero((run.seed == seed) & largest)
        best = own[np.argmin(run.loss[own])]
        ends.append(TABLE.mean_loss[run.row[[own[0], best]], -1] - TABLE.optimum.value)
    first, last = np.mean(ends, axis=0)
    return float(first), float(last)


@pytest.mark.parametrize("name", ["re", "hb", "asha", "bohb", "dehb", "gpnas"])
def test_regret_falls(name: str) -> None:
    first, last = regret(name, 120 if name != "gpnas" else 60, continuation=name != "re")
    assert 0 <= last < first


def test_its_rows_are_architectures_of_digits() -> None:
    assert {Architecture.of(TABLE, row).text for row in range(len(TABLE))} == {
        architecture.text for architecture in tabulated()
    }
    origin = incumbents.origin(TABLE, TABLE.optimum.row)
    nothing = np.array([0.1])
    job = Job(Architecture.of(TABLE, TABLE.optimum.row), "digits", "0", recipes.read("digits"), 1)
    training = Training(job, Curve(nothing, nothing, nothing, nothing, nothing, nothing), {}, origin)
    assert not validation.transfer(training)
    assert validation.transfer(replace(training, job=replace(job, images="cifar10")))


def tabulated() -> list[Architecture]:
    from harness.train import tabulate

    return tabulate.chosen("nb201", ("none", "skip_connect", "nor_conv_3x3"))
