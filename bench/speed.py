"""How fast the simulator is, beside one plain Python loop per seed: `python -m bench.speed [--seeds 500]`.

Numbers are of one run on one machine; quote the ratios.
"""

from __future__ import annotations

import argparse
import math
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from harness import Rules, Table, registry, simulate

Observe = Callable[[tuple[int, ...]], tuple[float, float]]


def plain_random_search(sizes: list[int], observe: Observe, budget: float, rng: random.Random) -> int:
    now, evaluations, best = 0.0, 0, float("inf")
    while True:
        loss, cost = observe(tuple(rng.randrange(k) for k in sizes))
        now += cost
        if now > budget:
            return evaluations
        evaluations += 1
        best = min(best, loss)


def plain_evolution(sizes: list[int], observe: Observe, budget: float, rng: random.Random) -> int:
    now, evaluations, alive = 0.0, 0, deque[tuple[float, tuple[int, ...]]]()
    while True:
        if len(alive) < 100:
            child = tuple(rng.randrange(k) for k in sizes)
        else:
            _, parent = min((alive[rng.randrange(100)] for _ in range(10)), key=lambda pair: pair[0])
            i = rng.randrange(len(sizes))
            child = (*parent[:i], rng.choice([v for v in range(sizes[i]) if v != parent[i]]), *parent[i + 1 :])
            alive.popleft()
        loss, cost = observe(child)
        now += cost
        if now > budget:
            return evaluations
        evaluations += 1
        alive.append((loss, child))


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    began = time.perf_counter()
    answer = work()
    return time.perf_counter() - began, answer


def side_by_side(table: Table, seeds: int, budget: float) -> None:
    """Evaluations per second, ours with every result kept, so that no seed ends early on either side."""
    entries = {
        tuple(codes): [(float(x), float(c)) for x, c in zip(loss[0], cost[0], strict=True) if not math.isnan(x)]
        for codes, loss, cost in zip(table.codes.tolist(), table.loss, table.cost, strict=True)
    }
    sizes = table.space.sizes.tolist()
    for name, plain in (("rs", plain_random_search), ("re", plain_evolution)):
        rules = Rules(budget=budget, log="all")
        ours, run = timed(partial(simulate, table, registry.algorithm(name), seeds=np.arange(seeds), rules=rules))

        def alone(loop: Any = plain) -> int:
            evaluations = 0
            for seed in range(seeds // 10):
                rng = random.Random(seed)
                evaluations += loop(sizes, lambda codes, r=rng: r.choice(entries[codes]), budget, rng)
            return evaluations

        theirs, evaluations = timed(alone)
        rate, plain_rate = run.evaluations.sum() / ours, evaluations / theirs
        print(f"  {name}: {rate:12,.0f} evaluations/s, plain Python {plain_rate:10,.0f}: {rate / plain_rate:.1f} times")


def command(*arguments: str) -> None:
    with tempfile.TemporaryDirectory() as out:
        call = [sys.executable, "-m", "harness", *arguments] + (["--out", out] if arguments[0] == "run" else [])
        seconds, _ = timed(lambda: subprocess.run(call, check=True, capture_output=True))
    print(f"  {seconds:6.2f} s  harness {' '.join(arguments)}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=500)
    seeds = parser.parse_args().seeds

    print("simulation alone, one process")
    nb201, protein = registry.benchmark("nb201"), registry.benchmark("fcnet/protein")
    for table, name, rules in (
        (nb201, "rs", Rules(budget=1e7)),
        (nb201, "re", Rules(budget=1e7)),
        (nb201, "ls", Rules(budget=1e7)),
        (protein, "re", Rules(budget=1e6, workers=8)),
    ):
        seconds, run = timed(partial(simulate, table, registry.algorithm(name), seeds=np.arange(seeds), rules=rules))
        results = f"{run.evaluations.sum():,} results, {run.finished.sum()} of {seeds} seeds finished early"
        print(f"  {seconds:6.2f} s  {name} on {table.name}, {rules.workers} workers, {rules.budget:.0e} s: {results}")

    print("whole commands")
    command("run", "--algo", "rs,re,ls", "--bench", "nb201", "--seeds", str(seeds))
    command("run", "--algo", "re", "--bench", "fcnet/protein", "--seeds", str(seeds), "--workers", "8")
    command("--help")

    print("loading a converted table")
    for name in ("nb201", "fcnet/protein", "hpobench/car"):
        print(f"  {timed(partial(registry.benchmark, name))[0]:6.3f} s  {name}")

    print("beside plain Python, to 1e6 simulated seconds on nb201/cifar10")
    side_by_side(nb201, seeds, 1e6)
    peak = max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    print(f"peak memory of any one process: {peak / 2**10:,.0f} MiB")


if __name__ == "__main__":
    main()
