"""Learning curves in pickles: runs of (key, float) pairs, taken at once where single instructions would take long.

Keys are small integers, strings of the memo, or new strings such as "x-valid@12".
"""

import re
import sys
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

Buffer = Any  # bytes or mmap: indexable, sliceable, accepted by `re` and `struct`
Run = tuple[list[Any], list[float], int]
"""Keys and values of a run, and where it ends."""

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


def taken(buffer: Buffer, position: int, memo: list[Any]) -> Run | None:
    """The run that begins at `position`, whose new strings are appended to the memo; None if it is not of this form."""
    if found := _known(buffer, position, memo):
        return found
    if run := _INT_CURVE.match(buffer, position):
        entries = np.frombuffer(run.group(), _INT_ENTRY)
        return entries["key"].tolist(), entries["value"].tolist(), run.end()
    if run := _MEMO_CURVE.match(buffer, position):
        entries = np.frombuffer(run.group(), _MEMO_ENTRY)
        keys = [memo[i] for i in entries["key"].tolist()]
        return (keys, entries["value"].tolist(), run.end()) if all(isinstance(key, str) for key in keys) else None
    if (run := _NAMED_CURVE.match(buffer, position)) and _learned(run.group()):
        return _known(buffer, position, memo, run.end())
    return None


def _known(buffer: Buffer, position: int, memo: list[Any], until: int | None = None) -> Run | None:
    """The run of new strings and floats that begins here, if its layout is known.

    It ends at `until` or, without, where no string follows.
    """
    name = _NAME.match(buffer, position)
    if name is None:
        return None
    for layout in _layouts.get(name.group(), ()):
        end = position + layout.length
        run = np.frombuffer(buffer[position:end], np.uint8)
        if len(run) < layout.length or run[layout.fixed].tobytes() != layout.text:
            continue
        if end != until and (until or buffer[end : end + 1] == name.group()[:1]):
            continue
        if layout.puts.size:
            indices = run[layout.puts].view("<u4")[:, 0]
            if indices[0] != len(memo) or (np.diff(indices) != 1).any():
                return None
        memo += layout.keys
        return layout.keys, run[layout.floats].view(">f8")[:, 0].tolist(), end
    return None
