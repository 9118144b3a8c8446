"""Batches from a notebook: results as dataclasses, refusals as errors that carry everything that was found."""

from __future__ import annotations

import csv
from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest
from made_terms import Term, write_term

import studentsuccess as ss
from studentsuccess.tasks.batch import NoSolutionError, TermError

DAY = date(2025, 9, 1)


@pytest.fixture
def term(tmp_path: Path) -> Path:
    return write_term(tmp_path / "term", Term(150, seed=3))


def edit(path: Path, change: Callable[[list[list[str]]], None]) -> None:
    with path.open(encoding="utf-8", newline="") as source:
        rows = list(csv.reader(source))
    change(rows)
    with path.open("w", encoding="utf-8", newline="") as sink:
        csv.writer(sink).writerows(rows)


def test_a_term_is_validated_batched_and_verified(term: Path, tmp_path: Path) -> None:
    workspace, out = tmp_path / "ws", tmp_path / "out"
    read = ss.validate_batch_processing_inputs(term, workspace)
    assert read.ready
    assert not workspace.exists()
    made = ss.process_student_batching(term, out, workspace, day=DAY, settings={"batch.max_size": 50})
    assert (made.students, made.hard_violations, made.already_done) == (150, 0, False)
    assert all(Path(path).exists() for path in made.outputs)
    assert made.measures["size_balance"]["verdict"] == "PASS"
    assert ss.verify_batches(out, term).ok
    assert ss.process_student_batching(term, out, workspace, day=DAY, settings={"batch.max_size": 50}).already_done


def test_a_quick_look_is_another_run(term: Path, tmp_path: Path) -> None:
    quick = ss.quick_batch_processing(term, tmp_path / "out", tmp_path / "ws", day=DAY)
    assert quick.objective <= quick.bound
    assert not ss.process_student_batching(term, tmp_path / "out", tmp_path / "ws", day=DAY).already_done


def test_a_term_that_can_not_be_used_brings_all_its_problems(term: Path, tmp_path: Path) -> None:
    def spoil(rows: list[list[str]]) -> None:
        for at in (3, 7):
            rows[at][rows[0].index("program_id")] = f"NOWHERE-{at}"

    edit(term / "student_data.csv", spoil)
    with pytest.raises(TermError) as caught:
        ss.process_student_batching(term, tmp_path / "out", tmp_path / "ws", day=DAY)
    assert caught.value.code == 4
    said = [one.text for one in caught.value.read.errors]
    assert [name for name in ("NOWHERE-3", "NOWHERE-7") if any(name in text for text in said)] == [
        "NOWHERE-3",
        "NOWHERE-7",
    ]
    assert min(one.line or 0 for one in caught.value.read.errors) == 4
    assert isinstance(caught.value, ss.SsError)
    found = ss.validate_batch_processing_inputs(term, tmp_path / "ws")
    assert [one.text for one in found.errors] == [one.text for one in caught.value.read.errors]


def test_no_solution_brings_its_reasons(term: Path, tmp_path: Path) -> None:
    def shrink(rows: list[list[str]]) -> None:
        for row in rows[1:]:
            row[rows[0].index("capacity")] = "12"

    edit(term / "rooms.csv", shrink)
    with pytest.raises(NoSolutionError) as caught:
        ss.process_student_batching(term, tmp_path / "out", tmp_path / "ws", day=DAY)
    assert {one.code for one in caught.value.obstacles} == {"INSUFFICIENT_ROOMS"}
    assert (tmp_path / "out" / "infeasible.json").exists()
