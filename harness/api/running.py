"""Run studies from Python, and load what ran: the same studies, ids and files as those of the command line."""

from __future__ import annotations

import logging
import os
import traceback
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

from harness import registry
from harness.api.results import Failure, Results, selection
from harness.api.results import names as names_of
from harness.errors import HarnessError, PluginError
from harness.report.running import run as run_studies
from harness.studies.evaluate import evaluate
from harness.studies.executors import local
from harness.studies.keeping import Memory
from harness.studies.outcome import Outcome
from harness.studies.plan import plan
from harness.studies.runs import Store
from harness.studies.selection import gathered, seed_range
from harness.studies.store import STUDIES, ResultStore, unfinished
from harness.studies.study import Study

Algorithms = str | Sequence[str] | Mapping[str, object]


def run(
    algorithms: Algorithms,
    benchmarks: str | Sequence[str],
    *,
    seeds: int | str | range = 500,
    budget: float | None = None,
    evals: int | None = None,
    params: Mapping[str, Mapping[str, object]] | None = None,
    out: str | Path | None = None,
    processes: int | None = None,
    quiet: bool = False,
    **rules: Any,
) -> Results:
    """Run algorithms on benchmarks on a simulated clock.

    `algorithms` are names, or names with what they stand for: the name of an installed algorithm, `file.py:Class`, a
    class with ask and tell for one seed or many, a factory, or a function of an `Objective`. `benchmarks` are names or
    patterns such as `nb201/*`. `seeds` is their number, `"17:42"` or a range; `budget` is in simulated seconds, by
    default the benchmark's; `params` are by name of the algorithm; `rules` are the others of `Rules`.

    Studies have the ids of the command line and are kept as files in the folder `out` or, without one, in memory until
    the session ends: what is there already is not run again, and an interrupted call goes on where it stopped. An
    algorithm that fails is left out, and told in `Results.failures`. Raises HarnessError for what does not fit, and if
    all fail.
    """
    names = _adopted(algorithms)
    given = {names.get(name, name): values for name, values in (params or {}).items()}
    notes: list[str] = []
    patterns = [benchmarks] if isinstance(benchmarks, str) else [*benchmarks]
    studies = plan(
        [*names.values()], patterns, seed_range(seeds), given, notes.append, budget=budget, evals=evals, **rules
    )
    store = _session() if out is None else ResultStore(Path(out))
    errors: dict[str, Exception] = {}
    _run(studies, store, processes or len(os.sched_getaffinity(0)), errors, quiet)
    shown = {algorithm: name for name, algorithm in names.items() if name != algorithm}
    outcomes = [
        replace(store.get(study), name=shown.get(study.algorithm, "")) for study in studies if store.complete(study)
    ]
    failures = [_failure(study, errors[study.id]) for study in studies if study.id in errors]
    if not outcomes:
        raise HarnessError(" ".join(["nothing could be run.", *failures])) from next(iter(errors.values()))
    return Results(outcomes, failures=failures, notes=notes)


def load(
    *paths: str | Path,
    algo: str | Iterable[str] = (),
    bench: str | Iterable[str] = (),
    seeds: int | str | range | None = None,
    budget: float | None = None,
) -> Results:
    """Load finished studies from files or folders (default: `results`), or those of them that are selected.

    `algo` and `bench` are names or patterns, several separated by commas; studies that differ in seeds only are joined.
    Raises HarnessError if there are none.
    """
    places = [Path(path) for path in paths or ("results",)]
    outcomes = gathered(places, selection(algo, bench, seeds, budget))
    return Results(outcomes, notes=unfinished(places))


def _adopted(algorithms: Algorithms) -> dict[str, str]:
    """Names of the algorithms by what the user calls them; what is handed over as an object is adopted."""
    if not isinstance(algorithms, Mapping):
        specs = names_of(algorithms)
        return dict(zip(specs, registry.known(specs), strict=True))
    names = {}
    for name, given in algorithms.items():
        if isinstance(given, str):
            (names[name],) = registry.known([given])
        else:
            registry.adopt(name, given)
            names[name] = name
    if not names:
        raise HarnessError("there are no algorithms to run.", 'name some: h.run("rs,re", "nb201")')
    return names


def _failure(study: Study, error: Exception) -> Failure:
    trace = "".join(traceback.format_exception(error))
    if isinstance(error, PluginError):
        return Failure(error.message, trace)
    what = str(error) if isinstance(error, HarnessError) else f"{type(error).__name__}: {error}"
    return Failure(f"{study.label} on {study.benchmark} failed: {what.rstrip('.')}.", trace)


@cache
def _session() -> Memory[Study, Outcome]:
    """What is kept until the session ends."""
    return Memory(STUDIES)


def _run(
    studies: Sequence[Study], store: Store[Study, Outcome], processes: int, errors: dict[str, Exception], quiet: bool
) -> None:
    """Run what is missing; `errors` gets what a study failed by, by id."""

    def failed(study: Study, error: Exception) -> None:
        errors[study.id] = error

    where = local(processes, logging.getLogger("harness").warning)
    run_studies(studies, store, evaluate, where, failed=failed, quiet=quiet or all(map(store.complete, studies)))
