"""New tables: cells of NAS-Bench-201 trained on one's own images, in the form of tables of one's own.

A table is a Parquet file of long rows, one for each cell, repeat and epoch, and the TOML file that describes it to
`harness data import` (docs/your-own-table.md).
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from harness.benchmarks.formats.nasbench201 import codes as edge_codes
from harness.benchmarks.nasbench201 import OPERATORS, SPACE
from harness.benchmarks.own_convert import NAME
from harness.errors import HarnessError, unknown
from harness.files import whole
from harness.rng import Streams
from harness.train import incumbents, results
from harness.train.architectures import Architecture
from harness.train.images import ImageSet
from harness.train.pool import Pool
from harness.train.results import Job, Training

KEY = b"nas_harness_tabulate"
"""The key of the footer under which a table says, as JSON, how it was made."""

_CONTINUOUS = ("train_loss", "val_loss", "seconds")


def check_space(name: str) -> None:
    """Raise HarnessError unless cells of the space can be tabulated."""
    if name in ("nb101", "1shot1"):
        raise HarnessError(
            f"cells of {name} cannot be tabulated, only those of nb201.",
            "train single cells: harness train --arch",
        )
    if name != "nb201":
        raise unknown("search space", name, ["nb201"])


def cells(operators: Sequence[str] = OPERATORS, sample: int | None = None, seed: int = 0) -> list[Architecture]:
    """All cells of NAS-Bench-201 that have these operators only, or a random `sample` of them.

    Raises HarnessError for an unknown operator, or more cells than there are.
    """
    for name in operators:
        if name not in OPERATORS:
            raise unknown("operator of nb201", name, OPERATORS)
    kept = np.array(sorted({OPERATORS.index(name) for name in operators}))
    shape = (len(kept),) * SPACE.dimensions
    codes = kept[np.stack(np.unravel_index(np.arange(len(kept) ** SPACE.dimensions), shape), axis=1)]
    if sample is not None:
        if not 0 < sample <= len(codes):
            raise HarnessError(
                f"there are {len(codes):,} cells of these operators: a sample cannot be {sample:,}.",
                f"give --sample from 1 to {len(codes)}, or leave it out for all.",
            )
        draws = Streams(np.array([seed]), "tabulate").uniform(len(codes), np.zeros(1, dtype=np.int64))[0]
        codes = codes[np.sort(np.argsort(draws, kind="stable")[:sample])]
    return [Architecture.nb201(row) for row in codes]


def listed(texts: Iterable[str]) -> list[Architecture]:
    """The cells of NAS-Bench-201 that are written as `texts`, or rows of a table, each once."""
    found = dict.fromkeys(incumbents.named(text)[0] for text in texts)
    for architecture in found:
        check_space(architecture.space)
    return [*found]


def check_target(folder: Path, name: str, jobs: Sequence[Job]) -> None:
    """Raise HarnessError unless the table `name` of `jobs` may be written to `folder`."""
    if not NAME.fullmatch(name):
        raise HarnessError(f"a table cannot be called '{name}'.", "use small letters, digits, - and _.")
    target = folder / f"{name}.parquet"
    if (target.exists() or target.with_suffix(".toml").exists()) and _made_of(target) != _digest(jobs):
        raise HarnessError(
            f"{target.with_suffix('.toml')} is another table.", "choose another --name or --out, or remove it."
        )


def _made_of(table: Path) -> str | None:
    try:
        found: str = json.loads((pq.read_schema(table).metadata or {})[KEY])["trainings"]
    except (OSError, pa.ArrowInvalid, ValueError, KeyError):
        return None
    return found


def _digest(jobs: Sequence[Job]) -> str:
    return hashlib.sha256(" ".join(sorted(job.id for job in jobs)).encode()).hexdigest()[:12]


def train(jobs: Sequence[Job], pool: Pool, folder: Path, told: Callable[[Training, int], None]) -> list[Training]:
    """The trainings of `jobs`, out of their files in `folder` or made by `pool`.

    `told` hears of each and of how many are there. Raises HarnessError if one cannot be made or written.
    """
    found = {job: results.read(path) for job in jobs if (path := results.path(folder, job)).exists()}
    left = iter([job for job in jobs if job not in found])
    for count, training in enumerate(found.values()):
        told(training, count + 1)
    for slot, job in zip(range(len(pool.devices)), left, strict=False):
        pool.submit(slot, job)
    while len(found) < len(jobs):
        ended = pool.next()
        if isinstance(ended.outcome, HarnessError):
            raise ended.outcome
        if (following := next(left, None)) is not None:
            pool.submit(ended.slot, following)
        found[ended.job] = results.read(results.path(folder, ended.job))
        told(found[ended.job], len(found))
    return [found[job] for job in jobs]


def write(folder: Path, name: str, trainings: Sequence[Training], images: ImageSet, command: str) -> Path:
    """Write the table `name` of `trainings`, which `command` made; the path of its TOML file.

    Raises HarnessError if it cannot be written, or every training diverged.
    """
    if all(training.curve.diverged for training in trainings):
        raise HarnessError("every training diverged: there is no table of them.", "use a smaller learning rate.")
    target, recipe = folder / f"{name}.parquet", trainings[0].job.recipe
    cells = len({training.job.architecture for training in trainings})
    versions = f"nas-harness {version('nas-harness')}, torch {trainings[0].facts['versions']['torch']}"
    made = {
        "trainings": _digest([training.job for training in trainings]),
        "command": command,
        "images": {"name": images.name, "checksum": images.checksum},
        "recipe": recipe.to_json(),
        "precision": trainings[0].job.precision,
        "devices": sorted({training.facts["device"] for training in trainings}),
        "versions": trainings[0].facts["versions"],
    }
    assert images.valid is not None
    table = _columns(trainings, len(images.valid), len(images.test)).replace_schema_metadata({KEY: json.dumps(made)})
    plain = [column for column in table.column_names if column not in _CONTINUOUS]
    with whole(target) as temporary, temporary.open("wb") as file:
        pq.write_table(
            table,
            file,
            compression="zstd",
            compression_level=19,
            use_dictionary=plain,
            use_byte_stream_split=list(_CONTINUOUS),
        )
        file.flush()
        os.fsync(file.fileno())
    described = {
        "name": name,
        "title": f"{cells:,} cells of NAS-Bench-201 on {images.name}, {recipe.epochs} epochs",
        "citation": f"measured by {versions}: {command}",
        "file": target.name,
        "splits": images.words,
        "images": images.name,
        "space": "nb201",
    }
    with whole(target.with_suffix(".toml")) as temporary:
        temporary.write_text("".join(f"{key} = {_quoted(value)}\n" for key, value in described.items()) + _SECTIONS)
    return target.with_suffix(".toml")


_SECTIONS = """
[validation]
column = "val_error"

[test]
column = "test_error"

[cost]
column = "seconds"

[fidelity]
column = "epoch"
name = "epochs"

[repeat]
column = "seed"
"""


def _columns(trainings: Sequence[Training], valid: int, test: int) -> pa.Table:
    """Long rows. Errors are exact shares of the `valid` and `test` images; what diverged has none, nor a loss."""
    parts: dict[str, list[Any]] = {}
    for training in trainings:
        curve, epochs = training.curve, len(training.curve.lr)
        tested = np.full(epochs, np.nan)
        tested[-1] = _share(1.0 - curve.test_accuracy, test)
        edges = dict(zip((p.name for p in SPACE.parameters), edge_codes(training.job.architecture.text), strict=True))
        columns = {
            **{edge: np.full(epochs, code, dtype=np.int8) for edge, code in edges.items()},
            "seed": np.full(epochs, training.job.seed),
            "epoch": np.arange(1, epochs + 1, dtype=np.int32),
            "train_loss": curve.train_loss.astype(np.float32),
            "val_loss": curve.val_loss.astype(np.float32),
            "val_error": _share(1.0 - curve.val_accuracy, valid),
            "test_error": tested,
            "seconds": np.cumsum(curve.seconds).astype(np.float32),
        }
        for name, values in columns.items():
            parts.setdefault(name, []).append(values)
    joined = {name: pa.array(np.concatenate(values), from_pandas=True) for name, values in parts.items()}
    for p in SPACE.parameters:
        joined[p.name] = pa.DictionaryArray.from_arrays(joined[p.name], pa.array(p.values))
    return pa.table(joined)


def _share(error: Any, images: int) -> Any:
    """Errors as the nearest multiples of one in so many images."""
    return np.round(error * images) / images


def _quoted(text: str) -> str:
    """A TOML string."""
    return json.dumps(text, ensure_ascii=False)
