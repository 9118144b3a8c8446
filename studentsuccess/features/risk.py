"""The risk model's features, week by week: SQL over tables that were cut at the end of the week before any join."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cache
from importlib.resources import files

import pyarrow as pa

from studentsuccess.warehouse.database import Connection
from studentsuccess.warehouse.terms import term_start

DEMOGRAPHICS = ("gender", "region", "education", "deprivation", "age_band", "disability")
KEYS = ("enrollment_id", "course_run_id", "student_id", "course_id", "term", "week", "cutoff_day", "at_risk")
_EPOCH = date(1970, 1, 1)
_STEPS = ("population", "engagement", "assessed", "history")


@dataclass(frozen=True)
class Terms:
    """The terms of a warehouse in their order in time, and what is missing from it."""

    names: tuple[str, ...]
    starts: tuple[date | None, ...]
    has_activity: bool

    @property
    def latest(self) -> str:
        return self.names[-1]


@cache
def _query(name: str) -> str:
    return (files("studentsuccess.features") / "sql" / f"risk_{name}.sql").read_text("utf-8")


def terms_of(connection: Connection, known: Mapping[str, date]) -> Terms:
    """All terms, by their date where they have one, else by name; `known` are the days that the settings give."""
    found = [str(row[0]) for row in connection.execute(_query("term_names")).fetchall()]
    clicks = connection.execute(_query("has_activity")).fetchone()
    starts = {term: term_start(term, known) for term in found}
    ordered = sorted(found, key=lambda term: (starts[term] or date.min, term))
    return Terms(tuple(ordered), tuple(starts[term] for term in ordered), bool(clicks and clicks[0]))


def prepare(connection: Connection, known: Mapping[str, date]) -> None:
    """What all weeks share: when each course run began, and clicks by week (one reading of all of them)."""
    _date_runs(connection, known)
    connection.execute(_query("activity"))


def _date_runs(connection: Connection, known: Mapping[str, date]) -> None:
    terms = terms_of(connection, known)
    columns = {
        "term": pa.array(terms.names, pa.string()),
        "start_day": pa.array([(start - _EPOCH).days if start else None for start in terms.starts], pa.int32()),
        "position": pa.array(range(len(terms.names)), pa.int32()),
    }
    connection.register("incoming_terms", pa.table(columns))
    connection.execute(_query("terms"))
    connection.unregister("incoming_terms")


def week(connection: Connection, number: int, lag: int) -> pa.Table:
    """One row for each enrolment of any term that was there at the end of the week."""
    for step in _STEPS:
        parameters = {"week": number, "lag": lag} if step == "assessed" else {"week": number}
        connection.execute(_query(step), parameters)
    return connection.execute(_query("features"), {"week": number}).to_arrow_table()


def population(connection: Connection, number: int, terms: Sequence[str]) -> pa.Table:
    """Of each course run: how many are scored, how many had gone, how many come later."""
    return connection.execute(_query("counts"), {"week": number, "terms": list(terms)}).to_arrow_table()


def reach(connection: Connection, terms: Sequence[str]) -> int | None:
    """The last day that the data of these terms knows of: a week that ends later can't be told from silence."""
    found = connection.execute(_query("reach"), {"terms": list(terms)}).fetchone()
    return found[0] if found else None


def another_world(connection: Connection, term: str, known: Mapping[str, date]) -> None:
    """In a database beside the warehouse: what all futures of a term share, so that the clicks are copied once."""
    _run_all(connection, "leak_world", {"term": term})
    _date_runs(connection, known)


def another_future(connection: Connection, number: int, term: str, lag: int) -> None:
    """The same past, and after the end of the week everything else; prepare it as any warehouse."""
    _run_all(connection, "leak_tables", {"week": number, "term": term, "lag": lag})


def _run_all(connection: Connection, name: str, values: Mapping[str, object]) -> None:
    text = (files("studentsuccess.features") / "sql" / f"{name}.sql").read_text("utf-8")
    for query in connection.extract_statements(text):
        connection.execute(query, {one: values[one] for one in query.named_parameters})


def columns(table: pa.Table, *, demographics: bool) -> Iterator[str]:
    """The names of the features of a table, demographic ones only when they may be used."""
    for name in table.column_names:
        if name not in KEYS and (demographics or name not in DEMOGRAPHICS):
            yield name
    yield "course_id"
