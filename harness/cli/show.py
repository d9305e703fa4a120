"""`harness show`."""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harness.cli.options import NameOrPath, Names, Numbers, OneOf, data_folder, selects
from harness.errors import HarnessError, unknown
from harness.files import json_text

if TYPE_CHECKING:
    from rich.console import Console

    from harness.analysis.comparison import Statistic
    from harness.studies.outcome import Outcome
    from harness.studies.selection import Selection


@click.command("show", short_help="Show a benchmark, an algorithm, or results.")
@click.argument("what", nargs=-1, required=True, type=NameOrPath(), metavar="BENCH|BENCH:ROW|ALGO|RESULTS...")
@click.option("--at", type=Numbers(), help="Simulated times in seconds, e.g. 1e5,1e6. [default: the end]")
@click.option(
    "--on", metavar="BENCH", help="Report what was found on another table of the same space, e.g. nb201/cifar100."
)
@click.option(
    "--statistic", type=OneOf(["mean", "median"]), default="mean", show_default=True, help="Median: with quartiles."
)
@click.option("--objectives", type=Names(), help="Of a benchmark, the exact Pareto front: error,latency.raspi4.")
@click.option("--per-seed", is_flag=True, help="One row per seed: its incumbent, and when it was found.")
@data_folder
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@selects
def command(
    what: tuple[str, ...],
    selection: Selection,
    at: list[float] | None,
    on: str | None,
    statistic: Statistic,
    objectives: list[str] | None,
    per_seed: bool,
    as_json: bool,
) -> None:
    """Show the facts of a benchmark or a row of it, the parameters of an algorithm, or the regret of results."""
    from harness import registry
    from harness.report import tables
    from harness.studies.selection import gathered
    from harness.studies.store import unfinished

    console = tables.console()
    paths = [Path(name) for name in what]
    if objectives is None and all(path.exists() for path in paths):
        _results(console, gathered(paths, selection), at, on, statistic, per_seed, as_json)
        for line in unfinished(paths):
            click.echo(f"note: {line}", err=True)
        return
    if at or on or per_seed or selection.words or len(what) > 1:
        missing = next(str(path) for path in paths if not path.exists())
        raise HarnessError(f"there are no results at {missing}.", "`harness run` makes results; --out says where.")
    (name,) = what
    if objectives:
        _front(console, name, objectives, as_json)
    elif name in registry.algorithm_names():
        _algorithm(console, name, as_json)
    elif name in (*registry.benchmark_facts(), *registry.families(), *registry.broken(registry.BENCHMARKS)):
        _benchmark(console, name, as_json)
    elif (row := re.fullmatch(r"([\w./+-]+):(\d+)", name)) is not None:
        _row(console, row[1], int(row[2]), as_json)
    elif ":" in name or name in registry.library_names():
        (name,) = registry.known([name])
        _algorithm(console, name, as_json)
    else:
        known = [*registry.algorithm_names(), *registry.benchmark_facts(), *registry.families()]
        raise unknown("benchmark, algorithm or path of results", name, known, see="harness list")


def _results(
    console: Console,
    found: list[Outcome],
    at: list[float] | None,
    on: str | None,
    statistic: Statistic,
    per_seed: bool,
    as_json: bool,
) -> None:
    from harness.analysis.comparison import peculiarities
    from harness.report import tables
    from harness.studies.outcome import per_seed_rows, reported, summary

    outcomes = reported([outcome.renewed() for outcome in found], on)
    pairs = [(outcome, time) for outcome in outcomes for time in (at or (None,))]
    if per_seed:
        rows = [row for outcome, time in pairs for row in _decoded(outcome, per_seed_rows(outcome, time))]
    else:
        rows = [summary(outcome, time) for outcome, time in pairs]
    if as_json:
        click.echo(json_text(rows, indent=1))
    elif per_seed:
        columns = (
            "benchmark",
            "algorithm",
            "seed",
            "row",
            "val_loss",
            "val_regret",
            "test_loss",
            "found",
            "evaluation",
            "configuration",
        )
        console.print(tables.listing(columns, [[_cell(row[c]) for c in columns] for row in rows]))
    else:
        console.print(*tables.summaries(outcomes, rows, statistic), sep="\n")
        for line in peculiarities(outcomes):
            click.echo(f"note: {line}", err=True)


def _decoded(outcome: Outcome, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows with the configurations, where the table that was searched is here."""
    from harness.report.frames import configurations

    try:
        table = outcome.study.load_table()
    except HarnessError:
        return [{**row, "configuration": None} for row in rows]
    found = configurations(table, [row["row"] for row in rows]).to_dict("records")
    return [
        {**row, "configuration": None if (row["row"] is None or row["row"] < 0) else decoded}
        for row, decoded in zip(rows, found, strict=True)
    ]


def _cell(value: object) -> str:
    if value is None:
        return "–"
    if isinstance(value, dict):
        return str(value.get("architecture", ", ".join(f"{name}={x}" for name, x in value.items())))
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _algorithm(console: Console, name: str, as_json: bool) -> None:
    from harness import registry
    from harness.params import declared
    from harness.report import tables

    factory = registry.algorithm(name)
    parameters = declared(factory)
    paragraphs = (inspect.getdoc(factory) or "").split("\n\n")
    text = "\n\n".join(" ".join(paragraph.split()) for paragraph in paragraphs)
    if as_json:
        described = {n: {"default": d.default, "takes": d.expects, "doc": d.param.doc} for n, d in parameters.items()}
        click.echo(json_text({"name": name, "doc": text, "parameters": described}, indent=1))
        return
    console.print(name, style="bold")
    console.print(f"\n{text}\n")
    if parameters:
        rows = [[f"{name}.{n}", str(d.default), d.expects, d.param.doc] for n, d in parameters.items()]
        console.print(tables.listing(("parameter", "default", "takes", "meaning"), rows))
    else:
        console.print("It has no parameters.")


def _benchmark(console: Console, name: str, as_json: bool) -> None:
    from harness import registry
    from harness.analysis.tables import described
    from harness.report import tables

    facts = described(registry.benchmark(name))
    if as_json:
        click.echo(json_text(facts, indent=1))
        return
    facts["fidelities"] = _thinned(facts["fidelities"])
    agreement = facts["spearman_with_largest_fidelity"]
    facts["spearman_with_largest_fidelity"] = {key: agreement[key] for key in _thinned(list(agreement))}
    rows = [(key.replace("_", " "), _text(value)) for key, value in facts.items() if value not in ("", None, {}, [])]
    console.print(tables.facts(rows))


def _front(console: Console, name: str, objectives: list[str], as_json: bool) -> None:
    from harness.api.interactive import benchmark
    from harness.report import tables

    facts = benchmark(name).front(*objectives)
    if as_json:
        click.echo(json_text(facts, indent=1))
        return
    front = facts.pop("front")
    console.print(tables.facts([(key, _text(value)) for key, value in facts.items()]))
    console.print(
        tables.listing(["row", *objectives], [[f"{value:.6g}" for value in point.values()] for point in front])
    )


def _row(console: Console, name: str, row: int, as_json: bool) -> None:
    """What was measured of one configuration at the largest fidelity."""
    from harness.api.interactive import benchmark
    from harness.report import tables
    from harness.report.frames import configurations

    found = benchmark(name)
    measured = found.query(row)
    if as_json:
        configuration = configurations(found.table, [row]).iloc[0].to_dict()
        click.echo(json_text({"benchmark": found.facts.name, **measured, "configuration": configuration}, indent=1))
        return
    facts = measured | configurations(found.table, [row], measured).iloc[0].to_dict()
    console.print(tables.facts([(key, _text(value)) for key, value in facts.items()]))


def _thinned(values: list[Any]) -> list[Any]:
    """At most eight of them, from the first to the last."""
    return values if len(values) <= 8 else [values[round(i * (len(values) - 1) / 7)] for i in range(8)]


def _text(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{k}: {_text(v)}" for k, v in value.items())
    if isinstance(value, list):
        return ", ".join(map(_text, value))
    return f"{value:.10g}" if isinstance(value, float) else str(value)
