"""Rungs and brackets of successive halving, as arrays over seeds: what HB, SH, ASHA, BOHB and DEHB share.

The schedule is Hyperband's (Li et al., "Hyperband: A novel bandit-based approach to hyperparameter optimization",
JMLR 18, 2018) in the form of the packages `hpbandster` and `dehb`, computed with integers.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from harness import Bools, Floats, HarnessError, Ints, Jobs, Problem, Results

Proposer = Callable[[Ints, Ints], Ints]
"""`propose(seeds Int[n], fidelity Int[n]) -> codes Int[n, d]`: a new configuration for each of these seeds, whose
first evaluation is at that fidelity (an index)."""

_MOST = 1 << 16
"""Configurations in the largest rung."""


def rungs(fidelities: Ints, eta: int, smallest: int, largest: int) -> Ints:
    """Those of the problem's `fidelities` Int[F] (indices, ascending) that halving by `eta` uses, Int[K].

    These are the `largest` / eta^k that are not below `smallest`, each rounded to the nearest that the problem has
    (of two equally near to the smaller) and taken once. 0 stands for the problem's smallest above 0 and its largest:
    nothing is a power of eta away from a fidelity of 0. Raises HarnessError for a fidelity that the problem does not
    have, or a range without any.
    """
    first = int(np.searchsorted(fidelities, 0, side="right"))
    available = fidelities[first:].tolist()
    if not available:
        raise HarnessError("successive halving needs a fidelity above 0.", "the table has none; take rs or re.")
    for value in (smallest, largest):
        if value and value not in available:
            shown = ", ".join(map(str, available[:12])) + (", ..." if len(available) > 12 else "")
            raise HarnessError(f"the table has no fidelity {value}.", f"it has {shown}.")
    low, high = smallest or available[0], largest or available[-1]
    if low > high:
        raise HarnessError(f"the smallest fidelity, {low}, is above the largest, {high}.")
    within = [i for i, f in enumerate(available) if low <= f <= high]
    found, power = set(), 1
    while low * power <= high:
        found.add(min(within, key=lambda i: abs(available[i] * power - high)))
        power *= eta
    return first + np.array(sorted(found), dtype=np.int64)


def lone(fidelities: Ints, eta: int, smallest: int, largest: int, what: str) -> str:
    """A note where halving has a single rung, so that the algorithm is `what` is said; else nothing."""
    used = fidelities[rungs(fidelities, eta, smallest, largest)]
    if len(used) > 1:
        return ""
    if len(fidelities) == 1:
        return f"the table has one fidelity, so this is {what}"
    within = f"none of the table's is {eta} times below {used[0]}"
    return f"halving by {eta} has a single rung ({within}), so this is {what}"


def sizes(rungs: int, eta: int) -> Ints:
    """Number of configurations in each rung of each bracket, Int[K, K], 0 where bracket b has no rung r.

    Bracket b starts at rung b of the K rungs with floor(K / (s + 1)) eta^s configurations, s = K - 1 - b, and keeps
    one in `eta` from rung to rung. Raises HarnessError where that is more than 2^16 configurations.
    """
    if eta ** (rungs - 1) > _MOST:
        raise HarnessError(
            f"halving by {eta} over {rungs} fidelities begins with {eta ** (rungs - 1):,} configurations.",
            f"at most {_MOST:,} are held: give it a larger eta or min_fidelity.",
        )
    table = np.zeros((rungs, rungs), dtype=np.int64)
    for b in range(rungs):
        s = rungs - 1 - b
        table[b, : s + 1] = [rungs // (s + 1) * eta ** (s - r) for r in range(s + 1)]
    return table


class Turn(NamedTuple):
    """A place in the brackets, for each of n seeds, all Int[n].

    `bracket` counts the brackets of the seed from 0, `lane` is where it is kept, `rung` counts from the bracket's
    first, and `position` within the rung.
    """

    bracket: Ints
    lane: Ints
    rung: Ints
    position: Ints


class Brackets:
    """Which rung of which bracket each idle worker serves; every seed runs brackets 0, 1, 2, ... in turn.

    `sizes` Int[B, K] are the rungs' numbers of configurations, bracket number n being `sizes[n % B]`. A rung starts
    when all results of the one before are in. At most `lanes` brackets of a seed are open at once: a worker serves
    the oldest that has a turn left, else opens a new one, else waits.
    """

    def __init__(self, sizes: Ints, seeds: int, workers: int, lanes: int = 1) -> None:
        self.sizes = np.pad(sizes, [(0, 0), (0, 1)])
        self.bracket = np.full((seeds, lanes), -1, dtype=np.int64)
        self.rung = np.zeros((seeds, lanes), dtype=np.int64)
        self.asked = np.zeros((seeds, lanes), dtype=np.int64)
        self.told = np.zeros((seeds, lanes), dtype=np.int64)
        self.opened = np.zeros(seeds, dtype=np.int64)
        self._turn = np.zeros((seeds, workers, 4), dtype=np.int64)

    def size(self, bracket: Ints, rung: Ints) -> Ints:
        """Configurations in these rungs; 0 beyond a bracket's last."""
        return self.sizes[bracket % len(self.sizes), rung]

    def ask(self, seeds: Ints, worker: Ints) -> tuple[Turn, Bools]:
        """The turn of one worker of each of the seeds at positions `seeds` Int[n], and which of them wait, Bool[n]."""
        bracket = self.bracket[seeds]
        is_open = bracket >= 0
        served = is_open & (self.asked[seeds] < self.size(bracket, self.rung[seeds]))
        age = np.where(served, bracket, np.iinfo(np.int64).max)
        lane = np.where(served.any(axis=1), age.argmin(axis=1), is_open.argmin(axis=1))
        row = np.arange(len(seeds))
        opens = ~is_open[row, lane]
        wait = ~(opens | served[row, lane])
        at = seeds[opens], lane[opens]
        self.bracket[at] = self.opened[seeds[opens]]
        self.rung[at] = self.asked[at] = self.told[at] = 0
        self.opened[seeds] += opens
        position = np.where(wait, 0, self.asked[seeds, lane])
        self.asked[seeds, lane] += ~wait
        turn = Turn(self.bracket[seeds, lane], lane, self.rung[seeds, lane], position)
        self._turn[seeds, worker] = np.stack(turn, axis=1)
        return turn, wait

    def tell(self, seeds: Ints, worker: Ints) -> tuple[Turn, Bools]:
        """The turns that ended with a result, and where it was the last of its rung, Bool[n].

        The bracket then goes on to its next rung, or closes.
        """
        turn = Turn(*self._turn[seeds, worker].T)
        at = seeds, turn.lane
        self.told[at] += 1
        complete = self.told[at] == self.size(turn.bracket, turn.rung)
        self.rung[at] += complete
        closes = complete & (self.size(turn.bracket, turn.rung + 1) == 0)
        self.bracket[seeds[closes], turn.lane[closes]] = -1
        at = seeds[complete], turn.lane[complete]
        self.asked[at] = self.told[at] = 0
        return turn, complete


def promoted(loss: Floats, count: Ints) -> tuple[Ints, Ints]:
    """The `count` Int[n] lowest of each row of `loss` Float[n, m] in their old order, Int[n, m], and how many, Int[n].

    Of equal losses the first counts as lower; infinite ones are never among them, so there may be fewer than `count`.
    """
    rank = np.empty(loss.shape, dtype=np.int64)
    np.put_along_axis(rank, loss.argsort(axis=1, kind="stable"), np.arange(loss.shape[1])[None], axis=1)
    kept = (rank < count[:, None]) & (loss < np.inf)
    return np.argsort(~kept, axis=1, kind="stable"), kept.sum(axis=1)


class Halving:
    """Synchronous successive halving: `ask` and `tell` of an algorithm whose new configurations come from `propose`.

    The best of a rung go on to the next in the order in which they were proposed. Where a rung has fewer valid
    results than the next has places, new configurations fill them, as in `hpbandster`. A schedule of a single rung
    has nothing to wait for or to promote: it is new configurations alone. Memory is O(seeds x lanes x largest rung x
    d).
    """

    def __init__(self, problem: Problem, rungs: Ints, sizes: Ints, propose: Proposer, *, lanes: int = 1) -> None:
        lanes = min(lanes, problem.workers)
        shape = (len(problem.seeds), lanes, int(sizes.max()))
        self.rungs = rungs
        self.propose = propose
        self.brackets = Brackets(sizes, len(problem.seeds), problem.workers, lanes)
        self.first = len(rungs) - (sizes > 0).sum(axis=1)
        self.codes = np.zeros((*shape, problem.space.dimensions), dtype=np.int64)
        self.loss = np.full(shape, np.inf)
        self.order = np.tile(np.arange(shape[2]), (*shape[:2], 1))
        self.promoted = np.zeros(shape[:2], dtype=np.int64)

    def fidelity(self, turn: Turn) -> Ints:
        """The fidelity (index) of each turn, Int[n]; bracket b has the upper rungs."""
        return self.rungs[self.first[turn.bracket % len(self.first)] + turn.rung]

    def ask(self, seeds: Ints, worker: Ints) -> Jobs:
        if len(self.rungs) == 1:
            fidelity = np.full(len(seeds), self.rungs[0])
            return Jobs(self.propose(seeds, fidelity), fidelity)
        turn, wait = self.brackets.ask(seeds, worker)
        fidelity = self.fidelity(turn)
        at = seeds, turn.lane, self.order[seeds, turn.lane, turn.position]
        codes = self.codes[at]
        new = ~wait & (turn.position >= self.promoted[seeds, turn.lane])
        if new.any():
            codes[new] = self.propose(seeds[new], fidelity[new])
            self.codes[at] = codes
        return Jobs(codes, fidelity, wait)

    def tell(self, results: Results) -> None:
        if len(self.rungs) == 1:
            return
        turn, complete = self.brackets.tell(results.seeds, results.worker)
        self.loss[results.seeds, turn.lane, turn.position] = results.loss
        if not complete.any():
            return
        seeds, lane = results.seeds[complete], turn.lane[complete]
        count = self.brackets.size(turn.bracket[complete], turn.rung[complete] + 1)
        best, self.promoted[seeds, lane] = promoted(self.loss[seeds, lane], count)
        self.order[seeds, lane] = np.take_along_axis(self.order[seeds, lane], best, axis=1)
        self.loss[seeds, lane] = np.inf
