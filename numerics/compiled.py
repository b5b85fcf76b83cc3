"""Numba's compiler with the types of the function kept, and a cache that cannot go stale."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, TypeVar, cast

import numba

Function = TypeVar("Function", bound=Callable[..., Any])


@cache
def _fingerprint() -> str:
    """Return a hash of every source file of this folder and those below."""
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parent.rglob("*.py")):
        digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


def compiled(function: Function) -> Function:
    """Compile `function` to machine code that releases the interpreter lock.

    Compilation happens at the first call and is kept on disk where a folder can be written.
    Division by zero follows IEEE 754, as in NumPy; no reordering of floating-point operations is
    allowed, because the compensated arithmetic of the exact losses depends on it.
    """
    # Said although it is the default: a caller that counts no references would pass that on.
    return _kept(function, {"nogil": True, "error_model": "numpy", "_nrt": True})


def reordered(function: Function) -> Function:
    """Compile as `compiled` does, but let sums be reordered and products be fused with sums.

    Loops over sums then run on vectors. For sums that no compensation depends on.
    """
    return _kept(
        function,
        {"nogil": True, "error_model": "numpy", "fastmath": {"reassoc", "contract", "nsz"}},
    )


def calling_back(function: Function) -> Function:
    """Compile a function that calls the interpreter; it takes the lock itself where it does."""
    return _kept(function, {"error_model": "numpy"})


def compiled_on_borrowed(function: Function) -> Function:
    """Compile a function that makes no array, as `compiled`, without counting references.

    Numba counts a reference whenever an array is taken out of a tuple or a view of it is made,
    with an atomic operation: more work than a step of a model with a few weights. The caller holds
    the arrays. Called by compiled functions only.
    """
    return _kept(
        function,
        {
            "nogil": True,
            "error_model": "numpy",
            "_nrt": False,
            "forceinline": True,
            "no_cfunc_wrapper": True,
        },
    )


def borrowing(function: Function, *, reorder: bool = False) -> Function:
    """Compile a function that makes no array, as `compiled`, without counting references.

    As `compiled_on_borrowed` does, but it is left to the compiler what to inline. With `reorder`,
    sums may be reordered as in `reordered`.
    """
    options: dict[str, Any] = {"nogil": True, "error_model": "numpy", "_nrt": False}
    if reorder:
        options["fastmath"] = {"reassoc", "contract", "nsz"}
    return _kept(function, {**options, "no_cfunc_wrapper": True})


def _kept(function: Function, options: dict[str, Any]) -> Function:
    try:
        kept = numba.njit(function, cache=True, **options)
        # Machine code holds the functions it calls, but numba compares only the file of the
        # function itself with the kept code: an edit elsewhere would go unnoticed. The stamp of a
        # kept function therefore covers all files that it can call into.
        file = kept._cache._cache_file
        file._source_stamp = (file._source_stamp, _fingerprint())
    except (AttributeError, RuntimeError):
        # Another numba than we know, compilation switched off, or nowhere to write: keep nothing.
        return cast(Function, numba.njit(function, **options))
    return cast(Function, kept)
