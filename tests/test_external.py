"""The algorithms of other packages: what is theirs stays theirs, and what is ours stays as it was."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from algorithms import external
from harness import HarnessError, Rules, registry, simulate
from harness.testing import synthetic_table

ROOT = Path(__file__).parents[1]
NAMES = [
    name for name in registry.algorithm_names() if registry.algorithm(name).__module__.startswith(external.__name__)
]


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
    assert f"error: the package {extra} cannot be imported" in answer.err
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
    with pytest.raises(RuntimeError, match="does not work with what is installed"):
        simulate(table, registry.algorithm("hpbandster-bohb"), seeds=np.arange(1), rules=Rules(evals=60))


@pytest.mark.reference("nevergrad")
@pytest.mark.filterwarnings("ignore")
def test_the_example_of_the_documentation_runs() -> None:
    (example,) = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "external.md").read_text(), re.DOTALL)
    scope: dict[str, Any] = {}
    exec(example, scope)
    run = simulate(synthetic_table(1), scope["OnePlusOne"], seeds=np.arange(3), rules=Rules(evals=30, log="all"))
    assert (run.evaluations == 30).all()
