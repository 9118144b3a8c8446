"""The real OULAD: its three dialects are one data set, and each of its known quirks survives."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from loading import load_module

from studentsuccess.config.layers import Overrides, load
from studentsuccess.core.counts import Counts
from studentsuccess.core.reporter import SilentReporter
from studentsuccess.tasks import etl
from studentsuccess.tasks.context import Context
from studentsuccess.tasks.etl import EtlRequest, EtlResult
from studentsuccess.tasks.inputs import NamedFile

DIALECTS = ("official", "bare", "qmark")
ROWS = {
    "courses": 15,
    "assessments": 149,
    "vle": 4_694,
    "studentInfo": 21_333,
    "studentRegistration": 21_333,
    "studentAssessment": 121_738,
    "studentVle": 7_035_828,
}
CORE = ("course_run", "enrollment", "demographic", "assessment", "submission", "activity")
# Enough clicks for repeated rows, several runs and more than one block.
CUT = 200_000


def _writer(real_data: Path) -> ModuleType:
    """The script that comes with the data and knows the dialects."""
    return load_module("write_oulad_csv", real_data / "write_oulad_csv.py")


@dataclass(frozen=True)
class Loaded:
    """One dialect in a workspace of its own."""

    result: EtlResult
    warehouse: Path

    def table(self, query: str) -> pa.Table:
        with duckdb.connect(str(self.warehouse), read_only=True) as connection:
            return connection.execute(query).to_arrow_table()

    def core(self) -> dict[str, list[dict[str, object]]]:
        return {name: self.table(f"select * from core.{name} order by all").to_pylist() for name in CORE}  # noqa: S608


def _load(real_data: Path, folder: Path, dialect: str, monkeypatch: pytest.MonkeyPatch, cut: int | None) -> Loaded:
    """Write the export in a dialect, the clicks cut to some, and load it."""
    script = _writer(real_data)
    source = folder / "source"
    (source / "oulad").mkdir(parents=True)
    for name in ROWS:
        origin = real_data / "oulad" / f"{name}.parquet"
        table = pq.read_table(origin)
        if name == "studentVle" and cut is not None:
            every = table.num_rows // cut
            table = pa.concat_tables([table.slice(at * every * (cut // 20), cut // 20) for at in range(20)])
        pq.write_table(table, source / "oulad" / f"{name}.parquet")
    monkeypatch.setattr(script, "__file__", str(source / "write_oulad_csv.py"))
    monkeypatch.setattr(sys, "argv", ["write_oulad_csv.py", str(folder / dialect), "--dialect", dialect])
    script.main()
    context = Context(load(Overrides(workspace=folder / "ws"), {}, folder))
    files = [NamedFile(path, path.name) for path in sorted((folder / dialect).glob("*.csv"))]
    result = etl.run(etl.plan(EtlRequest(), files, context), EtlRequest(), SilentReporter())
    return Loaded(result, context.workspace.warehouse)


@pytest.fixture(scope="module")
def loads(real_data: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Loaded]:
    with pytest.MonkeyPatch.context() as patch:
        return {name: _load(real_data, tmp_path_factory.mktemp(name), name, patch, CUT) for name in DIALECTS}


@pytest.fixture(scope="module")
def bare(loads: dict[str, Loaded]) -> Loaded:
    return loads["bare"]


def _single(table: pa.Table) -> object:
    return table.column(0)[0].as_py()


def test_every_dialect_is_recognised_and_complete(loads: dict[str, Loaded]) -> None:
    for loaded in loads.values():
        assert loaded.result.kind == "oulad"
        assert loaded.result.dead_letters == ()
        assert loaded.result.tables == {
            name: Counts(rows, rows, 0, 0) for name, rows in (ROWS | {"studentVle": CUT}).items()
        }


def test_the_three_dialects_give_identical_tables(loads: dict[str, Loaded]) -> None:
    official, bare, qmark = (loads[name].core() for name in DIALECTS)
    for name in CORE:
        assert bare[name] == official[name] == qmark[name]
    for name in ("courses", "assessments", "vle", "studentInfo", "studentRegistration", "studentAssessment"):
        first, *others = (loads[dialect].table(f"select * from raw.{name}") for dialect in DIALECTS)  # noqa: S608
        assert all(first.equals(other) for other in others)


def test_raw_tables_hold_what_the_original_holds(bare: Loaded, real_data: Path) -> None:
    for name in set(ROWS) - {"studentVle"}:
        original = pq.read_table(real_data / "oulad" / f"{name}.parquet")
        ours = bare.table(f"select * from raw.{name}").select(original.column_names)  # noqa: S608
        for column in original.column_names:
            assert (
                pc.cast(original.column(column), ours.column(column).type)
                .combine_chunks()
                .equals(ours.column(column).combine_chunks())
            ), f"{name}.{column}"


def test_the_band_without_a_percent_sign_is_kept_in_raw_and_like_its_siblings_in_core(bare: Loaded) -> None:
    raw = bare.table("select distinct imd_band from raw.studentInfo").column(0).to_pylist()
    core = bare.table("select distinct deprivation from core.demographic").column(0).to_pylist()
    assert {"10-20", "20-30%", None} <= set(raw)
    assert {"10-20%", "20-30%", None} <= set(core)
    assert len(raw) == len(core) == 11


def test_repeated_clicks_are_all_there(bare: Loaded, loads: dict[str, Loaded]) -> None:
    rows, distinct = (
        _single(bare.table("select count(*) from core.activity")),
        _single(bare.table("select count(*) from (select distinct * from core.activity)")),
    )
    assert rows == CUT
    assert isinstance(distinct, int)
    assert distinct < 0.95 * CUT
    assert len({_single(one.table("select sum(clicks) from core.activity")) for one in loads.values()}) == 1


def test_weights_sum_to_200_but_for_two_courses(bare: Loaded) -> None:
    sums = bare.table("select course_run_id, sum(weight) as w from core.assessment group by all")
    names = dict(
        zip(*bare.table("select course_run_id, course_id from core.course_run").to_pydict().values(), strict=True)
    )
    by_course = {(names[run], weight) for run, weight in zip(*sums.to_pydict().values(), strict=True)}
    assert {weight for course, weight in by_course if course not in ("CCC", "GGG")} == {200.0}
    assert {weight for course, weight in by_course if course == "GGG"} == {100.0}
    assert {weight for course, weight in by_course if course == "CCC"} <= {300.0}


def test_exams_may_have_no_day_and_some_withdrawn_no_day_either(bare: Loaded) -> None:
    assert bare.table("select 1 from core.assessment where due_day is null").num_rows > 0
    withdrawn = "select 1 from core.enrollment where outcome = 'Withdrawn' and unregistered_day is null"
    assert bare.table(withdrawn).num_rows > 0
    assert (
        bare.table("select 1 from core.enrollment where outcome = 'Fail' and unregistered_day is not null").num_rows > 0
    )


def test_banked_scores_keep_their_early_days(bare: Loaded) -> None:
    assert bare.table("select 1 from core.submission where banked and submitted_day < 0").num_rows > 0


def test_a_student_may_be_enrolled_several_times(bare: Loaded) -> None:
    again = bare.table("select student_id from core.enrollment group by all having count(*) > 1")
    assert again.num_rows > 1_500
    assert bare.table("select distinct enrollment_id from core.enrollment").num_rows == ROWS["studentInfo"]


def test_ccc_appears_in_2014b_only(bare: Loaded) -> None:
    assert bare.table("select distinct term from core.course_run where course_id = 'CCC'").column(0).to_pylist() == [
        "2014B"
    ]


@pytest.mark.full
@pytest.mark.parametrize("dialect", DIALECTS)
def test_the_whole_export_loads(real_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dialect: str) -> None:
    loaded = _load(real_data, tmp_path, dialect, monkeypatch, None)
    assert loaded.result.tables == {name: Counts(rows, rows, 0, 0) for name, rows in ROWS.items()}
    original = duckdb.sql(f"select sum(sum_click) from '{real_data}/oulad/studentVle.parquet'").fetchone()  # noqa: S608
    assert original is not None
    assert _single(loaded.table("select sum(clicks) from core.activity")) == original[0]
    quiet = "select 1 from core.enrollment where enrollment_id not in (select enrollment_id from core.activity)"
    assert 0.08 < loaded.table(quiet).num_rows / ROWS["studentInfo"] < 0.15
