"""One-Shot-NAS-GCN: Chen, Xie, Wu, Wei, Xu and Tian, "Fitting the search space of weight-sharing NAS with graph
convolutional networks", arXiv:2004.08423, 2020.

The weights learn single paths on which each operator is equally often. Then the parameters are searched in segments
(Algorithm 1): a graph network over all architectures of a segment is fitted to the scores of some, its best are scored,
and the best of these are one parameter of the next segment. What is not searched yet is a convolution of kernel 3.
"""

from __future__ import annotations

from typing import Annotated

import numpy as np

from algorithms.sharing.fairnas import Fair
from harness import Param
from harness.arrays import Ints
from harness.sharing.method import Score, Setting
from harness.sharing.segments import Lookup, divided, search

_BASE = ("mb_k3_e6", "nor_conv_3x3")


class GraphSegments(Fair):
    """Fair single paths, a graph network over each segment in the end."""

    tabulates = True

    def __init__(
        self,
        setting: Setting,
        *,
        segments: Annotated[int, Param("how many, as equal as can be; 0 for the fewest that fit", 0)] = 0,
        samples: Annotated[int, Param("architectures of a segment that the graph network learns from", 2)] = 2000,
        finalists: Annotated[int, Param("best by prediction that are scored", 1)] = 100,
        kept: Annotated[int, Param("best of these that the next segment chooses among", 1)] = 6,
        width: Annotated[int, Param("of the graph network", 1)] = 512,
        fit: Annotated[int, Param("epochs of the graph network", 1)] = 600,
        measured: Annotated[int, Param("architectures that measure similarities; 0 for assigned ones", 0)] = 0,
    ) -> None:
        super().__init__(setting)
        self.every, self.finalists = setting.epochs, finalists
        self.lengths = divided(self.net.space.sizes.tolist(), kept, segments)
        self.own = {"samples": samples, "kept": kept, "width": width, "epochs": fit, "measured": measured}

    def derive(self, score: Score, *, none: bool) -> Ints:
        values = self.allowed(none=none)
        whole = all(len(v) == k for v, k in zip(values, self.net.space.sizes, strict=True))
        if self.lookup is None or not (whole or len(self.lengths) == 1):
            self.lookup = self._searched(score, values)
        allowed = np.all([np.isin(c, v) for c, v in zip(self.lookup.codes.T, values, strict=True)], axis=0)
        return self.lookup.best(score, self.finalists, allowed)[0][0]

    def _searched(self, score: Score, values: list[Ints]) -> Lookup:
        names = [[str(value) for value in p.values] for p in self.net.space.parameters]
        base = [next((own.index(name) for name in _BASE if name in own), len(own) - 1) for own in names]
        seed = int(self.setting.uniform(1)[0] * (1 << 31))
        return search(
            np.array(base),
            [len(v) for v in values],
            self.lengths,
            score,
            seed=seed,
            finalists=self.finalists,
            values=values,
            device=next(self.net.parameters()).device,
            **self.own,
        )
