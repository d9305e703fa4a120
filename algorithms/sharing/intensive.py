"""The intensive space of ADWPNAS: the likeliest operations of each node at the epoch of the highest superiority.

And what is chosen in it: probabilities over all operations of a node together, of which the likeliest are left.

Zhang, Chen and Gu, "ADWPNAS: Architecture-driven weight prediction for neural architecture search", arXiv:2003.01335,
2020.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from harness.arrays import Bools, Floats
from harness.sharing.method import SuperNetwork

WINDOW = 2
"""Epochs before an epoch that its superiority counts."""

Seen = Sequence[tuple[Bools, float]]
"""Of each epoch the likeliest operations Bool[d, k] and the accuracy on held-out images."""


def likeliest(net: SuperNetwork, probability: Floats, operations: int) -> Bools:
    """The likeliest operations but none on the edges into each node, Bool[d, k], of probabilities Float[d, k]."""
    may = net.possible & ~net.named("none")
    found = np.zeros_like(may)
    for edges in net.into:
        rows, columns = np.nonzero(may[list(edges)])
        at = np.array(edges)[rows], columns
        best = np.argsort(-probability[at], kind="stable")[:operations]
        found[at[0][best], at[1][best]] = True
    return found


def superiority(seen: Seen) -> Floats:
    """S of each epoch, Float[t]: over the window, stability times accuracy, multiplied."""
    found = []
    for t, (now, _) in enumerate(seen):
        before = seen[max(0, t - WINDOW) : t + 1]
        stable = [1 - (now & ~then).sum() / now.sum() for then, _ in before]
        found.append(np.prod([s * accuracy for s, (_, accuracy) in zip(stable, before, strict=True)]))
    return np.array(found)


def most_superior(seen: Seen) -> int:
    """The epoch of the highest superiority, counted from 0; those whose window is not whole only if none is."""
    found = superiority(seen)
    return int(found[WINDOW:].argmax()) + WINDOW if len(found) > WINDOW else int(found.argmax())


def relaxed(own: Tensor, inside: Tensor, into: Sequence[Sequence[int]]) -> Tensor:
    """Softmax of Float[L, d, k] over the operations `inside` Bool[d, k] of each node together."""
    masked = own.masked_fill(~inside, -torch.inf)
    parts = torch.zeros_like(own)
    for edges in into:
        part = masked[:, list(edges)]
        parts[:, list(edges)] = part.flatten(1).softmax(1).view_as(part)
    return parts


def discrete(net: SuperNetwork, weights: Floats, chosen: int, *, none: bool) -> Floats:
    """Weights Float[d, k] of which only the `chosen` likeliest operations of a node are left, where `none` may be."""
    named = net.named("none")
    rest = np.where(named, -1.0, weights)
    if not none or not named.any():
        return rest
    kept = np.where(named, 1e-9, 0.0)
    for edges in net.into:
        best = sorted(edges, key=lambda edge: -rest[edge].max())[:chosen]
        kept[best] = rest[best]
    return kept
