"""How loops over numbers are compiled, and random numbers in them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba
import numpy as np

from harness.rng import DROPPED, GAMMA, LAST, MIX

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


@compiled
def uniform(state: np.uint64, i: int) -> float:
    """Number `i`, from 0, of those that one of `Streams.states` stands for: that of `Streams.uniform`."""
    z = state + np.uint64(i + 1) * GAMMA
    z = (z ^ (z >> MIX[0][0])) * MIX[0][1]
    z = (z ^ (z >> MIX[1][0])) * MIX[1][1]
    return float(((z ^ (z >> LAST)) >> DROPPED) * 2.0**-53)
