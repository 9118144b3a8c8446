"""The books about jobs that run elsewhere."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from made_jobs import JOB, an_entry, noted
from made_models import LIMITS, context_of

from studentsuccess.core.locks import utc_now
from studentsuccess.warehouse.commit import Run, Work, commit, new_run_id
from studentsuccess.warehouse.jobs import FETCHED, Jobs, all_jobs, archive_job, move_job, note_job

NOON = datetime(2025, 3, 1, 12, tzinfo=UTC)


def jobs(folder: Path) -> Jobs:
    return all_jobs(context_of(folder).workspace, LIMITS)


def changed(folder: Path, work: Work) -> None:
    run = Run(new_run_id(), new_run_id(), "train fetch", ("job:x",), True, utc_now(), "c" * 64)
    commit(context_of(folder).workspace, LIMITS, run, (), work)


def test_a_workspace_without_a_warehouse_has_none_and_is_not_made(tmp_path: Path) -> None:
    assert jobs(tmp_path) == Jobs()
    assert list(tmp_path.iterdir()) == []


def test_a_job_is_read_as_it_was_noted_and_noting_it_again_changes_nothing(tmp_path: Path) -> None:
    noted(tmp_path, an_entry())
    assert jobs(tmp_path).entries == (an_entry(),)
    changed(tmp_path, lambda found: note_job(found, an_entry(model="another")))
    assert jobs(tmp_path).entries == (an_entry(),)


def test_jobs_come_oldest_first(tmp_path: Path) -> None:
    late, early = an_entry("late", submitted_at=NOON + timedelta(days=1)), an_entry("early", submitted_at=NOON)
    noted(tmp_path, late, early)
    assert [entry.job for entry in jobs(tmp_path).entries] == ["early", "late"]


def test_what_became_of_a_job_is_kept_through_what_comes_later(tmp_path: Path) -> None:
    noted(tmp_path, an_entry(), an_entry("other"))
    changed(tmp_path, lambda found: move_job(found, JOB, FETCHED, "Outcome@3"))
    changed(tmp_path, lambda found: archive_job(found, JOB, NOON))
    changed(tmp_path, lambda found: archive_job(found, JOB, NOON + timedelta(days=9)))
    found, other = (jobs(tmp_path).find(name) for name in (JOB, "other"))
    assert found == an_entry(state=FETCHED, fetched_model="Outcome@3", archived_at=NOON)
    assert other == an_entry("other")


def test_a_name_means_one_job_or_the_trials_of_a_sweep() -> None:
    found = Jobs((an_entry("a"), an_entry("s-1", parent="s"), an_entry("s-2", parent="s")))
    assert [entry.job for entry in found.meant("s")] == ["s-1", "s-2"]
    assert [entry.job for entry in found.meant("s-2")] == ["s-2"]
    assert found.meant("b") == ()
    assert found.names == ("a", "s", "s-1", "s-2")
