"""Which architectures to train: the incumbents of studies, or rows of a table, with what the table says of them."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

import numpy as np

from harness import registry
from harness.arrays import Floats
from harness.errors import HarnessError
from harness.spaces.architecture import Architecture
from harness.studies.outcome import Outcome
from harness.table import Table
from harness.train.results import Origin

Found = tuple[Architecture, Origin | None]


def best(outcomes: Sequence[Outcome], top: int, tell: Callable[[str], None] = lambda _: None) -> list[Found]:
    """The `top` incumbents that the seeds of all studies on a benchmark ended with, for each benchmark.

    They stand in the order of the table's validation loss, mean over repeats. `tell` is called with a sentence on each
    benchmark that has no architectures. Raises HarnessError if none has, or one is no longer the table that was
    searched.
    """
    outcomes = _of_architectures(outcomes, tell)
    rows: dict[str, set[int]] = {}
    tables: dict[str, Table] = {}
    for outcome in outcomes:
        name = outcome.study.benchmark
        table = tables.setdefault(name, registry.benchmark(name))
        if outcome.study.checksum_of(table) != outcome.study.table:
            raise HarnessError(f"{name} is not the table that study {outcome.study.id} searched.", "run it again.")
        rows.setdefault(name, set()).update(ends(outcome))
    chosen: dict[Architecture, Origin | None] = {}
    for name, candidates in rows.items():
        sorted_rows = np.array(sorted(candidates), dtype=np.int64)
        order = np.argsort(tables[name].mean_loss[sorted_rows, -1], kind="stable")
        for row in sorted_rows[order][:top].tolist():
            chosen.setdefault(Architecture.of(tables[name], row), origin(tables[name], row))
    if not chosen:
        raise HarnessError("no seed of these studies has an incumbent.", "give them a larger --budget.")
    return list(chosen.items())


def ends(outcome: Outcome) -> set[int]:
    """The rows of the incumbents that the seeds of a study ended with."""
    last = outcome.trajectory.at(np.array([np.inf]))[:, 0]
    found = outcome.trajectory.row[last[last >= 0]]
    return {*found[found >= 0].tolist()}


def _of_architectures(outcomes: Sequence[Outcome], tell: Callable[[str], None]) -> list[Outcome]:
    refused: dict[str, HarnessError] = {}
    for name in dict.fromkeys(outcome.study.benchmark for outcome in outcomes):
        try:
            Architecture.of(registry.benchmark(name), 0)
        except HarnessError as error:
            refused[name] = error
    found = [outcome for outcome in outcomes if outcome.study.benchmark not in refused]
    if not found and refused:
        raise next(iter(refused.values()))
    for name, why in refused.items():
        tell(f"note: {name} is left out: {why.message}")
    return found


def named(text: str) -> Found:
    """The architecture written as `text`, or the row of a benchmark in `nb201:6111`."""
    bench, colon, row = text.rpartition(":")
    if not (colon and re.fullmatch(r"[\w./-]+", bench) and row.isdecimal()):
        if bench in (*registry.families(), *registry.benchmark_facts()):
            raise HarnessError(f"'{row}' is no row of {bench}.", f"name one by its number: {bench}:6111")
        return Architecture.parse(text), None
    table = registry.benchmark(bench)
    if int(row) >= len(table):
        raise HarnessError(f"{table.name} has no row {row}.", f"its rows are 0 to {len(table) - 1}.")
    return Architecture.of(table, int(row)), origin(table, int(row))


def origin(table: Table, row: int) -> Origin:
    """What `table` says of the architecture in `row` at the largest fidelity, as accuracies."""

    def accuracies(losses: Floats | None) -> tuple[float, ...]:
        return () if losses is None else tuple((1.0 - losses[row, -1][np.isfinite(losses[row, -1])]).tolist())

    fidelity = f"{table.facts.fidelity} {table.fidelities[-1]}"
    return Origin(table.name, row, fidelity, accuracies(table.loss), accuracies(table.test), table.facts.images)
