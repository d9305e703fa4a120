"""Contract tests: what every algorithm and every benchmark must hold, for plugins to inherit.

A plugin's test file needs no more than

    from harness.testing import AlgorithmContract

    class TestMine(AlgorithmContract):
        name = "mine"
"""

from __future__ import annotations

import random
from functools import partial
from typing import Any, ClassVar

import numpy as np

from harness import registry
from harness.algorithm import Factory
from harness.params import declared, resolve
from harness.rules import Rules
from harness.simulation import simulate
from harness.space import Parameter, SearchSpace
from harness.table import Facts, Objective, Table
from harness.trajectory import Trajectory


def synthetic_table(
    seed: int = 0,
    *,
    sizes: tuple[int, ...] = (3, 4, 2, 3),
    fidelities: tuple[int, ...] = (1, 3, 9),
    repeats: int = 3,
    missing: float = 0.1,
    levels: int = 0,
    diverged: float = 0.0,
) -> Table:
    """A made-up table, for tests only.

    A share `missing` of the configurations is not in the table, as many entries of the others are absent, and the
    number of repeats varies. With `levels` > 0 losses and costs take that many values only, so that ties abound. Of a
    share `diverged` of the entries the last training has a cost and no loss.
    """
    rng = np.random.default_rng(seed)
    kinds = ("categorical", "ordinal")
    space = SearchSpace(tuple(Parameter(f"p{i}", range(k), kinds[i % 2]) for i, k in enumerate(sizes)))  # type: ignore[arg-type]
    codes = np.stack([axis.ravel() for axis in np.meshgrid(*map(np.arange, sizes), indexing="ij")], axis=1)
    present = rng.random(len(codes)) >= missing
    present[0] = True
    codes = rng.permutation(codes[present])
    shape = (len(codes), len(fidelities), repeats)
    quality = ((codes / np.maximum(space.sizes - 1, 1) - 0.3) ** 2).sum(axis=1)
    loss = quality[:, None, None] + rng.normal(0.0, 0.1, shape) + 1.0 / np.array(fidelities)[:, None]
    cost = np.array(fidelities)[:, None] * rng.uniform(1.0, 3.0, shape)
    if levels:
        loss, cost = np.floor(loss * levels) / levels, np.ceil(cost / fidelities[-1] * levels)
    count = rng.integers(1, repeats + 1, shape[:2])
    count[rng.random(shape[:2]) < missing] = 0
    count[0, -1] = repeats
    absent = np.arange(repeats) >= count[..., None]
    loss[absent] = cost[absent] = np.nan
    if diverged:
        row, fidelity = np.nonzero((count > 0) & (rng.random(count.shape) < diverged))
        loss[row, fidelity, count[row, fidelity] - 1] = np.nan
    facts = Facts(
        name="synthetic/test",
        title="made-up numbers, for tests only",
        citation="none",
        url="none",
        licence="none",
        loss="made-up loss",
        cost="made-up seconds",
        fidelity="steps",
        budget=100.0,
        splits="none",
        test="made-up test loss",
    )
    size = codes.sum(axis=1) + 1.0
    objectives = {
        "size": Objective("made-up size", "m", lambda: size),
        "speed": Objective("made-up speed", "m/s", lambda: size.max() - codes @ np.arange(len(sizes)), more=True),
    }
    return Table(facts, space, np.array(fidelities), codes, loss, cost, test=loss + 0.01, objectives=objectives)


def assert_same(a: Trajectory, b: Trajectory) -> None:
    """Raise AssertionError unless the two trajectories agree in every bit."""
    for name in (*Trajectory.COLUMNS, *Trajectory.PER_SEED, "pace"):
        np.testing.assert_array_equal(getattr(a, name), getattr(b, name), err_msg=name)


class AlgorithmContract:
    """Inherit, and set `name` to an entry point of `nas_harness.algorithms`, or override `factory`.

    `params` are the parameters to test with, `evals` the length of the runs.
    """

    name: ClassVar[str]
    params: ClassVar[dict[str, Any]] = {}
    evals: ClassVar[int] = 150

    def factory(self) -> Factory:
        found = registry.algorithm(self.name)
        typed = resolve(self.name, found, self.params)
        return partial(found, **{name: typed[name] for name in self.params})

    def run(self, table: Table, seeds: list[int], **rules: Any) -> Trajectory:
        several = ("loss", "size") if getattr(registry.algorithm(self.name), "several", False) else ()
        settings = Rules(**{"evals": self.evals, "log": "all", "objectives": several, **rules})
        return simulate(table, self.factory(), seeds=np.array(seeds), rules=settings)

    def tables(self) -> list[Table]:
        """Several fidelities with gaps and ties; one fidelity; a single parameter; a single configuration."""
        return [
            synthetic_table(1, levels=4),
            synthetic_table(2, fidelities=(100,), missing=0.0),
            synthetic_table(3, sizes=(7,), fidelities=(1, 2), missing=0.0),
            synthetic_table(4, sizes=(1, 1), fidelities=(5,), missing=0.0),
        ]

    def test_a_seed_alone_equals_the_seed_in_a_batch(self) -> None:
        """And so does one of a batch whose other seeds are fewer."""
        seeds = [3, 5, 8, 13]
        for table in self.tables():
            for workers, cut in ((1, 1), (3, 3)):
                parts = [self.run(table, part, workers=workers) for part in (seeds[:cut], seeds[cut:])]
                assert_same(self.run(table, seeds, workers=workers), Trajectory.join(parts))

    def test_the_same_seed_gives_the_same_run_and_another_seed_another(self) -> None:
        table = synthetic_table(5, missing=0.0)
        first, second, other = (self.run(table, seeds) for seeds in ([1, 2], [1, 2], [3, 4]))
        assert_same(first, second)
        assert not np.array_equal(first.row, other.row)

    def test_it_works_until_the_budget_is_spent(self) -> None:
        for table in self.tables():
            budget = 6.0 * table.fidelities[-1]
            run = self.run(table, [0, 1], workers=2, budget=budget, overhead=0.5)
            assert (run.evaluations > 0).all()
            assert (run.time <= budget).all()

    def test_it_leaves_global_random_states_alone(self) -> None:
        legacy = np.random.get_state(legacy=False)["state"]["key"].copy()  # noqa: NPY002
        state = random.getstate()
        self.run(synthetic_table(6), [0])
        assert random.getstate() == state
        np.testing.assert_array_equal(np.random.get_state(legacy=False)["state"]["key"], legacy)  # noqa: NPY002

    def test_its_parameters_accept_their_defaults_and_are_explained(self) -> None:
        for parameter in declared(registry.algorithm(self.name)).values():
            assert parameter.parse(parameter.default) == parameter.default
            assert parameter.param.doc, f"{parameter.name} has no Param(doc)"


class BenchmarkContract:
    """Inherit, and set `name` to a benchmark."""

    name: ClassVar[str]

    def table(self) -> Table:
        return registry.benchmark(self.name)

    def test_its_facts_are_stated(self) -> None:
        facts = self.table().facts
        assert facts.name in (self.name, registry.families().get(self.name))
        assert facts == registry.benchmark_facts()[facts.name]
        needed = ("title", "citation", "url", "licence", "loss", "cost", "fidelity", "splits")
        assert all(getattr(facts, field) for field in needed)
        assert facts.budget > 0
        assert bool(facts.test) == (self.table().test is not None)

    def test_every_row_is_found_by_its_codes(self) -> None:
        table = self.table()
        np.testing.assert_array_equal(table.rows(table.codes), np.arange(len(table)))
        assert (table.codes >= 0).all()
        assert (table.codes < table.space.sizes).all()

    def test_the_optimum_is_the_lowest_mean(self) -> None:
        table = self.table()
        means = [np.mean([x for x in row if np.isfinite(x)]) for row in table.loss[:, -1] if np.isfinite(row[0])]
        assert table.optimum.value == min(means)
        assert np.nanmean(table.loss[table.optimum.row, -1]) == table.optimum.value

    def test_measured_entries_have_a_loss_and_a_cost(self) -> None:
        table = self.table()
        measured = np.isfinite(table.loss)
        assert measured[:, -1, 0].any()
        assert (table.cost[measured] > 0).all()
        assert not np.isinf(table.loss).any()
