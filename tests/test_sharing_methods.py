"""What each method of weight sharing promises beyond the common loop."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch.func import functional_call
from torch.nn import functional as F  # noqa: N812

from harness.sharing.method import Choice, Step
from harness.sharing.operator_costs import multiply_adds
from harness.sharing.search import SharedRun, SharedSearch, share
from harness.train import recipes
from harness.train.devices import Place
from harness.train.images import load
from harness.train.loop import Watch

RECIPE = replace(recipes.read("sharing-digits"), epochs=3, batch=360)
PLACE = Place(torch.device("cpu"), deterministic=True)
IMAGES = load("digits", None, RECIPE, PLACE.device)


def search(method: str, space: str = "digits201", **given: Any) -> SharedSearch:
    recipe = replace(RECIPE, cells=2) if method == "p-darts" else RECIPE
    return SharedSearch.plan(space, method, given, IMAGES, recipe, "fp32", "batch", 0)


def run(method: str, space: str = "digits201", **given: Any) -> Any:
    return SharedRun(search(method, space, **given), IMAGES, PLACE, Watch())


@pytest.mark.parametrize("method", ["setn", "enas", "proxyless", "p-darts"])
def test_a_stopped_search_goes_on_bit_for_bit(method: str) -> None:
    given: dict[str, Any] = {"samples": 3} if method in ("setn", "enas") else {}
    of = search(method, "digits201", **given)
    whole, _ = share(of, IMAGES, PLACE)
    first, stop = SharedRun(of, IMAGES, PLACE, Watch()), threading.Event()
    first.train_epoch(stop)
    first.end_epoch()
    stop.set()
    assert not first.train_epoch(stop)
    again = SharedRun(of, IMAGES, PLACE, Watch())
    again.restore(first.state())
    for _ in range(2):
        assert again.train_epoch(threading.Event())
        again.end_epoch()
    assert [replace(r, seconds=0.0, scoring=0.0) for r in again.log] == [
        replace(r, seconds=0.0, scoring=0.0) for r in whole
    ]


def test_proxyless_moves_two_operators_and_keeps_the_probabilities_of_the_others() -> None:
    of = run("proxyless", "nb201")
    method, before = of.method, of.method.distribution()
    of.train_epoch(threading.Event())
    assert method.costs.shape == (6, 5)
    moved = method.distribution()
    np.testing.assert_allclose(moved.sum(axis=1), 1.0)
    held = before
    of.before(*next(iter(of.images.train.batches([np.arange(64)], [np.zeros((64, 5))], None))), 64)
    held, moved = moved, method.distribution()
    assert ((np.abs(moved - held) > 1e-6).sum(axis=1) <= 2).all()
    assert (method.choices()[0].active.sum(axis=1) == 1).all()


def test_latency_is_paid_for() -> None:
    paid = []
    for latency in (0.0, 30.0):
        of = run("proxyless", "nb201", latency=latency)
        for _ in range(3):
            of.train_epoch(threading.Event())
            of.rows.append([0.0])
            of.begin()
        paid.append((of.method.distribution() * of.method.costs.numpy()).sum())
    assert paid[1] < 0.95 * paid[0]


def test_costs_are_the_multiply_adds_of_the_convolutions() -> None:
    of = run("proxyless", "nb201")
    x = torch.zeros(2, 1, 8, 8)

    def loss(choice: Choice, validation: bool) -> torch.Tensor:
        return of.network(x, choice).sum()

    found = multiply_adds(of.network, Step(0, loss, lambda _: 0.0, of.optimizer, (), 2))
    per_stage = sum(2 * (8 // 2**i) ** 2 * (4 * 2**i) ** 2 for i in range(3))
    np.testing.assert_array_equal(found, [[0, 0, per_stage, 9 * per_stage, 0]] * 6)


def test_stages_of_p_darts_deepen_the_network_and_drop_operators() -> None:
    of = run("p-darts", "nb201")
    method, kept = of.method, []
    for _ in range(3):
        of.train_epoch(threading.Event())
        kept.append((method.distribution() > 0).sum(axis=1).tolist())
        out = [[cell.left_out for cell in stage.children()] for stage in of.network.net.stages]
        assert out == [[False, not len(kept) > 1]] * 3 or len(kept) == 2
        of.end_epoch()
    assert kept == [[5] * 6, [3] * 6, [2] * 6]
    assert 0 < of.network.skip_dropout <= 0.7
    assert out == [[False, False]] * 3


def test_p_darts_keeps_few_skips() -> None:
    of = run("p-darts", "darts", skips=1)
    method, net = of.method, of.network
    with torch.no_grad():
        method.alphas[:, 3] = 5.0 + torch.arange(28) / 100
    codes = method.derive(of.scorer, none=True)
    normal = net.path(codes).active & net.skips & net.normal[:, None]
    assert normal.sum() == 1
    assert (net.path(codes).active & net.skips & ~net.normal[:, None]).sum() == 8


def test_enas_learns_what_is_rewarded() -> None:
    of = run("enas", "digits201", lr=0.05)
    method = of.method

    def accuracy(choice: Choice) -> float:
        return float(choice.active[:, 2].mean())

    step = Step(0, lambda choice, validation: torch.zeros(()), accuracy, of.optimizer, (), 64)
    for i in range(150):
        of.setting.streams = of.streams(f"test/{i}")
        method.update(step)
    for _ in range(20):
        method.choices()
    assert method.distribution()[:, 2].mean() > 0.8
    np.testing.assert_allclose(method.distribution().sum(axis=1), 1.0)


def test_setn_draws_by_its_alphas() -> None:
    of = run("setn", "digits201", samples=40)
    with torch.no_grad():
        of.method.alphas[:, 2] = 9.0
    seen: list[Any] = []

    def score(codes: Any) -> Any:
        seen.append(codes)
        return np.arange(len(codes), dtype=np.float64)

    assert of.method.derive(score, none=False).tolist() == seen[0][-1].tolist()
    assert (seen[0] == 2).mean() > 0.95


def test_the_second_order_of_darts_is_that_of_unrolled_autograd() -> None:
    """In float64, the network itself differentiated through a step of SGD with momentum and weight decay.

    Finite differences are equal as long as no activation crosses zero: at the paper's distance some do.
    """
    of = run("darts", "nb201", order="second")
    method, net, rate = of.method, of.network.double().train(), 0.05
    method.reach = 1e-5
    torch.manual_seed(3)
    method.alphas.data = 0.3 * torch.randn(6, 5, dtype=torch.float64)
    batches = [(torch.randn(24, 1, 8, 8, dtype=torch.float64), torch.arange(24) % 10) for _ in range(2)]

    def loss(choice: Choice, validation: bool, weights: dict[str, torch.Tensor] | None = None) -> torch.Tensor:
        x, labels = batches[validation]
        logits = net(x, choice) if weights is None else functional_call(net, weights, (x, choice))
        return F.cross_entropy(logits, labels)

    sgd = torch.optim.SGD(net.parameters(), rate, 0.9, weight_decay=3e-3)
    loss(method.mixture(), False).backward()
    sgd.step()
    named = dict(net.named_parameters())
    before = {name: w.detach().clone() for name, w in named.items()}
    found = method.second_order(Step(0, loss, lambda _: 0.0, sgd, tuple(named.values()), 64))
    assert all(torch.equal(w, before[name]) for name, w in named.items())
    gradients = torch.autograd.grad(loss(method.mixture(), False), [*named.values()], create_graph=True)
    moved = {
        name: w - rate * (g + 3e-3 * w + 0.9 * sgd.state[w]["momentum_buffer"])
        for (name, w), g in zip(named.items(), gradients, strict=True)
    }
    (expected,) = torch.autograd.grad(loss(method.mixture(), True, moved), method.alphas)
    fixed = {name: w.detach() for name, w in moved.items()}
    (first,) = torch.autograd.grad(loss(method.mixture(), True, fixed), method.alphas)
    assert (expected - first).norm() > 0.1 * expected.norm()
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-7)
