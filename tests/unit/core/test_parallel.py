"""Work done side by side comes back in order, never more of it alive than the window, and errors end it."""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from studentsuccess.core.parallel import Engine, ordered_map

ENGINES = [Engine("serial"), Engine("threads", 1), Engine("threads", 3)]


def test_results_come_in_the_order_of_the_items_even_when_the_first_is_done_last() -> None:
    gate = threading.Event()

    def work(number: int) -> int:
        if number == 0:
            assert gate.wait(30)
        if number == 1:
            gate.set()
        return number * 10

    assert list(ordered_map(work, range(8), Engine("threads", 2))) == [number * 10 for number in range(8)]


@settings(max_examples=50, deadline=None)
@given(items=st.lists(st.integers(), max_size=20), workers=st.integers(1, 4))
def test_it_is_map(items: list[int], workers: int) -> None:
    assert list(ordered_map(str, items, Engine("threads", workers))) == [str(item) for item in items]
    assert list(ordered_map(str, items, Engine("serial", workers))) == [str(item) for item in items]


class Thing:
    """Something whose life can be watched."""


@pytest.mark.parametrize("engine", ENGINES)
def test_never_more_items_than_the_window_are_alive_however_slow_the_consumer(engine: Engine) -> None:
    alive: weakref.WeakSet[Thing] = weakref.WeakSet()
    most = 0

    def items() -> Iterator[Thing]:
        nonlocal most
        for _ in range(40):
            thing = Thing()
            alive.add(thing)
            most = max(most, len(alive))
            yield thing
            del thing

    count = 0
    for result in ordered_map(lambda thing: thing, items(), engine):
        count += 1
        del result
    assert count == 40
    assert most <= engine.window + 1


def test_nothing_is_taken_ahead_of_the_window() -> None:
    taken = []

    def items() -> Iterator[int]:
        for number in range(100):
            taken.append(number)
            yield number

    engine = Engine("threads", 3)
    results = ordered_map(lambda number: number, items(), engine)
    for number in range(20):
        assert next(results) == number
        assert len(taken) <= number + engine.window
    results.close()  # type: ignore[attr-defined]
    assert len(taken) < 30


@pytest.mark.parametrize("engine", ENGINES)
def test_an_error_comes_at_its_place_and_ends_the_work(engine: Engine) -> None:
    done = []

    def work(number: int) -> int:
        if number == 3:
            raise LookupError("three")
        done.append(number)
        return number

    results = ordered_map(work, range(1_000), engine)
    assert [next(results) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(LookupError, match="three"):
        next(results)
    assert len(done) <= 3 + engine.window
    assert list(results) == []


@pytest.mark.parametrize("engine", ENGINES)
def test_an_error_of_the_source_comes_through(engine: Engine) -> None:
    def items() -> Iterator[int]:
        yield 1
        raise OSError("the disk")

    with pytest.raises(OSError, match="the disk"):
        list(ordered_map(lambda number: number, items(), engine))


def test_a_consumer_that_stops_leaves_no_thread_behind() -> None:
    before = {thread.name for thread in threading.enumerate()}
    results = ordered_map(lambda number: number, range(100), Engine("threads", 2))
    assert next(results) == 0
    results.close()  # type: ignore[attr-defined]
    assert {thread.name for thread in threading.enumerate()} <= before


def _with_process(number: int) -> tuple[int, int, str | None]:
    return number, os.getpid(), os.environ.get("OMP_NUM_THREADS")


def test_processes_give_the_same_order_with_one_numeric_thread_each() -> None:
    found = list(ordered_map(_with_process, range(6), Engine("processes", 2)))
    assert [number for number, _, _ in found] == list(range(6))
    assert os.getpid() not in {process for _, process, _ in found}
    assert {threads for _, _, threads in found} == {"1"}
