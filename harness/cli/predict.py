"""`harness predict`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from harness.cli.options import Assignment, Names, OneOf, Processes, Seeds, Where, cluster_option, data_folder
from harness.errors import HarnessError
from harness.files import json_text
from harness.rules import Noise


class Sizes(click.ParamType[list[int]]):
    """Whole numbers of at least 2, separated by commas."""

    name = "n[,n...]"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> list[int]:
        if not isinstance(value, str):
            return list(value)
        try:
            sizes = sorted({int(number) for number in value.split(",")})
        except ValueError:
            raise HarnessError(f"'{value}' is not a list of sizes.", "give whole numbers: 20,50,172") from None
        if sizes[0] < 2:
            raise HarnessError(f"a predictor learns from at least 2 configurations, got {sizes[0]}.")
        return sizes


@click.command("predict", short_help="Measure how good predictors are on a table.")
@click.argument("bench", type=Names("benchmarks"))
@click.option(
    "--predictor", required=True, type=Names("predictors"), help="Predictors; `harness list predictors` has them."
)
@click.option("--train", default="20,50,100,172,344,860", type=Sizes(), show_default=True, help="Training samples.")
@click.option("--seeds", default="100", type=Seeds(), show_default=True, help="How many samples, or which.")
@click.option(
    "--noise",
    type=OneOf(["sampled", "mean"]),
    default="sampled",
    show_default=True,
    help="Learn from one training repeat of a configuration, or from the mean of all.",
)
@click.option(
    "--param",
    multiple=True,
    type=Assignment("predictors", "predictor"),
    metavar="PREDICTOR.NAME=VALUE",
    help="Parameter of a predictor; repeatable.",
)
@click.option("--device", type=OneOf(["cpu", "cuda"]), help="Where networks are trained. [default: cpu]")
@click.option("--processes", type=Processes(), help="Worker processes. [default: one per core; 1 with cuda]")
@cluster_option
@click.option("--out", type=click.Path(path_type=Path), default=Path("results"), show_default=True, help="Folder.")
@data_folder
@click.option("--json", "as_json", is_flag=True, help="Print a JSON list of summaries.")
def command(
    bench: list[str],
    predictor: list[str],
    train: list[int],
    seeds: range,
    noise: Noise,
    param: tuple[str, ...],
    device: str | None,
    processes: int | None,
    cluster: Where | None,
    out: Path,
    as_json: bool,
) -> None:
    """Fit predictors to random samples of BENCH, one for each seed and size, and judge them on the rest of the table.

    Results are Parquet files in the folder `predictions` of --out; their paths are printed. What is there already is
    not computed again, an interrupted command goes on where it stopped.
    """
    from harness import registry
    from harness.analysis.quality import QualityStudy, evaluate, summary
    from harness.analysis.quality_store import QualityStore
    from harness.cli.options import parameters
    from harness.cli.workers import execute, executor
    from harness.params import declared
    from harness.report import tables

    given = parameters(param, predictor, kind="predictor", example="neural.schedule=paper")
    trains = [name for name in predictor if device and "device" in declared(registry.predictor(name))]
    if device and not trains:
        raise HarnessError(f"{', '.join(predictor)} train no networks.", "leave --device out.")
    for name in trains:
        given[name].setdefault("device", str(device))
    studies = [
        QualityStudy.plan(table, name, given[name], seeds, train, noise)
        for table in map(registry.benchmark, registry.expand(bench))
        for name in predictor
    ]
    cores = 1 if not (processes or cluster) and device == "cuda" else processes
    store = QualityStore(out)
    execute(studies, store, evaluate, executor(cores, cluster))
    found = [store.get(study) for study in studies]
    rows = [row for quality in found for row in summary(quality)]
    for quality in found:
        if skipped := int(quality.skipped.sum()):
            told = f"{quality.study.label} on {quality.study.benchmark} left out {skipped} training steps"
            click.echo(f"note: {told} whose loss was not finite.", err=True)
    if as_json:
        click.echo(json_text(rows, indent=1))
    else:
        tables.console(stderr=True).print(*tables.qualities(rows), sep="\n")
        click.echo("\n".join(str(store.path(study)) for study in studies))
