"""The generating blocks of ADWPNAS, which make the weights of convolutions out of probabilities.

Zhang, Chen and Gu, "ADWPNAS: Architecture-driven weight prediction for neural architecture search", arXiv:2003.01335,
2020.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from harness.sharing.method import Kernel


class Blocks(nn.ModuleList):
    """Two dense layers for each of `kernels`, out of a cell's `size` probabilities and that of the operation itself."""

    def __init__(self, kernels: Sequence[Kernel], size: int, hidden: int) -> None:
        super().__init__(
            nn.Sequential(nn.Linear(size + 1, hidden), nn.ReLU(), nn.Linear(hidden, math.prod(kernel.shape)))
            for kernel in kernels
        )
        self.kernels = kernels

    def forward(self, probability: Tensor, inside: Tensor) -> dict[str, Tensor]:
        """The weights of convolutions `inside` Bool[d, k], by name, at probabilities Float[L, d, k]."""
        found, may = {}, inside.tolist()
        for kernel, block in zip(self.kernels, self, strict=True):
            if may[kernel.decision][kernel.operator]:
                own = probability[kernel.cell]
                given = torch.cat([own.flatten(), own[kernel.decision, kernel.operator, None]])
                found[kernel.name] = block(given).view(kernel.shape)
        return found
