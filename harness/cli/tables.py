"""What the terminal shows: progress bars and tables, by rich."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from rich import box
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table as Grid

from harness.outcome import Outcome, summary
from harness.study import Study


@contextmanager
def progress(studies: Sequence[Study], present: set[str]) -> Iterator[Callable[[Study, float], None]]:
    """A bar for every study on stderr; yields the function that moves them. `present` are ids found complete."""
    bars = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
        console=Console(stderr=True),
    )
    with bars:
        tasks = {
            study.id: bars.add_task(
                f"{study.benchmark} {study.label}", total=1.0, note="already there" if study.id in present else ""
            )
            for study in studies
        }
        yield lambda study, share: bars.update(tasks[study.id], completed=share)


def summaries(outcomes: Sequence[Outcome]) -> None:
    """The table after a run, with the definition of what regret means, on stderr."""
    console = Console(stderr=True)
    grid = _grid("benchmark", "algorithm", "seeds", "val regret", "test regret", "evaluations", "simulated s", "wall s")
    for outcome in outcomes:
        row = summary(outcome)
        grid.add_row(
            row["benchmark"],
            outcome.study.label,
            str(row["seeds"]),
            mean_sem(row["val_regret_mean"], row["val_regret_sem"]),
            mean_sem(row["test_regret_mean"], row["test_regret_sem"]),
            f"{row['evaluations_mean']:,.1f}",
            f"{row['time']:.3g}",
            f"{row['wall_seconds']:.2f}",
        )
    console.print(grid)
    for line in definitions(outcomes):
        console.print(f"  {line}", style="dim", highlight=False)


def at_times(rows: Iterable[dict[str, Any]], labels: Iterable[str]) -> Grid:
    """`harness show RESULTS`: summaries at given times."""
    grid = _grid("benchmark", "algorithm", "seeds", "time (s)", "val regret", "val loss", "test regret", "evaluations")
    for row, label in zip(rows, labels, strict=True):
        grid.add_row(
            row["benchmark"],
            label,
            str(row["seeds"]),
            f"{row['time']:.6g}",
            mean_sem(row["val_regret_mean"], row["val_regret_sem"]),
            number(row["val_loss_mean"]),
            mean_sem(row["test_regret_mean"], row["test_regret_sem"]),
            f"{row['evaluations_mean']:,.1f}",
        )
    return grid


def definitions(outcomes: Sequence[Outcome]) -> list[str]:
    """What the regrets of these outcomes are measured against, a sentence per benchmark."""
    lines = []
    for benchmark in dict.fromkeys(outcome.study.benchmark for outcome in outcomes):
        same = [outcome for outcome in outcomes if outcome.study.benchmark == benchmark]
        reference, rules = same[0].reference, {(o.study.rules.incumbent, o.study.rules.noise) for o in same}
        test = "" if reference.test_optimum is not None else " No test metric in this table."
        for incumbent, noise in sorted(rules):
            lines.append(
                f"{benchmark}: mean +-SEM over seeds; val regret is against {reference.optimum:.6g} (row "
                f"{reference.optimum_row}, {reference.optimum_definition}); incumbent: best observed at "
                f"{'any' if incumbent == 'any' else 'the largest observed'} fidelity; noise: {noise}.{test}"
            )
    return lines


def mean_sem(mean: float | None, sem: float | None) -> str:
    """`3.59e-04 ± 2.3e-05`; a dash where there is no number."""
    if mean is None:
        return "–"
    return number(mean) + (f" ± {sem:.1e}" if sem is not None else "")


def number(value: float | None) -> str:
    """Three or four significant digits; a dash where there is no number."""
    if value is None or math.isnan(value):
        return "–"
    return f"{value:.4g}" if value == 0 or 1e-2 <= abs(value) < 1e4 else f"{value:.2e}"


def facts(rows: Iterable[tuple[str, str]]) -> Grid:
    """Two columns, names and values."""
    grid = Grid(box=None, show_header=False, padding=(0, 2, 0, 0))
    grid.add_column(style="bold", no_wrap=True)
    grid.add_column(overflow="fold")
    for name, value in rows:
        grid.add_row(name, value)
    return grid


def listing(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> Grid:
    """A plain table of texts."""
    grid = Grid(*columns, box=box.SIMPLE_HEAD)
    for row in rows:
        grid.add_row(*row)
    return grid


def _grid(*columns: str) -> Grid:
    grid = Grid(box=box.SIMPLE_HEAD)
    for i, column in enumerate(columns):
        grid.add_column(column, justify="left" if i < 2 else "right", no_wrap=True)
    return grid
