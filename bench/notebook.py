"""What Python costs beside the command line, measured in one run.

    python -m bench.notebook [--budget 1e6]

`import harness`, in wall and CPU time of fresh processes; `h.run` of three algorithms x 500 seeds on nb201 beside
`harness run` of the same, each in a process of its own; and the curves of 10 studies x 500 seeds, in
CPU time and memory. Nothing is kept.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time

ALGORITHMS, SEEDS = "rs,re,ls", 500

IMPORT = """
import time
wall, cpu = time.perf_counter(), time.process_time()
import harness
print(time.perf_counter() - wall, time.process_time() - cpu)
"""
RUN = "import harness as h; h.run({!r}, 'nb201', seeds={}, budget={}, processes=1, quiet=True)"
CURVES = """
import resource, time, numpy as np, pandas
import harness as h
made = h.run("rs", "nb201", seeds=500, evals=100, processes=1, quiet=True)
ten = type(made)(made.outcomes * 10)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
wall, cpu = time.perf_counter(), time.process_time()
frame = ten.curves()
took = time.perf_counter() - wall, time.process_time() - cpu
print(*took, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024, len(frame))
"""


def numbers(code: str) -> list[float]:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return [float(word) for word in done.stdout.split()]


def cost(words: list[str]) -> tuple[float, float]:
    """Wall and CPU seconds of a command."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(words, check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return time.perf_counter() - began, used


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--budget", type=float, default=1e6)
    parser.add_argument("--repeats", type=int, default=3)
    given = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"
    times = [numbers(IMPORT) for _ in range(5 * given.repeats)]
    wall, cpu = (1e3 * statistics.median(column) for column in zip(*times, strict=True))
    print(f"import harness: {wall:.1f} ms wall, {cpu:.1f} ms CPU (median of {len(times)})")
    api, command = [], []
    for _ in range(given.repeats):
        api.append(cost([sys.executable, "-c", RUN.format(ALGORITHMS, SEEDS, given.budget)]))
        with tempfile.TemporaryDirectory() as folder:
            words = ["--algo", ALGORITHMS, "--bench", "nb201", "--seeds", str(SEEDS), "--budget", str(given.budget)]
            run = [sys.executable, "-m", "harness", "run", *words, "--processes", "1", "--out", folder]
            command.append(cost(run))
    for what, i in (("wall", 0), ("CPU", 1)):
        ours, theirs = (statistics.median(row[i] for row in rows) for rows in (api, command))
        print(f"h.run {ours:.2f} s {what}, harness run {theirs:.2f} s: {ours / theirs:.3f}")
    wall, cpu, memory, rows = numbers(CURVES)
    print(f"curves of 10 studies x 500 seeds, {rows:,.0f} rows: {wall:.2f} s wall, {cpu:.2f} s CPU, {memory:.0f} MB")


if __name__ == "__main__":
    main()
