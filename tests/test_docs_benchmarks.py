"""docs/benchmarks.md says what the tables say."""

from __future__ import annotations

import re

import numpy as np
import pytest
from conftest import ROOT

from harness import registry

PAGE = (ROOT / "docs" / "benchmarks.md").read_text()
ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")] for line in PAGE.splitlines() if line.endswith("| embedded |")
]


def test_every_benchmark_is_on_the_page() -> None:
    families = set(re.findall(r"`([a-z0-9-]+)/", PAGE))
    assert families == set(registry.family_names())


@pytest.mark.parametrize("row", ROWS, ids=[row[0] for row in ROWS])
def test_the_numbers_are_those_of_the_table(row: list[str]) -> None:
    name, configurations, fidelities, repeats, best, test, cost, _ = row
    table = registry.benchmark(name.strip("`"))
    assert f"{len(table):,}" == configurations
    shown = ", ".join(map(str, table.fidelities if table.facts.separate else table.fidelities[-1:]))
    assert f"{shown} {table.facts.fidelity}{', separate' * table.facts.separate}" == fidelities
    least, most = table.repeats.min(), table.repeats.max()
    assert (f"{least}–{most}" if least < most else f"{most}") == repeats
    assert (f"{table.test_optimum.value:.7g}" if table.test_optimum else "–") == test
    assert f"{table.optimum.value:.7g}" == best
    assert float(cost.replace(",", "")) == pytest.approx(np.nanmean(table.mean_cost[:, -1]), rel=2e-3)


def test_every_embedded_benchmark_has_a_row() -> None:
    embedded = {n for n in registry.benchmark_facts() if registry.family(n.split("/", maxsplit=1)[0]).source is None}
    assert {row[0].strip("`") for row in ROWS} == embedded


@pytest.mark.parametrize("name", [row[0].strip("`") for row in ROWS])
def test_an_embedded_table_states_where_it_is_from_and_what_its_numbers_are(name: str) -> None:
    table = registry.benchmark(name)
    stated = ("title", "citation", "url", "licence", "loss", "cost", "fidelity", "splits", "unit")
    assert [field for field in stated if not getattr(table.facts, field).strip()] == []
    assert re.search(r"\b(19|20)\d\d\b", table.facts.citation), "a citation has a year"
    assert re.match(r"MIT|Apache-2\.0|BSD-3-Clause|CC BY 4\.0", table.facts.licence)
    assert table.facts.url.startswith("https://")
    assert table.facts.budget > 0
    assert np.isfinite(table.optimum.value)
    assert table.mean_loss[table.optimum.row, -1] == table.optimum.value == np.nanmin(table.mean_loss[:, -1])
    assert bool(table.facts.test) == (table.test is not None)
