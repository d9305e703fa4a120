"""Plugins by name: benchmarks and algorithms, the built-in ones too, are found through entry points."""

from __future__ import annotations

import importlib
import pickle
import re
from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from functools import cache
from importlib.metadata import EntryPoint, entry_points, packages_distributions
from typing import Any

from harness import escapes, local
from harness.algorithm import Factory, Library
from harness.benchmarks import Family, Source, imported
from harness.errors import Blaming, HarnessError, unknown
from harness.predictor import PredictorFactory, using
from harness.table import Facts, Table

ALGORITHMS = "nas_harness.algorithms"
BENCHMARKS = "nas_harness.benchmarks"
LIBRARIES = "nas_harness.libraries"
PREDICTORS = "nas_harness.predictors"
SHARING = "nas_harness.sharing"
_KINDS = {
    ALGORITHMS: "algorithm",
    BENCHMARKS: "benchmark",
    LIBRARIES: "library",
    PREDICTORS: "predictor",
    SHARING: "method",
}
_LISTED = {"library": "libraries"}


_NAME = re.compile(r"[\w.+/-]+")
"""What a plugin may be called."""

_Points = tuple[EntryPoint, ...]


@cache
def _found(group: str) -> dict[str, _Points]:
    """The entry points by name; a name is that of one plugin unless several packages took it."""
    found: dict[str, _Points] = {}
    for point in sorted(entry_points(group=group)):
        found[point.name] = (*found.get(point.name, ()), point)
    return found


def algorithm_names() -> list[str]:
    """The names of all algorithms, in alphabetical order."""
    return list(_found(ALGORITHMS))


def algorithm(name: str) -> Factory:
    """The factory called `name`. Raises HarnessError if there is none or its package cannot be imported."""
    if name in _LOCAL:
        return _LOCAL[name]
    if _of_a_library(name):
        return _of_library(*name.split(":", 1))
    if name in {*_found(LIBRARIES)} - {*_found(ALGORITHMS)}:
        raise HarnessError(
            f"'{name}' is a package of many optimizers.",
            f"name one of them: `harness list {name}` has all, such as {name}:NAME.",
        )
    if name.endswith(".py"):
        raise HarnessError(f"'{name}' names a file alone.", f"name a class of it, too: --algo {name}:Class")
    if ":" in name:
        raise HarnessError(
            f"the algorithm '{name}' is of a file or module that is not read here.",
            "give it where algorithms are named: --algo path/file.py:Class",
        )
    return using(name, _plugin(ALGORITHMS, name), predictor)


def library_names() -> list[str]:
    """The names of all packages whose optimizers are algorithms, in alphabetical order."""
    return list(_found(LIBRARIES))


def library(name: str) -> Library:
    """The package called `name`. Raises HarnessError like `algorithm`."""
    found: Library = _plugin(LIBRARIES, name)
    return found


def _of_a_library(name: str) -> bool:
    """Whether a name is of the form `library:optimizer`."""
    return ":" in name and name.partition(":")[0] in _found(LIBRARIES)


@cache
def _of_library(name: str, optimizer: str) -> Factory:
    """`library:optimizer`."""
    return library(name).optimizer(optimizer)


_LOCAL: dict[str, local.Local] = {}
"""The algorithms that were handed over in this process."""


def known(specs: Iterable[str]) -> list[str]:
    """Names of the algorithms that `specs` name, each once; `file.py:Class` and `package.module:Class` are read.

    Raises HarnessError for a file or module that cannot be read, and for two that would have the same name.
    """
    names: dict[str, str] = {}
    for spec in specs:
        name = spec
        if ":" in spec and not _of_a_library(spec):
            name, made = local.load(spec, library_names())
            if names.get(name, spec) != spec:
                raise HarnessError(f"{names[name]} and {spec} would both be called {name}.", "rename one of the files.")
            adopt(name, made)
        else:
            algorithm(name)
        names[name] = spec
    return [*names]


def adopt(name: str, given: object) -> None:
    """Let an object be the algorithm `name` in this process.

    Raises HarnessError if it is no algorithm, or the name is taken.
    """
    if escapes.obeyed(name) or "\n" in name:
        raise HarnessError(f"'{name}' has control characters, or commands to a log, in it.", "give it a plain name.")
    if name in _found(ALGORITHMS):
        raise HarnessError(f"'{name}' is the name of an installed algorithm.", "give yours another name.")
    _LOCAL[name] = local.adapted(name, given)


def adopted(names: Iterable[str]) -> bytes:
    """Those of `names` that were handed over, for `adopt_all` in another process."""
    found = {name: _LOCAL[name] for name in {*names} & {*_LOCAL}}
    return local.packed(found) if found else b""


def adopt_all(packed: bytes) -> None:
    """Take what another process `adopted`."""
    if packed:
        _LOCAL.update(pickle.loads(packed))


def origin(group: str, name: str) -> str:
    """A plugin of a group with its package and version, in words."""
    if group == ALGORITHMS and _of_a_library(name):
        package = f"{name.partition(':')[0]} {library(name.partition(':')[0]).version}"
    else:
        package = _packages(_found(group).get(name, ()))
    return f"{_KINDS[group]} '{name}'{f' ({package})' if package else ''}"


@cache
def _packages(points: _Points) -> str:
    """The packages of entry points, each with its version, for which Python parses its metadata."""
    versions = {point.dist.name: point.dist.version for point in points if point.dist}
    return ", ".join(f"{name} {version}" for name, version in versions.items())


def predictor_names() -> list[str]:
    """The names of all predictors, in alphabetical order."""
    return list(_found(PREDICTORS))


def predictor(name: str) -> PredictorFactory:
    """The factory of predictors called `name`. Raises HarnessError like `algorithm`."""
    factory: Any = using(name, _plugin(PREDICTORS, name), predictor)
    return factory


def method_names() -> list[str]:
    """The names of all methods of weight sharing, in alphabetical order."""
    return list(_found(SHARING))


def method(name: str) -> Any:
    """The class of the method of weight sharing called `name`. Raises HarnessError like `algorithm`."""
    return _plugin(SHARING, name)


def proposer(name: str) -> Any:
    """The algorithm, or else the method of weight sharing, called `name`. Raises HarnessError like `algorithm`."""
    return method(name) if shares_weights(name) else algorithm(name)


def shares_weights(name: str) -> bool:
    """Whether studies by this name are of a method of weight sharing, measured and not simulated by rules."""
    return name in _found(SHARING) and name not in _found(ALGORITHMS)


def _plugin(group: str, name: str) -> Any:
    points, kind = _found(group), _KINDS[group]
    if name not in points:
        raise unknown(kind, name, points, see=f"harness list {_LISTED.get(kind, kind + 's')}")
    plugin = _loaded(points[name], kind)
    if isinstance(plugin, HarnessError):
        raise plugin
    return plugin


def broken(group: str) -> dict[str, HarnessError]:
    """The plugins of a group (`ALGORITHMS`, `BENCHMARKS`, `LIBRARIES`, `PREDICTORS`) that cannot be used, and why."""
    found = {name: _loaded(points, _KINDS[group]) for name, points in _found(group).items()}
    return {name: plugin for name, plugin in found.items() if isinstance(plugin, HarnessError)}


def benchmark_facts() -> dict[str, Facts]:
    """What is known of every benchmark `family/dataset` without loading it."""
    return {
        f"{name}/{dataset}": facts
        for name, family in usable_families().items()
        for dataset, facts in family.datasets.items()
    }


def families() -> dict[str, str]:
    """The family names, each short for the benchmark of its first dataset; one without datasets is left out."""
    return {name: f"{name}/{first}" for name, family in usable_families().items() for first in [*family.datasets][:1]}


def family(name: str) -> Family:
    """The benchmark family called `name`. Raises HarnessError if there is none or it cannot be imported."""
    if name not in _found(BENCHMARKS):
        raise unknown("family of benchmarks", name, _found(BENCHMARKS), see="harness list benchmarks")
    return _family(name)


def usable_families() -> dict[str, Family]:
    """All families but the broken ones, by name."""
    out = broken(BENCHMARKS)
    return {name: _family(name) for name in _found(BENCHMARKS) if name not in out}


def family_names() -> list[str]:
    """The names of all families, also of those without datasets, in alphabetical order."""
    return list(_found(BENCHMARKS))


def sources() -> dict[str, Source]:
    """What can be imported, by name."""
    return {family.source.name: family.source for family in usable_families().values() if family.source is not None}


def present(name: str) -> bool:
    """Whether the benchmark `family/dataset` can be loaded without importing anything first."""
    family, dataset = name.split("/", 1)
    source = _family(family).source
    return source is None or imported.present(source.stored(dataset))


def expand(patterns: Iterable[str]) -> list[str]:
    """Full names of the benchmarks that `patterns` name, such as `nb201` or `fcnet/*`, each once.

    Where some of those that a pattern with wildcards names are not imported, it stands for the others. Raises
    HarnessError for a pattern without a match.
    """
    known, short = benchmark_facts(), families()
    chosen: dict[str, None] = {}
    for pattern in patterns:
        matches = [name for name in known if fnmatchcase(name, short.get(pattern, pattern))]
        if not matches and pattern.startswith("own/"):
            there = ", ".join(name for name in known if name.startswith("own/"))
            raise HarnessError(
                f"there is no table {pattern}.",
                f"`harness data import FILE.toml` makes one{f'; there are {there}' if there else ''}.",
            )
        if not matches:
            if pattern.split("/")[0] in _found(BENCHMARKS):
                _family(pattern.split("/")[0])
            raise unknown("benchmark", pattern, [*known, *short], see="harness list benchmarks")
        chosen.update(dict.fromkeys([name for name in matches if present(name)] or matches))
    return list(chosen)


def benchmark(name: str) -> Table:
    """The table called `name`, in full or by its family."""
    (full,) = expand([name])
    family, dataset = full.split("/", 1)
    with Blaming(lambda: f"to load {full}", origin(BENCHMARKS, family)):
        table = _family(family).load(dataset)
        if not isinstance(table, Table):
            raise TypeError(f"load gave {type(table).__name__} instead of harness.Table")
    return table


def _family(name: str) -> Family:
    family: Family = _plugin(BENCHMARKS, name)
    return family


def forget() -> None:
    """Look for plugins anew, after packages have come or gone."""
    for cached in (_found, _loaded, _packages):
        cached.cache_clear()


@cache
def _loaded(points: _Points, kind: str) -> Any:
    """What the entry point names, or the HarnessError that says why it is none of this `kind`."""
    point = points[0]
    if not _NAME.fullmatch(point.name):
        owner, name = _owner(point), escapes.plain(point.name)
        return HarnessError(
            f"the {kind} '{name}' of {owner} has a name that is more than letters, digits and _.+/-.",
            f"ask it to rename, or remove it: pip uninstall {owner}",
        )
    if len(points) > 1:
        owners = " and ".join(_owner(point) for point in points)
        return HarnessError(f"the {kind} '{point.name}' is in {owners}.", "remove one of them, or ask it to rename.")
    try:
        plugin = _import(point, kind)
        fits, expected = {
            "benchmark": (isinstance(plugin, Family), "a harness.benchmarks.Family"),
            "library": (callable(getattr(plugin, "optimizer", None)), "a library with `optimizer`"),
        }.get(kind, (callable(plugin), "callable"))
        reason = "" if fits else f"is not {expected} but {type(plugin).__name__}: {point.value}"
        if fits and kind == "benchmark":
            reason = _misfit(plugin)
    except HarnessError as error:
        return error
    except (Exception, SystemExit) as error:
        reason = f"cannot be imported: {_said(error)}"
    if not reason:
        return plugin
    owner = _owner(point)
    ours = "mend what is said, or install it anew: pip install --force-reinstall nas-harness"
    theirs = f"install what it needs, or remove it: pip uninstall {owner}"
    return HarnessError(f"the {kind} '{point.name}' of {owner} {reason}.", ours if owner == "nas-harness" else theirs)


def _misfit(family: Family) -> str:
    """What is wrong with the form of a family, in words; empty if nothing is."""
    if not (isinstance(family.datasets, Mapping) and callable(family.load)):
        return "has datasets that are no mapping, or a load that cannot be called"
    known = family.datasets.items() if isinstance(family.datasets, dict) else ()
    wrong = [repr(name) for name, facts in known if not isinstance(facts, Facts)]
    if wrong:
        return f"has no harness.Facts for {', '.join(wrong)}"
    texts = (text for name, facts in known for text in (name, *vars(facts).values()) if isinstance(text, str))
    return "has control characters, or commands to a log, in its facts" if any(map(escapes.obeyed, texts)) else ""


def _said(error: BaseException) -> str:
    """An exception in one line."""
    text = " ".join(str(error).split()).rstrip(".")
    return text if isinstance(error, ImportError) and text else f"{type(error).__name__}: {text}".removesuffix(": ")


def _owner(point: EntryPoint) -> str:
    return point.dist.name if point.dist is not None else point.module


def _import(point: EntryPoint, kind: str) -> Any:
    if point.module.split(".")[0] == "algorithms" and point.dist is not None and point.dist.name == "nas-harness":
        _refuse_foreign_algorithms()
    return point.load()


def _refuse_foreign_algorithms() -> None:
    """Another distribution (PyPI has one) may have put its own `algorithms` package in place of ours."""
    package = importlib.import_module("algorithms")
    if getattr(package, "DISTRIBUTION", None) == "nas-harness":
        return
    owners = [name for name in packages_distributions().get("algorithms", []) if name != "nas-harness"]
    owner = " and ".join(sorted(set(owners))) or "unknown"
    where = getattr(package, "__file__", None) or "a folder without __init__.py"
    raise HarnessError(
        f"the package 'algorithms' at {where} is not the one of nas-harness (its distribution: {owner}).",
        f"use an environment of its own, or `pip uninstall {owner if owners else 'algorithms'}` and then reinstall "
        "nas-harness with pip's --force-reinstall.",
    )
