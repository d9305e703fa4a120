"""Every reader of files, fuzzed for a bounded time: the written numbers or one sentence with the file's name."""

from __future__ import annotations

import builtins
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_report import quality, training

from harness import HarnessError, Rules, registry, toml
from harness.analysis import quality_store
from harness.benchmarks import embedded, imported
from harness.sharing import correlate, lookup, then
from harness.sharing import log as sharing_log
from harness.sharing.search import Derived, Row, SharedSearch
from harness.spaces.architecture import Architecture
from harness.studies.evaluate import evaluate
from harness.studies.records import Form
from harness.studies.store import STUDIES
from harness.studies.study import Study
from harness.train import checkpoint, image_files, recipes, results, search_log
from harness.train import images as image_sets

BOUNDED = settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@cache
def shared() -> SharedSearch:
    recipe = recipes.chosen(None, "nb201", "digits", 2)
    return SharedSearch.plan(
        "digits201",
        "gdas",
        {},
        image_sets.load("digits", None, recipe, torch.device("cpu")),
        recipe,
        "fp32",
        "batch",
        0,
    )


@cache
def samples() -> dict[str, tuple[Form[Any, Any], Any]]:
    """A result of every form of record."""
    study = evaluate(Study.plan(registry.benchmark("nb201"), "re", {}, 0, 4, Rules(budget=2e4)))
    event = search_log.Event("tell", 0, (0, 1, 2), 2, "|a~0|", 1.5, 0.2, 1.0)
    found = Derived((0, 1, 2, 0, 1, 2), "a", 0.7, 0.8)
    row = Row(1, 2.0, 0.5, 1.2, 0.4, found, None, ((0.5, 0.5), (0.1, 0.9)))
    setting = correlate.Setting("digits201/digits", "0", 2, 3, "batch", 8, 5)
    columns = {name: np.array([0.1, 0.2, 0.3]) for name in (*correlate.PREDICTORS, "val", "test")}
    codes = np.array([[0, 1, 2, 0, 1, 2]] * 3)
    correlation = correlate.Correlation(
        shared(), setting, codes, np.array([1, 0, 0]), columns, {"val": (0.1, 0.2, 0.3), "test": (0.1, 0.2, 0.3)}
    )
    kept = lookup.Kept("0123456789ab", np.arange(4), np.linspace(0, 1, 4))
    score = then.Score(1.5, 60, (0, 1, 2, 0, 1, 2), 0.7, 0.8)
    scores = then.Scores(then.Sequel(shared(), "re", {}, "0", 200), 2.0, [score, score])
    return {
        "study": (STUDIES, study),
        "quality": (quality_store.FORM, quality("ridge", 0.5)),
        "training": (results.FORM, training(3, 0.8, 0.7)),
        "search": (search_log.FORM, search_log.Log({"space": "nb201"}, [event, event])),
        "sharing": (sharing_log.FORM, sharing_log.Log(shared(), [row])),
        "correlation": (correlate.FORM, correlation),
        "lookup": (lookup.FORM, kept),
        "then": (then.FORM, scores),
    }


def numbers(form: Form[Any, Any], result: Any) -> str:
    """All that a result holds."""
    id_, columns, footer = form.pack(result)
    table = pa.table({name: pa.array(columns[name], form.columns.field(name).type) for name in form.columns.names})
    return repr((id_, [column.to_pylist() for column in table.columns], json.dumps(footer, sort_keys=True)))


@st.composite
def damages(draw: st.DrawFn) -> Callable[[bytes], bytes]:
    """A bit flipped, the end cut off, a piece left out, doubled or moved, or some of it overwritten."""
    kind = draw(st.sampled_from(["flip", "cut", "gap", "double", "swap", "zero", "foreign"]))
    one, other = sorted((draw(st.floats(0, 1)), draw(st.floats(0, 1))))
    bit, noise = draw(st.integers(0, 7)), draw(st.binary(max_size=40))

    def damage(content: bytes) -> bytes:
        a, b = int(one * (len(content) - 1)), int(other * (len(content) - 1))
        return {
            "flip": content[:a] + bytes([content[a] ^ 1 << bit]) + content[a + 1 :],
            "cut": content[:a],
            "gap": content[:a] + content[b:],
            "double": content[:b] + content[a:],
            "swap": content[b:] + content[a:b] + content[:a],
            "zero": content[:a] + bytes(b - a) + content[b:],
            "foreign": content[:a] + noise + content[a + len(noise) :],
        }[kind]

    return damage


@contextmanager
def nothing_runs() -> Iterator[None]:
    """What a file could make a reader call fails the test."""

    def called(*given: object, **_: object) -> None:
        pytest.fail(f"a file made its reader call something: {given}")

    with pytest.MonkeyPatch.context() as patch:
        for owner, name in ((os, "system"), (os, "popen"), (builtins, "input"), (os, "execv"), (os, "fork")):
            patch.setattr(owner, name, called)
        yield


@contextmanager
def answered(named: str) -> Iterator[None]:
    """Whatever is raised meanwhile is one sentence that names the file, and nothing runs."""
    said = ""
    with nothing_runs():
        try:
            yield
        except HarnessError as error:
            said = error.message
    assert not said or (named in said and "\n" not in said)


def holds(read: Callable[[], str], written: str, named: str) -> None:
    """The written numbers, or a sentence that names the file."""
    with answered(named):
        assert read() == written


@pytest.mark.parametrize("kind", samples())
@BOUNDED
@given(damage=damages())
def test_records(kind: str, damage: Callable[[bytes], bytes], tmp_path: Path) -> None:
    form, result = samples()[kind]
    path = tmp_path / "a.parquet"
    form.write(result, path)
    path.write_bytes(damage(path.read_bytes()))
    holds(lambda: numbers(form, form.read(path)), numbers(form, result), str(path))
    assert form.is_one(path) in (True, False)


_STRANGE: list[Any] = [None, True, -1, 1e300, "x", "", [], {}, [[]], 2**70, [None], {"a": {}}]


@st.composite
def changes(draw: st.DrawFn) -> Callable[[pa.Table], pa.Table]:
    """A column missing, exchanged with another, of another type or length; a field of the footer gone or strange."""
    kind = draw(st.sampled_from(["drop", "swap", "cast", "more", "empty", "gone", "strange"]))
    i, j, strange = draw(st.integers(0, 50)), draw(st.integers(0, 50)), draw(st.sampled_from(_STRANGE))

    def places(data: Any) -> Iterator[tuple[Any, Any]]:
        for key in [*data] if isinstance(data, dict) else range(min(3, len(data))):
            yield data, key
            if isinstance(data[key], dict | list):
                yield from places(data[key])

    def change(table: pa.Table) -> pa.Table:
        (key,) = table.schema.metadata
        said = json.loads(table.schema.metadata[key])
        del said["digest"]
        names = table.column_names
        a, b = names[i % len(names)], names[j % len(names)]
        if kind == "drop":
            table = table.drop_columns([a])
        elif kind == "swap":
            table = table.rename_columns([{a: b, b: a}.get(name, name) for name in names])
        elif kind == "cast":
            table = table.set_column(i % len(names), a, pa.array([str(v) for v in table[a].to_pylist()]))
        elif kind == "more":
            table = table.append_column("more", table[a])
        elif kind == "empty":
            table = table.slice(0, 0)
        else:
            found = [*places(said)]
            where, field = found[(i * 51 + j) % len(found)]
            if kind == "gone":
                del where[field]
            else:
                where[field] = strange
        return table.replace_schema_metadata({key: json.dumps(said)})

    return change


@pytest.mark.parametrize("kind", samples())
@BOUNDED
@given(change=changes())
def test_records_of_another_form(kind: str, change: Callable[[pa.Table], pa.Table], tmp_path: Path) -> None:
    """Without a digest, as earlier versions wrote them: what cannot be told from numbers is read, nothing crashes."""
    form, result = samples()[kind]
    path = tmp_path / "a.parquet"
    form.write(result, path)
    pq.write_table(change(pq.read_table(path)), path)
    with answered(str(path)):
        form.read(path)


@cache
def _checkpoint(path: Path) -> tuple[results.Job, bytes]:

    recipe = recipes.chosen(None, "nb201", "digits", 2)
    job = results.Job(
        Architecture("nb201", "|none~0|+|none~0|none~1|+|none~0|none~1|none~2|"), "digits", "0", recipe, 1
    )
    checkpoint.save(path, job, {"rows": [[0.1]], "network": {"w": torch.arange(9.0)}})
    return job, path.read_bytes()


@BOUNDED
@given(damage=damages(), bare=st.booleans())
def test_checkpoints(damage: Callable[[bytes], bytes], bare: bool, tmp_path: Path) -> None:
    """Also those of earlier versions, `bare`, which have no checksum."""

    path = tmp_path / "a.pt"
    job, whole = _checkpoint(path)
    path.write_bytes(damage(whole[checkpoint.HEAD :] if bare else whole))
    seen = "9.0 of [[0.1]]"

    def read() -> str:
        state = checkpoint.load(path, job, torch.device("cpu"))
        return f"{len(state['network']['w'])}.0 of {state['rows']}"

    if bare:
        with answered(str(path)):
            checkpoint.load(path, job, torch.device("cpu"))
    else:
        holds(read, seen, str(path))


ARRAYS = {"loss": np.arange(12.0).reshape(3, 4), "codes": np.arange(3, dtype=np.int8)}


@BOUNDED
@given(damage=damages(), which=st.sampled_from(["loss.npy", "codes.npy", "about.json"]))
def test_stored_tables(damage: Callable[[bytes], bytes], which: str, data_folder: Path) -> None:
    imported.save("t", ARRAYS, {})
    (file,) = imported.path("t").glob(which if which.endswith("npy") else "*.json")
    file.write_bytes(damage(file.read_bytes()))
    stamp = imported.path("t") / imported.VERIFIED
    stamp.unlink(missing_ok=True)

    def read() -> str:
        arrays = imported.load("t", "nb101").arrays
        return repr({name: arrays[name].tolist() for name in sorted(arrays)})

    holds(read, repr({name: ARRAYS[name].tolist() for name in sorted(ARRAYS)}), "t")


@BOUNDED
@given(damage=damages())
def test_caches_of_embedded_tables(damage: Callable[[bytes], bytes], tmp_path: Path) -> None:
    """A broken one is as none."""
    path = tmp_path / "a.npz"
    embedded.save(path, {"a": np.arange(5), "b": np.linspace(0, 1, 7)})
    path.write_bytes(damage(path.read_bytes()))
    with nothing_runs():
        found = embedded.load(path)
    assert found is None or {name: array.tolist() for name, array in found.items()} == {
        "a": [*range(5)],
        "b": np.linspace(0, 1, 7).tolist(),
    }


@BOUNDED
@given(damage=damages())
def test_archives_of_images(damage: Callable[[bytes], bytes], tmp_path: Path) -> None:
    """They have no digest but the sums of zip; what is read has the form that is asked for."""
    path = tmp_path / "a.npz"
    pixels, labels = np.zeros((4, 2, 2, 3), np.uint8), np.array([0, 1, 0, 1])
    np.savez(path, x_train=pixels, y_train=labels, x_test=pixels[:2], y_test=labels[:2])
    path.write_bytes(damage(path.read_bytes()))
    with answered(str(path)):
        assert image_files.read_npz(path).train[0].shape[1:] == (2, 2, 3)


@pytest.mark.parametrize(
    "arrays",
    [
        {"x_train": np.zeros((0, 2, 2, 3), np.uint8), "y_train": np.zeros(0, int)},
        {"y_train": np.array(["a", "b", "c", "d"])},
        {"y_train": np.array([0.5, np.nan, 1, 2])},
        {"x_test": np.zeros((1, 2, 2, 3), np.uint8)},
        {"y_train": np.array([None, 1, 2, 3], dtype=object)},
    ],
)
def test_archives_of_other_images(arrays: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    pixels, labels = np.zeros((4, 2, 2, 3), np.uint8), np.array([0, 1, 0, 1])
    np.savez(path, **{"x_train": pixels, "y_train": labels, "x_test": pixels[:2], "y_test": labels[:2], **arrays})
    with pytest.raises(HarnessError, match=r"a\.npz"):
        image_files.read_npz(path)


RECIPE = 'title = "a"\nsource = "b"\nseeds = 3\n[[studies]]\nalgo = ["rs"]\nbench = ["nb201"]\nevals = 3\n'
TABLE = 'name = "t"\ntitle = "T"\nfile = "t.csv"\nloss = "loss"\n[parameters]\na = "ordinal"\n'


@BOUNDED
@given(damage=damages(), text=st.sampled_from([RECIPE, TABLE]))
def test_toml(damage: Callable[[bytes], bytes], text: str, tmp_path: Path) -> None:
    from harness.analysis import reproduction
    from harness.benchmarks import own_convert

    path = tmp_path / "a.toml"
    (tmp_path / "t.csv").write_text("a,loss\n1,0.5\n2,0.25\n")
    path.write_bytes(damage(text.encode()))
    for read in (
        lambda: toml.read(path, "mend it."),
        lambda: reproduction.load(path),
        lambda: [*own_convert.convert([path], lambda _done, _total: None)],
    ):
        with answered(""):
            read()


def test_deep_toml_is_a_sentence(tmp_path: Path) -> None:
    path = tmp_path / "a.toml"
    for text in ("a = " + "[" * 5_000, "a." * 3_000 + "b = 1", "a = " + "{b = " * 5_000):
        path.write_text(text)
        with pytest.raises(HarnessError, match=r"a\.toml"):
            toml.read(path, "mend it.")
