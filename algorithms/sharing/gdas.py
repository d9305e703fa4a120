"""GDAS: Dong and Yang, "Searching for a robust neural architecture in four GPU hours", CVPR 2019.

A step computes one operator of each decision, drawn by Gumbel noise: the others are not computed, and the gradient of
the alphas is that of the soft sample at the temperature, which falls linearly. (The authors' code adds a term to the
gradient, through numbers that are zero in the forward pass; it is not here.)
"""

from __future__ import annotations

from typing import Annotated

import numpy as np

from algorithms.sharing.alphas import Tempered
from harness import Param
from harness.sharing.method import Choice, Setting, Step


class Gdas(Tempered):
    """One drawn operator per decision; in the end the likeliest."""

    def __init__(
        self,
        setting: Setting,
        *,
        lr: Annotated[float, Param("learning rate of the alphas over 39,000 steps", 0.0)] = 3e-4,
        hot: Annotated[float, Param("temperature of the first epoch", 0.01)] = 10.0,
        cold: Annotated[float, Param("temperature of the last epoch", 0.01)] = 0.1,
    ) -> None:
        super().__init__(setting, lr, hot, cold)

    def begin(self, epoch: int) -> None:
        self.tau = self.hot + (self.cold - self.hot) * epoch / max(1, self.setting.epochs - 1)

    def drawn(self) -> Choice:
        """One operator per decision, with weight one and the gradient of its soft weight."""
        noisy = self.gumbel()
        chosen = noisy.detach().argmax(1)
        soft = (noisy / self.tau).softmax(1)
        hard = np.eye(soft.shape[1], dtype=np.bool_)[chosen.cpu().numpy()]
        return Choice(hard, 1.0 + soft - soft.detach())

    def choices(self) -> list[Choice]:
        return [Choice(self.drawn().active)]

    def update(self, step: Step) -> None:
        self.move(step.loss(self.drawn(), True))
