"""A Gaussian process with a Weisfeiler-Lehman kernel (Ru, Wan, Dong and Osborne, "Interpretable neural architecture
search via Bayesian optimisation with Weisfeiler-Lehman kernels", ICLR 2021).
"""

from __future__ import annotations

from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve
from scipy.sparse import csr_array

from algorithms.predictors.by_seed import Process
from algorithms.predictors.data import ENUMERATED, Target, view_of
from harness import Floats, Ints, Problem, SearchSpace, Streams
from harness.graphs import ABSENT
from harness.rng import splitmix64

NOISES = (1e-3, 1e-2, 3e-2, 1e-1, 3e-1, 1.0)
"""Variances of the noise that a process chooses from, as shares of its own variance."""

Words = NDArray[np.uint64]


class Subtrees:
    """The subtrees that graphs grow from their vertices along edges, up to `depth` edges long, as numbers.

    The subtree of depth h of a vertex is its subtree of depth h - 1 and those of the vertices that its edges lead to.
    The second of two that are equal in one graph has another number than the first, and so on: what two graphs have
    in common counts the subtrees of the one that can be matched with equal ones of the other (the optimal assignment
    of Kriege, Giscard and Wilson, NeurIPS 2016), and is a product of 0/1 vectors. Raises HarnessError for a space
    without graphs.
    """

    def __init__(self, space: SearchSpace, depth: int) -> None:
        self.view, self.space, self.depth = view_of(space), space, depth

    def of(self, codes: Ints) -> Words:
        """The subtrees of codes Int[n, d], UInt64[n, depth + 1, v]; 0 where there is no vertex."""
        if self.space.cardinality <= ENUMERATED:
            return self._all[codes @ self.space.strides]
        return self._grown(codes)

    @cached_property
    def _all(self) -> Words:
        sizes = self.space.sizes.tolist()
        return self._grown(np.stack(np.unravel_index(np.arange(self.space.cardinality), sizes), axis=1))

    def _grown(self, codes: Ints) -> Words:
        adjacency, operators = self.view.of(codes)
        edges, subtree = adjacency.astype(np.uint64), operators.astype(np.uint64)
        levels = []
        for _ in range(self.depth + 1):
            subtree = splitmix64(subtree + np.uint64(1))
            levels.append(np.where(operators == ABSENT, np.uint64(0), subtree))
            below = np.matmul(edges, splitmix64(subtree.copy())[:, :, None])[:, :, 0]
            subtree = subtree + splitmix64(below)
        return numbered(np.stack(levels, axis=1))


def numbered(words: Words) -> Words:
    """The words of each row UInt64[..., k], sorted; of equal ones each is another number, zeros stay."""
    words = np.sort(words, axis=-1)
    again = words[..., 1:] == words[..., :-1]
    for i in range(again.shape[-1]):
        words[..., i + 1] = np.where(again[..., i], splitmix64(words[..., i].copy()), words[..., i + 1])
    return words


class Learnt(NamedTuple):
    """What a seed has learnt of n graphs at so many of the `levels` of their words.

    The words UInt64[k] that they have, which of them have which, 0/1 [n, k], how many each has, Float[n], the Cholesky
    factor of their covariances, the solution Float[n], the variance, and the lowest mean at any of them.
    """

    levels: int
    known: Words
    has: csr_array
    sizes: Floats
    factor: Floats
    solution: Floats
    variance: float
    lowest: float


class SubtreeProcess(Process):
    """A Gaussian process for each seed; the correlation of two graphs is the share of subtrees they have in common.

    Of depths 1 to `depth` and NOISES the marginal likelihood chooses; the variance is its maximiser, in closed form.
    A fidelity counts as as many subtrees as there are vertices, which graphs have in common at the same fidelity.
    """

    def __init__(self, problem: Problem, streams: Streams, *, depth: int = 2, target: Target = "log") -> None:
        super().__init__(problem, streams, target)
        self.subtrees = Subtrees(problem.space, depth)

    def features(self, codes: Ints, fidelity: Ints | int) -> Words:
        """Words UInt64[n, levels, v]: first those of the fidelity, where there are several, then subtrees by depth."""
        words = self.subtrees.of(codes)
        if len(self.problem.fidelities) == 1:
            return words
        at = np.broadcast_to(np.asarray(fidelity, dtype=np.uint64) + np.uint64(1), len(codes))
        return np.concatenate([numbered(np.tile(at[:, None, None], words.shape[2])), words], axis=1)

    def learn(self, x: Words, y: Floats, seed: int) -> Learnt:
        kernel, evidence, found = np.zeros((len(x), len(x))), -np.inf, None
        for level in range(x.shape[1]):
            words = x[:, level]
            has = indicators(words, _known(words))
            kernel += (has @ has.T).toarray()
            levels = level + 1
            if levels <= x.shape[1] - self.subtrees.depth:
                continue
            sizes = np.diagonal(kernel) ** 0.5
            share = kernel / np.outer(sizes, sizes)
            for noise in NOISES:
                factor, _ = cho_factor(share + noise * np.eye(len(x)), lower=True)
                solution = cho_solve((factor, True), y)
                variance = max(float(y @ solution) / len(y), np.finfo(np.float64).tiny)
                likely = -0.5 * len(y) * np.log(variance) - float(np.log(np.diagonal(factor)).sum())
                if likely > evidence:
                    lowest = float((y - noise * solution).min())
                    evidence, found = likely, (levels, factor, solution, variance, lowest)
        assert found is not None
        levels, factor, solution, variance, lowest = found
        words = x[:, :levels].reshape(len(x), -1)
        known = _known(words)
        return Learnt(levels, known, indicators(words, known), _sizes(words), factor, solution, variance, lowest)

    def apply(self, model: Learnt, x: Words) -> Floats:
        words = x[:, : model.levels].reshape(len(x), -1)
        weights = model.has.T @ (model.solution / model.sizes)
        return indicators(words, model.known) @ weights / _sizes(words)

    def correlations(self, model: Learnt, x: Words) -> Floats:
        words = x[:, : model.levels].reshape(len(x), -1)
        shared = (indicators(words, model.known) @ model.has.T).toarray()
        return shared / np.outer(_sizes(words), model.sizes)


def indicators(words: Words, known: Words) -> csr_array:
    """Which of `known` UInt64[k], ascending, are among the `words` UInt64[n, t], 0/1 [n, k]."""
    column = np.minimum(np.searchsorted(known, words), len(known) - 1)
    there = known[column] == words
    row, _ = np.nonzero(there)
    return csr_array((np.ones(len(row)), (row, column[there])), shape=(len(words), len(known)))


def _known(words: Words) -> Words:
    found = np.unique(words)
    return found[found > 0]


def _sizes(words: Words) -> Floats:
    """The lengths of the 0/1 vectors of words UInt64[n, t], Float[n]."""
    return (words > 0).sum(axis=1) ** 0.5
