"""Studies of algorithms on disk.

The columns are documented in docs/results.md; the study, what regret refers to and the per-seed facts are JSON in
the footer, under the key `nas_harness`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, TypedDict

import numpy as np
import pyarrow as pa

from harness.arrays import Ints
from harness.errors import HarnessError
from harness.files import inside
from harness.studies.keeping import Folder
from harness.studies.outcome import Outcome, within
from harness.studies.records import UNFINISHED, Columns, Footer, file_name
from harness.studies.reference import Reference
from harness.studies.runs import Sharded
from harness.studies.study import Study
from harness.trajectory import Trajectory

QUALITIES, TRAINED, SEARCHES = "predictions", "trained", "searches"
"""Subfolders of results that hold the qualities of predictors, trainings, and searches by training."""
BASELINE = "baseline"
"""The subfolder whose studies later ones are held against."""
SET_ASIDE = {UNFINISHED, BASELINE, QUALITIES, TRAINED, SEARCHES}


class _PerSeed(TypedDict):
    seeds: list[int]
    evaluations: list[int]
    ended: list[float]
    finished: list[bool]


class _Later(TypedDict, total=False):
    """What files of earlier versions lack."""

    cpu_seconds: float


class _Footer(_Later):
    study: dict[str, Any]
    reference: Reference
    per_seed: _PerSeed
    pace: tuple[list[int], list[int]]
    wall_seconds: float
    versions: dict[str, str]


class StudyForm(Sharded[Study, Outcome]):
    """A row for each logged result."""

    what = "a study of an algorithm"
    marks = "study"
    again = "if it is damaged, move it away and run its study again."
    footer = _Footer
    columns = pa.schema(
        {
            "seed": pa.int64(),
            "time": pa.float64(),
            "evaluation": pa.int64(),
            "row": pa.int64(),
            "fidelity": pa.int64(),
            "repeat": pa.int64(),
            "loss": pa.float64(),
            "incumbent": pa.bool_(),
            "val_loss": pa.float64(),
            "test_loss": pa.float64(),
        }
    )

    def name(self, job: Study) -> str:
        return file_name(job.benchmark, job.algorithm, job.id)

    def job(self, result: Outcome) -> Study:
        return result.study

    def seeds(self, result: Outcome) -> Ints:
        return result.seeds

    def read(self, path: Path) -> Outcome:
        return replace(super().read(path), file=path)

    def sources(self, result: Outcome) -> Sequence[Path]:
        return () if result.file is None else (result.file,)

    def same(self, a: Outcome, b: Outcome) -> bool:
        """Test losses count where both have them."""
        names = (*Trajectory.COLUMNS, *Trajectory.PER_SEED)
        pairs = [(getattr(a.trajectory, name), getattr(b.trajectory, name)) for name in names]
        pairs.append((a.val_loss, b.val_loss))
        if None not in (a.reference.test_optimum, b.reference.test_optimum):  # a table may have gained them since
            pairs.append((a.test_loss, b.test_loss))
        return all(np.array_equal(x, y, equal_nan=x.dtype.kind == "f") for x, y in pairs)

    def within(self, result: Outcome, seeds: range | Ints) -> Outcome | None:
        return within(result, seeds)

    def join(self, job: Study, parts: Iterable[Outcome]) -> Outcome:
        parts = sorted(self.distinct(parts), key=lambda part: int(part.seeds[0]))
        return Outcome(
            study=job,
            reference=parts[0].reference,
            trajectory=Trajectory.join([part.trajectory for part in parts]),
            val_loss=np.concatenate([part.val_loss for part in parts]),
            test_loss=np.concatenate([part.test_loss for part in parts]),
            wall_seconds=sum(part.wall_seconds for part in parts),
            cpu_seconds=sum(part.cpu_seconds for part in parts),
            versions=parts[-1].versions,
        )

    def portion(self, job: Study, result: Outcome, seeds: range) -> Outcome:
        part = within(result, seeds)
        assert part is not None
        return replace(part, study=job)

    def pack(self, result: Outcome) -> tuple[str, Columns, Footer]:
        run = result.trajectory
        footer = {
            "study": result.study.to_json(),
            "reference": asdict(result.reference),
            "per_seed": {name: getattr(run, name).tolist() for name in Trajectory.PER_SEED},
            "pace": [*run.packed_pace()],
            "wall_seconds": result.wall_seconds,
            "versions": dict(result.versions),
        }
        if not math.isnan(result.cpu_seconds):
            footer["cpu_seconds"] = result.cpu_seconds
        columns = {
            "seed": run.seeds[run.seed],
            "time": run.time,
            "evaluation": run.evaluation,
            "row": run.row,
            "fidelity": np.array(result.reference.fidelities)[run.fidelity],
            "repeat": run.repeat,
            "loss": run.loss,
            "incumbent": run.incumbent,
            "val_loss": result.val_loss,
            "test_loss": result.test_loss,
        }
        return result.study.id, columns, footer

    def unpack(self, columns: Columns, footer: Footer) -> tuple[str, Outcome]:
        study = Study.from_json(footer["study"])
        per_seed = {name: np.array(values) for name, values in footer["per_seed"].items()}
        reference: Reference = footer["reference"]
        plain = ("time", "evaluation", "row", "repeat", "loss", "incumbent")
        steps, counts = footer["pace"]
        trajectory = Trajectory(
            **{name: columns[name] for name in plain},
            **per_seed,
            seed=_positions("seed", columns["seed"], per_seed["seeds"]),
            fidelity=_positions("fidelity", columns["fidelity"], np.array(reference.fidelities)),
            pace=Trajectory.unpacked_pace(steps, counts, per_seed["evaluations"]),
        )
        rest = (columns["val_loss"], columns["test_loss"], footer["wall_seconds"], footer["versions"])
        return study.id, Outcome(study, reference, trajectory, *rest, footer.get("cpu_seconds", math.nan))


def _positions(name: str, values: Ints, known: Ints) -> Ints:
    """Where in the ascending `known` each value stands. Raises ValueError for one that does not."""
    at = np.searchsorted(known, values)
    if (at == len(known)).any() or (known[at] != values).any():
        raise ValueError(f"its column '{name}' has values that its footer does not name")
    return at


STUDIES = StudyForm()


class ResultStore(Folder[Study, Outcome]):
    """A folder of studies."""

    def __init__(self, folder: Path) -> None:
        super().__init__(STUDIES, folder)


def write(outcome: Outcome, path: Path) -> None:
    """Write `outcome` to `path`, whole or not at all."""
    STUDIES.write(outcome, path)


def read(path: Path) -> Outcome:
    """The outcome stored at `path`. Raises HarnessError if it is not what was written, or no study of an algorithm."""
    return STUDIES.read(path)


def find(paths: Iterable[Path]) -> list[Path]:
    """The study files among `paths`, files or folders searched but for a baseline or trainings inside.

    Raises HarnessError if there are none.
    """
    paths = list(paths)
    found: dict[Path, None] = {}
    for path in paths:
        if path.is_dir():
            found.update(dict.fromkeys(inside(path, ".parquet", without=SET_ASIDE)))
        elif path.exists():
            found[path] = None
        else:
            raise HarnessError(f"there is nothing at {path}.", "`harness run` makes results; --out says where.")
    if not found:
        shared = next((path for path in paths if (path / SEARCHES / "weights").is_dir()), None)
        raise HarnessError(
            " ".join([f"no finished study in {', '.join(map(str, paths))}.", *unfinished(paths)]),
            "make one: harness run --algo rs,re --bench nb201 --seeds 500"
            if shared is None
            else f"no table has the truth of these searches: harness plot {shared} --figure operators draws what was "
            "learned; with a table, such as that of --space digits201 --data digits, searches are studies.",
        )
    return list(found)


def unfinished(paths: Iterable[Path]) -> list[str]:
    """A sentence for each study in folders among `paths` of which some seeds are there, and how many."""
    done: dict[str, tuple[Study, set[int]]] = {}
    shards = (path for folder in paths for path in inside(folder, ".parquet") if path.parts[-3:-2] == (UNFINISHED,))
    for path in shards:
        with suppress(HarnessError):
            said = STUDIES.said(path)
            study = Study.from_json(said["study"])
            done.setdefault(study.id, (study, set()))[1].update(said["per_seed"]["seeds"])
    return [
        f"{study.label} on {study.benchmark} ({study.id}) is unfinished: {len(seeds)} of {study.stop - study.first} "
        "seeds; the `harness run` that began it goes on."
        for study, seeds in done.values()
    ]
