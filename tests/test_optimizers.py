"""DE, Hyperband and its relatives, DEHB and REINFORCE against scalar versions from their papers and packages."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scalar
from conftest import ROOT

from algorithms import brackets
from algorithms.asha import Heaps
from algorithms.differential_evolution import bounded, crossed, decoded, distinct
from algorithms.reinforce import Reinforce, exp, reward
from harness import (
    HarnessError,
    Parameter,
    Problem,
    Results,
    Rules,
    SearchSpace,
    Streams,
    Table,
    registry,
    simulate,
)
from harness.params import declared
from harness.studies.study import Study
from harness.testing import assert_same, synthetic_table
from harness.trajectory import Trajectory

FOUR = (4, 12, 36, 108)


def tables(eta: int = 3) -> list[Table]:
    """Ties and invalid configurations at four fidelities, many invalid ones, three fidelities, and one."""
    four, three = (tuple(4 * eta**k for k in range(n)) for n in (4, 3))
    return [
        synthetic_table(1, sizes=(4, 3, 5, 3), fidelities=four, missing=0.05, levels=6),
        synthetic_table(2, sizes=(3, 4, 1, 3), fidelities=four, missing=0.5),
        synthetic_table(3, sizes=(6, 5), fidelities=three, missing=0.0),
        synthetic_table(4, sizes=(4, 4, 3), fidelities=(7,), missing=0.2, levels=8),
    ]


def equal(name: str, make: Any, *, evals: int = 130, given: dict[str, Any] | None = None, **params: Any) -> None:
    """Assert that the entry point and `make` give the same events on every table, with one and with several workers.

    Losses are above 0, as those of built-in tables are.
    """
    for table, workers in itertools.product(tables(params.get("eta", 3)), (1, 4)):
        table = replace(table, loss=table.loss - np.nanmin(table.loss) + 0.125, test=None)  # noqa: PLW2901
        rules = Rules(evals=evals, workers=workers, log="all", overhead=0.1)
        batched = partial(registry.algorithm(name), **(params if given is None else given))
        one = simulate(table, batched, seeds=np.arange(3), rules=rules)
        other = simulate(table, partial(scalar.scalar(make), **params), seeds=np.arange(3), rules=rules)
        assert_same(one, other)


DE = {
    "population": 8,
    "mutation_factor": 0.5,
    "crossover_probability": 0.5,
    "mutation": "rand1",
    "crossover": "bin",
    "boundary": "random",
}


@pytest.mark.parametrize(
    "changed",
    [
        {},
        {"population": 20},
        {"mutation": "rand2", "crossover": "exp"},
        {"mutation": "best1", "boundary": "clip", "mutation_factor": 1.3},
        {"mutation": "best2", "crossover": "exp", "crossover_probability": 0.9},
        {"mutation": "currenttobest1", "crossover_probability": 0.0},
        {"mutation": "randtobest1", "crossover": "exp", "boundary": "clip", "crossover_probability": 1.0},
    ],
)
def test_differential_evolution_is_the_scalar_one_generation_by_generation(changed: dict[str, Any]) -> None:
    equal("de", scalar.ScalarDE, evals=70, **{**DE, **changed})


def test_differential_evolution_has_the_defaults_of_dehb() -> None:
    equal("de", scalar.ScalarDE, evals=70, given={}, **{**DE, "population": 20})


@pytest.mark.parametrize("eta", [2, 3])
@pytest.mark.parametrize("lanes", [1, 4])
def test_hyperband_is_hpbandsters_event_for_event(eta: int, lanes: int) -> None:
    equal("hb", scalar.ScalarHyperband, eta=eta, brackets=lanes)


def test_successive_halving_is_hpbandsters_first_bracket_over_and_over() -> None:
    equal("sh", partial(scalar.ScalarHyperband, first_only=True), eta=3, brackets=1)


@pytest.mark.parametrize("eta", [2, 3])
def test_asha_promotes_what_the_papers_algorithm_promotes(eta: int) -> None:
    equal("asha", scalar.ScalarASHA, eta=eta)


@pytest.mark.parametrize("eta", [2, 3])
def test_dehb_is_the_packages_event_for_event(eta: int) -> None:
    equal("dehb", scalar.ScalarDEHB, evals=150, eta=eta)


def test_reinforce_is_the_scripts_event_for_event() -> None:
    equal("reinforce", scalar.ScalarReinforce, evals=100, learning_rate=0.5, momentum=0.9)


def test_reinforce_has_the_logits_of_the_script() -> None:
    space = SearchSpace((Parameter("a", range(3)), Parameter("b", range(2))))
    problem = Problem(space, np.array([1]), np.array([7]), 1, 1.0)
    ours = Reinforce(problem, Streams(problem.seeds, "algorithm"), learning_rate=0.1, momentum=0.9)
    draws = scalar.Draws(Streams(problem.seeds, "algorithm"))
    theirs = scalar.ScalarReinforce(problem, draws, learning_rate=0.1, momentum=0.9)
    zero, losses = np.array([0]), np.random.default_rng(0).uniform(0, 3, 300)
    losses[::7] = np.inf
    for loss in losses:
        codes = ours.ask(zero, zero).codes
        handle = theirs.ask()[2]
        assert codes[0].tolist() == handle
        ours.tell(Results(zero, zero, codes, zero, np.array([loss]), np.array([1.0])))
        theirs.tell(handle, float(loss), 1.0)
        np.testing.assert_allclose(ours.logits[0, 0], theirs.logits[0], atol=1e-12)
        np.testing.assert_allclose(ours.logits[0, 1, :2], theirs.logits[1], atol=1e-12)
    assert abs(ours.logits).max() > 0.1


def test_the_reward_falls_with_the_loss_and_has_a_bound_below() -> None:
    loss = np.array([0.0, 0.3, 0.999, 1.0, 1.001, 5.0, 1e300])
    assert (np.diff(reward(loss)) < 0).all()
    np.testing.assert_array_equal(reward(loss[:2]), [1.0, 0.7])
    assert reward(loss).min() >= -1


def test_exp_is_accurate_and_the_same_in_every_place() -> None:
    rng = np.random.default_rng(0)
    x = -np.concatenate([rng.random(5000) * scale for scale in (1e-3, 1.0, 30.0, 699.0)])
    assert (abs(exp(x) - np.exp(x)) <= 2 * np.spacing(np.exp(x))).all()
    assert exp(np.array([0.0, -701.0])).tolist() == [1.0, 0.0]
    for place in range(17):
        np.testing.assert_array_equal(exp(x[place : place + 13]), exp(x)[place : place + 13])


def test_distinct_integers_are_distinct_and_every_set_is_equally_likely() -> None:
    draws = Streams(np.arange(6000), "test").uniform(3, np.arange(6000))
    picks = distinct(draws, np.full(6000, 5))
    assert (np.sort(picks, axis=1)[:, 1:] != np.sort(picks, axis=1)[:, :-1]).all()
    counts = np.bincount(picks @ [25, 5, 1], minlength=125)
    seen = counts[counts > 0]
    assert len(seen) == 60
    assert ((seen - 100) ** 2 / 100).sum() < 100


def test_crossover_takes_at_least_one_dimension_and_a_bound_holds() -> None:
    draws = Streams(np.arange(500), "test").uniform(13, np.arange(500))
    target, mutant = np.zeros((500, 4)), np.full((500, 4), 1.5)
    for kind in ("bin", "exp"):
        for probability in (0.0, 0.5, 1.0):
            trial = crossed(kind, probability, target, mutant, draws[:, :5])
            taken = (trial != target).sum(axis=1)
            assert taken.min() >= 1
            assert set(taken) == {0.0: {1}, 0.5: {1, 2, 3, 4}, 1.0: {4}}[probability]
    space = SearchSpace(tuple(Parameter(str(i), range(3)) for i in range(4)))
    for kind in ("random", "clip"):
        inside = bounded(kind, 3 * draws[:, 5:9] - 1, draws[:, 9:])  # type: ignore[arg-type]
        assert ((inside >= 0) & (inside <= 1)).all()
        assert (decoded(space, inside) < 3).all()


@pytest.mark.parametrize(
    ("fidelities", "eta", "expected"),
    [
        (FOUR, 3, FOUR),
        ((3, 11, 33, 100), 3, (3, 11, 33, 100)),
        ((22, 66, 199), 3, (22, 66, 199)),
        (range(1, 101), 3, (1, 4, 11, 33, 100)),
        (range(1, 201), 3, (2, 7, 22, 67, 200)),
        ((12, 200), 3, (12, 200)),
        ((1, 3, 9, 27, 81, 243), 3, (1, 3, 9, 27, 81, 243)),
        ((1, 3, 9, 27, 81, 243), 9, (3, 27, 243)),
        ((200,), 3, (200,)),
        ((6, 10, 20), 2, (10, 20)),
        ((0, 1, 3), 3, (1, 3)),
        ((0, 200), 3, (200,)),
    ],
)
def test_rungs_are_the_available_fidelities_nearest_to_powers_of_eta(fidelities: Any, eta: int, expected: Any) -> None:
    available = np.array(fidelities)
    problem = Problem(SearchSpace(()), available, np.arange(1), 1, 1.0)
    assert available[brackets.rungs(problem.fidelities, eta, 0, 0)].tolist() == list(expected)


@pytest.mark.parametrize(
    ("smallest", "largest", "expected"), [(3, 33, (4, 11, 33)), (4, 33, (11, 33)), (33, 0, (33, 100))]
)
def test_rungs_keep_within_the_range_asked_for(smallest: int, largest: int, expected: Any) -> None:
    problem = Problem(SearchSpace(()), np.arange(1, 101), np.arange(1), 1, 1.0)
    assert (1 + brackets.rungs(problem.fidelities, 3, smallest, largest)).tolist() == list(expected)


def test_without_a_fidelity_above_zero_or_with_endless_rungs_nothing_is_halved() -> None:
    problem = Problem(SearchSpace(()), np.array([0]), np.arange(1), 1, 1.0)
    with pytest.raises(HarnessError, match="needs a fidelity above 0"):
        brackets.rungs(problem.fidelities, 3, 0, 0)
    with pytest.raises(HarnessError, match="begins with 536,870,912 configurations"):
        brackets.sizes(30, 2)


@pytest.mark.parametrize("name", ["hb", "sh", "asha", "bohb", "dehb"])
def test_a_table_whose_curves_begin_at_epoch_0_is_halved_above_it(name: str) -> None:
    """As the same table without its first column: fidelity 0 is never asked for."""
    without = synthetic_table(3, fidelities=(1, 3), missing=0.0)
    first = np.zeros_like(without.cost[:, :1])
    table = replace(
        without,
        fidelities=np.array([0, 1, 3]),
        loss=np.concatenate([first, without.loss], axis=1),
        cost=np.concatenate([first, without.cost], axis=1),
        test=None,
    )
    run, other = (
        simulate(t, registry.algorithm(name), seeds=np.arange(2), rules=Rules(evals=20, log="all"))
        for t in (table, without)
    )
    assert (table.fidelities[run.fidelity] > 0).all()
    np.testing.assert_array_equal(run.row, other.row)


@pytest.mark.parametrize("eta", [2, 3, 4, 5])
def test_brackets_have_hpbandsters_sizes(eta: int) -> None:
    for rungs in range(1, 7):
        for b, row in enumerate(brackets.sizes(rungs, eta)):
            assert row[row > 0].tolist() == scalar.hyperband_plan(b, rungs, eta)
    assert brackets.sizes(4, 3).tolist() == [[27, 9, 3, 1], [9, 3, 1, 0], [6, 2, 0, 0], [4, 0, 0, 0]]
    assert brackets.sizes(3, 3).tolist() == [[9, 3, 1], [3, 1, 0], [3, 0, 0]]


def turns(schedule: brackets.Brackets, worker: int) -> tuple[int, int, int] | None:
    turn, wait = schedule.ask(np.array([0]), np.array([worker]))
    return None if wait[0] else (int(turn.bracket[0]), int(turn.rung[0]), int(turn.position[0]))


def test_a_worker_waits_until_the_rung_is_complete() -> None:
    schedule = brackets.Brackets(np.array([[2, 1], [2, 0]]), seeds=1, workers=3)
    zero = np.array([0])
    assert [turns(schedule, w) for w in range(3)] == [(0, 0, 0), (0, 0, 1), None]
    assert not schedule.tell(zero, np.array([1]))[1]
    assert turns(schedule, 1) is None
    assert schedule.tell(zero, np.array([0]))[1]
    assert [turns(schedule, w) for w in range(3)] == [(0, 1, 0), None, None]
    assert schedule.tell(zero, np.array([0]))[1]
    assert [turns(schedule, w) for w in range(3)] == [(1, 0, 0), (1, 0, 1), None]


def test_an_idle_worker_opens_the_next_bracket_where_it_may_and_serves_the_oldest_first() -> None:
    schedule = brackets.Brackets(np.array([[2, 1], [1, 0]]), seeds=1, workers=4, lanes=2)
    zero = np.array([0])
    assert [turns(schedule, w) for w in range(4)] == [(0, 0, 0), (0, 0, 1), (1, 0, 0), None]
    schedule.tell(zero, np.array([2]))
    assert [turns(schedule, w) for w in (2, 3)] == [(2, 0, 0), (2, 0, 1)]
    schedule.tell(zero, np.array([1]))
    assert turns(schedule, 1) is None
    schedule.tell(zero, np.array([0]))
    assert [turns(schedule, w) for w in (0, 1)] == [(0, 1, 0), None]


def test_promotion_keeps_the_order_prefers_the_first_of_equals_and_never_takes_invalid_ones() -> None:
    loss = np.array([[3.0, 1.0, 2.0, 1.0], [np.inf, 2.0, np.inf, np.inf], [1.0, 1.0, 1.0, np.inf]])
    order, count = brackets.promoted(loss, np.array([2, 2, 2]))
    assert count.tolist() == [2, 1, 2]
    assert [row[:n].tolist() for row, n in zip(order, count, strict=True)] == [[1, 3], [1], [0, 1]]


@pytest.mark.parametrize("name", ["hb", "sh", "asha"])
@pytest.mark.parametrize("workers", [1, 3])
def test_an_invalid_configuration_is_never_promoted(name: str, workers: int) -> None:
    """The space is so large that a configuration is not drawn twice: what is seen twice was promoted."""
    table = synthetic_table(8, sizes=(40, 40, 40), fidelities=(1, 3, 9), missing=0.6, repeats=1)
    told: list[tuple[int, int, float]] = []

    class Spy:
        def __init__(self, problem: Problem, streams: Streams) -> None:
            self.inner = registry.algorithm(name)(problem, streams)
            self.ask = self.inner.ask

        def tell(self, results: Results) -> None:
            number = results.codes @ table.space.strides
            told.extend(zip(results.seeds.tolist(), number.tolist(), results.loss.tolist(), strict=True))
            self.inner.tell(results)

    simulate(table, Spy, seeds=np.arange(2), rules=Rules(evals=150, workers=workers, log="all"))
    invalid = {(seed, number) for seed, number, loss in told if math.isinf(loss)}
    counts = Counter((seed, number) for seed, number, _ in told)
    assert sum(n > 1 for n in counts.values()) > 10
    last = {(seed, number): loss for seed, number, loss in told}
    for key in invalid:
        assert math.isinf(last[key]), "a configuration went on after it was found to be invalid"
        assert counts[key] == 1 or any(loss < math.inf for s, n, loss in told if (s, n) == key)


def test_heaps_sort() -> None:
    rng = np.random.default_rng(0)
    heaps, expected = Heaps(5), [[] for _ in range(5)]  # type: ignore[var-annotated]
    for tag in range(200):
        rows = np.flatnonzero(rng.random(5) < 0.7)
        value = rng.integers(0, 9, len(rows)).astype(float)
        heaps.push(rows, value, np.full(len(rows), tag))
        for row, v in zip(rows.tolist(), value.tolist(), strict=True):
            expected[row].append((v, tag))
        rows = np.flatnonzero((rng.random(5) < 0.4) & (heaps.size > 0))
        got = list(zip(*heaps.pop(rows), strict=True))
        for row, entry in zip(rows.tolist(), got, strict=True):
            expected[row].sort()
            assert expected[row].pop(0) == entry
    assert [len(row) for row in expected] == heaps.size.tolist()


@pytest.mark.parametrize("name", ["hb", "sh", "asha"])
def test_with_one_fidelity_hyperband_is_random_search(name: str) -> None:
    table = synthetic_table(4, fidelities=(7,))
    rules = Rules(budget=200.0, workers=3, log="all")
    runs = [simulate(table, registry.algorithm(a), seeds=np.arange(5), rules=rules) for a in (name, "rs")]
    assert_same(*runs)


@pytest.mark.parametrize("name", ["hb", "dehb", "asha"])
def test_rungs_are_used_as_asked_for(name: str) -> None:
    table = synthetic_table(1, fidelities=(1, 2, 3, 4, 6, 9, 20), missing=0.0)
    factory = partial(registry.algorithm(name), min_fidelity=2, max_fidelity=9, eta=2)
    run = simulate(table, factory, seeds=np.arange(3), rules=Rules(evals=200, log="all"))
    assert set(table.fidelities[run.fidelity].tolist()) == {2, 4, 9}


@pytest.mark.parametrize(
    ("name", "params", "message", "hint"),
    [
        ("hb", {"min_fidelity": 2}, "no fidelity 2", "1, 3, 9"),
        ("dehb", {"max_fidelity": 10}, "no fidelity 10", "1, 3, 9"),
        ("asha", {"min_fidelity": 9, "max_fidelity": 3}, "above the largest", ""),
        ("de", {"population": 4, "mutation": "rand2"}, "too small for the mutation 'rand2'", "5 different parents"),
    ],
)
def test_what_makes_no_sense_is_refused(name: str, params: dict[str, Any], message: str, hint: str) -> None:
    with pytest.raises(HarnessError, match=message) as caught:
        simulate(
            synthetic_table(), partial(registry.algorithm(name), **params), seeds=np.arange(2), rules=Rules(evals=5)
        )
    assert hint in caught.value.hint


@pytest.mark.parametrize(
    ("params", "message"),
    [
        (["hb.eta=1"], "parameter 'eta' cannot be 1. it takes a whole number of at least 2"),
        (["hb.eta=2.5"], "parameter 'eta' cannot be 2.5"),
        (["hb.min_fidelity=12"], "the table has no fidelity 12. it has 200."),
        (["de.mutation=rand3"], "unknown value of parameter 'mutation' 'rand3'. did you mean"),
        (["de.population=4", "de.mutation=best3"], "best3"),
        (["de.population=4", "de.mutation=rand2"], "too small"),
        (["de.crossover_probability=1.5"], "a number from 0 to 1"),
        (["reinforce.momentum=1"], "parameter 'momentum' cannot be 1"),
    ],
)
def test_bad_parameters_stop_a_study_before_anything_runs(harness: Any, params: list[str], message: str) -> None:
    options = [word for param in params for word in ("--param", param)]
    answer = harness("run", "--algo", "rs,hb,de,reinforce", "--bench", "nb201", "--seeds", 2, "--evals", 3, *options)
    assert answer.status == 2
    assert message in " ".join(answer.err.replace("error:", "").replace("hint:", "").split())
    assert answer.out == ""
    assert not list(Path().rglob("*.parquet"))


def test_dehb_and_hyperband_find_good_configurations_of_the_embedded_table() -> None:
    """A smoke test of direction: what learns beats random search on NAS-Bench-201 at equal evaluations."""
    table = registry.benchmark("nb201/cifar10")
    rules = Rules(evals=400, noise="mean")
    best = {
        name: np.mean([trajectory_best(run, s) for s in range(30)])
        for name in ("rs", "de", "dehb", "reinforce")
        for run in [simulate(table, registry.algorithm(name), seeds=np.arange(30), rules=rules)]
    }
    assert max(best["de"], best["dehb"]) < best["rs"] - 0.001
    assert best["reinforce"] < best["rs"] + 0.001


@pytest.mark.parametrize("name", ["rs", "re", "ls", "de", "hb", "sh", "asha", "dehb", "reinforce", "npred"])
def test_a_page_states_every_default(name: str) -> None:
    pages = [page.read_text().splitlines() for page in (ROOT / "docs" / "algorithms").glob("*.md")]
    (page,) = [lines for lines in pages if f"`{name}`" in lines[0]]
    rows = [[cell.strip() for cell in line.split("|")[1:]] for line in page if line.startswith("| `")]
    stated = {cells[0].strip("`"): cells[1] for cells in rows if len(cells) == 4 or f"`{name}`" in cells[2]}
    expected = {parameter: str(d.default) for parameter, d in declared(registry.algorithm(name)).items()}
    handed = declared(registry.predictor(expected["predictor"])) if "predictor" in expected else {}
    assert {parameter: default for parameter, default in stated.items() if default} == {
        parameter: default for parameter, default in expected.items() if parameter not in handed
    }


def test_a_study_is_named_by_every_file_that_its_algorithm_is_built_on(monkeypatch: pytest.MonkeyPatch) -> None:
    def source(name: str) -> str:
        return Study.plan(synthetic_table(), name, {}, 0, 1, Rules(evals=1)).source

    before = {name: source(name) for name in ("rs", "hb", "dehb")}
    edited = Path(brackets.__file__)
    read = Path.read_bytes
    monkeypatch.setattr(Path, "read_bytes", lambda path: read(path) + b"#" * (path == edited))
    assert {name: source(name) == before[name] for name in before} == {"rs": True, "hb": False, "dehb": False}


def trajectory_best(run: Trajectory, seed: int) -> float:
    return float(run.loss[run.seed == seed].min(initial=math.inf))
