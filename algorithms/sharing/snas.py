"""SNAS: Xie, Zheng, Liu and Lin, "SNAS: Stochastic neural architecture search", ICLR 2019.

A step computes a mixture whose weights are a sample of the concrete distribution at a falling temperature. Weights and
alphas learn the same loss, on training images; held-out images only score what is derived.
"""

from __future__ import annotations

import math
from typing import Annotated

from algorithms.sharing.alphas import Tempered
from harness import Param
from harness.sharing.method import Choice, Setting, Step


class Snas(Tempered):
    """A concrete mixture of all operators; in the end the likeliest."""

    def __init__(
        self,
        setting: Setting,
        *,
        lr: Annotated[float, Param("learning rate of the alphas over 39,000 steps", 0.0)] = 3e-4,
        hot: Annotated[float, Param("temperature of the first epoch", 0.01)] = 1.0,
        cold: Annotated[float, Param("temperature of the last epoch", 0.01)] = 0.03,
    ) -> None:
        super().__init__(setting, lr, hot, cold)
        self.now: Choice | None = None

    def begin(self, epoch: int) -> None:
        self.tau = self.hot * math.exp(math.log(self.cold / self.hot) * epoch / max(1, self.setting.epochs - 1))

    def update(self, step: Step) -> None:
        self.now = self.mixture((self.gumbel() / self.tau).softmax(1))
        self.move(step.loss(self.now, False))

    def choices(self) -> list[Choice]:
        assert self.now is not None
        assert self.now.weights is not None
        return [self.mixture(self.now.weights.detach())]
