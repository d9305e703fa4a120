"""The graph network over all architectures: sums along axes against the sparse matrix, the field against the whole."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from harness import HarnessError
from harness.sharing.product_graph import (
    ASSIGNED,
    GraphRegression,
    ProductGraph,
    gray_code,
    measured_similarity,
)


def similarity(sizes: Sequence[int]) -> list[Tensor]:
    rng = np.random.default_rng(0)
    return measured_similarity([rng.normal(size=(9, k)) + rng.normal(size=(9, 1)) for k in sizes])


def dense(graph: ProductGraph) -> Tensor:
    """D^-1/2 (A + I) D^-1/2, edge by edge."""
    codes = list(itertools.product(*map(range, graph.sizes)))
    matrix = torch.eye(len(codes), dtype=torch.float64)
    for (i, one), (j, other) in itertools.permutations(enumerate(codes), 2):
        apart = [axis for axis, (a, b) in enumerate(zip(one, other, strict=True)) if a != b]
        if len(apart) == 1:
            matrix[i, j] = graph.similarity[apart[0]][one[apart[0]], other[apart[0]]]
    root = matrix.sum(dim=1).rsqrt()
    return root[:, None] * matrix * root


@pytest.mark.parametrize("sizes", [(3, 4, 2), (5,), (2, 1, 3, 3)])
@pytest.mark.parametrize("measured", [False, True])
def test_propagation_is_the_sparse_product(sizes: tuple[int, ...], measured: bool) -> None:
    graph = ProductGraph(sizes, similarity(sizes) if measured else None)
    hidden = torch.randn(graph.vertices, 7, generator=torch.Generator().manual_seed(0))
    expected = (dense(graph) @ hidden.double()).float()
    torch.testing.assert_close(graph.propagate(hidden), expected, atol=1e-6, rtol=1e-5)
    at, weight = graph.neighbours(torch.arange(graph.vertices))
    torch.testing.assert_close((weight[:, None] @ hidden[at]).squeeze(1), expected, atol=1e-6, rtol=1e-5)


def test_propagation_on_all_chains_of_seven_cells_is_that_of_sampled_rows() -> None:
    sizes = (6,) * 7
    graph = ProductGraph(sizes)
    hidden = torch.randn(graph.vertices, 4, generator=torch.Generator().manual_seed(1))
    found = graph.propagate(hidden)
    for number in np.random.default_rng(0).choice(graph.vertices, 50, replace=False).tolist():
        codes = np.array(np.unravel_index(number, sizes))
        total = hidden[number].double()
        for axis, value in itertools.product(range(7), range(6)):
            if value != codes[axis]:
                other = codes.copy()
                other[axis] = value
                total = total + ASSIGNED * hidden[int(np.ravel_multi_index(tuple(other), sizes))].double()
        torch.testing.assert_close(found[number].double(), total / (1 + 35 * math.exp(-0.5)), atol=1e-6, rtol=1e-5)


def test_values_that_follow_each_other_differ_in_one_bit_of_the_gray_code() -> None:
    for code, k in zip(gray_code((6, 8, 1, 2)), (6, 8, 1, 2), strict=True):
        assert len(torch.unique(code, dim=0)) == k
        assert ((code[1:] != code[:-1]).sum(dim=1) == 1).all()
    assert ProductGraph((6,) * 3).features().shape == (216, 9)


@pytest.mark.parametrize("measured", [False, True])
def test_training_on_the_field_is_training_on_the_whole_graph(measured: bool) -> None:
    sizes = (4, 3, 5, 2)
    graph = ProductGraph(sizes, similarity(sizes) if measured else None)
    rng = np.random.default_rng(2)
    chosen, accuracy = rng.choice(graph.vertices, 70, replace=False), rng.uniform(0.2, 0.9, 70)
    model = GraphRegression(graph, width=16, seed=3)
    first, b1, second, b2, last, b3 = weights = [w.clone().requires_grad_() for w in model.weights]
    matrix = dense(graph).float()
    adam = torch.optim.Adam(weights, lr=0.01, weight_decay=5e-4)
    steps = torch.optim.lr_scheduler.MultiStepLR(adam, [6, 9])
    target = torch.from_numpy((accuracy - accuracy.mean()) / accuracy.std()).float()

    def whole() -> Tensor:
        hidden = functional.relu(matrix @ graph.features() @ first + b1)
        return (functional.relu(matrix @ hidden @ second + b2) @ last + b3).squeeze(1)

    errors = []
    for _ in range(12):
        adam.zero_grad()
        loss = (whole()[chosen] - target).abs().mean()
        loss.backward()
        errors.append(loss.item() * accuracy.std())
        adam.step()
        steps.step()
    np.testing.assert_allclose(model.fit(chosen, accuracy, epochs=12), errors, rtol=1e-4)
    expected = whole().detach().double().numpy() * accuracy.std() + accuracy.mean()
    np.testing.assert_allclose(model.predict(), expected, atol=1e-5)


def test_it_learns_what_is_additive_and_tells_unseen_vertices_apart() -> None:
    graph = ProductGraph((5, 4, 5, 3))
    rng = np.random.default_rng(0)
    parts = [rng.normal(size=k) for k in graph.sizes]
    truth = np.add.outer(np.add.outer(parts[0], parts[1]), np.add.outer(parts[2], parts[3])).ravel()
    chosen = rng.choice(graph.vertices, 100, replace=False)
    model = GraphRegression(graph, width=64)
    errors = model.fit(chosen, truth[chosen], epochs=150)
    rest = np.setdiff1d(np.arange(graph.vertices), chosen)
    assert errors[-1] < 0.2 * errors[0]
    assert np.corrcoef(model.predict()[rest], truth[rest])[0, 1] > 0.95


def test_correlations_weigh_edges_and_negative_ones_do_not() -> None:
    a = np.array([0.1, 0.2, 0.3, 0.5])
    (found,) = measured_similarity([np.stack([a, 2 * a, -a, np.ones(4)], axis=1)])
    np.testing.assert_allclose(found[0], [1, 1, 0, 0], atol=1e-6)
    np.testing.assert_allclose(found[3], 0)


def test_a_space_beyond_a_million_is_to_be_segmented() -> None:
    with pytest.raises(HarnessError, match=r"1,679,616 vertices") as caught:
        ProductGraph((6,) * 8)
    assert "segments" in str(caught.value.hint)


def test_what_is_not_finite_stops_the_fit() -> None:
    model = GraphRegression(ProductGraph((3, 3)), width=4)
    with pytest.raises(HarnessError, match="not finite"):
        model.fit(np.arange(3), np.array([0.1, np.nan, 0.3]))
