"""The index of a folder of many studies: it makes listing them fast, and cannot make them wrong."""

from __future__ import annotations

import json
import os
import pickle
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conftest import Answer

from harness import HarnessError, Rules, registry
from harness.analysis.comparable import comparable
from harness.studies import index
from harness.studies.evaluate import evaluate
from harness.studies.index import INDEX, Stored, stored
from harness.studies.outcome import Outcome, summary
from harness.studies.store import STUDIES, find, read, write
from harness.studies.study import Study
from harness.testing import assert_same

Harness = Callable[..., Answer]


@pytest.fixture(scope="module")
def made() -> list[Outcome]:
    """Five studies of one run, which differ in their budget, and one with holes in its seeds."""
    study = Study.plan(registry.benchmark("nb201"), "re", {}, 0, 4, Rules(budget=5e4))
    whole = evaluate(study, range(4), lambda _: None)
    return [replace(whole, study=replace(study, rules=Rules(budget=5e4 + i))) for i in range(6)]


@pytest.fixture
def folder(made: list[Outcome], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(index, "_FEW", 3)
    for outcome in made:
        write(outcome, tmp_path / "results" / STUDIES.name(outcome.study))
    return tmp_path / "results"


def same(folder: Path) -> list[Outcome]:
    """What is stored, once it is compared with what the files hold."""
    found = stored(find([folder]))
    for mine, path in zip(found, find([folder]), strict=True):
        theirs = read(path)
        assert (mine.study, mine.study.id, mine.reference) == (theirs.study, theirs.study.id, theirs.reference)
        np.testing.assert_array_equal(mine.seeds, theirs.trajectory.seeds)
        assert summary(mine) == summary(theirs)
        assert (mine.label, mine.seeds_without) == (theirs.label, theirs.seeds_without)
        assert mine.cpu_seconds == theirs.cpu_seconds > 0
        assert_same(mine.trajectory, theirs.trajectory)
        np.testing.assert_array_equal(mine.val_loss, theirs.val_loss)
    return found


def test_files_are_read_once_and_then_when_more_is_wanted(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not any(isinstance(outcome, Stored) for outcome in same(folder))
    assert all(isinstance(outcome, Stored) for outcome in same(folder))
    monkeypatch.setattr(index, "read", lambda path: pytest.fail(f"{path} was read"))
    found = stored(find([folder]))
    assert [summary(outcome)["val_regret_mean"] for outcome in found]
    ((kept,), told) = comparable(found, paired=False)
    assert len(told) == 5
    monkeypatch.undo()
    assert replace(kept, name="x").label == "x"
    assert_same(pickle.loads(pickle.dumps(kept)).trajectory, kept.trajectory)


@pytest.mark.parametrize("damage", ["cut", "bit", "empty", "foreign", "digest", "folder"])
def test_a_damaged_index_is_made_anew(folder: Path, damage: str) -> None:
    same(folder)
    path = folder / INDEX
    content = bytearray(path.read_bytes())
    if damage == "folder":
        path.unlink()
        path.mkdir()
    else:
        at = content.index(b"val_regret_mean") + 22
        content[at] ^= 1
        broken: dict[str, bytes] = {
            "cut": bytes(content[: at // 2]),
            "bit": bytes(content),
            "empty": b"",
            "foreign": b"\xff\n{}",
        }
        path.write_bytes(broken.get(damage, b"0" * 64 + b"\n" + json.dumps({"a": 1}).encode()))
    assert not any(isinstance(outcome, Stored) for outcome in same(folder))
    assert all(isinstance(outcome, Stored) for outcome in same(folder)) == (damage != "folder")


def test_an_index_of_other_code_is_made_anew(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    same(folder)
    monkeypatch.setattr(index, "_code", lambda: "of tomorrow")
    assert not any(isinstance(outcome, Stored) for outcome in same(folder))


def test_a_changed_file_is_read_again_whatever_its_times_say(folder: Path, made: list[Outcome]) -> None:
    same(folder)
    first, second, third, *_ = find([folder])
    before = first.stat()
    first.write_bytes(second.read_bytes())
    os.utime(first, ns=(before.st_atime_ns, before.st_mtime_ns))
    third.unlink()
    write(replace(made[0], study=replace(made[0].study, params={"population": 7})), folder / "new.parquet")
    kinds = {outcome.study.id: type(outcome) for outcome in same(folder)}
    assert [*kinds.values()].count(Stored) == 4
    content = bytearray(second.read_bytes())
    content[300] ^= 4
    second.write_bytes(content)
    with pytest.raises(HarnessError, match=second.name):
        stored(find([folder]))


def test_a_file_that_goes_after_it_was_listed_is_missed_by_name(folder: Path) -> None:
    same(folder)
    found = stored(find([folder]))
    (gone := find([folder])[0]).unlink()
    with pytest.raises(HarnessError, match=gone.name):
        _ = found[0].trajectory


def test_a_folder_that_cannot_be_written_has_none(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("harness.files.claimed", full)
    same(folder)
    assert not (folder / INDEX).exists()


def test_commands_say_the_same_with_an_index(
    folder: Path, made: list[Outcome], harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = [("show", folder), ("show", folder, "--json"), ("show", folder, "--budget", "50001", "--per-seed")]
    words += [("verify", folder), ("show", folder, "--at", "1e4"), ("show", folder, "--seeds", "1:3")]
    before = [harness(*command) for command in words]
    assert (folder / INDEX).exists()
    assert [harness(*command) for command in words] == before
    for name in ("plain.html", "indexed.html"):
        if name == "plain.html":
            (folder / INDEX).unlink()
        assert harness("report", folder, "-o", name).status == 0
        assert (folder / INDEX).exists()
    assert Path("plain.html").read_text() == Path("indexed.html").read_text()
    harness("plot", folder, "-o", "a.png")
    assert Path("a.png").exists()
    monkeypatch.setattr("harness.plots.spec.MOST", 2)
    for i in range(3):
        study = replace(made[0].study, params={**made[0].study.params, "population": 10 + i})
        write(replace(made[0], study=study), folder / f"{i}.parquet")
    harness("plot", folder, "--budget", "50000").refuses("cannot tell 4 studies on nb201/cifar10 apart", "--algo")


def test_many_rows_are_laid_out_as_few_are(folder: Path, harness: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
    few = harness("show", folder).out
    monkeypatch.setattr("harness.report.tables.MANY", 2)
    many = harness("show", folder).out
    assert [line.split() for line in many.splitlines() if "─" not in line] == [
        line.split() for line in few.splitlines() if "─" not in line
    ]
