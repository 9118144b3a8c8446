"""OULAD as it circulates: three dialects, orphans, missing and weekly clicks, and no repeated click ever lost."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from studentsuccess.config.values import RejectLimit
from studentsuccess.core.counts import Counts
from studentsuccess.core.deadletters import read_dead_letters
from studentsuccess.core.parallel import Engine
from studentsuccess.core.probe import Probe, probe
from studentsuccess.core.reporter import SilentReporter
from studentsuccess.core.stream import StreamSettings
from studentsuccess.errors import ContractError, ExitCode
from studentsuccess.sources.landed import Places, Reading
from studentsuccess.sources.oulad import OuladLanded, land
from studentsuccess.sources.oulad_layout import ALL, check_complete, looks_like, recognise, sort_files
from studentsuccess.sources.oulad_rules import EnrolmentIndex, RunIndex

Table = list[dict[str, str]]
RUN = {"code_module": "AAA", "code_presentation": "2013J"}


def _student(number: int, **more: str) -> dict[str, str]:
    return {
        **RUN,
        "id_student": str(number),
        **{"gender": "F", "region": "Wales", "highest_education": "A Level", "imd_band": "10-20", "age_band": "0-35"},
        **{"num_of_prev_attempts": "0", "studied_credits": "60", "disability": "N", "final_result": "Pass"},
        **more,
    }


def _click(student: int, day: int, clicks: int = 1, site: int = 501) -> dict[str, str]:
    return {**RUN, "id_student": str(student), "id_site": str(site), "date": str(day), "sum_click": str(clicks)}


def export() -> dict[str, Table]:
    """A small export with every quirk that is meant."""
    return {
        "courses": [{**RUN, "module_presentation_length": "268"}],
        "assessments": [
            {**RUN, "id_assessment": "1", "assessment_type": "TMA", "date": "19", "weight": "12.5"},
            {**RUN, "id_assessment": "2", "assessment_type": "Exam", "date": "", "weight": "100"},
        ],
        "vle": [
            {"id_site": "501", **RUN, "activity_type": "oucontent", "week_from": "", "week_to": ""},
            {"id_site": "502", **RUN, "activity_type": "forumng", "week_from": "1", "week_to": "2"},
        ],
        "studentInfo": [_student(11), _student(12, imd_band="", final_result="Withdrawn"), _student(13)],
        "studentRegistration": [
            {**RUN, "id_student": "11", "date_registration": "-159", "date_unregistration": ""},
            {**RUN, "id_student": "12", "date_registration": "", "date_unregistration": "-5"},
            {**RUN, "id_student": "13", "date_registration": "-2", "date_unregistration": ""},
        ],
        "studentAssessment": [
            {"id_assessment": "1", "id_student": "11", "date_submitted": "18", "is_banked": "0", "score": "78"},
            {"id_assessment": "2", "id_student": "12", "date_submitted": "-3", "is_banked": "1", "score": ""},
        ],
        "studentVle": [_click(11, -10), _click(11, -10), _click(11, 3, 4, 502), _click(12, 0, 2), _click(11, -10)],
    }


Writer = Callable[[Table], bytes]


def _official(rows: Table) -> bytes:
    return _csv(rows, quoting=csv.QUOTE_ALL, lineterminator="\r\n")


def _bare(rows: Table) -> bytes:
    return _csv(rows, lineterminator="\n")


def _qmark(rows: Table) -> bytes:
    return _csv([{name: value or "?" for name, value in row.items()} for row in rows], lineterminator="\n")


def _csv(rows: Table, **how: Any) -> bytes:
    sink = io.StringIO()
    writer = csv.DictWriter(sink, rows[0], **how)
    writer.writeheader()
    writer.writerows(rows)
    return sink.getvalue().encode()


DIALECTS: dict[str, Writer] = {"official": _official, "bare": _bare, "qmark": _qmark}


class Lander:
    """Lands an export as `ss etl` does, without a warehouse."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def probes(self, tables: Mapping[str, Table], write: Writer = _bare) -> list[Probe]:
        found = []
        for name, rows in tables.items():
            path = self.folder / f"{name}.csv"
            path.write_bytes(write(rows))
            found.append(probe(path, path.name))
        return found

    def __call__(self, tables: Mapping[str, Table], write: Writer = _bare, block: int = 1 << 20) -> OuladLanded:
        files = sort_files(self.probes(tables, write))
        check_complete(files)
        engine = Engine("threads", 2)
        reading = Reading(StreamSettings(block_bytes=block, engine=engine), ("", "?"), 0.01, RejectLimit(share=1))
        places = Places("r", self.folder / "staging", self.folder / "dlq", self.folder / "datasets")
        return land(files, reading, places, SilentReporter())


@pytest.fixture
def lander(tmp_path: Path) -> Lander:
    return Lander(tmp_path)


def _clicks(landed: OuladLanded) -> list[dict[str, Any]]:
    assert landed.clicks is not None
    with pa.OSFile(str(landed.clicks.staging), "rb") as source:
        return list(pa.ipc.open_stream(source).read_all().to_pylist())


def _rejects(landed: OuladLanded, name: str) -> list[tuple[int, str, str]]:
    (one,) = (one for one in landed.landed if one.name == name)
    if not one.letters.count:
        return []
    return [(a.reject.line, a.reject.column, a.reject.reason) for a in read_dead_letters(one.letters.temp)]


def test_the_three_dialects_are_one_export(lander: Lander) -> None:
    found = {}
    for name, write in DIALECTS.items():
        landed = lander(export(), write)
        found[name] = (
            {table: rows.to_pylist() for table, rows in landed.tables.items()},
            _clicks(landed),
            landed.counts(),
        )
        assert landed.notes == ()
    assert found["official"] == found["bare"] == found["qmark"]
    tables, clicks, counts = found["bare"]
    assert {name: one.kept for name, one in counts.items()} == {name: len(rows) for name, rows in export().items()}
    assert tables["studentInfo"][0]["imd_band"] == "10-20"
    assert tables["studentInfo"][1]["imd_band"] is None
    assert tables["assessments"][1] == {
        **RUN,
        "id_assessment": 2,
        "assessment_type": "Exam",
        "date": None,
        "weight": 100.0,
    }
    assert tables["studentAssessment"][1]["score"] is None
    assert [row["clicks"] for row in clicks] == [1, 1, 4, 2, 1]
    assert [row["activity_type"] for row in clicks] == ["oucontent", "oucontent", "forumng", "oucontent", "oucontent"]
    assert [(row["enrolment"], row["day"]) for row in clicks] == [(0, -10), (0, -10), (0, 3), (1, 0), (0, -10)]


def test_repeated_clicks_are_meant_and_stay(lander: Lander) -> None:
    tables = export()
    tables["studentVle"] = [_click(11, 1)] * 500 + [_click(13, 2)] * 3
    landed = lander(tables, block=64)
    assert landed.counts()["studentVle"] == Counts(503, 503, 0, 0)
    assert sum(row["clicks"] for row in _clicks(landed)) == 503


def test_files_are_known_by_their_headers_whatever_they_are_called(lander: Lander) -> None:
    renamed = {f"file{number}": rows for number, rows in enumerate(export().values())}
    for number, rows in enumerate(renamed.values()):
        for row in rows:
            row["extra"] = str(number)
    probes = lander.probes({name: [dict(reversed(row.items())) for row in rows] for name, rows in renamed.items()})
    assert [one.name if (one := recognise(each)) else None for each in probes] == list(export())
    assert looks_like(sort_files(probes))


@pytest.mark.parametrize(
    ("name", "change", "reject"),
    [
        ("assessments", {"code_module": "ZZZ"}, ("code_module, code_presentation", "no such course run in courses")),
        ("vle", {"code_presentation": "2014J"}, ("code_module, code_presentation", "no such course run in courses")),
        (
            "studentInfo",
            {"code_module": "ZZZ", "id_student": "99"},
            ("code_module, code_presentation", "no such course run in courses"),
        ),
        ("studentRegistration", {"id_student": "99"}, ("id_student", "no such enrolment in studentInfo")),
        ("studentAssessment", {"id_assessment": "99"}, ("id_assessment", "no such assessment in assessments")),
        ("studentAssessment", {"id_student": "99"}, ("id_student", "no such enrolment in studentInfo")),
        ("studentAssessment", {"is_banked": "2", "id_student": "13"}, ("is_banked", "outside 0 to 1")),
        ("studentAssessment", {"score": "NaN", "id_student": "13"}, ("score", "not a finite number")),
        ("studentVle", {"id_student": "99"}, ("id_student", "no such enrolment in studentInfo")),
        ("studentVle", {"id_site": "999"}, ("id_site", "no such site in vle")),
        ("studentVle", {"date": "99999999999"}, ("date", "outside -10000 to 10000")),
        ("studentVle", {"sum_click": "-1"}, ("sum_click", "outside 0 to 2147483647")),
        ("studentVle", {"sum_click": "2.5"}, ("sum_click", "not a whole number")),
        ("studentVle", {"date": ""}, ("date", "is empty")),
        ("studentVle", {"id_student": "-11"}, ("id_student", "no such enrolment in studentInfo")),
        ("studentVle", {"id_student": str(1 << 41)}, ("id_student", "no such enrolment in studentInfo")),
        (
            "courses",
            {"code_module": "BBB", "module_presentation_length": "0"},
            ("module_presentation_length", "outside 1 to 10000"),
        ),
    ],
)
@pytest.mark.parametrize("write", [_bare, _official])
def test_a_row_that_breaks_a_rule_is_rejected_with_its_line_and_the_rest_stays(
    lander: Lander, name: str, change: dict[str, str], reject: tuple[str, str], write: Writer
) -> None:
    tables = export()
    whole = len(tables[name])
    tables[name].insert(1, {**tables[name][-1], **change})
    landed = lander(tables, write)
    assert _rejects(landed, name) == [(3, *reject)]
    assert landed.counts()[name] == Counts(whole + 1, whole, 1, 0)


def test_a_key_with_two_contents_is_rejected_and_a_repeated_row_dropped(lander: Lander) -> None:
    tables = export()
    tables["studentInfo"] += [_student(13), _student(14), _student(14, gender="M")]
    landed = lander(tables)
    assert landed.counts()["studentInfo"] == Counts(6, 3, 2, 1)
    keys = "code_module, code_presentation, id_student"
    assert [(line, column) for line, column, _ in _rejects(landed, "studentInfo")] == [(6, keys), (7, keys)]


def test_a_rejected_student_takes_the_rows_that_refer_to_it_along(lander: Lander) -> None:
    tables = export()
    tables["studentInfo"][0]["studied_credits"] = "many"
    landed = lander(tables)
    rejected = {name: counts.rejected for name, counts in landed.counts().items() if counts.rejected}
    assert rejected == {"studentInfo": 1, "studentRegistration": 1, "studentAssessment": 1, "studentVle": 4}


def test_missing_clicks_are_said_loudly(lander: Lander) -> None:
    tables = export()
    del tables["studentVle"]
    landed = lander(tables)
    assert landed.clicks is None
    assert "studentVle" not in landed.counts()
    assert any(note.startswith("studentVle is missing") for note in landed.notes)


def test_clicks_without_sites_have_no_kind(lander: Lander) -> None:
    tables = export()
    del tables["vle"]
    landed = lander(tables)
    assert {row["activity_type"] for row in _clicks(landed)} == {None}
    assert any(note.startswith("vle is missing") for note in landed.notes)


def test_weekly_sums_stand_on_the_last_day_of_their_week_for_they_are_not_known_before(lander: Lander) -> None:
    tables = export()
    tables["studentVle"] = [
        {**RUN, "id_student": "12", "week": week, "sum_click": clicks}
        for week, clicks in (("-1", "3"), ("0", "9"), ("4", "1"))
    ]
    landed = lander(tables)
    assert [(row["enrolment"], row["day"], row["clicks"]) for row in _clicks(landed)] == [
        (1, -1, 3),
        (1, 6, 9),
        (1, 34, 1),
    ]
    assert any("weekly sum" in note for note in landed.notes)


def test_clicks_cut_at_a_spreadsheets_limit_are_said(lander: Lander) -> None:
    tables = export()
    probes = lander.probes(tables)
    header = b"code_module,code_presentation,id_student,id_site,date,sum_click\n"
    (lander.folder / "studentVle.csv").write_bytes(header + b"AAA,2013J,11,501,1,1\n" * 1_048_575)
    assert probes
    files = sort_files([probe(path, path.name) for path in sorted(lander.folder.glob("*.csv"))])
    reading = Reading(StreamSettings(engine=Engine("threads", 2)), ("",), 0.01, RejectLimit(share=1))
    landed = land(
        files, reading, Places("r", lander.folder / "s", lander.folder / "d", lander.folder / "x"), SilentReporter()
    )
    assert any("1,048,575" in note and "spreadsheet" in note for note in landed.notes)
    assert landed.counts()["studentVle"].kept == 1_048_575


def test_a_table_in_several_files_is_one_table(lander: Lander) -> None:
    tables = export()
    more = {
        **tables,
        "studentVle_2": [_click(13, 7, 5)],
        "studentInfo": tables["studentInfo"][:2],
        "rest": tables["studentInfo"][2:],
    }
    landed = lander(more)
    assert landed.counts()["studentVle"].kept == 6
    assert landed.counts()["studentInfo"].kept == 3


@pytest.mark.parametrize("name", [table.name for table in ALL if table.name not in ("vle", "studentVle")])
def test_a_missing_table_is_named_with_the_columns_it_needs(lander: Lander, name: str) -> None:
    tables = export()
    del tables[name]
    with pytest.raises(ContractError, match=f"no file has the header of {name}") as found:
        lander(tables)
    assert found.value.code == ExitCode.CONTRACT
    assert "code_module" in found.value.hint or "id_assessment" in found.value.hint


@pytest.mark.parametrize("name", [table.name for table in ALL])
def test_a_misspelt_column_is_named_with_what_is_there_instead(lander: Lander, name: str) -> None:
    tables = export()
    wanted = next(one for one in tables[name][0] if one not in RUN)
    tables[name] = [{f"{k}s" if k == wanted else k: v for k, v in row.items()} for row in tables[name]]
    with pytest.raises(
        ContractError, match=rf"^{name}\.csv: line 1: the column `{wanted}` of {name} is missing; `{wanted}s`"
    ):
        lander(tables)


@settings(max_examples=60, deadline=None)
@given(
    runs=st.lists(st.tuples(st.sampled_from("ABC"), st.sampled_from("XY")), unique=True, max_size=6),
    asked=st.lists(st.tuples(st.sampled_from("ABCD"), st.sampled_from("XYZ"), st.integers(0, 4)), max_size=12),
    enrolled=st.lists(st.tuples(st.integers(0, 5), st.integers(0, 3)), unique=True, max_size=10),
)
def test_references_are_resolved_as_a_dictionary_would(
    runs: Sequence[tuple[str, str]], asked: Sequence[tuple[str, str, int]], enrolled: Sequence[tuple[int, int]]
) -> None:
    def batch(rows: Sequence[tuple[str, str, int]]) -> pa.RecordBatch:
        columns = [[row[place] for row in rows] for place in range(3)]
        types = (pa.string(), pa.string(), pa.int64())
        names = ["code_module", "code_presentation", "id_student"]
        return pa.RecordBatch.from_arrays([pa.array(c, t) for c, t in zip(columns, types, strict=True)], names)

    info = [(*runs[run], student) for run, student in enrolled if run < len(runs)]
    index = RunIndex.of(pa.table({"code_module": [a for a, _ in runs], "code_presentation": [b for _, b in runs]}))
    known = {pair: number for number, pair in enumerate(runs)}
    assert index.numbers(batch(asked)).tolist() == [known.get((a, b), -1) for a, b, _ in asked]
    enrolments = EnrolmentIndex.of(index, pa.Table.from_batches([batch(info)]))
    place = {row: number for number, row in enumerate(info)}
    assert np.array(enrolments.numbers(batch(asked)).to_pylist()).tolist() == [place.get(row) for row in asked]
