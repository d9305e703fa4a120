"""FairNAS: Chu, Zhang and Xu, "FairNAS: Rethinking evaluation fairness of weight sharing neural architecture search",
ICCV 2021.

Strict fairness: in every step each operator of each decision is on exactly one path; the gradients of the paths are
added up, not averaged, and the weights move once. Where the paper searches by NSGA-II under several objectives, the
evolution here has one, the score.
"""

from __future__ import annotations

import numpy as np

from algorithms.sharing.spos import SinglePath
from harness.sharing.method import Choice


class Fair(SinglePath):
    """As many paths a step as a decision has operators, each operator once."""

    def choices(self) -> list[Choice]:
        sizes = self.net.space.sizes
        draws = self.setting.uniform(len(sizes), int(sizes.max()))
        order = np.argsort(np.where(np.arange(sizes.max()) < sizes[:, None], draws, np.inf), axis=1)
        columns = np.arange(sizes.max()) % sizes[:, None]
        return [self.net.path(codes) for codes in np.take_along_axis(order, columns, axis=1).T]
