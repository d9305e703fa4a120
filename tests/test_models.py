"""TPE and BOHB: what their models are made of, and what they refuse."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from algorithms.bohb import BOHB
from algorithms.density import ProductKDE
from algorithms.tpe import TPE
from harness import Problem, Results, Rules, Streams, simulate
from harness.testing import synthetic_table


def problem(table: Any, seeds: int = 3, workers: int = 1) -> tuple[Problem, Streams]:
    numbers = np.arange(seeds)
    return Problem(table.space, table.fidelities, numbers, workers, np.inf), Streams(numbers, "algorithm")


@pytest.mark.parametrize(("variant", "startup"), [("hyperopt", 20), ("optuna", 10)])
def test_tpe_is_random_until_it_has_seen_enough_and_then_follows_its_model(variant: Any, startup: int) -> None:
    table = synthetic_table(1, fidelities=(9,), missing=0.0)
    tpe = TPE(*problem(table), variant=variant)
    twin = TPE(*problem(table), variant=variant, startup=10**6)
    rows, worker = np.arange(3), np.zeros(3, dtype=np.int64)
    for n in range(startup + 30):
        mine, random = tpe.ask(rows, worker).codes, twin.ask(rows, worker).codes
        if n < startup:
            np.testing.assert_array_equal(mine, random)
        loss = np.where(random[:, 0] == 2, 0.0, 1.0) + 0.001 * n
        tpe.tell(Results(rows, worker, random, worker, loss, loss))
    drawn = [tpe.ask(rows, worker).codes[:, 0] for _ in range(50)]
    assert np.mean(np.array(drawn) == 2) > 0.9


def test_bohb_draws_from_the_largest_fidelity_that_has_a_model(monkeypatch: pytest.MonkeyPatch) -> None:
    table = synthetic_table(2, fidelities=(1, 3, 9, 27), missing=0.0)
    bohb = BOHB(*problem(table, seeds=4))
    models = list(bohb.models.values())
    used: list[int] = []
    original = ProductKDE.propose_by

    def propose(self: Any, seeds: Any, states: Any, candidates: int) -> Any:
        level = next(k for k, model in enumerate(models) if model is self)
        assert self.ready[seeds].all()
        assert not any(larger.ready[seeds].any() for larger in models[level + 1 :])
        used.append(level)
        return original(self, seeds, states, candidates)

    monkeypatch.setattr(ProductKDE, "propose_by", propose)
    simulate(table, lambda *_: bohb, seeds=np.arange(4), rules=Rules(evals=250, log="all"))
    assert set(used) >= {0, 3}
    assert used[-1] == 3


def test_bohb_without_models_is_random_and_with_them_mostly_not() -> None:
    table = synthetic_table(2, sizes=(5, 5, 5), fidelities=(9,), missing=0.0, repeats=1)
    share = {}
    for fraction in (0.0, 1 / 3, 1.0):

        def factory(*given: Any, fraction: float = fraction) -> BOHB:
            return BOHB(*given, random_fraction=fraction)

        run = simulate(table, factory, seeds=np.arange(40), rules=Rules(evals=150, log="all"))
        good = np.argsort(table.loss[:, 0, 0])[:13]
        share[fraction] = np.isin(run.row.reshape(40, 150)[:, 50:], good).mean()
    assert abs(share[1.0] - 13 / 125) < 0.03
    assert share[0.0] > share[1 / 3] > 2 * share[1.0]


def test_run_says_that_bohb_has_nothing_to_halve(harness: Any) -> None:
    answer = harness("run", "--algo", "bohb,tpe", "--bench", "nb201", "--seeds", "2", "--evals", "3")
    assert answer.status == 0
    assert answer.err.count("note: bohb on nb201/cifar10: the table has one fidelity") == 1
    assert "note: tpe" not in answer.err
    assert BOHB.note(np.array([4, 12]), eta=3, min_fidelity=0, max_fidelity=0) == ""


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("bohb.top_percent=100", "it takes a whole number from 1 to 99"),
        ("bohb.min_bandwidth=0", "cannot be 0"),
        ("bohb.random_fraction=1.5", "from 0 to 1"),
        ("bohb.eta=1", "cannot be 1"),
        ("bohb.min_fidelity=7", "the table has no fidelity 7"),
        ("tpe.gamma=-1", "cannot be -1"),
        ("tpe.candidates=0", "cannot be 0"),
        ("tpe.variant=optun", "optuna"),
    ],
)
def test_parameters_out_of_range_end_with_a_sentence(harness: Any, option: str, message: str) -> None:
    name = option.split(".", maxsplit=1)[0]
    answer = harness("run", "--algo", name, "--bench", "nb201", "--seeds", "1", "--evals", "1", "--param", option)
    assert answer.status == 2
    assert message in answer.err
