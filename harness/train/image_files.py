"""Image sets as arrays: scikit-learn's digits, the official layouts of CIFAR and ImageNet16-120, and npz files.

The pickles of the official layouts are read by `formats.safe_pickle`, which runs nothing that is in them.
"""

from __future__ import annotations

import json
import mmap
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.arrays import Bools, Ints
from harness.benchmarks.formats import safe_pickle
from harness.benchmarks.formats.content import describe, require_file
from harness.errors import HarnessError
from harness.files import reading
from harness.rng import Streams

Pixels = NDArray[np.uint8]
_AGAIN = "extract the official archive again."


@dataclass(frozen=True, eq=False)
class Arrays:
    """Images UInt8[n, h, w, c] and labels Int[n] for training and for testing.

    `validation` holds official positions of validation images by where they are taken from, `train` or `test`.
    """

    name: str
    train: tuple[Pixels, Ints]
    test: tuple[Pixels, Ints]
    classes: int
    validation: tuple[str, Ints] | None = None


@dataclass(frozen=True)
class _Layout:
    """An official folder: its batches for training and for testing, the entry with the labels, and the split file."""

    folder: str
    train: tuple[str, ...]
    test: tuple[str, ...]
    labels: str
    side: int
    classes: int
    split: tuple[str, str, str]
    first_label: int = 0


_LAYOUTS = {
    "cifar10": _Layout(
        "cifar-10-batches-py",
        tuple(f"data_batch_{i}" for i in range(1, 6)),
        ("test_batch",),
        "labels",
        32,
        10,
        ("cifar-split.txt", "train", "valid"),
    ),
    "cifar100": _Layout(
        "cifar-100-python",
        ("train",),
        ("test",),
        "fine_labels",
        32,
        100,
        ("cifar100-test-split.txt", "test", "xvalid"),
    ),
    "imagenet16-120": _Layout(
        "ImageNet16",
        tuple(f"train_data_batch_{i}" for i in range(1, 11)),
        ("val_data",),
        "labels",
        16,
        120,
        ("imagenet-16-120-test-split.txt", "test", "xvalid"),
        1,
    ),
}
NAMES = ("digits", *_LAYOUTS)


def read(name: str, root: Path | None) -> Arrays:
    """The image set `name`, one of NAMES or a file NAME.npz. Raises HarnessError if it is not there whole."""
    if name == "digits":
        return _digits()
    if name.endswith(".npz"):
        return read_npz(Path(name))
    if root is None:
        raise HarnessError(
            f"{name} is not embedded.", "--data-root names the folder that has it; --data digits is here."
        )
    return _official(name, _LAYOUTS[name], root)


def held_out(labels: Ints, share: float, purpose: str) -> Bools:
    """A fixed random `share` of each class, Bool[n]; another one for another `purpose`."""
    draws = Streams(np.array([0]), purpose).uniform(len(labels), np.array([0]))[0]
    order = np.lexsort((draws, labels))
    counts = np.bincount(labels)[np.unique(labels)]
    place = np.arange(len(labels)) - np.repeat(np.cumsum(counts) - counts, counts)
    chosen = np.zeros(len(labels), dtype=np.bool_)
    chosen[order] = place < np.repeat(np.round(share * counts), counts)
    return chosen


def _digits() -> Arrays:
    from sklearn.datasets import load_digits  # noqa: PLC0415

    found = load_digits()
    pixels = np.round(found.images[..., None] * (255 / 16)).astype(np.uint8)
    labels = found.target.astype(np.int64)
    test = held_out(labels, 0.2, "digits/test")
    return Arrays("digits", (pixels[~test], labels[~test]), (pixels[test], labels[test]), 10)


def read_npz(path: Path) -> Arrays:
    """Images of a user's own archive; raises HarnessError where it is none."""
    if not path.exists():
        raise HarnessError(f"there is nothing at {path}.", "--data takes a set's name or a file.npz.")
    with reading(path, "readable as npz", "it takes x_train, y_train, x_test and y_test."):
        if not zipfile.is_zipfile(path):
            raise HarnessError(f"{path} is {describe(path)}, not readable as npz.")
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            x, y, x_test, y_test = (archive[key] for key in ("x_train", "y_train", "x_test", "y_test"))
    for pixels, labels in ((x, y), (x_test, y_test)):
        fits = pixels.dtype == np.uint8 and pixels.ndim == 4 and pixels.size and labels.dtype.kind in "iu"
        if not fits or labels.shape != pixels.shape[:1]:
            raise HarnessError(
                f"{path} has images {pixels.dtype}{list(pixels.shape)} with labels {labels.dtype}{list(labels.shape)}.",
                "it takes images uint8[n, height, width, colours] and labels, whole numbers, [n].",
            )
    labels = (y.astype(np.int64), y_test.astype(np.int64))
    if min(map(np.min, labels)) < 0:
        raise HarnessError(f"{path} has negative labels.", "number the classes from 0.")
    return Arrays(path.stem, (x, labels[0]), (x_test, labels[1]), int(max(map(np.max, labels))) + 1)


def _official(name: str, layout: _Layout, root: Path) -> Arrays:
    folder = root / layout.folder
    if not folder.is_dir():
        seen = sorted(path.name for path in root.iterdir())[:6] if root.is_dir() else []
        raise HarnessError(
            f"{name} is not in {root}: expected the folder {layout.folder}, found {', '.join(seen) or 'nothing'}.",
            "--data-root names the folder in which the official archive was extracted.",
        )
    files = (*layout.train, *layout.test)
    missing = [file for file in files if not (folder / file).is_file()]
    if missing:
        raise HarnessError(
            f"{folder} is not whole: it has {len(files) - len(missing)} of {len(files)} files, "
            f"and no {', '.join(missing)}.",
            _AGAIN,
        )
    train, test = (_joined([_batch(folder / file, layout) for file in part]) for part in (layout.train, layout.test))
    return Arrays(name, train, test, layout.classes, _official_split(root, layout.split))


def _batch(path: Path, layout: _Layout) -> tuple[Pixels, Ints]:
    with reading(path, "a batch of images", _AGAIN):
        require_file(path, "a batch of images", _AGAIN.rstrip("."))
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as raw:
            found, _ = safe_pickle.load(raw, str(path))
    entries = {_text(key): value for key, value in found.items()} if isinstance(found, dict) else {}
    width = 3 * layout.side**2
    try:
        data = entries["data"]
        pixels = (data[0] if isinstance(data, list) else data).reshape(-1, 3, layout.side, layout.side)
        labels = np.array(entries[layout.labels], dtype=np.int64) - layout.first_label
        if pixels.dtype != np.uint8 or len(labels) != len(pixels):
            raise ValueError
    except Exception:  # whatever a foreign pickle makes of these steps
        raise HarnessError(
            f"{path} is not what it should be: images uint8[n, {width}] in 'data' and as many '{layout.labels}'; "
            f"found {', '.join(sorted(entries)) or 'none of these'}.",
            _AGAIN,
        ) from None
    kept = labels < layout.classes
    return np.ascontiguousarray(pixels[kept].transpose(0, 2, 3, 1)), labels[kept]


def _text(key: Any) -> str:
    return key.decode(errors="replace") if isinstance(key, bytes) else str(key)


def _joined(parts: Sequence[tuple[Pixels, Ints]]) -> tuple[Pixels, Ints]:
    return np.concatenate([pixels for pixels, _ in parts]), np.concatenate([labels for _, labels in parts])


def _official_split(root: Path, split: tuple[str, str, str]) -> tuple[str, Ints] | None:
    """Positions of validation images by NAS-Bench-201's split file, if it lies in `root`."""
    name, part, key = split
    if not (root / name).exists():
        return None
    with reading(root / name, "a split file of NAS-Bench-201", "copy it anew."):
        found = json.loads((root / name).read_text(encoding="utf-8"))
        return part, np.array(found[key][1], dtype=np.int64)
