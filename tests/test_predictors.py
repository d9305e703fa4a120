"""Predictors: a seed alone, what they learn, what they refuse; npred against a scalar loop; `harness predict`."""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import Answer
from scipy import stats

from algorithms.predictors.data import Targets
from algorithms.predictors.graph import Convolutions, GraphPredictor
from algorithms.predictors.losses import MARGIN, hinge, listwise
from algorithms.predictors.memory import identities
from algorithms.predictors.neural import NeuralPredictor
from algorithms.predictors.training import Training
from harness import HarnessError, Problem, Results, Rules, Seen, Streams, Table, registry, simulate
from harness.analysis.quality import MEASURES, SECONDS, QualityStudy, judge
from harness.analysis.quality_store import FORM, find
from harness.params import declared, resolve
from harness.scoring import Scoring
from harness.spaces.nasbench101 import ENCODINGS
from harness.studies.study import Study
from harness.testing import synthetic_table

Harness = Callable[..., Answer]
NAMES = registry.predictor_names()
npred: Any = registry.algorithm("npred")
QUICK: dict[str, dict[str, Any]] = {"forest": {"trees": 5}, "neural2": {"threshold": 0.12}}


def nb201() -> Table:
    return registry.benchmark("nb201/cifar10")


def made(name: str, table: Table, seeds: list[int], **params: Any) -> Any:
    if name == "pyg" and find_spec("torch_geometric") is None:
        pytest.skip("torch_geometric is not installed")
    problem = Rules(evals=1).problem(table, np.array(seeds), Scoring(table, len(seeds)))
    return registry.predictor(name)(problem, Streams(np.array(seeds), "test"), **{**QUICK.get(name, {}), **params})


def briefly(model: Any) -> Any:
    """The model, its networks trained for a few steps."""
    for member in getattr(model, "models", []) if type(model).__name__ == "Ensemble" else []:
        briefly(member)
    for name in {"training", "first", "again"} & {*vars(model)}:
        setattr(model, name, Training(steps=12, batch=8, rate=2e-3))
    return model


def observed(table: Table, counts: list[int]) -> Seen:
    """Single trainings of random configurations, as many for each seed as `counts` says."""
    most = max(counts)
    rows = np.stack([np.random.default_rng(i).permutation(len(table))[:most] for i in range(len(counts))])
    shape = np.full(rows.shape, len(table.fidelities) - 1)
    return Seen(table.codes[rows], shape, table.loss[rows, -1, 0], np.array(counts))


@pytest.mark.parametrize("name", NAMES)
def test_a_seed_alone_equals_the_seed_in_a_batch(name: str) -> None:
    table, counts = nb201(), [40, 33, 40, 25, 40]
    seen, queries = observed(table, counts), table.codes[::300]
    batch = briefly(made(name, table, [3, 5, 8, 13, 21]))
    for where in ([0, 1, 2, 3, 4], [1, 2, 4]):
        batch.fit(seen.of(np.array(where)), np.array(where))
    together = batch.predict(queries, np.arange(5))
    own = np.stack([queries] * 5)
    for s, seed in enumerate([3, 5, 8, 13, 21]):
        alone = briefly(made(name, table, [seed]))
        for _ in range(2 if s in (1, 2, 4) else 1):
            alone.fit(seen.of(np.array([s])), np.array([0]))
        np.testing.assert_array_equal(alone.predict(queries, np.array([0]))[0], together[s])
    np.testing.assert_allclose(batch.predict(own, np.arange(5)), together, rtol=1e-3)


def test_an_ensemble_is_the_mean_and_spread_of_its_members() -> None:
    table = nb201()
    seen, where, queries = observed(table, [30, 30]), np.arange(2), table.codes[::500]
    model = made("ensemble", table, [3, 5], member="mlp", members=3, width=8)
    model.fit(seen, where)
    own = np.stack([member.predict(queries, where) for member in model.models])
    mean, deviation = model.spread(queries, where)
    assert (np.diff(own, axis=0) != 0).any()
    np.testing.assert_array_equal(mean, model.predict(queries, where))
    np.testing.assert_allclose(mean, own.sum(axis=0) / 3)
    np.testing.assert_allclose(deviation**2, ((own - mean) ** 2).sum(axis=0) / 2)


def test_losses_of_an_order_are_their_formulas() -> None:
    generator = torch.Generator().manual_seed(0)
    predicted, y = torch.randn(3, 8, generator=generator).requires_grad_(), torch.randn(3, 8, generator=generator)
    y[:, 3] = y[:, 5]
    for m, found in enumerate(hinge(predicted, y).tolist()):
        pairs = [(a, b) for a in range(8) for b in range(8) if y[m, a] < y[m, b]]
        short = [max(0.0, MARGIN + float(predicted.detach()[m, a] - predicted.detach()[m, b])) for a, b in pairs]
        assert found == pytest.approx(np.mean(short), rel=1e-5)
    entropy = -((-y).softmax(dim=1) * (-predicted).log_softmax(dim=1)).sum()
    (expected,) = torch.autograd.grad(entropy, predicted)
    (gradient,) = torch.autograd.grad(listwise(predicted, y).sum(), predicted)
    torch.testing.assert_close(gradient, expected, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("loss", ["hinge", "listwise"])
@pytest.mark.parametrize("name", ["gcn", "neural", "neural2", "mlp", "paths", "pyg"])
def test_what_learns_an_order_has_the_level_of_the_losses(name: str, loss: str) -> None:
    table, counts = nb201(), [40, 33, 40]
    seen, queries, where = observed(table, counts), table.codes[::100], np.arange(3)
    batch, alone = (briefly(made(name, table, seeds, loss=loss)) for seeds in ([3, 5, 8], [5]))
    batch.fit(seen, where)
    alone.fit(seen.of(where[1:2]), where[:1])
    found = batch.predict(queries, where)
    np.testing.assert_array_equal(alone.predict(queries, where[:1])[0], found[1])
    learnt = np.log(batch.predict(seen.codes[1, :33], where)[1])
    if name != "neural2":
        assert learnt.mean() == pytest.approx(np.log(seen.loss[1, :33]).mean(), abs=1e-3)
        assert learnt.std() == pytest.approx(np.log(seen.loss[1, :33]).std(), rel=1e-3)
    assert stats.spearmanr(found[1], table.mean_loss[::100, 0]).statistic > 0.1


@pytest.mark.parametrize("name", NAMES)
def test_predictions_rank_what_was_not_seen(name: str) -> None:
    table = nb201()
    seen = observed(table, [172, 172])
    model = made(name, table, [0, 1])
    model.fit(seen, np.arange(2))
    predicted = model.predict(table.codes[::10], np.arange(2))
    assert np.isfinite(predicted).all()
    least = {"gcn": 0.88, "neural": 0.85, "neural2": 0.5}.get(name, 0.5)
    for s in range(2):
        assert stats.spearmanr(predicted[s], table.mean_loss[::10, 0]).statistic > least


def test_rejected_configurations_rank_below_all_others() -> None:
    table = nb201()
    seen = observed(table, [150, 150])
    seen = dataclasses.replace(seen, loss=np.stack([seen.loss[0], np.full(150, 0.2)]))
    model = made("neural2", table, [0, 1])
    model.fit(seen, np.arange(2))
    assert model.staged.tolist() == [True, False]
    predicted = model.predict(table.codes, np.array([0]))[0]
    score = model.classifier.predict(table.codes, np.array([0]), 0)[0]
    assert predicted[score > 0].max() <= 0.12 <= predicted[score <= 0].min()
    assert 0.2 < (score > 0).mean() < 0.8
    assert ((score > 0) == (table.mean_loss[:, 0] < 0.12)).mean() > 0.85


def test_a_warm_fit_starts_between_the_last_weights_and_fresh_ones() -> None:
    table = nb201()
    seen, where = observed(table, [40]), np.array([0])
    streams, still = Streams(where, "x"), Training(steps=3, rate=0.0)
    fitted = {}
    for warm in (0.0, 0.5, 1.0):
        models = Convolutions(table.space, 1, 64, 2, streams, "log", "mse")
        models.fit(seen, where, Training(steps=10))
        last = models.weights.copy()
        models.fit(seen, where, still, warm=warm)
        fitted[warm] = models.weights
    np.testing.assert_array_equal(fitted[1.0], last)
    assert not np.allclose(fitted[0.0], last, atol=0.01)
    np.testing.assert_allclose(fitted[0.5], (fitted[0.0] + last) / 2, atol=1e-6)


def test_the_graph_predictor_fits_warm_after_its_first_fit() -> None:
    table = nb201()
    seen, where = observed(table, [40]), np.array([0])
    problem = Problem(table.space, table.fidelities, where, 1, np.inf)
    model = GraphPredictor(problem, Streams(where, "x"), again=Training(steps=1, rate=0.0))
    model.fit(seen, where)
    last = model.models.weights.copy()
    model.fit(seen, where)
    trained = last != 0
    alike = np.corrcoef(model.models.weights[trained], last[trained])[0, 1]
    assert 0.3 < alike < 0.99


def test_losses_that_are_not_finite_are_skipped_and_counted() -> None:
    table = nb201()
    seen, where = observed(table, [40, 40]), np.arange(2)
    good, bad = made("neural", table, [0, 1]), made("neural", table, [0, 1])
    good.fit(seen, where)
    loss = seen.loss.copy()
    loss[1, 7] = 1e300
    seen = dataclasses.replace(seen, loss=loss)
    bad.regressor.targets.kind = "raw"
    original = bad.regressor.targets.fit

    def broken(*given: Any) -> Any:
        found = original(*given)
        found[1, 7] = np.nan
        return found

    bad.regressor.targets.fit = broken
    bad.regressor.targets.kind = "log"
    bad.fit(seen, where)
    assert bad.skipped[0] == 0
    assert 0 < bad.skipped[1] < 150
    assert np.isfinite(bad.regressor.weights).all()
    queries = table.codes[::500]
    np.testing.assert_array_equal(bad.predict(queries, where)[0], good.predict(queries, where)[0])
    assert np.isfinite(bad.predict(queries, where)[1]).all()


def test_invalid_configurations_and_lower_fidelities_are_no_trouble() -> None:
    table = synthetic_table(2, missing=0.0)
    for name in ("mlp", "ridge", "gp", "forest"):
        seen = observed(table, [30, 30])
        loss, fidelity = seen.loss.copy(), seen.fidelity.copy()
        loss[0, ::3] = loss[1] = np.inf
        fidelity[0, :5] = 0
        seen = dataclasses.replace(seen, loss=loss, fidelity=fidelity)
        model = made(name, table, [0, 1])
        model.fit(seen, np.arange(2))
        assert np.isfinite(model.predict(table.codes, np.arange(2))).all()


def test_predictors_refuse_what_they_cannot_do() -> None:
    table = synthetic_table(2)
    for name in ("gcn", "neural", "neural2", "paths", "pyg", "gpwl"):
        with pytest.raises(HarnessError, match=r"are no graphs, which this predictor needs\. take one that works on"):
            made(name, table, [0])
    with pytest.raises(HarnessError, match=r"unknown predictor 'nural'\. did you mean neural"):
        registry.predictor("nural")
    if not torch.cuda.is_available():
        problem = Problem(nb201().space, np.array([200]), np.array([0]), 1, np.inf)
        with pytest.raises(HarnessError, match="no CUDA device"):
            NeuralPredictor(problem, Streams(np.array([0]), "x"), device="cuda")


@pytest.mark.reference("torch_geometric")
@pytest.mark.parametrize("conv", ["GATv2Conv", "SAGEConv", "TransformerConv", "EdgeConv", "ChebConv"])
def test_convolutions_of_pytorch_geometric_by_name(conv: str) -> None:
    table = nb201()
    seen, queries = observed(table, [20, 20]), table.codes[::500]
    model = briefly(made("pyg", table, [4, 7], conv=conv, edges="pair"))
    model.fit(seen, np.arange(2))
    along, against = model.networks[0].layers[0]
    assert type(along).__name__ == type(against).__name__ == conv
    found = model.predict(queries, np.arange(2))
    alone = briefly(made("pyg", table, [7], conv=conv, edges="pair"))
    torch.manual_seed(5)
    alone.fit(seen.of(np.array([1])), np.array([0]))
    np.testing.assert_array_equal(alone.predict(queries, np.array([0]))[0], found[1])


@pytest.mark.reference("torch_geometric")
def test_a_union_of_graphs_is_its_graphs() -> None:
    model = made("pyg", nb201(), [0], edges="pair")
    graphs = model.graphs.view.of(nb201().codes[[7, 900, 4000]])
    operators, graph, edges = (part.numpy() for part in model.union(graphs))
    for i in range(3):
        own, (vertices,) = graph == i, np.nonzero(graphs.operators[i])
        assert operators[own].tolist() == graphs.operators[i, vertices].tolist()
        (first, *_) = np.flatnonzero(own)
        here = edges[:, graph[edges[0]] == i] - first
        assert vertices[here].T.tolist() == np.argwhere(graphs.adjacency[i]).tolist()


@pytest.mark.reference("torch_geometric")
@pytest.mark.parametrize(
    ("conv", "message"),
    [
        ("GINEConv", "GINEConv needs features of edges; .* did you mean GINConv"),
        ("RGCNConv", "RGCNConv needs num_relations; .* did you mean .*GCNConv"),
        ("GATConv2", "unknown convolution of torch_geometric 'GATConv2'. did you mean GATConv or GATv2Conv"),
        ("MessagePassing", "unknown convolution"),
    ],
)
def test_convolutions_that_cannot_be_used_are_refused(conv: str, message: str) -> None:
    with pytest.raises(HarnessError, match=message):
        made("pyg", nb201(), [0], conv=conv)


def test_without_pytorch_geometric_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch_geometric.nn.conv", None)
    problem = Rules(evals=1).problem(nb201(), np.array([0]), Scoring(nb201(), 1))
    with pytest.raises(HarnessError, match=r"pyg needs torch_geometric, .* 'nas-harness\[pyg\]'"):
        registry.predictor("pyg")(problem, Streams(np.array([0]), "test"), conv="SGConv")


@pytest.mark.parametrize("name", NAMES)
def test_parameters_of_predictors_are_explained(name: str) -> None:
    for parameter in declared(registry.predictor(name)).values():
        assert parameter.parse(parameter.default) == parameter.default
        assert parameter.param.doc


def scalar_npred(table: Table, seed: int, n: int, k: int, rounds: int) -> list[int]:
    """The search of one seed with one worker, as a loop over configurations; predictor: ridge."""
    one = np.array([0])
    streams = Streams(np.array([seed]), "algorithm")
    problem = Problem(table.space, table.fidelities, np.array([seed]), 1, np.inf)
    ridge = registry.predictor("ridge")
    model = ridge(problem, streams.child("predictor"), **resolve("ridge", ridge, {}))
    grid = [tuple(c) for c in np.ndindex(*table.space.sizes.tolist())]
    order = np.argsort(streams.child("initial").uniform(len(grid), one)[0], kind="stable").tolist()
    history: list[tuple[tuple[int, ...], int, float]] = []
    losses = table.mean_loss[:, -1]

    def train(codes: tuple[int, ...]) -> bool:
        row = int(table.rows(np.array([codes]))[0])
        loss = float(losses[row]) if row >= 0 and np.isfinite(losses[row]) else np.inf
        history.append((codes, row if loss < np.inf else -1, loss))
        return loss < np.inf

    trained = 0
    while trained < n and order:
        trained += train(grid[order.pop(0)])
    for _ in range(rounds):
        codes = np.array([[h[0] for h in history]])
        loss, full = np.array([[h[2] for h in history]]), np.full((1, len(history)), len(table.fidelities) - 1)
        model.fit(Seen(codes, full, loss, np.array([len(history)])), one)
        predicted = model.predict(np.array(grid), one)[0]
        left = [grid[i] for i in np.argsort(predicted, kind="stable") if grid[i] not in [h[0] for h in history]]
        trained = 0
        while trained < k and left:
            trained += train(left.pop(0))
    return [row for _, row, _ in history]


@pytest.mark.parametrize(("n", "k", "rounds"), [(20, 10, 1), (10, 7, 3), (30, 500, 2)])
def test_npred_is_its_scalar_loop(n: int, k: int, rounds: int) -> None:
    table = synthetic_table(3, sizes=(4, 3, 2, 5), missing=0.2)
    params = resolve("npred", npred, {"random": n, "top": k, "rounds": rounds, "predictor": "ridge"})
    rules = Rules(evals=1000, noise="mean", log="all")
    run = simulate(table, partial(npred, **params), seeds=np.arange(4), rules=rules)
    for seed in range(4):
        rows = run.row[run.seed == seed]
        found = np.where(np.isfinite(run.loss[run.seed == seed]), rows, -1)
        assert found.tolist() == scalar_npred(table, seed, n, k, rounds)


def test_npred_with_workers_trains_as_many_and_then_ends() -> None:
    table = synthetic_table(3, sizes=(4, 3, 2, 5), missing=0.2)
    params = resolve("npred", npred, {"random": 20, "top": 8, "rounds": 2, "predictor": "ridge"})
    rules = Rules(evals=1000, workers=5, log="all")
    run = simulate(table, partial(npred, **params), seeds=np.arange(4), rules=rules)
    for seed in range(4):
        rows, finite = run.row[run.seed == seed], np.isfinite(run.loss[run.seed == seed])
        assert finite.sum() == 36
        assert len(set(rows[finite].tolist())) == 36


def test_npred_of_a_large_space_predicts_a_pool() -> None:
    table = synthetic_table(4, sizes=(3, 4), missing=0.0)
    space = synthetic_table(4, sizes=(2,) * 3, missing=0.0).space
    large = type(space)(space.parameters * 6)
    problem = Problem(large, np.array([1]), np.arange(2), 1, np.inf)
    search = npred(problem, Streams(np.arange(2), "x"), random=3, top=2, pool=50, predictor="ridge")
    assert search.order is None
    assert len(table) == 12
    assert search.candidates(np.arange(2)).shape == (2, 50, 18)


def test_npred_picks_no_graph_twice() -> None:
    """Of NAS-Bench-201's codes with one graph, which are predicted alike, and of NAS-Bench-101's cells in any order."""
    for space in (nb201().space, ENCODINGS["a"].space):
        problem = Problem(space, np.array([1]), np.arange(2), 1, np.inf)
        search = npred(problem, Streams(np.arange(2), "x"), random=30, top=20, pool=3000, predictor="ridge")
        codes = space.sample(np.random.default_rng(0).random((60, space.dimensions)))
        for one in codes.reshape(2, 30, -1).transpose(1, 0, 2):
            zeros = np.zeros(2, dtype=np.int64)
            search.tell(Results(np.arange(2), zeros, one, zeros, one.mean(axis=1), np.ones(2)))
        search.fit(np.arange(2))
        for ranked, known in zip(search.ranked, codes.reshape(2, 30, -1), strict=True):
            numbers = identities(space, ranked)
            assert len(np.unique(numbers)) == len(numbers) > 1000
            assert not np.isin(identities(space, known), numbers).any()


def test_capped_targets_do_not_tell_bad_from_worse() -> None:
    loss = np.array([[0.1, 0.4, np.inf, 0.2, 0.3, 0.9, 0.0]])
    seen = Seen(np.zeros((1, 7, 2), dtype=np.int64), np.zeros((1, 7), dtype=np.int64), loss, np.array([6]))
    where = np.array([0])
    targets = Targets(1, "capped")
    found = targets.fit(seen, where)
    expected = [0.1, 0.3, 0.3, 0.2, 0.3, 0.3]
    assert targets.losses(found.astype(float), where)[0, :6].tolist() == pytest.approx(expected)
    assert found[0, :6].mean() == pytest.approx(0, abs=1e-6)
    assert found[0, :6].std() == pytest.approx(1, rel=1e-5)
    assert found[0, 6] == 0


def test_npred_beats_random_search() -> None:
    table, regret = nb201(), {}
    for name, given in (("npred", {"random": 60, "top": 20, "predictor": "gcn"}), ("rs", {})):
        factory = registry.algorithm(name)
        configured = partial(factory, **resolve(name, factory, given))
        run = simulate(table, configured, seeds=np.arange(8), rules=Rules(evals=80))
        regret[name] = table.mean_loss[run.row[run.at(np.array([1e9]))], 0].mean() - table.optimum.value
    assert regret["npred"] < 0.7 * regret["rs"]


def test_a_study_of_npred_says_what_it_cannot_do() -> None:
    def plan(rules: Rules, table: Table | None = None, **given: Any) -> Study:
        return Study.plan(table or nb201(), "npred", given, 0, 1, rules)

    with pytest.raises(HarnessError, match=r"train 272 configurations, more than the 200 of --evals\..*--evals 272"):
        plan(Rules(evals=200))
    with pytest.raises(HarnessError, match=r"npred is to train 20,100 configurations, but nb201/cifar10 has 15,625"):
        plan(Rules(budget=1e7), random=20000)
    with pytest.raises(HarnessError, match=r"unknown predictor 'rigde'\. did you mean ridge"):
        plan(Rules(budget=1e7), predictor="rigde")
    with pytest.raises(HarnessError, match="are no graphs"):
        plan(Rules(budget=1e7), registry.benchmark("fcnet/protein"))
    one, other = (plan(Rules(budget=1e7), predictor=name) for name in ("ridge", "gp"))
    assert one.id != other.id


def test_a_study_is_named_by_the_files_of_its_predictor(monkeypatch: pytest.MonkeyPatch) -> None:
    def sources() -> tuple[str, str]:
        quality = QualityStudy.plan(nb201(), "ridge", {}, range(1), [20], "mean")
        return Study.plan(nb201(), "npred", {"predictor": "ridge"}, 0, 1, Rules(budget=1e7)).source, quality.source

    before = sources()
    original = Path.read_bytes
    monkeypatch.setattr(Path, "read_bytes", lambda path: original(path) + b"#" * (path.name == "features.py"))
    assert not {*before} & {*sources()}


def test_measures_are_what_they_say() -> None:
    rng = np.random.default_rng(0)
    truth = rng.permutation(400) / 1000
    found = judge(truth + 0.01, truth, 100.0)
    assert found == pytest.approx({"mse": 1.0, "spearman": 1, "kendall": 1, "regret": 0, "precision": 1})
    found = judge(-truth, truth)
    assert found["spearman"] == pytest.approx(-1)
    assert found["precision"] == 0
    assert found["regret"] == pytest.approx(0.399)
    assert np.isnan(judge(np.zeros(400), truth)["kendall"])


def test_predict_end_to_end(harness: Harness) -> None:
    base = ("predict", "nb201", "--predictor", "ridge,forest", "--train", "20,60", "--seeds", "3", "--processes", "1")
    extra = ("--param", "forest.trees=5")
    first = harness(*base, *extra)
    assert first.status == 0, first.err
    assert "MSE" in first.err
    paths = first.out.splitlines()
    assert paths == [str(path) for path in map(Path, paths) if path.exists()]
    assert "forest(trees=5)" in first.err
    stamps = [Path(path).stat().st_mtime_ns for path in paths]
    again = harness(*base, *extra, "--json")
    assert [Path(path).stat().st_mtime_ns for path in paths] == stamps
    rows = json.loads(again.out)
    assert [(row["predictor"], row["train"]) for row in rows] == [
        ("ridge", 20), ("ridge", 60), ("forest(trees=5)", 20), ("forest(trees=5)", 60)
    ]  # fmt: skip
    assert rows[0]["mse_unit"] == "percentage points²"
    assert rows[1]["spearman_mean"] > rows[0]["spearman_mean"]
    part = harness(*base[:-4], "--seeds", "1:3", "--processes", "1", *extra, "--out", "part")
    whole, some = FORM.read(Path(paths[0])), FORM.read(Path(part.out.splitlines()[0]))
    for name in {*MEASURES} - {*SECONDS}:
        np.testing.assert_array_equal(some.measures[name], whole.measures[name][1:])
    assert all((whole.measures[name] > 0).all() for name in SECONDS)
    assert "CPU s" in first.err
    drawn = harness("plot", "--figure", "prediction", "--measure", "mse", "-o", "a.png", "results")
    assert drawn.out == "a.png\n", drawn.err
    source = json.loads(Path("a.json").read_text())
    assert [study["id"] for study in source["studies"]] == [
        FORM.read(path).study.id for path in find([Path("results")])
    ]
    assert "no finished study" in harness("plot", "results").err


def test_files_of_earlier_versions_have_no_seconds(harness: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
    (path,) = harness("predict", "nb201", "--predictor", "ridge", "--train", "20", "--seeds", "2").out.splitlines()
    written = FORM.read(Path(path))
    old = FORM.columns
    for name in SECONDS:
        old = old.remove(old.get_field_index(name))
    with monkeypatch.context() as earlier:
        earlier.setattr(type(FORM), "columns", old)
        FORM.write(written, Path("old.parquet"))
    found = FORM.read(Path("old.parquet"))
    assert found.study.id == written.study.id
    np.testing.assert_array_equal(found.measures["mse"], written.measures["mse"])
    assert all(np.isnan(found.measures[name]).all() for name in SECONDS)


@pytest.mark.parametrize(
    ("options", "message", "hint"),
    [
        (("--predictor", "rigde"), "unknown predictor 'rigde'", "ridge"),
        (("--predictor", "ridge", "--train", "1"), "at least 2", ""),
        (("--predictor", "ridge", "--train", "2,x"), "not a list of sizes", "20,50,172"),
        (("--predictor", "ridge", "--train", "15600"), "has no 15,600 configurations", "at most 15,525"),
        (("--predictor", "ridge", "--param", "ridge.penaly=1"), "'penaly'", "penalty"),
        (("--predictor", "ridge", "--param", "rige.penalty=1"), "unknown predictor in --param 'rige'", "ridge"),
        (("--predictor", "ridge", "--processes", "0"), "processes must be at least 1", ""),
    ],
)
def test_predict_refuses(harness: Harness, options: tuple[str, ...], message: str, hint: str) -> None:
    answer = harness("predict", "nb201", *options)
    assert (answer.status, answer.out) == (2, "")
    told = " ".join(answer.err.split())
    assert message in told
    assert hint in told
    assert not Path("results").exists()


def test_predict_on_cuda_needs_cuda(harness: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    answer = harness("predict", "nb201", "--predictor", "neural", "--device", "cuda")
    assert answer.status == 2
    assert "no CUDA device" in answer.err
    run = ("run", "--algo", "npred", "--bench", "nb201", "--param", "npred.device=cuda")
    assert "no CUDA device" in harness(*run).err
    fcnet = harness("predict", "fcnet/protein", "--predictor", "neural")
    assert "mlp, ridge, gp or forest" in " ".join(fcnet.err.split())


def test_list_shows_predictors(harness: Harness) -> None:
    listed = json.loads(harness("list", "predictors", "--json").out)["predictors"]
    assert [row["name"] for row in listed] == NAMES
    assert all(row["title"] for row in listed)
