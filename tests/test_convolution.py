"""GPNAS's network as compiled loops beside the same network of torch."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pytest
import torch

from algorithms.predictors import convolution, descent
from algorithms.predictors.batched import Batched, one_thread
from algorithms.predictors.graph import Convolutions
from algorithms.predictors.losses import LOSSES
from algorithms.predictors.networks import GraphNetwork
from algorithms.predictors.training import Training
from harness import SearchSpace, Seen, Streams
from harness.spaces.nasbench101 import ENCODINGS
from harness.spaces.nasbench201 import SPACE as NB201

NB101 = ENCODINGS["a"].space
SEEDS = np.array([3, 8])


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> Any:
    with one_thread():
        yield


def both(space: SearchSpace, fidelities: int, layers: int, loss: Any, width: int) -> tuple[Convolutions, Batched]:
    streams = Streams(SEEDS, "test")
    ours = Convolutions(space, fidelities, width, layers, streams, "raw", loss)
    return ours, Batched(GraphNetwork(space, fidelities, width, layers), streams, target="raw", loss=loss)


def observed(space: SearchSpace, fidelities: int, count: int) -> Seen:
    rng = np.random.default_rng(0)
    codes = rng.integers(0, space.sizes, (2, count, space.dimensions))
    codes[:, 1] = codes[:, 0]
    fidelity = rng.integers(0, fidelities, (2, count))
    return Seen(codes, fidelity, rng.standard_normal((2, count)), np.full(2, count))


CASES = [
    (NB201, 1, 2, "mse", 64, 40),
    (NB201, 1, 1, "mse", 64, 7),
    (NB201, 4, 3, "hinge", 13, 40),
    (NB201, 3, 2, "listwise", 64, 33),
    (NB101, 1, 2, "hinge", 24, 40),
    (NB101, 4, 4, "mse", 64, 9),
    (NB101, 4, 1, "listwise", 5, 40),
]


@pytest.mark.parametrize(("space", "fidelities", "layers", "loss", "width", "count"), CASES)
def test_slopes_are_those_of_autograd(
    space: SearchSpace, fidelities: int, layers: int, loss: Any, width: int, count: int
) -> None:
    ours, theirs = both(space, fidelities, layers, loss, width)
    seen = observed(space, fidelities, count)
    y = seen.loss.astype(np.float32)
    ours.start(np.arange(2), 0.0)
    parameters, statistics = (torch.from_numpy(x.copy()) for x in (ours.weights, ours.statistics))
    leaves = {name: view.detach().requires_grad_() for name, view in ours.trained.views(parameters).items()}
    inputs = theirs.network.inputs(seen.codes.reshape(-1, space.dimensions), seen.fidelity.ravel())
    tensors = tuple(torch.from_numpy(x).view(2, count, *x.shape[1:]) for x in inputs)
    predicted = theirs.network.forward(leaves | ours.running.views(statistics), tensors, torch.zeros(0))
    total = LOSSES[loss](predicted, torch.from_numpy(y)).sum()
    expected = dict(zip(leaves, torch.autograd.grad(total, tuple(leaves.values())), strict=True))

    flat, weights, rows, running = ours._table()
    slopes, _ = ours._named(flat[1:2], rows)
    matrices, labels, which = ours._numbered(seen.codes)
    room = convolution.room(weights, count, labels.shape[1], len(labels))
    found = np.zeros_like(ours.weights)
    for i in range(2):
        flat[0], rows[:] = ours.weights[i], ours.statistics[i]
        convolution.fit(
            weights, slopes, running, room, convolution.back(weights, room), flat, matrices, labels, which[i],
            seen.fidelity[i], y[i], np.arange(count)[None], np.zeros((1, 3), np.float32), np.float32(0),
            descent.LOSSES[loss],
        )  # fmt: skip
        found[i] = flat[1]
        np.testing.assert_allclose(rows[0], statistics[i], rtol=1e-5, atol=1e-6)
    for name, view in ours.trained.views(found).items():
        # the slope of an order by the bias is zero, and what rounding leaves
        scale = max(float(expected[name].abs().max()), 1e-2)
        np.testing.assert_allclose(view / scale, expected[name] / scale, atol=1e-4, err_msg=name)


@pytest.mark.parametrize(("space", "fidelities", "layers", "loss", "width", "count"), CASES)
def test_a_short_fit_is_that_of_torch(
    space: SearchSpace, fidelities: int, layers: int, loss: Any, width: int, count: int
) -> None:
    seen, where = observed(space, fidelities, count), np.arange(2)
    queries = np.random.default_rng(1).integers(0, space.sizes, (2, 50, space.dimensions))
    training = Training(steps=6, batch=8, rate=2e-3, decay=0.1, l2=1e-3)
    predicted = []
    for models in both(space, fidelities, layers, loss, width):
        models.fit(seen, where, training)
        models.fit(seen, where, training, warm=0.5)
        predicted.append(models.predict(queries, where, fidelities - 1))
        shared = models.predict(queries[0], where, fidelities - 1)
        np.testing.assert_allclose(shared[0], predicted[-1][0], rtol=1e-5)
    spread = predicted[1].std()
    np.testing.assert_allclose(predicted[0] / spread, predicted[1] / spread, atol=3e-4)


def test_steps_whose_loss_is_not_finite_are_left_out() -> None:
    models, _ = both(NB201, 1, 2, "mse", 64)
    seen = observed(NB201, 1, 40)
    original = models.targets.fit

    def broken(*given: Any) -> Any:
        found = original(*given)
        found[1, 7] = np.nan
        return found

    models.targets.fit = broken  # type: ignore[method-assign, assignment]
    models.fit(seen, np.arange(2), Training(steps=30))
    assert models.skipped[0] == 0
    assert 0 < models.skipped[1] < 30
    assert np.isfinite(models.weights).all()


def test_gpnas_does_without_torch() -> None:
    run = "import harness; harness.run('gpnas', 'nb201/cifar10', seeds=1, evals=18, quiet=True)"
    code = f"{run}; import sys; print('algorithms.predictors.convolution' in sys.modules, 'torch' in sys.modules)"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout == "True False\n"
