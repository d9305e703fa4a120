"""`harness compare`."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import TYPE_CHECKING

import click

from harness.cli.options import Numbers, OneOf, Share, selects
from harness.errors import HarnessError

if TYPE_CHECKING:
    from harness.analysis.comparison import Comparison, Statistic, TableCell
    from harness.report.tables import Grid
    from harness.studies.reference import Kind
    from harness.studies.selection import Selection


@click.command("compare", short_help="Compare algorithms: a table, tests, and sentences to quote.")
@click.argument("results", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--kind", type=OneOf(["val", "test"]), default="val", show_default=True, help="Validation or test regret."
)
@click.option("--at", type=Numbers(), help="Simulated times in seconds, e.g. 1e5,1e6. [default: the end]")
@click.option(
    "--statistic",
    type=OneOf(["mean", "median"]),
    default="mean",
    show_default=True,
    help="Show means with standard errors, or medians with quartiles.",
)
@click.option(
    "--targets",
    type=Numbers("regrets", "name some: 1e-2,1e-3"),
    help="Also say how much sooner these regrets are reached, e.g. 1e-2,1e-3.",
)
@click.option("--against", help="The algorithm that --targets hold the others against. [default: the first]")
@click.option("--alpha", type=Share(), default="0.05", show_default=True, help="Level of significance.")
@click.option(
    "--format",
    "form",
    type=OneOf(["table", "markdown", "latex", "csv", "json"]),
    default="table",
    show_default=True,
    help="`table` shows a table on stderr and prints the sentences; the others are printed.",
)
@selects
def command(
    results: tuple[Path, ...],
    selection: Selection,
    kind: Kind,
    at: list[float] | None,
    statistic: Statistic,
    targets: list[float] | None,
    against: str | None,
    alpha: float,
    form: str,
) -> None:
    """Compare the studies in RESULTS, files or folders, by their regret on each benchmark.

    Tests are paired by seed and corrected by Holm; bold are the best and those not significantly worse. A sentence on
    each pair tells of each time, and one of all of time: the area under the log-regret curve. What cannot be compared
    with the others is left out, and said.
    """
    from harness.analysis import comparison
    from harness.analysis.comparable import comparable, told_by
    from harness.report import comparison as comparison_table
    from harness.report import tables
    from harness.report.sentences import sentences
    from harness.studies.selection import gathered

    outcomes = told_by(comparable(gathered(results, selection), paired=True), functools.partial(click.echo, err=True))
    if against is not None and not targets:
        raise HarnessError("--against is for --targets.", "name regrets to reach: --targets 1e-2,1e-3")
    found = comparison.compare(
        outcomes, kind, at=at or (), alpha=alpha, statistic=statistic, targets=targets or (), against=against
    )
    if form == "table":
        tables.console(stderr=True).print(_grid(found), comparison_table.note(found, underlined=True), sep="\n")
        click.echo("\n".join(sentences(found)))
    else:
        click.echo(comparison_table.FORMATS[form](found))
    for line in [
        *(found.notes if form == "table" else ()),
        *comparison.peculiarities(outcomes),
        *comparison.remarks(outcomes),
    ]:
        click.echo(f"note: {line}", err=True)


def _grid(found: Comparison) -> Grid:
    """Regrets over benchmarks and times; those on top in bold."""
    from rich import box
    from rich.text import Text

    from harness.report import comparison as comparison_table
    from harness.report.tables import Grid

    columns = comparison_table.labels(found)
    grid = Grid(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    grid.add_column("benchmark")
    for name in (comparison_table.time_head(found), *columns):
        grid.add_column(name, justify="right")
    texts = comparison_table.grid(found, functools.partial(comparison_table.plain, statistic=found.statistic), "–")
    for row, cells in zip(found.rows, texts, strict=True):
        top = [_style(row.cells.get(name)) for name in columns]
        grid.add_row(*cells[:2], *(Text(cell, style=style) for cell, style in zip(cells[2:], top, strict=True)))
    return grid


def _style(cell: TableCell | None) -> str:
    if cell is None or not cell.top:
        return ""
    return "bold" if cell.worse is None else "underline"
