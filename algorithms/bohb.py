"""BOHB (Falkner, Klein and Hutter, "BOHB: Robust and efficient hyperparameter optimization at scale", ICML 2018)."""

from __future__ import annotations

from typing import Annotated

import numpy as np

from algorithms.brackets import Halving, lone, rungs, sizes
from algorithms.density import ProductKDE
from algorithms.hyperband import Eta, Lanes, Largest, Smallest
from harness import Ints, Jobs, Param, Problem, Results, Streams


class BOHB:
    """BOHB: Hyperband's brackets, filled by kernel densities of the good and the bad configurations.

    New configurations come from the model of the largest fidelity that has one, but for a random share. Only results
    that have been told count. Where there is one rung there is nothing to halve: it is the model-based search alone.
    """

    shard = 250
    preload = ("algorithms.density",)

    def __init__(
        self,
        problem: Problem,
        streams: Streams,
        *,
        eta: Eta = 3,
        min_fidelity: Smallest = 0,
        max_fidelity: Largest = 0,
        brackets: Lanes = 1,
        min_points: Annotated[int, Param("good, and bad, results for a model; 0 for d + 1, the least", 0)] = 0,
        top_percent: Annotated[int, Param("percentage of the results that are good", low=1, high=99)] = 15,
        candidates: Annotated[int, Param("drawn from the good density", low=1)] = 64,
        random_fraction: Annotated[float, Param("share of configurations drawn uniformly", 0, 1)] = 1 / 3,
        bandwidth_factor: Annotated[float, Param("widens the ordinal kernels that are drawn from", low=1e-9)] = 3.0,
        min_bandwidth: Annotated[float, Param("smallest bandwidth of a kernel", low=1e-9)] = 0.3,
    ) -> None:
        self.problem = problem
        self.random = streams.child("random")
        self.draws = streams.child("candidates")
        self.random_fraction = random_fraction
        self.candidates = candidates
        used = rungs(problem.fidelities, eta, min_fidelity, max_fidelity)
        self.halving = Halving(problem, used, sizes(len(used), eta), self.propose, lanes=brackets)
        self.models = {
            fidelity: ProductKDE(
                problem.space,
                len(problem.seeds),
                percent=top_percent,
                minimum=min_points,
                min_bandwidth=min_bandwidth,
                bandwidth_factor=bandwidth_factor,
            )
            for fidelity in used.tolist()
        }

    @staticmethod
    def note(fidelities: Ints, *, eta: int, min_fidelity: int, max_fidelity: int) -> str:
        """What a user should know where there is nothing to halve."""
        return lone(fidelities, eta, min_fidelity, max_fidelity, "BOHB's model-based search alone")

    def propose(self, seeds: Ints, fidelity: Ints) -> Ints:
        """New configurations, Int[n, d], whatever the fidelity they begin at."""
        space = self.problem.space
        draws = self.random.uniform(1 + space.dimensions, seeds)
        codes = space.sample(draws[:, 1:])
        left = draws[:, 0] >= self.random_fraction
        for model in reversed(self.models.values()):
            ready = left & model.ready[seeds]
            if ready.any():
                at = seeds[ready]
                states = self.draws.states(self.candidates * (1 + space.dimensions), at)
                proposal, found = model.propose_by(at, states, self.candidates)
                codes[ready] = np.where(found[:, None], proposal, codes[ready])
                left &= ~ready
        return codes

    def ask(self, seeds: Ints, worker: Ints) -> Jobs:
        return self.halving.ask(seeds, worker)

    def tell(self, results: Results) -> None:
        for fidelity, model in self.models.items():
            at = results.fidelity == fidelity
            model.add(results.seeds[at], results.codes[at], results.loss[at])
        self.halving.tell(results)
