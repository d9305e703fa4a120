"""Hyperband (Li et al., "Hyperband: A novel bandit-based approach to hyperparameter optimization", JMLR 18, 2018) and
successive halving (Jamieson and Talwalkar, "Non-stochastic best arm identification and hyperparameter optimization",
AISTATS 2016).
"""

from __future__ import annotations

from typing import Annotated

from algorithms.brackets import Halving, lone, rungs, sizes
from harness import Ints, Jobs, Param, Problem, Results, Streams

Eta = Annotated[int, Param("one configuration in eta goes on to a fidelity eta times as large", low=2)]
Smallest = Annotated[int, Param("smallest fidelity to use; 0 for the table's smallest", low=0)]
Largest = Annotated[int, Param("largest fidelity to use; 0 for the table's largest", low=0)]
Lanes = Annotated[int, Param("brackets open at once; a worker that none of them can use waits", low=1)]


class Hyperband:
    """Hyperband: brackets of successive halving that trade many configurations for large first fidelities.

    The brackets are those of the package `hpbandster`, over and over. Rungs are synchronous; with `brackets` as large
    as the number of workers no worker ever waits, as in `hpbandster`. Where there is one rung every bracket is a single
    configuration, and Hyperband is random search.
    """

    aggressive_only = False

    def __init__(
        self,
        problem: Problem,
        streams: Streams,
        *,
        eta: Eta = 3,
        min_fidelity: Smallest = 0,
        max_fidelity: Largest = 0,
        brackets: Lanes = 1,
    ) -> None:
        self.problem = problem
        self.streams = streams
        used = rungs(problem.fidelities, eta, min_fidelity, max_fidelity)
        plan = sizes(len(used), eta)[: 1 if self.aggressive_only else None]
        self.halving = Halving(problem, used, plan, self.propose, lanes=brackets)

    @staticmethod
    def note(fidelities: Ints, *, eta: int, min_fidelity: int, max_fidelity: int) -> str:
        """What a user should know where there is nothing to halve."""
        return lone(fidelities, eta, min_fidelity, max_fidelity, "random search")

    def propose(self, seeds: Ints, fidelity: Ints) -> Ints:
        space = self.problem.space
        return space.sample(self.streams.uniform(space.dimensions, seeds))

    def ask(self, seeds: Ints, worker: Ints) -> Jobs:
        return self.halving.ask(seeds, worker)

    def tell(self, results: Results) -> None:
        self.halving.tell(results)


class SuccessiveHalving(Hyperband):
    """Successive halving: Hyperband's most aggressive bracket, over and over.

    Where there is one rung it is random search.
    """

    aggressive_only = True
