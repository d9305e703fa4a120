"""Networks out of architectures.

The cells of NAS-Bench-201 (Dong and Yang, ICLR 2020) in the benchmark's skeleton: a 3x3 stem, three stages of N cells
with C, 2C and 4C channels, residual blocks that halve the image in between, global average pooling. The cells of
NAS-Bench-101 (Ying et al., ICML 2019) through the package nasbench-pytorch. Those of GPNAS in `gpnas_networks`.
"""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from harness.benchmarks.formats.content import extra
from harness.errors import HarnessError
from harness.spaces import published, resolve
from harness.spaces.architecture import Architecture
from harness.spaces.nasbench101 import cell_of
from harness.spaces.nasbench101_cells import OPERATORS as CELL_OPERATORS
from harness.spaces.nasbench101_cells import VERTICES
from harness.spaces.nasbench201 import EDGES, OPERATORS
from harness.spaces.nasbench201 import codes as edge_codes
from harness.train.skeleton import DropPath, Shape, Skeleton

NODES = 4


def build(architecture: Architecture, shape: Shape, *, colours: int, classes: int) -> nn.Module:
    """The network of `architecture` for images Float[n, colours, h, w]; it gives logits Float[n, classes].

    In training a network with an auxiliary head gives a pair, the head's logits second. Weights come from torch's
    global random state. Raises HarnessError if networks of this space cannot have this shape.
    """
    make = resolve(published(architecture.space).networks)
    network: nn.Module = make(architecture.text, shape, colours=colours, classes=classes)
    return network


def nb201(text: str, shape: Shape, *, colours: int, classes: int) -> nn.Module:
    """The network of a cell of NAS-Bench-201."""
    codes = edge_codes(text)
    return Skeleton(
        lambda channels, drop: Nb201Cell(codes, channels, drop),
        lambda incoming, outgoing, _: Reduction(incoming, outgoing),
        shape,
        colours=colours,
        classes=classes,
    )


def parameters(network: nn.Module) -> int:
    """Number of parameters, those of parts that do not reach the output included."""
    return sum(p.numel() for p in network.parameters())


def multiply_adds(network: nn.Module, image: tuple[int, int, int]) -> int:
    """Multiply-adds of one forward pass of an image (colours, height, width): convolutions and the linear layer."""
    device = next(network.parameters()).device
    probe, counter = copy.deepcopy(network).eval(), FlopCounterMode(display=False)
    with counter, torch.no_grad():
        probe(torch.zeros(1, *image, device=device))
    return int(counter.get_total_flops()) // 2


def _relu_conv_bn(incoming: int, outgoing: int, kernel: int, stride: int = 1) -> nn.Sequential:
    convolution = nn.Conv2d(incoming, outgoing, kernel, stride, kernel // 2, bias=False)
    return nn.Sequential(nn.ReLU(), convolution, nn.BatchNorm2d(outgoing))


def _operator(name: str, channels: int) -> nn.Module:
    if name.startswith("nor_conv"):
        return _relu_conv_bn(channels, channels, int(name[-1]))
    if name == "avg_pool_3x3":
        return nn.AvgPool2d(3, 1, 1, count_include_pad=False)
    return nn.Identity()


class Nb201Cell(nn.Module):
    """A cell of NAS-Bench-201: each of four nodes is the sum of operators on the nodes before it.

    Edges into a node that does not reach the output have their parameters, as in the benchmark, but are not computed.
    """

    def __init__(self, codes: tuple[int, ...], channels: int, drop: DropPath) -> None:
        super().__init__()
        names = [OPERATORS[code] for code in codes]
        self.operators = nn.ModuleList(_operator(name, channels) for name in names)
        self.drop = drop
        live = {NODES - 1}
        for node in range(NODES - 1, 0, -1):
            live |= {i for (i, j), name in zip(EDGES, names, strict=True) if j == node in live and name != "none"}
        self.into = [
            [(edge, i) for edge, (i, j) in enumerate(EDGES) if j == node and j in live and names[edge] != "none"]
            for node in range(NODES)
        ]
        self.kept = [name == "skip_connect" for name in names]

    def forward(self, x: Tensor) -> Tensor:
        nodes = [x]
        for edges in self.into[1:]:
            parts = [self._edge(edge, nodes[source]) for edge, source in edges]
            total = parts[0] if parts else torch.zeros_like(x)
            for part in parts[1:]:
                total = total + part
            nodes.append(total)
        return nodes[-1]

    def _edge(self, edge: int, x: Tensor) -> Tensor:
        out: Tensor = self.operators[edge](x)
        return out if self.kept[edge] else self.drop(out)


class Reduction(nn.Module):
    """The residual block that halves the image and doubles the channels."""

    def __init__(self, incoming: int, outgoing: int) -> None:
        super().__init__()
        self.a = _relu_conv_bn(incoming, outgoing, 3, 2)
        self.b = _relu_conv_bn(outgoing, outgoing, 3)
        self.shortcut = nn.Sequential(nn.AvgPool2d(2, 2), nn.Conv2d(incoming, outgoing, 1, bias=False))

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.shortcut(x) + self.b(self.a(x))
        return out


def nb101(text: str, shape: Shape, *, colours: int, classes: int) -> nn.Module:
    """The network of a cell of NAS-Bench-101: a stem of `channels`, three stacks of `cells` cells.

    The package keeps scalar parameters in place of absent operators and asks for the share of a batch that running
    averages keep where torch asks for the share that they take; the former are taken out, the latter set.
    """
    if shape.auxiliary or shape.stem != "small":
        raise HarnessError(
            "networks of NAS-Bench-101 have neither an auxiliary head nor a stem for large images.",
            "choose another recipe, such as nb101.",
        )
    model = extra("nasbench_pytorch.model", "nasbench-pytorch", "train", need="a cell of NAS-Bench-101")
    adjacency, ops = cell_of(text)
    used = [0, *(v for v in range(1, VERTICES - 1) if adjacency[v].any()), VERTICES - 1]
    labels = ["input", *(CELL_OPERATORS[ops[v - 1]] for v in used[1:-1]), "output"]
    network: nn.Module = model.Network(
        (adjacency[used][:, used].astype(int), labels),
        num_labels=classes,
        in_channels=colours,
        stem_out_channels=shape.channels,
        num_modules_per_stack=shape.cells,
    )
    for module in network.modules():
        if type(module).__name__ == "Placeholder":
            del module.a
        elif isinstance(module, nn.BatchNorm2d):
            module.momentum, module.eps = 0.003, 1e-5
    return network
