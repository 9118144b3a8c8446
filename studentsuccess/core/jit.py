"""Compiled loops: the one way in which a function of ours is handed to numba.

Without fastmath, which would take the checks for NaN away. Without the interpreter's lock, so that workers run side by
side; so a kernel holds no state. numba notices a change in the kernel's own file only: what a kernel calls stands in
the same file, or in one that hardly ever changes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import numba

Function = TypeVar("Function", bound=Callable[..., Any])
# Its types know neither all its options nor that it returns what can be called as before.
_njit: Any = numba.njit


def kernel(signature: Any, *, allocates: bool = True) -> Callable[[Function], Function]:
    """Compile for exactly these types, now: a worker never waits for the compiler, and none compiles a second time.

    Machine code is kept beside the source, or in the user's own cache where that folder can't be written; where neither
    can, or the disk is full, it is compiled each time.

    A kernel that allocates nothing should say so: numba then leaves out the counting of references, which it otherwise
    does, atomically, at every call that passes an array on (measured: 3 times the time of a loop over short fields).
    """
    options = {"nogil": True} | ({} if allocates else {"_nrt": False})

    def compiled(function: Function) -> Function:
        try:
            return _njit(signature, cache=True, **options)(function)  # type: ignore[no-any-return]
        except (OSError, RuntimeError):
            return _njit(signature, **options)(function)  # type: ignore[no-any-return]

    return compiled


def part(function: Function) -> Function:
    """A piece of kernels, compiled into those that call it and nowhere else: it costs nothing to load.

    It allocates nothing.
    """
    return _njit(nogil=True, _nrt=False)(function)  # type: ignore[no-any-return]


def read(element: Any, dimensions: int = 1) -> Any:
    """The type of an array that a kernel only reads: also one that lies in memory which must not be written."""
    return numba.types.Array(element, dimensions, "C", readonly=True)
