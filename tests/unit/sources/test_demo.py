"""The demo's files tell the truth beside them, are the same everywhere, and replace nothing of anyone else's."""

from __future__ import annotations

import csv
import hashlib
import json
import math
import re
import tracemalloc
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from studentsuccess.core.reporter import SilentReporter, Step
from studentsuccess.errors import StorageError, UsageError
from studentsuccess.sources import demo_story, demo_tables
from studentsuccess.sources.demo import DemoFiles, DemoRequest, generate
from studentsuccess.sources.demo_draws import LOGIT_LIMIT, Draws, logistic, pick_table

HEADERS = {
    "courses": "code_module,code_presentation,module_presentation_length",
    "assessments": "code_module,code_presentation,id_assessment,assessment_type,date,weight",
    "vle": "id_site,code_module,code_presentation,activity_type,week_from,week_to",
    "studentInfo": "code_module,code_presentation,id_student,gender,region,highest_education,imd_band,age_band,"
    "num_of_prev_attempts,studied_credits,disability,final_result",
    "studentRegistration": "code_module,code_presentation,id_student,date_registration,date_unregistration",
    "studentAssessment": "id_assessment,id_student,date_submitted,is_banked,score",
    "studentVle": "code_module,code_presentation,id_student,id_site,date,sum_click",
}
NULLABLE = {"imd_band", "date", "score", "date_unregistration", "week_from", "week_to"}
NUMBERS = {
    *("module_presentation_length", "id_assessment", "date", "weight", "id_site", "week_from", "week_to", "id_student"),
    *("num_of_prev_attempts", "studied_credits", "date_registration", "date_unregistration", "date_submitted"),
    *("is_banked", "score", "sum_click"),
}
SMALL = DemoRequest(students=300, weeks=8, seed=1)
# The sha256 over all files of SMALL. If it moves and that was meant, raise `demo_request.VERSION` too.
SMALL_DIGEST = "6ac6d69b61e8b7c220f1ff2cc2ad05a562470778858a7fdb9ce06530e75519b1"
# Standard errors: about one false alarm in 150,000 comparisons.
SIGMAS = 4.5

Row = dict[str, str]
Key = tuple[str, str, str]
Floats = npt.NDArray[np.float64]


@dataclass
class Demo:
    """A generated demo, read back line by line without any reader of ours."""

    files: DemoFiles
    _rows: dict[str, list[Row]] = field(default_factory=dict)

    def dirty(self) -> list[Row]:
        return list(csv.DictReader((self.files.truth / "dirty_rows.csv").open(encoding="utf-8", newline="")))

    def lines(self, table: str) -> list[str]:
        return (self.files.folder / f"{table}.csv").read_bytes().decode().split("\n")[:-1]

    def rows(self, table: str) -> list[Row]:
        """The good rows of a table."""
        if table not in self._rows:
            bad = {int(row["line"]) for row in self.dirty() if row["file"] == f"{table}.csv"}
            header, *body = self.lines(table)
            good = [line.split(",") for number, line in enumerate(body, 2) if number not in bad]
            self._rows[table] = [dict(zip(header.split(","), values, strict=True)) for values in good]
        return self._rows[table]

    def truth(self) -> list[Row]:
        return list(csv.DictReader((self.files.truth / "true_probability.csv").open(encoding="utf-8", newline="")))

    def info(self) -> dict[Key, Row]:
        return {key(row): row for row in self.rows("studentInfo")}

    def registration(self) -> dict[Key, Row]:
        return {key(row): row for row in self.rows("studentRegistration")}


class Watcher(SilentReporter):
    """A reporter that remembers its steps, and can fail at the first sign of progress."""

    def __init__(self, error: BaseException | None = None) -> None:
        super().__init__()
        self.error = error
        self.steps: list[tuple[str, int | None, str]] = []
        self.advanced = 0
        self.summary = ""

    def step(self, name: str, total: int | None = None, unit: str = "rows") -> Step:
        self.steps.append((name, total, unit))
        return self

    def advance(self, rows: int, *, rejected: int = 0) -> None:
        assert rejected == 0
        self.advanced += rows
        if self.error:
            raise self.error

    def close(self, summary: str = "") -> None:
        self.summary = summary


def key(row: Row) -> Key:
    return row["code_module"], row["code_presentation"], row["id_student"]


def at_risk(row: Row) -> bool:
    return row["final_result"] in {"Fail", "Withdrawn"}


def make(folder: Path, request: DemoRequest = SMALL) -> Demo:
    return Demo(generate(request, folder, SilentReporter()))


def digest(folder: Path) -> str:
    """One digest over names and bytes of everything in a folder."""
    total = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        total.update(path.relative_to(folder).as_posix().encode() + b"\0" + path.read_bytes())
    return total.hexdigest()


@pytest.fixture(scope="module")
def usual(tmp_path_factory: pytest.TempPathFactory) -> Demo:
    return make(tmp_path_factory.mktemp("usual") / "demo", DemoRequest())


@pytest.fixture(scope="module")
def crowd(tmp_path_factory: pytest.TempPathFactory) -> Demo:
    """Many students in short courses: what statistics needs, without the clicks."""
    return make(tmp_path_factory.mktemp("crowd") / "demo", DemoRequest(students=20_000, weeks=5, seed=7))


@dataclass(frozen=True)
class Sample:
    """The truth beside the outcome, one value per enrolment."""

    latent: Floats
    probability: Floats
    outcome: Floats


def sample(demo: Demo, week: int | None = None) -> Sample:
    """All enrolments, or those that are registered and have not left by the end of a week."""
    info, registration = demo.info(), demo.registration()
    column = "p_at_risk" if week is None else f"p_at_risk_week_{week}"
    chosen = [row for row in demo.truth() if week is None or still_there(registration[key(row)], 7 * week)]
    latent = [[float(row[name]) for name in ("engagement", "previous_attempts", "deprivation")] for row in chosen]
    return Sample(
        np.array(latent),
        np.array([float(row[column]) for row in chosen]),
        np.array([float(at_risk(info[key(row)])) for row in chosen]),
    )


def still_there(row: Row, day: int) -> bool:
    left = row["date_unregistration"]
    return int(row["date_registration"]) <= day and (left == "" or int(left) > day)


# ---------------------------------------------------------------- layout


@pytest.mark.parametrize("table", HEADERS)
def test_each_file_has_the_official_header(usual: Demo, table: str) -> None:
    assert usual.lines(table)[0] == HEADERS[table]


@pytest.mark.parametrize("table", HEADERS)
def test_files_are_plain_text_with_line_feeds(usual: Demo, table: str) -> None:
    content = (usual.files.folder / f"{table}.csv").read_bytes()
    assert content.isascii()
    assert content.endswith(b"\n")
    assert not set(content) & set(b'\r"')


@pytest.mark.parametrize("table", HEADERS)
def test_every_good_row_is_clean(usual: Demo, table: str) -> None:
    rows = usual.rows(table)
    for name in rows[0]:
        texts = {row[name] for row in rows}
        assert name in NULLABLE or "" not in texts
        if name in NUMBERS:
            assert all(re.fullmatch(r"-?(0|[1-9]\d*)", text) for text in texts - {""}), name


def test_the_files_list_says_how_many_rows_are_good_and_how_many_bad(usual: Demo) -> None:
    listed = {file.path: file for file in usual.files.files}
    for table in HEADERS:
        file = listed[f"{table}.csv"]
        assert len(usual.lines(table)) == 1 + file.rows + file.dirty
        assert (usual.files.folder / file.path).stat().st_size == file.size


def test_the_usual_size_is_what_was_asked_for(usual: Demo) -> None:
    assert len({row["id_student"] for row in usual.rows("studentInfo")}) == 1200
    assert 200_000 <= len(usual.rows("studentVle")) <= 300_000


def test_keys_are_unique_and_every_reference_leads_somewhere(usual: Demo) -> None:
    info, registration = usual.info(), usual.registration()
    assert len(info) == len(usual.rows("studentInfo"))
    assert info.keys() == registration.keys() == {key(row) for row in usual.truth()}
    runs = {(row["code_module"], row["code_presentation"]) for row in usual.rows("courses")}
    assert {(module, term) for module, term, _ in info} <= runs
    sites = {row["id_site"]: (row["code_module"], row["code_presentation"]) for row in usual.rows("vle")}
    assert len(sites) == len(usual.rows("vle"))
    for row in usual.rows("studentVle"):
        assert key(row) in info
        assert sites[row["id_site"]] == key(row)[:2]
    due = {row["id_assessment"]: (row["code_module"], row["code_presentation"]) for row in usual.rows("assessments")}
    assert len(due) == len(usual.rows("assessments"))
    pairs = [(row["id_assessment"], row["id_student"]) for row in usual.rows("studentAssessment")]
    assert len(set(pairs)) == len(pairs)
    assert all((*due[assessment], student) in info for assessment, student in pairs)


# ---------------------------------------------------------------- planted bad rows


def test_eighteen_bad_rows_stand_where_the_truth_says(usual: Demo) -> None:
    dirty = usual.dirty()
    assert len(dirty) == usual.files.dirty_rows == 18
    for row in dirty:
        assert usual.lines(row["file"].removesuffix(".csv"))[int(row["line"]) - 1] == row["raw"]
    assert len({(row["file"], row["line"]) for row in dirty}) == 18
    assert {row["file"] for row in dirty} == {
        f"student{name}.csv" for name in ("Info", "Registration", "Assessment", "Vle")
    }


def test_each_bad_row_has_just_the_defect_it_is_listed_with(usual: Demo) -> None:
    students = {row["id_student"] for row in usual.rows("studentInfo")}
    for row in usual.dirty():
        names = HEADERS[row["file"].removesuffix(".csv")].split(",")
        values = row["raw"].split(",")
        surplus = {"too few fields": -1, "too many fields": 1}.get(row["defect"], 0)
        assert len(values) == len(names) + surplus
        assert bool(row["column"]) == (surplus == 0)
        fields = dict(zip(names, values, strict=False))
        wrong = {name for name in NUMBERS & fields.keys() if not re.fullmatch(r"-?\d*", fields[name])}
        is_number = row["defect"] in {"bad number", "not finite"}
        assert wrong == ({row["column"]} if is_number else set())
        if row["defect"] == "not finite":
            assert not math.isfinite(float(fields[row["column"]]))
        stranger = row["defect"] == "orphan student" or row["file"] == "studentInfo.csv"
        assert (fields["id_student"] not in students) == stranger


def test_bad_rows_are_few_in_every_file_whatever_the_size(tmp_path: Path) -> None:
    for students in (1, 60, 260, 800):
        demo = make(tmp_path / str(students), DemoRequest(students=students, weeks=4, terms=2))
        for file in demo.files.files:
            assert file.dirty <= file.rows / 250
    assert demo.files.dirty_rows == 17


# ---------------------------------------------------------------- the planted truth


@pytest.mark.parametrize("week", [None, 0, 4])
def test_the_true_probability_is_calibrated(crowd: Demo, week: int | None) -> None:
    known = sample(crowd, week)
    edges = np.quantile(known.probability, np.linspace(0, 1, 21))
    bins = np.clip(np.searchsorted(edges, known.probability, side="right") - 1, 0, 19)
    for number in range(20):
        p, outcome = known.probability[bins == number], known.outcome[bins == number]
        assert len(p) > 500
        assert abs(outcome.sum() - p.sum()) <= SIGMAS * math.sqrt(float((p * (1 - p)).sum()))


def test_the_outcome_is_drawn_with_the_true_probability_over_a_quarter_of_a_million() -> None:
    """Before any file is written there is enough of it to see a bias of half a point."""
    request = DemoRequest(students=200_000, weeks=4, seed=11)
    blocks = [demo_story.enrolments(request, block)[1] for block in range(request.blocks(demo_story.BLOCK))]
    p = np.concatenate([block.probability for block in blocks]) / 1e6
    outcome = np.concatenate([block.at_risk for block in blocks]).astype(float)
    assert len(p) > 240_000
    for low, high in [(0.0, 1.0), *((part / 10, part / 10 + 0.1) for part in range(10))]:
        inside = (p >= low) & (p < high)
        expected, spread = p[inside].sum(), math.sqrt(float((p * (1 - p))[inside].sum()))
        assert abs(outcome[inside].sum() - expected) <= SIGMAS * spread


def test_later_probabilities_use_that_a_student_is_still_there(crowd: Demo) -> None:
    """The unconditional one must fail where the conditional one holds, or the test above could not tell them apart."""
    still, every = sample(crowd, 4), {key(row): float(row["p_at_risk"]) for row in crowd.truth()}
    registration = crowd.registration()
    p = np.array([value for which, value in every.items() if still_there(registration[which], 28)])
    assert len(p) == len(still.outcome)
    assert abs(still.outcome.sum() - p.sum()) > 2 * SIGMAS * math.sqrt(float((p * (1 - p)).sum()))


def test_a_logistic_regression_on_the_latent_truth_finds_the_planted_effects(crowd: Demo) -> None:
    known = sample(crowd)
    planted = json.loads((crowd.files.truth / "planted_effects.json").read_text("utf-8"))
    assert [effect["name"] for effect in planted["effects"]] == ["engagement", "previous_attempts", "deprivation"]
    assert [effect["sign"] for effect in planted["effects"]] == [-1, 1, 1]
    wanted = [planted["intercept"], *(effect["log_odds"] for effect in planted["effects"])]
    found, errors = fit_logistic(known)
    for number, (size, want, error) in enumerate(zip(found, wanted, errors, strict=True)):
        assert abs(size - want) <= SIGMAS * error
        assert number == 0 or abs(size) > 2 * SIGMAS * error
        assert math.copysign(1, size) == math.copysign(1, want)


def fit_logistic(known: Sample) -> tuple[Floats, Floats]:
    """Newton's method: coefficients and their standard errors."""
    design = np.column_stack([np.ones(len(known.outcome)), known.latent])
    beta = np.zeros(design.shape[1])
    for _ in range(12):
        mean = 1 / (1 + np.exp(-design @ beta))
        information = (design.T * (mean * (1 - mean))) @ design
        beta += np.linalg.solve(information, design.T @ (known.outcome - mean))
    return beta, np.sqrt(np.diag(np.linalg.inv(information)))


def test_the_share_at_risk_is_about_two_in_five(crowd: Demo, usual: Demo) -> None:
    for demo in (crowd, usual):
        assert 0.35 <= sample(demo).outcome.mean() <= 0.45


def test_deprivation_in_the_files_is_the_one_in_the_truth(usual: Demo) -> None:
    seen = defaultdict(set)
    for row in usual.truth():
        if band := usual.info()[key(row)]["imd_band"]:
            seen[int(row["deprivation"])].add(band)
    ends = [f"{low}-{low + 10}%" for low in range(90, -1, -10)]
    assert [seen[level] for level in range(10)] == [{end.replace("10-20%", "10-20")} for end in ends]


def test_engaged_students_click_and_submit_more(usual: Demo) -> None:
    clicks = Counter(key(row) for row in usual.rows("studentVle"))
    engaged = [clicks[key(row)] for row in usual.truth() if float(row["engagement"]) > 0.5]
    others = [clicks[key(row)] for row in usual.truth() if float(row["engagement"]) < -0.5]
    assert np.mean(engaged) > 1.5 * np.mean(others)


# ---------------------------------------------------------------- the story and its quirks


def test_nobody_clicks_before_registering_or_after_leaving(usual: Demo) -> None:
    registration = usual.registration()
    for row in usual.rows("studentVle"):
        when = registration[key(row)]
        assert int(row["date"]) >= int(when["date_registration"])
        assert when["date_unregistration"] == "" or int(row["date"]) < int(when["date_unregistration"])


def test_nothing_is_handed_in_after_leaving(usual: Demo) -> None:
    run = {row["id_assessment"]: (row["code_module"], row["code_presentation"]) for row in usual.rows("assessments")}
    registration = usual.registration()
    for row in usual.rows("studentAssessment"):
        left = registration[(*run[row["id_assessment"]], row["id_student"])]["date_unregistration"]
        assert left == "" or int(row["date_submitted"]) < int(left)
        assert row["score"] == "" or 0 <= int(row["score"]) <= 100


def test_about_one_enrolment_in_ten_has_no_clicks_and_is_likelier_to_drop_out(crowd: Demo) -> None:
    seen = {tuple(line.split(",", 3)[:3]) for line in crowd.lines("studentVle")}
    silent = [row for which, row in crowd.info().items() if which not in seen]
    assert 0.07 <= len(silent) / len(crowd.info()) <= 0.16
    assert np.mean([at_risk(row) for row in silent]) > 2 * np.mean([at_risk(row) for row in crowd.rows("studentInfo")])


def test_some_leave_before_the_start_and_the_rest_over_the_whole_course(usual: Demo) -> None:
    days = [int(row["date_unregistration"]) for row in usual.registration().values() if row["date_unregistration"]]
    assert all(
        int(row["date_registration"]) <= int(row["date_unregistration"] or 999) for row in usual.registration().values()
    )
    assert 0.2 <= np.mean([day <= 0 for day in days]) <= 0.4
    assert min(days) < -30
    assert max(days) > 0.6 * 34 * 7


def test_leaving_dates_are_missing_and_surplus_as_in_the_real_data(crowd: Demo) -> None:
    info = crowd.info()
    dated = Counter(
        (info[which]["final_result"], row["date_unregistration"] != "") for which, row in crowd.registration().items()
    )
    assert 0 < dated["Withdrawn", False] < 0.02 * dated["Withdrawn", True]
    assert 0 < dated["Fail", True] < 0.02 * dated["Fail", False]
    assert dated["Pass", True] == dated["Distinction", True] == 0


def test_the_quirks_of_the_real_data_are_there(usual: Demo) -> None:
    bands = Counter(row["imd_band"] for row in usual.rows("studentInfo"))
    assert "10-20" in bands
    assert "10-20%" not in bands
    assert 0 < bands[""] < 0.1 * sum(bands.values())
    exams = [row for row in usual.rows("assessments") if row["assessment_type"] == "Exam"]
    assert {row["date"] for row in exams} == {""}
    sat = {row["id_assessment"] for row in usual.rows("studentAssessment")}
    assert {row["id_assessment"] in sat for row in exams} == {True, False}
    assert any(row["score"] == "" for row in usual.rows("studentAssessment"))


def test_some_clicks_stand_there_twice(usual: Demo) -> None:
    rows = usual.lines("studentVle")[1:]
    assert 0.03 <= 1 - len(set(rows)) / len(rows) <= 0.2


def test_only_repeaters_bank_and_banked_work_has_an_early_date(usual: Demo) -> None:
    run = {row["id_assessment"]: (row["code_module"], row["code_presentation"]) for row in usual.rows("assessments")}
    banked = [row for row in usual.rows("studentAssessment") if row["is_banked"] == "1"]
    assert banked
    for row in banked:
        student = usual.info()[(*run[row["id_assessment"]], row["id_student"])]
        assert int(student["num_of_prev_attempts"]) > 0
        assert row["date_submitted"] == "-1"
    assert all(int(row["date_submitted"]) >= 0 for row in usual.rows("studentAssessment") if row not in banked)


def test_terms_share_students_but_each_brings_new_ones(usual: Demo) -> None:
    terms: dict[str, set[str]] = defaultdict(set)
    for _, term, student in usual.info():
        terms[term].add(student)
    assert sorted(terms) == ["2013B", "2013J", "2014B", "2014J"]
    earlier: set[str] = set()
    for term in sorted(terms):
        assert terms[term] - earlier
        assert not earlier or terms[term] & earlier
        earlier |= terms[term]
    modules = {term: {module for module, other, _ in usual.info() if other == term} for term in terms}
    assert modules["2014B"] - modules["2013J"] == {"DDD"}
    assert Counter((term, student) for _, term, student in usual.info()).most_common(1)[0][1] == 2


def test_the_latest_term_has_its_outcomes(usual: Demo) -> None:
    results = {row["final_result"] for row in usual.rows("studentInfo") if row["code_presentation"] == "2014J"}
    assert results == {"Pass", "Distinction", "Fail", "Withdrawn"}


# ---------------------------------------------------------------- the same bytes, whatever the way


def test_the_bytes_are_the_same_on_every_machine(tmp_path: Path) -> None:
    make(tmp_path / "demo")
    assert digest(tmp_path / "demo") == SMALL_DIGEST


def test_the_same_request_gives_the_same_bytes_and_another_seed_others(tmp_path: Path) -> None:
    for name, request in (("a", SMALL), ("b", SMALL), ("c", DemoRequest(students=300, weeks=8, seed=2))):
        make(tmp_path / name, request)
    assert digest(tmp_path / "a") == digest(tmp_path / "b")
    for table in ("studentInfo", "studentVle"):
        assert (tmp_path / "a" / f"{table}.csv").read_bytes() != (tmp_path / "c" / f"{table}.csv").read_bytes()


def test_a_block_does_not_depend_on_what_was_made_before_it() -> None:
    request = DemoRequest(students=demo_story.BLOCK + 100, weeks=4, terms=2)
    units = [(term, block) for term in range(2) for block in range(2)]
    forwards = {unit: demo_tables.part(request, *unit) for unit in units}
    for unit in reversed(units):
        again = demo_tables.part(request, *unit)
        assert again.info.equals(forwards[unit].info)
        assert again.submissions.equals(forwards[unit].submissions)
        assert again.activity.equals(forwards[unit].activity)


def test_memory_does_not_grow_with_the_students(tmp_path: Path) -> None:
    peaks = []
    for blocks in (1, 6):
        request = DemoRequest(students=blocks * demo_story.BLOCK, weeks=4, terms=1)
        tracemalloc.start()
        make(tmp_path / str(blocks), request)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.5 * peaks[0]


def test_no_entry_of_the_logistic_table_hangs_on_the_last_bit_of_a_float() -> None:
    points = np.arange(-LOGIT_LIMIT, LOGIT_LIMIT + 1)
    exact = 1e6 / (1 + np.exp(-points / 100))
    assert np.abs(exact % 1 - 0.5).min() > 1e-6
    assert np.array_equal(logistic(points), np.floor(exact + 0.5))


@given(st.lists(st.integers(0, 1000), min_size=1, max_size=12).filter(any), st.integers(4, 12))
def test_a_pick_table_is_full_and_each_share_right_to_one_entry(weights: list[int], bits: int) -> None:
    table = pick_table(weights, bits=bits)
    counts = np.bincount(table, minlength=len(weights))
    assert len(table) == 2**bits
    assert np.abs(counts - np.array(weights) / sum(weights) * 2**bits).max() <= 1


@given(st.integers(0, 2**63 - 1), st.integers(0, 40))
def test_draws_stay_in_their_range_and_streams_apart(seed: int, count: int) -> None:
    one, same, other = Draws(seed, 1, 2), Draws(seed, 1, 2), Draws(seed, 2, 1)
    drawn = one.below(7, count)
    assert len(drawn) == count
    assert set(drawn.tolist()) <= set(range(7))
    assert np.array_equal(drawn, same.below(7, count))
    assert not np.array_equal(one.u32(8), other.u32(8))


# ---------------------------------------------------------------- sizes


@settings(max_examples=15, deadline=None)
@given(
    st.builds(
        DemoRequest,
        students=st.integers(1, 40),
        weeks=st.integers(4, 12),
        seed=st.integers(0, 2**63 - 1),
        terms=st.integers(1, 12),
    )
)
def test_any_small_request_gives_a_whole_demo(tmp_path_factory: pytest.TempPathFactory, request: DemoRequest) -> None:
    demo = make(tmp_path_factory.mktemp("any") / "demo", request)
    assert len({student for _, _, student in demo.info()}) == request.students
    assert demo.info().keys() == demo.registration().keys() == {key(row) for row in demo.truth()}
    assert {row["module_presentation_length"] for row in demo.rows("courses")} == {str(7 * request.weeks)}
    assert all(-14 <= int(row["date"]) < 7 * request.weeks for row in demo.rows("studentVle"))
    assert not demo.dirty()


def test_no_two_of_the_most_students_share_an_id() -> None:
    most = 5_000_000
    DemoRequest(students=most)
    assert most < demo_story.ID_RANGE
    assert math.gcd(demo_story.ID_STRIDE, demo_story.ID_RANGE) == 1


@pytest.mark.parametrize(
    ("field_name", "value"),
    [
        *(("students", value) for value in (0, -1, 5_000_001)),
        *(("weeks", value) for value in (3, 53)),
        *(("seed", value) for value in (-1, 2**63)),
        *(("terms", value) for value in (0, 13)),
    ],
)
def test_a_request_out_of_range_is_refused_with_the_range(field_name: str, value: int) -> None:
    with pytest.raises(UsageError, match=f"^{field_name} must be from .* to .*, not ") as caught:
        DemoRequest(**{field_name: value})
    assert "ss etl --demo" in caught.value.hint


# ---------------------------------------------------------------- the folder


def test_the_same_request_again_writes_nothing_and_says_so(tmp_path: Path) -> None:
    first = make(tmp_path / "demo").files
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "demo").rglob("*")}
    reporter = Watcher()
    second = generate(SMALL, tmp_path / "demo", reporter)
    assert second.reused
    assert not first.reused
    assert (second.files, second.tables, second.dirty_rows) == (first.files, first.tables, first.dirty_rows)
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "demo").rglob("*")} == before
    assert not reporter.steps
    assert "nothing was written" in reporter.notes[0]


def test_another_request_replaces_the_folder_whole(tmp_path: Path) -> None:
    make(tmp_path / "demo", DemoRequest(students=50, weeks=4))
    make(tmp_path / "demo")
    make(tmp_path / "fresh")
    assert digest(tmp_path / "demo") == digest(tmp_path / "fresh")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["demo", "fresh"]


def test_files_of_another_version_of_the_generator_are_made_anew(tmp_path: Path) -> None:
    make(tmp_path / "demo")
    receipt = tmp_path / "demo" / "truth" / "request.json"
    wanted = receipt.read_bytes()
    receipt.write_bytes(wanted.replace(b'"version": 1', b'"version": 0'))
    assert not make(tmp_path / "demo").files.reused
    assert receipt.read_bytes() == wanted


def test_an_empty_folder_may_be_filled(tmp_path: Path) -> None:
    (tmp_path / "demo").mkdir()
    assert all(path.is_file() for path in make(tmp_path / "demo").files.tables)


@pytest.mark.parametrize("name", ["notes.txt", "truth/mine.csv", "studentInfo.csv"])
def test_a_folder_with_a_file_of_someone_else_is_not_touched(tmp_path: Path, name: str) -> None:
    make(tmp_path / "demo", DemoRequest(students=50, weeks=4))
    (tmp_path / "demo" / name).write_text("my own work", "utf-8")
    before = digest(tmp_path / "demo")
    with pytest.raises(UsageError, match=re.escape(name)):
        make(tmp_path / "demo")
    assert digest(tmp_path / "demo") == before
    assert [path.name for path in tmp_path.iterdir()] == ["demo"]


def test_a_folder_of_real_exports_is_not_touched(tmp_path: Path) -> None:
    (tmp_path / "studentInfo.csv").write_text("real data", "utf-8")
    with pytest.raises(UsageError, match=r"studentInfo\.csv"):
        make(tmp_path)
    assert (tmp_path / "studentInfo.csv").read_text("utf-8") == "real data"


def test_a_file_in_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "demo").write_text("a file", "utf-8")
    with pytest.raises(UsageError, match="is a file"):
        make(tmp_path / "demo")


def test_a_folder_that_cannot_be_made_is_a_storage_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("a file", "utf-8")
    with pytest.raises(StorageError, match="can't be written"):
        make(tmp_path / "file" / "demo")


@pytest.mark.parametrize("error", [KeyboardInterrupt(), OSError(28, "No space left on device")])
def test_an_interrupted_run_leaves_the_old_folder_as_it_was(tmp_path: Path, error: BaseException) -> None:
    make(tmp_path / "demo", DemoRequest(students=50, weeks=4))
    before = digest(tmp_path)
    with pytest.raises(StorageError if isinstance(error, OSError) else KeyboardInterrupt):
        generate(SMALL, tmp_path / "demo", Watcher(error))
    assert digest(tmp_path) == before


def test_what_a_killed_run_left_behind_is_cleared_away(tmp_path: Path) -> None:
    for left in (".demo.new.part", ".demo.new-old.part"):
        (tmp_path / left).mkdir()
        (tmp_path / left / "courses.csv").write_text("half", "utf-8")
    make(tmp_path / "demo")
    assert [path.name for path in tmp_path.iterdir()] == ["demo"]


def test_progress_counts_every_student_once(tmp_path: Path) -> None:
    reporter = Watcher()
    generate(SMALL, tmp_path / "demo", reporter)
    assert reporter.steps == [("demo", 300, "students")]
    assert reporter.advanced == 300
    assert "300 students" in reporter.summary
