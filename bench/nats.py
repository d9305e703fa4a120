"""A whole folder of NATS-Bench's topology space, generated in the official layout, imported and checked.

    python -m bench.nats FOLDER [--architectures 15625]

The official folder is 2 GB and is not fetched by tests. This one has as many files, trainings, epochs and splits, with
numbers that are drawn for each architecture, so that every one that a table holds can be held against it: the import of
the command line for all 15,625, the reader alone for fewer. Printed are seconds and the largest memory.
"""

from __future__ import annotations

import argparse
import bz2
import itertools
import os
import pickle
import resource
import subprocess
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from harness import Floats, registry
from harness.benchmarks.formats import nats
from harness.benchmarks.formats.nasbench201 import ARCHITECTURES, OPERATIONS

SPLITS = {
    "cifar10-valid": {"x-valid": True, "ori-test": False},
    "cifar10": {"ori-test": True},
    "cifar100": {"ori-test": True, "x-valid": False, "x-test": False},
    "ImageNet16-120": {"ori-test": True, "x-valid": False, "x-test": False},
}
"""The splits that a training was evaluated on, and whether after each epoch or only after the last."""

METRICS = ("losses", "acc1es", "times")


def seeds(index: int) -> tuple[int, ...]:
    """More than half of the architectures were trained three times, the others twice."""
    return (777, 888, 999) if index % 15 < 8 else (777, 999)


def name(index: int) -> str:
    """The text of an architecture, all of which are different."""
    a, b, c, d, e, f = (OPERATIONS[index // 5**k % 5] for k in range(6))
    return f"|{a}~0|+|{b}~0|{c}~1|+|{d}~0|{e}~1|{f}~2|"


def numbers(index: int, dataset: str, seed: int, epochs: int) -> dict[str, Floats]:
    """Losses, accuracies and seconds Float[3, epochs] of one training by split; NaN where nothing was evaluated."""
    rng = np.random.default_rng([index, list(SPLITS).index(dataset), seed, epochs])
    found = {}
    for split, always in ({"train": True} | SPLITS[dataset]).items():
        values = rng.uniform(1.0, 99.0, (3, epochs))
        values[:, : 0 if always else epochs - 1] = np.nan
        found[split] = values
    return found


def training(index: int, dataset: str, seed: int, epochs: int) -> dict[str, Any]:
    """One training as the official classes store it."""
    found = numbers(index, dataset, seed, epochs)
    first = {split: 0 if np.isfinite(values[0, 0]) else epochs - 1 for split, values in found.items()}
    state: dict[str, Any] = {
        "name": dataset,
        "seed": seed,
        "epochs": epochs,
        "params": 1.0 + index / 1e4,
        "flop": 10.0 + index / 1e3,
        "latency": [0.01, 0.02],
        "net_state_dict": None,
        "arch_config": {"arch_str": name(index)},
        "eval_names": [*SPLITS[dataset]],
        "train_acc5es": {},
        "eval_acc5es": {},
    }
    for m, metric in enumerate(METRICS):
        state[f"train_{metric}"] = dict(enumerate(found["train"][m].tolist()))
        state[f"eval_{metric}"] = {
            f"{split}@{epoch}": value
            for split in SPLITS[dataset]
            for epoch, value in enumerate(found[split][m].tolist())
            if epoch >= first[split]
        }
    return state


def architecture(folder: Path, index: int) -> int:
    """Write the file of one architecture; its size."""
    infos = {}
    for epochs in (12, 200):
        pairs = itertools.product(SPLITS, seeds(index) if epochs == 200 else (777,))
        results = {(dataset, seed): training(index, dataset, seed, epochs) for dataset, seed in pairs}
        infos[str(epochs)] = {"arch_index": index, "arch_str": name(index), "all_results": results}
    written = bz2.compress(pickle.dumps(infos), 1)
    (folder / f"{index:06d}.pickle.pbz2").write_bytes(written)
    return len(written)


def generate(folder: Path, architectures: int) -> int:
    """Write the folder of the first `architectures`; its size in bytes."""
    folder.mkdir(parents=True)
    meta = {"meta_archs": [name(index) for index in range(architectures)]}
    (folder / "meta.pickle.pbz2").write_bytes(bz2.compress(pickle.dumps(meta)))
    with ProcessPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        return sum(pool.map(partial(architecture, folder), range(architectures), chunksize=50))


def check_reader(folder: Path, architectures: int) -> int:
    """Hold what the reader makes of the folder against its numbers; how many there were."""
    table = nats.read(folder, architectures=architectures)
    count = 0
    for (dataset, epochs), trainings in table.trainings.items():
        for index, (r, seed) in itertools.product(range(architectures), enumerate(trainings.seeds.tolist())):
            there = seed in (seeds(index) if epochs == 200 else (777,))
            for split, values in numbers(index, dataset, seed, epochs).items():
                curve = trainings.curves[split]
                expected = values[:, curve.epochs - 1] if there else np.full((3, len(curve.epochs)), np.nan)
                found = [metric[index, r] for metric in (curve.loss, curve.accuracy, curve.seconds)]
                np.testing.assert_array_equal(found, expected)
                count += expected.size
    return count


def check_tables(architectures: int) -> int:
    """Hold the tables that were imported against the numbers of the folder; how many there were."""
    count = 0
    for dataset, (trained, split, last) in {
        "cifar10-valid": ("cifar10-valid", "x-valid", False),
        "cifar100": ("cifar100", "x-valid", True),
        "imagenet16-120": ("ImageNet16-120", "x-valid", True),
    }.items():
        table = registry.benchmark(f"nb201-full/{dataset}")
        assert table.fidelities.tolist() == ([200] if last else [*range(1, 201)])
        for index in range(architectures):
            for r, seed in enumerate(seeds(index)):
                found = numbers(index, trained, seed, 200)
                at = table.fidelities - 1
                np.testing.assert_array_equal(table.loss[index, :, r], 1 - found[split][1, at] / 100)
                np.testing.assert_array_equal(table.cost[index, :, r], found["train"][2].cumsum()[at])
                count += 2 * len(at)
    return count


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="a new folder; it stays")
    parser.add_argument("--architectures", type=int, default=ARCHITECTURES)
    given = parser.parse_args()
    folder, began = given.folder / "NATS-tss-v1_0-3ffb9-simple", time.perf_counter()
    size = generate(folder, given.architectures)
    print(
        f"{given.architectures:,} files, {size / 1e6:,.0f} MB, written in {time.perf_counter() - began:.0f} s",
        flush=True,
    )
    began = time.perf_counter()
    if given.architectures == ARCHITECTURES:
        os.environ["NAS_HARNESS_DATA"] = str(given.folder / "data")
        subprocess.run([sys.executable, "-m", "harness", "data", "import", "nb201", str(folder)], check=True)
        memory = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1e6
        print(f"imported in {time.perf_counter() - began:.0f} s with {memory:.1f} GB", flush=True)
        print(f"{check_tables(given.architectures):,} numbers of tables are those of the folder")
    else:
        count = check_reader(folder, given.architectures)
        print(f"{count:,} numbers are those of the folder, read and checked in {time.perf_counter() - began:.0f} s")


if __name__ == "__main__":
    main()
