"""`harness run`."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

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
)
from harness.errors import HarnessError, PluginError, unknown
from harness.fields import hints
from harness.files import json_text
from harness.rules import Rules

if TYPE_CHECKING:
    from harness.studies.cluster import Cluster
    from harness.studies.executors import Executor
    from harness.studies.records import Folder, J, R
    from harness.studies.run import Work
    from harness.train.pool import Devices


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

    algo = registry.known(algo)
    given = parameters(param, algo)
    trains = [name for name in algo if device and "device" in declared(registry.algorithm(name), given[name])]
    if device and not trains:
        raise HarnessError(f"{', '.join(algo)} train no networks.", "leave --device out.")
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


def parameters(
    options: tuple[str, ...], algorithms: list[str], *, kind: str = "algorithm", example: str = "re.population=50"
) -> dict[str, dict[str, str]]:
    """`re.population=50` by algorithm, or another `kind` of plugin, and name."""
    from harness import registry

    given: dict[str, dict[str, str]] = {name: {} for name in algorithms}
    for option in options:
        target, equals, value = option.partition("=")
        whole = max((name for name in algorithms if target.startswith(f"{name}.")), key=len, default="")
        algorithm, dot, name = (whole, ".", target[len(whole) + 1 :]) if whole else target.partition(".")
        if not (dot and name):
            raise HarnessError(f"'{option}' is not a parameter.", f"write it as {example}")
        if algorithm not in given:
            others = registry.predictor_names() if kind == "predictor" else registry.algorithm_names()
            if algorithm in others:
                raise HarnessError(
                    f"--param {target} is for {algorithm}, which is not among the {kind}s: {', '.join(algorithms)}.",
                    f"name {algorithm} too, or leave the parameter out.",
                )
            raise unknown(f"{kind} in --param", algorithm, algorithms)
        if not equals:
            raise HarnessError(f"the parameter {target} is given no value.", f"write it as {example}")
        if name in given[algorithm]:
            raise HarnessError(f"parameter '{target}' is given twice.")
        given[algorithm][name] = value
    return given


def execute(
    studies: Sequence[J],
    store: Folder[J, R],
    work: Work[J, R],
    where: Executor,
    heard: Callable[[J, float], None] = lambda _job, _share: None,
) -> None:
    """Bring to the store the studies that it does not have yet, with a bar for each; `heard` is told its share too.

    Where a plugin fails, the others go on, and the command ends with status 1.
    """
    from harness.report import tables
    from harness.studies.run import run

    present = {study.id for study in studies if store.complete(study)}
    with tables.progress(studies, present, status=lambda: where.status) as progress:

        def told(study: J, share: float) -> None:
            progress(study, share)
            heard(study, share)

        try:
            run(studies, store, work, executor=where, progress=told)
        except PluginError as error:
            error.status = 1
            raise
        except KeyboardInterrupt:
            reason = "interrupted. Finished shards are stored: the same command goes on from them."
            raise click.Abort(reason) from None


def executor(processes: int | None, cluster: Where | None = None) -> Executor:
    """What --processes or --cluster say, by default a process per core."""
    from harness.studies.executors import local

    tell = partial(click.echo, err=True)
    if cluster is None:
        return local(processes or len(os.sched_getaffinity(0)), tell)
    if processes is not None:
        raise HarnessError("studies are run either in --processes or on a --cluster.", "leave one of them out.")
    return on(cluster)


@contextmanager
def trainers(where: Where | None, device: Sequence[str], count: int | None, precision: str) -> Iterator[Devices]:
    """The devices of this machine that are named, or those of a cluster; `count` of them, or as many as there are."""
    if where is not None:
        from harness.train.cluster import hosts

        with hosts(on(where), ",".join(device), count, precision) as devices:
            yield devices
    else:
        from harness.train.devices import slots
        from harness.train.pool import Here

        yield Here(slots(",".join(device), count), precision)


def on(where: Where) -> Cluster:
    """The cluster, which says on stderr what a user should know."""
    from harness.studies.cluster import Cluster

    return Cluster(where.address, partial(click.echo, err=True), local=where.shared)
