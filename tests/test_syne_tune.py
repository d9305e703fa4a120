"""Folders of Syne Tune's blackbox repository: number for number, and every missing part named."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from harness import registry

Run = Callable[..., Any]
RNG = np.random.default_rng(0)
CONFIGURATIONS: dict[str, list[Any]] = {
    "layers": ["2", "True", "3", "2"],
    "width": [64, 16, 32, 64],
    "lr": [0.1, 0.001, 0.017, 1e-05],
}
SHAPE = (2, 4, 3, 5, 4)
NAMES = ["val_accuracy", "time", "test_accuracy", "flops"]
VALUES = RNG.uniform(size=SHAPE).astype(np.float32)
VALUES[..., 1] = np.cumsum(VALUES[..., 1], axis=3)
VALUES[0, 1, 2, 3:] = np.nan
VALUES[1, :, :, 4] = np.nan


def domain(kind: str, **given: Any) -> dict[str, Any]:
    return {"domain_cls": kind, "domain_kwargs": given, "sampler_cls": "Uniform", "sampler_kwargs": {}}


@pytest.fixture
def folder(data_folder: Path, tmp_path: Path) -> Path:
    """A tabular blackbox of two tasks in the form that Syne Tune documents."""
    path = tmp_path / "box"
    path.mkdir()
    space = {
        "layers": domain("Categorical", categories=["True", "2", "3", "4"]),
        "width": domain("Integer", lower=16, upper=64),
        "lr": domain("Float", lower=1e-5, upper=0.1),
    }
    (path / "configspace.json").write_text(json.dumps(space))
    (path / "fidelityspace.json").write_text(json.dumps({"epoch": domain("Integer", lower=1, upper=5)}))
    meta = {
        "metric_elapsed_time": "time",
        "metric_default": "val_accuracy",
        "objectives_names": NAMES,
        "task_names": ["Fashion-MNIST", "higgs.1"],
    }
    (path / "metadata.json").write_text(json.dumps(meta))
    pq.write_table(pa.table(CONFIGURATIONS), path / "hyperparameters.parquet", compression="gzip")
    np.save(path / "objectives_evaluations.npy", VALUES)
    np.save(path / "fidelities_values.npy", np.arange(1, 6))
    return path


def changed(folder: Path, **entries: Any) -> None:
    path = folder / "metadata.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **entries}))


def test_a_tabular_blackbox_number_for_number(harness: Run, folder: Path) -> None:
    answer = harness("data", "import", "syne-tune", folder)
    assert answer.status == 0, answer.err
    assert [line.split(":")[0] for line in answer.out.splitlines()] == [
        "syne-tune/box-Fashion-MNIST",
        "syne-tune/box-higgs-1",
    ]
    table = registry.benchmark("syne-tune/box-Fashion-MNIST")
    assert [[*p.values] for p in table.space.parameters] == [
        ["True", "2", "3"],
        [16, 32, 64],
        [1e-5, 0.001, 0.017, 0.1],
    ]
    assert [p.kind for p in table.space.parameters] == ["categorical", "ordinal", "ordinal"]
    assert table.fidelities.tolist() == [1, 2, 3, 4, 5]
    assert (table.facts.loss, table.facts.fidelity) == ("val_accuracy, negated", "epoch")
    assert table.test is not None
    for row in range(4):
        asked = {name: values[row] for name, values in CONFIGURATIONS.items()}
        (at,) = table.rows(table.space.from_dict(asked)[None])
        there = 3 if row != 1 else 2
        seen = VALUES[0, row].astype(np.float64)
        np.testing.assert_array_equal(table.loss[at, :, :there], -seen[:there, :, 0].T)
        np.testing.assert_array_equal(table.cost[at, :, :there], seen[:there, :, 1].T)
        np.testing.assert_array_equal(table.test[at, :, :there], -seen[:there, :, 2].T)
        assert table.columns["flops"][at] == pytest.approx(np.nanmean(seen[:, -1, 3]), rel=1e-15)
    shorter = registry.benchmark("syne-tune/box-higgs-1")
    assert shorter.fidelities.tolist() == [1, 2, 3, 4], "no loss at all at the fifth"
    assert "a sample of its space" in shorter.facts.splits
    ran = harness("run", "--bench", "syne-tune/*", "--algo", "rs,hb", "--seeds", 2, "--evals", 6)
    assert ran.status == 0, ran.err
    assert "syne-tune" in harness("data", "list").out


@pytest.mark.parametrize(
    "part", ["configspace.json", "metadata.json", "hyperparameters.parquet", "fidelities_values.npy"]
)
def test_missing_parts_are_named(harness: Run, folder: Path, part: str) -> None:
    (folder / part).unlink()
    answer = harness("data", "import", "syne-tune", folder)
    assert answer.status == 2
    assert f"lacks {part} of a blackbox of Syne Tune" in answer.err


@pytest.mark.parametrize(
    ("part", "content", "message"),
    [
        ("metadata.json", b"{", "metadata.json is not a part of a folder"),
        ("metadata.json", b"[]", "it is not an object"),
        ("metadata.json", b'{"task_names": ["a"]}', "it has no 'objectives_names'"),
        ("configspace.json", b"[" * 100_000, "configspace.json is not a part of a folder"),
        ("configspace.json", b'{"lr": {"domain_cls": "Float"}}', "it has no 'domain_kwargs'"),
        ("objectives_evaluations.npy", b"\x93NUMPY", "objectives_evaluations.npy is not a part of a folder"),
        ("hyperparameters.parquet", b"PAR1", "hyperparameters.parquet is not a readable Parquet file"),
    ],
)
def test_broken_parts_are_named(harness: Run, folder: Path, part: str, content: bytes, message: str) -> None:
    (folder / part).write_bytes(content)
    answer = harness("data", "import", "syne-tune", folder)
    assert answer.status == 2
    assert message in answer.err


def test_what_the_metadata_do_not_say_is_asked_for(harness: Run, folder: Path) -> None:
    changed(folder, metric_default="gone")
    assert (
        "does not say which of val_accuracy, test_accuracy, flops is the obj"
        in harness("data", "import", "syne-tune", folder).err
    )
    changed(folder, metric_default="flops")
    assert "cannot be told from its name" in harness("data", "import", "syne-tune", folder).err
    changed(folder, metric_default="val_accuracy", metric_elapsed_time="test_accuracy")
    assert "falls along a curve" in harness("data", "import", "syne-tune", folder).err
    changed(folder, metric_elapsed_time="time", task_names=["one"])
    assert "has the shape (2, 4, 3, 5, 4); 1 tasks" in harness("data", "import", "syne-tune", folder).err
    assert "is not a folder" in harness("data", "import", "syne-tune", folder / "metadata.json").err


def test_offline_evaluations(harness: Run, folder: Path) -> None:
    for part in ("hyperparameters.parquet", "objectives_evaluations.npy", "fidelities_values.npy"):
        (folder / part).unlink()
    changed(folder, task_names=["t"], seed_col="seed")
    rows = [(n, s, e) for n in range(4) for s in range(3) for e in range(5)]
    columns: dict[str, Any] = {name: [values[n] for n, _, _ in rows] for name, values in CONFIGURATIONS.items()}
    columns |= {"seed": [s for _, s, _ in rows], "epoch": [e + 1 for _, _, e in rows], "task": ["t"] * len(rows)}
    columns |= {name: [float(VALUES[0, n, s, e, i]) for n, s, e in rows] for i, name in enumerate(NAMES)}
    pq.write_table(pa.table(columns), folder / "data-t.parquet")
    answer = harness("data", "import", "syne-tune", folder)
    assert answer.status == 0, answer.err
    table = registry.benchmark("syne-tune/box-t")
    assert table.loss.shape == (4, 5, 3)
    asked = {name: values[0] for name, values in CONFIGURATIONS.items()}
    (at,) = table.rows(table.space.from_dict(asked)[None])
    np.testing.assert_array_equal(table.loss[at], -VALUES[0, 0, :, :, 0].T.astype(np.float64))


@pytest.mark.reference("syne_tune", "fastparquet")
def test_what_syne_tune_itself_serialises(harness: Run, data_folder: Path, tmp_path: Path) -> None:
    pandas = pytest.importorskip("pandas")
    config_space = pytest.importorskip("syne_tune.config_space")
    tabular = pytest.importorskip("syne_tune.blackbox_repository.blackbox_tabular")
    space = {
        "layers": config_space.choice(["True", "2", "3", "4"]),
        "width": config_space.lograndint(16, 64),
        "lr": config_space.loguniform(1e-5, 0.1),
    }
    boxes = {
        task: tabular.BlackboxTabular(
            pandas.DataFrame(CONFIGURATIONS),
            space,
            {"epoch": config_space.randint(1, 5)},
            VALUES[i],
            np.arange(1, 6),
            NAMES,
        )
        for i, task in enumerate(("one", "two"))
    }
    tabular.serialize(boxes, tmp_path / "real", {"metric_elapsed_time": "time", "metric_default": "val_accuracy"})
    answer = harness("data", "import", "syne-tune", tmp_path / "real")
    assert answer.status == 0, answer.err
    table = registry.benchmark("syne-tune/real-one")
    for row in range(4):
        asked = {name: values[row] for name, values in CONFIGURATIONS.items()}
        (at,) = table.rows(table.space.from_dict(asked)[None])
        for seed in range(2):
            curve = boxes["one"](asked, seed=seed)
            np.testing.assert_array_equal(
                table.loss[at, :, seed], np.where(np.isnan(curve[:, 0]), np.nan, -curve[:, 0])
            )
