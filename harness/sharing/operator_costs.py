"""What the operators of a super-network cost."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from harness.arrays import Floats
from harness.sharing.method import Choice, Step, SuperNetwork


@torch.no_grad()
def multiply_adds(net: SuperNetwork, step: Step) -> Floats:
    """Multiply-adds of the convolutions of each operator, over all cells and the images of a batch, Float[d, k].

    Every operator is passed once, at all decisions together.
    """
    found = np.zeros(net.possible.shape)
    now = 0

    def count(decision: int) -> object:
        def hook(module: nn.Module, _: object, out: Tensor) -> None:
            assert isinstance(module, nn.Conv2d)
            found[decision, now] += out[0].numel() * step.images * module.weight[0].numel()

        return hook

    hooks = [
        inner.register_forward_hook(count(decision))  # type: ignore[arg-type]
        for decision in range(len(net.operators))
        for module in net.operators_at(decision)
        for inner in module.modules()
        if isinstance(inner, nn.Conv2d)
    ]
    net.eval()
    statistics, net.statistics = net.statistics, "batch"
    for now in range(len(found[0])):
        active = np.zeros_like(net.possible)
        active[:, now] = net.possible[:, now]
        active[~active.any(axis=1), 0] = True
        step.loss(Choice(active), False)
    net.statistics = statistics
    net.train()
    for hook in hooks:
        hook.remove()
    return np.where(net.possible, found, 0.0)
