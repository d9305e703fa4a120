"""NAS-Bench-201: `NAS-Bench-201-v1_0-e61699.pth` and `NAS-Bench-201-v1_1-096897.pth` as arrays.

Dong and Yang, "NAS-Bench-201: Extending the Scope of Reproducible Neural Architecture Search",
ICLR 2020.

The files are torch.save dictionaries of plain values: `meta_archs` (15,625 strings) and, for
each architecture, `arch2infos[i]["less" | "full"]`, the trainings of 12 and of 200 epochs. A
training holds dictionaries over epochs for the training set and, for each evaluation split,
entries "split@epoch". What is recorded when:

    cifar10-valid   (trained on 25,000)  x-valid every epoch; ori-test after the last
    cifar10         (trained on 50,000)  ori-test every epoch
    cifar100        x-valid and x-test after the last; ori-test (their union) every epoch
    ImageNet16-120  the same as cifar100

Trainings made later have every split at every epoch. Nothing is filled in: a value that is not
in the file is NaN.

Loading such a file as it is takes some 30 GB of memory. This reader follows the pickle inside it
with `safe_pickle`, turns each training into arrays as soon as it is complete, and needs no torch.
"""

import mmap
import struct
import sys
import zipfile
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from harness.benchmarks.formats.content import FormatError, Progress, describe, require_file
from harness.benchmarks.formats.safe_pickle import load
from harness.spaces.nasbench201 import codes

__all__ = [
    "DATASETS",
    "OPERATIONS",
    "Collector",
    "Curve",
    "NasBench201",
    "Trainings",
    "read",
]

ARCHITECTURES: Final = 15_625
DATASETS: Final = ("cifar10-valid", "cifar10", "cifar100", "ImageNet16-120")
OPERATIONS: Final = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
EDGES: Final = ((1, 0), (2, 0), (2, 1), (3, 0), (3, 1), (3, 2))
SPLITS: Final = ("train", "x-valid", "x-test", "ori-test")

Floats = NDArray[np.float64]

_WANTED = "a benchmark file of NAS-Bench-201"
_HINT = "take NAS-Bench-201-v1_0-e61699.pth or NAS-Bench-201-v1_1-096897.pth"
_LEGACY_MAGIC = 0x1950A86A20F9469CFC6C


@dataclass(frozen=True)
class Curve:
    """One split's metrics over a training; N architectures, R trainings, E epochs, NaN = absent.

    `epochs` int64[E], counted from 1; `loss` float64[N, R, E], cross-entropy;
    `accuracy` float64[N, R, E], percent; `seconds` float64[N, R, E], of each epoch alone
    (training, or evaluation of this split).
    """

    epochs: NDArray[np.int64]
    loss: Floats
    accuracy: Floats
    seconds: Floats


@dataclass(frozen=True)
class Trainings:
    """All trainings on one data set with one length; N architectures, R seeds, NaN = absent.

    `seeds` int64[R]; `curves` by split (`SPLITS`); `params` float64[N, R], millions;
    `flops` float64[N, R], millions; `latency` float64[N, R], seconds per batch.
    """

    seeds: NDArray[np.int64]
    curves: dict[str, Curve]
    params: Floats
    flops: Floats
    latency: Floats


@dataclass(frozen=True)
class NasBench201:
    """The benchmark in its own order of architectures.

    `architectures`: N strings; `codes` int8[N, 6]: operation (`OPERATIONS`) on each of `EDGES`;
    `trainings` by (data set, epochs), epochs being 12 or 200.
    """

    architectures: list[str]
    codes: NDArray[np.int8]
    trainings: dict[tuple[str, int], Trainings]


def read(
    path: Path,
    *,
    datasets: tuple[str, ...] = DATASETS,
    architectures: int | None = ARCHITECTURES,
    progress: Progress | None = None,
) -> NasBench201:
    """Read the official file.

    Only `datasets` are kept: each takes up to 1 GB. `architectures` is the number that the
    file must hold results of (None: any, for samples).
    """
    require_file(path, _WANTED, _HINT)
    collector = Collector(datasets)
    root = _load(path, collector, progress)
    if not isinstance(root, dict) or not {"meta_archs", "arch2infos"} <= root.keys():
        raise FormatError(f"{path} is a torch.save file of something else; {_HINT}.")
    return collector.table(root["meta_archs"], architectures, path)


@dataclass(frozen=True)
class _Training:
    """One training: per split, epochs from 0 and float64[3, E] of loss, accuracy, seconds."""

    epochs: int
    params: float
    flops: float
    latency: float
    curves: dict[str, tuple[NDArray[np.int64], Floats]]


_Entry = tuple[int, int, _Training]  # architecture, seed, training


class Collector:
    """Takes each training out of a pickle of NAS-Bench-201 or NATS-Bench as it comes by."""

    def __init__(self, datasets: tuple[str, ...] = DATASETS) -> None:
        if unknown := set(datasets) - set(DATASETS):
            raise ValueError(f"{unknown.pop()!r} is not one of {', '.join(DATASETS)}")
        self.datasets = datasets
        self.architectures: dict[int, str] = {}
        self.trainings: dict[tuple[str, int], list[_Entry]] = {}

    def __call__(self, value: dict[Any, Any]) -> bool:
        """Replace what a finished dictionary of the pickle holds by arrays, if it is known.

        A dictionary that looks like a training but is not one raises LookupError, TypeError or
        ValueError, which `safe_pickle.load` reports as a damaged file.
        """
        if "eval_acc1es" in value and "train_acc1es" in value:
            training = _training(value) if value["name"] in self.datasets else None
            value.clear()
            value["training"] = training
            return True
        if "all_results" in value and "arch_index" in value:
            index = int(value["arch_index"])
            self.architectures[index] = value["arch_str"]
            for (dataset, seed), entry in value["all_results"].items():
                if training := entry["training"]:
                    entries = self.trainings.setdefault((dataset, training.epochs), [])
                    entries.append((index, int(seed), training))
            value.clear()
        return False

    def add(self, other: "Collector") -> bool:
        """Take over what another collected; not if that has results of an architecture that this one has."""
        if self.architectures.keys() & other.architectures.keys():
            return False
        self.architectures |= other.architectures
        for key, entries in other.trainings.items():
            self.trainings.setdefault(key, []).extend(entries)
        return True

    def table(self, architectures: Any, expected: int | None, path: Path) -> NasBench201:
        """Arrange what was collected; `architectures` is the benchmark's own list of strings."""
        if not isinstance(architectures, list | tuple) or not self.architectures:
            raise FormatError(f"{path} holds no results of NAS-Bench-201.")
        if expected is not None and len(self.architectures) != expected:
            raise FormatError(
                f"{path} holds results of {len(self.architectures):,} architectures instead of "
                f"{expected:,}: it is incomplete."
            )
        for index, string in self.architectures.items():
            if not 0 <= index < len(architectures) or architectures[index] != string:
                raise FormatError(f"{path} holds results of {string}, not number {index} of it.")
        try:
            table = np.array([codes(string) for string in architectures], np.int8)
        except (ValueError, AttributeError) as error:
            raise FormatError(f"{path} is not NAS-Bench-201: {error}.") from error
        trainings = {}
        for key in sorted(self.trainings, key=lambda key: (DATASETS.index(key[0]), key[1])):
            trainings[key] = _arrange(self.trainings.pop(key), len(architectures))
        return NasBench201(list(architectures), table, trainings)


def _training(state: dict[str, Any]) -> _Training:
    epochs = int(state["epochs"])
    sets = {"train": (_places("", epochs), "train")} | {
        str(name): (_places(str(name), epochs), "eval") for name in state["eval_names"]
    }
    curves = {}
    for split, (places, kind) in sets.items():
        values = np.full((3, epochs), np.nan)
        for metric, found in zip(("losses", "acc1es", "times"), values, strict=True):
            _fill(found, places, state[f"{kind}_{metric}"] or {})
        recorded = np.flatnonzero(~np.isnan(values).all(0))
        curves[split] = recorded, values[:, recorded]
    latency = state["latency"] or [np.nan]
    return _Training(
        epochs=epochs,
        params=float(state["params"]),
        flops=float(state["flop"]),
        latency=sum(latency) / len(latency),
        curves=curves,
    )


@lru_cache(maxsize=64)
def _places(split: str, epochs: int) -> dict[Any, int]:
    """The epoch by its key: its number, or its name among those of a split."""
    return {sys.intern(f"{split}@{epoch}") if split else epoch: epoch for epoch in range(epochs)}


def _fill(found: Floats, places: dict[Any, int], metric: dict[Any, Any]) -> None:
    """Write the values of a metric by epoch into `found` Float[E]."""
    if len(metric) == len(places) and [*metric] == [*places]:
        found[:] = [*metric.values()]
        return
    for key, value in metric.items():
        if key in places:
            found[places[key]] = np.nan if value is None else value


def _arrange(entries: list[_Entry], rows: int) -> Trainings:
    """Arrays over (architecture, seed) of the trainings of one kind."""
    seeds, columns = np.unique([seed for _, seed, _ in entries], return_inverse=True)
    places = [(index, int(r)) for (index, _, _), r in zip(entries, columns, strict=True)]
    trainings = [training for _, _, training in entries]
    scalars = np.full((3, rows, len(seeds)), np.nan)
    for place, training in zip(places, trainings, strict=True):
        scalars[:, *place] = training.params, training.flops, training.latency
    curves = {}
    for split in SPLITS:
        found = [
            (place, training.curves.pop(split))
            for place, training in zip(places, trainings, strict=True)
            if split in training.curves
        ]
        if found:
            curves[split] = _curve(found, (rows, len(seeds)))
    params, flops, latency = scalars
    return Trainings(seeds.astype(np.int64), curves, params, flops, latency)


def _curve(found: list[tuple[tuple[int, int], tuple[NDArray[np.int64], Floats]]], shape: tuple[int, int]) -> Curve:
    epochs = np.unique(np.concatenate([recorded for _, (recorded, _) in found]))
    timed = any(not np.isnan(values[2]).all() for _, (_, values) in found)
    metrics = np.full((3 if timed else 2, *shape, len(epochs)), np.nan)
    for place, (recorded, values) in found:
        metrics[:, *place, np.searchsorted(epochs, recorded)] = values[: len(metrics)]
    seconds = metrics[2] if timed else np.broadcast_to(np.nan, metrics.shape[1:])
    return Curve(epochs + 1, metrics[0], metrics[1], seconds)


def _load(path: Path, collector: Collector, progress: Progress | None) -> Any:
    with path.open("rb") as file:
        buffer = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    with buffer:
        start = 0
        if buffer[:4] == b"PK\x03\x04":
            start = _zipped_pickle(path, buffer)
        elif buffer[:1] != b"\x80":
            raise FormatError(f"{path} is {describe(path)}, not {_WANTED}; {_HINT}.")
        else:
            magic, start = load(buffer, str(path))
            if magic != _LEGACY_MAGIC:
                raise FormatError(f"{path} is {describe(path)}, not {_WANTED}; {_HINT}.")
            for _ in ("protocol version", "system information"):
                start = load(buffer, str(path), start=start)[1]
        root, _ = load(buffer, str(path), start=start, on_dict=collector, progress=progress)
        if progress:
            progress(len(buffer), len(buffer))
        return root


def _zipped_pickle(path: Path, buffer: mmap.mmap) -> int:
    """Where the pickle starts inside a torch.save file of the ZIP form, its checksum verified."""
    try:
        with zipfile.ZipFile(path) as archive:
            entries = [e for e in archive.infolist() if e.filename.endswith("/data.pkl")]
            if len(entries) != 1:
                raise FormatError(f"{path} is {describe(path)}, not {_WANTED}; {_HINT}.")
            (entry,) = entries
            if entry.compress_type != zipfile.ZIP_STORED:
                raise FormatError(f"{path} is a compressed ZIP archive, not {_WANTED}; {_HINT}.")
            with archive.open(entry) as member:
                while member.read(1 << 20):
                    pass
    except (zipfile.BadZipFile, EOFError, ValueError) as error:
        raise FormatError(f"{path} is not {_WANTED} or is damaged ({error}); {_HINT}.") from error
    lengths = struct.unpack_from("<HH", buffer, entry.header_offset + 26)
    return int(entry.header_offset + 30 + sum(lengths))
