"""What a cluster costs beside processes of one machine: `python -m bench.cluster [processes,shards,scale]`.

- `processes`: whole commands of a study by `local:2` and by two processes, in turn.
- `shards`: 10,000 shards that sleep 10 ms, by `local:2`: seconds of the wall that a shard takes beyond its share.
- `scale`: workers that answer 20 ms late, as if a network lay between, and shards that sleep .1, 1 and 5 s: the share
  of the time that they sleep. With shards of .1 s the rate tells how many a second the caller and the scheduler pass
  on, which is what bounds larger clusters.

Quote them from a quiet machine. One thread a process, whatever OMP_NUM_THREADS says.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from statistics import median
from typing import Any

from harness import Rules, registry
from harness.studies import study as studies
from harness.studies.cluster import Cluster
from harness.studies.executors import Heard
from harness.studies.run import run
from harness.studies.study import Study

LATENCY = 0.02


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("parts", nargs="?", default="processes,shards,scale")
    parser.add_argument("--algo", default="re", help="of the study that both run")
    parser.add_argument("--seeds", type=int, default=50000)
    parser.add_argument("--budget", default="1e6", help="in simulated seconds")
    parser.add_argument("--repeats", type=int, default=6)
    parser.add_argument("--shards", type=int, default=10000)
    parser.add_argument("--workers", type=int, default=64, help="threads that sleep, sixteen in a process")
    arguments = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"
    for part in arguments.parts.split(","):
        {"processes": processes, "shards": shards, "scale": scale}[part](arguments)


def processes(arguments: argparse.Namespace) -> None:
    ways = {"two processes": ("--processes", "2"), "local:2": ("--cluster", "local:2")}
    spent: dict[str, list[float]] = {name: [] for name in ways}
    about = {name: str(getattr(arguments, name)) for name in ("algo", "seeds", "budget")}
    study = ("--bench", "nb201", *(word for name, value in about.items() for word in (f"--{name}", value)))
    for turn in range(arguments.repeats):
        for name, where in list(ways.items())[:: 1 if turn % 2 else -1]:
            with tempfile.TemporaryDirectory() as folder:
                words = [sys.executable, "-m", "harness", "run", *study, *where, "--out", folder]
                spent[name].append(seconds(partial(subprocess.run, words, check=True, capture_output=True)))
    for name, all_ in spent.items():
        print(f"{name:14} {' '.join(f'{one:.2f}' for one in all_)} s", flush=True)
    for what, of in (("smallest", min), ("median", median)):
        ours, theirs = (of(all_) for all_ in spent.values())
        print(
            f"{what} of {arguments.repeats}: local:2 takes {theirs / ours:.3f} times as long as two processes",
            flush=True,
        )


def shards(arguments: argparse.Namespace) -> None:
    with small_shards():
        study, store = planned(arguments.shards), Counting()
        spent = seconds(lambda: run([study], store, Sleeping(0.01), executor=Cluster("local:2", lambda _: None)))
    over = spent / arguments.shards - 0.01 / 2
    print(
        f"{arguments.shards} shards of 10 ms in {spent:.1f} s: {1000 * over:.2f} ms a shard beyond its share",
        flush=True,
    )


def scale(arguments: argparse.Namespace) -> None:
    distributed: Any = import_module("distributed")
    nodes = max(1, arguments.workers // 16)
    threads = arguments.workers // nodes
    with distributed.LocalCluster(n_workers=nodes, threads_per_worker=threads, dashboard_address=None) as cluster:
        run([planned(1)], Counting(), Sleeping(0.0), executor=Cluster(cluster.scheduler_address, lambda _: None))
        for work in (0.1, 1.0, 5.0):
            count = nodes * threads * max(4, round(20 / work) if work < 1 else 4)
            with small_shards():
                study, store = planned(count), Counting()
                one = Sleeping(work + LATENCY)
                address = cluster.scheduler_address
                spent = seconds(partial(run, [study], store, one, executor=Cluster(address, lambda _: None)))
            share = count * work / (nodes * threads * spent)
            print(
                f"{nodes * threads} workers, {count} shards of {work:g} s and {1000 * LATENCY:.0f} ms on the way: "
                f"{spent:.1f} s, {100 * share:.1f} % at work, {count / spent:.0f} shards a second",
                flush=True,
            )


def planned(seeds: int) -> Study:
    return Study.plan(registry.benchmark("nb201"), "re", {}, 0, seeds, Rules(budget=1e6))


def seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


@contextmanager
def small_shards() -> Iterator[None]:
    """A seed a shard."""
    before, studies.SHARD = studies.SHARD, 1
    try:
        yield
    finally:
        studies.SHARD = before


@dataclass(frozen=True)
class Sleeping:
    """In place of the result of a shard, the shard."""

    seconds: float

    def __call__(self, study: Study, shard: range, heard: Heard) -> range:
        time.sleep(self.seconds)
        return shard


class Counting:
    """A store of shards that are not kept."""

    reached = False

    def __init__(self) -> None:
        self.shards = set[range]()

    def complete(self, job: Study) -> bool:
        return len(self.shards) == len(job.shards)

    def missing(self, job: Study) -> list[range]:
        return [shard for shard in job.shards if shard not in self.shards]

    def add(self, result: range) -> None:
        self.shards.add(result)

    def finish(self, job: Study) -> None:
        assert self.complete(job)

    def get(self, job: Study) -> range:
        return range(len(job.seeds))

    def held(self, job: Study) -> AbstractContextManager[bool]:
        return nullcontext(enter_result=True)

    def shared(self, job: Study) -> bool:
        return False


if __name__ == "__main__":
    main()
