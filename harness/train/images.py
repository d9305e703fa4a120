"""Images as the loop takes them: whole sets on the device, or folders read by worker processes."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from harness.arrays import Bools, Floats, Ints
from harness.benchmarks.formats.content import extra
from harness.errors import HarnessError, unknown
from harness.train import image_files
from harness.train.augment import DRAWS, Augment
from harness.train.image_files import Arrays, Pixels, held_out
from harness.train.recipes import Recipe

Batch = tuple[Tensor, Tensor]
Decode = Callable[[str], Any]
"""Reads a file into an image of the Python imaging library."""
Transform = Callable[[Any], Tensor]
_WORKERS = 8
_PREFETCH = 4


class Images(Protocol):
    """One split. Batches are Float[n, c, h, w] and labels Int[n] on the device."""

    def __len__(self) -> int: ...

    def batches(self, positions: Sequence[Ints], draws: Sequence[Floats], augment: Augment | None) -> Iterator[Batch]:
        """The images at each of `positions` Int[n]; with `augment`, changed by `draws` Float[n, DRAWS]."""
        ...


@dataclass(frozen=True, eq=False)
class ImageSet:
    """What a network is trained, validated and tested on; `valid` is None where nothing is held out.

    `image` is (colours, height, width), `words` says where the splits come from, `checksum` is of what was read.
    """

    name: str
    classes: int
    image: tuple[int, int, int]
    train: Images
    valid: Images | None
    test: Images
    words: str
    checksum: str


@dataclass(frozen=True, eq=False)
class Resident:
    """Images UInt8[n, h, w, c] and labels Int[n] on the device, with the mean and spread of each colour."""

    pixels: Tensor
    labels: Tensor
    mean: Tensor
    spread: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def batches(self, positions: Sequence[Ints], draws: Sequence[Floats], augment: Augment | None) -> Iterator[Batch]:
        device = self.pixels.device
        for i, where in enumerate(positions):
            at = torch.as_tensor(where).to(device, non_blocking=True)
            pixels, kept = self.pixels[at], None
            if augment is not None:
                pixels, kept = augment(pixels, torch.as_tensor(draws[i], dtype=torch.float32).to(device))
            yield normalised(pixels, self.mean, self.spread, kept), self.labels[at]


def normalised(pixels: Tensor, mean: Tensor, spread: Tensor, kept: Tensor | None = None) -> Tensor:
    """Float[n, c, h, w] in channels-last memory out of UInt8[n, h, w, c]; 0 where not `kept` Bool[n, h, w]."""
    x = (pixels.float() - mean) / spread
    if kept is not None:
        x = x * kept[..., None]
    return x.movedim(3, 1)


def load(name: str, root: Path | None, recipe: Recipe, device: torch.device) -> ImageSet:
    """The image set `name`: digits, cifar10, cifar100, imagenet16-120, a file NAME.npz, or a folder of images.

    A folder has the subfolders train, val and, optionally, test, each with one subfolder per class. Raises
    HarnessError if it is not there whole.
    """
    if name in image_files.NAMES or name.endswith(".npz"):
        return of_arrays(image_files.read(name, root), recipe, device)
    folder = (root / name) if root is not None else Path(name)
    if not folder.is_dir():
        known = [*image_files.NAMES, "a file.npz", "a folder of images"]
        if "/" in name or root is not None:
            raise HarnessError(f"there is no folder {folder}.", f"--data takes {', '.join(known)}.")
        raise unknown("image set", name, known)
    return _folder(folder, recipe, device)


def of_arrays(arrays: Arrays, recipe: Recipe, device: torch.device) -> ImageSet:
    """Splits of `arrays` by the rule of `recipe`, resident on the device."""
    source, kept, words = _validation(arrays, recipe)
    pixels, labels = arrays.train if source == "train" else arrays.test
    parts: dict[str, tuple[Pixels, Ints]] = {"train": arrays.train, "test": arrays.test}
    valid = (pixels[kept], labels[kept]) if kept.any() else None
    parts[source] = (pixels[~kept], labels[~kept])
    for part in parts:
        if not len(parts[part][1]):
            raise HarnessError(f"{arrays.name} has no images left for {part}.", "hold fewer out: validation = 0.2")
    mean, spread = (torch.tensor(x, dtype=torch.float32, device=device) for x in _moments(parts["train"][0]))

    def resident(part: tuple[Pixels, Ints]) -> Resident:
        images, classes = (torch.from_numpy(np.ascontiguousarray(x)).to(device) for x in part)
        return Resident(images, classes, mean, spread)

    digest = hashlib.sha256()
    for split in (parts["train"], valid, parts["test"]):
        for array in split or ():
            digest.update(np.ascontiguousarray(array).data)
    height, width, colours = arrays.train[0].shape[1:]
    return ImageSet(
        arrays.name,
        arrays.classes,
        (colours, height, width),
        resident(parts["train"]),
        None if valid is None else resident(valid),
        resident(parts["test"]),
        f"{len(parts['train'][1]):,} images to train, {len(valid[1]) if valid else 0:,} to validate ({words}), "
        f"{len(parts['test'][1]):,} to test",
        digest.hexdigest()[:16],
    )


def _validation(arrays: Arrays, recipe: Recipe) -> tuple[str, Bools, str]:
    """From which images, which of them, and by which rule."""
    from_test = recipe.splits == "nb201" and arrays.name in ("cifar100", "imagenet16-120")
    source = "test" if from_test else "train"
    labels = (arrays.test if from_test else arrays.train)[1]
    share = 0.5 if from_test else recipe.validation
    if recipe.splits == "nb201" and share == 0.5 and arrays.validation is not None and arrays.validation[0] == source:
        positions = arrays.validation[1]
        if positions.min() < 0 or positions.max() >= len(labels):
            raise HarnessError(f"the split file names images that {arrays.name} does not have.", "copy it anew.")
        kept = np.zeros(len(labels), dtype=np.bool_)
        kept[positions] = True
        return source, kept, "NAS-Bench-201's split file"
    return (
        source,
        held_out(labels, share, f"{arrays.name}/validation"),
        f"{share:.0%} of each class of the {source} set",
    )


def _moments(pixels: Pixels) -> tuple[Floats, Floats]:
    """Mean and standard deviation of each colour, Float[c], out of a histogram: exact, and in little memory."""
    levels = np.arange(256)
    counts = np.stack([np.bincount(pixels[..., c].ravel(), minlength=256) for c in range(pixels.shape[3])])
    mean = counts @ levels / counts.sum(axis=1)
    spread = np.sqrt(counts @ levels**2 / counts.sum(axis=1) - mean**2)
    return mean, np.where(spread > 0, spread, 1.0)


class _Files(Dataset[tuple[Tensor, int]]):
    """Decodes one image of a folder; what is random in it follows from the draw that comes with the position."""

    def __init__(self, samples: list[tuple[str, int]], decode: Decode, transform: Transform) -> None:
        self.samples, self.decode, self.transform = samples, decode, transform

    def __getitem__(self, key: tuple[int, int]) -> tuple[Tensor, int]:
        position, seed = key
        path, label = self.samples[position]
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return self.transform(self.decode(path)), label


@dataclass(frozen=True, eq=False)
class Folder:
    """Images of a folder, decoded and cropped by worker processes, normalised on the device."""

    samples: list[tuple[str, int]]
    decode: Decode
    training: Transform
    plain: Transform
    device: torch.device
    mean: Tensor
    spread: Tensor

    def __len__(self) -> int:
        return len(self.samples)

    def batches(self, positions: Sequence[Ints], draws: Sequence[Floats], augment: Augment | None) -> Iterator[Batch]:
        seeds = [
            (d[:, 0] * 2.0**52).astype(np.int64) if augment else np.zeros(len(p), np.int64)
            for p, d in zip(positions, draws, strict=True)
        ]
        keys = [list(zip(p.tolist(), s.tolist(), strict=True)) for p, s in zip(positions, seeds, strict=True)]
        files = _Files(self.samples, self.decode, self.training if augment else self.plain)
        loader = DataLoader(
            files,
            batch_sampler=keys,
            num_workers=min(_WORKERS, len(os.sched_getaffinity(0))),
            prefetch_factor=_PREFETCH,
            pin_memory=self.device.type == "cuda",
        )
        for pixels, labels in loader:
            on_device = pixels.to(self.device, non_blocking=True).movedim(1, 3)
            yield normalised(on_device, self.mean, self.spread), labels.to(self.device, non_blocking=True)


def _folder(folder: Path, recipe: Recipe, device: torch.device) -> ImageSet:
    vision = extra("torchvision", "torchvision", "train", need="a folder of images")
    found = sorted(path.name for path in folder.iterdir() if path.is_dir())
    if not {"train", "val"} <= {*found}:
        raise HarnessError(
            f"{folder} is no set of images: expected the folders train and val, "
            f"found {', '.join(found[:6]) or 'none'}.",
            "each has one folder per class; a folder test is optional.",
        )
    try:
        parts: dict[str, Any] = {
            part: vision.datasets.ImageFolder(folder / part) for part in ("train", "val", "test") if part in found
        }
    except FileNotFoundError as error:
        raise HarnessError(f"{folder} is not whole: {error}.", "every class needs an image in every split.") from None
    classes = parts["train"].classes
    for dataset in parts.values():
        if dataset.classes != classes:
            raise HarnessError(f"{folder} has other classes in {dataset.root} than in train.", "extract it again.")
    v2, side = extra("torchvision.transforms.v2", "torchvision", "train", need="a folder of images"), recipe.image
    flip = [v2.RandomHorizontalFlip()] if recipe.flip else []
    policy = [v2.AutoAugment()] if recipe.policy == "autoaugment" else []
    training = v2.Compose([v2.RandomResizedCrop(side), *flip, *policy, v2.PILToTensor()])
    plain = v2.Compose([v2.Resize(round(side / 0.875)), v2.CenterCrop(side), v2.PILToTensor()])
    mean = torch.tensor([0.485, 0.456, 0.406], device=device) * 255
    spread = torch.tensor([0.229, 0.224, 0.225], device=device) * 255

    def images(part: str) -> Folder:
        return Folder(parts[part].samples, parts[part].loader, training, plain, device, mean, spread)

    digest = hashlib.sha256()
    for part, dataset in parts.items():
        digest.update(repr([(part, Path(path).name, label) for path, label in dataset.samples]).encode())
    test = images("test" if "test" in parts else "val")
    valid = images("val") if "test" in parts else None
    return ImageSet(
        folder.name,
        len(classes),
        (3, side, side),
        images("train"),
        valid,
        test,
        f"{len(parts['train']):,} images to train, {len(valid) if valid else 0:,} to validate, {len(test):,} to test",
        digest.hexdigest()[:16],
    )


__all__ = ["DRAWS", "Folder", "ImageSet", "Images", "Resident", "load", "normalised", "of_arrays"]
