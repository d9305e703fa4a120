"""Nothing is compared, shown or drawn at a time at which nothing ran any more."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from conftest import Answer

Harness = Callable[..., Answer]


def test_a_time_after_the_end_is_refused(harness: Harness) -> None:
    harness("run", "--bench", "nb201", "--algo", "rs,re", "--seeds", 20, "--budget", 1e5, "--processes", 1)
    assert harness("compare", "results", "--at", "1e5").status == 0
    for command in (("compare", "results", "--at", "1e9"), ("show", "results", "--at", "1e9")):
        harness(*command).refuses("ended at 100000 s: it says nothing of 1e+09 s", "choose an earlier time")
    for figure in ("violin", "ecdf-regret"):
        drawn = harness("plot", "results", "--figure", figure, "--at", "1e9", "-o", "a.svg")
        drawn.refuses("it says nothing of 1e+09 s", "choose an earlier time")


def test_studies_that_evaluations_end_are_compared_at_the_smallest_end(harness: Harness) -> None:
    harness("run", "--bench", "digits201", "--algo", "rs,hb,asha", "--seeds", 20, "--evals", 30, "--processes", 1)
    ends = [row["time"] for row in json.loads(harness("show", "results", "--json").out)]
    (row,) = json.loads(harness("compare", "results", "--format", "json").out)["rows"]
    assert row["time"] == pytest.approx(min(ends))
    assert min(ends) < max(ends)
