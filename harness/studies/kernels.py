"""Compiling all kernels before studies need them: the loops of algorithms, predictors and fronts."""

from __future__ import annotations

import hashlib
import inspect
import json
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any

from harness import registry
from harness.compiled import KERNELS, compiler, uniform
from harness.errors import HarnessError
from harness.files import whole
from harness.studies.plan import plan
from harness.studies.run import preloaded
from harness.studies.study import Study, modules_of

TABLES = "nb201-mf/cifar10", "fcnet/protein"
"""One of graphs, at two fidelities, and one of so many values that no density of BOHB is a table."""
SEEDS = range(2)
_RULES: Sequence[Mapping[str, Any]] = (
    {"evals": 100},
    {"evals": 300},
    {"evals": 150, "objectives": ("error", "params")},
)
"""Of which the first that an algorithm takes; long enough for its models to be used."""
_ELSEWHERE = "make the user's cache folder writable, or name a folder in NUMBA_CACHE_DIR."


def small_studies() -> list[Study]:
    """Of every algorithm that has kernels, those with the most of them first: what these compile is all there is."""
    found = list[tuple[int, Study]]()
    for name in registry.algorithm_names():
        for table in TABLES:
            for rules in _RULES:
                with suppress(HarnessError):  # no such package; longer runs, several objectives or graphs are needed
                    study = plan([name], [table], SEEDS, {}, lambda _: None, **rules)[0]
                    found.append((_kernels(study), study))
                    break
    return [study for count, study in sorted(found, key=lambda one: -one[0]) if count]


def filled() -> bool:
    """Whether it was noted that all kernels are in the cache, for what there is now, and they are still there.

    Raises HarnessError where nothing is compiled, or kept.
    """
    with suppress(OSError, ValueError, LookupError, TypeError):
        left = json.loads(_mark().read_text(encoding="utf-8"))
        if left["sources"] == _stamps(left["sources"]):
            return all(Path(file).exists() for file in left["kernels"])
    return False


def mark() -> int:
    """Note that all kernels are in the cache, and how many there are. Raises HarnessError if some are not."""
    kept = dict[str, list[str]]()
    for kernel in KERNELS:
        files = sorted(map(str, Path(kernel.stats.cache_path).glob(f"*.{kernel.__qualname__}-*.nb[ic]")))
        kept[f"{kernel.__module__}.{kernel.__qualname__}"] = files
    if lost := [name for name, files in kept.items() if not files]:
        many = f"{len(lost)} of {len(kept)} kernels are not in the cache, such as {lost[0]}."
        raise HarnessError(many, f"is the disk full? Else {_ELSEWHERE}")
    left = {
        "sources": _stamps(inspect.getfile(kernel.py_func) for kernel in KERNELS),
        "kernels": sorted(file for files in kept.values() for file in files),
    }
    with whole(_mark(), _ELSEWHERE) as temporary:
        temporary.write_text(json.dumps(left, indent=1), encoding="utf-8")
    return len(kept)


def _kernels(study: Study) -> int:
    """How many kernels are in the modules that an algorithm is built on, and its predictor."""
    factory = registry.algorithm(study.algorithm)
    used = modules_of(inspect.getmodule(inspect.unwrap(factory)), *map(import_module, preloaded([study])))
    return sum(kernel.__module__ in used for kernel in KERNELS)


def _mark() -> Path:
    """The note of the compiler and the processor of now. Raises HarnessError where nothing is compiled, or kept."""
    stats = getattr(uniform, "stats", None)
    if stats is None:
        raise HarnessError("numba is told not to compile, by NUMBA_DISABLE_JIT.", "unset it.")
    if stats.cache_path is None:
        raise HarnessError("there is no folder in which compiled kernels can be kept.", _ELSEWHERE)
    by = hashlib.sha256("\n".join([*compiler(), *registry.algorithm_names()]).encode()).hexdigest()
    return Path(stats.cache_path) / f"kernels-{by[:12]}.json"


def _stamps(sources: Iterable[str]) -> dict[str, list[int]]:
    """What numba knows a source by: when it was written, and its bytes."""
    return {path: [(file := Path(path).stat()).st_mtime_ns, file.st_size] for path in sorted(set(sources))}
