"""Stability of connections: patterns and how they fare against plain counting, and what predictors see of them."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from test_imported import store_sample

from harness import Floats, HarnessError, Ints, Problem, Rules, Seen, Streams, Table, registry
from harness.analysis.stability import Fares, Fitting, Patterns, patterns, predicted, ranking, rows
from harness.plots import draw
from harness.plots.stability import stability_figure
from harness.spaces import nasbench101_cells
from harness.studies.evaluate import evaluate
from harness.studies.study import Study

Harness = Callable[..., Any]
OPERATOR = 2


@pytest.fixture(scope="module")
def nb201() -> Patterns:
    return patterns(registry.benchmark("nb201"))


@pytest.fixture(scope="module")
def nb101(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Patterns]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NAS_HARNESS_DATA", str(tmp_path_factory.mktemp("nb101")))
        store_sample(shared_data)
        yield patterns(registry.benchmark("nb101/a"))


def counted(found: Patterns) -> None:
    """Every number of `found` once more, architecture by architecture."""
    table = found.table
    losses = table.loss_at(len(table.fidelities) - 1)
    groups = defaultdict(list)
    for row, pattern in zip(found.rows.tolist(), found.of.tolist(), strict=True):
        groups[pattern].append(row)
    assert sorted(groups) == list(range(len(found.count)))
    fares = found.measured()
    for pattern, members in groups.items():
        values = losses[members]
        assert found.count[pattern] == len(members)
        assert fares.mean[pattern] == pytest.approx(values.mean())
        assert fares.best[pattern] == values.min() == losses[found.best[pattern]]
        assert found.shown[pattern] in members
        if len(members) == 1:
            assert np.isnan(fares.spread[pattern])
        else:
            assert fares.spread[pattern] == pytest.approx(values.std(), abs=1e-12)


def test_patterns_of_nb201_forget_operators_and_names(nb201: Patterns) -> None:
    counted(nb201)
    codes = nb201.table.codes
    assert (len(nb201.count), nb201.count.sum()) == (261, 15_625)
    (full,) = set(nb201.of[(codes >= OPERATOR).all(axis=1)].tolist())
    assert nb201.count[full] == 3**6
    np.testing.assert_array_equal(nb201.table.codes[nb201.of == full] >= OPERATOR, True)
    one, other = nb201.table.rows(np.array([[3, 0, 0, 1, 4, 0], [0, 2, 0, 1, 0, 2]]))
    assert nb201.of[one] == nb201.of[other], "a way over node 1 is a way over node 2"
    assert nb201.count[nb201.of[one]] > 2 * 3**2
    empty = nb201.of[nb201.table.rows(np.zeros((1, 6), dtype=np.int64))[0]]
    assert nb201.name(empty) == "none none none none none none"
    assert nb201.name(nb201.of[one]).count("none") == 3
    no_output = (codes[:, 3:] == 0).all(axis=1)
    assert set(nb201.of[no_output].tolist()) == {empty}


def test_patterns_of_nb101_are_its_graph_classes(nb101: Patterns) -> None:
    counted(nb101)
    known = nasbench101_cells.every_graph()
    adjacency, _ = nasbench101_cells.decode_a(nb101.table.codes)
    graph_class = known.class_of[known.graph_of[nasbench101_cells.edge_bits(adjacency)]]
    pairs = np.unique(np.stack([graph_class, nb101.of], axis=1), axis=0)
    assert len(pairs) == len(np.unique(graph_class)) == len(nb101.count)


def test_connections_that_are_no_graph_are_patterns_as_they_are() -> None:
    found = patterns(registry.benchmark("fcnet/naval"))
    counted(found)
    assert set(found.count.tolist()) == {4 * 6 * 2}
    assert found.name(0) == "relu relu 0.0 0.0 16 16"


def test_a_space_as_a_whole_has_no_patterns() -> None:
    with pytest.raises(HarnessError, match="hpobench/car are not split into connections and operators"):
        patterns(registry.benchmark("hpobench/car"))


def test_rankings_ascend_and_end_with_what_has_no_rank(nb201: Patterns) -> None:
    fares = nb201.measured()
    for by in ("mean", "spread", "best"):
        ordered = getattr(fares, by)[ranking(fares, by)]
        there = np.isfinite(ordered)
        assert (np.diff(ordered[there]) >= 0).all()
        assert there[: there.sum()].all()
    first = rows(nb201, "best", 3)[0]
    assert first["best"] == nb201.table.optimum.value
    assert first["best_configuration"] == nb201.table.space.to_dict(nb201.table.codes[nb201.table.optimum.row])
    assert rows(nb201, "spread", 261)[-1]["spread"] is None


class Knows:
    """A predictor that looks the mean losses up, and keeps what it was taught."""

    taught: tuple[Table, Seen] | None = None
    table: Table

    def __init__(self, problem: Problem, streams: Streams, *, noise: float = 0.0) -> None:
        self.streams, self.noise = streams, noise

    def fit(self, seen: Seen, where: Ints) -> None:
        Knows.taught = (Knows.table, seen)

    def predict(self, codes: Ints, where: Ints) -> Floats:
        right = self.table.mean_loss[self.table.rows(codes), -1]
        return right * np.exp(self.noise * self.streams.uniform(len(codes), where))


def test_a_perfect_predictor_sees_what_was_measured(nb201: Patterns, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Knows, "table", nb201.table, raising=False)
    ((fares, agreement),) = predicted(nb201, Knows, 50, np.arange(3, 7))
    for got, true in zip(fares, nb201.measured(), strict=True):
        np.testing.assert_array_equal(got, np.tile(true, (4, 1)))
    np.testing.assert_allclose(agreement, 1.0)
    assert Knows.taught is not None
    table, seen = Knows.taught
    assert seen.codes.shape == (4, 50, 6)
    learnt = table.rows(seen.codes.reshape(-1, 6)).reshape(4, 50)
    assert all(len(set(row)) == 50 for row in learnt.tolist())
    assert len(set(learnt.ravel().tolist())) > 150, "each seed has its own"
    assert (table.loss[learnt, -1] == seen.loss[..., None]).any(axis=2).all(), "single trainings"
    assert (seen.loss != table.mean_loss[learnt, -1]).any()


def test_a_seed_alone_sees_what_it_sees_among_others(nb201: Patterns, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Knows, "table", nb201.table, raising=False)

    def noisy(problem: Problem, streams: Streams, /, **params: Any) -> Knows:
        return Knows(problem, streams, noise=0.5)

    blocks = [*predicted(nb201, noisy, 20, np.arange(20))]
    assert [len(agreement) for _, agreement in blocks] == [16, 4]
    ((alone, agreement),) = predicted(nb201, noisy, 20, np.array([17]))
    np.testing.assert_array_equal(agreement, blocks[1][1][1:2])
    for one, many in zip(alone, blocks[1][0], strict=True):
        np.testing.assert_array_equal(one[0], many[1])
    assert 0.5 < agreement[0] < 1


def test_training_on_more_than_there_is_is_refused(nb201: Patterns) -> None:
    for train in (1, 15_626):
        with pytest.raises(HarnessError, match=f"cannot be trained on {train} of the 15,625 architectures"):
            Fitting.plan(nb201, "ridge", train)


def test_patterns_are_drawn_without_operators(nb201: Patterns) -> None:
    figure = stability_figure(nb201, "mean", 5, nb201.measured())
    order = ranking(nb201.measured(), "mean")[:5]
    for rank, (axis, pattern) in enumerate(zip(figure.axes, order, strict=False), start=1):
        title = axis.get_title()
        assert title.startswith(f"{rank}. {nb201.count[pattern]:,} architecture")
        assert title.count(f"best {nb201.measured().best[pattern]:.4g}") == 2
        assert {patch.get_edgecolor()[:3] for patch in axis.patches} <= {(0x22 / 255,) * 3, (0x77 / 255,) * 3}


def test_cells_of_nb101_are_drawn_as_they_are(nb101: Patterns) -> None:
    figure = stability_figure(nb101, "best", 12)
    view = nb101.table.space.graphs
    assert view is not None
    for axis, pattern in zip(figure.axes, ranking(nb101.measured(), "best")[:12], strict=True):
        adjacency, labels = view.of(nb101.table.codes[nb101.shown[[pattern]]])
        assert len(axis.patches) == adjacency.sum()
        assert len(axis.collections) == (labels > 0).sum()


def test_incumbents_of_nb101_are_drawn_too(nb101: Patterns) -> None:
    rules = Rules(evals=300)
    study = Study.plan(nb101.table, "rs", {}, 0, 5, rules)
    figure = draw([evaluate(study, table=nb101.table)], {"figure": "cells"})
    assert [text.get_text() for text in figure.legends[0].get_texts()] == list(nasbench101_cells.OPERATORS)
    assert len(figure.axes[0].patches) > 0


def test_unmeasured_spread_is_not_drawn() -> None:
    from harness.plots.stability import words

    one = Fares(np.array([0.125]), np.array([np.nan]), np.array([0.125]))
    assert words(one, 0) == "0.1250, best 0.1250"


@pytest.mark.filterwarnings("ignore:grad and param do not obey")
def test_stability_command(harness: Harness, nb201: Patterns, monkeypatch: pytest.MonkeyPatch) -> None:
    arguments = ("stability", "nb201", "--top", 4, "--predictor", "gcn", "--train", 100, "--seeds", "2")
    answer = harness(*arguments, "--json", "--figure", "out/s.svg")
    assert answer.status == 0, answer.err
    found = json.loads(answer.out)
    assert (found["benchmark"], found["patterns"], len(found["ranking"])) == ("nb201/cifar10", 261, 4)
    assert found["spearman"] > 0.4
    fares = nb201.measured()
    for row, pattern in zip(found["ranking"], ranking(fares, "mean"), strict=False):
        assert row["mean"] == fares.mean[pattern]
        assert row["predicted_best"] < row["predicted_mean"]
    assert "validation error" in Path("out/s.svg").read_text()
    assert json.loads(Path("out/s.json").read_text())["stability"]["spearman"] == found["spearman"]
    monkeypatch.setattr(Knows, "table", nb201.table, raising=False)
    monkeypatch.setattr(registry, "predictor", lambda name: Knows)
    shown = harness(*arguments)
    assert "Spearman's correlation of predicted with measured means" in " ".join(shown.out.split())
    assert f"{found['ranking'][0]['mean']:.4g}" in shown.out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["hpobench"], "hpobench/australian are not split into connections and operators"),
        (["nb201", "--predictor", "gnc"], "unknown predictor 'gnc'. hint: did you mean gcn"),
        (["nb201", "--top", 0], "--top must be at least 1"),
        (["nb201", "--by", "men"], "did you mean mean"),
        (["nb201", "--figure", "a.jpg"], "cannot write a figure as 'a.jpg'"),
        (["fcnet", "--figure", "a.png"], "fcnet/protein are no graphs to draw"),
        (["fcnet", "--predictor", "gcn"], "are no graphs, which this predictor needs"),
        (["nb201", "--predictor", "gcn", "--train", 20000], "cannot be trained on 20000 of the 15,625"),
    ],
)
def test_stability_command_refuses_what_cannot_be(harness: Harness, arguments: list[Any], message: str) -> None:
    answer = harness("stability", *arguments)
    assert answer.status == 2
    assert message in " ".join(answer.err.split())
