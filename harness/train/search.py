"""Searches by real training: what decides them, and when they end. `tuner` carries them out.

Children are trained for the first epochs of the recipe's whole schedule, as far as the algorithm's fidelities say, and
go on from their checkpoints; the best are trained to the recipe's end.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any

import numpy as np

from harness import registry
from harness.algorithm import Algorithm, Factory, Problem, start
from harness.arrays import Ints
from harness.errors import HarnessError
from harness.params import resolve
from harness.rng import Streams
from harness.space import SearchSpace
from harness.spaces import published
from harness.spaces.architecture import Architecture
from harness.studies.records import identity
from harness.studies.study import source_of
from harness.train.images import ImageSet
from harness.train.recipes import Recipe
from harness.train.results import Job

ENGINE = 1
"""Raised with every change of this file, `tuner` or `Streams` that changes what a search asks for."""

ETA = 3


@dataclass(frozen=True)
class Limits:
    """When a search asks for no more: after `budget` seconds, or `evals` trainings and invalid configurations.

    What runs then is still told. Seconds count while it searches, not between an interruption and going on.
    """

    budget: float = math.inf
    evals: int | None = None

    def __post_init__(self) -> None:
        if not self.budget > 0:
            raise HarnessError(f"the budget must be positive, got {self.budget:g}.", "it is in seconds.")
        if self.evals is not None and self.evals < 1:
            raise HarnessError(f"evals must be at least 1, got {self.evals}.")
        if math.isinf(self.budget) and self.evals is None:
            raise HarnessError("a search needs an end.", "give --budget in seconds, or --evals.")


@dataclass(frozen=True)
class Search:
    """Everything that decides what a search asks for, but when it ends.

    `epochs` are the fidelities, `seed` that of the algorithm; networks are trained with the recipe's seed of that
    number. With one worker on one machine the same search asks for the same architectures in the same order.
    """

    space: str
    algorithm: str
    params: Mapping[str, Any]
    source: str
    images: str
    checksum: str
    recipe: Recipe
    precision: str
    epochs: tuple[int, ...]
    seed: int
    workers: int
    engine: int = ENGINE

    @classmethod
    def plan(
        cls,
        space: str,
        algorithm: str,
        given: Mapping[str, object],
        images: ImageSet,
        recipe: Recipe,
        precision: str,
        *,
        epochs: int | None,
        seed: int,
        workers: int,
    ) -> Search:
        """The search of `space` by `algorithm` with the parameters `given`, in which children have at most `epochs`.

        Raises HarnessError if they do not fit.
        """
        if images.valid is None:
            raise HarnessError(
                f"'{recipe.title}' holds no images of {images.name} out, by which architectures could be told apart.",
                "choose a recipe that does, or write validation = 0.1 in a copy of it.",
            )
        factory = registry.algorithm(algorithm)
        params = resolve(algorithm, factory, given, published(space).space)
        fidelities = rungs(early(recipe) if epochs is None else epochs, recipe)
        about = (images.name, images.checksum, recipe, precision, fidelities, seed, workers)
        cls(space, algorithm, params, "", *about).start()
        source = source_of(factory, *getattr(factory, "parts", lambda **_: ())(**params))
        return cls(space, algorithm, params, source, *about)

    @cached_property
    def id(self) -> str:
        """Twelve hexadecimal digits of the hash of the canonical JSON."""
        return identity(self.to_json())

    def to_json(self) -> dict[str, Any]:
        own = {field.name: getattr(self, field.name) for field in fields(self)}
        return {**own, "params": dict(self.params), "recipe": self.recipe.to_json()}

    def start(self) -> Algorithm:
        """The algorithm before its first question."""
        factory: Factory = registry.algorithm(self.algorithm)
        seeds = np.array([self.seed])
        problem = Problem(self.codes, np.array(self.epochs), seeds, self.workers, math.inf)
        return start(factory, problem, Streams(seeds, "algorithm"), **self.params)

    @property
    def codes(self) -> SearchSpace:
        """The space as the algorithm sees it."""
        return published(self.space).space

    def text(self, codes: Ints) -> str:
        """The architecture that codes Int[d] stand for, empty if there is none."""
        try:
            return Architecture.at(self.space, codes).text
        except ValueError:
            return ""

    def job(self, architecture: Architecture) -> Job:
        """The whole training of an architecture, of which a child's is the beginning."""
        seed = self.recipe.repeat(self.seed)
        return Job(architecture, self.images, self.checksum, self.recipe, seed, self.precision)


def early(recipe: Recipe) -> int:
    """Epochs of a child where nothing else is said: a sixth of the recipe's, as GPNAS's 50 of 300, and at least 3."""
    return max(recipe.epochs // 6, min(3, recipe.epochs))


def rungs(epochs: int, recipe: Recipe) -> tuple[int, ...]:
    """The fidelities of a search with children of at most `epochs`: these, a third, a ninth and so on, rounded down."""
    if not 1 <= epochs <= recipe.epochs:
        raise HarnessError(
            f"children cannot be trained for {epochs} epochs: '{recipe.title}' has {recipe.epochs}.",
            f"give --search-epochs from 1 to {recipe.epochs}, or more --epochs.",
        )
    found = [epochs]
    while found[0] >= ETA:
        found.insert(0, epochs // ETA ** len(found))
    return tuple(found)
