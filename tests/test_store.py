"""Results on disk: round trips, whole or absent, and files that are not ours."""

from __future__ import annotations

import json
import math
import os
import resource
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import Answer

from harness import HarnessError, Rules
from harness.studies.evaluate import evaluate
from harness.studies.outcome import Outcome, moments, per_seed_rows, summary
from harness.studies.store import ResultStore, find, read, write
from harness.studies.study import Study
from harness.testing import assert_same, synthetic_table

TABLE = synthetic_table(3)


def outcome(first: int = 0, stop: int = 6, cpu: float = 1.25, **rules: Any) -> Outcome:
    settings = Rules(**{"budget": 60.0, "log": "all", **rules})
    study = Study.plan(TABLE, "rs", {}, 0, 6, settings)
    found = evaluate(study, range(first, stop), table=TABLE)
    return replace(found, wall_seconds=1.5, versions={"numpy": "2"}, cpu_seconds=cpu)


def same(a: Outcome, b: Outcome) -> None:
    assert_same(a.trajectory, b.trajectory)
    np.testing.assert_array_equal(a.val_loss, b.val_loss)
    np.testing.assert_array_equal(a.test_loss, b.test_loss)
    assert (a.study, a.reference, a.wall_seconds, a.versions) == (b.study, b.reference, b.wall_seconds, b.versions)
    assert a.cpu_seconds == b.cpu_seconds or (math.isnan(a.cpu_seconds) and math.isnan(b.cpu_seconds))
    assert a.study.id == b.study.id


@pytest.mark.parametrize("rules", [{}, {"log": "incumbents"}, {"budget": math.inf, "evals": 5}, {"budget": 0.01}])
def test_what_is_read_is_what_was_written(tmp_path: Path, rules: dict[str, Any]) -> None:
    written = outcome(**rules)
    write(written, tmp_path / "a.parquet")
    same(read(tmp_path / "a.parquet"), written)


def test_a_file_of_an_earlier_version_has_no_seconds_of_processors(tmp_path: Path) -> None:
    written = outcome(cpu=math.nan)
    write(written, tmp_path / "a.parquet")
    assert b"cpu_seconds" not in pq.read_schema(tmp_path / "a.parquet").metadata[b"nas_harness"]
    same(read(tmp_path / "a.parquet"), written)


def test_a_file_is_plain_to_other_readers(tmp_path: Path) -> None:
    written = outcome()
    write(written, tmp_path / "a.parquet")
    table = pq.read_table(tmp_path / "a.parquet")
    assert {str(t) for t in table.schema.types} <= {"int64", "double", "bool"}
    assert table.column_names == [
        "seed", "time", "evaluation", "row", "fidelity", "repeat", "loss", "incumbent", "val_loss", "test_loss",
    ]  # fmt: skip
    assert set(table["fidelity"].to_pylist()) == {9}
    valid = np.array(table["row"]) >= 0
    mean = TABLE.mean_loss[np.array(table["row"])[valid], -1]
    np.testing.assert_array_equal(np.array(table["val_loss"])[valid], mean)


def test_shards_join_to_the_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.studies.study.SHARD", 4)
    store, whole = ResultStore(tmp_path / "new" / "results"), outcome()
    study = whole.study
    assert store.missing(study) == [range(4), range(4, 6)]
    store.add(outcome(4, 6))
    assert store.missing(study) == [range(4)]
    assert not store.complete(study)
    store.add(outcome(0, 4))
    store.finish(study)
    path = store.path(study)
    assert store.complete(study)
    same(read(path), replace(whole, wall_seconds=3.0, cpu_seconds=2.5))
    assert [p.name for p in store.folder.iterdir()] == [path.name]


def test_identity_is_everything_that_changes_numbers() -> None:
    base = outcome().study
    changes: list[dict[str, Any]] = [{k: "x"} for k in ("benchmark", "table", "algorithm", "source")]
    others = [replace(base, **change) for change in changes]
    others += [replace(base, first=1), replace(base, stop=7), replace(base, engine=2), replace(base, params={"a": 1})]
    rules: dict[str, Any] = {
        "workers": 2, "budget": 61.0, "evals": 5, "overhead": 1.0, "noise": "mean", "incumbent": "any",
        "log": "incumbents",
    }  # fmt: skip
    others += [replace(base, rules=replace(base.rules, **{name: value})) for name, value in rules.items()]
    assert len({s.id for s in [base, *others]}) == len(others) + 1
    for study in [base, *others]:
        assert Study.from_json(json.loads(json.dumps(study.to_json()))).id == study.id


def test_identity_is_the_same_whatever_was_planned_before() -> None:
    """In a process of its own, where nothing has imported the predictors' modules yet."""
    code = (
        "from harness import Rules, registry\nfrom harness.studies.study import Study\n"
        "table, rules = registry.benchmark('nb201'), Rules(evals=300)\n"
        "ids = [Study.plan(table, name, {}, 0, 1, rules).id for name in ('npred', 'gpnas', 'npred')]\n"
        "assert ids[0] == ids[2], ids\n"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stderr


@contextmanager
def small_files(size: int) -> Iterator[None]:
    """No file of this process can grow beyond `size` bytes: what a full disk looks like to a writer."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_disk_leaves_nothing_behind(tmp_path: Path) -> None:
    store = ResultStore(tmp_path)
    with small_files(1000), pytest.raises(HarnessError, match=r"cannot write to .* finished shards are kept"):
        store.add(outcome())
    assert [p for p in tmp_path.rglob("*") if p.is_file()] == []


def test_a_file_cannot_be_the_folder(tmp_path: Path) -> None:
    (tmp_path / "results").write_text("")
    with pytest.raises(HarnessError, match="is a file, not a folder"):
        ResultStore(tmp_path / "results")
    with pytest.raises(HarnessError, match="cannot write to"):
        ResultStore(tmp_path / "results" / "below")


def test_a_folder_without_permission_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Root may write everywhere, so what the system answers is put in its mouth."""
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with pytest.raises(HarnessError, match="is not writable"):
        ResultStore(tmp_path)


def _truncated(path: Path) -> str:
    write(outcome(), path)
    path.write_bytes(path.read_bytes()[:500])
    return "is not a study of an algorithm, or is broken"


def _foreign(path: Path) -> str:
    pq.write_table(pa.table({"a": [1]}), path)
    return "is not a study of an algorithm: it has no footer of this harness"


def _text(path: Path) -> str:
    path.write_text("hello")
    return "is not a study of an algorithm, or is broken"


def _other_schema(path: Path) -> str:
    write(outcome(), path)
    table = pq.read_table(path)
    footer = json.loads(table.schema.metadata[b"nas_harness"])
    footer["schema"] = 99
    pq.write_table(table.replace_schema_metadata({"nas_harness": json.dumps(footer)}), path)
    return "results of schema 99; this version reads schema 1"


def _changed(path: Path, column: str | None = None, **footer: Any) -> None:
    """Another process wrote something like a study to `path`, without a digest."""
    write(outcome(), path)
    table = pq.read_table(path)
    said = json.loads(table.schema.metadata[b"nas_harness"])
    del said["digest"]
    said |= footer
    if column is not None:
        at = table.column_names.index(column)
        table = table.set_column(at, column, table.column(column).cast(pa.float32()))
    pq.write_table(table.replace_schema_metadata({"nas_harness": json.dumps(said)}), path)


def _typed(path: Path) -> str:
    _changed(path, "loss")
    return "the column 'loss' of .* is float, expected double"


def _footed(path: Path) -> str:
    _changed(path, wall_seconds="long")
    return "the footer of .*wall_seconds is a number, not 'long'"


def _of_tomorrow(path: Path) -> str:
    _changed(path, mood="good")
    return "unknown field of the footer of .* 'mood'"


def _renamed(path: Path) -> str:
    _changed(path, id="0123456789ab")
    return "calls itself 0123456789ab, but holds"


def _ruled(path: Path) -> str:
    study = outcome().study.to_json()
    _changed(path, study={**study, "rules": {**study["rules"], "workers": 0}})
    return "holds what there cannot be: the study.rules.workers is a whole number of at least 1"


def _seeded(path: Path) -> str:
    _changed(path, per_seed={"seeds": [90] * 6, "evaluations": [1] * 6, "ended": [1.0] * 6, "finished": [True] * 6})
    return "its column 'seed' has values that its footer does not name"


@pytest.mark.parametrize(
    "make", [_typed, _footed, _of_tomorrow, _renamed, _ruled, _seeded, _truncated, _foreign, _text, _other_schema]
)
def test_files_that_are_not_results_are_named(tmp_path: Path, make: Any) -> None:
    path = tmp_path / "x.parquet"
    with pytest.raises(HarnessError, match=make(path)) as caught:
        read(path)
    assert str(path) in caught.value.message
    assert caught.value.hint


def test_files_without_a_digest_are_read(tmp_path: Path) -> None:
    """Those of earlier versions have none."""
    _changed(tmp_path / "a.parquet")
    same(read(tmp_path / "a.parquet"), outcome())


def test_no_flipped_bit_changes_a_number(tmp_path: Path) -> None:
    path, written = tmp_path / "a.parquet", outcome()
    write(written, path)
    content, rng = path.read_bytes(), np.random.default_rng(1)
    refused = 0
    for at in rng.choice(len(content) * 8, 150, replace=False).tolist():
        broken = bytearray(content)
        broken[at // 8] ^= 1 << at % 8
        path.write_bytes(broken)
        try:
            same(read(path), written)
        except HarnessError:
            refused += 1
    assert refused > 75


def test_find(tmp_path: Path) -> None:
    with pytest.raises(HarnessError, match="nothing at"):
        find([tmp_path / "no"])
    with pytest.raises(HarnessError, match="no finished study in"):
        find([tmp_path])
    for name in ("b.parquet", "deep/a.parquet", "baseline/c.parquet", ".unfinished/id/0-1.parquet", "note.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert find([tmp_path]) == [tmp_path / "b.parquet", tmp_path / "deep/a.parquet"]
    assert find([tmp_path / "baseline"]) == [tmp_path / "baseline" / "c.parquet"]
    assert find([tmp_path / "b.parquet", tmp_path]) == [tmp_path / "b.parquet", tmp_path / "deep/a.parquet"]


def test_incumbents_are_step_functions() -> None:
    run = outcome().trajectory
    at = run.at(np.array([0.0, 20.0, 60.0]))
    for s in range(6):
        for time, found in zip((0.0, 20.0, 60.0), at[s], strict=True):
            held = [i for i in np.flatnonzero(run.seed == s) if run.time[i] <= time and run.incumbent[i]]
            assert found == (held[-1] if held else -1)
    stamp = run.time[run.incumbent][3]
    before, on = run.at(np.array([np.nextafter(stamp, 0), stamp]))[run.seed[run.incumbent][3]]
    assert before != on


def test_summaries_are_the_means_of_the_per_seed_rows() -> None:
    result = outcome()
    for time in (None, 30.0, 60.0):
        row, seeds = summary(result, time), per_seed_rows(result, time)
        regrets = [r["val_regret"] for r in seeds]
        assert row["val_regret_mean"] == pytest.approx(np.mean(regrets))
        assert row["val_regret_sem"] == pytest.approx(np.std(regrets, ddof=1) / 6**0.5)
        assert row["val_loss_mean"] == pytest.approx(np.mean([r["val_loss"] for r in seeds]))
        test = np.mean([r["test_loss"] for r in seeds])
        assert row["test_regret_mean"] == pytest.approx(test - TABLE.test_optimum.value)  # type: ignore[union-attr]
        told = result.trajectory.time <= (time or 60.0)
        assert row["evaluations_mean"] == told.sum() / 6
        assert row["time"] == (time or 60.0)
        assert min(regrets) >= 0
        for r in seeds:
            assert TABLE.mean_loss[r["row"], -1] == r["val_loss"]


def test_before_every_seed_has_a_result_there_is_no_mean() -> None:
    found = outcome()
    row, free = summary(found, 1e-6), found.trajectory.time <= 1e-6
    assert row["val_regret_mean"] is row["val_regret_sem"] is row["val_loss_mean"] is None
    assert row["evaluations_mean"] == free.sum() / 6
    assert per_seed_rows(outcome(), 1e-6)[0]["row"] is None


def test_one_seed_has_a_mean_but_no_error() -> None:
    mean, sem = moments(np.array([[1.0, 2.0]]))
    np.testing.assert_array_equal(mean, [1, 2])
    assert np.isnan(sem).all()


def test_a_run_without_budget_ends_with_its_last_result() -> None:
    result = outcome(budget=math.inf, evals=5)
    assert result.end == result.trajectory.ended.max()
    assert summary(result)["budget"] is None


def test_a_pipe_among_results_is_named_and_not_waited_for(tmp_path: Path, harness: Callable[..., Answer]) -> None:
    os.mkfifo(tmp_path / "a.parquet")
    os.mkfifo(tmp_path / "b.pt")
    for command in ("show", "report"):
        harness(command, tmp_path).refuses("a.parquet cannot be read: it is no file", "")
    assert [line.split("/")[-1] for line in harness("verify", tmp_path).out.splitlines()] == [
        f"{name} cannot be read: it is no file, but a folder, a pipe or a device." for name in ("a.parquet", "b.pt")
    ]
