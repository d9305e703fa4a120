"""What the terminal shows: progress bars and tables, by rich."""

from __future__ import annotations

import math
import os
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Literal

from rich import box
from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.progress import (
    BarColumn,
    Progress,
    Task,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.progress_bar import ProgressBar
from rich.segment import Segment
from rich.table import Column, Table
from rich.text import Text

from harness.analysis.comparison import Statistic, remarks
from harness.arrays import Ints
from harness.numbers import ABSENT, mean_sem, quartiles
from harness.studies.outcome import Outcome, unit_of
from harness.studies.reference import Kind
from harness.studies.selection import spans

if TYPE_CHECKING:
    from harness.studies.runs import J

SECONDS_BETWEEN_LINES = 10.0
"""Without a terminal."""
SECONDS_OF_SILENCE = 60.0
"""After which it is said that nothing is heard of a study."""
MANY = 200
"""Rows beyond which a table is laid out without folding."""
_REGRETS = ("hypervolume regret", "hypervolume regret, test")
"""Columns where all studies are of several objectives."""


@contextmanager
def progress(
    studies: Sequence[J], present: set[str], *, quiet: bool = False, status: Callable[[], str] = str
) -> Iterator[Callable[[J, float], None]]:
    """A bar for every study on stderr; yields the function that moves them. `present` are ids found complete.

    The time of a bar begins when its study does; beside one that moves stands the `status` of whoever is at work.
    """
    with bars(quiet=quiet) as shown:
        tasks = {
            study.id: shown.add_task(
                f"{study.benchmark} {study.label}",
                start=False,
                total=1.0,
                note="already there" if study.id in present else "",
            )
            for study in studies
        }

        def move(study: J, share: float) -> None:
            task = shown.tasks[shown.task_ids.index(tasks[study.id])]
            if not task.started:
                shown.start_task(task.id)
            note = status() if share < 1 else task.fields["note"] if study.id in present else ""
            made = getattr(share, "evaluations", 0)
            shown.update(task.id, completed=share, evaluations=made, note=note, heard=task.get_time())

        yield move


def bars(*, quiet: bool = False) -> Progress:
    """Bars on stderr with the time left, each with a field `note`; none at all where `quiet`.

    Without a terminal a line every ten seconds, and the bars at the end.
    """
    shown = console(stderr=True)
    kind = Progress if shown.is_terminal or shown.is_jupyter else _Telling
    return kind(
        TextColumn("{task.description}"),
        Bar(),
        TaskProgressColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        _Note("{task.fields[note]}"),
        console=shown,
        disable=quiet,
    )


class Bar(BarColumn):
    """A bar that does not move before its work begins."""

    def render(self, task: Task) -> ProgressBar:
        bar = super().render(task)
        bar.pulse = False
        return bar


class _Note(TextColumn):
    """The note of a bar, and for how long nothing was heard of its work, as where an algorithm does not answer."""

    def render(self, task: Task) -> Text:
        return super().render(task).append(_silence(task))


def _silence(task: Task) -> str:
    since = task.get_time() - task.fields.get("heard", math.inf)
    if task.finished or since < SECONDS_OF_SILENCE:
        return ""
    return f" (nothing heard for {timedelta(seconds=round(since))}; Ctrl-C ends it)"


class _Telling(Progress):
    """Tells how far things are in a line now and then."""

    def start(self) -> None:
        super().start()
        if not self.disable:
            self._over = threading.Event()
            threading.Thread(target=self._tell, daemon=True).start()

    def stop(self) -> None:
        if not self.disable:
            self._over.set()
            super().stop()

    def _tell(self) -> None:
        while not self._over.wait(SECONDS_BETWEEN_LINES):
            if told := self.told():
                print(told, file=sys.stderr, flush=True)

    def told(self) -> str:
        """`62 % of 6, 81,234 evaluations, 0:01:10 left; fcnet/naval re: 80 %`; nothing before anything began."""
        tasks = [task for task in self.tasks if task.started]
        if not tasks:
            return ""
        share = sum(min(task.percentage, 100.0) for task in self.tasks) / len(self.tasks)
        took = max(task.get_time() - (task.start_time or 0.0) for task in tasks)
        made = sum(task.fields.get("evaluations", 0) for task in tasks)
        told = [f"{share:.0f} % of {len(self.tasks)}", *([f"{made:,} evaluations"] if made else [])]
        if share:
            told.append(f"{timedelta(seconds=round(took * (100.0 - share) / share))} left")
        at_work = [
            f"{task.description}: {task.percentage:.0f} %{_silence(task)}" for task in tasks if not task.finished
        ]
        return "; ".join([", ".join(told), *at_work])


def console(*, stderr: bool = False) -> Console:
    """The terminal or, where output goes elsewhere, as many columns as COLUMNS says or else 140."""
    found = Console(stderr=stderr, markup=False, highlight=False)
    if found.is_terminal:
        return found
    columns = os.environ.get("COLUMNS", "")
    width = int(columns) if columns.isdecimal() and int(columns) else 140
    return Console(stderr=stderr, markup=False, highlight=False, width=width)


class Grid(Table):
    """A table or, where its words do not fit side by side, a block of lines for each row."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        needed = sum(_least(column) + 2 for column in self.columns)
        if not self.show_header or needed <= options.max_width:
            yield from super().__rich_console__(console, options)
            return
        heads = [column.header for column in self.columns]
        for row in zip(*(column.cells for column in self.columns), strict=True):
            block = Table(box=None, show_header=False, padding=(0, 1, 0, 0))
            block.add_column(style="bold", overflow="fold")
            block.add_column(overflow="fold")
            for head, cell in zip(heads, row, strict=True):
                block.add_row(head, cell)
            yield block
            yield ""


def _least(column: Column) -> int:
    """The width of the longest word of a column, where it wraps; what is longer than 24 may be broken."""
    cells = [str(cell) for cell in (column.header, *column.cells)]
    if column.no_wrap:
        return max(map(len, cells))
    return min(max((len(word) for cell in cells for word in cell.split()), default=0), 24)


def summaries(
    outcomes: Sequence[Outcome], rows: Sequence[dict[str, Any]], statistic: Statistic = "mean"
) -> Iterator[RenderableType]:
    """Summary `rows` of `outcomes` as a table, and what their regrets mean. Columns without a number are left out."""
    labels = {outcome.study.id: outcome.label for outcome in reversed(outcomes)}
    seeds = {outcome.study.id: outcome.seeds for outcome in reversed(outcomes)}
    shown, unit = _regret_mean if statistic == "mean" else _regret_median, unit_of(outcomes)
    val, test = _REGRETS if all(o.study.rules.objectives for o in outcomes) else ("val regret", "test regret")
    columns = {
        "benchmark": [row["benchmark"] for row in rows],
        "algorithm": [labels[row["study"]] for row in rows],
        "seeds": [_seeds(seeds[row["study"]]) for row in rows],
        val: [shown(row, "val") for row in rows],
        test: [shown(row, "test") for row in rows],
        "evals": [ABSENT if (mean := row["evaluations_mean"]) is None else f"{mean:,.1f}" for row in rows],
        f"time ({unit})": [f"{row['time']:.4g}" for row in rows],
        "wall (s)": [f"{row['wall_seconds']:.2f}" for row in rows],
    }
    columns = {**dict([*columns.items()][:2]), **_unlike(labels, rows, unit), **dict([*columns.items()][2:])}
    kept = {name: cells for name, cells in columns.items() if name != test or set(cells) != {ABSENT}}
    if len(rows) > MANY:
        yield _Lines(kept)
    else:
        grid = Grid(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
        for name in kept:
            grid.add_column(name, justify=_justified(name), no_wrap="regret" not in name)
        for cells in zip(*kept.values(), strict=True):
            grid.add_row(*cells)
        yield grid
    for line in definitions(outcomes, statistic):
        yield Text(line, style="dim")
    for line in remarks(outcomes):
        yield Text(f"note: {line}")


def _justified(column: str) -> Literal["left", "right"]:
    return "left" if column in ("benchmark", "algorithm") else "right"


class _Lines:
    """A table like `Grid`, whose time is in the number of its rows what theirs is not: a line each, never folded."""

    def __init__(self, columns: Mapping[str, Sequence[str]]) -> None:
        self.columns = columns

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Segment]:
        laid = []
        for name, cells in self.columns.items():
            width = max(map(cell_len, (name, *cells)))
            fill = [(cell, " " * (width - cell_len(cell))) for cell in (name, *cells)]
            laid.append([text + gap if _justified(name) == "left" else gap + text for text, gap in fill])
        head, *lines = (f" {' '.join(line)} " for line in zip(*laid, strict=True))
        rule = " " + "─" * (cell_len(head) - 2) + " "
        yield Segment("\n".join(["", head, rule, *lines, "", ""]))


def _unlike(labels: Mapping[str, str], rows: Sequence[dict[str, Any]], unit: str) -> dict[str, list[str]]:
    """Columns of what is not at its default, or differs between rows; ids of studies that look alike otherwise."""
    found = {}
    for name, key, default in (("workers", "workers", 1), (f"overhead ({unit})", "overhead", 0.0)):
        if {row[key] for row in rows} != {default}:
            found[name] = [f"{row[key]:g}" for row in rows]
    for name, key in ((f"budget ({unit})", "budget"), ("evals limit", "evals")):
        by_benchmark: dict[str, set[object]] = {}
        for row in rows:
            by_benchmark.setdefault(row["benchmark"], set()).add(row[key])
        if any(len(values) > 1 for values in by_benchmark.values()):
            found[name] = [ABSENT if row[key] is None else f"{row[key]:.4g}" for row in rows]
    seen = {(row["benchmark"], labels[row["study"]], row["study"]) for row in rows}
    if len(seen) > len({(benchmark, label) for benchmark, label, _ in seen}):
        found["study"] = [row["study"] for row in rows]
    return found


def _seeds(seeds: Ints) -> str:
    """`500`, or `17:42` where they do not begin at 0."""
    return str(len(seeds)) if len(seeds) and seeds[-1] == len(seeds) - 1 else spans(seeds)


def qualities(rows: Sequence[dict[str, Any]]) -> Iterator[RenderableType]:
    """Records of `quality.summary` as a table, and what the columns mean."""
    units = {row["mse_unit"]: None for row in rows}
    names = {
        "mse": f"MSE ({', '.join(units)})",
        "spearman": "Spearman",
        "kendall": "Kendall tau",
        "regret": "regret of best predicted",
        "precision": "precision in top 1 %",
        "fit_seconds": "CPU s per fit",
        "query_seconds": "CPU s per query of all",
    }
    grid = Grid(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for name in ("benchmark", "predictor", "train", "seeds", *names.values()):
        grid.add_column(name, justify="left" if name in ("benchmark", "predictor") else "right")
    for row in rows:
        cells = [mean_sem(row[f"{name}_mean"], row[f"{name}_sem"]) for name in names]
        grid.add_row(row["benchmark"], row["predictor"], str(row["train"]), str(row["seeds"]), *cells)
    yield grid
    yield Text(
        "mean ± SEM over seeds; judged on all configurations that were not trained on, against means over repeats",
        style="dim",
    )


def _regret_mean(row: dict[str, Any], kind: Kind) -> str:
    return mean_sem(row[f"{kind}_regret_mean"], row[f"{kind}_regret_sem"])


def _regret_median(row: dict[str, Any], kind: Kind) -> str:
    """`3.59e-04 [2.1e-04, 4.0e-04]`."""
    middle, low, high = (row[f"{kind}_regret_{name}"] for name in ("median", "q25", "q75"))
    return ABSENT if middle is None else quartiles(middle, low, high)


def definitions(outcomes: Sequence[Outcome], statistic: Statistic = "mean") -> list[str]:
    """How the numbers came about: a sentence for each set of rules, and one for each benchmark's optimum."""
    rules = {_rules(outcome, statistic): None for outcome in outcomes}
    return [*rules, *{_optimum(outcome): None for outcome in outcomes}]


def _rules(outcome: Outcome, statistic: Statistic) -> str:
    shown = "mean ± SEM" if statistic == "mean" else "median [quartiles]"
    return "; ".join([f"{shown} over seeds", *outcome.study.rules.clauses(outcome.reference.fidelity)])


def _optimum(outcome: Outcome) -> str:
    reference = outcome.reference
    test = "no test metric in this table"
    if reference.test_optimum is not None:
        test = f"test regret against {reference.test_optimum:.6g} ({reference.test})"
    regret, definition = "val regret", reference.optimum_definition
    if outcome.study.rules.objectives:
        regret, definition = _REGRETS[0], f"{reference.loss}, {definition}"
    return (
        f"{outcome.benchmark}: {regret} is against {reference.optimum:.6g}{reference.row} "
        f"({definition}); {test}; {reference.splits}"
    )


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
    grid = Grid(box=box.SIMPLE_HEAD)
    for name in columns:
        grid.add_column(name, overflow="fold")
    for row in rows:
        grid.add_row(*row)
    return grid


def trainings(rows: Sequence[dict[str, Any]]) -> Grid:
    """Trained accuracies beside those of the table, architecture by architecture and repeat by repeat."""
    from harness.train import validation

    columns = validation.columns(rows)
    grid = Grid(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    grid.add_column("architecture", overflow="fold", ratio=1)
    for name in columns:
        grid.add_column(name, justify="left" if name in ("table", "images") else "right", no_wrap=True)
    for cells in zip((row["architecture"] for row in rows), *columns.values(), strict=True):
        grid.add_row(*cells)
    return grid


def found(rows: Sequence[dict[str, Any]]) -> Grid:
    """The best architectures of a search: what it had seen of them, and what they came to in the end."""
    from harness.train import validation

    grid = Grid(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    grid.add_column("architecture", overflow="fold", ratio=1)
    for name in ("searched", "val %", "trained", "val %", "test %", "parameters"):
        grid.add_column(name, justify="right", no_wrap=True)
    for row in rows:
        trained = "diverged" if row["diverged"] else validation.percent(row["val_accuracy"])
        grid.add_row(
            row["architecture"],
            f"{row['searched_epochs']} epochs",
            validation.percent(row["searched_val_accuracy"]),
            f"{row['epochs']} epochs",
            trained,
            validation.percent(row["test_accuracy"]),
            f"{row['parameters']:,}",
        )
    return grid
