"""P-DARTS: Chen, Xie, Wu and Tian, "Progressive differentiable architecture search: Bridging the depth gap between
search and evaluation", ICCV 2019.

Three stages of a third of the epochs each. From one to the next the network gets deeper, and of each decision the less
likely operators are dropped: of 8 remain 5, then 3. Weights and alphas begin anew. A stage trains the weights alone for
40 % of its epochs, and drops what skip connections carry at a rate that falls. In the end at most M skip connections
are kept in the normal cell. (The learning rate of the weights is the recipe's over all stages, where the paper restarts
it.)
"""

from __future__ import annotations

import math
from typing import Annotated, Any

import numpy as np
import torch

from algorithms.sharing.darts import Darts
from harness import Param
from harness.arrays import Ints
from harness.sharing.method import Choice, Score, Setting, Step

STAGES = 3
SHARES = (1.0, 5 / 8, 3 / 8)
ALONE, EPOCHS, DECAY = 0.4, 25, 0.2
"""Share of a stage without alphas; epochs of the paper's stages, and how fast its dropout falls in one of them."""


class ProgressiveDarts(Darts):
    """DARTS in three stages of growing depth and fewer operators."""

    def __init__(
        self,
        setting: Setting,
        *,
        lr: Annotated[float, Param("learning rate of the alphas over 39,000 steps", 0.0)] = 6e-4,
        dropout: Annotated[
            float, Param("behind skips in the last stage, at first; 4/7 of it in the second", 0, 1)
        ] = 0.7,
        skips: Annotated[int, Param("M, skip connections that the normal cell may have", 0)] = 2,
    ) -> None:
        super().__init__(setting, lr=lr)
        self.dropout, self.skips, self.stage, self.fresh = dropout, skips, 0, False
        self.net.deepen(self._depth())

    def _depth(self) -> int:
        return 1 + round((self.net.cells - 1) * self.stage / (STAGES - 1))

    def begin(self, epoch: int) -> None:
        length = self.setting.epochs / STAGES
        stage = min(STAGES - 1, int(epoch / length))
        if stage > self.stage:
            self._shrink(stage)
        done = (epoch - self.stage * length) / length
        rate = self.dropout * (0.0, 4 / 7, 1.0)[self.stage]
        self.net.skip_dropout = rate * (1.0 - done if done < ALONE else math.exp(-DECAY * (done - ALONE) * EPOCHS))

    def _shrink(self, stage: int) -> None:
        """Drop the least likely operators, and begin anew with a deeper network."""
        self.stage, self.fresh = stage, True
        probabilities = self.probabilities().detach()
        for row, kept in zip(probabilities, self.net.possible, strict=True):
            row[row.argsort(descending=True)[max(2, round(SHARES[stage] * kept.sum())) :]] = -1.0
        self.impossible |= probabilities < 0.0
        self.net.deepen(self._depth())
        for module in self.net.modules():
            begin_anew = getattr(module, "reset_parameters", None)
            if callable(begin_anew):
                begin_anew()
        with torch.no_grad():
            self.alphas.copy_(1e-3 * torch.randn_like(self.alphas))
        self.adam.state.clear()

    def mixture(self, weights: torch.Tensor | None = None) -> Choice:
        found = super().mixture(weights)
        return Choice(found.active & ~self.impossible.cpu().numpy(), found.weights)

    def update(self, step: Step) -> None:
        if self.fresh:
            step.optimizer.state.clear()
            self.fresh = False
        length = self.setting.epochs / STAGES
        if step.epoch - self.stage * length >= ALONE * length:
            super().update(step)

    def derive(self, score: Score, *, none: bool) -> Ints:
        weights = self.distribution()
        weights = weights if none else np.where(self.net.named("none"), -1.0, weights)
        skip = self.net.skips & self.net.normal[:, None]
        while True:
            codes = self.net.architecture(weights)
            kept = self.net.path(codes).active & skip
            if kept.sum() <= self.skips:
                return codes
            weakest = np.where(kept, weights, np.inf).argmin()
            weights = weights.copy()
            weights.flat[weakest] = -2.0

    def state(self) -> dict[str, Any]:
        return {**super().state(), "stage": self.stage, "impossible": self.impossible, "dropout": self.net.skip_dropout}

    def load(self, state: dict[str, Any]) -> None:
        super().load(state)
        self.stage, self.impossible = state["stage"], state["impossible"]
        self.net.deepen(self._depth())
        self.net.skip_dropout = state["dropout"]
