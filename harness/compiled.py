"""How loops over numbers are compiled."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba

F = TypeVar("F", bound=Callable[..., Any])


def compiled(function: F) -> F:
    """Compile with numba: IEEE semantics, no reassociation, without the GIL.

    The machine code is cached beside the source or in the user's cache folder; where neither can be written, every
    process compiles anew. A cached kernel does not notice edits of kernels in other modules: those it calls from
    there are not meant to change.
    """
    try:
        return cast(F, numba.njit(cache=True, nogil=True, error_model="numpy")(function))
    except RuntimeError:  # no folder to cache in
        return cast(F, numba.njit(nogil=True, error_model="numpy")(function))
