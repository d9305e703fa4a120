"""Random search (Bergstra and Bengio, "Random search for hyper-parameter optimization", JMLR 13, 2012)."""

from __future__ import annotations

from harness import Ints, Jobs, Problem, Results, Streams


class RandomSearch:
    """Random search: configurations drawn uniformly, with replacement, at the largest fidelity."""

    def __init__(self, problem: Problem, streams: Streams) -> None:
        self.problem = problem
        self.streams = streams

    def ask(self, seeds: Ints, worker: Ints) -> Jobs:
        space = self.problem.space
        return Jobs(space.sample(self.streams.uniform(space.dimensions, seeds)), self.problem.full)

    def tell(self, results: Results) -> None:
        pass
