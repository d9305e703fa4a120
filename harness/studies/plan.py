"""From names and rules to studies, all of them checked before the first one runs."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from harness import registry
from harness.arrays import Ints
from harness.params import resolve
from harness.rules import Rules
from harness.studies.study import Study


def plan(
    algorithms: Sequence[str],
    benchmarks: Sequence[str],
    seeds: range,
    given: Mapping[str, Mapping[str, object]],
    tell: Callable[[str], None],
    *,
    budget: float | None = None,
    evals: int | None = None,
    **rules: Any,
) -> list[Study]:
    """The studies of every algorithm on every benchmark, which may be patterns.

    Parameters are `given` by algorithm and name, the other `rules` are those of `Rules`. A run ends after `budget`
    simulated seconds, by default those of the benchmark, unless `evals` are given. `tell` is called with what there is
    to know of an algorithm on a benchmark. Raises HarnessError for what there is not and for what does not fit.
    """
    algorithms = registry.known(algorithms)
    studies = []
    for table in map(registry.benchmark, registry.expand(benchmarks)):
        length = budget if budget is not None else table.facts.budget if evals is None else math.inf
        ruled = Rules.of(budget=length, evals=evals, **rules)
        studies += [Study.plan(table, n, given.get(n, {}), seeds.start, seeds.stop, ruled) for n in algorithms]
        for study in studies[-len(algorithms) :]:
            if told := note(study, ruled.seen(table).fidelities):
                tell(f"note: {study.algorithm} on {table.name}: {told}.")
    return studies


def note(study: Study, fidelities: Ints) -> str:
    """What the algorithm of `study` says of a table with these `fidelities`, with the parameters that it asks for."""
    factory = registry.algorithm(study.algorithm)
    said: Callable[..., str] | None = getattr(factory, "note", None)
    if said is None:
        return ""
    params = resolve(study.algorithm, factory, study.params)
    asked = inspect.signature(said).parameters
    return said(fidelities, **{name: value for name, value in params.items() if name in asked})
