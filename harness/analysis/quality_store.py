"""Qualities of predictors on disk, beside the studies of algorithms and in the same way: whole or absent."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pyarrow as pa

from harness import registry
from harness.analysis.quality import MEASURES, Quality, QualityStudy, evaluate
from harness.errors import HarnessError
from harness.studies.outcome import Reference
from harness.studies.run import versions
from harness.studies.store import QUALITIES, ResultStore, read_table, write_table

SCHEMA = 1


class QualityStore(ResultStore):
    """The folder `predictions` in a folder of results."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        super().__init__(folder / QUALITIES)

    def path(self, study: QualityStudy) -> Path:  # type: ignore[override]
        return self.folder / f"{study.benchmark.replace('/', '-')}.{study.predictor}.{study.id}.parquet"

    def add(self, outcome: Quality) -> None:  # type: ignore[override]
        """Store what one shard of its study found."""
        seeds = outcome.seeds
        write(outcome, self._shard(outcome.study, range(seeds[0], seeds[-1] + 1)))

    def join(self, study: QualityStudy) -> None:  # type: ignore[override]
        parts = [read(self._shard(study, shard)) for shard in study.shards]
        whole = Quality(
            study,
            parts[0].reference,
            parts[0].unit,
            np.concatenate([part.seeds for part in parts]),
            {name: np.concatenate([part.measures[name] for part in parts]) for name in MEASURES},
            np.concatenate([part.skipped for part in parts]),
            sum(part.wall_seconds for part in parts),
            parts[-1].versions,
        )
        write(whole, self.path(study))


def work(study: QualityStudy, shard: range, progress: Callable[[float], None]) -> Quality:
    """What a shard of the study finds."""
    return evaluate(study, registry.benchmark(study.benchmark), np.array(shard), progress, versions())


def write(quality: Quality, path: Path) -> None:
    """Write to `path`, whole or not at all: a row for each seed and size."""
    sizes = quality.study.sizes
    columns = {
        "seed": np.repeat(quality.seeds, len(sizes)),
        "train": np.tile(np.array(sizes, dtype=np.int64), len(quality.seeds)),
        **{name: quality.measures[name].ravel() for name in MEASURES},
        "skipped": quality.skipped.ravel(),
    }
    footer = {
        "schema": SCHEMA,
        "quality": quality.study.to_json(),
        "id": quality.study.id,
        "reference": asdict(quality.reference),
        "unit": quality.unit,
        "wall_seconds": quality.wall_seconds,
        "versions": dict(quality.versions),
    }
    write_table(pa.table(columns), footer, path)


def read(path: Path) -> Quality:
    """What is stored at `path`. Raises HarnessError if it is not the quality of a predictor."""
    table, footer = read_table(path)
    if "quality" not in footer:
        raise HarnessError(f"{path} is a study of an algorithm, not of a predictor.", "`harness predict` makes those.")
    study = QualityStudy.from_json(footer["quality"])
    shape = (-1, len(study.sizes))
    return Quality(
        study,
        Reference(**{**footer["reference"], "fidelities": tuple(footer["reference"]["fidelities"])}),
        footer["unit"],
        table.column("seed").to_numpy().reshape(shape)[:, 0],
        {name: table.column(name).to_numpy().reshape(shape) for name in MEASURES},
        table.column("skipped").to_numpy().reshape(shape),
        footer["wall_seconds"],
        footer["versions"],
    )


def find(paths: Iterable[Path]) -> list[Path]:
    """The files of qualities among `paths`, files or folders. Raises HarnessError if there are none."""
    paths = list(paths)
    found = [file for path in paths for file in (within(path) if path.is_dir() else [path] if path.exists() else [])]
    if not found:
        raise HarnessError(
            f"there are no predictions in {', '.join(map(str, paths))}.",
            "make some: harness predict nb201 --predictor neural,ridge",
        )
    return found


def within(folder: Path) -> list[Path]:
    """The files of qualities in a folder of results."""
    return sorted((folder / QUALITIES).glob("*.parquet"))
