"""Parameters of algorithms: declared in a factory's signature, given as text, checked before anything runs."""

from __future__ import annotations

import inspect
import math
import sys
import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal, get_args, get_origin, get_type_hints

from harness.errors import HarnessError, unknown

ABOVE_0 = math.ulp(0.0)
"""The bound of numbers above 0."""
BELOW_1 = math.nextafter(1.0, 0.0)
"""The bound of numbers below 1."""
FINITE = sys.float_info.max
"""The bound of finite numbers."""


@dataclass(frozen=True)
class Param:
    """What `Annotated[type, Param(...)]` says of a factory's keyword-only argument; the bounds are inclusive."""

    doc: str
    low: float = -math.inf
    high: float = math.inf


@dataclass(frozen=True)
class Option(Param):
    """What it says of a setting that is an option of a command too, whose help is `doc`.

    `absent` is what holds where the option is not given, if the default does not say it; `each` names an option that
    adds one entry of a list and may be repeated; `metavar` is what the help shows in place of a value.
    """

    absent: str = ""
    each: str = ""
    metavar: str | None = None


@dataclass(frozen=True)
class Declared:
    """A parameter as the factory declares it. `type` is int, float, bool, str or a Literal of strings."""

    name: str
    type: Any
    default: Any
    param: Param

    def parse(self, given: object) -> Any:
        """The value of `given`, a string or a value already typed. Raises HarnessError."""
        value = self._typed(given)
        if isinstance(value, int | float) and not self.param.low <= value <= self.param.high:
            raise self._wrong(given)
        return value

    def _typed(self, given: object) -> Any:
        if get_origin(self.type) is Literal:
            if given not in get_args(self.type):
                raise unknown(f"value of parameter '{self.name}'", str(given), get_args(self.type))
            return given
        if self.type is bool:
            if str(given).lower() not in ("true", "false"):
                raise self._wrong(given)
            return str(given).lower() == "true"
        try:
            number = float(str(given)) if self.type in (int, float) else 0.0
            if self.type is int and number != int(number):
                raise ValueError
        except (ValueError, OverflowError):
            raise self._wrong(given) from None
        if math.isnan(number):
            raise self._wrong(given)
        return self.type(number) if self.type in (int, float) else self.type(given)

    @property
    def expects(self) -> str:
        """The admissible values in words."""
        if get_origin(self.type) is Literal:
            return "one of " + ", ".join(map(str, get_args(self.type)))
        if self.type is bool:
            return "true or false"
        words = {int: "a whole number", float: "a number", str: "a text"}[self.type]
        low, high = self.param.low, self.param.high
        if math.isfinite(low) and math.isfinite(high):
            return f"{words} from {low:g} to {high:g}"
        return f"{words} of at least {low:g}" if math.isfinite(low) else words

    def _wrong(self, given: object) -> HarnessError:
        return HarnessError(f"parameter '{self.name}' cannot be {given}.", f"it takes {self.expects}.")


def declared(
    factory: Callable[..., Any], given: Mapping[str, object] = types.MappingProxyType({}), space: Any = None
) -> dict[str, Declared]:
    """The parameters that a factory declares, by name.

    Those of an algorithm that uses a predictor depend on what is `given`, and on the `space` that it is to search.
    """
    if (parameters := getattr(factory, "parameters", None)) is not None:
        found: dict[str, Declared] = parameters(given, space)
        return found
    call = inspect.unwrap(factory)
    call = call.__init__ if inspect.isclass(call) else call
    return {**(_of_function(call) if inspect.isfunction(call) else _declared(call))}


def _declared(call: Callable[..., Any]) -> dict[str, Declared]:
    hints = get_type_hints(call, include_extras=True)
    found = {}
    for name, argument in inspect.signature(call).parameters.items():
        if argument.kind is not inspect.Parameter.KEYWORD_ONLY:
            continue
        hint, param = hints.get(name, type(argument.default)), Param("")
        if get_origin(hint) is typing.Annotated:
            hint, *notes = get_args(hint)
            param = next((note for note in notes if isinstance(note, Param)), param)
        found[name] = Declared(name, hint, argument.default, param)
    return found


_of_function = lru_cache(_declared)


def resolve(
    algorithm: str, factory: Callable[..., Any], given: Mapping[str, object], space: Any = None
) -> dict[str, Any]:
    """All parameters of a run on `space`: the `given` ones checked and typed, the others at their defaults."""
    known = declared(factory, given, space)
    for name in given:
        if name not in known:
            if not known:
                raise HarnessError(f"'{algorithm}' has no parameters, got '{name}'.")
            raise unknown(f"parameter of '{algorithm}'", name, known)
    return {name: d.parse(given[name]) if name in given else d.default for name, d in known.items()}


def changed(params: Mapping[str, Any], find: Callable[[], Any]) -> dict[str, Any]:
    """Those of `params` that are not at the defaults of the factory that `find` gives; all where it is gone."""
    try:
        defaults = {name: d.default for name, d in declared(find(), params).items()}
    except Exception:  # the plugin that made the study may not be installed, or be broken
        defaults = {}
    return {name: value for name, value in params.items() if name not in defaults or defaults[name] != value}


def label(name: str, changed: Mapping[str, Any]) -> str:
    """A plugin's name, with the parameters that are not at their defaults."""
    return f"{name}({', '.join(f'{key}={value}' for key, value in changed.items())})" if changed else name
