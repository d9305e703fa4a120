"""Plugins that are broken, or that misbehave: they harm nobody but themselves, and are named."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness import Jobs, Problem, Results, Rules, SearchSpace, Streams, registry, simulate
from harness.predictor import Seen
from harness.testing import assert_same, synthetic_table

Harness = Callable[..., Any]
Install = Callable[..., None]
QUICK = ("--bench", "nb201", "--seeds", "4", "--evals", "5", "--processes", "1")


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Puts a package with one module and its entry points where Python finds them."""
    site = tmp_path / "site"
    modules = set(sys.modules)

    def forget() -> None:
        registry._found.cache_clear()
        registry._loaded.cache_clear()

    def add(package: str, source: str, **points: str) -> None:
        about = site / f"{package}-1.2.dist-info"
        about.mkdir(parents=True)
        (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.2\n")
        groups = [f"[nas_harness.{group}]\n{lines}\n" for group, lines in points.items()]
        (about / "entry_points.txt").write_text("\n".join(groups))
        (site / f"{package}.py").write_text(source)
        monkeypatch.syspath_prepend(site)
        monkeypatch.setenv("PYTHONPATH", str(site))
        forget()

    yield add
    forget()
    for name in set(sys.modules) - modules:
        del sys.modules[name]


BROKEN = {
    "ImportError": "import not_there_at_all",
    "RuntimeError": "raise RuntimeError('torch has other symbols')",
    "SystemExit": "raise SystemExit(0)",
    "AttributeError": "",
    "SyntaxError": "def",
    "a number": "it = 5",
}


@pytest.mark.parametrize("kind", BROKEN)
@pytest.mark.parametrize("group", ["algorithms", "predictors", "benchmarks"])
def test_a_plugin_that_cannot_be_used_is_listed_as_broken_and_harms_nobody(
    kind: str, group: str, install: Install, harness: Harness
) -> None:
    install("faulty", BROKEN[kind], **{group: "bad = faulty:it"})
    answer = harness("list", group, "--json")
    assert answer.status == 0
    (listed,) = (row for row in json.loads(answer.out)[group] if row["name"] == "bad")
    assert listed["title"].startswith(f"broken: the {group[:-1]} 'bad' of faulty ")
    bench, algo = ("bad", "rs") if group == "benchmarks" else ("nb201", "bad")
    if group != "predictors":
        harness("run", "--algo", algo, "--bench", bench).refuses("'bad' of faulty", "pip uninstall faulty")


def test_with_broken_plugins_of_every_kind_all_commands_go_on(install: Install, harness: Harness) -> None:
    line = "bad = faulty:it"
    install("faulty", "raise SystemExit(0)", algorithms=line, predictors=line, benchmarks=line)
    for command in (("list",), ("data", "list"), ("show", "nb201"), ("show", "rs"), ("run", "--algo", "rs", *QUICK)):
        assert harness(*command).status == 0, command


def test_a_name_that_two_packages_take_is_neither_of_them(install: Install, harness: Harness) -> None:
    install("greedy", "def it(problem, streams): ...", algorithms="re = greedy:it", benchmarks="nb201 = greedy:it")
    for name, command in (
        ("re", ("--algo", "re", "--bench", "fcnet")),
        ("nb201", ("--algo", "rs", "--bench", "nb201")),
    ):
        harness("run", *command).refuses(f"'{name}' is in", "remove one of them")


class Writes:
    """Random search that writes into all that it is shown; the errors are what it expects."""

    def __init__(self, problem: Problem, streams: Streams) -> None:
        self.problem, self.streams, self.refused = problem, streams, 0
        space = problem.space
        for array in (problem.fidelities, problem.seeds, space.sizes, space.strides, space.moves, space._mutable):
            self.write(array)
            with pytest.raises(ValueError, match="WRITEABLE"):
                array.flags.writeable = True

    def write(self, array: Any) -> None:
        with pytest.raises(ValueError, match="read-only"):
            array[...] = 0

    def ask(self, seeds: Any, worker: Any) -> Jobs:
        self.write(seeds)
        self.write(worker)
        self.codes = self.problem.space.sample(self.streams.uniform(self.problem.space.dimensions, seeds))
        return Jobs(self.codes, self.problem.full)

    def tell(self, results: Results) -> None:
        self.codes[...] = 0  # what was asked for is the simulator's own copy
        for array in results:
            self.write(array)


def test_an_algorithm_that_writes_into_what_it_sees_gets_an_error_and_changes_no_study() -> None:
    table = synthetic_table(1, missing=0.0)
    rules = Rules(evals=30, workers=2, log="all")

    def other() -> Any:
        return simulate(table, registry.algorithm("re"), seeds=np.arange(3), rules=rules)

    before = other()
    seeds = np.arange(3)
    run = simulate(table, Writes, seeds=seeds, rules=rules)
    assert_same(run, simulate(table, registry.algorithm("rs"), seeds=seeds, rules=rules))
    assert_same(before, other())


def test_a_predictor_cannot_write_into_what_was_observed() -> None:
    one = np.zeros((2, 3))
    seen = Seen(np.zeros((2, 3, 4), int), one.astype(int), one, np.array([3, 3]))
    for array in (seen.codes, seen.fidelity, seen.loss, seen.count, seen.of(slice(1)).loss):
        with pytest.raises(ValueError, match="read-only"):
            array[...] = 1
    one[...] = 2  # its owner can


def test_values_of_a_parameter_cannot_be_changed() -> None:
    from harness import Parameter

    space = SearchSpace((Parameter("a", [1, 2]),))
    assert space.parameters[0].values == (1, 2)
