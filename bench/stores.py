"""A folder of many studies, and the CPU seconds of the commands that read it: `python -m bench.stores FOLDER`.

`FOLDER/distinct` holds 20 algorithms with parameters by 5 benchmarks by 50 budgets, of 4 seeds each; `FOLDER/pooled`
5 algorithms by 5 benchmarks by 200 ranges of 4 seeds, 25 studies in 5,000 files. What is there is not made again.
A command is run first without an index, as after a copy of the folder, and then with it.
"""

from __future__ import annotations

import argparse
import itertools
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from harness import Rules, registry
from harness.studies.evaluate import evaluate
from harness.studies.index import INDEX
from harness.studies.outcome import Outcome, within
from harness.studies.records import JOINED
from harness.studies.store import STUDIES, write
from harness.studies.study import Study

BENCHMARKS = ("nb201/cifar10", "nb201/cifar100", "nb201/imagenet16-120", "fcnet/protein", "fcnet/naval")
SEEDS = 4
SETTINGS: list[tuple[str, Mapping[str, object]]] = [
    ("rs", {}),
    ("ls", {}),
    ("hb", {}),
    ("re", {}),
    ("de", {}),
    *(("re", dict[str, object](population=population)) for population in range(10, 40, 2)),
]


def made(folder: Path, count: int) -> dict[str, Path]:
    """The two folders, of `count` files each."""
    found = {form: folder / form for form in ("distinct", "pooled")}
    for form, where in found.items():
        where.mkdir(parents=True, exist_ok=True)
        settings = SETTINGS if form == "distinct" else SETTINGS[:5]
        each = count // (len(settings) * len(BENCHMARKS))
        for benchmark, (name, params) in itertools.product(BENCHMARKS, settings):
            for outcome in outcomes(benchmark, name, params, each, form):
                path = where / STUDIES.name(outcome.study)
                if not path.exists():
                    write(outcome, path)
    return found


def outcomes(benchmark: str, name: str, params: Mapping[str, object], count: int, form: str) -> Iterator[Outcome]:
    """Of one simulation: the seeds in `count` portions, or the first ones as if for `count` budgets."""
    table = registry.benchmark(benchmark)
    budget = table.facts.budget / 20
    whole = evaluate(
        Study.plan(table, name, params, 0, SEEDS * (count if form == "pooled" else 1), Rules(budget=budget))
    )
    for i in range(count):
        if form == "pooled":
            part = within(whole, range(SEEDS * i, SEEDS * (i + 1)))
            assert part is not None
            yield part
        else:
            yield replace(whole, study=replace(whole.study, rules=Rules(budget=budget * (1 + i / 100))))


def spent(words: list[str], tries: int) -> str:
    """CPU and wall seconds of a command, the smallest of each, and the largest memory."""
    cpu, wall = [], []
    for _ in range(tries):
        before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        answer = subprocess.run([sys.executable, "-m", "harness", *words], capture_output=True, text=True, check=False)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        if answer.returncode:
            return f"exit {answer.returncode}: {answer.stderr.strip().splitlines()[-1]}"
        wall.append(time.perf_counter() - began)
        cpu.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return f"{min(cpu):.1f} CPU s, {min(wall):.1f} s"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--files", type=int, default=5000, help="of each folder")
    parser.add_argument("--tries", type=int, default=1, help="of each command with an index")
    given = parser.parse_args()
    began = time.perf_counter()
    folders = made(given.folder, given.files)
    print(f"{given.files:,} files in each of 2 folders after {time.perf_counter() - began:.0f} s", flush=True)
    table = registry.benchmark(BENCHMARKS[0])
    one = ["--bench", BENCHMARKS[0], "--budget", f"{table.facts.budget / 20:.17g}"]
    for form, where in folders.items():
        (where / INDEX).unlink(missing_ok=True)
        shutil.rmtree(where / JOINED, ignore_errors=True)
        picked = [str(where), *one]
        print(f"{form}: show, without an index: {spent(['show', str(where)], 1)}", flush=True)
        for words in (
            ["show", str(where)],
            ["show", *picked],
            ["plot", *picked, "-o", str(given.folder / f"{form}.png")],
            ["plot", str(where), "-o", str(given.folder / f"{form}-all.png")],
            ["compare", *picked],
            ["report", *picked, "-o", str(given.folder / f"{form}-report")],
            ["verify", str(where)],
        ):
            print(f"{form}: {' '.join(words)}: {spent(words, given.tries)}", flush=True)


if __name__ == "__main__":
    main()
