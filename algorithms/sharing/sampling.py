"""What methods that train single paths share: uniform paths, and searches among scored architectures."""

from __future__ import annotations

import numpy as np

from harness.arrays import Bools, Floats, Ints
from harness.sharing.method import Method, Score, Setting


class Sampling(Method):
    """A method that learns no distribution and derives by scores, ten times but at most every five epochs."""

    single = True

    def __init__(self, setting: Setting) -> None:
        super().__init__(setting)
        self.every = max(5, setting.epochs // 10)

    def uniform(self, n: int) -> Ints:
        """Uniform architectures of the space, Int[n, p]."""
        return self.net.space.sample(self.setting.uniform(n, self.net.space.dimensions))

    def allowed(self, *, none: bool) -> list[Ints]:
        """The codes of each parameter of the space, without the operator none unless it may be chosen."""
        return [
            np.array([code for code, value in enumerate(p.values) if none or value != "none"])
            for p in self.net.space.parameters
        ]


def drawn(allowed: list[Ints], draws: Floats) -> Ints:
    """Uniform codes Int[n, p] among the allowed ones out of draws Float[n, p]."""
    return np.stack([a[(u * len(a)).astype(np.int64)] for a, u in zip(allowed, draws.T, strict=True)], axis=1)


def best_of(score: Score, codes: Ints) -> Ints:
    """The codes Int[p] of the highest score; of several the first."""
    return np.asarray(codes[score(codes).argmax()])


def evolved(method: Sampling, score: Score, allowed: list[Ints], population: int, generations: int) -> Ints:
    """The best architecture of an evolution by scores, as SPOS searches: half crossover, half mutation of the best."""
    n, p, kept = population, len(allowed), max(2, population // 5)
    codes = drawn(allowed, method.setting.uniform(n, p))
    seen, scores = codes, score(codes)
    for _ in range(generations):
        best = seen[np.argsort(-scores, kind="stable")[:kept]]
        parents = best[(method.setting.uniform(2, n) * len(best)).astype(np.int64)]
        mix: Bools = method.setting.uniform(n, p) < 0.5
        children = np.where(mix, parents[0], parents[1])
        change = method.setting.uniform(n, p) < max(0.1, 1.0 / p)
        change[: n // 2] = False
        fresh = drawn(allowed, method.setting.uniform(n, p))
        children = np.where(change, fresh, np.where(np.arange(n)[:, None] < n // 2, children, parents[0]))
        seen, first = np.unique(np.concatenate([seen, children]), axis=0, return_index=True)
        known = np.concatenate([scores, np.full(n, np.nan)])[first]
        unknown = np.isnan(known)
        if unknown.any():
            known[unknown] = score(seen[unknown])
        scores = known
    return np.asarray(seen[scores.argmax()])
