"""Super-networks: a path is the built network, many paths at once are each path alone, mixtures are sums."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from harness.sharing.cells import CellSuperNetwork, MixedCell
from harness.sharing.method import Choice
from harness.sharing.passes import Pass
from harness.spaces import published
from harness.spaces.architecture import Architecture
from harness.train import networks, recipes

RECIPE = replace(recipes.read("digits201"), channels=4, cells=1)
CELLS = [[1] * 6, [0] * 6, [3, 3, 3, 0, 0, 0], [2, 0, 3, 4, 1, 0], [0, 0, 3, 1, 0, 3], [3, 2, 4, 1, 0, 2]]


def supernet(space: str = "nb201", **changed: Any) -> CellSuperNetwork:
    torch.manual_seed(1)
    return CellSuperNetwork(published(space).space, RECIPE, colours=1, classes=10, **changed)


def stages(net: CellSuperNetwork) -> Any:
    return net.net.stages


def built(net: CellSuperNetwork, codes: list[int]) -> nn.Module:
    """The network of a cell, with the super-network's weights."""
    network: Any = networks.build(Architecture.at("nb201", np.array(codes)), RECIPE, colours=1, classes=10)
    fixed = {name: value for name, value in net.net.state_dict().items() if not name.startswith("stages")}
    network.load_state_dict(fixed, strict=False)
    for stage, shared in zip(network.stages, stages(net), strict=True):
        for cell, mixed in zip(stage, shared, strict=True):
            for edge, operator in enumerate(cell.operators):
                if f"{edge}_{codes[edge]}" in mixed.convolutions:
                    operator[1].load_state_dict(mixed.convolutions[f"{edge}_{codes[edge]}"].state_dict())
    return network


@pytest.mark.parametrize("codes", CELLS)
def test_a_path_is_the_built_network(codes: list[int]) -> None:
    net, x = supernet(), torch.randn(9, 1, 8, 8)
    expected = built(net, codes).train()(x)
    path = net.path(np.array(codes))
    torch.testing.assert_close(net.train()(x, path), expected, rtol=0, atol=1e-5)
    torch.testing.assert_close(net.eval()(x, path), expected, rtol=0, atol=1e-5)
    torch.testing.assert_close(net.evaluate(x, np.array([codes]))[0], expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("statistics", ["batch", "recalibrated", "running"])
def test_many_paths_at_once_are_each_alone(statistics: Any) -> None:
    net, x = supernet(), torch.randn(12, 1, 8, 8)
    for step in range(3):
        net.train()(torch.randn(20, 1, 8, 8), net.path(np.full(6, 2 + step % 3)))
    net.eval().statistics = statistics
    reference = 5 if statistics == "recalibrated" else None
    rows = np.concatenate([CELLS, np.random.default_rng(0).integers(5, size=(20, 6))])
    together = net.evaluate(x, rows, reference)
    assert together.shape == (26, 7 if reference else 12, 10)
    for row, logits in zip(rows, together, strict=True):
        torch.testing.assert_close(net.evaluate(x, row[None], reference)[0], logits, rtol=0, atol=1e-5)


def test_recalibrated_statistics_are_those_of_the_reference_images() -> None:
    net, x = supernet().eval(), torch.randn(12, 1, 8, 8)
    codes = np.array([[3, 2, 4, 1, 0, 2]])
    whole = net.evaluate(x, codes)
    again = net.evaluate(torch.cat([x, x[:4]]), codes, 12)
    torch.testing.assert_close(again[:, :4], whole[:, :4], rtol=0, atol=1e-5)


def test_a_mixture_is_the_weighted_sum_of_its_operators() -> None:
    torch.manual_seed(0)
    names = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
    now = Pass()
    cell = MixedCell(names, 4, 1, now)
    x = torch.randn(6, 4, 5, 5)
    weights = torch.rand(6, 5, requires_grad=True)
    now.choice = Choice(np.ones((6, 5), dtype=np.bool_), weights)
    nodes = [x]
    for j in range(1, 4):
        total = torch.zeros_like(x)
        for edge, i in ((0, 0), (1, 0), (2, 1), (3, 0), (4, 1), (5, 2)):
            if {1: (0,), 2: (1, 2), 3: (3, 4, 5)}[j].count(edge):
                h = nodes[i]
                outs = [torch.zeros_like(h), h]
                outs += [
                    nn.functional.batch_norm(cell.convolutions[f"{edge}_{o}"](torch.relu(h)), None, None, training=True)
                    for o in (2, 3)
                ]
                outs.append(nn.functional.avg_pool2d(h, 3, 1, 1, count_include_pad=False))
                total = total + sum(w * out for w, out in zip(weights[edge], outs, strict=True))
        nodes.append(total)
    torch.testing.assert_close(cell(x), nodes[-1], rtol=1e-5, atol=1e-5)
    gradient = torch.autograd.grad(cell(x).square().sum(), weights)[0]
    torch.testing.assert_close(
        gradient, torch.autograd.grad(nodes[-1].square().sum(), weights)[0], rtol=1e-4, atol=1e-4
    )


def test_only_what_reaches_the_output_is_computed() -> None:
    net = supernet().train()
    net(torch.randn(8, 1, 8, 8), net.path(np.array([3, 2, 3, 3, 0, 0]))).sum().backward()
    cell = stages(net)[0][0]
    assert {name for name, conv in cell.convolutions.items() if conv.weight.grad is not None} == {"3_3"}


def test_partial_channels_pass_by_and_are_shuffled() -> None:
    net = supernet(partial=4).train()
    assert {m.weight.shape[0] for m in stages(net)[0][0].convolutions.values()} == {1}
    skips = Choice(np.eye(5, dtype=np.bool_)[[1, 0, 0, 0, 1, 0]], None, torch.ones(6))
    cell, x = stages(net)[0][0], torch.arange(4.0).reshape(1, 4, 1, 1).expand(2, 4, 3, 3)
    net.now.choice = skips
    assert cell(x)[0, :, 0, 0].tolist() == [0.0, 1.0, 2.0, 3.0]


@pytest.mark.parametrize(("statistics", "few"), [("batch", 291), ("recalibrated", 291), ("running", 471)])
def test_architectures_that_compute_the_same_are_scored_once(statistics: Any, few: int) -> None:
    net, x = supernet("digits201"), torch.randn(12, 1, 8, 8)
    for step in range(2):
        net.train()(torch.randn(20, 1, 8, 8), net.path(np.full(6, 1 + step)))
    net.eval().statistics = statistics
    every = np.stack(np.unravel_index(np.arange(729), (3,) * 6), axis=1)
    canonical = net.canonical(every)
    assert len(np.unique(canonical, axis=0)) == few
    np.testing.assert_array_equal(net.canonical(canonical), canonical)
    changed = np.flatnonzero((canonical != every).any(axis=1))[::9]
    reference = 5 if statistics == "recalibrated" else None
    ours, theirs = (net.evaluate(x, codes[changed], reference) for codes in (canonical, every))
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-5)
