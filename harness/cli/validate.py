"""`harness validate`."""

from __future__ import annotations

import shlex
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from harness.cli.options import selects
from harness.errors import HarnessError
from harness.files import json_text

if TYPE_CHECKING:
    from harness.studies.selection import Selection
    from harness.train.results import Training
    from harness.train.validation import Agreement


@click.command("validate", short_help="Hold the table's accuracies against trained ones.")
@click.argument("results", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@selects
def command(results: tuple[Path, ...], selection: Selection, as_json: bool) -> None:
    """Hold the accuracies of tables against those of the trainings in RESULTS, architecture by architecture.

    With --algo, --seeds or --budget, of what these seeds of the studies in RESULTS ended with. A transfer is a training
    on other images than the table's. Sentences with Kendall's tau are printed last.
    """
    from harness.report import tables
    from harness.train import results as store
    from harness.train import validation

    trainings = _selected(validation.with_table(store.FORM.read_once(store.find(results)).values()), results, selection)
    if not trainings:
        raise HarnessError(
            "none of these trainings is of an architecture with a table.",
            "train from the results of a study, or by row: --arch nb201:6111",
        )
    rows, found = [validation.row(training) for training in trainings], validation.agreements(trainings)
    if as_json:
        click.echo(json_text({"trainings": rows, "agreements": [_json(agreement) for agreement in found]}, indent=1))
        return
    tables.console().print(tables.trainings(rows))
    click.echo("\n".join(map(validation.sentence, found)))


def _selected(trainings: list[Training], results: tuple[Path, ...], selection: Selection) -> list[Training]:
    """The trainings on the benchmarks that are meant and, of selected studies, of rows that they ended with."""
    from harness.studies.selection import gathered
    from harness.train.incumbents import ends

    if selection.studies:
        rows = {(o.study.benchmark, row) for o in gathered(results, selection) for row in ends(o)}
        kept = [t for t in trainings if t.origin and (t.origin.benchmark, t.origin.row) in rows]
        if trainings and not kept:
            raise HarnessError(
                "what these studies ended with was not trained.", f"harness train {shlex.join(map(str, results))}"
            )
        return kept
    return selection.on_benchmarks(trainings, lambda training: training.origin.benchmark if training.origin else "")


def _json(agreement: Agreement) -> dict[str, object]:
    plain = asdict(agreement)
    tau = plain["tau"]
    return {**plain, "tau": dict(zip(("value", "low", "high"), tau, strict=True)) if tau else None}
