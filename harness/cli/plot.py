"""`harness plot`."""

from __future__ import annotations

from pathlib import Path

import click

from harness.cli.options import OneOf


@click.command("plot", short_help="Plot regret over simulated time.")
@click.argument("results", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--kind", type=OneOf(["val", "test"]), default="val", show_default=True, help="Validation or test regret."
)
@click.option(
    "-o",
    "--output",
    multiple=True,
    type=click.Path(path_type=Path),
    help="File to write, as pdf, svg, png or pgf by its ending; repeatable. [default: regret-KIND.pdf beside RESULTS]",
)
def command(results: tuple[Path, ...], kind: str, output: tuple[Path, ...]) -> None:
    """Plot the anytime regret of RESULTS, files or folders: mean +-2 SEM over seeds, a panel per benchmark.

    The path of each figure is printed.
    """
    from harness.plots import regret_figure, save
    from harness.store import find, read

    figure = regret_figure([read(path) for path in find(results)], kind)  # type: ignore[arg-type]
    beside = results[0] if results[0].is_dir() else results[0].parent
    for path in output or (beside / f"regret-{kind}.pdf",):
        save(figure, path)
        click.echo(path)
