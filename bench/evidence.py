"""How fast figures, tables, pages and checks are made: `python -m bench.evidence [--seeds 500] [--results FOLDER]`.

Studies of eight algorithms on twelve benchmarks are made first, in FOLDER or a temporary one; each
command then runs in a process of its own, as a user's does. Numbers are of one run on one machine; on a busy one look
at the seconds of the processor, which all processes of a command share.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.speed import timed

ALGORITHMS = "rs,re,ls,de,reinforce,asha,sh,hb"
NB201, OTHERS = "nb201/*", "hpobench/*,fcnet/protein"


def harness(*arguments: object) -> None:
    subprocess.run([sys.executable, "-m", "harness", *map(str, arguments)], check=True, capture_output=True)


def told(what: str, *arguments: object) -> None:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds, _ = timed(lambda: harness(*arguments))
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    busy = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    print(f"  {seconds:6.2f} s, {busy:6.2f} s of the processor  {what}")


def measure(results: Path, seeds: int, scratch: Path) -> None:
    common = ("--algo", ALGORITHMS, "--seeds", seeds, "--out", results)
    told("studies on nb201, those that were not there", "run", "--bench", NB201, *common)
    told("studies on the others, of 300 evaluations", "run", "--bench", OTHERS, "--evals", 300, *common)
    cifar10 = sorted(results.glob("nb201-cifar10.*.parquet"))
    print(f"from stored results of {seeds} seeds")
    told(f"figure of regret, {len(cifar10)} algorithms to 1e7 s", "plot", *cifar10, "-o", scratch / "regret.pdf")
    told("the same with simultaneous bands", "plot", *cifar10, "--band", "simultaneous", "-o", scratch / "band.pdf")
    told("comparison of 8 algorithms on 12 benchmarks", "compare", results)
    page = scratch / "report.html"
    told("report of 8 algorithms on 12 benchmarks", "report", results, "-o", page)
    print(f"  {page.stat().st_size / 1e6:6.2f} MB  that page")

    print("regression check of 3 algorithms, 100 seeds each on nb201/cifar10 to 1e7 s")
    small, baseline = scratch / "small", scratch / "baseline"
    harness("run", "--algo", "rs,re,ls", "--bench", "nb201", "--seeds", 100, "--out", small)
    harness("baseline", "save", baseline, small)
    told("regress, nothing changed", "regress", "--baseline", baseline, "--figure", scratch / "old-new.png")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=500)
    parser.add_argument("--results", type=Path, help="where the studies are kept, for another run")
    given = parser.parse_args()
    with TemporaryDirectory() as folder:
        measure(given.results or Path(folder) / "results", given.seeds, Path(folder))


if __name__ == "__main__":
    main()
