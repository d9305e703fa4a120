"""Our curves against those of the packages, at modest size; bench/equivalence.py has it in full."""

from __future__ import annotations

import importlib.util

import equivalence
import numpy as np
import pytest

pytestmark = [pytest.mark.reference, pytest.mark.filterwarnings("ignore")]
TRAININGS = {
    "optuna-tpe": 40,
    "hpbandster-hb": 40,
    "hyperopt:tpe": 40,
    "hpbandster-bohb": 25,
    "dehb-lib": 40,
    "pymoo-nsga2": 150,
}


def case(name: str, theirs: str) -> equivalence.Pair:
    return next(p for p in equivalence.PAIRS if p.ours == name and p.theirs == theirs)


@pytest.mark.parametrize(
    ("ours", "theirs", "table"),
    [
        ("rs", "optuna-random", "fcnet/protein"),
        ("de", "dehb-de-lib", "nb201/cifar10"),
        ("tpe", "optuna-tpe", "nb201/cifar10"),
        ("tpe", "hyperopt:tpe", "nb201/cifar10"),
        ("hb", "hpbandster-hb", equivalence.MANY),
        ("dehb", "dehb-lib", equivalence.MANY),
        ("bohb", "hpbandster-bohb", "nb201/cifar10"),
        ("motpe", "optuna-tpe", "nb201/cifar10"),
        ("nsga2", "pymoo-nsga2", "nb201/cifar10"),
    ],
)
def test_curves_are_the_packages(ours: str, theirs: str, table: str) -> None:
    pair = case(ours, theirs)
    absent = [p for p in pair.packages if importlib.util.find_spec(p) is None]
    if absent:
        pytest.skip(f"not installed: {', '.join(absent)}")
    if table == equivalence.MANY and not equivalence.CELLS.exists():
        pytest.skip(f"{equivalence.CELLS.name} is not beside the checkout")
    found, *_ = equivalence.measure(pair, table, 70, TRAININGS.get(theirs, 60))
    assert found.same, found
    assert min(found.p_mid, found.p_end) > 0.001, found


def test_a_difference_is_seen() -> None:
    """Random search against TPE, and a curve against itself shifted by a tenth of a decade."""
    budget = 60 * 1828.0
    seeds = np.arange(100)
    ours, theirs = (equivalence.runs(a, {}, False, "nb201/cifar10", budget, seeds)[0] for a in ("rs", "tpe"))
    assert not equivalence.compare(ours, theirs, equivalence.log_floor("nb201/cifar10")).same
    rng = np.random.default_rng(0)
    a, b = 10 ** (0.2 * rng.normal(size=(2, 100, 1)) + np.linspace(0, -2, 30))
    assert equivalence.compare(a, b, 1e-9).same
    assert not equivalence.compare(a, b * 10**0.15, 1e-9).same
