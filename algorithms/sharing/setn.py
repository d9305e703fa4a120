"""SETN: Dong and Yang, "One-shot neural architecture search via self-evaluated template network", ICCV 2019.

The weights learn uniform single paths, the alphas (the evaluator) the mixture's loss on held-out images. In the end
architectures are drawn by the alphas and scored, the best is taken.
"""

from __future__ import annotations

from typing import Annotated

import numpy as np

from algorithms.sharing.alphas import Alphas
from algorithms.sharing.sampling import best_of
from harness import Param
from harness.arrays import Ints
from harness.sharing.method import Choice, Score, Setting, Step


class Setn(Alphas):
    """Uniform paths for the weights, a mixture for the alphas, the best of what these draw in the end."""

    single = True

    def __init__(
        self,
        setting: Setting,
        *,
        lr: Annotated[float, Param("learning rate of the alphas over 39,000 steps", 0.0)] = 3e-4,
        samples: Annotated[int, Param("architectures that are drawn and scored", 1)] = 100,
    ) -> None:
        super().__init__(setting, lr)
        self.samples, self.every = samples, max(5, setting.epochs // 10)

    def choices(self) -> list[Choice]:
        space = self.net.space
        return [self.net.path(space.sample(self.setting.uniform(1, space.dimensions))[0])]

    def update(self, step: Step) -> None:
        self.move(step.loss(self.mixture(), True))

    def derive(self, score: Score, *, none: bool) -> Ints:
        noisy = [self.gumbel().detach().softmax(1).double().cpu().numpy() for _ in range(self.samples)]
        shut = ~self.net.named("none") | none
        return best_of(score, np.stack([self.net.architecture(np.where(shut, row, -1.0)) for row in noisy]))
