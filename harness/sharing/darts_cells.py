"""The super-network of DARTS' cells: every operator on every edge, with weights of its own in every cell.

Batch normalisation in the cells has no affine parameters, and follows pooling too (Liu, Simonyan and Yang, ICLR 2019).
With `partial` K, operators see a K-th of the channels (PC-DARTS). The decisions are the 14 edges of the normal cell,
then those of the reduction cell; an architecture has two edges of each node.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from harness.arrays import Bools, Floats, Ints
from harness.sharing.method import Choice, SuperNetwork
from harness.sharing.passes import Pass, share, shuffled
from harness.space import SearchSpace
from harness.spaces.darts import CELLS, EDGES, INNER, OPERATORS, code, operators, sources
from harness.train.darts_networks import CellNetwork, inputs, operator
from harness.train.skeleton import DropPath, Shape

_SKIP = OPERATORS.index("skip_connect")


class MixedCell(nn.Module):
    """A cell whose 14 edges have all operators; the first of its decisions has the number `first`."""

    def __init__(
        self, first: int, widths: tuple[int, int, int], reduction: bool, after: bool, partial: int, now: Pass
    ) -> None:
        super().__init__()
        self.first, self.partial, self.now = first, partial, now
        self.width = widths[-1] // partial
        self.inputs = inputs(widths, after, affine=False)
        self.strides = [2 if reduction and i < 2 else 1 for i, _ in EDGES]
        self.edges = nn.ModuleList(
            nn.ModuleList(self._operator(name, stride) for name in OPERATORS[1:]) for stride in self.strides
        )

    def _operator(self, name: str, stride: int) -> nn.Module:
        module = operator(name, self.width, stride, affine=False)
        return nn.Sequential(module, nn.BatchNorm2d(self.width, affine=False)) if "pool" in name else module

    def forward(self, before: Tensor, previous: Tensor) -> Tensor:
        nodes = [module(x) for module, x in zip(self.inputs, (before, previous), strict=True)]
        for j in range(2, 2 + INNER):
            parts = [self._edge(e, nodes[i]) for e, (i, to) in enumerate(EDGES) if to == j]
            there = [part for part in parts if part is not None]
            nodes.append(sum(there[1:], there[0]) if there else self._nothing(nodes[0]))
        return torch.cat(nodes[2:], 1)

    def _nothing(self, x: Tensor) -> Tensor:
        """Zeros in the shape of an inner node."""
        return torch.zeros_like(x[:, :, :: self.strides[0], :: self.strides[0]])

    def _edge(self, edge: int, x: Tensor) -> Tensor | None:
        choice, number = self.now.choice, self.first + edge
        active = [o for o in np.flatnonzero(choice.active[number]).tolist() if o]
        if not active:
            return None
        seen, parts = x[:, : self.width] if self.partial > 1 else x, []
        modules = self.edges[edge]
        assert isinstance(modules, nn.ModuleList)
        for o in active:
            out = modules[o - 1](seen)
            if o == _SKIP and self.training and self.now.skip_dropout:
                out = F.dropout(out, self.now.skip_dropout)
            parts.append(out if choice.weights is None else out * choice.weights[number, o])
        total: Tensor = sum(parts[1:], parts[0])
        if self.partial > 1:
            rest = x[:, self.width :]
            rest = F.max_pool2d(rest, 2, 2) if self.strides[edge] == 2 else rest
            total = shuffled(torch.cat([total, rest], 1), self.partial)
        return total if choice.edges is None else total * choice.edges[number]


class DartsSuperNetwork(SuperNetwork):
    """Both cells of DARTS with shared weights."""

    def __init__(self, space: SearchSpace, shape: Shape, *, colours: int, classes: int, partial: int = 1) -> None:
        super().__init__()
        self.space = space
        self.operators = (OPERATORS,) * (len(CELLS) * len(EDGES))
        self.into = tuple(
            tuple(cell * len(EDGES) + e for e, (_, to) in enumerate(EDGES) if to == j)
            for cell in range(len(CELLS))
            for j in range(2, 2 + INNER)
        )
        self.statistics, self.skip_dropout, self.now, self.cells = "batch", 0.0, Pass(), shape.cells

        def make(widths: tuple[int, int, int], reduction: bool, after: bool, drop: DropPath) -> nn.Module:
            return MixedCell(len(EDGES) * reduction, widths, reduction, after, partial, self.now)

        self.net = CellNetwork(make, shape, colours=colours, classes=classes)
        share(self.net, self.now)

    def forward(self, x: Tensor, choice: Choice) -> Tensor:
        self.now.choice = choice
        self.now.statistics, self.now.skip_dropout = self.statistics, self.skip_dropout
        logits: Tensor = self.net(x)
        return logits

    @property
    def normal(self) -> Bools:
        return np.arange(len(self.operators)) < len(EDGES)

    def deepen(self, cells: int) -> None:
        self.net.depth = cells

    def operators_at(self, decision: int) -> list[nn.Module]:
        kind, edge = divmod(decision, len(EDGES))
        cells = [m for m in self.net.modules() if isinstance(m, MixedCell) and m.first == kind * len(EDGES)]
        return [cell.edges[edge] for cell in cells]

    def path(self, codes: Ints) -> Choice:
        active = np.zeros((len(self.operators), len(OPERATORS)), dtype=np.bool_)
        given, chosen = sources(codes[None])[0], operators(codes[None])[0]
        for (cell, j, k), source in np.ndenumerate(given):
            active[cell * len(EDGES) + EDGES.index((int(source), j + 2)), chosen[cell, j, k]] = True
        return Choice(active)

    def architecture(self, weights: Floats) -> Ints:
        """Of each edge the heaviest operator but none, of each node the two edges whose operator is heaviest."""
        best, heaviest = 1 + weights[:, 1:].argmax(axis=1), weights[:, 1:].max(axis=1)
        kept = np.stack(
            [np.sort(np.array(edges)[np.argsort(-heaviest[list(edges)], kind="stable")[:2]]) for edges in self.into]
        )
        shape = len(CELLS), INNER, 2
        given = np.array([EDGES[e % len(EDGES)][0] for e in kept.ravel()])
        return code(given.reshape(shape), best[kept].reshape(shape))

    @torch.no_grad()
    def evaluate(self, x: Tensor, codes: Ints, reference: int | None = None) -> Tensor:
        self.now.reference = reference
        try:
            out = torch.stack([self(x, self.path(row)) for row in codes])
        finally:
            self.now.reference = None
        return out if reference is None else out[:, reference:]


def darts(space: SearchSpace, shape: Shape, *, colours: int, classes: int, partial: int = 1) -> SuperNetwork:
    """The super-network of DARTS' space."""
    return DartsSuperNetwork(space, shape, colours=colours, classes=classes, partial=partial)
