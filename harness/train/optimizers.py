"""Optimizers of the recipes."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import nn

from harness.train.recipes import Recipe


def optimizer(recipe: Recipe, parameters: Iterable[nn.Parameter], *, fused: bool = True) -> torch.optim.Optimizer:
    """The optimizer that `recipe` asks for; not `fused` if parameters get their first gradients at different steps."""
    if recipe.optimizer == "rmsprop":
        return RMSProp(parameters, recipe)
    return torch.optim.SGD(
        parameters, recipe.lr, recipe.momentum, weight_decay=recipe.weight_decay, nesterov=recipe.nesterov, fused=fused
    )


class RMSProp(torch.optim.Optimizer):
    """TensorFlow's RMSProp, by which NAS-Bench-101 was trained.

    It differs from torch's: the mean square starts at one, epsilon is added under the root, and the learning rate is
    inside of the momentum.
    """

    def __init__(self, parameters: Iterable[nn.Parameter], recipe: Recipe) -> None:
        kept = ("lr", "momentum", "decay", "epsilon", "weight_decay")
        super().__init__(parameters, {name: getattr(recipe, name) for name in kept})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        assert closure is None
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    self._move(parameter, parameter.grad, group)

    def _move(self, parameter: nn.Parameter, gradient: torch.Tensor, group: dict[str, Any]) -> None:
        state = self.state[parameter]
        if not state:
            state["square"], state["velocity"] = torch.ones_like(parameter), torch.zeros_like(parameter)
        gradient = gradient.add(parameter, alpha=group["weight_decay"])
        state["square"].mul_(group["decay"]).addcmul_(gradient, gradient, value=1 - group["decay"])
        root = state["square"].add(group["epsilon"]).sqrt_()
        state["velocity"].mul_(group["momentum"]).addcdiv_(gradient, root, value=group["lr"])
        parameter.sub_(state["velocity"])
