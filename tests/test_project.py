"""The project itself: what the wheel holds, what the documents say, and numbers that must not drift."""

from __future__ import annotations

import hashlib
import os
import re
import sys
from importlib import metadata
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from conftest import ROOT

import harness
from harness import Rules, registry, simulate
from harness.studies.study import ENGINE
from harness.testing import AlgorithmContract, BenchmarkContract, synthetic_table


def test_tests_run_on_the_wheel_under_tox() -> None:
    if "TOX_ENV_NAME" not in os.environ:
        pytest.skip("not under tox")
    assert not Path(harness.__file__).is_relative_to(ROOT / "harness")


def test_the_distribution_installs_two_packages_and_no_more() -> None:
    files = metadata.files("nas-harness") or []
    packages = {file.parts[0] for file in files if not file.parts[0].endswith(".dist-info") and file.parts[0] != ".."}
    if any("editable" in name for name in packages):
        pytest.skip("nas-harness is installed in place, not from a wheel")
    assert packages == {"harness", "algorithms"}
    assert {"harness/py.typed", "algorithms/py.typed"} <= {str(file) for file in files}


def test_dependencies_are_bounded() -> None:
    for requirement in metadata.requires("nas-harness") or []:
        assert re.search(r"<\d|==\d", requirement), requirement


def test_readme_and_ci_run_the_same_tests() -> None:
    (command,) = re.findall(r"^python3 -m venv \.venv-tox .*$", (ROOT / "README.md").read_text(), flags=re.MULTILINE)
    ci = (ROOT / ".ci" / "run").read_text().replace("--quiet ", "").replace('"', "").splitlines()
    assert [step.replace(".venv-tox", "$environment") for step in command.split(" && ")] == ci[-3:]


def test_readme_lists_every_benchmark_and_algorithm() -> None:
    readme = (ROOT / "README.md").read_text()
    for name in registry.benchmark_facts():
        family, dataset = name.split("/", 1)
        (row,) = [line for line in readme.splitlines() if line.startswith(f"| `{family}` ")]
        assert f"`{dataset}`" in row
    for name in registry.algorithm_names():
        assert re.search(rf"^\| [^|]*`{name}`[^|]* \|", readme, flags=re.MULTILINE), name


def python_blocks(document: str) -> list[str]:
    return re.findall(r"```python\n(.*?)```", (ROOT / "docs" / document).read_text(), flags=re.DOTALL)


def module(name: str, code: str, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    made = ModuleType(name)
    monkeypatch.setitem(sys.modules, name, made)
    exec(compile(code, name, "exec"), made.__dict__)
    return made


@pytest.mark.parametrize(("block", "name", "least_better"), [(0, "GreedyWalk", 1.2), (2, "shuffled", None)])
def test_algorithms_of_the_guide_hold_the_contract(
    monkeypatch: pytest.MonkeyPatch, block: int, name: str, least_better: float | None
) -> None:
    factory = getattr(module("guide", python_blocks("add-an-algorithm.md")[block], monkeypatch), name)
    monkeypatch.setattr(registry, "algorithm", {"guide": factory, "rs": registry.algorithm("rs")}.__getitem__)
    contract: Any = type("Contract", (AlgorithmContract,), {"name": "guide"})()
    for test in (t for t in dir(contract) if t.startswith("test_")):
        getattr(contract, test)()
    if least_better is not None:
        table, rules = registry.benchmark("nb201"), Rules(evals=200, noise="mean")
        regret = {}
        for made in ("guide", "rs"):
            run = simulate(table, registry.algorithm(made), seeds=np.arange(100), rules=rules)
            regret[made] = table.mean_loss[run.row[run.at(np.array([1e9]))], 0].mean() - table.optimum.value
        assert regret["rs"] / regret["guide"] > least_better


def test_the_benchmark_of_the_guide_holds_the_contract(monkeypatch: pytest.MonkeyPatch) -> None:
    family = module("guide", python_blocks("add-a-benchmark.md")[0], monkeypatch).family
    monkeypatch.setattr(registry, "benchmark", lambda name: family.load(name.split("/")[1]))
    monkeypatch.setattr(registry, "benchmark_facts", lambda: {"mine/toy": family.datasets["toy"]})
    contract: Any = type("Contract", (BenchmarkContract,), {"name": "mine/toy"})()
    for test in (t for t in dir(contract) if t.startswith("test_")):
        getattr(contract, test)()
    assert family.load("toy").optimum.value == pytest.approx(1 - 0.811)


RECORDED = {"ENGINE": 1, "digest": "f8c4f1839b73112b"}


def test_the_engine_still_yields_the_numbers_it_did() -> None:
    """If this fails on purpose, raise ENGINE in harness/studies/study.py and record the new digest."""
    digest = hashlib.sha256()
    for rules in (Rules(budget=90.0, log="all"), Rules(evals=80, workers=3, overhead=0.5, incumbent="any")):
        run = simulate(synthetic_table(7), registry.algorithm("rs"), seeds=np.arange(20), rules=rules)
        for column in (run.seed, run.row, run.fidelity, run.repeat, run.evaluation, run.evaluations):
            digest.update(np.ascontiguousarray(column, dtype=np.int64).data)
        digest.update(np.ascontiguousarray(run.time).data)
    assert {"ENGINE": ENGINE, "digest": digest.hexdigest()[:16]} == RECORDED
