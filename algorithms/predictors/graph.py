"""GPNAS's predictor: its network, fitted from scratch once and then half warm."""

from __future__ import annotations

import numpy as np

from algorithms.predictors import convolution
from algorithms.predictors.convolution import Running, Weights
from algorithms.predictors.data import Float32s, Form, GraphInputs, Labels, Target, form
from algorithms.predictors.descent import LOSSES
from algorithms.predictors.losses import Loss
from algorithms.predictors.parameters import convolutions
from algorithms.predictors.products import enlist, floats
from algorithms.predictors.training import Networks, Training, shuffled
from harness import Floats, Ints, Problem, SearchSpace, Seen, Streams

COLD = Training(steps=150)
WARM = Training(steps=75)
WARMTH = 0.5

_CHUNK = 32


class Convolutions(Networks):
    """GPNAS's network for each of the seeds of `streams`, on the CPU: see `convolution`."""

    block = 500

    def __init__(
        self, space: SearchSpace, fidelities: int, width: int, layers: int, streams: Streams, target: Form, loss: Loss
    ) -> None:
        self.graphs = GraphInputs(space, "undirected")
        super().__init__(convolutions(self.graphs.view.labels - 1, fidelities, width, layers), streams, target, loss)

    def distinct(self, codes: Ints) -> tuple[Ints, Ints]:
        return self.graphs.distinct(codes)

    def train(self, seen: Seen, targets: Float32s, where: Ints, training: Training, steps: int) -> None:
        matrices, labels, which = self._numbered(seen.codes)
        order = shuffled(self.shuffles, seen.count, where, steps, training.batch)
        flat, weights, statistics, running = self._table()
        slopes, _ = self._named(flat[1:2], statistics)
        room = convolution.room(weights, training.batch, labels.shape[1], len(labels))
        back = convolution.back(weights, room)
        schedule, loss, l2 = training.schedule(steps), LOSSES[self.loss], np.float32(training.l2)
        for i, s in enumerate(where.tolist()):
            n, fidelity = seen.count[i], seen.fidelity[i]
            flat[0], flat[2:], statistics[:] = self.weights[s], 0.0, self.statistics[s]
            self.skipped[s] += convolution.fit(
                weights, slopes, running, room, back, flat, matrices, labels, which[i], fidelity, targets[i],
                order[i], schedule, l2, loss,
            )  # fmt: skip
            self.weights[s], self.statistics[s] = flat[0], statistics
            if self.loss != "mse":
                learnt = np.empty(n, dtype=np.float32)
                convolution.predict(weights, running, room, matrices, labels, which[i, :n], fidelity[:n], learnt)
                self.levels[s] = learnt.mean(dtype=np.float64), max(learnt.std(dtype=np.float64), 1e-9)

    def apply(self, codes: Ints, where: Ints, fidelity: int) -> Float32s:
        matrices, labels, which = self._numbered(codes)
        out = np.empty((len(where), codes.shape[-2]), dtype=np.float32)
        at = np.full(out.shape[1], fidelity)
        flat, weights, statistics, running = self._table()
        room = convolution.room(weights, _CHUNK, labels.shape[1], len(labels))
        few, same = np.empty((2, out.shape[1]), dtype=np.int64)
        predicted = np.empty(out.shape[1], dtype=np.float32)
        for i, s in enumerate(where.tolist()):
            n = enlist(which if which.ndim == 1 else which[i], room.known, few, same)
            flat[0], statistics[:] = self.weights[s], self.statistics[s]
            convolution.predict(weights, running, room, matrices, labels, few[:n], at, predicted)
            out[i] = predicted[same]
        return out

    def _numbered(self, codes: Ints) -> tuple[Float32s, Labels, Ints]:
        """Graphs, and which of them codes Int[..., d] are."""
        matrices, labels, which = self.graphs.numbered(codes.reshape(-1, codes.shape[-1]))
        return matrices[:, 0], labels, which.reshape(codes.shape[:-1])

    def _table(self) -> tuple[Float32s, Weights, Float32s, Running]:
        """Room for a seed's numbers: weights, their slopes and moments, Float[4, size], and running statistics."""
        flat, statistics = floats(4, self.trained.size), floats(1, self.running.size)
        weights, running = self._named(flat[:1], statistics)
        return flat, weights, statistics, running

    def _named(self, row: Float32s, statistics: Float32s) -> tuple[Weights, Running]:
        """What is in Float[1, ...] of weights and statistics, to be written to."""
        views = {name.replace(".", "_"): view[0] for name, view in self.trained.views(row).items()}
        epoch = views.pop("epoch", np.zeros((0, 0), dtype=np.float32))
        return Weights(**views, epoch=epoch), Running(*(x[0] for x in self.running.views(statistics).values()))


class GraphPredictor:
    """A graph-convolutional network for each seed; every fit has the same number of steps, whatever was observed."""

    def __init__(
        self,
        problem: Problem,
        streams: Streams,
        *,
        first: Training = COLD,
        again: Training = WARM,
        width: int = 64,
        layers: int = 2,
        target: Target = "log",
        loss: Loss = "mse",
        device: str = "cpu",
    ) -> None:
        fidelities, kind = len(problem.fidelities), form(problem, target)
        self.models: Networks
        if device == "cpu":
            self.models = Convolutions(problem.space, fidelities, width, layers, streams, kind, loss)
        else:
            from algorithms.predictors.batched import Batched
            from algorithms.predictors.networks import GraphNetwork

            network = GraphNetwork(problem.space, fidelities, width, layers)
            self.models = Batched(network, streams, target=kind, loss=loss, on=device)
        self.full = problem.full
        self.first, self.again = first, again

    def fit(self, seen: Seen, where: Ints) -> None:
        warm = self.models.fitted[where]
        for chosen, training in ((~warm, self.first), (warm, self.again)):
            if chosen.any():
                self.models.fit(seen.of(chosen), where[chosen], training, warm=WARMTH)

    def predict(self, codes: Ints, where: Ints) -> Floats:
        return self.models.predict(codes, where, self.full)

    @property
    def skipped(self) -> Ints:
        """Steps left out for a loss that was not finite, Int[S]."""
        return self.models.skipped
