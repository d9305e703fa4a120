"""NASNet's search (Zoph, Vasudevan, Shlens and Le, "Learning transferable architectures for scalable image
recognition", CVPR 2018): a recurrent controller, trained by proximal policy optimisation (Schulman et al.,
arXiv:1707.06347, 2017).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import numpy as np
import torch
from torch import Tensor

from algorithms.batches import Batches
from algorithms.predictors.losses import softmax
from algorithms.predictors.networks import Weights
from algorithms.predictors.parameters import Shape
from algorithms.predictors.recurrent import Models, dense, lstm, recurrent, tokens
from algorithms.reinforce import Rewards
from harness import Ints, Param, Problem, Streams


class NASNet(Batches):
    """NASNet: an LSTM chooses one parameter after the other, given the choices before, and learns by PPO.

    A batch of configurations is drawn from the policy and trained; then the policy takes `passes` steps up the clipped
    objective, with the reward 1 - loss less its moving average, divided by the batch's spread. An invalid
    configuration teaches nothing.
    """

    preload = ("algorithms.predictors.early",)

    def __init__(
        self,
        problem: Problem,
        streams: Streams,
        *,
        batch: Annotated[int, Param("configurations between updates of the controller", low=1)] = 20,
        width: Annotated[int, Param("of the LSTM and its embeddings", low=1)] = 32,
        rate: Annotated[float, Param("Adam's learning rate", low=0)] = 3e-3,
        passes: Annotated[int, Param("steps on each batch", low=1)] = 10,
        clip: Annotated[float, Param("how far a probability's ratio may go from 1", low=0)] = 0.2,
        momentum: Annotated[float, Param("of the moving average of rewards", low=0, high=0.999999)] = 0.95,
    ) -> None:
        super().__init__(problem, streams)
        sizes = problem.space.sizes
        self.size, self.rate, self.passes, self.clip, self.momentum = batch, rate, passes, clip, momentum
        self.draws = streams.child("choices")
        self.starts = np.concatenate([[0], np.cumsum(sizes)]).tolist()
        shapes = {
            "embedding": Shape((self.starts[-1], width), 0.1),
            "start": Shape((1, width), 0.1),
            "lstm": recurrent(width, width, 0.1),
            "choice": Shape((width + 1, self.starts[-1]), 0.1),
        }
        self.models = Models(shapes, streams.child("weights"))
        self.models.start(np.arange(len(problem.seeds)))
        self.rewards = Rewards(problem)
        self.total, self.weight = (np.zeros(len(problem.seeds)) for _ in range(2))

    def batch(self, seeds: Ints) -> Sequence[Ints]:
        learnt = seeds[self.history.count[seeds] > 0]
        if learnt.size:
            self.learn(learnt)
        draws = self.draws.uniform(self.size * self.problem.space.dimensions, seeds)
        uniform = torch.from_numpy(draws.reshape(len(seeds), self.size, -1))
        with torch.no_grad():
            return list(self.models.apply(seeds, self.chosen, uniform).numpy())

    def learn(self, seeds: Ints) -> None:
        """Update the controller with the last batch of each of the seeds."""
        last = (self.history.count[seeds, None] - self.size) + np.arange(self.size)
        codes = torch.from_numpy(self.history.codes[seeds[:, None], last].astype(np.int64))
        loss = self.history.loss[seeds[:, None], last]
        valid = np.isfinite(loss)
        gain = np.zeros(loss.shape)
        for i in range(self.size):
            at = seeds[valid[:, i]]
            gain[valid[:, i], i] = self.rewards.of(at, loss[valid[:, i], i])
            self.total[at] = self.momentum * self.total[at] + (1.0 - self.momentum) * gain[valid[:, i], i]
            self.weight[at] = self.momentum * self.weight[at] + (1.0 - self.momentum)
        baseline = self.total[seeds] / np.where(self.weight[seeds] > 0, self.weight[seeds], 1.0)
        advantage = np.where(valid, gain - baseline[:, None], 0.0)
        spread = np.sqrt((advantage**2).mean(axis=1, keepdims=True))
        given = torch.from_numpy(advantage / np.where(spread > 0, spread, 1.0)).float()
        with torch.no_grad():
            old = self.models.apply(seeds, lambda weights, c: self.likelihood(weights, c)[0], codes)
        for _ in range(self.passes):
            self.models.step(seeds, self.rate, self.objective, codes, old, given)

    def objective(self, weights: Weights, codes: Tensor, old: Tensor, advantage: Tensor) -> Tensor:
        """A loss Float[M] with the gradient of PPO's: ratio's is ratio x that of the logarithm of the likelihood."""
        likelihood, score = self.likelihood(weights, codes)
        ratio = likelihood / old
        clipped = (advantage > 0) & (ratio > 1.0 + self.clip) | (advantage < 0) & (ratio < 1.0 - self.clip)
        return -(torch.where(clipped, 0.0, ratio * advantage) * score).sum(dim=1) / self.size

    def likelihood(self, weights: Weights, codes: Tensor) -> tuple[Tensor, Tensor]:
        """Probabilities Float[M, B] of codes Int[M, B, d], and a number with the gradient of their logarithms."""
        chosen = tokens(self.problem.space, codes)
        likelihood, score = torch.ones(codes.shape[:2]), torch.zeros(codes.shape[:2])
        state, x = self.begin(weights, codes.shape[1])
        for i, token in enumerate(chosen.unbind(0)):
            state = lstm(x, state, weights["lstm"])
            logits = self.logits(weights, state[0], i)
            own = token[..., self.starts[i] : self.starts[i + 1]]
            probability = softmax(logits).detach()
            likelihood = likelihood * (probability * own).amax(dim=2)
            score = score + torch.einsum("mbk,mbk->mb", own - probability, logits)
            x = torch.bmm(token, weights["embedding"])
        return likelihood, score

    def chosen(self, weights: Weights, uniform: Tensor) -> Tensor:
        """Codes Int[M, B, d] drawn from the policy by `uniform` Float[M, B, d]."""
        codes = torch.zeros(uniform.shape, dtype=torch.int64)
        state, x = self.begin(weights, uniform.shape[1])
        for i in range(uniform.shape[2]):
            state = lstm(x, state, weights["lstm"])
            cumulative = softmax(self.logits(weights, state[0], i)).numpy().astype(np.float64).cumsum(axis=2)
            level = uniform[..., i : i + 1].numpy() * cumulative[..., -1:]
            codes[..., i] = torch.from_numpy((cumulative <= level).sum(axis=2))
            x = torch.bmm(tokens(self.problem.space, codes)[i], weights["embedding"])
        return codes

    def begin(self, weights: Weights, batch: int) -> tuple[tuple[Tensor, Tensor], Tensor]:
        """The state of the LSTM at first, and its input."""
        x = weights["start"].expand(-1, batch, -1)
        return (torch.zeros(x.shape), torch.zeros(x.shape)), x

    def logits(self, weights: Weights, hidden: Tensor, parameter: int) -> Tensor:
        """Logits Float[M, B, k] of the values of a parameter."""
        return dense(hidden, weights["choice"][..., self.starts[parameter] : self.starts[parameter + 1]])
