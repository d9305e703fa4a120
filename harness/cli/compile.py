"""`harness compile`."""

from __future__ import annotations

import click

from harness.cli.options import Processes


@click.command("compile", short_help="Compile all kernels now, so that no study waits for it.")
@click.option("--processes", type=Processes(), help="Worker processes. [default: one per core]")
def command(processes: int | None) -> None:
    """Compile the loops of all algorithms for this processor, once after an installation.

    They are kept beside the sources, in the user's cache folder or in NUMBA_CACHE_DIR, where every study finds them;
    else the first study of an algorithm waits for some seconds. Nothing is done where all are there.
    """
    from harness.cli.workers import executor
    from harness.report.running import run
    from harness.studies import kernels
    from harness.studies.evaluate import evaluate
    from harness.studies.keeping import Memory
    from harness.studies.store import STUDIES

    if kernels.filled():
        click.echo("all kernels are there.", err=True)
        return
    run(kernels.small_studies(), Memory(STUDIES), evaluate, executor(processes))
    click.echo(f"{kernels.mark()} kernels are compiled.", err=True)
