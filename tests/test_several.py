"""Several objectives and constraints: what runs log, what it is worth, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from conftest import Answer

from harness import HarnessError, Rules, registry, simulate
from harness.pareto import dominated, front, hypervolume
from harness.plots import draw
from harness.studies.evaluate import evaluate
from harness.studies.fronts import Front, held
from harness.studies.outcome import Outcome, summary
from harness.studies.store import find, read
from harness.studies.study import Study
from harness.testing import synthetic_table

Harness = Callable[..., Answer]
TABLE = synthetic_table(3, missing=0.0)
BOTH = ("loss", "size")


def outcome(algorithm: str = "rs", seeds: int = 4, **rules: Any) -> Outcome:
    settings = Rules(**{"evals": 60, "objectives": BOTH, **rules})
    study = Study.plan(TABLE, algorithm, {}, 0, seeds, settings)
    return evaluate(study, table=TABLE)


@pytest.mark.parametrize("algorithm", ["rs", "mo-re", "nsga2", "motpe", "moasha", "hb"])
@pytest.mark.parametrize("rule", ["largest", "any"])
@pytest.mark.parametrize("objectives", [BOTH, ("speed", "loss", "size")])
def test_runs_log_what_nothing_before_dominates(algorithm: str, rule: str, objectives: tuple[str, ...]) -> None:
    """By hand, result by result: the front as it was observed, and the hypervolume of its mean objectives."""
    found = outcome(algorithm, objectives=objectives, incumbent=rule, log="all")
    run, sizes = found.trajectory, TABLE.objective("size").values
    other = {"size": sizes, "speed": -TABLE.objective("speed").values}
    means = TABLE.minimised(objectives, TABLE.loss_at(len(TABLE.fidelities) - 1))
    whole = Front.of(TABLE, objectives, len(TABLE.fidelities) - 1)
    for seed in range(4):
        held_: list[tuple[Any, Any]] = []
        fidelity = -1
        for e in np.flatnonzero(run.seed == seed):
            if not np.isfinite(run.loss[e]):
                assert not run.incumbent[e]
                continue
            if rule == "largest" and run.fidelity[e] < fidelity:
                assert not run.incumbent[e]
                continue
            if rule == "largest" and run.fidelity[e] > fidelity:
                held_, fidelity = [], run.fidelity[e]
            point = np.array([run.loss[e] if name == "loss" else other[name][run.row[e]] for name in objectives])
            joins = not any((p <= point).all() for p, _ in held_)
            assert run.incumbent[e] == joins
            if joins:
                held_ = [(p, r) for p, r in held_ if not (point <= p).all()] + [(point, run.row[e])]
                share = (means[[r for _, r in held_]] - whole.ideal) / (whole.reference - whole.ideal)
                volume = hypervolume(share[np.isfinite(share).all(axis=1)], np.ones(len(objectives)))
                assert found.val_loss[e] == pytest.approx(1 - volume, abs=1e-12)
        assert sorted(held(TABLE, found.study.rules, run, np.inf)[seed]) == sorted(r for _, r in held_)
    regret = found.regret("val", np.array([found.end]))
    assert np.isnan(regret).any() or (regret >= -1e-12).all()


def test_incumbents_alone_say_as_much_as_all_results() -> None:
    every, few = outcome("mo-re", log="all"), outcome("mo-re")
    times = np.linspace(1.0, every.end, 30)
    np.testing.assert_array_equal(every.loss("val", times), few.loss("val", times))


def test_the_front_is_a_fact_of_the_table() -> None:
    table = registry.benchmark("nb201")
    found = Front.of(table, ("error", "latency.raspi4"), 0)
    points = np.stack([table.loss_at(0), table.objective("latency.raspi4").values], axis=1)
    assert len(found.rows) == 60
    assert table.optimum.row in found.rows
    rest = np.setdiff1d(np.arange(len(table)), found.rows)
    assert dominated(points[rest], found.points).all()
    assert not dominated(found.points, points[rest]).any()
    assert found.ideal.tolist() == points.min(axis=0).tolist()
    np.testing.assert_allclose(found.reference, found.nadir + 0.1 * (found.nadir - found.ideal))
    by_hand = hypervolume(found.points, found.reference) / np.prod(found.reference - found.ideal)
    assert found.hypervolume == pytest.approx(by_hand, rel=1e-12)
    assert found.share(points) == pytest.approx(found.hypervolume, rel=1e-12)


def test_objectives_where_more_is_better_are_turned_round() -> None:
    found = Front.of(TABLE, ("loss", "speed"), 2)
    speed = TABLE.objective("speed").values
    rows = front(np.stack([TABLE.loss_at(2), -speed], axis=1))
    np.testing.assert_array_equal(found.rows, rows)
    assert speed[rows].max() == speed.max()


def test_one_objective_has_the_ids_and_the_numbers_that_it_had() -> None:
    assert Study.plan(TABLE, "rs", {}, 0, 3, Rules(evals=9)).to_json()["rules"].keys() == {
        "workers", "budget", "evals", "overhead", "noise", "incumbent", "log", "max_fidelity", "report_fidelity",
        "continuation",
    }  # fmt: skip
    study = outcome().study
    assert Study.from_json(json.loads(json.dumps(study.to_json()))) == study
    changed = replace(TABLE, objectives={"size": replace(TABLE.objective("size"), read=lambda: np.ones(len(TABLE)))})
    assert Study.plan(changed, "rs", {}, 0, 4, study.rules).id != study.id
    assert changed.checksum == TABLE.checksum


def test_a_constraint_is_kept_by_incumbents_and_by_the_optimum() -> None:
    rules = Rules(evals=40, constraints=("size<=4", "speed>=3"))
    study = Study.plan(TABLE, "re", {}, 0, 6, rules)
    found = evaluate(replace(study, rules=replace(rules, log="all")), table=TABLE)
    run = found.trajectory
    size, speed = TABLE.objective("size").values, TABLE.objective("speed").values
    feasible = (size <= 4) & (speed >= 3)
    np.testing.assert_array_equal(np.isfinite(run.loss), feasible[run.row] & (TABLE.repeats[run.row, run.fidelity] > 0))
    assert feasible[run.row[run.incumbent]].all()
    assert found.reference.optimum == np.nanmin(TABLE.mean_loss[feasible, -1])
    free = simulate(TABLE, registry.algorithm("rs"), seeds=study.seeds, rules=Rules(evals=40, log="all"))
    bound = simulate(TABLE, registry.algorithm("rs"), seeds=study.seeds, rules=replace(rules, log="all"))
    np.testing.assert_array_equal(free.time, bound.time, err_msg="what breaks a constraint was trained all the same")


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        ({"objectives": ("error",)}, "error are not several objectives"),
        ({"objectives": ("error", "error")}, "error,error are not several objectives"),
        ({"objectives": ("error", "latency.raspi")}, "unknown objective of nb201/cifar10.*latency.raspi4"),
        ({"constraints": ("latency.raspi4<20",)}, "is not a constraint"),
        ({"constraints": ("latency.raspi4<=soon",)}, "is not a constraint"),
        (
            {"constraints": ("latency.raspi4<=0.001",)},
            "no configuration .* the smallest latency.raspi4 is 0.0112835 ms",
        ),
        (
            {"constraints": ("latency.raspi4<=3", "params>=1")},
            r"has latency.raspi4<=3 and params>=1\. the largest params of those with latency.raspi4<=3 is",
        ),
        ({"constraints": ("latency.raspi<=20",)}, "unknown objective of nb201/cifar10.*latency.raspi4"),
    ],
)
def test_what_cannot_be_is_refused(rules: dict[str, Any], message: str) -> None:
    with pytest.raises(HarnessError, match=message):
        Rules(evals=3, **rules).seen(registry.benchmark("nb201"))


def test_algorithms_of_several_objectives_need_them() -> None:
    for name in ("nsga2", "mo-re"):
        with pytest.raises(HarnessError, match="several objectives"):
            Study.plan(TABLE, name, {}, 0, 3, Rules(evals=9))


def test_the_commands(harness: Harness, tmp_path: Path) -> None:
    run = ("--bench", "nb201", "--seeds", "3", "--budget", "6e4", "--objectives", "error,latency.raspi4")
    answer = harness("run", "--algo", "rs,mo-re", *run)
    assert answer.status == 0
    assert "that of the exact front of 60 configurations" in " ".join(answer.err.split())
    rows = json.loads(harness("show", "results", "--json").out)
    assert [row["val_regret_mean"] > 0 for row in rows] == [True, True]
    figure = draw([read(path) for path in find([tmp_path / "results"])], {})
    assert [axis.get_ylabel() for axis in figure.axes] == ["hypervolume regret"]
    assert harness("compare", "results").status == 0
    listed = json.loads(harness("show", "nb201", "--json").out)["objectives"]
    assert listed["latency.raspi4"] == "latency on raspi4, as HELP has it (ms), less is better"
    assert len(listed) == 30
    harness("show", "results", "--on", "nb201/cifar100").refuses("cannot be reported on another table", "one objective")
    harness("run", "--algo", "rs", "--bench", "nb201", "--constraint", "latency.raspi4<=0").refuses(
        "no configuration of nb201/cifar10", "smallest latency.raspi4"
    )


def test_an_outcome_says_what_its_regret_is_of() -> None:
    found = outcome()
    assert found.reference.loss == "1 - hypervolume of loss, size"
    assert found.reference.optimum_row == -1
    assert summary(found)["val_optimum"] == found.reference.optimum


@pytest.mark.parametrize("time", [60.0, 400.0])
def test_an_attainment_figure_counts_the_runs(monkeypatch: pytest.MonkeyPatch, time: float) -> None:
    monkeypatch.setattr(registry, "benchmark", lambda name: TABLE)
    found = outcome("mo-re", seeds=5, evals=None, budget=400.0)
    figure = draw([found], {"figure": "attainment", "at": time})
    numbers = [row for row in figure.numbers if row["series"] == "mo-re"]  # type: ignore[attr-defined]
    points = TABLE.minimised(BOTH, TABLE.loss_at(len(TABLE.fidelities) - 1))
    fronts = [points[rows] for rows in held(TABLE, found.study.rules, found.trajectory, time)]
    for row in numbers:
        x = row["x"] * (1 + 1e-5)
        best = sorted(min((y for first, y in front_ if first <= x), default=np.inf) for front_ in fronts)
        assert [row["low"], row["y"], row["high"]] == pytest.approx([best[1], best[2], best[3]], rel=1e-4)
    drawn = [row for row in figure.numbers if row["series"] == "true front"]  # type: ignore[attr-defined]
    assert len(drawn) == len(front(points))


@pytest.mark.parametrize("objectives", [("speed", "loss", "size"), ()])
def test_an_attainment_figure_is_of_two_objectives(objectives: tuple[str, ...]) -> None:
    with pytest.raises(HarnessError, match="an attainment figure is of two objectives, and study"):
        draw([outcome(objectives=objectives)], {"figure": "attainment"})


def test_the_front_and_its_points_are_shown_as_published(harness: Harness) -> None:
    """Where more is better too: accel's throughput is told with its own sign."""
    answer = harness("show", "nb201", "--objectives", "error,latency.raspi4", "--json")
    found = json.loads(answer.out)
    table = registry.benchmark("nb201")
    latency = table.objective("latency.raspi4").values
    assert len(found["front"]) == 60
    assert found["ideal"]["error"] == table.optimum.value
    assert found["ideal"]["latency.raspi4"] == pytest.approx(latency.min())
    worst = found["nadir"]
    for name in ("error", "latency.raspi4"):
        width = worst[name] - found["ideal"][name]
        assert found["reference"][name] == pytest.approx(worst[name] + 0.1 * width)
    for point in found["front"]:
        assert point["latency.raspi4"] == latency[point["row"]]
    assert "share of the box" in found["definition"]
    more = registry.benchmark("accel")
    name = next(name for name, objective in more.objectives.items() if objective.more)
    ours = json.loads(harness("show", "accel", "--objectives", f"error,{name}", "--json").out)
    assert ours["ideal"][name] == pytest.approx(np.nanmax(more.objective(name).values))
    assert ours["reference"][name] < ours["nadir"][name] < ours["ideal"][name]
    assert "hypervolume" in harness("show", "nb201", "--objectives", "error,params").out


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("error", "error are not several objectives"),
        ("error,error", "error are not several objectives"),
        ("error,latency.raspi", "unknown objective of nb201/cifar10 'latency.raspi'"),
        ("latency.pixel2,latency.pixle3", "latency.pixel3"),
    ],
)
def test_objectives_that_are_none_are_refused_with_close_matches(harness: Harness, given: str, said: str) -> None:
    answer = harness("show", "nb201", "--objectives", given)
    assert answer.status == 2
    assert said in answer.err


def test_a_front_figure_has_what_runs_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "benchmark", lambda name: TABLE)
    outcomes = [outcome(name, seeds=5, objectives=("loss", "speed")) for name in ("mo-re", "rs")]
    figure = draw(outcomes, {"figure": "front", "at": 30.0})
    for found in outcomes:
        rows = np.concatenate(held(TABLE, found.study.rules, found.trajectory, 30.0))
        numbers = [row for row in figure.numbers if row["series"] == found.label]  # type: ignore[attr-defined]
        assert {row["row"]: row["runs"] for row in numbers} == dict(
            zip(*np.unique(rows, return_counts=True), strict=True)
        )
        for row in numbers:
            loss, speed = TABLE.loss_at(2)[row["row"]], TABLE.objective("speed").values[row["row"]]
            assert [row["x"], row["y"]] == pytest.approx([loss, speed], rel=1e-4)
    with pytest.raises(HarnessError, match="a figure of fronts is of two objectives"):
        draw([outcome(objectives=("speed", "loss", "size"))], {"figure": "front"})


def test_regret_of_fronts_is_called_so(harness: Harness, tmp_path: Path) -> None:
    run = ("run", "--bench", "nb201", "--seeds", "3", "--budget", "3e4")
    several = ("--objectives", "error,latency.raspi4", "--constraint", "latency.raspi4<=30")
    harness(*run, "--algo", "rs,mo-re", *several)
    shown = " ".join(harness("show", "results").out.split())
    assert "hypervolume regret, test" in shown
    assert "objectives: error, latency.raspi4; constraint: latency.raspi4<=30" in shown
    assert "of those with latency.raspi4<=30" in shown
    compared = harness("compare", "results", "--format", "markdown").out
    assert "Hypervolume regret, mean" in compared
    assert "alidation regret" not in compared
    for figure in ("ranks", "ecdf-regret", "violin"):
        drawn = draw([read(path) for path in find([tmp_path / "results"])], {"figure": figure})
        labels = [text for axis in drawn.axes for text in (axis.get_xlabel(), axis.get_ylabel())]
        assert any("hypervolume regret" in text for text in labels)
    page = (harness("report", "results", "-o", "page.html"), (tmp_path / "page.html").read_text())[1]
    assert "runs are after the Pareto front" in page
    assert "what breaks it is trained at its cost" in page
    harness(*run, "--algo", "re", "--out", "one")
    assert "validation or test" not in harness("show", "one").out
    mixed = harness("report", "results", "one", "-o", "mixed.html")
    assert mixed.status == 0


def test_what_each_seed_holds_is_exported(harness: Harness, tmp_path: Path) -> None:
    harness(
        "run",
        "--bench",
        "accel",
        "--seeds",
        "3",
        "--evals",
        "20",
        "--algo",
        "rs",
        "--objectives",
        "error,throughput.a100",
    )
    harness("export", "incumbents", "results", "-o", "held.csv")
    (found,) = [read(path) for path in find([tmp_path / "results"])]
    table = registry.benchmark("accel")
    rows = held(table, found.study.rules, found.trajectory, np.inf)
    exported = pd.read_csv(tmp_path / "held.csv")
    assert exported["seed"].tolist() == [seed for seed, own in enumerate(rows) for _ in own]
    assert exported["row"].tolist() == np.concatenate(rows).tolist()
    np.testing.assert_allclose(exported["error"], table.loss_at(0)[exported["row"]])
    np.testing.assert_allclose(exported["throughput.a100"], table.objective("throughput.a100").values[exported["row"]])


def test_the_loss_is_no_constraint() -> None:
    with pytest.raises(HarnessError, match=r"error is the loss of nb201/cifar10.*no constraint"):
        Rules(evals=3, constraints=("error<=0.1",)).seen(registry.benchmark("nb201"))
