"""What networks are trained on: squared errors, or the order of the configurations of a minibatch.

A library's exponentials round differently at different places of an array, so `exp` is made of products.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import reduce
from operator import add
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from torch import Tensor

Loss = Literal["mse", "hinge", "listwise"]

MARGIN = 0.1
"""By how much the better of a pair is to be predicted lower, in standard deviations of the targets."""


def mse(predicted: Tensor, y: Tensor) -> Tensor:
    """The mean squared error, Float[M], of predictions Float[M, B]."""
    return (predicted - y).square().mean(dim=1)


def hinge(predicted: Tensor, y: Tensor) -> Tensor:
    """The mean over pairs that differ of how far the better one is from being `MARGIN` lower, Float[M].

    Ning et al., "A generic graph-based neural architecture encoding scheme for predictor-based NAS", ECCV 2020.
    """
    better = (y[:, :, None] < y[:, None, :]).to(predicted.dtype)
    short = (MARGIN + predicted[:, :, None] - predicted[:, None, :]).relu()
    return (short * better).flatten(1).sum(dim=1) / better.flatten(1).sum(dim=1).clamp(min=1.0)


def listwise(predicted: Tensor, y: Tensor) -> Tensor:
    """What has the gradient of ListNet's loss, Float[M]: the cross-entropy of two softmax over the minibatch.

    Cao et al., "Learning to rank: from pairwise approach to listwise approach", ICML 2007; low losses rank first. The
    gradient with respect to a prediction is its probability by the targets minus that by the predictions.
    """
    difference = softmax(-y) - softmax(-predicted).detach()
    return (difference * predicted).sum(dim=1)


def exp(x: Tensor) -> Tensor:
    """e^x for x <= 0, to a part in 10^4: a Taylor series at x / 256, squared eight times."""
    t = x.clamp(min=-40.0) / 256.0
    y = 1.0 + t * (1.0 + t / 2.0 * (1.0 + t / 3.0))
    for _ in range(8):
        y = y * y
    return y


def softmax(x: Tensor) -> Tensor:
    """Softmax over the last axis."""
    powers = exp(x - x.detach().amax(dim=-1, keepdim=True))
    return powers / reduce(add, powers.unbind(-1))[..., None]


LOSSES: Mapping[Loss, Callable[[Tensor, Tensor], Tensor]] = {"mse": mse, "hinge": hinge, "listwise": listwise}


def level(loss: Loss, predicted: Tensor) -> tuple[float, float]:
    """Mean and spread of predictions Float[n] of what was learnt by its order, which targets have at 0 and 1.

    An order says nothing of a level. Squared errors do: 0 and 1.
    """
    if loss == "mse":
        return 0.0, 1.0
    mean = predicted.double().mean()
    return float(mean), float((predicted.double() - mean).square().mean().sqrt().clamp(min=1e-9))
