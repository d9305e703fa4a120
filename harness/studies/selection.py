"""Which studies, or which of their seeds, are meant; and studies that differ in seeds only as one."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TypeVar

import numpy as np

from harness import registry
from harness.arrays import Ints
from harness.errors import HarnessError, unknown
from harness.studies.index import stored, together
from harness.studies.outcome import Outcome, of_seeds, within
from harness.studies.runs import kin
from harness.studies.store import STUDIES, find
from harness.trajectory import Trajectory

T = TypeVar("T")


@dataclass(frozen=True)
class Selection:
    """Of algorithms and benchmarks by name or pattern, seeds, and a budget; an empty field selects all."""

    algo: Sequence[str] = ()
    bench: Sequence[str] = ()
    seeds: range | None = None
    budget: float | None = None

    @property
    def words(self) -> list[str]:
        """The options of the command line that select so."""
        seeds = None if self.seeds is None else f"{self.seeds.start}:{self.seeds.stop}"
        budget = None if self.budget is None else f"{self.budget:g}"
        given = {"algo": ",".join(self.algo), "bench": ",".join(self.bench), "seeds": seeds, "budget": budget}
        return [word for name, value in given.items() if value for word in (f"--{name}", value)]

    @property
    def studies(self) -> bool:
        """Whether it tells studies of one benchmark apart."""
        return bool(self.algo) or self.seeds is not None or self.budget is not None

    def on_benchmarks(self, items: list[T], benchmark: Callable[[T], str]) -> list[T]:
        """The items on the benchmarks that are meant. Raises HarnessError for one that none is on."""
        short = {full: name for name, full in registry.families().items()} if self.bench else {}
        return _matching("benchmark", self.bench, items, lambda x: (benchmark(x), short.get(benchmark(x), "")))

    def of(self, outcomes: Iterable[Outcome]) -> list[Outcome]:
        """The outcomes that are meant, those of one study joined. Raises HarnessError for what is not among them."""
        found = pooled(outcomes)
        found = _matching("algorithm", self.algo, found, lambda o: (o.study.algorithm, o.label))
        found = self.on_benchmarks(found, lambda o: o.study.benchmark)
        if self.budget is not None:
            budgets = sorted({o.study.rules.budget for o in found})
            found = [o for o in found if o.study.rules.budget == self.budget]
            if not found:
                raise HarnessError(
                    f"no study has a budget of {self.budget:g}.",
                    f"there are {', '.join(f'{budget:g}' for budget in budgets)}.",
                )
        if self.seeds is not None:
            there = sorted({spans(o.seeds) for o in found})
            found = [part for o in found if (part := within(o, self.seeds)) is not None]
            if not found:
                raise HarnessError(
                    f"no study has seeds of {self.seeds.start}:{self.seeds.stop}.", f"there are {', '.join(there)}."
                )
        return found


_MOST, _LAST = 1_000_000, 2**53
"""Seeds of one study, and the number below which they are, which every reader of a file holds exactly."""


def seed_range(given: int | str | range) -> range:
    """`500` or `"500"` for the seeds 0 to 499, `"17:42"` for 17 to 41. Raises HarnessError for anything else."""
    first, _, stop = str(given).rpartition(":")
    hint = "give 500, or a range such as 17:42 (42 excluded)."
    try:
        seeds = given if isinstance(given, range) and given.step == 1 else range(int(first or 0), int(stop))
    except ValueError:
        raise HarnessError(f"'{given}' is not a number of seeds.", hint) from None
    if seeds.start < 0:
        raise HarnessError(f"seeds cannot be negative, got {given}.", hint)
    if not seeds:
        raise HarnessError(f"{given} has no seeds in it.", hint)
    if seeds.stop - seeds.start > _MOST or seeds.stop > _LAST:
        raise HarnessError(f"{given} are too many or too large seeds.", f"at most {_MOST:,} seeds below 2^53 are run.")
    return seeds


def _matching(kind: str, patterns: Sequence[str], outcomes: list[T], names: Callable[[T], tuple[str, ...]]) -> list[T]:
    """The outcomes with a name that matches one of the `patterns`, in the order of these."""
    if not patterns:
        return outcomes
    found: dict[int, T] = {}
    for pattern in patterns:
        matches = [o for o in outcomes if any(fnmatchcase(n, pattern) or n == pattern for n in names(o))]
        if not matches:
            raise unknown(f"{kind} among the results", pattern, {n for o in outcomes for n in names(o) if n})
        found.update((id(o), o) for o in matches)
    return [*found.values()]


def gathered(paths: Iterable[Path], selection: Selection) -> list[Outcome]:
    """What is selected of the studies in files or folders. Raises HarnessError if that is none."""
    return selection.of(stored(find(paths)))


def spans(seeds: Ints) -> str:
    """`0:500`, or `0:17,20:30`."""
    return ",".join(f"{part[0]}:{part[-1] + 1}" for part in _unbroken(seeds))


def unbroken(outcome: Outcome) -> list[Outcome]:
    """The outcomes of the ranges of its seeds that have no gap."""
    return [part for seeds in _unbroken(outcome.trajectory.seeds) if (part := within(outcome, seeds)) is not None]


def _unbroken(seeds: Ints) -> list[Ints]:
    return np.split(seeds, np.flatnonzero(np.diff(seeds) != 1) + 1)


def pooled(outcomes: Iterable[Outcome]) -> list[Outcome]:
    """The outcomes, of which those of studies that differ in seeds only become one, in the order of the first of each.

    A seed that several have is the same run in all, and taken once. Raises HarnessError where it is not.
    """
    groups: dict[str, list[Outcome]] = {}
    for outcome in outcomes:
        key = json.dumps([kin(outcome.study.to_json()), outcome.elsewhere], sort_keys=True)
        groups.setdefault(key, []).append(outcome)
    return [group[0] if len(group) == 1 else together(group, _joined) for group in groups.values()]


def once(outcomes: Iterable[Outcome]) -> list[Outcome]:
    """The outcomes, each study once. Raises HarnessError for a seed with different numbers in two of them."""
    found = list(outcomes)
    pooled(found)
    return [*{outcome.study.id: outcome for outcome in reversed(found)}.values()][::-1]


def _joined(outcomes: Sequence[Outcome]) -> Outcome:
    """One outcome of all seeds of outcomes that differ in seeds only."""
    parts = STUDIES.distinct(outcomes)
    if len(parts) == 1:
        return parts[0]
    run = Trajectory.join([part.trajectory for part in parts])
    by_seed = np.argsort(run.seeds)
    place = np.argsort(by_seed)[run.seed]
    order = np.argsort(place, kind="stable")
    columns = {name: getattr(run, name)[order] for name in Trajectory.COLUMNS}
    per_seed = {name: getattr(run, name)[by_seed] for name in Trajectory.PER_SEED}
    return replace(
        parts[0],
        study=of_seeds(parts[0].study, per_seed["seeds"]),
        trajectory=Trajectory(**{**columns, "seed": place[order]}, **per_seed, pace=run.pace),
        val_loss=np.concatenate([part.val_loss for part in parts])[order],
        test_loss=np.concatenate([part.test_loss for part in parts])[order],
        wall_seconds=sum(part.wall_seconds for part in parts),
        cpu_seconds=sum(part.cpu_seconds for part in parts),
        file=None,
    )
