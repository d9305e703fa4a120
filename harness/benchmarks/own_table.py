"""Tables out of what is stored of a table of one's own: its parameters, its space, and how its rows are found."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np

from harness.arrays import Ints
from harness.benchmarks.nearest import nearest
from harness.space import Parameter, SearchSpace, subspace
from harness.spaces import published
from harness.table import Facts, Table

GRID = 1 << 24
"""The largest space that has an array over its whole grid for lookups."""


def table(about: Mapping[str, Any], arrays: Mapping[str, Any], source: str) -> Table:
    """The table of stored `arrays` and what is known `about` them."""
    parameters = tuple(Parameter(**parameter) for parameter in about["parameters"])
    codes = arrays["codes"]
    of = published(about["space"]) if about.get("space") else None
    space = SearchSpace(parameters) if of is None else subspace(of.space, parameters)
    lookup: Callable[[Ints], Ints] | None = None
    if of is not None and of.finder is not None:
        lookup = of.finder(codes)
    elif about.get("sampled"):
        lookup = nearest(space, codes)
    elif space.cardinality > GRID:
        lookup = partial(_rows, codes @ space.strides, space.strides)
    return Table(
        facts=Facts(**about["facts"]),
        space=space,
        fidelities=arrays["fidelities"],
        codes=codes,
        loss=arrays["loss"],
        cost=arrays["cost"],
        test=arrays.get("test"),
        columns=dict(zip(about.get("columns", ()), arrays["columns"].T, strict=True)) if "columns" in arrays else {},
        lookup=lookup,
        source=source,
    )


def _rows(sorted_numbers: Ints, strides: Ints, codes: Ints) -> Ints:
    """Rows of codes in a table whose rows stand in the order of their lexicographic numbers."""
    numbers = codes @ strides
    at = np.minimum(np.searchsorted(sorted_numbers, numbers), len(sorted_numbers) - 1)
    return np.where(sorted_numbers[at] == numbers, at, -1)
