"""The package `dehb` (Awad, Mallik and Hutter, "DEHB: Evolutionary Hyperband for scalable, robust and efficient
hyperparameter optimization", IJCAI 2021): DEHB itself, and its differential evolution.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from typing import Annotated, Any
from unittest.mock import patch

import numpy as np

from algorithms import external
from algorithms.brackets import rungs
from algorithms.external import Globals, Library, library, seed, single
from algorithms.hyperband import Eta
from harness import Floats, HarnessError, Ints, OneSeed, Param, Problem, per_seed

ConfigSpace = Annotated[bool, Param("hand over a ConfigSpace, instead of the number of dimensions")]


@per_seed
def dehb(
    problem: Problem, generator: np.random.Generator, *, eta: Eta = 3, configspace: ConfigSpace = False
) -> OneSeed:
    """DEHB of the package dehb, by its ask and tell, with its defaults."""
    return _DEHB(problem, seed(generator), eta, configspace)


@per_seed
def de(
    problem: Problem,
    generator: np.random.Generator,
    *,
    population: Annotated[int, Param("size of the population", low=4)] = 20,
    mutation_factor: Annotated[float, Param("weight F of a difference of individuals", low=0, high=1)] = 0.5,
    crossover_probability: Annotated[float, Param("Cr, chance of a dimension to come from the mutant", 0, 1)] = 0.5,
    configspace: ConfigSpace = False,
) -> OneSeed:
    """The differential evolution of the package dehb, rand1_bin, at the largest fidelity."""
    settings = {"mutation_factor": mutation_factor, "crossover_prob": crossover_probability}
    return _DE(problem, seed(generator), population, configspace, **settings)


class _Silent:
    """Stands in for the package's logger, which would reconfigure loguru for the whole process and write files."""

    def __getattr__(self, name: str) -> Any:
        return lambda *_, **__: None


def _space(problem: Problem, seed: int, configspace: bool) -> dict[str, Any]:
    """How the package is told the space.

    It then proposes points of [0, 1]^d, or configurations. With a ConfigSpace its first populations hold the lower
    ends of the values' intervals, which its own rounding puts into the interval below for some: of five values, the
    fourth is never drawn.
    """
    if configspace:
        return {"cs": external.configspace(problem.space, seed, "OrdinalHyperparameter")}
    return {"cs": None, "dimensions": problem.space.dimensions}


def _codes(problem: Problem, proposal: Any) -> Ints:
    if isinstance(proposal, np.ndarray):
        return np.minimum(problem.space.sample(proposal), problem.space.sizes - 1)
    return external.codes(proposal, problem.space.dimensions)


class _DEHB:
    """The package's rungs are powers of eta; the k-th stands for the k-th of the fidelities that Hyperband uses."""

    def __init__(self, problem: Problem, seed: int, eta: int, configspace: bool) -> None:
        single(problem, "dehb:DEHB")
        library("dehb", "dehb")
        optimizers = library("dehb.optimizers.dehb", "dehb")
        used = rungs(problem.fidelities, eta, 0, 0)
        if len(used) == 1:
            raise HarnessError(
                "dehb needs at least two fidelities to halve between.",
                "use dehb:DE, or a table with more: `harness list benchmarks`.",
            )
        self.problem = problem
        self.world = Globals(seed)
        with self.world(), tempfile.TemporaryDirectory() as folder, patch.object(optimizers, "logger", _Silent()):
            self.dehb = optimizers.DEHB(
                **_space(problem, seed, configspace),
                min_fidelity=eta ** -(len(used) - 1.0) * (1 - 1e-9),
                max_fidelity=1.0,
                eta=eta,
                seed=seed,
                n_workers=1,
                output_path=folder,
                save_freq="end",
            )
        assert len(self.dehb.fidelities) == len(used)
        self.index = dict(zip(self.dehb.fidelities.tolist(), used.tolist(), strict=True))

    def ask(self) -> tuple[Ints, int, Any]:
        with self.world():
            job = self.dehb.ask()
            return _codes(self.problem, job["config"]), self.index[float(job["fidelity"])], job

    def tell(self, handle: Any, loss: float, cost: float) -> None:
        with self.world():
            self.dehb.tell(handle, {"fitness": loss, "cost": cost})


class _DE:
    """The package's `DE.run` taken apart, as it has no ask and tell: its population, mutation, crossover and repair.

    The trials of a generation are built before any is evaluated; workers wait for the last of a generation.
    """

    def __init__(self, problem: Problem, seed: int, population: int, configspace: bool, **settings: float) -> None:
        single(problem, "dehb:DE")
        library("dehb", "dehb")
        optimizers = library("dehb.optimizers.de", "dehb")
        self.problem = problem
        self.world = Globals(seed)
        with self.world(), tempfile.TemporaryDirectory() as folder:
            self.de = optimizers.DE(
                **_space(problem, seed, configspace),
                pop_size=population,
                strategy="rand1_bin",
                **settings,
                seed=seed,
                output_path=folder,
            )
            self.de.reset()
            self.de.population = self.de.init_population(population)
        self.de.fitness = np.full(population, np.inf)
        self.queue = list(enumerate(self.de.population.copy()))
        self.running = 0

    def ask(self) -> tuple[Ints, int, tuple[int, Floats]] | None:
        if not self.queue and self.running:
            return None
        with self.world():
            self.queue = self.queue or self.trials()
            i, x = self.queue.pop(0)
            self.running += 1
            proposal = self.de.vector_to_configspace(x) if self.de.cs is not None else x
            return _codes(self.problem, proposal), self.problem.full, (i, x)

    def trials(self) -> list[tuple[int, Floats]]:
        """A trial for each individual."""
        de = self.de
        return [
            (i, de.boundary_check(de.crossover(target, de.mutation(current=target))))
            for i, target in enumerate(de.population)
        ]

    def tell(self, handle: tuple[int, Floats], loss: float, cost: float) -> None:
        i, x = handle
        self.running -= 1
        if loss <= self.de.fitness[i]:
            self.de.population[i], self.de.fitness[i] = x, loss


def _find() -> Mapping[str, Any]:
    library("dehb", "dehb")
    return {"DE": de, "DEHB": dehb}


LIBRARY = Library("dehb", "dehb", _find, lambda found, *given, **settings: found.__wrapped__(*given, **settings))
