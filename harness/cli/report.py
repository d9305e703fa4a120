"""`harness report`."""

from __future__ import annotations

from pathlib import Path

import click

from harness.cli.options import Numbers, Share


@click.command("report", short_help="Write a page about results: curves, ranks, tests, cells, provenance.")
@click.argument("results", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    default=Path("report.html"),
    show_default=True,
    help="File to write.",
)
@click.option("--at", type=Numbers(), help="Simulated times of the tests, e.g. 1e5,1e6. [default: the end]")
@click.option("--alpha", type=Share(), default="0.05", show_default=True, help="Level of significance of the tests.")
def command(results: tuple[Path, ...], output: Path, at: list[float] | None, alpha: float) -> None:
    """Write one self-contained HTML page about the studies in RESULTS, files or folders, and print its path.

    It works offline, on a phone, in the dark and on paper; the curves answer to mouse, finger and keyboard.
    """
    from harness.files import whole
    from harness.report import page
    from harness.store import find, read

    text = page({path: read(path) for path in find(results)}, [*map(str, results)], at=at or (), alpha=alpha)
    with whole(output) as temporary:
        temporary.write_text(text, encoding="utf-8")
    click.echo(output)
