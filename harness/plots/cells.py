"""The architectures that runs ended with, drawn as graphs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from harness.analysis.comparison import selected
from harness.arrays import Ints
from harness.errors import HarnessError
from harness.numbers import number
from harness.plots.drawing import cell, keys
from harness.plots.graphs import handles, paint
from harness.plots.style import STYLE, Width, panels, tell
from harness.space import SearchSpace
from harness.studies.fronts import held
from harness.studies.outcome import Outcome
from harness.studies.reference import Kind
from harness.table import Table


class Incumbent(NamedTuple):
    """The most frequent incumbent of a study: its codes Int[d], how many runs have it, and its validation regret.

    Of several objectives it is what most runs hold, and `measured` has its objectives in place of the regret.
    """

    outcome: Outcome
    space: SearchSpace
    codes: Ints
    runs: int
    measured: dict[str, float]

    @property
    def note(self) -> str:
        """`288 of 500 runs, validation regret 0`."""
        told = ", ".join(f"{name} {number(value, 2)}" for name, value in self.measured.items())
        return f"{self.runs} of {len(self.outcome.trajectory.seeds)} runs, {told}"


def incumbents(outcomes: Sequence[Outcome], at: float | None = None) -> list[Incumbent]:
    """The most frequent incumbent of each study at simulated time `at` (default: the end).

    Raises HarnessError for configurations that are no graphs, and for a table that has changed since.
    """
    found, tables = [], dict[tuple[str, str], Table]()
    for outcome in outcomes:
        which = (outcome.study.benchmark, outcome.study.table)
        if which not in tables:
            tables[which] = outcome.study.load_table()
        table = tables[which]
        if table.space.graphs is None:
            raise HarnessError(
                f"the configurations of {table.name} are no graphs to draw.", "name results of nb201, for example."
            )
        time, rules = outcome.end if at is None else at, outcome.study.rules
        if rules.objectives:
            row, count = _most_held(outcome, table, time)
            position = table.position(rules.report_fidelity)
            numbers = table.measured(np.array([row]), rules.objectives, position)
            measured = {name: float(values[0]) for name, values in numbers.items()}
        else:
            row, count = _most_frequent(outcome, time)
            measured = {"validation regret": float(table.mean_loss[row, -1] - outcome.reference.optimum)}
        found.append(Incumbent(outcome, table.space, table.codes[row], count, measured))
    return found


def cell_figure(outcomes: Sequence[Outcome], kind: Kind, width: Width | None, *, at: float | None) -> Figure:
    """The most frequent incumbent of each study at simulated time `at` (default: the end) as a graph.

    Edges without an operator are left out. Raises HarnessError for configurations that are no graphs.
    """
    drawn = incumbents([outcome for same in selected(outcomes, kind).values() for outcome in same], at)
    with mpl.rc_context(STYLE):
        figure, axes = panels(len(drawn), width, 1.9)
        for axis, found in zip(axes, drawn, strict=True):
            paint(axis, cell(found.space, found.codes))
            study = found.outcome.study
            axis.set_title(f"{found.outcome.label}, {study.benchmark}\n{found.note}", fontsize=7)
            configuration = found.space.to_dict(found.codes)
            tell(axis, study.benchmark, found.outcome.label, runs=found.runs, **found.measured, **configuration)
        entries = handles({name: look for found in drawn for name, look in keys(found.space).items()})
        columns = 2 if len(drawn) == 1 else 4
        figure.legend([*entries.values()], [*entries], loc="outside upper center", ncols=columns, frameon=False)
    return figure


def _most_frequent(outcome: Outcome, time: float) -> tuple[int, int]:
    """Row of the most frequent incumbent, and how many runs have it; of several the one with the lowest loss."""
    at = outcome.trajectory.at(np.array([time]))[:, 0]
    if (at < 0).all():
        raise _nothing(outcome, time)
    rows, first, counts = np.unique(outcome.trajectory.row[at[at >= 0]], return_index=True, return_counts=True)
    losses = outcome.losses("val")[at[at >= 0]][first]
    best = np.lexsort([losses, -counts])[0]
    return int(rows[best]), int(counts[best])


def _most_held(outcome: Outcome, table: Table, time: float) -> tuple[int, int]:
    """Row that most runs hold, and how many do; of several the one with the lowest loss."""
    held_ = held(outcome.study.rules.feasible(table), outcome.study.rules, outcome.trajectory, time)
    rows, counts = np.unique(np.concatenate(held_), return_counts=True)
    if not rows.size:
        raise _nothing(outcome, time)
    best = np.lexsort([table.mean_loss[rows, -1], -counts])[0]
    return int(rows[best]), int(counts[best])


def _nothing(outcome: Outcome, time: float) -> HarnessError:
    when = f"{time:g} {outcome.unit}"
    return HarnessError(f"study {outcome.study.id} has no result at {when}.", "choose a later time.")
