"""Recipes: how a network is trained, as typed TOML files. Those of published benchmarks come with the package."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, Literal

from harness import toml
from harness.errors import HarnessError, unknown
from harness.fields import fit
from harness.params import Param

_MOST = 1_000_000
_SHIPPED = Path(__file__).parent / "recipe_files"


@dataclass(frozen=True)
class Recipe:
    """Everything that decides a training but the architecture, the images and the seed.

    `seeds` are those of the repeats that are trained by default; further ones count on from the last.
    """

    title: Annotated[str, Param("where it comes from")]
    epochs: Annotated[int, Param("passes over the training images", 1)]
    batch: Annotated[int, Param("images per step, over all processes", 2)]
    lr: Annotated[float, Param("learning rate at the start", 0.0)]
    channels: Annotated[int, Param("channels of the stem", 1)] = 16
    cells: Annotated[int, Param("cells per stage, of which there are three", 1)] = 5
    stem: Annotated[Literal["small", "imagenet"], Param("keeps the size of the image, or divides it by eight")] = (
        "small"
    )
    optimizer: Annotated[Literal["sgd", "rmsprop"], Param("rmsprop is TensorFlow's")] = "sgd"
    momentum: Annotated[float, Param("momentum", 0.0, 1.0)] = 0.9
    nesterov: Annotated[bool, Param("Nesterov's momentum, for sgd")] = False
    decay: Annotated[float, Param("share of the old mean square, for rmsprop", 0.0, 1.0)] = 0.9
    epsilon: Annotated[float, Param("added to the mean square, for rmsprop", 0.0)] = 1.0
    weight_decay: Annotated[float, Param("weight decay", 0.0)] = 0.0
    schedule: Annotated[
        Literal["cosine", "cosine-epochs", "exponential"],
        Param("cosine to zero by the step or by the epoch, or a factor per epoch"),
    ] = "cosine"
    gamma: Annotated[float, Param("factor per epoch of the schedule exponential", 0.0, 1.0)] = 1.0
    clip: Annotated[float, Param("largest norm of the gradient; 0 for none", 0.0)] = 0.0
    label_smoothing: Annotated[float, Param("share of the label that goes to all classes", 0.0, 1.0)] = 0.0
    auxiliary: Annotated[float, Param("weight of the auxiliary head's loss; 0 for none", 0.0)] = 0.0
    drop_path: Annotated[float, Param("chance of dropping an edge in the last epoch, rising from 0", 0.0, 0.99)] = 0.0
    crop: Annotated[int, Param("pixels of padding before the random crop; 0 for none", 0)] = 0
    flip: Annotated[bool, Param("random horizontal flip")] = False
    cutout: Annotated[int, Param("side of the square that is cut out; 0 for none", 0)] = 0
    policy: Annotated[Literal["none", "autoaugment"], Param("further augmentation, by torchvision")] = "none"
    image: Annotated[int, Param("side of the crop of a folder of images", 8)] = 224
    validation: Annotated[float, Param("share of the training images that is held out", 0.0, 0.9)] = 0.2
    splits: Annotated[Literal["share", "nb201"], Param("nb201: validates CIFAR-100 and ImageNet16 on test images")] = (
        "share"
    )
    seeds: tuple[Annotated[int, Param("seed of a repeat", 0, 2**53)], ...] = (0, 1, 2)
    methods: Mapping[str, Mapping[str, Any]] = field(default_factory=dict, compare=False)
    """Parameters of methods of weight sharing, in place of their defaults; a search has them as its own."""

    def repeats(self, count: int | None = None, of: int = 1) -> list[int]:
        """The seeds of the first `count` repeats of each of `of` architectures.

        Raises HarnessError for more than a million trainings.
        """
        count = len(self.seeds) if count is None else count
        if count * of > _MOST:
            raise HarnessError(f"{count * of:,} trainings are more than {_MOST:,}.", "ask for fewer --repeats.")
        return [self.repeat(number) for number in range(count)]

    def repeat(self, number: int) -> int:
        """The seed of the repeat of this number, from 0."""
        return self.seeds[number] if number < len(self.seeds) else self.seeds[-1] + 1 + number - len(self.seeds)

    def learning_rate(self, epoch: int, share: float) -> float:
        """Learning rate at `share` in [0, 1) of the epoch that begins after `epoch` whole ones."""
        if self.schedule == "exponential":
            return self.lr * self.gamma**epoch
        done = epoch + (share if self.schedule == "cosine" else 0.0)
        return self.lr * 0.5 * (1.0 + math.cos(math.pi * done / self.epochs))

    def to_json(self) -> dict[str, Any]:
        said = {**asdict(self), "seeds": list(self.seeds)}
        del said["methods"]
        return said


def names() -> list[str]:
    """The recipes that come with the package."""
    return sorted(path.stem for path in _SHIPPED.glob("*.toml"))


def read(name: str) -> Recipe:
    """The recipe called `name`, or the one in the file NAME.toml. Raises HarnessError if there is none."""
    path = Path(name) if name.endswith(".toml") else _SHIPPED / f"{name}.toml"
    if not name.endswith(".toml") and name not in names():
        raise unknown("recipe", name, names())
    said = toml.read(path, f"or use {', '.join(names())}.")
    found: Recipe = fit(said, Recipe, f"the recipe {name}:", 'see the page "Train for real" of the documents.')
    if len({*found.seeds}) < max(1, len(found.seeds)):
        raise HarnessError(f"the recipe {name} has no seeds in {[*found.seeds]}.", "write seeds = [777, 888, 999]")
    return found


def chosen(name: str | None, space: str, images: str, epochs: int | None) -> Recipe:
    """The recipe called `name`, by default that of the images or of the search space, with `epochs` if given."""
    found = read(name or (images if images in names() else space))
    return found if epochs is None else replace(found, epochs=epochs)
