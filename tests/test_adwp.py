"""Weight prediction: predicted weights take the parameters' place, cells differ, stages move what they may."""

from __future__ import annotations

import io
import threading
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from algorithms.sharing import intensive
from algorithms.sharing.adwp import WeightPrediction
from harness import HarnessError
from harness.rng import Streams
from harness.sharing.cells import CellSuperNetwork
from harness.sharing.method import Choice, Setting
from harness.sharing.search import SharedRun, SharedSearch
from harness.spaces import published
from harness.train import recipes
from harness.train.devices import Place
from harness.train.images import load
from harness.train.loop import Watch

PLACE = Place(torch.device("cpu"), deterministic=True)
RECIPE = replace(recipes.read("sharing-digits"), epochs=10, batch=360)
IMAGES = load("digits", None, RECIPE, PLACE.device)


def supernet() -> CellSuperNetwork:
    torch.manual_seed(1)
    return CellSuperNetwork(published("digits201").space, RECIPE, colours=1, classes=10)


def method(**given: Any) -> WeightPrediction:
    return WeightPrediction(Setting(supernet(), 10, 2, Streams(np.array([0]), "test")), operations=3, **given)


def test_predicted_weights_are_the_network_with_these_weights() -> None:
    net, x = supernet().train(), torch.randn(9, 1, 8, 8)
    active = np.ones((6, 3), dtype=np.bool_)
    weights = torch.rand(6, 3)
    predicted = {kernel.name: torch.randn(kernel.shape) for kernel in net.kernels()}
    found = net(x, Choice(active, weights, predicted=predicted))
    for name, weight in predicted.items():
        net.get_parameter(name).data.copy_(weight)
    torch.testing.assert_close(net(x, Choice(active, weights)), found, rtol=0, atol=1e-5)


def test_cells_of_their_own_are_those_cells() -> None:
    net, x = supernet().train(), torch.randn(9, 1, 8, 8)
    same, weights = np.ones((3, 6, 3), dtype=np.bool_), torch.rand(6, 3)
    whole = net(x, Choice(same[0], weights))
    torch.testing.assert_close(net(x, Choice(same, weights.expand(3, -1, -1))), whole, rtol=0, atol=1e-6)
    other = weights.expand(3, -1, -1).clone()
    other[2] = other[2].flip(1)
    assert (net(x, Choice(same, other)) - whole).abs().max() > 1e-3


def test_superiority_is_stability_times_accuracy_over_the_window() -> None:
    one, other = (np.zeros((6, 3), dtype=np.bool_) for _ in range(2))
    one[:, 1], other[:, 1] = True, True
    other[0, 1], other[0, 2] = False, True
    seen = [(one, 0.5), (one, 0.6), (other, 0.8), (other, 0.9)]
    kept = 1 - 1 / 6
    expected = [0.5, 0.5 * 0.6, kept * 0.5 * kept * 0.6 * 0.8, kept * 0.6 * 0.8 * 0.9]
    np.testing.assert_allclose(intensive.superiority(seen), expected)
    assert intensive.most_superior(seen) == 3


def test_the_intensive_space_has_k_operations_of_a_node_and_never_none() -> None:
    own = method()
    inside = intensive.likeliest(own.net, np.random.default_rng(0).random((6, 3)), own.operations)
    assert [int(inside[list(edges)].sum()) for edges in own.net.into] == [2, 3, 3]
    assert not inside[:, 0].any()
    own.inside = torch.from_numpy(inside)
    share = own.relaxed(own.own).detach()
    for edges in own.net.into:
        torch.testing.assert_close(share[:, list(edges)].sum((1, 2)), torch.ones(3))
    assert (share.numpy()[:, ~inside] == 0).all()


def test_a_node_ends_with_two_operations_on_different_edges() -> None:
    own = method()
    weights = np.random.default_rng(1).random((6, 3))
    codes = own.net.architecture(intensive.discrete(own.net, weights, 2, none=True))
    assert [int((codes[list(edges)] > 0).sum()) for edges in own.net.into] == [1, 2, 2]
    assert (own.net.architecture(intensive.discrete(own.net, weights, 2, none=False)) > 0).all()


def test_stages_move_what_they_may_and_a_stopped_search_goes_on_bit_for_bit() -> None:
    search = SharedSearch.plan("digits201", "adwp", {"operations": 3}, IMAGES, RECIPE, "fp32", "batch", 0)
    run = SharedRun(search, IMAGES, PLACE, Watch())
    moved = []
    for epoch in range(10):
        own: Any = run.method
        before = [torch.cat([p.detach().flatten().clone() for p in ps]) for ps in ([own.own], own.blocks.parameters())]
        run.train_epoch(threading.Event())
        after = [torch.cat([p.detach().flatten() for p in ps]) for ps in ([own.own], own.blocks.parameters())]
        moved.append(tuple(bool((a != b).any()) for a, b in zip(before, after, strict=True)))
        run.end_epoch()
        if epoch == 6:
            kept = io.BytesIO()
            torch.save(run.state(), kept)
            kept.seek(0)
            again = SharedRun(search, IMAGES, PLACE, Watch())
            again.restore(torch.load(kept, weights_only=True))
            again.train_epoch(threading.Event())
            again.end_epoch()
    still, blocks, basic, both = (False, False), (False, True), (True, False), (True, True)
    assert moved == [still] * 2 + [blocks] * 4 + [basic] * 2 + [both, basic]
    assert again.log[-1].distribution == run.log[7].distribution
    assert again.log[-1].derived == run.log[7].derived
    assert own.cellwise(none=False).shape == (3, 6)


def test_too_few_epochs_are_refused() -> None:
    with pytest.raises(HarnessError, match="five stages"):
        WeightPrediction(Setting(supernet(), 4, 2, Streams(np.array([0]), "test")))
