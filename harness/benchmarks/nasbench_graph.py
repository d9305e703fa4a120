"""NAS-Bench-Graph (Qin et al., "NAS-Bench-Graph: Benchmarking graph neural architecture search", NeurIPS 2022).

A graph neural network is a tree of four operators: 26,206 different ones (2,021 of five operators on proteins), means
over the authors' trainings. Every one of the 59,049 ways to write a tree finds its row: trees that differ in the order
of branches, or in skips that change nothing, are the same architecture.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from harness.arrays import Ints
from harness.benchmarks import Converted, Family, Progress, Source, imported
from harness.benchmarks.formats.nasbenchgraph import DATASETS, LINKS, OPERATIONS, locate, read
from harness.errors import HarnessError
from harness.graphs import FIRST_OPERATOR, Graphs, GraphView, pruned
from harness.space import Parameter, SearchSpace, by_columns
from harness.table import Facts, Table

_ON_PROTEINS = ("gcn", "sage", "arma", "fc", "skip")
_SKIP = OPERATIONS.index("skip")

SHA256 = {
    "arxiv": "7ee21a7653297a806c0ed1be3efe6ecc06acc84e48e942da0bfde0e5d287debe",
    "citeseer": "99c7f79b73372636305bf73fb32a58b63c57bd1871a152dd62ec72d984c8c50f",
    "computers": "fdb3dc0cf405d62322f0ab9614b2083c2a5e6576c2f43e4f2214be64bc62b1b3",
    "cora": "5e69b2f9bb08d8927d9ffd4921f8494a3cea349c9c3a461334cb9dc9e11701a8",
    "cs": "71ae8469930517160b024f52db6000a4897f1aff5d765beb27bb60952ed5bd31",
    "photo": "5511b4dc3f63fa988792177227db7901290fb9b27fc6c02e3036b29e134ed6df",
    "physics": "1e309bafee0b832c8b84fa3c039c36992bc0a910238b128f26b7e9190d7f2aea",
    "proteins": "b9e7fb0902bda44fec32c948e5fde822fb22d38d674c52e43ace5197378f2d21",
    "pubmed": "10b4dcf6cfd3a24f6059f7d541a4a872960b4adac0b3dba26abed1bb9a3d904d",
}
"""Checksums of the files of nas-bench-graph 1.4.0."""


def _graphs(codes: Ints) -> Graphs:
    """The trees, their leaves joined to one output."""
    father = np.array(LINKS)[codes[:, 0]]
    n, nodes = father.shape
    adjacency = np.zeros((n, nodes + 2, nodes + 2), dtype=np.bool_)
    adjacency[np.arange(n)[:, None], father, np.arange(1, nodes + 1)] = True
    adjacency[:, 1:-1, -1] = ~adjacency[:, 1:-1].any(axis=2)
    return pruned(adjacency, codes[:, 1:] + FIRST_OPERATOR)


def _space(operators: tuple[str, ...]) -> SearchSpace:
    trees = tuple("-".join(map(str, links)) for links in LINKS)
    parameters = (Parameter("inputs", trees), *(Parameter(f"op_{k}", operators) for k in range(1, 5)))
    return SearchSpace(
        parameters, GraphView(len(LINKS[0]) + 2, operators, _graphs, unordered=True), by_columns(parameters, [0])
    )


SPACES = {name: _space(_ON_PROTEINS if name == "proteins" else OPERATIONS) for name in DATASETS}


def _facts(dataset: str) -> Facts:
    metric = "1 - ROC-AUC" if dataset == "proteins" else "error"
    return Facts(
        name=f"nb-graph/{dataset}",
        title=f"NAS-Bench-Graph, {dataset}",
        citation="Qin, Zhang, Wang, Zhang and Zhu. NAS-Bench-Graph: Benchmarking graph neural architecture search. "
        "NeurIPS Datasets and Benchmarks 2022",
        url="https://github.com/THUMNLab/NAS-Bench-Graph",
        licence="Apache-2.0",
        loss=f"validation {metric}",
        cost="1 per evaluation: the table has no training times",
        unit="evaluations",
        fidelity="trainings",
        budget=1000.0,
        splits="the authors' splits of the graph's vertices into training, validation and test",
        test=f"test {metric}",
        notes="Means over the authors' trainings. The time of a run counts its evaluations.",
    )


def convert(files: Sequence[Path], progress: Progress) -> Iterator[Converted]:
    """All nine tables, out of the installed package nas-bench-graph, which is read and not imported."""
    if files:
        raise HarnessError("the tables of NAS-Bench-Graph come with a package.", "give no file.")
    canonical = {name: [_canonical(codes) for codes in _official_codes(space)] for name, space in SPACES.items()}
    for number, dataset in enumerate(DATASETS):
        progress(number, len(DATASETS))
        path = locate(dataset)
        if not path.is_file() or hashlib.sha256(path.read_bytes()).hexdigest() != SHA256[dataset]:
            raise HarnessError(
                f"{path} is not the published table of nas-bench-graph 1.4.0. It was not read.",
                "reinstall it: pip install --force-reinstall nas-bench-graph==1.4.0",
            )
        table = read(path)
        row_of_tree = {_canonical(tuple(codes)): row for row, codes in enumerate(table.codes.tolist())}
        row_of = np.array([row_of_tree.get(tree, -1) for tree in canonical[dataset]], dtype=np.int32)
        rows, first = np.unique(row_of, return_index=True)
        grid = np.stack(np.unravel_index(np.arange(len(row_of)), SPACES[dataset].sizes.tolist()), axis=1)
        yield (
            f"nb-graph/{dataset}",
            {
                "codes": grid[first[rows >= 0]].astype(np.int8),
                "row_of": row_of,
                "loss": 1 - table.valid[:, None, None],
                "test": 1 - table.test[:, None, None],
                "latency": table.latency,
                "params": table.params,
            },
            {"files": [path.name]},
        )
    progress(len(DATASETS), len(DATASETS))


def _official_codes(space: SearchSpace) -> list[tuple[int, ...]]:
    """All configurations of a space, in lexicographic order, in the numbers of the official nine operators."""
    grid = np.stack(np.unravel_index(np.arange(space.cardinality), space.sizes.tolist()), axis=1)
    number = np.array([OPERATIONS.index(str(operator)) for operator in space.parameters[1].values])
    grid[:, 1:] = number[grid[:, 1:]]
    return list(map(tuple, grid.tolist()))


@cache
def _canonical(codes: tuple[int, ...]) -> tuple[Any, ...]:
    """The architecture as nested sorted tuples of (operator, subtrees), without the skips that change nothing.

    These are skips that feed others, skips that are the only branch of what they follow, and skips of the input.
    """
    father = dict(enumerate(LINKS[codes[0]], start=1))
    operator = dict(enumerate(codes[1:], start=1))
    while True:
        branches: dict[int, list[int]] = {}
        for node, origin in father.items():
            branches.setdefault(origin, []).append(node)
        idle = [
            node
            for node, origin in father.items()
            if operator[node] == _SKIP and (node in branches or len(branches[origin]) == 1 or origin == 0)
        ]
        if not idle:
            break
        for node in branches.get(idle[0], ()):
            father[node] = father[idle[0]]
        del father[idle[0]]

    def tree(node: int) -> tuple[Any, ...]:
        return tuple(sorted((operator[branch], tree(branch)) for branch in branches.get(node, ())))

    return tree(0)


def load(dataset: str) -> Table:
    """The table of `dataset`. Columns: `latency` (s) and `params` (millions)."""
    stored = imported.load(f"nb-graph/{dataset}", "nb-graph")
    arrays, strides = stored.arrays, SPACES[dataset].strides

    def lookup(codes: Ints) -> Ints:
        return arrays["row_of"][codes @ strides].astype(np.int64)

    return Table(
        facts=family.datasets[dataset],
        space=SPACES[dataset],
        fidelities=np.array([1]),
        codes=arrays["codes"],
        loss=arrays["loss"],
        cost=np.ones_like(arrays["loss"]),
        test=arrays["test"],
        columns={name: arrays[name] for name in ("latency", "params")},
        lookup=lookup,
        source=stored.checksum,
    )


family = Family(
    datasets={dataset: _facts(dataset) for dataset in DATASETS},
    load=load,
    source=Source("nb-graph", lambda dataset: f"nb-graph/{dataset}", convert, package="nas-bench-graph"),
)
