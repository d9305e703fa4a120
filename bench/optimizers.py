"""How fast the optimizers are: 500 seeds each, alone in a process of its own.

    python bench/optimizers.py [--seeds 500] [algorithm ...]

Two tables: `nb201/cifar10` (one fidelity) to 1e7 simulated seconds, and a synthetic table of the same size with four
fidelities, to a budget that is worth as many full trainings. Seeds that have found their best value stop early, as
in any run with the log of incumbents; the last column has their share.
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import time
from functools import partial

import numpy as np

from harness import Rules, Table, registry, simulate
from harness.params import resolve
from harness.testing import synthetic_table

ALGORITHMS = ("rs", "re", "ls", "de", "reinforce", "hb", "sh", "asha", "dehb")
FULL_TRAININGS = 1e7 / 1828


def four_fidelities() -> tuple[Table, float]:
    table = synthetic_table(0, sizes=(5,) * 6, fidelities=(4, 12, 36, 108), repeats=1, missing=0.0)
    return table, FULL_TRAININGS * float(table.mean_cost[:, -1].mean())


def measure(algorithm: str, table: str, seeds: int, workers: int) -> str:
    """One line of the report."""
    benchmark, budget = four_fidelities() if table == "four fidelities" else (registry.benchmark(table), 1e7)
    factory = registry.algorithm(algorithm)
    configured = partial(factory, **resolve(algorithm, factory, {}))
    rules = Rules(workers=workers, budget=budget)
    wall, cpu = time.perf_counter(), time.process_time()
    run = simulate(benchmark, configured, seeds=np.arange(seeds), rules=rules)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    return (
        f"{algorithm:10} {table:16} {workers:7} {wall:8.2f} {cpu:8.2f} {run.evaluations.sum():12,} "
        f"{run.evaluations.sum() / cpu:12,.0f} {peak:9.2f} {run.finished.mean():9.0%}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description="How fast the optimizers are.")
    parser.add_argument("algorithms", nargs="*", default=ALGORITHMS)
    parser.add_argument("--seeds", type=int, default=500)
    arguments = parser.parse_args()
    print("algorithm  table            workers   wall s    CPU s  evaluations    per CPU s  peak GiB  finished")
    context = multiprocessing.get_context("spawn")
    for algorithm in arguments.algorithms:
        for table, workers in (("nb201/cifar10", 1), ("four fidelities", 1), ("four fidelities", 8)):
            with context.Pool(1) as pool:
                print(pool.apply(measure, (algorithm, table, arguments.seeds, workers)), flush=True)


if __name__ == "__main__":
    main()
