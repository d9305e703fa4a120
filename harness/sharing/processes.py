"""A super-network in several processes, each of which has a share of every batch.

Methods take gradients where they like, by `backward` or by `torch.autograd.grad`, of weights or of a distribution. So
gradients are made means over all processes where they leave the network: at its parameters, and at what a `Choice`
weighs and predicts. Whatever a method does with them, it does alike in every process.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.func import functional_call

from harness.sharing.method import Choice
from harness.sharing.passes import Norm
from harness.train.devices import Place, reseed


def synchronize(network: nn.Module, place: Place) -> None:
    """Batch normalisation in training is by the batches of all processes from now on."""
    for module in network.modules():
        if isinstance(module, Norm):
            module.now.world = place.world


class Together:
    """Called as `network` is. All processes call it with the same choice, each with its own images.

    Random numbers that the network draws are each process's own; torch's generators are alike in all before and after.
    """

    def __init__(self, network: nn.Module, place: Place) -> None:
        self.network, self.place = network, place
        self.devices = [place.device] if place.device.type == "cuda" else []

    def __call__(self, x: Tensor, choice: Choice) -> Any:
        predicted = choice.predicted or {}
        names, weights = zip(*self.network.named_parameters(), strict=True)
        parameters = dict(zip(names, self._averaged(weights), strict=True))
        mixture, edges, *rest = self._averaged([choice.weights, choice.edges, *predicted.values()])
        made = dict(zip(predicted, rest, strict=True)) or None
        shared = replace(choice, weights=mixture, edges=edges, predicted=made)  # type: ignore[arg-type]
        own = int(torch.randint(1 << 62, ())) + self.place.rank
        with torch.random.fork_rng(self.devices):
            reseed(own, self.place.device)
            return functional_call(self.network, parameters, (x, shared))

    def _averaged(self, tensors: Iterable[Tensor | None]) -> list[Tensor | None]:
        given = [*tensors]
        learning = [i for i, tensor in enumerate(given) if tensor is not None and tensor.requires_grad]
        if learning:
            found = _Averaged.apply(self.place.world, *(given[i] for i in learning))  # type: ignore[no-untyped-call]
            for i, tensor in zip(learning, found, strict=True):
                given[i] = tensor
        return given


class _Averaged(torch.autograd.Function):
    """Tensors as they are; gradients, where there are any, are means over `world` processes, made all at once."""

    @staticmethod
    def forward(ctx: Any, world: int, *tensors: Tensor) -> tuple[Tensor, ...]:
        ctx.world = world
        ctx.set_materialize_grads(False)
        return tuple(tensor.view_as(tensor) for tensor in tensors)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor | None) -> tuple[Tensor | None, ...]:
        there = [gradient for gradient in gradients if gradient is not None]
        whole = torch.cat([gradient.flatten() for gradient in there])
        dist.all_reduce(whole)
        parts = iter((whole / ctx.world).split([gradient.numel() for gradient in there]))
        return None, *(None if gradient is None else next(parts).view_as(gradient) for gradient in gradients)
