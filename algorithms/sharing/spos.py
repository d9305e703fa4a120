"""SPOS: Guo et al., "Single path one-shot neural architecture search with uniform sampling", ECCV 2020.

Every step trains the path of one uniform architecture. In the end an evolution by the super-network's scores.
"""

from __future__ import annotations

from typing import Annotated

from algorithms.sharing.sampling import Sampling, evolved
from harness import Param
from harness.arrays import Ints
from harness.sharing.method import Choice, Score, Setting


class SinglePath(Sampling):
    """One uniform path a step, an evolution in the end."""

    def __init__(
        self,
        setting: Setting,
        *,
        population: Annotated[int, Param("architectures of a generation", 2)] = 50,
        generations: Annotated[int, Param("generations after the first", 0)] = 5,
    ) -> None:
        super().__init__(setting)
        self.population, self.generations = population, generations

    def choices(self) -> list[Choice]:
        return [self.net.path(self.uniform(1)[0])]

    def derive(self, score: Score, *, none: bool) -> Ints:
        return evolved(self, score, self.allowed(none=none), self.population, self.generations)
