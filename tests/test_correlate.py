"""How well super-networks order architectures: tau in parts, the ridge, the table with itself, and the command."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from harness import HarnessError, registry
from harness.analysis.correlation import additive_ridge, again, operator_counts, over_seeds, perfect, taus
from harness.sharing import correlate
from harness.sharing.costs import costs
from harness.spaces import published
from harness.train import recipes


def test_tau_is_told_of_the_best_of_the_table() -> None:
    truth = np.arange(100.0)
    scores = np.where(truth < 50, truth, 150 - truth)
    found = taus(truth, scores)
    assert found[1] == pytest.approx(-1)
    assert found[2] == pytest.approx(-1)
    pairs = 50 * 49 / 2
    crossing = np.sign(np.subtract.outer(scores[50:], scores[:50])).sum()
    assert found[0] == pytest.approx((pairs - pairs + crossing) / (100 * 99 / 2))
    assert np.isnan(taus(truth, np.ones(100))).all()


def test_the_ridge_finds_what_is_additive_and_ignores_noise() -> None:
    rng = np.random.default_rng(0)
    sizes, codes = (3, 4, 2), rng.integers((3, 4, 2), size=(60, 3))
    parts = [rng.normal(size=k) for k in sizes]
    truth = np.sum([part[c] for part, c in zip(parts, codes.T, strict=True)], axis=0)
    np.testing.assert_allclose(additive_ridge(codes[:40], truth[:40], sizes, codes), truth, atol=0.02)
    noise = additive_ridge(codes[:40], rng.normal(size=40), sizes, codes)
    assert noise.std() < 0.5


def test_counts_of_operators_are_those_of_the_cell() -> None:
    found = operator_counts(published("nb201").space, np.array([[0, 0, 1, 2, 3, 4]]))
    assert {name: value.tolist() for name, value in found.items()} == {"none": [-2.0], "convolutions": [2.0]}


def test_a_table_without_noise_agrees_with_itself_and_one_of_noise_does_not() -> None:
    table = registry.benchmark("nb201/cifar10")
    rows, rng = np.arange(0, 15625, 20), np.random.default_rng(0)
    noise = rng.normal(size=table.loss.shape)
    for loss, expected in ((np.broadcast_to(table.loss[..., :1], table.loss.shape), 1.0), (noise, 0.0)):
        assert again(replace(table, loss=loss, source="x"), rows, "val", rng)[0] == pytest.approx(expected, abs=0.03)


def test_equal_graphs_tell_the_noise_of_a_table_without_repeats() -> None:
    table = registry.benchmark("digits201")
    assert again(table, np.arange(729), "val", np.random.default_rng(0))[0] == pytest.approx(0.54, abs=0.03)


def test_perfect_knowledge_is_correlated_more_than_a_repetition() -> None:
    rng = np.random.default_rng(0)
    true = rng.normal(size=20_000)
    one, other = (true + 0.7 * rng.normal(size=20_000) for _ in range(2))
    repeated, known = (float(taus(one, x)[0]) for x in (other, true))
    assert perfect(repeated) == pytest.approx(known, abs=0.02)


def test_of_one_seed_there_is_no_interval() -> None:
    (one,) = over_seeds(np.array([[0.5]]))
    assert one.value == 0.5
    assert np.isnan(one.low)


def test_costs_are_sums_where_they_are_and_refused_where_not() -> None:
    recipe = replace(recipes.read("digits201"), channels=4, cells=1)
    found = costs("nb201", recipe, (1, 8, 8), 10, ["params"])["params"]
    plain = published("nb201").space.sizes
    assert found.of(np.array([[3] * 6]))[0] > found.of(np.array([[2] * 6]))[0] > found.of(np.zeros((1, 6), int))[0]
    assert len(found.added) == len(plain)
    with pytest.raises(HarnessError, match="macs of nb201 are not a sum"):
        costs("nb201", recipe, (1, 8, 8), 10, ["macs"])


def test_the_command_tells_tau_of_a_search_and_keeps_the_scores(tmp_path: Path) -> None:
    from harness.cli import group

    run = CliRunner()
    out, figure = str(tmp_path / "results"), tmp_path / "tau.svg"
    search = ["search", "--space", "digits201", "--method", "rsps", "--param", "rsps.samples=2", "--data", "digits"]
    assert run.invoke(group, [*search, "--epochs", "1", "--out", out], obj=[]).exit_code == 0
    asked = ["correlate", out, "--samples", "20", "--cells", "110", "--width", "8", "--epochs", "5", "--json"]
    first = run.invoke(group, [*asked, "-o", str(figure)], obj=[])
    assert first.exit_code == 0, first.output
    (told,) = json.loads(first.stdout)
    assert told["judged"] == 110
    tau = {row["predictor"]: row["tau"]["all"]["value"] for row in told["predictors"]}
    assert tau["none"] > 0.4
    made = [correlate.FORM.read(path) for path in correlate.folder(Path(out)).iterdir()]
    running = replace(made[0], setting=replace(made[0].setting, statistics="running"))
    plain = "rsps on digits201, digits, 1 epochs"
    assert correlate.headings(made) == [plain]
    assert correlate.headings([*made, running]) == [f"{plain}, batch norm batch", f"{plain}, batch norm running"]
    assert figure.exists()
    again = run.invoke(group, asked, obj=[])
    assert json.loads(again.stdout) == [told]
    assert "scoring" not in again.stderr
