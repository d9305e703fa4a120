"""`harness validate`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click

from harness.errors import HarnessError
from harness.files import json_text


@click.command("validate", short_help="Hold the table's accuracies against trained ones.")
@click.argument("results", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(results: tuple[Path, ...], as_json: bool) -> None:
    """Hold the accuracies of tables against those of the trainings in RESULTS, architecture by architecture.

    A transfer is a training on other images than the table's. Sentences with Kendall's tau are printed last.
    """
    from harness.report import tables
    from harness.train import results as store
    from harness.train import validation

    trainings = validation.with_table(map(store.read, store.find(results)))
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


def _json(agreement: object) -> dict[str, object]:
    plain = asdict(agreement)  # type: ignore[call-overload]
    tau = plain["tau"]
    return {**plain, "tau": dict(zip(("value", "low", "high"), tau, strict=True)) if tau else None}
