"""The super-network of NAS-Bench-201's cells: every operator on every edge of every cell, each with its own weights.

Batch normalisation has no affine parameters, as Dong and Yang (ICLR 2020) search, and three kinds of statistics: of the
batch, running means, or those of reference images of each architecture (`recalibrated`). Edges that do not reach the
output are not computed; convolutions of one kernel that leave the same node are one convolution.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F  # noqa: N812

from harness.arrays import Bools, Floats, Ints
from harness.sharing.method import Choice, Kernel, SuperNetwork
from harness.sharing.passes import Norm, Pass, grouped, share, shuffled
from harness.space import SearchSpace
from harness.spaces.nasbench201 import EDGES
from harness.train.devices import shared_batch_norm
from harness.train.networks import Reduction
from harness.train.skeleton import Shape, Skeleton

_NODES = 4
Weights = Sequence[Sequence[Tensor]]
"""Of the operators of each edge, one number each."""

_LEAVING = [[(edge, j) for edge, (i, j) in enumerate(EDGES) if i == node] for node in range(_NODES)]


class MixedCell(nn.Module):
    """A cell whose six edges have all operators; with `partial` K they see a K-th of the channels (PC-DARTS).

    Xu et al., "PC-DARTS: Partial channel connections for memory-efficient architecture search", ICLR 2020: the other
    channels pass by, and all are shuffled.
    """

    def __init__(self, operators: tuple[str, ...], channels: int, partial: int, now: Pass) -> None:
        super().__init__()
        self.names, self.now, self.partial, self.number = operators, now, partial, 0
        self.left_out = False
        self.width = width = channels // partial
        kernels = {o: int(name[-1]) for o, name in enumerate(operators) if name.startswith("nor_conv")}
        self.kernels = kernels
        self.convolutions = nn.ModuleDict(
            {
                f"{edge}_{o}": nn.Conv2d(width, width, kernel, 1, kernel // 2, bias=False)
                for edge in range(len(EDGES))
                for o, kernel in kernels.items()
            }
        )
        self.norms = nn.ModuleDict({name: nn.BatchNorm2d(width, affine=False) for name in self.convolutions})
        share(self.norms, now)
        self.none = np.array([name == "none" for name in operators])

    def forward(self, x: Tensor) -> Tensor:
        if self.left_out:
            return x
        if self.now.codes is not None:
            return self.many(x, self.now.codes)
        choice = self.now.choice.of(self.number)
        active = self.live(choice.active)
        weights = None if choice.weights is None else [row.unbind() for row in choice.weights.unbind()]
        nodes: list[Tensor | None] = [x, None, None, None]
        for i, leaving in enumerate(_LEAVING[:-1]):
            h = nodes[i]
            used = [(edge, j) for edge, j in leaving if active[edge].any()]
            if h is None or not used:
                continue
            seen = h[:, : self.width] if self.partial > 1 else h
            mixed = self._mixed(seen, [edge for edge, _ in used], active, weights)
            for edge, j in used:
                out = mixed[edge]
                if self.partial > 1:
                    out = shuffled(torch.cat([out, h[:, self.width :]], 1), self.partial)
                if choice.edges is not None:
                    out = out * choice.edges[edge]
                before = nodes[j]
                nodes[j] = out if before is None else before + out
        last = nodes[-1]
        return torch.zeros_like(x) if last is None else last

    def norm(self, name: str) -> Norm:
        """The batch normalisation behind a convolution."""
        found = self.norms[name]
        assert isinstance(found, Norm)
        return found

    def live(self, active: Bools) -> Bools:
        """The operators Bool[6, k] whose results reach the output; none has no result."""
        active = active & ~self.none
        reached = {_NODES - 1}
        for edge in range(len(EDGES) - 1, -1, -1):
            i, j = EDGES[edge]
            if j in reached and active[edge].any():
                reached.add(i)
        return active & np.array([j in reached for _, j in EDGES])[:, None]

    def _mixed(self, x: Tensor, edges: list[int], active: Bools, weights: Weights | None) -> dict[int, Tensor]:
        """What comes of `x` on each of the edges that leave its node."""
        found: dict[int, Tensor] = {}

        def add(edge: int, out: Tensor) -> None:
            found[edge] = found[edge] + out if edge in found else out

        relu = F.relu(x) if any(active[edge, o] for edge in edges for o in self.kernels) else x
        for kernel in sorted({*self.kernels.values()}):
            wanted = [(e, o) for e in edges for o, size in self.kernels.items() if size == kernel and active[e, o]]
            if wanted:
                for (edge, _), out in zip(wanted, self._convolved(relu, wanted, kernel, weights), strict=True):
                    add(edge, out)
        for o, name in enumerate(self.names):
            wanted = [(edge, o) for edge in edges if active[edge, o]]
            if wanted and o not in self.kernels:
                out = _plain(name, x)
                if name == "skip_connect" and self.training and self.now.skip_dropout:
                    out = F.dropout(out, self.now.skip_dropout)
                for edge, _ in wanted:
                    add(edge, out if weights is None else out * weights[edge][o])
        return found

    def _convolved(
        self, x: Tensor, wanted: list[tuple[int, int]], kernel: int, weights: Weights | None
    ) -> tuple[Tensor, ...]:
        """Convolutions of one kernel on the same node as one, normalised and weighted."""
        names = [f"{edge}_{o}" for edge, o in wanted]
        if weights is None and (len(names) == 1 or not self.training):
            return tuple(self.norms[name](self.convolutions[name](x)) for name in names)
        out = F.conv2d(
            x, torch.cat([next(self.convolutions[name].parameters()) for name in names]), None, 1, kernel // 2
        )
        norms = [self.norm(name) for name in names]
        running = [[norm.get_buffer(f"running_{name}") for norm in norms] for name in ("mean", "var")]
        mean, variance = map(torch.cat, running)
        scale = None
        if weights is not None:
            scale = torch.cat([weights[edge][o].expand(self.width) for edge, o in wanted])
        if self.training and self.now.world > 1:
            out = shared_batch_norm(out, mean, variance, scale, None, 0.1, norms[0].eps)
        else:
            by_batch = self.training or self.now.statistics != "running"
            out = F.batch_norm(out, mean, variance, scale, None, by_batch, 0.1, norms[0].eps)
        if self.training:
            for kept, new in zip(running, (mean, variance), strict=True):
                torch._foreach_copy_(kept, new.split(self.width))
        return torch.split(out, self.width, 1)

    def many(self, x: Tensor, codes: Ints) -> Tensor:
        """Outputs Float[B n, c, h, w] of B paths with codes Int[B, 6]; `x` holds the images of each, or of all.

        What several paths have in common, from the input on, is computed once.
        """
        paths = len(codes)
        shared = self.now.groups == 1 and paths > 1
        k = len(self.names)
        alive = np.stack([self.live(np.eye(k, dtype=np.bool_)[row]).any(axis=1) for row in codes])
        values: list[Tensor | None] = [grouped(x, 1 if shared else paths), None, None, None]
        at = [np.zeros(paths, np.int64) if shared else np.arange(paths), *([np.full(paths, -1)] * 3)]
        for j in range(1, _NODES):
            keys, results = [], []
            for edge, i in ((e, i) for e, (i, to) in enumerate(EDGES) if to == j):
                key, out = self._edge(edge, values[i], at[i], np.where(alive[:, edge], codes[:, edge], -1))
                keys.append(key)
                results.append(out)
            distinct, at[j] = np.unique(np.stack(keys, axis=1), axis=0, return_inverse=True)
            at[j] = at[j].ravel()
            values[j] = self._summed(distinct, results, x, 1 if shared else paths)
        last = values[-1]
        assert last is not None
        return last[torch.from_numpy(at[-1])].flatten(0, 1)

    def _edge(self, edge: int, value: Tensor | None, at: Ints, ops: Ints) -> tuple[Ints, Tensor | None]:
        """Numbers Int[B] of the results that each path takes from an edge, -1 for none, and these results."""
        assert value is not None
        k = len(self.names)
        pairs = np.where(ops >= 0, ops * len(value) + at, -1)
        distinct, key = np.unique(pairs, return_inverse=True)
        key = key.ravel()
        if distinct[0] < 0:
            distinct, key = distinct[1:], key - 1
        parts = []
        for o in range(k):
            rows = distinct[distinct // len(value) == o] % len(value)
            if len(rows):
                h = value[torch.from_numpy(rows)].flatten(0, 1)
                name, whole = f"{edge}_{o}", h
                h = h[:, : self.width]
                if o in self.kernels:
                    h = self.norm(name).normalised(self.convolutions[name](F.relu(h)), len(rows))
                else:
                    h = _plain(self.names[o], h)
                if self.partial > 1:
                    h = shuffled(torch.cat([h, whole[:, self.width :]], 1), self.partial)
                parts.append(grouped(h, len(rows)))
        return key, (torch.cat(parts) if len(parts) > 1 else parts[0]) if parts else None

    def _summed(self, keys: Ints, results: list[Tensor | None], x: Tensor, groups: int) -> Tensor:
        """The sums of the results with numbers `keys` Int[u, edges], Float[u, n, c, h, w]; zeros where none is.

        Results are those of this node alone, so that the first of them may take the others in.
        """
        n, total = len(x) // groups, None
        for column, out in zip(keys.T, results, strict=True):
            rows = np.flatnonzero(column >= 0)
            if out is None or not len(rows):
                continue
            whole = len(rows) == len(keys)
            part = out if np.array_equal(column, np.arange(len(out))) else out[torch.from_numpy(column[rows])]
            if whole and total is None:
                total = part
                continue
            if total is None:
                total = x.new_zeros(len(keys), n, *x.shape[1:])
            if whole:
                total += part
            else:
                total.index_add_(0, torch.from_numpy(rows).to(x.device), part)
        return x.new_zeros(len(keys), n, *x.shape[1:]) if total is None else total


def _plain(name: str, x: Tensor) -> Tensor:
    return F.avg_pool2d(x, 3, 1, 1, count_include_pad=False) if name == "avg_pool_3x3" else x


class CellSuperNetwork(SuperNetwork):
    """Cells of NAS-Bench-201 with shared weights, in the benchmark's skeleton; an edge is one decision in all."""

    def __init__(self, space: SearchSpace, shape: Shape, *, colours: int, classes: int, partial: int = 1) -> None:
        super().__init__()
        self.space = space
        self.operators = tuple(tuple(map(str, p.values)) for p in space.parameters)
        self.into = tuple(tuple(e for e, (_, j) in enumerate(EDGES) if j == node) for node in range(1, _NODES))
        self.statistics, self.skip_dropout, self.now, self.cells = "batch", 0.0, Pass(), shape.cells
        self.net = Skeleton(
            lambda channels, _: MixedCell(self.operators[0], channels, partial, self.now),
            lambda incoming, outgoing, _: Reduction(incoming, outgoing),
            shape,
            colours=colours,
            classes=classes,
        )
        share(self.net, self.now)
        for number, (_, cell) in enumerate(self._cells()):
            cell.number = number

    def forward(self, x: Tensor, choice: Choice) -> Tensor:
        self.now.choice, self.now.codes, self.now.groups = choice, None, 1
        self.now.statistics, self.now.skip_dropout = self.statistics, self.skip_dropout
        predicted = {name.removeprefix("net."): weight for name, weight in (choice.predicted or {}).items()}
        logits: Tensor = functional_call(self.net, predicted, (x,)) if predicted else self.net(x)
        return logits

    def deepen(self, cells: int) -> None:
        for stage in self.net.stages:
            for number, cell in enumerate(stage.children()):
                assert isinstance(cell, MixedCell)
                cell.left_out = number >= cells

    def operators_at(self, decision: int) -> list[nn.Module]:
        cells = [m for m in self.net.modules() if isinstance(m, MixedCell)]
        return [m for cell in cells for name, m in cell.convolutions.items() if name.startswith(f"{decision}_")]

    def kernels(self) -> list[Kernel]:
        found = []
        for number, (cell, module) in enumerate(self._cells()):
            for name, convolution in module.convolutions.items():
                edge, operator = map(int, name.split("_"))
                weight = f"{cell}.convolutions.{name}.weight"
                found.append(Kernel(weight, number, edge, operator, convolution.get_parameter("weight").shape))
        return found

    def _cells(self) -> list[tuple[str, MixedCell]]:
        return [(name, module) for name, module in self.named_modules() if isinstance(module, MixedCell)]

    def path(self, codes: Ints) -> Choice:
        return Choice(np.eye(len(self.operators[0]), dtype=np.bool_)[codes])

    def architecture(self, weights: Floats) -> Ints:
        return np.asarray(weights.argmax(axis=1))

    def canonical(self, codes: Ints) -> Ints:
        """None on edges whose result reaches no output, and on those out of a node that nothing reaches.

        By running statistics the latter are kept: zeros, less a mean, are none.
        """
        names = self.operators[0]
        if "none" not in names:
            return codes
        none, fed = names.index("none"), np.ones((len(codes), _NODES), dtype=np.bool_)
        used = codes != none
        if self.statistics != "running":
            fed[:, 1:] = False
            for edge, (i, j) in enumerate(EDGES):
                used[:, edge] &= fed[:, i]
                fed[:, j] |= used[:, edge]
        reached = np.arange(_NODES) == np.full((len(codes), 1), _NODES - 1)
        for edge, (i, j) in reversed([*enumerate(EDGES)]):
            used[:, edge] &= reached[:, j]
            reached[:, i] |= used[:, edge]
        return np.where(used, codes, none)

    @torch.no_grad()
    def evaluate(self, x: Tensor, codes: Ints, reference: int | None = None) -> Tensor:
        self.now.codes, self.now.reference, self.now.statistics = codes, reference, self.statistics
        try:
            out = self._stages(x, len(codes))
        finally:
            self.now.codes, self.now.reference, self.now.groups = None, None, 1
        out = grouped(out, len(codes))
        return out if reference is None else out[:, reference:]

    def _stages(self, x: Tensor, paths: int) -> Tensor:
        """The skeleton of several paths: up to the first cell they share their images, then each has its own."""
        net = self.net
        x = net.stem(x)
        for i, stage in enumerate(net.stages):
            if i:
                x = net.reductions[i - 1](x)
            for cell in stage.children():
                x = cell(x)
                self.now.groups = paths
        logits: Tensor = net.classifier(F.adaptive_avg_pool2d(net.last(x), 1).flatten(1))
        return logits


def nb201(space: SearchSpace, shape: Shape, *, colours: int, classes: int, partial: int = 1) -> SuperNetwork:
    """The super-network of a space of NAS-Bench-201's cells."""
    return CellSuperNetwork(space, shape, colours=colours, classes=classes, partial=partial)
