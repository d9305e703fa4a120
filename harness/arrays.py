"""Array types used in signatures, whose shape stands in the docstring, and arrays that plugins cannot write into."""

from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

_Array = TypeVar("_Array", bound=NDArray[Any])


def fixed(values: NDArray[Any]) -> NDArray[Any]:
    """A copy of `values` that nobody can make writeable again, for what studies share."""
    return np.ndarray(values.shape, values.dtype, values.tobytes())


def shown(array: _Array) -> _Array:
    """A view of `array` that cannot be written into."""
    view = array.view()
    view.setflags(write=False)
    return view
