"""How algorithms stand over benchmarks: ranks by hand, intervals, and what an evaluation costs."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import rankdata
from test_selection import outcome

from harness.analysis.standing import standings
from harness.plots import draw


def test_ranks_are_those_of_mean_final_regrets_and_costs_are_per_evaluation() -> None:
    names, tables = ("rs", "re", "ls"), (3, 4)
    found = [replace(outcome(name, table=table), cpu_seconds=2.0) for table in tables for name in names]
    regrets = np.array([o.regret("val", np.array([o.end]))[:, 0].mean() for o in found]).reshape(2, 3)
    average = dict(zip(names, rankdata(regrets, axis=1).mean(axis=0).tolist(), strict=True))
    standing = standings(found, "val")
    assert {one.label: one.rank.value for one in standing} == average
    assert [one.rank.value for one in standing] == sorted(average.values())
    assert all(1 <= one.rank.low <= one.rank.high <= 3 for one in standing)
    rs = next(one for one in standing if one.label == "rs")
    trained = int(sum(o.trajectory.evaluations.sum() for o in found if o.label == "rs"))
    assert (rs.evaluations, rs.cpu_per_evaluation) == (trained, 4.0 / trained)
    axes = draw(found, {"figure": "standing"}).axes
    assert [len(axis.collections) for axis in axes] == [0, 1]
    assert [text.get_text() for text in axes[0].get_yticklabels()] == [one.label for one in standing]


def test_studies_without_measured_seconds_have_ranks_only() -> None:
    found = [replace(outcome(name, table=table), cpu_seconds=math.nan) for table in (3, 4) for name in ("rs", "re")]
    assert all(math.isnan(one.cpu_per_evaluation) for one in standings(found, "val"))
    assert len(draw(found, {"figure": "standing"}).axes) == 1


def test_the_standing_is_exported(harness: Callable[..., Any], tmp_path: Path) -> None:
    benches = "nb201/cifar10,nb201/cifar100"
    assert harness("run", "--algo", "rs,re", "--bench", benches, "--seeds", "4", "--evals", "5").status == 0
    assert harness("export", "standing", "results", "-o", "standing.csv").status == 0
    frame = pd.read_csv(tmp_path / "standing.csv")
    assert set(frame["algorithm"]) == {"rs", "re"}
    assert (frame["cpu_per_evaluation"] > 0).all()
    assert frame["evaluations"].tolist() == [40, 40]
