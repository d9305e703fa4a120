"""DARTS' space: genotypes, published counts, and a super-network whose paths are the built networks."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from harness import HarnessError
from harness.arrays import Ints
from harness.sharing.darts_cells import DartsSuperNetwork
from harness.sharing.method import Choice
from harness.spaces import darts, published
from harness.spaces.architecture import Architecture
from harness.train import networks, recipes
from harness.train.darts_networks import Halved

RECIPE = replace(recipes.read("sharing-digits"), channels=4, cells=1)
POOLS = "reduce=[('max_pool_3x3', 0), ('max_pool_3x3', 1), "
V1 = (
    "Genotype(normal=[('sep_conv_3x3', 1), ('sep_conv_3x3', 0), ('skip_connect', 0), ('sep_conv_3x3', 1), "
    "('skip_connect', 0), ('sep_conv_3x3', 1), ('sep_conv_3x3', 0), ('skip_connect', 2)], normal_concat=[2, 3, 4, 5], "
    f"{POOLS}('skip_connect', 2), ('max_pool_3x3', 0), ('max_pool_3x3', 0), ('skip_connect', 2), ('skip_connect', 2), "
    "('avg_pool_3x3', 0)], reduce_concat=[2, 3, 4, 5])"
)
V2 = (
    "Genotype(normal=[('sep_conv_3x3', 0), ('sep_conv_3x3', 1), ('sep_conv_3x3', 0), ('sep_conv_3x3', 1), "
    "('sep_conv_3x3', 1), ('skip_connect', 0), ('skip_connect', 0), ('dil_conv_3x3', 2)], normal_concat=[2, 3, 4, 5], "
    f"{POOLS}('skip_connect', 2), ('max_pool_3x3', 1), ('max_pool_3x3', 0), ('skip_connect', 2), ('skip_connect', 2), "
    "('max_pool_3x3', 1)], reduce_concat=[2, 3, 4, 5])"
)
PROGRESSIVE = (
    "Genotype(normal=[('skip_connect', 0), ('dil_conv_3x3', 1), ('skip_connect', 0), ('sep_conv_3x3', 1), "
    "('sep_conv_3x3', 1), ('sep_conv_3x3', 3), ('sep_conv_3x3', 0), ('dil_conv_5x5', 4)], normal_concat=range(2, 6), "
    "reduce=[('avg_pool_3x3', 0), ('sep_conv_5x5', 1), ('sep_conv_3x3', 0), ('dil_conv_5x5', 2), ('max_pool_3x3', 0), "
    "('dil_conv_3x3', 1), ('dil_conv_3x3', 1), ('dil_conv_5x5', 3)], reduce_concat=range(2, 6))"
)
PARTIAL_CIFAR = (
    "Genotype(normal=[('sep_conv_3x3', 1), ('skip_connect', 0), ('sep_conv_3x3', 0), ('dil_conv_3x3', 1), "
    "('sep_conv_5x5', 0), ('sep_conv_3x3', 1), ('avg_pool_3x3', 0), ('dil_conv_3x3', 1)], normal_concat=range(2, 6), "
    "reduce=[('sep_conv_5x5', 1), ('max_pool_3x3', 0), ('sep_conv_5x5', 1), ('sep_conv_5x5', 2), ('sep_conv_3x3', 0), "
    "('sep_conv_3x3', 3), ('sep_conv_3x3', 1), ('sep_conv_3x3', 2)], reduce_concat=range(2, 6))"
)
PARTIAL_IMAGENET = (
    "Genotype(normal=[('skip_connect', 1), ('sep_conv_3x3', 0), ('sep_conv_3x3', 0), ('skip_connect', 1), "
    "('sep_conv_3x3', 1), ('sep_conv_3x3', 3), ('sep_conv_3x3', 1), ('dil_conv_5x5', 4)], normal_concat=range(2, 6), "
    "reduce=[('sep_conv_3x3', 0), ('skip_connect', 1), ('dil_conv_5x5', 2), ('max_pool_3x3', 1), ('sep_conv_3x3', 2), "
    "('sep_conv_3x3', 1), ('sep_conv_5x5', 0), ('sep_conv_3x3', 3)], reduce_concat=range(2, 6))"
)


@pytest.mark.parametrize(
    ("genotype", "cifar", "imagenet"),
    [(V1, 3_169_414, 4_510_432), (V2, 3_349_342, 4_718_752), (PROGRESSIVE, 3_433_798, 4_944_352)],
)
def test_parameters_of_published_cells(genotype: str, cifar: int, imagenet: int) -> None:
    """DARTS, first and second order, and P-DARTS: the networks of their authors, without the auxiliary head."""
    architecture = Architecture.parse(genotype)
    for channels, cells, stem, classes, expected in ((36, 6, "small", 10, cifar), (48, 4, "imagenet", 1000, imagenet)):
        shape = SimpleNamespace(channels=channels, cells=cells, stem=stem, auxiliary=0.0)
        network = networks.build(architecture, shape, colours=3, classes=classes)
        assert networks.parameters(network) == expected


@pytest.mark.parametrize(("genotype", "expected"), [(V1, 501_015_744), (V2, 528_359_616)])
def test_multiply_adds_of_published_cells(genotype: str, expected: int) -> None:
    """Of DARTS' first order 501,015,744 are published, a multiply-add for every output of an average pooling too."""
    shape = SimpleNamespace(channels=36, cells=6, stem="small", auxiliary=0.0)
    with torch.device("meta"):
        network = networks.build(Architecture.parse(genotype), shape, colours=3, classes=10)
    ours, pooled = networks.multiply_adds(network, (3, 32, 32)), []
    counted: list[int] = []

    def hook(module: Any, given: Any, out: torch.Tensor) -> None:
        if isinstance(module, nn.Conv2d):
            counted.append(out.numel() * module.weight[0].numel())
        elif isinstance(module, nn.Linear):
            counted.append(module.weight.numel())
            pooled.append(module.in_features)
        elif isinstance(module, nn.AvgPool2d):
            pooled.append(out.numel())

    for module in network.modules():
        module.register_forward_hook(hook)
    with torch.no_grad():
        network.eval()(torch.zeros(1, 3, 32, 32, device="meta"))
    assert sum(counted) == ours
    assert ours + sum(pooled) == expected


@pytest.mark.parametrize(
    ("genotype", "expected", "parameters"),
    [(V2, 544.59, 4.7), (PROGRESSIVE, 557.38, 4.9), (PARTIAL_CIFAR, 586.36, 5.3), (PARTIAL_IMAGENET, 597.21, 5.3)],
)
def test_millions_of_published_cells_on_imagenet(genotype: str, expected: int, parameters: float) -> None:
    """P-DARTS' and PC-DARTS' tables: two for each number that is normalised, one for each that is rectified or pooled.

    Of DARTS' second order such a count of its authors' code is 544.59, though their table says 574.
    """
    shape = SimpleNamespace(channels=48, cells=4, stem="imagenet", auxiliary=0.0)
    counted: list[int] = []

    def hook(module: nn.Module, given: Any, out: torch.Tensor) -> None:
        if isinstance(module, nn.BatchNorm2d):
            counted.append(2 * out.numel())
        elif isinstance(module, nn.ReLU | nn.AvgPool2d | nn.MaxPool2d | Halved):
            counted.append(given[0].numel())
        elif isinstance(module, nn.Linear):
            counted.append(7 * 7 * module.in_features)

    with torch.device("meta"):
        network = networks.build(Architecture.parse(genotype), shape, colours=3, classes=1000)
        ours = networks.multiply_adds(network, (3, 224, 224))
        for module in network.modules():
            module.register_forward_hook(hook)
        network.eval()(torch.zeros(1, 3, 224, 224))
    assert round(networks.parameters(network) / 1e6, 1) == parameters
    assert round((ours + sum(counted)) / 1e6, 2) == expected


def test_genotypes_are_read_in_either_order_and_written_in_one() -> None:
    text = Architecture.parse(V1).text
    assert text.startswith("Genotype(normal=[('sep_conv_3x3', 0), ('sep_conv_3x3', 1), ")
    assert text.endswith("('avg_pool_3x3', 0), ('skip_connect', 2)], reduce_concat=range(2, 6))")
    assert Architecture.parse(text).text == text
    (codes,) = darts.SPACE.sample(np.random.default_rng(0).random((1, 22)))
    assert darts.codes_of(darts.write(codes)).tolist() == codes.tolist()
    assert darts.SPACE.cardinality == (3 * 6 * 10 * 7**8) ** 2


@pytest.mark.parametrize(
    "text",
    [
        V1.replace("sep_conv_3x3', 1", "none', 1", 1),
        V1.replace("'sep_conv_3x3', 1", "'sep_conv_3x3', 0", 1),
        V1.replace("'sep_conv_3x3', 1", "'sep_conv_3x3', 2", 1),
        V1.replace("normal_concat=[2, 3, 4, 5]", "normal_concat=[3, 4, 5]"),
        V1.replace("Genotype", "open"),
        "Genotype(normal=__import__('os').getcwd(), normal_concat=range(2, 6), reduce=[], reduce_concat=range(2, 6))",
        "Genotype(",
    ],
)
def test_what_is_no_genotype_is_refused_and_never_run(text: str) -> None:
    with pytest.raises(HarnessError, match="is not an architecture"):
        Architecture.parse(text)


def test_graphs_join_the_cells() -> None:
    codes = darts.codes_of(V2)[None]
    assert darts.SPACE.graphs is not None
    adjacency, labels = darts.SPACE.graphs.of(codes)
    assert adjacency.shape == (1, 23, 23)
    assert (labels > 0).all()
    assert adjacency[0, 3:11, 11].all()
    dilated = 3 + 7
    assert np.flatnonzero(adjacency[0, :, dilated]).tolist() == [3, 4]


def test_networks_have_an_auxiliary_head_and_both_stems() -> None:
    architecture = Architecture.parse(V2)
    shape = SimpleNamespace(channels=4, cells=1, stem="small", auxiliary=0.4)
    network = networks.build(architecture, shape, colours=1, classes=10)
    logits, side = network(torch.randn(3, 1, 8, 8))
    assert logits.shape == side.shape == (3, 10)
    shape.stem = "imagenet"
    assert networks.build(architecture, shape, colours=3, classes=7).eval()(torch.randn(2, 3, 64, 64)).shape == (2, 7)


def supernet(cells: int = 1, partial: int = 1) -> Any:
    torch.manual_seed(1)
    recipe = replace(RECIPE, cells=cells)
    return DartsSuperNetwork(published("darts").space, recipe, colours=1, classes=10, partial=partial).double()


def built(net: Any, codes: Ints) -> nn.Module:
    """The network of an architecture with the super-network's weights, and its normalisation behind pooling."""
    network: Any = networks.build(Architecture.at("darts", codes), RECIPE, colours=1, classes=10).double()
    weights = {n: v for n, v in net.net.state_dict().items() if not n.startswith(("stages", "reductions"))}
    network.load_state_dict(weights, strict=False)
    given = darts.sources(codes[None])[0].reshape(2, 8)
    chosen = darts.operators(codes[None])[0].reshape(2, 8)
    groups = [(0, cell, mixed) for one, other in zip(network.stages, net.net.stages, strict=True)
              for cell, mixed in zip(one, other, strict=True)]  # fmt: skip
    groups += [(1, *pair) for pair in zip(network.reductions, net.net.reductions, strict=True)]
    for kind, cell, mixed in groups:
        cell.inputs.load_state_dict(mixed.inputs.state_dict(), strict=False)
        for number in range(8):
            source, o = int(given[kind, number]), int(chosen[kind, number])
            module = mixed.edges[darts.EDGES.index((source, number // 2 + 2))][o - 1]
            if "pool" in darts.OPERATORS[o]:
                cell.operators[number] = nn.Sequential(cell.operators[number], nn.BatchNorm2d(module[1].num_features))
            cell.operators[number].load_state_dict(module.state_dict(), strict=False)
    return nn.Module.train(network.double())


def test_a_path_is_the_built_network() -> None:
    net, x = supernet(), torch.randn(9, 1, 8, 8, dtype=torch.float64)
    rows = darts.SPACE.sample(np.random.default_rng(2).random((4, 22)))
    many = net.eval().evaluate(x, rows)
    for row, logits in zip([darts.codes_of(V2), *rows], [net(x, net.path(darts.codes_of(V2))), *many], strict=True):
        torch.testing.assert_close(logits, built(net, row)(x), rtol=0, atol=1e-8)


def test_the_architecture_of_a_path_is_itself_and_none_is_never_taken() -> None:
    net = supernet()
    for row in darts.SPACE.sample(np.random.default_rng(3).random((20, 22))):
        weights = net.path(row).active.astype(np.float64)
        weights[:, 0] += 2.0
        assert net.architecture(weights).tolist() == row.tolist()


def test_mixtures_weigh_operators_and_edges() -> None:
    net, x = supernet().train(), torch.randn(4, 1, 8, 8, dtype=torch.float64)
    codes = darts.codes_of(V2)
    path = net.path(codes)
    weights = torch.from_numpy(path.active.astype(np.float64))
    whole = net(x, Choice(net.possible, weights))
    torch.testing.assert_close(whole, net(x, path), rtol=0, atol=1e-8)
    once = net(x, Choice(path.active, None, torch.ones(28, dtype=torch.float64)))
    torch.testing.assert_close(once, whole, rtol=0, atol=1e-8)


def test_partial_channels_reach_the_logits() -> None:
    net, x = supernet(partial=4), torch.randn(4, 1, 8, 8, dtype=torch.float64)
    assert net.train()(x, Choice(net.possible)).shape == (4, 10)
    assert {m.out_channels for m in net.net.stages[0][0].edges.modules() if isinstance(m, nn.Conv2d)} <= {1}


def test_stages_may_have_fewer_cells() -> None:
    net, x = supernet(cells=3).train(), torch.randn(4, 1, 8, 8, dtype=torch.float64)
    for depth in (1, 2, 3):
        net.net.depth = depth
        net.zero_grad()
        net(x, Choice(net.possible)).sum().backward()
        used = [any(p.grad is not None for p in cell.parameters()) for cell in net.net.stages[1]]
        assert used == [i < depth for i in range(3)]
