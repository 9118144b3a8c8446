"""Dead letters that were mended go into the table they were meant for, once, under the same rules as the others."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Sequence
from pathlib import Path

import duckdb
import pytest

from studentsuccess.config.layers import Overrides, load
from studentsuccess.core.counts import Counts
from studentsuccess.core.deadletters import HEADER, DeadLetter, read_dead_letters
from studentsuccess.core.reporter import SilentReporter
from studentsuccess.errors import ContractError, SsError, UsageError
from studentsuccess.tasks import etl, etl_retry
from studentsuccess.tasks.context import Context
from studentsuccess.tasks.etl import EtlRequest, EtlResult
from studentsuccess.tasks.inputs import NamedFile

Mend = Callable[[DeadLetter], str | None]


class Desk:
    """A workspace with its loads, its dead letters, and someone who mends them."""

    def __init__(self, root: Path) -> None:
        self.root = root
        overrides = Overrides(workspace=root / "ws", sets=("etl.max_rejects=100%",))
        self.context = Context(load(overrides, {}, root))

    def load(self, files: dict[str, str], **request: object) -> EtlResult:
        named = []
        for name, text in files.items():
            path = self.root / name
            path.write_text(text, encoding="utf-8", newline="")
            named.append(NamedFile(path, name))
        wanted = EtlRequest(**request)  # type: ignore[arg-type]
        return etl.run(etl.plan(wanted, named, self.context), wanted, SilentReporter())

    def letters(self, result: EtlResult) -> Path:
        (path,) = result.dead_letters
        return self.root / path

    def mend(self, path: Path, mend: Mend) -> Path:
        """The same file with other texts in its `raw` column; None leaves the row out."""
        target = self.root / path.name
        rows = [(one, mend(one)) for one in read_dead_letters(path)]
        with target.open("w", encoding="utf-8", newline="") as sink:
            writer = csv.writer(sink)
            writer.writerow(HEADER)
            for one, raw in rows:
                if raw is not None:
                    writer.writerow((one.source, one.reject.line, one.reject.column, one.reject.reason, raw))
        return target

    def retry(self, path: Path) -> EtlResult:
        return etl_retry.run(etl_retry.plan(path, self.context), SilentReporter())

    def ask(self, query: str) -> list[tuple[object, ...]]:
        with duckdb.connect(str(self.context.workspace.warehouse), read_only=True) as connection:
            return connection.execute(query).fetchall()

    def rows(self, name: str) -> list[tuple[object, ...]]:
        folder = self.context.workspace.datasets / name
        return duckdb.sql(f"select * from read_parquet('{folder}/*.parquet')").fetchall()  # noqa: S608


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    monkeypatch.chdir(tmp_path)
    return Desk(tmp_path)


def _good(count: int, first: int = 1) -> str:
    return "".join(f"{n},{n}.5,x\n" for n in range(first, first + count))


def _found(path: Path) -> list[tuple[str, int, str]]:
    return [(one.source, one.reject.line, one.reject.raw) for one in read_dead_letters(path)]


def test_mended_rows_join_their_table_and_those_still_broken_keep_their_line(desk: Desk) -> None:
    text = "id,v,t\n" + _good(300) + 'bad,1,"two\nlines"\n302,x,y\n303,1\n304,2,z\n'
    first = desk.load({"t.csv": text}, ids=("id",))
    assert first.tables["t"] == Counts(304, 301, 3, 0)
    mended = {302: '301,1,"two\nlines"', 304: "302,still,y", 305: "303,1,w"}
    path = desk.mend(desk.letters(first), lambda one: mended[one.reject.line])
    again = desk.retry(path)
    assert again.tables["t"] == Counts(3, 2, 1, 0)
    assert _found(desk.letters(again)) == [("t.csv", 304, "302,still,y")]
    assert desk.rows("t")[-2:] == [(301, 1.0, "two\nlines"), (303, 1.0, "w")]
    assert desk.ask("select count(*) from raw.t") == [(303,)]
    last = desk.retry(desk.mend(desk.letters(again), lambda _: "302,3,y"))
    assert (last.tables["t"], last.dead_letters) == (Counts(1, 1, 0, 0), ())
    assert desk.ask("select count(*), sum(id) from raw.t") == [(304, sum(range(1, 305)))]


def test_the_same_retry_twice_is_already_loaded(desk: Desk) -> None:
    first = desk.load({"t.csv": "id,v,t\n" + _good(300) + "bad,1,x\n"}, ids=("id",))
    path = desk.mend(desk.letters(first), lambda _: "999,1,x")
    once, twice = desk.retry(path), desk.retry(path)
    assert not once.already_loaded
    assert (twice.already_loaded, twice.run_id, twice.tables["t"]) == (True, once.run_id, Counts())
    assert desk.ask("select count(*) from raw.t") == [(301,)]


def test_mended_rows_are_held_against_those_that_stand(desk: Desk) -> None:
    first = desk.load({"t.csv": "id,v,t\n" + _good(500) + "a,1,x\nb,2,x\nc,3,x\nd,3,x\n"}, ids=("id",))
    mended = {502: "7,7.5,x", 503: "8,-1,x", 504: "900,1,x", 505: "900,2,x"}
    again = desk.retry(desk.mend(desk.letters(first), lambda one: mended[one.reject.line]))
    assert again.tables["t"] == Counts(4, 0, 3, 1)
    assert _found(desk.letters(again)) == [
        ("t.csv", 503, "8,-1,x"),
        ("t.csv", 504, "900,1,x"),
        ("t.csv", 505, "900,2,x"),
    ]
    assert desk.ask("select v from raw.t where id = 8") == [(8.5,)]


def test_every_source_keeps_its_own_delimiter_and_order_of_columns(desk: Desk) -> None:
    files = {"a.csv": "id,v,t\n" + _good(300) + "x,1,a\n", "b.csv": "t;id;v\nq;301;1\nq;y;2\n"}
    first = desk.load(files, ids=("id",))
    again = desk.retry(desk.mend(desk.letters(first), lambda one: {"a.csv": "500,1,a", "b.csv": "q;501;2"}[one.source]))
    assert again.tables["a"] == Counts(2, 2, 0, 0)
    assert desk.rows("a")[-2:] == [(500, 1.0, "a"), (501, 2.0, "q")]


def test_json_lines_are_mended_as_json(desk: Desk) -> None:
    lines = [json.dumps({"id": n, "t": "x,"}) for n in range(300)]
    first = desk.load({"j.jsonl": "\n".join([*lines, '{"id": 1000, "t": "y,"', '{"id": 1001, t}', ""])})
    again = desk.retry(
        desk.mend(desk.letters(first), lambda one: one.reject.raw + "}" if one.reject.line == 301 else "no")
    )
    assert again.tables["j"] == Counts(2, 1, 1, 0)
    assert _found(desk.letters(again)) == [("j.jsonl", 302, "no")]
    assert desk.rows("j")[-1] == (1000, "y,")


@pytest.mark.parametrize("raw", ['999,1,"never closed', '"'])
def test_a_quote_left_open_in_a_mended_row_swallows_no_other(desk: Desk, raw: str) -> None:
    first = desk.load({"t.csv": "id,v,t\n" + _good(300) + "a,1,x\nb,2,x\n"}, ids=("id",))
    again = desk.retry(desk.mend(desk.letters(first), lambda one: raw if one.reject.line == 302 else "901,2,x"))
    assert again.tables["t"] == Counts(2, 1, 1, 0)
    assert _found(desk.letters(again)) == [("t.csv", 302, raw)]
    assert desk.rows("t")[-1] == (901, 2.0, "x")


def test_rows_that_were_left_out_are_not_asked_for(desk: Desk) -> None:
    first = desk.load({"t.csv": "id,v,t\n" + _good(300) + "a,1,x\nb,2,x\n"}, ids=("id",))
    again = desk.retry(desk.mend(desk.letters(first), lambda one: "901,2,x" if one.reject.line == 303 else None))
    assert again.tables["t"] == Counts(1, 1, 0, 0)


def test_dead_letters_of_a_load_that_was_replaced_are_refused(desk: Desk) -> None:
    first = desk.load({"t.csv": "id,v,t\n" + _good(300) + "a,1,x\n"}, ids=("id",))
    path = desk.mend(desk.letters(first), lambda _: "900,1,x")
    desk.load({"t.csv": "id,v,t\n" + _good(200)}, ids=("id",))
    with pytest.raises(ContractError, match="was loaded anew by run"):
        desk.retry(path)


def test_a_file_that_says_not_where_it_belongs_is_refused(desk: Desk) -> None:
    first = desk.load({"t.csv": "id,v,t\n" + _good(300) + "a,1,x\n"}, ids=("id",))
    path = desk.letters(first)
    for wrong, problem in (
        (path.with_name("mine.csv"), "the name must stay"),
        (path.with_name("gone.csv"), "not there"),
    ):
        if problem == "the name must stay":
            wrong.write_bytes(path.read_bytes())
        with pytest.raises(UsageError, match=problem):
            etl_retry.plan(wrong, desk.context)
    other = desk.root / path.name
    other.write_text(path.read_text().replace("t.csv", "elsewhere.csv"))
    with pytest.raises(SsError, match=r"elsewhere\.csv: is no source of this table"):
        desk.retry(other)


def _oulad(info: Sequence[str], clicks: Sequence[str]) -> dict[str, str]:
    run = "AAA,2013J"
    students = "".join(f"{run},{n},M,Wales,HE,10%,0-35,0,60,N,Pass\n" for n in range(1, 201))
    registered = "".join(f"{run},{n},-10,\n" for n in range(1, 201))
    tables = {
        "courses": f"code_module,code_presentation,module_presentation_length\n{run},268\n",
        "assessments": f"code_module,code_presentation,id_assessment,assessment_type,date,weight\n{run},1,TMA,19,10\n",
        "vle": f"id_site,code_module,code_presentation,activity_type,week_from,week_to\n5,{run},quiz,,\n",
        "studentInfo": "code_module,code_presentation,id_student,gender,region,highest_education,imd_band,age_band,"
        "num_of_prev_attempts,studied_credits,disability,final_result\n"
        + students
        + "".join(f"{one}\n" for one in info),
        "studentRegistration": "code_module,code_presentation,id_student,date_registration,date_unregistration\n"
        + registered,
        "studentAssessment": "id_assessment,id_student,date_submitted,is_banked,score\n1,1,18,0,70\n",
        "studentVle": "code_module,code_presentation,id_student,id_site,date,sum_click\n"
        + f"{run},1,5,0,1\n" * 200
        + "".join(f"{one}\n" for one in clicks),
    }
    return {f"{name}.csv": text for name, text in tables.items()}


def test_a_mended_student_joins_the_export_and_its_clicks_can_follow(desk: Desk) -> None:
    info = ["AAA,2013J,201,M,Wales,HE,10%,0-35,zero,60,N,Fail"]
    first = desk.load(_oulad(info, ["AAA,2013J,201,5,3,4", "AAA,2013J,201,5,3,4", "AAA,2013J,2,5,x,4"]))
    letters = {Path(path).stem.rpartition("-")[2]: desk.root / path for path in first.dead_letters}
    assert {name: first.tables[name].rejected for name in letters} == {"studentInfo": 1, "studentVle": 3}
    joined = desk.retry(desk.mend(letters["studentInfo"], lambda one: one.reject.raw.replace("zero", "0")))
    assert joined.tables["studentInfo"] == Counts(1, 1, 0, 0)
    assert desk.ask("select count(*) from core.enrollment") == [(201,)]
    path = desk.mend(letters["studentVle"], lambda one: one.reject.raw)
    clicks = desk.retry(path)
    assert clicks.tables["studentVle"] == Counts(3, 2, 1, 0)
    assert _found(desk.letters(clicks)) == [("studentVle.csv", 204, "AAA,2013J,2,5,x,4")]
    assert desk.ask("select count(*), sum(clicks) from core.activity") == [(202, 208)]
    query = (
        "select e.student_id, count(*), sum(a.clicks) from core.activity a"
        " join core.enrollment e using (enrollment_id) group by all order by all"
    )
    assert [(str(one), *rest) for one, *rest in desk.ask(query)] == [("1", 200, 200), ("201", 2, 8)]
    assert desk.retry(path).already_loaded
    assert desk.ask("select count(*) from core.activity") == [(202,)]


def test_a_mended_row_of_an_export_is_held_against_its_references_and_keys(desk: Desk) -> None:
    first = desk.load(
        _oulad(["AAA,2013J,x,M,Wales,HE,10%,0-35,0,60,N,Fail", "AAA,2013J,y,M,Wales,HE,10%,0-35,0,60,N,Fail"], [])
    )
    (path,) = first.dead_letters
    mended = {202: "BBB,2013J,300,M,Wales,HE,10%,0-35,0,60,N,Fail", 203: "AAA,2013J,7,F,Wales,HE,10%,0-35,0,60,N,Fail"}
    again = desk.retry(desk.mend(desk.root / path, lambda one: mended[one.reject.line]))
    assert again.tables["studentInfo"] == Counts(2, 0, 2, 0)
    assert _found(desk.letters(again)) == [("studentInfo.csv", line, raw) for line, raw in mended.items()]
    assert desk.ask("select count(*) from core.enrollment") == [(200,)]
