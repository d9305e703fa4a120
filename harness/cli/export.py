"""`harness export`."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from harness.cli.options import Numbers, OneOf, data_folder, refuse_unused, selects

if TYPE_CHECKING:
    from harness.studies.selection import Selection

_WHAT = ("curves", "summary", "trials", "incumbents", "ranks", "standing")
_OF = {
    "at": ("curves", "summary", "incumbents"),
    "points": ("curves",),
    "mean": ("curves",),
    "kind": ("ranks", "standing"),
}
"""What takes an option."""


@click.command("export", short_help="Write the numbers of results as CSV, Parquet or JSON.")
@click.argument("what", type=OneOf(_WHAT))
@click.argument("results", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("-o", "--output", required=True, type=click.Path(path_type=Path), help="A .csv, .parquet or .json file.")
@click.option("--at", type=Numbers(), help="Simulated times in seconds of curves, summary and incumbents.")
@click.option("--points", type=click.IntRange(2), default=200, show_default=True, help="Times of a curve.")
@click.option("--mean", is_flag=True, help="Curves over seeds: mean, SEM, median and quartiles.")
@click.option(
    "--kind", type=OneOf(["val", "test"]), default="val", show_default=True, help="Regret of ranks and standing."
)
@selects
@data_folder
def command(
    what: str,
    results: tuple[Path, ...],
    selection: Selection,
    output: Path,
    at: list[float] | None,
    points: int,
    mean: bool,
    kind: str,
) -> None:
    """Write numbers of RESULTS, one observation in a row.

    Curves, a summary, logged trials, incumbents, average ranks over time, or the standing at the end: ranks, and CPU
    seconds an evaluation.

    Each seed has its own curve unless --mean. Incumbents have their configuration, a column for each parameter.
    """
    from harness.analysis.comparable import comparable, completed, told_by
    from harness.report import frames
    from harness.studies.selection import gathered

    for option, takers in _OF.items():
        if what not in takers:
            refuse_unused(", ".join(takers), option, hint=f"leave it out for {what}.")
    frames.file_format(output)
    outcomes = gathered(results, selection)
    if what == "curves":
        frame = frames.curves(outcomes, seeds=not mean, points=points, times=at)
    elif what == "summary":
        frame = frames.summaries(outcomes, at)
    elif what == "trials":
        frame = frames.trials(outcomes)
    elif what == "incumbents":
        frame = frames.incumbents(outcomes, at)
    else:
        tell = partial(click.echo, err=True)
        some = told_by(completed(told_by(comparable(outcomes, paired=True), tell)), tell)
        frame = (frames.ranks if what == "ranks" else frames.standing)(some, kind)  # type: ignore[arg-type]
    frames.write(frame, output)
    click.echo(output)
