"""Baselines: a folder of finished studies that later versions of the code are held against."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from harness import registry
from harness.errors import HarnessError
from harness.files import inside
from harness.studies.evaluate import evaluate
from harness.studies.executors import Executor
from harness.studies.keeping import Memory
from harness.studies.outcome import Outcome
from harness.studies.run import run
from harness.studies.selection import once
from harness.studies.store import STUDIES, ResultStore, find, read, write
from harness.studies.study import Study

MAKE = "make one: harness baseline save results/baseline RESULTS..."


def load(folder: Path) -> list[Outcome]:
    """The studies of the baseline. Raises HarnessError if there are none."""
    if not folder.is_dir():
        raise HarnessError(f"there is no baseline at {folder}.", MAKE)
    if not inside(folder, ".parquet"):
        raise HarnessError(f"the baseline at {folder} is empty.", MAKE)
    return once(read(path) for path in find([folder]))


def save(folder: Path, outcomes: Iterable[Outcome]) -> list[Path]:
    """Add the studies to the baseline in `folder`, in place of those that differ in seeds or code only; their paths.

    Raises HarnessError if two of `outcomes` would take the same place.
    """
    outcomes = once(outcomes)
    keys = [_key(outcome.study) for outcome in outcomes]
    for i, key in enumerate(keys):
        if key in keys[:i]:
            a, b = outcomes[keys.index(key)].study, outcomes[i].study
            raise HarnessError(
                f"studies {a.id} and {b.id} differ in seeds or code only ({b.label} on {b.benchmark}).",
                "a baseline has one study of each kind: name the files to save.",
            )
    store = ResultStore(folder)
    paths = [store.path(outcome.study) for outcome in outcomes]
    replaced = [path for path in inside(folder, ".parquet") if path not in paths and _key(read(path).study) in keys]
    for outcome, path in zip(outcomes, paths, strict=True):
        write(outcome, path)
    for path in replaced:
        path.unlink()
    return paths


def _key(study: Study) -> str:
    """Everything that makes the question of a study, but not its answer: all but seeds, code and table version."""
    data: dict[str, Any] = study.to_json()
    return json.dumps({k: data[k] for k in ("benchmark", "algorithm", "params", "rules")}, sort_keys=True)


def select(outcomes: Sequence[Outcome], algorithm: str, benchmark: str) -> list[Outcome]:
    """The studies of one algorithm on one benchmark, named in full or by its family. Raises HarnessError if none."""
    (full,) = registry.expand([benchmark])
    found = [o for o in outcomes if (o.study.algorithm, o.study.benchmark) == (algorithm, full)]
    if not found:
        there = ", ".join(sorted({f"{o.study.algorithm} on {o.study.benchmark}" for o in outcomes}))
        raise HarnessError(f"the baseline has no study of {algorithm} on {full}.", f"it has {there}.")
    return found


def plan(recorded: Study, seeds: int | None) -> Study:
    """The same study by the code as it is now, for its first `seeds` seeds (default: all).

    Raises HarnessError if its table has changed, or the baseline has fewer seeds.
    """
    count = recorded.stop - recorded.first
    if seeds is not None and not 2 <= seeds <= count:
        raise HarnessError(
            f"the baseline study {recorded.id} ({recorded.label} on {recorded.benchmark}) has {count} seeds; "
            f"cannot use {seeds}.",
            f"give --seeds between 2 and {count}.",
        )
    if count < 2:
        raise HarnessError(
            f"the baseline study {recorded.id} ({recorded.label} on {recorded.benchmark}) has a single seed; a test "
            "needs more.",
            "save a study of more --seeds.",
        )
    table = registry.benchmark(recorded.benchmark)
    checksum = recorded.checksum_of(table)
    if checksum != recorded.table:
        raise HarnessError(
            f"the baseline study {recorded.id} is of another version of the table {recorded.benchmark}: its checksum "
            f"is {recorded.table[:12]}, that of the installed one {checksum[:12]}.",
            "run the study on this table, and save it: harness baseline save",
        )
    stop = recorded.first + (seeds or count)
    return Study.plan(table, recorded.algorithm, recorded.params, recorded.first, stop, recorded.rules)


def rerun(
    plans: Sequence[Study], *, executor: Executor | None = None, progress: Callable[[Study, float], None] | None = None
) -> list[Outcome]:
    """The outcomes of `plans`, simulated now, like `run`."""
    store = Memory(STUDIES)
    run(plans, store, evaluate, executor=executor, progress=progress)
    return [store.get(study) for study in plans]


def digest(outcome: Outcome, seeds: int) -> str:
    """Hash of every number of the first `seeds` seeds: equal digests mean bit for bit the same runs."""
    run = outcome.trajectory
    mine = run.seed < seeds
    columns = (run.seed, run.evaluation, run.row, run.fidelity, run.repeat, run.incumbent, run.time, run.loss)
    total = hashlib.sha256()
    for column in (*(c[mine] for c in columns), *(c[:seeds] for c in (run.evaluations, run.ended, run.finished))):
        kind = np.float64 if column.dtype.kind == "f" else np.int64
        total.update(np.ascontiguousarray(column, dtype=kind).data)
    return total.hexdigest()[:16]
