"""Optimizers of other packages, one seed at a time through `harness.per_seed`.

Nothing of a package is imported before a run needs it. docs/external.md says how each is installed.
"""

from __future__ import annotations

import random
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from types import ModuleType
from typing import Any

import numpy as np

from harness import HarnessError, SearchSpace


def library(module: str, extra: str) -> ModuleType:
    """Import `module` of another package. Raises HarnessError that names the extra to install where it is missing."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return import_module(module)
    except ImportError as error:
        raise HarnessError(
            f"the package {module.split('.', maxsplit=1)[0]} cannot be imported: {error}.",
            f"pip install 'nas-harness[{extra}]'; docs/external.md has the details.",
        ) from None


def seed(generator: np.random.Generator) -> int:
    """A seed for a package that wants a whole number."""
    return int(generator.integers(2**31))


def configspace(space: SearchSpace, seed: int, ordinal: str) -> Any:
    """The space in terms of ConfigSpace: values are the codes, names sort in the order of the parameters.

    `ordinal` names ConfigSpace's class for ordinal parameters: `OrdinalHyperparameter` or
    `UniformIntegerHyperparameter`.
    """
    cs = library("ConfigSpace", "dehb")
    made = cs.ConfigurationSpace(seed=seed)
    for j, p in enumerate(space.parameters):
        name, values = f"x{j:04d}", list(range(len(p.values)))
        if p.kind == "categorical" or len(values) == 1:
            made.add(cs.CategoricalHyperparameter(name, values))
        elif ordinal == "OrdinalHyperparameter":
            made.add(cs.OrdinalHyperparameter(name, values))
        else:
            made.add(cs.UniformIntegerHyperparameter(name, 0, values[-1]))
    return made


def codes(configuration: Any, dimensions: int) -> Any:
    """Codes Int[d] of a configuration of `configspace`."""
    return np.array([int(configuration[f"x{j:04d}"]) for j in range(dimensions)])


class Globals:
    """The state of numpy's global generator that belongs to one seed's optimizer."""

    def __init__(self, seed: int) -> None:
        self.state = np.random.RandomState(seed).get_state()

    @contextmanager
    def __call__(self) -> Iterator[None]:
        """Run a block on this state, without warnings; the process's own states are as before afterwards."""
        outer, python = np.random.get_state(), random.getstate()  # noqa: NPY002
        np.random.set_state(self.state)  # noqa: NPY002
        try:
            with warnings.catch_warnings(), np.errstate(all="ignore"):
                warnings.simplefilter("ignore")
                yield
        finally:
            self.state = np.random.get_state()  # noqa: NPY002
            np.random.set_state(outer)  # noqa: NPY002
            random.setstate(python)
