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
from algorithms.sharing.intensive import discrete, likeliest, most_superior, relaxed
from algorithms.sharing.weight_blocks import Blocks
from harness import HarnessError, Param
from harness.arrays import Bools, Floats, Ints
from harness.sharing.method import Choice, Score, Setting, Step

_ENDS = (0.2, 0.6, 0.8, 0.87)
"""Shares of all epochs at which DARTS, the blocks' learning, the basic search and the cross search end."""
_PARTS = ("blocks", "sgd", "second")


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
        if setting.epochs < 10:
            raise HarnessError(f"adwp has five stages, which {setting.epochs} epochs are too few for.", "take 10.")
        self.operations, self.chosen, self.cross, self.on, self.rate = operations, chosen, cross, on, rate
        kernels = self.net.kernels()
        self.cells = 1 + max(kernel.cell for kernel in kernels)
        self.own = nn.Parameter(1e-3 * self._drawn(self.cells if macro else 1))
        self.blocks = Blocks(kernels, self.alphas.numel(), hidden).to(self.alphas.device)
        self.sgd = torch.optim.SGD(self.blocks.parameters(), rate, 0.9, weight_decay=3e-4)
        self.second = torch.optim.Adam([self.own], self.adam.param_groups[0]["lr"], (0.5, 0.999), weight_decay=1e-3)
        self.seen: list[tuple[Bools, float]] = []
        self.hits: list[float] = []
        self.inside, self.stage = torch.ones_like(self.impossible), 0
        self.random: Tensor | None = None

    def _drawn(self, cells: int) -> Tensor:
        """Standard normal numbers, Float[L, d, k]."""
        draws = self.setting.uniform(cells, *self.alphas.shape).clip(1e-12, 1 - 1e-12)
        return torch.from_numpy(scipy.special.ndtri(draws)).to(self.alphas)

    def begin(self, epoch: int) -> None:
        if self.hits:
            self.seen.append((likeliest(self.net, super().distribution(), self.operations), float(np.mean(self.hits))))
            self.hits = []
        self.stage = int(np.searchsorted(np.round(np.array(_ENDS) * self.setting.epochs), epoch, side="right"))
        if self.stage and bool(self.inside.all()):
            self.inside = torch.from_numpy(self.seen[most_superior(self.seen)][0]).to(self.impossible)
        self.sgd.param_groups[0]["lr"] = self.rate * (1 + math.cos(math.pi * epoch / self.setting.epochs)) / 2

    def relaxed(self, own: Tensor) -> Tensor:
        """Probabilities over the operations of each node together, Float[L, d, k]."""
        return relaxed(own, self.inside, self.net.into).expand(self.cells, -1, -1)

    def hyper(self, probability: Tensor) -> Choice:
        """The mixture of every cell, with predicted weights."""
        active = np.broadcast_to(self.inside.cpu().numpy(), (self.cells, *self.inside.shape))
        return Choice(active, probability, predicted=self.blocks(probability, self.inside))

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
        if self.random is not None:
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

    @torch.no_grad()
    def derive(self, score: Score, *, none: bool) -> Ints:
        """The super-network is given the weights that are predicted, by which architectures are scored."""
        if self.stage:
            for name, weight in self.blocks(self.relaxed(self.own), self.inside).items():
                self.net.get_parameter(name).copy_(weight)
        weights = super().distribution() if self.stage == 0 else self.relaxed(self.own.detach()).mean(0).cpu().numpy()
        return self.net.architecture(discrete(self.net, weights, self.chosen, none=none))

    def cellwise(self, *, none: bool) -> Ints:
        """Codes Int[L, p] of the architecture of every cell (macro search)."""
        every = self.relaxed(self.own.detach()).double().cpu().numpy()
        return np.stack([self.net.architecture(discrete(self.net, w, self.chosen, none=none)) for w in every])

    def state(self) -> dict[str, Any]:
        seen = [(torch.from_numpy(now), accuracy) for now, accuracy in self.seen]
        own = {"own": self.own.detach().clone(), "inside": self.inside, "stage": self.stage, "hits": self.hits}
        return {**super().state(), **{name: getattr(self, name).state_dict() for name in _PARTS}, **own, "seen": seen}

    def load(self, state: dict[str, Any]) -> None:
        super().load(state)
        for name in _PARTS:
            getattr(self, name).load_state_dict(state[name])
        self.own.data.copy_(state["own"])
        self.seen = [(now.cpu().numpy(), accuracy) for now, accuracy in state["seen"]]
        self.hits, self.inside, self.stage = state["hits"], state["inside"], state["stage"]
