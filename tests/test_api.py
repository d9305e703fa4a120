"""From a notebook: runs, results, tables and clocks, the same studies as those of the command line."""

from __future__ import annotations

import dataclasses
import math
import pydoc
import re
import rlcompleter
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from workers import alive

import harness as h
from harness.api.results import Failure
from harness.studies.store import read
from harness.testing import assert_same


class Mine:
    """Random search, a seed at a time."""

    def __init__(self, problem: Any, generator: np.random.Generator) -> None:
        self.problem, self.generator = problem, generator

    def ask(self) -> tuple[Any, int, None]:
        return self.generator.integers(self.problem.space.sizes), self.problem.full, None

    def tell(self, handle: None, loss: float, cost: float) -> None:
        pass


class Fails(Mine):
    """It fails in the middle."""

    def tell(self, handle: None, loss: float, cost: float) -> None:
        raise ZeroDivisionError("no reason")


@pytest.fixture(scope="module")
def found() -> Any:
    return h.run({"mine": Mine, "re": "re"}, ["nb201", "hpobench"], seeds=6, evals=30, processes=1, quiet=True)


def test_importing_is_cheap() -> None:
    heavy = "numpy", "pandas", "torch", "matplotlib", "rich", "click"
    asked = f"import sys, harness; print([m for m in {heavy} if m in sys.modules])"
    assert (
        subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, check=True).stdout.strip() == "[]"
    )


_ALIASES = {
    **dict.fromkeys(("Bools", "Floats", "Ints"), "A numpy array of"),
    "Factory": "What the entry points of `nas_harness.algorithms` name",
}
"""What is said of names of types, which have no docstring of their own."""


def test_every_public_name_is_listed_with_its_first_sentence() -> None:
    assert not {"Any", "TYPE_CHECKING", "import_module"} & {*dir(h)}
    assert {*h.__all__} <= {*dir(h)}
    listed = " ".join((h.__doc__ or "").split())
    for name in h.__all__:
        said = _ALIASES.get(name) or " ".join(getattr(h, name).__doc__.split())
        assert f" {name} {said.split('. ')[0].rstrip('.')}" in listed, name


def test_the_same_studies_as_the_command_line(harness: Callable[..., Any], tmp_path: Path) -> None:
    made = h.run("rs", "nb201", seeds="3:8", evals=20, out=tmp_path / "api", processes=1, quiet=True)
    answer = harness("run", "--algo", "rs", "--bench", "nb201", "--seeds", "3:8", "--evals", 20, "--processes", 1)
    path = Path(answer.out.strip())
    assert (tmp_path / "api" / path.name).exists()
    assert_same(read(path).trajectory, made.outcomes[0].trajectory)
    assert_same(
        h.load(tmp_path / "api", algo="rs", bench="nb201/*", seeds="3:8").outcomes[0].trajectory, read(path).trajectory
    )


def test_frames_are_tidy(found: Any) -> None:
    curves = found.curves(points=10)
    assert [*curves.columns] == ["benchmark", "algorithm", "seed", "time", "val_regret", "test_regret"]
    assert len(curves) == 2 * 2 * 6 * 10
    assert {*curves["algorithm"]} == {"mine", "re"}
    last = curves[curves["time"] == curves.groupby(["benchmark", "algorithm"], observed=True)["time"].transform("max")]
    means = last.groupby(["benchmark", "algorithm"], observed=True)["val_regret"].mean()
    summary = found.summary().set_index(["benchmark", "algorithm"])["val_regret_mean"]
    np.testing.assert_allclose(means.to_numpy(), summary.loc[means.index].to_numpy())
    times = [1500.0, 5e4]  # before the first result on nb201, and after the end on hpobench
    over = found.curves(seeds=False, times=times)
    assert len(over) == len(found)
    assert len(found.curves(times=times)) == 6 * (2 * 2 + 2)
    assert {"val_regret_mean", "val_regret_sem", "val_regret_q25", "val_regret_median"} <= {*over.columns}


def test_incumbents_are_decoded(found: Any) -> None:
    frame = found.incumbents()
    cells = frame[frame["benchmark"] == "nb201/cifar10"]
    table = h.benchmark("nb201")
    first = cells.iloc[0]
    configuration = table.configuration(int(first["row"]))
    assert {name: first[name] for name in configuration} == configuration
    assert first["architecture"].startswith("|")
    assert frame[frame["benchmark"] != "nb201/cifar10"]["learning_rate_init"].notna().all()
    assert {"fidelity", "row", "incumbent"} <= {*found.trials().columns}


def test_it_is_shown_drawn_compared_and_reported(found: Any, tmp_path: Path) -> None:
    assert "mine" in repr(found)
    assert "<table" in found._repr_html_()
    assert len(found.plot().axes) == 2
    assert any("mine" in sentence for sentence in found.compare().sentences)
    assert "mine" in found.report(tmp_path / "page.html").read_text(encoding="utf-8")
    assert len(found.select(algo="re", bench="nb201")) == 1


def test_what_cannot_be_compared_is_left_out_and_said(caplog: pytest.LogCaptureFixture) -> None:
    some = h.run("rs,re", ["nb201", "fcnet"], seeds=4, evals=10, processes=1, quiet=True)
    made = some + h.run("ls", "nb201", seeds=4, evals=10, processes=1, quiet=True)
    made += h.run("de", "nb201", seeds=4, evals=9, processes=1, quiet=True)
    verdict = made.compare()
    assert "its evals is 9, not 10" in verdict.notes[0]
    assert verdict.notes[0] in repr(verdict)
    assert len(made.plot("ranks").axes) == 1
    assert "ls is left out of ranks: it has no study on fcnet/protein" in caplog.text


def test_seeds_are_pooled() -> None:
    def part(seeds: str) -> Any:
        return h.run("re", "nb201", seeds=seeds, evals=20, processes=1, quiet=True)

    whole = h.run("re", "nb201", seeds=20, evals=20, processes=1, quiet=True)
    joined = part("14:20") + part("0:7") + part("4:14")
    assert len(joined) == 1
    a, b = whole.outcomes[0], joined.outcomes[0]
    assert a.study.id == b.study.id
    for name in (*a.trajectory.COLUMNS, *a.trajectory.PER_SEED):
        np.testing.assert_array_equal(getattr(a.trajectory, name), getattr(b.trajectory, name))
    np.testing.assert_array_equal(a.val_loss, b.val_loss)


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        ({"worker": 4}, "unknown field of the rules 'worker'. did you mean workers?"),
        ({"workers": "four"}, "workers is a whole number, not 'four'"),
        ({"workers": 2.5}, "not 2.5"),
        ({"noise": "smapled"}, "'smapled'. did you mean sampled?"),
        ({"log": "al"}, "did you mean all?"),
        ({"overhead": "x"}, "overhead is a number, not 'x'"),
        ({"objectives": "error,latency"}, "objectives is a list, each a text"),
        ({"evals": 2.5}, "evals is a whole number"),
        ({"budget": "1e5"}, "budget is a number, not '1e5'. simulated seconds per run"),
    ],
)
def test_rules_that_do_not_fit_are_refused(rules: dict[str, Any], message: str) -> None:
    given = rules if {*rules} & {"evals", "budget"} else {"evals": 3, **rules}
    for act in (lambda: h.run("re", "nb201", seeds=2, **given), lambda: h.objective("nb201", **given)):
        with pytest.raises(h.HarnessError) as raised:
            act()
        assert message in str(raised.value)


def test_numbers_of_numpy_are_numbers() -> None:
    given: Any = {"evals": np.int64(3), "workers": np.int64(2)}
    made = h.objective("nb201", **given).simulator.rules
    assert made == h.objective("nb201", evals=3, workers=2).simulator.rules
    assert type(made.evals) is int


def test_what_fails_leaves_the_others(found: Any) -> None:
    made = h.run({"fails": Fails, "re": "re"}, "nb201", seeds=4, evals=10, processes=1, quiet=True)
    assert [o.label for o in made] == ["re"]
    told = "algorithm 'fails' on nb201/cifar10 failed in tell for seed 0: ZeroDivisionError: no reason."
    assert told in repr(made)
    assert made.failures == [told]
    assert 'raise ZeroDivisionError("no reason")' in made.failures[0].traceback
    with pytest.raises(h.HarnessError, match="ZeroDivisionError") as raised:
        h.run({"fails": Fails}, "nb201", seeds=4, evals=10, processes=1, quiet=True)
    assert raised.value.__cause__ is not None


def test_what_fails_in_another_process_has_its_traceback() -> None:
    made = h.run({"fails": Fails, "rs": "rs"}, "nb201", seeds=16, evals=5, processes=2, quiet=True)
    trace = made.failures[0].traceback
    assert "_InAWorker" in trace
    assert "in tell" in trace
    assert "ZeroDivisionError: no reason" in trace


class NoTell:
    def ask(self) -> None:
        pass


class OddAsk:
    def ask(self, seeds: Any) -> None:
        pass

    def tell(self, results: Any) -> None:
        pass


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (lambda objective: 0, "lambda, which has no source of its own"),
        (3, "is an int"),
        ("rx", "unknown algorithm"),
        (NoTell, "has no tell"),
        (OddAsk, "has an ask of 1 arguments"),
        (lambda: 0, "lambda"),
    ],
)
def test_what_is_no_algorithm_is_refused(given: object, message: str) -> None:
    for processes in (1, 2):
        with pytest.raises(h.HarnessError, match=message):
            h.run({"mine": given}, "nb201", evals=3, processes=processes)
    with pytest.raises(h.HarnessError, match="installed algorithm"):
        h.run({"re": Mine}, "nb201", evals=3)


def test_a_table_is_looked_at() -> None:
    table = h.benchmark("nb201")
    configuration = table.configuration(5)
    assert table.row(configuration) == 5
    asked = table.query(configuration, epochs=200)
    assert len(asked["loss"]) == 3
    assert np.mean(asked["loss"]) == pytest.approx(table.frame()["loss"][5])
    with pytest.raises(h.HarnessError, match="unknown value of parameter 'edge_0_1' 'nor_conv'"):
        table.row(configuration | {"edge_0_1": "nor_conv"})
    for wrong, message in (
        ({**configuration, "edge": "none"}, "'edge'.*did you mean edge_"),
        (
            {name: value for name, value in configuration.items() if name != "edge_1_2"},
            "the configuration has no value of 'edge_1_2'. it takes none, skip_connect, nor_conv_1x1,",
        ),
        ({**configuration, "edge_0_1": 7}, "'edge_0_1'"),
        ([0, 0, 0, 0, 0, 5], "code 5 of 'edge_2_3' is outside of 0 to 4"),
        ([0, 0], "is no configuration"),
    ):
        with pytest.raises(h.HarnessError, match=message):
            table.row(wrong)
        with pytest.raises(h.HarnessError, match=message):
            h.objective("nb201", evals=3)(wrong)
        with pytest.raises(h.HarnessError, match=message):
            h.simulator("nb201", evals=3).submit(wrong)
    with pytest.raises(h.HarnessError, match="the fidelity of nb201/cifar10 is epochs"):
        table.query(5, steps=3)
    with pytest.raises(h.HarnessError, match="no row 99999"):
        table.configuration(99999)


def test_a_loop_of_ones_own_has_the_clock_of_a_run() -> None:
    ran = h.run({"mine": Mine}, "nb201", seeds="3:4", evals=40, workers=3, log="all", processes=1, quiet=True)
    simulator = h.simulator("nb201", seed=3, evals=40, workers=3)
    generator = h.objective("nb201", seed=3).generator
    while not simulator.over:
        while simulator.idle:
            simulator.submit(generator.integers(simulator.table.space.sizes).tolist())
        told = simulator.wait()
        assert told is not None
        assert told.time == simulator.time
    assert_same(simulator.trajectory(), ran.outcomes[0].trajectory)
    assert [o.label for o in ran + simulator.results("loop")] == ["mine", "loop"]
    with pytest.raises(h.HarnessError, match="the run is over"):
        simulator.submit([0] * 6)


def test_waiting_and_submitting_too_often_is_refused() -> None:
    simulator = h.simulator("nb201", evals=5)
    with pytest.raises(h.HarnessError, match="nothing is running"):
        simulator.wait()
    simulator.submit([0] * 6)
    with pytest.raises(h.HarnessError, match="busy"):
        simulator.submit([0] * 6)
    with pytest.raises(h.HarnessError, match="code 9 of 'edge_0_1'"):
        h.simulator("nb201", evals=5).submit([9] * 6)


def test_an_objective_for_scipy_and_optuna() -> None:
    from scipy.optimize import differential_evolution

    objective = h.objective("nb201", seed=3, evals=30)
    differential_evolution(objective, objective.bounds, integrality=[True] * 6, maxiter=3, popsize=3)
    assert objective.over
    assert objective([0] * 6) == math.inf
    assert objective.results("de").outcomes[0].trajectory.evaluations.tolist() == [30]


@pytest.mark.reference("optuna")
def test_an_objective_is_optunas_as_it_is() -> None:
    import optuna

    objective = h.objective("nb201", seed=3, evals=10)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    study.optimize(objective, n_trials=30)
    assert len(study.trials) == 11
    told = [trial.value for trial in study.trials if trial.value != math.inf]
    assert objective.results("optuna").trials()["loss"].tolist() == told


@pytest.mark.reference("smac", "ConfigSpace")
@pytest.mark.parametrize("bench", ["nb201", "nb201-mf"])
def test_an_objective_is_smacs_as_it_is(bench: str) -> None:
    from ConfigSpace import Categorical, ConfigurationSpace
    from smac import HyperparameterOptimizationFacade, MultiFidelityFacade, Scenario

    objective = h.objective(bench, seed=3, evals=20)
    space = ConfigurationSpace(seed=0)
    space.add([Categorical(p.name, p.values) for p in objective.space.parameters])
    several = len(objective.fidelities) > 1
    budgets = {"min_budget": objective.fidelities[0], "max_budget": objective.fidelities[-1]} if several else {}
    scenario = Scenario(space, n_trials=20, deterministic=not several, output_directory=Path("smac"), **budgets)
    facade = MultiFidelityFacade if several else HyperparameterOptimizationFacade
    halving = {"intensifier": MultiFidelityFacade.get_intensifier(scenario, eta=16)} if several else {}
    best = facade(scenario, objective, logging_level=40, **halving).optimize()
    trials = objective.results("smac").trials()
    assert objective.over
    assert len(trials) == 20
    assert {*trials["fidelity"]} <= {*objective.fidelities}
    assert len({*trials["fidelity"]}) == len(objective.fidelities)
    assert h.benchmark(bench).row(best) in {*trials["row"]}


@pytest.mark.parametrize("name", ["rs", "re", "hb", "asha"])
def test_our_algorithms_on_an_objective_of_ones_own(name: str) -> None:
    optimizer = h.optimizer(name, {"x": [*range(10)], "kind": ["a", "b"]}, fidelities=(1, 3, 9), seed=4)
    lowest = math.inf
    for _ in range(60):
        trial = optimizer.ask()
        assert trial is not None
        loss = (int(trial.config["x"]) - 3) ** 2 + (trial.config["kind"] == "a")
        optimizer.tell(trial, loss, cost=trial.fidelity)
        lowest = min(lowest, loss)
    assert lowest <= 2
    assert trial is not None
    with pytest.raises(h.HarnessError, match="not out"):
        optimizer.tell(trial, 0.0)
    optimizer.ask()
    with pytest.raises(h.HarnessError, match="1 trials are out"):
        optimizer.ask()


SCRIPT = """
import harness as h
FACTOR = 1
class Mine:
    def __init__(self, problem, generator):
        self.problem, self.generator = problem, generator
    def ask(self):
        return self.generator.integers(self.problem.space.sizes * FACTOR), self.problem.full, None
    def tell(self, handle, loss, cost):
        pass
made = h.run({"mine": Mine}, "nb201", seeds=16, evals=5, processes=2, quiet=True)
print(made.outcomes[0].study.id, len(made.outcomes[0].trajectory.seeds))
"""


def test_a_script_needs_no_guard_and_its_source_is_its_identity(tmp_path: Path) -> None:
    def ran(text: str) -> str:
        (tmp_path / "script.py").write_text(text)
        done = subprocess.run([sys.executable, "script.py"], cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    first = ran(SCRIPT)
    assert first.endswith(" 16\n")
    assert ran(SCRIPT + "\nx = 1") == first
    one_process = SCRIPT.replace("processes=2", "processes=1")
    assert ran(one_process.replace("* FACTOR", "* 1")) != first
    assert ran(one_process.replace("FACTOR = 1", "FACTOR = 1.0")) != first


def test_curves_are_fast() -> None:
    made = h.run("rs", "nb201", seeds=500, evals=20, processes=1, quiet=True)
    ten = type(made)(made.outcomes * 10)
    began = time.process_time()
    frame = ten.curves()
    assert time.process_time() - began < 5  # a second where nothing else runs
    assert len(frame) == 10 * 500 * 200
    assert frame.memory_usage().sum() < 100e6


def test_results_of_two_versions_of_a_table(found: Any) -> None:
    old = found.select(algo="re", bench="nb201").outcomes[0]
    older = dataclasses.replace(old, study=dataclasses.replace(old.study, table="0" * 64, algorithm="rs"))
    both = type(found)([*found.select(bench="nb201"), older])
    verdict = both.compare()
    assert re.search("rs.* is left out: its table is 000000000000, not", verdict.notes[0])
    with pytest.raises(h.HarnessError, match="is of another version of the table nb201/cifar10"):
        both.incumbents()
    assert len(both.summary()) == 3


def test_a_frame_that_memory_cannot_hold_says_how_to_thin_it(found: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.sysconf", lambda name: 100)  # pages of 100 bytes
    with pytest.raises(h.HarnessError, match=r"frame of 4,800 rows takes .* memory are free. thin it with points"):
        found.curves()
    with pytest.raises(h.HarnessError, match="select fewer: algo="):
        found.trials()
    assert len(found.curves(seeds=False, times=[1500.0, 5e4])) == 4
    with pytest.raises(h.HarnessError, match=r"ended at .* it says nothing of 1e\+09 s"):
        found.curves(times=[5e4, 1e9])


def test_reprs_fit_a_screen(found: Any) -> None:
    table = h.benchmark("nb201")
    simulator = h.simulator("nb201", evals=5)
    simulator.submit([0] * 6)
    optimizer = h.optimizer("re", {"x": [1, 2, 3]})
    many = type(found)(found.outcomes * 20)
    things = [
        *(found, many, found.compare(), table, table.table, table.space, h.benchmark("accel").space, table.facts),
        *(table.optimum, simulator, simulator.wait(), h.objective("nb201"), optimizer, optimizer.ask()),
        *(found.outcomes[0], found.outcomes[0].trajectory, found.outcomes[0].study, found.outcomes[0].study.rules),
        h.Problem(table.space, table.table.fidelities, np.arange(500), 1, 1e7),
    ]
    several = h.run("rs,re,ls", ["nb201/*", "hpobench/*"], seeds=2, evals=2, processes=1, quiet=True)
    failures = [Failure(f"mine on {o.benchmark} failed: {'for a long reason, ' * 9}indeed.", "") for o in several]
    things.append(type(found)(several.outcomes, failures=failures))
    for thing in things:
        lines = [part for line in repr(thing).splitlines() for part in (line or " ")[::110]]
        assert len(lines) <= 24, repr(thing)
    assert "... and 70 more; summary() has all." in repr(many)
    assert "mean ± SEM over seeds" in repr(several)
    assert "... and 30 more: notes and failures have all." in repr(things[-1])


def test_help_lists_every_public_name() -> None:
    shown = re.sub(".\b", "", pydoc.render_doc(h))
    for name in h.__all__:
        assert re.search(rf"^ +{name} ", shown, flags=re.MULTILINE), name
    assert {*h.__all__} <= {*rlcompleter.Completer({"h": h}).attr_matches("h.")} | {
        found.removeprefix("h.").rstrip("(") for found in rlcompleter.Completer({"h": h}).attr_matches("h.")
    }


KILLED = """
import sys, harness as h
class Mine:
    def __init__(self, problem, generator):
        self.problem, self.generator = problem, generator
    def ask(self):
        return self.generator.integers(self.problem.space.sizes), self.problem.full, None
    def tell(self, handle, loss, cost):
        pass
Mine.shard = 4
made = h.run({"mine": Mine}, "nb201", seeds=40, evals=60, processes=2, quiet=True, out="results")
print(len(made.outcomes[0].trajectory.seeds))
"""


def test_a_kernel_that_is_closed_leaves_what_is_done_and_no_process(tmp_path: Path) -> None:
    (tmp_path / "cell.py").write_text(KILLED)
    words = [sys.executable, "cell.py"]
    with subprocess.Popen(words, cwd=tmp_path, start_new_session=True, stdout=subprocess.DEVNULL) as kernel:
        deadline = time.monotonic() + 120
        while not [*tmp_path.glob("results/.unfinished/*/*.parquet")] and time.monotonic() < deadline:
            time.sleep(0.02)
        kernel.kill()
    stored = {path.name for path in tmp_path.glob("results/.unfinished/*/*.parquet")}
    assert stored or [*tmp_path.glob("results/*.parquet")]
    deadline = time.monotonic() + 60
    while alive(kernel.pid):
        assert time.monotonic() < deadline, "workers outlived the kernel"
        time.sleep(0.05)
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout == "40\n"
    assert not [*tmp_path.glob("results/.unfinished")]
