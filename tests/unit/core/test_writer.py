"""Writing on a thread of its own: in order, with a barrier, and an error that names what it happened to."""

from __future__ import annotations

import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from studentsuccess.core.writer import OrderedWriter, WriteFailed


@settings(max_examples=50, deadline=None)
@given(items=st.lists(st.integers(), max_size=30), depth=st.integers(1, 4))
def test_everything_is_written_in_the_order_it_was_put(items: list[int], depth: int) -> None:
    written: list[int] = []
    with OrderedWriter(written.append, depth=depth) as writer:
        for item in items:
            writer.put(item)
    assert written == items


def test_a_barrier_waits_until_all_is_written() -> None:
    gate, written = threading.Event(), []

    def write(item: int) -> None:
        assert gate.wait(30)
        written.append(item)

    with OrderedWriter(write, depth=3) as writer:
        writer.put(1)
        writer.put(2)
        assert written == []
        gate.set()
        writer.barrier()
        assert written == [1, 2]
        writer.put(3)
    assert written == [1, 2, 3]


def test_a_writer_runs_at_most_its_depth_behind() -> None:
    gate, put = threading.Event(), []

    def fill(writer: OrderedWriter[int]) -> None:
        for item in range(6):
            writer.put(item)
            put.append(item)

    started = threading.Event()

    def write(_: int) -> None:
        started.set()
        assert gate.wait(30)

    with OrderedWriter(write, depth=2) as writer:
        filler = threading.Thread(target=fill, args=(writer,))
        filler.start()
        assert started.wait(30)
        assert len(put) <= 3
        gate.set()
        filler.join()
    assert put == list(range(6))


def _fails_at(bad: int, written: list[int]) -> object:
    def write(item: int) -> None:
        if item == bad:
            raise OSError(28, "No space left on device")
        written.append(item)

    return write


def test_an_error_names_its_item_and_nothing_after_it_is_written() -> None:
    written: list[int] = []
    writer = OrderedWriter(_fails_at(2, written))  # type: ignore[arg-type]
    writer.put(1)
    writer.put(2)
    with pytest.raises(WriteFailed) as found:
        writer.barrier()
    assert found.value.item == 2
    assert isinstance(found.value.cause, OSError)
    assert isinstance(found.value.__cause__, OSError)
    with pytest.raises(WriteFailed):
        writer.put(3)
    with pytest.raises(WriteFailed):
        writer.close()
    assert written == [1]


def test_an_error_of_the_last_item_is_raised_at_the_end() -> None:
    with pytest.raises(WriteFailed) as found, OrderedWriter(_fails_at(1, [])) as writer:  # type: ignore[arg-type]
        writer.put(1)
    assert found.value.item == 1


def test_an_item_that_is_refused_costs_only_itself() -> None:
    written: list[int] = []
    refused: list[tuple[int, str]] = []

    def refuse(item: int, problem: Exception) -> bool:
        refused.append((item, type(problem).__name__))
        return True

    with OrderedWriter(_fails_at(2, written), refuse) as writer:  # type: ignore[arg-type]
        for item in (1, 2, 3):
            writer.put(item)
    assert (written, refused) == ([1, 3], [(2, "OSError")])


def test_a_refusal_that_declines_leaves_the_error() -> None:
    with pytest.raises(WriteFailed), OrderedWriter(_fails_at(2, []), lambda *_: False) as writer:  # type: ignore[arg-type]
        writer.put(2)


def test_an_error_of_the_producer_ends_the_thread_and_is_the_one_that_is_seen() -> None:
    before = threading.active_count()
    with pytest.raises(LookupError, match="mine"), OrderedWriter(lambda _: None):
        raise LookupError("mine")
    assert threading.active_count() == before


def test_closing_twice_is_closing_once() -> None:
    writer = OrderedWriter(lambda _: None)
    writer.close()
    writer.close()
