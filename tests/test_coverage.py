"""Coverage of intervals and bands on real regrets: those of many runs of `rs` and `re` stand for the truth."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from harness import registry
from harness import statistics as s
from harness.analysis.measures import log_areas, time_spent, time_to
from harness.arrays import Floats
from harness.rules import Rules
from harness.studies.evaluate import evaluate
from harness.studies.outcome import Outcome
from harness.studies.study import Study

RUNS, TRIALS, REPLICATES = 1500, 400, 400
START, END = 1e4, 3e5
LEAST = 0.93 - 0.012
"""What 400 trials may show of a coverage of .93: one binomial standard error below."""


@pytest.fixture(scope="module")
def runs() -> dict[str, Outcome]:
    table, rules = registry.benchmark("nb201/cifar10"), Rules(budget=END)
    found = {}
    for name in ("rs", "re"):
        study = Study.plan(table, name, {}, 0, RUNS, rules)
        found[name] = evaluate(study, table=table)
    return found


def coverage(seeds: int, hit: Callable[[np.ndarray, Floats], bool]) -> float:
    """Share of samples of `seeds` runs, with the weights of a bootstrap, that `hit`."""
    hits = 0
    for trial in range(TRIALS):
        generator = np.random.default_rng((seeds, trial))
        chosen = generator.choice(RUNS, seeds, replace=False)
        hits += hit(chosen, s.bootstrap_weights(seeds, generator, REPLICATES))
    return hits / TRIALS


@pytest.mark.parametrize("seeds", [20, 50])
@pytest.mark.parametrize("name", ["rs", "re"])
def test_a_simultaneous_band_holds_the_whole_curve(runs: dict[str, Outcome], name: str, seeds: int) -> None:
    regrets = runs[name].regret("val", np.geomspace(START, END, 30))

    def held(chosen: np.ndarray, weights: Floats) -> bool:
        values = regrets[chosen]
        sem = values.std(axis=0, ddof=1) / np.sqrt(seeds)
        width = s.sup_t(values, weights) * sem
        return bool((np.abs(values.mean(axis=0) - regrets.mean(axis=0)) <= width).all())

    assert LEAST <= coverage(seeds, held) < 0.985


@pytest.mark.parametrize("seeds", [20, 50])
def test_the_interval_of_a_log_area_holds_it(runs: dict[str, Outcome], seeds: int) -> None:
    areas = dict(zip(runs, log_areas([*runs.values()], "val", START, END), strict=True))
    for values in (*areas.values(), areas["rs"] - areas["re"]):

        def held(chosen: np.ndarray, _: Floats, values: Floats = values) -> bool:
            found = s.mean_interval(values[chosen])
            return bool(found.low <= values.mean() <= found.high)

        assert LEAST <= coverage(seeds, held) < 0.985


@pytest.mark.parametrize("seeds", [30, 50])
def test_the_interval_of_a_speed_up_holds_it(runs: dict[str, Outcome], seeds: int) -> None:
    found = []
    for target in (1e-2, 7e-3, 5e-3):
        sides = [(time_to(o, "val", target), time_spent(o)) for o in runs.values()]
        truth = s.expected_time(*sides[0]) / s.expected_time(*sides[1])

        def held(
            chosen: np.ndarray, _: Floats, sides: list[tuple[Floats, Floats]] = sides, truth: float = truth
        ) -> bool:
            (a, spent), (b, other) = sides
            one, two = (b[chosen], other[chosen]), (a[chosen], spent[chosen])
            estimate = s.speed_up(one, two, np.random.default_rng(int(chosen[0])), replicates=REPLICATES)
            return estimate.low <= truth <= estimate.high

        found.append(coverage(seeds, held))
    assert np.mean(found) >= 0.93
    assert min(found) >= LEAST - 0.012
