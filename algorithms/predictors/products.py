"""Products of single precision as compiled loops, added in a fixed order: their bits do not depend on the processor."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from algorithms.predictors.data import Float32s
from harness import Ints
from harness.compiled import compiled, inner

Single = np.float32

ZERO = np.float32(0)


class Sparse(NamedTuple):
    """Rows of a sparse matrix: how many entries each has, Int[r], where, Int[r, c], and their values, Float[r, c].

    Up to the next multiple of four there are entries of value 0.
    """

    length: Ints
    at: Ints
    value: Float32s


def floats(*shape: int) -> Float32s:
    """Zeros that begin where a line of the cache does."""
    size = math.prod(shape)
    room = np.zeros(size + 16, dtype=np.float32)
    start = -room.ctypes.data // 4 % 16
    return room[start : start + size].reshape(shape)


def sparse(*shape: int) -> Sparse:
    """Room for a sparse matrix, or for many: the last two of a shape are rows and columns."""
    wide = *shape[:-1], -(-shape[-1] // 4) * 4
    return Sparse(np.zeros(shape[:-1], np.int64), np.zeros(wide, np.int64), floats(*wide))


@inner
def product(a: Float32s, b: Float32s, out: Float32s, n: int, inner: int) -> None:
    """out = a b, of the first Float[n, inner] of a and Float[inner, m]: four rows of a by two of b at a time."""
    whole, even = n - n % 4, inner - inner % 2
    for i in range(n):
        for j in range(b.shape[1]):
            out[i, j] = ZERO
    for i in range(0, whole, 4):
        for k in range(0, even, 2):
            p, q, r, s = a[i, k], a[i + 1, k], a[i + 2, k], a[i + 3, k]
            t, u, v, w = a[i, k + 1], a[i + 1, k + 1], a[i + 2, k + 1], a[i + 3, k + 1]
            for j in range(b.shape[1]):
                x, y = b[k, j], b[k + 1, j]
                out[i, j] += p * x + t * y
                out[i + 1, j] += q * x + u * y
                out[i + 2, j] += r * x + v * y
                out[i + 3, j] += s * x + w * y
    for i in range(whole, n):
        for k in range(0, even, 2):
            p, t = a[i, k], a[i, k + 1]
            for j in range(b.shape[1]):
                out[i, j] += p * b[k, j] + t * b[k + 1, j]
    for i in range(n if inner > even else 0):
        for j in range(b.shape[1]):
            out[i, j] += a[i, even] * b[even, j]


@inner
def gather(matrix: Sparse, given: Float32s, out: Float32s, n: int) -> None:
    """out = the first n rows of a sparse matrix times `given` Float[c, m]: four rows of it at a time."""
    for i in range(n):
        for j in range(given.shape[1]):
            out[i, j] = ZERO
        for k in range(0, matrix.length[i], 4):
            p, q, r, s = matrix.value[i, k], matrix.value[i, k + 1], matrix.value[i, k + 2], matrix.value[i, k + 3]
            c, d, e, f = matrix.at[i, k], matrix.at[i, k + 1], matrix.at[i, k + 2], matrix.at[i, k + 3]
            for j in range(given.shape[1]):
                out[i, j] += (p * given[c, j] + q * given[d, j]) + (r * given[e, j] + s * given[f, j])


@inner
def enter(matrix: Sparse, row: int, at: int, value: Single) -> None:
    """One more entry of a row of a sparse matrix, which is followed by three of value 0."""
    k = matrix.length[row]
    matrix.at[row, k] = at
    matrix.value[row, k] = value
    matrix.length[row] = k + 1


@inner
def pad(matrix: Sparse, rows: int) -> None:
    """Entries of value 0 up to the next multiple of four."""
    for i in range(rows):
        for k in range(matrix.length[i], -(-matrix.length[i] // 4) * 4):
            matrix.at[i, k] = 0
            matrix.value[i, k] = ZERO


@inner
def turn(matrix: Float32s, out: Float32s, rows: int) -> None:
    """out = the transpose of the first rows of a matrix."""
    for i in range(rows):
        for j in range(matrix.shape[1]):
            out[j, i] = matrix[i, j]


@inner
def scatter(matrix: Sparse, given: Float32s, out: Float32s, n: int) -> None:
    """out += the transpose of the first n rows of a sparse matrix times `given` Float[n, m]."""
    for i in range(n):
        for k in range(matrix.length[i]):
            at, value = matrix.at[i, k], matrix.value[i, k]
            for j in range(given.shape[1]):
                out[at, j] += value * given[i, j]


@compiled
def enlist(which: Ints, known: Ints, graphs: Ints, slot: Ints) -> int:
    """The different ones of `which` Int[B], of which it returns the number, and the `slot` of each."""
    count = 0
    for i in range(len(which)):
        if known[which[i]] < 0:
            known[which[i]] = count
            graphs[count] = which[i]
            count += 1
        slot[i] = known[which[i]]
    for i in range(count):
        known[graphs[i]] = -1
    return count
