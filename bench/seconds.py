"""CPU seconds a seed of every algorithm, which `harness grid` forecasts from where a store has none of its own.

    python -m bench.seconds [--algo rs,re] [--seeds 20] [--write]

Every algorithm that comes with the harness runs with its defaults on two tables to their own budgets. `--write` puts
the seconds into harness/studies/seconds.json, algorithm by algorithm, and leaves those of others. A batch of seeds
shares most of its work, so that the seconds of one seed fall with their number: upper ends for studies of more.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform

from harness import registry
from harness.errors import HarnessError
from harness.studies.evaluate import evaluate
from harness.studies.forecast import MEASURED
from harness.studies.plan import plan

TABLES = ("nb201/cifar10", "fcnet/protein")


def main() -> None:
    """Measure, print, and write if asked to."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--algo", default="", help="names, separated by commas (default: all)")
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--write", action="store_true")
    arguments = parser.parse_args()
    found: dict[str, dict[str, float]] = json.loads(MEASURED.read_text(encoding="utf-8"))["seconds"]
    for name in arguments.algo.split(",") if arguments.algo else registry.algorithm_names():
        if registry.algorithm(name).__module__.startswith("algorithms.external"):
            continue
        for table in TABLES:
            try:
                first, study = (plan([name], [table], range(n), {}, lambda _: None)[0] for n in (1, arguments.seeds))
                evaluate(first)  # which compiles what is not compiled yet
                spent = evaluate(study).cpu_seconds / arguments.seeds
            except HarnessError as error:
                print(f"{name:14} {table:18} {error.message}", flush=True)
                continue
            found.setdefault(name, {})[table] = float(f"{spent:.3g}")
            print(f"{name:14} {table:18} {spent:9.4f} CPU s a seed", flush=True)
        if arguments.write:
            kind = f"{platform.machine()}, {os.cpu_count()} cores, {arguments.seeds} seeds a study"
            MEASURED.write_text(json.dumps({"machine": kind, "seconds": found}, indent=1) + "\n", encoding="utf-8")
    print(f"{math.fsum(s for by in found.values() for s in by.values()) * arguments.seeds:.0f} CPU s in all")


if __name__ == "__main__":
    main()
