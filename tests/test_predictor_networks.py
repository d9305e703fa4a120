"""Graph views against scalar oracles, and the networks' layers against those of torch_geometric."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from algorithms.predictors.batched import one_thread
from algorithms.predictors.data import GraphInputs
from algorithms.predictors.networks import DirectedNetwork, GraphNetwork, mapped, propagate
from harness.graphs import ABSENT, FIRST_OPERATOR, INPUT, OUTPUT
from harness.spaces.nasbench101 import ENCODINGS
from harness.spaces.nasbench201 import EDGES
from harness.spaces.nasbench201 import SPACE as NB201


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> Any:
    """Threads only get into each other's way at these sizes."""
    with one_thread():
        yield


SPACES = {"nb201": NB201, "nb101": ENCODINGS["a"].space}


def codes_of(name: str, n: int = 200) -> Any:
    rng = np.random.default_rng(1)
    codes = rng.integers(0, SPACES[name].sizes, (n, SPACES[name].dimensions))
    if name == "nb101":
        codes[:, :21] = rng.random((n, 21)) < 0.35
    return codes


def reachable(start: int, edges: set[tuple[int, int]]) -> set[int]:
    found, left = {start}, [start]
    while left:
        vertex = left.pop()
        for a, b in edges:
            if a == vertex and b not in found:
                found.add(b)
                left.append(b)
    return found


def on_paths(edges: set[tuple[int, int]], last: int) -> set[int]:
    """Vertices on some path from 0 to `last`."""
    return reachable(0, edges) & reachable(last, {(b, a) for a, b in edges})


def test_the_line_graph_of_nb201_is_that_of_an_oracle() -> None:
    codes = codes_of("nb201", 500)
    adjacency, labels = NB201.graphs.of(codes)  # type: ignore[union-attr]
    for k, code in enumerate(codes.tolist()):
        drawn = [e for e in range(6) if code[e] > 0]
        line = {(i + 1, j + 1) for i in drawn for j in drawn if EDGES[i][1] == EDGES[j][0]}
        line |= {(0, i + 1) for i in drawn if EDGES[i][0] == 0} | {(i + 1, 7) for i in drawn if EDGES[i][1] == 3}
        kept = on_paths(line, 7)
        assert set(map(tuple, np.argwhere(adjacency[k]).tolist())) == {e for e in line if {*e} <= kept}
        middle = [FIRST_OPERATOR + code[e] - 1 if e + 1 in kept else ABSENT for e in range(6)]
        assert labels[k].tolist() == [INPUT, *middle, OUTPUT]


def test_the_cells_of_nb101_are_pruned_as_by_an_oracle() -> None:
    codes = codes_of("nb101", 300)
    adjacency, labels = SPACES["nb101"].graphs.of(codes)  # type: ignore[union-attr]
    pairs = [(i, j) for i in range(7) for j in range(i + 1, 7)]
    for k, code in enumerate(codes.tolist()):
        edges = {pair for pair, drawn in zip(pairs, code, strict=False) if drawn}
        kept = on_paths(edges, 6)
        assert set(map(tuple, np.argwhere(adjacency[k]).tolist())) == {e for e in edges if {*e} <= kept}
        middle = [FIRST_OPERATOR + code[20 + v] if v in kept else ABSENT for v in range(1, 6)]
        assert labels[k].tolist() == [INPUT, *middle, OUTPUT]


@pytest.mark.parametrize("space", SPACES)
def test_propagation_matrices_are_what_the_papers_say(space: str) -> None:
    codes = codes_of(space, 50)
    adjacency, labels = SPACES[space].graphs.of(codes)  # type: ignore[union-attr]
    symmetric, one_hot, _ = GraphInputs(SPACES[space], "undirected").compute(codes)
    directed = GraphInputs(SPACES[space], "directed").compute(codes)[0]
    for k in range(len(codes)):
        here = np.flatnonzero(labels[k] != ABSENT)
        a = adjacency[k][np.ix_(here, here)].astype(float)
        loops = a + a.T + np.eye(len(here))
        root = np.diag(loops.sum(axis=1) ** -0.5)
        np.testing.assert_allclose(symmetric[k, 0][np.ix_(here, here)], root @ loops @ root, rtol=1e-6)
        for found, one_way in zip(directed[k], (a, a.T), strict=True):
            rows = one_way + np.eye(len(here))
            np.testing.assert_allclose(found[np.ix_(here, here)], rows / rows.sum(axis=1, keepdims=True), rtol=1e-6)
        gone = np.flatnonzero(labels[k] == ABSENT)
        assert not symmetric[k][:, gone].any()
        assert not directed[k][:, :, gone].any()
        assert not one_hot[k][gone].any()


@pytest.mark.parametrize("space", SPACES)
@pytest.mark.parametrize("kind", ["undirected", "directed"])
def test_equal_graphs_are_found_once(space: str, kind: Any) -> None:
    codes = np.concatenate([codes_of(space), codes_of(space)[::-1]])
    inputs = GraphInputs(SPACES[space], kind)
    few, back = inputs.distinct(codes)
    assert len(few) <= 200
    for one, other in zip(inputs.of(codes), inputs.of(few), strict=True):
        np.testing.assert_array_equal(one, other[back])
    assert len(np.unique(np.concatenate([x.reshape(len(few), -1) for x in inputs.of(few)], axis=1), axis=0)) == len(few)


def hidden(space: str, width: int = 6) -> tuple[Any, Any, Any, Any]:
    """Graphs, and values of the vertices and weights for two models; absent vertices are zeros."""
    torch.manual_seed(0)
    codes = codes_of(space, 20)
    adjacency, labels = SPACES[space].graphs.of(codes)  # type: ignore[union-attr]
    values = torch.randn(2, *labels.shape, width) * torch.from_numpy(labels != ABSENT)[..., None]
    return codes, adjacency, values, torch.randn(2, width, 5)


def edges_of(adjacency: Any) -> torch.Tensor:
    return torch.from_numpy(np.argwhere(adjacency).T.copy())


@pytest.mark.reference("torch_geometric")
@pytest.mark.parametrize("space", SPACES)
def test_gpnas_layer_is_torch_geometrics(space: str) -> None:
    geometric = pytest.importorskip("torch_geometric.nn", reason="torch_geometric is not installed")
    codes, adjacency, values, weight = hidden(space)
    matrices = torch.from_numpy(GraphInputs(SPACES[space], "undirected").of(codes)[0][:, 0]).expand(2, -1, -1, -1)
    ours = propagate(matrices, mapped(values, weight))
    both = adjacency | adjacency.transpose(0, 2, 1)
    for m in range(2):
        sparse, dense = (conv(6, 5, bias=False) for conv in (geometric.GCNConv, geometric.DenseGCNConv))
        with torch.no_grad():
            sparse.lin.weight.copy_(weight[m].T)
            dense.lin.weight.copy_(weight[m].T)
            theirs = dense(values[m], torch.from_numpy(both).float())
            torch.testing.assert_close(ours[m], theirs, rtol=1e-4, atol=1e-5)
            for k in range(len(codes)):
                theirs = sparse(values[m, k], edges_of(both[k]))
                torch.testing.assert_close(ours[m, k], theirs, rtol=1e-4, atol=1e-5)


@pytest.mark.reference("torch_geometric")
@pytest.mark.parametrize("space", SPACES)
def test_the_neural_predictors_layers_are_torch_geometrics(space: str) -> None:
    geometric = pytest.importorskip("torch_geometric.nn", reason="torch_geometric is not installed")
    codes, adjacency, values, weight = hidden(space)
    directed = torch.from_numpy(GraphInputs(SPACES[space], "directed").of(codes)[0])
    for way in range(2):
        ours = propagate(directed[:, way].expand(2, -1, -1, -1), mapped(values, weight))
        for m in range(2):
            conv = geometric.ClusterGCNConv(6, 5, bias=False)
            with torch.no_grad():
                conv.lin_out.weight.copy_(weight[m].T)
                conv.lin_root.weight.zero_()
                for k in range(len(codes)):
                    edges = edges_of(adjacency[k].T if way == 0 else adjacency[k])
                    theirs = conv(values[m, k], edges)
                    torch.testing.assert_close(ours[m, k], theirs, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("dropout", [0.0, 0.1])
def test_the_directed_network_is_its_formula(dropout: float) -> None:
    network = DirectedNetwork(NB201, width=5, last=4, dropout=dropout)
    torch.manual_seed(1)
    weights = {name: torch.randn(2, *shape.size) for name, shape in network.shapes().items()}
    codes = codes_of("nb201", 12)
    inputs = tuple(torch.from_numpy(x).expand(2, *x.shape) for x in network.inputs(codes, np.zeros(12, dtype=np.int64)))
    noise = torch.rand(2, 12, network.draws)
    matrices, labels = map(torch.from_numpy, network.graphs.of(codes))
    for trained in (False, True):
        found = network.forward(weights, inputs, noise if trained else None)
        for m in range(2):
            for k in range(12):
                left = list(noise[m, k]) if trained and dropout else []

                def dropped(x: Any, left: list[Any] = left, trained: bool = trained) -> Any:
                    if not (trained and dropout):
                        return x
                    kept = torch.tensor([float(left.pop(0) >= dropout) for _ in range(x.numel())]).view(x.shape)
                    return x * kept / (1 - dropout)

                h = labels[k]
                for layer in (1, 2, 3):
                    along = (matrices[k, 0] @ h @ weights[f"along{layer}"][m]).relu()
                    against = (matrices[k, 1] @ h @ weights[f"against{layer}"][m]).relu()
                    h = dropped((along + against) / 2)
                pooled = h.sum(0) / labels[k].sum()
                last = dropped((pooled @ weights["hidden"][m] + weights["hidden.bias"][m, 0]).relu())
                expected = last @ weights["output"][m, :, 0] + weights["bias"][m, 0, 0]
                torch.testing.assert_close(found[m, k], expected, rtol=1e-4, atol=1e-4)


def test_the_undirected_network_is_its_formula() -> None:
    network = GraphNetwork(NB201, 1, width=5)
    torch.manual_seed(1)
    weights = {name: torch.rand(1, *shape.size) + 0.1 for name, shape in network.shapes().items()}
    codes = codes_of("nb201", 8)
    inputs = tuple(torch.from_numpy(x)[None] for x in network.inputs(codes, np.zeros(8, dtype=np.int64)))
    found = network.forward(weights, inputs, None)
    matrices, labels = map(torch.from_numpy, network.graphs.of(codes))
    h = labels @ weights["embedding"][0]
    for layer in (0, 1):
        h = (matrices[:, 0] @ h @ weights["layers"][0, layer]).relu()
    x = h.amax(1)
    for layer in (1, 2):
        name = f"norm{layer}"
        x = x @ weights[f"head{layer}"][0]
        x = (x - weights[f"{name}.mean"][0]) / (weights[f"{name}.variance"][0] + 1e-5).sqrt()
        x = (x * weights[f"{name}.scale"][0] + weights[f"{name}.shift"][0]).relu()
    torch.testing.assert_close(found[0], (x @ weights["head3"][0] + weights["bias"][0])[:, 0])
