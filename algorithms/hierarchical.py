"""Hierarchical evolution (Liu, Simonyan, Vinyals, Fernando and Kavukcuoglu, "Hierarchical representations for efficient
architecture search", ICLR 2018).
"""

from __future__ import annotations

import math
from typing import Annotated

import numpy as np

from harness import Ints, Jobs, Param, Problem, Results, Streams


class HierarchicalEvolution:
    """Hierarchical evolution: motifs of values, a configuration is a motif of motifs; a mutation may change any level.

    The parameters of the space stand in groups of `length`. A genotype holds `motifs` motifs, each a value for every
    place of a group, and for each group the number of its motif, so that a change of a motif changes all groups that
    use it. Where parameters have fewer values than others, a value counts modulo their number. As in the paper, random
    genotypes come first; then the best of a random 5 % of all so far is mutated at one place. Nothing dies.
    """

    def __init__(
        self,
        problem: Problem,
        streams: Streams,
        *,
        population: Annotated[int, Param("random genotypes at first", low=1)] = 50,
        tournament: Annotated[float, Param("share of all so far that a parent is the best of", 0, 1)] = 0.05,
        motifs: Annotated[int, Param("motifs of a genotype", low=1)] = 3,
        length: Annotated[int, Param("parameters that a motif stands for", low=1)] = 2,
    ) -> None:
        seeds, space = len(problem.seeds), problem.space
        self.problem = problem
        self.initial, self.evolution = streams.child("initial"), streams.child("evolution")
        self.population, self.tournament = population, tournament
        groups = -(-space.dimensions // length)
        self.shape = motifs, length
        self.values = np.concatenate([np.full(motifs * length, space.sizes.max()), np.full(groups, motifs)])
        self.genes = np.zeros((seeds, 64, len(self.values)), dtype=np.int32)
        self.loss = np.zeros((seeds, 64))
        self.told = np.zeros(seeds, dtype=np.int64)
        self.running = np.zeros((seeds, problem.workers, len(self.values)), dtype=np.int32)

    def ask(self, seeds: Ints, worker: Ints) -> Jobs:
        genes = np.empty((len(seeds), len(self.values)), dtype=np.int64)
        old = self.told[seeds] >= self.population
        genes[~old] = (self.initial.uniform(len(self.values), seeds[~old]) * self.values).astype(np.int64)
        for count in np.unique(self.told[seeds[old]]).tolist():
            same = old & (self.told[seeds] == count)
            genes[same] = self.mutated(seeds[same], count)
        self.running[seeds, worker] = genes
        return Jobs(self.decoded(genes), self.problem.full)

    def mutated(self, seeds: Ints, count: int) -> Ints:
        """Children of seeds with `count` results each, Int[n, genes]."""
        rivals = max(1, math.ceil(self.tournament * count))
        draws = self.evolution.uniform(rivals + 2, seeds)
        picked = (draws[:, :rivals] * count).astype(np.int64)
        best = picked[np.arange(len(seeds)), self.loss[seeds[:, None], picked].argmin(axis=1)]
        child = self.genes[seeds, best].astype(np.int64)
        mutable = np.flatnonzero(self.values > 1)
        if mutable.size:
            place = mutable[(draws[:, -2] * len(mutable)).astype(np.int64)]
            step = 1 + (draws[:, -1] * (self.values[place] - 1)).astype(np.int64)
            row = np.arange(len(seeds))
            child[row, place] = (child[row, place] + step) % self.values[place]
        return child

    def decoded(self, genes: Ints) -> Ints:
        """The configurations Int[n, d] that genes Int[n, genes] stand for."""
        motifs, length = self.shape
        own = genes[:, : motifs * length].reshape(-1, motifs, length)
        flat = np.take_along_axis(own, genes[:, motifs * length :, None], axis=1).reshape(len(genes), -1)
        return flat[:, : self.problem.space.dimensions] % self.problem.space.sizes

    def tell(self, results: Results) -> None:
        at = results.seeds, self.told[results.seeds]
        if at[1].max(initial=0) == self.loss.shape[1]:
            self.genes, self.loss = (np.concatenate([x, np.zeros_like(x)], axis=1) for x in (self.genes, self.loss))
        self.genes[at] = self.running[results.seeds, results.worker]
        self.loss[at] = results.loss
        self.told[results.seeds] += 1
