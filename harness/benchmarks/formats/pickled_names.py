"""What a pickle may refer to by name, each an inert stand-in: nothing is imported, and anything else is refused."""

import re
from collections.abc import Callable, Iterable
from typing import Any, Final

import numpy as np

_KEYS: Final = frozenset({str, int, float, bool, bytes, type(None)})


class RefusedError(Exception):
    """The pickle asks for something that is not on the list; the message says what."""


class Global:
    """An allowed name in a pickle: inert until the pickle applies it to arguments."""

    def __init__(self, apply: Callable[..., Any]) -> None:
        self.apply = apply


class Dtype:
    """A numeric numpy dtype; the pickle tells its byte order after making it."""

    def __init__(self, spec: str, *_: Any) -> None:
        if not re.fullmatch(r"[biufc]\d{1,2}", spec):
            raise RefusedError(f"a numpy array of type {spec!r}")
        self.spec = spec
        self.dtype = np.dtype(spec)

    def set_state(self, state: Any) -> None:
        if state[1] not in ("<", ">", "|"):
            raise RefusedError(f"the byte order {state[1]!r}")
        self.dtype = np.dtype(f"{state[1]}{self.spec}")


class Array(list[Any]):
    """A numpy array, filled when its state arrives: a list that holds the array alone."""

    def set_state(self, state: Any) -> None:
        _, shape, dtype, fortran, raw = state
        flat = np.frombuffer(raw.encode("latin1") if isinstance(raw, str) else raw, dtype.dtype)
        self[:] = [flat.reshape(shape, order="F" if fortran else "C")]


def check_keys(keys: Iterable[Any]) -> None:
    """Refuse keys whose hash would need more than a look at a string or a number."""
    keys = list(keys)
    if {*map(type, keys)} <= _KEYS:
        return
    for key in keys:
        if type(key) not in _KEYS and not (type(key) is tuple and {*map(type, key)} <= _KEYS):
            raise RefusedError(f"a key that is a {type(key).__name__}, neither plain nor a flat tuple")


def members_of(kind: Callable[[Iterable[Any]], Any]) -> Callable[..., Any]:
    """What makes a set of `kind` of the elements of a list or a tuple."""

    def make(members: Any = ()) -> Any:
        if type(members) not in (list, tuple):
            raise RefusedError(f"a set of a {type(members).__name__}")
        check_keys(members)
        return kind(members)

    return make


def _dict(pairs: Any = ()) -> dict[Any, Any]:
    if type(pairs) not in (list, tuple) or not all(type(p) in (list, tuple) and len(p) == 2 for p in pairs):
        raise RefusedError("a dictionary that is not made of pairs")
    check_keys(key for key, _ in pairs)
    return dict(pairs)


def _scalar(dtype: Dtype, raw: bytes) -> Any:
    (value,) = np.frombuffer(raw, dtype.dtype)
    return value.item()


def _encode(text: str, encoding: str) -> bytes:
    if encoding != "latin1":
        raise RefusedError(f"the encoding {encoding!r}")
    return text.encode("latin1")


def skip(*_: Any) -> None:
    """Stand for a part that is not wanted."""


def _numpy(module: str) -> dict[tuple[str, str], Callable[..., Any]]:
    return {
        (f"{module}.multiarray", "scalar"): _scalar,
        (f"{module}.multiarray", "_reconstruct"): lambda *_: Array(),
    }


ALLOWED: Final[dict[tuple[str, str], Callable[..., Any]]] = {
    ("collections", "OrderedDict"): _dict,
    ("__builtin__", "set"): members_of(set),
    ("builtins", "set"): members_of(set),
    ("__builtin__", "frozenset"): members_of(frozenset),
    ("builtins", "frozenset"): members_of(frozenset),
    ("_codecs", "encode"): _encode,
    ("numpy", "dtype"): Dtype,
    ("numpy", "ndarray"): skip,
    **_numpy("numpy.core"),
    **_numpy("numpy._core"),
    ("torch._utils", "_rebuild_tensor"): skip,
    ("torch._utils", "_rebuild_tensor_v2"): skip,
    ("torch._utils", "_rebuild_parameter"): skip,
    ("torch.storage", "_load_from_bytes"): skip,
    ("torch.storage", "UntypedStorage"): skip,
    **{("torch", f"{kind}Storage"): skip for kind in ("Float", "Double", "Half", "Long", "Int")},
}
