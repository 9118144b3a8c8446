"""The risk model's features, week by week: SQL over tables that were cut at the end of the week before any join."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cache
from importlib.resources import files

import pyarrow as pa

from studentsuccess.warehouse.database import Connection

DEMOGRAPHICS = ("gender", "region", "education", "deprivation", "age_band", "disability")
KEYS = ("enrollment_id", "course_run_id", "student_id", "course_id", "term", "week", "cutoff_day", "at_risk")
# Open University terms: B begins in February, J in October.
_TERM = re.compile(r"(\d{4})([BJ])")
_MONTH = {"B": 2, "J": 10}
_EPOCH = date(1970, 1, 1)
_STEPS = ("population", "engagement", "assessed", "history")


@dataclass(frozen=True)
class Terms:
    """The terms of a warehouse in their order in time, and what is missing from it."""

    names: tuple[str, ...]
    has_activity: bool

    @property
    def latest(self) -> str:
        return self.names[-1]


@cache
def _query(name: str) -> str:
    return (files("studentsuccess.features") / "sql" / f"risk_{name}.sql").read_text("utf-8")


def term_start(term: str) -> date | None:
    """The first day of a term whose name says it; nothing for others."""
    found = _TERM.fullmatch(term)
    return date(int(found[1]), _MONTH[found[2]], 1) if found else None


def terms_of(connection: Connection) -> Terms:
    """All terms, by their date where they have one and by name otherwise."""
    found = [str(row[0]) for row in connection.execute(_query("term_names")).fetchall()]
    clicks = connection.execute(_query("has_activity")).fetchone()
    ordered = sorted(found, key=lambda term: (term_start(term) or date.min, term))
    return Terms(tuple(ordered), bool(clicks and clicks[0]))


def prepare(connection: Connection, terms: Terms) -> None:
    """What all weeks share: when each course run began, and clicks by week (one reading of all of them)."""
    starts = [(start - _EPOCH).days if (start := term_start(term)) else None for term in terms.names]
    columns = {
        "term": pa.array(terms.names, pa.string()),
        "start_day": pa.array(starts, pa.int32()),
        "position": pa.array(range(len(terms.names)), pa.int32()),
    }
    connection.register("incoming_terms", pa.table(columns))
    connection.execute(_query("terms"))
    connection.unregister("incoming_terms")
    connection.execute(_query("activity"))


def week(connection: Connection, number: int, lag: int) -> pa.Table:
    """One row for each enrolment of any term that was there at the end of the week."""
    for step in _STEPS:
        parameters = {"week": number, "lag": lag} if step == "assessed" else {"week": number}
        connection.execute(_query(step), parameters)
    return connection.execute(_query("features"), {"week": number}).to_arrow_table()


def population(connection: Connection, number: int, terms: Sequence[str]) -> pa.Table:
    """Of each course run: how many are scored, how many had gone, how many come later."""
    return connection.execute(_query("counts"), {"week": number, "terms": list(terms)}).to_arrow_table()


def another_future(connection: Connection, number: int, term: str, lag: int) -> None:
    """In a database beside the warehouse: the same past, and after the end of the week everything else."""
    values = {"week": number, "term": term, "lag": lag}
    text = (files("studentsuccess.features") / "sql" / "leak_tables.sql").read_text("utf-8")
    for query in connection.extract_statements(text):
        wanted = {name: values[name] for name in query.named_parameters}
        connection.execute(query, wanted)


def columns(table: pa.Table, *, demographics: bool) -> Iterator[str]:
    """The names of the features of a table, demographic ones only when they may be used."""
    for name in table.column_names:
        if name not in KEYS and (demographics or name not in DEMOGRAPHICS):
            yield name
    yield "course_id"
