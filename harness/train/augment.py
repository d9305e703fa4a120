"""Augmentation of whole batches on the device: crop, flip, cutout, and AutoAugment by torchvision.

What is random is given as numbers in [0, 1) per image, so that a batch is the same in any process and on any device.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from harness.benchmarks.formats.content import extra
from harness.train.recipes import Recipe

DRAWS = 5
"""Numbers that an image needs: row and column of the crop, flip, row and column of the cutout."""

Augment = Callable[[Tensor, Tensor], tuple[Tensor, Tensor | None]]
"""Pixels UInt8[n, h, w, c] and draws Float[n, 5] -> pixels of the same shape, and where to keep them Bool[n, h, w]."""


def augmentation(recipe: Recipe) -> Augment:
    """What `recipe` does to training images. Raises HarnessError if it needs torchvision and there is none."""
    policy = None
    if recipe.policy == "autoaugment":
        transforms = extra("torchvision.transforms", "torchvision", "train", need="AutoAugment")
        policy = transforms.AutoAugment(transforms.AutoAugmentPolicy.CIFAR10)

    def augment(pixels: Tensor, draws: Tensor) -> tuple[Tensor, Tensor | None]:
        if recipe.crop or recipe.flip:
            pixels = crop_and_flip(pixels, draws, recipe.crop, flip=recipe.flip)
        if policy is not None:
            pixels = torch.stack([policy(image) for image in pixels.movedim(3, 1)]).movedim(1, 3)
        return pixels, kept(draws[:, 3:], pixels.shape[1], pixels.shape[2], recipe.cutout) if recipe.cutout else None

    return augment


def crop_and_flip(pixels: Tensor, draws: Tensor, padding: int, *, flip: bool) -> Tensor:
    """Windows of the size of the image at random places of the image padded with black, mirrored for one in two."""
    n, height, width, _ = pixels.shape
    offsets = (draws[:, :2] * (2 * padding + 1)).long()
    rows = torch.arange(height, device=pixels.device) + offsets[:, :1]
    columns = torch.arange(width, device=pixels.device).expand(n, width)
    if flip:
        columns = torch.where(draws[:, 2:3] < 0.5, width - 1 - columns, columns)
    padded = F.pad(pixels, (0, 0, padding, padding, padding, padding))
    image = torch.arange(n, device=pixels.device)
    return padded[image[:, None, None], rows[:, :, None], (columns + offsets[:, 1:2])[:, None, :]]


def kept(draws: Tensor, height: int, width: int, side: int) -> Tensor:
    """Bool[n, h, w]: outside of a square of `side` pixels around a random one, which may reach over the border.

    DeVries and Taylor, "Improved regularization of convolutional neural networks with cutout", 2017.
    """
    inside = []
    for axis, size in enumerate((height, width)):
        first = (draws[:, axis : axis + 1] * size).long() - side // 2
        place = torch.arange(size, device=draws.device)
        inside.append((place >= first) & (place < first + side))
    return ~(inside[0][:, :, None] & inside[1][:, None, :])
