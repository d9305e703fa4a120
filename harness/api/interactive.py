"""Tables to look at, clocks for a loop of one's own, and our algorithms on an objective of one's own."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from harness import algorithm as form
from harness import registry
from harness.algorithm import Problem, start
from harness.analysis.tables import described
from harness.api.results import Results
from harness.arrays import Ints
from harness.driven import Config, Objective, Simulator, codes_of
from harness.errors import HarnessError
from harness.params import resolve
from harness.rng import Streams
from harness.rules import Rules
from harness.space import Parameter, SearchSpace, Value
from harness.studies import fronts
from harness.studies.evaluate import versions
from harness.studies.outcome import Outcome
from harness.studies.study import Study
from harness.table import Facts, Optimum, Table

if TYPE_CHECKING:
    import pandas as pd


class Benchmark:
    """A table to look at: `space`, `fidelities`, `facts`, `optimum`, and every number by configuration."""

    def __init__(self, table: Table) -> None:
        self.table = table

    def __repr__(self) -> str:
        facts, best = self.facts, self.optimum
        lines = [
            f"{facts.name}: {facts.title}",
            f"{len(self.table):,} configurations of {', '.join(p.name for p in self.space.parameters)}",
            f"fidelities ({facts.fidelity}): {_listed(self.fidelities)}",
            f"loss: {facts.loss}; optimum {best.value:.6g} at row {best.row}",
            *([f"test: {facts.test}"] if facts.test else []),
            f"cost: {facts.cost}; default budget {facts.budget:g} {facts.unit}",
        ]
        return "\n".join(lines)

    def __len__(self) -> int:
        return len(self.table)

    @property
    def space(self) -> SearchSpace:
        """Its parameters and their values."""
        return self.table.space

    @property
    def fidelities(self) -> list[int]:
        """The fidelities by value, ascending."""
        return [int(fidelity) for fidelity in self.table.fidelities]

    @property
    def facts(self) -> Facts:
        """Title, citation, licence, splits, and what the numbers are."""
        return self.table.facts

    @property
    def optimum(self) -> Optimum:
        """The lowest validation loss, mean over repeats, at the largest fidelity: the zero of regret."""
        return self.table.optimum

    def describe(self) -> dict[str, Any]:
        """Everything that `harness show` says of it."""
        return described(self.table)

    def front(self, *objectives: str) -> dict[str, Any]:
        """The exact Pareto front of two or more objectives, its ideal, nadir and reference point, and its hypervolume.

        What `harness show --objectives` says. Raises HarnessError for objectives that the table does not have.
        """
        return fronts.described(self.table, objectives)

    def configuration(self, row: int) -> dict[str, Value]:
        """The configuration at a row of the table. Raises HarnessError if there is no such row."""
        if not 0 <= row < len(self.table):
            raise HarnessError(f"{self.table.name} has no row {row}.", f"its rows are 0 to {len(self.table) - 1:,}.")
        return self.table.space.to_dict(self.table.codes[row])

    def row(self, configuration: Config) -> int:
        """The row of a configuration, a mapping by name or codes.

        Raises HarnessError for values that the space does not have, and for a configuration that was not measured.
        """
        row = int(self.table.rows(codes_of(self.space, configuration)[None])[0])
        if row < 0:
            raise HarnessError(f"{self.table.name} has no such configuration: {configuration}.", "it was not measured.")
        return row

    def query(self, configuration: Config | int, **fidelity: int) -> dict[str, Any]:
        """What was measured of a configuration, or of a row, at a fidelity given by its name: `epochs=200`.

        The default is the largest. Losses and seconds are lists, one for each training repeat. Raises HarnessError
        for what is not there.
        """
        row = configuration if isinstance(configuration, int) else self.row(configuration)
        self.configuration(row)
        unit = self.facts.fidelity
        if [*fidelity] not in ([], [unit], ["fidelity"]):
            raise HarnessError(f"the fidelity of {self.table.name} is {unit}.", f"write {unit}={self.fidelities[-1]}")
        position = self.table.position(next(iter(fidelity.values()), None))
        kept = np.isfinite(self.table.loss[row, position])
        if not kept.any():
            raise HarnessError(
                f"row {row} of {self.table.name} was not measured at {unit} {self.fidelities[position]}."
            )
        test = self.table.test_at(position)
        return {
            "row": row,
            unit: self.fidelities[position],
            "loss": self.table.loss[row, position][kept].tolist(),
            "cost": self.table.cost[row, position][kept].tolist(),
            **({} if test is None else {"test_loss": float(test[row])}),
            **{name: float(values[row]) for name, values in self.table.columns.items()},
        }

    def frame(self, fidelity: int | None = None) -> pd.DataFrame:
        """All configurations at one fidelity: parameters by name, mean loss, test loss and seconds, other columns."""
        import pandas as pd  # noqa: PLC0415

        table, position = self.table, self.table.position(fidelity)
        columns: dict[str, Any] = {
            p.name: np.array([*p.values])[table.codes[:, i]] for i, p in enumerate(table.space.parameters)
        }
        columns |= {"loss": table.loss_at(position), "cost": table.cost_at(position)}
        test = table.test_at(position)
        return pd.DataFrame(columns | ({} if test is None else {"test_loss": test}) | dict(table.columns))


def _listed(values: Sequence[int]) -> str:
    shown = [*map(str, values)]
    return ", ".join(shown if len(shown) <= 12 else [*shown[:3], "...", *shown[-3:]])


def benchmark(name: str) -> Benchmark:
    """The benchmark `name`, in full or by its family, to look at. Raises HarnessError if there is none."""
    return Benchmark(registry.benchmark(name))


def simulator(
    benchmark: str | Benchmark | Table,
    *,
    seed: int = 0,
    budget: float | None = None,
    evals: int | None = None,
    **rules: Any,
) -> Loop:
    """A clock with simulated workers for a loop of one's own: `submit(config, fidelity)`, `wait()`, `time`.

    `budget`, `evals` and the other `rules` (`workers=4`) are as in `run`; all results are logged by default.
    """
    table = _table(benchmark)
    length = budget if budget is not None else table.facts.budget if evals is None else math.inf
    return Loop(table, seed=seed, rules=Rules.of(budget=length, evals=evals, **{"log": "all", **rules}))


def objective(
    benchmark: str | Benchmark | Table,
    *,
    seed: int = 0,
    budget: float | None = None,
    evals: int | None = None,
    **rules: Any,
) -> Function:
    """An objective function that keeps the clock: `objective(config, fidelity=None) -> loss`.

    As it is for `optuna.create_study().optimize(objective)`, `scipy.optimize` (`objective.bounds`) or SMAC. Once the
    budget is spent every loss is inf and `objective.over` is true.
    """
    return Function(simulator(benchmark, seed=seed, budget=budget, evals=evals, **rules))


def _table(benchmark: str | Benchmark | Table) -> Table:
    if isinstance(benchmark, str):
        return registry.benchmark(benchmark)
    return benchmark.table if isinstance(benchmark, Benchmark) else benchmark


class Loop(Simulator):
    """A `Simulator` whose trajectory becomes `Results`."""

    def results(self, name: str = "mine") -> Results:
        """What was logged so far, as results of an algorithm called `name`; add those of several seeds by `+`."""
        study = Study(self.table.name, self.table.checksum, name, {}, "", self.seed, self.seed + 1, self.rules)
        return Results([Outcome.of(study, self.table, self.trajectory(), 0.0, versions())])


class Function(Objective):
    """An `Objective` whose trajectory becomes `Results`."""

    simulator: Loop

    def results(self, name: str = "mine") -> Results:
        """What was evaluated so far, as results of an algorithm called `name`; add those of several seeds by `+`."""
        return self.simulator.results(name)


@dataclass(frozen=True)
class Trial:
    """What an optimizer wants evaluated: a configuration, at a fidelity given by its value."""

    config: dict[str, Value]
    fidelity: int
    worker: int


class Optimizer:
    """One of our algorithms on an objective of one's own: `ask()` for a trial, `tell(trial, loss, cost)` its result.

    Up to `workers` trials may be out at the same time.
    """

    def __init__(
        self,
        algorithm: str,
        space: SearchSpace | Mapping[str, Sequence[Value]],
        *,
        fidelities: Sequence[int] = (1,),
        seed: int = 0,
        workers: int = 1,
        budget: float = math.inf,
        **params: object,
    ) -> None:
        """Raises HarnessError for an algorithm or parameters that there are not, or a space that it refuses."""
        (name,) = registry.known([algorithm])
        factory = registry.algorithm(name)
        self.algorithm = name
        self.space = space if isinstance(space, SearchSpace) else space_of(space)
        levels, seeds = np.array(sorted(fidelities)), np.array([seed])
        self.problem = Problem(self.space, levels, seeds, workers, budget, ratios=False)
        streams = Streams(self.problem.seeds, "algorithm")
        self._made = start(factory, self.problem, streams, **resolve(name, factory, params, self.space))
        self._idle = [*range(workers)]
        self._out: dict[int, tuple[Trial, Ints, int]] = {}

    def __repr__(self) -> str:
        return f"<Optimizer {self.algorithm}, seed {self.problem.seeds[0]}, {len(self._out)} trials out>"

    def ask(self) -> Trial | None:
        """The next trial; None if the algorithm waits for a result, or has no more to propose if none is out.

        Raises HarnessError if as many trials are out as there are workers.
        """
        if not self._idle:
            raise HarnessError(f"{len(self._out)} trials are out.", "tell() the result of one, or have more workers=")
        worker = self._idle[0]
        jobs = self._made.ask(np.array([0]), np.array([worker]))
        if jobs.wait is not None and jobs.wait[0]:
            return None
        self._idle.pop(0)
        position = int(np.broadcast_to(jobs.fidelity, 1)[0])
        trial = Trial(self.space.to_dict(jobs.codes[0]), int(self.problem.fidelities[position]), worker)
        self._out[worker] = (trial, jobs.codes, position)
        return trial

    def tell(self, trial: Trial, loss: float, cost: float = 1.0) -> None:
        """The `loss` of a trial, which is minimised, and what it cost; inf or NaN for one that failed.

        Raises HarnessError for a trial that is not out.
        """
        if trial.worker not in self._out or self._out[trial.worker][0] is not trial:
            raise HarnessError("this trial is not out.", "tell() each trial of ask() once.")
        _, codes, position = self._out.pop(trial.worker)
        self._idle = sorted([*self._idle, trial.worker])
        told = math.inf if math.isnan(loss) else float(loss)
        one = np.array([0])
        self._made.tell(
            form.Results(
                one, np.array([trial.worker]), codes, np.array([position]), np.array([told]), np.array([float(cost)])
            )
        )


def optimizer(
    algorithm: str, space: SearchSpace | Mapping[str, Sequence[Value]], *, seed: int = 0, **settings: Any
) -> Optimizer:
    """One of our algorithms for an objective of one's own, to `ask()` and `tell()`.

    `space` is that of a benchmark, or a list of values for each parameter; `fidelities=(1, 3, 9)` are what a
    multi-fidelity algorithm may train at. Other settings are `workers`, `budget` and the algorithm's parameters.
    """
    return Optimizer(algorithm, space, seed=seed, **settings)


def space_of(values: Mapping[str, Sequence[Value]]) -> SearchSpace:
    """A search space out of values by parameter; numbers in order are ordinal, all else is categorical."""

    def ordinal(some: Sequence[Value]) -> bool:
        numbers = all(isinstance(v, int | float) and not isinstance(v, bool) for v in some)
        return numbers and [*some] == sorted(some)

    if not values:
        raise HarnessError("a search space needs a parameter.", 'give values by name: {"lr": [0.01, 0.1]}')
    return SearchSpace(
        tuple(Parameter(name, [*some], "ordinal" if ordinal(some) else "categorical") for name, some in values.items())
    )
