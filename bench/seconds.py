"""CPU seconds a seed of every algorithm, which `harness grid` forecasts from where a store has none of its own.

    python -m bench.seconds [--algo rs,re] [--seeds 20] [--write]

Every algorithm that comes with the harness runs with its defaults on two tables to their own budgets, those of several
objectives for the loss and the table's first other; and `npred(predictor=mlp)`, as grids/embedded.toml has. `--write`
puts the seconds into harness/studies/seconds.json, algorithm by algorithm, and leaves those of others. A batch of seeds
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
CHANGED: dict[str, tuple[str, dict[str, object]]] = {"npred(predictor=mlp)": ("npred", {"predictor": "mlp"})}
"""Algorithms whose parameters are not their defaults, by the label of their studies."""


def main() -> None:
    """Measure, print, and write if asked to."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--algo", default="", help="names, separated by commas (default: all)")
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--write", action="store_true")
    arguments = parser.parse_args()
    found: dict[str, dict[str, float]] = json.loads(MEASURED.read_text(encoding="utf-8"))["seconds"]
    for label in arguments.algo.split(",") if arguments.algo else [*registry.algorithm_names(), *CHANGED]:
        name, params = CHANGED.get(label, (label, {}))
        factory = registry.algorithm(name)
        if factory.__module__.startswith("algorithms.external"):
            continue
        for table in TABLES:
            known = registry.benchmark(table)
            several = (known.primary, *known.objectives)[:2] if getattr(factory, "several", False) else ()
            try:
                first, study = (
                    plan([name], [table], range(n), {name: params}, lambda _: None, objectives=several)[0]
                    for n in (1, arguments.seeds)
                )
                evaluate(first)  # which compiles what is not compiled yet
                spent = evaluate(study).cpu_seconds / arguments.seeds
            except HarnessError as error:
                print(f"{label:20} {table:18} {error.message}", flush=True)
                continue
            found.setdefault(label, {})[table] = float(f"{spent:.3g}")
            print(f"{label:20} {table:18} {spent:9.4f} CPU s a seed", flush=True)
        if arguments.write:
            kind = f"{platform.machine()}, {os.cpu_count()} cores, {arguments.seeds} seeds a study"
            MEASURED.write_text(json.dumps({"machine": kind, "seconds": found}, indent=1) + "\n", encoding="utf-8")
    print(f"{math.fsum(s for by in found.values() for s in by.values()) * arguments.seeds:.0f} CPU s in all")


if __name__ == "__main__":
    main()
