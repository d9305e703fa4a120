"""Regularized evolution, Hyperband and ASHA on a simulated clock, for one seed, in lists and dictionaries.

Written from the papers and docs/design.md; nothing of `harness` or `algorithms` is used, not even the random numbers.
"""

from __future__ import annotations

import hashlib
import heapq
import math
from collections.abc import Iterator
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


class Told(NamedTuple):
    time: float
    row: int
    fidelity: int
    repeat: int
    loss: float


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


def simulated(table: Measured, name: str, seed: int, workers: int, budget: float, **settings: int) -> Iterator[Told]:
    """Every result of a run in the order in which it is told."""
    search = {"re": Evolution, "hb": Hyperband, "asha": ASHA}[name](table, seed, **settings)
    noise = Stream(seed, "noise")
    now, started, idle, waits = 0.0, 0, workers, False
    jobs: list[tuple[float, int, Told, tuple[tuple[int, ...], int, int]]] = []
    while True:
        while idle and not waits:
            asked = search.ask()
            if asked is None:
                waits = True
                break
            codes, fidelity, *position = asked
            row = table.rows.get(codes, -1)
            losses = table.loss[row][fidelity] if row >= 0 else []
            repeat, loss, cost = 0, math.inf, 0.0
            if losses:
                repeat = int(noise.at(row) * len(losses))
                loss, cost = losses[repeat], table.cost[row][fidelity][repeat]
            told = Told(now + cost, row, fidelity, repeat, loss)
            heapq.heappush(jobs, (told.time, started, told, (codes, fidelity, *(position or [0]))))
            started, idle = started + 1, idle - 1
        if not jobs or jobs[0][0] > budget:
            return
        now, _, told, (codes, fidelity, position) = heapq.heappop(jobs)
        if isinstance(search, Hyperband):
            search.tell_at(position, told.loss)
        else:
            search.tell(codes, fidelity, told.loss)
        idle, waits = idle + 1, False
        yield told
