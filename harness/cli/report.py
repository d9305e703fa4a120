"""`harness report`."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harness.cli.options import Numbers, OneOf, Share, selects
from harness.errors import HarnessError

if TYPE_CHECKING:
    from harness.analysis.comparison import Statistic
    from harness.studies.selection import Selection


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
@click.option(
    "--statistic",
    type=OneOf(["mean", "median"]),
    default="mean",
    show_default=True,
    help="Means with standard errors, or medians with quartiles, in curves and tests.",
)
@selects
def command(
    results: tuple[Path, ...],
    selection: Selection,
    output: Path,
    at: list[float] | None,
    alpha: float,
    statistic: Statistic,
) -> None:
    """Write one self-contained HTML page about the studies in RESULTS, files or folders, and print its path.

    Trainings, the quality of predictors and searches by weight sharing that are kept in the folders are shown too. The
    page works offline, on a phone, in the dark and on paper; the curves answer to mouse, finger and keyboard. What
    cannot be compared with the others is left out, and said.
    """
    from harness.analysis import quality_store
    from harness.analysis.comparable import comparable, told_by
    from harness.files import output as written
    from harness.report.page import page
    from harness.studies.index import stored
    from harness.train import results as trained

    folders = [path for path in results if path.is_dir()]
    kept = [path for folder in folders for path in trained.within(folder)]
    trainings = trained.FORM.read_once(kept)
    qualities = quality_store.read_once(path for folder in folders for path in quality_store.within(folder))
    studies = selection.of(stored(_studies(results, {*kept})))
    outcomes = told_by(comparable(studies, paired=True), partial(click.echo, err=True))
    text = page(
        {Path(outcome.study.id): outcome for outcome in outcomes},
        [*map(str, results), *selection.words],
        trainings=trainings,
        qualities=qualities,
        **_sharing(folders),
        at=at or (),
        alpha=alpha,
        statistic=statistic,
    )
    with written(output) as temporary:
        temporary.write_text(text, encoding="utf-8", errors="backslashreplace")
    click.echo(output)


def _studies(results: tuple[Path, ...], trainings: set[Path]) -> list[Path]:
    """The files of studies. Raises HarnessError if there are none, and says if there are trainings instead."""
    from harness.studies.store import find

    try:
        found = [path for path in find(results) if path not in trainings]
    except HarnessError:
        if not trainings:
            raise
        found = []
    if not found:
        raise HarnessError(
            f"{', '.join(map(str, results))} has trainings, but no finished study, which is what a page is about.",
            "run algorithms first (harness run), or see what the trainings say: harness validate",
        )
    return found


def _sharing(folders: list[Path]) -> dict[str, Any]:
    """The courses of searches by weight sharing, and their correlations with tables, in folders of results."""
    from harness.studies.store import SEARCHES

    files = [path for folder in folders for path in sorted((folder / SEARCHES).glob("*.parquet"))]
    if not files:
        return {}
    from harness.sharing import correlate, course, log

    logs = log.FORM.read_once(path for path in files if log.FORM.is_one(path)).values()
    kept = [path for folder in folders for path in sorted(correlate.folder(folder).glob("*.parquet"))]
    return {"courses": course.courses(logs), "correlations": [*correlate.FORM.read_once(kept).values()]}
