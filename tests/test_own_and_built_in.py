"""A built-in table that is written as a table of one's own and imported is searched and judged as it was."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness import Rules, Table, registry, simulate
from harness.params import resolve
from harness.studies.evaluate import evaluate
from harness.studies.reference import least_regret
from harness.studies.study import Study

NAMES = ["nb201/cifar10", "digits201/digits"]


@pytest.fixture(params=NAMES)
def both(request: pytest.FixtureRequest, harness: Callable[..., Any], data_folder: Path) -> tuple[Table, Table]:
    """A built-in table, and what is imported of its numbers, in another order of rows."""
    mine: Table = registry.benchmark(request.param)
    row, at, repeat = np.nonzero(~np.isnan(mine.loss))
    lines = []
    for n, f, r in np.random.default_rng(0).permutation(np.stack([row, at, repeat], axis=1)).tolist():
        operators = [str(p.values[c]) for p, c in zip(mine.space.parameters, mine.codes[n], strict=True)]
        assert mine.test is not None
        numbers = [float(values[n, f, r]) for values in (mine.loss, mine.cost, mine.test)]
        lines.append(",".join([*operators, str(mine.fidelities[f]), str(r), *map(repr, numbers)]))
    header = ",".join([*(p.name for p in mine.space.parameters), "epochs,repeat,v,s,t"])
    data_folder.mkdir(exist_ok=True)
    (data_folder / "t.csv").write_text("\n".join([header, *lines]).replace("nan", ""))
    (data_folder / "t.toml").write_text(
        f'name = "t"\ncitation = "none"\nfile = "t.csv"\nspace = "nb201"\nbudget = {mine.facts.budget}\n'
        '[validation]\ncolumn = "v"\n[test]\ncolumn = "t"\n[cost]\ncolumn = "s"\n'
        '[fidelity]\ncolumn = "epochs"\n[repeat]\ncolumn = "repeat"\n'
    )
    answer = harness("data", "import", data_folder / "t.toml")
    assert answer.status == 0, answer.err
    return mine, registry.benchmark("own/t")


def test_it_is_the_same_table_and_the_same_search(both: tuple[Table, Table]) -> None:
    mine, own = both
    assert own.space.parameters == mine.space.parameters
    rows = mine.rows(own.codes)
    assert sorted(rows.tolist()) == [*range(len(mine))]
    for name in ("loss", "cost", "test"):
        np.testing.assert_array_equal(getattr(own, name), getattr(mine, name)[rows])
    assert own.optimum.value == mine.optimum.value
    np.testing.assert_array_equal(own.codes[own.optimum.row], mine.codes[mine.optimum.row])
    assert least_regret(own.loss_at(-1)) == least_regret(mine.loss_at(-1))
    ordered = replace(
        mine,
        facts=replace(mine.facts, ratios=False),
        **{name: getattr(mine, name)[rows] for name in ("codes", "loss", "cost", "test")},
    )
    for name in ("rs", "re", "ls", "de", "tpe", "reinforce", "hb", "asha", "bohb", "dehb", "gpnas"):
        factory = registry.algorithm(name)
        seeds, rules = np.arange(2), Rules(evals=30 if name == "gpnas" else 80, log="all", workers=2)
        given: dict[str, Any] = {"growth": 2.0} if name == "gpnas" else {}
        found = [
            simulate(table, partial(factory, **resolve(name, factory, given, table.space)), seeds=seeds, rules=rules)
            for table in (own, ordered)
        ]
        for column in ("seed", "time", "row", "fidelity", "repeat", "loss", "incumbent"):
            mine_, its = (getattr(run, column) for run in found)
            np.testing.assert_array_equal(mine_, its, err_msg=name)
    study = Study.plan(own, "re", {}, 0, 20, Rules(evals=60))
    theirs, its = (evaluate(study, table=table) for table in (own, ordered))
    times = np.geomspace(theirs.first_times().max(), theirs.end, 20)
    for kind in ("val", "test"):
        np.testing.assert_array_equal(theirs.regret(kind, times), its.regret(kind, times))
