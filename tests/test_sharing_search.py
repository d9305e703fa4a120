"""Searches by weight sharing on digits: they go on bit for bit, are studies, and refuse what does not fit."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from harness import HarnessError, registry
from harness.plots.regret import regret_figure
from harness.report.sections import time_of
from harness.sharing import log
from harness.sharing.search import SharedRun, SharedSearch, share
from harness.train import checkpoint, recipes
from harness.train.devices import Place
from harness.train.images import load
from harness.train.loop import Watch

RECIPE = replace(recipes.read("sharing-digits"), epochs=2, batch=240)
PLACE = Place(torch.device("cpu"), deterministic=True)
IMAGES = load("digits", None, RECIPE, PLACE.device)


def search(method: str, space: str = "digits201", **given: Any) -> SharedSearch:
    return SharedSearch.plan(space, method, given, IMAGES, RECIPE, "fp32", "batch", 0)


def without_seconds(rows: list[Any]) -> list[Any]:
    return [replace(row, seconds=0.0, scoring=0.0) for row in rows]


@pytest.mark.parametrize("method", ["darts", "gdas", "fairnas", "pc-darts"])
def test_a_stopped_search_goes_on_bit_for_bit(method: str, tmp_path: Path) -> None:
    given: dict[str, Any] = {"population": 4, "generations": 1} if method == "fairnas" else {}
    of, path = search(method, **given), tmp_path / "one.pt"
    whole, _ = share(of, IMAGES, PLACE)
    stopped, stop = SharedRun(of, IMAGES, PLACE, Watch()), threading.Event()
    stop.set()
    assert not stopped.train_epoch(stop)
    state = stopped.state()
    torch.save(state, path)
    again = SharedRun(of, IMAGES, PLACE, Watch())
    again.restore(torch.load(path, weights_only=True))
    for _ in range(2):
        assert again.train_epoch(threading.Event())
        again.end_epoch()
    assert without_seconds(again.log) == without_seconds(whole)


def test_a_recipe_has_parameters_of_methods_which_are_the_searchs_own() -> None:
    own = replace(RECIPE, methods={"rsps": {"samples": 3}})

    def planned(recipe: recipes.Recipe, **given: Any) -> SharedSearch:
        return SharedSearch.plan("digits201", "rsps", given, IMAGES, recipe, "fp32", "batch", 0)

    assert planned(own).params["samples"] == 3
    assert planned(own).id == planned(RECIPE, samples=3).id
    assert planned(own, samples=4).params["samples"] == 4
    with pytest.raises(HarnessError, match="sampels"):
        planned(replace(RECIPE, methods={"rsps": {"sampels": 3}}))


def test_a_search_is_a_study_of_the_table(tmp_path: Path) -> None:
    of = search("rsps", samples=3)
    rows, _ = share(of, IMAGES, PLACE)
    target = log.path(tmp_path, of)
    log.write(target, log.Log(of, rows))
    again = log.read(target)
    assert again == log.Log(of, rows)
    table = registry.benchmark("digits201")
    outcome = log.study([again], table, none=False)
    last = rows[-1].without
    assert last is not None
    assert "none" not in last.text
    row = int(outcome.trajectory.row[-1])
    regret = outcome.regret("val", outcome.trajectory.ended)[0, 0]
    assert regret == pytest.approx(table.mean_loss[row, -1] - table.optimum.value, rel=1e-7)
    assert outcome.study.label == "rsps(samples=3, none=False)"
    assert time_of([outcome]).startswith("measured seconds of the machine")
    (axis,) = regret_figure([outcome], "val").axes
    assert axis.get_xlabel() == "measured time, not scaled [s]"
    assert len(outcome.trajectory.time) == 1
    assert axis.lines[0].get_marker() == "o"


@pytest.mark.parametrize(
    ("other", "differ"),
    [
        (search("gdas"), "method and params and source differ"),
        (search("rsps", samples=2), "params differs"),
        (search("rsps", samples=1, space="nb201"), "space differs"),
        (replace(search("rsps", samples=1), checksum="0" * 16), "checksum differs"),
        (replace(search("rsps", samples=1), recipe=replace(RECIPE, lr=0.05)), "recipe differs"),
        (replace(search("rsps", samples=1), statistics="running"), "statistics differs"),
        (replace(search("rsps", samples=1), seed=1), "seed differs"),
    ],
    ids=["method", "parameters", "space", "images", "recipe", "statistics", "seed"],
)
def test_the_checkpoint_of_another_search_is_refused(other: SharedSearch, differ: str, tmp_path: Path) -> None:
    path, of = tmp_path / "one.pt", search("rsps", samples=1)
    checkpoint.save(path, of, SharedRun(of, IMAGES, PLACE, Watch()).state())
    before = path.read_bytes()
    with pytest.raises(HarnessError, match=rf"of another training: its {differ}\."):
        share(other, IMAGES, PLACE, checkpoint=path)
    assert path.read_bytes() == before


def test_a_distribution_that_is_not_finite_ends_the_search() -> None:
    run = SharedRun(search("darts"), IMAGES, PLACE, Watch())
    run.train_epoch(threading.Event())
    with torch.no_grad():
        run.method.alphas[0, 0] = float("nan")  # type: ignore[attr-defined]
    run.end_epoch()
    assert run.diverged
    assert run.log[-1].derived is None


def test_spaces_without_a_super_network_are_refused() -> None:
    with pytest.raises(HarnessError, match="gpnas-cell has no super-network"):
        search("darts", space="gpnas-cell")


def test_gdas_draws_by_the_probabilities_and_computes_nothing_else() -> None:
    run = SharedRun(search("gdas"), IMAGES, PLACE, Watch())
    method: Any = run.method
    with torch.no_grad():
        method.alphas.copy_(torch.tensor([0.0, 1.0, -1.0]).expand(6, 3))
    drawn = np.mean([method.drawn().active for _ in range(600)], axis=0)
    np.testing.assert_allclose(drawn, method.distribution(), atol=0.08)
    assert (method.drawn().active.sum(axis=1) == 1).all()


def test_strict_fairness_has_each_operator_once() -> None:
    run = SharedRun(search("fairnas"), IMAGES, PLACE, Watch())
    assert (np.sum([choice.active for choice in run.method.choices()], axis=0) == 1).all()
