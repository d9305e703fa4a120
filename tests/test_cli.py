"""The command line: what it prints, and what it says to bad input."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import EntryPoint
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from harness import registry
from harness.studies.store import read

Harness = Callable[..., Any]
QUICK = ("--bench", "nb201", "--seeds", "6", "--budget", "5e4")
FIELDS = {
    "benchmark", "algorithm", "study", "seeds", "workers", "budget", "noise", "incumbent", "time", "val_regret_mean",
    "val_regret_sem", "val_loss_mean", "test_regret_mean", "evaluations_mean", "finished_seeds", "wall_seconds",
    "cpu_seconds",
}  # fmt: skip


def test_run_prints_paths_and_a_table_and_then_finds_its_studies(harness: Harness, tmp_path: Path) -> None:
    answer = harness("run", "--algo", "rs,re", *QUICK)
    assert answer.status == 0
    paths = [Path(line) for line in answer.out.splitlines()]
    assert [p.name.split(".")[:2] for p in paths] == [["nb201-cifar10", "rs"], ["nb201-cifar10", "re"]]
    assert all(p.exists() for p in paths)
    for text in ("val regret", "±", "incumbent: best observed", "row 6111", "test regret"):
        assert text in " ".join(answer.err.split())
    again = harness("run", "--algo", "rs,re", *QUICK)
    assert again.out == answer.out
    assert again.err.count("already there") == 2


def test_json_of_run_equals_json_of_show(harness: Harness) -> None:
    ran = json.loads(harness("run", "--algo", "rs,ls", *QUICK, "--json").out)
    assert [row["algorithm"] for row in ran] == ["rs", "ls"]
    for row in ran:
        assert set(row) >= FIELDS
        assert row["test_loss_mean"] == pytest.approx(row["test_regret_mean"] + 1 - 0.943733333)
        assert row["val_loss_mean"] == pytest.approx(row["val_regret_mean"] + 0.08393333349)
        assert (row["time"], row["budget"], row["seeds"], row["workers"]) == (5e4, 5e4, 6, 1)
        assert 20 < row["evaluations_mean"] < 40
    shown = json.loads(harness("show", "results", "--json").out)
    assert sorted(shown, key=lambda row: row["study"]) == sorted(ran, key=lambda row: row["study"])
    at = json.loads(harness("show", "results", "--at", "1e4,5e4", "--json").out)
    assert [row["time"] for row in at] == [1e4, 5e4] * 2
    assert all(a["val_regret_mean"] >= b["val_regret_mean"] for a, b in zip(at[::2], at[1::2], strict=True))
    assert all(a["evaluations_mean"] < b["evaluations_mean"] for a, b in zip(at[::2], at[1::2], strict=True))


def test_show_per_seed(harness: Harness) -> None:
    harness("run", "--algo", "rs", *QUICK)
    rows = json.loads(harness("show", "results", "--per-seed", "--json").out)
    assert [row["seed"] for row in rows] == list(range(6))
    table = registry.benchmark("nb201")
    for row in rows:
        assert row["val_loss"] == table.mean_loss[row["row"], 0]
        assert row["observed_loss"] in table.loss[row["row"], 0]
        assert 0 < row["found"] <= 5e4
    plain = harness("show", "results", "--per-seed").out
    assert all(str(row["row"]) in plain for row in rows)


def test_seeds_are_a_range_and_bring_their_own_numbers(harness: Harness) -> None:
    harness("run", "--algo", "re", *QUICK, "--out", "whole")
    harness("run", "--algo", "re", *QUICK, "--seeds", "2:5", "--out", "part")
    whole, part = (json.loads(harness("show", out, "--per-seed", "--json").out) for out in ("whole", "part"))
    fields = [k for k in whole[0] if k != "study"]
    assert [[row[k] for k in fields] for row in part] == [[row[k] for k in fields] for row in whole[2:5]]


def test_options_reach_the_study(harness: Harness) -> None:
    options = ("--workers", "3", "--overhead", "2.5", "--noise", "mean", "--incumbent", "any", "--log", "all")
    parameters = ("--param", "re.population=7", "--param", "re.sample=2")
    answer = harness("run", "--algo", "re,rs", *QUICK, *options, "--evals", "20", *parameters, "--processes", "2")
    studies = [read(Path(line)).study for line in answer.out.splitlines()]
    rules = studies[0].rules
    assert (rules.workers, rules.overhead, rules.noise, rules.incumbent, rules.log) == (3, 2.5, "mean", "any", "all")
    assert (rules.budget, rules.evals) == (5e4, 20)
    assert [study.label for study in studies] == ["re(population=7, sample=2)", "rs"]
    assert "re(population=7, sample=2)" in answer.err


def test_budget_is_the_benchmarks_unless_evals_end_the_run(harness: Harness) -> None:
    rows = json.loads(harness("run", "--algo", "rs", "--bench", "nb201", "--seeds", "1", "--evals", "3", "--json").out)
    assert (rows[0]["budget"], rows[0]["evals"], rows[0]["evaluations_mean"]) == (None, 3, 3)
    rows = json.loads(harness("run", "--algo", "re", "--bench", "nb201", "--seeds", "1", "--json").out)
    assert rows[0]["budget"] == 1e7


def test_list_and_show(harness: Harness) -> None:
    text = harness("list").out
    for name in ("rs", "re", "ls", "nb201/cifar100", "fcnet/slice", "hpobench/kc1"):
        assert name in text
    assert "nb201" not in harness("list", "algorithms").out
    listed = json.loads(harness("list", "benchmarks", "--json").out)["benchmarks"]
    assert [row["name"] for row in listed] == list(registry.benchmark_facts())
    assert "re.population" in harness("show", "re").out
    assert "no parameters" in harness("show", "rs").out
    assert json.loads(harness("show", "re", "--json").out)["parameters"]["sample"]["default"] == 10
    shown = json.loads(harness("show", "nb201", "--json").out)
    assert shown["optimum"]["row"] == 6111
    assert shown["test_optimum"]["row"] == 6111
    assert "ICLR 2020" in harness("show", "nb201/cifar100").out


ERRORS = [
    (("run", "--algo", "rr", *QUICK), "unknown algorithm 'rr'", "did you mean"),
    (("run", "--algo", "zzzz", *QUICK), "unknown algorithm 'zzzz'", "harness list algorithms"),
    (("run", "--algo", "rs", "--bench", "nb202"), "unknown benchmark 'nb202'", "nb201"),
    (("run", "--algo", "rs", "--bench", "own/mine"), "there is no table own/mine", "harness data import FILE.toml"),
    (("reproduce", "claim-1-test"), "there is no table own/nb101-test", "harness data import FILE.toml"),
    (("run", "--algo", "rs", "--bench", "zzz/*"), "unknown benchmark 'zzz/*'", "harness list benchmarks"),
    (("run", "--algo", "re", *QUICK, "--param", "re.popluation=3"), "'popluation'", "did you mean population?"),
    (("run", "--algo", "re", *QUICK, "--param", "re.population=0"), "cannot be 0", "at least 1"),
    (
        ("run", "--algo", "re", *QUICK, "--param", "rs.population=3"),
        "is for rs, which is not among the algorithms: re",
        "name rs too",
    ),
    (("run", "--algo", "rs", *QUICK, "--param", "rs.x=3"), "has no parameters", ""),
    (("run", "--algo", "re", *QUICK, "--param", "population=3"), "not a parameter", "re.population=50"),
    (("run", "--algo", "re", *QUICK, "--param", "re.sample=3", "--param", "re.sample=4"), "given twice", ""),
    (("run", "--algo", "rs,,re", *QUICK), "empty name", "single commas"),
    (("run", "--algo", "rs", *QUICK, "--noise", "smapled"), "'smapled'", "did you mean sampled?"),
    (("run", "--algo", "rs", *QUICK, "--incumbent", "larges"), "'larges'", "did you mean largest?"),
    (("run", "--algo", "rs", *QUICK, "--log", "everything"), "'everything'", "incumbents"),
    (("run", "--algo", "rs", *QUICK, "--sed", "3"), "unknown option '--sed'", "--seeds"),
    (("run", "--bench", "nb201"), "Missing option '--algo'", "harness run --help"),
    (("run", "--algo", "rs", *QUICK, "--seeds", "0"), "0 has no seeds", "500"),
    (("run", "--algo", "rs", *QUICK, "--seeds", "-4"), "has no seeds", "500"),
    (("run", "--algo", "rs", *QUICK, "--seeds", "-4:4"), "cannot be negative", "17:42"),
    (("run", "--algo", "rs", *QUICK, "--seeds", "9:3"), "9:3 has no seeds", "17:42"),
    (("run", "--algo", "rs", *QUICK, "--seeds", "many"), "'many' is not a number of seeds", "17:42"),
    (("run", "--algo", "rs", *QUICK, "--budget", "0"), "budget must be positive", "simulated seconds"),
    (
        ("run", "--algo", "rs", *QUICK, "--budget", "-1"),
        "budget is a number of at least 0, not -1.0",
        "simulated seconds",
    ),
    (
        ("run", "--algo", "rs", *QUICK, "--budget", "nan"),
        "budget is a number of at least 0, not nan",
        "simulated seconds",
    ),
    (
        ("run", "--algo", "rs", *QUICK, "--budget", "10h"),
        "'10h' is not a valid float",
        "simulated seconds per run; see",
    ),
    (("show", ".", "--budget", "10h"), "'10h' is not a valid float", "in simulated seconds; see "),
    (("run", "--algo", "rs", *QUICK, "--budget", "inf"), "a run needs an end", "number of evaluations"),
    (("run", "--algo", "rs", *QUICK, "--budget", "long"), "'long' is not a valid float", "--help"),
    (("run", "--algo", "rs", *QUICK, "--evals", "0"), "evals is a whole number of at least 1, not 0", ""),
    (("run", "--algo", "rs", *QUICK, "--workers", "0"), "workers is a whole number of at least 1", ""),
    (("run", "--algo", "rs", *QUICK, "--overhead", "-1"), "overhead", ""),
    (("run", "--algo", "rs", *QUICK, "--processes", "0"), "processes must be at least 1", ""),
    (("run", "--algo", "rs", *QUICK, "--device", "cuda"), "rs train no networks", "leave --device out"),
    (("rnu",), "unknown command 'rnu'", "did you mean run"),
    (("list", "algoritms"), "'algoritms'", "did you mean algorithms?"),
    (("show", "resluts"), "unknown benchmark, algorithm or path of results 'resluts'", "harness list"),
    (("show", "nb201", "--at", "1e5"), "no results at nb201", "harness run"),
    (("show", ".", "--at", "1e5,x"), "'1e5,x' is not a list of numbers", "1e5,1e6"),
    (("show", ".", "--at", "0"), "times must be positive", "1e5,1e6"),
    (("show", "."), "no finished study in .", "harness run --algo"),
    (("plot", "."), "no finished study in .", "harness run --algo"),
    (("plot", "nowhere"), "nothing at nowhere", "harness run"),
    (("plot", ".", "--kind", "tset"), "'tset'", "did you mean test?"),
]


@pytest.mark.parametrize(("arguments", "message", "hint"), ERRORS, ids=lambda value: " ".join(value)[:40])
def test_bad_input_gets_a_sentence_and_a_hint(
    harness: Harness, tmp_path: Path, arguments: tuple[str, ...], message: str, hint: str
) -> None:
    answer = harness(*arguments)
    assert answer.status == 2
    assert answer.out == ""
    said, *rest = answer.err.splitlines()
    assert said.startswith("error: ")
    assert message in said
    assert hint in "".join(rest)
    assert all(line.startswith("hint: ") for line in rest)
    assert list(tmp_path.iterdir()) == []


def test_out_that_is_a_file(harness: Harness, tmp_path: Path) -> None:
    (tmp_path / "results").write_text("mine")
    answer = harness("run", "--algo", "rs", *QUICK)
    assert (answer.status, (tmp_path / "results").read_text()) == (2, "mine")
    assert "results is a file, not a folder" in answer.err


def test_a_broken_file_among_results_is_named(harness: Harness, tmp_path: Path) -> None:
    harness("run", "--algo", "rs", *QUICK)
    (tmp_path / "results" / "broken.parquet").write_bytes(b"PAR1")
    for command in ("show", "plot"):
        answer = harness(command, "results")
        assert answer.status == 2
        assert "broken.parquet is not a study of an algorithm, or is broken" in answer.err


def test_without_a_command_there_is_help(harness: Harness) -> None:
    answer = harness()
    assert (answer.status, answer.out) == (2, "")
    assert answer.err.startswith("Usage: harness")


def test_no_crash_of_any_command_exits_with_1(monkeypatch: pytest.MonkeyPatch, harness: Harness) -> None:
    """1 says that an algorithm became worse."""
    for error in (RuntimeError("a bug"), SystemExit(1), SystemExit(0), OSError(5, "I/O error")):

        def fail(*_: Any, error: BaseException = error, **__: Any) -> None:
            raise error

        monkeypatch.setattr("harness.cli.group.main", fail)
        answer = harness("regress")
        assert answer.status == 70
        assert "Traceback" in answer.err
        assert "error: harness crashed: " in answer.err


def test_a_command_line_that_cannot_be_imported_exits_with_70() -> None:
    code = "import sys; sys.modules['click'] = None; from harness.__main__ import main; main()"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert answer.returncode == 70
    assert answer.stderr.endswith("error: the command line cannot be imported.\n")


def test_a_bug_shows_its_traceback(monkeypatch: pytest.MonkeyPatch, harness: Harness) -> None:
    def fail(*_: Any) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr(registry, "algorithm_names", fail)
    answer = harness("list")
    assert answer.status == 70  # never 1, which says that an algorithm became worse
    assert "Traceback (most recent call last)" in answer.err
    assert "error: harness crashed: RuntimeError: a bug" in answer.err


def test_a_foreign_package_called_algorithms_is_named(monkeypatch: pytest.MonkeyPatch, harness: Harness) -> None:
    foreign = ModuleType("algorithms")
    foreign.__file__ = "/elsewhere/algorithms/__init__.py"
    monkeypatch.setitem(sys.modules, "algorithms", foreign)
    monkeypatch.setattr(registry, "packages_distributions", lambda: {"algorithms": ["algorithms", "nas-harness"]})
    registry.forget()
    answer = harness("run", "--algo", "rs", *QUICK)
    registry.forget()
    assert answer.status == 2
    assert "'algorithms' at /elsewhere/algorithms/__init__.py is not the one of nas-harness" in answer.err
    assert "its distribution: algorithms" in answer.err
    assert "pip uninstall algorithms" in answer.err


def test_a_plugin_that_cannot_be_imported_is_named(monkeypatch: pytest.MonkeyPatch, harness: Harness) -> None:
    point = EntryPoint("broken", "not_there_at_all:Thing", registry.ALGORITHMS)
    monkeypatch.setattr(registry, "_found", lambda group: {"broken": (point,)})
    answer = harness("run", "--algo", "broken", "--bench", "nb201")
    assert answer.status == 2
    assert "algorithm 'broken' of not_there_at_all cannot be imported: No module named 'not_there_at_all'" in answer.err


def test_import_is_light_and_help_needs_no_numpy() -> None:
    code = "import sys, harness; print({'torch', 'matplotlib', 'pyarrow', 'numpy'} & set(sys.modules)); harness.Rules"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout == "set()\n"
    code = "import sys\nfrom harness.cli import main\ntry: main()\nfinally: print('numpy' in sys.modules)"
    answer = subprocess.run([sys.executable, "-c", code, "--help"], capture_output=True, text=True, check=True)
    assert "harness run --algo rs,re,ls" in answer.stdout
    assert answer.stdout.endswith("False\n")


def test_every_public_name_is_there() -> None:
    import harness

    assert all(getattr(harness, name) is not None for name in harness.__all__)
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        harness.Nothing  # noqa: B018


def test_a_reader_that_leaves_is_no_error(harness: Harness) -> None:
    harness("run", "--algo", "rs", *QUICK)
    command = f"{sys.executable} -m harness show results --per-seed --json | head -1"
    answer = subprocess.run(command, shell=True, capture_output=True, text=True, check=True)
    assert (answer.stdout, answer.stderr) == ("[\n", "")


def test_random_search_is_as_good_as_the_table_says(harness: Harness) -> None:
    """From the command line to the number: 30 evaluations of random search against the exact expectation."""
    options = ("--seeds", "300", "--evals", "30", "--noise", "mean", "--json")
    (row,) = json.loads(harness("run", "--algo", "rs", "--bench", "nb201", *options).out)
    regret = np.sort(registry.benchmark("nb201").mean_loss[:, 0]) - 0.0839333334961
    n = len(regret)
    worse = (n - np.arange(n + 1)) / n
    expected = ((worse[:-1] ** 30 - worse[1:] ** 30) * regret).sum()
    assert abs(row["val_regret_mean"] - expected) < 4 * row["val_regret_sem"]
