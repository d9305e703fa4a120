"""CPU seconds of runs of several objectives, and of their hypervolume curves.

    python bench/objectives.py [--seeds 500] [--budget 1e7]

One process, one thread; the single-objective run of the same table beside them says how fast the machine is.
"""

from __future__ import annotations

import argparse
import time
from functools import partial

import numpy as np

from harness import Rules, registry, simulate
from harness.params import resolve
from harness.studies.fronts import Front, replay

OBJECTIVES = ("error", "latency.raspi4")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seeds", type=int, default=500)
    parser.add_argument("--budget", type=float, default=1e7)
    arguments = parser.parse_args()
    table, seeds = registry.benchmark("nb201/cifar10"), np.arange(arguments.seeds)
    front = Front.of(table, OBJECTIVES, 0)
    for name, objectives in (("rs", ()), ("rs", OBJECTIVES), ("mo-re", OBJECTIVES), ("nsga2", OBJECTIVES)):
        found = registry.algorithm(name)
        run = partial(simulate, table, partial(found, **resolve(name, found, {})))
        if objectives:
            run(seeds=seeds[:2], rules=Rules(evals=250, objectives=objectives))  # compiles
        rules = Rules(budget=arguments.budget, objectives=objectives, log="incumbents" if objectives else "all")
        began = time.process_time()
        trajectory = run(seeds=seeds, rules=rules)
        ended = time.process_time()
        line = f"{name:6} {','.join(objectives) or 'error':22} {ended - began:6.2f} s"
        line += f", {trajectory.evaluations.mean():,.0f} evaluations"
        if objectives:
            replay(table, rules, trajectory, front)
            line += f"; hypervolume curves {time.process_time() - ended:.2f} s"
        print(line, flush=True)


if __name__ == "__main__":
    main()
