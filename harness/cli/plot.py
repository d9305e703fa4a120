"""`harness plot`."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harness.cli.options import declared_options, selects
from harness.errors import HarnessError
from harness.fields import hints
from harness.plots.settings import Settings, checked

if TYPE_CHECKING:
    from harness.studies.selection import Selection


@click.command("plot", short_help="Draw a figure of results, or of what a TOML file says.")
@click.argument("results", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="FILE.toml|RESULTS...")
@declared_options(hints(Settings))
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
    from harness.plots.style import file_format
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
    checked(settings)
    for path in output:
        file_format(path)
    if settings.get("figure") == "operators":
        _draw_operators(results, output)
        return
    predictions = settings.get("figure") == "prediction"
    if predictions and selection.words:
        raise HarnessError("the figure 'prediction' has no studies to select among.", "name the files to draw.")
    outcomes: list[Any] = (
        quality_store.read_once(quality_store.find(results))
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
    kept = log.FORM.read_once(path for path in found if not path.is_dir() and log.FORM.is_one(path))
    logs = [*kept.values()]
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
