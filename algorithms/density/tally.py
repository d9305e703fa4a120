"""What the two joint densities of each seed know of their observations: exact counts, kept as observations come."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from algorithms.density.distinct import find
from algorithms.density.history import BAD, GOOD, UNUSED, History
from algorithms.density.marginals import Counts, entries, place, strides
from harness import Bools, Ints, SearchSpace
from harness.compiled import compiled, inner

GROUP_LIMIT = 256
"""Cells of a table of the products of several parameters' kernels."""


class Tally(NamedTuple):
    """What the two densities need to know of their observations; the last axis is good, bad.

    label   UInt8[S, T], the side of each observation
    level   Int32[S, d, K, 2], observations at each value
    table   UInt32[S, entries], UInt64 in the end, observations at each point of every marginal, of
            both sides in one number; empty in the row representation
    row     Int32[S, T], the distinct configuration of each observation; the rest as well is empty
            where there is a table
    distinct  Int[S], distinct configurations
    weight  Int32[S, U, 2], observations of each distinct configuration
    joint   Int32[S, U, G], its codes, joined within each group of parameters
    slot    Int32[S, 2 U], hash table of distinct configurations, -1 = free
    """

    label: NDArray[np.uint8]
    level: NDArray[np.int32]
    table: Counts
    row: NDArray[np.int32]
    distinct: Ints
    weight: NDArray[np.int32]
    joint: NDArray[np.int32]
    slot: NDArray[np.int32]


class Layout(NamedTuple):
    """Constants: sizes and whether ordered [d]; stride in the table [d]; group and stride in it [d]; its cells [G]."""

    sizes: Ints
    ordered: Bools
    stride: Ints
    group: Ints
    within: Ints
    cells: Ints


class Rules(NamedTuple):
    """Settings of `ProductKDE` as the kernels take them."""

    minimum: int
    percent: int
    min_bandwidth: float
    factor: float


def layout_of(space: SearchSpace) -> tuple[Layout, int]:
    """The layout, and the entries of a table of all marginals."""
    d = space.dimensions
    ordered = np.array([p.kind == "ordinal" for p in space.parameters])
    stride, size = strides(space.sizes)
    group = np.zeros(d, np.int64)
    within = np.ones(d, np.int64)
    cells = [1]
    for j, k in enumerate(space.sizes.tolist()):
        if cells[-1] > 1 and cells[-1] * k > GROUP_LIMIT:
            cells.append(1)
        group[j], within[j] = len(cells) - 1, cells[-1]
        cells[-1] *= k
    return Layout(space.sizes, ordered, stride, group, within, np.array(cells, np.int64)), size


@inner
def split(n: int, rules: Rules) -> tuple[int, int]:
    """Of `n` observations by rank, where the good ones end, and where the bad ones do."""
    good = max(rules.minimum, rules.percent * n // 100)
    bad = max(rules.minimum, (100 - rules.percent) * n // 100)
    return min(good, n), min(good + bad, n)


@inner
def _move(tally: Tally, layout: Layout, history: History, s: int, t: int, side: int, at: NDArray[np.int32]) -> None:
    """Put observation `t` of seed `s` on another side; `at` Int[2^d, 1] is scratch, empty without a table."""
    codes, before = history.codes[s], tally.label[s, t]
    tally.label[s, t] = side
    for by in (-1, 1):
        to = before if by < 0 else side
        if to == UNUSED:
            continue
        for j in range(codes.shape[1]):
            tally.level[s, j, codes[t, j], to] += by
        if not len(at):
            tally.weight[s, tally.row[s, t], to] += by
    if len(at):
        table, point = tally.table[s], np.empty((1, codes.shape[1]))
        for j in range(codes.shape[1]):
            point[0, j] = codes[t, j]
        entries(layout.stride, layout.sizes, point, at)
        by = place(table, side) - place(table, before)
        for i in range(len(at)):
            table[at[i, 0]] += by


@compiled
def observe(
    history: History,
    tally: Tally,
    layout: Layout,
    rules: Rules,
    seeds: Ints,
    codes: Ints,
    ranks: Ints,
) -> None:
    """Count the newest observation of each seed, which has this rank, and move those whose side changes."""
    tabled = tally.table.shape[1] > 0
    at = np.empty((1 << len(layout.sizes) if tabled else 0, 1), np.int32)
    for b in range(len(seeds)):
        s, rank = seeds[b], ranks[b]
        t = history.seen[s] - 1
        old_good, old_end = split(t, rules)
        if not tabled:
            joint = np.zeros(len(layout.cells), np.int32)
            for j in range(len(layout.sizes)):
                joint[layout.group[j]] += layout.within[j] * codes[b, j]
            tally.row[s, t] = find(tally.slot, tally.joint, tally.distinct, s, joint)
        tally.label[s, t] = UNUSED
        good, end = split(t + 1, rules)
        spans = (
            (rank, rank + 1),
            (min(old_good, good) - 1, max(old_good, good) + 2),
            (min(old_end, end) - 1, max(old_end, end) + 2),
        )
        for first, stop in spans:
            for position in range(max(first, 0), min(stop, t + 1)):
                item = history.order[s, position]
                side = GOOD if position < good else BAD if position < end else UNUSED
                if side != tally.label[s, item]:
                    _move(tally, layout, history, s, item, side, at)
