"""`harness run`."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import click

from harness.cli.options import (
    Assignment,
    Names,
    OneOf,
    Processes,
    Seeds,
    Where,
    cluster_option,
    data_folder,
    declared_options,
    parameters,
)
from harness.cli.workers import execute, executor
from harness.errors import HarnessError
from harness.fields import hints
from harness.files import json_text
from harness.rules import Rules


@click.command("run", short_help="Run algorithms on benchmarks on a simulated clock.")
@click.option("--algo", required=True, type=Names("algorithms"), help="Algorithms; `harness list algorithms` has them.")
@click.option("--bench", required=True, type=Names("benchmarks"), help="Benchmarks, or patterns such as 'nb201/*'.")
@click.option("--seeds", default="500", type=Seeds(), show_default=True, help="How many runs, or which.")
@declared_options(hints(Rules), vars(Rules))
@click.option(
    "--param",
    multiple=True,
    type=Assignment("algorithms", "algo"),
    metavar="ALGO.NAME=VALUE",
    help="Parameter of an algorithm; repeatable.",
)
@click.option("--device", type=OneOf(["cpu", "cuda"]), help="Where algorithms train networks. [default: cpu]")
@click.option("--processes", type=Processes(), help="Worker processes. [default: one per core, one with cuda]")
@cluster_option
@click.option("--out", type=click.Path(path_type=Path), default=Path("results"), show_default=True, help="Folder.")
@data_folder
@click.option("--json", "as_json", is_flag=True, help="Print a JSON list of summaries.")
def command(
    algo: list[str],
    bench: list[str],
    seeds: range,
    param: tuple[str, ...],
    device: str | None,
    processes: int | None,
    cluster: Where | None,
    out: Path,
    as_json: bool,
    **rules: Any,
) -> None:
    """Run every algorithm on every benchmark, once per seed, on a simulated clock.

    Results are Parquet files in --out; their paths are printed. A study that is there already is not run again, an
    interrupted one goes on where it stopped.
    """
    from harness import registry
    from harness.params import declared
    from harness.report import tables
    from harness.studies.evaluate import evaluate
    from harness.studies.outcome import summary
    from harness.studies.plan import plan
    from harness.studies.store import ResultStore

    names = registry.known(algo)
    given = parameters(param, names)
    trains = [name for name in names if device and "device" in declared(registry.algorithm(name), given[name])]
    if device and not trains:
        raise HarnessError(f"{', '.join(names)} train no networks.", "leave --device out.")
    for name in trains:
        given[name].setdefault("device", str(device))
    rules["objectives"] = tuple(rules["objectives"] or ())
    studies = plan(algo, bench, seeds, given, partial(click.echo, err=True), **rules)
    one = device == "cuda" and not (processes or cluster)
    where = executor(1 if one else processes, cluster)
    store = ResultStore(out)
    execute(studies, store, evaluate, where)
    outcomes = [store.get(study).renewed() for study in studies]
    rows = [summary(outcome) for outcome in outcomes]
    if as_json:
        click.echo(json_text(rows, indent=1))
    else:
        tables.console(stderr=True).print(*tables.summaries(outcomes, rows), sep="\n")
        click.echo("\n".join(str(store.path(study)) for study in studies))
