"""`harness list`."""

from __future__ import annotations

import inspect
import json

import click

from harness.cli.options import OneOf, data_folder


@click.command("list", short_help="List benchmarks, algorithms and predictors.")
@click.argument("what", required=False, type=OneOf(["algorithms", "predictors", "benchmarks"]))
@data_folder
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(what: str | None, as_json: bool) -> None:
    """List the ALGORITHMS, PREDICTORS and BENCHMARKS that are installed, plugins of other packages too."""
    from harness import registry
    from harness.report import tables

    found: dict[str, list[dict[str, str]]] = {}
    if what in (None, "algorithms"):
        found["algorithms"] = [
            {"name": name, "title": _first_line(registry.algorithm(name))} for name in registry.algorithm_names()
        ]
    if what in (None, "predictors"):
        found["predictors"] = [
            {"name": name, "title": _first_line(registry.predictor(name))} for name in registry.predictor_names()
        ]
    if what in (None, "benchmarks"):
        short = {full: name for name, full in registry.families().items()}
        found["benchmarks"] = [
            {
                "name": name,
                "short": short.get(name, ""),
                "title": facts.title,
                "loss": facts.loss,
                "test": facts.test,
                "here": "yes" if registry.present(name) else "no",
            }
            for name, facts in registry.benchmark_facts().items()
        ]
    if as_json:
        click.echo(json.dumps(found, indent=1))
        return
    console = tables.console()
    for rows in found.values():
        console.print(tables.listing(list(rows[0]), [[row[k] or "–" for k in row] for row in rows]))
    if any(row["here"] == "no" for row in found.get("benchmarks", [])):
        click.echo("`harness data list` says how to get those that are not here.", err=True)


def _first_line(factory: object) -> str:
    return (inspect.getdoc(factory) or "").split("\n")[0].rstrip(".")
