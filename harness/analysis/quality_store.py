"""Qualities of predictors on disk, beside the studies of algorithms."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, replace
from itertools import chain
from pathlib import Path
from typing import Any, TypedDict

import numpy as np
import pyarrow as pa

from harness.analysis.quality import MEASURES, SECONDS, Quality, QualityStudy
from harness.arrays import Ints
from harness.errors import HarnessError
from harness.studies import records
from harness.studies.keeping import Folder
from harness.studies.records import Columns, Footer, file_name, identity
from harness.studies.reference import Reference
from harness.studies.runs import Sharded, kin
from harness.studies.store import QUALITIES


class _Footer(TypedDict):
    quality: dict[str, Any]
    reference: Reference
    unit: str
    wall_seconds: float
    versions: dict[str, str]


class QualityForm(Sharded[QualityStudy, Quality]):
    """A row for each seed and size."""

    what = "a study of a predictor"
    marks = "quality"
    again = "if it is damaged, move it away and run `harness predict` again."
    makes = "`harness predict` makes studies of predictors."
    footer = _Footer
    columns = pa.schema(
        {
            "seed": pa.int64(),
            "train": pa.int64(),
            **dict.fromkeys(MEASURES, pa.float64()),
            "skipped": pa.int64(),
        }
    )
    later = SECONDS

    def name(self, job: QualityStudy) -> str:
        return file_name(job.benchmark, job.predictor, job.id)

    def job(self, result: Quality) -> QualityStudy:
        return result.study

    def seeds(self, result: Quality) -> Ints:
        return result.seeds

    def sources(self, result: Quality) -> Sequence[Path]:
        return result.files

    def same(self, a: Quality, b: Quality) -> bool:
        measured = [name for name in MEASURES if name not in SECONDS]
        pairs = [(a.measures[name], b.measures[name]) for name in measured]
        return np.array_equal(a.skipped, b.skipped) and all(np.array_equal(x, y, equal_nan=True) for x, y in pairs)

    def read(self, path: Path) -> Quality:
        return replace(super().read(path), files=(path,))

    def join(self, job: QualityStudy, parts: Iterable[Quality]) -> Quality:
        parts = self.distinct(parts)
        seeds = np.concatenate([part.seeds for part in parts])
        order = np.argsort(seeds)
        return Quality(
            job,
            parts[0].reference,
            parts[0].unit,
            seeds[order],
            {name: np.concatenate([part.measures[name] for part in parts])[order] for name in MEASURES},
            np.concatenate([part.skipped for part in parts])[order],
            sum(part.wall_seconds for part in parts),
            parts[-1].versions,
            tuple(chain.from_iterable(part.files for part in parts)),
        )

    def within(self, result: Quality, seeds: range | Ints) -> Quality | None:
        kept = np.isin(result.seeds, np.asarray(seeds))
        if not kept.any():
            return None
        study = _of_seeds(result.study, result.seeds[kept])
        measures = {name: values[kept] for name, values in result.measures.items()}
        return replace(result, study=study, seeds=result.seeds[kept], measures=measures, skipped=result.skipped[kept])

    def portion(self, job: QualityStudy, result: Quality, seeds: range) -> Quality:
        part = self.within(result, seeds)
        assert part is not None
        return replace(part, study=job)

    def pack(self, result: Quality) -> tuple[str, Columns, Footer]:
        sizes = result.study.sizes
        columns = {
            "seed": np.repeat(result.seeds, len(sizes)),
            "train": np.tile(np.array(sizes, dtype=np.int64), len(result.seeds)),
            **{name: result.measures[name].ravel() for name in MEASURES},
            "skipped": result.skipped.ravel(),
        }
        footer = {
            "quality": result.study.to_json(),
            "reference": asdict(result.reference),
            "unit": result.unit,
            "wall_seconds": result.wall_seconds,
            "versions": dict(result.versions),
        }
        return result.study.id, columns, footer

    def unpack(self, columns: Columns, footer: Footer) -> tuple[str, Quality]:
        study = QualityStudy.from_json(footer["quality"])
        shape = (-1, len(study.sizes))
        return study.id, Quality(
            study,
            footer["reference"],
            footer["unit"],
            columns["seed"].reshape(shape)[:, 0],
            {name: columns[name].reshape(shape) for name in MEASURES},
            columns["skipped"].reshape(shape),
            footer["wall_seconds"],
            footer["versions"],
        )


FORM = QualityForm()


class QualityStore(Folder[QualityStudy, Quality]):
    """The folder `predictions` in a folder of results."""

    def __init__(self, folder: Path) -> None:
        super().__init__(FORM, folder / QUALITIES)


def read_once(paths: Iterable[Path]) -> list[Quality]:
    """What is stored at `paths`, of which studies that differ in seeds only are one.

    Raises HarnessError if a file is not the quality of a predictor as it was written, and for a seed with different
    numbers in two of them.
    """
    groups: dict[str, list[Quality]] = {}
    for path in paths:
        quality = FORM.read(path)
        groups.setdefault(identity(kin(quality.study.to_json())), []).append(quality)
    return [group[0] if len(group) == 1 else _pooled(group) for group in groups.values()]


def _pooled(same: Sequence[Quality]) -> Quality:
    seeds = np.sort(np.concatenate([quality.seeds for quality in same]))
    return FORM.join(_of_seeds(same[0].study, seeds), same)


def _of_seeds(study: QualityStudy, seeds: Ints) -> QualityStudy:
    """The study of ascending seeds."""
    return replace(study, first=int(seeds[0]), stop=int(seeds[-1]) + 1)


def find(paths: Iterable[Path]) -> list[Path]:
    """The files of qualities among `paths`, files or folders. Raises HarnessError if there are none."""
    paths = list(paths)
    none = HarnessError(
        f"there are no predictions in {', '.join(map(str, paths))}.",
        "make some: harness predict nb201 --predictor neural,ridge",
    )
    return records.find(paths, [f"{QUALITIES}/*.parquet"], none, FORM.makes)


def within(folder: Path) -> list[Path]:
    """The files of qualities in a folder of results."""
    return sorted((folder / QUALITIES).glob("*.parquet"))
