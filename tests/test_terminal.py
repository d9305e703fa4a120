"""What terminals, shells and pipes get: completion, narrow tables, ASCII, and the causes of refusals."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from harness import registry, spaces
from harness.cli import data, group
from harness.cli.plain import HANDLER, plain
from harness.report import tables
from harness.studies import baseline
from harness.studies.store import find, read

Harness = Callable[..., Any]


def completed(*words: str) -> list[str]:
    from click.shell_completion import ShellComplete

    return [
        item.value
        for item in ShellComplete(group, {}, "harness", "_HARNESS_COMPLETE").get_completions([*words[:-1]], words[-1])
    ]


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (("ru",), ["run"]),
        (("run", "--algo", "re,asha,l"), ["re,asha,ls"]),
        (("run", "--bench", "hpobench/ph"), ["hpobench/phoneme"]),
        (("run", "--algo", "re", "--param", "re.po"), ["re.population="]),
        (("run", "--algo", "re,gpnas", "--param", "re."), ["re.population=", "re.sample="]),
        (("predict", "nb201", "--predictor", "ridge,fo"), ["ridge,forest"]),
        (("run", "--noise", "m"), ["mean"]),
        (("compare", "results", "--algo", "nsg"), ["nsga2"]),
        (("show", "nb201-mf/cifar100"), ["nb201-mf/cifar100"]),
        (("show", "resu"), ["resu"]),
        (("search", "--space", "gpn"), ["gpnas-cell"]),
        (("search", "--method", "darts,gd"), ["darts,gdas"]),
        (("list", "sp"), ["spaces"]),
    ],
)
def test_the_shell_completes_names_and_parameters(words: tuple[str, ...], found: list[str]) -> None:
    assert completed(*words) == found


def test_the_shell_is_answered(harness: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("_HARNESS_COMPLETE", "bash_source")
    answer = harness()
    assert (answer.status, answer.err) == (0, "")
    assert "complete -o nosort -F _harness_completion harness" in answer.out
    monkeypatch.setenv("_HARNESS_COMPLETE", "bash_complete")
    monkeypatch.setenv("COMP_WORDS", "harness run --algo asha")
    monkeypatch.setenv("COMP_CWORD", "3")
    assert harness().out == "plain,asha\n"
    monkeypatch.setenv("COMP_WORDS", "harness rum x")
    answer = harness()
    assert (answer.status, answer.out, answer.err) == (1, "", "")


WORDS = "mean ± SEM – 3 × 2 ≥ 1 … “é” ━ 数"


def test_what_a_terminal_cannot_show_is_written_plainly() -> None:
    assert plain(WORDS) == 'mean +- SEM - 3 x 2 >= 1 ... "e" - ?'
    raw = io.BytesIO()
    with io.TextIOWrapper(raw, "ascii", errors=HANDLER, write_through=True) as file:
        file.write(WORDS)
        assert raw.getvalue().decode() == plain(WORDS)


def test_tables_fit_into_forty_columns_of_ascii(harness: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
    harness("run", "--algo", "rs", "--bench", "nb201", "--seeds", 3, "--evals", 5, "--processes", 1)
    monkeypatch.setenv("COLUMNS", "40")
    for words in (("show", "results"), ("show", "results", "--per-seed"), ("show", "re"), ("show", "nb201")):
        answer = harness(*words)
        assert answer.status == 0
        assert max(map(len, answer.out.splitlines())) <= 40, words
    done = subprocess.run(
        [sys.executable, "-m", "harness", "show", "results"],
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert " +- " in done.stdout.decode("ascii")
    wide = io.StringIO()
    grid = tables.listing(("benchmark", "loss"), [("nb201/imagenet16-120", "validation error")])
    Console(file=wide, width=60).print(grid)
    narrow = io.StringIO()
    Console(file=narrow, width=20).print(grid)
    assert "benchmark   " in wide.getvalue().splitlines()[1]
    assert narrow.getvalue().split()[0] == "benchmark"
    assert "".join(narrow.getvalue().split()).count("imagenet16") == 1


def test_refusals_name_the_cause(harness: Harness, data_folder: Path) -> None:
    harness("data", "remove", "nb201").refuses("the tables of nb201 are embedded", "data list")
    harness("data", "remove", "nb101").refuses("nothing of nb101 is stored in", "data list")
    harness("data", "remove", "nb1010").refuses("unknown stored table 'nb1010'", "nb101")
    run = ("run", "--algo", "re", "--bench", "nb201")
    harness(*run, "--param", "rs.x=3").refuses(
        "--param rs.x is for rs, which is not among the algorithms: re", "name rs"
    )
    harness(*run, "--param", "re.population").refuses("re.population is given no value", "re.population=50")
    harness(*run, "--param", "rex.x=3").refuses("unknown algorithm in --param 'rex'", "did you mean re?")
    harness("run", "--algo", "RE", "--bench", "nb201").refuses("unknown algorithm 'RE'", "did you mean re?")
    cause = data.cause(ConnectionError(OSError("HTTPSConnection(host='x', port=443): Failed to resolve 'x'")))
    assert cause == "Failed to resolve 'x'"
    assert data.cause(OSError()) == "OSError"


def test_reproduce_leaves_no_empty_folder(harness: Harness, tmp_path: Path) -> None:
    (tmp_path / "small.toml").write_text(
        'title = "small"\nsource = "ours"\nseeds = 2\n[[studies]]\nalgo = ["rs"]\nbench = ["nb201"]\nevals = 3\n'
    )
    assert harness("reproduce", "small.toml", "--processes", 1).status == 0
    assert [path.name for path in (tmp_path / "results").iterdir() if path.is_dir()] == []


def test_regress_draws_the_seeds_that_it_tests(harness: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
    from harness import plots

    drawn: list[Any] = []
    figure = plots.regression_figure

    def draw(pairs: Any) -> Any:
        drawn.extend(pairs)
        return figure(pairs)

    monkeypatch.setattr(plots, "regression_figure", draw)
    harness("run", "--algo", "rs", "--bench", "nb201", "--seeds", 6, "--evals", 5, "--processes", 1)
    assert harness("baseline", "save", "base", "results").status == 0
    assert len(baseline.load(Path("base"))) == len(find([Path("results")])) == 1
    assert len(read(find([Path("results")])[0]).trajectory.seeds) == 6
    harness("regress", "--baseline", "base", "--seeds", 3, "--figure", "f.png", "--processes", 1)
    ((old, new),) = drawn
    assert old.trajectory.seeds.tolist() == new.trajectory.seeds.tolist() == [0, 1, 2]


def test_methods_and_spaces_are_listed(harness: Harness) -> None:
    listed = json.loads(harness("list", "--json").out)
    assert [row["name"] for row in listed["methods"]] == registry.method_names()
    assert [row["name"] for row in listed["spaces"]] == spaces.names()
    assert all(row["title"] and "broken" not in row["title"] for kind in ("methods", "spaces") for row in listed[kind])
    (cell,) = [row for row in listed["spaces"] if row["name"] == "nb201"]
    assert (cell["configurations"], cell["super-network"]) == ("15,625", "yes")
    assert "darts" in harness("list", "methods").out
    assert "15,625" in harness("list", "spaces").out
    harness("list", "spacs").refuses("unknown choice 'spacs'", "did you mean spaces")
    harness("search", "--space", "xyz", "--data", "digits", "--evals", 1).refuses(
        "unknown search space 'xyz'", "harness list spaces"
    )
