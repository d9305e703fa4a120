"""ADWPNAS: Zhang, Chen and Gu, "ADWPNAS: Architecture-driven weight prediction for neural architecture search",
arXiv:2003.01335, 2020.

First DARTS, of which the epoch of the highest superiority is kept: the likeliest K operations on the edges into each
node then are the intensive space. In it every cell has probabilities of its own, over all operations of a node
together, and blocks of two dense layers make the weights of every convolution out of them. The blocks learn at random
probabilities; then the probabilities learn while the blocks stand still (basic search), but for a time in between when
both learn (cross search). In the end a node has its T likeliest operations, on different edges.

Algorithm 1 of the paper moves the probabilities on training images where its Eq. 6 says validation; `on` chooses.
"""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal

import numpy as np
import scipy  # loads scipy.special when it is first used
import torch
from torch import Tensor, nn

from algorithms.sharing.alphas import Alphas
from harness import HarnessError, Param
from harness.arrays import Bools, Floats, Ints
from harness.sharing.method import Choice, Score, Setting, Step

_WINDOW = 2
"""Epochs before an epoch that its superiority counts."""

_ENDS = (0.2, 0.6, 0.8, 0.87)
"""Shares of all epochs at which DARTS, the blocks' learning, the basic search and the cross search end."""


LEAST = 10
"""Epochs that the stages need."""


class WeightPrediction(Alphas):
    """An intensive space, then probabilities of every cell out of which its weights are predicted."""

    def __init__(
        self,
        setting: Setting,
        *,
        operations: Annotated[int, Param("K, likeliest operations of a node in the intensive space", 1)] = 6,
        chosen: Annotated[int, Param("T, operations of a node in the end", 1)] = 2,
        cross: Annotated[bool, Param("whether blocks and probabilities learn together for a time")] = True,
        macro: Annotated[bool, Param("whether every cell has probabilities of its own")] = True,
        on: Annotated[Literal["validation", "train"], Param("images that the probabilities learn from")] = "validation",
        hidden: Annotated[int, Param("width of a block", 1)] = 64,
        lr: Annotated[float, Param("learning rate of the probabilities over 39,000 steps", 0.0)] = 3e-4,
        rate: Annotated[float, Param("learning rate of the blocks at first", 0.0)] = 0.025,
    ) -> None:
        super().__init__(setting, lr)
        if setting.epochs < LEAST:
            raise HarnessError(
                f"adwp has five stages, which {setting.epochs} epochs are too few for.", f"take {LEAST}."
            )
        self.operations, self.chosen, self.cross, self.on, self.rate = operations, chosen, cross, on, rate
        self.kernels = self.net.kernels()
        cells = 1 + max(kernel.cell for kernel in self.kernels)
        self.own = nn.Parameter(1e-3 * self._drawn(cells if macro else 1))
        self.cells = cells
        size = self.alphas.numel() + 1
        self.blocks = nn.ModuleList(
            nn.Sequential(nn.Linear(size, hidden), nn.ReLU(), nn.Linear(hidden, math.prod(kernel.shape)))
            for kernel in self.kernels
        ).to(self.alphas.device)
        self.sgd = torch.optim.SGD(self.blocks.parameters(), rate, 0.9, weight_decay=3e-4)
        self.second = torch.optim.Adam([self.own], self.adam.param_groups[0]["lr"], (0.5, 0.999), weight_decay=1e-3)
        self.ends = [round(share * setting.epochs) for share in _ENDS]
        self.seen: list[tuple[Bools, float]] = []
        self.hits: list[float] = []
        self.inside = torch.ones_like(self.impossible)
        self.stage = 0
        self.random: Tensor | None = None

    def _drawn(self, cells: int) -> Tensor:
        """Standard normal numbers, Float[L, d, k]."""
        draws = self.setting.uniform(cells, *self.alphas.shape).clip(1e-12, 1 - 1e-12)
        return torch.from_numpy(scipy.special.ndtri(draws)).to(self.alphas)

    def begin(self, epoch: int) -> None:
        if self.hits:
            self.seen.append((self.likeliest(self.probabilities().detach().cpu().numpy()), float(np.mean(self.hits))))
            self.hits = []
        self.stage = int(np.searchsorted(self.ends, epoch, side="right"))
        if self.stage and bool(self.inside.all()):
            self.inside = torch.from_numpy(self.seen[self.best_epoch()][0]).to(self.impossible)
        self.sgd.param_groups[0]["lr"] = self.rate * (1 + math.cos(math.pi * epoch / self.setting.epochs)) / 2

    def likeliest(self, probability: Floats) -> Bools:
        """The K likeliest operations but none on the edges into each node, Bool[d, k]."""
        may = self.net.possible & ~self.net.named("none")
        found = np.zeros_like(may)
        for edges in self.net.into:
            rows, columns = np.nonzero(may[list(edges)])
            at = np.array(edges)[rows], columns
            best = np.argsort(-probability[at], kind="stable")[: self.operations]
            found[at[0][best], at[1][best]] = True
        return found

    def superiority(self) -> Floats:
        """S of each epoch of DARTS, Float[t]: over the window, stability times accuracy, multiplied."""
        found = []
        for t, (now, _) in enumerate(self.seen):
            before = self.seen[max(0, t - _WINDOW) : t + 1]
            stable = [1 - (now & ~then).sum() / now.sum() for then, _ in before]
            found.append(np.prod([s * accuracy for s, (_, accuracy) in zip(stable, before, strict=True)]))
        return np.array(found)

    def best_epoch(self) -> int:
        """The epoch of the highest superiority, counted from 0; those whose window is not whole only if none is."""
        found = self.superiority()
        return int(found[_WINDOW:].argmax()) + _WINDOW if len(found) > _WINDOW else int(found.argmax())

    def relaxed(self, own: Tensor) -> Tensor:
        """Probabilities over the operations of each node together, Float[L, d, k], of parameters of that shape."""
        masked = own.masked_fill(~self.inside, -torch.inf)
        parts = torch.zeros_like(own)
        for edges in self.net.into:
            part = masked[:, list(edges)]
            parts[:, list(edges)] = part.flatten(1).softmax(1).view_as(part)
        return parts.expand(self.cells, -1, -1)

    def predicted(self, probability: Tensor) -> dict[str, Tensor]:
        """The weights of every convolution in the intensive space, by name."""
        found, inside = {}, self.inside.tolist()
        for kernel, block in zip(self.kernels, self.blocks, strict=True):
            if inside[kernel.decision][kernel.operator]:
                own = probability[kernel.cell]
                given = torch.cat([own.flatten(), own[kernel.decision, kernel.operator, None]])
                found[kernel.name] = block(given).view(kernel.shape)
        return found

    def hyper(self, probability: Tensor) -> Choice:
        """The mixture of every cell, with predicted weights."""
        active = np.broadcast_to(self.inside.cpu().numpy(), (self.cells, *self.inside.shape))
        return Choice(active, probability, predicted=self.predicted(probability))

    def update(self, step: Step) -> None:
        if self.stage == 0:
            self.hits.append(step.accuracy(self.mixture()))
            super().move(step.loss(self.mixture(), True))
        elif self.stage == 1:
            self.random = self.relaxed(self._drawn(len(self.own)))
        else:
            self.random = None
            loss = step.loss(self.hyper(self.relaxed(self.own)), self.on == "validation")
            (self.own.grad,) = torch.autograd.grad(loss, [self.own])
            self.second.step()

    def choices(self) -> list[Choice]:
        if self.stage == 0:
            return [self.mixture(self.probabilities().detach())]
        if self.stage == 1:
            assert self.random is not None
            return [self.hyper(self.random)]
        return [self.hyper(self.relaxed(self.own.detach()))] if self.learning else []

    @property
    def learning(self) -> bool:
        """Whether the blocks learn."""
        return self.stage == 1 or (self.stage == 3 and self.cross)

    def after(self) -> None:
        if self.learning:
            nn.utils.clip_grad_norm_(self.blocks.parameters(), 5.0)
            self.sgd.step()
        self.sgd.zero_grad()

    def distribution(self) -> Floats:
        """Probabilities over epochs; of an edge none has what its operations leave."""
        if self.stage == 0:
            return super().distribution()
        found: Floats = self.relaxed(self.own.detach()).mean(0).double().cpu().numpy()
        return np.where(self.net.named("none"), 1.0 - found.sum(axis=1, keepdims=True), found)

    def discrete(self, weights: Floats, *, none: bool) -> Floats:
        """`weights` Float[d, k] of which only the T likeliest operations of a node are left, where `none` may be."""
        named = self.net.named("none")
        rest = np.where(named, -1.0, weights)
        if not none or not named.any():
            return rest
        kept = np.where(named, 1e-9, 0.0)
        for edges in self.net.into:
            best = sorted(edges, key=lambda edge: -rest[edge].max())[: self.chosen]
            kept[best] = rest[best]
        return kept

    def derive(self, score: Score, *, none: bool) -> Ints:
        if self.stage:
            self._settle()
        weights = super().distribution() if self.stage == 0 else self.relaxed(self.own.detach()).mean(0).cpu().numpy()
        return self.net.architecture(self.discrete(weights, none=none))

    def cellwise(self, *, none: bool) -> Ints:
        """Codes Int[L, p] of the architecture of every cell (macro search)."""
        every = self.relaxed(self.own.detach()).double().cpu().numpy()
        return np.stack([self.net.architecture(self.discrete(weights, none=none)) for weights in every])

    @torch.no_grad()
    def _settle(self) -> None:
        """Give the super-network the weights that the probabilities predict, by which architectures are scored."""
        for name, weight in self.predicted(self.relaxed(self.own)).items():
            self.net.get_parameter(name).copy_(weight)

    def state(self) -> dict[str, Any]:
        optimizers = {"sgd": self.sgd.state_dict(), "second": self.second.state_dict()}
        seen = [(torch.from_numpy(now), accuracy) for now, accuracy in self.seen]
        own = {"own": self.own.detach().clone(), "blocks": self.blocks.state_dict(), "inside": self.inside}
        return {**super().state(), **own, **optimizers, "seen": seen, "hits": self.hits, "stage": self.stage}

    def load(self, state: dict[str, Any]) -> None:
        super().load(state)
        with torch.no_grad():
            self.own.copy_(state["own"])
        self.blocks.load_state_dict(state["blocks"])
        self.sgd.load_state_dict(state["sgd"])
        self.second.load_state_dict(state["second"])
        self.seen = [(now.cpu().numpy(), accuracy) for now, accuracy in state["seen"]]
        self.hits, self.inside, self.stage = state["hits"], state["inside"], state["stage"]
