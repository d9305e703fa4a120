"""Training-free scores in a run: what each seed has asked for, and what it owes for it."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np

from harness.algorithm import Scored
from harness.arrays import Bools, Floats, Ints
from harness.errors import HarnessError
from harness.table import Table


class Scoring:
    """The training-free scores of a table for S seeds; a seed owes the seconds of a configuration once.

    With `only`, no other scores are given.
    """

    def __init__(self, table: Table, seeds: int, only: Collection[str] | None = None) -> None:
        self.table = table
        self.only = only
        self.asked: dict[str, Bools] = {}
        self._owed = np.zeros(seeds)

    def score(self, name: str) -> Scored:
        """The score called `name`. Raises HarnessError if the table has none, or it is not among those given."""
        score = self.table.score(name)
        if self.only is not None and name not in self.only:
            raise HarnessError(f"the score '{name}' is asked for late.", "ask for it as the algorithm is made.")
        asked = self.asked.setdefault(name, np.zeros((len(self._owed), len(self.table)), dtype=np.bool_))

        def scored(codes: Ints, where: Ints) -> Floats:
            shape = (len(where), codes.shape[-2])
            rows = self.table.rows(codes.reshape(-1, codes.shape[-1])).reshape(codes.shape[:-1])
            rows = np.broadcast_to(rows, shape)
            seed = np.broadcast_to(where[:, None], shape)
            new = (rows >= 0) & ~asked[seed, rows]
            pairs = np.unique(np.stack([seed[new], rows[new]], axis=1), axis=0).T
            np.add.at(self._owed, pairs[0], score.seconds[pairs[1]])
            asked[pairs[0], pairs[1]] = True
            return np.where(rows >= 0, score.values[rows], -np.inf)

        return scored

    def settled(self, where: Ints) -> Floats:
        """What the seeds at positions `where` Int[k] owe, Float[k], who then owe nothing."""
        owed = self._owed[where]
        self._owed[where] = 0.0
        return owed
