"""Trainings on disk: one Parquet file each.

A row per epoch; what was trained and how is JSON in the footer, under the key `nas_harness_training`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, TypedDict

import numpy as np
import pyarrow as pa

from harness.arrays import Floats
from harness.errors import HarnessError
from harness.fields import fit
from harness.spaces.architecture import Architecture
from harness.studies import records
from harness.studies.records import Columns, Footer, identity
from harness.studies.runs import Single
from harness.studies.store import TRAINED
from harness.train.recipes import Recipe


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
        return identity(self.to_json())

    def to_json(self) -> dict[str, Any]:
        plain = ("images", "checksum", "seed", "precision")
        own = {name: getattr(self, name) for name in plain}
        return {**own, "architecture": asdict(self.architecture), "recipe": self.recipe.to_json()}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Job:
        found: Job = fit(data, cls, "the training")
        return found


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


class _Footer(TypedDict):
    job: dict[str, Any]
    test: tuple[float | None, float | None]
    diverged: bool
    facts: dict[str, Any]
    origin: Origin | None


class TrainingForm(Single[Job, Training]):
    """A row for each epoch."""

    what = "a training"
    marks = "job"
    key = b"nas_harness_training"
    again = "if it is damaged, move it away and train again."
    makes = "`harness train` makes trainings; --out says where."
    footer = _Footer
    columns = pa.schema({"epoch": pa.int64(), **dict.fromkeys(Curve.COLUMNS, pa.float64())})

    timed = ("seconds",)

    def title(self, result: Training) -> str:
        return f"seed {result.job.seed} of {result.job.title}"

    def run_id(self, result: Training) -> object:
        """The row of another benchmark is held against another table."""
        return result.job.id, result.origin and result.origin.benchmark

    def numbers(self, result: Training) -> str:
        curve = result.curve
        return json.dumps([super().numbers(result), curve.test_loss, curve.test_accuracy, curve.diverged])

    def name(self, job: Job) -> str:
        return f"{job.architecture.space}.{job.images}.{job.seed}.{job.id}.parquet"

    def pack(self, result: Training) -> tuple[str, Columns, Footer]:
        curve = result.curve
        footer = {
            "job": result.job.to_json(),
            "test": [_number(curve.test_loss), _number(curve.test_accuracy)],
            "diverged": curve.diverged,
            "facts": dict(result.facts),
            "origin": asdict(result.origin) if result.origin else None,
        }
        columns = {name: getattr(curve, name) for name in Curve.COLUMNS}
        return result.job.id, {"epoch": np.arange(1, len(curve.lr) + 1), **columns}, footer

    def unpack(self, columns: Columns, footer: Footer) -> tuple[str, Training]:
        job = Job.from_json(footer["job"])
        loss, accuracy = (np.nan if x is None else x for x in footer["test"])
        measured = {name: columns[name] for name in Curve.COLUMNS}
        curve = Curve(**measured, test_loss=loss, test_accuracy=accuracy, diverged=footer["diverged"])
        return job.id, Training(job, curve, footer["facts"], footer["origin"])


FORM = TrainingForm()


def path(folder: Path, job: Job) -> Path:
    """The file of a finished training."""
    return folder / FORM.name(job)


def checkpoint_path(folder: Path, job: Job) -> Path:
    """The checkpoint of one that is not finished."""
    return folder / ".unfinished" / f"{job.id}.pt"


def write(training: Training, target: Path) -> None:
    """Write `training` to `target`, whole or not at all. Raises HarnessError if that cannot be done."""
    FORM.write(training, target)


def read(source: Path) -> Training:
    """The training stored at `source`. Raises HarnessError if it is not what was written, or none."""
    return FORM.read(source)


def find(paths: Iterable[Path]) -> list[Path]:
    """The trainings among `paths`, files or folders that are searched as by `within`.

    Raises HarnessError if there are none.
    """
    paths = list(paths)
    none = HarnessError(
        f"no finished training in {', '.join(map(str, paths))}.",
        "make one: harness train results --top 5 --data digits",
    )
    inside = [file for path in paths for file in (within(path) if path.is_dir() else [path])]
    return records.find(inside, (), none, FORM.makes)


def within(folder: Path) -> list[Path]:
    """The trainings in `folder`, or in its subfolder TRAINED if it has one; broken files too, which `read` tells."""
    inside = folder / TRAINED if (folder / TRAINED).is_dir() else folder
    return [file for file in sorted(inside.glob("*.parquet")) if FORM.is_one(file)]


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
