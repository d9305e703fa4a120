"""`harness search`."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harness.cli.options import Name, Names, OneOf, Where, cluster_option
from harness.cli.sharing import searches
from harness.errors import HarnessError
from harness.files import json_text

if TYPE_CHECKING:
    from harness.sharing.method import Statistics
    from harness.train.pool import Assignment
    from harness.train.results import Training
    from harness.train.search import Limits, Search
    from harness.train.search_log import Event
    from harness.train.tuner import Tuner


@click.command("search", short_help="Search for an architecture by training for real.")
@click.option(
    "--space",
    required=True,
    type=Name("spaces"),
    help="gpnas-cell, nb201, mobilenet, ...; `harness list spaces` has all.",
)
@click.option("--data", "images", required=True, help="digits, cifar10, cifar100, imagenet16-120, a .npz, or a folder.")
@click.option("--data-root", type=click.Path(path_type=Path), help="Folder with the official files of the images.")
@click.option(
    "--algo", default="gpnas", type=Name("algorithms"), show_default=True, help="`harness list algorithms` has them."
)
@click.option(
    "--method", type=Names("methods"), help="Methods of weight sharing instead of --algo: `harness list methods`."
)
@click.option("--seeds", type=click.IntRange(1, 10_000), default=1, help="Searches of each method, from --seed on.")
@click.option(
    "--statistics",
    type=OneOf(["batch", "running", "recalibrated"]),
    default="batch",
    show_default=True,
    help="Of batch normalisation where a method scores architectures.",
)
@click.option(
    "--then",
    type=Names("algorithms"),
    help="With a --method that samples paths: algorithms that search by the trained super-network's scores.",
)
@click.option(
    "--train",
    type=OneOf(["best"]),
    help="With --method: train the best it found from scratch, by --recipe; the search takes its own recipe then.",
)
@click.option(
    "--constraint",
    multiple=True,
    metavar="MEASURE<=BOUND",
    help="Of --method gcn also the best under this, such as macs<=400e6 or macs<=4e8,params<=5e6; repeatable.",
)
@click.option("--bench", help="Of --method: the table with the truth. [default: that called SPACE/DATA]")
@click.option("--param", multiple=True, metavar="ALGO.NAME=VALUE", help="Parameter of the algorithm; repeatable.")
@click.option("--budget", type=float, help="Seconds of searching.")
@click.option(
    "--evals",
    type=int,
    help="Trainings of the search, each to one of its fidelities; of --then scores, 200 by default.",
)
@click.option(
    "--search-epochs", type=int, help="Longest training of a child. [default: a sixth of the recipe's, at least 3]"
)
@click.option("--top", type=int, default=5, show_default=True, help="How many of the best are trained to the end.")
@click.option("--recipe", help="A recipe's name, or a TOML file. [default: the space's; digits has its own]")
@click.option("--epochs", type=int, help="Instead of the recipe's.")
@click.option("--device", default="auto", show_default=True, help="cpu, cuda, cuda:1, or several: cuda:0,cuda:1.")
@click.option("--workers", type=int, help="Trainings, or searches by --method, at once. [default: one per device]")
@cluster_option
@click.option(
    "--seed",
    type=click.IntRange(0, 2**53),
    default=0,
    show_default=True,
    help="Of the search; networks take the recipe's of that number.",
)
@click.option("--out", type=click.Path(path_type=Path), default=Path("results"), show_default=True, help="Folder.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(
    space: str,
    images: str,
    data_root: Path | None,
    algo: str,
    method: list[str] | None,
    seeds: int,
    statistics: Statistics,
    then: list[str] | None,
    train: str | None,
    constraint: tuple[str, ...],
    bench: str | None,
    param: tuple[str, ...],
    budget: float | None,
    evals: int | None,
    search_epochs: int | None,
    top: int,
    recipe: str | None,
    epochs: int | None,
    device: str,
    workers: int | None,
    cluster: Where | None,
    seed: int,
    out: Path,
    as_json: bool,
) -> None:
    """Search SPACE with real trainings, cut short, and train the best architectures to the end.

    Finished trainings are Parquet files in the folder trained of --out, the course of the search is one in searches;
    their paths are printed, the search's last. An interrupted search goes on where it stopped.
    """
    for option, value in (("top", top), ("epochs", epochs), ("workers", workers)):
        if value is not None and value < 1:
            raise HarnessError(f"{option} must be at least 1, got {value}.")
    if seed < 0:
        raise HarnessError(f"the seed cannot be negative, got {seed}.")
    if method is not None:
        for option, number in (("budget", budget), ("search-epochs", search_epochs)):
            if number is not None:
                raise HarnessError(f"--{option} is of searches by --algo.", "leave it out with --method.")
        if evals is not None and (then is None or evals < 1):
            raise HarnessError("--evals are scores of --then, at least 1.", "--then re --evals 200")
        every = range(seed, seed + seeds)
        on = (device, workers, cluster)
        about = (images, data_root, recipe, epochs, on, every, statistics, out, [*constraint], bench)
        asked = (then or [], evals or 200)
        searches(space, method, param, *about, *asked, train=train is not None, as_json=as_json)
        return
    if then is not None:
        raise HarnessError("--then goes on from methods of weight sharing.", "--method rsps --then re")
    from harness.cli.options import parameters
    from harness.cli.workers import trainers
    from harness.spaces import published
    from harness.studies.store import TRAINED, ResultStore
    from harness.train import devices, recipes
    from harness.train.images import load
    from harness.train.pool import Work
    from harness.train.search import Limits, Search
    from harness.train.tuner import Tuner

    given = parameters(param, [algo], example="gpnas.startup=10")[algo]
    limits = Limits(math.inf if budget is None else budget, evals)
    published(space)
    used = recipes.chosen(recipe, published(space).kind, images, epochs)
    with trainers(cluster, device.split(","), workers, "auto") as where:
        loaded = load(images, data_root, used, devices.device_of("cpu"))
        slots = len(where.names)
        search = Search.plan(
            space, algo, given, loaded, used, where.precision, epochs=search_epochs, seed=seed, workers=slots
        )
        ResultStore(out)
        click.echo(f"{loaded.name}: {loaded.words}; recipe: {used.title}, {used.epochs} epochs.", err=True)
        tuner = Tuner(search, out)
        with (
            _bars(tuner, limits, top) as bars,
            _stopping(tuner),
            where.pool(Work(images, data_root, out / TRAINED), bars.watching) as pool,
        ):
            tuner.drive(pool, limits, bars.told)
            found = tuner.train_best(pool, out / TRAINED, top, bars.trained)
    _tell(tuner, found, out, as_json)


@contextmanager
def _stopping(tuner: Tuner) -> Iterator[None]:
    """Ctrl-C says how to go on, once the trainings have stopped."""
    try:
        yield
    except KeyboardInterrupt:
        told = f"stopped after {tuner.told} results of the search; the same command goes on from there."
        raise click.Abort(told) from None


@contextmanager
def _bars(tuner: Tuner, limits: Limits, top: int) -> Iterator[Any]:
    """A bar of the search with its incumbent, and one of the trainings to the end, on stderr."""
    from harness.report import tables
    from harness.report.watching import Noted

    bars = tables.bars()

    class Shown:
        def told(self) -> None:
            done = max(tuner.told / (limits.evals or math.inf), tuner.seconds / limits.budget)
            best = tuner.best(1)
            note = f"best {1 - best[0].loss:.2%} after {best[0].epochs} epochs" if best else ""
            bars.update(searched, completed=min(done, 1.0), note=note)

        def trained(self) -> None:
            bars.advance(ends)

        def watching(self, assignment: Assignment[Any, Any]) -> Noted:
            return Noted(bars, assignment)

    with bars:
        search: Search = tuner.search
        searched = bars.add_task(f"{search.algorithm} on {search.space}", total=1.0, note="")
        ends = bars.add_task(f"the best {top}, to the end", total=top, note="")
        shown = Shown()
        shown.told()
        yield shown


def _tell(tuner: Tuner, found: list[tuple[Event, Training]], out: Path, as_json: bool) -> None:
    from harness.report import tables
    from harness.studies.store import TRAINED
    from harness.train import results, validation

    seen = [{"searched_epochs": event.epochs, "searched_val_accuracy": 1 - event.loss} for event, _ in found]
    rows = [{**validation.row(training), **row} for (_, training), row in zip(found, seen, strict=True)]
    if as_json:
        search = {"search": str(tuner.path), "results": tuner.told, "seconds": tuner.seconds}
        click.echo(json_text({**search, "trainings": rows}, indent=1))
        return
    tables.console(stderr=True).print(tables.found(rows))
    paths = [results.path(out / TRAINED, training.job) for _, training in found]
    click.echo("\n".join(map(str, [*paths, tuner.path])))
