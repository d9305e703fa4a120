"""A pytest fixture that fails a test when an algorithm became worse than its baseline.

    def test_curve(harness_regress):
        harness_regress("my-algo", "nb201", seeds=50)

The baseline is the folder `results/baseline` below pytest's root, unless the ini option `harness_baseline` names
another. Nothing else is imported before the fixture is called.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Protocol

import pytest


class Regress(Protocol):
    """What the fixture is; `margin` and `alpha` as for `harness regress`."""

    def __call__(
        self, algorithm: str, benchmark: str, *, seeds: int | None = None, margin: float = 0.05, alpha: float = 0.01
    ) -> None: ...


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare the ini option `harness_baseline`."""
    parser.addini("harness_baseline", "folder of the baseline of harness_regress", default="results/baseline")


@pytest.fixture
def harness_regress(pytestconfig: pytest.Config) -> Regress:
    """Fail unless the curve of an algorithm on a benchmark is not worse than in the baseline."""
    return partial(regress, pytestconfig.rootpath / pytestconfig.getini("harness_baseline"))


def regress(
    folder: Path,
    algorithm: str,
    benchmark: str,
    *,
    seeds: int | None = None,
    margin: float = 0.05,
    alpha: float = 0.01,
) -> None:
    """Rerun the baseline's studies of `algorithm` on `benchmark` in this process; fail the test if one is worse."""
    from harness.analysis.regression import exit_status, judge
    from harness.report.regression import markdown
    from harness.studies import baseline

    recorded = baseline.select(baseline.load(folder), algorithm, benchmark)
    plans = [baseline.plan(outcome.study, seeds) for outcome in recorded]
    candidates = baseline.rerun(plans)
    judgements = judge(list(zip(recorded, candidates, strict=True)), margin=margin, alpha=alpha)
    if exit_status(judgements) == 1:
        pytest.fail(markdown(judgements, margin, alpha), pytrace=False)
