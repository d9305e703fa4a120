"""Predictors of a configuration's loss: what they learn from, and what they answer."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, fields, replace
from functools import cache, partial
from typing import (
    Annotated,
    Any,
    Concatenate,
    Protocol,
    TypeAlias,
    get_args,
    get_origin,
    get_type_hints,
    runtime_checkable,
)

import numpy as np

from harness.algorithm import Algorithm, Factory, Problem
from harness.arrays import Bools, Floats, Ints, shown
from harness.errors import Blaming, PluginError, unknown
from harness.params import Declared, Param, declared, resolve
from harness.rng import Streams
from harness.space import SearchSpace


@dataclass(frozen=True)
class Seen:
    """What k seeds have observed: codes Int[k, n, d], fidelity (index) Int[k, n], loss Float[k, n], inf for invalid.

    Of seed i only the first `count[i]`, Int[k], are meant. The arrays are read-only.
    """

    codes: Ints
    fidelity: Ints
    loss: Floats
    count: Ints

    def __post_init__(self) -> None:
        for each in fields(self):
            object.__setattr__(self, each.name, shown(getattr(self, each.name)))

    def of(self, which: slice | Bools | Ints) -> Seen:
        """Those of some of the seeds."""
        return Seen(self.codes[which], self.fidelity[which], self.loss[which], self.count[which])

    @property
    def valid(self) -> Bools:
        """Which of the entries are meant, Bool[k, n]."""
        return np.arange(self.loss.shape[1]) < self.count[:, None]

    def only(self, wanted: Bools, least: int = 1) -> Seen:
        """The observations `wanted` Bool[k, n]; a seed with fewer than `least` of them keeps all of its own."""
        wanted = wanted & self.valid
        kept = np.where((wanted.sum(axis=1) < least)[:, None], self.valid, wanted)
        order = np.argsort(~kept, axis=1, kind="stable")
        row = np.arange(len(order))[:, None]
        return Seen(self.codes[row, order], self.fidelity[row, order], self.loss[row, order], kept.sum(axis=1))


class Predictor(Protocol):
    """A model of the loss for each of S seeds."""

    def fit(self, seen: Seen, where: Ints) -> None:
        """Learn from all that the seeds at positions `where` Int[k], ascending, have observed so far."""
        ...

    def predict(self, codes: Ints, where: Ints) -> Floats:
        """Losses Float[k, m] at the largest fidelity of codes Int[k, m, d], or Int[m, d] for all of them."""
        ...


@runtime_checkable
class Sure(Protocol):
    """A predictor that says how sure it is."""

    def posterior(self, codes: Ints, where: Ints) -> tuple[Floats, Floats, Floats]:
        """What is believed of the targets of codes Int[k, m, d], which are low where losses are.

        Means and standard deviations, Float[k, m] each, and the lowest mean at anything that each seed has seen,
        Float[k].
        """
        ...


def predicted(model: Predictor, codes: Ints, where: Ints) -> Floats:
    """What `model` predicts of codes Int[m, d] or Int[k, m, d], Float[k, m]. Raises PluginError unless they are finite.

    It gets a copy, so that what is chosen among cannot be changed.
    """
    return _floats(model.predict(codes.copy(), where.copy()), (len(where), codes.shape[-2]), "losses")


def believed(model: Any, codes: Ints, where: Ints) -> tuple[Floats, Floats, Floats]:
    """The posterior of a `Sure` model, as `predicted`. Raises PluginError unless it is finite, deviations 0 or more."""
    answer: object = model.posterior(codes.copy(), where.copy())
    if not (isinstance(answer, tuple) and len(answer) == 3):
        raise PluginError("believed something else than means, deviations and lowest means.", subject="the predictor")
    shape = len(where), codes.shape[-2]
    mean, deviation = _floats(answer[0], shape, "means"), _floats(answer[1], shape, "deviations")
    if (deviation < 0).any():
        raise PluginError("predicted deviations below 0.", subject="the predictor")
    return mean, deviation, _floats(answer[2], shape[:1], "lowest means")


def _floats(answer: object, shape: tuple[int, ...], what: str) -> Floats:
    if not (isinstance(answer, np.ndarray) and answer.dtype.kind == "f" and answer.shape == shape):
        form = f"{answer.dtype} of shape {answer.shape}" if isinstance(answer, np.ndarray) else type(answer).__name__
        raise PluginError(f"predicted {form} instead of floats of shape {shape}.", subject="the predictor")
    if not np.isfinite(answer).all():
        raise PluginError(f"predicted {what} that are not finite.", subject="the predictor")
    return answer


class Watched:
    """A predictor that an algorithm is handed: what it raises and answers wrongly is said with its `name`."""

    def __init__(self, make: MakePredictor, name: str, problem: Problem, streams: Streams) -> None:
        self._name = name
        with self._blaming("as it was made"):
            self._model = make(problem, streams)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        own = getattr(self._model, name)
        return self._posterior if name == "posterior" else own

    def fit(self, seen: Seen, where: Ints) -> None:
        with self._blaming("in fit"):
            self._model.fit(seen, where.copy())

    def predict(self, codes: Ints, where: Ints) -> Floats:
        with self._blaming("in predict"):
            return predicted(self._model, codes, where)

    def _posterior(self, codes: Ints, where: Ints) -> tuple[Floats, Floats, Floats]:
        with self._blaming("in posterior"):
            return believed(self._model, codes, where)

    @contextmanager
    def _blaming(self, what: str) -> Iterator[None]:
        try:
            with Blaming(lambda: what):
                yield
        except PluginError as error:
            raise PluginError(f"uses the predictor '{self._name}', which {error.args[0]}", error.hint) from error


PredictorFactory: TypeAlias = Callable[Concatenate[Problem, Streams, ...], Predictor]
"""What the entry points of `nas_harness.predictors` name; its keyword-only arguments are its parameters."""

MakePredictor: TypeAlias = Callable[[Problem, Streams], Predictor]
"""A predictor with all its settings: what an algorithm that declares to use one (`Uses`) is handed."""


@dataclass(frozen=True)
class Uses:
    """What `Annotated[MakePredictor, Uses(...)]` says of the third argument of an algorithm that uses a predictor.

    For a user that argument is a parameter like others, whose value is the name of a predictor, `default` if none is
    given, and the predictor's own parameters are the algorithm's, too. Of two names in `auto` the value "auto" is the
    first on spaces of graphs, the second elsewhere; with `none` the value "none" hands over None. `settings` take the
    place of the predictor's defaults where it has parameters of these names.
    """

    doc: str
    default: str
    auto: tuple[str, ...] = ()
    none: bool = False
    settings: Mapping[str, Any] = field(default_factory=dict)

    def names(self, value: str, space: SearchSpace | None) -> tuple[str, ...]:
        """The predictors that `value` may be, one where the space is known."""
        if value == "none" and self.none:
            return ()
        if value != "auto" or not self.auto:
            return (value,)
        return self.auto if space is None else (self.auto[space.varying.graphs is None],)


class Using:
    """The factory of an algorithm, or predictor, `name` that is handed a predictor, which `find` finds by name."""

    def __init__(
        self,
        name: str,
        made: Callable[..., Algorithm],
        argument: str,
        uses: Uses,
        find: Callable[[str], PredictorFactory],
    ) -> None:
        self.name, self.argument, self.uses, self.find = name, argument, uses, find
        self.own = declared(made)
        self.__wrapped__ = made
        self.__doc__ = made.__doc__

    def __getattr__(self, name: str) -> Any:
        if name == "__wrapped__":
            raise AttributeError(name)
        return getattr(self.__wrapped__, name)

    def __call__(self, problem: Problem, streams: Streams, /, **params: Any) -> Algorithm:
        known = resolve(self.name, self, params, problem.space)
        own = {name: known.pop(name) for name in self.own}
        make = None
        for name in self.uses.names(known.pop(self.argument), problem.space):
            make = partial(Watched, partial(self.find(name), **known), name)
        return self.__wrapped__(problem, streams, make, **own)

    def parameters(self, given: Mapping[str, object], space: SearchSpace | None) -> dict[str, Declared]:
        """Its own parameters and those of the predictor that is `given`. Raises HarnessError for any other."""
        value = str(given.get(self.argument, self.uses.default))
        known = {self.argument: Declared(self.argument, str, self.uses.default, Param(self.uses.doc)), **self.own}
        for predictor in self.uses.names(value, space):
            inner = {name: one for name, one in given.items() if name not in known}
            for name, one in declared(self.find(predictor), inner, space).items():
                known.setdefault(name, replace(one, default=self.uses.settings.get(name, one.default)))
        for name in given:
            if name not in known:
                raise unknown(f"parameter of '{self.name}' with {self.argument}={value}", name, known)
        return known

    def parts(self, space: SearchSpace | None = None, /, **params: Any) -> tuple[PredictorFactory, ...]:
        """The factory of the predictor, and of what it uses; of an automatic one the first where no space is known."""
        found = [self.find(name) for name in self.uses.names(params[self.argument], space)[:1]]
        inner = [one.parts(space, **params) if isinstance(one, Using) else () for one in found]
        return tuple(part for one, others in zip(found, inner, strict=True) for part in (one, *others))


@cache
def using(name: str, made: Factory, find: Callable[[str], PredictorFactory]) -> Factory:
    """The algorithm `made` as a factory: where it uses a predictor it is handed the one that its parameters name."""
    call = made.__init__ if inspect.isclass(made) else made
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    named = [p.name for p in inspect.signature(made).parameters.values() if p.kind in positional]
    if len(named) < 3:
        return made
    hint = get_type_hints(call, include_extras=True).get(named[2])
    notes = get_args(hint)[1:] if get_origin(hint) is Annotated else ()
    uses = next((note for note in notes if isinstance(note, Uses)), None)
    return made if uses is None else Using(name, made, named[2], uses, find)
