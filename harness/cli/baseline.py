"""`harness baseline`."""

from __future__ import annotations

from pathlib import Path

import click


@click.group("baseline", short_help="Keep studies that later versions are held against.")
def command() -> None:
    """Keep finished studies as the baseline of `harness regress`."""


@command.command("save")
@click.argument("folder", type=click.Path(path_type=Path))
@click.argument("results", nargs=-1, required=True, type=click.Path(path_type=Path))
def save(folder: Path, results: tuple[Path, ...]) -> None:
    """Copy the studies in RESULTS, files or folders, to the baseline in FOLDER.

    They take the place of studies there that differ in seeds, code or table version only. Paths are printed.
    """
    from harness.errors import HarnessError
    from harness.studies import baseline
    from harness.studies.store import find, read

    if any(path.exists() and folder.exists() and path.samefile(folder) for path in results):
        raise HarnessError(f"{folder} cannot become the baseline of itself.", "name another folder: results/baseline")
    paths = baseline.save(folder, [read(path) for path in find(results)])
    click.echo("\n".join(map(str, paths)))
