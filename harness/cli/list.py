"""`harness list`."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from typing import TYPE_CHECKING

import click
from click.shell_completion import CompletionItem

from harness import escapes
from harness.cli.options import OneOf, data_folder
from harness.errors import HarnessError
from harness.files import json_text

if TYPE_CHECKING:
    from harness.algorithm import Library


_WHAT = ("algorithms", "libraries", "predictors", "methods", "spaces", "benchmarks")
_SHOWN = 6
"""Optimizers of a library that are named beside the others."""


class _What(OneOf):
    """A kind of what is installed, or a library by its name."""

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str:
        return f"{super().get_metavar(param, ctx)}|LIBRARY"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        return OneOf([*_WHAT, *_libraries()]).convert(value, param, ctx)

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        return OneOf([*_WHAT, *_libraries()]).shell_complete(ctx, param, incomplete)


def _libraries() -> list[str]:
    from harness import registry

    return registry.library_names()


@click.command("list", short_help="List algorithms, predictors, methods, spaces and benchmarks.")
@click.argument("what", required=False, type=_What(_WHAT))
@data_folder
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(what: str | None, as_json: bool) -> None:
    """List what is installed, plugins of other packages too.

    WHAT is one kind of them: algorithms, libraries, predictors, methods of weight sharing, search spaces or benchmarks;
    or a library, to list its optimizers.

    An optimizer of a library is an algorithm, too: `harness run --algo optuna:GPSampler`; `harness list optuna` has
    their names.
    """
    from harness import registry, spaces
    from harness.report import tables

    if what in registry.library_names():
        named = [f"{what}:{name}" for name in registry.library(what).names()]
        click.echo(json_text({what: named}, indent=1) if as_json else "\n".join(named))
        return
    found: dict[str, list[dict[str, str]]] = {}
    if what in (None, "algorithms"):
        found["algorithms"] = [_titled(name, registry.algorithm) for name in registry.algorithm_names()]
    if what in (None, "libraries"):
        found["libraries"] = [
            _library(name, registry.library(name), what is not None) for name in registry.library_names()
        ]
    if what in (None, "predictors"):
        found["predictors"] = [_titled(name, registry.predictor) for name in registry.predictor_names()]
    if what in (None, "methods"):
        found["methods"] = [_titled(name, registry.method) for name in registry.method_names()]
    if what in (None, "spaces"):
        found["spaces"] = [_space(name) for name in spaces.names()]
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
        ] + [
            {"name": name, "short": "", "title": _broken(error), "loss": "", "test": "", "here": "broken"}
            for name, error in registry.broken(registry.BENCHMARKS).items()
        ]
    if as_json:
        click.echo(json_text(found, indent=1))
        return
    console = tables.console()
    for rows in found.values():
        console.print(tables.listing(list(rows[0]), [[escapes.plain(row[k]) or "–" for k in row] for row in rows]))
    if any(row["here"] == "no" for row in found.get("benchmarks", [])):
        click.echo("`harness data list` says how to get those that are not here.", err=True)


def _library(name: str, library: Library, names: bool) -> dict[str, str]:
    """What it is installed by or, if `names`, how many it has and the first; it is imported for these only."""
    if not library.version:
        return {"name": name, "installed": "no", "optimizers": f"pip install 'nas-harness[{library.extra}]'"}
    try:
        has = _counted(name, library.names()) if names else f"harness run --algo {name}:NAME"
    except HarnessError as error:
        has = _broken(error)
    return {"name": name, "installed": library.version, "optimizers": has}


def _counted(library: str, names: list[str]) -> str:
    if len(names) <= 2 * _SHOWN:
        return ", ".join(names)
    return f"{len(names)}: {', '.join(names[:_SHOWN])}, ...; `harness list {library}` has all"


def _space(name: str) -> dict[str, str]:
    from harness import spaces

    try:
        space = spaces.published(name)
    except HarnessError as error:
        return {"name": name, "title": _broken(error), "parameters": "", "configurations": "", "super-network": ""}
    configurations = math.prod(len(parameter.values) for parameter in space.space.parameters)
    return {
        "name": name,
        "title": space.title,
        "parameters": str(space.space.dimensions),
        "configurations": f"{configurations:,}" if configurations < 1e9 else f"{configurations:.2g}",
        "super-network": "yes" if space.supernet else "no",
    }


def _titled(name: str, find: Callable[[str], object]) -> dict[str, str]:
    try:
        return {"name": name, "title": (inspect.getdoc(find(name)) or "").split("\n")[0].rstrip(".")}
    except HarnessError as error:
        return {"name": name, "title": _broken(error)}


def _broken(error: HarnessError) -> str:
    return f"broken: {error.message}"
