"""Optimizers of other packages, one seed at a time through `harness.per_seed`.

A `Library` offers all that a package has, by the package's own names: `optuna:GPSampler`. Nothing of a package is
imported before a run needs it. docs/external.md says how each is installed.
"""

from __future__ import annotations

import inspect
import logging
import random
import sys
import warnings
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from functools import lru_cache
from importlib import import_module, metadata
from types import ModuleType
from typing import Annotated, Any, NamedTuple, get_origin, get_type_hints

import numpy as np
from threadpoolctl import ThreadpoolController

from harness import Factory, Floats, HarnessError, Ints, OneSeed, Param, Problem, SearchSpace, per_seed
from harness.algorithm import OneSeedOfSeveral
from harness.errors import reason, unknown


def library(module: str, extra: str) -> ModuleType:
    """Import `module` of another package. Raises HarnessError that names the extra to install where that fails."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return import_module(module)
    except Exception as error:
        raise HarnessError(
            f"the package {module.split('.', maxsplit=1)[0]} cannot be imported: {reason(error)}.",
            f"pip install 'nas-harness[{extra}]'; "
            'the page "Use optimizers of other packages" of the documents has the details.',
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


def single(problem: Problem, name: str) -> None:
    """Raise HarnessError if the problem has several objectives, of which the optimizer `name` would see none."""
    if len(problem.objectives) > 1:
        raise HarnessError(
            f"{name} searches for one objective, and there are {len(problem.objectives)}.",
            'optuna:NSGAIISampler and nsga2 search for several, and the page "Search for several objectives" has more.',
        )


class Library(NamedTuple):
    """A package's optimizers; the entry points of `nas_harness.libraries` name such objects.

    `find` gives the package's own classes or functions by name, and `make(found, problem, generator, **settings)` an
    optimizer out of one. Its settings are those keyword arguments of what was found that are numbers, words or yes and
    no, but for those in `kept`, and those of `make` itself. `multifidelity` says whether one trains at
    several fidelities, `several` whether it searches for several objectives, `signature` gives the class or function
    whose arguments and words are meant.
    """

    package: str
    extra: str
    find: Callable[[], Mapping[str, Any]]
    make: Callable[..., OneSeed]
    kept: Collection[str] = ()
    multifidelity: Callable[[Any], bool] = lambda _: False
    several: Callable[[Any], bool] = lambda _: False
    signature: Callable[[Any], Any] = lambda found: found

    @property
    def version(self) -> str:
        """The installed package's version, empty where it is not installed."""
        try:
            return metadata.version(self.package)
        except metadata.PackageNotFoundError:
            return ""

    def names(self) -> list[str]:
        """What the package has. Raises HarnessError where it cannot be imported."""
        return sorted(self.find())

    def optimizer(self, name: str) -> Factory:
        """The algorithm that the package calls `name`.

        Raises HarnessError if there is none, or the package cannot be imported.
        """
        found = self.find()
        if name not in found:
            raise unknown(f"optimizer of {self.package}", name, found, see=f"harness list {self.extra}")
        made = found[name]

        def one(problem: Problem, generator: np.random.Generator, /, **settings: Any) -> OneSeed:
            if self.multifidelity(made) and len(problem.fidelities) == 1:
                raise HarnessError(
                    f"{self.extra}:{name} trains at several fidelities, and there is one only.",
                    "run it on a table with more, or another optimizer: `harness list benchmarks`.",
                )
            if not self.several(made):
                single(problem, f"{self.extra}:{name}")
            try:
                return _Enclosed(lambda: self.make(made, problem, generator, **settings), seed(generator))
            except ImportError as error:
                raise HarnessError(
                    f"{self.extra}:{name} needs more than {self.package} brings: {error}.",
                    f"pip install 'nas-harness[{self.extra}]', or what is missing.",
                ) from None

        says = (inspect.getdoc(self.signature(made)) or "").strip().split("\n")[0]
        one.__doc__ = f"{name} of {self.package} {self.version}. {says}".strip()
        one.__module__ = self.make.__module__
        found_settings = {**_settings(self.signature(made), self.kept), **_settings(self.make, ())}
        one.__annotations__ = {key: hint for key, (hint, _) in found_settings.items()}
        keyword = inspect.Parameter.KEYWORD_ONLY
        one.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
            [inspect.Parameter(key, keyword, default=default) for key, (_, default) in found_settings.items()]
        )
        factory = per_seed(one)
        factory.version = f"{self.package} {self.version}"  # type: ignore[attr-defined]
        return factory


def _settings(call: Any, kept: Collection[str]) -> dict[str, tuple[Any, Any]]:
    """Type and default of each keyword argument of `call` whose default is a number, a word, or yes or no."""
    try:
        hints = get_type_hints(call.__init__ if inspect.isclass(call) else inspect.unwrap(call), include_extras=True)
    except Exception:  # a package may annotate with names that it does not have
        hints = {}
    found = {}
    for name, argument in inspect.signature(call).parameters.items():
        kind, hint = type(argument.default), hints.get(name)
        if kind in (bool, int, float, str) and name not in kept and not name.startswith("_"):
            found[name] = (hint if get_origin(hint) is Annotated else kind, argument.default)
    return found


Planned = Annotated[int, Param("evaluations that the package plans for", low=1)]
"""Some packages divide their run into phases by its length, which no algorithm is told here."""


class _Enclosed:
    """An optimizer with global random states of its own, one thread, and nothing to say.

    A loss that is not finite, of an invalid configuration, is told as the worst that was seen; so is each objective.
    """

    def __init__(self, make: Callable[[], OneSeed], seed: int) -> None:
        self.world, self.worst = Globals(seed), np.array([-np.inf])
        with self.world():
            self.optimizer = make()

    def ask(self) -> tuple[Ints, int, Any] | None:
        with self.world():
            return self.optimizer.ask()

    def tell(self, handle: Any, loss: float, cost: float) -> None:
        (finite,) = self._finite(np.array([loss])).tolist()
        with self.world():
            self.optimizer.tell(handle, finite, cost)

    def tell_several(self, handle: Any, loss: float, objectives: Floats, cost: float) -> None:
        assert isinstance(self.optimizer, OneSeedOfSeveral)
        finite = self._finite(np.array([loss, *objectives]))
        with self.world():
            self.optimizer.tell_several(handle, float(finite[0]), finite[1:], cost)

    def _finite(self, numbers: Floats) -> Floats:
        if np.isfinite(numbers).all():
            self.worst = np.maximum(self.worst, numbers)
            return numbers
        return np.where(np.isfinite(self.worst), self.worst, np.zeros_like(numbers))


class Globals:
    """The states of numpy's, Python's and torch's global generators that belong to one seed's optimizer."""

    def __init__(self, seed: int) -> None:
        self.state = np.random.RandomState(seed).get_state()
        self.python = random.Random(seed).getstate()
        self.seed, self.torch = seed, None

    @contextmanager
    def __call__(self) -> Iterator[None]:
        """Run a block on these states, without warnings or logs; the process's own are as before afterwards."""
        outer, python = np.random.get_state(), random.getstate()  # noqa: NPY002
        torch, disabled = sys.modules.get("torch"), logging.root.manager.disable
        np.random.set_state(self.state)  # noqa: NPY002
        random.setstate(self.python)
        logging.disable(logging.CRITICAL)
        try:
            with (
                warnings.catch_warnings(),
                np.errstate(all="ignore"),
                _threads(len(sys.modules)).limit(limits=1),
                torch.random.fork_rng(devices=[]) if torch else nullcontext(),
            ):
                warnings.simplefilter("ignore")
                if torch:
                    _restore(torch, self.torch, self.seed)
                yield
                self.torch = torch.get_rng_state() if torch else None
        finally:
            self.state, self.python = np.random.get_state(), random.getstate()  # noqa: NPY002
            np.random.set_state(outer)  # noqa: NPY002
            random.setstate(python)
            logging.disable(disabled)


@lru_cache(maxsize=1)
def _threads(modules: int) -> ThreadpoolController:
    """The thread pools of what is loaded, looked for again once there are other `modules`: that takes milliseconds."""
    return ThreadpoolController()


def _restore(torch: Any, state: Any, seed: int) -> None:
    if state is None:
        torch.manual_seed(seed)
    else:
        torch.set_rng_state(state)
