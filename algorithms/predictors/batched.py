"""Training of one network per seed, in blocks of seeds, with Adam (Kingma and Ba 2015)."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from algorithms.predictors.data import Float32s, Form, Targets
from algorithms.predictors.losses import LOSSES, Loss, level
from algorithms.predictors.networks import Network, Shape
from harness import Bools, Floats, HarnessError, Ints, Seen, Streams

_ALIGN = 64


@dataclass(frozen=True)
class Training:
    """How a network is fitted: Adam with a cosine schedule, on minibatches of `batch` out of shuffled passes.

    A fit takes `steps` steps or, if `epochs` is not 0, that many passes over the observations. `decay` shrinks the
    weights at each step (Loshchilov and Hutter 2019), `l2` is part of the gradient.
    """

    steps: int = 0
    epochs: int = 0
    batch: int = 32
    rate: float = 5e-3
    decay: float = 0.0
    l2: float = 0.0

    def length(self, count: Ints) -> Ints:
        """Steps of a fit to `count` Int[k] observations."""
        return np.full_like(count, self.steps) if self.steps else self.epochs * np.maximum(1, count // self.batch)

    def rate_at(self, step: int, steps: int) -> float:
        """The rate of a step of so many."""
        return self.rate * 0.5 * (1.0 + np.cos(np.pi * step / steps))


@contextmanager
def one_thread() -> Iterator[None]:
    """Torch with a single thread: results do not depend on the cores, and processes do not fight for them."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def device(name: str) -> torch.device:
    """The device `name`, cpu or cuda. Raises HarnessError where there is none."""
    if name == "cuda" and not torch.cuda.is_available():
        raise HarnessError("this machine has no CUDA device that torch can use.", "leave --device cuda out.")
    return torch.device(name)


def _paired(rows: Tensor) -> Tensor:
    """A lone row twice: a product over one seed would take another path, and round differently."""
    return rows if len(rows) > 1 else torch.cat([rows, rows])


class Layout:
    """Where parameters stand in one row of numbers; each begins at a multiple of a vector register's width."""

    def __init__(self, shapes: Mapping[str, Shape]) -> None:
        self.shapes = shapes
        self.places: dict[str, slice] = {}
        self.size = 0
        for name, shape in shapes.items():
            self.places[name] = slice(self.size, self.size + math.prod(shape.size))
            self.size += -(-math.prod(shape.size) // _ALIGN) * _ALIGN

    def views(self, rows: Tensor) -> dict[str, Tensor]:
        """The parameters in Float[M, size], each Float[M, ...]."""
        return {name: rows[:, self.places[name]].view(-1, *shape.size) for name, shape in self.shapes.items()}

    def initial(self, draws: Floats) -> Tensor:
        """First values Float[M, size] out of uniform `draws` Float[M, size]."""
        values = np.zeros(draws.shape, dtype=np.float32)
        for name, shape in self.shapes.items():
            place = self.places[name]
            values[:, place] = (2.0 * draws[:, place] - 1.0) * shape.bound + shape.start
        return torch.from_numpy(values)


class Batched:
    """A network for each of the seeds of `streams`.

    `skipped` Int[S] counts the steps that were left out because their loss was not finite.
    """

    def __init__(
        self, network: Network, streams: Streams, *, target: Form = "log", loss: Loss = "mse", on: str = "cpu"
    ) -> None:
        self.network = network
        self.loss = loss
        self.levels = np.tile([0.0, 1.0], (len(streams.seeds), 1))
        self.device = device(on)
        self.starts = streams.child("weights")
        self.shuffles = streams.child("shuffles")
        self.noise = streams.child("dropout")
        self.targets = Targets(len(streams.seeds), target)
        self.skipped = np.zeros(len(streams.seeds), dtype=np.int64)
        shapes = network.shapes()
        self.trained = Layout({name: shape for name, shape in shapes.items() if not shape.running})
        self.running = Layout({name: shape for name, shape in shapes.items() if shape.running})
        self.fitted = np.zeros(len(streams.seeds), dtype=np.bool_)
        self.weights = torch.zeros((len(streams.seeds), self.trained.size), device=self.device)
        self.statistics = torch.zeros((len(streams.seeds), self.running.size), device=self.device)

    def fit(
        self, seen: Seen, where: Ints, training: Training, *, warm: float = 0.0, classes: Bools | None = None
    ) -> None:
        """Fit the models of the seeds at `where` Int[k].

        They start at `warm` times where their last fits ended plus the rest of a fresh start, which generalises better
        than going on (Ash and Adams, "On warm-starting neural network training", NeurIPS 2020).

        With `classes` Bool[k, n] the network learns 1 for an observation that is of the class and -1 for others, by
        squared error too: exponentials round differently at different places of a batch.
        """
        targets = self.targets.fit(seen, where) if classes is None else np.where(classes, 1, -1).astype(np.float32)
        length = training.length(seen.count)
        with one_thread():
            for steps in np.unique(length).tolist():
                same = np.flatnonzero(length == steps)
                for start in range(0, len(same), self.network.block):
                    part = same[start : start + self.network.block]
                    self._initialise(where[part], warm)
                    self._train(seen.of(part), targets[part], where[part], training, steps)
        self.fitted[where] = True

    def predict(self, codes: Ints, where: Ints, fidelity: int) -> Floats:
        """Losses Float[k, m] of codes Int[k, m, d], or Int[m, d] for all, at a fidelity (index)."""
        shared = codes.ndim == 2
        if shared:
            codes, back = self.network.distinct(codes)
        out = np.empty((len(where), codes.shape[-2]))
        with one_thread(), torch.no_grad():
            for start in range(0, len(where), self.network.block):
                part = slice(start, start + self.network.block)
                views = self._views(where[part])
                for first in range(0, out.shape[1], self.network.chunk):
                    chunk = (
                        codes[..., first : first + self.network.chunk, :]
                        if shared
                        else codes[part, first : first + self.network.chunk]
                    )
                    inputs = self._inputs(chunk, np.full(chunk.shape[:-1], fidelity))
                    if shared:
                        inputs = tuple(x.expand(len(where[part]), *x.shape) for x in inputs)
                    predicted = self.network.forward(views, tuple(map(_paired, inputs)), None)
                    out[part, first : first + self.network.chunk] = predicted[: len(where[part])].cpu().numpy()
        mean, spread = self.levels[where].T[:, :, None]
        losses = self.targets.losses((out - mean) / spread, where)
        return losses[:, back] if shared else losses

    def _initialise(self, where: Ints, warm: float) -> None:
        at = torch.from_numpy(where)
        fresh = self.trained.initial(self.starts.uniform(self.trained.size, where)).to(self.device)
        kept = torch.from_numpy(np.where(self.fitted[where], warm, 0.0).astype(np.float32)).to(self.device)[:, None]
        self.weights[at] = torch.lerp(fresh, self.weights[at], kept)
        statistics = self.running.initial(np.zeros((len(where), self.running.size))).to(self.device)
        self.statistics[at] = torch.where(kept > 0, self.statistics[at], statistics)

    def _views(self, where: Ints) -> dict[str, Tensor]:
        at = torch.from_numpy(where)
        return self.trained.views(_paired(self.weights[at])) | self.running.views(_paired(self.statistics[at]))

    def _inputs(self, codes: Ints, fidelity: Ints) -> tuple[Tensor, ...]:
        flat = self.network.inputs(codes.reshape(-1, codes.shape[-1]), fidelity.ravel())
        return tuple(torch.from_numpy(x).to(self.device).view(*codes.shape[:-1], *x.shape[1:]) for x in flat)

    def _train(self, seen: Seen, targets: Float32s, where: Ints, training: Training, steps: int) -> None:
        inputs = tuple(map(_paired, self._inputs(seen.codes, seen.fidelity)))
        y = _paired(torch.from_numpy(targets).to(self.device))
        drawn = shuffled(self.shuffles, seen.count, where, steps, training.batch)
        order = _paired(torch.from_numpy(drawn).to(self.device))
        at = torch.from_numpy(where)
        parameters, statistics = _paired(self.weights[at]), _paired(self.statistics[at])
        gradient, moment, square, scale = (torch.zeros_like(parameters) for _ in range(4))
        leaves = {name: view.detach().requires_grad_() for name, view in self.trained.views(parameters).items()}
        free, slots = tuple(leaves.values()), tuple(self.trained.views(gradient).values())
        leaves |= self.running.views(statistics)
        row = torch.arange(len(order), device=self.device)[:, None]
        for step in range(steps):
            chosen = order[:, step]
            noise = self._dropout(where, training.batch)
            predicted = self.network.forward(leaves, tuple(x[row, chosen] for x in inputs), noise)
            loss = LOSSES[self.loss](predicted, y[row, chosen])
            for slot, found in zip(slots, torch.autograd.grad(loss.sum(), free), strict=True):
                slot.copy_(found)
            finite = loss.detach().isfinite()
            if not finite.all():
                gradient[~finite] = 0.0
                self.skipped[where] += ~finite[: len(where)].cpu().numpy()
            if training.l2:
                gradient.add_(parameters, alpha=training.l2)
            rate = training.rate_at(step, steps)
            moment.lerp_(gradient, 0.1)
            square.mul_(0.999).addcmul_(gradient, gradient, value=0.001)
            if training.decay:
                parameters.mul_(1.0 - rate * training.decay)
            torch.div(square, 1.0 - 0.999 ** (step + 1), out=scale).sqrt_().add_(1e-8)
            parameters.addcdiv_(moment, scale, value=-rate / (1.0 - 0.9 ** (step + 1)))
        self.weights[at], self.statistics[at] = parameters[: len(at)], statistics[: len(at)]
        for i in range(len(where) if self.loss != "mse" else 0):
            # each alone: of what it learnt, a seed has not as many rows as others
            own = tuple(_paired(x[i : i + 1, : seen.count[i]]) for x in inputs)
            with torch.no_grad():
                learnt = self.network.forward(self._views(where[i : i + 1]), own, None)[0]
            self.levels[where[i]] = level(self.loss, learnt)

    def _dropout(self, where: Ints, batch: int) -> Tensor:
        draws = self.noise.uniform(batch * self.network.draws, where).astype(np.float32)
        return _paired(torch.from_numpy(draws).to(self.device).view(len(where), batch, self.network.draws))


def shuffled(streams: Streams, count: Ints, where: Ints, steps: int, batch: int) -> Ints:
    """Which observations each step takes, Int[k, steps, batch]: passes over all `count` Int[k], each shuffled anew."""
    out = np.empty((len(where), steps * batch), dtype=np.int64)
    for i, n in enumerate(count.tolist()):
        passes = -(-out.shape[1] // n)
        draws = streams.uniform(passes * n, where[i : i + 1]).reshape(passes, n)
        out[i] = draws.argsort(axis=1, kind="stable").ravel()[: out.shape[1]]
    return out.reshape(len(where), steps, batch)
