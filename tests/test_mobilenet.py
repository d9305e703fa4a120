"""Chains of inverted residual blocks: counts are the published ones, paths of the super-network the built networks."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from harness import HarnessError, registry
from harness.sharing.chains import ChainSuperNetwork
from harness.sharing.method import Choice
from harness.spaces import published
from harness.spaces.architecture import Architecture, space_of
from harness.spaces.mobilenet import BODIES
from harness.train import networks, recipes
from harness.train.mobile_networks import Chain, operator, scaled
from harness.train.skeleton import DropPath, Halving1x1

ORDER = ("mb_k3_e3", "mb_k5_e3", "mb_k7_e3", "mb_k3_e6", "mb_k5_e6", "mb_k7_e6", "skip")
RECIPE = recipes.read("sharing-digits-mobilenet")


def text(space: str, digits: str) -> str:
    return f"{space}:{','.join(ORDER[int(d)] for d in digits)}"


def shape(stem: str) -> Any:
    return SimpleNamespace(channels=32, cells=1, stem=stem, auxiliary=0.0)


@pytest.mark.parametrize(
    ("chain", "parameters", "multiply_adds"),
    [
        (text("mobilenet", "2023500551311335354"), 4_651_352, 388_122_848),  # FairNAS-A
        (text("mobilenet", "1010312031032054534"), 4_506_272, 345_297_632),  # FairNAS-B
        (text("mobilenet", "1020000003000055334"), 4_397_864, 321_024_992),  # FairNAS-C
        (text("mobilenet/proxyless", "106620115111411155225"), 4_080_512, 320_427_584),  # ProxylessNAS, mobile
    ],
)
def test_counts_of_published_chains(chain: str, parameters: int, multiply_adds: int) -> None:
    """Those of the authors' networks, without the mean over the image, which counts as 10,240 or 1,280 there."""
    network = networks.build(Architecture.parse(chain), shape("imagenet"), colours=3, classes=1000)
    assert networks.parameters(network) == parameters
    assert networks.multiply_adds(network, (3, 224, 224)) == multiply_adds


def test_counts_of_all_chains_of_nas_bench_macro() -> None:
    table, body = registry.benchmark("macro"), BODIES["mobilenet/macro"]

    def counts(codes: list[int]) -> Any:
        blocks = [
            operator(b.operators[code], *scaled(b, body, shape("small")), body, DropPath())
            for b, code in zip(body.blocks, codes, strict=True)
        ]
        network = Chain(blocks, body, shape("small"), colours=3, classes=10)
        return np.array([networks.parameters(network), networks.multiply_adds(network, (3, 32, 32))])

    base = counts([0] * 8)
    more = np.array([[counts([o if j == i else 0 for j in range(8)]) - base for o in range(3)] for i in range(8)])
    ours = base + more[np.arange(8), table.codes].sum(axis=1)
    for column, name in zip(ours.T, ("params", "flops"), strict=True):
        np.testing.assert_array_equal(column, table.objectives[name].read())


def test_rows_of_macro_are_chains_and_equal_networks_have_one_text_and_one_graph() -> None:
    table = registry.benchmark("macro")
    assert space_of(table.space) == "mobilenet/macro"
    codes = np.array([[1, 0, 2, 0, 1, 1, 0, 2], [1, 0, 2, 1, 0, 1, 2, 0], [0, 1, 2, 1, 0, 1, 2, 0]])
    texts = [Architecture.at("mobilenet/macro", row).text for row in codes]
    assert texts[0] == texts[1] != texts[2]
    view = table.space.graphs
    assert view is not None
    adjacency, labels = view.of(codes)
    assert (adjacency[0] == adjacency[1]).all()
    assert (labels[0] == labels[1]).all()
    assert adjacency[0].sum() == 6
    assert adjacency[2].sum() == 7


@pytest.mark.parametrize(
    "chain", ["mobilenet:mb_k3_e3", text("mobilenet", "6" * 19), text("mobilenet/proxyless", "6" * 21), "mobilenet:"]
)
def test_what_is_no_chain_is_refused(chain: str) -> None:
    with pytest.raises(HarnessError, match="is not an architecture"):
        Architecture.parse(chain)


def test_chains_have_no_auxiliary_head() -> None:
    chain = Architecture.parse(published("mobilenet").example)
    with pytest.raises(HarnessError, match="no auxiliary head"):
        networks.build(chain, recipes.read("darts-cifar10"), colours=3, classes=10)


def supernet(space: str) -> ChainSuperNetwork:
    torch.manual_seed(1)
    return ChainSuperNetwork(published(space).space, RECIPE, colours=1, classes=10)


def built(net: ChainSuperNetwork, space: str, codes: Any) -> nn.Module:
    """The network of a chain, with the super-network's weights."""
    network: Any = networks.build(Architecture.at(space, codes), RECIPE, colours=1, classes=10).double()
    weights = {name: value for name, value in net.net.state_dict().items() if not name.startswith("blocks")}
    network.load_state_dict(weights, strict=False)
    supernet: Any = net.net
    for block, mixed, code in zip(network.blocks, supernet.blocks, codes, strict=True):
        block.load_state_dict(mixed.operators[code].state_dict())
    return network.train()


@pytest.mark.parametrize("space", BODIES)
def test_a_path_is_the_built_network_and_many_are_each_alone(space: str) -> None:
    net, rng = supernet(space).double(), np.random.default_rng(0)
    x = torch.randn(9, 1, 8, 8, dtype=torch.float64)
    codes = np.stack([published(space).codes(a.text) for a in _some(space, 5, rng)])  # type: ignore[misc]
    codes[3:, : codes.shape[1] // 2] = codes[2, : codes.shape[1] // 2]
    for statistics in ("batch", "running"):
        net.eval().statistics = statistics
        many = net.evaluate(x, codes)
        for row, together in zip(codes, many, strict=True):
            alone = net(x, net.path(row))
            torch.testing.assert_close(together, alone, rtol=0, atol=1e-5)
            if statistics == "batch":
                expected = built(net, space, row)(x)
                torch.testing.assert_close(alone, expected, rtol=0, atol=1e-5)
    net.statistics = "batch"
    again = net.evaluate(torch.cat([x, x[:4]]), codes, 9)
    torch.testing.assert_close(again, net.evaluate(x, codes)[:, :4], rtol=0, atol=1e-5)


def _some(space: str, n: int, rng: np.random.Generator) -> list[Architecture]:
    of = published(space).space
    return [Architecture.at(space, row) for row in of.sample(rng.random((n, of.dimensions)))]


def test_a_mixture_is_the_weighted_sum_and_only_active_operators_are_computed() -> None:
    net, x = supernet("mobilenet/macro").train(), torch.randn(6, 8, 4, 4)
    block = net.net.blocks[1]
    weights = torch.rand(8, 3)
    net.now.choice = Choice(np.ones((8, 3), dtype=np.bool_), weights)
    expected = sum(w * op(x) for w, op in zip(weights[1], block.operators, strict=True))  # type: ignore[arg-type]
    torch.testing.assert_close(block(x), expected)
    net(torch.randn(6, 1, 8, 8), net.path(np.full(8, 2))).sum().backward()
    used = {name.split(".")[4] for name, p in net.named_parameters() if "blocks" in name and p.grad is not None}
    assert used == {"2"}


def test_partial_channels_are_refused() -> None:
    from harness.sharing.chains import chain

    with pytest.raises(HarnessError, match="cannot see a part of its channels"):
        chain(published("mobilenet").space, RECIPE, colours=1, classes=10, partial=4)


def test_a_strided_pointwise_convolution_is_that_of_torch() -> None:
    ours, x = Halving1x1(3, 5), torch.randn(4, 3, 7, 7)
    torch.testing.assert_close(ours(x), nn.functional.conv2d(x, ours.weight, stride=2))
