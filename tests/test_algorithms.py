"""Every algorithm against the contract, and each against its paper."""

from __future__ import annotations

import random
from collections import deque
from typing import Any

import numpy as np
import pytest

from harness import Floats, HarnessError, Ints, Problem, Rules, Streams, Table, registry, simulate
from harness.observations import Observations
from harness.testing import AlgorithmContract, synthetic_table


def marked(algorithm: str) -> Any:
    """Other packages' algorithms are slow, and may not be installed."""
    foreign = registry.algorithm(algorithm).__module__.startswith("algorithms.external")
    return pytest.param(algorithm, marks=pytest.mark.reference if foreign else ())


SHORTER: dict[str, dict[str, Any]] = {
    "gpnas": {"growth": 3.0, "width": 8},
    "gpnas+": {"growth": 3.0, "width": 8},
    "npred": {"random": 20, "top": 10, "rounds": 2, "predictor": "ridge"},
    "bananas": {"ensemble": 2, "predictor": "ridge"},
    "nasbowl": {"batch": 10, "mutants": 30, "fresh": 30},
    "pnas": {"ensemble": 2, "predictor": "ridge"},
    "nasnet": {"passes": 2, "width": 8},
    "nao": {"random": 20, "new": 20, "steps": 5, "width": 8, "ascents": 3},
}


@pytest.mark.parametrize("test", [name for name in dir(AlgorithmContract) if name.startswith("test_")])
@pytest.mark.parametrize("algorithm", [marked(name) for name in registry.algorithm_names()])
def test_contract(algorithm: str, test: str) -> None:
    contract: Any = type("Contract", (AlgorithmContract,), contract_fields(algorithm))()
    getattr(contract, test)()


def contract_fields(algorithm: str) -> dict[str, Any]:
    """What the contract is told."""
    factory = registry.algorithm(algorithm)
    if algorithm in SHORTER:
        return {"name": algorithm, "params": SHORTER[algorithm], "evals": 52}
    if not factory.__module__.startswith("algorithms.external"):
        return {"name": algorithm}
    try:
        simulate(synthetic_table(), factory, seeds=np.arange(1), rules=Rules(evals=1))
    except HarnessError as error:
        pytest.skip(str(error))
    fields: dict[str, Any] = {"name": algorithm, "evals": 15}
    if algorithm == "dehb-lib":
        fields["tables"] = lambda _: [synthetic_table(1, levels=4), synthetic_table(3, sizes=(7,), fidelities=(1, 3))]
    return fields


def expected_regret(loss: Floats, regret: Floats, n: Ints) -> Floats:
    """Expectation of the regret at the lowest observed loss of n uniform draws with replacement, for each n Int[k].

    `loss` Float[N] is what is observed of each configuration, `regret` Float[N] what is reported; of equal losses
    the one drawn first counts, each equally likely.
    """
    levels, inverse, counts = np.unique(loss, return_inverse=True, return_counts=True)
    at_least = 1.0 - np.concatenate([[0], np.cumsum(counts)]) / len(loss)
    chance = at_least[:-1] ** n[:, None] - at_least[1:] ** n[:, None]
    mean = np.bincount(inverse, regret, minlength=len(levels)) / counts
    return chance @ mean


@pytest.mark.parametrize("noise", ["sampled", "mean"])
def test_random_search_has_the_regret_that_the_table_implies(noise: Any) -> None:
    """Given what each seed would observe, the expectation is exact; so the mean over seeds must be within 4 SEM."""
    table = registry.benchmark("nb201/cifar10")
    seeds, counts = np.arange(200), np.array([1, 10, 100, 300])
    regret = table.mean_loss[:, -1] - table.optimum.value
    seen = Observations(table, seeds, noise)
    rows = np.arange(len(table))
    observed = np.array([seen.loss[seen.draw(np.full(len(table), s), rows, 0)] for s in range(len(seeds))])
    run = simulate(table, registry.algorithm("rs"), seeds=seeds, rules=Rules(evals=300, noise=noise, log="all"))
    true = regret[run.row].reshape(200, 300)
    expected = np.array([expected_regret(o, regret, counts) for o in observed])
    for i, n in enumerate(counts):
        best = run.loss.reshape(200, 300)[:, :n].argmin(axis=1)
        difference = true[seeds, best] - expected[:, i]
        assert abs(difference.mean()) < 4 * difference.std(ddof=1) / 200**0.5


def scalar_evolution(table: Table, seed: int, population: int, sample: int, evals: int) -> list[int]:
    """Regularized evolution as the paper has it, one run, with the draws that the seed has."""
    streams = Streams(np.array([seed]), "algorithm")
    initial, evolution = streams.child("initial"), streams.child("evolution")
    seen, one = Observations(table, np.array([seed]), "sampled"), np.array([0])
    alive: deque[tuple[float, list[int]]] = deque()
    history: list[int] = []
    while len(history) < evals:
        if len(alive) < population:
            child = [int(u * k) for u, k in zip(initial.uniform(len(table.space.sizes), one)[0], table.space.sizes)]  # noqa: B905
        else:
            *picks, where, what = evolution.uniform(sample + 2, one)[0].tolist()
            child = list(
                min((alive[int(u * population)] for u in ordered(picks, alive, history)), key=lambda x: x[0])[1]
            )
            mutable = [i for i, k in enumerate(table.space.sizes) if k > 1]
            i = mutable[int(where * len(mutable))]
            child[i] = (child[i] + 1 + int(what * (table.space.sizes[i] - 1))) % int(table.space.sizes[i])
        row = int(table.rows(np.array([child]))[0])
        loss = float(seen.loss[seen.draw(one, np.array([row]), len(table.fidelities) - 1)][0])
        if len(alive) == population:
            alive.popleft()
        alive.append((loss, child))
        history.append(row)
    return history


def ordered(picks: list[float], alive: deque[Any], history: list[int]) -> list[float]:
    """A draw names a slot of a ring; the deque holds the same individuals, the oldest first."""
    size = len(alive)
    shift = len(history) % size
    return [((int(u * size) - shift) % size + 0.5) / size for u in picks]


@pytest.mark.parametrize(("population", "sample"), [(20, 5), (3, 10), (1, 1)])
def test_regularized_evolution_is_the_papers(population: int, sample: int) -> None:
    table = synthetic_table(3, sizes=(4, 3, 2, 5), missing=0.2)

    def factory(problem: Problem, streams: Streams) -> Any:
        return registry.algorithm("re")(problem, streams, population=population, sample=sample)

    run = simulate(table, factory, seeds=np.arange(5), rules=Rules(evals=200, log="all"))
    for seed in range(5):
        assert run.row[run.seed == seed].tolist() == scalar_evolution(table, seed, population, sample, 200)


def neighbours(codes: tuple[int, ...], sizes: Ints) -> set[tuple[int, ...]]:
    return {
        (*codes[:i], value, *codes[i + 1 :]) for i, k in enumerate(sizes) for value in range(k) if value != codes[i]
    }


@pytest.mark.parametrize("workers", [1, 4])
def test_local_search_visits_whole_neighbourhoods_and_moves_to_the_best(workers: int) -> None:
    """Replayed from its history: each start, then neighbourhoods without the axis just moved along, to an optimum."""
    table = synthetic_table(9, sizes=(4, 3, 3, 2), fidelities=(1,), missing=0.0)
    run = simulate(
        table, registry.algorithm("ls"), seeds=np.arange(8), rules=Rules(evals=400, workers=workers, log="all")
    )
    restarts = 0
    for seed in range(8):
        history = [
            (tuple(table.codes[row].tolist()), loss)
            for row, loss in zip(run.row[run.seed == seed], run.loss[run.seed == seed], strict=True)
        ]
        while history:
            (centre, centre_loss), *history = history
            known: set[tuple[int, ...]] = set()
            while True:
                expected = neighbours(centre, table.space.sizes) - known
                seen, history = history[: len(expected)], history[len(expected) :]
                if len(seen) < len(expected):
                    assert {codes for codes, _ in seen} <= expected
                    break
                assert {codes for codes, _ in seen} == expected
                codes, loss = min(seen, key=lambda pair: pair[1])
                if loss >= centre_loss:
                    restarts += 1
                    break
                axis = next(i for i, (a, b) in enumerate(zip(codes, centre, strict=True)) if a != b)
                known = {
                    c
                    for c in neighbours(codes, table.space.sizes)
                    if all(c[i] == codes[i] for i in range(len(c)) if i != axis)
                }
                centre, centre_loss = codes, loss
    assert restarts > 20


def test_local_search_shuffles_the_neighbours() -> None:
    table = synthetic_table(9, sizes=(4, 3, 3, 2), fidelities=(1,), missing=0.0)
    run = simulate(table, registry.algorithm("ls"), seeds=np.arange(200), rules=Rules(evals=2, log="all"))
    codes = table.codes[run.row].reshape(200, 2, 4)
    axis = (codes[:, 0] != codes[:, 1]).argmax(axis=1)
    counts = np.bincount(axis, minlength=4)
    expected = np.array([3, 2, 2, 1]) * 200 / 8
    assert ((counts - expected) ** 2 / expected).sum() < 20


def test_python_random_is_not_what_algorithms_draw_from() -> None:
    table, rules = synthetic_table(1), Rules(evals=30, log="all")
    rows = []
    for state in (1, 2):
        random.seed(state)
        np.random.seed(state)  # noqa: NPY002
        rows.append(simulate(table, registry.algorithm("re"), seeds=np.arange(2), rules=rules).row.tolist())
    assert rows[0] == rows[1]
