"""The clock: asynchronous workers in simulated time, all seeds in lock-step.

A step gives every seed with an idle worker one job, then every seed whose workers are all taken its earliest
result. Times come out of the table, so nothing here depends on the machine.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Generator
from typing import NamedTuple, Self

import numpy as np

from harness.algorithm import Factory, Jobs, Problem, Results, checked, seeds_of, start
from harness.arrays import Bools, Floats, Ints, sealed
from harness.errors import Blaming, PluginError
from harness.observations import Checkpoints, Observations
from harness.pareto import Archive
from harness.rng import Streams
from harness.rules import Rules
from harness.scoring import Scoring
from harness.table import Table
from harness.trajectory import Recorder, Trajectory

STALL_STEPS = 1 << 16


class _Workers:
    """The jobs of all seeds in S x W slots, which are numbered seed by seed; an idle slot finishes at inf."""

    def __init__(self, seeds: int, rules: Rules, dimensions: int) -> None:
        slots = seeds * rules.workers
        self.each = rules.workers
        self.limit = np.iinfo(np.int64).max if rules.evals is None else rules.evals
        self.finish = np.full(slots, np.inf)
        self.ticket = np.zeros(slots, dtype=np.int64)
        self.entry = np.zeros(slots, dtype=np.int64)
        self.cost = np.zeros(slots)
        self.codes = np.zeros((slots, dimensions), dtype=np.int64)
        self.started = np.zeros(seeds, dtype=np.int64)
        self.running = np.zeros(seeds, dtype=np.int64)
        self.waiting = np.zeros(seeds, dtype=np.bool_)

    def may_ask(self, where: Ints) -> Bools:
        """Whether a seed has an idle worker, is not waiting for a result and has evaluations left."""
        idle = self.running[where] < self.each
        return idle & ~self.waiting[where] & (self.started[where] < self.limit)

    def idle(self, where: Ints) -> Ints:
        """The first idle worker of each seed."""
        if self.each == 1:
            return np.zeros(len(where), dtype=np.int64)
        return np.isinf(self._finish(where)).argmax(axis=1)

    def start(self, where: Ints, worker: Ints, codes: Ints, entry: Ints, cost: Floats, finish: Floats) -> None:
        slot = self.slot(where, worker)
        self.codes[slot] = codes
        self.entry[slot] = entry
        self.cost[slot] = cost
        self.finish[slot] = finish
        self.ticket[slot] = self.started[where]
        self.started[where] += 1
        self.running[where] += 1

    def earliest(self, where: Ints) -> Ints:
        """The worker that finishes first; of several at the same moment the one that started first."""
        if self.each == 1:
            return np.zeros(len(where), dtype=np.int64)
        finish = self._finish(where)
        tied = finish == finish.min(axis=1, keepdims=True)
        ticket = self.ticket.reshape(-1, self.each).take(where, axis=0)
        return np.where(tied, ticket, np.iinfo(np.int64).max).argmin(axis=1)

    def release(self, where: Ints, worker: Ints) -> tuple[Ints, Ints, Floats]:
        """End the jobs of these workers; their entries, codes and costs."""
        slot = self.slot(where, worker)
        self.finish[slot] = np.inf
        self.running[where] -= 1
        self.waiting[where] = False
        return self.entry[slot], self.codes.take(slot, axis=0), self.cost[slot]

    def slot(self, where: Ints, worker: Ints) -> Ints:
        return where * self.each + worker

    def _finish(self, where: Ints) -> Floats:
        return self.finish.reshape(-1, self.each).take(where, axis=0)


class _Incumbents:
    """Best observed loss of each seed by the rule, and whether anything can still replace it."""

    def __init__(self, observations: Observations, rules: Rules) -> None:
        seeds = len(observations.seeds)
        self.rule = rules.incumbent
        self.full = observations.fidelities - 1
        self.loss = np.full(seeds, np.inf)
        self.fidelity = np.full(seeds, -1, dtype=np.int64)
        self.lowest = observations.lowest(rules.incumbent) if rules.log == "incumbents" else None

    @staticmethod
    def observed(_: Ints, loss: Floats) -> Floats:
        """What is compared of results."""
        return loss

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


class _Fronts:
    """What each seed has observed that nothing later dominates, at the largest fidelity it has observed."""

    def __init__(self, table: Table, observations: Observations, rules: Rules) -> None:
        self.any = rules.incumbent == "any" or observations.fidelities == 1
        self.error = [i for i, name in enumerate(rules.objectives) if name == table.primary]
        points = table.minimised(rules.objectives, np.zeros(len(table)))
        self.points = np.append(points, np.full((1, points.shape[1]), np.inf), axis=0)
        self.incomplete = ~np.isfinite(self.points).all(axis=1)
        self.entries = observations.fidelities * observations.repeats
        self.archive = Archive(len(observations.seeds), points.shape[1])
        self.fidelity = np.full(len(observations.seeds), -1, dtype=np.int64)

    def observed(self, entry: Ints, loss: Floats) -> Floats:
        """The objectives of results, Float[n, k]; inf in all for an invalid configuration."""
        row = entry // self.entries
        points = self.points[row]
        points[:, self.error] = loss[:, None]
        points[self.incomplete[row] | np.isinf(loss)] = np.inf
        return points

    def replaced(self, where: Ints, points: Floats, fidelity: Ints) -> Bools:
        """Take in one result per seed; Bool[n] says which joined the front of its seed."""
        if self.any:
            return self.archive.add(where, points, where)
        further = (fidelity > self.fidelity[where]) & np.isfinite(points[:, 0])
        self.archive.clear(where[further])
        self.fidelity[where[further]] = fidelity[further]
        counts = fidelity == self.fidelity[where]
        return counts & self.archive.add(where, np.where(counts[:, None], points, np.inf), where)

    @staticmethod
    def final(where: Ints) -> Bools:
        """Whether the front of each seed can no longer change: that is not known."""
        return np.zeros(len(where), dtype=np.bool_)


class Share(float):
    """The done share of some work, in [0, 1], which knows how many `evaluations` it took."""

    evaluations: int

    def __new__(cls, share: float, evaluations: int = 0) -> Self:
        made = super().__new__(cls, share)
        made.evaluations = evaluations
        return made


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
            self.report(Share(1.0 - (1.0 - done).sum() / len(now), int(started.sum())))
        if self.steps % STALL_STEPS == 0:
            before = self.seen[alive] if self.seen.size else 0.0
            if self.rules.evals is None and (now[alive] == before).any():
                raise PluginError(
                    f"lets the simulated clock stand still: some seed got {STALL_STEPS:,} results in a row at cost 0.",
                    "it proposes only what is invalid or not in the table: give it --evals or --overhead, or import a "
                    "sample of a space with sampled = true.",
                )
            self.seen = now.copy()


def _check(jobs: Jobs, problem: Problem) -> None:
    sizes = problem.space.sizes
    if (jobs.codes.view(np.uint64) >= sizes.view(np.uint64)).any():
        raise PluginError("asked for codes outside of the search space.")
    fidelity = jobs.fidelity
    if isinstance(fidelity, int):
        outside = not 0 <= fidelity <= problem.full
    else:
        outside = bool(((fidelity < 0) | (fidelity > problem.full)).any())
    if outside:
        raise PluginError(f"asked for a fidelity outside of 0..{problem.full}.")


class Ask(NamedTuple):
    """What is wanted next: a job for worker `worker` Int[n] of each of the seeds at positions `seeds` Int[n]."""

    seeds: Ints
    worker: Ints


class Simulation:
    """A run on `table` once for each of `seeds` Int[S], as a dialogue with whatever proposes.

    `progress` is called now and then with the done share of the work in [0, 1]. `scores` are the training-free ones
    that may be asked for, by default all. Raises HarnessError if the table does not have what the rules ask for.
    """

    def __init__(
        self,
        table: Table,
        *,
        seeds: Ints,
        rules: Rules,
        progress: Callable[[float], None] | None = None,
        scores: Collection[str] | None = None,
    ) -> None:
        self.table = rules.seen(table)
        self.rules = rules
        self.scoring = Scoring(self.table, len(seeds), scores)
        self.problem = rules.problem(self.table, seeds, self.scoring)
        self.observations = Observations(self.table, seeds, rules.noise)
        self.now = np.zeros(len(seeds))
        """The clock of each seed in seconds, Float[S]."""
        self._recorder = Recorder(len(seeds))
        self._watch = _Progress(rules, progress)

    def trajectory(self) -> Trajectory:
        """What was logged so far."""
        return self._recorder.trajectory(self.problem.seeds, self.now, self.observations.split)

    def steps(self) -> Generator[Ask | Results, Jobs | None]:
        """The dialogue: each `Ask` is to be sent its `Jobs`, `Results` tell of finished ones; it ends with the seeds.

        A result is told at its finish time: the earliest first, those of one moment in the order they were started.
        Raises HarnessError if an answer breaks the contract: codes or a fidelity that the problem does not have, or
        results at cost 0 without end.
        """
        table, rules, problem, observations, now = self.table, self.rules, self.problem, self.observations, self.now
        checkpoints = Checkpoints(observations, rules.continuation)
        workers = _Workers(len(now), rules, table.space.dimensions)
        incumbents = _Fronts(table, observations, rules) if rules.objectives else _Incumbents(observations, rules)
        recorder, alive = self._recorder, sealed(np.arange(len(now)))

        while alive.size:
            self._watch.step(now, alive, workers.started)
            asks = workers.may_ask(alive)
            if asks.any():
                asking = alive if asks.all() else alive[asks]
                worker = workers.idle(asking)
                jobs = yield Ask(sealed(asking), sealed(worker))
                jobs = checked(jobs, len(asking), problem)
                if jobs.wait is not None and jobs.wait.any():
                    workers.waiting[asking] = jobs.wait
                    jobs, asking, worker = _without_waiting(jobs, asking, worker)
                _check(jobs, problem)
                entry = observations.draw(asking, table.rows(jobs.codes), jobs.fidelity)
                cost = checkpoints.cost(asking, entry)
                before = rules.overhead + (self.scoring.settled(asking) if self.scoring.asked else 0.0)
                workers.start(asking, worker, jobs.codes, entry, cost, now[asking] + (before + cost))

            asks = workers.may_ask(alive)
            if asks.all():
                continue
            telling = alive[~asks] if asks.any() else alive
            worker = workers.earliest(telling)
            time = workers.finish[workers.slot(telling, worker)]
            ended = ~((time <= rules.budget) & (time < np.inf))
            if ended.any():
                alive = _without(alive, telling[ended])
                telling, worker, time = telling[~ended], worker[~ended], time[~ended]
                if not telling.size:
                    continue
            entry, codes, cost = workers.release(telling, worker)
            checkpoints.finish(telling, entry)
            now[telling] = time
            fidelity, loss = observations.fidelity(entry), observations.loss[entry]
            points = incumbents.observed(entry, loss)
            better = incumbents.replaced(telling, points, fidelity)
            recorder.told(telling, time)
            if rules.log == "all":
                recorder.keep(telling, time, entry, loss, better)
            elif better.any():
                improved = telling[better]
                recorder.keep(improved, time[better], entry[better], loss[better], better[better])
                final = improved[incumbents.final(improved)]
                recorder.finished[final] = True
                alive = _without(alive, final)
            yield Results(
                *(sealed(telling), sealed(worker), sealed(codes), sealed(fidelity), sealed(loss), sealed(cost)),
                sealed(points) if rules.objectives else None,
            )


def simulate(
    table: Table,
    factory: Factory,
    *,
    seeds: Ints,
    rules: Rules,
    progress: Callable[[float], None] | None = None,
    scores: Collection[str] | None = None,
) -> Trajectory:
    """Run the algorithm on `table` once for each of `seeds` Int[S], by the dialogue of a `Simulation`.

    `progress` is called now and then with the done share of the work in [0, 1]. `scores` are the training-free ones
    that the algorithm may ask for, by default all of the table. Raises HarnessError if the algorithm breaks its
    contract: codes or a fidelity that the problem does not have, or results at cost 0 without end; or if the table does
    not have what the rules ask for.
    """
    simulation = Simulation(table, seeds=seeds, rules=rules, progress=progress, scores=scores)
    with Blaming(lambda: f"as it was made for {seeds_of(seeds)}"):
        algorithm = start(factory, simulation.problem, Streams(seeds, "algorithm"))
    blaming = Blaming(lambda: f"in {'ask' if isinstance(said, Ask) else 'tell'} for {seeds_of(seeds[said.seeds])}")
    steps = simulation.steps()
    answer: Jobs | None = None
    while True:
        try:
            said = steps.send(answer)
        except StopIteration:
            return simulation.trajectory()
        answer = None
        with blaming:
            if isinstance(said, Ask):
                answer = algorithm.ask(*said)
            else:
                algorithm.tell(said)


def _without(alive: Ints, ended: Ints) -> Ints:
    return sealed(alive[~np.isin(alive, ended, assume_unique=True)]) if ended.size else alive


def _without_waiting(jobs: Jobs, asking: Ints, worker: Ints) -> tuple[Jobs, Ints, Ints]:
    assert jobs.wait is not None
    runs = ~jobs.wait
    fidelity = jobs.fidelity if isinstance(jobs.fidelity, int) else jobs.fidelity[runs]
    return Jobs(jobs.codes[runs], fidelity), asking[runs], worker[runs]
