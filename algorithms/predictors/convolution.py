"""GPNAS's network as loops over one seed at a time, whose numbers stay in the cache from the first step to the last.

All is single precision, and what is added is added in a fixed order: a seed's bits depend neither on other seeds nor
on the processor. `networks.GraphNetwork` is the same network for torch.

Axes: B configurations of a minibatch, U different graphs among them, R rows, one for each vertex that is present in
these, v vertices, w the width, K layers, e numbers that a fidelity is embedded in, none where there is one fidelity.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from algorithms.predictors.data import Float32s, Labels
from algorithms.predictors.descent import ONE, TENTH, adam, compare
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
    sparse,
    turn,
)
from harness import Ints
from harness.compiled import compiled, inner

EPSILON = np.float32(1e-5)


class Weights(NamedTuple):
    """The parameters of a network, or the slopes of a loss by them."""

    embedding: Float32s
    """Float[operators, w]."""
    layers: Float32s
    """Float[K, w, w]."""
    epoch: Float32s
    """Float[fidelities, e]."""
    head1: Float32s
    """Float[w + e, w]."""
    head2: Float32s
    head3: Float32s
    """Float[w, 1]."""
    norm1_scale: Float32s
    """Float[1, w], as those that follow."""
    norm1_shift: Float32s
    norm2_scale: Float32s
    norm2_shift: Float32s
    bias: Float32s
    """Float[1, 1]."""


class Running(NamedTuple):
    """Moving means and variances of what is normalised, Float[1, w] each."""

    mean1: Float32s
    variance1: Float32s
    mean2: Float32s
    variance2: Float32s


class Room(NamedTuple):
    """What is overwritten by every step; `room` makes it."""

    known: Ints
    """Int[G], -1: the place of a graph in a minibatch, while it is looked for."""
    graphs: Ints
    """Int[B], of which U are the graphs of a minibatch."""
    slot: Ints
    """Int[B], the place of each configuration's graph among them."""
    first: Ints
    """Int[B + 1], the first row of each graph."""
    edges: Sparse
    """Propagation from rows to rows."""
    operators: Sparse
    """And from the embedded operators to rows."""
    embedded: Float32s
    """Float[operators, w], which have met the first layer."""
    hidden: Float32s
    """Float[K, R, w]: those below the last have met ReLU."""
    mixed: Float32s
    """Float[K, R, w]: what came into a layer, propagated; none came into the first."""
    pooled: Float32s
    """Float[B, w], the largest of the last layer over the vertices of each graph, or 0."""
    peak: NDArray[np.int32]
    """Int[B, w], its row."""
    joined: Float32s
    """Float[B, w + e]."""
    raw: Float32s
    """Float[2, B, w], normalised, before scale and shift."""
    out: Float32s
    """Float[2, B, w], behind ReLU."""
    mean: Float32s
    """Float[2, w]."""
    inverse: Float32s
    """Float[2, w], of the standard deviation."""
    predicted: Float32s
    """Float[B, 1]."""


class Back(NamedTuple):
    """Slopes of the loss by what is in a `Room`, and other things that only training needs."""

    predicted: Float32s
    """Float[B]."""
    wanted: Float32s
    """Float[B], the targets."""
    raw: Float32s
    """Float[2, B, w]."""
    joined: Float32s
    """Float[B, w + e]."""
    pooled: Float32s
    """Float[B, w]."""
    mixed: Float32s
    """Float[R, w]."""
    hidden: Float32s
    """Float[R, w]."""
    embedded: Float32s
    """Float[operators, w]."""
    by_row: Sparse
    """Slopes by the last layer, its columns at its rows."""
    by_column: Sparse
    """The same the other way round."""
    layer: Float32s
    """Float[w, w], a matrix turned round; so are the others."""
    other: Float32s
    head1: Float32s
    joined_turned: Float32s
    out_turned: Float32s
    mixed_turned: Float32s
    embedding: Float32s


def room(weights: Weights, batch: int, vertices: int, graphs: int) -> Room:
    """Room for minibatches out of so many graphs."""
    rows, (layers, width, _) = batch * vertices, weights.layers.shape

    return Room(
        known=np.full(graphs, -1),
        graphs=np.zeros(batch, np.int64),
        slot=np.zeros(batch, np.int64),
        first=np.zeros(batch + 1, np.int64),
        edges=sparse(rows, vertices),
        operators=sparse(rows, vertices),
        embedded=floats(*weights.embedding.shape),
        hidden=floats(layers, rows, width),
        mixed=floats(layers, rows, width),
        pooled=floats(batch, width),
        peak=np.zeros((batch, width), np.int32),
        joined=floats(batch, len(weights.head1)),
        raw=floats(2, batch, width),
        out=floats(2, batch, width),
        mean=floats(2, width),
        inverse=floats(2, width),
        predicted=floats(batch, 1),
    )


def back(weights: Weights, room: Room) -> Back:
    """Room for the slopes."""
    (_, rows, width), (batch, inputs) = room.hidden.shape, room.joined.shape

    return Back(
        predicted=floats(batch),
        wanted=floats(batch),
        raw=floats(2, batch, width),
        joined=floats(batch, inputs),
        pooled=floats(batch, width),
        mixed=floats(rows, width),
        hidden=floats(rows, width),
        embedded=floats(*weights.embedding.shape),
        by_row=sparse(rows, width),
        by_column=sparse(width, batch),
        layer=floats(width, width),
        other=floats(width, width),
        head1=floats(width, inputs),
        joined_turned=floats(inputs, batch),
        out_turned=floats(width, batch),
        mixed_turned=floats(width, rows),
        embedding=floats(width, len(weights.embedding)),
    )


@inner
def lay(
    matrices: Float32s, labels: Labels, graphs: Ints, count: int, first: Ints, edges: Sparse, operators: Sparse
) -> int:
    """The rows of the first `count` of `graphs`, of which it returns the number: how they are propagated."""
    rows = 0
    for g in range(count):
        first[g] = rows
        for v in range(labels.shape[1]):
            if labels[graphs[g], v] > 0:
                edges.length[rows] = operators.length[rows] = 0
                other = first[g]
                for u in range(labels.shape[1]):
                    if labels[graphs[g], u] > 0:
                        value = matrices[graphs[g], v, u]
                        if value != ZERO:
                            enter(edges, rows, other, value)
                            enter(operators, rows, labels[graphs[g], u] - 1, value)
                        other += 1
                rows += 1
    first[count] = rows
    pad(edges, rows)
    pad(operators, rows)
    return rows


@inner
def convolve(weights: Weights, room: Room, rows: int, count: int) -> None:
    """The convolutions of `count` graphs, and the largest over their vertices."""
    layers, width = weights.layers.shape[0], weights.layers.shape[1]
    product(weights.embedding, weights.layers[0], room.embedded, len(weights.embedding), width)
    gather(room.operators, room.embedded, room.hidden[0], rows)
    for k in range(1, layers):
        for r in range(rows):
            for j in range(width):
                room.hidden[k - 1, r, j] = ZERO if room.hidden[k - 1, r, j] < ZERO else room.hidden[k - 1, r, j]
        gather(room.edges, room.hidden[k - 1], room.mixed[k], rows)
        product(room.mixed[k], weights.layers[k], room.hidden[k], rows, width)
    for g in range(count):
        for j in range(width):
            room.pooled[g, j] = ZERO
        for r in range(room.first[g], room.first[g + 1]):
            for j in range(width):
                x, most, peak = room.hidden[layers - 1, r, j], room.pooled[g, j], room.peak[g, j]
                less = x <= most or np.isnan(most)
                room.pooled[g, j] = most if less else x
                room.peak[g, j] = peak if less else np.int32(r)


@inner
def perceive(
    below: Float32s,
    head: Float32s,
    scale: Float32s,
    shift: Float32s,
    mean: Float32s,
    variance: Float32s,
    momentum: Single,
    raw: Float32s,
    out: Float32s,
    at: Float32s,
    inverse: Float32s,
    n: int,
) -> None:
    """A layer of the perceptron on Float[n, i]: product, batch normalisation, ReLU."""
    product(below, head, raw, n, head.shape[0])
    width, share = head.shape[1], ONE / np.float32(n)
    if momentum > ZERO:
        for j in range(width):
            at[j] = inverse[j] = ZERO
        for i in range(n):
            for j in range(width):
                at[j] += raw[i, j] * share
        for i in range(n):
            for j in range(width):
                inverse[j] += (raw[i, j] - at[j]) * (raw[i, j] - at[j]) * share
        for j in range(width):
            mean[0, j] += (at[j] - mean[0, j]) * momentum
            variance[0, j] += (inverse[j] - variance[0, j]) * momentum
    else:
        for j in range(width):
            at[j] = mean[0, j]
            inverse[j] = variance[0, j]
    for j in range(width):
        inverse[j] = ONE / np.sqrt(inverse[j] + EPSILON)
    for i in range(n):
        for j in range(width):
            x = (raw[i, j] - at[j]) * inverse[j]
            y = x * scale[0, j] + shift[0, j]
            raw[i, j] = x
            out[i, j] = ZERO if y < ZERO else y


@inner
def perceive_back(
    slope: Float32s,
    raw: Float32s,
    out: Float32s,
    inverse: Float32s,
    scale: Float32s,
    by_scale: Float32s,
    by_shift: Float32s,
) -> None:
    """`slope` Float[B, w] by the `out` of `perceive` becomes that by its product."""
    share = ONE / np.float32(len(slope))
    for i in range(len(slope)):
        for j in range(slope.shape[1]):
            d = slope[i, j] if out[i, j] > ZERO else ZERO
            slope[i, j] = d
            by_shift[0, j] += d
            by_scale[0, j] += d * raw[i, j]
    for i in range(len(slope)):
        for j in range(slope.shape[1]):
            left = slope[i, j] - (by_shift[0, j] + raw[i, j] * by_scale[0, j]) * share
            slope[i, j] = left * (scale[0, j] * inverse[j])


@inner
def forward(
    weights: Weights, running: Running, room: Room, momentum: Single, rows: int, count: int, fidelities: Ints, n: int
) -> None:
    """`predicted` of n configurations at `fidelities` Int[n]."""
    convolve(weights, room, rows, count)
    width = weights.layers.shape[1]
    for b in range(n):
        for j in range(width):
            room.joined[b, j] = room.pooled[room.slot[b], j]
        for j in range(width, room.joined.shape[1]):
            room.joined[b, j] = weights.epoch[fidelities[b], j - width]
    perceive(
        room.joined,
        weights.head1,
        weights.norm1_scale,
        weights.norm1_shift,
        running.mean1,
        running.variance1,
        momentum,
        room.raw[0],
        room.out[0],
        room.mean[0],
        room.inverse[0],
        n,
    )
    perceive(
        room.out[0],
        weights.head2,
        weights.norm2_scale,
        weights.norm2_shift,
        running.mean2,
        running.variance2,
        momentum,
        room.raw[1],
        room.out[1],
        room.mean[1],
        room.inverse[1],
        n,
    )
    product(room.out[1], weights.head3, room.predicted, n, width)
    for b in range(n):
        room.predicted[b, 0] += weights.bias[0, 0]


@inner
def perceptron_back(weights: Weights, slope: Weights, room: Room, back: Back) -> None:
    """Slopes of the loss by the perceptron's weights and by what was joined, from those by the predictions."""
    batch, inputs = room.joined.shape
    width = weights.layers.shape[1]
    for b in range(batch):
        slope.bias[0, 0] += back.predicted[b]
        for j in range(width):
            slope.head3[j, 0] += back.predicted[b] * room.out[1, b, j]
            back.raw[1, b, j] = back.predicted[b] * weights.head3[j, 0]
    perceive_back(
        back.raw[1],
        room.raw[1],
        room.out[1],
        room.inverse[1],
        weights.norm2_scale,
        slope.norm2_scale,
        slope.norm2_shift,
    )
    turn(room.out[0], back.out_turned, batch)
    product(back.out_turned, back.raw[1], slope.head2, width, batch)
    turn(weights.head2, back.layer, width)
    product(back.raw[1], back.layer, back.raw[0], batch, width)
    perceive_back(
        back.raw[0],
        room.raw[0],
        room.out[0],
        room.inverse[0],
        weights.norm1_scale,
        slope.norm1_scale,
        slope.norm1_shift,
    )
    turn(room.joined, back.joined_turned, batch)
    product(back.joined_turned, back.raw[0], slope.head1, inputs, batch)
    turn(weights.head1, back.head1, inputs)
    product(back.raw[0], back.head1, back.joined, batch, width)


@inner
def convolve_back(weights: Weights, slope: Weights, room: Room, back: Back, rows: int) -> None:
    """Slopes of the loss by the weights of the convolutions, from those by the last layer, a sparse matrix."""
    layers, width = weights.layers.shape[0], weights.layers.shape[1]
    for k in range(layers - 1, 0, -1):
        turn(weights.layers[k], back.layer, width)
        if k == layers - 1:
            gather(back.by_column, room.mixed[k], back.other, width)
            turn(back.other, slope.layers[k], width)
            gather(back.by_row, back.layer, back.mixed, rows)
        else:
            turn(room.mixed[k], back.mixed_turned, rows)
            product(back.mixed_turned, back.hidden, slope.layers[k], width, rows)
            product(back.hidden, back.layer, back.mixed, rows, width)
        gather(room.edges, back.mixed, back.hidden, rows)
        for r in range(rows):
            for j in range(width):
                back.hidden[r, j] = back.hidden[r, j] if room.hidden[k - 1, r, j] > ZERO else ZERO
    if layers == 1:
        for r in range(rows):
            for j in range(width):
                back.hidden[r, j] = ZERO
            for k in range(back.by_row.length[r]):
                back.hidden[r, back.by_row.at[r, k]] = back.by_row.value[r, k]
    back.embedded[:] = ZERO
    for r in range(rows):
        for k in range(room.operators.length[r]):
            operator, value = room.operators.at[r, k], room.operators.value[r, k]
            for j in range(width):
                back.embedded[operator, j] += value * back.hidden[r, j]
    turn(weights.layers[0], back.layer, width)
    product(back.embedded, back.layer, slope.embedding, len(back.embedded), width)
    turn(weights.embedding, back.embedding, len(back.embedded))
    product(back.embedding, back.embedded, slope.layers[0], width, len(back.embedded))


@inner
def backward(weights: Weights, slope: Weights, room: Room, back: Back, rows: int, count: int, fidelities: Ints) -> None:
    """The `slope` of the loss by the weights, from that by the predictions.

    Of a column of a graph only its largest number counts, if it is above 0, so the products of the last layer are
    sparse. Of equal ones the first is taken: what stays equal is a symmetry, and any of its vertices stands for it.
    """
    batch, inputs = room.joined.shape
    width = weights.layers.shape[1]
    perceptron_back(weights, slope, room, back)
    for g in range(count):
        for j in range(width):
            back.pooled[g, j] = ZERO
    for b in range(batch):
        for j in range(width):
            back.pooled[room.slot[b], j] += back.joined[b, j]
        for j in range(width, inputs):
            slope.epoch[fidelities[b], j - width] += back.joined[b, j]
    back.by_row.length[:rows] = 0
    back.by_column.length[:] = 0
    for g in range(count):
        for j in range(width):
            if room.pooled[g, j] > ZERO:
                enter(back.by_row, room.peak[g, j], j, back.pooled[g, j])
                enter(back.by_column, j, room.peak[g, j], back.pooled[g, j])
    pad(back.by_row, rows)
    pad(back.by_column, width)
    convolve_back(weights, slope, room, back, rows)


@compiled
def fit(
    weights: Weights,
    slope: Weights,
    running: Running,
    room: Room,
    back: Back,
    flat: Float32s,
    matrices: Float32s,
    labels: Labels,
    which: Ints,
    fidelity: Ints,
    y: Float32s,
    order: Ints,
    schedule: Float32s,
    l2: Single,
    loss: int,
) -> int:
    """Train a network; returns the number of steps that were left out because the loss was not finite.

    Observations are the graphs `which` Int[n] of `matrices` Float[G, v, v] and `labels` Int[G, v], at a `fidelity`
    Int[n], with targets `y` Float[n]; a step takes those of `order` Int[steps, B]. `flat` Float[4, size] are the
    weights, their slopes and Adam's moments, `schedule` Float[steps, 3] is what `adam` is told.
    """
    skipped = 0
    chosen, at = np.empty(order.shape[1], np.int64), np.empty(order.shape[1], np.int64)
    for step in range(len(order)):
        for b in range(len(chosen)):
            chosen[b] = which[order[step, b]]
            at[b] = fidelity[order[step, b]]
            back.wanted[b] = y[order[step, b]]
        count = enlist(chosen, room.known, room.graphs, room.slot)
        rows = lay(matrices, labels, room.graphs, count, room.first, room.edges, room.operators)
        forward(weights, running, room, TENTH, rows, count, at, len(chosen))
        for i in range(flat.shape[1]):
            flat[1, i] = ZERO
        if np.isfinite(compare(loss, room.predicted, back.wanted, back.predicted)):
            backward(weights, slope, room, back, rows, count, at)
        else:
            skipped += 1
        adam(flat[0], flat[1], flat[2], flat[3], schedule[step, 0], schedule[step, 1], schedule[step, 2], l2)
    return skipped


@compiled
def predict(
    weights: Weights,
    running: Running,
    room: Room,
    matrices: Float32s,
    labels: Labels,
    which: Ints,
    fidelity: Ints,
    out: Float32s,
) -> None:
    """Predicted targets `out` Float[m] of the graphs `which` Int[m] at a `fidelity` Int[m]."""
    batch = len(room.slot)
    for start in range(0, len(which), batch):
        chosen, at = which[start : start + batch], fidelity[start : start + batch]
        count = enlist(chosen, room.known, room.graphs, room.slot)
        rows = lay(matrices, labels, room.graphs, count, room.first, room.edges, room.operators)
        forward(weights, running, room, ZERO, rows, count, at, len(chosen))
        for i in range(len(chosen)):
            out[start + i] = room.predicted[i, 0]
