"""Cells of NAS-Bench-101 and 1Shot1 against NASBench's own code and the real enumeration."""

from dataclasses import dataclass
from itertools import permutations
from math import comb, prod
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from official_cells import graph_hashes, parameter_counts

from harness.spaces import nasbench101_cells as cells
from harness.spaces.nasbench101_cells import CellIndex

Array = npt.NDArray[Any]

INCEPTION_LIKE = [(0, 1), (0, 2), (0, 3), (0, 5), (1, 6), (2, 6), (3, 4), (4, 6), (5, 6)]


@dataclass(frozen=True)
class Enumeration:
    """All 423,624 cells with their published hashes and parameter counts."""

    num_vertices: Array
    bits: Array
    own_ops: Array
    adjacency: Array
    ops: Array
    hashes: Array
    parameters: Array


@pytest.fixture(scope="session")
def shared_data(pytestconfig: pytest.Config) -> Path:
    """Folder of the published numbers, beside the project."""
    folder = pytestconfig.rootpath.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"needs the shared data at {folder}")
    return folder


@pytest.fixture(scope="session")
def enumeration(shared_data: Path) -> Enumeration:
    with np.load(shared_data / "nb101" / "nb101_test108_all.npz") as file:
        num_vertices, bits, own_ops = file["num_vertices"], file["adj_bits"], file["ops"]
        adjacency, ops = cells.cells_from_bits(num_vertices, bits, own_ops)
        return Enumeration(num_vertices, bits, own_ops, adjacency, ops, file["hash16"], file["params"])


@pytest.fixture(scope="session")
def index(enumeration: Enumeration) -> CellIndex:
    return CellIndex.of_cells(enumeration.adjacency, enumeration.ops)


@pytest.fixture(scope="session")
def nasbench() -> Any:
    """The reference implementation: `ModelSpec`, `Network`, `graph_util`."""
    pytest.importorskip("torch", reason="nasbench-pytorch needs torch")
    model = pytest.importorskip("nasbench_pytorch.model", reason="needs nasbench-pytorch")
    pytest.importorskip("nasbench_pytorch.model.graph_util")
    return model


def cell_of(edges: list[tuple[int, int]], ops: list[int]) -> tuple[Array, Array]:
    adjacency = np.zeros((1, 7, 7), np.bool_)
    adjacency[0, [i for i, _ in edges], [j for _, j in edges]] = True
    return adjacency, np.array([ops])


def random_cells(count: int, seed: int, density: float = 0.45) -> tuple[Array, Array]:
    rng = np.random.default_rng(seed)
    adjacency = np.triu(rng.random((count, 7, 7)) < density, 1)
    return adjacency, rng.integers(0, 3, (count, 5))


def reference_spec(nasbench: Any, adjacency: Array, ops: Array) -> Any:
    """ModelSpec of one cell; None where input and output are not connected.

    nasbench-pytorch notices that, then fails to make a tensor of the matrix it dropped.
    """
    names = ["input", *(cells.OPERATORS[op] for op in ops), "output"]
    try:
        return nasbench.ModelSpec(adjacency.astype(np.int8), names)
    except RuntimeError as error:
        if "NoneType" not in str(error):
            raise
        return None


def reference_is_valid(spec: Any) -> bool:
    return spec is not None and len(spec.ops) <= 7 and int(spec.matrix.sum()) <= 9


def reference_hash(nasbench: Any, spec: Any) -> bytes:
    """ModelSpec.hash_spec on a numpy matrix (numpy 2 cannot sum the tensor that it keeps)."""
    labels = [-1, *map(cells.OPERATORS.index, spec.ops[1:-1]), -2]
    return bytes.fromhex(nasbench.graph_util.hash_module(spec.matrix.numpy(), labels))


def reordered(adjacency: Array, ops: Array, seed: int) -> tuple[Array, Array]:
    """The same cells with middle vertices in another topological order where there is one."""
    rng = np.random.default_rng(seed)
    orders = np.array([(0, *order, 6) for order in permutations(range(1, 6))])
    new_adjacency, new_ops = np.array(adjacency), np.array(ops)
    for order in orders[rng.permutation(len(orders))[:40]]:
        moved = new_adjacency[:, order[:, None], order]
        fits = ~np.tril(moved).any(axis=(1, 2))
        new_adjacency[fits] = moved[fits]
        new_ops[fits] = new_ops[fits][:, order[1:6] - 1]
    return new_adjacency, new_ops


def with_loose_ends(adjacency: Array, ops: Array, seed: int) -> tuple[Array, Array]:
    """Cells with edges from unused vertices to anywhere, and arbitrary operators on those."""
    rng = np.random.default_rng(seed)
    unused: Array = ~np.any(adjacency, axis=2) & (np.arange(7) < 6)
    dangling = np.triu(unused[:, :, None] & (rng.random(adjacency.shape) < 0.5), 1)
    return adjacency | dangling, np.where(unused[:, 1:6], rng.integers(0, 3, ops.shape), ops)


# --- pruning and validity ---------------------------------------------------------------------


def test_a_vertex_off_every_path_loses_its_edges() -> None:
    path = [(0, 1), (1, 6)]
    loose = [(0, 2), (3, 6), (4, 5)]
    adjacency, _ = cell_of(path + loose, [0] * 5)
    kept, _ = cell_of(path, [0] * 5)
    np.testing.assert_array_equal(cells.prune(adjacency), kept)
    assert cells.num_edges(adjacency) == 5


def test_edges_are_limited_after_pruning() -> None:
    to_dead_end = [(i, 5) for i in range(5)]
    nine, _ = cell_of(INCEPTION_LIKE, [0] * 5)
    pruned_to_six, _ = cell_of([(0, 1), (0, 2), (0, 3), (1, 6), (2, 6), (3, 6), *to_dead_end], [0] * 5)
    ten, _ = cell_of([*INCEPTION_LIKE, (0, 6)], [0] * 5)
    disconnected, _ = cell_of([(0, 1), (2, 6)], [0] * 5)
    every = np.concatenate([nine, pruned_to_six, ten, disconnected])
    np.testing.assert_array_equal(cells.valid(every), [True, True, False, False])


@pytest.mark.reference("nasbench_pytorch")
def test_pruning_and_validity_equal_nasbench(nasbench: Any) -> None:
    adjacency, ops = random_cells(2000, seed=1)
    pruned, valid = cells.prune(adjacency), cells.valid(adjacency)
    assert 0.2 < valid.mean() < 0.9
    for k in range(len(ops)):
        spec = reference_spec(nasbench, adjacency[k], ops[k])
        assert valid[k] == reference_is_valid(spec)
        if spec is None:
            assert not pruned[k].any()
        else:
            used = pruned[k].any(axis=0) | pruned[k].any(axis=1)
            np.testing.assert_array_equal(pruned[k][np.ix_(used, used)], spec.matrix.numpy())


@pytest.mark.reference("nasbench_pytorch")
def test_stored_bits_follow_nasbench_numbering(nasbench: Any, enumeration: Enumeration) -> None:
    few_vertices = np.flatnonzero(enumeration.num_vertices < 6)[::97]
    for row in [*few_vertices, *range(0, 423_624, 30_011)]:
        vertices = int(enumeration.num_vertices[row])
        is_edge = nasbench.graph_util.gen_is_edge_fn(int(enumeration.bits[row]))
        expected = np.fromfunction(is_edge, (vertices, vertices), dtype=np.int8)
        at = [*range(vertices - 1), 6]
        np.testing.assert_array_equal(enumeration.adjacency[row][np.ix_(at, at)], expected)
        assert enumeration.adjacency[row].sum() == expected.sum()


# --- hash -------------------------------------------------------------------------------------


@pytest.mark.reference("nasbench_pytorch")
def test_hash_equals_nasbench(nasbench: Any) -> None:
    adjacency, ops = random_cells(1500, seed=2)
    connected = cells.prune(adjacency).any(axis=(1, 2))
    adjacency, ops = adjacency[connected], ops[connected]
    expected = [reference_hash(nasbench, reference_spec(nasbench, *cell)) for cell in zip(adjacency, ops, strict=True)]
    assert [bytes(row) for row in graph_hashes(adjacency, ops)] == expected


def test_hash_equals_the_published_one(enumeration: Enumeration) -> None:
    rows = np.union1d(np.flatnonzero(enumeration.num_vertices < 6), np.arange(0, 423_624, 101))
    hashes = graph_hashes(enumeration.adjacency[rows], enumeration.ops[rows])
    np.testing.assert_array_equal(hashes, enumeration.hashes[rows])


def test_hash_ignores_vertex_order_and_loose_ends() -> None:
    adjacency, ops = random_cells(300, seed=3)
    connected = cells.valid(adjacency)
    adjacency, ops = cells.prune(adjacency[connected]), ops[connected]
    other = with_loose_ends(*reordered(adjacency, ops, seed=4), seed=5)
    assert (other[0] != adjacency).any(axis=(1, 2)).mean() > 0.5
    np.testing.assert_array_equal(graph_hashes(*other), graph_hashes(adjacency, ops))


# --- rows -------------------------------------------------------------------------------------


def test_every_cell_finds_its_row(enumeration: Enumeration, index: CellIndex) -> None:
    np.testing.assert_array_equal(index.rows(enumeration.adjacency, enumeration.ops), np.arange(423_624))
    assert cells.valid(enumeration.adjacency).all()


def test_a_cell_written_otherwise_finds_the_same_row(enumeration: Enumeration, index: CellIndex) -> None:
    rows = np.union1d(np.flatnonzero(enumeration.num_vertices < 7)[::5], np.arange(0, 423_624, 11))
    written = enumeration.adjacency[rows], enumeration.ops[rows]
    other = with_loose_ends(*reordered(*written, seed=6), seed=7)
    assert (other[0] != written[0]).any(axis=(1, 2)).mean() > 0.5
    np.testing.assert_array_equal(index.rows(*other), rows)


@pytest.mark.reference("nasbench_pytorch")
def test_rows_equal_a_search_by_nasbench_hash(nasbench: Any, enumeration: Enumeration, index: CellIndex) -> None:
    row_of_hash = {bytes(key): row for row, key in enumerate(enumeration.hashes)}
    adjacency, ops = random_cells(2000, seed=8)
    specs = [reference_spec(nasbench, *cell) for cell in zip(adjacency, ops, strict=True)]
    expected = [row_of_hash[reference_hash(nasbench, spec)] if reference_is_valid(spec) else -1 for spec in specs]
    assert len(set(expected)) > 500
    np.testing.assert_array_equal(index.rows(adjacency, ops), expected)


def test_every_valid_cell_is_in_the_enumeration(index: CellIndex) -> None:
    adjacency, ops = random_cells(100_000, seed=9)
    np.testing.assert_array_equal(index.rows(adjacency, ops) >= 0, cells.valid(adjacency))


def test_equal_rows_mean_equal_hashes() -> None:
    adjacency, ops = random_cells(4000, seed=10, density=0.35)
    valid = cells.valid(adjacency)
    adjacency, ops = adjacency[valid], ops[valid]
    _, first, which = np.unique(graph_hashes(adjacency, ops), axis=0, return_index=True, return_inverse=True)
    assert len(first) < len(ops) - 100
    np.testing.assert_array_equal(CellIndex.of_cells(adjacency[first], ops[first]).rows(adjacency, ops), which)


def test_symmetric_vertices_may_swap_operators() -> None:
    parallel = [(0, 1), (0, 2), (0, 3), (1, 6), (2, 6), (3, 6)]
    index = CellIndex.of_cells(*cell_of(parallel, [0, 1, 2, 0, 0]))
    for ops in permutations([0, 1, 2]):
        assert index.rows(*cell_of(parallel, [*ops, 9, -9])) == 0
    assert index.rows(*cell_of(parallel, [0, 1, 1, 0, 0])) == -1


def test_direction_matters() -> None:
    fork_late = [(0, 1), (1, 2), (1, 3), (2, 6), (3, 6)]
    fork_early = [(0, 1), (0, 2), (1, 3), (2, 3), (3, 6)]
    index = CellIndex.of_cells(*cell_of(fork_late, [0, 1, 2, 0, 0]))
    assert index.rows(*cell_of(fork_late, [0, 2, 1, 0, 0])) == 0
    assert index.rows(*cell_of(fork_early, [1, 2, 0, 0, 0])) == -1


def test_absent_invalid_and_unknown_cells_have_no_row() -> None:
    index = CellIndex.of_cells(*cell_of(INCEPTION_LIKE, [1, 0, 0, 0, 2]))
    assert index.rows(*cell_of(INCEPTION_LIKE, [1, 0, 0, 0, 2])) == 0
    assert index.rows(*cell_of(INCEPTION_LIKE, [0, 0, 0, 0, 2])) == -1
    assert index.rows(*cell_of([*INCEPTION_LIKE, (0, 6)], [1, 0, 0, 0, 2])) == -1
    assert index.rows(*cell_of([(0, 1)], [1, 0, 0, 0, 2])) == -1
    for unknown in (3, -1, 255):
        assert index.rows(*cell_of(INCEPTION_LIKE, [unknown, 0, 0, 0, 2])) == -1
    assert index.rows(np.zeros((0, 7, 7), np.bool_), np.zeros((0, 5), np.int64)).shape == (0,)


def test_edges_can_be_limited_before_pruning() -> None:
    dangling = [(i, 5) for i in range(5)]
    path = [(0, 1), (1, 2), (2, 3), (3, 4), (4, 6)]
    index = CellIndex.of_cells(*cell_of(path, [0] * 5))
    drawn = cell_of(path + dangling, [0] * 5)
    assert index.rows(*drawn) == 0
    assert index.rows(*drawn, max_drawn_edges=10) == 0
    assert index.rows(*drawn, max_drawn_edges=9) == -1


def test_index_refuses_invalid_and_repeated_architectures() -> None:
    fine = cell_of([(0, 1), (1, 6)], [0] * 5)
    same = cell_of([(0, 3), (3, 6)], [0] * 5)
    broken = cell_of([(0, 1)], [0] * 5)
    with pytest.raises(ValueError, match="rows 0 and 1 hold the same architecture"):
        CellIndex.of_cells(np.concatenate([fine[0], same[0]]), np.concatenate([fine[1], same[1]]))
    with pytest.raises(ValueError, match="row 1 is not a valid NAS-Bench-101 cell"):
        CellIndex.of_cells(np.concatenate([fine[0], broken[0]]), np.concatenate([fine[1], broken[1]]))


def test_a_stored_index_is_the_index() -> None:
    built = CellIndex.of_cells(*cell_of([(0, 1), (1, 6)], [2] * 5))
    assert built.row_of.shape == (2495, 243)
    assert cells.every_graph().class_of.max() == cells.GRAPH_CLASSES
    assert CellIndex(built.row_of.copy()).rows(*cell_of([(0, 4), (4, 6)], [2] * 5)) == 0
    with pytest.raises(ValueError, match="shape"):
        CellIndex(built.row_of[1:])


# --- parameters -------------------------------------------------------------------------------


def test_parameters_equal_the_published_counts(enumeration: Enumeration) -> None:
    np.testing.assert_array_equal(parameter_counts(enumeration.adjacency, enumeration.ops), enumeration.parameters)


@pytest.mark.reference("nasbench_pytorch")
@pytest.mark.parametrize(
    ("edges", "ops"),
    [
        ([(0, 6)], [0] * 5),
        ([(0, 1), (1, 6), (0, 6)], [2] * 5),
        (INCEPTION_LIKE, [1, 0, 2, 1, 2]),
        ([(0, 1), (1, 2), (2, 6), (1, 3), (3, 6), (1, 4), (4, 6)], [1, 1, 2, 1, 0]),
    ],
)
def test_parameters_equal_the_reference_network(nasbench: Any, edges: list[tuple[int, int]], ops: list[int]) -> None:
    adjacency, codes = cell_of(edges, ops)
    network = nasbench.Network(reference_spec(nasbench, adjacency[0], codes[0]))
    placeholders = (".a", ".dev_param")
    expected = sum(weight.numel() for name, weight in network.named_parameters() if not name.endswith(placeholders))
    assert parameter_counts(adjacency, codes) == expected


# --- encodings --------------------------------------------------------------------------------


def test_encoding_a_is_row_major() -> None:
    rng = np.random.default_rng(11)
    codes = np.concatenate([rng.integers(0, 2, (50, 21)), rng.integers(0, 3, (50, 5))], axis=1)
    adjacency, ops = cells.decode_a(codes)
    pairs = [(i, j) for i in range(7) for j in range(i + 1, 7)]
    for code, cell in zip(codes, adjacency, strict=True):
        assert {pairs[k] for k in range(21) if code[k]} == set(map(tuple, np.argwhere(cell)))
    np.testing.assert_array_equal(ops, codes[:, 21:])


@pytest.mark.reference("nasbench_pytorch")
def test_encoding_b_numbers_edges_as_nas_benchmarks(nasbench: Any) -> None:
    rng = np.random.default_rng(12)
    codes = np.concatenate([rng.integers(0, 21, (50, 9)), rng.integers(0, 3, (50, 5))], axis=1)
    adjacency, ops = cells.decode_b(codes)
    for code, cell in zip(codes, adjacency, strict=True):
        most_significant_first = "".join("1" if k in code[:9] else "0" for k in range(21))
        is_edge = nasbench.graph_util.gen_is_edge_fn(int(most_significant_first, base=2))
        np.testing.assert_array_equal(cell, np.fromfunction(is_edge, (7, 7), dtype=np.int8))
    np.testing.assert_array_equal(ops, codes[:, 9:])


def test_encoding_b_slots_may_repeat() -> None:
    adjacency, _ = cells.decode_b(np.array([[20] * 4 + [0] * 5 + [0] * 5, [1] * 9 + [0] * 5]))
    assert list(map(tuple, np.argwhere(adjacency[0]))) == [(0, 1), (5, 6)]
    assert list(map(tuple, np.argwhere(adjacency[1]))) == [(4, 6)]


@pytest.mark.parametrize("levels", [2, 2**16])
def test_encoding_c_draws_the_edges_of_highest_priority(levels: int) -> None:
    rng = np.random.default_rng(13)
    parts = rng.integers(0, 10, (200, 1)), rng.integers(0, levels, (200, 21)), np.zeros((200, 5))
    codes = np.concatenate(parts, axis=1).astype(np.int64)
    adjacency, ops = cells.decode_c(codes)
    pairs = [(i, j) for i in range(7) for j in range(i + 1, 7)]
    for code, cell in zip(codes, adjacency, strict=True):
        priority = code[1:22]
        best = sorted(range(21), key=lambda edge: (-priority[edge], edge))[: code[0]]
        assert {pairs[k] for k in best} == set(map(tuple, np.argwhere(cell)))
    assert ops.shape == (200, 5)


# --- 1Shot1 -----------------------------------------------------------------------------------


def all_codes(cardinalities: tuple[int, ...]) -> Array:
    grid = np.unravel_index(np.arange(prod(cardinalities)), cardinalities)
    return np.stack(grid, axis=1).astype(np.int8)


@pytest.mark.parametrize(
    ("number", "configurations", "unique"),
    [(1, 14_580, 2_685), (2, 29_160, 7_773), (3, 1_312_200, 55_854)],
)
def test_one_shot_space_is_the_published_set_of_cells(
    shared_data: Path, index: CellIndex, number: int, configurations: int, unique: int
) -> None:
    space = cells.ONE_SHOT_SPACES[number]
    codes = all_codes(space.cardinalities)
    rows = np.unique(index.rows(*space.decode(codes)))
    assert (len(codes), len(rows)) == (configurations, unique)
    published = np.load(shared_data / "nb101" / f"nb1shot1_space{number}_idx.npy")
    np.testing.assert_array_equal(rows, np.sort(published))


@pytest.mark.parametrize(
    ("number", "parents"),
    [
        (1, {1: 1, 2: 2, 3: 2, 4: 2, 6: 2}),
        (2, {1: 1, 2: 1, 3: 2, 4: 2, 6: 3}),
        (3, {1: 1, 2: 1, 3: 1, 4: 2, 5: 2, 6: 2}),
    ],
)
def test_choice_blocks_have_their_number_of_parents(number: int, parents: dict[int, int]) -> None:
    space = cells.ONE_SHOT_SPACES[number]
    rng = np.random.default_rng(14)
    codes = rng.integers(0, space.cardinalities, (500, len(space.cardinalities)))
    adjacency, ops = space.decode(codes)
    expected = [parents.get(vertex, 0) for vertex in range(7)]
    np.testing.assert_array_equal(adjacency.sum(axis=1), np.tile(expected, (500, 1)))
    np.testing.assert_array_equal(ops[:, : space.blocks], codes[:, : space.blocks])
    per_node = [comb(node, count) for node, count in enumerate(space.num_parents, start=1)]
    assert prod(space.cardinalities) == 3**space.blocks * prod(per_node)


def test_parameters_of_a_space_name_what_codes_mean() -> None:
    space = cells.ONE_SHOT_SPACES[2]
    assert list(space.parameters) == [
        *(f"choice_block_{block}_op" for block in (1, 2, 3, 4)),
        *(f"choice_block_{node}_parents" for node in (2, 3, 4, 5)),
    ]
    codes = np.array([[0, 1, 2, 0, 1, 2, 3, 9]])
    adjacency, _ = space.decode(codes)
    for node, target, code in ((2, 2, 1), (3, 3, 2), (4, 4, 3), (5, 6, 9)):
        parents = space.parameters[f"choice_block_{node}_parents"][code]
        assert list(np.flatnonzero(adjacency[0, :, target])) == list(parents)
