"""The optimizers once more, for one seed and from their papers and packages: what the batched ones must equal.

Each draws the numbers that its batched counterpart draws, in the same order, and is written with plain lists.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from harness import Problem, Streams
from harness.algorithm import Algorithm, OneSeed, _PerSeed

Codes = list[int]
Point = list[float]


class Draws:
    """Numbers in [0, 1) of the one seed of `streams`."""

    def __init__(self, streams: Streams) -> None:
        self.streams = streams

    def __call__(self, n: int) -> list[float]:
        return self.streams.uniform(n, np.array([0]))[0].tolist()


def scalar(make: Callable[..., OneSeed]) -> Callable[..., Algorithm]:
    """A factory that steps `make(problem, draws, **params)` once per seed."""

    def factory(problem: Problem, streams: Streams, **params: Any) -> Algorithm:
        return _PerSeed(
            [
                make(
                    replace(problem, seeds=problem.seeds[[i]]),
                    Draws(Streams(problem.seeds[[i]], "algorithm")),
                    **params,
                )
                for i in range(len(problem.seeds))
            ],
            problem,
        )

    return factory


def decode(problem: Problem, point: Point) -> Codes:
    return [min(int(x * k), k - 1) for x, k in zip(point, problem.space.sizes.tolist(), strict=True)]


def chunks(draws: list[float], size: int) -> list[Point]:
    return [draws[i : i + size] for i in range(0, len(draws), size)]


def sample(draws: list[float], population: list[Any]) -> list[Any]:
    """As many different members as there are draws."""
    left = list(population)
    return [left.pop(int(u * len(left))) for u in draws]


def add(base: Point, factor: float, a: Point, b: Point) -> Point:
    return [x + factor * (y - z) for x, y, z in zip(base, a, b, strict=True)]


def mutate(kind: str, factor: float, r: list[Point], best: Point, target: Point) -> Point:
    if kind == "rand1":
        return add(r[0], factor, r[1], r[2])
    if kind == "rand2":
        return add(add(r[0], factor, r[1], r[2]), factor, r[3], r[4])
    if kind == "best1":
        return add(best, factor, r[0], r[1])
    if kind == "best2":
        return add(add(best, factor, r[0], r[1]), factor, r[2], r[3])
    if kind == "currenttobest1":
        return add(add(target, factor, best, target), factor, r[0], r[1])
    return add(add(r[0], factor, best, r[0]), factor, r[1], r[2])


def cross(kind: str, probability: float, target: Point, mutant: Point, draws: list[float]) -> Point:
    d, trial = len(target), list(target)
    first = int(draws[0] * d)
    if kind == "bin":
        points = [i for i in range(d) if draws[1 + i] < probability] or [first]
    else:
        points = [first]
        while len(points) < d and draws[1 + len(points)] < probability:
            points.append((first + len(points)) % d)
    for i in points:
        trial[i] = mutant[i]
    return trial


def bound(kind: str, trial: Point, draws: list[float]) -> Point:
    if kind == "clip":
        return [min(max(x, 0.0), 1.0) for x in trial]
    return [x if 0.0 <= x <= 1.0 else u for x, u in zip(trial, draws, strict=True)]


@dataclass
class Individual:
    point: Point
    loss: float = math.inf


class ScalarDE:
    """DE as the class DE of the package dehb: the trials of a generation first, then one selection after another."""

    def __init__(self, problem: Problem, draws: Draws, **p: Any) -> None:
        self.problem, self.draws, self.p = problem, draws, p
        self.size = p["population"]
        self.trials = chunks(draws(self.size * problem.space.dimensions), problem.space.dimensions)
        self.population = [Individual([math.nan]) for _ in self.trials]
        self.asked = self.told = 0

    def ask(self) -> Any:
        if self.asked == self.size:
            return None
        self.asked += 1
        return decode(self.problem, self.trials[self.asked - 1]), self.problem.full, self.asked - 1

    def tell(self, handle: int, loss: float, cost: float) -> None:
        if loss <= self.population[handle].loss:
            self.population[handle] = Individual(self.trials[handle], loss)
        self.told += 1
        if self.told == self.size:
            self.trials = [self.trial(individual.point) for individual in self.population]
            self.asked = self.told = 0

    def trial(self, target: Point) -> Point:
        d, kind = len(target), self.p["mutation"]
        m = {"rand1": 3, "rand2": 5, "best1": 2, "best2": 4, "currenttobest1": 2, "randtobest1": 3}[kind]
        draws = self.draws(m + 2 * d + 1)
        parents = [individual.point for individual in sample(draws[:m], self.population)]
        best = min(self.population, key=lambda individual: individual.loss).point
        mutant = mutate(kind, self.p["mutation_factor"], parents, best, target)
        trial = cross(self.p["crossover"], self.p["crossover_probability"], target, mutant, draws[m : m + d + 1])
        return bound(self.p["boundary"], trial, draws[m + d + 1 :])


def hyperband_plan(iteration: int, rungs: int, eta: int) -> list[int]:
    """Configurations per rung of an iteration, by the formula of HyperBand.get_next_iteration in hpbandster."""
    s = rungs - 1 - (iteration % rungs)
    n0 = int(np.floor(rungs / (s + 1)) * eta**s)
    return [max(int(n0 * (eta ** (-i))), 1) for i in range(s + 1)]


@dataclass
class Datum:
    codes: Codes
    stage: int
    status: str = "queued"
    loss: float = math.nan


class Iteration:
    """One run of successive halving, as BaseIteration and SuccessiveHalving of hpbandster."""

    def __init__(self, counts: list[int], fidelities: list[int], propose: Callable[[], Codes]) -> None:
        self.counts, self.fidelities, self.propose = counts, fidelities, propose
        self.data: list[Datum] = []
        self.added = [0] * len(counts)
        self.stage = 0

    @property
    def finished(self) -> bool:
        return self.stage == len(self.counts)

    def next_run(self) -> Datum | None:
        for datum in self.data:
            if datum.status == "queued":
                datum.status = "running"
                return datum
        if self.added[self.stage] < self.counts[self.stage]:
            self.added[self.stage] += 1
            self.data.append(Datum(self.propose(), self.stage, "running"))
            return self.data[-1]
        return None

    def result(self, datum: Datum, loss: float) -> None:
        datum.loss, datum.status = loss, "review" if loss < math.inf else "crashed"
        running = any(other.status in ("running", "queued") for other in self.data)
        if running or self.added[self.stage] < self.counts[self.stage]:
            return
        self.stage += 1
        ranked = sorted((d for d in self.data if d.status == "review"), key=lambda d: d.loss)
        advance = [] if self.finished else ranked[: self.counts[self.stage]]
        for other in ranked:
            other.status = "terminated"
        for other in advance:
            other.status, other.stage = "queued", self.stage
            self.added[self.stage] += 1


class ScalarHyperband:
    """Hyperband as hpbandster's Master runs it, with at most `brackets` iterations at a time."""

    def __init__(self, problem: Problem, draws: Draws, *, eta: int, brackets: int, first_only: bool = False) -> None:
        self.problem, self.draws, self.eta = problem, draws, eta
        self.lanes = problem.workers if problem.full == 0 else brackets
        self.rungs, self.first_only = len(problem.fidelities), first_only
        self.iterations: list[Iteration] = []
        self.opened = 0

    def propose(self) -> Codes:
        return decode(self.problem, self.draws(self.problem.space.dimensions))

    def ask(self) -> Any:
        for iteration in self.iterations:
            if datum := iteration.next_run():
                return datum.codes, iteration.fidelities[datum.stage], (iteration, datum)
        if len(self.iterations) == self.lanes:
            return None
        counts = hyperband_plan(0 if self.first_only else self.opened, self.rungs, self.eta)
        self.opened += 1
        self.iterations.append(Iteration(counts, list(range(self.rungs))[-len(counts) :], self.propose))
        return self.ask()

    def tell(self, handle: tuple[Iteration, Datum], loss: float, cost: float) -> None:
        handle[0].result(handle[1], loss)
        self.iterations = [iteration for iteration in self.iterations if not iteration.finished]


class ScalarASHA:
    """Algorithm 2 of Li et al. 2020."""

    def __init__(self, problem: Problem, draws: Draws, *, eta: int) -> None:
        self.problem, self.draws, self.eta = problem, draws, eta
        self.results: list[list[tuple[float, int, Codes]]] = [[] for _ in problem.fidelities]
        self.promoted: list[set[int]] = [set() for _ in problem.fidelities]

    def ask(self) -> Any:
        for k in range(self.problem.full - 1, -1, -1):
            top = sorted(self.results[k])[: len(self.results[k]) // self.eta]
            for loss, number, codes in top:
                if loss < math.inf and number not in self.promoted[k]:
                    self.promoted[k].add(number)
                    return codes, k + 1, (k + 1, codes)
        codes = decode(self.problem, self.draws(self.problem.space.dimensions))
        return codes, 0, (0, codes)

    def tell(self, handle: tuple[int, Codes], loss: float, cost: float) -> None:
        self.results[handle[0]].append((loss, len(self.results[handle[0]]), handle[1]))


@dataclass
class Population:
    members: list[Individual]
    parent: int = 0


class EvolvedBracket:
    """SHBracketManager of the package dehb, and what is left to promote into the current rung."""

    def __init__(self, number: int, counts: list[int], levels: list[int]) -> None:
        self.number, self.counts, self.levels = number, counts, levels
        self.pending, self.done, self.rung = list(counts), [0] * len(counts), 0
        self.queue: list[Point] = []

    @property
    def waits(self) -> bool:
        return any(done < count for done, count in zip(self.done[: self.rung], self.counts, strict=False))

    @property
    def finished(self) -> bool:
        return self.done == self.counts


class ScalarDEHB:
    """DEHB by the package of that name, with AsyncDE's rand1_bin."""

    def __init__(self, problem: Problem, draws: Draws, *, eta: int) -> None:
        self.problem, self.draws, self.eta = problem, draws, eta
        self.levels = len(problem.fidelities)
        plans = [hyperband_plan(i, self.levels, eta) for i in range(self.levels)] if self.levels > 1 else [[20]]
        sizes = [max(plan[k - b] for b, plan in enumerate(plans[: k + 1])) for k in range(self.levels)]
        d = problem.space.dimensions
        points = iter(chunks(draws(sum(sizes) * d), d))
        self.plans = plans
        self.populations = [Population([Individual(next(points)) for _ in range(n)]) for n in sizes]
        self.brackets: list[EvolvedBracket] = []
        self.opened = 0

    def bracket(self) -> EvolvedBracket:
        for bracket in self.brackets:
            if not bracket.waits and any(bracket.pending):
                return bracket
        plan = self.plans[self.opened % self.levels]
        self.brackets.append(EvolvedBracket(self.opened, plan, list(range(self.levels))[-len(plan) :]))
        self.opened += 1
        return self.brackets[-1]

    def ask(self) -> Any:
        bracket = self.bracket()
        rung = bracket.rung
        level = bracket.levels[rung]
        population = self.populations[level]
        parent = population.parent
        population.parent = (parent + 1) % len(population.members)
        point = self.propose(bracket, rung, level, population.members[parent].point)
        bracket.pending[rung] -= 1
        if not bracket.pending[rung]:
            bracket.rung += 1
        return decode(self.problem, point), level, (bracket, rung, level, parent, point)

    def propose(self, bracket: EvolvedBracket, rung: int, level: int, target: Point) -> Point:
        lower = sorted(self.populations[level - (rung > 0)].members, key=lambda i: i.loss)
        if bracket.number < self.levels and rung > 0:
            if bracket.pending[rung] == bracket.counts[rung]:
                present = [i.point for i in self.populations[level].members]
                valid = [i.point for i in lower if i.loss < math.inf and i.point not in present]
                bracket.queue = valid[: bracket.counts[rung]]
            if bracket.queue:
                return bracket.queue.pop(0)
        pool = [i.point for i in lower[: bracket.counts[rung]]]
        if len(pool) < 3:
            everyone = [i.point for p in self.populations for i in p.members]
            pool = (pool + [self.mutant(everyone, target) for _ in range(3)])[:4]
        mutant = self.mutant(pool, target)
        d = len(target)
        draws = self.draws(2 * d + 1)
        return bound("random", cross("bin", 0.5, target, mutant, draws[: d + 1]), draws[d + 1 :])

    def mutant(self, pool: list[Point], target: Point) -> Point:
        pool = list(pool)
        if target in pool:
            pool.remove(target)
        numbers: list[int] = sample(self.draws(3), list(range(max(len(pool), 3))))
        if max(numbers) >= len(pool):
            fresh = chunks(self.draws(3 * len(target)), len(target))
        parents = [pool[n] if n < len(pool) else fresh[i] for i, n in enumerate(numbers)]
        return mutate("rand1", 0.5, parents, target, target)

    def tell(self, handle: tuple[EvolvedBracket, int, int, int, Point], loss: float, cost: float) -> None:
        bracket, rung, level, parent, point = handle
        if loss <= self.populations[level].members[parent].loss:
            self.populations[level].members[parent] = Individual(point, loss)
        bracket.done[rung] += 1
        self.brackets = [b for b in self.brackets if not b.finished]


class ScalarReinforce:
    """REINFORCE as in the scripts of nas_benchmarks, with its ExponentialMovingAverage."""

    def __init__(self, problem: Problem, draws: Draws, *, learning_rate: float, momentum: float) -> None:
        self.problem, self.draws = problem, draws
        self.learning_rate, self.momentum = learning_rate, momentum
        self.logits = [[0.0] * k for k in problem.space.sizes.tolist()]
        self.numerator = self.denominator = 0.0

    def policy(self) -> list[list[float]]:
        weights = [[math.exp(x) for x in logits] for logits in self.logits]
        return [[w / math.fsum(row) for w in row] for row in weights]

    def ask(self) -> Any:
        codes = []
        for u, probabilities in zip(self.draws(len(self.logits)), self.policy(), strict=True):
            code = 0
            while u >= math.fsum(probabilities[: code + 1]):
                code += 1
            codes.append(code)
        return codes, self.problem.full, codes

    def tell(self, handle: Codes, loss: float, cost: float) -> None:
        if math.isinf(loss):
            return
        reward = 1 - loss if loss <= 1 else 1 / loss - 1
        self.numerator = self.momentum * self.numerator + (1 - self.momentum) * reward
        self.denominator = self.momentum * self.denominator + (1 - self.momentum)
        advantage = reward - self.numerator / self.denominator
        for logits, probabilities, code in zip(self.logits, self.policy(), handle, strict=True):
            for i, p in enumerate(probabilities):
                logits[i] += self.learning_rate * advantage * ((i == code) - p)
