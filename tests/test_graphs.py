"""Spaces as graphs: every view against one edge at a time, splits there and back, and what is the same architecture."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from official_cells import graph_hashes

from harness import SearchSpace, registry
from harness.benchmarks import fcnet, nasbench_graph
from harness.graphs import FIRST_OPERATOR, INPUT, OUTPUT, Graphs, classes, fingerprints
from harness.spaces import gpnas_cell, nasbench101, nasbench101_cells, nasbench201

SPACES: dict[str, SearchSpace] = {
    "nb201": nasbench201.SPACE,
    **{f"nb101/{name}": encoding.space for name, encoding in nasbench101.ENCODINGS.items()},
    **{f"1shot1/{name}": space for name, space in nasbench101.ONE_SHOT.items()},
    **{f"nb-graph/{name}": nasbench_graph.SPACES[name] for name in ("cora", "proteins")},
}
CONNECTIONS = {"nb201": 6, "nb101/a": 21, "nb101/b": 9, "nb101/c": 22, "1shot1/1": 3, "1shot1/2": 4, "1shot1/3": 5}
PARENTS = {"1": (1, 2, 2, 2, 2), "2": (1, 1, 2, 2, 3), "3": (1, 1, 1, 2, 2, 2)}
Edges = set[tuple[int, int]]


def sample(space: SearchSpace, n: int, seed: int = 0) -> Any:
    return space.sample(np.random.default_rng(seed).random((n, space.dimensions)))


def drawn(name: str, values: Mapping[str, Any]) -> tuple[Edges, dict[int, str]]:
    """Edges and operators of a configuration as its benchmark's paper defines them, before anything is pruned."""
    family, _, dataset = name.partition("/")
    operators = {int(key.split("_")[-1]): str(value) for key, value in values.items() if key.startswith("op_")}
    if name == "nb201":
        cell = [tuple(map(int, key.split("_")[1:])) for key in values]
        operators = {k: str(op) for k, op in enumerate(values.values(), start=1) if op != "none"}
        follows = {(a, b) for a in operators for b in operators if cell[a - 1][1] == cell[b - 1][0]}
        ends = {(0, a) for a in operators if cell[a - 1][0] == 0} | {(a, 7) for a in operators if cell[a - 1][1] == 3}
        return follows | ends, operators
    if name == "nb101/a":
        return {pair(key[5:]) for key, value in values.items() if key.startswith("edge_") and value == 1}, operators
    if name == "nb101/b":
        return {pair(str(value)) for key, value in values.items() if key.startswith("slot_")}, operators
    if name == "nb101/c":
        priorities = [(-float(value), pair(key[9:])) for key, value in values.items() if key.startswith("priority_")]
        return {edge for _, edge in sorted(priorities)[: int(values["edges"])]}, operators
    if family == "1shot1":
        counts = PARENTS[dataset]
        edges = set()
        for node, count in enumerate(counts, start=1):
            chosen = str(values.get(f"choice_block_{node}_parents", "+".join(map(str, range(count)))))
            edges |= {(int(parent), 6 if node == len(counts) else node) for parent in chosen.split("+")}
        return edges, {k: str(values[f"choice_block_{k}_op"]) for k in range(1, len(counts))}
    fathers = [int(father) for father in str(values["inputs"]).split("-")]
    leaves = set(range(1, 5)) - set(fathers)
    return {(father, k) for k, father in enumerate(fathers, start=1)} | {(leaf, 5) for leaf in leaves}, operators


def pair(text: str) -> tuple[int, int]:
    source, target = text.split("_")
    return int(source), int(target)


def reached(edges: Edges, start: int) -> set[int]:
    found, front = {start}, [start]
    while front:
        vertex = front.pop()
        new = {b for a, b in edges if a == vertex} - found
        found |= new
        front += new
    return found


@pytest.mark.parametrize("name", SPACES)
def test_a_view_shows_what_lies_between_input_and_output(name: str) -> None:
    space = SPACES[name]
    view = space.graphs
    assert view is not None
    codes = sample(space, 300)
    adjacency, labels = view.of(codes)
    assert adjacency.shape == (300, view.vertices, view.vertices)
    assert labels.max() < view.labels
    assert not np.tril(adjacency).any()
    sizes = set()
    for i, row in enumerate(codes):
        edges, operators = drawn(name, space.to_dict(row))
        last = view.vertices - 1
        there = reached(edges, 0) & reached({(b, a) for a, b in edges}, last)
        kept = {edge for edge in edges if set(edge) <= there}
        assert {tuple(edge) for edge in np.argwhere(adjacency[i]).tolist()} == kept
        shown = {int(k): view.operators[labels[i, k] - FIRST_OPERATOR] for k in np.flatnonzero(labels[i] > OUTPUT)}
        assert shown == {k: op for k, op in operators.items() if k in there}
        assert (labels[i, 0], labels[i, last]) == (INPUT, OUTPUT)
        sizes.add(len(kept))
    assert len(sizes) > 2, "graphs of several sizes were compared"


@pytest.mark.parametrize("name", [*SPACES, "fcnet"])
def test_a_split_goes_there_and_back(name: str) -> None:
    space = fcnet.SPACE if name == "fcnet" else SPACES[name]
    split = space.split
    assert split is not None
    assert split.connections.dimensions == CONNECTIONS.get(name, 6 if name == "fcnet" else 1)
    codes = sample(space, 500)
    connections, operators = split.apart(codes)
    assert ((connections >= 0) & (connections < split.connections.sizes)).all()
    assert ((operators >= -1) & (operators < split.operators.sizes)).all()
    np.testing.assert_array_equal(split.join(connections, operators), codes)
    other = sample(split.operators, 500, seed=1)
    again, joined = split.apart(split.join(connections, other))
    np.testing.assert_array_equal(again, connections)
    np.testing.assert_array_equal(joined[joined >= 0], other[joined >= 0])


@pytest.mark.parametrize("name", ["nb201", "nb101/a"])
def test_a_dropped_connection_is_gone(name: str) -> None:
    space = SPACES[name]
    assert space.graphs is not None
    assert space.split is not None
    assert space.split.drop is not None
    plain, dropped = space.split.drop
    connections, operators = space.split.apart(sample(space, 400))
    bare = space.split.join(np.where(connections == plain, dropped, connections), operators)
    before, after = space.graphs.of(space.split.join(connections, operators)), space.graphs.of(bare)
    if name == "nb201":
        assert (before.operators == FIRST_OPERATOR).any()
        assert not (after.operators == FIRST_OPERATOR).any()
    else:
        assert before.adjacency.any()
        assert not after.adjacency.any()


def test_hyper_parameters_are_no_graphs() -> None:
    assert fcnet.SPACE.graphs is None
    space = registry.benchmark("hpobench").space
    assert (space.graphs, space.split) == (None, None)


def test_operators_on_dead_edges_do_not_matter() -> None:
    """Edge 1-2 of a cell of NAS-Bench-201 is dead where nothing leaves node 2."""
    view = nasbench201.SPACE.graphs
    assert view is not None
    codes = np.array([[3, 0, op, 0, 2, 0] for op in range(5)])
    graphs = view.of(codes)
    assert (graphs.adjacency == graphs.adjacency[0]).all()
    assert (graphs.operators == graphs.operators[0]).all()
    assert len(set(classes(view.of(np.concatenate([codes, [[3, 0, 0, 0, 3, 0]]])))[-2:].tolist())) == 2


@pytest.mark.parametrize("number", [1, 2, 3])
def test_a_cell_is_the_same_graph_in_every_space(number: int) -> None:
    blocks, space = nasbench101_cells.ONE_SHOT_SPACES[number], SPACES[f"1shot1/{number}"]
    codes = sample(space, 200)
    adjacency, ops = blocks.decode(codes)
    edges = adjacency[:, nasbench101_cells.EDGE_SOURCES, nasbench101_cells.EDGE_TARGETS]
    in_a = SPACES["nb101/a"].graphs
    assert in_a is not None
    assert space.graphs is not None
    for one, other in zip(space.graphs.of(codes), in_a.of(np.concatenate([edges, ops], axis=1)), strict=True):
        np.testing.assert_array_equal(one, other)


def cells(n: int, seed: int) -> tuple[Any, Any]:
    """Connected cells of NAS-Bench-101."""
    rng = np.random.default_rng(seed)
    adjacency = np.triu(rng.random((n, 7, 7)) < 0.3, 1)
    adjacency = adjacency[nasbench101_cells.valid(adjacency)]
    return adjacency, rng.integers(0, 3, (len(adjacency), 5))


def graphs_of(adjacency: Any, ops: Any) -> Graphs:
    view = SPACES["nb101/a"].graphs
    assert view is not None
    edges = adjacency[:, nasbench101_cells.EDGE_SOURCES, nasbench101_cells.EDGE_TARGETS]
    return view.of(np.concatenate([edges, ops], axis=1))


def test_isomorphic_cells_are_isomorphic_graphs() -> None:
    """Every renaming of the middle vertices that keeps edges going upwards."""
    adjacency, ops = cells(60, seed=1)
    renamed: list[tuple[int, Any, Any]] = []
    for i, cell in enumerate(adjacency):
        for order in permutations(range(1, 6)):
            place = [0, *order, 6]
            moved = cell[np.ix_(place, place)]
            if not np.tril(moved).any():
                renamed.append((i, moved, ops[i][np.array(order) - 1]))
    original, moved_cells, moved_ops = map(np.array, zip(*renamed, strict=True))
    assert len(original) > 2 * len(adjacency)
    both = Graphs(*(np.concatenate(pair) for pair in zip(
        graphs_of(adjacency, ops), graphs_of(moved_cells, moved_ops), strict=True)))  # fmt: skip
    number = classes(both)
    np.testing.assert_array_equal(number[: len(adjacency)][original], number[len(adjacency) :])


def test_graphs_are_isomorphic_where_the_published_hash_says_so() -> None:
    adjacency, ops = cells(20_000, seed=2)
    _, by_hash = np.unique(graph_hashes(adjacency, ops), axis=0, return_inverse=True)
    number = classes(graphs_of(adjacency, ops))
    pairs = np.unique(np.stack([by_hash.ravel(), number], axis=1), axis=0)
    assert len(pairs) == len(np.unique(number)) == len(np.unique(by_hash))
    assert len(pairs) < 0.95 * len(adjacency), "some cells are met twice"


def test_all_connections_of_nb101_are_2494_graphs() -> None:
    known = nasbench101_cells.every_graph()
    first = np.unique(known.graph_of, return_index=True)[1][1:]
    adjacency = nasbench101_cells.adjacency_of(first)
    number = classes(graphs_of(adjacency, np.zeros((len(first), 5), dtype=np.int64)))
    assert number.max() + 1 == nasbench101_cells.GRAPH_CLASSES
    pairs = np.unique(np.stack([known.class_of[known.graph_of[first]], number], axis=1), axis=0)
    assert len(pairs) == nasbench101_cells.GRAPH_CLASSES


@pytest.mark.parametrize("name", ["nb101", "gpnas-cell"])
def test_fingerprints_do_not_depend_on_the_order_of_vertices(name: str) -> None:
    space = {"nb101": SPACES["nb101/a"], "gpnas-cell": gpnas_cell.SPACE}[name]
    assert space.graphs is not None
    assert space.graphs.unordered
    rng = np.random.default_rng(0)
    adjacency, labels = space.graphs.of(rng.integers(0, space.sizes, (200, space.dimensions)))
    order = rng.permutation(labels.shape[1])
    moved = Graphs(adjacency[:, order][:, :, order], labels[:, order])
    np.testing.assert_array_equal(fingerprints(Graphs(adjacency, labels)), fingerprints(moved))


def test_fingerprints_tell_the_cells_of_nasbench101_apart(shared_data: Path) -> None:
    with np.load(shared_data / "nb101" / "nb101_mf_30k.npz") as archive:
        adjacency, ops = nasbench101_cells.cells_from_bits(*(archive[k] for k in ("num_vertices", "adj_bits", "ops")))
    edges = adjacency[:, nasbench101_cells.EDGE_SOURCES, nasbench101_cells.EDGE_TARGETS]
    view = SPACES["nb101/a"].graphs
    assert view is not None
    assert len(np.unique(fingerprints(view.of(np.concatenate([edges, ops], axis=1).astype(np.int64))))) == len(ops)
