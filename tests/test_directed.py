"""The neural predictor's network as compiled loops beside the same network of torch, and the graphs that it sees."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pytest
import torch

from algorithms.predictors import descent, directed
from algorithms.predictors.batched import Batched, one_thread
from algorithms.predictors.losses import LOSSES
from algorithms.predictors.networks import DirectedNetwork
from algorithms.predictors.neural import Directions
from algorithms.predictors.products import Sparse, floats
from algorithms.predictors.training import Training
from algorithms.predictors.unfolded import Unfoldings, unfold
from harness import SearchSpace, Seen, Streams
from harness.graphs import Graphs
from harness.spaces.nasbench101 import ENCODINGS
from harness.spaces.nasbench201 import SPACE as NB201

NB101 = ENCODINGS["a"].space
SEEDS = np.array([3, 8])


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> Any:
    with one_thread():
        yield


def both(space: SearchSpace, width: int, layers: int, last: int, loss: Any) -> tuple[Directions, Batched]:
    streams = Streams(SEEDS, "test")
    network = DirectedNetwork(space, width, layers, last)
    return Directions(space, streams, "raw", loss, 0.0, width, layers, last), Batched(
        network, streams, target="raw", loss=loss
    )


def drawn(space: SearchSpace, rng: np.random.Generator, *shape: int) -> Any:
    codes = rng.integers(0, space.sizes, (*shape, space.dimensions))
    if space is NB101:
        codes[..., :21] = rng.random((*shape, 21)) < 0.35
    return codes


def observed(space: SearchSpace, count: int) -> Seen:
    rng = np.random.default_rng(0)
    codes = drawn(space, rng, 2, count)
    codes[:, 1] = codes[:, 0]
    return Seen(codes, np.zeros((2, count), np.int64), rng.standard_normal((2, count)), np.full(2, count))


CASES = [
    (NB201, 144, 3, 128, "mse", 32),
    (NB201, 13, 3, 7, "hinge", 40),
    (NB201, 16, 1, 16, "listwise", 9),
    (NB101, 24, 3, 10, "mse", 40),
    (NB101, 9, 3, 12, "hinge", 33),
    (NB101, 32, 1, 5, "listwise", 40),
]


@pytest.mark.parametrize(("space", "width", "layers", "last", "loss", "count"), CASES)
def test_slopes_are_those_of_autograd(
    space: SearchSpace, width: int, layers: int, last: int, loss: Any, count: int
) -> None:
    ours, theirs = both(space, width, layers, last, loss)
    seen = observed(space, count)
    y = seen.loss.astype(np.float32)
    ours.start(np.arange(2), 0.0)
    leaves = {
        name: view.detach().requires_grad_()
        for name, view in ours.trained.views(torch.from_numpy(ours.weights.copy())).items()
    }
    inputs = theirs.network.inputs(seen.codes.reshape(-1, space.dimensions), seen.fidelity.ravel())
    tensors = tuple(torch.from_numpy(x).view(2, count, *x.shape[1:]) for x in inputs)
    predicted = theirs.network.forward(leaves, tensors, None)
    total = LOSSES[loss](predicted, torch.from_numpy(y)).sum()
    expected = dict(zip(leaves, torch.autograd.grad(total, tuple(leaves.values())), strict=True))

    graphs, which = ours.graphs.of(seen.codes)
    flat = floats(4, ours.trained.size)
    weights, slopes = ours._named(flat[:1]), ours._named(flat[1:2])
    room = directed.room(weights, graphs, count, layers)
    found = np.zeros_like(ours.weights)
    for i in range(2):
        flat[0], flat[1:] = ours.weights[i], np.nan
        directed.fit(
            weights, slopes, room, directed.back(weights, room), flat, graphs, which[i], y[i], np.arange(count)[None],
            np.zeros((1, 3), np.float32), np.float32(0), descent.LOSSES[loss], np.float32(0), np.uint64(0),
        )  # fmt: skip
        found[i] = flat[1]
    for name, view in ours.trained.views(found).items():
        # the slope of an order by the bias is zero, and what rounding leaves
        scale = max(float(expected[name].abs().max()), 1e-2)
        np.testing.assert_allclose(view / scale, expected[name] / scale, atol=1e-4, err_msg=name)


@pytest.mark.parametrize(("space", "width", "layers", "last", "count"), [(*case[:4], case[5]) for case in CASES])
def test_a_short_fit_is_that_of_torch(space: SearchSpace, width: int, layers: int, last: int, count: int) -> None:
    """To squared errors: of what only shifts an order the slope is rounding, which Adam makes a whole step of."""
    seen, where = observed(space, count), np.arange(2)
    queries = drawn(space, np.random.default_rng(1), 2, 300)
    training = Training(steps=6, batch=8, rate=2e-3, decay=0.1, l2=1e-3)
    predicted = []
    for models in both(space, width, layers, last, "mse"):
        models.fit(seen, where, training)
        models.fit(seen, where, training, warm=0.5)
        predicted.append(models.predict(queries, where, 0))
        shared = models.predict(queries[0], where, 0)
        np.testing.assert_allclose(shared[0], predicted[-1][0], rtol=1e-5, atol=1e-5)
    spread = predicted[1].std()
    np.testing.assert_allclose(predicted[0] / spread, predicted[1] / spread, atol=3e-4)


@pytest.mark.parametrize("space", [NB201, NB101])
def test_slopes_behind_dropout_are_those_of_autograd(space: SearchSpace) -> None:
    """Of the same rows, propagation and masks; each vertex of each observation has a row and a mask of its own."""
    width, layers, last, count, dropout = 24, 3, 10, 40, 0.25
    models = Directions(space, Streams(SEEDS, "test"), "raw", "mse", dropout, width, layers, last)
    seen = observed(space, count)
    y = seen.loss[0].astype(np.float32)
    models.start(np.arange(2), 0.0)
    graphs = models.graphs.apart(seen.codes[0])
    flat = floats(4, models.trained.size)
    weights, slopes = models._named(flat[:1]), models._named(flat[1:2])
    flat[0] = models.weights[0]
    room = directed.room(weights, graphs, count, layers, dropout=True)
    (state,) = models.noise.states(directed.draws(room), np.array([0]))
    directed.fit(
        weights, slopes, room, directed.back(weights, room), flat, graphs, np.arange(count), y,
        np.arange(count)[None], np.zeros((1, 3), np.float32), np.float32(0), descent.MSE, np.float32(dropout), state,
    )  # fmt: skip
    assert space.graphs is not None
    n = int((space.graphs.of(seen.codes[0]).operators > 0).sum())
    assert room.size.tolist() == [n] * layers
    masks = np.concatenate([room.mask[:, :n].ravel(), room.last_mask.ravel()])
    assert set(masks.tolist()) == {0.0, np.float32(1) / np.float32(1 - dropout)}
    assert abs((masks == 0).mean() - dropout) < 5 * (dropout * (1 - dropout) / masks.size) ** 0.5

    def dense(rows: Sparse, place: Any, n: int, columns: int) -> torch.Tensor:
        out, (length, at, value) = torch.zeros(n, columns), (part[place] for part in rows)
        for r in range(n):
            for k in range(int(length[r])):
                out[r, at[r, k]] += float(value[r, k])
        return out

    leaves = {
        name: view[0].detach().requires_grad_()
        for name, view in models.trained.views(torch.from_numpy(models.weights[:1].copy())).items()
    }
    hidden = torch.eye(len(leaves["along1"]))
    for k in range(layers):
        came = [
            dense(room.edges, (k, way), n, len(hidden)) @ hidden @ leaves[f"{name}{k + 1}"]
            for way, name in enumerate(("along", "against"))
        ]
        hidden = (came[0].relu() + came[1].relu()) * torch.from_numpy(room.mask[k, :n])
    pooled = dense(room.pool, (), count, n) @ hidden
    head = (pooled @ leaves["hidden"] + leaves["hidden.bias"]).relu() * torch.from_numpy(room.last_mask)
    predicted = (head @ leaves["output"] + leaves["bias"])[:, 0]
    np.testing.assert_allclose(predicted.detach(), room.predicted[room.slot, 0], atol=1e-5)
    expected = torch.autograd.grad((predicted - torch.from_numpy(y)).square().mean(), tuple(leaves.values()))
    for (name, view), slope in zip(models.trained.views(flat[1:2]).items(), expected, strict=True):
        scale = float(slope.abs().max())
        np.testing.assert_allclose(view[0] / scale, slope / scale, atol=1e-4, err_msg=name)


def test_dropout_is_of_training_only_and_of_the_seed_alone() -> None:
    seen, training = observed(NB201, 40), Training(steps=12, batch=8, rate=2e-3)
    queries = drawn(NB201, np.random.default_rng(1), 50)
    together, alone = (Directions(NB201, Streams(seeds, "test"), "raw", "mse", 0.1, 16) for seeds in (SEEDS, SEEDS[1:]))
    together.fit(seen, np.arange(2), training)
    alone.fit(seen.of(np.array([1])), np.array([0]), training)
    found = together.predict(queries, np.arange(2), 0)
    np.testing.assert_array_equal(alone.predict(queries, np.array([0]), 0)[0], found[1])
    np.testing.assert_array_equal(together.predict(queries, np.arange(2), 0), found)
    without = Directions(NB201, Streams(SEEDS, "test"), "raw", "mse", 0.0, 16)
    without.fit(seen, np.arange(2), training)
    assert (without.predict(queries, np.arange(2), 0) != found).any()


@pytest.mark.parametrize("space", [NB201, NB101])
def test_what_a_graph_is_predicted_does_not_depend_on_others(space: SearchSpace) -> None:
    models, _ = both(space, 24, 3, 8, "mse")
    models.fit(observed(space, 40), np.arange(2), Training(steps=3))
    queries, one = drawn(space, np.random.default_rng(2), 500), np.array([1])
    together = models.predict(queries, one, 0)[0]
    np.testing.assert_array_equal(models.predict(queries[::-7], one, 0)[0], together[::-7])
    np.testing.assert_array_equal(models.predict(queries[None, 7:8], one, 0)[0], together[7:8])


def unfolding(graphs: Graphs, graph: int, vertex: int, layers: int) -> Any:
    """What a vertex knows of its graph, written out: of each layer what is ahead and behind, the vertex itself too."""
    if not layers:
        return int(graphs.operators[graph, vertex])
    edges = graphs.adjacency[graph]
    return tuple(
        tuple(sorted(repr(unfolding(graphs, graph, u, layers - 1)) for u in {vertex, *np.flatnonzero(one).tolist()}))
        for one in (edges[vertex], edges[:, vertex])
    )


@pytest.mark.parametrize("space", [NB201, NB101])
@pytest.mark.parametrize("layers", [1, 2, 3])
def test_vertices_are_one_that_know_the_same(space: SearchSpace, layers: int) -> None:
    assert space.graphs is not None
    graphs = space.graphs.of(drawn(space, np.random.default_rng(0), 40))
    found = unfold(graphs, layers)

    def of(node: int, left: int) -> Any:
        if not left:
            return node + 1
        return tuple(tuple(sorted(repr(of(at, left - 1)) for at in below(way, node))) for way in (0, 1))

    def below(way: int, node: int) -> list[int]:
        n, value = int(found.edges.length[way, node]), found.edges.value[way, node]
        np.testing.assert_allclose(value, [1 / n] * n + [0] * (len(value) - n), rtol=1e-6)
        return [int(at) for at in found.edges.at[way, node, :n]]

    for g, nodes in enumerate(found.last):
        known = [unfolding(graphs, g, int(v), layers) for v in np.flatnonzero(graphs.operators[g])]
        mine = [of(int(node), layers) for node in nodes if node >= 0]
        assert sorted(map(repr, known)) == sorted(map(repr, mine))
    last = found.last[found.last >= 0]
    assert len(np.unique(last)) == len({repr(of(int(node), layers)) for node in last})


def test_the_vertices_of_nasbench201_behind_each_layer_are_as_many_as_told() -> None:
    nodes = [len(Unfoldings(NB201, layers).of(np.zeros((1, 6), np.int64))[0].edges.length[0]) for layers in (1, 2, 3)]
    assert np.diff([0, *nodes]).tolist() == [244, 22590, 64046]


def test_npred_does_without_torch() -> None:
    few = "params={'npred': {'random': 15, 'top': 3}}"
    run = f"import harness; harness.run('npred', 'nb201/cifar10', seeds=1, evals=18, {few}, quiet=True)"
    code = f"{run}; import sys; print('algorithms.predictors.directed' in sys.modules, 'torch' in sys.modules)"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout == "True False\n"
