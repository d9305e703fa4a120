"""Networks out of architectures, against the numbers that the benchmarks publish."""

from __future__ import annotations

from itertools import product
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from official_cells import parameter_counts

from harness import HarnessError, registry
from harness.benchmarks.embedded import arrays
from harness.spaces import nasbench101, nasbench201
from harness.spaces.architecture import Architecture
from harness.spaces.nasbench101 import cell_of, write
from harness.spaces.nasbench101_cells import ONE_SHOT_SPACES, cells_from_bits
from harness.spaces.nasbench201 import codes as edge_codes
from harness.testing import synthetic_table

torch = pytest.importorskip("torch")
from harness.train import networks  # noqa: E402
from harness.train.skeleton import DropPath  # noqa: E402

BEST = "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+|skip_connect~0|nor_conv_3x3~1|nor_conv_1x1~2|"
SOURCE = {"cifar10": "cifar10", "cifar100": "cifar100", "imagenet16-120": "imagenet"}
CLASSES = {"cifar10": 10, "cifar100": 100, "imagenet16-120": 120}


def shape(**changed: Any) -> Any:
    return SimpleNamespace(**{"channels": 16, "cells": 5, "stem": "small", "auxiliary": 0.0, **changed})


def nb201(codes: Any, classes: int = 10, **changed: Any) -> Any:
    return networks.build(Architecture.at("nb201", np.array(codes)), shape(**changed), colours=3, classes=classes)


def counted(codes: Any, classes: int) -> Any:
    """Parameters of the cells `codes` Int[n, 6] in the benchmark's skeleton, by hand."""
    convolutions = {"nor_conv_1x1": 1, "nor_conv_3x3": 9}
    area = np.array([convolutions.get(name, 0) for name in nasbench201.OPERATORS])[codes]
    total = np.full(len(codes), 3 * 9 * 16 + 32 + 2 * 64 + 64 * classes + classes)
    for width in (16, 32, 64):
        total += 5 * (area * width**2 + 2 * width * (area > 0)).sum(axis=1)
        if width > 16:
            total += (9 * width // 2 * width + 2 * width) + (9 * width**2 + 2 * width) + width // 2 * width
    return total


@pytest.mark.parametrize("dataset", CLASSES)
def test_parameters_of_all_cells_of_nb201_are_the_published_sizes(dataset: str) -> None:
    """The second training of every architecture; 294 of the 39,419 entries have the size of another architecture."""
    table = registry.benchmark(f"nb201/{dataset}")
    codes, metrics = arrays(f"nasbench201/{SOURCE[dataset]}")
    published = metrics["model_size"]
    ours = counted(codes, CLASSES[dataset])
    assert len(ours) == 15_625
    equal = np.abs(ours[:, None] / 1e6 - published) < 5e-7
    assert equal[:, 1].all()
    assert (equal | np.isnan(published)).all(axis=1).sum() == 15_625 - 204
    assert (~equal & np.isfinite(published)).sum() == 294
    chosen = np.random.default_rng(0).integers(len(table), size=12)
    for row in [*chosen, table.optimum.row, 0]:
        network = networks.build(Architecture.of(table, int(row)), shape(), colours=3, classes=CLASSES[dataset])
        assert networks.parameters(network) == ours[row]


@pytest.mark.reference("nasbench_pytorch")
def test_parameters_of_cells_of_nb101_are_the_published_ones(shared_data: Path) -> None:
    pytest.importorskip("nasbench_pytorch")
    with np.load(shared_data / "nb101" / "nb101_test108_all.npz") as file:
        table = {name: file[name] for name in ("num_vertices", "adj_bits", "ops", "params")}
    size = table["num_vertices"]
    rng = np.random.default_rng(1)
    small = np.flatnonzero((size == 4) | (size == 5))
    sample = np.concatenate(
        [rng.choice(np.flatnonzero(size == n), min(2000, (size == n).sum()), False) for n in (2, 3, 6, 7)]
    )
    rows = np.concatenate([small, sample])
    adjacency, ops = cells_from_bits(size[rows], table["adj_bits"][rows], table["ops"][rows])
    np.testing.assert_array_equal(parameter_counts(adjacency, ops), table["params"][rows])
    for i in rng.choice(len(rows), 25, False):
        network = networks.build(
            Architecture("nb101", write(adjacency[i], ops[i])), shape(channels=128, cells=3), colours=3, classes=10
        )
        assert sum(p.numel() for p in network.parameters() if p.requires_grad) == table["params"][rows[i]]


def test_multiply_adds_are_those_of_the_convolutions() -> None:
    """NAS-Bench-201 publishes 153.27 million for the cell that is best on CIFAR-10."""
    per_cell = (4 * 9 + 1) * 16**2 * 32**2
    reductions = sum((9 * w // 2 + 9 * w + w // 2) * w * (16 * 32 // w) ** 2 for w in (32, 64))
    expected = 3 * 9 * 16 * 32**2 + 15 * per_cell + reductions + 64 * 10
    network = nb201(edge_codes(BEST))
    assert networks.multiply_adds(network, (3, 32, 32)) == expected
    assert round(expected / 1e6, 2) == 153.27
    assert network.training


def test_architecture_strings_are_read_and_written() -> None:
    seen = set()
    for codes in product(range(5), repeat=6):
        architecture = Architecture.at("nb201", np.array(codes))
        seen.add(architecture.text)
        assert tuple(edge_codes(architecture.text)) == codes
    assert len(seen) == 15_625
    assert Architecture.parse(BEST) == Architecture("nb201", BEST)
    assert Architecture.of(registry.benchmark("nb201"), 6111).text == BEST


def test_cells_of_nb101_are_read_and_written_in_every_encoding() -> None:
    rng = np.random.default_rng(2)
    tables = [(used.space, used.decode) for used in nasbench101.ENCODINGS.values()]
    tables += [(nasbench101.ONE_SHOT[str(number)], blocks.decode) for number, blocks in ONE_SHOT_SPACES.items()]
    for space, decode in tables:
        codes = space.sample(rng.random((300, space.dimensions)))
        adjacency, ops = decode(codes)
        written = 0
        for i in range(len(codes)):
            table: Any = SimpleNamespace(space=space, codes=codes, name="a table")
            try:
                architecture = Architecture.of(table, i)
            except ValueError:
                continue
            written += 1
            again = Architecture("nb101", write(*cell_of(architecture.text)))
            assert again == architecture == Architecture.parse(architecture.text)
            edges, labels = cell_of(architecture.text)
            assert parameter_counts(edges[None], labels[None]) == parameter_counts(adjacency[i : i + 1], ops[i : i + 1])
        assert written > 3


@pytest.mark.parametrize(
    "text", ["", "|nor_conv_3x3~0|", "|nor_conv_5x5~0|+|none~0|none~1|+|none~0|none~1|none~2|", "conv3x3-bn-relu;0-1",
             "conv9x9;0-1,1-2", "conv3x3-bn-relu;0-1,1-9", "conv3x3-bn-relu", "maxpool3x3;a-b"],
)  # fmt: skip
def test_what_is_no_architecture_is_refused(text: str) -> None:
    with pytest.raises(HarnessError, match="is not an architecture"):
        Architecture.parse(text)


def test_tables_without_architectures_are_refused() -> None:
    with pytest.raises(HarnessError, match="synthetic/test has no architectures"):
        Architecture.of(synthetic_table(), 0)
    with pytest.raises(HarnessError, match="fcnet/protein has no architectures"):
        Architecture.of(registry.benchmark("fcnet/protein"), 0)


def plain_cell(cell: Any, x: Any) -> Any:
    """Every edge computed, as the benchmark defines the cell."""
    nodes = [x]
    for node in range(1, 4):
        parts = []
        for edge, (i, j) in enumerate(nasbench201.EDGES):
            if j == node:
                parts.append(x.new_zeros(x.shape) if cell.names[edge] == "none" else cell.operators[edge](nodes[i]))
        nodes.append(sum(parts))
    return nodes[-1]


def test_edges_that_do_not_reach_the_output_change_nothing() -> None:
    rng = np.random.default_rng(3)
    for codes in [*rng.integers(5, size=(40, 6)).tolist(), [0] * 6, [3, 3, 3, 0, 0, 0], [0, 0, 3, 0, 0, 3]]:
        torch.manual_seed(0)
        cell: Any = networks.Nb201Cell(tuple(codes), 4, DropPath())
        cell.names = [nasbench201.OPERATORS[code] for code in codes]
        x = torch.randn(5, 4, 6, 6)
        torch.testing.assert_close(cell(x), plain_cell(cell, x))


def test_the_auxiliary_head_and_the_large_stem() -> None:
    codes = edge_codes(BEST)
    network = nb201(codes, channels=8, cells=1, auxiliary=0.4)
    logits, side = network(torch.randn(4, 3, 32, 32))
    assert logits.shape == side.shape == (4, 10)
    assert network.eval()(torch.randn(4, 3, 32, 32)).shape == (4, 10)
    large = nb201(codes, classes=7, channels=8, cells=1, stem="imagenet", auxiliary=0.4)
    assert [tuple(out.shape) for out in large(torch.randn(2, 3, 224, 224))] == [(2, 7), (2, 7)]


def test_drop_path_keeps_the_mean_and_drops_whole_images() -> None:
    torch.manual_seed(0)
    drop = DropPath()
    x = torch.ones(4000, 2, 3, 3)
    assert drop(x) is x
    drop.rate = 0.25
    out = drop(x)
    per_image = out.flatten(1)
    assert ((per_image == 0).all(1) | (per_image == 1 / 0.75).all(1)).all()
    assert abs(out.mean().item() - 1) < 0.05
    assert drop.eval()(x) is x


@pytest.mark.reference("nasbench_pytorch")
def test_networks_of_nb101_learn_their_running_averages() -> None:
    pytest.importorskip("nasbench_pytorch")
    architecture = Architecture.parse("conv3x3-bn-relu,maxpool3x3;0-1,0-2,1-2,1-3,2-3")
    network = networks.build(architecture, shape(channels=8, cells=1), colours=1, classes=5)
    assert network(torch.randn(3, 1, 8, 8)).shape == (3, 5)
    norms = [m for m in network.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    assert {m.momentum for m in norms} == {0.003}
    with pytest.raises(HarnessError, match="neither an auxiliary head"):
        networks.build(architecture, shape(auxiliary=0.4), colours=3, classes=10)
