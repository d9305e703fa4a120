"""The clock: asynchronous workers in simulated time, all seeds in lock-step.

A step gives every seed with an idle worker one job, then every seed whose workers are all taken its earliest
result. Times come out of the table, so nothing here depends on the machine.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from harness.algorithm import Factory, Jobs, Problem, Results
from harness.arrays import Bools, Floats, Ints
from harness.errors import HarnessError
from harness.rng import Streams
from harness.table import Table
from harness.trajectory import Recorder, Trajectory

Noise = Literal["sampled", "mean"]
IncumbentRule = Literal["largest", "any"]
Log = Literal["incumbents", "all"]

_STALL_STEPS = 1 << 16


@dataclass(frozen=True)
class Rules:
    """How runs are simulated.

    A seed ends when its next result would come after `budget` seconds, after `evals` results, or when its algorithm
    has no more to propose. Every job first costs `overhead` seconds; with `continuation` a configuration that goes on
    from the largest fidelity it has finished costs the difference only. `noise`: each seed observes one training repeat
    per configuration, drawn from a stream of its own, or the mean of the repeats. `incumbent`: the best observed
    result among those at the largest fidelity the seed has observed, or at any. `log`: keep the results that became
    incumbents, or all; only with the former may a seed finish early, once it has observed the lowest loss that the
    table holds for it. Nothing is trained beyond `max_fidelity`, and losses and regrets are reported at
    `report_fidelity`, both values such as 200 epochs and the table's largest by default.
    """

    workers: int = 1
    budget: float = math.inf
    evals: int | None = None
    overhead: float = 0.0
    noise: Noise = "sampled"
    incumbent: IncumbentRule = "largest"
    log: Log = "incumbents"
    max_fidelity: int | None = None
    report_fidelity: int | None = None
    continuation: bool = False

    def __post_init__(self) -> None:
        if self.workers < 1:
            raise HarnessError(f"workers must be at least 1, got {self.workers}.")
        if not self.budget > 0:
            raise HarnessError(f"the budget must be positive, got {self.budget:g}.", "it is in simulated seconds.")
        if self.evals is not None and self.evals < 1:
            raise HarnessError(f"evals must be at least 1, got {self.evals}.")
        if not 0 <= self.overhead < math.inf:
            raise HarnessError(f"overhead must be a finite number of seconds and not negative, got {self.overhead:g}.")
        if math.isinf(self.budget) and self.evals is None:
            raise HarnessError("a run needs an end.", "give a budget in simulated seconds, or a number of evaluations.")

    def seen(self, table: Table) -> Table:
        """What runs see of `table`. Raises HarnessError if it does not have what these rules ask for."""
        table.position(self.report_fidelity)
        if self.continuation and table.facts.separate:
            raise HarnessError(
                f"the fidelities of {table.name} are separate trainings: none goes on from another.",
                "leave --continuation out.",
            )
        return table.up_to(self.max_fidelity)


class Observations:
    """What the seeds measure: one flat array of table entries, with one more that stands for invalid.

    An entry number is `(row * F + fidelity) * R + repeat`; with mean noise R is 1. A configuration that is not in
    the table (row -1), or has no repeat at that fidelity, is observed as loss inf at cost 0.
    """

    def __init__(self, table: Table, seeds: Ints, noise: Noise) -> None:
        mean = noise == "mean"
        loss = table.mean_loss[..., None] if mean else table.loss
        cost = table.mean_cost[..., None] if mean else table.cost
        absent = ~np.isfinite(loss)
        self.fidelities, self.repeats = loss.shape[1:]
        self.loss = self._entries(loss, absent, np.inf)
        self.cost = self._entries(cost, absent, 0.0)
        self._drawable = np.maximum((~absent).sum(axis=2), 1).ravel()
        self._drawable = np.append(self._drawable, np.ones(self.fidelities, dtype=np.int64))
        self.seeds = seeds
        self._streams = Streams(seeds, "noise")
        self._rows = len(table)

    @staticmethod
    def _entries(values: Floats, absent: Bools, invalid: float) -> Floats:
        """`values` as one flat array, with `invalid` where absent and in one more row."""
        entries = np.full((len(values) + 1, *values.shape[1:]), invalid)
        np.copyto(entries[:-1], values, where=~absent)
        return entries.ravel()

    def draw(self, where: Ints, rows: Ints, fidelity: Ints | int) -> Ints:
        """The entries that the seeds at `where` Int[n] see for these rows and fidelities, Int[n]."""
        rows = np.where(rows < 0, self._rows, rows)
        pair = rows * self.fidelities + fidelity
        if self.repeats == 1:
            return pair
        repeat = (self._streams.at(rows, where) * self._drawable[pair]).astype(np.int64)
        return pair * self.repeats + repeat

    def split(self, entry: Ints) -> tuple[Ints, Ints, Ints]:
        """Row (-1 for invalid), fidelity index and repeat of each entry."""
        pair, repeat = np.divmod(entry, self.repeats)
        row, fidelity = np.divmod(pair, self.fidelities)
        return np.where(row == self._rows, -1, row), fidelity, repeat

    def fidelity(self, entry: Ints) -> Ints:
        return entry // self.repeats % self.fidelities

    def lowest(self, rule: IncumbentRule) -> Floats:
        """The lowest loss that each seed can ever observe for an incumbent, Float[S].

        Configurations are visited by their lowest repeat, until nothing further down can be lower.
        """
        first = 0 if rule == "any" else self.fidelities - 1
        per_pair = self.loss.reshape(-1, self.fidelities, self.repeats)[:-1, first:].min(axis=2)
        order = np.argsort(per_pair, axis=None, kind="stable")
        bound = per_pair.ravel()[order]
        row, fidelity = np.divmod(order, per_pair.shape[1])
        lowest = np.full(len(self.seeds), np.inf)
        open_, start, size = np.arange(len(lowest)), 0, 64
        while open_.size and start < len(order):
            part = slice(start, start + size)
            n = len(order[part])
            where = np.repeat(open_, n)
            entry = self.draw(where, np.tile(row[part], open_.size), np.tile(fidelity[part] + first, open_.size))
            lowest[open_] = np.minimum(lowest[open_], self.loss[entry].reshape(-1, n).min(axis=1))
            start, size = start + n, 2 * size
            open_ = open_[lowest[open_] > bound[min(start, len(order) - 1)]]
        return lowest


class _Checkpoints:
    """With `continuation`: the largest fidelity each seed has finished of each row, and what going on from it saves."""

    def __init__(self, observations: Observations, continuation: bool) -> None:
        self.observations = observations
        shape = (len(observations.seeds), len(observations.loss) // (observations.fidelities * observations.repeats))
        self.entry = np.full(shape, -1, dtype=np.int32) if continuation and observations.fidelities > 1 else None

    def cost(self, where: Ints, entry: Ints) -> Floats:
        """Seconds that the job `entry` Int[n] costs each of the seeds at `where` Int[n]."""
        cost = self.observations.cost
        if self.entry is None:
            return cost[entry]
        last, fidelity, repeat = self._last(where, entry)
        same = (
            (last >= 0) & (self.observations.fidelity(last) < fidelity) & (last % self.observations.repeats == repeat)
        )
        return np.where(same, np.maximum(cost[entry] - cost[last], 0.0), cost[entry])

    def finish(self, where: Ints, entry: Ints) -> None:
        """Take in one finished job per seed."""
        if self.entry is not None:
            last, fidelity, _ = self._last(where, entry)
            further = (self.observations.loss[entry] < np.inf) & (
                (last < 0) | (self.observations.fidelity(last) < fidelity)
            )
            self.entry[where[further], self._row(entry[further])] = entry[further]

    def _last(self, where: Ints, entry: Ints) -> tuple[Ints, Ints, Ints]:
        last = self.entry[where, self._row(entry)]  # type: ignore[index]
        return last, self.observations.fidelity(entry), entry % self.observations.repeats

    def _row(self, entry: Ints) -> Ints:
        return entry // (self.observations.fidelities * self.observations.repeats)


class _Workers:
    """The jobs of all seeds in S x W slots; an idle slot finishes at inf."""

    def __init__(self, seeds: int, rules: Rules, dimensions: int) -> None:
        shape = (seeds, rules.workers)
        self.limit = np.iinfo(np.int64).max if rules.evals is None else rules.evals
        self.finish = np.full(shape, np.inf)
        self.ticket = np.zeros(shape, dtype=np.int64)
        self.entry = np.zeros(shape, dtype=np.int64)
        self.cost = np.zeros(shape)
        self.codes = np.zeros((*shape, dimensions), dtype=np.int64)
        self.started = np.zeros(seeds, dtype=np.int64)
        self.running = np.zeros(seeds, dtype=np.int64)
        self.waiting = np.zeros(seeds, dtype=np.bool_)

    def may_ask(self, where: Ints) -> Bools:
        """Whether a seed has an idle worker, is not waiting for a result and has evaluations left."""
        idle = self.running[where] < self.finish.shape[1]
        return idle & ~self.waiting[where] & (self.started[where] < self.limit)

    def idle(self, where: Ints) -> Ints:
        """The first idle slot of each seed."""
        if self.finish.shape[1] == 1:
            return np.zeros(len(where), dtype=np.int64)
        return np.isinf(self.finish[where]).argmax(axis=1)

    def start(self, where: Ints, slot: Ints, codes: Ints, entry: Ints, cost: Floats, finish: Floats) -> None:
        self.codes[where, slot] = codes
        self.entry[where, slot] = entry
        self.cost[where, slot] = cost
        self.finish[where, slot] = finish
        self.ticket[where, slot] = self.started[where]
        self.started[where] += 1
        self.running[where] += 1

    def earliest(self, where: Ints) -> Ints:
        """The slot that finishes first; of several at the same moment the one that started first."""
        if self.finish.shape[1] == 1:
            return np.zeros(len(where), dtype=np.int64)
        finish = self.finish[where]
        tied = finish == finish.min(axis=1, keepdims=True)
        return np.where(tied, self.ticket[where], np.iinfo(np.int64).max).argmin(axis=1)

    def release(self, where: Ints, slot: Ints) -> tuple[Ints, Ints, Floats]:
        """End the jobs in these slots; their entries, codes and costs."""
        self.finish[where, slot] = np.inf
        self.running[where] -= 1
        self.waiting[where] = False
        return self.entry[where, slot], self.codes[where, slot], self.cost[where, slot]


class _Incumbents:
    """Best observed loss of each seed by the rule, and whether anything can still replace it."""

    def __init__(self, observations: Observations, rules: Rules) -> None:
        seeds = len(observations.seeds)
        self.rule = rules.incumbent
        self.full = observations.fidelities - 1
        self.loss = np.full(seeds, np.inf)
        self.fidelity = np.full(seeds, -1, dtype=np.int64)
        self.lowest = observations.lowest(rules.incumbent) if rules.log == "incumbents" else None

    def replaced(self, where: Ints, loss: Floats, fidelity: Ints) -> Bools:
        """Take in one result per seed; Bool[n] says where it is the new incumbent."""
        better = loss < self.loss[where]
        if self.rule == "largest" and self.full:
            held = self.fidelity[where]
            better = (better & (fidelity == held)) | ((fidelity > held) & (loss < np.inf))
        self.loss[where[better]] = loss[better]
        self.fidelity[where[better]] = fidelity[better]
        return better

    def final(self, where: Ints) -> Bools:
        """Whether the incumbent of each seed can no longer change."""
        assert self.lowest is not None
        reached = self.loss[where] <= self.lowest[where]
        return reached if self.rule == "any" else reached & (self.fidelity[where] == self.full)


class _Progress:
    """Every 64 steps: how much of the work is done, and whether some seed's clock stands still for good."""

    def __init__(self, rules: Rules, report: Callable[[float], None] | None) -> None:
        self.rules = rules
        self.report = report
        self.steps = 0
        self.seen = np.zeros(0)

    def step(self, now: Floats, alive: Ints, started: Ints) -> None:
        self.steps += 1
        if self.steps % 64:
            return
        if self.report is not None:
            done = now[alive] / self.rules.budget
            if self.rules.evals is not None:
                done = np.maximum(done, started[alive] / self.rules.evals)
            self.report(1.0 - (1.0 - done).sum() / len(now))
        if self.steps % _STALL_STEPS == 0:
            if self.rules.evals is None and self.seen.size and (now[alive] == self.seen[alive]).any():
                raise HarnessError(
                    f"the simulated clock stands still: some seed got {_STALL_STEPS:,} results in a row at cost 0.",
                    "the algorithm proposes invalid configurations only; give it --evals, or --overhead seconds.",
                )
            self.seen = now.copy()


def _check(jobs: Jobs, problem: Problem) -> None:
    sizes = problem.space.sizes
    if (jobs.codes.view(np.uint64) >= sizes.view(np.uint64)).any():
        raise HarnessError("the algorithm asked for codes outside of the search space.")
    fidelity = np.asarray(jobs.fidelity)
    if ((fidelity < 0) | (fidelity > problem.full)).any():
        raise HarnessError(f"the algorithm asked for a fidelity outside of 0..{problem.full}.")


def simulate(
    table: Table,
    factory: Factory,
    *,
    seeds: Ints,
    rules: Rules,
    progress: Callable[[float], None] | None = None,
) -> Trajectory:
    """Run the algorithm on `table` once for each of `seeds` Int[S].

    A result is told at its finish time: the earliest first, those of one moment in the order they were started.
    `progress` is called now and then with the done share of the work in [0, 1]. Raises HarnessError if the algorithm
    breaks its contract: codes or a fidelity that the problem does not have, or results at cost 0 without end; or if
    the table does not have what the rules ask for.
    """
    table = rules.seen(table)
    problem = Problem(table.space, table.fidelities, seeds, rules.workers, rules.budget)
    algorithm = factory(problem, Streams(seeds, "algorithm"))
    observations = Observations(table, seeds, rules.noise)
    checkpoints = _Checkpoints(observations, rules.continuation)
    workers = _Workers(len(seeds), rules, table.space.dimensions)
    incumbents = _Incumbents(observations, rules)
    recorder = Recorder(len(seeds))
    watch = _Progress(rules, progress)
    now, alive = np.zeros(len(seeds)), np.arange(len(seeds))

    while alive.size:
        watch.step(now, alive, workers.started)
        asks = workers.may_ask(alive)
        if asks.any():
            asking = alive if asks.all() else alive[asks]
            slot = workers.idle(asking)
            jobs = algorithm.ask(asking, slot)
            if jobs.wait is not None and jobs.wait.any():
                workers.waiting[asking] = jobs.wait
                jobs, asking, slot = _without_waiting(jobs, asking, slot)
            _check(jobs, problem)
            entry = observations.draw(asking, table.rows(jobs.codes), jobs.fidelity)
            cost = checkpoints.cost(asking, entry)
            workers.start(asking, slot, jobs.codes, entry, cost, now[asking] + (rules.overhead + cost))

        asks = workers.may_ask(alive)
        if asks.all():
            continue
        telling = alive[~asks] if asks.any() else alive
        slot = workers.earliest(telling)
        time = workers.finish[telling, slot]
        ended = ~((time <= rules.budget) & (time < np.inf))
        if ended.any():
            alive = _without(alive, telling[ended])
            telling, slot, time = telling[~ended], slot[~ended], time[~ended]
        entry, codes, cost = workers.release(telling, slot)
        checkpoints.finish(telling, entry)
        now[telling] = time
        fidelity, loss = observations.fidelity(entry), observations.loss[entry]
        algorithm.tell(Results(telling, slot, codes, fidelity, loss, cost))
        better = incumbents.replaced(telling, loss, fidelity)
        recorder.told(telling, time)
        if rules.log == "all":
            recorder.keep(telling, time, entry, loss, better)
        elif better.any():
            improved = telling[better]
            recorder.keep(improved, time[better], entry[better], loss[better], better[better])
            final = improved[incumbents.final(improved)]
            recorder.finished[final] = True
            alive = _without(alive, final)

    return recorder.trajectory(seeds, now, observations.split)


def _without(alive: Ints, ended: Ints) -> Ints:
    return alive[~np.isin(alive, ended, assume_unique=True)] if ended.size else alive


def _without_waiting(jobs: Jobs, asking: Ints, slot: Ints) -> tuple[Jobs, Ints, Ints]:
    assert jobs.wait is not None
    runs = ~jobs.wait
    fidelity = jobs.fidelity if isinstance(jobs.fidelity, int) else jobs.fidelity[runs]
    return Jobs(jobs.codes[runs], fidelity), asking[runs], slot[runs]
