"""An ordered parallel map: the one place that knows what engine runs the work.

joblib's own generator mode has no backpressure (a slow consumer lets results pile up), so the window is kept here and
joblib gives the process pool behind it. A cluster engine needs one more branch in `_executor`: anything with the
`concurrent.futures` interface will do.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Literal, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")
EngineName = Literal["serial", "threads", "processes"]


@dataclass(frozen=True)
class Engine:
    """Where work runs and how much of it at once."""

    name: EngineName = "threads"
    workers: int = 1

    @property
    def window(self) -> int:
        """Items under way or finished and not yet taken: enough to keep workers busy, few enough to bound memory."""
        return self.workers + 2


def ordered_map(function: Callable[[Item], Result], items: Iterable[Item], engine: Engine) -> Iterator[Result]:
    """`function` of every item, in the items' order; at most `engine.window` are held at any time."""
    if engine.name == "serial":
        yield from map(function, items)
        return
    with _executor(engine) as executor:
        pending: deque[Future[Result]] = deque()
        try:
            for item in items:
                pending.append(executor.submit(function, item))
                if len(pending) >= engine.window:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:
            for future in pending:
                future.cancel()


def _executor(engine: Engine) -> AbstractContextManager[Executor]:
    if engine.name == "threads":
        return ThreadPoolExecutor(engine.workers, thread_name_prefix="ss")
    from joblib.externals.loky import get_reusable_executor

    return nullcontext(get_reusable_executor(engine.workers, env=ONE_BLAS_THREAD))


ONE_BLAS_THREAD = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "VECLIB_MAXIMUM_THREADS": "1",
    "NUMEXPR_NUM_THREADS": "1",
}
