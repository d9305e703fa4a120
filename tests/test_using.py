"""Algorithms that are handed a predictor take its parameters as their own, and no others."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Annotated, Any

import numpy as np
import pytest

from harness import HarnessError, Jobs, Problem, Results, Rules, Streams, registry
from harness.params import changed, declared
from harness.predictor import MakePredictor, Uses, using
from harness.studies.study import Study
from harness.testing import synthetic_table

TABLE = synthetic_table(3, missing=0.0)
USES = Uses("its name", "tree")


def params(algorithm: str, bench: str = "", /, **given: Any) -> dict[str, Any]:
    table = registry.benchmark(bench) if bench else TABLE
    return dict(Study.plan(table, algorithm, given, 0, 2, Rules(evals=400)).params)


def test_the_parameters_of_the_predictor_are_the_algorithms() -> None:
    found = params("gpnas", "nb201", layers="1", width="8")
    assert (found["predictor"], found["layers"], found["width"], found["target"]) == ("auto", 1, 8, "log")
    assert "layers" not in params("gpnas")
    assert params("npred", predictor="forest", trees="7", random="10", top="5")["trees"] == 7
    assert params("pnas", width="8")["width"] == 8
    assert params("bananas", width="8")["width"] == 8


def test_defaults_of_the_algorithm_hold_where_the_predictor_has_the_parameter() -> None:
    assert params("gpnas+", "nb201")["target"] == "capped"
    assert params("gpnas+", "nb201", predictor="ridge")["target"] == "capped"
    assert "target" not in params("gpnas+", "nb201", predictor="neural")
    assert changed(params("gpnas+", "nb201", target="log"), lambda: registry.algorithm("gpnas+")) == {"target": "log"}
    assert changed(params("gpnas+"), lambda: registry.algorithm("gpnas+")) == {}


def test_an_ensemble_is_handed_its_members_with_their_settings() -> None:
    found = params("gpnas", "nb201", predictor="ensemble", member="mlp", members="3", width="8", loss="hinge")
    assert [found[name] for name in ("predictor", "member", "members", "width", "loss")] == [
        "ensemble", "mlp", 3, 8, "hinge"
    ]  # fmt: skip
    problem = Problem(TABLE.space, TABLE.fidelities, np.arange(2), 1, np.inf)
    model: Any = registry.predictor("ensemble")(problem, Streams(np.arange(2), "t"), member="mlp", members=2, width=8)
    assert [one.models.network.width for one in model.models] == [8, 8]


@pytest.mark.parametrize(
    ("algorithm", "given", "told"),
    [
        ("npred", {"predictor": "ridge", "schedule": "paper"}, "of 'npred' with predictor=ridge 'schedule'"),
        ("gpnas", {"layers": "2"}, "of 'gpnas' with predictor=auto 'layers'"),
        ("gpnas", {"predictor": "none", "width": "8"}, "of 'gpnas' with predictor=none 'width'"),
        ("gpnas", {"predictor": "mlp", "width": "0"}, "'width' cannot be 0"),
        ("npred", {"predictor": "ensemble", "member": "mlp", "layers": "2"}, "of 'ensemble' with member=mlp 'layers'"),
        ("npred", {"predictor": "ensemble", "member": "rigde"}, "unknown predictor 'rigde'"),
        ("npred", {"predictor": "rigde"}, "predictor 'rigde'"),
        ("npred", {"predictor": "auto"}, "predictor 'auto'"),
    ],
)
def test_settings_that_the_predictor_does_not_have_are_refused(
    algorithm: str, given: dict[str, Any], told: str
) -> None:
    with pytest.raises(HarnessError, match=told):
        params(algorithm, "", **given)


def test_an_algorithm_of_ones_own_is_handed_a_predictor_with_its_settings() -> None:
    def predictor(problem: Problem, streams: Streams, *, depth: int = 3) -> Any:
        return SimpleNamespace(depth=depth)

    class Mine:
        def __init__(
            self,
            problem: Problem,
            streams: Streams,
            model: Annotated[MakePredictor, Uses("any", "tree")],
            *,
            n: int = 1,
        ) -> None:
            self.made = n, model(problem, streams).depth  # type: ignore[attr-defined]

        def ask(self, seeds: Any, worker: Any) -> Jobs:
            raise NotImplementedError

        def tell(self, results: Results) -> None: ...

    factory: Any = using("mine", Mine, lambda name: predictor)
    assert [*declared(factory)] == ["model", "n", "depth"]
    problem = Problem(TABLE.space, TABLE.fidelities, np.arange(1), 1, np.inf)
    assert factory(problem, Streams(problem.seeds, "t"), n=2, depth=5).made == (2, 5)
    assert factory.parts(model="tree") == (predictor,)
