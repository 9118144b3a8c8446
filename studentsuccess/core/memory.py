"""What a process of ours does without: pages that nobody needs, and a library that nobody asked for."""

from __future__ import annotations

import gc
import sys
from contextlib import suppress
from importlib.abc import MetaPathFinder

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


def _use_compact_pool() -> None:
    """jemalloc where pyarrow was built with it: 50 MB less for the same load than its default, measured on Linux."""
    with suppress(NotImplementedError):
        pa.set_memory_pool(pa.jemalloc_memory_pool())
        pa.jemalloc_set_decay_ms(KEPT_MS)


def _leave_pandas_out() -> None:
    """pyarrow looks for pandas once, at the first value it is given, and imports it: 0.1 s and 40 MB for nothing.

    Let it look while pandas can't be seen. `import pandas` works as ever afterwards; only pyarrow's own conversions
    to pandas are off in this process.
    """
    if "pandas" in sys.modules:
        return
    blind = _Blind()
    sys.meta_path.insert(0, blind)
    try:
        pa.array([0])
    finally:
        sys.meta_path.remove(blind)


class _Blind(MetaPathFinder):
    """Finds no pandas."""

    def find_spec(self, fullname: str, path: object, target: object = None) -> None:  # noqa: ARG002
        if fullname == "pandas":
            raise ModuleNotFoundError(fullname)
