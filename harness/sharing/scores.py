"""Scores of architectures by the weights of a super-network."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from harness.arrays import Floats, Ints
from harness.sharing.method import Statistics, SuperNetwork
from harness.train.augment import DRAWS
from harness.train.devices import Place
from harness.train.images import ImageSet

_IMAGES = 1024
"""Images whose statistics batch normalisation takes together when architectures are scored."""

_NUMBERS = {"cpu": 1 << 24, "cuda": 1 << 26}
"""Activations of one layer that are held at once then."""


class Scorer:
    """Scores architectures on the validation images by the super-network's weights; each process takes its share."""

    def __init__(self, net: SuperNetwork, images: ImageSet, statistics: Statistics, place: Place | None = None) -> None:
        assert images.valid is not None
        self.net, self.images, self.statistics = net, images, statistics
        self.place = place or Place(torch.device("cpu"))

    def __call__(self, codes: Ints) -> Floats:
        return self.both(codes)[1]

    @torch.no_grad()
    def both(self, codes: Ints, count: int | None = None) -> tuple[Floats, Floats]:
        """Mean loss and accuracy of architectures Int[n, p], Float[n] each, on all images or `count` of them."""
        valid, net = self.images.valid, self.net
        assert valid is not None
        was_training, tuned = net.training, torch.backends.cudnn.benchmark
        net.eval()
        torch.backends.cudnn.benchmark = False  # every batch has another number of paths
        reference = self._reference() if self.statistics == "recalibrated" else None
        chosen = np.arange(len(valid)) if count is None else np.linspace(0, len(valid) - 1, count).astype(np.int64)
        size = math.prod(self.images.image[1:]) * 8 * min(len(chosen), _IMAGES)
        at_once = max(1, _NUMBERS[next(net.parameters()).device.type] // size)
        distinct, back = np.unique(net.canonical(self.place.told(codes)), axis=0, return_inverse=True)
        sums = np.zeros((2, len(distinct)))
        first, last = (len(distinct) * number // self.place.world for number in (self.place.rank, self.place.rank + 1))
        positions = np.array_split(chosen, math.ceil(len(chosen) / _IMAGES))
        for x, labels in valid.batches(positions, [np.zeros((len(p), DRAWS)) for p in positions], None):
            whole = x if reference is None else torch.cat([reference, x])
            for i in range(first, last, at_once):
                rows = distinct[i : min(i + at_once, last)]
                logits = net.evaluate(whole, rows, None if reference is None else len(reference)).float()
                flat, answers = logits.flatten(0, 1), labels.repeat(len(rows))
                loss = F.cross_entropy(flat, answers, reduction="none").view(len(rows), -1).sum(1)
                hits = (flat.argmax(1) == answers).view(len(rows), -1).sum(1)
                sums[:, i : i + len(rows)] += torch.stack([loss.double(), hits.double()]).cpu().numpy()
        net.train(was_training)
        torch.backends.cudnn.benchmark = tuned
        sums = self.place.sum(torch.from_numpy(sums).to(self.place.device)).cpu().numpy()
        loss, hits = sums[:, back.ravel()] / len(chosen)
        return loss, hits

    def _reference(self) -> Tensor:
        positions = np.arange(min(len(self.images.train), _IMAGES))
        ((x, _),) = self.images.train.batches([positions], [np.zeros((len(positions), DRAWS))], None)
        return x
