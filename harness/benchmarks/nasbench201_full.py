"""The whole of NAS-Bench-201 (Dong and Yang, ICLR 2020), out of its official file or of NATS-Bench's topology folder.

`nb201-full` has the curve of the 200-epoch trainings; `nb201-12` the separate trainings of 12 and of 200 epochs. The
numbers of CIFAR-10 are of two kinds of training that are never mixed: on half of the training set (the official name is
cifar10-valid), which is all that a search may see, and on all of it. `cifar10` validates on the former and tests on the
latter, as the paper does; `cifar10-valid` takes both from the former.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from harness.arrays import Floats, Ints
from harness.benchmarks import Converted, Family, Progress, Source, check, imported
from harness.benchmarks.formats import nasbench201 as official
from harness.benchmarks.formats import nats
from harness.benchmarks.formats.nasbench201 import Curve, NasBench201, Trainings
from harness.errors import HarnessError
from harness.spaces.nasbench201 import SPACE
from harness.table import Facts, Table, repeats_in_order

CURVE, SEPARATE = "nb201-full", "nb201-12"
LESS, FULL = 12, 200


@dataclass(frozen=True)
class Splits:
    """Where the two losses of a dataset come from: (official data set, split) of each, and what these are."""

    validation: tuple[str, str]
    test: tuple[str, str]
    words: str


DATASETS = {
    "cifar10": Splits(
        ("cifar10-valid", "x-valid"),
        ("cifar10", "ori-test"),
        "validation: trained on 25,000 images of the CIFAR-10 training set, validated on the other 25,000 "
        "(cifar10-valid, x-valid); test: trained on all 50,000, tested on the test set (cifar10, ori-test)",
    ),
    "cifar10-valid": Splits(
        ("cifar10-valid", "x-valid"),
        ("cifar10-valid", "ori-test"),
        "trained on 25,000 images of the CIFAR-10 training set, validated on the other 25,000 (cifar10-valid, "
        "x-valid), tested on the test set (cifar10-valid, ori-test)",
    ),
    "cifar100": Splits(
        ("cifar100", "x-valid"),
        ("cifar100", "x-test"),
        "trained on the 50,000 training images, validated (x-valid) and tested (x-test) on 5,000 each of the CIFAR-100 "
        "test set",
    ),
    "imagenet16-120": Splits(
        ("ImageNet16-120", "x-valid"),
        ("ImageNet16-120", "x-test"),
        "trained on the 151,700 training images, validated (x-valid) and tested (x-test) on 3,000 each of the "
        "validation set",
    ),
}


def _facts(family: str, dataset: str) -> Facts:
    separate = family == SEPARATE
    kind = "separate trainings of 12 and 200 epochs" if separate else "curve of the 200-epoch training"
    return Facts(
        name=f"{family}/{dataset}",
        title=f"NAS-Bench-201, {dataset}, {kind}",
        citation="Dong and Yang. NAS-Bench-201: Extending the scope of reproducible neural architecture search. "
        "ICLR 2020",
        url="https://github.com/D-X-Y/NAS-Bench-201",
        licence="MIT",
        loss="validation error",
        cost="training time (s)",
        fidelity="epochs",
        budget=12_000.0 if separate else 1e7,
        splits=DATASETS[dataset].words,
        test="test error",
        notes="The learning rate of each training goes to zero at its own end."
        if separate
        else "Epochs at which every architecture was validated.",
        separate=separate,
    )


def convert(files: Sequence[Path], progress: Progress) -> Iterator[Converted]:
    """Every table that the official file has the numbers for; those without training times are named at the end."""
    if len(files) != 1:
        raise HarnessError(f"NAS-Bench-201 is one file or one folder, got {len(files)}.", "import them one by one.")
    (path,) = files
    read = nats.read if path.is_dir() else official.read
    bench = read(path, architectures=official.ARCHITECTURES, progress=progress)
    left_out = []
    for dataset, splits in DATASETS.items():
        for family, fidelities in ((CURVE, (FULL,)), (SEPARATE, (LESS, FULL))):
            arrays = _arrays(bench, splits, fidelities)
            if arrays is None:
                left_out.append(f"{family}/{dataset}")
            else:
                check(path, partial(_table, family, dataset, arrays, ""))
                yield f"{family}/{dataset}", arrays, {"files": [path.name]}
    if left_out:
        raise HarnessError(
            f"{path.name} has no validation losses or no training times for {', '.join(left_out)}: left out.",
            f"{imported.official('nb201')[0].name} has them.",
        )


def _arrays(bench: NasBench201, splits: Splits, lengths: tuple[int, ...]) -> dict[str, Any] | None:
    """The arrays of one table: the curve of a single length, or the ends of several; None without numbers."""
    parts = [_part(bench, splits, length, ends_only=len(lengths) > 1) for length in lengths]
    found = [part for part in parts if part is not None]
    if len(found) < len(lengths):
        return None
    repeats = max(metric.shape[2] for part in found for metric in part[1:])
    epochs = np.concatenate([part[0] for part in found])
    loss, cost, test = (np.concatenate([_padded(part[k], repeats) for part in found], axis=1) for k in (1, 2, 3))
    if len(epochs) > 1 and np.isnan(test[:, :-1]).all():
        test = test[:, -1:]
    trainings = bench.trainings[splits.validation[0], FULL]
    columns = {name: _mean(getattr(trainings, name)) for name in ("params", "flops", "latency")}
    return {"codes": bench.codes, "epochs": epochs, "loss": loss, "cost": cost, "test": test, **columns}


def _part(
    bench: NasBench201, splits: Splits, length: int, *, ends_only: bool
) -> tuple[Ints, Floats, Floats, Floats] | None:
    """Epochs Int[F], and validation error, seconds and test error Float[N, F, R] of the trainings of one length.

    The repeats of an architecture stand in the order of how many epochs they were validated at, so that each keeps
    its place along the fidelities.
    """
    name, split = splits.validation
    trainings = bench.trainings.get((name, length))
    if trainings is None or split not in trainings.curves:
        return None
    curve = trainings.curves[split]
    seconds = trainings.curves["train"].seconds.cumsum(axis=2)[:, :, curve.epochs - 1]
    error = np.where(np.isfinite(seconds), 1 - curve.accuracy / 100, np.nan)
    measured = np.isfinite(error)
    present = measured.any(axis=(1, 2))
    complete = measured[present].any(axis=1).all(axis=0) if present.any() else np.zeros(len(curve.epochs), np.bool_)
    if ends_only:
        complete &= curve.epochs == length
    if not complete.any() or curve.epochs[complete][-1] != length:
        return None
    order = np.swapaxes(repeats_in_order(np.swapaxes(error, 1, 2)), 1, 2)
    epochs = curve.epochs[complete]
    test = _test(bench.trainings.get((splits.test[0], length)), splits.test[1], epochs, measured.shape[0])
    if splits.test[0] == name and test.shape[1] == measured.shape[1]:
        test = np.take_along_axis(test, order, axis=1)
    loss, cost = (np.take_along_axis(m[:, :, complete], order, axis=1) for m in (error, seconds))
    return epochs, *(np.swapaxes(metric, 1, 2) for metric in (loss, cost, test))  # type: ignore[return-value]


def _test(trainings: Trainings | None, split: str, epochs: Ints, rows: int) -> Floats:
    """Test error at `epochs` Int[F], Float[N, R, F]; NaN where it was not measured."""
    curve: Curve | None = None if trainings is None else trainings.curves.get(split)
    if curve is None:
        return np.full((rows, 1, len(epochs)), np.nan)
    found = np.full((*curve.accuracy.shape[:2], len(epochs)), np.nan)
    _, here, there = np.intersect1d(epochs, curve.epochs, return_indices=True)
    found[:, :, here] = 1 - curve.accuracy[:, :, there] / 100
    return found


def _padded(values: Any, repeats: int) -> Floats:
    missing = repeats - values.shape[2]
    return np.pad(values, ((0, 0), (0, 0), (0, missing)), constant_values=np.nan)


def _mean(values: Floats) -> Floats:
    """Mean over the trainings that exist, Float[N]."""
    count = np.isfinite(values).sum(axis=1)
    return np.where(count > 0, np.nansum(values, axis=1) / np.maximum(count, 1), np.nan)


def load(family: str, dataset: str) -> Table:
    """The table of `dataset`. Columns: `params` and `flops` (millions), `latency` (s per batch)."""
    stored = imported.load(f"{family}/{dataset}", "nb201")
    return _table(family, dataset, stored.arrays, stored.checksum)


def _table(family: str, dataset: str, arrays: Mapping[str, Any], source: str) -> Table:
    return Table(
        facts=FAMILIES[family].datasets[dataset],
        space=SPACE,
        fidelities=arrays["epochs"],
        codes=arrays["codes"],
        loss=arrays["loss"],
        cost=arrays["cost"],
        test=arrays["test"],
        columns={column: arrays[column] for column in ("params", "flops", "latency") if column in arrays},
        source=source,
    )


def _family(name: str) -> Family:
    return Family(
        datasets={dataset: _facts(name, dataset) for dataset in DATASETS},
        load=lambda dataset: load(name, dataset),
        source=Source("nb201", lambda dataset: f"{name}/{dataset}", convert),
    )


FAMILIES = {name: _family(name) for name in (CURVE, SEPARATE)}
curve, separate = FAMILIES[CURVE], FAMILIES[SEPARATE]
