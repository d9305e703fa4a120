"""The clock of one seed in the hands of whoever proposes: a `Simulator` to submit to, an `Objective` to call."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import cached_property
from types import CodeType
from typing import Any, NamedTuple

import numpy as np

from harness.algorithm import Jobs, Results
from harness.arrays import Ints
from harness.errors import Blaming, HarnessError
from harness.rng import Streams
from harness.rules import Rules
from harness.simulation import Ask, Share, Simulation
from harness.space import SearchSpace, Value
from harness.table import Table
from harness.trajectory import Trajectory

Config = Mapping[str, Value] | Sequence[float]
"""A configuration by name, or its codes; codes that are no integers are rounded."""


def codes_of(space: SearchSpace, config: Any) -> Ints:
    """Codes Int[d] of a configuration. Raises HarnessError for what the space does not have."""
    if isinstance(config, Mapping):
        return space.from_dict(config)
    codes = np.asarray(config)
    if codes.shape != (space.dimensions,) or codes.dtype.kind not in "iuf" or not np.isfinite(codes).all():
        raise HarnessError(
            f"{config!r} is no configuration.",
            f"give a dict with {', '.join(p.name for p in space.parameters)}, or a code for each of them.",
        )
    codes = np.rint(codes).astype(np.int64)
    if ((codes < 0) | (codes >= space.sizes)).any():
        i = int(((codes < 0) | (codes >= space.sizes)).argmax())
        raise HarnessError(
            f"code {codes[i]} of '{space.parameters[i].name}' is outside of 0 to {space.sizes[i] - 1}.",
            "a code is the position of a value.",
        )
    return codes


class Result(NamedTuple):
    """A finished job: its configuration and fidelity, the observed loss, its seconds, and when it finished."""

    config: dict[str, Value]
    fidelity: int
    loss: float
    cost: float
    time: float


class Simulator:
    """Simulated workers for a loop of one's own, for one seed, with the rules and the clock of every other run.

    Submit jobs while workers are idle, then wait for the earliest result:

        while not simulator.over:
            while simulator.idle:
                simulator.submit({"lr": 0.1, "width": 64})
            result = simulator.wait()

    """

    def __init__(self, table: Table, *, seed: int = 0, rules: Rules) -> None:
        self.table = table
        self.rules = rules
        self.seed = seed
        self.time = 0.0
        """The simulated seconds at which the last result that was waited for was finished."""
        self.running = 0
        """The number of jobs that were submitted and not waited for."""
        self._simulation = Simulation(table, seeds=np.array([seed]), rules=rules)
        self._steps = self._simulation.steps()
        self._said: Ask | Results | None = None
        self._job: Jobs | None = None
        self._over = False

    def __repr__(self) -> str:
        state = "over" if self._over else f"{self.running} of {self.rules.workers} workers busy"
        return f"<Simulator of {self.table.name}, seed {self.seed}, at {self.time:.6g} s, {state}>"

    @property
    def over(self) -> bool:
        """Whether the budget or the evaluations are spent, so that no more results will come."""
        self._settle()
        return self._said is None

    @property
    def idle(self) -> int:
        """How many workers are free for a job; none once all evaluations were started."""
        self._settle()
        return self.rules.workers - self.running if isinstance(self._said, Ask) else 0

    def submit(self, config: Config, fidelity: int | None = None) -> None:
        """Start a job on an idle worker, at a fidelity given by its value and by default the largest.

        Raises HarnessError for a configuration or a fidelity that there is not, and where no worker is idle.
        """
        seen = self._simulation.table
        codes, position = codes_of(seen.space, config), seen.position(fidelity)
        if self.running == self.rules.workers:
            raise HarnessError(f"all of {self.running} workers are busy.", "wait() for a result first.")
        self._settle()
        if not isinstance(self._said, Ask):
            raise HarnessError("the run is over.", "its end is given by budget= and evals=; `over` tells.")
        self._job = Jobs(codes[None], position)
        self.running += 1

    def wait(self) -> Result | None:
        """The earliest result that was not waited for yet; None if the run is over before.

        Raises HarnessError if nothing is running.
        """
        if not self.running:
            raise HarnessError("nothing is running to be waited for.", "submit() a configuration first.")
        self._settle()
        if isinstance(self._said, Ask):
            self._job = Jobs(np.zeros((1, self.table.space.dimensions), dtype=np.int64), 0, np.array([True]))
            self._settle()
        said, self._said = self._said, None
        if not isinstance(said, Results):
            self.running = 0
            return None
        self.running -= 1
        self.time = float(self._simulation.now[0])
        seen = self._simulation.table
        fidelity = int(seen.fidelities[said.fidelity[0]])
        config = seen.space.to_dict(said.codes[0])
        return Result(config, fidelity, float(said.loss[0]), float(said.cost[0]), self.time)

    def trajectory(self) -> Trajectory:
        """What was logged so far."""
        return self._simulation.trajectory()

    def _settle(self) -> None:
        """Let the simulation go on until it wants a job, or has a result to give."""
        if self._over or (self._said is not None and self._job is None):
            return
        try:
            self._said = self._steps.send(self._job)
        except StopIteration:
            self._said, self._over = None, True
        self._job = None


class Objective:
    """An objective function that keeps the clock: the observed loss of a configuration, a job after the other.

    A configuration is a mapping by name, codes in the order of the parameters (floats are rounded), or a trial of
    Optuna, which it is then suggested to. Once the budget is spent every loss is inf, `over` is true, and an Optuna
    study is told to stop.
    """

    def __init__(self, simulator: Simulator) -> None:
        self.simulator = simulator

    def __repr__(self) -> str:
        return f"<Objective of {self.simulator.table.name}, seed {self.seed}, at {self.time:.6g} s>"

    def __call__(
        self, config: Any, fidelity: int | None = None, *, seed: int | None = None, budget: float | None = None
    ) -> float:
        """The observed loss. `seed` and `budget` are what SMAC passes: the one is ignored, the other is a fidelity."""
        trial = config if hasattr(config, "suggest_categorical") else None
        if trial is not None:
            config = [
                trial.suggest_categorical(p.name, range(len(p.values)))
                if p.kind == "categorical"
                else trial.suggest_int(p.name, 0, len(p.values) - 1)
                for p in self.space.parameters
            ]
        if fidelity is None and budget is not None:
            fidelity = round(budget)
        if not self.over:
            self.simulator.submit(self._whole(config), fidelity)
            result = self.simulator.wait()
            if result is not None:
                return result.loss
        if trial is not None:
            trial.study.stop()
        return self._at_end()

    def _at_end(self) -> float:
        return math.inf

    @property
    def __code__(self) -> CodeType:
        """The code of a call, which SMAC writes down of a target function."""
        return type(self).__call__.__code__

    @property
    def over(self) -> bool:
        """Whether the budget is spent."""
        return self.simulator.over

    @property
    def time(self) -> float:
        """Simulated seconds by now."""
        return self.simulator.time

    @property
    def seed(self) -> int:
        return self.simulator.seed

    @property
    def space(self) -> SearchSpace:
        """The space without parameters of a single value."""
        return self._every.varying

    @property
    def _every(self) -> SearchSpace:
        return self.simulator.table.space

    def _whole(self, config: Any) -> Config:
        """A configuration with the parameters of a single value."""
        if isinstance(config, Mapping):
            return {p.name: p.values[0] for p in self._every.parameters if len(p.values) == 1} | {**config}
        whole: list[float] = self._every.whole(codes_of(self.space, config)).tolist()
        return whole

    @property
    def fidelities(self) -> list[int]:
        """The fidelities by their values, ascending."""
        return [int(f) for f in self.simulator.rules.seen(self.simulator.table).fidelities]

    @property
    def bounds(self) -> list[tuple[int, int]]:
        """The lowest and the highest code of each parameter, as scipy's optimizers want them."""
        return [(0, int(size) - 1) for size in self.space.sizes]

    @cached_property
    def generator(self) -> np.random.Generator:
        """A numpy generator that belongs to the seed."""
        return Streams(np.array([self.seed]), "algorithm").generator(0)


class _Over(BaseException):
    """Leaves a function of an objective whose budget is spent."""


class _Unwinding(Objective):
    def _at_end(self) -> float:
        raise _Over


def drive(
    function: Callable[..., Any],
    table: Table,
    *,
    seeds: Ints,
    rules: Rules,
    progress: Callable[[float], None] | None = None,
) -> Trajectory:
    """Call `function(objective)` once for each of `seeds` Int[S], until it returns or the budget is spent."""
    parts = []
    for i, seed in enumerate(seeds.tolist()):
        simulator = Simulator(table, seed=seed, rules=rules)
        with suppress(_Over), Blaming(lambda seed=seed: f"for seed {seed}"):  # type: ignore[misc]
            function(_Unwinding(simulator))
        parts.append(simulator.trajectory())
        if progress is not None:
            progress(Share((i + 1) / len(seeds), sum(int(part.evaluations.sum()) for part in parts)))
    return Trajectory.join(parts)
