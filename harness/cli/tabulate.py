"""`harness tabulate`."""

from __future__ import annotations

import os
import shlex
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from harness.cli.options import Names, Processes, Where, cluster_option, precision_option
from harness.errors import HarnessError

if TYPE_CHECKING:
    from harness.spaces.architecture import Architecture
    from harness.train.pool import Devices, Work
    from harness.train.results import Job, Training

_MACHINE = ("data_root", "device", "processes", "cluster", "store_on_workers", "out")
"""Options that say where and not what is trained."""


@click.command("tabulate", short_help="Train cells of a space, and write a new tabular benchmark.")
@click.argument("space")
@click.option("--data", "images", required=True, help="digits, cifar10, cifar100, imagenet16-120, a .npz, or a folder.")
@click.option("--data-root", type=click.Path(path_type=Path), help="Folder with the official files of the images.")
@click.option("--name", required=True, help="Of the table: small letters, digits, - and _.")
@click.option("--only", type=Names(), help="Operators: all cells that have no others.")
@click.option("--sample", type=int, help="So many random cells instead of all.")
@click.option("--seed", type=click.IntRange(0, 2**53), default=0, show_default=True, help="Of the sample.")
@click.option("--arch", multiple=True, help="A cell's string, or a row of a table: nb201:6111; repeatable.")
@click.option("--archs", type=click.Path(path_type=Path), help="A file with a cell in each line.")
@click.option("--recipe", help="A recipe's name, or a TOML file. [default: the space's; digits has its own]")
@click.option("--epochs", type=int, help="Instead of the recipe's.")
@click.option("--repeats", type=int, help="Trainings of each cell. [default: the recipe's seeds]")
@click.option("--device", type=Names(), default="auto", show_default=True, help="cpu, cuda, or cuda:0,cuda:1.")
@click.option("--processes", type=Processes(), help="Trainings at a time. [default: one per core, or per GPU]")
@cluster_option
@precision_option
@click.option("--out", type=click.Path(path_type=Path), default=Path("tables"), show_default=True, help="Folder.")
@click.pass_context
def command(
    ctx: click.Context,
    space: str,
    images: str,
    data_root: Path | None,
    name: str,
    only: list[str] | None,
    sample: int | None,
    seed: int,
    arch: tuple[str, ...],
    archs: Path | None,
    recipe: str | None,
    epochs: int | None,
    repeats: int | None,
    device: list[str],
    processes: int | None,
    cluster: Where | None,
    precision: str,
    out: Path,
) -> None:
    """Train architectures of SPACE, such as nb201, on images, and write a table of them that every algorithm runs on.

    The table is NAME.parquet and NAME.toml in --out, with the learning curve of every training, its seconds and its
    test error; the path of the latter is printed, for `harness data import`. Trainings are files beside it: those that
    are there are not made again, so that an interrupted command goes on.
    """
    for option, value in (("epochs", epochs), ("repeats", repeats)):
        if value is not None and value < 1:
            raise HarnessError(f"{option} must be at least 1, got {value}.")
    from harness.cli.workers import trainers
    from harness.spaces import published
    from harness.studies.keeping import writable
    from harness.studies.store import TRAINED
    from harness.train import devices, recipes, tabulate
    from harness.train import images as image_sets
    from harness.train.pool import Work
    from harness.train.results import Job

    tabulate.check_space(space)
    cells = _cells(space, arch, archs, only, sample, seed)
    used = recipes.chosen(recipe, published(space).kind, images, epochs)
    if cluster is None:
        found = [devices.device_of(one) for one in device]
        device = [*map(str, found)]
        processes = processes or (len(os.sched_getaffinity(0)) if found[0].type == "cpu" else len(found))
    loaded = image_sets.load(images, data_root, used, devices.device_of("cpu"))
    if loaded.valid is None:
        raise HarnessError(
            f"the recipe holds no images of {loaded.name} out, and a table is of validation errors.",
            "use a recipe with validation = 0.25, or a folder with train, val and test.",
        )
    with trainers(cluster, device, processes, precision) as where:
        seeds = used.repeats(repeats, len(cells))
        jobs = [
            Job(cell, loaded.name, loaded.checksum, used, seed, where.precision) for cell in cells for seed in seeds
        ]
        tabulate.check_target(out, name, jobs)
        writable(out / TRAINED)
        click.echo(
            f"{loaded.name}: {loaded.words}; recipe: {used.title}, {used.epochs} epochs; {len(cells):,} cells, "
            f"{len(jobs):,} trainings.",
            err=True,
        )
        trainings = _train(jobs, where, Work(images, data_root, out / TRAINED))
    path = tabulate.write(out, name, space, trainings, loaded, _said(ctx))
    diverged = sum(training.curve.diverged for training in trainings)
    if diverged:
        click.echo(f"note: {diverged} trainings diverged: their entries are empty from there on.", err=True)
    click.echo(f"next: harness data import {path}", err=True)
    click.echo(str(path))


def _cells(
    space: str, arch: tuple[str, ...], archs: Path | None, only: list[str] | None, sample: int | None, seed: int
) -> list[Architecture]:
    from harness.train import tabulate

    if not arch and archs is None:
        return tabulate.chosen(space, only, sample, seed)
    if only or sample is not None:
        raise HarnessError("cells are either listed or taken by --only and --sample.", "leave one out.")
    try:
        lines = [] if archs is None else archs.read_text().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise HarnessError(f"cannot read {archs}: {error}.", "it takes a text file with a cell in each line.") from None
    found = tabulate.listed(space, [*arch, *filter(None, map(str.strip, lines))])
    if not found:
        raise HarnessError(f"there is no cell in {archs}.", "write one in each line.")
    return found


def _train(jobs: list[Job], where: Devices, work: Work) -> list[Training]:
    """The trainings, with a bar on stderr; Ctrl-C says how many are there."""
    from harness.report import tables
    from harness.report.watching import Noted
    from harness.train import tabulate

    done = 0

    def told(training: Training, count: int) -> None:
        nonlocal done
        done = count
        bars.update(bar, completed=count, note=f"last: validation accuracy {training.curve.accuracy:.1%}")

    with tables.bars() as bars:
        bar = bars.add_task("trainings", total=len(jobs), note="")
        try:
            with where.pool(work, partial(Noted, bars)) as pool:
                return tabulate.train(jobs, pool, work.folder, told)
        except KeyboardInterrupt:
            raise click.Abort(
                f"interrupted: {done:,} of {len(jobs):,} trainings are done; the same command goes on from them."
            ) from None


def _said(ctx: click.Context) -> str:
    """The command, without what only says where it ran."""
    words: list[Any] = ["harness", "tabulate", ctx.params["space"]]
    for option in ctx.command.params:
        if ctx.get_parameter_source(option.name or "") != ParameterSource.COMMANDLINE or option.name in _MACHINE:
            continue
        if isinstance(option, click.Option):
            value = ctx.params[option.name or ""]
            for one in value if option.multiple else [value]:
                words += [option.opts[-1], ",".join(one) if isinstance(one, list) else one]
    return shlex.join(map(str, words))
