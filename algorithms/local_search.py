"""Local search (White, Nolen and Savani, "Exploring the loss landscape in neural architecture search", UAI 2021)."""

from __future__ import annotations

import numpy as np

from harness import Floats, Ints, Jobs, Problem, Results, Streams


class LocalSearch:
    """Local search with restarts: evaluate all neighbours in random order, move to the best, restart at an optimum.

    A neighbour differs in the value of one parameter. After a move along a parameter, the other values of that
    parameter are neighbours that are known already, and are not paid for again. Workers share one neighbourhood
    and wait where its last results decide what comes next.
    """

    def __init__(self, problem: Problem, streams: Streams) -> None:
        shape = (len(problem.seeds), problem.space.dimensions)
        self.problem = problem
        self.starts = streams.child("starts")
        self.shuffles = streams.child("shuffles")
        self.moves = problem.space.moves
        self.centre = np.zeros(shape, dtype=np.int64)
        self.centre_loss = np.zeros(shape[0])
        self.best = np.zeros(shape, dtype=np.int64)
        self.best_loss = np.zeros(shape[0])
        self.best_parameter = np.zeros(shape[0], dtype=np.int64)
        self.order = np.zeros((shape[0], len(self.moves)), dtype=np.int64)
        self.next = np.zeros(shape[0], dtype=np.int64)
        self.end = np.zeros(shape[0], dtype=np.int64)
        self.running = np.zeros(shape[0], dtype=np.int64)
        self.move = np.zeros((shape[0], problem.workers), dtype=np.int64)

    def ask(self, seeds: Ints, worker: Ints) -> Jobs:
        space = self.problem.space
        neighbour = self.next[seeds] < self.end[seeds]
        start = ~neighbour & (self.running[seeds] == 0)
        codes = self.centre[seeds]
        codes[start] = space.sample(self.starts.uniform(space.dimensions, seeds[start]))
        move = np.full(len(seeds), -1, dtype=np.int64)
        at = seeds[neighbour]
        move[neighbour] = self.order[at, self.next[at]]
        codes[neighbour] = space.step(codes[neighbour], *self.moves[move[neighbour]].T)
        self.move[seeds, worker] = move
        self.next[at] += 1
        self.running[seeds] += neighbour | start
        return Jobs(codes, self.problem.full, wait=~(neighbour | start))

    def tell(self, results: Results) -> None:
        seeds = results.seeds
        move = self.move[seeds, results.worker]
        self.running[seeds] -= 1
        start = move < 0
        self.open(seeds[start], results.codes[start], results.loss[start], known=None)

        better = ~start & (results.loss < self.best_loss[seeds])
        at = seeds[better]
        self.best[at] = results.codes[better]
        self.best_loss[at] = results.loss[better]
        self.best_parameter[at] = self.moves[move[better], 0]

        seen = seeds[~start & (self.next[seeds] == self.end[seeds]) & (self.running[seeds] == 0)]
        moving = seen[self.best_loss[seen] < self.centre_loss[seen]]
        self.open(moving, self.best[moving], self.best_loss[moving], known=self.best_parameter[moving])

    def open(self, seeds: Ints, centre: Ints, loss: Floats, known: Ints | None) -> None:
        """Make `centre` Int[n, d] the current configuration and queue its neighbours, shuffled.

        Those along the parameter `known` Int[n] have been evaluated and are left out.
        """
        if not seeds.size:
            return
        self.centre[seeds] = centre
        self.centre_loss[seeds] = loss
        self.best_loss[seeds] = np.inf
        rank = self.shuffles.uniform(len(self.moves), seeds)
        self.end[seeds] = len(self.moves)
        if known is not None:
            rank += self.moves[:, 0] == known[:, None]
            self.end[seeds] -= self.problem.space.sizes[known] - 1
        self.order[seeds] = rank.argsort(axis=1)
        self.next[seeds] = 0
