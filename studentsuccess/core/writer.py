"""An ordered asynchronous writer: one thread, an explicit barrier, and errors that name their batch."""

from __future__ import annotations

import threading
from collections.abc import Callable
from queue import Queue
from types import TracebackType
from typing import Generic, TypeVar

Item = TypeVar("Item")


class WriteFailed(Exception, Generic[Item]):  # noqa: N818 - it is what happened, not a kind of error
    """Writing `item` failed because of `cause`; nothing after it was written."""

    def __init__(self, item: Item, cause: BaseException) -> None:
        super().__init__(str(cause))
        self.item = item
        self.cause = cause


class OrderedWriter(Generic[Item]):
    """Hands items to `write` in order on one thread, at most `depth` ahead.

    An item that `write` can't take for its content is handed to `refuse` with the error (it may put the rows into the
    dead letters); where there is no `refuse`, or `refuse` declines with False, the error is raised at the next `put`
    or `barrier` and nothing more is written.
    """

    def __init__(
        self,
        write: Callable[[Item], None],
        refuse: Callable[[Item, Exception], bool] | None = None,
        depth: int = 2,
    ) -> None:
        self._write, self._refuse = write, refuse
        self._queue: Queue[Item | None] = Queue(depth)
        self._failed: WriteFailed[Item] | None = None
        self._closed = False
        self._thread = threading.Thread(target=self._work, name="ss-writer", daemon=True)
        self._thread.start()

    def put(self, item: Item) -> None:
        """Queue one item; raises what an earlier one failed with."""
        self._raise()
        self._queue.put(item)

    def barrier(self) -> None:
        """Wait until all that was put is written, or raise for the item that could not be."""
        self._queue.join()
        self._raise()

    def close(self) -> None:
        """Write what is queued, end the thread and report."""
        if not self._closed:
            self._closed = True
            self._queue.put(None)
            self._thread.join()
        self._raise()

    def __enter__(self) -> OrderedWriter[Item]:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()
            return
        self._failed = self._failed or WriteFailed.__new__(WriteFailed)
        if not self._closed:
            self._closed = True
            self._queue.put(None)
            self._thread.join()

    def _raise(self) -> None:
        if self._failed is not None:
            raise self._failed from self._failed.cause

    def _work(self) -> None:
        while (item := self._queue.get()) is not None:
            try:
                if self._failed is None:
                    self._write(item)
            except Exception as problem:
                if self._refuse is None or not self._refuse(item, problem):
                    self._failed = WriteFailed(item, problem)
            finally:
                self._queue.task_done()
        self._queue.task_done()
