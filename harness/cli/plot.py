"""`harness plot`."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harness.cli.options import Names, Numbers, OneOf, Pairs, Share, selects
from harness.errors import HarnessError

if TYPE_CHECKING:
    from harness.studies.selection import Selection

_FIGURES = (
    "regret",
    "ranks",
    "ecdf-regret",
    "ecdf-time",
    "critical-difference",
    "speed-up",
    "violin",
    "standing",
    "cells",
    "attainment",
    "prediction",
    "operators",
)

_MEASURES = ("mse", "spearman", "kendall", "regret", "precision")


@click.command("plot", short_help="Draw a figure of results, or of what a TOML file says.")
@click.argument("results", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="FILE.toml|RESULTS...")
@click.option("--figure", type=OneOf(_FIGURES), help="What to draw. [default: regret]")
@click.option("--measure", type=OneOf(_MEASURES), help="What prediction shows. [default: spearman]")
@click.option(
    "--kind", type=OneOf(["val", "test", "both"]), help="Validation or test regret, or both in regret. [default: val]"
)
@click.option("--width", type=OneOf(["column", "page"]), help="One column or two. [default: as its panels need]")
@click.option(
    "--statistic", type=OneOf(["mean", "median"]), help="Mean, or median with quartiles, in regret. [default: mean]"
)
@click.option("--band", type=OneOf(["sem", "simultaneous"]), help="Band of mean regret. [default: sem]")
@click.option(
    "--bound",
    "bounds",
    multiple=True,
    type=OneOf(["oracle", "random", "floor"]),
    help="Also draw in regret: the oracle, random search as expected, or the floor of noise; repeatable.",
)
@click.option("--x", type=OneOf(["time", "evaluations"]), help="What regret is drawn over. [default: time]")
@click.option("--names", type=Pairs(), help="What to show in place of names: 're=evolution,nb201/cifar10=CIFAR-10'.")
@click.option("--order", type=Names(), help="Algorithms and benchmarks in the order in which to draw them.")
@click.option("--on", metavar="BENCH", help="Let another table of the same space measure what was found.")
@click.option("--at", type=float, help="Simulated time of ecdf-regret, critical-difference, violin, cells, attainment.")
@click.option("--targets", type=Numbers(), help="Regrets to reach, for ecdf-time and speed-up.")
@click.option("--against", help="Algorithm to hold the others against, for speed-up.")
@click.option("--alpha", type=Share(), help="Level of critical-difference. [default: 0.05]")
@click.option("--blocks", type=OneOf(["benchmarks", "seeds"]), help="What critical-difference ranks over.")
@click.option(
    "-o",
    "--output",
    multiple=True,
    type=click.Path(path_type=Path),
    help="File to write, as pdf, svg, png or pgf by its ending; repeatable. [default: FIGURE-KIND.pdf beside RESULTS]",
)
@selects
def command(results: tuple[Path, ...], selection: Selection, output: tuple[Path, ...], **options: Any) -> None:
    """Draw a figure of the studies in RESULTS, files or folders, or the one that a TOML file describes.

    Options have the names of the file's settings and go before them. The path of each figure is printed; its
    provenance is written beside it as JSON.
    """
    from harness.analysis import quality_store
    from harness.analysis.comparable import drawable, told_by
    from harness.analysis.comparison import peculiarities, remarks
    from harness.plots import draw, load, provenance, save
    from harness.studies.selection import gathered

    settings: dict[str, Any] = {}
    if results[0].suffix == ".toml":
        if len(results) > 1:
            raise HarnessError("a TOML file names its own results.", "give either the file or the results.")
        settings = load(results[0])
        results = tuple(map(Path, settings.get("results", ())))
        output = output or tuple(map(Path, settings.get("output", ())))
    settings |= {name: value for name, value in options.items() if value not in (None, ())}
    if not results:
        raise HarnessError("there are no results to draw.", 'name them: results = ["results"]')
    if settings.get("figure") == "operators":
        _draw_operators(results, output)
        return
    predictions = settings.get("figure") == "prediction"
    if predictions and selection.words:
        raise HarnessError("the figure 'prediction' has no studies to select among.", "name the files to draw.")
    outcomes: list[Any] = (
        [quality_store.read(path) for path in quality_store.find(results)]
        if predictions
        else told_by(drawable(gathered(results, selection), settings), partial(click.echo, err=True))
    )
    figure = draw(outcomes, settings)
    for line in [] if predictions else [*peculiarities(outcomes), *remarks(outcomes)]:
        click.echo(f"note: {line}", err=True)
    beside = results[0] if results[0].is_dir() else results[0].parent
    what = settings.get("measure", "spearman") if predictions else settings.get("kind", "val")
    default = f"{settings.get('figure', 'regret')}-{what}.pdf"
    for path in output or (beside / default,):
        save(figure, path, provenance(outcomes, {k: v for k, v in settings.items() if k != "output"}))
        click.echo(path)


def _draw_operators(results: tuple[Path, ...], output: tuple[Path, ...]) -> None:
    """What searches by weight sharing learned of the operators, which is no figure of studies."""
    from dataclasses import asdict

    from harness.plots.distribution import operators_figure
    from harness.plots.style import save
    from harness.sharing import course, log
    from harness.studies.store import SEARCHES

    found = [file for path in results for file in (sorted((path / SEARCHES).glob("*.parquet")) or [path])]
    logs = [log.read(path) for path in found if not path.is_dir() and log.FORM.is_one(path)]
    if not logs:
        raise HarnessError(
            f"there is no search by weight sharing in {', '.join(map(str, results))}.",
            "make one: harness search --space digits201 --method darts --data digits",
        )
    figure = operators_figure(course.courses(logs))
    beside = results[0] if results[0].is_dir() else results[0].parent
    for path in output or (beside / "operators.pdf",):
        save(figure, path, {"searches": [{"id": one.search.id, **asdict(one.search)} for one in logs]})
        click.echo(path)
