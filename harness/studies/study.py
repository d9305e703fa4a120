"""Studies: what was run, by which everything that is stored is named."""

from __future__ import annotations

import hashlib
import inspect
import math
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from harness import registry
from harness.algorithm import Factory, start
from harness.arrays import Ints
from harness.errors import Blaming, HarnessError, PluginError
from harness.fields import fit
from harness.local import Local
from harness.params import changed, label, resolve
from harness.rng import Streams
from harness.rules import Rules
from harness.scoring import Scoring
from harness.studies.records import identity
from harness.table import Table

SHARD = 500
"""Seeds that are stepped together where the algorithm does not say otherwise."""

ENGINE = 1
"""Raised with every change of `simulate` or `Streams` that changes numbers, lest old results pass for new."""


@dataclass(frozen=True)
class Study:
    """One algorithm on one benchmark under fixed rules, for the seeds `first` up to but not including `stop`.

    `table` is the checksum of the benchmark's numbers and `source` that of the files that define the
    algorithm: a study of an algorithm that was edited since is another study. `scores` are the training-free ones that
    the algorithm asks for.
    """

    benchmark: str
    table: str
    algorithm: str
    params: Mapping[str, Any]
    source: str
    first: int
    stop: int
    rules: Rules
    engine: int = ENGINE
    scores: tuple[str, ...] = ()

    @classmethod
    def plan(
        cls, table: Table, algorithm: str, given: Mapping[str, object], first: int, stop: int, rules: Rules
    ) -> Study:
        """The study of `algorithm` with the parameters `given`.

        Raises HarnessError if they or the rules do not fit, or the algorithm, made for one seed, refuses the problem.
        """
        with Blaming(lambda: "as it was planned", registry.origin(registry.ALGORITHMS, algorithm)):
            return cls._planned(table, algorithm, given, first, stop, rules)

    @classmethod
    def _planned(
        cls, table: Table, algorithm: str, given: Mapping[str, object], first: int, stop: int, rules: Rules
    ) -> Study:
        seen = rules.seen(table)
        factory = registry.algorithm(algorithm)
        shard_of(algorithm)
        params = resolve(algorithm, factory, given, seen.space)
        one, scoring = np.array([first]), Scoring(seen, 1)
        _check_length(algorithm, factory, params, seen, rules)
        if getattr(factory, "drives", False):
            _check_workers(algorithm, rules)
        else:
            try:
                start(factory, rules.problem(seen, one, scoring), Streams(one, "plan"), **params)
            except PluginError:
                raise
            except HarnessError as error:
                raise HarnessError(f"{algorithm} on {table.name}: {error.message}", error.hint) from None
        source = source_of(factory, *getattr(factory, "parts", lambda **_: ())(**params))
        if isinstance(factory, Local):  # its defaults are in its source, and it may not be there to be asked for them
            params = changed(params, lambda: factory)
        scores = tuple(sorted(scoring.asked))
        checksum = table.checksum_with(rules.numbers, scores)
        return cls(table.name, checksum, algorithm, params, source, first, stop, rules, scores=scores)

    @cached_property
    def id(self) -> str:
        """Twelve hexadecimal digits of the hash of the canonical JSON."""
        return identity(self.to_json())

    @cached_property
    def changed(self) -> dict[str, Any]:
        """The parameters that are not at their defaults."""
        return changed(self.params, lambda: registry.proposer(self.algorithm))

    @cached_property
    def label(self) -> str:
        """The algorithm's name, with the parameters that are not at their defaults."""
        return label(self.algorithm, self.changed)

    def load_table(self) -> Table:
        """The table that was searched. Raises HarnessError if the benchmark has other numbers now."""
        table = registry.benchmark(self.benchmark)
        if self.checksum_of(table) != self.table:
            raise HarnessError(f"study {self.id} is of another version of the table {self.benchmark}.", "run it again.")
        return table

    def checksum_of(self, table: Table) -> str:
        """Of the numbers of a table that the study depends on."""
        return table.checksum_with(self.rules.numbers, self.scores)

    @property
    def seeds(self) -> Ints:
        return np.arange(self.first, self.stop)

    @property
    def shards(self) -> list[range]:
        """The seeds in the portions that are simulated and stored together, by the algorithm's `shard`."""
        size = shard_of(self.algorithm)
        return [range(i, min(i + size, self.stop)) for i in range(self.first, self.stop, size)]

    def to_json(self) -> dict[str, Any]:
        later = ("objectives", "constraints")  # a study without them has the id that it had before there were any
        rules = {name: value for name, value in vars(self.rules).items() if value or name not in later}
        rules["budget"] = None if math.isinf(self.rules.budget) else self.rules.budget
        rest = {k: getattr(self, k) for k in ("benchmark", "table", "algorithm", "source", "first", "stop", "engine")}
        scores = {"scores": list(self.scores)} if self.scores else {}
        return {**rest, **scores, "params": dict(self.params), "rules": rules}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Study:
        rules = {**data["rules"], "budget": data["rules"]["budget"] or math.inf}
        found: Study = fit({**data, "rules": rules}, cls, "the study")
        return found


def shard_of(algorithm: str) -> int:
    """How many seeds of an algorithm are stepped together. Raises HarnessError if it says no such number."""
    shard: object = getattr(registry.algorithm(algorithm), "shard", SHARD)
    if isinstance(shard, bool) or not isinstance(shard, int) or shard < 1:
        raise HarnessError(f"'{algorithm}' has shard = {shard!r}.", "it is the number of seeds to step together.")
    return shard


def _check_length(algorithm: str, factory: Factory, params: Mapping[str, Any], table: Table, rules: Rules) -> None:
    evaluations = getattr(factory, "evaluations", None)
    if evaluations is None:
        return
    needed = evaluations(**params)
    if needed > len(table):
        raise HarnessError(
            f"{algorithm} is to train {needed:,} configurations, but {table.name} has {len(table):,}.",
            f"give it less to train; `harness show {algorithm}` lists its parameters.",
        )
    if rules.evals is not None and needed > rules.evals:
        raise HarnessError(
            f"{algorithm} is to train {needed:,} configurations, more than the {rules.evals:,} of --evals.",
            f"give it less to train, or --evals {needed}.",
        )


def _check_workers(algorithm: str, rules: Rules) -> None:
    if rules.workers > 1:
        raise HarnessError(
            f"{algorithm} is a function of an objective, which evaluates one configuration after the other; it cannot "
            f"use {rules.workers} workers.",
            "write it as a class with ask and tell, or use one worker.",
        )


def source_of(factory: Factory, *parts: Callable[..., Any]) -> str:
    """Hash of the file that defines the factory and of those of the same package that it is built on.

    Of its `parts`, whose modules may be imported late, all files of their folders count.
    """
    if isinstance(factory, Local) and factory.source:
        return factory.source
    used = modules_of(inspect.getmodule(inspect.unwrap(factory)))
    digest = hashlib.sha256()
    for name in sorted(used):
        digest.update(Path(str(used[name].__file__)).read_bytes())
    for part in parts:
        digest.update(folder_source(part).encode())
    digest.update(getattr(factory, "version", "").encode())
    return digest.hexdigest()[:16] if used else ""


def folder_source(part: Callable[..., Any]) -> str:
    """Hash of the Python files in the folder of the module that defines `part`."""
    digest = hashlib.sha256()
    module = inspect.getmodule(inspect.unwrap(part))
    if module is not None and getattr(module, "__file__", None) is not None:
        for file in sorted(Path(str(module.__file__)).parent.glob("*.py")):
            digest.update(file.read_bytes())
    return digest.hexdigest()[:16]


def modules_of(*of: ModuleType | None) -> dict[str, ModuleType]:
    """These modules and those of their packages that they are built on, by name."""
    used: dict[str, ModuleType] = {}
    for module in of:
        if module is not None:
            _collect(module, used)
    return used


def _collect(module: ModuleType, used: dict[str, ModuleType]) -> None:
    """Add `module` and what it uses to `used`.

    A package does not use its submodules, which anybody may have imported.
    """
    if module.__name__ in used or getattr(module, "__file__", None) is None:
        return
    used[module.__name__] = module
    for value in vars(module).values():
        home = value if inspect.ismodule(value) else sys.modules.get(str(getattr(value, "__module__", "")))
        if home is None or (home is value and home.__name__.startswith(f"{module.__name__}.")):
            continue
        if home.__name__.split(".")[0] == module.__name__.split(".")[0]:
            _collect(home, used)
