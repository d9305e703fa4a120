"""Figures as data: what they draw is computed anew here, and settings that cannot be are refused."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import zlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from itertools import combinations
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

import numpy as np
import pytest
from conftest import ROOT
from matplotlib.text import Text
from PIL import Image

from harness import HarnessError, Rules, registry
from harness.analysis.measures import log_areas, log_floor, time_spent, time_to
from harness.fields import hints
from harness.plots import FIGURES, curve, draw, load, provenance, regression_figure, save
from harness.plots.settings import SHOWN, TAKES, Settings, declared
from harness.plots.style import COLOURS, LogTicks, styles
from harness.statistics import nemenyi_distance, ranks, simultaneous_band, speed_up
from harness.studies.evaluate import evaluate
from harness.studies.outcome import Outcome
from harness.studies.store import ResultStore, write
from harness.studies.study import Study
from harness.testing import synthetic_table

Harness = Callable[..., Any]
BASH = shutil.which("bash") or ""
NAMES = ("rs", "re", "ls")
OF_TWO = ("attainment", "front")
"""Figures of two objectives."""
SETTINGS: dict[str, dict[str, Any]] = {
    "regret": {}, "ranks": {}, "ecdf-regret": {"at": 300.0}, "ecdf-time": {"targets": [0.3, 0.1]},
    "critical-difference": {"blocks": "seeds"}, "speed-up": {"targets": [0.3], "against": "rs"},
    "violin": {}, "standing": {}, "cells": {},
}  # fmt: skip


def outcome(algorithm: str, table: int = 3, **rules: Any) -> Outcome:
    data = synthetic_table(table, sizes=(5, 5, 5, 5), missing=0.0)
    settings = Rules(**{"budget": 800.0, **rules})
    study = replace(Study.plan(data, algorithm, {}, 0, 30, settings), benchmark=f"synthetic/{table}")
    return evaluate(study, table=data)


@cache
def studied() -> list[Outcome]:
    return [outcome(name, table) for table in (3, 4) for name in NAMES]


@pytest.fixture(scope="session")
def cells() -> list[Outcome]:
    table, rules = registry.benchmark("nb201"), Rules(budget=2e5)
    found = []
    for name in ("rs", "re"):
        study = Study.plan(table, name, {}, 0, 10, rules)
        found.append(evaluate(study, table=table))
    return found


@pytest.fixture(scope="session")
def kept(cells: list[Outcome], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of results."""
    folder = tmp_path_factory.mktemp("kept")
    for outcome in cells:
        write(outcome, ResultStore(folder).path(outcome.study))
    return folder


def lines(figure: Any, axis: int = 0) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    for line in figure.axes[axis].lines:
        if not str(line.get_label()).startswith("_"):
            yield str(line.get_label()), np.asarray(line.get_xdata()), np.asarray(line.get_ydata())


def test_measures_are_those_of_the_curve() -> None:
    result = studied()[1]
    start = result.first_times().max()
    grid = np.geomspace(start, 800.0, 40_001)[:-1]
    logs = np.log10(np.maximum(result.regret("val", grid), log_floor([result], "val")))
    np.testing.assert_allclose(log_areas([result], "val", start, 800.0)[0], logs.mean(axis=1), atol=1e-3)
    fine = np.unique(result.trajectory.time)
    reached = result.regret("val", fine) <= 0.1
    expected = np.where(reached.any(axis=1), fine[reached.argmax(axis=1)], np.inf)
    np.testing.assert_array_equal(time_to(result, "val", 0.1), expected)
    assert np.isfinite(expected).any()


def test_a_simultaneous_band_is_wider_than_two_standard_errors() -> None:
    result = studied()[2]
    edges = []
    for band in ("sem", "simultaneous"):
        (drawn,) = draw([result], {"band": band}).axes[0].collections
        edges.append(np.asarray(drawn.get_paths()[0].vertices))
    times, mean, sem = curve(result, "val")
    low, high = simultaneous_band(result.regret("val", times), np.random.default_rng(0))
    assert edges[0][:, 1].max() == pytest.approx((mean + 2 * sem).max())
    assert edges[1][:, 1].max() == pytest.approx(high.max())
    assert ((high - low)[sem > 0] > 4 * sem[sem > 0]).all()


def test_ranks_are_those_of_the_mean_curves() -> None:
    for label, x, y in lines(draw(studied(), {"figure": "ranks"})):
        for i in (0, 50, -1):
            expected = []
            for table in (3, 4):
                same = [o for o in studied() if o.study.benchmark == f"synthetic/{table}"]
                means = np.array([o.regret("val", x[[i]]).mean() for o in same])
                expected.append(ranks(means)[NAMES.index(label)])
            assert y[i] == pytest.approx(np.mean(expected))


def test_ranks_over_benchmarks_of_other_length_are_over_shares_of_the_budget() -> None:
    other = [outcome(name, 5, budget=1600.0) for name in NAMES]
    figure = draw([*studied(), *other], {"figure": "ranks"})
    assert figure.axes[0].get_xlabel() == "share of the budget"
    assert next(lines(figure))[1][-1] == 1.0


def test_bands_that_reach_zero_leave_the_axis_to_the_curves() -> None:
    """Without noise runs arrive at regret zero, and mean less two standard errors is below it."""
    result = outcome("re", noise="mean", budget=2e4)
    _, mean, sem = curve(result, "val")
    assert (mean < 2 * sem).any()
    low, high = draw([result], {}).axes[0].get_ylim()
    assert low == mean[mean > 0].min() / 2
    assert (mean + 2 * sem).max() < high < 2 * (mean + 2 * sem).max()


def test_an_ecdf_of_regret_counts_the_runs() -> None:
    figure = draw(studied(), {"figure": "ecdf-regret", "at": 300.0, "kind": "test"})
    drawn = {label: (x, y) for label, x, y in lines(figure, 1)}
    for o in studied()[3:]:
        x, y = drawn[o.study.label]
        values = o.regret("test", np.array([300.0]))[:, 0]
        for threshold in (0.05, 0.1, 0.3):
            share = y[np.searchsorted(x, threshold, side="right") - 1]
            assert share == pytest.approx((values <= threshold).mean())


def test_an_ecdf_of_times_counts_runs_and_targets() -> None:
    figure = draw(studied(), {"figure": "ecdf-time", "targets": [0.3, 0.05]})
    drawn = {label: (x, y) for label, x, y in lines(figure)}
    for o in studied()[:3]:
        x, y = drawn[o.study.label]
        for at in (50.0, 799.0):
            expected = np.mean([time_to(o, "val", target) <= at for target in (0.3, 0.05)])
            assert y[np.searchsorted(x, at, side="right") - 1] == pytest.approx(expected)
        assert y[-1] < 1


def test_speed_ups_are_labelled_with_their_intervals() -> None:
    figure = draw(studied(), {"figure": "speed-up", "targets": [0.2], "against": "rs"})
    times = {o.study.label: (time_to(o, "val", 0.2), time_spent(o)) for o in studied()[:3]}
    texts = [text.get_text() for text in figure.axes[0].texts]
    for text, label in zip(texts, ("re", "ls"), strict=True):
        estimate = speed_up(times[label], times["rs"], np.random.default_rng(0))
        shown = [float(number) for number in text.replace("x", "").replace("[", "").replace("]", "").split()[:1]]
        assert shown[0] == pytest.approx(estimate.value, rel=0.06)
    never = draw(studied(), {"figure": "speed-up", "targets": [1e-300], "against": "rs"})
    words = r"neither arrives|never arrives|other never arrives|[\d.]+x( \[[\d.]+, ([\d.]+|∞)\])?"
    for axis in never.axes:
        assert all(re.fullmatch(words, text.get_text()) for text in axis.texts)


def test_a_critical_difference_diagram_says_what_it_ranks() -> None:
    figure = draw(studied(), {"figure": "critical-difference", "blocks": "seeds"})
    scores = [[o.regret("val", np.array([800.0]))[:, 0] for o in studied()[i : i + 3]] for i in (0, 3)]
    average = ranks(np.concatenate([np.stack(s, axis=1) for s in scores])).mean(axis=0)
    texts = " ".join(text.get_text() for text in figure.axes[0].texts)
    for name, rank in zip(NAMES, average, strict=True):
        assert f"{name}  {rank:.2f}" in texts or f"{rank:.2f}  {name}" in texts
    assert f"critical difference {nemenyi_distance(3, 60):.2f}" in texts
    assert figure.axes[0].get_title().startswith("60 seeds, Friedman p = ")
    by_benchmark = draw(studied(), {"figure": "critical-difference"})
    assert by_benchmark.axes[0].get_title().startswith("2 benchmarks")


def test_cells_show_the_most_frequent_incumbent(cells: list[Outcome], monkeypatch: pytest.MonkeyPatch) -> None:
    figure = draw(cells, {"figure": "cells", "at": 1e5})
    for axis, o in zip(figure.axes, cells, strict=True):
        at = o.trajectory.at(np.array([1e5]))[:, 0]
        rows, counts = np.unique(o.trajectory.row[at], return_counts=True)
        assert f"{counts.max()} of 10 runs" in axis.get_title()
        table = registry.benchmark("nb201")
        shown = [int((table.codes[row] != 0).sum()) for row in rows[counts == counts.max()]]
        assert len(axis.patches) in shown
    monkeypatch.setattr(registry, "benchmark", lambda name: synthetic_table(3, sizes=(5, 5, 5, 5), missing=0.0))
    with pytest.raises(HarnessError, match="the configurations of synthetic/test are no graphs to draw"):
        draw(studied()[:3], {"figure": "cells"})


def test_the_numbers_of_a_figure_stand_beside_it(tmp_path: Path) -> None:
    source = provenance(studied(), {"figure": "regret"})
    save(draw(studied(), {}), tmp_path / "a.png", source)
    numbers = json.loads((tmp_path / "a.json").read_text())["numbers"]
    times, mean, sem = curve(studied()[1], "val")
    same = [row for row in numbers if (row["panel"], row["series"]) == ("synthetic/3", "re")]
    np.testing.assert_allclose([row["x"] for row in same], times, rtol=1e-5)
    np.testing.assert_allclose([row["y"] for row in same], mean, rtol=1e-5)
    np.testing.assert_allclose([row["high"] for row in same], mean + 2 * sem, rtol=1e-5)
    save(draw(studied(), {}), tmp_path / "a.png", source)
    (tmp_path / "a.json").write_text('{"figure": {}, "numbers": []}')
    with pytest.raises(HarnessError, match="is no provenance of a figure"):
        save(draw(studied(), {}), tmp_path / "a.png", source)


def test_names_and_order_are_those_that_are_asked_for() -> None:
    own = styles(["rs", "re", "ls"])
    names = {"re": "evolution", "synthetic/4": "Another"}
    figure = draw(studied(), {"names": names, "order": ["ls", "synthetic/4", "re"]})
    assert figure.axes[0].get_title() == "Another"
    assert [label for label, *_ in lines(figure)] == ["ls", "evolution", "rs"]
    assert figure.axes[0].lines[1].get_color() == own["re"]["color"]
    against = draw(studied(), {"figure": "speed-up", "targets": [0.3], "against": "re", "names": names})
    assert against.axes[0].get_xlabel() == "times sooner than evolution"
    with pytest.raises(HarnessError, match="unknown algorithm or benchmark in the figure 'r'"):
        draw(studied(), {"order": ["r"]})
    with pytest.raises(HarnessError, match="names is a table"):
        draw(studied(), {"names": "re"})
    with pytest.raises(HarnessError, match="several studies of ls"):
        draw(studied(), {"names": {"re": "ls"}})


def test_regret_over_evaluations_is_that_after_each() -> None:
    figure = draw(studied(), {"x": "evaluations"})
    assert figure.axes[0].get_xlabel() == "evaluations"
    for (label, x, y), o in zip(lines(figure), studied()[:3], strict=True):
        assert label == o.label
        run, (_, regret) = o.trajectory, (o.label, o.regrets("val"))
        for i in (0, len(x) // 2, len(x) - 1):
            held = [regret[(run.seed == s) & run.incumbent & (run.evaluation <= x[i])][-1] for s in range(30)]
            assert y[i] == pytest.approx(np.mean(held))
    with pytest.raises(HarnessError, match="bounds are drawn over time"):
        draw(studied(), {"x": "evaluations", "bounds": ["floor"]})


def titled(outcomes: list[Outcome], title: str) -> list[Outcome]:
    return [replace(o, reference=replace(o.reference, title=title)) for o in outcomes]


@pytest.mark.parametrize("width", [None, "column", "page"])
@pytest.mark.parametrize(
    "figure", [figure for figure in FIGURES if figure not in ("cells", "critical-difference", *OF_TWO)]
)
@pytest.mark.parametrize("benchmarks", [1, 2])
def test_no_text_is_cut_or_covers_another(figure: str, width: str | None, benchmarks: int) -> None:
    outcomes = titled(studied(), "Cells of three operators on digits, learning curves of 12 epochs")
    wide = {} if width is None else {"width": width}
    drawn = draw(outcomes[: 3 * benchmarks], {"figure": figure, **wide, **SETTINGS[figure]})
    drawn.draw_without_rendering()
    titles = [axis.title.get_window_extent() for axis in drawn.axes]
    for box in [*titles, *(text.get_window_extent() for axis in drawn.axes for text in axis.texts)]:
        assert box.x0 >= 0
        assert box.x1 <= drawn.bbox.x1
    for one, other in combinations(titles, 2):
        assert not one.overlaps(other)


def test_four_panels_stand_two_by_two_and_say_once_what_their_axes_are() -> None:
    outcomes = [
        replace(o, study=replace(o.study, benchmark=f"{o.study.benchmark}{i}")) for o in studied() for i in "ab"
    ]
    drawn = draw(outcomes, {})
    place = drawn.axes[0].get_subplotspec()
    assert place is not None
    assert place.get_gridspec().get_geometry() == (2, 2)
    assert [axis.yaxis.label.get_visible() for axis in drawn.axes] == [True, False, True, False]
    assert [axis.xaxis.label.get_visible() for axis in drawn.axes] == [False, False, True, True]


@pytest.mark.parametrize(
    ("low", "high", "ticks"),
    [
        (1e-6, 1.0, [1e-6, 1e-4, 1e-2, 1.0]),
        (2e-4, 0.2, [1e-3, 1e-2, 1e-1]),
        (2e-3, 0.04, [3e-3, 1e-2, 3e-2]),
        (0.012, 0.09, [0.02, 0.05, 0.03]),
        (0.35, 1.05, [0.5, 0.7, 1.0]),
        (0.041, 0.049, None),
    ],
)
def test_a_log_axis_has_three_ticks_or_more(low: float, high: float, ticks: list[float] | None) -> None:
    found = LogTicks().tick_values(low, high)
    assert 3 <= len(found) <= 8
    assert all(low <= tick <= high for tick in found)
    if ticks is not None:
        assert {*np.round(ticks, 12)} <= {*np.round(found, 12)}


def test_a_violin_has_the_ticks_of_a_log_axis() -> None:
    axis = draw(studied(), {"figure": "violin"}).axes[0]
    assert axis.get_yscale() == "log"
    values = studied()[0].regret("val", np.array([800.0]))
    drawn = np.asarray(axis.collections[0].get_paths()[0].vertices)[:, 1]
    assert drawn.max() == pytest.approx(values.max())
    assert drawn.min() == pytest.approx(max(values.min(), log_floor(studied()[:3], "val")))


@pytest.mark.parametrize("width", ["column", "page"])
@pytest.mark.parametrize("figure", [figure for figure in FIGURES if figure not in OF_TWO])
def test_every_figure_is_as_wide_as_it_should_be(figure: str, width: str, cells: list[Outcome], tmp_path: Path) -> None:
    outcomes = cells if figure == "cells" else studied()
    drawn = draw(outcomes, {"figure": figure, "width": width, **SETTINGS[figure]})
    save(drawn, tmp_path / "a.png", provenance(outcomes, {"figure": figure}))
    with Image.open(tmp_path / "a.png") as image:
        assert image.width == pytest.approx({"column": 3.4, "page": 7.0}[width] * 300, abs=1)
        beside = json.loads((tmp_path / "a.json").read_text())
        assert all({"panel", "series"} < row.keys() for row in beside.pop("numbers"))
        assert json.loads(image.info["Description"]) == beside


@pytest.mark.parametrize("ending", ["pdf", "svg", "png"])
def test_the_provenance_of_a_figure_is_in_it_and_beside_it(ending: str, tmp_path: Path) -> None:
    source = provenance(studied()[:2], {"figure": "regret"})
    path = tmp_path / f"a.{ending}"
    save(draw(studied()[:2], {}), path, source)
    beside = json.loads((tmp_path / "a.json").read_text())
    assert len(beside.pop("numbers")) > 10
    assert beside == json.loads(json.dumps(source))
    assert [study["id"] for study in beside["studies"]] == [o.study.id for o in studied()[:2]]
    assert beside["studies"][0]["table"] == studied()[0].study.table
    assert beside["studies"][0]["rules"]["incumbent"] == "largest"
    assert studied()[0].study.id.encode() in path.read_bytes()
    first = path.read_bytes()
    save(draw(studied()[:2], {}), path, source)
    assert path.read_bytes() == first


@pytest.mark.parametrize("figure", ["regret", "speed-up"])
def test_a_pgf_figure_fits_into_a_document(figure: str, tmp_path: Path) -> None:
    if shutil.which("xelatex") is None:
        pytest.skip("there is no xelatex to measure the texts of a PGF figure")
    save(draw(studied(), {"figure": figure, **SETTINGS[figure]}), tmp_path / "a.pgf", provenance(studied()))
    assert (tmp_path / "a.pgf").read_text().startswith("%% Creator: Matplotlib, PGF backend")
    assert json.loads((tmp_path / "a.json").read_text())["studies"][0]["id"] == studied()[0].study.id
    document = r"\usepackage{pgf}\newcommand{\mathdefault}[1]{#1}\begin{document}\input{a.pgf}\end{document}"
    (tmp_path / "paper.tex").write_text(r"\documentclass{article}" + document)
    call = ["xelatex", "-interaction=batchmode", "-halt-on-error", "paper"]
    subprocess.run(call, cwd=tmp_path, check=True, capture_output=True)
    assert (tmp_path / "paper.pdf").read_bytes()[:5] == b"%PDF-"


def test_a_pgf_figure_without_latex_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda _: None)
    with pytest.raises(
        HarnessError, match="a PGF figure needs LaTeX to measure its texts, and there is none of xelatex"
    ):
        save(draw(studied()[:1], {}), tmp_path / "a.pgf")
    assert [*tmp_path.iterdir()] == []


def run(arguments: str, **environment: str) -> Any:
    """A command line in bash, in a process of its own."""
    command = arguments.replace("harness", f"{shlex.quote(sys.executable)} -m harness", 1)
    whole = {**os.environ, **environment}
    return subprocess.run([BASH, "-c", command], env=whole, capture_output=True, text=True, check=False)


BROKEN = {
    "silent": ("", "xelatex failed to measure the texts of a PGF figure: "),
    "no font": (
        "echo \"! LaTeX Error: File 'fontspec.sty' not found.\"",
        "xelatex failed to measure the texts of a PGF figure: LaTeX Error: File 'fontspec.sty' not found.",
    ),
}


@pytest.mark.skipif(not BASH, reason="there is no bash")
@pytest.mark.parametrize("way", BROKEN)
def test_a_broken_latex_gets_a_sentence(way: str, kept: Path, tmp_path: Path) -> None:
    script, message = BROKEN[way]
    (tmp_path / "bin").mkdir()
    latex = tmp_path / "bin" / "xelatex"
    latex.write_text(f"#!{BASH}\nwhile read -r; do :; done\n{script}\nexit 1\n")
    latex.chmod(0o755)
    answer = run(f"harness plot {kept} -o out/a.pgf", PATH=str(latex.parent))
    assert (answer.returncode, answer.stdout) == (2, "")
    error, hint = answer.stderr.splitlines()
    assert error.startswith(f"error: {message}")
    assert (
        hint == "hint: mend the installation of LaTeX (Debian: apt-get install texlive-xetex), or end the name in .pdf"
    )
    assert not Path("out").exists()


@pytest.mark.skipif(not BASH, reason="there is no bash")
def test_texts_by_a_latex_that_is_not_there_get_a_sentence(kept: Path, tmp_path: Path) -> None:
    (tmp_path / "matplotlibrc").write_text("text.usetex: True\n")
    answer = run(f"harness plot {kept} -o a.png", PATH=str(tmp_path), MPLCONFIGDIR=str(tmp_path / "mpl"))
    assert (answer.returncode, answer.stdout) == (2, "")
    assert "error: matplotlib is set to let LaTeX write its texts, which failed: " in answer.stderr
    assert "Traceback" not in answer.stderr
    assert not Path("a.png").exists()


@pytest.mark.skipif(not BASH, reason="there is no bash")
def test_the_backend_of_who_calls_is_none_of_a_command(kept: Path) -> None:
    answer = run(f"harness plot {kept} -o a.svg", MPLBACKEND="of no one")
    assert (answer.returncode, Path("a.svg").exists()) == (0, True), answer.stderr


@pytest.mark.skipif(not BASH, reason="there is no bash")
@pytest.mark.parametrize("command", ["plot {} -o out/a.pdf", "plot {} -o out/a.svg", "report {} -o out/a.html"])
def test_a_full_disk_leaves_no_half_of_a_file(command: str, kept: Path) -> None:
    # modules that Python compiles where files cannot grow would stay cut, for every later process
    answer = run(f"ulimit -f 4; harness {command.format(kept)}", PYTHONDONTWRITEBYTECODE="1")
    assert (answer.returncode, answer.stdout) == (2, "")
    *more, error, hint = answer.stderr.splitlines()
    assert all(
        "cache" in line for line in more
    )  # of fonts, which matplotlib makes where it is not there, or is being made
    assert re.fullmatch(r"error: cannot write out/a\.\w+: File too large\.", error)
    assert hint == "hint: free some space, or choose another name."
    assert [*Path("out").iterdir()] == []


@pytest.mark.parametrize("date", ["abc", "1" * 30, "-1e9"])
def test_a_date_that_is_none_gets_a_sentence(
    date: str, kept: Path, harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", date)
    for name in ("a.pdf", "a.svg"):
        harness("plot", kept, "-o", name).refuses(f"SOURCE_DATE_EPOCH is '{date}'", "unset it: figures have no date.")
    assert not Path("a.pdf").exists()


@pytest.mark.skipif(not Path("/dev/full").exists() or BASH is None, reason="there is no /dev/full")
def test_output_that_cannot_be_printed_gets_a_sentence(kept: Path) -> None:
    answer = run(f"harness compare {kept} --format json > /dev/full")
    assert answer.returncode == 2
    assert answer.stderr.splitlines()[0] == "error: cannot write: No space left on device."
    assert len(answer.stderr.splitlines()) == 2


def test_notes_stand_clear_of_the_legend(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.plots.spec.peculiarities", lambda _: ["a note of one line", "and another"])
    figure = draw(studied(), {"figure": "regret", "width": "page"})
    figure.canvas.draw()
    (legend,) = figure.legends
    (note,) = [text for text in figure.findobj(Text) if text.get_text().startswith("a note")]
    assert not legend.get_window_extent().overlaps(note.get_window_extent())


def test_an_algorithm_looks_the_same_in_every_company() -> None:
    names = ["rs", "re", "ls", "de", "tpe", "hb", "bohb", "gpnas"]
    together = styles([*names, "mine", "re(sample=2)"])
    assert len({str(look) for look in together.values()}) == 10
    assert {look["color"] for name, look in together.items() if name in names} == set(COLOURS)
    for name in (*names, "mine"):
        assert styles([name]) == {name: together[name]}
    number = zlib.crc32(b"mine")
    twin = next(n for n in map(str, range(10**6)) if zlib.crc32(n.encode()) % 32 == number % 32)
    clash = styles(["mine", twin])
    assert clash["mine"] != clash[twin]


def test_who_is_compared_in_one_figure_differs_in_colour() -> None:
    for names in (
        ("gpnas+", "bananas", "nasbowl", "re"),
        ("hier-ea", "nasnet", "rs", "re"),
        ("pnas", "nao", "rs", "re"),
    ):
        assert len({look["color"] for look in styles(names).values()}) == len(names)


def test_settings_of_one_algorithm_have_colours_of_their_own() -> None:
    looks = styles(["rs", "re", *(f"re(population={n})" for n in range(6))])
    assert len({look["color"] for look in looks.values()}) == 8
    assert looks["re"] == styles(["re"])["re"]
    assert len(styles([f"re(population={n})" for n in range(40)])) == 40


def test_old_against_new_is_drawn_in_pairs() -> None:
    figure = regression_figure([(studied()[0], studied()[1]), (studied()[3], studied()[4])])
    assert [label for label, _, _ in lines(figure)] == ["baseline", "now"]
    assert len(figure.axes) == 2


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"figure": "violins"}, "unknown figure 'violins'. did you mean violin"),
        ({"figure": "violin", "target": 1}, "unknown field of the figure 'violin' 'target'"),
        ({"targets": [0.1]}, "unknown field of the figure 'regret' 'targets'"),
        ({"figure": "ecdf-time"}, "the figure 'ecdf-time' has no 'targets'"),
        ({"figure": "speed-up", "targets": [0.1]}, "the figure 'speed-up' has no 'against', which is a text"),
        (
            {"figure": "speed-up", "targets": [0.1], "against": "er"},
            "hold the others against 'er'. did you mean rs or re",
        ),
        ({"figure": "speed-up", "targets": [], "against": "re"}, r"targets cannot be \[\]"),
        ({"figure": "ecdf-time", "targets": [0.1, -1]}, r"targets\[1\] is a number of at least 0, not -1"),
        ({"figure": "violin", "at": 0}, "at is a number above 0, not 0"),
        ({"figure": "violin", "at": 0.01}, "has seeds without a result at 0.01 s"),
        ({"figure": "critical-difference", "alpha": 2}, "alpha is a number above 0 and below 1, not 2"),
        ({"kind": "train"}, "unknown value of the figure 'regret': kind 'train'"),
        ({"band": "wide"}, "unknown value of the figure 'regret': band 'wide'"),
        ({"figure": "ranks", "kind": "both"}, "unknown value of the figure 'ranks': kind 'both'"),
        ({"figure": "prediction", "names": {"a": "b"}}, "unknown field of the figure 'prediction' 'names'"),
        ({"figure": "prediction", "order": ["a"]}, "unknown field of the figure 'prediction' 'order'"),
        ({"width": "wide"}, "unknown value of the figure 'regret': width 'wide'"),
    ],
)
def test_settings_that_cannot_be_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(HarnessError, match=message):
        draw(studied(), settings)


@pytest.mark.parametrize("figure", [name for name in FIGURES if name not in ("cells", *OF_TWO)])
def test_figures_refuse_mixtures(figure: str) -> None:
    mixed = [*studied()[:2], outcome("ls", noise="mean")]
    with pytest.raises(HarnessError, match=r"cannot be compared: rules\.noise is sampled in one and mean in the other"):
        draw(mixed, {"figure": figure, **SETTINGS[figure]})
    with pytest.raises(HarnessError, match="there are no studies"):
        draw([], {"figure": figure, **SETTINGS[figure]})


@pytest.mark.parametrize("figure", ["ranks", "critical-difference", "speed-up"])
def test_figures_over_benchmarks_need_every_study(figure: str) -> None:
    with pytest.raises(HarnessError, match="there is no study of ls on synthetic/4"):
        draw(studied()[:5], {"figure": figure, **SETTINGS[figure]})


def test_a_critical_difference_needs_three_algorithms() -> None:
    with pytest.raises(HarnessError, match="needs 3 algorithms and 2 benchmarks, got 3 and 1"):
        draw(studied()[:3], {"figure": "critical-difference"})
    with pytest.raises(HarnessError, match="needs 3 algorithms and 2 seeds, got 2 and 60"):
        draw([o for o in studied() if o.study.label != "ls"], {"figure": "critical-difference", "blocks": "seeds"})


def test_plot_command_draws_what_a_file_says(harness: Harness, tmp_path: Path) -> None:
    harness("run", "--algo", "rs,re", "--bench", "nb201", "--seeds", "10", "--budget", "1e5", "--processes", "1")
    text = 'figure = "ecdf-time"\nresults = ["results"]\ntargets = [0.01]\noutput = ["out/a.png", "out/a.pdf"]\n'
    Path("a.toml").write_text(text)
    assert harness("plot", "a.toml").out == "out/a.png\nout/a.pdf\n"
    source = json.loads(Path("out/a.json").read_text())
    assert source["figure"] == {"figure": "ecdf-time", "results": ["results"], "targets": [0.01]}
    assert harness("plot", "a.toml", "-o", "b.svg", "--kind", "val").out == "b.svg\n"
    flags = harness("plot", "results", "--figure", "ecdf-time", "--targets", "0.01", "-o", "c.svg")
    assert flags.out == "c.svg\n"
    assert Path("b.svg").read_bytes().split(b"</metadata>")[1] == Path("c.svg").read_bytes().split(b"</metadata>")[1]


def test_plot_command_refuses_files_that_say_nothing(harness: Harness) -> None:
    def refused(text: str, *more: str) -> str:
        Path("a.toml").write_text(text)
        answer = harness("plot", "a.toml", *more)
        assert answer.status == 2
        return str(" ".join(answer.err.split()))

    assert "there are no results to draw" in refused("")
    assert "is not a readable TOML file" in refused("figure = ")
    assert "a.toml: results is a list, each a text, not 'results'" in refused('results = "results"')
    assert "there is nothing at nowhere" in refused('results = ["nowhere"]')
    assert "a TOML file names its own results" in refused("", "b.toml")


def test_every_setting_that_a_figure_takes_is_declared_and_an_option() -> None:
    from harness.cli.plot import command
    from harness.plots.quality import LABELS, quality_figure

    options = {option.name for option in command.params}
    assert {*TAKES} == {*FIGURES, "prediction", "operators"}
    for figure, function in {**FIGURES, "prediction": quality_figure}.items():
        kinds, told = declared(figure), get_type_hints(function)
        shown = () if figure == "prediction" else SHOWN
        assert {*kinds} - {*shown} == {*told} - {"outcomes", "qualities", "return"}
        assert {*kinds} <= options
        for name in {*kinds} - {*shown, "measure"}:
            assert choices(kinds[name]) == choices(told[name])
    assert choices(hints(Settings)["measure"]) == {*LABELS}


def choices(kind: Any) -> set[str]:
    """The words that a type is made of."""
    if get_origin(kind) is Literal:
        return {*get_args(kind)}
    return set[str]().union(*(choices(argument) for argument in get_args(kind)))


def test_options_of_figures_wait_for_no_matplotlib() -> None:
    code = "import sys, harness.cli.plot, harness.cli.run; print({'matplotlib', 'numpy'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "set()\n"


def test_the_figures_of_the_project_are_valid() -> None:
    files = {load(file)["figure"]: load(file) for file in sorted((ROOT / "plots").glob("*.toml"))}
    assert {*files} == {*FIGURES, "prediction"}
    for figure, settings in files.items():
        if figure not in (*OF_TWO, "cells", "prediction"):
            assert draw(studied(), settings).axes


def test_the_figure_of_predictors_is_drawn_by_its_own_commands(harness: Harness) -> None:
    predict, plot = (
        line[len("# harness ") :] for line in (ROOT / "plots/nb201-prediction.toml").read_text().splitlines()[:2]
    )
    quick = predict.replace("gcn,neural,ridge,forest --train 20,50,100,172,344,860", "ridge --train 20,50")
    assert harness(*shlex.split(quick.replace("--seeds 100", "--seeds 2 --processes 1"))).status == 0
    (written,) = load(ROOT / "plots/nb201-prediction.toml")["output"]
    assert harness(*shlex.split(plot.replace("plots/", f"{ROOT}/plots/"))).out == f"{written}\n"
    source = json.loads(Path(written).with_suffix(".json").read_text())
    assert [study["predictor"] for study in source["studies"]] == ["ridge"]
    assert source["figure"]["measure"] == "spearman"
