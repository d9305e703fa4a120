"""What predictors learn from and how they see it: observations, targets, graphs and features."""

from __future__ import annotations

from typing import Literal, Protocol
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from harness import Floats, HarnessError, Ints, Problem, SearchSpace, Seen
from harness.graphs import GraphView

Target = Literal["log", "raw", "capped"]
Form = Literal["log", "raw", "capped", "ranks", "capped ranks"]
Float32s = NDArray[np.float32]
Labels = NDArray[np.int8]

ENUMERATED = 1 << 17
"""Configurations up to which a space's graphs are computed once and looked up."""

_KNOWN: WeakKeyDictionary[GraphView, dict[str, tuple[Float32s, Float32s, Labels, Ints]]] = WeakKeyDictionary()


def form(problem: Problem, target: Target) -> Form:
    """How losses of the problem become targets: where their ratios mean nothing, ranks stand for logarithms."""
    if problem.ratios or target == "raw":
        return target
    return "capped ranks" if target == "capped" else "ranks"


class Targets:
    """Losses as a network's targets: each seed's, as they are, their logarithms or their ranks, standardised.

    An invalid configuration counts as the worst that its seed has observed. "capped" are logarithms in which all that
    is worse than the median of the valid losses counts as the median: what is bad need not be told apart, and its
    spread no longer hides that of what is good. Losses at or below zero leave the logarithm out for their seed. Ranks
    are the normal quantiles of the shares of losses below, which are the same whatever the unit and the zero of losses
    (Salinas, Shen and Perrone, "A quantile-based approach for hyperparameter transfer learning", ICML 2020).
    """

    def __init__(self, seeds: int, kind: Form) -> None:
        self.log = np.full(seeds, kind in ("log", "capped"))
        self.levels: dict[int, tuple[Floats, Floats]] = {}
        self.kind = kind
        self.mean = np.zeros(seeds)
        self.scale = np.ones(seeds)

    def fit(self, seen: Seen, where: Ints) -> Float32s:
        """Targets Float[k, n] of the losses of the seeds at `where` Int[k]; 0 beyond `count`."""
        out = np.zeros(seen.loss.shape, dtype=np.float32)
        for i, (s, n) in enumerate(zip(where.tolist(), seen.count.tolist(), strict=True)):
            loss = seen.loss[i, :n]
            finite = np.isfinite(loss)
            worst = loss[finite].max(initial=-np.inf)
            loss = np.where(finite, loss, worst if np.isfinite(worst) else 1.0)
            if self.kind.startswith("capped") and finite.any():
                loss = np.minimum(loss, np.median(loss[finite]))
            self.log[s] = self.kind in ("log", "capped") and loss.min() > 0
            if self.log[s]:
                loss = np.log(loss)
            elif self.kind.endswith("ranks"):
                levels, level, counts = np.unique(loss, return_inverse=True, return_counts=True)
                quantiles = ndtri((np.cumsum(counts) - counts / 2) / n)
                self.levels[s], loss = (quantiles, levels), quantiles[level]
            self.mean[s] = loss.mean()
            self.scale[s] = loss.std() or 1.0
            out[i, :n] = (loss - self.mean[s]) / self.scale[s]
        return out

    def losses(self, predicted: Floats, where: Ints) -> Floats:
        """The losses that predicted targets Float[k, m] stand for."""
        value = predicted * self.scale[where, None] + self.mean[where, None]
        value = np.where(self.log[where, None], np.exp(np.minimum(value, 700.0)), value)
        for i, s in enumerate(where.tolist()):
            if s in self.levels:
                value[i] = _between(value[i], *self.levels[s])
        return value


def _between(x: Floats, place: Floats, level: Floats) -> Floats:
    """The straight lines between ascending points (place, level), both Float[k], at `x` Float[m], beyond them too."""
    if len(place) == 1:
        return level + x - place
    left = np.clip(np.searchsorted(place, x) - 1, 0, len(place) - 2)
    slope = np.diff(level)[left] / np.diff(place)[left]
    return level[left] + slope * (x - place[left])


def features(space: Encoding, fidelities: int, codes: Ints, fidelity: Ints | int) -> Floats:
    """The features of codes Int[n, d], and of the fidelity (index) where there are several, one-hot, Float[n, k]."""
    numbers = space.features(codes)
    if fidelities == 1:
        return numbers
    at = np.broadcast_to(fidelity, len(codes))
    return np.concatenate([numbers, at[:, None] == np.arange(fidelities)], axis=1)


class Encoding(Protocol):
    """Configurations as numbers: a `SearchSpace`, or the paths of its graphs."""

    @property
    def dimensions(self) -> int: ...

    def features(self, codes: Ints) -> Floats:
        """Numbers for a regression model, Float[n, k], of codes Int[n, d]."""
        ...


def view_of(space: SearchSpace) -> GraphView:
    """The graphs of a space. Raises HarnessError where it has none."""
    if space.graphs is None:
        raise HarnessError(
            "the configurations of this table are no graphs, which this predictor needs.",
            "take one that works on features: mlp, ridge, gp or forest.",
        )
    return space.graphs


def distinct(view: GraphView, codes: Ints) -> tuple[Ints, Ints]:
    """Those of codes Int[n, d] whose graphs differ, and for each of the n the position of its own among them."""
    adjacency, labels = view.of(codes)
    keys = np.concatenate([np.packbits(adjacency.reshape(len(codes), -1), axis=1), labels.view(np.uint8)], axis=1)
    whole = np.ascontiguousarray(keys).view(f"V{keys.shape[1]}").ravel()
    _, first, back = np.unique(whole, return_index=True, return_inverse=True)
    return codes[first], back


class GraphInputs:
    """The graphs of a space as arrays that graph convolutions take.

    `kind` "undirected": one propagation matrix D^-1/2 (A + A^T + I) D^-1/2 (Kipf and Welling 2017, over the vertices
    that are present); "directed": two, A + I and A^T + I with rows that sum to one (Wen et al. 2020).
    Raises HarnessError for a space without graphs.
    """

    def __init__(self, space: SearchSpace, kind: Literal["undirected", "directed"]) -> None:
        self.space = space
        self.view = view_of(space)
        self.kind = kind

    def distinct(self, codes: Ints) -> tuple[Ints, Ints]:
        """Those of codes Int[n, d] whose graphs differ, and for each of the n the position of its own among them."""
        return distinct(self.view, codes)

    def of(self, codes: Ints) -> tuple[Float32s, Float32s]:
        """Propagation matrices Float[n, p, v, v] and vertex labels, one-hot, Float[n, v, labels], of codes Int[n, d].

        An absent vertex has zeros only.
        """
        if self.space.cardinality <= ENUMERATED:
            matrices, labels, _, number = self._all
            which = number[codes @ self.space.strides]
            return matrices[which], labels[which]
        return self.compute(codes)[:2]

    def numbered(self, codes: Ints) -> tuple[Float32s, Labels, Ints]:
        """Graphs, Float[G, p, v, v] and labels Int[G, v], and which of them codes Int[n, d] are, Int[n].

        They are different graphs where the space can be enumerated.
        """
        if self.space.cardinality <= ENUMERATED:
            matrices, _, labels, number = self._all
            return matrices, labels, number[codes @ self.space.strides]
        matrices, _, labels = self.compute(codes)
        return matrices, labels, np.arange(len(codes))

    @property
    def _all(self) -> tuple[Float32s, Float32s, Labels, Ints]:
        """What `compute` says of all graphs that differ, and which of them a configuration has, by its number."""
        known = _KNOWN.setdefault(self.view, {})
        if self.kind not in known:
            sizes = self.space.sizes.tolist()
            every = np.stack(np.unravel_index(np.arange(self.space.cardinality), sizes), axis=1)
            few, back = self.distinct(every)
            known[self.kind] = (*self.compute(few), back)
        return known[self.kind]

    def compute(self, codes: Ints) -> tuple[Float32s, Float32s, Labels]:
        """What `of` says of codes Int[n, d], made from their graphs, and the labels Int[n, v], 0 where absent."""
        adjacency, labels = self.view.of(codes)
        one_hot = (labels[..., None] == np.arange(1, self.view.labels)).astype(np.float32)
        present = np.eye(self.view.vertices, dtype=np.float32) * (labels > 0)[:, None, :]
        if self.kind == "undirected":
            loops = (adjacency | adjacency.transpose(0, 2, 1)) + present
            degree = np.maximum(loops.sum(axis=2), 1e-9)
            root = np.where(degree > 0.5, degree**-0.5, 0).astype(np.float32)
            return (loops * root[:, :, None] * root[:, None, :])[:, None], one_hot, labels
        both = np.stack([adjacency, adjacency.transpose(0, 2, 1)], axis=1) + present[:, None]
        degree = np.maximum(both.sum(axis=3, keepdims=True), 1)
        return (both / degree).astype(np.float32), one_hot, labels
