"""PC-DARTS: Xu et al., "PC-DARTS: Partial channel connections for memory-efficient architecture search", ICLR 2020.

Operators see a quarter of the channels, the others pass by, and all are shuffled. What comes into a node over its edges
is weighed by softmax(betas), which learn with the alphas. The first epochs train the weights alone.
"""

from __future__ import annotations

from typing import Annotated

import numpy as np
import torch
from torch import Tensor, nn

from algorithms.sharing.darts import Darts
from harness import Param
from harness.arrays import Ints
from harness.sharing.method import Choice, Score, Setting, Step


class PartialDarts(Darts):
    """DARTS of the first order on partial channels, with edge normalisation."""

    partial = 4

    def __init__(
        self,
        setting: Setting,
        *,
        lr: Annotated[float, Param("learning rate of alphas and betas over 39,000 steps", 0.0)] = 6e-4,
        warm: Annotated[float, Param("share of the epochs that train the weights alone", 0.0, 1.0)] = 0.3,
    ) -> None:
        self.betas = nn.Parameter(torch.zeros(len(setting.net.operators)))
        super().__init__(setting, lr=lr)
        self.warm, self.node = warm, torch.zeros(len(self.betas), dtype=torch.long)
        for number, edges in enumerate(self.net.into):
            self.node[list(edges)] = number

    def learned(self) -> list[nn.Parameter]:
        self.betas.data = self.betas.data.to(self.alphas.device)
        return [self.alphas, self.betas]

    def edges(self) -> Tensor:
        """softmax(betas) over the edges of each node, Float[d]."""
        node = self.node.to(self.betas.device)
        e = (self.betas - self.betas.detach().max()).exp()
        return e / e.new_zeros(len(self.net.into)).index_add(0, node, e)[node]

    def mixture(self, weights: Tensor | None = None) -> Choice:
        whole = super().mixture(weights)
        edges = self.edges()
        return Choice(whole.active, whole.weights, edges if weights is None else edges.detach())

    def derive(self, score: Score, *, none: bool) -> Ints:
        weights = self.distribution() * self.edges().detach().double().cpu().numpy()[:, None]
        return self.net.architecture(weights if none else np.where(self.net.named("none"), -1.0, weights))

    def update(self, step: Step) -> None:
        if step.epoch >= self.warm * self.setting.epochs:
            super().update(step)
