"""`harness regress`."""

from __future__ import annotations

import os
from pathlib import Path

import click

from harness.cli.options import Numbers, Processes, Share, Where, cluster_option
from harness.errors import HarnessError


@click.command("regress", short_help="Tell whether an algorithm became worse than its baseline.")
@click.option(
    "--baseline",
    "folder",
    type=click.Path(path_type=Path),
    default=Path("results/baseline"),
    show_default=True,
    help="Folder that `harness baseline save` made.",
)
@click.option("--seeds", type=int, help="Use the first N seeds of each study. [default: all]")
@click.option(
    "--margin", type=Share(low=0.0), default="5%", show_default=True, help="How much worse is still no regression."
)
@click.option("--alpha", type=Share(), default="0.01", show_default=True, help="Chance of a false alarm, at most.")
@click.option("--at", type=Numbers(), help="Simulated times to compare at. [default: the end and a tenth of it]")
@click.option("--accept", is_flag=True, help="Make the new studies the baseline, unless one is worse.")
@click.option("--junit", type=click.Path(path_type=Path), help="Write JUnit XML to this file.")
@click.option("--figure", type=click.Path(path_type=Path), help="Draw old against new to this file.")
@click.option("--processes", type=Processes(), help="Worker processes. [default: one per core]")
@cluster_option
def command(
    folder: Path,
    seeds: int | None,
    margin: float,
    alpha: float,
    at: list[float] | None,
    accept: bool,
    junit: Path | None,
    figure: Path | None,
    processes: int | None,
    cluster: Where | None,
) -> None:
    """Rerun the studies of a baseline, and test whether the anytime curve of any of them got worse.

    Prints a summary in Markdown, also to the file that $GITHUB_STEP_SUMMARY names. Exits with 0 if all are the same
    or better, with 1 if one is worse, with 3 if one changed but is not shown to be worse.
    """
    from harness.analysis import regression
    from harness.cli.workers import executor
    from harness.files import output, replaceable
    from harness.report import regression as regression_report
    from harness.report import tables
    from harness.studies import baseline

    if accept and seeds is not None:
        raise HarnessError("a part of the seeds cannot become the baseline.", "leave out --seeds to --accept.")
    if figure:
        from harness.plots.style import file_format

        file_format(figure)
    for path in filter(None, (junit, figure)):
        replaceable(path)
    recorded = baseline.load(folder)
    for outcome in recorded:
        if at:
            outcome.require(max(at))
    plans = [baseline.plan(outcome.study, seeds) for outcome in recorded]
    with tables.progress(plans, set()) as progress:
        candidates = baseline.rerun(plans, executor=executor(processes, cluster), progress=progress)
    pairs = list(zip(recorded, candidates, strict=True))
    judgements = regression.judge(pairs, at=at or (), margin=margin, alpha=alpha)
    summary = regression_report.markdown(judgements, margin, alpha)
    click.echo(summary, nl=False)
    if step := os.environ.get("GITHUB_STEP_SUMMARY"):
        try:
            with Path(step).open("a", encoding="utf-8") as file:
                file.write(summary)
        except OSError as error:
            raise HarnessError(
                f"cannot write to {step}, which GITHUB_STEP_SUMMARY names: {error.strerror}.", "unset it."
            ) from None
    if junit:
        with output(junit) as temporary:
            temporary.write_bytes(regression_report.junit(judgements, margin, alpha))
    if figure:
        from harness.plots import provenance, regression_figure, save
        from harness.studies.outcome import within

        tested = [(within(old, new.trajectory.seeds) or old, new) for old, new in pairs]
        save(regression_figure(tested), figure, provenance([o for pair in tested for o in pair]))
    status = regression.exit_status(judgements)
    if accept and status != 1:
        baseline.save(folder, [j.candidate for j in judgements if j.verdict != "same"])
        status = 0
    click.get_current_context().exit(status)
