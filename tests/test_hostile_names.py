"""Hostile names, of HTML, LaTeX, control characters and commands to a CI: text wherever they come, or refused."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import matplotlib as mpl
import pyarrow.parquet as pq
import pytest
from conftest import ROOT, Answer
from matplotlib.text import Text
from test_plugins import Install, install  # noqa: F401

import harness as h
from harness import HarnessError, Rules, escapes, registry
from harness.analysis import comparison, regression
from harness.benchmarks.columns import Columns
from harness.plots import draw
from harness.plots.style import literal, save
from harness.report import comparison as compared
from harness.report import regression as regressed
from harness.studies.evaluate import evaluate
from harness.studies.outcome import Outcome
from harness.studies.store import read
from harness.studies.study import Study

Harness = Callable[..., Answer]
MARKUP = "<script>alert(1)</script>|**b**|[x](javascript:y)|\\input{/etc/passwd}^^5cinput$\\frac{_%#&~`##[error]"
SHORT = "\\input{/etc/passwd}$\\frac{^<"
COMMANDS = [
    "a\x1b[2Jb",
    "a\nb",
    "::error::x",
    "  ::add-mask::x",
    "x##[error]y",
    "a\x9bb",
    "a\u202eb",
    "a\u2028b",
    "\x00",
]


@pytest.fixture(scope="module")
def outcomes() -> list[Outcome]:
    """Two studies of hostile names, as a program may have them: what it reads from files refuses some of these."""
    table = registry.benchmark("nb201")
    studies = [Study.plan(table, name, {}, 0, 20, Rules(budget=2e5)) for name in ("rs", "re")]
    found = [evaluate(study) for study in studies]
    reference = replace(found[0].reference, title=MARKUP, unit="s")
    return [
        replace(one, study=replace(one.study, algorithm=f"{i}{MARKUP}", benchmark=MARKUP), reference=reference)
        for i, one in enumerate(found)
    ]


def balanced(text: str) -> bool:
    """Whether each brace and dollar of LaTeX that is not escaped has another."""
    bare = re.sub(r"\\[{}$%&#_]", "", text)
    return bare.count("{") == bare.count("}") and bare.count("$") % 2 == 0


def test_a_table_of_latex_obeys_no_name(outcomes: list[Outcome]) -> None:
    text = compared.latex(comparison.compare(outcomes, "val"))
    body = [line for line in text.splitlines() if not line.startswith("%")]
    assert all(balanced(line) for line in body)
    assert not re.search(r"\\(?:input|frac)|\^|(?<!\\)[%#_]", "\n".join(body).replace("\\times 10^{", ""))
    assert all(line.count("&") - line.count("\\&") == 1 for line in body if line.endswith(r"\\"))
    assert r"\textbackslash{}input\{/etc/passwd\}\textasciicircum{}\textasciicircum{}5cinput" in text


def test_a_table_of_markdown_obeys_no_name(outcomes: list[Outcome]) -> None:
    judged = regression.judge([(outcomes[0], replace(outcomes[1], study=outcomes[0].study))])
    for text in (compared.markdown(comparison.compare(outcomes, "val")), regressed.markdown(judged, 0.05, 0.01)):
        rows = [line for line in text.splitlines() if line.startswith("|")]
        assert len({re.sub(r"\\.", "", row).count("|") for row in rows}) == 1
        assert not re.search(r"(?<!\\)<script|(?<!\\)\]\(|(?<!\\)`|(?<!\\)\*\*b|##\[", text)
        assert not any(escapes.obeyed(line) for line in text.splitlines())


def test_a_report_for_ci_is_xml_that_has_the_names(outcomes: list[Outcome]) -> None:
    from xml.etree import ElementTree

    judged = regression.judge([(outcomes[0], replace(outcomes[1], study=outcomes[0].study))])
    (case,) = ElementTree.fromstring(regressed.junit(judged, 0.05, 0.01))
    assert case.get("classname") == MARKUP


@pytest.mark.parametrize("figure", ["regret", "ranks", "violin"])
def test_a_figure_draws_names_as_text(outcomes: list[Outcome], tmp_path: Path, figure: str) -> None:
    outcomes = [
        replace(one, study=replace(one.study, benchmark="$x$", algorithm=f"{i}{SHORT}"))
        for i, one in enumerate(outcomes)
    ]
    drawn = draw(outcomes, {"figure": figure})
    save(drawn, tmp_path / "a.svg")
    for usetex in (False, True):
        seen = []
        with literal(drawn, tex=usetex):
            for text in drawn.findobj(Text):
                assert isinstance(text, Text)
                if "etc/passwd" in text.get_text():
                    seen.append(text.get_text())
                    assert not text.get_parse_math()
        assert seen
        if usetex:
            assert all(r"\textbackslash{}" in text and "\\input" not in text for text in seen)
    assert any("\\input{/etc" in text.get_text() for text in drawn.findobj(Text) if isinstance(text, Text))


def test_numbers_of_ticks_stay_mathematics(outcomes: list[Outcome], tmp_path: Path) -> None:
    with mpl.rc_context({"svg.fonttype": "none"}):
        names = {one.label: f"{i}{SHORT}" for i, one in enumerate(outcomes)}
        save(draw(outcomes, {"figure": "regret", "names": names}), tmp_path / "a.svg")
    text = (tmp_path / "a.svg").read_text(encoding="utf-8")
    assert "<!-- $\\mathdefault{3\\times10^{3}}$ -->" in text
    assert "\\frac{^&lt;" in text


@pytest.mark.parametrize("name", COMMANDS)
def test_what_a_terminal_or_a_log_obeys_is_no_name(name: str, harness: Harness, tmp_path: Path) -> None:
    assert escapes.obeyed(name) or "\n" in name
    with pytest.raises(HarnessError, match="has control characters, or commands to a log"):
        h.run({name: registry.algorithm("rs")}, "nb201", seeds=2, evals=3)
    run = ("--bench", "nb201", "--seeds", 2, "--evals", 3, "--processes", 1)
    assert harness("run", "--algo", "rs", *run).status == 0
    (path,) = Path("results").glob("*.parquet")
    table = pq.read_table(path)
    for field in ("title", "loss"):
        footer = json.loads(table.schema.metadata[b"nas_harness"])
        del footer["digest"]
        footer["reference"][field] = name
        for ascii_ in (True, False):
            pq.write_table(
                table.replace_schema_metadata({"nas_harness": json.dumps(footer, ensure_ascii=ascii_)}), path
            )
            if name != "a\nb":  # titles may have several lines
                with pytest.raises(HarnessError, match="control characters"):
                    read(path)
                said = harness("show", "results")
                assert said.status == 2
                assert not escapes.obeyed(said.err)


def test_words_with_control_characters_are_refused(harness: Harness) -> None:
    harness("show", "a\n::error::b\x1b[2J").refuses("a\\n::error::b\\x1b[2J' has control characters", "without them")
    harness("plot", "results", "-o", "a\x1b[2J.pdf").refuses("has control characters", "without them")
    assert harness("show", "::error::b").err.startswith("error: ")


def test_settings_with_control_characters_are_refused(harness: Harness) -> None:
    Path("a.toml").write_text('title = "a\\u001b[2J"\nsource = "ours"\n')
    harness("reproduce", "a.toml").refuses("a.toml has control characters", "leave them out")


@pytest.mark.parametrize("name", ["::error::x", "a b", "<b>", "$x$", "a\x1b[2Jb", "a|b"])
def test_a_plugin_with_such_a_name_is_broken(name: str, install: Install, harness: Harness) -> None:  # noqa: F811
    install("odd", "from algorithms.random_search import RandomSearch as it", algorithms=f"{name} = odd:it")
    answer = harness("list", "algorithms")
    assert answer.status == 0
    assert not any(map(escapes.obeyed, answer.out.splitlines()))
    assert "broken: the algorithm" in answer.out


def test_a_benchmark_with_such_facts_is_broken(install: Install, harness: Harness) -> None:  # noqa: F811
    source = (
        "from dataclasses import replace\nfrom harness.benchmarks import Family\n"
        "from harness.benchmarks.nasbench201 import family as one\n"
        "facts = {'a': replace(one.datasets['cifar10'], title='\\x1b[2J')}\nit = Family(facts, one.load)"
    )
    install("odd", source, benchmarks="bad = odd:it")
    harness("run", "--algo", "rs", "--bench", "bad/a").refuses("has control characters", "pip uninstall odd")


def test_a_very_long_name_is_stored(tmp_path: Path) -> None:
    name = "long" * 500 + "é" * 500
    h.run({name: registry.algorithm("rs")}, "nb201", seeds=2, evals=3, out=tmp_path)
    (path,) = tmp_path.glob("*.parquet")
    assert len(os.fsencode(path.name)) < 255
    assert read(path).study.algorithm == name


ACTION = ROOT / "action.yml"


@pytest.mark.skipif(sys.platform != "linux", reason="names are Unicode elsewhere")
def test_a_file_may_have_a_name_that_is_not_utf_8(tmp_path: Path) -> None:
    folder, few = b"\xff\xfe", (b"--seeds", b"4", b"--evals", b"9")

    def harness(*words: bytes) -> bytes:
        done = subprocess.run([sys.executable, "-m", "harness", *words], cwd=tmp_path, capture_output=True, check=False)
        assert not done.returncode, done.stderr
        return done.stdout

    (first, second) = harness(b"run", b"--algo", b"rs,re", b"--bench", b"nb201", *few, b"--out", folder).split()
    assert first.startswith(folder)
    assert second.startswith(folder)
    assert b"rs" in harness(b"show", folder, b"--json")
    for command, name in (
        ("plot", b"\xfe.svg"),
        ("report", b"\xfe.html"),
        ("export curves", b"\xfe.csv"),
        ("export curves", b"\xfe.parquet"),
    ):
        assert harness(*command.encode().split(), first, second, b"-o", name).strip() == name
        assert Path(os.fsdecode(bytes(tmp_path) + b"/" + name)).stat().st_size
    source = tmp_path / os.fsdecode(b"\xfd.parquet")
    source.write_bytes((tmp_path / os.fsdecode(b"\xfe.parquet")).read_bytes())
    assert "time" in Columns(source).names
    grid = 'seeds = 4\nreport = "page.html"\n[[studies]]\nalgo = ["rs"]\nbench = ["nb201"]\nevals = 9\n'
    (tmp_path / os.fsdecode(b"\xfe.toml")).write_text(grid)
    assert b"page.html" in harness(b"grid", b"\xfe.toml", b"--out", folder)


HOSTILE_INPUTS = [
    "$(touch pwned)",
    "`touch pwned`",
    '"; touch pwned; "',
    "a b",
    "--help",
    "-x",
    "'; touch pwned #",
    "*",
]


def script() -> tuple[dict[str, str], str]:
    """What the action's step has in its environment, by input, and its shell script."""
    text = ACTION.read_text(encoding="utf-8")
    env = dict(re.findall(r"^        (\w+): \$\{\{ inputs\.([\w-]+) \}\}$", text, re.MULTILINE))
    (block,) = re.findall(r"^      run: \|\n((?:        .*\n)+)", text, re.MULTILINE)
    return env, re.sub(r"^        ", "", block, flags=re.MULTILINE)


def test_inputs_of_the_action_reach_the_shell_as_variables_only() -> None:
    env, run = script()
    inputs = re.findall(r"^  ([\w-]+):$", ACTION.read_text(encoding="utf-8").split("outputs:")[0], re.MULTILINE)
    assert sorted(env.values()) == sorted(inputs)
    assert "${{" not in run


@pytest.mark.parametrize("hostile", HOSTILE_INPUTS)
def test_hostile_inputs_of_the_action_are_single_words(hostile: str, tmp_path: Path) -> None:
    env, run = script()
    (tmp_path / "harness").write_text('#!/bin/bash\nprintf "%s\\n" "$@" > words\nexit 3\n')
    (tmp_path / "harness").chmod(0o755)
    values: dict[str, Any] = {**dict.fromkeys(env, hostile), "GITHUB_OUTPUT": str(tmp_path / "output")}
    path = {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    bash = [shutil.which("bash") or "bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", run]
    done = subprocess.run(bash, env={**values, **path}, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 3  # changed, which an ALLOW_CHANGE that is not `true` does not let pass
    assert not (tmp_path / "pwned").exists()
    assert (tmp_path / "output").read_text() == "status=3\n"
    words = (tmp_path / "words").read_text().splitlines()
    assert words[0] == "regress"
    assert words.count(hostile) == 4
    assert f"{hostile}/junit.xml" in words
