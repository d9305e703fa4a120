"""ProxylessNAS: Cai, Zhu and Han, "ProxylessNAS: Direct neural architecture search on target task and hardware", ICLR
2019.

The weights learn one path, drawn by the alphas. For the alphas two operators of each decision are drawn and computed,
one of them gates the output; the probabilities of all others stay as they are. Expected latency, of which multiply-adds
are the model here, is added to the loss (Eq. 5), as a multiple of that of uniform probabilities.
"""

from __future__ import annotations

from typing import Annotated, Any

import torch

from algorithms.sharing.alphas import Alphas
from harness import Param
from harness.sharing.method import Choice, Setting, Step
from harness.sharing.operator_costs import multiply_adds


class Proxyless(Alphas):
    """Two paths for the alphas, one for the weights, and a price on latency; in the end the likeliest."""

    memory = (0.0, 0.999)

    def __init__(
        self,
        setting: Setting,
        *,
        lr: Annotated[float, Param("learning rate of the alphas over 39,000 steps", 0.0)] = 1e-3,
        latency: Annotated[float, Param("weight of the expected latency in the loss", 0.0)] = 0.1,
    ) -> None:
        super().__init__(setting, lr, weight_decay=0.0)
        self.latency = latency
        self.costs: torch.Tensor | None = None

    def choices(self) -> list[Choice]:
        return [Choice(torch.zeros_like(self.alphas, dtype=torch.bool).scatter(1, self._drawn(1), True).cpu().numpy())]

    def update(self, step: Step) -> None:
        if self.costs is None:
            self.costs = torch.from_numpy(multiply_adds(self.net, step)).to(self.alphas)
        pair, before = self._drawn(2), self.alphas.detach().clone()
        two = torch.zeros_like(before, dtype=torch.bool).scatter(1, pair, True)
        soft = self.alphas.masked_fill(~two, -torch.inf).softmax(1)
        first = torch.zeros_like(before).scatter(1, pair[:, :1], 1.0)
        loss = step.loss(Choice(two.cpu().numpy(), first + soft - soft.detach()), True)
        uniform = (~self.impossible).float()
        ordinary = (uniform / uniform.sum(1, keepdim=True) * self.costs).sum()
        self.move(loss + self.latency * (self.probabilities() * self.costs).sum() / ordinary)
        with torch.no_grad():
            old, new = (a.masked_fill(~two, -torch.inf).logsumexp(1, keepdim=True) for a in (before, self.alphas))
            self.alphas.copy_(torch.where(two, self.alphas + old - new, before))

    def _drawn(self, n: int) -> torch.Tensor:
        """The numbers Int[d, n] of n different operators of each decision, the first drawn by the probabilities."""
        return self.gumbel().detach().topk(n, dim=1).indices

    def state(self) -> dict[str, Any]:
        return {**super().state(), "costs": self.costs}

    def load(self, state: dict[str, Any]) -> None:
        super().load(state)
        self.costs = state["costs"]
