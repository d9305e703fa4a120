"""What the modules of a super-network are told of a pass, and batch normalisation that hears of it."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from harness.arrays import Ints
from harness.sharing.method import Choice, Statistics
from harness.train.devices import SharedBatchNorm


class Pass:
    """What the modules of a super-network are to do now."""

    choice: Choice
    codes: Ints | None = None
    groups = 1
    at: Ints
    reference: int | None = None
    statistics: Statistics = "batch"
    skip_dropout = 0.0
    world = 1
    """Processes over whose batches together batch normalisation takes its statistics in training."""


class Norm(SharedBatchNorm):
    """Batch normalisation of `groups` architectures, whose images follow each other in the batch."""

    now: Pass

    def forward(self, x: Tensor) -> Tensor:
        return self.normalised(x, self.now.groups)

    def normalised(self, x: Tensor, groups: int) -> Tensor:
        """`x` Float[groups n, c, h, w] by the statistics that are asked for, each group by its own."""
        if self.training and self.now.world > 1:
            return super().forward(x)
        if self.training or self.now.statistics == "running":
            return nn.BatchNorm2d.forward(self, x)
        if self.now.reference is None:
            parts = [
                F.batch_norm(part, None, None, self.weight, self.bias, True, 0.0, self.eps) for part in x.chunk(groups)
            ]
        else:
            parts = [self._recalibrated(part, self.now.reference) for part in x.chunk(groups)]
        return parts[0] if groups == 1 else torch.cat(parts)

    def _recalibrated(self, x: Tensor, reference: int) -> Tensor:
        variance, mean = torch.var_mean(x[:reference], (0, 2, 3), correction=0)
        return F.batch_norm(x, mean, variance, self.weight, self.bias, False, 0.0, self.eps)


def share(module: nn.Module, now: Pass) -> None:
    """Make of all batch normalisations in `module` those of a super-network."""
    for inner in module.modules():
        if type(inner) is nn.BatchNorm2d:
            object.__setattr__(inner, "now", now)
            inner.__class__ = Norm


def grouped(x: Tensor, groups: int) -> Tensor:
    """Float[groups, n, ...] of Float[groups n, ...]."""
    return x.reshape(groups, -1, *x.shape[1:])


def shuffled(x: Tensor, groups: int) -> Tensor:
    """The channels of `x` with those of the groups taken in turn."""
    return x.reshape(len(x), groups, -1, *x.shape[2:]).transpose(1, 2).flatten(1, 2)
