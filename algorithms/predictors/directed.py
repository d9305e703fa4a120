"""The neural predictor's network as loops over one seed at a time.

`networks.DirectedNetwork` is the same network for torch. All is single precision, and what is added is added in a fixed
order. Vertices that no layer up to one can tell apart are computed once there, and their graphs are `unfolded`; with
dropout all are told apart, but of an observation that a minibatch has twice, as two passes meet.

Axes: B configurations of a minibatch, U different graphs among them, R nodes of a layer, at most one for each vertex, v
vertices, w the width, K layers, l the width of the last layer. Of two, the first is along the edges, the second is
against them.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from algorithms.predictors.data import Float32s
from algorithms.predictors.descent import ONE, adam, compare
from algorithms.predictors.products import (
    ZERO,
    Single,
    Sparse,
    enlist,
    enter,
    floats,
    gather,
    pad,
    product,
    scatter,
    sparse,
    turn,
)
from algorithms.predictors.unfolded import Unfolded
from harness import Ints
from harness.compiled import compiled, inner, uniform


class Weights(NamedTuple):
    """The parameters of a network, or the slopes of a loss by them."""

    layers: tuple[tuple[Float32s, Float32s], ...]
    """For what comes either way: Float[operators, w] of the first layer, Float[w, w] of others."""
    hidden: Float32s
    """Float[w, l]."""
    hidden_bias: Float32s
    """Float[1, l]."""
    output: Float32s
    """Float[l, 1]."""
    bias: Float32s
    """Float[1, 1]."""


class Room(NamedTuple):
    """What is overwritten by every step; `room` makes it. For predictions K is 1, and layers share one place."""

    known: Ints
    """Int[N], -1: the place of a node, or of a graph, in a minibatch, while it is looked for."""
    graphs: Ints
    """Int[B], of which U are the graphs of a minibatch."""
    slot: Ints
    """Int[B], the place of each configuration's graph among them."""
    nodes: Ints
    """Int[layers, R]."""
    size: Ints
    """Int[layers], of the nodes."""
    edges: Sparse
    """[layers, 2, R, v], propagation from the nodes of one layer to those of the next, from operators to the first."""
    pool: Sparse
    """From the last layer's nodes to graphs."""
    mapped: Float32s
    """Float[R, w]: nodes of a layer, times a matrix of the next one."""
    came: Float32s
    """Float[K, 2, R, w], what came along the edges, and against them, before ReLU."""
    hidden: Float32s
    """Float[K, R, w], the sum of both behind ReLU."""
    pooled: Float32s
    """Float[B, w]."""
    last: Float32s
    """Float[B, l], behind ReLU."""
    answer: Float32s
    """Float[B, 1], of each graph."""
    predicted: Float32s
    """Float[B, 1], of each configuration."""
    mask: Float32s
    """Float[K, R, w], what is left of a 1 by dropout; Float[0, R, w] without."""
    last_mask: Float32s
    """Float[B, l]."""


class Back(NamedTuple):
    """Slopes of the loss by what is in a `Room`, and other things that only training needs."""

    predicted: Float32s
    """Float[B]."""
    wanted: Float32s
    """Float[B], the targets."""
    answer: Float32s
    """Float[B]."""
    last: Float32s
    """Float[B, l]."""
    pooled: Float32s
    """Float[B, w]."""
    hidden: Float32s
    """Float[R, w]."""
    half: Float32s
    """Float[R, w], by what came one way."""
    mapped: Float32s
    """Float[2, R, w]."""
    layer: Float32s
    """Float[w, w], a matrix turned round; so is the other."""
    head: Float32s
    """Float[l, w]."""


def room(weights: Weights, graphs: Unfolded, batch: int, kept: int, dropout: bool = False) -> Room:
    """Room for minibatches out of graphs; numbers of `kept` layers stay."""
    (width, last), vertices, layers = weights.hidden.shape, graphs.last.shape[1], len(weights.layers)
    rows = batch * vertices

    return Room(
        known=np.full(max(graphs.edges.length.shape[1], len(graphs.last)), -1),
        graphs=np.zeros(batch, np.int64),
        slot=np.zeros(batch, np.int64),
        nodes=np.zeros((layers, rows), np.int64),
        size=np.zeros(layers, np.int64),
        edges=sparse(layers, 2, rows, vertices),
        pool=sparse(batch, vertices),
        mapped=floats(rows, width),
        came=floats(kept, 2, rows, width),
        hidden=floats(kept, rows, width),
        pooled=floats(batch, width),
        last=floats(batch, last),
        answer=floats(batch, 1),
        predicted=floats(batch, 1),
        mask=floats(kept if dropout else 0, rows, width),
        last_mask=floats(batch, last),
    )


def back(weights: Weights, room: Room) -> Back:
    """Room for the slopes."""
    (width, last), batch, rows = weights.hidden.shape, len(room.slot), room.hidden.shape[1]

    return Back(
        predicted=floats(batch),
        wanted=floats(batch),
        answer=floats(batch),
        last=floats(batch, last),
        pooled=floats(batch, width),
        hidden=floats(rows, width),
        half=floats(rows, width),
        mapped=floats(2, rows, width),
        layer=floats(width, width),
        head=floats(last, width),
    )


@inner
def into(edges: Sparse, layer: int, way: int) -> Sparse:
    """The propagation into a layer, one way."""
    return Sparse(edges.length[layer, way], edges.at[layer, way], edges.value[layer, way])


@inner
def look_up(room: Room, layer: int, node: int) -> int:
    """The place of a node among those of a layer of the minibatch, to which it is added if it is new."""
    if room.known[node] < 0:
        room.known[node] = room.size[layer]
        room.nodes[layer, room.size[layer]] = node
        room.size[layer] += 1
    return room.known[node]


@inner
def lay(graphs: Unfolded, room: Room, count: int) -> None:
    """The nodes of the first `count` graphs of a minibatch, and how they are propagated and pooled."""
    layers, vertices = len(room.size), graphs.last.shape[1]
    for k in range(layers):
        room.size[k] = 0
    for g in range(count):
        absent = 0
        for v in range(vertices):
            absent += graphs.last[room.graphs[g], v] < 0
        room.pool.length[g] = 0
        for v in range(absent, vertices):
            node = look_up(room, layers - 1, graphs.last[room.graphs[g], v])
            enter(room.pool, g, node, np.float32(0.5**layers / (vertices - absent)))
    pad(room.pool, count)
    for k in range(layers - 1, -1, -1):
        for r in range(room.size[k]):
            room.known[room.nodes[k, r]] = -1
        for way in range(2):
            edges = into(room.edges, k, way)
            for r in range(room.size[k]):
                node = room.nodes[k, r]
                edges.length[r] = 0
                for e in range(graphs.edges.length[way, node]):
                    below = graphs.edges.at[way, node, e]
                    if k > 0:
                        below = look_up(room, k - 1, below)
                    enter(edges, r, below, graphs.edges.value[way, node, e])
            pad(edges, room.size[k])


@inner
def veil(rows: Float32s, mask: Float32s, n: int) -> None:
    """The first n rows, times a mask."""
    for i in range(n):
        for j in range(rows.shape[1]):
            rows[i, j] *= mask[i, j]


@inner
def drawn(dropout: Single, state: np.uint64, i: int) -> Single:
    """What is left of a 1 by number `i` of those that `state` stands for."""
    return ZERO if uniform(state, i) < dropout else ONE / (ONE - dropout)


@inner
def shake(room: Room, count: int, dropout: Single, state: np.uint64, step: int) -> None:
    """The masks of `count` graphs, out of the numbers of a stream that belong to a step."""
    layers, rows, width = room.mask.shape
    start = step * (room.mask.size + room.last_mask.size)
    for k in range(layers):
        for r in range(room.size[k]):
            for j in range(width):
                room.mask[k, r, j] = drawn(dropout, state, start + (k * rows + r) * width + j)
    start += room.mask.size
    for g in range(count):
        for j in range(room.last_mask.shape[1]):
            room.last_mask[g, j] = drawn(dropout, state, start + g * room.last_mask.shape[1] + j)


@inner
def forward(weights: Weights, room: Room, count: int, n: int) -> None:
    """`predicted` of n configurations, of `count` different graphs."""
    width, last = weights.hidden.shape
    layers, kept = len(room.size), len(room.hidden)
    for k in range(layers):
        rows, came, hidden = room.size[k], room.came[k % kept], room.hidden[k % kept]
        for way in range(2):
            matrix = weights.layers[k][way]
            if k > 0:
                product(room.hidden[(k - 1) % kept], matrix, room.mapped, room.size[k - 1], width)
                matrix = room.mapped
            gather(into(room.edges, k, way), matrix, came[way], rows)
        for r in range(rows):
            for j in range(width):
                one, other = came[0, r, j], came[1, r, j]
                hidden[r, j] = (ZERO if one < ZERO else one) + (ZERO if other < ZERO else other)
        if len(room.mask) > 0:
            veil(hidden, room.mask[k], rows)
    gather(room.pool, room.hidden[(layers - 1) % kept], room.pooled, count)
    product(room.pooled, weights.hidden, room.last, count, width)
    for g in range(count):
        for j in range(last):
            x = room.last[g, j] + weights.hidden_bias[0, j]
            room.last[g, j] = ZERO if x < ZERO else x
    if len(room.mask) > 0:
        veil(room.last, room.last_mask, count)
    product(room.last, weights.output, room.answer, count, last)
    for b in range(n):
        room.predicted[b, 0] = room.answer[room.slot[b], 0] + weights.bias[0, 0]


@inner
def head_back(weights: Weights, slope: Weights, room: Room, back: Back, count: int) -> None:
    """Slopes of the loss by the two last layers' weights and by what was pooled, from those by the predictions."""
    width, last = weights.hidden.shape
    slope.bias[0, 0] = ZERO
    for j in range(last):
        slope.hidden_bias[0, j] = slope.output[j, 0] = ZERO
    for g in range(count):
        back.answer[g] = ZERO
    for b in range(len(room.slot)):
        slope.bias[0, 0] += back.predicted[b]
        back.answer[room.slot[b]] += back.predicted[b]
    for g in range(count):
        for j in range(last):
            slope.output[j, 0] += back.answer[g] * room.last[g, j]
            d = back.answer[g] * weights.output[j, 0] if room.last[g, j] > ZERO else ZERO
            back.last[g, j] = d * room.last_mask[g, j] if len(room.mask) > 0 else d
            slope.hidden_bias[0, j] += back.last[g, j]
    product(room.pooled.T, back.last, slope.hidden, width, count)
    turn(weights.hidden, back.head, width)
    product(back.last, back.head, back.pooled, count, last)


@inner
def half_back(
    edges: Sparse, came: Float32s, hidden: Float32s, half: Float32s, rows: int, out: Float32s, below: int
) -> None:
    """Slopes `out` by what was propagated one way, of so many rows as are `below`, from those by the `hidden` sum."""
    for r in range(rows):
        for j in range(hidden.shape[1]):
            half[r, j] = hidden[r, j] if came[r, j] > ZERO else ZERO
    for r in range(below):
        for j in range(hidden.shape[1]):
            out[r, j] = ZERO
    scatter(edges, half, out, rows)


@inner
def backward(weights: Weights, slope: Weights, room: Room, back: Back, count: int) -> None:
    """The `slope` of the loss by the weights, from that by the predictions of `count` different graphs."""
    head_back(weights, slope, room, back, count)
    width, layers = len(weights.hidden), len(room.size)
    for r in range(room.size[layers - 1]):
        for j in range(width):
            back.hidden[r, j] = ZERO
    scatter(room.pool, back.pooled, back.hidden, count)
    for k in range(layers - 1, -1, -1):
        below = room.size[k - 1] if k > 0 else len(weights.layers[0][0])
        if len(room.mask) > 0:
            veil(back.hidden, room.mask[k], room.size[k])
        for way in range(2):
            out = back.mapped[way] if k > 0 else slope.layers[0][way]
            half_back(into(room.edges, k, way), room.came[k, way], back.hidden, back.half, room.size[k], out, below)
        for way in range(2 if k > 0 else 0):
            product(room.hidden[k - 1].T, back.mapped[way], slope.layers[k][way], width, below)
            turn(weights.layers[k][way], back.layer, width)
            product(back.mapped[way], back.layer, back.half, below, width)
            for r in range(below):
                for j in range(width):
                    back.hidden[r, j] = back.half[r, j] + (back.hidden[r, j] if way > 0 else ZERO)


def draws(room: Room) -> int:
    """Numbers that a minibatch takes for dropout."""
    return room.mask.size + room.last_mask.size


@compiled
def fit(
    weights: Weights,
    slope: Weights,
    room: Room,
    back: Back,
    flat: Float32s,
    graphs: Unfolded,
    which: Ints,
    y: Float32s,
    order: Ints,
    schedule: Float32s,
    l2: Single,
    loss: int,
    dropout: Single,
    state: np.uint64,
) -> int:
    """Train a network; returns the number of steps that were left out because the loss was not finite.

    Observations are the `graphs` `which` Int[n], with targets `y` Float[n]; a step takes those of `order`
    Int[steps, B]. `flat` Float[4, size] are the weights, their slopes and Adam's moments, `schedule` Float[steps, 3] is
    what `adam` is told. With `dropout` the masks are of the numbers that `state` stands for.
    """
    skipped = 0
    chosen = np.empty(order.shape[1], np.int64)
    for step in range(len(order)):
        for b in range(len(chosen)):
            chosen[b] = which[order[step, b]]
            back.wanted[b] = y[order[step, b]]
        count = enlist(chosen, room.known, room.graphs, room.slot)
        lay(graphs, room, count)
        if dropout > ZERO:
            shake(room, count, dropout, state, step)
        forward(weights, room, count, len(chosen))
        if np.isfinite(compare(loss, room.predicted, back.wanted, back.predicted)):
            backward(weights, slope, room, back, count)
        else:
            skipped += 1
            for i in range(flat.shape[1]):
                flat[1, i] = ZERO
        adam(flat[0], flat[1], flat[2], flat[3], schedule[step, 0], schedule[step, 1], schedule[step, 2], l2)
    return skipped


@compiled
def predict(weights: Weights, room: Room, graphs: Unfolded, which: Ints, out: Float32s) -> None:
    """Predicted targets `out` Float[m] of the `graphs` `which` Int[m]."""
    batch = len(room.slot)
    for start in range(0, len(which), batch):
        chosen = which[start : start + batch]
        count = enlist(chosen, room.known, room.graphs, room.slot)
        lay(graphs, room, count)
        forward(weights, room, count, len(chosen))
        for i in range(len(chosen)):
            out[start + i] = room.predicted[i, 0]
