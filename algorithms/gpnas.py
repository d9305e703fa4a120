"""GPNAS: graphical-predictor neural architecture search.

Two density models, one over connections and one over operators, propose; a graph-convolutional predictor filters.
"""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np

from algorithms.brackets import Halving, rungs, sizes
from algorithms.density import ProductKDE
from algorithms.hyperband import Eta, Lanes, Largest, Smallest
from algorithms.predictors.data import Seen
from algorithms.predictors.graph import GraphPredictor
from harness import Bools, Floats, Ints, Jobs, Param, Problem, Results, SearchSpace, Streams


class GPNAS:
    """GPNAS."""

    shard = 63

    def __init__(
        self,
        problem: Problem,
        streams: Streams,
        *,
        predictor: Annotated[Literal["gcn", "none"], Param("what filters the candidates")] = "gcn",
        alternate: Annotated[bool, Param("one density for connections, one for operators")] = True,
        startup: Annotated[int, Param("random configurations before the first model", low=1)] = 30,
        candidates: Annotated[int, Param("drawn from each good density", low=1)] = 64,
        keep: Annotated[int, Param("best candidates of each density, all pairs of which are filtered", low=1)] = 16,
        growth: Annotated[float, Param("results grow by this factor between fits of the predictor", 1.01)] = 1.15,
        dropout: Annotated[float, Param("share of connections that are dropped at first", 0, 1)] = 0.0,
        decay: Annotated[int, Param("proposals until the share has halved", low=1)] = 50,
        random_fraction: Annotated[float, Param("share of random choices in each space", 0, 1)] = 1 / 3,
        top_percent: Annotated[int, Param("percentage of the results that are good", low=1, high=99)] = 15,
        min_points: Annotated[int, Param("good, and bad, results for a density; 0 for d + 1", 0)] = 0,
        bandwidth_factor: Annotated[float, Param("widens the ordinal kernels that are drawn from", low=1e-9)] = 3.0,
        min_bandwidth: Annotated[float, Param("smallest bandwidth of a kernel", low=1e-9)] = 1e-3,
        width: int = 64,
        layers: int = 2,
        cold: int = 150,
        steps: int = 50,
        rate: float = 5e-3,
        batch: int = 32,
        eta: Eta = 3,
        min_fidelity: Smallest = 0,
        max_fidelity: Largest = 0,
        brackets: Lanes = 1,
    ) -> None:
        from algorithms.predictors.batched import Training

        self.problem = problem
        seeds = len(problem.seeds)
        used = rungs(problem, eta, min_fidelity, max_fidelity)
        self.halving = Halving(problem, used, sizes(len(used), eta), self.propose, lanes=brackets)
        split = problem.space.split
        self.parts = (split.connections, split.operators) if alternate and split else (problem.space,)
        self.models = {
            f: [
                ProductKDE(
                    p,
                    seeds,
                    percent=top_percent,
                    minimum=min_points,
                    min_bandwidth=min_bandwidth,
                    bandwidth_factor=bandwidth_factor,
                )
                for p in self.parts
            ]
            for f in used.tolist()
        }
        self.random = streams.child("random")
        self.draws = streams.child("candidates")
        self.open = streams.child("open")
        self.drops = streams.child("drops")
        self.startup, self.growth, self.dropout, self.decay = startup, growth, dropout, decay
        self.candidates, self.keep, self.random_fraction = candidates, keep, random_fraction
        self.predictor = (
            GraphPredictor(
                problem,
                streams.child("predictor"),
                width=width,
                layers=layers,
                first=Training(steps=cold, rate=rate, batch=batch),
                again=Training(steps=steps, rate=rate / 2, batch=batch),
            )
            if predictor == "gcn"
            else None
        )
        self.history = History(seeds, problem.space.dimensions)
        self.next_fit = np.full(seeds, startup)
        self.fitted = np.zeros(seeds, dtype=bool)
        self.seen = SeenSet(problem.space, seeds)
        self.proposed = np.zeros(seeds, dtype=np.int64)

    def propose(self, seeds: Ints, fidelity: Ints) -> Ints:
        space = self.problem.space
        codes = space.sample(self.random.uniform(space.dimensions, seeds))
        late = self.history.count[seeds] >= self.startup
        if late.any():
            codes[late] = self.children(seeds[late])
        self.seen.add(seeds, codes)
        self.proposed[seeds] += 1
        return codes

    def children(self, seeds: Ints) -> Ints:
        """The best new child of each seed."""
        space, split = self.problem.space, self.problem.space.split
        chosen = [self.choose(i, seeds) for i in range(len(self.parts))]
        if len(chosen) == 2:
            k, n = chosen[0].shape[:2]
            m = chosen[1].shape[1]
            order = np.add.outer(np.arange(n), np.arange(m)).ravel()
            order = np.argsort(order, kind="stable")
            sk = np.repeat(chosen[0], m, axis=1)[:, order]
            op = np.tile(chosen[1], (1, n, 1))[:, order]
            sk = self.dropped(seeds, sk)
            codes = split.join(sk.reshape(k * n * m, -1), op.reshape(k * n * m, -1)).reshape(k, n * m, -1)
        else:
            codes = chosen[0]
        score = np.tile(np.arange(codes.shape[1], dtype=float), (len(seeds), 1))
        if self.predictor:
            due = seeds[self.history.count[seeds] >= self.next_fit[seeds]]
            if due.size:
                self.predictor.fit(self.history.of(due), due)
                self.next_fit[due] = np.ceil(self.history.count[due] * self.growth)
                self.fitted[due] = True
            f = self.fitted[seeds]
            score[f] = self.predictor.predict(codes[f], seeds[f])
        score[self.seen.has(seeds, codes)] = np.inf
        best = score.argmin(axis=1)
        row = np.arange(len(seeds))
        out = codes[row, best]
        none = np.isinf(score[row, best])
        if none.any():
            out[none] = space.sample(self.random.uniform(space.dimensions, seeds[none]))
        return out

    def choose(self, part: int, seeds: Ints) -> Ints:
        space = self.parts[part]
        out = np.zeros(
            (len(seeds), self.keep if len(self.parts) == 2 else self.keep**2, space.dimensions), dtype=np.int64
        )
        n = out.shape[1]
        uniform = self.random.uniform(1 + n * space.dimensions, seeds)
        out[:] = space.sample(uniform[:, 1:].reshape(len(seeds) * n, -1)).reshape(out.shape)
        left = uniform[:, 0] >= self.random_fraction
        for models in reversed(self.models.values()):
            model = models[part]
            ready = left & model.ready[seeds]
            if ready.any():
                at = seeds[ready]
                c = max(self.candidates, n)
                draws = self.draws.uniform(c * (1 + space.dimensions), at).reshape(len(at), c, -1)
                codes, ratio = model.draw(at, draws)
                number = codes @ space.strides
                order = np.lexsort((number, -ratio), axis=1)
                number = np.take_along_axis(number, order, axis=1)
                twin = np.zeros(number.shape, dtype=bool)
                twin[:, 1:] = number[:, 1:] == number[:, :-1]
                first = np.take_along_axis(order, np.argsort(twin, axis=1, kind="stable"), axis=1)[:, :n]
                out[ready] = np.take_along_axis(codes, first[..., None], axis=1)
                left &= ~ready
        return out

    def dropped(self, seeds: Ints, connections: Ints) -> Ints:
        drop = self.problem.space.split.drop
        if drop is None or not self.dropout:
            return connections
        rate = self.dropout * 0.5 ** (self.proposed[seeds] / self.decay)
        u = self.drops.uniform(connections.shape[1] * connections.shape[2], seeds).reshape(connections.shape)
        return np.where((u < rate[:, None, None]) & (connections == drop[0]), drop[1], connections)

    def ask(self, seeds: Ints, worker: Ints) -> Jobs:
        return self.halving.ask(seeds, worker)

    def tell(self, results: Results) -> None:
        codes = [results.codes]
        split = self.problem.space.split
        if len(self.parts) == 2:
            sk, op = split.apart(results.codes)
            drawn = split.operators.sample(self.open.uniform(op.shape[1], results.seeds))
            codes = [sk, np.where(op < 0, drawn, op)]
        for fidelity, models in self.models.items():
            at = results.fidelity == fidelity
            for model, c in zip(models, codes):
                model.add(results.seeds[at], c[at], results.loss[at])
        self.history.add(results)
        self.halving.tell(results)


class History:
    def __init__(self, seeds: int, d: int) -> None:
        self.count = np.zeros(seeds, dtype=np.int64)
        self.codes = np.zeros((seeds, 64, d), dtype=np.int16)
        self.fidelity = np.zeros((seeds, 64), dtype=np.int16)
        self.loss = np.zeros((seeds, 64))

    def add(self, results: Results) -> None:
        n = self.count[results.seeds]
        if n.size and n.max() == self.loss.shape[1]:
            self.codes = np.concatenate([self.codes, np.zeros_like(self.codes)], axis=1)
            self.fidelity = np.concatenate([self.fidelity, np.zeros_like(self.fidelity)], axis=1)
            self.loss = np.concatenate([self.loss, np.zeros_like(self.loss)], axis=1)
        self.codes[results.seeds, n] = results.codes
        self.fidelity[results.seeds, n] = results.fidelity
        self.loss[results.seeds, n] = results.loss
        self.count[results.seeds] += 1

    def of(self, seeds: Ints) -> Seen:
        n = self.count[seeds]
        m = n.max()
        return Seen(
            self.codes[seeds, :m].astype(np.int64), self.fidelity[seeds, :m].astype(np.int64), self.loss[seeds, :m], n
        )


class SeenSet:
    def __init__(self, space: SearchSpace, seeds: int) -> None:
        self.space = space
        self.exact = space.cardinality <= 1 << 20
        self.bits = np.zeros((seeds, space.cardinality if self.exact else 1 << 20), dtype=bool)

    def number(self, codes: Ints) -> Ints:
        n = codes @ self.space.strides
        return n if self.exact else (n * 0x9E3779B97F4A7C1 >> 20) % (1 << 20)

    def add(self, seeds: Ints, codes: Ints) -> None:
        self.bits[seeds, self.number(codes)] = True

    def has(self, seeds: Ints, codes: Ints) -> Bools:
        return self.bits[seeds[:, None], self.number(codes)]
