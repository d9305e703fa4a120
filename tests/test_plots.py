"""Figures: curves are step functions of the right means, and what cannot be drawn is refused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness import HarnessError, Rules
from harness.plots import curve, regret_figure, save
from harness.studies.evaluate import evaluate
from harness.studies.outcome import Outcome
from harness.studies.study import Study
from harness.testing import synthetic_table

TABLE = synthetic_table(3, missing=0.0)


def outcome(algorithm: str = "rs", seeds: int = 20, **rules: Any) -> Outcome:
    settings = Rules(**{"budget": 400.0, **rules})
    study = Study.plan(TABLE, algorithm, {}, 0, seeds, settings)
    return evaluate(study, table=TABLE)


@pytest.mark.parametrize("kind", ["val", "test"])
def test_a_curve_is_the_exact_mean_at_every_time(kind: Any) -> None:
    result = outcome()
    times, mean, sem = curve(result, kind)
    assert times[0] == result.first_times().max()
    assert times[-1] == 400.0
    assert len(times) > 10
    last = len(TABLE.fidelities) - 1
    means = TABLE.loss_at(last) if kind == "val" else TABLE.test_at(last)
    best = TABLE.optimum if kind == "val" else TABLE.test_optimum
    assert means is not None
    assert best is not None
    run = result.trajectory
    for i in (0, 3, len(times) // 2, -1):
        regrets = []
        for s in range(20):
            held = [j for j in np.flatnonzero(run.seed == s) if run.time[j] <= times[i] and run.incumbent[j]]
            regrets.append(means[run.row[held[-1]]] - best.value)
        assert mean[i] == pytest.approx(np.mean(regrets))
        assert sem[i] == pytest.approx(np.std(regrets, ddof=1) / 20**0.5)


def test_drawn_lines_are_steps_on_log_axes() -> None:
    results = [outcome("rs"), outcome("re")]
    figure = regret_figure(results, "val")
    (axis,) = figure.axes
    assert (axis.get_xscale(), axis.get_yscale()) == ("log", "log")
    assert (axis.get_xlabel(), axis.get_ylabel()) == ("estimated wall-clock time [s]", "validation regret")
    legend = axis.get_legend()
    assert legend is not None
    assert [text.get_text() for text in legend.get_texts()] == ["rs", "re"]
    for line, result in zip(axis.lines, results, strict=True):
        times, mean, _ = curve(result, "val")
        assert line.get_drawstyle() == "steps-post"
        np.testing.assert_array_equal(line.get_xdata(), times)
        np.testing.assert_array_equal(line.get_ydata(), mean)
    assert axis.lines[0].get_color() != axis.lines[1].get_color()
    assert len(axis.collections) == 2
    assert axis.get_title() == "made-up numbers, for tests only"
    assert legend.get_title().get_text() == "mean ±2 SEM, 20 runs"
    assert figure.get_size_inches()[0] == pytest.approx(3.4)


def test_a_panel_per_benchmark() -> None:
    other = outcome()
    other = replace(other, study=replace(other.study, benchmark="synthetic/other", table="x"))
    figure = regret_figure([outcome(), other], "val")
    assert [len(axis.lines) for axis in figure.axes] == [1, 1]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["rs"]


@pytest.mark.parametrize("ending", ["pdf", "svg", "png"])
def test_a_figure_is_written_whole(tmp_path: Path, ending: str) -> None:
    path = tmp_path / "deep" / f"figure.{ending}"
    save(regret_figure([outcome()], "val"), path)
    assert path.read_bytes()[:5] in (b"%PDF-", b"<?xml", b"\x89PNG\r")
    assert [p.name for p in path.parent.iterdir()] == [path.name]


def test_a_figure_of_another_format_or_place_is_refused(tmp_path: Path) -> None:
    figure = regret_figure([outcome()], "val")
    with pytest.raises(HarnessError, match=r"cannot write a figure as 'a\.jpg'. end its name in"):
        save(figure, tmp_path / "a.jpg")
    (tmp_path / "file").touch()
    with pytest.raises(HarnessError, match="cannot write"):
        save(figure, tmp_path / "file" / "a.pdf")


def test_what_cannot_be_drawn_is_refused() -> None:
    absent = outcome()
    absent = replace(absent, reference=replace(absent.reference, test_optimum=None))
    with pytest.raises(HarnessError, match="no test metric in the table of synthetic/test"):
        regret_figure([absent], "test")
    with pytest.raises(HarnessError, match="has seeds without a result"):
        regret_figure([outcome(budget=2.0)], "val")


@pytest.mark.parametrize("rules", [{"noise": "mean"}, {"incumbent": "any"}, {"workers": 2}, {"overhead": 1.0}])
def test_studies_under_other_rules_do_not_share_a_panel(rules: dict[str, Any]) -> None:
    with pytest.raises(HarnessError, match=f"cannot be compared: rules.{next(iter(rules))} is"):
        regret_figure([outcome("rs"), outcome("re", **rules)], "val")


def test_two_studies_of_one_algorithm_do_not_share_a_panel() -> None:
    with pytest.raises(HarnessError, match="several studies of rs"):
        regret_figure([outcome(), outcome(seeds=30)], "val")


def test_plot_command(harness: Callable[..., Any], tmp_path: Path) -> None:
    harness("run", "--algo", "rs,re", "--bench", "nb201/cifar1*", "--seeds", "10", "--budget", "1e5")
    assert harness("plot", "results").out == "results/regret-val.pdf\n"
    answer = harness("plot", "results", "-o", "a.png", "-o", "b.svg")
    assert answer.out == "a.png\nb.svg\n"
    assert (tmp_path / "a.png").stat().st_size > 10_000
    assert "validation regret" in (tmp_path / "b.svg").read_text()
    assert harness("plot", "results", "--kind", "test").status == 0
    harness("run", "--algo", "rs", "--bench", "fcnet/protein", "--seeds", "3", "--evals", "5", "--out", "fcnet")
    refused = harness("plot", "fcnet", "--kind", "test")
    assert refused.status == 2
    assert "--kind val" in refused.err
