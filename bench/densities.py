"""How fast TPE and BOHB are, next to the packages, and what a proposal costs as observations grow.

    python -m bench.densities [--seeds 500] [--packages 4] [--evals 150]

First `nb201/cifar10` to 1e6 and 1e7 simulated seconds on all cores; then evaluations per second of CPU time on the same
table (for dehb, which needs fidelities, the cells of bench/equivalence.py) and seeds, `evals` each, of ours in one
batch and of the packages seed by seed; then microseconds per proposal.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from functools import partial

import numpy as np

from algorithms.density import Parzen, ProductKDE
from bench.equivalence import CELLS, MANY, table
from harness import HarnessError, Rules, registry, simulate
from harness.params import resolve

BENCHMARK = "nb201/cifar10"
MARKS = (50, 200, 1000, 5000)
PAIRS = {
    "rs": "optuna-random",
    "de": "dehb-de-lib",
    "tpe": "optuna-tpe",
    "hb": "hpbandster-hb",
    "bohb": "hpbandster-bohb",
    "dehb": "dehb-lib",
}


def studies(seeds: int) -> None:
    print(f"{'algorithm':10} {'budget s':>9} {'wall s':>8}   {seeds} seeds, `harness run`, all cores")
    for algorithm in ("tpe", "bohb"):
        for budget in ("1e6", "1e7"):
            with tempfile.TemporaryDirectory() as folder:
                command = ["run", "--algo", algorithm, "--bench", BENCHMARK, "--seeds", str(seeds), "--budget", budget]
                began = time.perf_counter()
                subprocess.run(
                    [sys.executable, "-m", "harness", *command, "--out", folder], check=True, capture_output=True
                )
                print(f"{algorithm:10} {budget:>9} {time.perf_counter() - began:8.1f}", flush=True)


def rate(algorithm: str, seeds: int, evals: int) -> float:
    """Evaluations per second of CPU time."""
    factory = registry.algorithm(algorithm)
    configured = partial(factory, **resolve(algorithm, factory, {}))
    began = time.process_time()
    benchmark = table(MANY if algorithm in ("dehb", PAIRS["dehb"]) else BENCHMARK)
    run = simulate(benchmark, configured, seeds=np.arange(seeds), rules=Rules(evals=evals, log="all"))
    return float(run.evaluations.sum()) / (time.process_time() - began)


def rates(seeds: int, packages: int, evals: int) -> None:
    print(f"\n{'ours':10} {'per CPU s':>10}   {'package':16} {'per CPU s':>10} {'ratio':>7}   {evals} evaluations")
    for ours, theirs in PAIRS.items():
        if ours == "dehb" and not CELLS.exists():
            print(f"{ours:10} no {CELLS.name}")
            continue
        for algorithm in (ours, theirs):
            try:
                rate(algorithm, 2, 30)
            except HarnessError as error:
                print(f"{ours:10} {algorithm}: {error}")
                break
        else:
            mine, other = rate(ours, seeds, evals), rate(theirs, packages, evals)
            print(f"{ours:10} {mine:10.0f}   {theirs:16} {other:10.0f} {mine / other:7.0f}", flush=True)


def growth(seeds: int) -> None:
    """CPU time per proposal and per result at n observations, in a search that its own proposals drive."""
    print(f"\nmicroseconds per proposal / per result told, at n observations: {', '.join(map(str, MARKS))}")
    for benchmark in ("nb201/cifar10", "fcnet/protein"):
        table = registry.benchmark(benchmark)
        d, rng, rows = table.space.dimensions, np.random.default_rng(0), np.arange(seeds)
        for make, shape in ((Parzen, (d, 24)), (ProductKDE, (64, 1 + d))):
            model, line = make(table.space, seeds), []
            for n in range(1, MARKS[-1] + 1):
                codes = rng.integers(0, table.space.sizes, (seeds, d))
                uniforms = rng.random((seeds, *shape))
                began = time.process_time()
                if n in MARKS or (n > MARKS[0] and n % 3):
                    proposal = model.propose(rows, uniforms)
                    codes = proposal[0] if isinstance(proposal, tuple) else proposal
                asked = time.process_time()
                model.add(rows, codes, table.mean_loss[table.rows(codes), -1])
                told = time.process_time()
                if n in MARKS:
                    line.append(f"{(asked - began) / seeds * 1e6:8.1f} /{(told - asked) / seeds * 1e6:5.1f}")
            print(f"{benchmark:14} {make.__name__:10}", *line, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seeds", type=int, default=500)
    parser.add_argument("--packages", type=int, default=4, help="seeds of the packages, which are slow")
    parser.add_argument("--evals", type=int, default=150)
    arguments = parser.parse_args()
    studies(arguments.seeds)
    rates(arguments.seeds, arguments.packages, arguments.evals)
    growth(50)


if __name__ == "__main__":
    main()
