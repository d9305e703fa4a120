"""The neural predictor's network as loops over one seed at a time, without dropout.

`networks.DirectedNetwork` is the same network for torch. All is single precision, and what is added is added in a fixed
order. Vertices that no layer up to one can tell apart are computed once there, and their graphs are `unfolded`.

Axes: B configurations of a minibatch, U different graphs among them, R nodes of a layer, at most one for each vertex, v
vertices, w the width, K layers, l the width of the last layer.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from algorithms.predictors.data import Float32s
from algorithms.predictors.descent import adam, compare
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
from harness.compiled import compiled


class Weights(NamedTuple):
    """The parameters of a network, or the slopes of a loss by them."""

    along: tuple[Float32s, ...]
    """Of each layer: Float[operators, w] of the first, Float[w, w] of others."""
    against: tuple[Float32s, ...]
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
    """Int[layers], of nodes."""
    along: Sparse
    """[layers, R, v], propagation from the nodes of a layer to those of the next, of the first from operators."""
    against: Sparse
    pool: Sparse
    """From the last layer's nodes to graphs."""
    mapped: Float32s
    """Float[2, R, w]: nodes of a layer, times the next one's matrices."""
    one: Float32s
    """Float[K, R, w], what came along the edges, before ReLU."""
    other: Float32s
    """Float[K, R, w], what came against them."""
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
    """Float[R, w], by what came along the edges, then against them."""
    mapped: Float32s
    """Float[2, R, w]."""
    layer: Float32s
    """Float[w, w], a matrix turned round; so is the other."""
    head: Float32s
    """Float[l, w]."""


def room(weights: Weights, graphs: Unfolded, batch: int, kept: int) -> Room:
    """Room for minibatches out of graphs; numbers of `kept` layers stay."""
    (width, last), vertices, layers = weights.hidden.shape, graphs.last.shape[1], len(weights.along)
    rows, columns = batch * vertices, graphs.along.at.shape[1]

    def propagation() -> Sparse:
        shape = layers, rows, columns
        return Sparse(np.zeros(shape[:2], np.int64), np.zeros(shape, np.int64), floats(*shape))

    return Room(
        known=np.full(max(len(graphs.along.length), len(graphs.last)), -1),
        graphs=np.zeros(batch, np.int64),
        slot=np.zeros(batch, np.int64),
        nodes=np.zeros((layers, rows), np.int64),
        size=np.zeros(layers, np.int64),
        along=propagation(),
        against=propagation(),
        pool=sparse(batch, vertices),
        mapped=floats(2, rows, width),
        one=floats(kept, rows, width),
        other=floats(kept, rows, width),
        hidden=floats(kept, rows, width),
        pooled=floats(batch, width),
        last=floats(batch, last),
        answer=floats(batch, 1),
        predicted=floats(batch, 1),
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


@compiled
def propagation(matrices: Sparse, layer: int) -> Sparse:
    """The propagation into a layer."""
    return Sparse(matrices.length[layer], matrices.at[layer], matrices.value[layer])


@compiled
def descend(whole: Sparse, nodes: Ints, count: int, known: Ints, below: Ints, found: int, rows: Sparse) -> int:
    """The first `count` rows of the propagation into a layer, from nodes `below`, of which it returns the number."""
    for r in range(count):
        rows.length[r] = 0
        for k in range(whole.length[nodes[r]]):
            node = whole.at[nodes[r], k]
            if known[node] < 0:
                known[node] = found
                below[found] = node
                found += 1
            enter(rows, r, known[node], whole.value[nodes[r], k])
    pad(rows, count)
    return found


@compiled
def first(whole: Sparse, nodes: Ints, count: int, rows: Sparse) -> None:
    """The first `count` rows of the propagation into the first layer, from operators."""
    for r in range(count):
        rows.length[r] = 0
        for k in range(whole.length[nodes[r]]):
            enter(rows, r, whole.at[nodes[r], k], whole.value[nodes[r], k])
    pad(rows, count)


@compiled
def lay(graphs: Unfolded, room: Room, count: int) -> None:
    """The nodes of the first `count` graphs of a minibatch, and how they are propagated and pooled."""
    layers, found = len(room.size), 0
    for g in range(count):
        vertices = 0
        for v in range(graphs.last.shape[1]):
            vertices += graphs.last[room.graphs[g], v] >= 0
        share = np.float32(0.5**layers / vertices)
        room.pool.length[g] = 0
        for v in range(graphs.last.shape[1]):
            node = graphs.last[room.graphs[g], v]
            if node >= 0:
                if room.known[node] < 0:
                    room.known[node] = found
                    room.nodes[layers - 1, found] = node
                    found += 1
                enter(room.pool, g, room.known[node], share)
    pad(room.pool, count)
    for k in range(layers - 1, -1, -1):
        nodes = room.nodes[k]
        room.size[k] = found
        for r in range(found):
            room.known[nodes[r]] = -1
        along, against = propagation(room.along, k), propagation(room.against, k)
        if k > 0:
            below = room.nodes[k - 1]
            found = descend(graphs.along, nodes, room.size[k], room.known, below, 0, along)
            found = descend(graphs.against, nodes, room.size[k], room.known, below, found, against)
        else:
            first(graphs.along, nodes, found, along)
            first(graphs.against, nodes, found, against)


@compiled
def forward(weights: Weights, room: Room, count: int, n: int) -> None:
    """`predicted` of n configurations, of `count` different graphs."""
    width, last = weights.hidden.shape
    for k in range(len(room.size)):
        rows, at = room.size[k], k % len(room.hidden)
        one, other, hidden = room.one[at], room.other[at], room.hidden[at]
        along, against = propagation(room.along, k), propagation(room.against, k)
        if k == 0:
            gather(along, weights.along[0], one, rows)
            gather(against, weights.against[0], other, rows)
        else:
            below = room.hidden[(k - 1) % len(room.hidden)]
            product(below, weights.along[k], room.mapped[0], room.size[k - 1], width)
            product(below, weights.against[k], room.mapped[1], room.size[k - 1], width)
            gather(along, room.mapped[0], one, rows)
            gather(against, room.mapped[1], other, rows)
        for r in range(rows):
            for j in range(width):
                x, y = one[r, j], other[r, j]
                hidden[r, j] = (ZERO if x < ZERO else x) + (ZERO if y < ZERO else y)
    gather(room.pool, room.hidden[(len(room.size) - 1) % len(room.hidden)], room.pooled, count)
    product(room.pooled, weights.hidden, room.last, count, width)
    for g in range(count):
        for j in range(last):
            x = room.last[g, j] + weights.hidden_bias[0, j]
            room.last[g, j] = ZERO if x < ZERO else x
    product(room.last, weights.output, room.answer, count, last)
    for b in range(n):
        room.predicted[b, 0] = room.answer[room.slot[b], 0] + weights.bias[0, 0]


@compiled
def head_back(weights: Weights, slope: Weights, room: Room, back: Back, count: int) -> None:
    """Slopes of the loss by the two last layers' weights and by what was pooled, from those by the predictions."""
    width, last = weights.hidden.shape
    slope.hidden_bias[:] = slope.output[:] = slope.bias[:] = ZERO
    for g in range(count):
        back.answer[g] = ZERO
    for b in range(len(room.slot)):
        slope.bias[0, 0] += back.predicted[b]
        back.answer[room.slot[b]] += back.predicted[b]
    for g in range(count):
        for j in range(last):
            slope.output[j, 0] += back.answer[g] * room.last[g, j]
            d = back.answer[g] * weights.output[j, 0] if room.last[g, j] > ZERO else ZERO
            back.last[g, j] = d
            slope.hidden_bias[0, j] += d
    product(room.pooled.T, back.last, slope.hidden, width, count)
    turn(weights.hidden, back.head, width)
    product(back.last, back.head, back.pooled, count, last)


@compiled
def half_back(
    matrices: Sparse, came: Float32s, hidden: Float32s, half: Float32s, rows: int, out: Float32s, below: int
) -> None:
    """Slopes `out` by what was propagated, of so many rows as are `below`, from those by the `hidden` sum."""
    for r in range(rows):
        for j in range(hidden.shape[1]):
            half[r, j] = hidden[r, j] if came[r, j] > ZERO else ZERO
    for r in range(below):
        for j in range(hidden.shape[1]):
            out[r, j] = ZERO
    scatter(matrices, half, out, rows)


@compiled
def backward(weights: Weights, slope: Weights, room: Room, back: Back, count: int) -> None:
    """The `slope` of the loss by the weights, from that by the predictions of `count` different graphs."""
    head_back(weights, slope, room, back, count)
    width, layers = len(weights.hidden), len(room.size)
    for r in range(room.size[layers - 1]):
        for j in range(width):
            back.hidden[r, j] = ZERO
    scatter(room.pool, back.pooled, back.hidden, count)
    for k in range(layers - 1, 0, -1):
        rows, below, hidden = room.size[k], room.size[k - 1], room.hidden[k - 1].T
        half_back(propagation(room.along, k), room.one[k], back.hidden, back.half, rows, back.mapped[0], below)
        half_back(propagation(room.against, k), room.other[k], back.hidden, back.half, rows, back.mapped[1], below)
        product(hidden, back.mapped[0], slope.along[k], width, below)
        product(hidden, back.mapped[1], slope.against[k], width, below)
        turn(weights.along[k], back.layer, width)
        product(back.mapped[0], back.layer, back.hidden, below, width)
        turn(weights.against[k], back.layer, width)
        product(back.mapped[1], back.layer, back.half, below, width)
        for r in range(below):
            for j in range(width):
                back.hidden[r, j] += back.half[r, j]
    rows, operators = room.size[0], len(weights.along[0])
    half_back(propagation(room.along, 0), room.one[0], back.hidden, back.half, rows, slope.along[0], operators)
    half_back(propagation(room.against, 0), room.other[0], back.hidden, back.half, rows, slope.against[0], operators)


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
) -> int:
    """Train a network; returns the number of steps that were left out because the loss was not finite.

    Observations are the `graphs` `which` Int[n], with targets `y` Float[n]; a step takes those of `order`
    Int[steps, B]. `flat` Float[4, size] are the weights, their slopes and Adam's moments, `schedule` Float[steps, 3] is
    what `adam` is told.
    """
    skipped = 0
    chosen = np.empty(order.shape[1], np.int64)
    for step in range(len(order)):
        for b in range(len(chosen)):
            chosen[b] = which[order[step, b]]
            back.wanted[b] = y[order[step, b]]
        count = enlist(chosen, room.known, room.graphs, room.slot)
        lay(graphs, room, count)
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
