"""The algorithms of other packages: what is theirs stays theirs, and what is ours stays as it was."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from algorithms import external
from harness import HarnessError, Rules, registry, simulate
from harness.studies.study import source_of
from harness.testing import synthetic_table

ROOT = Path(__file__).parents[1]
NAMES = [
    name for name in registry.algorithm_names() if registry.algorithm(name).__module__.startswith(external.__name__)
]


NEEDS = {"CmaEsSampler": ["cmaes"], "GPSampler": ["torch"], "CQR": ["huggingface_hub", "xgboost"], "BORE": ["xgboost"]}
OPTIMIZERS = {
    "optuna": ["TPESampler", "GPSampler", "CmaEsSampler", "QMCSampler", "RandomSampler", "NSGAIISampler"],
    "nevergrad": ["DiscreteOnePlusOne", "NGOpt", "PSO", "TBPSA", "DE"],
    "syne_tune": ["RandomSearch", "TPE", "BORE", "REA", "CQR"],
    "smac": ["random", "blackbox", "hyperparameter"],
    "neps": ["random_search"],
    "hyperopt": ["tpe", "anneal", "rand"],
    "botorch": ["qLogEI", "LogEI"],
    "dehb": ["DE"],
    "hpbandster": ["HyperBand", "BOHB"],
}
HALVING = {
    "optuna": ["TPESampler+HyperbandPruner", "RandomSampler+MedianPruner"],
    "syne_tune": ["ASHA", "BOHB"],
    "smac": ["multifidelity"],
    "neps": ["priorband", "asha", "hyperband"],
    "dehb": ["DEHB"],
}


def of_libraries(names: dict[str, list[str]]) -> list[Any]:
    return [
        pytest.param(f"{package.replace('_', '-')}:{name}", marks=pytest.mark.reference(package, *NEEDS.get(name, ())))
        for package, found in names.items()
        for name in found
    ]


def alone_and_among(algorithm: str, table: Any) -> Any:
    """A run of two seeds, of which the second is the same alone."""
    factory, rules = registry.algorithm(algorithm), Rules(evals=14, log="all")
    both = simulate(table, factory, seeds=np.array([3, 7]), rules=rules)
    alone = simulate(table, factory, seeds=np.array([7]), rules=rules)
    np.testing.assert_array_equal(both.row[both.seed == 1], alone.row)
    np.testing.assert_array_equal(both.fidelity[both.seed == 1], alone.fidelity)
    return both


@pytest.mark.parametrize("algorithm", of_libraries(OPTIMIZERS))
def test_a_librarys_optimizer_searches_and_a_seed_alone_is_the_seed_in_a_batch(
    algorithm: str, capfd: pytest.CaptureFixture[str]
) -> None:
    run = alone_and_among(algorithm, registry.benchmark("fcnet/protein"))
    assert capfd.readouterr() == ("", ""), "no word of a library's on the terminal"
    assert len(np.unique(run.row[run.seed == 0])) > 3
    assert not np.array_equal(run.row[run.seed == 0], run.row[run.seed == 1])


@pytest.mark.parametrize("algorithm", of_libraries(HALVING))
def test_a_librarys_halving_trains_at_several_fidelities(algorithm: str, capfd: pytest.CaptureFixture[str]) -> None:
    run = alone_and_among(algorithm, registry.benchmark("digits201"))
    assert capfd.readouterr() == ("", ""), "no word of a library's on the terminal"
    assert len(np.unique(run.fidelity)) > 1


@pytest.mark.parametrize("algorithm", of_libraries({package: found[:1] for package, found in OPTIMIZERS.items()}))
def test_a_library_keeps_several_workers_busy(algorithm: str) -> None:
    table, factory = registry.benchmark("fcnet/protein"), registry.algorithm(algorithm)
    first, again = (
        simulate(table, factory, seeds=np.array([3]), rules=Rules(evals=14, workers=4, log="all")) for _ in range(2)
    )
    assert first.evaluations.tolist() == [14]
    assert first.ended[0] < 0.6 * table.mean_cost[first.row, 0].sum()
    np.testing.assert_array_equal(first.row, again.row)


OBJECTIVES = ("error", "latency.raspi4")


@pytest.mark.reference("optuna")
@pytest.mark.parametrize("name", ["optuna:TPESampler", "optuna:NSGAIISampler", "optuna:GPSampler", "optuna-tpe"])
def test_samplers_of_optuna_are_told_every_objective(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    optuna = external.library("optuna", "optuna")
    told: list[Any] = []
    tell = optuna.study.Study.tell

    def heard(study: Any, trial: Any, *given: Any, **named: Any) -> Any:
        told.append(tell(study, trial, *given, **named))
        return told[-1]

    monkeypatch.setattr(optuna.study.Study, "tell", heard)
    table, rules = registry.benchmark("nb201"), Rules(evals=3, log="all", objectives=OBJECTIVES)
    run = simulate(table, registry.algorithm(name), seeds=np.array([3]), rules=rules)
    assert {trial.state.name for trial in told} == {"COMPLETE"}
    latency = table.minimised(OBJECTIVES, np.zeros(len(table)))[run.row, 1]
    np.testing.assert_array_equal([trial.values[1] for trial in told], latency)


@pytest.mark.reference("pymoo")
@pytest.mark.parametrize("name", ["AGEMOEA", "NSGA2", "SMSEMOA"])
def test_those_of_pymoo_learn_from_every_objective(name: str) -> None:
    table, rules = synthetic_table(1), Rules(evals=40, log="all", objectives=("loss", "size"))
    size, factory = table.objective("size"), partial(registry.algorithm(f"pymoo:{name}"), pop_size=10)
    other = replace(table, objectives={"size": replace(size, read=lambda: -size.values)})
    runs = [
        simulate(t, factory, seeds=np.array(s), rules=rules) for t, s in ((table, [3, 7]), (table, [7]), (other, [7]))
    ]
    both, alone, turned = (run.row[run.seed == len(run.seeds) - 1] for run in runs)
    np.testing.assert_array_equal(both, alone)
    np.testing.assert_array_equal(alone[:8], turned[:8])
    assert (alone != turned).any()


@pytest.mark.reference("pymoo")
def test_pymoo_is_refused_one_objective(harness: Any) -> None:
    answer = harness("run", "--algo", "pymoo:NSGA2", "--bench", "nb201", "--seeds", 1, "--evals", 3)
    answer.refuses("NSGA2 searches for several objectives", "--objectives error,latency.raspi4")


ONE_OBJECTIVE = {
    "optuna": ["CmaEsSampler"],
    "nevergrad": ["PSO"],
    "syne_tune": ["CQR"],
    "smac": ["hyperparameter"],
    "neps": ["random_search"],
    "hyperopt": ["tpe"],
    "botorch": ["LogEI"],
    "dehb": ["DE"],
    "hpbandster": ["BOHB"],
}


@pytest.mark.parametrize("algorithm", of_libraries(ONE_OBJECTIVE))
def test_a_library_of_one_objective_refuses_several_before_anything_runs(algorithm: str, harness: Any) -> None:
    given = ("--bench", "nb201", "--seeds", 1, "--evals", 3, "--objectives", ",".join(OBJECTIVES))
    answer = harness("run", "--algo", f"rs,{algorithm}", *given)
    answer.refuses(f"{algorithm} searches for one objective, and there are 2", "nsga2 search for several")
    assert not [*Path().iterdir()]


MISTYPED = {
    "optuna": ("TPESamplr", "TPESampler"),
    "nevergrad": ("PSOO", "PSO"),
    "syne-tune": ("CRQ", "CQR"),
    "smac": ("hyperparamter", "hyperparameter"),
    "neps": ("priorbnd", "priorband"),
    "hyperopt": ("tpee", "tpe"),
    "botorch": ("logei", "LogEI"),
    "dehb": ("DEH", "DEHB"),
    "hpbandster": ("bohb", "BOHB"),
}


@pytest.mark.parametrize(
    ("library", "mistyped", "meant"),
    [
        pytest.param(name, *words, marks=pytest.mark.reference(name.replace("-", "_")))
        for name, words in MISTYPED.items()
    ],
)
def test_a_mistyped_optimizer_is_answered_with_the_librarys_own(
    harness: Any, library: str, mistyped: str, meant: str
) -> None:
    for command in (["run", "--bench", "nb201", "--evals", 3, "--algo"], ["show"]):
        harness(*command, f"{library}:{mistyped}").refuses("unknown optimizer of", meant)


@pytest.mark.parametrize(
    ("name", "message", "hint"),
    [
        ("optunaa:TPESampler", "there is no module optunaa", "did you mean optuna:TPESampler?"),
        ("optuna", "'optuna' is a package of many optimizers", "`harness list optuna` has all"),
        (":TPESampler", "names no file or module before the colon", "path/mine.py:Mine"),
        ("mine.py", "'mine.py' names a file alone", "--algo mine.py:Class"),
    ],
)
def test_half_a_name_is_answered_with_the_whole(harness: Any, name: str, message: str, hint: str) -> None:
    harness("run", "--algo", name, "--bench", "nb201", "--evals", 3).refuses(message, hint)


@pytest.mark.reference("optuna")
def test_an_optimizer_is_shown_with_its_settings_and_its_version(harness: Any) -> None:
    answer = harness("show", "optuna:GPSampler")
    assert "optuna:GPSampler.n_startup_trials" in answer.out
    assert f"GPSampler of optuna {external.library('optuna', 'optuna').__version__}" in answer.out


@pytest.mark.reference("optuna")
def test_a_crash_within_a_library_names_it_and_the_seed_and_other_studies_go_on(harness: Any) -> None:
    given = [f"--param=optuna:TPESampler.{setting}" for setting in ("n_ei_candidates=0", "n_startup_trials=3")]
    given += ["--bench", "nb201", "--seeds", "5:6", "--evals", "4", "--algo", "optuna:TPESampler,rs"]
    answer = harness("run", *given)
    version = external.library("optuna", "optuna").__version__
    assert answer.status == 1, "not 2: other studies are there"
    assert f"'optuna:TPESampler' (optuna {version}) on nb201/cifar10 failed in ask for seed 5: ValueError" in answer.err
    assert len([*Path("results").glob("*.rs.*.parquet")]) == 1
    assert "optuna/samplers" in harness("--debug", "run", *given).err


@pytest.mark.reference("optuna")
def test_names_of_a_library_are_its_own(harness: Any) -> None:
    rules = ("--bench", "nb201", "--seeds", 1, "--evals", 3)
    answer = harness("run", "--algo", "optuna:TPESample", *rules)
    answer.refuses("unknown optimizer of optuna 'TPESample'", "TPESampler")
    harness("run", "--algo", "optuna:CmaEsSampler", *rules).refuses("searches numbers only", "optuna:TPESampler")
    harness("run", "--algo", "optuna:TPESampler+HyperbandPruner", *rules).refuses(
        "several fidelities", "a table with more"
    )
    given = ("--param", "optuna:TPESampler.n_startup_trials=2")
    (study,) = json.loads(harness("run", "--algo", "optuna:TPESampler", *given, *rules, "--json").out)
    assert study["params"]["n_startup_trials"] == 2
    listed = harness("list", "optuna").out.splitlines()
    assert {"optuna:TPESampler", "optuna:GPSampler", "optuna:TPESampler+MedianPruner"} <= {*listed}
    assert not [name for name in listed if "Base" in name]
    answer = harness("run", "--algo", "optuna:Nothing-like-it", *rules)
    answer.refuses("unknown optimizer of optuna", "`harness list optuna` lists them")


def test_of_many_optimizers_the_first_are_listed(harness: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    names = [f"optimizer-{i:03}" for i in range(543)]

    class Many:
        extra, version = "nevergrad", "1.0"

        def names(self) -> list[str]:
            return names

    monkeypatch.setattr(registry, "library", lambda name: Many())
    told = " ".join(harness("list", "libraries").out.split())
    assert "543: optimizer-000, " in told
    assert "; `harness list nevergrad` has all" in told
    assert names[10] not in told
    assert harness("list", "nevergrad").out.splitlines() == [f"nevergrad:{name}" for name in names]
    assert json.loads(harness("list", "nevergrad", "--json").out)["nevergrad"][542] == "nevergrad:optimizer-542"
    harness("list", "nevergrat").refuses("unknown choice", "did you mean nevergrad?")


def test_a_library_that_is_not_installed_is_told_how(harness: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "nevergrad", None)
    answer = harness("run", "--algo", "nevergrad:PSO", "--bench", "nb201", "--seeds", 1, "--evals", 1)
    answer.refuses("the package nevergrad cannot be imported", "pip install 'nas-harness[nevergrad]'")


def test_the_version_of_a_library_is_in_the_identity() -> None:
    def made(version: str) -> Any:
        def factory(problem: Any, streams: Any, /) -> Any: ...

        factory.version = version  # type: ignore[attr-defined]
        return factory

    assert source_of(made("1")) != source_of(made("2"))
    assert source_of(made("1")) == source_of(made("1"))


def test_there_are_six() -> None:
    assert len(NAMES) == 6


@pytest.mark.parametrize("name", NAMES)
def test_a_missing_package_is_one_sentence_that_names_the_extra(
    name: str, harness: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    extra = name.split("-", maxsplit=1)[0]
    package = {"optuna": "optuna", "dehb": "dehb", "hpbandster": "hpbandster.core.dispatcher"}[extra]
    monkeypatch.setitem(sys.modules, package, None)
    answer = harness("run", "--algo", name, "--bench", "nb201", "--seeds", "1", "--evals", "1")
    assert answer.status == 2
    assert f"the package {extra} cannot be imported" in answer.err
    assert f"nas-harness[{extra}]" in answer.err
    assert "Traceback" not in answer.err


def test_algorithms_are_listed_without_importing_any_package() -> None:
    code = "import sys; from harness import registry; [registry.algorithm(n) for n in registry.algorithm_names()];"
    code += "print(sorted({'optuna', 'dehb', 'hpbandster', 'ConfigSpace'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


@pytest.mark.reference("dehb")
@pytest.mark.parametrize("configspace", [False, True])
def test_the_taken_apart_de_is_the_packages_own_run(configspace: bool, tmp_path: Path) -> None:
    table = synthetic_table(3, sizes=(4, 3, 2, 3), fidelities=(9,), repeats=1, missing=0.0)
    factory = registry.algorithm("dehb-de-lib")

    def make(problem: Any, streams: Any) -> Any:
        return factory(problem, streams, configspace=configspace)

    ours = simulate(table, make, seeds=np.array([5]), rules=Rules(evals=200, log="all"))
    seen = []

    def objective(proposal: Any, **_: Any) -> dict[str, float]:
        codes = proposal if isinstance(proposal, np.ndarray) else None
        codes = external.codes(proposal, 4) if codes is None else table.space.sample(codes)
        seen.append(int(table.rows(codes[None])[0]))
        return {"fitness": float(table.loss[seen[-1], 0, 0]), "cost": 1.0}

    from harness import Streams

    seed = external.seed(Streams(np.array([5]), "algorithm").generator(0))
    space = external.configspace(table.space, seed, "OrdinalHyperparameter") if configspace else None
    optimizers = external.library("dehb.optimizers.de", "dehb")
    with external.Globals(0)():
        optimizers.DE(
            cs=space, dimensions=4, f=objective, pop_size=20, mutation_factor=0.5, crossover_prob=0.5,
            strategy="rand1_bin", seed=seed, output_path=tmp_path,
        ).run(generations=9)  # fmt: skip
    assert ours.row.tolist() == seen


@pytest.mark.reference("dehb")
def test_dehb_leaves_loguru_and_the_working_folder_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from loguru import logger

    monkeypatch.chdir(tmp_path)
    lines: list[str] = []
    sink = logger.add(lines.append, format="{message}")
    try:
        simulate(synthetic_table(1), registry.algorithm("dehb-lib"), seeds=np.arange(2), rules=Rules(evals=20))
        logger.info("still here")
    finally:
        logger.remove(sink)
    assert lines == ["still here\n"]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.reference("dehb")
def test_dehb_needs_fidelities() -> None:
    table = synthetic_table(1, fidelities=(100,))
    with pytest.raises(HarnessError, match="at least two fidelities"):
        simulate(table, registry.algorithm("dehb-lib"), seeds=np.arange(1), rules=Rules(evals=1))


@pytest.mark.reference("hpbandster", "ConfigSpace", "statsmodels")
def test_a_model_that_fails_is_an_error_and_not_a_random_configuration(monkeypatch: pytest.MonkeyPatch) -> None:
    module = external.library("hpbandster.optimizers.config_generators.bohb", "hpbandster")
    monkeypatch.setattr(module.sm.nonparametric.KDEMultivariate, "pdf", None)
    table = synthetic_table(1, fidelities=(9,))
    with pytest.raises(HarnessError, match="does not work with what is installed"):
        simulate(table, registry.algorithm("hpbandster-bohb"), seeds=np.arange(1), rules=Rules(evals=60))


@pytest.mark.reference("nevergrad")
@pytest.mark.filterwarnings("ignore")
def test_the_example_of_the_documentation_runs() -> None:
    (example,) = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "external.md").read_text(), re.DOTALL)
    scope: dict[str, Any] = {}
    exec(example, scope)
    run = simulate(synthetic_table(1), scope["OnePlusOne"], seeds=np.arange(3), rules=Rules(evals=30, log="all"))
    assert (run.evaluations == 30).all()
