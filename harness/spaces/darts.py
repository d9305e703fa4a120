"""The space of DARTS (Liu, Simonyan and Yang, "DARTS: Differentiable architecture search", ICLR 2019).

A normal and a reduction cell of seven nodes: two inputs, which are the outputs of the two cells before, four inner
nodes, each the sum of an operator on either of two different earlier nodes, and the output, which joins the inner ones.
Written as DARTS writes its genotypes, the pairs of a node in the order of their inputs.
"""

from __future__ import annotations

import ast
from itertools import combinations, product

import numpy as np

from harness.arrays import Ints
from harness.graphs import FIRST_OPERATOR, Graphs, GraphView, pruned
from harness.space import Parameter, SearchSpace, by_columns
from harness.spaces import Published

OPERATORS = (
    "none",
    "max_pool_3x3",
    "avg_pool_3x3",
    "skip_connect",
    "sep_conv_3x3",
    "sep_conv_5x5",
    "dil_conv_3x3",
    "dil_conv_5x5",
)
"""Those of the super-network; an architecture has all but none, which stands for an edge that is not there."""

CELLS = ("normal", "reduce")
INNER = 4
EDGES = tuple((i, j) for j in range(2, 2 + INNER) for i in range(j))
"""(from, to) of all edges of a cell; 0 and 1 are the inputs."""

_PAIRS = tuple(tuple(combinations(range(j), 2)) for j in range(2, 2 + INNER))
_CHOICES = OPERATORS[1:]

Cell = tuple[tuple[str, int], ...]
"""Operator and input of the eight edges of a cell, two for each inner node."""

_PARAMETERS = tuple(
    parameter
    for cell in CELLS
    for parameter in (
        *(Parameter(f"{cell}_inputs_{j}", tuple(f"{a}-{b}" for a, b in _PAIRS[j])) for j in range(1, INNER)),
        *(Parameter(f"{cell}_operator_{j}_{k}", _CHOICES) for j, k in product(range(INNER), range(2))),
    )
)
_OF_CELL = len(_PARAMETERS) // len(CELLS)
_FREE = INNER - 1
_JOINT, _INPUTS, _FIRST = FIRST_OPERATOR, FIRST_OPERATOR + 1, FIRST_OPERATOR + 3
_NAMES = ("cell", "input 0", "input 1", *_CHOICES)
_CELL_SIZE = 2 + 2 * INNER


def sources(codes: Ints) -> Ints:
    """Inputs Int[n, 2, 4, 2] of the inner nodes of both cells of codes Int[n, d]."""
    pairs = codes.reshape(len(codes), len(CELLS), _OF_CELL)[:, :, :_FREE]
    first = np.zeros((len(codes), len(CELLS), 1), dtype=np.int64)
    chosen = np.concatenate([first, pairs], axis=2)
    return np.stack([np.array(_PAIRS[j])[chosen[:, :, j]] for j in range(INNER)], axis=2)


def operators(codes: Ints) -> Ints:
    """Positions in `OPERATORS` Int[n, 2, 4, 2] of what stands on these inputs."""
    return codes.reshape(len(codes), len(CELLS), _OF_CELL)[:, :, _FREE:].reshape(len(codes), len(CELLS), INNER, 2) + 1


def _graphs(codes: Ints) -> Graphs:
    """Both cells in a row, as line graphs: a vertex for each input and operator, and one where the cells meet."""
    size = 3 + len(CELLS) * _CELL_SIZE
    adjacency = np.zeros((len(codes), size, size), dtype=np.bool_)
    labels = np.full((len(codes), size - 2), _JOINT)
    given, row = sources(codes), np.arange(len(codes))
    for cell in range(len(CELLS)):
        first = 1 + cell * (_CELL_SIZE + 1)
        end = first + _CELL_SIZE
        adjacency[:, first - 1, first : first + 2] = True
        adjacency[:, first + 2 : end, end] = True
        labels[:, first - 1 : first + 1] = (_INPUTS, _INPUTS + 1)
        labels[:, first + 1 : end - 1] = operators(codes)[:, cell].reshape(len(codes), -1) - 1 + _FIRST
        for j, k in product(range(INNER), range(2)):
            vertex, source = first + 2 + 2 * j + k, given[:, cell, j, k]
            begin = np.where(source < 2, first + source, first + 2 * source - 2)
            adjacency[row, begin, vertex] = True
            adjacency[row, begin + (source >= 2), vertex] = True
    return pruned(adjacency, labels)


SPACE = SearchSpace(
    _PARAMETERS,
    GraphView(3 + len(CELLS) * _CELL_SIZE, _NAMES, _graphs, unordered=True),
    by_columns(_PARAMETERS, [i for i, p in enumerate(_PARAMETERS) if "inputs" in p.name]),
)


def code(inputs: Ints, chosen: Ints) -> Ints:
    """Codes Int[d] of inputs Int[2, 4, 2], rising, and positions in `OPERATORS` Int[2, 4, 2]."""
    found: list[int] = []
    for pairs, ops in zip(inputs.tolist(), chosen, strict=True):
        found += [_PAIRS[j].index((a, b)) for j, (a, b) in enumerate(pairs)][1:]
        found += (ops - 1).ravel().tolist()
    return np.array(found)


def write(codes: Ints) -> str:
    """The genotype of codes Int[d]."""
    cells = zip(operators(codes[None])[0], sources(codes[None])[0], strict=True)
    pairs = [
        [(OPERATORS[o], i) for o, i in zip(ops.ravel(), given.ravel().tolist(), strict=True)] for ops, given in cells
    ]
    parts = [f"{name}={edges}, {name}_concat=range(2, 6)" for name, edges in zip(CELLS, pairs, strict=True)]
    return f"Genotype({', '.join(parts)})"


def cells_of(text: str) -> tuple[Cell, Cell]:
    """The normal and the reduction cell of a genotype. Raises ValueError if it is none of this space."""
    try:
        call = ast.parse(text.strip(), mode="eval").body
    except SyntaxError as error:
        raise ValueError(f"{text!r} is no genotype") from error
    if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Name) or call.func.id != "Genotype" or call.args:
        raise ValueError(f"{text!r} is no genotype")
    given = {word.arg: word.value for word in call.keywords}
    if {*given} != {name + end for name in CELLS for end in ("", "_concat")}:
        raise ValueError("a genotype has normal, normal_concat, reduce and reduce_concat")
    for name in CELLS:
        if ast.unparse(given[f"{name}_concat"]) not in ("range(2, 6)", "[2, 3, 4, 5]"):
            raise ValueError("the output joins nodes 2 to 5")
    normal, reduce = (_cell(ast.literal_eval(given[name])) for name in CELLS)
    return normal, reduce


def _cell(edges: object) -> Cell:
    if not isinstance(edges, list) or len(edges) != 2 * INNER:
        raise ValueError(f"a cell has {2 * INNER} edges")
    found: list[tuple[str, int]] = []
    for j in range(INNER):
        pair = sorted(((str(name), int(i)) for name, i in edges[2 * j : 2 * j + 2]), key=lambda edge: edge[1])
        if not 0 <= pair[0][1] < pair[1][1] < j + 2 or not {name for name, _ in pair} <= {*_CHOICES}:
            raise ValueError(f"no node {pair}")
        found += pair
    return tuple(found)


def codes_of(text: str) -> Ints:
    """Codes Int[d] of a genotype. Raises ValueError if it is none of this space."""
    cells = cells_of(text)
    inputs = np.array([[i for _, i in cell] for cell in cells]).reshape(2, INNER, 2)
    chosen = np.array([[OPERATORS.index(name) for name, _ in cell] for cell in cells]).reshape(2, INNER, 2)
    return code(inputs, chosen)


published = Published(
    kind="darts",
    title="DARTS",
    space=SPACE,
    write=write,
    read=lambda text: write(codes_of(text)),
    example=write(np.zeros(len(_PARAMETERS), dtype=np.int64)),
    networks="harness.train.darts_networks:network",
    codes=codes_of,
    supernet="harness.sharing.darts_cells:darts",
    decided=(OPERATORS,) * (len(CELLS) * len(EDGES)),
)
