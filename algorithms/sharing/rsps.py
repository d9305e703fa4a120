"""Random search with parameter sharing: Li and Talwalkar, "Random search and reproducibility for neural architecture
search", UAI 2019.

Every step trains the path of one uniform architecture. In the end random architectures are scored, the best is taken.
"""

from __future__ import annotations

from typing import Annotated

from algorithms.sharing.sampling import Sampling, best_of, drawn
from harness import Param
from harness.arrays import Ints
from harness.sharing.method import Choice, Score, Setting


class RandomSharing(Sampling):
    """One uniform path a step, the best of random architectures in the end."""

    def __init__(
        self, setting: Setting, *, samples: Annotated[int, Param("architectures that are scored", 1)] = 100
    ) -> None:
        super().__init__(setting)
        self.samples = samples

    def choices(self) -> list[Choice]:
        return [self.net.path(self.uniform(1)[0])]

    def derive(self, score: Score, *, none: bool) -> Ints:
        allowed = self.allowed(none=none)
        return best_of(score, drawn(allowed, self.setting.uniform(self.samples, len(allowed))))
