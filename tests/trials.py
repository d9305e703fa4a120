"""Small results of NAS-Bench-201's architectures, built with the official packages' classes."""

import itertools
import math
from collections.abc import Iterator
from types import ModuleType
from typing import Any

OPERATIONS = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
SPLITS = {
    "cifar10-valid": ("x-valid", "ori-test"),
    "cifar10": ("ori-test",),
    "cifar100": ("ori-test", "x-valid", "x-test"),
    "ImageNet16-120": ("ori-test", "x-valid", "x-test"),
}
CODES = ((4, 2, 1, 2, 1, 1), (3, 3, 4, 1, 3, 1), (0, 0, 0, 0, 0, 0))
SEEDS = ((777, 888, 999), (777, 999), (888,))


def string(codes: tuple[int, ...]) -> str:
    a, b, c, d, e, f = (OPERATIONS[code] for code in codes)
    return f"|{a}~0|+|{b}~0|{c}~1|+|{d}~0|{e}~1|{f}~2|"


def trial(
    api: ModuleType,
    dataset: str,
    seed: int,
    epochs: int,
    numbers: Iterator[float],
    weights: Any,
    *,
    early: bool,
) -> Any:
    """One training; `early` ones lack times and have some splits after the last epoch only."""

    def curve() -> dict[int, float]:
        return {epoch: next(numbers) for epoch in range(epochs)}

    def last() -> dict[int, float]:
        return {epochs - 1: next(numbers)}

    config = {"channel": 16, "num_cells": 5, "class_num": 10, "arch_str": "?"}
    result = api.ResultsCount(
        dataset, weights, curve(), curve(), next(numbers), next(numbers), config, seed, epochs, None
    )
    first, *others = SPLITS[dataset]
    if early:
        result.seed = f"{seed:04d}"
        result.update_OLD_eval(first, curve(), curve())
        for split in others:
            result.update_OLD_eval(split, last(), last())
        result.update_latency([next(numbers), next(numbers)])
    else:
        result.update_train_info(curve(), curve(), curve(), curve())
        evaluations = [
            {f"{split}@{epoch}": v for split in SPLITS[dataset] for epoch, v in curve().items()} for _ in range(3)
        ]
        result.update_eval(*evaluations)
    return result


def architectures(api: ModuleType, weights: Any = None) -> list[dict[int, Any]]:
    """Per architecture {12: ArchResults, 200: ArchResults}; every number is distinct."""
    numbers = (n / 7 for n in itertools.count(1))
    found = []
    for index, (codes, seeds) in enumerate(zip(CODES, SEEDS, strict=True)):
        both = {}
        for epochs in (12, 200):
            results = api.ArchResults(index, string(codes))
            for dataset, seed in itertools.product(SPLITS, seeds if epochs == 200 else (777,)):
                early = index == 0 and seed != 888
                new = trial(api, dataset, seed, epochs, numbers, weights, early=early)
                results.update(dataset, seed, new)
            both[epochs] = results
        found.append(both)
    return found


def check(table: Any, expected: list[dict[int, Any]]) -> int:
    """Compare every number of a table with what the official classes answer; count them."""
    count = 0
    for (dataset, epochs), trainings in table.trainings.items():
        seeds = sorted({s for both in expected for s in both[epochs].dataset_seed[dataset]})
        assert trainings.seeds.tolist() == seeds
        assert set(trainings.curves) == {"train", *SPLITS[dataset]}
        for index, both in enumerate(expected):
            for r, seed in enumerate(seeds):
                result = both[epochs].all_results.get((dataset, seed))
                count += _check_trial(trainings, index, r, result, epochs)
    return count


def _check_trial(trainings: Any, index: int, r: int, result: Any, epochs: int) -> int:
    count = 0
    if result is None:
        assert trainings.params[index, r] != trainings.params[index, r]
    else:
        assert trainings.params[index, r] == result.params
        assert trainings.flops[index, r] == result.flop
        latency = result.get_latency()
        assert trainings.latency[index, r] == latency or latency == -1.0
    for split, curve in trainings.curves.items():
        for epoch in range(epochs):
            expected = {"loss": None, "accuracy": None, "cur_time": None}
            if result is not None:
                try:
                    read = result.get_train if split == "train" else result.get_eval
                    expected = read(*() if split == "train" else (split,), epoch)
                except KeyError:
                    assert split != "train"
            e = epoch + 1 - int(curve.epochs[0])
            metrics = (curve.loss, curve.accuracy, curve.seconds)
            for metric, name in zip(metrics, ("loss", "accuracy", "cur_time"), strict=True):
                value = metric[index, r, e]
                if expected[name] is None:
                    assert math.isnan(value)
                else:
                    assert value == expected[name]
                    count += 1
    return count
