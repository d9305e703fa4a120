"""What does not depend on the form of a table: constants, and the unit, the zero and the sign of its metric."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pytest
from test_algorithms import SHORTER

from algorithms.density import FrontParzen
from harness import Problem, Rules, Table, per_seed, registry, simulate
from harness.benchmarks.nearest import nearest
from harness.params import resolve
from harness.space import Parameter, SearchSpace
from harness.spaces import published
from harness.testing import assert_same, synthetic_table
from harness.trajectory import Trajectory

OWN = [n for n in registry.algorithm_names() if not registry.algorithm(n).__module__.startswith("algorithms.external")]


OPTUNA = pytest.param("optuna-tpe", marks=pytest.mark.reference("optuna"))


def run(table: Table, name: str, evals: int = 45, first: int = 0, **params: Any) -> Trajectory:
    factory = registry.algorithm(name)
    several = ("loss", "size") if getattr(factory, "several", False) else ()
    made = partial(factory, **resolve(name, factory, {**SHORTER.get(name, {}), **params}, table.space))
    rules = Rules(evals=evals, log="all", workers=2, objectives=several)
    return simulate(table, made, seeds=np.arange(first, first + 2), rules=rules)


def with_constants(table: Table) -> Table:
    """The table with a parameter of one value before, between and after its own."""
    columns = np.insert(table.codes, [0, 2, 4], 0, axis=1)
    parameters = [*table.space.parameters]
    for at in (4, 2, 0):
        parameters.insert(at, Parameter(f"constant {at}", ["only"]))
    return replace(table, space=SearchSpace(tuple(parameters)), codes=columns)


@pytest.mark.parametrize("name", ["rs", "de", "dehb", "bohb", "tpe", "hier-ea", "gpnas", OPTUNA])
def test_a_constant_is_no_dimension(name: str) -> None:
    table = synthetic_table(1, missing=0.0)
    whole = with_constants(table)
    assert whole.checksum != table.checksum
    assert_same(run(whole, name), run(table, name))


def test_no_algorithm_sees_a_constant() -> None:
    seen: list[SearchSpace] = []

    class Looking:
        def __init__(self, problem: Problem, generator: np.random.Generator) -> None:
            seen.append(problem.space)
            self.generator = generator

        def ask(self) -> Any:
            return self.generator.integers(seen[-1].sizes), 0, None

        def tell(self, handle: Any, loss: float, cost: float) -> None: ...

    table = with_constants(synthetic_table(1))
    simulate(table, per_seed(Looking), seeds=np.arange(2), rules=Rules(evals=3))
    assert [len(space.parameters) for space in seen] == [4, 4]
    lone = SearchSpace((Parameter("a", ["x"]), Parameter("b", ["y"])))
    assert lone.varying.parameters == lone.parameters[:1]


def test_graphs_and_both_parts_of_a_space_stay() -> None:
    """Cells of NAS-Bench-201 in which two edges have one operator."""
    space = published("nb201").space
    parameters = [p if i % 3 else replace(p, values=p.values[:1]) for i, p in enumerate(space.parameters)]
    part = replace(space, parameters=tuple(parameters))
    codes = part.varying.sample(np.random.default_rng(0).random((9, 4)))
    whole = part.whole(codes)
    assert (whole[:, [0, 3]] == 0).all()
    for mine, its in zip(part.varying.graphs.of(codes), space.graphs.of(whole), strict=True):  # type: ignore[union-attr]
        np.testing.assert_array_equal(mine, its)
    assert part.varying.split is not None
    np.testing.assert_array_equal(part.varying.split.join(*part.varying.split.apart(codes)), codes)


def rescaled(table: Table, factor: float, shift: float) -> Table:
    """The table with losses in another unit, from another zero, in which only their order is said to mean something."""
    test = None if table.test is None else factor * table.test + shift
    return replace(table, facts=replace(table.facts, ratios=False), loss=factor * table.loss + shift, test=test)


@pytest.mark.parametrize("name", OWN)
def test_a_search_does_not_depend_on_unit_and_zero_of_the_loss(name: str) -> None:
    table = synthetic_table(7, sizes=(4, 3, 3, 2), levels=40)
    evals = 45 if name != "nao" else 60
    plain = run(rescaled(table, 1.0, 0.0), name, evals)
    for factor, shift in ((100.0, 0.0), (1.0, -1.0), (0.37, 55.0)):
        other = run(rescaled(table, factor, shift), name, evals)
        for column in ("row", "fidelity", "time", "incumbent"):
            np.testing.assert_array_equal(getattr(other, column), getattr(plain, column))


def from_epoch_0() -> Table:
    """All losses are equal where there are any, most are not, and curves start at 0."""
    table = synthetic_table(4, diverged=0.9)
    equal = np.where(np.isnan(table.loss), np.nan, 0.5)
    return replace(table, fidelities=np.array([0, 3, 9]), loss=equal)


def sampled() -> Table:
    """A few of 120,000 configurations, the nearest of which answer for the others."""
    table = synthetic_table(11, sizes=(40, 30, 2, 50), missing=0.999)
    return replace(table, lookup=nearest(table.space, table.codes))


@pytest.mark.parametrize("name", OWN)
def test_every_search_gets_along_with_what_real_tables_have(name: str) -> None:
    for table, first in ((from_epoch_0(), 0), (sampled(), 2**53 - 2)):
        made = run(table, name, 40, first)
        assert made.evaluations.tolist() == [40, 40]
        assert (made.row >= 0).all() or table.lookup is None
        assert made.seeds.tolist() == [first, first + 1]


@pytest.mark.parametrize("k", [2, 3])
def test_the_good_of_several_objectives_do_not_depend_on_units_and_zeros(k: int) -> None:
    space = synthetic_table(1).space
    rng = np.random.default_rng(k)
    points, factor, shift = rng.integers(40, size=(150, k)) / 40, rng.random(k) * 100, rng.normal(size=k) * 50
    points[rng.random(150) < 0.05] = np.inf
    made = [FrontParzen(space, 1, k, gamma=0.1, cap=99, prior_weight=1.0, forgetting=25, ratios=False) for _ in "ab"]
    for point in points:
        codes = rng.integers(space.sizes)[None]
        for model, told in zip(made, (point, factor * point + shift), strict=True):
            model.add(np.array([0]), codes, told[None])
        np.testing.assert_array_equal(made[0].split.is_below, made[1].split.is_below)
