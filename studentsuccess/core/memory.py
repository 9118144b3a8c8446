"""What a process of ours does without: pages that nobody needs, and a library that nobody asked for."""

from __future__ import annotations

import ctypes
import gc
import sys
from contextlib import suppress
from importlib.abc import MetaPathFinder
from types import FrameType

import pyarrow as pa

# Freed pages are kept this long for the next block: given back sooner they are faulted in again and again.
KEPT_MS = 10_000
# A load makes few cycles and many objects: the collector is asked a hundred times less often.
COLLECT_AFTER = (100_000, 50, 100)


def prepare_process() -> None:
    """For a process that is ours alone, before its first table; never for a notebook that is somebody's."""
    gc.set_threshold(*COLLECT_AFTER)
    _use_compact_pool()
    _leave_pandas_out()


def give_back() -> None:
    """Between two phases of a run: what the first one freed is the system's again, before the second needs its own."""
    pa.default_memory_pool().release_unused()
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)


def _use_compact_pool() -> None:
    """jemalloc where pyarrow was built with it: 50 MB less for the same load than its default, measured on Linux."""
    with suppress(NotImplementedError):
        pa.set_memory_pool(pa.jemalloc_memory_pool())
        pa.jemalloc_set_decay_ms(KEPT_MS)


def _leave_pandas_out() -> None:
    """pyarrow and DuckDB look for pandas at values that they are given, and so import it: 0.3 s and 40 MB for nothing.

    We never import it ourselves. So whenever it is asked for from within our own code it is an engine that looks, and
    finds nothing; a library that needs pandas gets it as ever.
    """
    if "pandas" not in sys.modules and not any(isinstance(finder, _NotForUs) for finder in sys.meta_path):
        sys.meta_path.insert(0, _NotForUs())


class _NotForUs(MetaPathFinder):
    """No pandas for our package and pyarrow; for numba no linear algebra, of which our kernels have none (0.1 s)."""

    def find_spec(self, fullname: str, path: object, target: object = None) -> None:  # noqa: ARG002
        if fullname == "pandas" and _asking().startswith(("studentsuccess.", "pyarrow")):
            raise ModuleNotFoundError(fullname, name=fullname)
        if fullname == "scipy.linalg" and _asking() == "numba.np.linalg":
            raise ModuleNotFoundError(fullname, name=fullname)


def _asking() -> str:
    """The module that wants an import: that of the first frame outside the import machinery."""
    frame: FrameType | None = sys._getframe(2)
    while frame is not None and "importlib" in frame.f_globals.get("__name__", ""):
        frame = frame.f_back
    return str(frame.f_globals.get("__name__", "")) if frame is not None else ""
