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


def of_column(column: Any) -> NDArray[Any]:
    """The values of a column of Arrow, or of a chunk of one; NaN for absent numbers.

    Those of plain numbers without Arrow's own `to_numpy`, which imports pandas: most of the time of reading a table.
    """
    kind = str(column.type)
    if kind == "bool" and not column.null_count:
        return of_column(column.cast("uint8")).astype(np.bool_)
    chunks = getattr(column, "chunks", [column])
    if not chunks or not _NUMBERS.fullmatch(kind):
        values: NDArray[Any] = np.asarray(column)
    elif column.null_count:
        there = of_column(column.drop_null())
        values = np.full(len(column), np.nan, np.float64 if "int" in kind else there.dtype)
        values[of_column(column.is_valid())] = there
    else:
        values = np.concatenate([*map(np.from_dlpack, chunks)])
    return values


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
