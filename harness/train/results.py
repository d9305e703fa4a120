"""Trainings on disk: one Parquet file each, in the form of the result store; whole or absent.

A row per epoch; what was trained and how is JSON in the footer, under the key `nas_harness_training`.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from harness.arrays import Floats
from harness.errors import HarnessError
from harness.files import whole
from harness.spaces.architecture import Architecture
from harness.studies.store import TRAINED
from harness.train.recipes import Recipe

SCHEMA = 1
_KEY = b"nas_harness_training"


@dataclass(frozen=True)
class Job:
    """One training: everything that decides its numbers on a given machine."""

    architecture: Architecture
    images: str
    checksum: str
    recipe: Recipe
    seed: int
    precision: str = "fp32"

    @property
    def title(self) -> str:
        """What is trained."""
        return self.architecture.text

    @cached_property
    def id(self) -> str:
        """Twelve hexadecimal digits of the hash of the canonical JSON."""
        return hashlib.sha256(json.dumps(self.to_json(), sort_keys=True).encode()).hexdigest()[:12]

    def to_json(self) -> dict[str, Any]:
        plain = ("images", "checksum", "seed", "precision")
        own = {name: getattr(self, name) for name in plain}
        return {**own, "architecture": asdict(self.architecture), "recipe": self.recipe.to_json()}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Job:
        recipe = {**data["recipe"], "seeds": tuple(data["recipe"]["seeds"])}
        return cls(**{**data, "architecture": Architecture(**data["architecture"]), "recipe": Recipe(**recipe)})


@dataclass(frozen=True)
class Curve:
    """What a training measured after each of E epochs, Float[E]; accuracies are shares, NaN what was not measured.

    `seconds` is the time of the epoch's training alone, without validation; where one CPU thread trains, it is that
    thread's own, to which other work on the machine adds nothing. The test set is used once, after the last epoch. A
    training whose loss is no longer finite has `diverged` and ends there.
    """

    lr: Floats
    train_loss: Floats
    train_accuracy: Floats
    val_loss: Floats
    val_accuracy: Floats
    seconds: Floats
    test_loss: float = np.nan
    test_accuracy: float = np.nan
    diverged: bool = False

    COLUMNS = ("lr", "train_loss", "train_accuracy", "val_loss", "val_accuracy", "seconds")

    @property
    def accuracy(self) -> float:
        """Validation accuracy after the last epoch, or test accuracy where nothing was held out; NaN if it diverged."""
        if self.diverged or not len(self.val_accuracy):
            return np.nan
        last = float(self.val_accuracy[-1])
        return self.test_accuracy if np.isnan(last) else last

    def first(self, epochs: int) -> Curve:
        """What was known after so many epochs."""
        if len(self.lr) <= epochs:
            return self
        return Curve(**{name: getattr(self, name)[:epochs] for name in self.COLUMNS})


@dataclass(frozen=True)
class Origin:
    """The row of a benchmark's table that an architecture was taken from, and its accuracies there, one per repeat.

    `images` are those of `Facts.images`.
    """

    benchmark: str
    row: int
    fidelity: str
    validation: tuple[float, ...]
    test: tuple[float, ...]
    images: str = ""


@dataclass(frozen=True, eq=False)
class Training:
    """A finished training; `facts` are the network's size, the splits in words, speed, device and versions."""

    job: Job
    curve: Curve
    facts: Mapping[str, Any] = field(default_factory=dict)
    origin: Origin | None = None


def path(folder: Path, job: Job) -> Path:
    """The file of a finished training."""
    return folder / f"{job.architecture.space}.{job.images}.{job.seed}.{job.id}.parquet"


def checkpoint_path(folder: Path, job: Job) -> Path:
    """The checkpoint of one that is not finished."""
    return folder / ".unfinished" / f"{job.id}.pt"


def write(training: Training, target: Path) -> None:
    """Write `training` to `target`, whole or not at all. Raises HarnessError if that cannot be done."""
    curve = training.curve
    footer = {
        "schema": SCHEMA,
        "job": training.job.to_json(),
        "id": training.job.id,
        "test": [_number(curve.test_loss), _number(curve.test_accuracy)],
        "diverged": curve.diverged,
        "facts": dict(training.facts),
        "origin": asdict(training.origin) if training.origin else None,
    }
    columns = {name: getattr(curve, name) for name in Curve.COLUMNS}
    table = pa.table({"epoch": np.arange(1, len(curve.lr) + 1), **columns})
    with whole(target) as temporary, temporary.open("wb") as file:
        pq.write_table(table.replace_schema_metadata({_KEY: json.dumps(footer)}), file, compression="zstd")
        file.flush()
        os.fsync(file.fileno())


def read(source: Path) -> Training:
    """The training stored at `source`. Raises HarnessError if it is none of this schema."""
    try:
        table = pq.read_table(source, partitioning=None)
        footer = json.loads((table.schema.metadata or {})[_KEY])
    except (pa.ArrowInvalid, OSError, ValueError) as error:
        reason = str(error).splitlines()[0].rstrip(".")
        raise HarnessError(
            f"{source} is not a readable Parquet file: {reason}.", "remove it, and train again."
        ) from None
    except KeyError:
        raise HarnessError(
            f"{source} is not a training.", "`harness train` makes trainings; --out says where."
        ) from None
    if footer["schema"] != SCHEMA:
        raise HarnessError(
            f"{source} has a training of schema {footer['schema']}; this version reads schema {SCHEMA}.", "train again."
        )
    columns = {name: table.column(name).to_numpy() for name in Curve.COLUMNS}
    loss, accuracy = (np.nan if x is None else x for x in footer["test"])
    curve = Curve(**columns, test_loss=loss, test_accuracy=accuracy, diverged=footer["diverged"])
    origin = footer["origin"]
    if origin:
        origin = Origin(**{**origin, **{name: tuple(origin[name]) for name in ("validation", "test")}})
    return Training(Job.from_json(footer["job"]), curve, footer["facts"], origin)


def find(paths: Iterable[Path]) -> list[Path]:
    """The trainings among `paths`, files or folders that are searched as by `within`.

    Raises HarnessError if there are none.
    """
    paths = list(paths)
    for path in paths:
        if not path.exists():
            raise HarnessError(f"there is nothing at {path}.", "`harness train` makes trainings; --out says where.")
    found = dict.fromkeys(file for path in paths for file in ([path] if path.is_file() else within(path)))
    if not found:
        raise HarnessError(
            f"no finished training in {', '.join(map(str, paths))}.",
            "make one: harness train results --top 5 --data digits",
        )
    return list(found)


def within(folder: Path) -> list[Path]:
    """The trainings in `folder`, or in its subfolder TRAINED if it has one; broken files too, which `read` tells."""
    inside = folder / TRAINED if (folder / TRAINED).is_dir() else folder
    return [file for file in sorted(inside.glob("*.parquet")) if _may_be_one(file)]


def _may_be_one(file: Path) -> bool:
    """Whether a file is a training, or broken, which `read` then says."""
    try:
        return _KEY in (pq.read_schema(file).metadata or {})
    except (pa.ArrowInvalid, OSError):
        return True


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
