"""How good and how fast the neural predictor is.

    python bench/predictors.py SHARED_DATA [--seeds 30] [--schedule fast]
    python bench/predictors.py --fits 8

The first: mean squared error on 30,001 cells of NAS-Bench-101 (one training each), after 172 random ones, over three
populations, beside published numbers. The second: seconds of one core for a fit to 172 configurations of
NAS-Bench-201, ours, and a network of the same size, data and steps one seed at a time with torch_geometric's
DenseGCNConv.
"""

from __future__ import annotations

import argparse
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch

from algorithms.predictors.networks import DirectedNetwork
from algorithms.predictors.neural import RECIPES, NeuralPredictor
from harness import Problem, Seen, Streams, registry
from harness.analysis.quality import judge
from harness.spaces import nasbench101_cells as cells
from harness.spaces.nasbench101 import ENCODINGS

TRAIN, BATCH = 172, 5
POPULATIONS = {"all": 1.0, "above 80 %": 0.2, "above 91 %": 0.09}
PUBLISHED = {
    "paper, one stage": {"all": 1.95},
    "paper, two stages": {"above 91 %": 0.66},
    "reproduction": {"all": 3.62, "above 80 %": 1.90, "above 91 %": 0.74},
}


def cells_of(shared: Path) -> tuple[Any, Any]:
    """Codes in encoding A and validation errors of the cells."""
    with np.load(shared / "nb101" / "nb101_mf_30k.npz") as archive:
        adjacency, ops = cells.cells_from_bits(archive["num_vertices"], archive["adj_bits"], archive["ops"])
        loss = 1.0 - archive["val_acc"][:, -1].astype(np.float64)
    edges = adjacency[:, cells.EDGE_SOURCES, cells.EDGE_TARGETS]
    return np.concatenate([edges, np.minimum(ops, 2)], axis=1).astype(np.int64), loss


def sampled(codes: Any, loss: Any, seeds: int) -> tuple[Seen, Any]:
    order = np.stack([np.random.default_rng(seed).permutation(len(codes)) for seed in range(seeds)])
    chosen = order[:, :TRAIN]
    return Seen(codes[chosen], np.zeros(chosen.shape, dtype=np.int64), loss[chosen], np.full(seeds, TRAIN)), order


def errors(shared: Path, seeds: int, schedule: Any) -> None:
    codes, loss = cells_of(shared)
    seen, order = sampled(codes, loss, seeds)
    numbers = np.arange(seeds)
    print(f"{'MSE, squared percentage points':32}" + "".join(f"{name:>20}" for name in POPULATIONS), "  Spearman, all")
    for name, values in PUBLISHED.items():
        print(f"{name:32}" + "".join(f"{values.get(p, '–'):>20}" for p in POPULATIONS))
    for name, threshold in ((f"neural ({schedule})", 0.0), (f"neural2 ({schedule})", 0.09)):
        problem = Problem(ENCODINGS["a"].space, np.array([108]), numbers, 1, np.inf)
        model = NeuralPredictor(problem, Streams(numbers, "bench"), schedule=schedule, threshold=threshold)
        found = []
        for start in range(0, seeds, BATCH):
            where = numbers[start : start + BATCH]
            model.fit(seen.of(where), where)
            for s, predicted in zip(where, model.predict(codes, where), strict=True):
                rest = order[s, TRAIN:]
                populations = [rest[loss[rest] < bound] for bound in POPULATIONS.values()]
                scores = [judge(predicted[rows], loss[rows], 100.0) for rows in populations]
                found.append([*(score["mse"] for score in scores), scores[0]["spearman"]])
        mean, half = np.mean(found, axis=0), 1.96 * np.std(found, axis=0, ddof=1) / seeds**0.5
        texts = [f"{m:.2f} ± {h:.2f}" for m, h in zip(mean, half, strict=True)]
        print(
            f"{name:32}" + "".join(f"{text:>20}" for text in texts[:3]), f"{mean[3]:>12.3f} ± {half[3]:.3f}", flush=True
        )
    print(f"mean over {seeds} samples of {TRAIN} cells and 95 % intervals; ", end="")
    print(", ".join(f"{name}: {(loss < bound).sum():,}" for name, bound in POPULATIONS.items()))


class Geometric(torch.nn.Module):
    """A network of the same size of torch_geometric's dense layers, which normalise symmetrically, for one seed."""

    def __init__(self, labels: int, width: int = 144, last: int = 128) -> None:
        from torch_geometric.nn import DenseGCNConv

        super().__init__()
        sizes = [labels, width, width, width]
        pairs = list(pairwise(sizes))
        self.along = torch.nn.ModuleList(DenseGCNConv(a, b, bias=False) for a, b in pairs)
        self.against = torch.nn.ModuleList(DenseGCNConv(a, b, bias=False) for a, b in pairs)
        self.hidden, self.output = torch.nn.Linear(width, last), torch.nn.Linear(last, 1)

    def forward(self, x: Any, adjacency: Any, present: Any) -> Any:
        for one, other in zip(self.along, self.against, strict=True):
            along = one(x, adjacency, present)
            x = (along.relu() + other(x, adjacency.transpose(1, 2), present).relu()) / 2
        return self.output(self.hidden(x.sum(1) / present.sum(1, keepdim=True)).relu()).squeeze(1)


def fits(seeds: int) -> None:
    table, training = registry.benchmark("nb201/cifar10"), RECIPES["fast"].training
    seen, _ = sampled(table.codes, table.loss[:, 0, 0], seeds)
    numbers = np.arange(seeds)
    torch.set_num_threads(1)
    model = NeuralPredictor(Problem(table.space, table.fidelities, numbers, 1, np.inf), Streams(numbers, "bench"))
    model.fit(seen.of(numbers[:1]), numbers[:1])  # compiles its loops
    began = time.process_time()
    model.fit(seen, numbers)
    ours = (time.process_time() - began) / seeds
    graphs = DirectedNetwork(table.space).graphs.view
    began = time.process_time()
    for s in range(seeds):
        adjacency, labels = graphs.of(seen.codes[s])
        x = torch.from_numpy((labels[..., None] == np.arange(1, graphs.labels)).astype(np.float32))
        a, present, y = torch.from_numpy(adjacency.astype(np.float32)), x.sum(2), torch.from_numpy(seen.loss[s]).float()
        y = (y.log() - y.log().mean()) / y.log().std()
        network = Geometric(graphs.labels - 1)
        adam = torch.optim.Adam(network.parameters(), lr=training.rate)
        cosine = torch.optim.lr_scheduler.CosineAnnealingLR(adam, training.steps)
        for _ in range(training.steps):
            chosen = torch.randperm(TRAIN)[: training.batch]
            adam.zero_grad()
            (network(x[chosen], a[chosen], present[chosen]) - y[chosen]).square().mean().backward()
            adam.step()
            cosine.step()
    theirs = (time.process_time() - began) / seeds
    print(f"CPU seconds per fit, {training.steps} steps of {training.batch}, {seeds} seeds, one thread:")
    print(f"ours {ours:.2f}, torch_geometric one seed at a time {theirs:.2f}, ratio {theirs / ours:.1f}")


def main() -> None:
    parser = argparse.ArgumentParser(description="How good and how fast the neural predictor is.")
    parser.add_argument("shared", nargs="?", type=Path)
    parser.add_argument("--seeds", type=int, default=30)
    parser.add_argument("--schedule", choices=[*RECIPES], default="fast")
    parser.add_argument("--fits", type=int, default=0, help="seeds to time fits with")
    arguments = parser.parse_args()
    if arguments.shared is not None:
        errors(arguments.shared, arguments.seeds, arguments.schedule)
    if arguments.fits:
        fits(arguments.fits)


if __name__ == "__main__":
    main()
