"""Which jobs are put aside. What Azure does with it is tested with the command."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from made_jobs import JOB, NOWHERE, an_entry, noted

from studentsuccess.config.layers import Overrides, load
from studentsuccess.errors import UsageError
from studentsuccess.tasks import archive
from studentsuccess.tasks.context import Context

NOW = datetime(2025, 6, 1, 12, tzinfo=UTC)


def context(folder: Path) -> Context:
    sets = tuple(word.removeprefix("--set=") for word in NOWHERE)
    return Context(load(Overrides(folder, sets=sets), {}, folder))


@pytest.mark.parametrize(("text", "hours"), [("12h", 12), ("30d", 720), ("4w", 672), ("0h", 0)])
def test_an_age_is_hours_days_or_weeks(text: str, hours: int) -> None:
    assert archive.age(text) == timedelta(hours=hours)


@pytest.mark.parametrize("text", ["", "30", "d", "-1d", "1.5d", "30 days", "1y"])
def test_anything_else_is_no_age(text: str) -> None:
    with pytest.raises(UsageError, match="is no age"):
        archive.age(text)


def test_by_age_those_of_this_place_that_are_older(workspace: Path) -> None:
    entries = [an_entry(f"d{days}", submitted_at=NOW - timedelta(days=days)) for days in (29, 30, 31, 90)]
    noted(workspace, *entries, an_entry("elsewhere", place="other/place/x"))
    noted(workspace, an_entry("done", submitted_at=NOW - timedelta(days=99)), archived=True)
    made = archive.plan(None, "30d", context(workspace), NOW)
    assert (made.names, made.already) == (("d90", "d31"), ("done",))


def test_by_name_one_or_the_trials_of_a_sweep(workspace: Path) -> None:
    noted(workspace, an_entry(), an_entry("s-1", parent="s"), an_entry("s-2", parent="s"))
    assert archive.plan(JOB, None, context(workspace)).names == (JOB,)
    assert archive.plan("s", None, context(workspace)).names == ("s-1", "s-2")
    assert archive.plan("sent-by-a-colleague", None, context(workspace)).names == ("sent-by-a-colleague",)


@pytest.mark.parametrize("given", [(None, None), (JOB, "30d")])
def test_neither_or_both_is_a_misunderstanding(workspace: Path, given: tuple[str | None, str | None]) -> None:
    with pytest.raises(UsageError, match="say which jobs"):
        archive.plan(*given, context(workspace))


@pytest.mark.parametrize("name", ["../../x", "/etc", "a/b", "", "a b", "-x"])
def test_what_can_be_no_job_is_refused_before_it_names_a_folder(workspace: Path, name: str) -> None:
    with pytest.raises(UsageError, match="is no name of a job"):
        archive.plan(name, None, context(workspace))


def test_nothing_to_do_asks_nobody(workspace: Path) -> None:
    noted(workspace, an_entry(), archived=True)
    assert archive.run(archive.plan(JOB, None, context(workspace))) == archive.Archived(None, (), (JOB,))
