"""A reader of pickles that can build data and nothing else.

A pickle is a program. This interpreter of it knows the instructions that make containers,
numbers and strings; it imports nothing, and the only names a pickle may refer to are those of
`_ALLOWED`, each mapped to a function of this module. Anything else is refused by name. Network
weights (torch tensors) are skipped: they become `None` without being decoded.

What it builds is a tree that is not much larger than its file: keys are strings, numbers, bytes or
flat tuples of them, nothing contains itself, and a container that is referred to again counts with
all that is in it. So neither hashing nor walking what was read takes longer than reading it, within
a constant, and a hostile file can neither hang nor crash the interpreter.

It is written in Python rather than as a subclass of `pickle.Unpickler` for two reasons: a
finished dictionary can be handed over and emptied while the rest is still unread, so a pickle
of 5 GB needs little memory; and a hostile pickle cannot make it allocate what it does not hold.
"""

import re
import struct
import sys
from collections.abc import Callable, Iterable
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from harness.benchmarks.formats.content import FormatError, Progress

__all__ = ["load"]

Buffer = Any  # bytes or mmap: indexable, sliceable, accepted by `re` and `struct`


_KEYS: Final = frozenset({str, int, float, bool, bytes, type(None)})


class _RefusedError(Exception):
    """The pickle asks for something that is not on the list; the message says what."""


class _Global:
    """An allowed name in a pickle: inert until the pickle applies it to arguments."""

    def __init__(self, apply: Callable[..., Any]) -> None:
        self.apply = apply


class _Dtype:
    """A numeric numpy dtype; the pickle tells its byte order after making it."""

    def __init__(self, spec: str, *_: Any) -> None:
        if not re.fullmatch(r"[biufc]\d{1,2}", spec):
            raise _RefusedError(f"a numpy array of type {spec!r}")
        self.spec = spec
        self.dtype = np.dtype(spec)

    def set_state(self, state: Any) -> None:
        if state[1] not in ("<", ">", "|"):
            raise _RefusedError(f"the byte order {state[1]!r}")
        self.dtype = np.dtype(f"{state[1]}{self.spec}")


class _Array(list[Any]):
    """A numpy array, filled when its state arrives: a list that holds the array alone."""

    def set_state(self, state: Any) -> None:
        _, shape, dtype, fortran, raw = state
        flat = np.frombuffer(raw.encode("latin1") if isinstance(raw, str) else raw, dtype.dtype)
        self[:] = [flat.reshape(shape, order="F" if fortran else "C")]


def _check_keys(keys: Iterable[Any]) -> None:
    """Refuse keys whose hash would need more than a look at a string or a number."""
    keys = list(keys)
    if {*map(type, keys)} <= _KEYS:
        return
    for key in keys:
        if type(key) not in _KEYS and not (type(key) is tuple and {*map(type, key)} <= _KEYS):
            raise _RefusedError(f"a key that is a {type(key).__name__}, neither plain nor a flat tuple")


def _members(kind: Callable[[Iterable[Any]], Any]) -> Callable[..., Any]:
    """What makes a set of `kind` of the elements of a list or a tuple."""

    def make(members: Any = ()) -> Any:
        if type(members) not in (list, tuple):
            raise _RefusedError(f"a set of a {type(members).__name__}")
        _check_keys(members)
        return kind(members)

    return make


def _dict(pairs: Any = ()) -> dict[Any, Any]:
    if type(pairs) not in (list, tuple) or not all(type(p) in (list, tuple) and len(p) == 2 for p in pairs):
        raise _RefusedError("a dictionary that is not made of pairs")
    _check_keys(key for key, _ in pairs)
    return dict(pairs)


def _scalar(dtype: _Dtype, raw: bytes) -> Any:
    (value,) = np.frombuffer(raw, dtype.dtype)
    return value.item()


def _encode(text: str, encoding: str) -> bytes:
    if encoding != "latin1":
        raise _RefusedError(f"the encoding {encoding!r}")
    return text.encode("latin1")


def _skip(*_: Any) -> None:
    """Stand for a part that is not wanted."""


def _numpy(module: str) -> dict[tuple[str, str], Callable[..., Any]]:
    return {
        (f"{module}.multiarray", "scalar"): _scalar,
        (f"{module}.multiarray", "_reconstruct"): lambda *_: _Array(),
    }


_ALLOWED: Final[dict[tuple[str, str], Callable[..., Any]]] = {
    ("collections", "OrderedDict"): _dict,
    ("__builtin__", "set"): _members(set),
    ("builtins", "set"): _members(set),
    ("__builtin__", "frozenset"): _members(frozenset),
    ("builtins", "frozenset"): _members(frozenset),
    ("_codecs", "encode"): _encode,
    ("numpy", "dtype"): _Dtype,
    ("numpy", "ndarray"): _skip,
    **_numpy("numpy.core"),
    **_numpy("numpy._core"),
    ("torch._utils", "_rebuild_tensor"): _skip,
    ("torch._utils", "_rebuild_tensor_v2"): _skip,
    ("torch._utils", "_rebuild_parameter"): _skip,
    ("torch.storage", "_load_from_bytes"): _skip,
    ("torch.storage", "UntypedStorage"): _skip,
    **{("torch", f"{kind}Storage"): _skip for kind in ("Float", "Double", "Half", "Long", "Int")},
}

_GONE: Final = object()
_LONGEST_INTERNED: Final = 64
_SMALL_CONTAINER: Final = 8
_CONTAINERS: Final = frozenset({dict, list})
_HOLDERS: Final = frozenset({dict, list, tuple, set, frozenset})
_MOST_REPEATED: Final = 1 << 24
_DEEPEST: Final = 100

_float = struct.Struct(">d").unpack_from
_uint32 = struct.Struct("<I").unpack_from
_INT_CURVE = re.compile(rb"(?:K.G.{8}){4,}", re.DOTALL)
_MEMO_CURVE = re.compile(rb"(?:j.{4}G.{8}){4,}", re.DOTALL)
_NAMED = rb"(?:X(.)\0\0\0|\x8c(.))([a-z0-9-]+@[0-9]+)(?:r(.{4})|\x94)G(.{8})"
_NAMED_ENTRY = re.compile(_NAMED, re.DOTALL)
_NAMED_CURVE = re.compile(rb"(?:" + _NAMED + rb"){4,}", re.DOTALL)
_NAME = re.compile(rb"[X\x8c][^@]{1,32}@")
_MOST_LAYOUTS: Final = 64
_LONGEST_RUN: Final = 1000
_INT_ENTRY = np.dtype([("", "u1"), ("key", "u1"), ("", "u1"), ("value", ">f8")])
_MEMO_ENTRY = np.dtype([("", "u1"), ("key", "<u4"), ("", "u1"), ("value", ">f8")])


class _Layout(NamedTuple):
    """How a run of new strings and floats is written: all that is not a float or a memo index, and where these are.

    `fixed` Int[L], `puts` Int[n, 4] or empty, `floats` Int[n, 8] are positions of bytes of the run.
    """

    length: int
    text: bytes
    keys: list[str]
    fixed: NDArray[np.intp]
    puts: NDArray[np.intp]
    floats: NDArray[np.intp]


_layouts: dict[bytes, list[_Layout]] = {}
"""The layouts that were met, the longest first, by how they begin; a pickle of many learning curves has a few."""


def _learned(run: bytes) -> bool:
    """Take the layout of a run in; whether there is one."""
    entries = [*_NAMED_ENTRY.finditer(run)]
    names = [entry[3] for entry in entries]
    lengths = [ord(entry[1] or entry[2]) for entry in entries]
    puts = [entry.start(4) for entry in entries if entry[4] is not None]
    mixed = len({run[entry.start()] for entry in entries}) > 1 or len(puts) not in (0, len(entries))
    if mixed or len(entries) > _LONGEST_RUN or lengths != [*map(len, names)]:
        return False
    place = np.array(puts, np.intp)[:, None] + np.arange(4)
    floats = np.array([entry.start(5) for entry in entries], np.intp)[:, None] + np.arange(8)
    fixed = np.delete(np.arange(len(run)), np.append(place.ravel(), floats.ravel()))
    text = np.frombuffer(run, np.uint8)[fixed].tobytes()
    if sum(map(len, _layouts.values())) >= _MOST_LAYOUTS:
        _layouts.clear()
    begin = _NAME.match(run)
    assert begin is not None
    found = _layouts.setdefault(begin.group(), [])
    found.append(_Layout(len(run), text, [sys.intern(name.decode()) for name in names], fixed, place, floats))
    found.sort(key=lambda layout: -layout.length)
    return True


def load(
    buffer: Buffer,
    name: str,
    *,
    start: int = 0,
    on_dict: Callable[[dict[Any, Any]], bool] | None = None,
    progress: Progress | None = None,
) -> tuple[Any, int]:
    """Build the value that the pickle at `buffer[start:]` describes; also tell where it ends.

    `on_dict` sees every dictionary of the pickle as soon as it is filled, and may empty it.
    When it returns True, the larger containers built since the last such moment are let go:
    a pickle that refers to one of them again is refused. Messages call the pickle `name`.
    """
    machine = _Machine(buffer, start, on_dict, progress)
    try:
        return machine.run(), machine.position
    except _RefusedError as refused:
        raise FormatError(f"{name} is refused: it asks for {refused}.") from None
    except (
        ArithmeticError,
        AttributeError,
        LookupError,
        MemoryError,
        RecursionError,
        TypeError,
        ValueError,
        struct.error,
    ) as error:
        raise FormatError(
            f"{name} is truncated or corrupted: its pickle cannot be followed beyond byte "
            f"{machine.position:,} ({type(error).__name__}: {error})."
        ) from error


class _Machine:
    """The stack, the memo and the position of one run."""

    def __init__(
        self,
        buffer: Buffer,
        start: int,
        on_dict: Callable[[dict[Any, Any]], bool] | None,
        progress: Progress | None,
    ) -> None:
        self.buffer = buffer
        self.position = start
        self.on_dict = on_dict
        self.progress = progress
        self.stack: list[Any] = []
        self.marks: list[int] = []
        self.memo: list[Any] = []
        self.recent: list[int] = []
        self.strings: dict[bytes, str] = {}
        self.repeated: dict[int, tuple[Any, int, int]] = {}
        self.parts = 0

    def run(self) -> Any:
        """Follow the instructions up to STOP; the frequent ones are spelled out here."""
        buffer, stack, memo = self.buffer, self.stack, self.memo
        append = stack.append
        while True:
            op = buffer[self.position]
            position = self.position = self.position + 1
            if op == 0x47:  # BINFLOAT
                append(_float(buffer, position)[0])
                self.position += 8
            elif op == 0x72:  # LONG_BINPUT
                self.put(_uint32(buffer, position)[0])
                self.position += 4
            elif op == 0x6A:  # LONG_BINGET
                self.get(_uint32(buffer, position)[0])
                self.position += 4
            elif op == 0x58:  # BINUNICODE
                self.position += 4
                append(self.text(_uint32(buffer, position)[0]))
            elif op == 0x94:  # MEMOIZE
                self.put(len(memo))
            elif op == 0x8C:  # SHORT_BINUNICODE
                self.position += 1
                append(self.text(buffer[position]))
            elif op == 0x4B:  # BININT1
                append(buffer[position])
                self.position += 1
            elif op == 0x28:  # MARK
                self.marks.append(len(stack))
                self.curve()
            elif op == 0x2E:  # STOP
                return self.stop()
            elif op in _INSTRUCTIONS:
                _INSTRUCTIONS[op](self)
            else:
                raise _RefusedError(f"the pickle instruction 0x{op:02x}")

    def stop(self) -> Any:
        (value,) = self.stack
        if type(value) in _HOLDERS:
            self.extent(value)
        return value

    def curve(self) -> None:
        """Take a run of (key, float) pairs, as in a learning curve, at once.

        Keys are small integers, strings of the memo, or new strings such as "x-valid@12".
        Anything that is not exactly of this form is left to the single instructions.
        """
        values: list[float]
        keys: list[Any]
        if found := self.known_curve():
            keys, values, end = found
        elif run := _INT_CURVE.match(self.buffer, self.position):
            entries, end = np.frombuffer(run.group(), _INT_ENTRY), run.end()
            keys, values = entries["key"].tolist(), entries["value"].tolist()
        elif run := _MEMO_CURVE.match(self.buffer, self.position):
            entries, end = np.frombuffer(run.group(), _MEMO_ENTRY), run.end()
            keys, values = (
                [self.memo[i] for i in entries["key"].tolist()],
                entries["value"].tolist(),
            )
            if not all(isinstance(key, str) for key in keys):
                return
        elif run := _NAMED_CURVE.match(self.buffer, self.position):
            if not _learned(run.group()) or not (found := self.known_curve(run.end())):
                return
            keys, values, end = found
        else:
            return
        self.position = end
        if self.buffer[end : end + 1] == b"u" and self.marks and self.marks[-1] == len(self.stack):  # SETITEMS
            self.position += 1
            self.marks.pop()
            self.fill(keys, values)
            return
        pairs: list[Any] = [None] * (2 * len(keys))
        pairs[::2] = keys
        pairs[1::2] = values
        self.stack += pairs

    def known_curve(self, until: int | None = None) -> tuple[list[str], list[float], int] | None:
        """Keys, values and the end of a run of new strings and floats that begins here, if its layout is known.

        It ends at `until` or, without, where no string follows.
        """
        name = _NAME.match(self.buffer, self.position)
        if name is None:
            return None
        for layout in _layouts.get(name.group(), ()):
            end = self.position + layout.length
            run = np.frombuffer(self.buffer[self.position : end], np.uint8)
            if len(run) < layout.length or run[layout.fixed].tobytes() != layout.text:
                continue
            if end != until and (until or self.buffer[end : end + 1] == name.group()[:1]):
                continue
            if layout.puts.size:
                indices = run[layout.puts].view("<u4")[:, 0]
                if indices[0] != len(self.memo) or (np.diff(indices) != 1).any():
                    return None
            self.memo += layout.keys
            return layout.keys, run[layout.floats].view(">f8")[:, 0].tolist(), end
        return None

    def take(self, length: int) -> bytes:
        """The next `length` bytes."""
        raw: bytes = self.buffer[self.position : self.position + length]
        if len(raw) != length:
            raise ValueError("the file ends inside a value")
        self.position += length
        return raw

    def byte(self) -> int:
        self.position += 1
        value: int = self.buffer[self.position - 1]
        return value

    def number(self, length: int, *, signed: bool = False) -> int:
        return int.from_bytes(self.take(length), "little", signed=signed)

    def text(self, length: int) -> str:
        """The next string; equal short strings are one object."""
        raw = self.take(length)
        if length > _LONGEST_INTERNED:
            return raw.decode()
        return self.strings.get(raw) or self.intern(raw)

    def intern(self, raw: bytes) -> str:
        text = self.strings[raw] = raw.decode()
        return text

    def next_frame(self) -> None:
        self.take(8)
        self.curve()

    def line(self) -> str:
        end = self.buffer.find(b"\n", self.position)
        if end < 0:
            raise ValueError("the file ends inside a name")
        return self.take(end + 1 - self.position)[:-1].decode()

    def put(self, index: int) -> None:
        memo, top = self.memo, self.stack[-1]
        if type(top) in _CONTAINERS:
            self.recent.append(index)
        if index == len(memo):
            memo.append(top)
        elif index < self.position:
            memo += [_GONE] * (index + 1 - len(memo))
            memo[index] = top
        else:
            raise ValueError(f"memo index {index}")

    def get(self, index: int) -> None:
        value = self.memo[index]
        if value is _GONE:
            raise _RefusedError("a part that was let go")
        if type(value) in _HOLDERS:
            self.repeat(value)
        self.stack.append(value)

    def repeat(self, value: Any) -> None:
        """Take in that a container is referred to again: from now on it stays as it is."""
        known = self.repeated.get(id(value))
        if known is None:
            known = self.repeated[id(value)] = (value, *self.extent(value))
        self.parts += known[1]
        if self.parts > _MOST_REPEATED:
            raise _RefusedError(f"more than {_MOST_REPEATED:,} parts by repeating a few")

    def extent(self, value: Any) -> tuple[int, int]:
        """The number of members below a container, those that are repeated counted each time, and its depth."""
        size = depth = deepest = 0
        level = [value]
        while level:
            depth += 1
            below: list[Any] = []
            for holder in level:
                known = self.repeated.get(id(holder))
                size += known[1] if known else 1 + len(holder)
                deepest = max(deepest, depth + (known[2] if known else 0))
                if not known:
                    members = holder.values() if type(holder) is dict else holder
                    below += [member for member in members if type(member) in _HOLDERS]
            if deepest > _DEEPEST:
                raise _RefusedError(f"containers in containers, more than {_DEEPEST} deep")
            level = below
        return size, deepest

    def changed(self, target: Any) -> None:
        """Refuse to fill what was referred to in the meantime, so that nothing contains itself."""
        if id(target) in self.repeated:
            raise _RefusedError("a container that may contain itself")

    def to_mark(self) -> list[Any]:
        """What was pushed since the last mark."""
        mark = self.marks.pop()
        if mark > len(self.stack):
            raise ValueError("the stack lost its mark")
        items = self.stack[mark:]
        del self.stack[mark:]
        return items

    def set_items(self, items: list[Any]) -> None:
        _check_keys(items[::2])
        self.fill(items[::2], items[1::2])

    def fill(self, keys: list[Any], values: list[Any]) -> None:
        """Set items of the dictionary on top; the keys are plain or flat tuples."""
        target = self.stack[-1]
        if type(target) is not dict:
            raise _RefusedError(f"setting items of a {type(target).__name__}")
        self.changed(target)
        target.update(zip(keys, values, strict=True))
        if self.on_dict and self.on_dict(target):
            self.let_go()

    def let_go(self) -> None:
        for index in self.recent:
            kept = self.memo[index]
            if kept is not _GONE and len(kept) > _SMALL_CONTAINER:
                self.memo[index] = _GONE
        self.recent.clear()
        self.repeated.clear()
        self.parts = 0
        if self.progress:
            self.progress(self.position, len(self.buffer))

    def extend(self, items: list[Any]) -> None:
        target = self.stack[-1]
        self.changed(target)
        if type(target) is list:
            target.extend(items)
        elif type(target) is set:
            _check_keys(items)
            target.update(items)
        else:
            raise _RefusedError(f"appending to a {type(target).__name__}")

    def name(self, module: str, name: str) -> None:
        allowed = _ALLOWED.get((module, name))
        if allowed is None:
            raise _RefusedError(f"the name {module}.{name}, which is not on the list of allowed names")
        self.stack.append(_Global(allowed))

    def stack_name(self) -> None:
        name, module = self.stack.pop(), self.stack.pop()
        self.name(str(module), str(name))

    def apply(self) -> None:
        arguments, function = self.stack.pop(), self.stack.pop()
        if not isinstance(function, _Global) or not isinstance(arguments, tuple):
            raise _RefusedError(f"calling a {type(function).__name__}")
        self.stack.append(function.apply(*arguments))

    def build(self) -> None:
        state, target = self.stack.pop(), self.stack[-1]
        if isinstance(target, _Dtype | _Array):
            target.set_state(state)
        elif type(target) is not dict and target is not None:
            raise _RefusedError(f"setting the state of a {type(target).__name__}")

    def wrap(self, count: int) -> None:
        items = self.stack[-count:]
        if len(items) != count:
            raise ValueError("the stack is empty")
        self.stack[-count:] = [tuple(items)]


def _instructions() -> dict[int, Callable[[_Machine], Any]]:
    def push(make: Callable[[_Machine], Any]) -> Callable[[_Machine], Any]:
        return lambda m: m.stack.append(make(m))

    def pair(m: _Machine) -> list[Any]:
        value, key = m.stack.pop(), m.stack.pop()
        return [key, value]

    return {
        0x80: lambda m: m.take(1),  # PROTO
        0x95: lambda m: m.next_frame(),  # FRAME
        0x4E: push(lambda m: None),  # NONE
        0x88: push(lambda m: True),  # NEWTRUE
        0x89: push(lambda m: False),  # NEWFALSE
        0x4A: push(lambda m: m.number(4, signed=True)),  # BININT
        0x4D: push(lambda m: m.number(2)),  # BININT2
        0x8A: push(lambda m: m.number(m.number(1), signed=True)),  # LONG1
        0x8B: push(lambda m: m.number(m.number(4), signed=True)),  # LONG4
        0x43: push(lambda m: m.take(m.number(1))),  # SHORT_BINBYTES
        0x42: push(lambda m: m.take(m.number(4))),  # BINBYTES
        0x8E: push(lambda m: m.take(m.number(8))),  # BINBYTES8
        0x55: push(lambda m: m.take(m.number(1)).decode("latin1")),  # SHORT_BINSTRING
        0x54: push(lambda m: m.take(m.number(4)).decode("latin1")),  # BINSTRING
        0x8D: push(lambda m: m.text(m.number(8))),  # BINUNICODE8
        0x7D: push(lambda m: {}),  # EMPTY_DICT
        0x5D: push(lambda m: []),  # EMPTY_LIST
        0x29: push(lambda m: ()),  # EMPTY_TUPLE
        0x8F: push(lambda m: set()),  # EMPTY_SET
        0x75: lambda m: m.set_items(m.to_mark()),  # SETITEMS
        0x73: lambda m: m.set_items(pair(m)),  # SETITEM
        0x65: lambda m: m.extend(m.to_mark()),  # APPENDS
        0x61: lambda m: m.extend([m.stack.pop()]),  # APPEND
        0x90: lambda m: m.extend(m.to_mark()),  # ADDITEMS
        0x91: push(lambda m: _members(frozenset)(m.to_mark())),  # FROZENSET
        0x74: push(lambda m: tuple(m.to_mark())),  # TUPLE
        0x85: lambda m: m.wrap(1),  # TUPLE1
        0x86: lambda m: m.wrap(2),  # TUPLE2
        0x87: lambda m: m.wrap(3),  # TUPLE3
        0x30: lambda m: m.stack.pop(),  # POP
        0x63: lambda m: m.name(m.line(), m.line()),  # GLOBAL
        0x93: lambda m: m.stack_name(),  # STACK_GLOBAL
        0x71: lambda m: m.put(m.byte()),  # BINPUT
        0x68: lambda m: m.get(m.byte()),  # BINGET
        0x52: lambda m: m.apply(),  # REDUCE
        0x81: lambda m: m.apply(),  # NEWOBJ
        0x62: lambda m: m.build(),  # BUILD
        0x51: push(lambda m: _skip(m.stack.pop())),  # BINPERSID
    }


_INSTRUCTIONS: Final = _instructions()
