"""NAS-Bench-Graph: the nine tables that the PyPI package `nas-bench-graph` ships, as arrays.

Qin, Zhang, Wang, Zhang and Zhu, "NAS-Bench-Graph: Benchmarking Graph Neural
Architecture Search", NeurIPS 2022 (Datasets and Benchmarks).

The package's `light/*.bench` are pickles {architecture hash: {valid_perf, perf, latency, para}},
of floats and numpy float64 only, means over the authors' training seeds. They hold no learning
curves and no training time. The files are found through the package's metadata: the package is
never imported, since its own reader unpickles without restriction.

An architecture is a tree of four operations. The hash in decimal is its code: the tree
(`LINKS`), then the operations (`OPERATIONS`) of nodes 1 to 4. Isomorphic and redundant ones are
stored once.
"""

from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from harness.benchmarks.formats.content import FormatError, require_file
from harness.benchmarks.formats.safe_pickle import load
from harness.errors import HarnessError

__all__ = ["DATASETS", "LINKS", "OPERATIONS", "NasBenchGraph", "locate", "read"]

DATASETS: Final = (
    "cora",
    "citeseer",
    "pubmed",
    "cs",
    "physics",
    "photo",
    "computers",
    "arxiv",
    "proteins",
)
LINKS: Final = (
    (0, 0, 0, 0),
    (0, 0, 0, 1),
    (0, 0, 1, 1),
    (0, 0, 1, 2),
    (0, 0, 1, 3),
    (0, 1, 1, 1),
    (0, 1, 1, 2),
    (0, 1, 2, 2),
    (0, 1, 2, 3),
)
"""Input of each node: 0 the raw features, k the k-th node. Leaves are the output."""
OPERATIONS: Final = ("gat", "gcn", "gin", "cheb", "sage", "arma", "graph", "fc", "skip")

_WANTED = "a table of NAS-Bench-Graph"
_HINT = "take a light/*.bench file of the package nas-bench-graph"
_METRICS = ("valid_perf", "perf", "latency", "para")


@dataclass(frozen=True)
class NasBenchGraph:
    """One data set, rows in ascending order of hash; N architectures.

    `hashes` int64[N]; `codes` int8[N, 5]: tree (`LINKS`), then four `OPERATIONS`.
    `valid`, `test` float64[N]: fraction, larger is better (accuracy; ROC-AUC on proteins).
    `latency` float64[N], seconds; `params` float64[N], millions.
    """

    hashes: NDArray[np.int64]
    codes: NDArray[np.int8]
    valid: NDArray[np.float64]
    test: NDArray[np.float64]
    latency: NDArray[np.float64]
    params: NDArray[np.float64]


def locate(dataset: str) -> Path:
    """The file of a data set inside the installed package, which is not imported."""
    if dataset not in DATASETS:
        raise ValueError(f"{dataset!r} is not one of {', '.join(DATASETS)}")
    try:
        package = distribution("nas-bench-graph")
    except PackageNotFoundError as error:
        raise HarnessError(
            "the package nas-bench-graph, which holds the tables of NAS-Bench-Graph, is not installed.",
            "install it: pip install 'nas-harness[graph]'",
        ) from error
    return Path(str(package.locate_file(f"nas_bench_graph/light/{dataset}.bench")))


def read(path: Path) -> NasBenchGraph:
    """Read one `.bench` file."""
    require_file(path, _WANTED, _HINT)
    table, _ = load(path.read_bytes(), str(path))
    try:
        hashes = np.array(sorted(table), np.int64)
        rows = [[table[key][metric] for metric in _METRICS] for key in hashes.tolist()]
        values = np.array(rows, np.float64)
    except (AttributeError, KeyError, OverflowError, TypeError, ValueError) as error:
        raise FormatError(f"{path} is a pickle of something else; {_HINT}.") from error
    codes = hashes[:, None] // 10 ** np.arange(4, -1, -1)
    codes[:, 1:] %= 10
    if not len(hashes) or hashes.min() < 0 or codes.max() >= len(OPERATIONS):
        raise FormatError(f"{path} holds a hash that no architecture has; {_HINT}.")
    valid, test, latency, params = np.ascontiguousarray(values.T)
    return NasBenchGraph(hashes, codes.astype(np.int8), valid, test, latency, params)
