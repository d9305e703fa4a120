"""New tables: architectures of a published space trained on one's own images, in the form of tables of one's own.

A table is a Parquet file of long rows, one for each architecture, repeat and epoch, and the TOML file that describes it
to `harness data import` (docs/your-own-table.md).
"""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Callable, Iterable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from harness.arrays import Floats, Ints
from harness.benchmarks.own_description import NAME
from harness.errors import HarnessError, unknown
from harness.files import arrow_file, whole
from harness.rng import Streams
from harness.space import Parameter
from harness.spaces import names, published
from harness.spaces.architecture import Architecture
from harness.train import incumbents, results
from harness.train.images import ImageSet
from harness.train.jobs import Train
from harness.train.pool import Trainers, done
from harness.train.results import Curve, Job, Origin, Training

KEY = b"nas_harness_tabulate"
"""The key of the footer under which a table says, as JSON, how it was made."""

_CONTINUOUS = ("train_loss", "val_loss", "seconds")
_HERE = np.zeros(1, dtype=np.int64)
_LISTED = 1 << 20
"""Architectures of which a sample has each once; of more, it is drawn with replacement, and each kept once."""


def check_space(name: str) -> None:
    """Raise HarnessError unless architectures of the space can be tabulated."""
    able = [known for known in names() if published(known).codes is not None]
    if name not in names():
        raise unknown("search space", name, able)
    if name not in able:
        raise HarnessError(
            f"cells of {name} cannot be tabulated, only those of {', '.join(able)}.",
            "train single cells: harness train --arch",
        )


def chosen(
    space: str, operators: Sequence[str] | None = None, sample: int | None = None, seed: int = 0
) -> list[Architecture]:
    """All architectures of a space that have these operators only, or a random `sample` of them.

    Raises HarnessError for an unknown operator, or more architectures than there are, or than can be listed.
    """
    parameters = published(space).space.parameters
    every = list(dict.fromkeys(str(value) for p in parameters for value in p.values))
    for name in operators or ():
        if name not in every:
            raise unknown(f"operator of {space}", name, every)
    kept = [_kept(p, operators) for p in parameters]
    count = math.prod(map(len, kept))
    streams = Streams(np.array([seed]), "tabulate")
    if sample is not None and not 0 < sample <= count:
        raise HarnessError(
            f"there are {count:,} cells of these operators: a sample cannot be {sample:,}.",
            f"give --sample from 1 to {count}, or leave it out for all.",
        )
    if count > _LISTED:
        if sample is None or sample > _LISTED:
            raise HarnessError(f"there are {count:,} architectures of {space}.", "take a random --sample of them.")
        draws = streams.uniform(sample * len(kept), _HERE).reshape(sample, -1)
        codes = (draws * [len(values) for values in kept]).astype(np.int64)
    else:
        codes = np.stack(np.unravel_index(np.arange(count), [len(values) for values in kept]), axis=1)
        if sample is not None:
            draws = streams.uniform(count, _HERE)[0]
            codes = codes[np.sort(np.argsort(draws, kind="stable")[:sample])]
    rows = np.stack([values[column] for values, column in zip(kept, codes.T, strict=True)], axis=1)
    return list(dict.fromkeys(Architecture.at(space, row) for row in rows))


def _kept(parameter: Parameter, operators: Sequence[str] | None) -> Ints:
    """The codes of a parameter's values that are among `operators`; all where none of them is."""
    codes = [code for code, value in enumerate(parameter.values) if operators and str(value) in operators]
    return np.array(codes or range(len(parameter.values)))


def listed(space: str, texts: Iterable[str]) -> list[Architecture]:
    """The architectures of a space that are written as `texts`, or rows of a table, each once."""
    found = dict.fromkeys(incumbents.named(text)[0] for text in texts)
    for architecture in found:
        if architecture.space != published(space).kind:
            raise HarnessError(
                f"cells of {architecture.space} cannot be tabulated, only those of {space}.",
                "train single cells: harness train --arch",
            )
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
        with arrow_file(table) as source:
            found: str = json.loads((pq.read_schema(source).metadata or {})[KEY])["trainings"]
    except (OSError, pa.ArrowInvalid, ValueError, KeyError):
        return None
    return found


def _digest(jobs: Sequence[Job]) -> str:
    return hashlib.sha256(" ".join(sorted(job.id for job in jobs)).encode()).hexdigest()[:12]


def train(
    jobs: Sequence[Job],
    pool: Trainers[Job, Curve],
    folder: Path,
    told: Callable[[Training, int], None],
    origins: Sequence[Origin | None] = (),
) -> list[Training]:
    """The trainings of `jobs`, out of their files in `folder` or made by `pool`.

    `told` hears of each and of how many are there; `origins` are those of the jobs, where there are any. Raises
    HarnessError if one cannot be made or written.
    """
    origin = dict(zip(jobs, origins, strict=False))
    found = {job: results.read(path) for job in jobs if (path := results.path(folder, job)).exists()}
    for count, training in enumerate(found.values()):
        told(training, count + 1)
    for job, _ in done(pool, [Train(job, origin=origin.get(job)) for job in jobs if job not in found]):
        found[job] = results.read(results.path(folder, job))
        told(found[job], len(found))
    return [found[job] for job in jobs]


def write(folder: Path, name: str, space: str, trainings: Sequence[Training], images: ImageSet, command: str) -> Path:
    """Write the table `name` of `trainings` in a space, which `command` made; the path of its TOML file.

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
    table = _columns(space, trainings, len(images.valid), len(images.test)).replace_schema_metadata(
        {KEY: json.dumps(made)}
    )
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
        "title": f"{cells:,} cells of {published(space).title} on {images.name}, {recipe.epochs} epochs",
        "citation": f"measured by {versions}: {command}",
        "file": target.name,
        "splits": images.words,
        "images": images.name,
        "space": space,
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


def _columns(space: str, trainings: Sequence[Training], valid: int, test: int) -> pa.Table:
    """Long rows. Errors are exact shares of the `valid` and `test` images; what diverged has none, nor a loss."""
    of, parts = published(space), dict[str, list[NDArray[Any]]]()
    assert of.codes is not None
    for training in trainings:
        curve, epochs = training.curve, len(training.curve.lr)
        tested = np.full(epochs, np.nan)
        tested[-1] = _share(1.0 - curve.test_accuracy, test)
        codes = of.codes(training.job.architecture.text).tolist()
        edges = dict(zip((p.name for p in of.space.parameters), codes, strict=True))
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
    for p in of.space.parameters:
        joined[p.name] = pa.DictionaryArray.from_arrays(joined[p.name], pa.array(p.values))
    return pa.table(joined)


def _share(error: Floats | float, images: int) -> Floats:
    """Errors as the nearest multiples of one in so many images."""
    return np.round(error * images) / images


def _quoted(text: str) -> str:
    """A TOML string."""
    return json.dumps(text, ensure_ascii=False)
