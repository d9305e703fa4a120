"""ENAS: Pham, Guan, Zoph, Le and Dean, "Efficient neural architecture search via parameter sharing", ICML 2018.

An LSTM draws the parameters of the space one after another. The weights learn the architectures that it draws; it
learns by REINFORCE the accuracy of another on held-out images, less a moving average, with a bonus for entropy. (The
paper trains the two in turns of a whole pass; here a step of one follows a step of the other.) In the end architectures
are drawn and scored, the best is taken.
"""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np
import torch
from torch import Tensor, nn

from algorithms.sharing.sampling import best_of
from harness import Param
from harness.arrays import Floats, Ints
from harness.sharing.method import Choice, Method, Score, Setting, Step

SHARPNESS, TEMPERATURE = 2.5, 5.0
"""Logits are 2.5 tanh(logits / 5), as the paper has them."""


class Controller(nn.Module):
    """An LSTM over the parameters of a space with `sizes`."""

    def __init__(self, sizes: Ints, width: int) -> None:
        super().__init__()
        self.register_buffer("sizes", torch.from_numpy(sizes.copy()))
        most = int(sizes.max())
        self.embedding = nn.Embedding(1 + len(sizes) * most, width)
        self.cell = nn.LSTMCell(width, width)
        self.heads = nn.Linear(width, most)
        for parameter in self.parameters():
            nn.init.uniform_(parameter, -0.1, 0.1)

    def forward(self, draws: Tensor, shut: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Codes Int[n, p], their log probabilities and entropies Float[n], out of draws Float[n, p].

        `shut` Bool[p, k] are codes that are not drawn.
        """
        n, most = len(draws), self.heads.out_features
        given = torch.zeros(n, dtype=torch.long, device=shut.device)
        state: tuple[Tensor, Tensor] | None = None
        codes, logs, entropies = [], [], []
        for p in range(draws.shape[1]):
            state = self.cell(self.embedding(given), state)
            logits = SHARPNESS * torch.tanh(self.heads(state[0]) / TEMPERATURE)
            log = logits.masked_fill(shut[p], -torch.inf).log_softmax(1)
            below = log.detach().exp().cpu().cumsum(1)  # which is not deterministic on a GPU
            chosen = (below < draws[:, p : p + 1] * below[:, -1:]).sum(1).clamp(max=most - 1).to(shut.device)
            codes.append(chosen)
            logs.append(log.gather(1, chosen[:, None])[:, 0])
            entropies.append(-(log.exp() * log.masked_fill(shut[p], 0.0)).sum(1))
            given = 1 + p * most + chosen
        return torch.stack(codes, 1), torch.stack(logs).sum(0), torch.stack(entropies).sum(0)


class Enas(Method):
    """Architectures drawn by a controller that learns their accuracy."""

    single = True

    def __init__(
        self,
        setting: Setting,
        *,
        lr: Annotated[float, Param("learning rate of the controller, by Adam", 0.0)] = 3.5e-3,
        width: Annotated[int, Param("of the LSTM", 1)] = 64,
        entropy: Annotated[float, Param("weight of the entropy", 0.0)] = 1e-4,
        decay: Annotated[float, Param("of the moving average of accuracies", 0.0, 1.0)] = 0.95,
        samples: Annotated[int, Param("architectures that are drawn and scored in the end", 1)] = 100,
    ) -> None:
        super().__init__(setting)
        self.entropy, self.decay, self.samples = entropy, decay, samples
        self.every = max(5, setting.epochs // 10)
        sizes, self.device = self.net.space.sizes, next(self.net.parameters()).device
        self.controller = Controller(sizes, width).to(self.device)
        self.adam = torch.optim.Adam(self.controller.parameters(), lr)
        self.beyond = np.arange(sizes.max()) >= sizes[:, None]
        self.baseline, self.drawn = 0.0, np.zeros(self.net.possible.shape)

    def begin(self, epoch: int) -> None:
        self.drawn = np.zeros(self.net.possible.shape)

    def choices(self) -> list[Choice]:
        with torch.no_grad():
            choice = self.net.path(self._draw(1, none=True)[0][0].cpu().numpy())
        self.drawn = self.drawn + choice.active
        return [choice]

    def update(self, step: Step) -> None:
        codes, log, entropy = self._draw(1, none=True)
        reward = step.accuracy(self.net.path(codes[0].cpu().numpy()))
        self.baseline += (1.0 - self.decay) * (reward - self.baseline)
        self.adam.zero_grad()
        (-log * (reward - self.baseline) - self.entropy * entropy).sum().backward()
        self.adam.step()

    def _draw(self, n: int, *, none: bool) -> tuple[Tensor, Tensor, Tensor]:
        shut = self.beyond.copy()
        for row, parameter in zip(shut, self.net.space.parameters, strict=True):
            row[: len(parameter.values)] |= [not none and value == "none" for value in parameter.values]
        draws = torch.from_numpy(self.setting.uniform(n, len(shut))).float()
        found: tuple[Tensor, Tensor, Tensor] = self.controller(draws, torch.from_numpy(shut).to(self.device))
        return found

    def distribution(self) -> Floats:
        """How often each operator was on the paths of the last epoch; an edge without one counts as none."""
        if not self.drawn.any():
            return super().distribution()
        shares = self.drawn / self.drawn.sum(axis=1).max()
        return np.where(self.net.named("none"), shares + 1.0 - shares.sum(axis=1, keepdims=True), shares)

    def derive(self, score: Score, *, none: bool) -> Ints:
        with torch.no_grad():
            return best_of(score, self._draw(self.samples, none=none)[0].cpu().numpy())

    def state(self) -> dict[str, Any]:
        own = {"controller": self.controller.state_dict(), "adam": self.adam.state_dict()}
        return {**own, "baseline": self.baseline, "drawn": torch.from_numpy(self.drawn)}

    def load(self, state: dict[str, Any]) -> None:
        self.controller.load_state_dict(state["controller"])
        self.adam.load_state_dict(state["adam"])
        self.baseline, self.drawn = state["baseline"], state["drawn"].cpu().numpy()
