"""The stages of a run: their order, their books, and how they are told."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from studentsuccess.core.counts import Counts
from studentsuccess.core.reporter import SilentReporter, SilentStep, Step
from studentsuccess.errors import SsError
from studentsuccess.tasks.batch_journal import STAGES, WORDS, Journal, all_kept, stage_of, stage_text
from studentsuccess.warehouse.stages import Stage

START = datetime(2025, 9, 1, 8, tzinfo=UTC)


class Watching(SilentReporter):
    """Notes what is shown."""

    def __init__(self) -> None:
        super().__init__()
        self.shown: list[str] = []

    def step(self, name: str, total: int | None = None, unit: str = "rows") -> Step:  # noqa: ARG002
        self.shown.append(name)
        return SilentStep()


def test_a_stage_is_shown_with_its_number_and_noted_with_its_book() -> None:
    watching = Watching()
    journal = Journal("RUN", watching)
    with journal.stage("rooms") as book:
        book["batches"] = all_kept(3)
    with journal.stage("clustering", shown=False):
        pass
    assert watching.shown == ["5/9 finding rooms and shifts"]
    assert [(one.name, one.counts) for one in journal.stages] == [
        ("rooms", {"batches": Counts(3, 3)}),
        ("clustering", {}),
    ]
    assert all(one.seconds >= 0 for one in journal.stages)


def test_a_stage_that_fails_has_not_ended() -> None:
    journal = Journal("RUN", SilentReporter())
    with pytest.raises(ValueError, match="broken"), journal.stage("rooms"):
        raise ValueError("broken")
    assert journal.stages == []


def test_a_book_that_does_not_add_up_is_a_defect() -> None:
    journal = Journal("RUN", SilentReporter())
    with pytest.raises(SsError, match="do not add up"), journal.stage("membership") as book:
        book["students"] = Counts(5, 4)


def test_every_stage_has_words() -> None:
    assert set(WORDS) == set(STAGES)


books = st.dictionaries(
    st.text(max_size=8),
    st.builds(lambda kept, rejected: Counts(kept + rejected, kept, rejected), st.integers(0, 9), st.integers(0, 9)),
    max_size=3,
)


@given(st.sampled_from(STAGES), st.timedeltas(timedelta(0), timedelta(days=1)), books)
def test_a_stage_is_read_as_it_was_kept(name: str, took: timedelta, book: Mapping[str, Counts]) -> None:
    stage = Stage("RUN", name, START, START + took, book)
    assert stage_of(stage_text(stage)) == stage


def test_the_log_is_a_line_a_stage() -> None:
    journal = Journal("RUN", SilentReporter())
    journal.ended(Stage("RUN", "validate", START, START + timedelta(seconds=1.5), {"rooms.csv": Counts(4, 3, 1)}))
    assert json.loads(journal.log()) == {
        "run_id": "RUN",
        "stage": "validate",
        "started": "2025-09-01T08:00:00.000+00:00",
        "seconds": 1.5,
        "read_kept_rejected_duplicate": {"rooms.csv": [4, 3, 1, 0]},
    }
