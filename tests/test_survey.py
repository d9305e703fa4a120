"""The survey's black-box searches against their papers: nasnet, pnas, nao and hier-ea."""

from __future__ import annotations

import itertools
from functools import partial

import numpy as np
import pytest
import torch

from algorithms.hierarchical import HierarchicalEvolution
from algorithms.nao import NAO
from algorithms.nasnet import NASNet
from algorithms.predictors.losses import exp, softmax
from algorithms.predictors.parameters import Shape
from algorithms.predictors.recurrent import Models, lstm, tokens
from harness import Parameter, Problem, Results, Rules, SearchSpace, Streams, registry, simulate
from harness.testing import synthetic_table

SIZES = (3, 4, 2, 3)


def problem(seeds: int = 3, workers: int = 1) -> Problem:
    space = SearchSpace(tuple(Parameter(f"p{i}", range(k)) for i, k in enumerate(SIZES)))
    return Problem(space, np.array([1]), np.arange(seeds), workers, np.inf)


def test_the_exponential_is_one_and_softmax_sums_to_one() -> None:
    x = -torch.linspace(0, 20, 500)
    torch.testing.assert_close(exp(x), x.exp(), rtol=1e-3, atol=1e-8)
    logits = torch.randn(4, 5, 7, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(softmax(logits), logits.softmax(-1), rtol=1e-4, atol=1e-6)


def test_a_step_is_adams() -> None:
    streams = Streams(np.arange(2), "test")
    models = Models({"w": Shape((3, 2), 1.0)}, streams)
    models.start(np.arange(2))
    free = models.layout.views(models.weights)["w"].clone().requires_grad_()
    adam = torch.optim.Adam([free], lr=0.01)
    goal = torch.randn(2, 3, 2, generator=torch.Generator().manual_seed(0))
    for _ in range(5):
        models.step(np.arange(2), 0.01, lambda w, g: (w["w"] - g).square().sum(dim=(1, 2)), goal)
        adam.zero_grad()
        (free - goal).square().sum().backward()
        adam.step()
    torch.testing.assert_close(models.layout.views(models.weights)["w"], free.detach())


def test_the_objectives_gradient_is_that_of_proximal_policy_optimisation() -> None:
    search = NASNet(problem(), Streams(np.arange(3), "test"), batch=6, width=5)
    generator = torch.Generator().manual_seed(0)
    codes = torch.stack([torch.randint(k, (3, 6), generator=generator) for k in SIZES], dim=2)
    old = torch.rand(3, 6, generator=generator) * 0.02 + 0.004
    advantage = torch.randn(3, 6, generator=generator)
    weights = {n: v.clone().requires_grad_() for n, v in search.models.layout.views(search.models.weights).items()}
    found = torch.autograd.grad(search.objective(weights, codes, old, advantage).sum(), list(weights.values()))

    likelihood = torch.ones(3, 6)
    state, x = search.begin(weights, 6)
    for i in range(4):
        state = lstm(x, state, weights["lstm"])
        probability = search.logits(weights, state[0], i).softmax(-1)
        likelihood = likelihood * probability.gather(2, codes[..., i : i + 1]).squeeze(2)
        x = torch.bmm(tokens(search.problem.space, codes)[i], weights["embedding"])
    ratio = likelihood / old
    clipped = torch.minimum(ratio * advantage, ratio.clamp(0.8, 1.2) * advantage)
    assert 0 < ((ratio > 1.2) | (ratio < 0.8)).sum() < 18
    expected = torch.autograd.grad(-clipped.sum() / 6, list(weights.values()))
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=2e-3, atol=1e-6)


def test_the_controller_draws_what_its_likelihood_says() -> None:
    search = NASNet(problem(1), Streams(np.array([4]), "test"), batch=20_000, width=5)
    search.models.weights *= 10
    (codes,) = search.batch(np.array([0]))
    every = torch.tensor(list(itertools.product(*map(range, SIZES))))[None]
    with torch.no_grad():
        likelihood = search.models.apply(np.array([0]), lambda w, c: search.likelihood(w, c)[0], every)[0].numpy()
    counts = np.bincount(codes @ search.problem.space.strides, minlength=72)
    assert likelihood.sum() == pytest.approx(1, abs=1e-4)
    assert likelihood.std() > 0.1 * likelihood.mean()
    assert ((counts - 20_000 * likelihood) ** 2 / (20_000 * likelihood)).sum() < 120


def test_the_controller_comes_to_prefer_what_is_rewarded() -> None:
    table = synthetic_table(2, sizes=(4, 4, 4, 4), fidelities=(1,), missing=0.0)
    factory = partial(registry.algorithm("nasnet"), width=8, rate=0.02)
    run = simulate(table, factory, seeds=np.arange(10), rules=Rules(evals=200, log="all"))
    loss = run.loss.reshape(10, 200)
    assert loss[:, -40:].mean() < loss[:, :40].mean() - 0.15


def test_progressive_search_grows_a_beam_parameter_by_parameter() -> None:
    table = synthetic_table(2, sizes=(5, 4, 5, 3, 4), fidelities=(1,), missing=0.0)
    factory = partial(registry.algorithm("pnas"), random=10, beam=6, ensemble=2, predictor="ridge")
    run = simulate(table, factory, seeds=np.arange(4), rules=Rules(evals=18, log="all"))
    for seed in range(4):
        codes = table.codes[run.row[run.seed == seed]]
        best = codes[run.loss[run.seed == seed][:10].argmin()]
        grown = codes[10:]
        decided = [int(np.flatnonzero(row != best).max()) for row in grown]
        assert decided == sorted(decided)
        assert len(np.unique(codes[10:], axis=0)) == len(grown)
        assert max(decided.count(level) for level in decided) <= 6


def test_an_embedding_is_decoded_to_what_was_encoded_and_a_move_lowers_the_prediction() -> None:
    task = problem(2)
    search = NAO(task, Streams(np.arange(2), "test"), steps=250, rate=0.01, width=24)
    codes = np.random.default_rng(0).integers(SIZES, size=(60, 2, 4))
    where = np.arange(2)
    for row in codes:
        loss = 0.1 + (row * [0.3, 0.1, 0.2, 0.05]).sum(axis=1)
        search.tell(Results(where, where * 0, row, where * 0, loss, np.ones(2)))
    search.fit(where)
    given = torch.from_numpy(codes.swapaxes(0, 1).copy())
    same = search.models.apply(where, lambda w, c: search.moved(w, c, 0), given)
    assert (same == given).float().mean() > 0.95
    moved = search.models.apply(where, lambda w, c: search.moved(w, c, 3), given).numpy()
    weights = np.array([0.3, 0.1, 0.2, 0.05])
    assert (moved @ weights).mean() < 0.6 * (given.numpy() @ weights).mean()


def test_a_child_differs_in_one_gene_and_a_motif_in_all_its_groups() -> None:
    space = SearchSpace(tuple(Parameter(f"p{i}", range(3)) for i in range(8)))
    task = Problem(space, np.array([1]), np.arange(5), 1, np.inf)
    search = HierarchicalEvolution(task, Streams(np.arange(5), "test"), population=4, motifs=3, length=2)
    where, genotypes = np.arange(5), []
    for i in range(40):
        codes = search.ask(where, where * 0).codes
        genotypes.append(search.running[:, 0].copy())
        search.tell(Results(where, where * 0, codes, where * 0, codes.sum(axis=1) + 0.01 * i, np.ones(5)))
    for i, seed in itertools.product(range(4, 40), range(5)):
        changed = [(genotypes[j][seed] != genotypes[i][seed]).sum() for j in range(i)]
        assert 1 in changed
    genes = np.array([[0, 1, 2, 2, 1, 0, 0, 0, 1, 2]])
    np.testing.assert_array_equal(search.decoded(genes), [[0, 1, 0, 1, 2, 2, 1, 0]])
    genes[0, 1] = 2
    np.testing.assert_array_equal(search.decoded(genes), [[0, 2, 0, 2, 2, 2, 1, 0]])
