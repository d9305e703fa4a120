"""GPNAS and GPNAS+: what densities propose, what the predictor picks, and what is never trained again."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest

from algorithms.filtered import Filtered
from algorithms.predictors.memory import History, Known
from harness import HarnessError, Ints, Problem, Results, Rules, Streams, registry, simulate
from harness.benchmarks import nasbench_graph
from harness.graphs import classes
from harness.space import SearchSpace
from harness.spaces.nasbench101 import ENCODINGS, ONE_SHOT
from harness.spaces.nasbench201 import SPACE
from harness.testing import synthetic_table

NONE, SKIP = 0, 1
SPACES = {
    **{f"nb101/{name}": encoding.space for name, encoding in ENCODINGS.items()},
    **{f"1shot1/{name}": space for name, space in ONE_SHOT.items()},
    "nb-graph": nasbench_graph.SPACES["cora"],
}


Variant = Callable[..., Any]
GPNAS: Variant = registry.algorithm("gpnas")
GPNASPlus: Variant = registry.algorithm("gpnas+")
VARIANTS = pytest.mark.parametrize("variant", [GPNAS, GPNASPlus])


def problem(space: SearchSpace = SPACE, seeds: int = 3, fidelities: tuple[int, ...] = (200,)) -> Problem:
    return Problem(space, np.array(fidelities), np.arange(seeds), 1, np.inf)


def trained(algorithm: Filtered, n: int, seeds: Ints) -> list[Ints]:
    """Configurations that n steps train, each losing by the number of its operators that are `none`."""
    worker, history = np.zeros(len(seeds), dtype=np.int64), []
    for _ in range(n):
        jobs = algorithm.ask(seeds, worker)
        loss = 0.1 + (jobs.codes == NONE).mean(axis=1)
        fidelity = np.broadcast_to(jobs.fidelity, len(seeds)).astype(np.int64)
        algorithm.tell(Results(seeds, worker, jobs.codes, fidelity, loss, np.ones(len(seeds))))
        history.append(jobs.codes)
    return history


class LikesFewSkips:
    """A predictor that says the number of skip connections."""

    def fit(self, seen: Any, where: Ints) -> None:
        assert (seen.count >= 16).all()

    def predict(self, codes: Ints, where: Ints) -> Any:
        self.shown = codes
        return (codes == SKIP).sum(axis=2).astype(float)


def test_the_child_with_the_lowest_prediction_is_trained() -> None:
    algorithm = GPNAS(problem(), Streams(np.arange(3), "t"), predictor="none", random_fraction=0.0)
    seeds = np.arange(3)
    trained(algorithm, 20, seeds)
    algorithm.predictor = judge = LikesFewSkips()
    for _ in range(5):
        known = algorithm.known.known.copy()
        jobs = algorithm.ask(seeds, np.zeros(3, dtype=np.int64))
        places = algorithm.known.places(judge.shown.reshape(-1, 6)).reshape(judge.shown.shape[:2])
        new = ~np.take_along_axis(known, places, axis=1)
        skips = (judge.shown == SKIP).sum(axis=2)
        assert judge.shown.shape == (3, 256, 6)
        assert ((jobs.codes == SKIP).sum(axis=1) == np.where(new, skips, 9).min(axis=1)).all()
        algorithm.tell(Results(seeds, np.zeros(3, int), jobs.codes, np.zeros(3, int), np.ones(3), np.ones(3)))


@VARIANTS
def test_no_graph_is_trained_twice(variant: Variant) -> None:
    algorithm = variant(problem(), Streams(np.arange(3), "t"), predictor="none")
    after = np.stack(trained(algorithm, 120, np.arange(3)))[20:]
    for s in range(3):
        places = algorithm.known.places(after[:, s])
        assert len(np.unique(places)) == len(places)


def test_configurations_with_the_same_graph_are_one() -> None:
    """Whatever stands on the edge 1 -> 2 means nothing where node 1 gets no input."""
    codes = np.array([[NONE, 3, op, 2, 4, 3] for op in range(5)])
    known = Known(2, SPACE)
    assert len(np.unique(known.places(codes))) == 1
    known.add(np.array([1]), codes[:1])
    assert known.has(np.array([0, 1]), np.stack([codes, codes])).tolist() == [[False] * 5, [True] * 5]
    assert SPACE.graphs is not None
    adjacency, operators = SPACE.graphs.of(every := np.stack(np.unravel_index(np.arange(15625), [5] * 6), axis=1))
    graphs = np.concatenate([adjacency.reshape(15625, -1), operators], axis=1)
    assert len(np.unique(known.places(every))) == len(np.unique(graphs, axis=0)) == 9445


def test_cells_of_nasbench101_are_one_in_any_order_of_their_vertices() -> None:
    space = ENCODINGS["a"].space
    codes = space.sample(np.random.default_rng(0).random((3000, 26)))
    different = np.unique(classes(space.graphs.of(codes)))  # type: ignore[union-attr]
    places = np.unique(Known(1, space).places(codes))
    assert 0 <= len(different) - len(places) <= 20


def test_history_keeps_what_was_told_in_order() -> None:
    history, rng = History(2, SPACE), np.random.default_rng(0)
    codes, loss = rng.integers(5, size=(150, 6)), rng.random(150)
    for c, y in zip(codes, loss, strict=True):
        one = np.array([0])
        history.add(Results(np.array([1]), one, c[None], one, np.array([y]), one.astype(float)))
    seen = history.of(np.array([1]))
    assert (seen.codes[0] == codes).all()
    assert (seen.loss[0] == loss).all()
    assert seen.count.tolist() == [150]
    assert history.count.tolist() == [0, 150]


@pytest.mark.parametrize("dropout", [0.0, 1.0])
def test_dropped_connections_are_skips_and_fewer_as_time_goes_on(dropout: float) -> None:
    algorithm = GPNAS(problem(seeds=2), Streams(np.arange(2), "t"), dropout=dropout, decay=10, predictor="none")
    skips = np.full((2, 4000, 6), SKIP)
    algorithm.proposed[:] = 0, 20
    dropped = (algorithm.dropped(np.arange(2), skips) == NONE).mean(axis=(1, 2))
    assert dropped == pytest.approx([dropout, dropout / 4], abs=0.01)
    operators = np.full((2, 5, 6), 2)
    assert (algorithm.dropped(np.arange(2), operators) == operators).all()


@pytest.mark.parametrize(
    "search",
    [
        partial(variant, growth=2.0, **params)
        for variant, params in (
            (GPNAS, {}),
            *((GPNAS, params) for params in ({"alternate": False}, {"predictor": "mlp"}, {"predictor": "none"})),
            (GPNASPlus, {}),
            (GPNASPlus, {"predictor": "none"}),
        )
    ],
)
def test_a_seed_alone_is_the_seed_among_others(search: Any) -> None:
    table, rules = registry.benchmark("nb201/cifar10"), Rules(evals=45)
    whole = simulate(table, search, seeds=np.arange(3, 9), rules=rules)
    alone = simulate(table, search, seeds=np.array([5]), rules=rules)
    assert whole.row[whole.seed == 2].tolist() == alone.row.tolist()


@VARIANTS
@pytest.mark.parametrize(("bench", "workers"), [("fcnet/protein", 3), ("nb201/cifar100", 4)])
def test_it_runs_on_other_spaces_and_with_workers(bench: str, workers: int, variant: Variant) -> None:
    table = registry.benchmark(bench)
    search, rules = partial(variant, growth=2.0), Rules(evals=60, workers=workers, log="all")
    run = simulate(table, search, seeds=np.arange(4), rules=rules)
    assert run.evaluations.tolist() == [60] * 4


@VARIANTS
@pytest.mark.parametrize("name", SPACES)
def test_every_space_of_graphs_is_searched(name: str, variant: Variant) -> None:
    space = SPACES[name]
    algorithm, seeds = variant(problem(space), Streams(np.arange(3), "t"), startup=6, growth=2.0), np.arange(3)
    codes = np.stack(trained(algorithm, 30, seeds))
    assert ((codes >= 0) & (codes < space.sizes)).all()
    different = [len(np.unique(algorithm.known.places(codes[6:, s]))) for s in seeds]
    assert min(different) >= 22, "24 without the random ones that stand in where all children are known"


@VARIANTS
def test_fidelities_are_used_and_the_predictor_learns_from_all(variant: Variant) -> None:
    table = synthetic_table(2)
    run = simulate(
        table, partial(variant, startup=10, growth=2.0), seeds=np.arange(4), rules=Rules(evals=80, log="all")
    )
    assert set(run.fidelity.tolist()) == {0, 1, 2}


def test_a_graph_predictor_needs_graphs() -> None:
    with pytest.raises(HarnessError, match="no graphs"):
        simulate(synthetic_table(), partial(GPNAS, predictor="gcn"), seeds=np.arange(1), rules=Rules(evals=1))


@VARIANTS
def test_it_beats_random_search_early(variant: Variant) -> None:
    """At 60 evaluations, 12 seeds: far below random search's 7e-3 on the mean regret."""
    table = registry.benchmark("nb201/cifar10")
    run = simulate(table, variant, seeds=np.arange(12), rules=Rules(evals=60))
    last = np.append(np.flatnonzero(np.diff(run.seed)), len(run.seed) - 1)
    regret = table.mean_loss[run.row[last], -1] - table.optimum.value
    assert regret.mean() < 4.5e-3


def test_without_a_gpu_cuda_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(HarnessError, match="no CUDA device"):
        GPNAS(problem(), Streams(np.arange(3), "t"), device="cuda")


def test_a_gpu_is_asked_for_where_there_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """The devices of the networks' tensors, recorded instead of used."""
    asked = []

    def to(tensor: Any, device: Any) -> Any:
        asked.append(str(device))
        return tensor

    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.Tensor.to", to)
    predictor: Any = GPNAS(problem(), Streams(np.arange(3), "t"), device="cuda").predictor
    assert predictor.predict(problem().space.sample(np.zeros((2, 6))), np.arange(3)).shape == (3, 2)
    assert set(asked) == {"cuda"}
