"""`harness correlate`."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harness.cli.options import Names, OneOf, data_folder
from harness.errors import HarnessError, unknown
from harness.files import json_text

if TYPE_CHECKING:
    from harness.sharing.correlate import Correlation
    from harness.sharing.log import Log


@click.command("correlate", short_help="Hold super-networks against the table: Kendall's tau.")
@click.argument("search", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--method", type=Names(), help="Only searches by these methods.")
@click.option("--bench", help="The table with the truth. [default: that called SPACE/DATA]")
@click.option("--kind", type=OneOf(["val", "test"]), default="val", show_default=True, help="Accuracies of the table.")
@click.option("--samples", type=click.IntRange(10), default=200, show_default=True, help="Scores that are fitted to.")
@click.option("--cells", type=click.IntRange(10), default=1000, show_default=True, help="Architectures judged at most.")
@click.option("--statistics", type=OneOf(["batch", "running", "recalibrated"]), help="[default: those of the search]")
@click.option("--width", type=click.IntRange(1, 8192), default=512, show_default=True, help="Of the graph network.")
@click.option("--epochs", type=click.IntRange(1), default=600, show_default=True, help="Of the graph network.")
@click.option("--device", default="auto", show_default=True, help="cpu, cuda or cuda:1.")
@click.option("--data-file", "images", type=click.Path(path_type=Path), help="The .npz or folder of the images.")
@click.option("--data-root", type=click.Path(path_type=Path), help="Folder with the official files of the images.")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Draw it; pdf, svg, png or pgf.")
@data_folder
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(
    search: tuple[Path, ...],
    method: list[str] | None,
    bench: str | None,
    kind: str,
    samples: int,
    cells: int,
    statistics: str | None,
    width: int,
    epochs: int,
    device: str,
    images: Path | None,
    data_root: Path | None,
    output: Path | None,
    as_json: bool,
) -> None:
    """Score architectures by the super-networks of SEARCH, and say how well that orders them.

    SEARCH are folders of --out or logs in them. Seeds of one search are taken together. Beside the super-network: a
    graph network and an additive ridge regression, both fitted to the scores of --samples architectures; that
    regression fitted to true accuracies; the number of none, of convolutions and of parameters; and another training of
    the same architectures, which is what the noise of the table allows. All are judged on architectures that were not
    sampled. Scores are kept in the folder searches/correlations, for the page of `harness report` too.
    """
    from harness.plots.correlation import correlation_figure
    from harness.plots.style import file_format, save
    from harness.sharing.correlate import groups, headings

    if output is not None:
        file_format(output)
    every = _logs(search)
    there = {log.search.method for _, log in every}
    for name in method or ():
        if name not in there:
            raise unknown("method of the searches there", name, there)
    logs = [(path, log) for path, log in every if method is None or log.search.method in method]
    asked = (samples, cells, statistics, width, epochs)
    found = [_correlated(path, log, bench, asked, device, images, data_root) for path, log in logs]
    grouped = [*groups(found).values()]
    told = [_told(same, kind) for same in grouped]
    if output is not None:
        titles = headings([same[0] for same in grouped])
        drawn = [
            _drawn(title, same[0], one["predictors"], kind)
            for title, same, one in zip(titles, grouped, told, strict=True)
        ]
        save(correlation_figure(drawn), output, {"correlations": [one.id for one in found], "kind": kind})
    if as_json:
        click.echo(json_text(told, indent=1))
        return
    for one in told:
        _show(one)
    if output is not None:
        click.echo(output)


def _logs(paths: tuple[Path, ...]) -> list[tuple[Path, Log]]:
    """The logs of weight sharing among files and in folders of results. Raises HarnessError if there are none."""
    from harness.sharing import log
    from harness.studies.store import SEARCHES

    files: list[Path] = []
    for path in paths:
        if not path.exists():
            raise HarnessError(f"there is nothing at {path}.", "`harness search --method` makes searches.")
        inside = sorted((path / SEARCHES).glob("*.parquet")) if path.is_dir() else [path]
        files += [file for file in inside if not path.is_dir() or log.FORM.is_one(file)]
    if not files:
        raise HarnessError(
            f"there is no search by weight sharing in {', '.join(map(str, paths))}.",
            "make one: harness search --space digits201 --method fairnas --data digits",
        )
    return [*log.FORM.read_once(files).items()]


def _correlated(
    path: Path, log: Log, bench: str | None, asked: tuple[Any, ...], device: str, file: Path | None, root: Path | None
) -> Correlation:
    """The correlation of a search, made unless it is there."""
    from harness import registry
    from harness.sharing import correlate
    from harness.sharing.log import table_of, weights_path
    from harness.train.devices import device_of
    from harness.train.images import load

    search, results = log.search, path.parent.parent
    table = registry.benchmark(bench) if bench else table_of(search.space, search.images)
    if table is None:
        raise HarnessError(
            f"no table here has the truth of {search.space} on {search.images}.", "name one: --bench nb201/cifar10"
        )
    samples, cells, statistics, width, epochs = asked
    setting = correlate.Setting(
        table.name, table.checksum, samples, cells, statistics or search.statistics, width, epochs
    )
    folder = correlate.folder(results)
    target = next(folder.glob(f"*.{correlate.identity(search, setting)}.parquet"), None)
    if target is not None:
        return correlate.FORM.read(target)
    where = device_of(device)
    images = load(search.images if file is None else str(file), root, search.recipe, where)
    if images.checksum != search.checksum:
        raise HarnessError(f"{images.name} is not what {path} was searched on.", "name its images by --data-file.")
    click.echo(f"scoring by {search.method}, seed {search.seed} ...", err=True)
    made = correlate.correlate(search, setting, table, images, weights_path(results, search), where)
    correlate.FORM.write(made, folder / correlate.FORM.name(made))
    return made


def _told(same: list[Correlation], kind: str) -> dict[str, Any]:
    from dataclasses import asdict

    from harness.analysis.correlation import perfect
    from harness.sharing.correlate import summary

    search, rest = same[0].search, [int((one.sampled == 0).sum()) for one in same]
    rows = summary(same, kind)
    return {
        "space": search.space,
        "images": search.images,
        "method": search.method,
        "params": dict(search.params),
        "search_epochs": search.recipe.epochs,
        "seeds": [one.search.seed for one in same],
        "kind": kind,
        **asdict(same[0].setting),
        "judged": min(rest),
        "perfect": perfect(rows[-1]["tau"]["all"]["value"]),
        "predictors": rows,
    }


def _drawn(title: str, one: Correlation, rows: list[dict[str, Any]], kind: str) -> Any:
    from harness.plots.correlation import Drawn

    rest = one.sampled == 0
    said = {"by the super-network": one.columns["accuracy"][rest], "by the graph network": one.columns["graph"][rest]}
    return Drawn(f"{title}, seed {one.search.seed}", one.columns[kind][rest], said, rows)


def _show(told: dict[str, Any]) -> None:
    from harness.analysis.correlation import LEAST, PARTS
    from harness.report import tables

    def text(estimate: dict[str, Any]) -> str:
        value, low, high = (estimate[name] for name in ("value", "low", "high"))
        if math.isnan(value):
            return "–"
        return f"{value:.3f}" + (f" [{low:.2f}, {high:.2f}]" if not math.isnan(low) else "")

    console = tables.console()
    words = {"val": "validation", "test": "test"}[told["kind"]]
    console.print(
        f"{told['method']} on {told['space']}, {told['images']}: {told['search_epochs']} epochs, "
        f"{len(told['seeds'])} seeds, batch norm {told['statistics']}; Kendall's tau with {told['benchmark']} "
        f"({words} accuracy), mean and 95 % interval over seeds."
    )
    heads = ["", *PARTS, "gain over the super-network, all"]
    lines = [
        [row["words"], *(text(row["tau"][part]) for part in PARTS), text(row["gain"]["all"]) if row["gain"] else "–"]
        for row in told["predictors"]
    ]
    console.print(tables.listing(heads, lines))
    tenth = -(-told["judged"] // 10)
    few = f" The best tenth are {tenth}, fewer than the {LEAST} that a tau is worth telling of." * (tenth < LEAST)
    console.print(
        f"Judged on {told['judged']} architectures, fitted to {told['samples']} others. Knowing every expected "
        f"accuracy would give about {told['perfect']:.2f}.{few}\n"
    )
