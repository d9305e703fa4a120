"""Sums of product kernels over distinct configurations, each weighted by how often it was observed."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from algorithms.density.history import BLOCK
from harness import Floats, Ints
from harness.compiled import compiled, inner


@inner
def home(joint: NDArray[np.int32], slots: int) -> int:
    """The slot in which the search for a configuration begins."""
    mixed = np.uint64(0)
    for value in joint:
        mixed = (mixed ^ np.uint64(value)) * np.uint64(0x9E3779B97F4A7C15)
    return np.int64((mixed >> np.uint64(32)) % np.uint64(slots))  # type: ignore[return-value]


@inner
def _equal(a: NDArray[np.int32], b: NDArray[np.int32]) -> bool:
    same = True
    for i in range(len(a)):
        same &= a[i] == b[i]
    return same


@inner
def find(slot: NDArray[np.int32], joint: NDArray[np.int32], rows: Ints, s: int, code: NDArray[np.int32]) -> int:
    """The row of a configuration with the joined codes `code` [G], made if it is new."""
    place = home(code, slot.shape[1])
    while slot[s, place] >= 0:
        if _equal(joint[s, slot[s, place]], code):
            return int(slot[s, place])
        place = (place + 1) % slot.shape[1]
    u = rows[s]
    slot[s, place] = u
    for i in range(len(code)):
        joint[s, u, i] = code[i]
    rows[s] = u + 1
    return int(u)


@compiled
def rehash(slot: NDArray[np.int32], rows: Ints, joint: NDArray[np.int32]) -> None:
    """Enter all rows into an empty hash table."""
    for s in range(len(rows)):
        for u in range(rows[s]):
            place = home(joint[s, u], slot.shape[1])
            while slot[s, place] >= 0:
                place = (place + 1) % slot.shape[1]
            slot[s, place] = u


@inner
def row_density(
    joint: NDArray[np.int32],
    weight: NDArray[np.int32],
    side: int,
    kernels: Floats,
    n: int,
    limit: float,
) -> float:
    """Density from weighted distinct configurations; stops once it passes `limit`."""
    total = 0.0
    for start in range(0, len(weight), BLOCK):
        for u in range(start, min(start + BLOCK, len(weight))):
            if weight[u, side]:
                product = kernels[0, joint[u, 0]]
                for g in range(1, len(kernels)):
                    product *= kernels[g, joint[u, g]]
                total += weight[u, side] * product
        if total / n > limit:
            break
    return total / n
