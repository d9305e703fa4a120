"""How loops over numbers are compiled, and random numbers in them."""

from __future__ import annotations

import fcntl
import os
import sys
import zlib
from collections.abc import Callable
from contextlib import suppress
from functools import lru_cache
from typing import Any, TypeVar, cast

import numba
import numpy as np
from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic, overload
from numpy.typing import NDArray

from harness.rng import DROPPED, GAMMA, LAST, MIX

F = TypeVar("F", bound=Callable[..., Any])

KERNELS: list[Any] = []
"""What `compiled` and `inner` made of functions of modules that are imported."""


def compiled(function: F) -> F:
    """Compile with numba: IEEE semantics, no reassociation, without the GIL.

    The machine code is cached beside the source or in the user's cache folder; where neither can be written, or the
    disk is full, every process compiles anew, and a cache that is broken is made anew. A cached kernel does not notice
    edits of kernels in other modules: those it calls from there are not meant to change.
    """
    return cast(F, _kernel(function))


def inner(function: F) -> F:
    """`compiled` for a function that only compiled ones call: what Python would call it by is not compiled."""
    kernel = _kernel(function, no_cpython_wrapper=True)
    if hasattr(kernel, "_compile_for_args"):  # else numba is told not to compile

        def refuse(*_: Any, **__: Any) -> Any:
            raise TypeError(f"{function.__name__} is for compiled functions to call.")

        def add(made: Any) -> None:  # without a place for Python to jump to
            kernel.overloads[made.signature.args] = made

        kernel._compile_for_args, kernel.add_overload = refuse, add
    return cast(F, kernel)


def compiler() -> list[str]:
    """What kernels are compiled by and for: versions of numba and Python, the processor."""
    return [
        numba.__version__,
        str(sys.implementation.cache_tag),
        *map(str, cast(Any, uniform).targetctx.codegen().magic_tuple()),
    ]


def _kernel(function: Callable[..., Any], **options: bool) -> Any:
    kernel = _dispatcher(function, **options)
    if "<locals>" not in function.__qualname__:
        KERNELS.append(kernel)
    return kernel


def _dispatcher(function: Callable[..., Any], **options: bool) -> Any:
    njit: Any = numba.njit
    options |= {"nogil": True, "no_cfunc_wrapper": True}
    try:
        kernel = njit(cache=True, error_model="numpy", **options)(function)
    except RuntimeError:  # no folder to cache in
        return njit(error_model="numpy", **options)(function)
    cache = getattr(kernel, "_cache", None)
    if hasattr(cache, "load_overload"):  # else numba is told not to compile
        _forgive(cache)
        _take_turns(kernel, cache)
    return kernel


def _take_turns(kernel: Any, cache: Any) -> None:
    """Let one process at a time look for a kernel in its cache and compile it: those that wait load what it left.

    A kernel is a byte of a file in the folder of the cache, which is locked by the process. Where that cannot be, or
    two processes would wait for each other, each compiles.
    """
    make, byte = kernel.compile, zlib.crc32(kernel.py_func.__qualname__.encode())

    def compile_alone(signature: Any) -> Any:
        turn: int | None = None
        with suppress(OSError):
            file = _turns(cache.cache_path)
            fcntl.lockf(file, fcntl.LOCK_EX, 1, byte)
            turn = file
        try:
            return make(signature)
        finally:
            if turn is not None:
                fcntl.lockf(turn, fcntl.LOCK_UN, 1, byte)

    kernel.compile = compile_alone


@lru_cache
def _turns(folder: str) -> int:
    """The file whose bytes are locked, open until the process ends: to close it would unlock them all."""
    return os.open(os.path.join(folder, "kernels.lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)


def _forgive(cache: Any) -> None:
    """Let a cache of numba cost time where it fails, which raises what pickle and the disk do."""
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


@inner
def uniform(state: np.uint64, i: int) -> float:
    """Number `i`, from 0, of those that one of `Streams.states` stands for: that of `Streams.uniform`."""
    z = state + np.uint64(i + 1) * GAMMA
    z = (z ^ (z >> MIX[0][0])) * MIX[0][1]
    z = (z ^ (z >> MIX[1][0])) * MIX[1][1]
    return float(((z ^ (z >> LAST)) >> DROPPED) * 2.0**-53)


def prefetch(array: NDArray[Any], index: int) -> None:
    """Ask for an element of a contiguous array to be brought near the processor; nothing waits for it."""


def _fetching(_: Any, array: Any, index: Any) -> Any:
    """The type of a call of `prefetch`, and what writes its code."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        data = context.make_array(signature.args[0])(context, builder, args[0]).data
        byte, flag = cgutils.voidptr_t, ir.IntType(32)
        asked = builder.module.declare_intrinsic(
            "llvm.prefetch", [byte], ir.FunctionType(ir.VoidType(), [byte, flag, flag, flag])
        )
        place = builder.bitcast(builder.gep(data, [args[1]]), byte)
        builder.call(asked, [place, flag(0), flag(2), flag(1)])  # to read, as far as the second cache, data
        return context.get_dummy_value()

    return types.none(array, index), generate


_fetch: Any = intrinsic(_fetching)


@overload(prefetch)
def _compiled_prefetch(array: Any, index: Any) -> Any:
    def implementation(array: Any, index: Any) -> Any:
        return _fetch(array, index)

    return implementation
