"""What ADWPNAS' cross search gains, and whether its networks beat random ones: `python -m bench.adwp`.

Searches by `adwp` on digits201, with and without the cross search, each cell of the super-network with probabilities of
its own. What is derived for every cell is trained as one network from scratch by the recipe of digits201, beside random
networks of the same form, whose cells differ too. Errors are of the validation images. One thread, CPU seconds.
"""

from __future__ import annotations

import argparse
import json
import threading
import time
from dataclasses import replace
from itertools import count

import numpy as np
import torch
from torch import nn

from algorithms.sharing.intensive import superiority
from harness.arrays import Ints
from harness.sharing.search import SharedRun, SharedSearch
from harness.spaces import published
from harness.spaces.nasbench201 import OPERATORS
from harness.statistics import mean_interval
from harness.train import recipes
from harness.train.devices import Place, settings
from harness.train.images import ImageSet, load
from harness.train.loop import Run, Watch
from harness.train.networks import Nb201Cell, Reduction, multiply_adds
from harness.train.skeleton import Skeleton

SPACE, PLACE = "digits201", Place(torch.device("cpu"), deterministic=True)


class Macro:
    """A network each of whose cells has codes Int[L, 6] of its own, trained from scratch."""

    def __init__(self, cells: Ints, images: ImageSet, seed: int) -> None:
        self.cells, self.seed, self.recipe = cells, seed, recipes.read("digits201")
        self.title, self.id, self.images = "a macro network", "", images

    def network(self) -> nn.Module:
        values, number = published(SPACE).space.parameters[0].values, count()
        codes = [tuple(OPERATORS.index(str(values[code])) for code in row) for row in self.cells.tolist()]
        return Skeleton(
            lambda channels, drop: Nb201Cell(codes[next(number)], channels, drop),
            lambda incoming, outgoing, _: Reduction(incoming, outgoing),
            self.recipe,
            colours=self.images.image[0],
            classes=self.images.classes,
        )


class MacroRun(Run):
    def make(self) -> tuple[nn.Module, int]:
        assert isinstance(self.job, Macro)
        network = self.job.network()
        return network, multiply_adds(network, self.images.image)


def error(cells: Ints, images: ImageSet, seed: int) -> float:
    """The validation error of a macro network after its training."""
    with settings(PLACE):
        run = MacroRun(Macro(cells, images, seed), images, PLACE, Watch())
        for _ in range(run.job.recipe.epochs):
            run.train_epoch(threading.Event())
            run.end_epoch()
    return 1.0 - run.rows[-1][4]


def formed(rng: np.random.Generator) -> Ints:
    """A random macro network formed as derived ones are: two operators into a node, on different edges, no other."""
    codes = rng.integers(1, 3, size=(3, 6))
    codes[np.arange(3), 3 + rng.integers(3, size=3)] = 0
    return codes


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=60)
    parser.add_argument("--operations", type=int, default=3)
    parser.add_argument("--random", type=int, default=20)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    recipe = replace(recipes.read("sharing-digits"), epochs=arguments.epochs)
    images = load("digits", None, recipe, PLACE.device)
    rng = np.random.default_rng(0)
    drawn = [error(formed(rng), images, 777 + i) for i in range(arguments.random)]
    print(f"random: {np.mean(drawn):.4f} +- {np.std(drawn, ddof=1):.4f}, best {min(drawn):.4f}", flush=True)
    rows = []
    for seed in range(arguments.seeds):
        row: dict[str, float] = {"seed": seed}
        for cross in (True, False):
            began = time.process_time()
            given = {"cross": cross, "operations": arguments.operations}
            search = SharedSearch.plan(SPACE, "adwp", given, images, recipe, "fp32", "batch", seed)
            with settings(PLACE):
                run = SharedRun(search, images, PLACE, Watch())
                for _ in range(arguments.epochs):
                    run.train_epoch(threading.Event())
                    run.end_epoch()
            last = run.log[-1].derived
            assert last is not None
            name = "cross" if cross else "basic"
            row[f"{name}_one_shot"] = last.accuracy
            row[f"{name}_error"] = error(run.method.cellwise(none=True), images, 777 + seed)  # type: ignore[attr-defined]
            row[f"{name}_superiority"] = float(superiority(run.method.seen).max())  # type: ignore[attr-defined]
            row[f"{name}_seconds"] = time.process_time() - began
        rows.append(row)
        print(json.dumps(row), flush=True)
    for what, sign in (("one_shot", 1), ("error", -1)):
        gain = sign * np.array([row[f"cross_{what}"] - row[f"basic_{what}"] for row in rows])
        print(f"gain of the cross search, {what}: {mean_interval(gain)}")
    gain = np.mean(drawn) - np.array([row["cross_error"] for row in rows])
    print(f"random networks' error above that of derived ones: {mean_interval(gain)}")


if __name__ == "__main__":
    main()
