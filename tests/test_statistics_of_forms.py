"""No statistic depends on the form of a metric: an accuracy, its error, per cent, or losses counted from elsewhere."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness import Rules, Table, registry
from harness.analysis import bounds, claims
from harness.analysis.comparison import compare
from harness.analysis.measures import log_areas, log_floor, time_to
from harness.analysis.regression import judge
from harness.analysis.standing import standings
from harness.plots.profiles import average_ranks
from harness.statistics import simultaneous_band
from harness.studies.evaluate import evaluate
from harness.studies.outcome import Outcome
from harness.studies.study import Study
from harness.testing import synthetic_table

SEEDS, END = 40, 300.0
TARGETS = (0.3, 0.1, 0.02)
FORMS = [(100.0, 0.0), (1.0, -1.0), (0.37, 55.0), (1e-6, 0.0), (100.0, -100.0)]
"""Factors and shifts of a loss; an accuracy that is maximised is its error less one."""


@cache
def plain(levels: int) -> Table:
    table = synthetic_table(7, sizes=(4, 3, 3, 2), levels=levels)
    return replace(table, facts=replace(table.facts, ratios=False), test=table.loss + 0.01 * np.sin(table.loss))


def rescaled(table: Table, factor: float, shift: float) -> Table:
    assert table.test is not None
    return replace(table, loss=factor * table.loss + shift, test=factor * table.test + shift)


@cache
def outcomes(levels: int, factor: float = 1.0, shift: float = 0.0) -> list[Outcome]:
    table = rescaled(plain(levels), factor, shift)
    found = []
    for name, params in (("rs", {}), ("re", {"population": 6, "sample": 2}), ("ls", {}), ("hb", {})):
        found.append(evaluate(Study.plan(table, name, params, 0, SEEDS, Rules(budget=END)), table=table))
    return found


def numbers(of: Any) -> list[float]:
    """Every number in nested records, in their order."""
    if isinstance(of, float | int | np.number | bool):
        return [float(of)]
    if isinstance(of, dict):
        return [x for value in of.values() for x in numbers(value)]
    if isinstance(of, list | tuple):
        return [x for value in of for x in numbers(value)]
    return numbers([*vars(of).values()]) if hasattr(of, "__dataclass_fields__") else []


def equal(mine: Any, its: Any) -> None:
    np.testing.assert_allclose(numbers(mine), numbers(its), rtol=1e-6, atol=1e-12)


@pytest.fixture(params=FORMS, ids=str)
def form(request: pytest.FixtureRequest) -> tuple[float, float]:
    found: tuple[float, float] = request.param
    return found


@pytest.mark.parametrize("kind", ["val", "test"])
@pytest.mark.parametrize("levels", [0, 40])
def test_measures_bands_and_floors(form: tuple[float, float], levels: int, kind: Any) -> None:
    factor, _ = form
    ours, its = outcomes(levels), outcomes(levels, *form)
    start = max(float(o.first_times().max()) for o in ours)
    assert log_floor(its, kind) == pytest.approx(factor * log_floor(ours, kind), rel=1e-6)
    for mine, other in zip(*(log_areas(o, kind, start, END) for o in (ours, its)), strict=True):
        np.testing.assert_allclose(other, mine + np.log10(factor), rtol=1e-6)
    times = np.geomspace(start, END, 20)
    for mine, other in zip(ours, its, strict=True):
        np.testing.assert_array_equal(mine.trajectory.row, other.trajectory.row)
        for target in TARGETS:
            np.testing.assert_array_equal(time_to(mine, kind, target), time_to(other, kind, factor * target))
        bands = [
            simultaneous_band(o.regret(kind, times), np.random.default_rng(0), replicates=300) for o in (mine, other)
        ]
        np.testing.assert_allclose(np.array(bands[1]), factor * np.array(bands[0]), rtol=1e-6, atol=1e-9 * factor)


@pytest.mark.parametrize("kind", ["val", "test"])
@pytest.mark.parametrize("levels", [0, 40])
def test_comparisons(form: tuple[float, float], levels: int, kind: Any) -> None:
    """Tests, chances, ratios of areas and speed-ups; regrets are in the unit of the metric."""
    factor, _ = form
    found = [
        compare(o, kind, at=[END / 2, END], targets=[f * t for t in TARGETS])
        for o, f in ((outcomes(levels), 1.0), (outcomes(levels, *form), factor))
    ]
    mine, its = found
    for a, b in zip(mine.rows, its.rows, strict=True):
        for x, y in zip(a.cells.values(), b.cells.values(), strict=True):
            assert (y.top, y.worse) == (x.top, pytest.approx(x.worse, rel=1e-6) if x.worse is not None else None)
            assert [y.mean, y.sem, y.median] == pytest.approx([factor * v for v in (x.mean, x.sem, x.median)], rel=1e-6)
    for name in ("duels", "areas"):
        for a, b in zip(getattr(mine, name), getattr(its, name), strict=True):
            equal([a.p, getattr(a, "ratio", 0.0) or a.improvement], [b.p, getattr(b, "ratio", 0.0) or b.improvement])
    equal([s.ratio for s in mine.speed_ups], [s.ratio for s in its.speed_ups])


@pytest.mark.parametrize("levels", [0, 40])
def test_ranks_and_bounds(form: tuple[float, float], levels: int) -> None:
    factor, shift = form
    ours, its = outcomes(levels), outcomes(levels, *form)
    equal([(s.label, s.rank) for s in standings(ours, "val")], [(s.label, s.rank) for s in standings(its, "val")])
    np.testing.assert_allclose(average_ranks(ours, "val").average, average_ranks(its, "val").average, rtol=1e-9)
    table, rules = plain(levels), ours[0].study.rules
    other = rescaled(table, factor, shift)
    seeds = np.arange(20)
    for mine, scaled in (
        (bounds.regrets(table, rules, "val"), bounds.regrets(other, rules, "val")),
        (bounds.floor(table, rules, "val", seeds), bounds.floor(other, rules, "val", seeds)),
        (bounds.random_search(table, rules, "val", END)[1], bounds.random_search(other, rules, "val", END)[1]),
    ):
        np.testing.assert_allclose(scaled, factor * mine, rtol=1e-5, atol=1e-9 * factor)


@pytest.mark.parametrize("levels", [0, 40])
def test_regressions(form: tuple[float, float], levels: int) -> None:
    """`re` against `rs` as if one were the other's earlier version."""

    def judged(found: list[Outcome]) -> Any:
        rs, re, *_ = found
        return judge([(rs, re), (re, rs)], at=[END / 2, END], margin=0.05, alpha=0.05)

    for mine, its in zip(judged(outcomes(levels)), judged(outcomes(levels, *form)), strict=True):
        assert mine.verdict == its.verdict
        names = ("ratio", "low", "high", "worse", "better", "inferior")
        for a, b in zip(mine.checks, its.checks, strict=True):
            equal([getattr(a, n) for n in names], [getattr(b, n) for n in names])


def test_claims(form: tuple[float, float]) -> None:
    factor, _ = form
    anytime = {"algorithm": "re(population=6, sample=2)"}
    sooner = {**anytime, "factors": {"rs": 1.0}}
    for mine, its in (
        (claims.anytime(outcomes(0), anytime), claims.anytime(outcomes(0, *form), anytime)),
        (
            claims.speed_ups(outcomes(0), {**sooner, "targets": [0.1]}),
            claims.speed_ups(outcomes(0, *form), {**sooner, "targets": [0.1 * factor]}),
        ),
    ):
        assert [f.verdict for f in mine] == [f.verdict for f in its]
        equal([f.estimate for f in mine], [f.estimate for f in its])


def test_an_accuracy_and_its_error_are_one_table(
    harness: Callable[..., Any], data_folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Imported, searched and compared by the command line."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    accuracy = np.round(60 + 35 * rng.random(60), 2)
    said = {}
    for name, values, more in (("acc", accuracy, "maximize"), ("err", np.round(100 - accuracy, 2), "minimize")):
        lines = [f"{i % 6},{i // 6},{v}" for i, v in enumerate(values)]
        Path(f"{name}.csv").write_text("x,y,v\n" + "\n".join(lines))
        Path(f"{name}.toml").write_text(
            f'name = "{name}"\ncitation = "none"\nfile = "{name}.csv"\n[parameters]\nx = "integer"\ny = "integer"\n'
            f'[validation]\ncolumn = "v"\ngoal = "{more}"\n'
        )
        assert harness("data", "import", f"{name}.toml").status == 0
        assert registry.benchmark(f"own/{name}").ratios is False
        answer = harness("run", "--bench", f"own/{name}", "--algo", "rs,re,ls,gpnas", "--evals", 30, "--seeds", 20,
                         "--processes", 1, "--out", name)  # fmt: skip
        assert answer.status == 0, answer.err
        answer = harness("compare", name, "--targets", "1,5", "--format", "json")
        assert answer.status == 0, answer.err
        said[name] = json.loads(answer.out)
    equal(said["acc"], said["err"])
