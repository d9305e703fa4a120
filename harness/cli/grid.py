"""`harness grid`."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from functools import partial
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

import click

from harness.cli.options import Processes, Seeds, Where, cluster_option, data_folder
from harness.errors import HarnessError

if TYPE_CHECKING:
    from harness.studies.forecast import Expected
    from harness.studies.outcome import Outcome
    from harness.studies.study import Study

_SECONDS_BETWEEN_WORDS = 60.0


@click.command("grid", short_help="Run a whole evaluation out of one file, with its figures and page.")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--seeds", type=Seeds(), help="How many runs, or which. [default: what the file says]")
@click.option("--processes", type=Processes(), help="Worker processes. [default: one per core]")
@cluster_option
@click.option("--out", type=click.Path(path_type=Path), default=Path("results"), show_default=True, help="Folder.")
@click.option("--dry-run", is_flag=True, help="List the studies with what each is expected to cost, and run nothing.")
@data_folder
def command(
    file: Path,
    seeds: range | None,
    processes: int | None,
    cluster: Where | None,
    out: Path,
    dry_run: bool,
) -> None:
    """Run the studies of FILE.toml that are not there yet, draw its figures, and write its page.

    What it will cost is said first, from the CPU seconds that studies in --out took. Killed or interrupted, the same
    command goes on; a study that is added to the file is all that is run for it.
    """
    from harness.analysis import reproduction
    from harness.cli.workers import execute, executor
    from harness.files import replaceable
    from harness.plots import recipes
    from harness.report import tables
    from harness.studies.evaluate import evaluate
    from harness.studies.forecast import Forecast
    from harness.studies.selection import seed_range
    from harness.studies.store import ResultStore

    recipe, tell = reproduction.load(file), partial(click.echo, err=True)
    if recipe.predict:
        raise HarnessError(f"{file} has predictions, which are no part of a grid.", f"harness reproduce {file}")
    planned = reproduction.studies(recipe, seeds or seed_range(recipe.seeds), tell)
    files = recipes.places(recipe, (), out)
    for path in [*chain(*files), *([Path(recipe.report)] if recipe.report else ())]:
        replaceable(path, file)
    where = executor(processes, cluster)
    forecast = Forecast.of_stored(out)
    left = [forecast.of(study) for study in planned if study.id not in forecast.there]
    if dry_run:
        rows = [_row(forecast.of(study), study.id in forecast.there) for study in planned]
        tables.console().print(tables.listing(("benchmark", "algorithm", "seeds", "study", "CPU time", "by"), rows))
    tell(_cost(len(planned), left, getattr(where, "count", 1)))
    if dry_run:
        return
    store = ResultStore(out)
    execute(planned, store, evaluate, where, _Clock(left, tell))
    outcomes = [store.get(study).renewed() for study in planned]
    for path in recipes.write(recipe, outcomes, [], files):
        click.echo(path)
    if recipe.report:
        click.echo(_page(Path(recipe.report), outcomes, file, tell))
    click.echo("\n".join(str(store.path(study)) for study in planned))


def _row(expected: Expected, there: bool) -> tuple[str, ...]:
    from harness.studies.forecast import duration

    study = expected.study
    cost = "there" if there else duration(expected.seconds) if math.isfinite(expected.seconds) else "?"
    return study.benchmark, study.label, str(len(study.seeds)), study.id, cost, "" if there else expected.by


def _cost(planned: int, left: Sequence[Expected], processes: int) -> str:
    """What is left of all that is `planned`, in a sentence."""
    from harness.studies.forecast import duration, total

    seconds, unknown = total(left)
    if not left:
        return f"all {planned} studies are there." if planned > 1 else "the study is there."
    many = f", {duration(seconds / processes)} by {processes} processes" if processes > 1 else ""
    some = f"; {unknown} of them are not in it, as nothing like them was measured" if unknown else ""
    cost = f"take about {duration(seconds)} of CPU time{many}{some}" if unknown < len(left) else "were never measured"
    return f"{planned - len(left)} of {planned} studies are there; the others {cost}."


class _Clock:
    """Says every minute how long the rest will take: as the share of the expected seconds that is done took."""

    def __init__(self, left: Sequence[Expected], tell: Callable[[str], None]) -> None:
        known = [one.seconds for one in left if math.isfinite(one.seconds)]
        typical = sum(known) / len(known) if known else 1.0
        self.cost = {one.study.id: one.seconds if math.isfinite(one.seconds) else typical for one in left}
        self.share = dict.fromkeys(self.cost, 0.0)
        self.tell, self.began = tell, time.monotonic()
        self.next = self.began + _SECONDS_BETWEEN_WORDS

    def __call__(self, study: Study, share: float) -> None:
        if study.id not in self.cost:
            return
        self.share[study.id] = share
        if (now := time.monotonic()) < self.next:
            return
        from harness.studies.forecast import duration

        self.next = now + _SECONDS_BETWEEN_WORDS
        done = sum(self.share[id_] * cost for id_, cost in self.cost.items()) / sum(self.cost.values())
        if done > 0:
            ended = sum(share == 1.0 for share in self.share.values())
            rest = duration((now - self.began) * (1 - done) / done)
            self.tell(f"grid: {ended} of {len(self.cost)} studies, {100 * done:.0f} % of the work; {rest} left.")


def _page(path: Path, outcomes: Sequence[Outcome], file: Path, tell: Callable[[str], None]) -> Path:
    """Write the report page of the grid in `file`."""
    from harness.analysis.comparable import comparable, told_by
    from harness.files import output
    from harness.report.page import page

    shown = told_by(comparable(outcomes, paired=True), tell)
    text = page({Path(outcome.study.id): outcome for outcome in shown}, [str(file)])
    with output(path) as temporary:
        temporary.write_text(text, encoding="utf-8", errors="backslashreplace")
    return path
