"""One training from its job to its file."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from harness.train import results
from harness.train.devices import Place
from harness.train.images import ImageSet
from harness.train.loop import Task, Watch, train
from harness.train.networks import build, multiply_adds, parameters
from harness.train.results import Curve, Job, Origin, Training


def finish(
    job: Job, images: ImageSet, place: Place, folder: Path, *, origin: Origin | None = None, watch: Watch | None = None
) -> Training:
    """The training of `job`: out of its file in `folder`, or made, going on from its checkpoint where there is one.

    Raises what `loop.train` does.
    """
    target, checkpoint = results.path(folder, job), results.checkpoint_path(folder, job)
    if target.exists():
        return results.read(target)
    heard = _Notes(watch or Watch())
    curve = train(job, images, place, checkpoint=checkpoint, watch=heard)
    training = Training(job, curve, _facts(job, images, place, heard.notes), origin)
    if place.rank == 0:
        results.write(training, target)
        checkpoint.unlink(missing_ok=True)
    return training


@dataclass(frozen=True)
class Train:
    """The assignment to train the network of `job` to its end or for `until` epochs of its recipe's schedule.

    `origin` is noted with a whole training. Its outcome is the curve.
    """

    job: Job
    until: int | None = None
    origin: Origin | None = None

    @property
    def label(self) -> str:
        return f"{self.job.title}, seed {self.job.seed}"

    @property
    def epochs(self) -> int:
        """How many it then has."""
        whole = self.job.recipe.epochs
        return min(self.until or whole, whole)

    @property
    def key(self) -> str:
        return f"{self.job.id}-{self.epochs}"

    def files(self, folder: Path) -> list[Path]:
        return [results.path(folder, self.job)]

    def checkpoint(self, folder: Path) -> Path:
        return results.checkpoint_path(folder, self.job)

    def __call__(self, images: ImageSet, place: Place, folder: Path, watch: Watch) -> Curve:
        if self.epochs == self.job.recipe.epochs:
            return finish(self.job, images, place, folder, origin=self.origin, watch=watch).curve
        if (target := results.path(folder, self.job)).exists():
            return results.read(target).curve.first(self.epochs)
        kept = self.checkpoint(folder)
        return train(self.job, images, place, checkpoint=kept, until=self.epochs, watch=watch).first(self.epochs)


def _facts(job: Job, images: ImageSet, place: Place, notes: Sequence[str]) -> dict[str, Any]:
    with torch.random.fork_rng(devices=[]):
        network = build(job.architecture, job.recipe, colours=images.image[0], classes=images.classes)
    versions = {"nas-harness": version("nas-harness"), "torch": torch.__version__, "python": platform.python_version()}
    return {
        "splits": images.words,
        "training_images": len(images.train),
        "parameters": parameters(network),
        "multiply_adds": multiply_adds(network, images.image),
        "device": torch.cuda.get_device_name(place.device) if place.device.type == "cuda" else "cpu",
        "processes": place.world,
        "notes": list(notes),
        "versions": versions,
    }


class _Notes(Watch):
    """Keeps what is noted, and passes everything on."""

    def __init__(self, to: Watch) -> None:
        self.to, self.notes = to, list[str]()

    def step(self, epoch: int, done: float, images_per_second: float) -> None:
        self.to.step(epoch, done, images_per_second)

    def epoch(self, job: Task, epoch: int, row: dict[str, float]) -> None:
        self.to.epoch(job, epoch, row)

    def note(self, text: str) -> None:
        self.notes.append(text)
        self.to.note(text)
