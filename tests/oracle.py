"""The simulator once more, for one seed, with a heap: what the batched one must equal event for event."""

from __future__ import annotations

import heapq
import math
from functools import cache
from typing import NamedTuple

import numpy as np

from harness import Problem, Results, Rules, Streams, Table
from harness.algorithm import Factory


class Event(NamedTuple):
    time: float
    row: int
    fidelity: int
    repeat: int
    loss: float
    incumbent: bool


@cache
def noise_draws(seed: int, rows: int) -> list[float]:
    """The number in [0, 1) that chooses this seed's repeat of each row."""
    return Streams(np.array([seed]), "noise").at(np.arange(rows), np.zeros(rows, dtype=int)).tolist()


def observe(table: Table, seed: int, row: int, fidelity: int, noise: str) -> tuple[int, float, float]:
    """(repeat, loss, cost) that this seed sees."""
    entry, seconds = [], []
    if row >= 0:
        entry, seconds = table.loss[row, fidelity].tolist(), table.cost[row, fidelity].tolist()
    pairs = enumerate(zip(entry, seconds, strict=True))
    existing = [r for r, (loss, cost) in pairs if not (math.isnan(loss) and math.isnan(cost))]
    if not existing:
        return 0, math.inf, 0.0
    if noise == "mean":
        losses = [loss for loss in entry if not math.isnan(loss)]
        return 0, float(np.mean(losses)) if losses else math.inf, float(np.nanmean(seconds))
    repeat = existing[0]
    if table.loss.shape[2] > 1:
        repeat = existing[int(noise_draws(seed, len(table))[row] * len(existing))]
    return repeat, math.inf if math.isnan(entry[repeat]) else entry[repeat], seconds[repeat]


def oracle(table: Table, factory: Factory, seed: int, rules: Rules) -> tuple[list[Event], bool]:
    """Every result of the run in the order it is told, and whether the run finished early."""
    table = table.up_to(rules.max_fidelity)
    algorithm = factory(
        Problem(table.space, table.fidelities, np.array([seed]), rules.workers, rules.budget),
        Streams(np.array([seed]), "algorithm"),
    )
    one, full = np.array([0]), len(table.fidelities) - 1
    considered = range(len(table.fidelities)) if rules.incumbent == "any" else [full]
    lowest = min(observe(table, seed, row, f, rules.noise)[1] for row in range(len(table)) for f in considered)
    events: list[Event] = []
    running: list[tuple[float, int, int, tuple[int, int, int, float, float], np.ndarray]] = []
    checkpoint: dict[int, tuple[int, int, float]] = {}
    idle, now, ticket, waiting = set(range(rules.workers)), 0.0, 0, False
    best_loss, best_fidelity = math.inf, -1
    while True:
        while idle and not waiting and ticket < (rules.evals or math.inf):
            worker = min(idle)
            jobs = algorithm.ask(one, np.array([worker]))
            if jobs.wait is not None and jobs.wait[0]:
                waiting = True
                break
            fidelity = int(np.broadcast_to(jobs.fidelity, 1)[0])
            row = int(table.rows(jobs.codes)[0])
            repeat, loss, cost = observe(table, seed, row, fidelity, rules.noise)
            if rules.continuation and row in checkpoint:
                trained, same, paid = checkpoint[row]
                if trained < fidelity and same == repeat:
                    cost = max(cost - paid, 0.0)
            finish = now + (rules.overhead + cost)
            heapq.heappush(running, (finish, ticket, worker, (row, fidelity, repeat, loss, cost), jobs.codes))
            idle.remove(worker)
            ticket += 1
        if not running or running[0][0] > rules.budget:
            return events, False
        now, _, worker, (row, fidelity, repeat, loss, cost), codes = heapq.heappop(running)
        algorithm.tell(
            Results(one, np.array([worker]), codes, np.array([fidelity]), np.array([loss]), np.array([cost]))
        )
        idle.add(worker)
        waiting = False
        if loss < math.inf and fidelity > checkpoint.get(row, (-1,))[0]:
            checkpoint[row] = (fidelity, repeat, observe(table, seed, row, fidelity, rules.noise)[2])
        if rules.incumbent == "any":
            better = loss < best_loss
        else:
            better = loss < math.inf and (fidelity, -loss) > (best_fidelity, -best_loss)
        if better:
            best_loss, best_fidelity = loss, fidelity
        events.append(Event(now, row, fidelity, repeat, loss, better))
        if rules.log == "incumbents" and better and fidelity in considered and loss <= lowest:
            return events, True
