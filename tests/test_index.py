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

import harness as h
from harness import HarnessError, Rules, registry
from harness.analysis.comparable import comparable
from harness.studies import index
from harness.studies.evaluate import evaluate
from harness.studies.index import INDEX, Stored, stored
from harness.studies.outcome import Outcome, summary, within
from harness.studies.records import JOINED
from harness.studies.selection import Selection, pooled
from harness.studies.store import STUDIES, ResultStore, find, read, write
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
    monkeypatch.setattr(STUDIES, "read", lambda path: pytest.fail(f"{path} was read"))
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


@pytest.fixture
def pieces(made: list[Outcome], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A study of four seeds in four files, and another in one."""
    monkeypatch.setattr(index, "_FEW", 3)
    parts = [part for seed in (2, 0, 3, 1) if (part := within(made[0], range(seed, seed + 1))) is not None]
    for part in [*parts, made[1]]:
        write(part, tmp_path / "pieces" / STUDIES.name(part.study))
    return tmp_path / "pieces"


def joined(folder: Path) -> Outcome:
    """The study of many files, once it is compared with what these hold."""
    found, other = Selection().of(stored(find([folder])))
    plain, _ = pooled([read(path) for path in find([folder])])
    assert [len(found.seeds), len(other.seeds)] == [4, 4]
    assert (found.study, found.reference, found.versions) == (plain.study, plain.reference, plain.versions)
    assert found.cpu_seconds == plain.cpu_seconds > 0
    assert_same(found.trajectory, plain.trajectory)
    np.testing.assert_array_equal(found.seeds, plain.seeds)
    np.testing.assert_array_equal(found.val_loss, plain.val_loss)
    np.testing.assert_array_equal(found.test_loss, plain.test_loss)
    assert summary(found) == summary(plain)
    return found


def kept(folder: Path) -> list[Path]:
    return sorted((folder / JOINED).glob("*"))


def test_a_study_of_many_files_is_kept_as_one(pieces: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    joined(pieces)
    (one,) = kept(pieces)
    read_from = list[Path]()

    def noted(path: Path) -> Outcome:
        read_from.append(path)
        return read(path)

    monkeypatch.setattr(index, "read", noted)
    found = joined(pieces)
    assert read_from == [one]
    assert_same(pickle.loads(pickle.dumps(found)).trajectory, found.trajectory)
    read_from.clear()
    assert Selection(budget=50001).of(stored(find([pieces])))[0].trajectory.time.size
    assert read_from == [next(path for path in find([pieces]) if read(path).study.rules.budget == 50001)]


@pytest.mark.parametrize("damage", ["bit", "cut", "other", "folder", "gone"])
def test_what_is_kept_of_it_is_made_anew(pieces: Path, damage: str) -> None:
    joined(pieces)
    (one,) = kept(pieces)
    content = bytearray(one.read_bytes())
    other = next(path for path in find([pieces]) if read(path).study.rules.budget == 50001)
    if damage in ("gone", "folder"):
        one.unlink()
    if damage == "folder":
        one.mkdir()
    elif damage != "gone":
        content[300] ^= 4
        one.write_bytes({"bit": bytes(content), "cut": b"PAR1", "other": other.read_bytes()}[damage])
    joined(pieces)
    assert kept(pieces) == [one]
    assert damage == "folder" or read(one).seeds.tolist() == [0, 1, 2, 3]


def test_a_study_one_file_of_which_changed_is_joined_anew(pieces: Path, made: list[Outcome]) -> None:
    joined(pieces)
    before = kept(pieces)
    path = next(path for path in find([pieces]) if read(path).study.first == 2)
    part = within(made[0], range(2, 3))
    assert part is not None
    write(replace(part, val_loss=part.val_loss + 1), path)
    found = joined(pieces)
    assert found.val_loss[found.trajectory.seed == 2].min() > 1
    assert len(kept(pieces)) == 1
    assert kept(pieces) != before


def test_files_that_share_seeds_or_are_apart_are_not_kept_as_one(pieces: Path, made: list[Outcome]) -> None:
    beside = pieces.with_name("beside")
    beside.mkdir()
    moved = next(path for path in find([pieces]) if read(path).study.first == 2)
    moved.rename(beside / moved.name)
    found, _ = Selection().of(stored(find([pieces, beside])))
    plain, _ = pooled([read(path) for path in find([pieces, beside])])
    assert_same(found.trajectory, plain.trajectory)
    assert kept(pieces) == kept(beside) == []
    (beside / moved.name).rename(moved)
    several = within(made[0], range(2))
    assert several is not None
    write(several, pieces / "several.parquet")
    joined(pieces)
    assert kept(pieces) == []


def test_a_folder_that_cannot_be_written_keeps_none(pieces: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("harness.files.claimed", full)
    joined(pieces)
    assert kept(pieces) == []


def test_what_is_kept_is_no_result(pieces: Path, harness: Harness) -> None:
    before = [harness(*words) for words in (("show", pieces, "--json"), ("verify", pieces))]
    assert len(kept(pieces)) == 1
    assert [harness(*words) for words in (("show", pieces, "--json"), ("verify", pieces))] == before
    assert len(find([pieces])) == 5


def test_what_a_killed_command_left_of_it_is_swept_by_the_next(pieces: Path) -> None:
    joined(pieces)
    (one,) = kept(pieces)
    (pieces / JOINED / f".{one.name}.0123456789abcdef.tmp").touch()
    ResultStore(pieces)
    assert [*(pieces / JOINED).iterdir()] == [one]


def test_load_reads_what_is_wanted(pieces: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = h.load(pieces).summary()
    monkeypatch.setattr(index, "read", lambda path: pytest.fail(f"{path} was read"))
    found = h.load(pieces, budget=50001)
    assert found.summary().equals(plain[plain["study"].isin([found.outcomes[0].study.id])].reset_index(drop=True))
