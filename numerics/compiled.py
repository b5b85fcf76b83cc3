"""Numba's compiler with the types of the function it compiles kept."""

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba

Function = TypeVar("Function", bound=Callable[..., Any])


def compiled(function: Function) -> Function:
    """Compile `function` to machine code that releases the interpreter lock.

    Compilation happens at the first call and is kept on disk. Division by zero follows IEEE 754,
    as in NumPy; no reordering of floating-point operations is allowed, because the compensated
    arithmetic of the exact losses depends on it.
    """
    return cast(Function, numba.njit(function, nogil=True, cache=True, error_model="numpy"))
