"""How fast super-networks are: `python -m bench.sharing steps|darts|cells|chain [--device cpu]`.

- `steps`: a step of the search by `darts`, `gdas` and `rsps`, the weights' and the alphas' batch together, beside a
  plain eager loop in the style of AutoDL-Projects: one operator after the other, float32, batches ready on the device.
  `fixed` is our loop's step of one built cell: the same network without a search, the measure of images/s.
  Images are noise. Rounds of all ways take turns; quote ratios.
- `darts`: DARTS of the first order on digits, 50 epochs. `cells`: all 729 cells of digits by a trained super-network.
- `chain`: `gcn` on the chains of NAS-Bench-Macro on digits, end to end.

CPU seconds of one thread on a CPU, seconds of the wall on a GPU.
"""

from __future__ import annotations

import argparse
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from harness.sharing.search import SharedRun, SharedSearch
from harness.spaces.architecture import Architecture
from harness.spaces.nasbench201 import EDGES, OPERATORS
from harness.train import devices, images, recipes
from harness.train.devices import Place, settings
from harness.train.image_files import Arrays
from harness.train.images import ImageSet
from harness.train.loop import Run, Watch
from harness.train.networks import Reduction
from harness.train.recipes import Recipe
from harness.train.results import Job
from harness.train.skeleton import Skeleton

FIXED = np.array([3, 3, 1, 3, 1, 3])


class PlainConv(nn.Sequential):
    def __init__(self, channels: int, kernel: int) -> None:
        convolution = nn.Conv2d(channels, channels, kernel, 1, kernel // 2, bias=False)
        super().__init__(nn.ReLU(), convolution, nn.BatchNorm2d(channels, affine=False))


class Zero(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.mul(0.0)


class PlainCell(nn.Module):
    """Every operator of every edge as a module of its own; `way` says which are computed."""

    def __init__(self, channels: int, told: PlainSearch) -> None:
        super().__init__()
        self.told = [told]
        self.edges = nn.ModuleList(
            nn.ModuleList(
                [
                    Zero(),
                    nn.Identity(),
                    PlainConv(channels, 1),
                    PlainConv(channels, 3),
                    nn.AvgPool2d(3, 1, 1, count_include_pad=False),
                ]
            )
            for _ in EDGES
        )

    def forward(self, x: Tensor) -> Tensor:
        told, nodes = self.told[0], [x]
        for node in (1, 2, 3):
            parts = [self._edge(edge, nodes[i], told) for edge, (i, j) in enumerate(EDGES) if j == node]
            nodes.append(sum(parts[1:], parts[0]))
        return nodes[-1]

    def _edge(self, edge: int, x: Tensor, told: PlainSearch) -> Tensor:
        modules, weights = self.edges[edge], told.weights
        assert isinstance(modules, nn.ModuleList)
        if told.way == "rsps":
            out: Tensor = modules[told.chosen[edge]](x)
            return out
        assert weights is not None
        if told.way == "darts":
            return torch.stack([m(x) * w for m, w in zip(modules, weights[edge], strict=True)]).sum(0)
        total: Any = 0.0
        for o, module in enumerate(modules):
            total = total + (weights[edge, o] * module(x) if o == told.chosen[edge] else weights[edge, o])
        found: Tensor = total
        return found


class PlainSearch:
    """A search step as AutoDL-Projects writes it: the weights on one batch, then the alphas on another."""

    def __init__(self, way: str, recipe: Recipe, given: Arrays, device: torch.device) -> None:
        self.way, self.clip = way, recipe.clip
        self.weights: Tensor | None = None
        self.chosen: list[int] = []
        colours = given.train[0].shape[3]
        self.network = Skeleton(
            lambda channels, _: PlainCell(channels, self),
            lambda incoming, outgoing, _: Reduction(incoming, outgoing),
            recipe,
            colours=colours,
            classes=10,
        ).to(device)
        self.network.train()
        self.alphas = nn.Parameter(1e-3 * torch.randn(len(EDGES), len(OPERATORS), device=device))
        self.sgd = torch.optim.SGD(self.network.parameters(), recipe.lr, 0.9, weight_decay=5e-4, nesterov=True)
        self.adam = torch.optim.Adam([self.alphas], 3e-4, (0.5, 0.999), weight_decay=1e-3)
        side = given.train[0].shape[1]
        self.batches = [
            (torch.randn(recipe.batch, colours, side, side, device=device), torch.from_numpy(labels).to(device))
            for labels in (given.train[1][: recipe.batch], given.train[1][-recipe.batch :])
        ]

    def forward(self, x: Tensor) -> Tensor:
        if self.way == "rsps":
            self.chosen = torch.randint(len(OPERATORS), (len(EDGES),)).tolist()
        elif self.way == "darts":
            self.weights = self.alphas.softmax(1)
        else:
            noise = -torch.empty_like(self.alphas).exponential_().log()
            soft = ((self.alphas.log_softmax(1) + noise) / 5.0).softmax(1)
            chosen = soft.max(-1, keepdim=True)[1]
            hard = torch.zeros_like(soft).scatter_(-1, chosen, 1.0)
            self.weights, self.chosen = hard - soft.detach() + soft, chosen.flatten().tolist()
        found: Tensor = self.network(x)
        return found

    def run(self, steps: int) -> None:
        for _ in range(steps):
            self.step()

    def step(self) -> None:
        (x, y), (valid, answers) = self.batches
        self.sgd.zero_grad()
        loss = nn.functional.cross_entropy(self.forward(x), y)
        loss.backward()
        nn.utils.clip_grad_norm_(self.network.parameters(), self.clip)
        self.sgd.step()
        loss.item()
        if self.way != "rsps":
            self.adam.zero_grad()
            loss = nn.functional.cross_entropy(self.forward(valid), answers)
            loss.backward()
            self.adam.step()
            loss.item()


def clock(device: torch.device) -> float:
    if device.type == "cpu":
        return time.process_time()
    torch.cuda.synchronize(device)
    return time.perf_counter()


def seconds(work: Callable[[], Any], device: torch.device) -> float:
    began = clock(device)
    work()
    return clock(device) - began


def shared(space: str, method: str, recipe: Recipe, found: ImageSet, place: Place, **given: Any) -> SharedRun:
    search = SharedSearch.plan(space, method, given, found, recipe, place.precision, "batch", 0)
    return SharedRun(search, found, place, Watch())


def steps(given: argparse.Namespace, device: torch.device) -> None:
    recipe = replace(
        recipes.read("sharing-nb201"), channels=given.channels, cells=given.cells, batch=given.batch, epochs=1000
    )
    place = Place(device, devices.precision_of(given.precision, device))
    rng, n = np.random.default_rng(0), 2 * given.batch * given.steps
    colours = 1 if given.side == 8 else 3
    pixels = rng.integers(256, size=(n, given.side, given.side, colours), dtype=np.uint8)
    labels = np.arange(n) % 10
    arrays = Arrays("noise", (pixels, labels), (pixels[:10], labels[:10]), 10)
    found = images.of_arrays(arrays, recipe, device)
    stop = threading.Event()

    def epoch(run: Run) -> float:
        spent = seconds(lambda: run.train_epoch(stop), device)
        done = run.step
        run.begin()
        return spent / done

    ways: dict[str, Callable[[], float]] = {}
    with settings(place):
        fixed = Job(Architecture.at("nb201", FIXED), "noise", "", recipe, 0, place.precision)
        alone = Run(fixed, found, place, Watch())
        ways["fixed"] = lambda: epoch(alone)
        for way in ("darts", "gdas", "rsps"):
            ours = shared("nb201", way, recipe, found, place)
            ways[way] = lambda ours=ours: epoch(ours)  # type: ignore[misc]
            plain = PlainSearch(way, recipe, arrays, device)

            def loop(plain: PlainSearch = plain) -> float:
                return seconds(lambda: plain.run(given.steps), device) / given.steps

            ways[f"plain {way}"] = loop
        taken: dict[str, list[float]] = {name: [] for name in ways}
        for turn in range(given.rounds + 1):
            for name, work in ways.items():
                spent = work()
                if turn:
                    taken[name].append(spent)
    best = {name: min(values) for name, values in taken.items()}
    print(
        f"{torch.cuda.get_device_name(device) if device.type == 'cuda' else 'cpu'}, {place.precision} (plain: fp32); "
        f"batch {given.batch}, {given.side} pixels, {given.channels} channels, {given.cells} cells a stage; ms a step:"
    )
    print(f"  fixed cell {1e3 * best['fixed']:8.2f}: {given.batch / best['fixed']:,.0f} images/s")
    for way in ("darts", "gdas", "rsps"):
        own, theirs = best[way], best[f"plain {way}"]
        print(
            f"  {way:10} {1e3 * own:8.2f}, plain loop {1e3 * theirs:8.2f}: {theirs / own:.2f} times as fast; "
            f"{given.batch / own:,.0f} images/s, {best['fixed'] / own:.0%} of the fixed cell's"
        )


def searched(run: SharedRun, epochs: int, name: str) -> None:
    device, parts, stop = run.place.device, [0.0, 0.0], threading.Event()
    with settings(run.place):
        for _ in range(epochs):
            parts[0] += seconds(lambda: run.train_epoch(stop), device)
            parts[1] += seconds(run.end_epoch, device)
    print(f"{name}: {sum(parts):.1f} s, {parts[0]:.1f} of them for weights and distribution, {parts[1]:.1f} to derive")


def digits(name: str, device: torch.device) -> tuple[Recipe, ImageSet, Place]:
    recipe = recipes.read(name)
    return recipe, images.load("digits", None, recipe, device), Place(device, deterministic=device.type == "cpu")


def darts(given: argparse.Namespace, device: torch.device) -> None:
    recipe, found, place = digits("sharing-digits", device)
    searched(shared("digits201", "darts", recipe, found, place), recipe.epochs, f"darts, {recipe.epochs} epochs")


def cells(given: argparse.Namespace, device: torch.device) -> None:
    recipe, found, place = digits("sharing-digits", device)
    run = shared("digits201", "fairnas", recipe, found, place)
    with settings(place):
        run.train_epoch(threading.Event())
        every = np.stack(np.unravel_index(np.arange(729), (3,) * 6), axis=1)
        together = min(seconds(lambda: run.scorer(every), device) for _ in range(given.rounds))
        print(f"all 729 cells {together:.1f} s, {1e3 * together / 729:.1f} ms a cell")
        some = every[:: 729 // 40]
        alone = seconds(lambda: [run.scorer(row[None]) for row in some], device) / len(some)
        print(f"one by one {1e3 * alone:.1f} ms a cell: {729 * alone:.1f} s")


def chain(given: argparse.Namespace, device: torch.device) -> None:
    recipe, found, place = digits("sharing-digits-mobilenet", device)
    recipe = replace(recipe, epochs=10, methods={})
    run = shared("mobilenet/macro", "gcn", recipe, found, place, samples=300, width=128)
    searched(run, recipe.epochs, f"gcn on chains, {recipe.epochs} epochs, 300 samples of 6,561, width 128")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    ways = {"steps": steps, "darts": darts, "cells": cells, "chain": chain}
    parser.add_argument("what", choices=ways)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--side", type=int, default=8)
    parser.add_argument("--channels", type=int, default=4)
    parser.add_argument("--cells", type=int, default=1)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--steps", type=int, default=20, help="of a round")
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    torch.set_num_threads(1)
    ways[given.what](given, devices.device_of(given.device))


if __name__ == "__main__":
    main()
