"""How fast training is, beside a plain eager loop: `python -m bench.train [--images 512] [--device cpu]`.

NAS-Bench-201's best cell by its own recipe on images of CIFAR-10's size: ours, ours on images that are ready on the
device, which shows what the input costs, and a loop in the style of the benchmark's own code, where a DataLoader crops,
flips and normalises image by image. Images are noise: what is in them takes no time. Quote the ratios.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset

from harness import registry
from harness.spaces.architecture import Architecture
from harness.train import devices, images, recipes
from harness.train.image_files import Arrays
from harness.train.loop import train
from harness.train.networks import build
from harness.train.results import Job

BEST = 6111


@dataclass(frozen=True)
class Ready:
    """Images that need nothing more: the same batch again and again."""

    images: Any
    batch: tuple[torch.Tensor, torch.Tensor]

    def __len__(self) -> int:
        return len(self.images)

    def batches(self, positions: Sequence[Any], *_: Any) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        for where in positions:
            yield self.batch[0][: len(where)], self.batch[1][: len(where)]


class Plain(Dataset[tuple[torch.Tensor, int]]):
    """Crops, flips and normalises one image at a time."""

    def __init__(self, pixels: Any, labels: Any) -> None:
        self.pixels, self.labels = pixels, labels

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, i: int) -> tuple[torch.Tensor, int]:
        padded = np.pad(self.pixels[i], ((4, 4), (4, 4), (0, 0)))
        top, left = np.random.randint(9, size=2)  # noqa: NPY002
        image = padded[top : top + 32, left : left + 32]
        if np.random.random() < 0.5:  # noqa: NPY002
            image = image[:, ::-1]
        x = torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1))).float().div_(255)
        return (x - 0.5) / 0.25, int(self.labels[i])


def plain_loop(
    architecture: Architecture, pixels: Any, labels: Any, recipe: recipes.Recipe, device: torch.device
) -> float:
    """Seconds of one epoch, float32 throughout."""
    network: nn.Module = build(architecture, recipe, colours=3, classes=10).to(device).train()
    sgd = torch.optim.SGD(network.parameters(), recipe.lr, 0.9, weight_decay=5e-4, nesterov=True)
    loader = DataLoader(
        Plain(pixels, labels), recipe.batch, shuffle=True, num_workers=2, pin_memory=device.type == "cuda"
    )
    began = time.perf_counter()
    for x, y in loader:
        sgd.zero_grad()
        loss = nn.functional.cross_entropy(network(x.to(device)), y.to(device))
        loss.backward()
        sgd.step()
        loss.item()
    return time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=512)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--device", default="auto")
    given = parser.parse_args()
    device = devices.device_of(given.device)
    place = devices.Place(device, devices.precision_of("auto", device))
    recipe = replace(recipes.read("nb201"), epochs=1, batch=given.batch, validation=0.0)
    architecture = Architecture.of(registry.benchmark("nb201"), BEST)
    rng = np.random.default_rng(0)
    pixels = rng.integers(256, size=(given.images, 32, 32, 3), dtype=np.uint8)
    labels = rng.integers(10, size=given.images)
    found = images.of_arrays(Arrays("noise", (pixels, labels), (pixels[:10], labels[:10]), 10), recipe, device)
    x = torch.randn(given.batch, 3, 32, 32, device=device).contiguous(memory_format=torch.channels_last)
    ready = replace(found, train=Ready(pixels, (x, torch.from_numpy(labels[: given.batch]).to(device))))
    job = Job(architecture, "noise", "", recipe, 0, place.precision)
    ways: dict[str, Callable[[], float]] = {
        "ours": lambda: float(train(job, found, place).seconds[0]),
        "ours, images ready": lambda: float(train(job, ready, place).seconds[0]),
        "plain loop": lambda: plain_loop(architecture, pixels, labels, recipe, device),
    }
    print(
        f"{architecture.text}\n{given.images} images in batches of {given.batch}, {device}, "
        f"{torch.get_num_threads()} threads"
    )
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(given.rounds):
        for name, way in ways.items():
            seconds[name].append(way())
    for name, taken in seconds.items():
        best = min(taken)
        rounds = ", ".join(f"{s:.1f}" for s in taken)
        epoch = best * 25_000 / given.images
        print(
            f"  {name:20} {given.images / best:8.1f} images/s, {epoch:8.1f} s per epoch of 25,000 (rounds: {rounds} s)"
        )


if __name__ == "__main__":
    main()
