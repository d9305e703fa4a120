"""`harness verify`, and what names and full disks do to the output."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import ROOT, Answer
from test_damaged_files import samples
from test_report import TRAININGS

import harness as h
from harness import HarnessError
from harness.analysis import quality_store
from harness.analysis.quality import Quality
from harness.files import made
from harness.studies import baseline
from harness.studies.evaluate import evaluate
from harness.studies.outcome import within
from harness.studies.store import STUDIES, read, write
from harness.testing import assert_same
from harness.train import results

Harness = Callable[..., Answer]
QUICK = ("--bench", "nb201", "--seeds", "4", "--budget", "2e5", "--processes", "1")


def test_damage_is_named_and_the_rest_is_whole(harness: Harness) -> None:
    harness("run", "--algo", "rs,re", *QUICK)
    broken, fine = sorted(Path("results").glob("*.parquet"))
    answer = harness("verify", "results")
    assert (answer.status, answer.out) == (0, "")
    assert "2 of 2 files are what was written." in answer.err
    content = bytearray(broken.read_bytes())
    content[300] ^= 4
    broken.write_bytes(content)
    answer = harness("verify", "results")
    assert answer.status == 2
    assert str(broken) in answer.out
    assert str(fine) not in answer.out
    assert "1 of 2 files are damaged" in answer.err
    assert [row["whole"] for row in json.loads(harness("verify", "results", "--json").out)] == [False, True]


def test_results_of_earlier_versions_are_said_to_have_no_digest(harness: Harness) -> None:
    answer = harness("verify", ROOT / "results" / "baseline")
    assert answer.status == 0
    assert "of an earlier version have no digest, and are readable" in answer.err


def test_what_there_is_not(harness: Harness) -> None:
    Path("empty").mkdir()
    harness("verify", "nowhere").refuses("there is nothing at nowhere", "name a folder")
    harness("verify", "empty").refuses("there are no results in empty", "harness run")
    pq.write_table(pa.table({"a": [1]}), "empty/a.parquet")
    assert "a.parquet is nothing that this harness stores" in harness("verify", "empty").out


def test_names_cannot_command_a_terminal_or_a_log(harness: Harness) -> None:
    harness("run", "--algo", "rs", *QUICK)
    (path,) = Path("results").glob("*.parquet")
    table = pq.read_table(path)
    footer = json.loads(table.schema.metadata[b"nas_harness"])
    del footer["digest"]
    footer["reference"]["title"] = "\x1b[2Jgone"
    pq.write_table(table.replace_schema_metadata({"nas_harness": json.dumps(footer)}), path)
    with pytest.raises(HarnessError, match="control characters"):
        read(path)
    answer = harness("show", "a\n::error::b\x1b[2J")
    assert "\x1b" not in answer.err
    assert all(not line.startswith("::") for line in answer.err.splitlines())


def test_output_onto_a_full_disk_is_an_error_however_it_is_buffered(harness: Harness) -> None:
    harness("run", "--algo", "rs,re,ls", *QUICK)
    command = f"ulimit -f 1; {sys.executable} -m harness show results --per-seed --json > out.json"
    for unbuffered in ("", "1"):
        Path("out.json").unlink(missing_ok=True)
        answer = subprocess.run(
            ["bash", "-c", command],
            env={**os.environ, "PYTHONUNBUFFERED": unbuffered, "PYTHONDONTWRITEBYTECODE": "1"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert answer.returncode == 2, answer
        assert "free some space" in answer.stderr


@pytest.fixture
def shifted(harness: Harness) -> tuple[Path, Path]:
    """Two studies that share seeds 1 and 2, with other numbers for seed 2, in two folders."""
    words = ("--algo", "re", "--bench", "nb201", "--budget", "2e5", "--processes", "1")
    harness("run", *words, "--seeds", "0:3", "--out", "one")
    harness("run", *words, "--seeds", "1:5", "--out", "two")
    (first,), (second,) = (sorted(Path(name).glob("*.parquet")) for name in ("one", "two"))
    outcome = read(second)
    later = outcome.trajectory.seed == 1  # the second of its seeds
    write(replace(outcome, val_loss=outcome.val_loss + 1e-9 * later), second)
    return first, second


def test_seeds_with_the_same_numbers_in_two_files_count_once(harness: Harness) -> None:
    words = ("--algo", "re", "--bench", "nb201", "--budget", "2e5", "--processes", "1")
    harness("run", *words, "--seeds", "0:3", "--out", "one")
    harness("run", *words, "--seeds", "1:5", "--out", "two")
    harness("run", *words, "--seeds", "5", "--out", "whole")
    shutil.copytree("one", "copy")
    assert harness("verify", "one", "two", "copy", "whole").status == 0
    there, whole = (
        json.loads(harness("show", *folders, "--json").out) for folders in (("one", "two", "copy"), ("whole",))
    )
    for row in (*there, *whole):
        for name in ("wall_seconds", "cpu_seconds", "evaluations_mean"):  # of a part of a file they are not known
            del row[name]
    assert there == whole
    harness("baseline", "save", "baseline", "one", "copy")
    assert len(baseline.load(Path("baseline"))) == 1


@pytest.mark.parametrize(
    "command",
    [
        "show",
        "plot",
        "compare",
        "report",
        "export summary -o a.csv",
        "validate --algo re",
        "baseline save new",
        "load",
        "verify",
    ],
)
def test_a_seed_with_other_numbers_in_two_files_is_refused(
    harness: Harness, shifted: tuple[Path, Path], command: str
) -> None:
    told = f"{shifted[1]} and {shifted[0]} have different numbers for seed 2 of re on nb201/cifar10"
    if command == "load":
        with pytest.raises(HarnessError, match=told):
            h.load("one", "two")
        with pytest.raises(HarnessError, match=told):
            h.load("one") + h.load("two")
    elif command == "verify":
        answer = harness("verify", "one", "two")
        assert answer.status == 2
        assert answer.out.startswith(f"{shifted[0]} and {shifted[1]} have different numbers for seed 2 of re")
        assert "2 of 2 files have different numbers for the same seeds" in answer.err
    elif command.startswith("validate"):
        trained = Path("one/trained")
        trained.mkdir()
        results.write(TRAININGS[0], results.path(trained, TRAININGS[0].job))
        harness(*command.split(), "one", "two").refuses(told, "keep the file that is right")
    else:
        harness(*command.split(), "one", "two").refuses(told, "keep the file that is right")


def test_what_is_saved_takes_the_place_of_no_other_numbers(shifted: tuple[Path, Path]) -> None:
    loaded = h.load(shifted[1])
    assert loaded.save("two") == [shifted[1]]
    (outcome,) = loaded
    other = type(loaded)([replace(outcome, val_loss=outcome.val_loss + 1)])
    with pytest.raises(HarnessError, match="have different numbers for seed 1 of re"):
        other.save("two")


def test_a_run_takes_no_seed_with_other_numbers_in_two_files(harness: Harness, shifted: tuple[Path, Path]) -> None:
    shutil.copy(shifted[1], "one")
    words = ("--algo", "re", "--bench", "nb201", "--budget", "2e5", "--seeds", "6", "--processes", "1")
    answer = harness("run", *words, "--out", "one")
    assert answer.status == 2
    assert "have different numbers for seed 2 of re on nb201/cifar10" in answer.err


def test_shards_that_overlap_are_joined_once_or_refused(shifted: tuple[Path, Path], tmp_path: Path) -> None:
    """Files of shards, copied by hand, of which each seed counts once."""
    whole = evaluate(replace(read(shifted[0]).study, stop=5), range(5), lambda _: None)
    parts = [part for span in (range(3), range(1, 5)) if (part := within(whole, span)) is not None]
    joined = STUDIES.join(whole.study, parts)
    assert_same(joined.trajectory, replace(whole.trajectory, pace=whole.trajectory.pace[:0]))
    with pytest.raises(HarnessError, match="have different numbers for seed 2"):
        STUDIES.join(whole.study, [read(path) for path in shifted])


def test_trainings_of_one_seed_count_once_or_are_refused(harness: Harness) -> None:
    for folder in ("one", "two"):
        made(Path(folder))
        for training in TRAININGS:
            results.write(training, results.path(Path(folder), training.job))

    def rows(*folders: str) -> list[object]:
        return json.loads(harness("validate", *folders, "--json").out)["trainings"]

    assert rows("one", "two") == rows("one")
    path = results.path(Path("two"), TRAININGS[3].job)
    curve = TRAININGS[3].curve
    results.write(replace(TRAININGS[3], curve=replace(curve, seconds=curve.seconds + 1)), path)
    assert rows("one", "two") == rows("one")
    results.write(replace(TRAININGS[3], curve=replace(curve, val_accuracy=curve.val_accuracy - 0.1)), path)
    harness("validate", "one", "two").refuses(f"{path} have different numbers for seed 888", "a seed has one run")


def _fields(row: Any) -> dict[str, Any]:
    return row._asdict() if hasattr(row, "_asdict") else vars(row)


def _other(kind: str) -> tuple[Any, Any]:
    """A sample of a kind of record with other seconds, if it has some, and one with other numbers."""
    _, result = samples()[kind]
    match kind:
        case "quality":
            timed = {**result.measures, "fit_seconds": result.measures["fit_seconds"] + 1}
            other = {**result.measures, "kendall": result.measures["kendall"] + 1}
            return replace(result, measures=timed), replace(result, measures=other)
        case "training":
            timed, other = (replace(result.curve, **{n: getattr(result.curve, n) + 1}) for n in ("seconds", "lr"))
            return replace(result, curve=timed), replace(result, curve=other)
        case "sharing" | "then":
            later, changed = (
                [type(row)(**{**_fields(row), name: 9.0}) for row in result.rows]
                for name in ("seconds", "train_loss" if kind == "sharing" else "loss")
            )
            return result._replace(rows=later), result._replace(rows=changed)
        case "correlation":
            return result, replace(result, columns={name: values + 1 for name, values in result.columns.items()})
        case "lookup":
            return result, result._replace(predicted=result.predicted + 1)
    raise AssertionError(kind)


ONCE = ("quality", "training", "sharing", "then", "correlation", "lookup")


@pytest.mark.parametrize("kind", ONCE)
def test_a_copy_in_another_folder_counts_once_and_other_numbers_are_refused(
    kind: str, tmp_path: Path, harness: Harness
) -> None:
    form: Any
    form, result = samples()[kind]
    first, second = tmp_path / "one" / "a.parquet", tmp_path / "two" / "b.parquet"

    def read() -> int:
        return len(quality_store.read_once([first, second]) if kind == "quality" else form.read_once([first, second]))

    timed, other = _other(kind)
    for same in (result, timed):
        form.write(result, first)
        form.write(same, second)
        assert read() == 1
        assert "2 of 2 files are what was written." in harness("verify", "one", "two").err
    form.write(other, second)
    with pytest.raises(HarnessError, match=f"{first} and {second} have different numbers for") as raised:
        read()
    answer = harness("verify", first, second)
    assert answer.status == 2
    assert answer.out.splitlines() == [raised.value.message]
    assert "2 of 2 files have different numbers for the same seeds" in answer.err


def test_every_form_with_seeds_is_verified_so() -> None:
    """But for the log of a search, which is written anew after each event: a copy is what was known before."""
    assert {*samples()} == {"study", "search", *ONCE}


def test_predictors_that_differ_in_seeds_only_are_one_study(harness: Harness) -> None:
    words = ("predict", "nb201", "--predictor", "ridge", "--train", "20,50", "--processes", "1")
    for seeds, folder in (("0:3", "one"), ("2:5", "two"), ("5", "whole")):
        harness(*words, "--seeds", seeds, "--out", folder)
    shutil.copytree("one", "copy")
    whole, joined, alone = (
        quality_store.read_once(quality_store.find(map(Path, folders)))
        for folders in (["whole"], ["one", "two", "copy", "one/../one"], ["one", "copy"])
    )
    for measure in ("mse", "spearman", "kendall", "regret", "precision"):
        np.testing.assert_array_equal(whole[0].measures[measure], joined[0].measures[measure])
    assert [len(joined), len(alone)] == [1, 1]
    assert (joined[0].study.id, len(alone[0].seeds)) == (whole[0].study.id, 3)
    for folder in ("one", "two", "copy"):
        harness("run", "--algo", "rs,re", *QUICK, "--out", folder)
    assert harness("report", "one", "two", "copy").status == 0
    page = Path("report.html").read_text()
    assert page.count("<td>ridge</td>") == 2  # a row for each size
    assert "harness plot one two --figure prediction" in page
    assert harness("plot", "one", "two", "copy", "--figure", "prediction", "-o", "a.pdf").status == 0
    (drawn,) = json.loads(Path("a.json").read_text())["studies"]
    assert (drawn["first"], drawn["stop"]) == (0, 5)
    path = next(Path("copy/predictions").glob("*.parquet"))
    (found,) = quality_store.read_once([path])
    quality_store.FORM.write(_other_seed(found), path)
    told = f"{next(Path('one/predictions').glob('*.parquet'))} and {path} have different numbers for seed 1 of ridge"
    for command in ("report", "plot --figure prediction"):
        harness(*command.split(), "one", "copy").refuses(told, "keep the file that is right")


def _other_seed(quality: Quality) -> Quality:
    """With another number for seed 1."""
    changed = quality.measures["mse"] + (quality.seeds == 1)[:, None]
    return replace(quality, measures={**quality.measures, "mse": changed})


def test_a_file_by_several_names_is_checked_once(harness: Harness) -> None:
    harness("run", "--algo", "rs,re", *QUICK)
    Path("link").symlink_to("results")
    one = min(Path("results").glob("*.parquet"))
    Path("file.parquet").symlink_to(one)
    answer = harness("verify", "results", "results", "results/../results", "link", "file.parquet", "--json")
    assert [row["file"] for row in json.loads(answer.out)] == sorted(map(str, Path("results").glob("*.parquet")))
