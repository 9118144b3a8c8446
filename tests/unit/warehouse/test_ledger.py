"""The chain of lines outside the database."""

from __future__ import annotations

import json
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from studentsuccess.core.counts import Counts
from studentsuccess.core.digest import FileFact
from studentsuccess.warehouse.ledger import (
    DONE,
    GENESIS,
    Head,
    Record,
    append_line,
    build_line,
    cut_torn_tail,
    head_path,
    read_chain,
)


def record(run_id: str = "20261120T235702-3fa91c", status: str = DONE) -> Record:
    return Record(
        run_id=run_id,
        command="ss etl",
        status=status,
        started="2026-11-20T23:57:02.000+00:00",
        finished="2026-11-20T23:57:03.000+00:00",
        config_digest="c" * 64,
        version="0.1.0",
        inputs=(FileFact("exports/Lehrgänge\u2028.csv", 1, "a" * 64),),
        outputs=(FileFact("outputs/x.csv", 2, "b" * 64),),
        counts={"courses": Counts(4, 3, 1, 0)},
        warehouse_rows={"core.course_run": 3},
    )


def write(path: Path, lines: int) -> None:
    head = Head()
    for number in range(lines):
        append_line(path, build_line(record(f"run-{number}"), head))
        head = read_chain(path).head


def test_a_line_reads_back_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "logs" / "ledger.jsonl"
    append_line(path, build_line(record(), Head()))
    chain = read_chain(path)
    assert [entry.record for entry in chain.entries] == [record()]
    assert (chain.entries[0].seq, chain.entries[0].previous) == (1, GENESIS)
    assert chain.damage == ()


def test_each_line_is_bound_to_the_one_before(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    write(path, 3)
    chain = read_chain(path)
    assert [entry.seq for entry in chain.entries] == [1, 2, 3]
    assert [entry.previous for entry in chain.entries] == [GENESIS, *(entry.hash for entry in chain.entries[:2])]
    assert chain.damage == ()


def test_no_ledger_is_an_empty_chain(tmp_path: Path) -> None:
    chain = read_chain(tmp_path / "ledger.jsonl")
    assert (chain.entries, chain.damage, chain.head) == ((), (), Head())


def test_a_number_changed_with_care_is_named_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    write(path, 3)
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(lines[0] + lines[1].replace(b'"kept":3', b'"kept":4') + lines[2])
    assert [(damage.line_number, "edited" in damage.what) for damage in read_chain(path).damage] == [(2, True)]


def test_a_forged_line_with_its_own_right_hash_breaks_the_next_one(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    write(path, 3)
    lines = path.read_bytes().splitlines()
    forged = build_line(record("run-x"), Head(1, json.loads(lines[0])["hash"])).encode()
    path.write_bytes(b"\n".join([lines[0], forged, lines[2], b""]))
    assert [damage.line_number for damage in read_chain(path).damage] == [3]


def test_removed_moved_and_missing_lines_are_told_apart(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    write(path, 4)
    one, two, three, four = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(one + three + four)
    assert "removed" in read_chain(path).damage[0].what
    path.write_bytes(one + three + two + four)
    assert any("moved" in damage.what for damage in read_chain(path).damage)
    path.write_bytes(one + two + three)
    assert [damage.what for damage in read_chain(path).damage] == ["is missing: the ledger once ended with number 4"]


def test_spaces_that_change_no_value_are_an_edit(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    write(path, 1)
    path.write_bytes(path.read_bytes().replace(b'"code":0', b'"code": 0'))
    assert [damage.line_number for damage in read_chain(path).damage] == [1]


@given(cut=st.integers(min_value=1))
def test_a_torn_line_is_cut_and_whole_ones_stay(tmp_path_factory: object, cut: int) -> None:
    folder = tmp_path_factory.mktemp("torn")  # type: ignore[attr-defined]
    path = folder / "ledger.jsonl"
    write(path, 2)
    whole = path.read_bytes()
    torn = build_line(record("run-2"), read_chain(path).head).encode()
    path.write_bytes(whole + torn[: 1 + cut % (len(torn) - 1)])
    assert [(damage.line_number, damage.torn) for damage in read_chain(path).damage] == [(3, True)]
    assert cut_torn_tail(path)
    assert path.read_bytes() == whole
    assert not cut_torn_tail(path)


def test_a_head_one_line_behind_is_what_a_crash_leaves_and_no_damage(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    write(path, 2)
    behind = head_path(path).read_bytes()
    append_line(path, build_line(record("run-2"), read_chain(path).head))
    head_path(path).write_bytes(behind)
    assert read_chain(path).damage == ()


def test_a_name_that_is_not_unicode_can_be_told(tmp_path: Path) -> None:
    """Linux allows a file name that is no UTF-8; Python reads it with lone surrogates."""
    path = tmp_path / "ledger.jsonl"
    odd = Record(**{**record().__dict__, "inputs": (FileFact("exports/caf\udce9.csv", 1, "a" * 64),)})
    append_line(path, build_line(odd, Head()))
    chain = read_chain(path)
    assert chain.damage == ()
    assert chain.entries[0].record.inputs[0].path == "exports/caf\\udce9.csv"
