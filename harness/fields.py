"""What stands in a JSON footer or a TOML file, held against the types that its fields are declared with."""

from __future__ import annotations

import dataclasses
import math
import types
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import cache
from typing import Annotated, Any, Literal, NotRequired, Union, get_args, get_origin, get_type_hints, is_typeddict

from harness.errors import HarnessError, unknown
from harness.params import ABOVE_0, BELOW_1, FINITE, Param


def fit(value: object, kind: Any, where: str, hint: str = "") -> Any:
    """`value`, out of JSON or TOML, as the type `kind`: dataclasses are made, lists become tuples where it says so.

    `kind` is made of plain types, Literal, unions, lists, tuples, mappings, TypedDict, dataclasses, and Annotated with
    a `Param` of inclusive bounds. Raises HarnessError for what does not fit, which begins with `where`, such as
    `the study` or `a.toml:`, and ends with the `hint` or, without one, with what the `Param` says.
    """
    if type(value) is kind and kind in _WORDS:
        return value
    return _take(kind)(value, kind, where, hint)


_Take = Callable[[object, Any, str, str], Any]


def _take(kind: Any) -> _Take:
    """What fits values to this type."""
    if dataclasses.is_dataclass(kind) or is_typeddict(kind):
        return _record
    return _TAKES.get(get_origin(kind), _plain)


@cache
def _takes(kind: Any) -> dict[str, _Take]:
    """What fits the fields of a dataclass or TypedDict, by name."""
    return {name: _take(declared) for name, declared in hints(kind).items()}


def words(kind: Any) -> str:
    """What a field of this type takes."""
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is Annotated:
        bounds = _bounds(kind)
        least = f"of at least {bounds.low:g}" if math.isfinite(bounds.low) else ""
        most = f"at most {bounds.high:g}" if bounds.high < FINITE else ""
        least = "above 0" if bounds.low == ABOVE_0 else least
        most = "below 1" if bounds.high == BELOW_1 else most
        return f"{words(arguments[0])} {' and '.join(filter(None, (least, most)))}".rstrip()
    if origin is Literal:
        return "one of " + ", ".join(map(str, arguments))
    if origin in (Union, types.UnionType):
        return " or ".join(words(argument) for argument in arguments if argument is not types.NoneType)
    if origin is tuple and arguments[-1:] != (...,):
        return f"a list of {len(arguments)}: {', '.join(map(words, arguments))}"
    listed = f"a list, each {words(arguments[0])}" if origin in (list, tuple, Sequence) else "a table"
    return _WORDS.get(kind, listed)


@cache
def hints(kind: Any) -> dict[str, Any]:
    """The fields of a dataclass or TypedDict by name, with their annotations."""
    declared = get_type_hints(kind, include_extras=True)
    if is_typeddict(kind):
        return {name: get_args(d)[0] if get_origin(d) is NotRequired else d for name, d in declared.items()}
    return {field.name: declared[field.name] for field in dataclasses.fields(kind) if field.init}


@cache
def required(kind: Any) -> frozenset[str]:
    """The fields that have no default."""
    if is_typeddict(kind):
        declared = get_type_hints(kind, include_extras=True)  # texts hide NotRequired from the class
        return frozenset(name for name in kind.__required_keys__ if get_origin(declared[name]) is not NotRequired)
    none = dataclasses.MISSING
    return frozenset(f.name for f in dataclasses.fields(kind) if f.init and f.default is f.default_factory is none)


def table(
    value: Mapping[str, object], declared: Mapping[str, Any], needed: Collection[str], where: str, hint: str = ""
) -> dict[str, Any]:
    """`value` with each of its fields as the type that it is `declared` with. Raises HarnessError like `fit`.

    Fields that are `needed` must be there, and no other field than the declared ones may be.
    """
    takes = {name: _take(kind) for name, kind in declared.items()}
    return _table(value, declared, takes, needed, where, hint)


def _table(
    value: Mapping[str, object],
    declared: Mapping[str, Any],
    takes: Mapping[str, _Take],
    needed: Collection[str],
    where: str,
    hint: str,
) -> dict[str, Any]:
    for name in value:
        if name not in declared:
            raise unknown(f"field of {where.rstrip(':')}", str(name), declared)
    for name in declared:
        if name in needed and name not in value:
            raise HarnessError(f"{where.rstrip(':')} has no '{name}', which is {words(declared[name])}.", hint)
    start = f"{where}{' ' if where.endswith(':') else '.'}"
    return {name: takes[name](given, declared[name], f"{start}{name}", hint) for name, given in value.items()}


def _record(value: object, kind: Any, where: str, hint: str) -> Any:
    if not isinstance(value, Mapping):
        raise _wrong(value, kind, where, hint)
    return kind(**_table(value, hints(kind), _takes(kind), required(kind), where, hint))


def _plain(value: object, kind: Any, where: str, hint: str) -> Any:
    if kind is Any or kind is object:
        return value
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise _wrong(value, kind, where, hint)
    return value


def _bounded(value: object, kind: Any, where: str, hint: str) -> Any:
    bounds = _bounds(kind)
    hint = hint or bounds.doc[:1].lower() + bounds.doc[1:]
    found = fit(value, get_args(kind)[0], where, hint)
    if isinstance(found, int | float) and not bounds.low <= found <= bounds.high:
        raise _wrong(value, kind, where, hint)
    return found


def _word(value: object, kind: Any, where: str, hint: str) -> Any:
    if not any(value == choice and type(value) is type(choice) for choice in get_args(kind)):
        raise unknown(f"value of {where}", str(value), map(str, get_args(kind)))
    return value


def _one_of(value: object, kind: Any, where: str, hint: str) -> Any:
    rest = [argument for argument in get_args(kind) if argument is not types.NoneType]
    if value is None and len(rest) < len(get_args(kind)):
        return None
    if len(rest) == 1:
        return fit(value, rest[0], where, hint)
    for argument in rest:
        try:
            return fit(value, argument, where, hint)
        except HarnessError:
            continue
    raise _wrong(value, kind, where, hint)


def _list(value: object, kind: Any, where: str, hint: str) -> Any:
    if not isinstance(value, list | tuple):
        raise _wrong(value, kind, where, hint)
    of = get_args(kind)[0]
    if of in _WORDS and {*map(type, value)} <= {of}:
        return [*value]
    return [fit(entry, of, f"{where}[{i}]", hint) for i, entry in enumerate(value)]


def _tuple(value: object, kind: Any, where: str, hint: str) -> Any:
    arguments = get_args(kind)
    if arguments[-1:] == (...,):
        return tuple(_list(value, kind, where, hint))
    if not isinstance(value, list | tuple) or len(value) != len(arguments):
        raise _wrong(value, kind, where, hint)
    every = enumerate(zip(value, arguments, strict=True))
    return tuple(fit(entry, argument, f"{where}[{i}]", hint) for i, (entry, argument) in every)


def _mapping(value: object, kind: Any, where: str, hint: str) -> Any:
    if not isinstance(value, Mapping):
        raise _wrong(value, kind, where, hint)
    key, entry = get_args(kind)
    return {fit(k, key, where, hint): fit(v, entry, f"{where}.{k}", hint) for k, v in value.items()}


def _bounds(kind: Any) -> Param:
    return next((note for note in get_args(kind)[1:] if isinstance(note, Param)), Param(""))


_TAKES: dict[Any, _Take] = {
    Annotated: _bounded,
    Literal: _word,
    Union: _one_of,
    types.UnionType: _one_of,
    list: _list,
    Sequence: _list,
    tuple: _tuple,
    dict: _mapping,
    Mapping: _mapping,
}
_WORDS = {int: "a whole number", float: "a number", str: "a text", bool: "true or false", types.NoneType: "nothing"}


def _wrong(value: object, kind: Any, where: str, hint: str) -> HarnessError:
    shown = repr(value)
    return HarnessError(f"{where} is {words(kind)}, not {shown if len(shown) < 60 else shown[:57] + '...'}.", hint)
