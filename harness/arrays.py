"""Array types used in signatures, whose shape stands in the docstring, and arrays that plugins cannot write into."""

import re
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

_Array = TypeVar("_Array", bound=NDArray[Any])


_NUMBERS = re.compile(r"u?int\d+|halffloat|float|double")
_NAMES = {"halffloat": "float16", "float": "float32", "double": "float64"}
"""What numpy calls the types that Arrow calls otherwise."""


def of_column(column: Any) -> NDArray[Any]:
    """The values of a column of Arrow, or of a chunk of one; NaN for absent numbers.

    Those of plain numbers and bools without Arrow's own `to_numpy`, which imports pandas, and its compute functions:
    most of the time of reading a table.
    """
    kind, chunks = str(column.type), getattr(column, "chunks", [column])
    if chunks and kind == "bool" and not column.null_count:
        return np.concatenate([_bits(chunk, chunk.buffers()[1]) for chunk in chunks])
    if not chunks or not _NUMBERS.fullmatch(kind):
        return np.asarray(column)
    return np.concatenate([_with_nan(chunk) if column.null_count else np.from_dlpack(chunk) for chunk in chunks])


def _with_nan(chunk: Any) -> NDArray[Any]:
    there, data = chunk.buffers()
    plain = np.frombuffer(data, _NAMES.get(str(chunk.type), str(chunk.type)))[chunk.offset :][: len(chunk)]
    values = plain.astype(np.float64 if plain.dtype.kind in "iu" else plain.dtype)
    if there is not None:
        values[~_bits(chunk, there)] = np.nan
    return values


def _bits(chunk: Any, buffer: Any) -> Bools:
    """A buffer of `chunk` that has one bit a value."""
    bits = np.unpackbits(np.frombuffer(buffer, np.uint8), bitorder="little")
    return bits[chunk.offset :][: len(chunk)].astype(np.bool_)


def fixed(values: NDArray[Any]) -> NDArray[Any]:
    """A copy of `values` that nobody can make writeable again, for what studies share."""
    return np.ndarray(values.shape, values.dtype, values.tobytes())


def shown(array: _Array) -> _Array:
    """A view of `array` that cannot be written into."""
    view = array.view()
    view.setflags(write=False)
    return view


def sealed(array: _Array) -> _Array:
    """`array`, which nobody writes into from now on."""
    array.setflags(write=False)
    return array
