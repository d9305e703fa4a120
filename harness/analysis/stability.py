"""Stability of connections: how a pattern of connections fares over all operators that it may carry.

GPNAS, section IV.E. A pattern is what architectures share when their operators are forgotten: the graph without what is
on no path from input to output, up to isomorphism. Where the connections of a space are no graph, it is their
configuration.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import cached_property, lru_cache
from typing import Any, Literal, NamedTuple

import numpy as np

from harness import registry
from harness.analysis.quality import fitted
from harness.analysis.tables import spearman
from harness.arrays import Floats, Ints
from harness.errors import HarnessError
from harness.graphs import classes
from harness.observations import Observations
from harness.predictor import PredictorFactory
from harness.rng import Streams
from harness.space import Split
from harness.studies.executors import Heard, Task
from harness.studies.records import identity
from harness.studies.study import folder_source
from harness.table import Table

By = Literal["mean", "spread", "best"]

BLOCK = 16
"""Seeds whose predictions are held at once."""

_FEW = 6
"""Parameters of connections up to which they name a pattern."""


class Fares(NamedTuple):
    """Of each pattern, Float[P]: mean, standard deviation (NaN of one architecture) and lowest loss over operators."""

    mean: Floats
    spread: Floats
    best: Floats


@dataclass(frozen=True, eq=False)
class Patterns:
    """The P patterns of the M rows of a table that were measured at its largest fidelity.

    `rows` Int[M]; `of` Int[M] is the pattern of each, and `count` Int[P] how many architectures it has, of which `best`
    Int[P] is the row of the one with the lowest mean loss, and `shown` Int[P] of the one with the fewest connections.
    """

    table: Table
    rows: Ints
    of: Ints
    count: Ints
    best: Ints
    shown: Ints

    def fares(self, losses: Floats) -> Fares:
        """How the patterns fare by `losses` Float[M]."""
        size = len(self.count)
        mean = np.bincount(self.of, losses, minlength=size) / self.count
        square = np.bincount(self.of, (losses - mean[self.of]) ** 2, minlength=size) / self.count
        best = np.full(size, np.inf)
        np.minimum.at(best, self.of, losses)
        return Fares(mean, np.where(self.count > 1, np.sqrt(square), np.nan), best)

    def measured(self) -> Fares:
        """How they fare by the losses in the table, means over repeats."""
        return self.fares(self.table.loss_at(len(self.table.fidelities) - 1)[self.rows])

    def name(self, pattern: int) -> str:
        """A pattern in words: the values of few parameters, or the edges of the graph."""
        space, codes = self.table.space, self.table.codes[self.shown[[pattern]]]
        split = split_of(self.table)
        if space.graphs is None or split.connections.dimensions <= _FEW:
            return " ".join(map(str, split.connections.to_dict(split.apart(codes)[0][0]).values()))
        adjacency, _ = space.graphs.of(codes)
        return " ".join(f"{i}-{j}" for i, j in np.argwhere(adjacency[0]))


def split_of(table: Table) -> Split:
    """How the table's space is split into connections and operators. Raises HarnessError if it is not."""
    if table.space.split is None:
        raise HarnessError(
            f"the configurations of {table.name} are not split into connections and operators.",
            "take a benchmark of architectures, such as nb201, nb101, 1shot1, nb-graph or fcnet.",
        )
    return table.space.split


def patterns(table: Table) -> Patterns:
    """The patterns of a table. Raises HarnessError if its space is not split into connections and operators."""
    split = split_of(table)
    loss = table.loss_at(len(table.fidelities) - 1)
    rows = np.flatnonzero(np.isfinite(loss))
    connections, operators = split.apart(table.codes[rows])
    if table.space.graphs is None:
        of = np.unique(connections, axis=0, return_inverse=True)[1].ravel()
    else:
        of = classes(table.space.graphs.of(split.join(connections, np.zeros_like(operators))))
    drawn = 0 if split.drop is None else (connections != split.drop[1]).sum(axis=1)
    best, shown = (np.lexsort([loss[rows], key, of]) for key in (loss[rows], np.broadcast_to(drawn, len(of))))
    _, first, count = np.unique(of[best], return_index=True, return_counts=True)
    return Patterns(table, rows, of, count, rows[best[first]], rows[shown[first]])


def predicted(found: Patterns, factory: PredictorFactory, train: int, seeds: Ints) -> Iterator[tuple[Fares, Floats]]:
    """How the patterns fare by a predictor that saw one training of `train` random architectures, block by block.

    Of each block of seeds the fares Float[k, P], and Spearman's correlation of predicted with measured means Float[k].
    """
    table = found.table
    true = found.measured().mean
    for start in range(0, len(seeds), BLOCK):
        some = seeds[start : start + BLOCK]
        where = np.arange(len(some))
        streams = Streams(some, "stability")
        chosen = found.rows[streams.uniform(len(found.rows), where).argsort(axis=1, kind="stable")[:, :train]]
        model = fitted(factory, table, Observations(table, some, "sampled"), chosen, streams.child("predictor"))
        fares = [found.fares(losses) for losses in model.predict(table.codes[found.rows], where)]
        together = Fares(*(np.stack(column) for column in zip(*fares, strict=True)))
        yield together, np.array([spearman(fare.mean, true) for fare in fares])


@dataclass(frozen=True)
class Fitting:
    """A predictor, fitted to `train` architectures of a benchmark for each seed; its shards are blocks of seeds."""

    benchmark: str
    table: str
    predictor: str
    source: str
    train: int

    @classmethod
    def plan(cls, found: Patterns, predictor: str, train: int) -> Fitting:
        """Raises HarnessError for an unknown predictor, and if the table has not so many architectures."""
        if not 2 <= train <= len(found.rows):
            raise HarnessError(
                f"a predictor cannot be trained on {train} of the {len(found.rows):,} architectures of "
                f"{found.table.name}.",
                "choose --train from 2 to that many.",
            )
        source = folder_source(registry.predictor(predictor))
        return cls(found.table.name, found.table.checksum, predictor, source, train)

    @cached_property
    def id(self) -> str:
        return identity(asdict(self))

    @property
    def label(self) -> str:
        return self.predictor

    def tasks(self, seeds: range) -> list[Task[Fitting]]:
        """The seeds, a block each."""
        return [Task(self, seeds[i : i + BLOCK]) for i in range(0, len(seeds), BLOCK)]


@lru_cache(maxsize=1)
def patterns_of(benchmark: str) -> Patterns:
    """The patterns of a benchmark's table. Raises HarnessError like `patterns`."""
    return patterns(registry.benchmark(benchmark))


def block(job: Fitting, seeds: range, heard: Heard) -> tuple[Fares, Floats]:
    """What `predicted` gives for one block of seeds."""
    ((fares, agreement),) = predicted(
        patterns_of(job.benchmark), registry.predictor(job.predictor), job.train, np.array(seeds)
    )
    return fares, agreement


def ranking(fares: Fares, by: By) -> Ints:
    """The patterns in ascending order of `by`, Int[P]; those without it last, equal ones by their mean."""
    return np.lexsort([fares.mean, getattr(fares, by)])


def rows(found: Patterns, by: By, top: int, seen: Fares | None = None) -> list[dict[str, Any]]:
    """One JSON row for each of the first `top` patterns by `by`; `seen` are the means over seeds of predicted fares."""

    def numbers(fares: Fares, prefix: str, pattern: int) -> dict[str, float | None]:
        values = {name: float(column[pattern]) for name, column in fares._asdict().items()}
        return {prefix + name: value if np.isfinite(value) else None for name, value in values.items()}

    measured = found.measured()
    place = {} if seen is None else {int(p): rank for rank, p in enumerate(ranking(seen, by), start=1)}
    listed = []
    for rank, pattern in enumerate(ranking(measured, by)[:top].tolist(), start=1):
        row = {"rank": rank, "pattern": found.name(pattern), "architectures": int(found.count[pattern])}
        row |= numbers(measured, "", pattern)
        if seen is not None:
            row |= {**numbers(seen, "predicted_", pattern), "predicted_rank": place[pattern]}
        best = found.table.codes[found.best[pattern]]
        listed.append({**row, "best_configuration": found.table.space.to_dict(best)})
    return listed
