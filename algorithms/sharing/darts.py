"""DARTS: Liu, Simonyan and Yang, "DARTS: Differentiable architecture search", ICLR 2019.

The weights learn the mixture on training images, the alphas on held-out ones. In second order the gradient of the
alphas is taken at weights that are one step further (Eq. 6), its second term by finite differences (Eq. 8).
"""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from torch import Tensor

from algorithms.sharing.alphas import Alphas
from harness import Param
from harness.sharing.method import Choice, Setting, Step


class Darts(Alphas):
    """A mixture of all operators; in the end the likeliest."""

    reach = 0.01
    """How far finite differences move the weights, in all, to either side."""

    def __init__(
        self,
        setting: Setting,
        *,
        order: Annotated[Literal["first", "second"], Param("of the gradient of the alphas")] = "first",
        lr: Annotated[float, Param("learning rate of the alphas over 39,000 steps", 0.0)] = 3e-4,
        weight_decay: Annotated[float, Param("of the alphas", 0.0)] = 1e-3,
    ) -> None:
        super().__init__(setting, lr, weight_decay)
        self.order = order

    def choices(self) -> list[Choice]:
        return [self.mixture(self.probabilities().detach())]

    def update(self, step: Step) -> None:
        if self.order == "first":
            self.move(step.loss(self.mixture(), True))
        else:
            self.alphas.grad = self.second_order(step)
            self.adam.step()

    def second_order(self, step: Step) -> Tensor:
        """The gradient Float[d, k] of the validation loss at the weights after one step of theirs."""
        weights, group = step.weights, step.optimizer.param_groups[0]
        before = [w.detach().clone() for w in weights]
        moved = torch.autograd.grad(step.loss(self.mixture(), False), weights, allow_unused=True)
        with torch.no_grad():
            for w, gradient in zip(weights, moved, strict=True):
                if gradient is not None:
                    speed = step.optimizer.state[w].get("momentum_buffer")
                    down = gradient + group["weight_decay"] * w
                    w.sub_(group["lr"] * (down if speed is None else down + group["momentum"] * speed))
        inner = torch.autograd.grad(step.loss(self.mixture(), True), [self.alphas, *weights], allow_unused=True)
        direct, ahead = inner[0], inner[1:]
        norm = torch.sqrt(
            sum((g.square().sum() for g in ahead if g is not None), torch.zeros((), device=direct.device))
        )
        epsilon = self.reach / float(norm)
        sides = []
        for sign in (1.0, -1.0):
            with torch.no_grad():
                for w, old, gradient in zip(weights, before, ahead, strict=True):
                    w.copy_(old if gradient is None else old + sign * epsilon * gradient)
            sides.append(torch.autograd.grad(step.loss(self.mixture(), False), self.alphas)[0])
        with torch.no_grad():
            for w, old in zip(weights, before, strict=True):
                w.copy_(old)
        return direct - group["lr"] * (sides[0] - sides[1]) / (2.0 * epsilon)
