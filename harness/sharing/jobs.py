"""One search by weight sharing from its identity to its files."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import torch

from harness import registry
from harness.errors import HarnessError
from harness.sharing import log, lookup
from harness.sharing.search import SharedSearch, share
from harness.studies.study import source_of
from harness.train import checkpoint as checkpoints
from harness.train.devices import Place
from harness.train.images import ImageSet
from harness.train.loop import Watch


def finish(search: SharedSearch, images: ImageSet, place: Place, folder: Path, *, watch: Watch | None = None) -> None:
    """Have the log of `search` in `folder`, with its weights and its lookup table: searched for unless it is there.

    It goes on from its checkpoint where there is one. Raises what `share` does.
    """
    target, checkpoint = log.path(folder, search), log.checkpoint_path(folder, search)
    if target.exists():
        return
    rows, run = share(search, images, place, checkpoint=checkpoint, watch=watch)
    if place.rank > 0:
        return
    checkpoints.save(log.weights_path(folder, search), search, {"network": run.network.state_dict()})
    if run.method.lookup is not None:
        lookup.write(lookup.path(folder, search), search, run.method.lookup)
    log.write(target, log.Log(search, rows))
    checkpoint.unlink(missing_ok=True)


def left(searches: Iterable[SharedSearch], folder: Path) -> list[SharedSearch]:
    """Those that are not whole in `folder`. Raises HarnessError where the checkpoint of one is of another search."""
    found = [search for search in searches if not log.path(folder, search).exists()]
    for search in found:
        if (checkpoint := log.checkpoint_path(folder, search)).exists():
            checkpoints.load(checkpoint, search, torch.device("cpu"))
    return found


@dataclass(frozen=True)
class Share:
    """The assignment to make a search whole. Its outcome is that its files are there."""

    job: SharedSearch

    @property
    def label(self) -> str:
        return f"{self.job.method} on {self.job.space}, seed {self.job.seed}"

    @property
    def key(self) -> str:
        return self.job.id

    def files(self, folder: Path) -> list[Path]:
        return [find(folder, self.job) for find in (log.weights_path, lookup.path, log.path)]

    def checkpoint(self, folder: Path) -> Path:
        return log.checkpoint_path(folder, self.job)

    def __call__(self, images: ImageSet, place: Place, folder: Path, watch: Watch) -> None:
        if source_of(registry.method(self.job.method)) != self.job.source:
            raise HarnessError(
                f"{self.job.method} is another version here than where the command was given.",
                "install the same in both places.",
            )
        finish(self.job, images, place, folder, watch=watch)
