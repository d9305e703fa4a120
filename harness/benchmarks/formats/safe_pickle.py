"""A reader of pickles that can build data and nothing else.

A pickle is a program. This interpreter of it knows the instructions that make containers,
numbers and strings; it imports nothing, and the only names a pickle may refer to are those of
`pickled_names.ALLOWED`, each mapped to a function there. Anything else is refused by name. Network
weights (torch tensors) are skipped: they become `None` without being decoded.

What it builds is a tree that is not much larger than its file: keys are strings, numbers, bytes or
flat tuples of them, nothing contains itself, and a container that is referred to again counts with
all that is in it. So neither hashing nor walking what was read takes longer than reading it, within
a constant, and a hostile file can neither hang nor crash the interpreter.

It is written in Python rather than as a subclass of `pickle.Unpickler` for two reasons: a
finished dictionary can be handed over and emptied while the rest is still unread, so a pickle
of 5 GB needs little memory; and a hostile pickle cannot make it allocate what it does not hold.
"""

import struct
from collections.abc import Callable
from typing import Any, Final

from harness.benchmarks.formats.content import FormatError, Progress
from harness.benchmarks.formats.pickled_curves import Buffer, taken
from harness.benchmarks.formats.pickled_names import (
    ALLOWED,
    Array,
    Dtype,
    Global,
    RefusedError,
    check_keys,
    members_of,
    skip,
)

__all__ = ["load"]

_GONE: Final = object()
_LONGEST_INTERNED: Final = 64
_SMALL_CONTAINER: Final = 8
_CONTAINERS: Final = frozenset({dict, list})
_HOLDERS: Final = frozenset({dict, list, tuple, set, frozenset})
_MOST_REPEATED: Final = 1 << 24
_DEEPEST: Final = 100

_float = struct.Struct(">d").unpack_from
_uint32 = struct.Struct("<I").unpack_from


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
    except RefusedError as refused:
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
                raise RefusedError(f"the pickle instruction 0x{op:02x}")

    def stop(self) -> Any:
        (value,) = self.stack
        if type(value) in _HOLDERS:
            self.extent(value)
        return value

    def curve(self) -> None:
        """Take a run of (key, float) pairs, as in a learning curve, at once; others are left to the instructions."""
        run = taken(self.buffer, self.position, self.memo)
        if run is None:
            return
        keys, values, end = run
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
            raise RefusedError("a part that was let go")
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
            raise RefusedError(f"more than {_MOST_REPEATED:,} parts by repeating a few")

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
                raise RefusedError(f"containers in containers, more than {_DEEPEST} deep")
            level = below
        return size, deepest

    def changed(self, target: Any) -> None:
        """Refuse to fill what was referred to in the meantime, so that nothing contains itself."""
        if id(target) in self.repeated:
            raise RefusedError("a container that may contain itself")

    def to_mark(self) -> list[Any]:
        """What was pushed since the last mark."""
        mark = self.marks.pop()
        if mark > len(self.stack):
            raise ValueError("the stack lost its mark")
        items = self.stack[mark:]
        del self.stack[mark:]
        return items

    def set_items(self, items: list[Any]) -> None:
        check_keys(items[::2])
        self.fill(items[::2], items[1::2])

    def fill(self, keys: list[Any], values: list[Any]) -> None:
        """Set items of the dictionary on top; the keys are plain or flat tuples."""
        target = self.stack[-1]
        if type(target) is not dict:
            raise RefusedError(f"setting items of a {type(target).__name__}")
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
            check_keys(items)
            target.update(items)
        else:
            raise RefusedError(f"appending to a {type(target).__name__}")

    def name(self, module: str, name: str) -> None:
        allowed = ALLOWED.get((module, name))
        if allowed is None:
            raise RefusedError(f"the name {module}.{name}, which is not on the list of allowed names")
        self.stack.append(Global(allowed))

    def stack_name(self) -> None:
        name, module = self.stack.pop(), self.stack.pop()
        self.name(str(module), str(name))

    def apply(self) -> None:
        arguments, function = self.stack.pop(), self.stack.pop()
        if not isinstance(function, Global) or not isinstance(arguments, tuple):
            raise RefusedError(f"calling a {type(function).__name__}")
        self.stack.append(function.apply(*arguments))

    def build(self) -> None:
        state, target = self.stack.pop(), self.stack[-1]
        if isinstance(target, Dtype | Array):
            target.set_state(state)
        elif type(target) is not dict and target is not None:
            raise RefusedError(f"setting the state of a {type(target).__name__}")

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
        0x91: push(lambda m: members_of(frozenset)(m.to_mark())),  # FROZENSET
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
        0x51: push(lambda m: skip(m.stack.pop())),  # BINPERSID
    }


_INSTRUCTIONS: Final = _instructions()
