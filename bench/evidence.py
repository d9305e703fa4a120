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
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.regress_power import elsewhere
from bench.speed import timed
from harness import registry
from harness.studies import baseline
from harness.studies.evaluate import evaluate
from harness.studies.outcome import Outcome
from harness.studies.store import find, read

ALGORITHMS = "rs,re,ls,de,reinforce,asha,sh,hb"
NB201, OTHERS = "nb201/*", "hpobench/*,fcnet/protein"


def harness(*arguments: object, statuses: tuple[int, ...] = (0,)) -> str:
    command = [sys.executable, "-m", "harness", *map(str, arguments)]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode not in statuses:
        raise RuntimeError(f"harness {arguments[0]} exits with {done.returncode}: {done.stderr}")
    return done.stdout


def told(what: str, *arguments: object, statuses: tuple[int, ...] = (0,)) -> str:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds, out = timed(lambda: harness(*arguments, statuses=statuses))
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    busy = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    print(f"  {seconds:6.2f} s, {busy:6.2f} s of the processor  {what}")
    return str(out)


def changed(outcome: Outcome) -> Outcome:
    """The same study of code that drew other random numbers, as a baseline from before a rewrite has it."""
    study, table = outcome.study, outcome.study.load_table()
    factory = elsewhere(registry.algorithm(study.algorithm))
    return evaluate(replace(study, source="before the rewrite"), table=table, factory=factory)


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


def measure_checks(scratch: Path) -> None:
    print("regression check of 3 algorithms, 100 seeds each on nb201/cifar10 to 1e7 s")
    small, kept = scratch / "small", scratch / "baseline"
    harness("run", "--algo", "rs,re,ls", "--bench", "nb201", "--seeds", 100, "--out", small)
    harness("baseline", "save", kept, small)
    check = ("regress", "--baseline", kept, "--figure", scratch / "old-new.png")
    told("regress, nothing changed", *check)
    baseline.save(kept, [changed(o) for o in map(read, find([small])) if o.study.algorithm == "re"])
    said = told("regress, re on other random numbers", *check, statuses=(0, 3))
    print(f"  {said.splitlines()[0].lstrip('# ')}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=500)
    parser.add_argument("--results", type=Path, help="where the studies are kept, for another run")
    given = parser.parse_args()
    with TemporaryDirectory() as folder:
        measure(given.results or Path(folder) / "results", given.seeds, Path(folder))
        measure_checks(Path(folder))


if __name__ == "__main__":
    main()
