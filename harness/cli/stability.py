"""`harness stability`."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harness.cli.options import OneOf, Seeds, Where, cluster_option, data_folder, refuse_unused
from harness.errors import HarnessError
from harness.files import json_text

if TYPE_CHECKING:
    from harness.analysis.stability import By, Fares, Patterns
    from harness.arrays import Floats
    from harness.studies.executors import Executor


@click.command("stability", short_help="Rank the connections of architectures over all operators.")
@click.argument("bench")
@click.option("--top", type=int, default=10, show_default=True, help="How many patterns of connections.")
@click.option(
    "--by",
    type=OneOf(["mean", "spread", "best"]),
    default="mean",
    show_default=True,
    help="Rank by mean loss, its standard deviation, or the lowest loss over operators.",
)
@click.option("--predictor", help="Also as this predictor sees them, such as gcn.")
@click.option("--train", type=int, default=200, show_default=True, help="Architectures that it is trained on.")
@click.option("--seeds", default="20", type=Seeds(), show_default=True, help="How many predictors, or which.")
@cluster_option
@click.option("--figure", type=click.Path(path_type=Path), help="Draw the patterns; pdf, svg, png or pgf.")
@data_folder
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(
    bench: str,
    top: int,
    by: By,
    predictor: str | None,
    train: int,
    seeds: range,
    cluster: Where | None,
    figure: Path | None,
    as_json: bool,
) -> None:
    """Rank the patterns of connections in BENCH by how they fare over all operators that they may carry.

    Losses are means over repeats at the largest fidelity, as in the table; a predictor sees one training of each
    architecture that it learns from.
    """
    from harness import registry
    from harness.analysis import stability
    from harness.cli.workers import on
    from harness.plots.stability import require_graphs, stability_figure
    from harness.plots.style import file_format, save
    from harness.studies.executors import Here
    from harness.studies.outcome import moments

    if top < 1:
        raise HarnessError(f"--top must be at least 1, got {top}.")
    if predictor is None:
        refuse_unused("--predictor", "train", "seeds", "cluster", hint="name one, such as gcn, or leave it out.")
    where: Executor = Here() if cluster is None else on(cluster)
    (name,) = registry.expand([bench])[:1]
    found = stability.patterns_of(name)
    if figure is not None:
        require_graphs(found.table)
        file_format(figure)
    seen, agreement = (None, None) if predictor is None else _seen(found, predictor, train, seeds, where)
    listed = stability.rows(found, by, top, seen)
    settings = {"benchmark": name, "table": found.table.checksum, "by": by, "top": top, "patterns": len(found.count)}
    if agreement is not None:
        mean, sem = (None if math.isnan(part[0]) else float(part[0]) for part in moments(agreement[:, None]))
        settings |= {"predictor": predictor, "train": train, "seeds": [seeds.start, seeds.stop]}
        settings |= {"spearman": mean, "spearman_sem": sem}
    if figure is not None:
        save(stability_figure(found, by, top, seen), figure, {"stability": settings})
    if as_json:
        click.echo(json_text({**settings, "ranking": listed}, indent=1))
    else:
        _show(found, listed, settings)
        if figure is not None:
            click.echo(figure)


def _seen(found: Patterns, predictor: str, train: int, seeds: range, where: Executor) -> tuple[Fares, Floats]:
    """Means over seeds of what predictors see, and how well their means are correlated with the measured, Float[S]."""
    import numpy as np
    from rich.progress import track

    from harness.analysis.stability import Fares, Fitting, block
    from harness.report import tables
    from harness.studies.executors import Failed

    tasks = Fitting.plan(found, predictor, train).tasks(seeds)
    made = {}
    ended = where.map(block, tasks, lambda _task, _share: None)
    for task, value in track(ended, "predictors", len(tasks), console=tables.console(stderr=True)):
        if isinstance(value, Failed):
            raise value.raised()
        made[task.shard] = value
    fares, agreement = zip(*(made[task.shard] for task in tasks), strict=True)
    return Fares(*(np.concatenate(c).mean(axis=0) for c in zip(*fares, strict=True))), np.concatenate(agreement)


def _show(found: Patterns, listed: list[dict[str, Any]], settings: dict[str, Any]) -> None:
    from harness import numbers
    from harness.report import tables

    hidden = ("predicted_spread", "predicted_best", "best_configuration")
    columns = [name for name in listed[0] if name not in hidden]
    cells = [
        [numbers.number(row[c]) if isinstance(row[c], float | None) else f"{row[c]}" for c in columns] for row in listed
    ]
    console = tables.console()
    console.print(tables.listing([c.replace("_", " ") for c in columns], cells))
    facts = found.table.facts
    fidelity = f"{facts.fidelity} {found.table.fidelities[-1]}"
    console.print(
        f"{len(found.count):,} patterns of {len(found.rows):,} architectures; {facts.loss}, mean over repeats, at "
        f"{fidelity}: mean, standard deviation and lowest over the operators of a pattern."
    )
    if "predictor" in settings:
        runs = settings["seeds"][1] - settings["seeds"][0]
        spearman = numbers.mean_sem(settings["spearman"], settings["spearman_sem"])
        console.print(
            f"predicted: {settings['predictor']} after {settings['train']} evaluations, mean over {runs} seeds; "
            f"Spearman's correlation of predicted with measured means: {spearman}."
        )
