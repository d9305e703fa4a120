"""Parameters and multiply-adds of all architectures of a space, as sums over its parameters' values.

In spaces whose networks have an operator at every place, what an operator costs does not depend on the others: the
costs of a few networks give those of all.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from torch import Tensor, nn

from harness.arrays import Ints
from harness.errors import HarnessError
from harness.spaces import published
from harness.spaces.architecture import Architecture
from harness.train.networks import build, multiply_adds, parameters
from harness.train.recipes import Recipe

MEASURES = ("params", "macs")
_CHECKED = 8


@dataclass(frozen=True, eq=False)
class Costs:
    """`base`, the cost of the architecture of zeros, and what each value of each parameter adds, Int[k] each."""

    base: int
    added: Sequence[Ints]

    @property
    def least(self) -> int:
        """The cost of the cheapest architecture."""
        return self.base + sum(int(a.min()) for a in self.added)

    def of(self, codes: Ints) -> Ints:
        """Costs Int[n] of architectures Int[n, p]."""
        return self.base + np.sum([a[c] for a, c in zip(self.added, codes.T, strict=True)], axis=0)


def costs(
    space: str, recipe: Recipe, image: tuple[int, int, int], classes: int, measures: Sequence[str] = MEASURES
) -> dict[str, Costs]:
    """The parameters and multiply-adds of a space's networks for images (colours, height, width).

    Multiply-adds of edges that do not reach the output are not counted, so that they are no sums in the space of
    NAS-Bench-201. Raises HarnessError where a measure is no sum over parameters.
    """
    found = _costs(space, recipe, image, classes, tuple(sorted({*measures})))
    return {name: found[name] for name in measures}


@cache
def _costs(
    space: str, recipe: Recipe, image: tuple[int, int, int], classes: int, measures: tuple[str, ...]
) -> dict[str, Costs]:
    sizes = published(space).space.sizes

    def measured(codes: Ints, macs: Callable[[nn.Module, tuple[int, int, int]], int] = _counted) -> dict[str, int]:
        with torch.device("meta"):
            network = build(Architecture.at(space, codes), recipe, colours=image[0], classes=classes)
        whole = {"params": lambda: parameters(network), "macs": lambda: macs(network, image)}
        return {name: whole[name]() for name in measures}

    zeros = np.zeros(len(sizes), dtype=np.int64)
    base = measured(zeros)
    added = {name: [np.zeros(k, dtype=np.int64) for k in sizes] for name in measures}
    for p, k in enumerate(sizes.tolist()):
        for value in range(1, k):
            codes = zeros.copy()
            codes[p] = value
            for name, cost in measured(codes).items():
                added[name][p][value] = cost - base[name]
    found = {name: Costs(base[name], added[name]) for name in measures}
    for row in np.random.default_rng(0).integers(sizes, size=(_CHECKED, len(sizes))):
        for name, cost in measured(row, multiply_adds).items():
            if found[name].of(row[None])[0] != cost:
                raise HarnessError(
                    f"{name} of {space} are not a sum over its parameters.", "only such can be constrained."
                )
    return found


def _counted(network: nn.Module, image: tuple[int, int, int]) -> int:
    """Multiply-adds by the modules that have them, a third of the seconds that counting every operation takes.

    `network` is changed: batch normalisation hands on what it is given, which counts for nothing.
    """
    total = 0

    def add(module: nn.Module, _: object, out: Tensor) -> None:
        nonlocal total
        total += out.numel() * module.get_parameter("weight")[0].numel()

    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            module.register_forward_hook(add)
        elif isinstance(module, nn.BatchNorm2d):
            module.forward = nn.Identity().forward  # type: ignore[method-assign]
    with torch.no_grad():
        network.eval()(torch.zeros(1, *image, device="meta"))
    return total
