"""From names and rules to studies, all of them checked before the first one runs."""

from __future__ import annotations

import inspect
import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from harness import registry
from harness.arrays import Ints
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
        ruled = Rules(budget=length, evals=evals, **rules)
        studies += [Study.plan(table, n, given.get(n, {}), seeds.start, seeds.stop, ruled) for n in algorithms]
        for name in algorithms:
            if told := note(name, ruled.seen(table).fidelities):
                tell(f"note: {name} on {table.name}: {told}.")
    return studies


_ALONE = re.compile(r"\b(On a table with one fidelity,? .+?)\.( |$)")


def note(algorithm: str, fidelities: Ints) -> str:
    """What a user should know of an algorithm on a table with these `fidelities`; empty if there is nothing.

    It is what its `note` says or, on one fidelity, the sentence of its description that begins with "On a table with
    one fidelity".
    """
    factory = registry.algorithm(algorithm)
    if hasattr(factory, "note"):
        return str(factory.note(fidelities))
    described = " ".join((inspect.getdoc(factory) or "").split())
    found = _ALONE.search(described) if len(fidelities) == 1 else None
    return f"o{found[1][1:]}" if found else ""
