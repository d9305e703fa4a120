"""Neural architecture optimisation (Luo, Tian, Qin, Chen and Liu, "Neural architecture optimization", NeurIPS 2018)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import numpy as np
import torch
from torch import Tensor

from algorithms.batches import Batches
from algorithms.predictors.data import Targets, form
from algorithms.predictors.losses import softmax
from algorithms.predictors.memory import Known
from algorithms.predictors.networks import Weights
from algorithms.predictors.parameters import Shape
from algorithms.predictors.recurrent import Models, dense, lstm, recurrent, tokens
from harness import Ints, Param, Problem, Streams

_BATCH = 32


class NAO(Batches):
    """NAO: an encoder embeds configurations, a predictor climbs in the embedding, a decoder brings them back.

    After random configurations, an LSTM encoder, a predictor of the loss on the mean of its states and an attentive
    LSTM decoder are trained together on all results. The embeddings of the best ones move against the gradient of the
    predicted loss, in growing steps until enough configurations are decoded that were not trained; these are the next
    batch, with random ones where they are too few.
    """

    preload = ("algorithms.predictors.early",)

    def __init__(
        self,
        problem: Problem,
        streams: Streams,
        *,
        random: Annotated[int, Param("configurations that are trained first", low=1)] = 50,
        seeds_of_ascent: Annotated[int, Param("K, best configurations that move in the embedding", low=1)] = 25,
        new: Annotated[int, Param("configurations that are trained in each round", low=1)] = 25,
        width: Annotated[int, Param("of the LSTMs and their embeddings", low=1)] = 32,
        steps: Annotated[int, Param("of Adam in each round", low=1)] = 200,
        rate: Annotated[float, Param("Adam's learning rate", low=0)] = 3e-3,
        trade_off: Annotated[float, Param("weight of prediction, the rest is reconstruction's", 0, 1)] = 0.8,
        ascents: Annotated[int, Param("step sizes to try, each larger by one", low=1)] = 10,
    ) -> None:
        super().__init__(problem, streams)
        self.initial, self.best, self.new = random, seeds_of_ascent, new
        self.length, self.rate, self.trade_off, self.ascents = steps, rate, trade_off, ascents
        self.known = Known(len(problem.seeds), problem.space)
        self.targets = Targets(len(problem.seeds), form(problem, "log"))
        self.shuffles = streams.child("shuffles")
        values = int(problem.space.sizes.sum())
        self.starts = np.concatenate([[0], np.cumsum(problem.space.sizes)]).tolist()
        bound = width**-0.5
        self.models = Models(
            {
                "embedding": Shape((values, width), bound),
                "encoder": recurrent(width, width, bound),
                "predictor": Shape((width + 1, width), bound),
                "loss": Shape((width + 1, 1), bound),
                "start": Shape((1, width), bound),
                "decoder": recurrent(width, width, bound),
                "choice": Shape((2 * width + 1, values), bound),
            },
            streams.child("weights"),
        )

    def batch(self, seeds: Ints) -> Sequence[Ints]:
        found = dict(zip(seeds.tolist(), self.sampled(seeds, self.initial), strict=True))
        climbs = seeds[self.history.count[seeds] > 0]
        if climbs.size:
            self.fit(climbs)
            found |= dict(zip(climbs.tolist(), self.climbed(climbs), strict=True))
        for seed in seeds.tolist():
            self.known.add(np.full(len(found[seed]), seed), found[seed])
        return [found[seed] for seed in seeds.tolist()]

    def fit(self, seeds: Ints) -> None:
        """Train the three networks anew on all that the seeds have observed."""
        self.models.start(seeds)
        for count in np.unique(self.history.count[seeds]).tolist():
            same = seeds[self.history.count[seeds] == count]
            seen = self.history.of(same)
            codes, target = torch.tensor(seen.codes), torch.from_numpy(self.targets.fit(seen, same))
            row, size = torch.arange(len(same))[:, None], min(count, _BATCH)
            for _ in range(self.length):
                order = self.shuffles.uniform(count, same).argsort(axis=1, kind="stable")[:, :size]
                chosen = torch.from_numpy(order)
                self.models.step(same, self.rate, self.error, codes[row, chosen], target[row, chosen])

    def error(self, weights: Weights, codes: Tensor, target: Tensor) -> Tensor:
        """Float[M]: squared errors, and a number with the gradient of the decoder's negative log-likelihood."""
        chosen = tokens(self.problem.space, codes)
        states = self.encoded(weights, chosen)
        wrong = (self.predicted(weights, states) - target).square()
        context, x = self.begin(weights, states)
        unlikely = torch.zeros(target.shape)
        for i, token in enumerate(chosen.unbind(0)):
            context, logits = self.decode(weights, states, context, x, i)
            own = token[..., self.starts[i] : self.starts[i + 1]]
            unlikely = unlikely + torch.einsum("mbk,mbk->mb", softmax(logits).detach() - own, logits)
            x = torch.bmm(token, weights["embedding"])
        whole = self.trade_off * wrong + (1.0 - self.trade_off) * unlikely / len(chosen)
        return whole.sum(dim=1) / target.shape[1]

    def climbed(self, seeds: Ints) -> Sequence[Ints]:
        """Configurations to train next, Int[new, d] for each of the seeds."""
        seen = self.history.of(seeds)
        loss = np.where(seen.valid, seen.loss, np.inf)
        take = min(self.best, int(seen.count.min()))
        best = np.argsort(loss, axis=1, kind="stable")[:, :take]
        codes = torch.from_numpy(np.take_along_axis(seen.codes, best[..., None], axis=1))
        found: list[list[Ints]] = [[] for _ in seeds]
        places: list[set[int]] = [set() for _ in seeds]
        for size in range(1, self.ascents + 1):
            decoded = self.models.apply(seeds, lambda w, c, size=size: self.moved(w, c, size), codes).numpy()
            fresh = ~self.known.has(seeds, decoded)
            place = self.known.places(decoded.reshape(-1, decoded.shape[2])).reshape(fresh.shape)
            for i, j in zip(*np.nonzero(fresh), strict=True):
                if len(found[i]) < self.new and int(place[i, j]) not in places[i]:
                    found[i].append(decoded[i, j])
                    places[i].add(int(place[i, j]))
        random = self.sampled(seeds, self.new)
        return [np.array([*own, *rest[len(own) :]]) for own, rest in zip(found, random, strict=True)]

    def moved(self, weights: Weights, codes: Tensor, size: int) -> Tensor:
        """What configurations Int[M, B, d] become when their embeddings move by `size` against the gradient."""
        states = self.encoded(weights, tokens(self.problem.space, codes)).detach().requires_grad_()
        (slope,) = torch.autograd.grad(self.predicted(weights, states).sum(), states)
        states = (states - size * slope).detach()
        context, x = self.begin(weights, states)
        decoded = torch.zeros_like(codes)
        for i in range(codes.shape[2]):
            context, logits = self.decode(weights, states, context, x, i)
            decoded[..., i] = logits.argmax(dim=2)
            x = torch.bmm(tokens(self.problem.space, decoded)[i], weights["embedding"])
        return decoded

    def encoded(self, weights: Weights, chosen: Tensor) -> Tensor:
        """The encoder's states, of length one, Float[M, B, d, w]."""
        state = (torch.zeros((*chosen.shape[1:3], weights["start"].shape[2])),) * 2
        states = []
        for token in chosen.unbind(0):
            state = lstm(torch.bmm(token, weights["embedding"]), state, weights["encoder"])
            states.append(state[0])
        whole = torch.stack(states, dim=2)
        return whole / (whole.square().sum(dim=3, keepdim=True) + 1e-12).sqrt()

    def predicted(self, weights: Weights, states: Tensor) -> Tensor:
        """Predicted targets Float[M, B]."""
        return dense(torch.relu(dense(states.mean(dim=2), weights["predictor"])), weights["loss"]).squeeze(2)

    def begin(self, weights: Weights, states: Tensor) -> tuple[tuple[Tensor, Tensor], Tensor]:
        """The decoder's state at first, and its input."""
        mean = states.mean(dim=2)
        return (mean, mean), weights["start"].expand(mean.shape)

    def decode(
        self, weights: Weights, states: Tensor, state: tuple[Tensor, Tensor], x: Tensor, parameter: int
    ) -> tuple[tuple[Tensor, Tensor], Tensor]:
        """The decoder's next state, and logits Float[M, B, k] of a parameter's values."""
        state = lstm(x, state, weights["decoder"])
        attention = softmax((states @ state[0][..., None]).squeeze(3))
        context = (attention[..., None, :] @ states).squeeze(2)
        own = weights["choice"][..., self.starts[parameter] : self.starts[parameter + 1]]
        return state, dense(torch.cat([context, state[0]], dim=2), own)
