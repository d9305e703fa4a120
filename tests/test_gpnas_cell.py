"""The space of GPNAS' cell: texts, codes and graphs, and the networks that are built of them."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from harness import HarnessError
from harness.graphs import classes, pruned
from harness.spaces import gpnas_cell
from harness.spaces.architecture import Architecture

torch = pytest.importorskip("torch")
from harness.train import networks  # noqa: E402
from harness.train.gpnas_networks import initialise  # noqa: E402

pytestmark = pytest.mark.usefixtures("one_thread")
SPACE = gpnas_cell.SPACE
ONE = "gpnas-cell:relu.conv_1x3_3x1.gauss,selu.max_pool_3x3;0-1,0-2,1-2:tanh.sep_conv_5x5.gauss2;0-1"


def codes(n: int, seed: int = 0) -> Any:
    return SPACE.sample(np.random.default_rng(seed).random((n, SPACE.dimensions)))


def shape(**changed: Any) -> Any:
    return SimpleNamespace(**{"channels": 8, "cells": 1, "stem": "small", "auxiliary": 0.0, **changed})


def text(one: Any) -> str:
    try:
        return gpnas_cell.text_of(one)
    except ValueError:
        return ""


def test_the_space_is_that_of_the_paper() -> None:
    assert (len(gpnas_cell.OPERATORS), len(gpnas_cell.INITIALISATIONS), len(gpnas_cell.ACTIVATIONS)) == (13, 3, 4)
    assert len(gpnas_cell.LABELS) == 8 * 3 * 4 + 5 * 4
    assert SPACE.split is not None
    assert SPACE.split.connections.dimensions == 20
    assert [p.values for p in SPACE.split.operators.parameters[:3]] == [
        gpnas_cell.OPERATORS,
        gpnas_cell.INITIALISATIONS,
        gpnas_cell.ACTIVATIONS,
    ]
    drawn = codes(50)
    np.testing.assert_array_equal(SPACE.split.join(*SPACE.split.apart(drawn)), drawn)


def test_codes_as_text_by_hand() -> None:
    chosen = {p.name: p.values[0] for p in SPACE.parameters}
    chosen |= {"normal_0_2": 1, "normal_2_3": 1, "normal_1_3": 1, "reduction_0_4": 1, "reduction_0_1": 1}
    chosen |= {"normal_operator_2": "conv_3x3", "normal_initialisation_2": "gauss2", "normal_activation_3": "tanh"}
    chosen |= {"normal_initialisation_3": "gauss", "reduction_operator_4": "conv_1x1"}
    written = gpnas_cell.text_of(SPACE.from_dict(chosen))
    assert (
        written == "gpnas-cell:selu.conv_3x3.gauss2,tanh.identity;0-1,1-2:selu.conv_1x1.uniform,selu.identity;0-1,0-2"
    )


def test_text_is_read_and_written_and_equal_for_equal_networks() -> None:
    drawn = codes(400)
    written = [text(one) for one in drawn]
    valid = [t for t in written if t]
    assert 300 < len(valid) < 400
    for t in valid:
        assert Architecture.parse(t) == Architecture("gpnas-cell", t)
    assert SPACE.graphs is not None
    graphs = SPACE.graphs.of(drawn)
    np.testing.assert_array_equal(graphs.operators[:, 13] == 3, [t != "" for t in written])
    np.testing.assert_array_equal(graphs.adjacency.any(axis=(1, 2)), [t != "" for t in written])
    moved = "gpnas-cell:selu.max_pool_3x3.gauss,relu.conv_3x3.gauss,relu.identity;0-1,0-2:relu.identity;0-1,0-1"
    assert Architecture.parse(moved).text == (
        "gpnas-cell:relu.conv_3x3.gauss,selu.max_pool_3x3;0-1,0-2:relu.identity;0-1"
    )


def test_a_vertex_is_a_chain_in_the_graph() -> None:
    """Of each vertex activation, operator and initialisation, or that there are no weights; cells follow each other."""
    assert SPACE.graphs is not None
    names = ("absent", "input", "output", *SPACE.graphs.operators)
    chosen = {p.name: p.values[0] for p in SPACE.parameters}
    chosen |= {"normal_0_2": 1, "normal_2_3": 1, "reduction_0_1": 1, "normal_operator_2": "sep_conv_5x5"}
    chosen |= {"normal_initialisation_2": "gauss", "normal_activation_3": "tanh", "reduction_operator_1": "conv_1x1"}
    graph = SPACE.graphs.of(SPACE.from_dict(chosen)[None])
    kept = np.flatnonzero(graph.operators[0])
    assert [names[i] for i in graph.operators[0, kept]] == [
        *("input", "selu", "sep_conv_5x5", "gauss", "tanh", "identity", "no weights"),
        *("cell", "selu", "conv_1x1", "uniform", "output"),
    ]
    np.testing.assert_array_equal(graph.adjacency[0][np.ix_(kept, kept)], np.eye(len(kept), k=1, dtype=bool))


def test_graphs_that_are_equal_but_for_the_order_are_one_architecture() -> None:
    """Cells as graphs of six vertices, which have an isomorphism test of their own: both count the same classes."""
    rng = np.random.default_rng(3)
    drawn = codes(1)[0] * np.ones((3000, 1), dtype=np.int64)
    names = [p.name for p in SPACE.parameters]
    drawn[:, :10] = rng.random((3000, 10)) < 0.35
    labels = rng.integers(8, 10, (3000, 4))
    for v in range(1, 5):
        drawn[:, names.index(f"normal_operator_{v}")] = labels[:, v - 1]
        drawn[:, names.index(f"normal_activation_{v}")] = drawn[:, names.index(f"normal_initialisation_{v}")] = 0
    kept = np.array([text(one) != "" for one in drawn])
    adjacency = np.zeros((3000, 6, 6), dtype=bool)
    for column, name in enumerate(names[:10]):
        i, j = map(int, name.split("_")[1:])
        adjacency[:, i, j] = drawn[:, column]
    adjacency[:, 1:5, 5] = ~adjacency[:, 1:5].any(axis=2)
    graphs = pruned(adjacency[kept], labels[kept])
    assert len(set(map(text, drawn[kept]))) == len(set(classes(graphs).tolist())) > 300


@pytest.mark.parametrize(
    "written",
    ["gpnas-cell:", "gpnas-cell:relu.conv_3x3.gauss;0-1", "gpnas-cell:relu.conv_3x3;0-1:relu.identity;0-1",
     "gpnas-cell:relu.identity;0-1:relu.identity;1-1", "gpnas-cell:relu.identity,relu.identity;1-2:relu.identity;0-1",
     "gpnas-cell:relu.identity.gaus;0-1:relu.identity;0-1", "gpnas-cell:relu.conv_9x9.gauss;0-1:relu.identity;0-1"],
)  # fmt: skip
def test_what_is_no_architecture_is_refused(written: str) -> None:
    with pytest.raises(HarnessError, match="is not an architecture"):
        Architecture.parse(written)


def test_parameters_and_multiply_adds_by_hand() -> None:
    """C = 8, one cell per stage, images 3 x 16 x 16, 10 classes."""
    network: Any = networks.build(Architecture.parse(ONE), shape(), colours=3, classes=10)
    widths = (8, 16, 32)
    stem, end = 3 * 9 * 8 + 2 * 8, 2 * 32 + 32 * 10 + 10
    normal = sum(2 * 3 * w * w + 2 * 2 * w for w in widths)
    reduction = sum((w // 2) * w + 2 * w + 25 * w + w * w + 2 * w for w in widths[1:])
    assert networks.parameters(network) == stem + normal + reduction + end
    pixels = {8: 256, 16: 64, 32: 16}
    adds = 3 * 9 * 8 * 256 + sum(2 * 3 * w * w * pixels[w] for w in widths)
    adds += sum(((w // 2) * w + 25 * w + w * w) * pixels[w] for w in widths[1:]) + 32 * 10
    assert networks.multiply_adds(network, (3, 16, 16)) == adds


def test_every_operator_keeps_the_image_and_learns() -> None:
    """Forward and backward of random architectures: all parameters get a gradient."""
    torch.manual_seed(0)
    valid = [t for t in map(text, codes(40, seed=1)) if t]
    used = "".join(valid)
    assert all(f".{name}" in used for name in gpnas_cell.OPERATORS)
    for t in valid[:20]:
        network: Any = networks.build(Architecture.parse(t), shape(channels=4), colours=1, classes=10)
        x = torch.randn(4, 1, 8, 8)
        assert network.stages[0](network.stem(x)).shape == (4, 4, 8, 8)
        network(x).square().sum().backward()
        assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in network.parameters())


def test_a_cell_is_what_its_text_says() -> None:
    """Two vertices in a row and one beside them; batch normalisation at rest divides by the root of 1 + eps."""
    text = "gpnas-cell:relu.identity,tanh.identity,elu.identity;0-1,0-2,1-3:relu.identity;0-1"
    network: Any = networks.build(Architecture.parse(text), shape(), colours=1, classes=2)
    cell = network.stages[0][0]
    x = torch.randn(3, 8, 5, 5)
    scale = (1 + 1e-5) ** -0.5
    expected = {}
    for name, f in (("relu", torch.relu), ("tanh", torch.tanh), ("elu", torch.nn.functional.elu)):
        expected[name] = lambda y, f=f: f(y) * scale
    found = cell.eval()(x)
    labels, edges = gpnas_cell.cells_of(Architecture.parse(text).text)[0]
    nodes = [x]
    for v, label in enumerate(labels, start=1):
        nodes.append(expected[label.split(".")[0]](sum(nodes[i] for i, j in edges if j == v)))
    loose = [v for v in range(1, 4) if v not in [i for i, _ in edges]]
    assert len(loose) == 2
    torch.testing.assert_close(found, sum(nodes[v] for v in loose))


def test_initialisations_have_the_same_variance_and_other_shapes() -> None:
    torch.manual_seed(0)
    kurtosis = {}
    for kind in gpnas_cell.INITIALISATIONS:
        weight = torch.empty(300, 40, 3, 3)
        initialise(weight, kind)
        values = weight.double().flatten()
        assert abs(values.mean()) < 1e-3
        assert values.var().item() == pytest.approx(2 / 360, rel=0.05)
        kurtosis[kind] = (values**4).mean().item() / values.var().item() ** 2
    assert kurtosis == pytest.approx({"uniform": 1.8, "gauss": 3.0, "gauss2": 105 / 9}, rel=0.1)


def test_drop_path_the_auxiliary_head_and_the_large_stem() -> None:
    network: Any = networks.build(Architecture.parse(ONE), shape(auxiliary=0.4), colours=3, classes=10)
    logits, side = network(torch.randn(4, 3, 16, 16))
    assert logits.shape == side.shape == (4, 10)
    cell = network.stages[0][0]
    x = torch.randn(64, 8, 4, 4)
    network.drop.rate = 0.9
    assert (cell(x).flatten(1) == 0).all(1).float().mean() > 0.5
    assert not (cell.eval()(x).flatten(1) == 0).all(1).any()
    large = networks.build(Architecture.parse(ONE), shape(stem="imagenet"), colours=3, classes=7)
    assert large(torch.randn(2, 3, 64, 64)).shape == (2, 7)
