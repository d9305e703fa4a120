"""Results on disk: one Parquet file per finished study, whole or absent; shards of unfinished ones beside them.

The columns are documented in docs/results.md; the study, what regret refers to and the per-seed facts are JSON in
the footer, under the key `nas_harness`.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from harness.errors import HarnessError
from harness.files import FULL
from harness.studies.outcome import Outcome, Reference
from harness.studies.study import Study
from harness.trajectory import Trajectory

SCHEMA = 1
_KEY = b"nas_harness"
_UNFINISHED = ".unfinished"
QUALITIES, TRAINED, SEARCHES = "predictions", "trained", "searches"
"""Subfolders of results that hold the qualities of predictors, trainings, and searches by training."""
_SET_ASIDE = {_UNFINISHED, "baseline", QUALITIES, TRAINED, SEARCHES}


class ResultStore:
    """A folder of results. Study files are never changed once they are there."""

    def __init__(self, folder: Path) -> None:
        """Raises HarnessError if `folder` cannot be made or written."""
        self.folder = folder
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except FileExistsError:
            raise HarnessError(f"{folder} is a file, not a folder for results.", "choose another --out.") from None
        except OSError as error:
            raise _cannot_write(folder, error) from None
        if not os.access(folder, os.W_OK | os.X_OK):
            raise HarnessError(f"the folder {folder} is not writable.", "choose another --out.")

    def path(self, study: Study) -> Path:
        name = re.sub(r"[^\w.+-]", "-", f"{study.benchmark}.{study.algorithm}.{study.id}")
        return self.folder / f"{name}.parquet"

    def complete(self, study: Study) -> bool:
        return self.path(study).exists()

    def missing(self, study: Study) -> list[range]:
        """The shards of the study that are not stored yet."""
        return [shard for shard in study.shards if not self._shard(study, shard).exists()]

    def add(self, outcome: Outcome) -> None:
        """Store the outcome of one shard of its study."""
        seeds = outcome.trajectory.seeds
        write(outcome, self._shard(outcome.study, range(seeds[0], seeds[-1] + 1)))

    def finish(self, study: Study) -> Path:
        """Join the shards of a study into its file, unless another process has, and remove them."""
        if not self.complete(study):
            self.join(study)
        shutil.rmtree(self._unfinished(study), ignore_errors=True)
        with suppress(OSError):
            self._unfinished(study).parent.rmdir()
        return self.path(study)

    def join(self, study: Study) -> None:
        """Write the file of a study whose shards are all there."""
        write(_join(study, [read(self._shard(study, shard)) for shard in study.shards]), self.path(study))

    def _unfinished(self, study: Any) -> Path:
        return self.folder / _UNFINISHED / study.id

    def _shard(self, study: Any, seeds: range) -> Path:
        return self._unfinished(study) / f"{seeds.start}-{seeds.stop}.parquet"


def _join(study: Study, shards: Sequence[Outcome]) -> Outcome:
    return Outcome(
        study=study,
        reference=shards[0].reference,
        trajectory=Trajectory.join([shard.trajectory for shard in shards]),
        val_loss=np.concatenate([shard.val_loss for shard in shards]),
        test_loss=np.concatenate([shard.test_loss for shard in shards]),
        wall_seconds=sum(shard.wall_seconds for shard in shards),
        versions=shards[-1].versions,
    )


def find(paths: Iterable[Path]) -> list[Path]:
    """The study files among `paths`, files or folders searched but for a baseline or trainings inside.

    Raises HarnessError if there are none.
    """
    paths = list(paths)
    found: dict[Path, None] = {}
    for path in paths:
        if path.is_dir():
            inside = (p for p in path.rglob("*.parquet") if not _SET_ASIDE & {*p.relative_to(path).parts})
            found.update(dict.fromkeys(sorted(inside)))
        elif path.exists():
            found[path] = None
        else:
            raise HarnessError(f"there is nothing at {path}.", "`harness run` makes results; --out says where.")
    if not found:
        raise HarnessError(
            f"no finished study in {', '.join(map(str, paths))}.",
            "make one: harness run --algo rs,re --bench nb201 --seeds 500",
        )
    return list(found)


def write(outcome: Outcome, path: Path) -> None:
    """Write `outcome` to `path`, whole or not at all."""
    run = outcome.trajectory
    steps = np.flatnonzero(np.diff(run.pace, prepend=0))
    footer = {
        "schema": SCHEMA,
        "study": outcome.study.to_json(),
        "id": outcome.study.id,
        "reference": asdict(outcome.reference),
        "per_seed": {name: getattr(run, name).tolist() for name in Trajectory.PER_SEED},
        "pace": [steps.tolist(), run.pace[steps].tolist()],
        "wall_seconds": outcome.wall_seconds,
        "versions": dict(outcome.versions),
    }
    table = pa.table(
        {
            "seed": run.seeds[run.seed],
            "time": run.time,
            "evaluation": run.evaluation,
            "row": run.row,
            "fidelity": np.array(outcome.reference.fidelities, dtype=np.int64)[run.fidelity],
            "repeat": run.repeat,
            "loss": run.loss,
            "incumbent": run.incumbent,
            "val_loss": outcome.val_loss,
            "test_loss": outcome.test_loss,
        }
    )
    write_table(table, footer, path)


def write_table(table: pa.Table, footer: dict[str, Any], path: Path) -> None:
    """Write a Parquet file with a JSON footer, whole or not at all. Raises HarnessError if that cannot be done."""
    table = table.replace_schema_metadata({_KEY: json.dumps(footer)})
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as file:
            pq.write_table(table, file, compression="zstd")
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        raise _cannot_write(path.parent, error) from None
    finally:
        with suppress(OSError):
            temporary.unlink()


def read(path: Path) -> Outcome:
    """The outcome stored at `path`. Raises HarnessError if it is not a study of this schema."""
    table, footer = read_table(path)
    if "study" not in footer:
        raise HarnessError(
            f"{path} is a study of a predictor, not of an algorithm.", "harness plot --figure prediction draws those."
        )
    return _outcome(table, footer)


def read_table(path: Path) -> tuple[pa.Table, dict[str, Any]]:
    """A Parquet file and its JSON footer. Raises HarnessError if it is not a result of this schema."""
    try:
        table = pq.read_table(path, partitioning=None)
        footer = json.loads((table.schema.metadata or {})[_KEY])
    except (pa.ArrowInvalid, OSError, ValueError) as error:
        reason = str(error).splitlines()[0].rstrip(".")
        raise HarnessError(
            f"{path} is not a readable Parquet file: {reason}.", "remove it, and run its study again."
        ) from None
    except KeyError:
        raise HarnessError(f"{path} is not a result of this harness.", "name the folder or files of --out.") from None
    if footer.get("schema") != SCHEMA:
        raise HarnessError(
            f"{path} has results of schema {footer.get('schema')}; this version reads schema {SCHEMA}.",
            "run its study again, or use the version of nas-harness that wrote it.",
        )
    return table, footer


def _outcome(table: pa.Table, footer: dict[str, Any]) -> Outcome:
    def column(name: str) -> Any:
        return table.column(name).to_numpy()

    per_seed = {name: np.array(values) for name, values in footer["per_seed"].items()}
    times, counts = footer["pace"]
    reference = Reference(**{**footer["reference"], "fidelities": tuple(footer["reference"]["fidelities"])})
    plain = ("time", "evaluation", "row", "repeat", "loss", "incumbent")
    trajectory = Trajectory(
        **{name: column(name) for name in plain},
        **per_seed,
        seed=np.searchsorted(per_seed["seeds"], column("seed")),
        fidelity=np.searchsorted(reference.fidelities, column("fidelity")),
        pace=Trajectory.unpacked_pace(times, counts),
    )
    return Outcome(
        study=Study.from_json(footer["study"]),
        reference=reference,
        trajectory=trajectory,
        val_loss=column("val_loss"),
        test_loss=column("test_loss"),
        wall_seconds=footer["wall_seconds"],
        versions=footer["versions"],
    )


def _cannot_write(folder: Path, error: OSError) -> HarnessError:
    if error.errno in FULL:
        hint = "free some space and run the same command again: finished shards are kept."
    else:
        hint = "choose another --out."
    return HarnessError(f"cannot write to {folder}: {error.strerror or error}.", hint)
