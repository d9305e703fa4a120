"""Accel-NASBench (Ahmad et al., "Accel-NASBench: Sustainable benchmarking for accelerator-aware NAS", DAC 2024).

5,138 measurements of MnasNet-like networks on ImageNet by a training proxy, and how fast they are on accelerators. The
space has 10^11 networks; one that was not measured is answered by the nearest that was.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from harness.arrays import Floats, Ints
from harness.benchmarks import Family, published
from harness.benchmarks.nearest import nearest
from harness.space import Parameter, SearchSpace
from harness.table import Facts, Objective, Table

_VALUES: dict[str, tuple[Any, ...]] = {"e": (1, 4, 6), "k": (3, 5), "l": (1, 2, 3), "se": (False, True)}
_DEEPER = "block5_l"


def _parameter(name: str) -> Parameter:
    values = (1, 2, 3, 4) if name == _DEEPER else _VALUES[name.split("_")[1]]
    return Parameter(name, values, "categorical" if name.endswith("se") else "ordinal")


NAMES = tuple(f"block{block}_{what}" for block in range(7) for what in _VALUES)
SPACE = SearchSpace(tuple(map(_parameter, NAMES)))
"""Expansion, kernel, layers and squeeze-and-excitation of each of seven blocks."""

_DEVICES = {
    **{f"latency.{device}": ("ms", False) for device in ("zcu102", "vck190")},
    **{f"throughput.{d}": ("images/s", True) for d in ("a100", "3090", "tpuv2", "tpuv3", "zcu102", "vck190")},
}


def load(dataset: str) -> Table:
    """The table. Networks that were measured more than once have that many repeats; objectives are their means."""
    found = published.columns("accel", [*NAMES, "val_top1", "train_time"])
    every = np.stack([np.searchsorted(p.values, found[p.name]) for p in SPACE.parameters], axis=1).astype(np.int64)
    codes, network = np.unique(every, axis=0, return_inverse=True)
    network = network.reshape(-1)
    return Table(
        facts=family.datasets[dataset],
        space=SPACE,
        fidelities=np.array([1]),
        codes=codes,
        loss=_repeats(1.0 - found["val_top1"] / 100.0, network),
        cost=_repeats(found["train_time"], network),
        objectives={
            "params": _objective("params", "parameters", "millions", False, network),
            "flops": _objective("macs", "multiply-adds", "millions", False, network),
            **{
                name: _objective(name, f"{name.split('.')[0]} on {name.split('.')[1]}", unit, more, network)
                for name, (unit, more) in _DEVICES.items()
            },
        },
        lookup=nearest(SPACE, codes),
    )


def _repeats(values: Floats, network: Ints) -> Floats:
    """Measurements Float[M] of the networks Int[M], Float[N, 1, R]."""
    order = np.argsort(network, kind="stable")
    count = np.bincount(network)
    place = np.arange(len(order)) - np.repeat(np.cumsum(count) - count, count)
    found = np.full((len(count), 1, int(count.max())), np.nan)
    found[network[order], 0, place] = values[order]
    return found


def _objective(column: str, words: str, unit: str, more: bool, network: Ints) -> Objective:
    def read() -> Floats:
        measured = published.columns("accel", [column])[column]
        return np.bincount(network, measured) / np.bincount(network)

    return Objective(words, unit, read, more)


family = Family(
    datasets={
        "imagenet": Facts(
            name="accel/imagenet",
            title="Accel-NASBench, imagenet",
            citation="Ahmad, Wei, Zhang, Dhar, Zhang and Jiang. Accel-NASBench: Sustainable benchmarking for "
            "accelerator-aware NAS. DAC 2024",
            url="https://github.com/afzalxo/Accel-NASBench",
            licence="Apache-2.0",
            loss="validation error (top 1)",
            cost="training time of the proxy (s)",
            fidelity="trainings",
            budget=1e7,
            splits="ImageNet, trained by the authors' proxy",
            notes="A sample of the space: a network that was not measured is answered by the nearest that was. Where a "
            "device is an objective, networks without its number are invalid.",
        )
    },
    load=load,
    files=lambda: [published.path_of("accel")],
)
