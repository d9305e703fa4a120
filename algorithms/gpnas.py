"""GPNAS (Ai and Zhang, "GPNAS: A neural network architecture search framework based on graphical predictor",
arXiv:2103.11820, 2021): two alternating density models and a graphical predictor.

The search space is two: connections (D_sk) and operators (D_op). Each has BOHB's density model, which proposes its half
of a child; a graph-convolutional network, trained on the results so far, says which child is worth training, and the
result goes back to all three. docs/algorithms/gpnas.md says where the paper leaves a choice, and what ours is.
"""

from __future__ import annotations

from typing import Annotated

import numpy as np

from algorithms.density import ProductKDE
from algorithms.filtered import FILTER, Filtered, Growth, Startup
from algorithms.hyperband import Eta, Lanes, Largest, Smallest
from harness import Floats, Ints, Param, Problem, Results, Streams
from harness.predictor import MakePredictor


class GPNAS(Filtered):
    """GPNAS: children of two density models, of which a predictor picks the one to train.

    After `startup` random configurations each of the two models draws candidates from its good density and keeps those
    with the best ratio of good to bad; of all pairs that were not trained yet, the one with the lowest predicted loss
    is trained. The predictor is fitted whenever the results have grown by the factor `growth`, from scratch once and
    then warm, in a fixed number of steps. A space that is not split has one model, over all parameters.
    """

    preload = ("algorithms.density",)

    def __init__(
        self,
        problem: Problem,
        streams: Streams,
        predictor: Annotated[MakePredictor | None, FILTER],
        *,
        alternate: Annotated[bool, Param("a density for connections and one for operators, else one")] = True,
        startup: Startup = 16,
        candidates: Annotated[int, Param("drawn from each good density", low=1)] = 16,
        keep: Annotated[int, Param("candidates of each density that are paired, by their ratio", low=1)] = 16,
        growth: Growth = 1.15,
        dropout: Annotated[float, Param("share of plain connections that are dropped, at first", 0, 1)] = 0.05,
        decay: Annotated[int, Param("proposals in which that share halves", low=1)] = 50,
        random_fraction: Annotated[float, Param("share of random choices, of each density", 0, 1)] = 0.05,
        top_percent: Annotated[int, Param("percentage of the results that are good", low=1, high=99)] = 15,
        min_points: Annotated[int, Param("good, and bad, results for a density; 0 for d + 1, the least", 0)] = 0,
        bandwidth_factor: Annotated[float, Param("widens the ordinal kernels that are drawn from", low=1e-9)] = 3.0,
        min_bandwidth: Annotated[float, Param("smallest bandwidth of a kernel", low=1e-9)] = 0.3,
        eta: Eta = 3,
        min_fidelity: Smallest = 0,
        max_fidelity: Largest = 0,
        brackets: Lanes = 1,
    ) -> None:
        super().__init__(
            problem,
            streams,
            predictor,
            startup=startup,
            growth=growth,
            eta=eta,
            min_fidelity=min_fidelity,
            max_fidelity=max_fidelity,
            brackets=brackets,
        )
        space, seeds = problem.space, len(problem.seeds)
        self.random_fraction = random_fraction
        self.dropout, self.decay = dropout, decay
        self.split = space.split if alternate else None
        self.spaces = (self.split.connections, self.split.operators) if self.split else (space,)
        self.candidates, self.keep = (n if self.split else n * n for n in (candidates, keep))
        self.pairs = _best_first(self.keep)
        self.draws = streams.child("candidates")
        self.open = streams.child("open operators")
        self.drops = streams.child("dropout")
        self.proposed = np.zeros(seeds, dtype=np.int64)
        self.models = {
            fidelity: [
                ProductKDE(
                    part,
                    seeds,
                    percent=top_percent,
                    minimum=min_points,
                    min_bandwidth=min_bandwidth,
                    bandwidth_factor=bandwidth_factor,
                )
                for part in self.spaces
            ]
            for fidelity in self.fidelities.tolist()
        }

    def tell(self, results: Results) -> None:
        halves = [results.codes]
        if self.split:
            connections, operators = self.split.apart(results.codes)
            drawn = self.split.operators.sample(self.open.uniform(operators.shape[1], results.seeds))
            halves = [connections, np.where(operators < 0, drawn, operators)]
        for fidelity, models in self.models.items():
            at = results.fidelity == fidelity
            for model, codes in zip(models, halves, strict=True):
                model.add(results.seeds[at], codes[at], results.loss[at])
        super().tell(results)

    def propose(self, seeds: Ints, fidelity: Ints) -> Ints:
        codes = super().propose(seeds, fidelity)
        self.proposed[seeds] += 1
        return codes

    def children(self, seeds: Ints) -> Ints:
        """Children Int[n, m, d], those of the best ratios first."""
        halves = [self.choose(part, seeds) for part in range(len(self.spaces))]
        if self.split is None:
            return halves[0]
        connections = self.dropped(seeds, halves[0][:, self.pairs[0]])
        operators = halves[1][:, self.pairs[1]]
        shape = *connections.shape[:2], self.problem.space.dimensions
        return self.split.join(*(half.reshape(-1, half.shape[2]) for half in (connections, operators))).reshape(shape)

    def choose(self, part: int, seeds: Ints) -> Ints:
        """Codes Int[n, keep, d] of one part, those with the best ratio first: random ones where there is no model."""
        space = self.spaces[part]
        shape = len(seeds), self.keep, space.dimensions
        draws = self.random.uniform(1 + self.keep * space.dimensions, seeds)
        codes = space.sample(draws[:, 1:].reshape(-1, space.dimensions)).reshape(shape)
        left = draws[:, 0] >= self.random_fraction
        for models in reversed(self.models.values()):
            ready = left & models[part].ready[seeds]
            if ready.any():
                at, n = seeds[ready], max(self.candidates, self.keep)
                uniforms = self.draws.uniform(n * (1 + space.dimensions), at).reshape(len(at), n, -1)
                drawn, ratio = models[part].draw(at, uniforms)
                order = _distinct_first(drawn @ space.strides, ratio)[:, : self.keep, None]
                codes[ready] = np.take_along_axis(drawn, order, axis=1)
                left &= ~ready
        return codes

    def dropped(self, seeds: Ints, connections: Ints) -> Ints:
        """Connections Int[n, m, d], of which a share that shrinks as the search goes on is dropped."""
        if self.split is None or self.split.drop is None or not self.dropout:
            return connections
        plain, none = self.split.drop
        share = self.dropout * 0.5 ** (self.proposed[seeds] / self.decay)
        draws = self.drops.uniform(connections[0].size, seeds).reshape(connections.shape)
        return np.where((connections == plain) & (draws < share[:, None, None]), none, connections)


def _best_first(keep: int) -> tuple[Ints, Ints]:
    """All pairs of two ranks below `keep`, those with the lowest sum first."""
    one, other = np.divmod(np.arange(keep * keep), keep)
    order = np.argsort(one + other, kind="stable")
    return one[order], other[order]


def _distinct_first(number: Ints, ratio: Floats) -> Ints:
    """An order of each row that puts larger ratios first, and what repeats another of the row last, Int[n, m]."""
    order = np.lexsort((number, -ratio), axis=1)
    number = np.take_along_axis(number, order, axis=1)
    repeats = np.zeros(number.shape, dtype=np.bool_)
    repeats[:, 1:] = number[:, 1:] == number[:, :-1]
    return np.take_along_axis(order, np.argsort(repeats, axis=1, kind="stable"), axis=1)
