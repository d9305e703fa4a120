"""From a study to its outcome."""

from __future__ import annotations

import platform
import time
from collections.abc import Callable
from functools import partial
from importlib.metadata import version

import numpy as np

from harness import registry
from harness.algorithm import Factory
from harness.driven import drive
from harness.errors import HarnessError, PluginError
from harness.local import Local
from harness.simulation import Share, simulate
from harness.studies.outcome import Outcome
from harness.studies.study import Study
from harness.table import Table


def evaluate(
    study: Study,
    shard: range | None = None,
    progress: Callable[[float], None] | None = None,
    *,
    table: Table | None = None,
    factory: Factory | None = None,
) -> Outcome:
    """The outcome of a study, or of the seeds `shard` of it, simulated now; `progress` hears of shares in [0, 1].

    `table` and `factory` stand for those that the study names, where those are not installed. Raises PluginError, which
    names the algorithm, for what it raises or answers wrongly, and HarnessError where its file changed meanwhile.
    """
    where = registry.benchmark(study.benchmark) if table is None else table
    factory = registry.algorithm(study.algorithm) if factory is None else factory
    seeds = study.seeds if shard is None else np.array(shard)
    began, worked = time.perf_counter(), time.process_time()
    try:
        if isinstance(factory, Local) and factory.drives:
            function = partial(factory.__wrapped__, **study.params)
            trajectory = drive(function, where, seeds=seeds, rules=study.rules, progress=progress)
        else:
            made = partial(factory, **study.params)
            trajectory = simulate(where, made, seeds=seeds, rules=study.rules, progress=progress, scores=study.scores)
    except HarnessError as error:
        subject = f"{registry.origin(registry.ALGORITHMS, study.algorithm)} on {study.benchmark}"
        if isinstance(error, PluginError):
            raise error.of(subject) from error
        raise PluginError(f"gave up: {error.message}", error.hint, subject) from error
    if isinstance(factory, Local):
        factory.check_unchanged()
    wall, cpu = time.perf_counter() - began, time.process_time() - worked
    if progress is not None:
        progress(Share(1.0, int(trajectory.evaluations.sum())))
    return Outcome.of(study, where, trajectory, wall, versions(), cpu)


def versions() -> dict[str, str]:
    """What made a result: it does not change the numbers, but helps to explain a difference."""
    return {"nas-harness": version("nas-harness"), "numpy": np.__version__, "python": platform.python_version()}
