"""The page of a report: its numbers are those of the studies, its commands make them again, names cannot inject."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from test_imported import store_sample

from harness import HarnessError, Rules, registry
from harness.analysis.comparison import compare
from harness.analysis.quality import MEASURES, Quality, QualityStudy, summary
from harness.numbers import mean_sem, quartiles
from harness.plots import draw
from harness.plots.cells import incumbents
from harness.plots.profiles import average_ranks
from harness.plots.style import COLOURS, styles
from harness.report import page as page_module
from harness.report.commands import runs
from harness.report.curves import times
from harness.report.page import page
from harness.report.sentences import sentences
from harness.spaces.architecture import Architecture
from harness.statistics import simultaneous_width
from harness.studies.evaluate import evaluate
from harness.studies.outcome import Outcome
from harness.studies.reference import Reference
from harness.studies.store import read
from harness.studies.study import Study
from harness.testing import synthetic_table
from harness.train import recipes, validation
from harness.train.results import Curve, Job, Origin, Training
from harness.train.results import write as write_training

Harness = Callable[..., Any]
HOSTILE = "</script><script>window.injected=1</script><img src=x onerror='window.injected=2'>\"&lt;"


def outcome(algorithm: str, table: int = 3, seeds: int = 30, **rules: Any) -> Outcome:
    data = synthetic_table(table, sizes=(5, 5, 5, 5), missing=0.0)
    data = replace(data, test=np.abs(data.loss - 1.0))
    settings = Rules(**{"budget": 800.0, **rules})
    study = replace(Study.plan(data, algorithm, {}, 0, seeds, settings), benchmark=f"synthetic/{table}")
    return evaluate(study, table=data)


@cache
def studied() -> list[Outcome]:
    return [outcome(name, table) for table in (3, 4) for name in ("rs", "re", "ls")]


def hostile() -> list[Outcome]:
    """Studies whose names and notes try to become markup."""
    found = []
    for o in studied()[:2]:
        named = replace(o.study, algorithm=o.study.algorithm + HOSTILE, benchmark=HOSTILE)
        reference = replace(o.reference, title=HOSTILE, splits=HOSTILE, loss=HOSTILE, optimum_definition=HOSTILE)
        found.append(replace(o, study=named, reference=reference, versions={HOSTILE: HOSTILE}))
    return found


def training(row: int, table: float, ours: float, seed: int = 777, **settings: Any) -> Training:
    """A finished training of a made-up architecture."""
    nothing = np.array([0.5])
    images = settings.get("images", "cifar10")
    job = Job(Architecture("nb201", f"|made~{row}|"), images, "0", recipes.read("nb201"), seed)
    curve = Curve(nothing, nothing, nothing, nothing, np.array([ours]), nothing, 0.5, ours - 0.01)
    origin = Origin(settings.get("benchmark", "nb201/cifar10"), row, "epochs 200", (table - 0.01, table + 0.01), ())
    diverged = settings.get("diverged", False)
    return Training(job, replace(curve, diverged=diverged), {"parameters": 1, "multiply_adds": 1}, origin)


TRAININGS = [
    training(row, table, ours + d, seed)
    for row, table, ours in ((11, 0.90, 0.91), (22, 0.80, 0.85), (333, 0.85, 0.84), (4, 0.70, 0.60))
    for seed, d in ((777, -0.005), (888, 0.005))
]
TRANSFERS = [training(row, table, ours, images="digits") for row, table, ours in ((11, 0.9, 0.99), (22, 0.8, 0.97))]


def quality(predictor: str, level: float) -> Quality:
    """A made-up measurement of a predictor with 3 samples of two sizes."""
    table = registry.benchmark("nb201")
    study = QualityStudy("nb201/cifar10", table.checksum, predictor, {}, "", 0, 3, (20, 100), "sampled")
    values = level + np.array([[0.0, 0.1], [0.02, 0.13], [0.04, 0.12]])
    measures = dict.fromkeys(MEASURES, values) | {"fit_seconds": np.full((3, 2), 0.0243412)}
    skipped = np.zeros((3, 2), dtype=np.int64)
    files = (Path(f"results/predictions/{predictor}.parquet"),)
    return Quality(study, Reference.of(table), "percentage points²", np.arange(3), measures, skipped, 1.0, {}, files)


def made(outcomes: Sequence[Outcome], **settings: Any) -> str:
    return page({Path(f"{i}.parquet"): o for i, o in enumerate(outcomes)}, ["results"], **settings)


def payload(text: str) -> dict[str, Any]:
    (data,) = re.findall(r'<script type="application/json" id="data">(.*?)</script>', text, flags=re.DOTALL)
    return json.loads(data)


@pytest.fixture(scope="module")
def text() -> str:
    """The page of all outcomes."""
    return made(studied())


class Parsed(HTMLParser):
    """Tags with their attributes, and the text in each section."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.inside: dict[str, str] = {}
        self.raw: dict[str, list[str]] = {"style": [], "script": []}
        self._section = self._tag = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._tag = tag
        if tag == "section":
            self._section = str(dict(attrs)["id"])

    def handle_endtag(self, tag: str) -> None:
        self._tag = ""
        self._section = "" if tag == "section" else self._section

    def handle_data(self, data: str) -> None:
        if self._tag in self.raw:
            self.raw[self._tag].append(data)
        self.inside[self._section] = self.inside.get(self._section, "") + data


def test_a_page_needs_nothing_else(text: str) -> None:
    parsed = Parsed(text)
    for tag, attributes in parsed.tags:
        assert "src" not in attributes
        assert "style" not in attributes
        assert (attributes.get("href") or "#")[0] == "#" or (tag, attributes["href"]) == ("link", "data:,")
        assert not any(name.startswith("on") for name in attributes)
    assert "url(" not in "".join(parsed.raw["style"])
    (policy,) = [a["content"] for _, a in parsed.tags if a.get("http-equiv") == "Content-Security-Policy"]
    assert policy is not None
    for kind, inline in (("script", parsed.raw["script"][1]), ("style", parsed.raw["style"][0])):
        digest = base64.b64encode(hashlib.sha256(inline.encode()).digest()).decode()
        assert f"{kind}-src 'sha256-{digest}';" in policy
    assert policy.startswith("default-src 'none'; ")
    assert made(studied()) == text


def test_sections_are_in_order_and_linked(text: str) -> None:
    parsed = Parsed(text)
    names = [str(a["id"]) for tag, a in parsed.tags if tag == "section"]
    assert names == ["summary", "regret", "ranks", "tests", "benchmarks", "provenance"]
    assert [a["href"] for tag, a in parsed.tags if tag == "a"][1:] == [f"#{name}" for name in names]
    labelled = [a["aria-labelledby"] for tag, a in parsed.tags if tag == "section"]
    assert labelled == [a["id"] for tag, a in parsed.tags if tag == "h2"]


def test_curves_are_exact_at_their_times(text: str) -> None:
    data = payload(text)
    for i, benchmark in enumerate(data["benchmarks"]):
        same = studied()[3 * i : 3 * i + 3]
        grid = np.array(benchmark["times"])
        assert grid[-1] == 800.0
        assert (np.diff(grid) > 0).all()
        assert all(float(f"{t:.3g}") == t for t in grid[:-1])
        for o, curve in zip(same, benchmark["curves"], strict=True):
            assert curve["label"] == o.study.label
            first = curve["from"]
            assert grid[first] >= o.first_times().max() > (grid[first - 1] if first else 0)
            for kind in ("val", "test"):
                regret = o.regret(kind, grid[first:])
                np.testing.assert_allclose(curve[kind]["mean"], regret.mean(axis=0), rtol=1e-4)
                np.testing.assert_allclose(curve[kind]["sem"], regret.std(axis=0, ddof=1) / 30**0.5, rtol=1e-4)
                width = simultaneous_width(regret, np.random.default_rng(0))
                assert curve[kind]["width"] == pytest.approx(width, abs=0.006)
                assert curve[kind]["width"] > 2
                for name, quantile in (("q25", 0.25), ("median", 0.5), ("q75", 0.75)):
                    np.testing.assert_allclose(curve[kind][name], np.quantile(regret, quantile, axis=0), rtol=1e-4)


def test_curves_of_long_studies_have_few_times() -> None:
    long = [outcome("rs", budget=8e4, seeds=200), outcome("re", budget=8e4, seeds=200)]
    assert len(long[0].trajectory.stamps()) > 500
    grid = times(long)
    assert 250 < len(grid) <= 401
    late = grid[grid > 800]
    assert np.diff(grid).max() <= 8e4 / 99 + 100  # spread evenly, and rounded to hundreds
    assert (late[1:] / late[:-1]).max() < 1.05


def test_ranks_are_those_of_the_figure(text: str) -> None:
    data = payload(text)
    for kind in ("val", "test"):
        expected = average_ranks(studied(), kind)
        found = data["ranks"][kind]
        assert found["labels"] == expected.labels == ["rs", "re", "ls"]
        np.testing.assert_allclose(found["average"], expected.average.T, atol=1e-3)
        np.testing.assert_allclose(found["high"], expected.high.T, atol=1e-3)
        np.testing.assert_allclose(found["x"], expected.x, rtol=1e-3)


def test_tests_are_those_of_compare() -> None:
    parsed = Parsed(made(studied(), at=[200.0, 800.0], alpha=0.01))
    for kind in ("val", "test"):
        found = compare(studied(), kind, at=[200.0, 800.0], alpha=0.01)
        for sentence in sentences(found):
            assert sentence in parsed.inside["tests"]
        for row in found.rows:
            for cell in row.cells.values():
                assert mean_sem(cell.mean, cell.sem) in parsed.inside["tests"]
    assert "harness compare results --kind test --at 200.0,800.0 --alpha 0.01" in parsed.inside["tests"]


def test_medians_are_those_of_compare() -> None:
    parsed = Parsed(made(studied(), statistic="median"))
    found = compare(studied(), "val", statistic="median")
    for cell in (cell for row in found.rows for cell in row.cells.values()):
        assert quartiles(cell.median, cell.low, cell.high) in parsed.inside["tests"]
    for sentence in sentences(found):
        assert sentence in parsed.inside["tests"]
    assert "--alpha 0.05 --statistic median" in parsed.inside["tests"]
    assert "harness plot results --kind val --statistic median -o regret.pdf" in parsed.inside["regret"]


def test_the_summary_states_rules_and_optima() -> None:
    other = [outcome(name, 4, noise="mean", incumbent="any", workers=3) for name in ("rs", "re")]
    text = Parsed(made([*studied()[:2], *other])).inside
    assert "30 seeds of each algorithm, to 800 s" in text["summary"]
    assert "at any fidelity (synthetic/4)" in text["summary"]
    assert "the mean of the training repeats (synthetic/4)" in text["summary"]
    assert "3, asynchronous (synthetic/4)" in text["summary"]
    reference = studied()[0].reference
    assert f"{reference.optimum:.6g}, row {reference.optimum_row}" in text["benchmarks"]
    assert reference.optimum_definition in text["benchmarks"]
    for o in (*studied()[:2], *other):
        assert o.study.id in text["provenance"]
        assert o.study.table in text["benchmarks"]


def test_what_cannot_be_ranked_is_said() -> None:
    text = made(studied()[:5])
    assert "ls is left out of ranks: it has no study on synthetic/4." in Parsed(text).inside["ranks"]
    assert payload(text)["ranks"]["val"]["labels"] == ["rs", "re"]
    text = made([studied()[0], studied()[1], studied()[5]])
    assert "no average ranks" not in Parsed(text).inside["ranks"]
    assert "ranks" not in Parsed(made(studied()[:1])).inside


@pytest.fixture(scope="module")
def imported(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Outcome]]:
    """Studies on real cells of NAS-Bench-101, in two search spaces, and on NAS-Bench-201."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NAS_HARNESS_DATA", str(tmp_path_factory.mktemp("nb101")))
        store_sample(shared_data)
        found = []
        for name in ("nb101/a", "1shot1/1", "nb201/cifar10", "hpobench/car"):
            table, rules = registry.benchmark(name), Rules(evals=400)
            study = Study.plan(table, "rs", {}, 0, 5, rules)
            found.append(evaluate(study, table=table))
        yield found


def test_cells_of_every_space_are_drawn_as_the_figure_draws_them(imported: list[Outcome]) -> None:
    parsed = Parsed(made(imported))
    labels = [str(a["aria-label"]) for tag, a in parsed.tags if tag == "svg" and a.get("role") == "img"]
    assert len(labels) == 3
    axes = draw(imported[:3], {"figure": "cells"}).axes
    for label, found, axis in zip(labels, incumbents(imported[:3]), axes, strict=False):
        assert found.space.graphs is not None
        graphs = found.space.graphs.of(found.codes[None])
        parts = label.removeprefix("Cell: ").split("; ")
        arrows = [part for part in parts if " to " in part]
        assert len(arrows) == len(axis.patches)
        if found.outcome.study.benchmark == "nb201/cifar10":
            continue
        names = [found.space.graphs.operators[i - 3] for i in graphs.operators[0].tolist() if i > 2]
        assert [part.split()[1] for part in parts if " to " not in part] == names
        assert len(arrows) == graphs.adjacency.sum()
        assert arrows[0].startswith("in to ")
        assert arrows[-1].endswith(" to out")
    shown = [a for tag, a in parsed.tags if tag == "ul" and a.get("class") == "keys"]
    assert len(shown) == 2
    drawn = ",".join(dict.fromkeys(o.study.benchmark for o in imported[:3]))
    assert f" --bench {drawn} --figure cells -o cells.pdf" in parsed.inside["cells"]


def test_a_table_that_is_not_here_is_said(imported: list[Outcome], data_folder: Path) -> None:
    inside = Parsed(made(imported)).inside["cells"]
    assert "There are no cells of nb101/a: nb101 is not imported" in inside
    assert "There are no cells of hpobench" not in inside
    assert " --bench nb201/cifar10 --figure cells" in inside
    other = replace(imported[2], study=replace(imported[2].study, table="another"))
    assert "is of another version of the table nb201/cifar10" in Parsed(made([other])).inside["cells"]


def by_file(ones: Sequence[Any], folder: str) -> dict[Path, Any]:
    return {Path("results", folder, f"{i}.parquet"): one for i, one in enumerate(ones)}


def test_trainings_are_held_against_the_table(text: str) -> None:
    assert "trained" not in Parsed(text).inside
    lost = training(5, 0.5, 0.1, diverged=True)
    alone = replace(training(6, 0.5, 0.2), origin=None)
    shown = [*TRAININGS, *TRANSFERS, lost]
    parsed = Parsed(made(studied(), trainings=by_file([*shown, alone], "trained")))
    inside = " ".join(parsed.inside["trained"].split())
    own, other = validation.agreements(validation.with_table(shown))
    assert (own.transfer, other.transfer) == (False, True)
    assert own.tau is not None
    assert "Kendall's tau of val accuracy 0.67" in validation.sentence(own)
    for agreement in (own, other):
        assert validation.sentence(agreement) in inside
    for heading, cells in validation.columns([validation.row(one) for one in shown]).items():
        assert heading in inside
        for cell in cells:
            assert cell in inside
    assert "diverged" in inside
    assert "digits (transfer)" in inside
    assert "made~6" not in inside
    assert inside.endswith("To make these numbers again:harness validate results/trained")
    drawn = [a for tag, a in parsed.tags if tag == "svg" and a.get("class") == "still"]
    assert [str(a["aria-label"]).partition(": ")[0] for a in drawn] == [
        "Trained accuracy over that of the table, nb201/cifar10 against cifar10, 200 epochs",
        "Trained accuracy over that of the table, nb201/cifar10 against digits, 200 epochs (transfer)",
    ]
    assert [a.get("class") for tag, a in parsed.tags].count("diagonal") == 1
    assert "row 22: trained 85.00 % (84.50 to 85.50, 2 repeats), table 80.00 % (79.00 to 81.00, 2 repeats)" in inside


def test_dots_lie_where_the_accuracies_are() -> None:
    tags = Parsed(made(studied(), trainings=by_file(TRAININGS, "trained"))).tags
    dots = [a for tag, a in tags if tag == "circle" and a.get("class") == "dot c0"]
    places = np.array([[float(str(a[name])) for name in ("cx", "cy")] for a in dots])
    for axis, values, sign in ((0, [90.0, 85.0, 80.0, 70.0], 1), (1, [91.0, 84.0, 85.0, 60.0], -1)):
        slope, start = np.polyfit(values, places[:, axis], 1)
        assert slope * sign > 5
        np.testing.assert_allclose(places[:, axis], start + slope * np.array(values), atol=0.1)


def test_a_page_with_trainings_needs_no_torch(tmp_path: Path, harness: Harness) -> None:
    harness("run", "--algo", "rs,re", "--bench", "nb201", "--seeds", "4", "--budget", "1e5", "--processes", "1")
    write_training(TRAININGS[0], Path("results/trained/a.parquet"))
    code = "import sys; from harness.cli import exit_status; sys.exit(exit_status() or 'torch' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code, "report", "results"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, "report.html\n"), done.stderr
    assert "1 architecture, 1 training" in Path("report.html").read_text()
    for folder in ("results/trained", "only"):
        write_training(TRAININGS[0], Path("only/trained/a.parquet"))
        refused = harness("report", folder, "-o", "other.html")
        assert (refused.status, refused.out) == (2, "")
        assert f"{folder} has trainings, but no finished study, which is what a page is about." in refused.err
    assert not Path("other.html").exists()
    Path("results/trained/b.parquet").write_bytes(b"PAR1")
    assert "b.parquet is not a training, or is broken" in harness("report", "results").err


def test_predictors_have_a_section() -> None:
    found = [quality("ridge", 0.5), quality("forest", 0.6)]
    parsed = Parsed(made(studied(), qualities=found))
    inside = parsed.inside["predictors"]
    for one in found:
        for record in summary(one):
            assert record["fit_seconds_sem"] == 0
            assert mean_sem(record["spearman_mean"], record["spearman_sem"]) in inside
    assert "harness plot results --figure prediction --measure spearman -o prediction.pdf" in inside
    (drawn,) = [a for tag, a in parsed.tags if tag == "svg" and a.get("class") == "still"]
    assert str(drawn["aria-label"]).startswith("Spearman's rank correlation on NAS-Bench-201, cifar10: ridge, forest.")
    twice = replace(found[0], study=replace(found[0].study, sizes=(20, 101)))
    told = Parsed(made(studied(), qualities=[found[0], twice])).inside["predictors"]
    assert "There is no picture: two studies of one predictor on nb201/cifar10 differ in sizes, noise or code" in told


def test_names_cannot_become_markup(text: str) -> None:
    injected = made(hostile())
    plain = {tag for tag, _ in Parsed(text).tags}
    parsed = Parsed(injected)
    assert {tag for tag, _ in parsed.tags} <= plain
    assert [tag for tag, _ in parsed.tags].count("script") == 2
    assert HOSTILE in parsed.inside["benchmarks"]
    assert HOSTILE in parsed.inside["provenance"]
    assert payload(injected)["benchmarks"][0]["title"] == HOSTILE


def test_colours_are_those_of_the_figures_and_readable_in_the_dark(text: str) -> None:
    data, looks = payload(text), styles(["rs", "re", "ls"])
    for label, look in data["looks"].items():
        assert COLOURS[look["colour"]] == looks[label]["color"]
        assert (look["dash"] == "") == (looks[label]["linestyle"] == "-")

    def luminance(colour: str) -> float:
        parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
        return float(np.dot([0.2126, 0.7152, 0.0722], linear))

    paper = re.findall(r"--paper: (#\w{6})", page_module.asset("page.css"))[1]
    assert luminance(paper) < 0.02
    assert len(set(page_module.ON_DARK)) == len(COLOURS)
    for colour in page_module.ON_DARK:
        assert (luminance(colour) + 0.05) / (luminance(paper) + 0.05) > 5


@pytest.mark.parametrize(
    "options",
    [
        ["--algo", "rs", "--bench", "nb201", "--seeds", "3:9", "--budget", "12345.678"],
        ["--algo", "re", "--bench", "nb201", "--seeds", "4", "--evals", "30", "--param", "re.sample=2"],
        [
            "--algo", "rs", "--bench", "nb201/cifar100", "--seeds", "5", "--budget", "1e5", "--evals", "40",
            "--workers", "2", "--overhead", "1.5", "--noise", "mean", "--incumbent", "any", "--log", "all",
            "--max-fidelity", "200", "--report-fidelity", "200",
        ],
    ],
)  # fmt: skip
def test_the_commands_of_a_page_make_its_studies_again(options: list[str], harness: Harness, tmp_path: Path) -> None:
    (path,) = map(Path, harness("run", *options, "--processes", "1").out.split())
    assert harness("report", "results").out == "report.html\n"
    inside = Parsed((tmp_path / "report.html").read_text()).inside["provenance"]
    (command,) = re.findall(r"^.*(harness run .*)$", inside, flags=re.MULTILINE)
    words = shlex.split(command)[1:]
    again = Path(harness(*words, "--out", "again", "--processes", "1").out.strip())
    assert again.name == path.name
    np.testing.assert_array_equal(read(again).trajectory.time, read(path).trajectory.time)


def test_few_commands_run_many_studies(harness: Harness, tmp_path: Path) -> None:
    options = ("--seeds", "2", "--evals", "5", "--processes", "1")
    first = harness("run", "--algo", "rs,re", "--bench", "nb201/cifar10*", *options).out.split()
    first += harness("run", "--algo", "re", "--bench", "nb201/cifar10", "--param", "re.sample=2", *options).out.split()
    several = ("--objectives", "error,latency.raspi4", "--constraint", "params<=1")
    first += harness("run", "--algo", "rs", "--bench", "nb201/cifar10", *several, *options).out.split()
    made_again = []
    commands = runs([read(Path(path)).study for path in first])
    for command in commands:
        made_again += harness(*shlex.split(command)[1:], "--out", "again", "--processes", "1").out.split()
    assert len(commands) == 3
    assert {Path(path).name for path in made_again} == {Path(path).name for path in first}


def test_the_numbers_of_a_page_are_those_of_the_commands(harness: Harness, tmp_path: Path) -> None:
    harness("run", "--algo", "rs,re", "--bench", "nb201", "--seeds", "12", "--budget", "3e5", "--processes", "1")
    assert harness("report", "results", "-o", "deep/r.html").out == "deep/r.html\n"
    text = (tmp_path / "deep" / "r.html").read_text()
    (benchmark,) = payload(text)["benchmarks"]
    for i in (len(benchmark["times"]) // 2, -2, -1):
        shown = json.loads(harness("show", "results", "--at", benchmark["times"][i], "--json").out)
        for row in shown:
            (curve,) = [c for c in benchmark["curves"] if c["label"] == row["algorithm"]]
            found = [curve["val"][name][i - (curve["from"] if i >= 0 else 0)] for name in ("mean", "sem")]
            assert found == pytest.approx([row["val_regret_mean"], row["val_regret_sem"]], rel=1e-4)
    parsed = Parsed(text)
    drawn = [a["aria-label"] for tag, a in parsed.tags if tag == "svg" and a.get("role") == "img"]
    assert len(drawn) == 2
    assert all(label and re.match(r"Cell: ((in|1|2) to (1|2|out) \w+(; )?)+$", label) for label in drawn)
    assert "of 12 runs, validation regret" in parsed.inside["cells"]
    assert [p.name for p in (tmp_path / "deep").iterdir()] == ["r.html"]
    assert harness("compare", "results").out.splitlines()[0] in parsed.inside["tests"]


def test_what_cannot_be_reported_is_refused(harness: Harness, tmp_path: Path) -> None:
    for mixed, message in (
        ([studied()[0], outcome("re", budget=700.0)], r"rules\.budget is 800\.0 in one and 700\.0 in the other"),
        ([studied()[0], outcome("re", seeds=31)], "cannot be paired"),
        ([outcome("rs", seeds=1)], "has 1 seed; a test needs at least 2"),
        ([studied()[0], studied()[0]], "several studies of rs"),
        ([], "there are no studies to compare"),
    ):
        with pytest.raises(HarnessError, match=message):
            made(mixed)
    (tmp_path / "empty").mkdir()
    (tmp_path / "report.html").write_text("mine")
    for arguments, message in (
        (["empty"], "no finished study in empty"),
        (["nowhere"], "there is nothing at nowhere"),
        ([], "Missing argument 'RESULTS...'"),
    ):
        answer = harness("report", *arguments)
        assert (answer.status, answer.out) == (2, "")
        assert message in answer.err
    harness("run", "--algo", "rs", "--bench", "nb201", "--seeds", "3", "--budget", "3e4", "--processes", "1")
    refused = harness("report", "results", "-o", "report.html/a.html")
    assert (refused.status, refused.out) == (2, "")
    assert "cannot write report.html/a.html" in refused.err
    assert harness("report", "results", "--at", "1").status == 2
    assert (tmp_path / "report.html").read_text() == "mine"
