"""GPNAS's predictor with the convolutions of PyTorch Geometric (Fey and Lenssen, "Fast graph representation learning
with PyTorch Geometric", ICLR workshop 2019).
"""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable
from functools import cache
from importlib import import_module
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from algorithms.predictors.batched import device as device_of
from algorithms.predictors.batched import one_thread
from algorithms.predictors.data import GraphInputs, Target, Targets
from algorithms.predictors.graph import COLD, WARM, WARMTH
from algorithms.predictors.losses import LOSSES, Loss, level
from algorithms.predictors.training import Training, shuffled
from harness import Floats, HarnessError, Ints, Problem, Seen, Streams
from harness.errors import unknown
from harness.graphs import ABSENT, Graphs

Edges = Literal["both", "pair"]
Convolution = Callable[[int], nn.Module]

_CHUNK = 1024
_EPOCH = 16
_OTHERS = {"K": 2, "num_layers": 1, "alpha": 0.1}
"""What constructors that need it are given beside widths."""


class Union(NamedTuple):
    """Graphs as one: the operators of its u vertices Int[u], their graphs Int[u], and edges Int[2, e]."""

    operators: Tensor
    graph: Tensor
    edges: Tensor


class Network(nn.Module):
    """Embedded operators, convolutions with ReLU, the largest value over the vertices, the epoch, a perceptron.

    A layer of two convolutions is their mean; the second has the edges turned around.
    """

    def __init__(self, layers: list[list[nn.Module]], labels: int, fidelities: int, width: int) -> None:
        super().__init__()
        self.width = width
        self.embedding = nn.Embedding(labels, width)
        self.layers = nn.ModuleList(map(nn.ModuleList, layers))
        self.epoch = nn.Embedding(fidelities, _EPOCH) if fidelities > 1 else None
        parts: list[nn.Module] = []
        for inputs in (width + (_EPOCH if fidelities > 1 else 0), width):
            parts += [nn.Linear(inputs, width, bias=False), nn.BatchNorm1d(width), nn.ReLU()]
        self.head = nn.Sequential(*parts, nn.Linear(width, 1))

    def forward(self, graphs: Union, fidelity: Tensor) -> Tensor:
        """Predicted targets Float[n] of n graphs, at fidelities (index) Int[n]."""
        hidden = self.embedding(graphs.operators)
        ways = graphs.edges, graphs.edges.flip(0)
        for layer in self.layers:
            parts = [torch.relu(conv(hidden, way)) for conv, way in zip(layer, ways, strict=False)]  # type: ignore[call-overload]
            hidden = sum(parts) / len(parts)
        pooled = hidden.new_zeros(len(fidelity), self.width)
        pooled = pooled.scatter_reduce(0, graphs.graph[:, None].expand_as(hidden), hidden, "amax")
        if self.epoch is not None:
            pooled = torch.cat([pooled, self.epoch(fidelity)], dim=1)
        found: Tensor = self.head(pooled).squeeze(1)
        return found


class GeometricPredictor:
    """A network of the convolutions `conv` for each seed: fitted from scratch once, then half warm, as GPNAS's.

    "both" `edges` go in either direction; a "pair" is a convolution along them and one against them. The library has no
    axis for seeds, which are trained one by one, each with weights and random numbers of its own. Raises HarnessError
    for a space without graphs and where `convolution` does.
    """

    def __init__(
        self,
        problem: Problem,
        streams: Streams,
        *,
        conv: str = "GINConv",
        edges: Edges = "both",
        width: int = 64,
        layers: int = 2,
        target: Target = "log",
        loss: Loss = "mse",
        device: str = "cpu",
        first: Training = COLD,
        again: Training = WARM,
    ) -> None:
        self.graphs = GraphInputs(problem.space, "undirected")
        self.conv, self.edges = convolution(conv), edges
        self.width, self.layers = width, layers
        self.fidelities, self.full = len(problem.fidelities), problem.full
        self.first, self.again = first, again
        self.device = device_of(device)
        self.targets = Targets(len(problem.seeds), target)
        self.starts, self.shuffles = streams.child("weights"), streams.child("shuffles")
        self.loss: Loss = loss
        self.levels = np.tile([0.0, 1.0], (len(problem.seeds), 1))
        self.networks: dict[int, Network] = {}
        self.skipped = np.zeros(len(problem.seeds), dtype=np.int64)

    def fit(self, seen: Seen, where: Ints) -> None:
        targets = self.targets.fit(seen, where)
        for i, (seed, n) in enumerate(zip(where.tolist(), seen.count.tolist(), strict=True)):
            with one_thread(), torch.random.fork_rng(devices=[]):
                torch.manual_seed(int(self.starts.integers(2**31, 1, np.array([seed]))[0, 0]))
                self.networks[seed] = self._fitted(seed, seen.codes[i, :n], seen.fidelity[i, :n], targets[i, :n])

    def predict(self, codes: Ints, where: Ints) -> Floats:
        shared = codes.ndim == 2
        if shared:
            codes, back = self.graphs.distinct(codes)
        out = np.empty((len(where), codes.shape[-2]))
        with one_thread(), torch.no_grad():
            for first in range(0, out.shape[1], _CHUNK):
                part = codes[..., first : first + _CHUNK, :]
                fidelity = torch.full(part.shape[-2:-1], self.full, device=self.device)
                union = self.union(self.graphs.view.of(part)) if shared else None
                for i, seed in enumerate(where.tolist()):
                    own = self.union(self.graphs.view.of(part[i])) if union is None else union
                    out[i, first : first + _CHUNK] = self.networks[seed](own, fidelity).cpu().numpy()
        mean, spread = self.levels[where].T[:, :, None]
        losses = self.targets.losses((out - mean) / spread, where)
        return losses[:, back] if shared else losses

    def _fitted(self, seed: int, codes: Ints, fidelity: Ints, targets: np.ndarray) -> Network:
        last = self.networks.get(seed)
        training = self.again if last else self.first
        network = self._network(last).to(self.device).train()
        optimizer = torch.optim.Adam(network.parameters(), training.rate)
        at, y = (torch.tensor(part, device=self.device) for part in (fidelity, targets))
        adjacency, operators = self.graphs.view.of(codes)
        order = shuffled(self.shuffles, np.array([len(codes)]), np.array([seed]), training.steps, training.batch)[0]
        for step, batch in enumerate(order):
            optimizer.param_groups[0]["lr"] = training.rate_at(step, training.steps)
            predicted = network(self.union(Graphs(adjacency[batch], operators[batch])), at[batch])
            loss = LOSSES[self.loss](predicted[None], y[None, batch])[0]
            if not loss.isfinite():
                self.skipped[seed] += 1
                continue
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        network.eval()
        with torch.no_grad():
            self.levels[seed] = level(self.loss, network(self.union(Graphs(adjacency, operators)), at))
        return network

    def _network(self, last: Network | None) -> Network:
        """A fresh one, or the middle between a fresh one and the `last`, whose statistics it keeps."""
        ways = 2 if self.edges == "pair" else 1
        layers = [[self.conv(self.width) for _ in range(ways)] for _ in range(self.layers)]
        network = Network(layers, self.graphs.view.labels, self.fidelities, self.width)
        if last is not None:
            network.to(self.device)
            with torch.no_grad():
                for weight, before in zip(network.parameters(), last.parameters(), strict=True):
                    weight.lerp_(before, WARMTH)
                for statistic, kept in zip(network.buffers(), last.buffers(), strict=True):
                    statistic.copy_(kept)
        return network

    def union(self, graphs: Graphs) -> Union:
        """The graphs as one, without absent vertices."""
        adjacency, operators = graphs
        if self.edges == "both":
            adjacency = adjacency | adjacency.transpose(0, 2, 1)
        present = operators != ABSENT
        number = present.cumsum().reshape(present.shape) - 1
        graph, start, end = np.nonzero(adjacency)
        edges = np.stack([number[graph, start], number[graph, end]])
        parts = operators[present].astype(np.int64), np.nonzero(present)[0], edges
        return Union(*(torch.from_numpy(part).to(self.device) for part in parts))


@cache
def convolution(name: str) -> Convolution:
    """What makes PyTorch Geometric's convolution `name` of a width.

    Raises HarnessError where the library is absent, has none of this name, or it needs more than vertices and edges.
    """
    classes = _classes()
    lacks = _lacks(classes[name]) if name in classes else ""
    if lacks or name not in classes:
        other = unknown("convolution of torch_geometric", name, [one for one in classes if not _lacks(classes[one])])
        if not lacks:
            raise other
        raise HarnessError(f"{name} {lacks}; the graphs of architectures have vertices and edges.", other.hint)
    return lambda width: _made(classes[name], width)


def _classes() -> dict[str, Any]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            module: Any = import_module("torch_geometric.nn.conv")
    except ImportError as error:
        raise HarnessError(
            f"the predictor pyg needs torch_geometric, which cannot be imported: {error}.",
            "pip install 'nas-harness[pyg]'",
        ) from None
    base = module.MessagePassing
    found = {name: one for name, one in vars(module).items() if inspect.isclass(one) and issubclass(one, base)}
    return {name: one for name, one in sorted(found.items()) if one is not base}


def _made(kind: Any, width: int) -> nn.Module:
    """A convolution of Float[u, width] to Float[u, width]. Raises KeyError for what it needs and we do not have."""
    known: dict[str, Any] = {**dict.fromkeys(("in_channels", "out_channels", "channels"), width), **_OTHERS}
    inputs = 2 * width if kind.__name__ == "EdgeConv" else width
    known["nn"] = nn.Sequential(nn.Linear(inputs, width), nn.ReLU(), nn.Linear(width, width))
    made: nn.Module = kind(**{name: known[name] for name in _needed(kind)})
    return made


def _needed(call: Callable[..., Any]) -> list[str]:
    """The arguments that have no default."""
    kinds = inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD
    arguments = inspect.signature(call).parameters.values()
    return [one.name for one in arguments if one.default is one.empty and one.kind not in kinds and one.name != "self"]


@cache
def _lacks(kind: Any) -> str:
    """Why the convolution is of no use to graphs that have vertices and edges only; empty where it is."""
    needed = [name for name in _needed(kind.forward) if name not in ("x", "edge_index")]
    if needed:
        return f"needs {' and '.join(needed)}"
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        try:
            made = _made(kind, 8)
        except KeyError as error:
            return f"needs {error.args[0]}"
        except ImportError as error:
            return f"needs a package ({' '.join(str(error).split())})"
        try:
            found: object = made(torch.ones(3, 8), torch.tensor([[0, 1], [1, 2]]))
        except Exception:  # whatever a convolution raises that is not given all it wants
            found = None
    if isinstance(found, Tensor) and found.shape == (3, 8):
        return ""
    return f"needs {'features of edges' if 'edge_attr' in inspect.signature(kind.forward).parameters else 'more'}"
