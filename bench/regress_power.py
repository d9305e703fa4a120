"""How often `harness regress` fires: on planted faults, and on equal algorithms with other random numbers.

`python -m bench.regress_power [--repeats 200] [--seeds 100] [--bench nb201] [--budget SECONDS]`

Every repeat is a check of one study of its own seeds. An equal algorithm draws from other streams, as any rewrite
may; the noise that a seed observes stays the same.
"""

from __future__ import annotations

import argparse
import math
import time
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from algorithms.regularized_evolution import RegularizedEvolution
from harness import Ints, Rules, Table, Trajectory, registry, simulate
from harness.analysis.regression import judge
from harness.studies.outcome import Outcome
from harness.studies.study import SHARD, Study


class RepeatsParent(RegularizedEvolution):
    """Regularized evolution whose mutation gives the parent back."""

    def children(self, seeds: Ints) -> Ints:
        draws = self.evolution.uniform(self.sample + 2, seeds)
        rivals = (draws[:, : self.sample] * self.loss.shape[1]).astype(np.int64)
        best = self.loss[seeds[:, None], rivals].argmin(axis=1)
        return self.codes[seeds, rivals[np.arange(len(seeds)), best]]


def elsewhere(factory: Any) -> Any:
    """The same algorithm on other random numbers."""
    return lambda problem, streams: factory(problem, streams.child("elsewhere"))


def outcomes(table: Table, factory: Any, rules: Rules, seeds: int, repeats: int) -> list[Outcome]:
    """`repeats` outcomes of `seeds` seeds each."""
    found = []
    per_run = max(1, SHARD // seeds)
    for block in range(0, repeats, per_run):
        numbers = np.arange(block * seeds, min(block + per_run, repeats) * seeds)
        whole = simulate(table, factory, seeds=numbers, rules=rules)
        for first in range(0, len(numbers), seeds):
            mine = (whole.seed >= first) & (whole.seed < first + seeds)
            columns: dict[str, Any] = {name: getattr(whole, name)[mine] for name in Trajectory.COLUMNS}
            columns |= {name: getattr(whole, name)[first : first + seeds] for name in Trajectory.PER_SEED}
            run = replace(whole, **{**columns, "seed": columns["seed"] - first})
            study = Study.plan(table, "rs", {}, int(numbers[first]), int(numbers[first]) + seeds, rules)
            found.append(Outcome.of(study, table, run, 0.0, {}))
    return found


def fires(old: list[Outcome], new: list[Outcome], **settings: Any) -> int:
    return sum(judge([pair], **settings)[0].verdict == "worse" for pair in zip(old, new, strict=True))


def interval(hits: int, trials: int) -> str:
    """Wilson's 95 % interval of a share."""
    share, z = hits / trials, 1.96
    centre = (share + z * z / (2 * trials)) / (1 + z * z / trials)
    half = z / (1 + z * z / trials) * math.sqrt(share * (1 - share) / trials + z * z / (4 * trials**2))
    return f"{100 * share:5.1f} % [{100 * max(0.0, centre - half):.1f}, {100 * min(1.0, centre + half):.1f}]"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=200)
    parser.add_argument("--seeds", type=int, default=100)
    parser.add_argument("--bench", default="nb201")
    parser.add_argument("--budget", type=float)
    given = parser.parse_args()
    table = registry.benchmark(given.bench)
    rules = Rules(budget=given.budget or table.facts.budget)
    print(f"{table.name}, budget {rules.budget:g} s, {given.repeats} checks of {given.seeds} seeds each; it fires in")

    began = time.perf_counter()
    make = partial(outcomes, table, rules=rules, seeds=given.seeds, repeats=given.repeats)
    known = {name: make(registry.algorithm(name)) for name in ("rs", "re", "ls")}
    planted = {
        "re, sample 10 -> 2": make(partial(registry.algorithm("re"), sample=2)),
        "re, mutation repeats the parent": make(RepeatsParent),
    }
    for name, new in planted.items():
        print(f"  {interval(fires(known['re'], new), given.repeats)}  {name} (margin 5 %, alpha 0.01)")
    equal = {name: make(elsewhere(registry.algorithm(name))) for name in known}
    for name, new in equal.items():
        print(f"  {interval(fires(known[name], new), given.repeats)}  equal {name} (margin 5 %, alpha 0.01)")
    for name, new in equal.items():
        share = interval(fires(known[name], new, margin=0.0, alpha=0.05), given.repeats)
        print(f"  {share}  equal {name} (no margin, alpha 0.05: the test alone)")
    print(f"{time.perf_counter() - began:.0f} s")


if __name__ == "__main__":
    main()
