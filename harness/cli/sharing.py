"""`harness search --method`: searches by weight sharing."""

from __future__ import annotations

import math
from contextlib import ExitStack
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harness.errors import HarnessError
from harness.files import json_text

if TYPE_CHECKING:
    import torch

    from harness.cli.options import Where
    from harness.sharing.log import Log
    from harness.sharing.method import Statistics
    from harness.sharing.search import SharedSearch
    from harness.sharing.then import Sequel
    from harness.table import Table
    from harness.train.devices import Place, Precision
    from harness.train.images import ImageSet
    from harness.train.pool import Assignment, Devices, Work
    from harness.train.recipes import Recipe


def searches(
    space: str,
    methods: list[str],
    param: tuple[str, ...],
    images: str,
    data_root: Path | None,
    recipe: str | None,
    epochs: int | None,
    where: tuple[str, int | None, Where | None],
    seeds: range,
    statistics: Statistics,
    out: Path,
    constraints: list[str],
    bench: str | None,
    then: list[str],
    evals: int,
    *,
    train: bool = False,
    as_json: bool,
) -> None:
    """Search by every method with every seed; what is there is not searched again.

    `where` is a device, or several, how many searches at once, and a cluster: one after the other in this process where
    none of that is said. The algorithms `then` ask the trained super-networks for the scores of `evals` architectures
    each. With `train` the recipe is that of the training of the best by one-shot accuracy, one for each method. The
    processes of torchrun train together. What is between the searches and the final training is the first process's.
    """
    from harness import registry
    from harness.cli.options import parameters
    from harness.sharing import jobs, lookup
    from harness.sharing.log import table_of
    from harness.sharing.search import SharedSearch
    from harness.spaces import published
    from harness.studies.store import ResultStore
    from harness.train import devices, recipes
    from harness.train.images import load
    from harness.train.pool import Work

    for method in methods:
        registry.method(method)
    given = parameters(param, [*methods, *then], example="darts.order=second")
    kind = published(space).kind
    final = recipes.chosen(recipe, kind, images, None) if train else None
    usual = (f"sharing-{images}-{space.partition('/')[0]}", f"sharing-{images}", f"sharing-{kind}")
    name = (None if train else recipe) or next(r for r in usual if r in recipes.names())
    used = recipes.chosen(name, space, images, epochs)
    found, paths, trained = {}, [], []
    with ExitStack() as lent:
        slots = _slots(*where, lent)
        device = _device(where[0], slots)
        precision = _precision(devices.precision_of("auto", device) if slots is None else slots.precision)
        loaded = load(images, data_root, used, device)
        about = (loaded, used, precision, statistics)
        plans = {m: [SharedSearch.plan(space, m, given[m], *about, seed) for seed in seeds] for m in methods}
        for first, *_ in plans.values() if constraints else ():
            lookup.possible(first, constraints, loaded)
        sequels = {m: _sequels(planned, then, given, evals) for m, planned in plans.items()}
        ResultStore(out)
        left = jobs.left([*chain.from_iterable(plans.values())], out)
        table = registry.benchmark(bench) if bench else table_of(space, loaded.name)
        with devices.processes(device) as (rank, world):
            place = devices.Place(device, precision, rank, world, deterministic=device.type == "cpu")
            if rank == 0:
                click.echo(f"{loaded.name}: {loaded.words}; recipe: {used.title}, {used.epochs} epochs.", err=True)
                _say(table, bench, space, loaded, train=train)
            if slots is not None and left:
                _at_once(left, slots, Work(images, data_root, out, place.deterministic))
            lent.close()
            if world > 1:
                for search in left:
                    _searched(search, loaded, place, out)
            firsts = plans if rank == 0 else {}
            for m, planned in firsts.items():
                found[m], more = _found(planned, sequels[m], table, loaded, place, out)
                paths += more
            taken = _taken(firsts, constraints, loaded, device, out)
            if final is not None:
                best = place.awaited(found)
                trained = [_trained(kind, rows, images, data_root, final, place, out) for rows in best.values()]
    if rank == 0:
        _tell([*chain.from_iterable(found.values())], taken, trained, paths, as_json)


def _slots(device: str, workers: int | None, cluster: Where | None, lent: ExitStack) -> Devices | None:
    """The devices for searches at once, `lent` until they are given back; None where this process searches alone."""
    from harness.cli.workers import trainers

    if workers is None and cluster is None and "," not in device:
        return None
    return lent.enter_context(trainers(cluster, device.split(","), workers, "auto"))


def _device(name: str, slots: Devices | None) -> torch.device:
    """Of this process: that of its searches, or of the first slot; the best there is where a cluster has GPUs."""
    from harness.train import devices

    first = name if slots is None else slots.names[0]
    return devices.device_of("auto" if slots is not None and first == "cuda" else first)


def _at_once(searches: list[SharedSearch], slots: Devices, work: Work) -> None:
    """Every search, as many at once as there are slots, with a bar over all their epochs."""
    from harness.report import tables
    from harness.report.watching import Searched
    from harness.sharing.jobs import Share
    from harness.train.pool import done

    whole, watches = 0, dict[str, Searched]()
    with tables.bars() as bars:
        bar = bars.add_task("searches", total=sum(search.recipe.epochs for search in searches), note="")

        def watching(assignment: Assignment[SharedSearch, None]) -> Searched:
            return watches.setdefault(assignment.key, Searched(bars, bar, assignment, several=True))

        try:
            with slots.pool(work, watching) as pool:
                for search, _ in done(pool, map(Share, searches)):
                    watches[search.id].end()
                    whole += 1
        except KeyboardInterrupt:
            told = f"stopped: {whole} of {len(searches)} searches are whole; the same command goes on from there."
            raise click.Abort(told) from None


def _found(
    planned: list[SharedSearch],
    sequels: list[list[Sequel]],
    table: Table | None,
    images: ImageSet,
    place: Place,
    out: Path,
) -> tuple[list[dict[str, Any]], list[Path]]:
    """What the searches of one method found, and what goes on from them: rows, and the studies' paths."""
    from harness.sharing.log import study
    from harness.studies.store import ResultStore, write

    store = ResultStore(out)
    logs = [_log_of(search, images, place, out) for search in planned]
    outcomes = [] if table is None else [study(logs, table, none=none) for none in (True, False)]
    found = _rows(logs, outcomes)
    for same in sequels:
        more, studies = _followed(same, logs, images, place, table, out)
        found += more
        outcomes += studies
    for outcome in outcomes:
        write(outcome, store.path(outcome.study))
    return found, [store.path(outcome.study) for outcome in outcomes]


def _tell(
    rows: list[dict[str, Any]],
    taken: list[dict[str, Any]],
    trained: list[tuple[dict[str, Any], Path]],
    paths: list[Path],
    as_json: bool,
) -> None:
    if as_json:
        click.echo(json_text([*rows, *taken, *(row for row, _ in trained)], indent=1))
        return
    _print(rows)
    for row in taken:
        spent = ", ".join(f"{cost:,} {name}" for name, cost in row["costs"].items())
        who = f"{row['method']}, seed {row['seed']}, {row['constraint']}"
        click.echo(f"{who}: {row['architecture']} (one-shot {row['accuracy']:.4f}; {spent})", err=True)
    for row, _ in trained:
        click.echo(
            f"{row['method']}: of {row['searches']} the best by one-shot accuracy, trained from scratch: validation "
            f"accuracy {_share(row['val_accuracy'])}, test accuracy {_share(row['test_accuracy'])}.",
            err=True,
        )
    click.echo("\n".join(map(str, [*paths, *(path for _, path in trained)])))


def _precision(found: Precision) -> Precision:
    """Of a super-network. Losses that distributions learn from are not scaled, as fp16 needs them."""
    return "fp32" if found == "fp16" else found


def _say(table: Table | None, bench: str | None, space: str, images: ImageSet, *, train: bool) -> None:
    if table is None:
        click.echo(f"note: no table here has the truth of {space} on {images.name}: there is no regret.", err=True)
        if not train:
            click.echo("hint: --train best trains what is found from scratch, which says how good it is.", err=True)
    elif bench:
        click.echo(f"note: the truth is {table.name}, seconds are measured here, on {images.name}.", err=True)


def _sequels(planned: list[SharedSearch], then: list[str], given: dict[str, Any], evals: int) -> list[list[Sequel]]:
    """For each algorithm those of all seeds."""
    if not then:
        return []
    from harness.sharing.then import Sequel

    return [[Sequel.plan(search, name, given[name], evals) for search in planned] for name in then]


def _followed(
    same: list[Sequel], logs: list[Log], images: ImageSet, place: Place, table: Table | None, out: Path
) -> tuple[list[dict[str, Any]], list[Any]]:
    """What an algorithm finds by the trained super-networks, made unless it is there: a row a seed, and studies."""
    from harness.sharing import then
    from harness.sharing.log import scorer_of, weights_path

    every = []
    for sequel, log in zip(same, logs, strict=True):
        target = then.path(out, sequel)
        if not target.exists():
            click.echo(f"{sequel.label} by {log.search.method}, seed {log.search.seed} ...", err=True)
            scorer = scorer_of(log.search, images, weights_path(out, log.search), place.device)
            then.FORM.write(then.follow(sequel, scorer, log, place), target)
        every.append(then.FORM.read(target))
    studies = [] if table is None else [then.study(every, table, none=none) for none in (True, False)]
    return then.rows(every, [s for s in studies if s]), [s for s in studies if s]


def _taken(
    plans: dict[str, list[SharedSearch]], constraints: list[str], images: ImageSet, device: torch.device, out: Path
) -> list[dict[str, Any]]:
    """The best architectures under constraints, of every search."""
    from harness.sharing import lookup
    from harness.sharing.log import weights_path

    return [
        {"method": search.method, "seed": search.seed, **one._asdict()}
        for search in (search for planned in plans.values() if constraints for search in planned)
        for table in [lookup.read(lookup.path(out, search), search)]
        for one in lookup.taken(search, table, constraints, images, weights_path(out, search), device)
    ]


def _share(accuracy: float | None) -> str:
    return "–" if accuracy is None else f"{accuracy:.2%}"


def _trained(
    kind: str,
    rows: list[dict[str, Any]],
    images: str,
    data_root: Path | None,
    recipe: Recipe,
    place: Place,
    out: Path,
) -> tuple[dict[str, Any], Path]:
    """The best of a method's rows, trained with the recipe's first seed, and its file."""
    from harness.spaces.architecture import Architecture
    from harness.studies.store import TRAINED
    from harness.train import devices, results
    from harness.train.images import load
    from harness.train.jobs import finish
    from harness.train.loop import Interrupted

    best = max(rows, key=lambda row: row["one_shot_accuracy"])
    place = devices.Place(place.device, devices.precision_of("auto", place.device), place.rank, place.world)
    loaded = load(images, data_root, recipe, place.device)
    architecture = Architecture(kind, best["architecture"])
    job = results.Job(architecture, loaded.name, loaded.checksum, recipe, recipe.seeds[0], place.precision)
    try:
        curve = finish(job, loaded, place, out / TRAINED).curve
    except Interrupted as stop:
        raise click.Abort(f"{stop} of the final training; the same command goes on from there.") from None
    valid, test = (float(x) if math.isfinite(x) else None for x in (curve.val_accuracy[-1], curve.test_accuracy))
    found = {"method": best["method"], "searches": len(rows), "trained": best["architecture"]}
    return {**found, "val_accuracy": valid, "test_accuracy": test}, results.path(out / TRAINED, job)


def _log_of(search: SharedSearch, images: ImageSet, place: Place, out: Path) -> Log:
    """The log of a search, made unless it is there. Raises HarnessError where nothing was derived."""
    from harness.sharing import log

    target = _searched(search, images, place, out)
    found = log.read(target)
    ends = [row for row in found.rows if row.derived]
    if not ends:
        raise HarnessError(
            f"{search.method} with seed {search.seed} diverged before it derived anything; its log is {target}.",
            "use a smaller learning rate.",
        )
    for last in filter(None, dict.fromkeys((ends[-1].derived, ends[-1].without))):
        if log.collapsed(search.space, last):
            click.echo(
                f"note: {search.method}, seed {search.seed}, collapsed to skip connections: {last.text}", err=True
            )
    return found


def _searched(search: SharedSearch, images: ImageSet, place: Place, out: Path) -> Path:
    """The path of the log of a search, made unless it is there."""
    from harness.report import tables
    from harness.report.watching import Searched
    from harness.sharing import log
    from harness.sharing.jobs import Share
    from harness.train.loop import Interrupted

    target = log.path(out, search)
    if target.exists():
        return target
    asked = Share(search)
    with tables.bars(quiet=place.rank > 0) as bars:
        bar = bars.add_task(asked.label, total=search.recipe.epochs, note="")
        try:
            asked(images, place, out, Searched(bars, bar, asked, several=False))
        except Interrupted as stop:
            raise click.Abort(f"{stop}; the same command goes on from there.") from None
    return target


def _rows(logs: list[Log], outcomes: list[Any]) -> list[dict[str, Any]]:
    """A row for each seed and hand-off of none."""
    from harness.sharing import log as logging
    from harness.spaces import published

    found = []
    for i, log in enumerate(logs):
        last = [row for row in log.rows if row.derived][-1]
        ends = [(True, last.derived), (False, last.without)]
        for none, derived in ends[: 1 + published(log.search.space).may_choose_none]:
            assert derived is not None
            regrets = [
                o.regret("val", o.trajectory.ended[[i]])[i, 0] for o in outcomes if o.study.params["none"] == none
            ]
            found.append(
                {
                    "method": log.search.method,
                    "seed": log.search.seed,
                    "none": none,
                    "architecture": derived.text,
                    "one_shot_accuracy": derived.accuracy,
                    "regret": float(regrets[0]) if regrets else None,
                    "seconds": log.rows[-1].seconds,
                    "scoring_seconds": sum(row.scoring for row in log.rows),
                    "travelled": float(logging.travelled(last).mean()),
                    "skips": logging.skips(log, last),
                    "collapsed": logging.collapsed(log.search.space, derived),
                }
            )
    return found


def _print(rows: list[dict[str, Any]]) -> None:
    from harness.report import tables

    def number(value: float | None, digits: int) -> str:
        return "–" if value is None else f"{value:.{digits}f}"

    heads = ["method", "seed", "none", "one-shot", "regret", "seconds", "travelled", "skips", "architecture"]
    lines = [
        [
            r["method"], str(r["seed"]), "may" if r["none"] else "no", number(r["one_shot_accuracy"], 4),
            number(r["regret"], 4), number(r["seconds"], 1), number(r["travelled"], 2), number(r["skips"], 2),
            r["architecture"],
        ]
        for r in rows
    ]  # fmt: skip
    tables.console(stderr=True).print(tables.listing(heads, lines))
