"""Networks of torch, one per seed, trained in blocks of seeds with Adam (Kingma and Ba 2015)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor

from algorithms.predictors.data import Float32s, Form
from algorithms.predictors.losses import LOSSES, Loss, level
from algorithms.predictors.networks import Network
from algorithms.predictors.training import Networks, Training, shuffled
from harness import Floats, HarnessError, Ints, Seen, Streams


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


class Batched(Networks):
    """A network for each of the seeds of `streams`, as batched products on a device."""

    def __init__(
        self, network: Network, streams: Streams, *, target: Form = "log", loss: Loss = "mse", on: str = "cpu"
    ) -> None:
        super().__init__(network.shapes(), streams, target, loss)
        self.network = network
        self.block = network.block
        self.device = device(on)
        self.noise = streams.child("dropout")

    def distinct(self, codes: Ints) -> tuple[Ints, Ints]:
        return self.network.distinct(codes)

    @one_thread()
    def apply(self, codes: Ints, where: Ints, fidelity: int) -> Floats:
        out = np.empty((len(where), codes.shape[-2]))
        views = self._views(where)
        for first in range(0, out.shape[1], self.network.chunk):
            chunk = codes[..., first : first + self.network.chunk, :]
            inputs = self._inputs(chunk, np.full(chunk.shape[:-1], fidelity))
            if codes.ndim == 2:
                inputs = tuple(x.expand(len(where), *x.shape) for x in inputs)
            with torch.no_grad():
                predicted = self.network.forward(views, tuple(map(_paired, inputs)), None)
            out[:, first : first + self.network.chunk] = predicted[: len(where)].cpu().numpy()
        return out

    def _views(self, where: Ints) -> dict[str, Tensor]:
        weights, statistics = self._rows(where)
        return self.trained.views(weights) | self.running.views(statistics)

    def _rows(self, where: Ints) -> tuple[Tensor, Tensor]:
        """Copies of weights and statistics on the device."""
        one, other = (torch.from_numpy(x[where]).to(self.device) for x in (self.weights, self.statistics))
        return _paired(one), _paired(other)

    def _inputs(self, codes: Ints, fidelity: Ints) -> tuple[Tensor, ...]:
        flat = self.network.inputs(codes.reshape(-1, codes.shape[-1]), fidelity.ravel())
        return tuple(torch.from_numpy(x).to(self.device).view(*codes.shape[:-1], *x.shape[1:]) for x in flat)

    @one_thread()
    def train(self, seen: Seen, targets: Float32s, where: Ints, training: Training, steps: int) -> None:
        inputs = tuple(map(_paired, self._inputs(seen.codes, seen.fidelity)))
        y = _paired(torch.from_numpy(targets).to(self.device))
        drawn = shuffled(self.shuffles, seen.count, where, steps, training.batch)
        order = _paired(torch.from_numpy(drawn).to(self.device))
        parameters, statistics = self._rows(where)
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
        for rows, learnt in ((self.weights, parameters), (self.statistics, statistics)):
            rows[where] = learnt[: len(where)].cpu().numpy()
        for i in range(len(where) if self.loss != "mse" else 0):
            # each alone: of what it learnt, a seed has not as many rows as others
            own = tuple(_paired(x[i : i + 1, : seen.count[i]]) for x in inputs)
            with torch.no_grad():
                predicted = self.network.forward(self._views(where[i : i + 1]), own, None)[0]
            self.levels[where[i]] = level(self.loss, predicted)

    def _dropout(self, where: Ints, batch: int) -> Tensor:
        draws = self.noise.uniform(batch * self.network.draws, where).astype(np.float32)
        return _paired(torch.from_numpy(draws).to(self.device).view(len(where), batch, self.network.draws))
