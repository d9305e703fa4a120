"""What gradient methods share: parameters of the distribution, their optimizer, and its learning rate."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from harness.arrays import Floats
from harness.sharing.method import Choice, Method, Setting

STEPS = 39_000
"""Steps that the learning rates of the papers are for: 50 epochs of 25,000 images, batches of 32 to 64."""


class Alphas(Method):
    """A distribution softmax(alphas) over the operators of each decision, moved by Adam with the betas `memory`.

    Over a search of fewer steps than the papers' the learning rate is higher in proportion, so that alphas travel as
    far; beyond a factor of `most` it is not.
    """

    most = 100.0
    memory = (0.5, 0.999)

    def __init__(self, setting: Setting, lr: float, weight_decay: float = 1e-3) -> None:
        super().__init__(setting)
        device = next(self.net.parameters()).device
        start = 1e-3 * torch.from_numpy(_normal(setting.uniform(2, *self.net.possible.shape))).float()
        self.alphas = nn.Parameter(start.to(device))
        self.impossible = torch.from_numpy(~self.net.possible).to(device)
        factor = min(self.most, max(1.0, STEPS / (setting.epochs * setting.steps)))
        self.adam = torch.optim.Adam(self.learned(), lr * factor, self.memory, weight_decay=weight_decay)

    def learned(self) -> list[nn.Parameter]:
        """What the optimizer of the distribution moves."""
        return [self.alphas]

    def probabilities(self) -> Tensor:
        """softmax(alphas), Float[d, k]."""
        return self.alphas.masked_fill(self.impossible, -torch.inf).softmax(1)

    def gumbel(self) -> Tensor:
        """Alphas with noise whose largest is a sample of softmax(alphas), Float[d, k]."""
        draws = torch.from_numpy(self.setting.uniform(*self.alphas.shape)).to(self.alphas)
        noise = -torch.log(-torch.log(draws.clamp(1e-10, 1 - 1e-7)))
        return (self.alphas + noise).masked_fill(self.impossible, -torch.inf)

    def mixture(self, weights: Tensor | None = None) -> Choice:
        """All operators, weighed by their probabilities unless by others."""
        return Choice(self.net.possible, self.probabilities() if weights is None else weights)

    def move(self, loss: Tensor) -> None:
        """A step of Adam down the gradient of `loss`; the weights get no gradient from it."""
        gradients = torch.autograd.grad(loss, self.learned(), allow_unused=True, materialize_grads=True)
        for parameter, gradient in zip(self.learned(), gradients, strict=True):
            parameter.grad = gradient
        self.adam.step()

    def distribution(self) -> Floats:
        found: Floats = self.probabilities().detach().double().cpu().numpy()
        return found

    def state(self) -> dict[str, Any]:
        return {"learned": [p.detach().clone() for p in self.learned()], "adam": self.adam.state_dict()}

    def load(self, state: dict[str, Any]) -> None:
        with torch.no_grad():
            for parameter, value in zip(self.learned(), state["learned"], strict=True):
                parameter.copy_(value)
        self.adam.load_state_dict(state["adam"])


class Tempered(Alphas):
    """Alphas whose samples have a temperature, `tau`, that is the method's to lower."""

    def __init__(self, setting: Setting, lr: float, hot: float, cold: float) -> None:
        super().__init__(setting, lr)
        self.hot, self.cold, self.tau = hot, cold, hot

    def state(self) -> dict[str, Any]:
        return {**super().state(), "tau": self.tau}

    def load(self, state: dict[str, Any]) -> None:
        super().load(state)
        self.tau = float(state["tau"])


def _normal(draws: Floats) -> Floats:
    """Standard normal numbers Float[...] out of uniform ones Float[2, ...] (Box and Muller)."""
    one, other = np.maximum(draws[0], 1e-12), draws[1]
    return np.asarray(np.sqrt(-2.0 * np.log(one)) * np.cos(2.0 * np.pi * other))
