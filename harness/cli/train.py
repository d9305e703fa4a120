"""`harness train`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harness.cli.options import Where, cluster_option, precision_option, selects
from harness.errors import HarnessError, reason
from harness.files import json_text

if TYPE_CHECKING:
    import torch
    from rich.progress import TaskID

    from harness.studies.selection import Selection
    from harness.train.devices import Place
    from harness.train.images import ImageSet
    from harness.train.incumbents import Found
    from harness.train.loop import Task
    from harness.train.pool import Work
    from harness.train.recipes import Recipe
    from harness.train.results import Job, Origin, Training


@click.command("train", short_help="Train architectures for real, those that studies found.")
@click.argument("results", nargs=-1, type=click.Path(path_type=Path))
@click.option("--top", type=int, default=5, show_default=True, help="How many incumbents of each benchmark.")
@click.option("--arch", multiple=True, help="An architecture's string, or a row of a table: nb201:6111; repeatable.")
@click.option("--data", "images", required=True, help="digits, cifar10, cifar100, imagenet16-120, a .npz, or a folder.")
@click.option("--data-root", type=click.Path(path_type=Path), help="Folder with the official files of the images.")
@click.option("--recipe", help="A recipe's name, or a TOML file. [default: the benchmark's; digits has its own]")
@click.option("--epochs", type=int, help="Instead of the recipe's.")
@click.option("--repeats", type=int, help="Trainings of each architecture. [default: the recipe's seeds]")
@click.option("--device", default="auto", show_default=True, help="cpu, cuda or cuda:1.")
@cluster_option
@precision_option
@click.option("--deterministic", is_flag=True, help="Algorithms that give the same bits each time, also on a GPU.")
@click.option("--compile", "compiled", is_flag=True, help="Compile networks with torch.compile.")
@click.option("--tensorboard", type=click.Path(path_type=Path), help="Folder for curves in TensorBoard's form.")
@click.option("--out", type=click.Path(path_type=Path), help="Folder. [default: trained, in the folder of RESULTS]")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON list of trainings.")
@selects
def command(
    results: tuple[Path, ...],
    selection: Selection,
    top: int,
    arch: tuple[str, ...],
    images: str,
    data_root: Path | None,
    recipe: str | None,
    epochs: int | None,
    repeats: int | None,
    device: str,
    cluster: Where | None,
    precision: str,
    deterministic: bool,
    compiled: bool,
    tensorboard: Path | None,
    out: Path | None,
    as_json: bool,
) -> None:
    """Train the best incumbents of the studies in RESULTS, or the architectures given by --arch, from scratch.

    Trainings are Parquet files in --out; their paths are printed. One that is there already is not made again, an
    interrupted one goes on where it stopped. Several processes train one network under torchrun.
    """
    for option, value in (("top", top), ("epochs", epochs), ("repeats", repeats)):
        if value is not None and value < 1:
            raise HarnessError(f"{option} must be at least 1, got {value}.")
    from harness.studies.keeping import writable
    from harness.train import devices, recipes
    from harness.train.pool import Work
    from harness.train.results import Job

    found = _architectures(results, selection, arch, top)
    target = out or _beside(results)
    if cluster is not None:
        if tensorboard is not None:
            raise HarnessError("--tensorboard is of one machine.", "leave it out on a --cluster.")
        work = Work(images, data_root, target, deterministic, compiled)
        _tell(_on_cluster(cluster, found, work, recipe, epochs, repeats, device, precision), target, as_json)
        return
    where = devices.device_of(device)
    exact = devices.precision_of(precision, where)
    chosen = {a.space: recipes.chosen(recipe, a.space, images, epochs) for a, _ in found}
    sets = {space: _loaded(images, data_root, used, where) for space, used in chosen.items()}
    jobs = []
    for architecture, origin in found:
        used, loaded = chosen[architecture.space], sets[architecture.space]
        for seed in used.repeats(repeats, len(found)):
            jobs.append((Job(architecture, loaded.name, loaded.checksum, used, seed, exact), loaded, origin))
    writable(target)
    with devices.processes(where) as (rank, world):
        place = devices.Place(where, exact, rank, world, deterministic, compiled)
        trainings = _train(jobs, place, target, tensorboard)
    if rank == 0:
        _tell(trainings, target, as_json)


def _on_cluster(
    cluster: Where,
    found: list[Found],
    work: Work,
    recipe: str | None,
    epochs: int | None,
    repeats: int | None,
    device: str,
    precision: str,
) -> list[Training]:
    """One training at a time on each worker, space by space."""
    from harness.cli.workers import trainers
    from harness.report import tables
    from harness.report.watching import Noted
    from harness.studies.keeping import writable
    from harness.train import devices, recipes, tabulate
    from harness.train.results import Job

    trainings: list[Training] = []
    with trainers(cluster, [device], None, precision) as where, tables.bars() as bars:
        for space in dict.fromkeys(architecture.space for architecture, _ in found):
            used = recipes.chosen(recipe, space, work.images, epochs)
            loaded = _loaded(work.images, work.root, used, devices.device_of("cpu"))
            each = [
                (Job(architecture, loaded.name, loaded.checksum, used, seed, where.precision), origin)
                for architecture, origin in found
                if architecture.space == space
                for seed in used.repeats(repeats, len(found))
            ]
            writable(work.folder)
            jobs, origins = zip(*each, strict=True)
            bar = bars.add_task(f"trainings of {space}", total=len(jobs), note="")

            def told(training: Training, count: int, bar: TaskID = bar) -> None:
                bars.update(bar, completed=count)

            try:
                with where.pool(work, partial(Noted, bars)) as pool:
                    trainings += tabulate.train(jobs, pool, work.folder, told, origins)
            except KeyboardInterrupt:
                raise click.Abort("stopped; the same command goes on from the trainings that are whole.") from None
    return trainings


def _architectures(results: tuple[Path, ...], selection: Selection, arch: tuple[str, ...], top: int) -> list[Found]:
    from harness.studies.selection import gathered
    from harness.train import devices, incumbents

    if not results and not arch:
        raise HarnessError("there is nothing to train.", "name results of `harness run`, or give --arch.")
    tell = [partial(click.echo, err=True)] if devices.is_first() else []
    found = dict(incumbents.best(gathered(results, selection), top, *tell) if results else ())
    for text in arch:
        architecture, origin = incumbents.named(text)
        found.setdefault(architecture, origin)
    return [*found.items()]


def _loaded(name: str, root: Path | None, recipe: Recipe, device: torch.device) -> ImageSet:
    from harness.train import devices, images

    loaded = images.load(name, root, recipe, device)
    if devices.is_first():
        click.echo(f"{loaded.name}: {loaded.words}; recipe: {recipe.title}, {recipe.epochs} epochs.", err=True)
    return loaded


def _beside(results: tuple[Path, ...]) -> Path:
    from harness.studies.store import TRAINED

    first = results[0] if results else Path("results")
    return (first.parent if first.is_file() else first) / TRAINED


def _train(
    jobs: list[tuple[Job, ImageSet, Origin | None]], place: Place, out: Path, tensorboard: Path | None
) -> list[Training]:
    """The jobs one after another; one whose loss diverges does not keep the others from being trained."""
    from harness.train.jobs import finish
    from harness.train.loop import Interrupted

    trainings: list[Training] = []
    with _watch([job for job, *_ in jobs], tensorboard, quiet=place.rank > 0) as watch:
        try:
            for job, loaded, origin in jobs:
                watch.begin(job)
                trainings.append(finish(job, loaded, place, out, origin=origin, watch=watch))
                watch.end()
        except Interrupted as stopped:
            job = jobs[len(trainings)][0]
            told = f"{stopped}, seed {job.seed} of {job.architecture.text}; the same command goes on from there."
            raise click.Abort(told) from None
    return trainings


@contextmanager
def _watch(jobs: list[Job], tensorboard: Path | None, *, quiet: bool) -> Iterator[Any]:
    """A bar over all trainings and one of the training at work on stderr, and curves for TensorBoard."""
    from harness.report import tables
    from harness.train.loop import Watch

    writer = tensorboard_writer(tensorboard) if tensorboard is not None and not quiet else None
    bars = tables.bars(quiet=quiet)
    total = sum(job.recipe.epochs for job in jobs)

    class Bars(Watch):
        done = 0

        def begin(self, job: Job) -> None:
            self.job = job
            where = f"{jobs.index(job) + 1}/{len(jobs)} {job.architecture.text[:40]} seed {job.seed}"
            bars.update(one, description=where, completed=0, total=job.recipe.epochs, note="")

        def end(self) -> None:
            self.done += self.job.recipe.epochs
            bars.update(all_, completed=self.done)

        def step(self, epoch: int, done: float, images_per_second: float) -> None:
            bars.update(one, completed=epoch + done, note=f"{images_per_second:,.0f} images/s")
            bars.update(all_, completed=self.done + epoch + done)

        def epoch(self, job: Task, epoch: int, row: dict[str, float]) -> None:
            if writer is not None:
                for name, value in row.items():
                    writer.add_scalar(f"{job.id}/{name}", value, epoch)

        def note(self, text: str) -> None:
            if not quiet:
                bars.console.print(f"note: {self.job.architecture.text}, seed {self.job.seed}: {text}")

    with bars:
        all_ = bars.add_task("all trainings", total=total, note="")
        one = bars.add_task("", total=1, note="")
        yield Bars()
    if writer is not None:
        writer.close()


def tensorboard_writer(folder: Path) -> Any:
    """What writes curves for TensorBoard. Raises HarnessError where the package is not installed."""
    try:
        from torch.utils.tensorboard.writer import SummaryWriter
    except Exception as error:
        absent = isinstance(error, ModuleNotFoundError)
        raise HarnessError(
            "--tensorboard needs the package tensorboard, which "
            + ("is not installed." if absent else f"cannot be imported: {reason(error)}."),
            f"install {'it' if absent else 'one that fits the others'}: pip install tensorboard",
        ) from None
    return SummaryWriter(folder)


def _tell(trainings: list[Training], out: Path, as_json: bool) -> None:
    from harness.report import tables
    from harness.train import results, validation

    rows = [validation.row(training) for training in trainings]
    if as_json:
        click.echo(json_text(rows, indent=1))
        return
    tables.console(stderr=True).print(tables.trainings(rows))
    for agreement in validation.agreements(trainings):
        click.echo(validation.sentence(agreement), err=True)
    click.echo("\n".join(str(results.path(out, training.job)) for training in trainings))
