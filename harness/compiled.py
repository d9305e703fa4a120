"""How loops over numbers are compiled, and random numbers in them."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar, cast

import numba
import numpy as np

from harness.rng import DROPPED, GAMMA, LAST, MIX

F = TypeVar("F", bound=Callable[..., Any])


def compiled(function: F) -> F:
    """Compile with numba: IEEE semantics, no reassociation, without the GIL.

    The machine code is cached beside the source or in the user's cache folder; where neither can be written, or the
    disk is full, every process compiles anew, and a cache that is broken is made anew. A cached kernel does not notice
    edits of kernels in other modules: those it calls from there are not meant to change.
    """
    try:
        kernel = numba.njit(cache=True, nogil=True, error_model="numpy")(function)
    except RuntimeError:  # no folder to cache in
        return cast(F, numba.njit(nogil=True, error_model="numpy")(function))
    _forgive(getattr(kernel, "_cache", None))
    return cast(F, kernel)


def _forgive(cache: Any) -> None:
    """Let a cache of numba cost time where it fails, which raises what pickle and the disk do."""
    if not hasattr(cache, "load_overload"):  # numba is told not to compile
        return
    load, save = cache.load_overload, cache.save_overload

    def loaded(*of: Any) -> Any:
        try:
            return load(*of)
        except Exception:
            with suppress(OSError):
                cache.flush()
            return None

    def saved(*what: Any) -> None:
        with suppress(OSError):
            save(*what)

    cache.load_overload, cache.save_overload = loaded, saved


@compiled
def uniform(state: np.uint64, i: int) -> float:
    """Number `i`, from 0, of those that one of `Streams.states` stands for: that of `Streams.uniform`."""
    z = state + np.uint64(i + 1) * GAMMA
    z = (z ^ (z >> MIX[0][0])) * MIX[0][1]
    z = (z ^ (z >> MIX[1][0])) * MIX[1][1]
    return float(((z ^ (z >> LAST)) >> DROPPED) * 2.0**-53)
