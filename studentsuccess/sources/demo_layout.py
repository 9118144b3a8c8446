"""The columns of the seven files, and how a block's rows become an Arrow table in their order."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa

from studentsuccess.sources.demo_draws import Ints
from studentsuccess.sources.demo_request import DemoRequest
from studentsuccess.sources.demo_story import Enrolments, People

COLUMNS = {
    "courses": "code_module code_presentation module_presentation_length",
    "assessments": "code_module code_presentation id_assessment assessment_type date weight",
    "vle": "id_site code_module code_presentation activity_type week_from week_to",
    "studentInfo": "code_module code_presentation id_student gender region highest_education imd_band age_band"
    " num_of_prev_attempts studied_credits disability final_result",
    "studentRegistration": "code_module code_presentation id_student date_registration date_unregistration",
    "studentAssessment": "id_assessment id_student date_submitted is_banked score",
    "studentVle": "code_module code_presentation id_student id_site date sum_click",
}


def table(name: str, columns: list[pa.Array]) -> pa.Table:
    """Rows of the file `name`."""
    return pa.table(columns, names=COLUMNS[name].split())


def no_rows(name: str) -> pa.Table:
    """A table of numbers that has none yet."""
    return table(name, [pa.array([], pa.int64()) for _ in COLUMNS[name].split()])


def words(values: Sequence[str], index: Ints) -> pa.Array:
    """A text for each number."""
    return pa.array(values, pa.string()).take(pa.array(index))


def key(request: DemoRequest, who: People, chosen: Enrolments) -> list[pa.Array]:
    """Module, presentation and student of each enrolment."""
    modules = [request.module_name(module) for module in range(request.modules)]
    terms = [request.term_name(term) for term in range(request.terms)]
    student = pa.array(who.id[chosen.person])
    return [words(modules, chosen.module), words(terms, chosen.term), student]
