"""What a step of training is beside a network, as compiled loops: a loss with its slopes, and Adam."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from algorithms.predictors.data import Float32s
from algorithms.predictors.losses import MARGIN as _MARGIN
from algorithms.predictors.losses import Loss
from algorithms.predictors.products import ZERO, Single
from harness.compiled import inner

MSE, HINGE, LISTWISE = range(3)
LOSSES: Mapping[Loss, int] = {"mse": MSE, "hinge": HINGE, "listwise": LISTWISE}
ONE, TWO, THREE, TENTH = (np.float32(x) for x in (1, 2, 3, 0.1))
TINY, THOUSANDTH = np.float32(1e-8), np.float32(1e-3)
FLOOR, STEPS, MARGIN = np.float32(-40), np.float32(256), np.float32(_MARGIN)


@inner
def adam(
    row: Float32s,
    slope: Float32s,
    moment: Float32s,
    square: Float32s,
    rate: Single,
    correction: Single,
    kept: Single,
    l2: Single,
) -> None:
    """A step of Adam; `rate` and `correction` have its corrections of the moments, `kept` is left of the weights."""
    for i in range(len(row)):
        d = slope[i] + l2 * row[i]
        moment[i] += (d - moment[i]) * TENTH
        square[i] = square[i] * (ONE - THOUSANDTH) + d * d * THOUSANDTH
        row[i] = row[i] * kept - rate * moment[i] / (np.sqrt(square[i] * correction) + TINY)


@inner
def exponential(x: Single) -> Single:
    """e^x for x <= 0, as `losses.exp`."""
    t = max(x, FLOOR) / STEPS
    y = ONE + t * (ONE + t / TWO * (ONE + t / THREE))
    for _ in range(8):
        y = y * y
    return y


@inner
def short(predicted: Float32s, y: Float32s, slope: Float32s) -> Single:
    """`losses.hinge` of predictions Float[B, 1], and its slopes Float[B]."""
    n, total, pairs = len(y), ZERO, ZERO
    for a in range(n):
        for b in range(n):
            if y[a] < y[b]:
                pairs += ONE
                left = MARGIN + predicted[a, 0] - predicted[b, 0]
                if not left <= ZERO:
                    total += left
                    slope[a] += ONE
                    slope[b] -= ONE
    for i in range(n):
        slope[i] /= max(pairs, ONE)
    return total / max(pairs, ONE)


@inner
def compare(loss: int, predicted: Float32s, y: Float32s, slope: Float32s) -> Single:
    """One of `losses` of predictions Float[B, 1], and its slopes Float[B]."""
    n, total = len(y), ZERO
    for i in range(n):
        slope[i] = ZERO
    if loss == HINGE:
        return short(predicted, y, slope)
    if loss == MSE:
        for i in range(n):
            slope[i] = TWO * (predicted[i, 0] - y[i]) / np.float32(n)
            total += slope[i] * (predicted[i, 0] - y[i])
        return total
    best, lowest, wanted, given = y[0], predicted[0, 0], ZERO, ZERO
    for i in range(n):
        best, lowest = min(best, y[i]), min(lowest, predicted[i, 0])
    for i in range(n):
        wanted += exponential(best - y[i])
        given += exponential(lowest - predicted[i, 0])
    for i in range(n):
        slope[i] = exponential(best - y[i]) / wanted - exponential(lowest - predicted[i, 0]) / given
        total += slope[i] * predicted[i, 0]
    return total
