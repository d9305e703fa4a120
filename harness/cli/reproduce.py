"""`harness reproduce`."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from harness.cli.options import Processes, Seeds, Where, cluster_option, data_folder
from harness.errors import HarnessError

if TYPE_CHECKING:
    from harness.analysis.claims import Finding
    from harness.analysis.quality import Quality, QualityStudy
    from harness.analysis.reproduction import Reproduction
    from harness.studies.outcome import Outcome
    from harness.studies.study import Study


@click.command("reproduce", short_help="Run the studies of a paper's figure or claim, and draw or judge them.")
@click.argument("names", nargs=-1, metavar="[NAME|FILE.toml]...")
@click.option("--seeds", type=Seeds(), help="How many runs, or which. [default: what the file says]")
@click.option("--processes", type=Processes(), help="Worker processes. [default: one per core]")
@cluster_option
@click.option("--out", type=click.Path(path_type=Path), default=Path("results"), show_default=True, help="Folder.")
@click.option(
    "-o",
    "--output",
    multiple=True,
    type=click.Path(path_type=Path),
    help="File of the figure, as pdf, svg, png or pgf by its ending; repeatable. [default: NAME.pdf in --out]",
)
@click.option("--write", "page", type=click.Path(path_type=Path), help="Page of claims to bring up to date.")
@data_folder
def command(
    names: tuple[str, ...],
    seeds: range | None,
    processes: int | None,
    cluster: Where | None,
    out: Path,
    output: tuple[Path, ...],
    page: Path | None,
) -> None:
    """Run what a figure or a claim needs and is not there yet, draw it, and say whether the claim holds.

    Without a NAME, what there is to reproduce is listed; `claims` are all claims whose tables are there. Paths of
    figures and verdicts are printed. --write puts the verdicts, with figures beside it, in their sections of a page,
    and leaves the others as they are.
    """
    from harness.analysis import quality, reproduction
    from harness.analysis.quality_store import QualityStore
    from harness.cli.workers import execute, executor
    from harness.plots import recipes as recipe_figures
    from harness.report import claims as claims_page
    from harness.report import tables
    from harness.studies.evaluate import evaluate, versions
    from harness.studies.selection import seed_range
    from harness.studies.store import ResultStore

    if not names:
        rows = [(recipe.name, recipe.title) for recipe in map(reproduction.load, reproduction.ready().values())]
        tables.console().print(tables.listing(("name", "what"), [*rows, ("claims", "All claims")]))
        return
    recipes, left = reproduction.selected(names)
    tell = partial(click.echo, err=True)
    for recipe in left:
        tell(f"note: {recipe.name} is left out: {', '.join(recipe.absent)} must be imported first.")
    files = [recipe_figures.places(recipe, output if len(recipes) == 1 else (), out, page) for recipe in recipes]
    if output and len(recipes) > 1:
        raise HarnessError(f"one figure has a place at {output[0]}, not {len(recipes)}.", "leave -o out.")
    ranges = [seeds or seed_range(recipe.seeds) for recipe in recipes]
    planned = [reproduction.studies(recipe, r, tell) for recipe, r in zip(recipes, ranges, strict=True)]
    predicted = [_predictions(recipe, r) for recipe, r in zip(recipes, ranges, strict=True)]

    every = {study.id: study for studies in planned for study in studies}
    store, where = ResultStore(out), executor(processes, cluster)
    execute([*every.values()], store, evaluate, where)
    judged = {study.id: study for studies in predicted for study in studies}
    qualities = {}
    if judged:
        kept = QualityStore(out)
        execute([*judged.values()], kept, quality.evaluate, where)
        qualities = {id_: kept.get(study) for id_, study in judged.items()}
    sections = {}
    for recipe, studies, predictions, places in zip(recipes, planned, predicted, files, strict=True):
        found = [store.get(study).renewed() for study in studies], [qualities[study.id] for study in predictions]
        drawn = []
        for path in recipe_figures.write(recipe, *found, places, numbers=page is None):
            click.echo(path)
            drawn.append(path)
        if recipe.published:
            from harness.report import published

            click.echo("\n".join(map(" | ".join, [published.COLUMNS, *published.rows(recipe, found[0])])))
        if recipe.claim is not None:
            findings = _judge(recipe, *found)
            if page is not None:
                beside = [Path(os.path.relpath(path, page.parent)) for path in drawn]
                used: list[Study | QualityStudy] = [*studies, *predictions]
                sections[recipe.name] = claims_page.section(recipe, findings, used, beside, versions())
    if page is not None:
        claims_page.update(page, sections, {recipe.name: claims_page.untested(recipe) for recipe in left})
        click.echo(page)


def _judge(recipe: Reproduction, outcomes: Sequence[Outcome], qualities: Sequence[Quality]) -> list[Finding]:
    """Test the claim: a table on stderr, a sentence on stdout."""
    from harness.analysis import claims
    from harness.report import claims as claims_page
    from harness.report import tables

    assert recipe.claim is not None
    used = qualities if recipe.claim["statistic"] == "trend" else outcomes
    findings = claims.tested(used, recipe.claim)
    seeds = len(used[0].study.seeds)
    tables.console(stderr=True).print(tables.listing(claims_page.COLUMNS, claims_page.grid(findings, seeds)))
    click.echo(claims_page.sentence(recipe, findings, seeds))
    return findings


def _predictions(recipe: Reproduction, seeds: range) -> list[QualityStudy]:
    """The studies of predictors, each once."""
    from harness import registry
    from harness.analysis.quality import QualityStudy

    return [
        QualityStudy.plan(
            table,
            name,
            said.get("params", {}).get(name, {}),
            seeds,
            said.get("train", [20, 50, 100, 172, 344, 860]),
            said.get("noise", "sampled"),
        )
        for said in recipe.predict
        for table in map(registry.benchmark, registry.expand(said["bench"]))
        for name in said["predictor"]
    ]
