"""Every example of the documents: commands are read by the real command line, those that are cheap run, Python runs."""

from __future__ import annotations

import pkgutil
import re
import shlex
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import pytest
from conftest import ROOT

from harness import registry, spaces
from harness.analysis import reproduction
from harness.cli import COMMANDS, group
from harness.cli.options import parameters
from harness.params import resolve

Harness = Callable[..., Any]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
YOURS = {"my-algo", "greedy"}
"""Names that stand for the reader's own algorithms."""


def commands(text: str) -> list[str]:
    """The lines of code that begin with `harness`, without prompts and comments; `...` is no argument."""
    code, fenced = [], False
    for line in text.splitlines():
        if line.lstrip().startswith("```"):
            fenced = not fenced
        elif fenced or line.startswith("    "):
            code.append(line.strip().removeprefix("$ "))
    joined = "\n".join(code).replace("\\\n", " ").splitlines()
    found = [part.strip() for line in joined for part in line.split("&&")]
    found = [line.partition(" #")[0].strip() for line in found]
    return [line for line in found if re.match(r"(\.venv/bin/)?harness( |$)", line) and "..." not in line]


EXAMPLES = sorted({line for page in PAGES for line in commands(page.read_text(encoding="utf-8"))})


def read(words: list[str]) -> click.Context:
    """What the command line makes of the words; it raises what it would say of them."""
    context = group.make_context("harness", words, obj=[])
    while isinstance(context.command, click.Group):
        name, command, rest = context.command.resolve_command(context, [*context._protected_args, *context.args])
        assert command is not None
        context = command.make_context(name, rest, parent=context)
    return context


def test_examples_are_found() -> None:
    assert len(EXAMPLES) > 60
    assert commands(
        "text harness run\n\n    $ harness list --json   # all\n```sh\nharness show nb201 && ls\n```\n"
    ) == [
        "harness list --json",
        "harness show nb201",
    ]


@pytest.mark.parametrize("line", EXAMPLES)
def test_a_command_is_one(line: str, data_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NAS_HARNESS_DATA", str(data_folder))
    context = read(shlex.split(line)[1:])
    given = context.params
    algorithms = [name for name in given.get("algo") or () if isinstance(given["algo"], list | tuple)]
    known = [name for name in algorithms if ":" not in name and name not in YOURS and "*" not in name]
    assert {*known} <= {*registry.algorithm_names()}
    for name in given.get("bench") or ():
        if not name.startswith(("own/", "mine")) and isinstance(given["bench"], list | tuple):
            assert registry.expand([name])
    named = given.get("predictor") or ()
    for name in [named] if isinstance(named, str) else named:
        registry.predictor(name)
    assert not {*(given.get("method") or ())} - {*registry.method_names()}
    assert given.get("space") is None or given["space"] in spaces.names()
    if given.get("param") and algorithms and not any(":" in name for name in algorithms):
        for name, values in parameters(given["param"], algorithms).items():
            resolve(name, registry.algorithm(name), values)


NAMED = sorted(
    {
        (page.name, " ".join(span.split()))
        for page in [*PAGES, ROOT / "CHANGELOG.md"]
        for span in re.findall(
            r"(?<!`)`([^`]+)`(?!`)", re.sub(r"^```.*?^```", "", page.read_text("utf-8"), flags=re.DOTALL | re.MULTILINE)
        )
    }
)
"""What stands in backticks in the lines of pages, with the page."""


FOREIGN = {"--tries", "--lifetime"}
"""Options of bench/faults, and of Dask's workers."""


def command_of(words: list[str]) -> tuple[click.Command, list[str]]:
    """The command that the words begin with, and the rest of them. Raises HarnessError if there is none."""
    context, command = click.Context(group, obj=[]), group.get_command(click.Context(group, obj=[]), words[0])
    assert command is not None
    sub = command.get_command(context, words[1]) if isinstance(command, click.Group) and len(words) > 1 else None
    return (sub, words[2:]) if sub else (command, words[1:])


def options(command: click.Command) -> set[str]:
    return {option for param in command.params for option in param.opts} | {"--help", "-h"}


def test_commands_and_options_in_sentences_exist() -> None:
    every = set[str]().union(*(options(part) for name in COMMANDS for part in parts(name))) | {"--version"}
    checked = 0
    for page, span in NAMED:
        words = span.split()
        if words[0] == "harness" and len(words) > 1 and re.fullmatch("[a-z]+", words[1]):
            command, rest = command_of(words[1:])
            known = options(command)
        elif span.startswith("--") and words[0] not in FOREIGN:
            rest, known = words[:1], every
        else:
            continue
        asked = {word.partition("=")[0].rstrip(",.") for word in rest if re.match("--[a-z]|-[a-z]$", word)}
        assert asked <= known, (page, span)
        checked += 1
    assert checked > 300


def parts(name: str) -> list[click.Command]:
    """A command, and those below it."""
    command, _ = command_of([name])
    return [command, *getattr(command, "commands", {}).values()]


def test_modules_in_sentences_exist() -> None:
    names = {name for _, span in NAMED for name in re.findall(r"\b(?:harness|algorithms)(?:\.\w+)+", span)}
    files = {(page, name) for page, span in NAMED for name in re.findall(r"\bbench[./]\w+|\btest_[\w*]+(?=\.py)", span)}
    assert len(names) > 20
    assert len(files) > 30
    for name in names:
        if not name.endswith((".toml", ".py")):
            pkgutil.resolve_name(name)  # raises where there is none
    for page, name in files:
        where = ROOT / name.replace(".", "/") if name.startswith("bench") else ROOT / "tests" / name
        assert [*where.parent.glob(f"{where.name}.py")], (page, name)


def test_the_grid_that_comes_with_it_is_as_the_page_says() -> None:
    (told,) = re.findall(r"(\d+)\s+studies of 500 seeds", (ROOT / "docs" / "grids.md").read_text(encoding="utf-8"))
    asked = tomllib.loads((ROOT / "grids" / "embedded.toml").read_text(encoding="utf-8"))["studies"]
    assert sum(len(one["algo"]) * len(registry.expand(one["bench"])) for one in asked) == int(told)


CHEAP = [
    line
    for line in EXAMPLES
    if re.fullmatch(
        r"harness (list( \w+)?|data list|reproduce|show (nb201|nb201/cifar100|nb201:\d+|[a-z+]+)|.* --help)", line
    )
]


@pytest.mark.parametrize("line", CHEAP)
def test_a_cheap_command_runs(line: str, harness: Harness, data_folder: Path) -> None:
    answer = harness(*shlex.split(line)[1:])
    assert answer.status == 0, answer.err
    assert answer.out


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which `results` has what pages speak of: re and rs on nb201."""
    import harness as h

    folder = tmp_path_factory.mktemp("pages")
    h.run("re,rs", "nb201", seeds=40, budget=3e5, out=folder / "results", processes=1, quiet=True)
    return folder


SHOWN = [
    line
    for line in EXAMPLES
    if re.match(r"harness (plot|compare|export|report|show|verify) .*\bresults\b|harness (compare|verify) ", line)
    and not re.search(
        r"prediction|operators|--at 1e5,1e6|m\*|baseline|\.toml|\.parquet(?! )", line.replace("incumbents.parquet", "")
    )
]


@pytest.mark.parametrize("line", SHOWN)
def test_a_command_about_results_runs(
    line: str, harness: Harness, results: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(results)
    answer = harness(*shlex.split(line)[1:])
    assert answer.status == 0, answer.err
    assert answer.out


def toml_blocks(page: str) -> list[str]:
    """Indented or fenced blocks of a page that are TOML with a comment that names the command."""
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    blocks = re.findall(r"(?:^    .*\n|^\n(?=    ))+", text, flags=re.MULTILINE)
    plain = ["\n".join(line[4:] for line in block.splitlines()) for block in blocks]
    return [block.strip() for block in plain if block.strip().startswith("# harness")]


def test_the_figure_that_a_page_describes_is_drawn(
    harness: Harness, results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(results)
    described, recipe = toml_blocks("figures.md")
    settings = tomllib.loads(described)
    path = Path(re.findall(r"^# harness plot (\S+)", described)[0])
    path.parent.mkdir()
    path.write_text(described)
    answer = harness("plot", path)
    assert answer.status == 0, answer.err
    assert answer.out.splitlines() == settings["output"]
    Path("recipe.toml").write_text(recipe)
    (loaded,), _ = reproduction.selected(["recipe.toml"])
    studies = reproduction.studies(loaded, range(3), print)
    assert {study.label for study in studies} == {"rs", "re(population=50)"}


@pytest.mark.filterwarnings("ignore:vert. bool was deprecated")  # seaborn 0.13 with matplotlib 3.11
def test_the_figures_of_seaborn_are_drawn(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """With fewer seeds; the pictures of the page are what its blocks save."""
    pytest.importorskip("seaborn", reason="the extra `notebook` is not installed")
    import matplotlib.pyplot as plt

    text = (ROOT / "docs" / "seaborn.md").read_text(encoding="utf-8")
    code = "\n".join(re.findall(r"^```python\n(.*?)^```", text, flags=re.DOTALL | re.MULTILINE))
    plt.switch_backend("agg")
    exec(compile(code.replace("seeds=100", "seeds=6, processes=1, quiet=True"), "seaborn.md", "exec"), {})
    shown = re.findall(r"\]\(figures/(\S+)\)", text)
    assert len(shown) == 3
    assert {*shown} == {path.name for path in Path().glob("*.png")}
    assert all(texts(plt.figure(number)) for number in plt.get_fignums())
    plt.close("all")


def texts(figure: Any) -> list[str]:
    """What is written on the axes of a figure."""
    return [label.get_text() for axis in figure.axes for label in axis.get_xticklabels() if label.get_text()]


def test_the_python_of_a_page_runs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """With fewer seeds; what one block defines the next ones use."""
    text = (ROOT / "docs" / "python.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```", text, flags=re.DOTALL | re.MULTILINE)
    assert len(blocks) >= 4
    script = tmp_path / "page.py"
    script.write_text(
        "\n".join(blocks).replace("seeds=50", "seeds=4, processes=1, quiet=True").replace("budget=1e6", "budget=1e6")
    )
    space: dict[str, Any] = {"__name__": "page"}
    exec(compile(script.read_text(), str(script), "exec"), space)
    assert (tmp_path / "page.html").exists()
    assert space["simulator"].over
