"""The super-network of chains of inverted residual blocks: every operator at every block, each with its own weights.

Blocks and batch normalisation are those of the built networks, the latter by the statistics that are asked for.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from harness.arrays import Floats, Ints
from harness.errors import HarnessError
from harness.sharing.method import Choice, SuperNetwork
from harness.sharing.passes import Pass, grouped, share
from harness.space import SearchSpace
from harness.spaces.mobilenet import SKIP, body_of
from harness.train.mobile_networks import Chain, operator, scaled
from harness.train.skeleton import DropPath, Shape


class MixedBlock(nn.Module):
    """The block with this number, whose operators are chosen."""

    def __init__(self, number: int, names: tuple[str, ...], operators: list[nn.Module], now: Pass) -> None:
        super().__init__()
        self.number, self.now = number, now
        self.skip = names.index(SKIP) if SKIP in names else -1
        self.operators = nn.ModuleList(operators)

    def forward(self, x: Tensor) -> Tensor:
        if self.now.codes is not None:
            return self.many(x, self.now.codes[:, self.number])
        choice = self.now.choice
        parts = []
        for o in np.flatnonzero(choice.active[self.number]).tolist():
            out = self.operators[o](x)
            if o == self.skip and self.training and self.now.skip_dropout:
                out = F.dropout(out, self.now.skip_dropout)
            parts.append(out if choice.weights is None else out * choice.weights[self.number, o])
        total: Tensor = sum(parts[1:], parts[0])
        return total if choice.edges is None else total * choice.edges[self.number]

    def many(self, x: Tensor, codes: Ints) -> Tensor:
        """Outputs Float[u n, c, h, w] of the u distinct beginnings of paths with `codes` Int[B] at this block."""
        values = grouped(x, self.now.groups)
        distinct, at = np.unique(codes * len(values) + self.now.at, return_inverse=True)
        parts = []
        for o, module in enumerate(self.operators):
            rows = distinct[distinct // len(values) == o] % len(values)
            if len(rows):
                self.now.groups = len(rows)
                parts.append(module(values[torch.from_numpy(rows).to(x.device)].flatten(0, 1)))
        self.now.groups, self.now.at = len(distinct), at.ravel()
        return torch.cat(parts)


class ChainSuperNetwork(SuperNetwork):
    """Chains with shared weights; a block is a decision."""

    def __init__(self, space: SearchSpace, shape: Shape, *, colours: int, classes: int) -> None:
        super().__init__()
        body = body_of(space)
        self.space, self.operators = space, tuple(block.operators for block in body.blocks)
        self.into = tuple((i,) for i in range(len(self.operators)))
        self.statistics, self.skip_dropout, self.now = "batch", 0.0, Pass()
        drop = DropPath()
        blocks = [
            MixedBlock(
                i, b.operators, [operator(name, *scaled(b, body, shape), body, drop) for name in b.operators], self.now
            )
            for i, b in enumerate(body.blocks)
        ]
        self.net = Chain(blocks, body, shape, colours=colours, classes=classes)
        share(self.net, self.now)

    def forward(self, x: Tensor, choice: Choice) -> Tensor:
        self.now.choice, self.now.codes, self.now.groups = choice, None, 1
        self.now.statistics, self.now.skip_dropout = self.statistics, self.skip_dropout
        logits: Tensor = self.net(x)
        return logits

    def operators_at(self, decision: int) -> list[nn.Module]:
        block = self.net.blocks[decision]
        assert isinstance(block, MixedBlock)
        return [*block.operators]

    def path(self, codes: Ints) -> Choice:
        return Choice(np.arange(self.possible.shape[1]) == codes[:, None])

    def architecture(self, weights: Floats) -> Ints:
        return np.asarray(np.where(self.possible, weights, -np.inf).argmax(axis=1))

    @torch.no_grad()
    def evaluate(self, x: Tensor, codes: Ints, reference: int | None = None) -> Tensor:
        self.now.codes, self.now.reference, self.now.statistics = codes, reference, self.statistics
        self.now.groups, self.now.at = 1, np.zeros(len(codes), dtype=np.int64)
        try:
            out = grouped(self.net(x), self.now.groups)[torch.from_numpy(self.now.at).to(x.device)]
        finally:
            self.now.codes, self.now.reference, self.now.groups = None, None, 1
        return out if reference is None else out[:, reference:]


def chain(space: SearchSpace, shape: Shape, *, colours: int, classes: int, partial: int = 1) -> SuperNetwork:
    """The super-network of a space of chains. Raises HarnessError if operators are to see some channels only."""
    if partial > 1:
        raise HarnessError(
            "the operators of a chain cannot see a part of its channels: no other edge carries the rest.",
            "search it by another method, such as fairnas.",
        )
    return ChainSuperNetwork(space, shape, colours=colours, classes=classes)
