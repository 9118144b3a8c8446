"""The marts: what BI tools bind to, made from the predictions, with small numbers hidden."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from studentsuccess.insights.suppress import Cells, Hidden, hide
from studentsuccess.warehouse.database import Connection
from studentsuccess.warehouse.marts import STUDENTS, SUMMARY, RawMarts, read_marts, term_days
from studentsuccess.warehouse.terms import term_start

Tables = Mapping[str, pa.Table]
RUN = "course_run_id"


@dataclass(frozen=True)
class MartRules:
    """The settings that decide what the marts hold."""

    least: int
    high_risk: float
    marking_lag_days: int
    start_days: Mapping[str, date]


@dataclass(frozen=True)
class Marts:
    """The tables by name, how many rows of the summary hide something, and the terms that no calendar has."""

    tables: Tables
    suppressed: int
    undated: tuple[str, ...]


def build(connection: Connection, rules: MartRules) -> Marts:
    """Make the marts of what stands in the warehouse; only reads it."""
    days = term_days(connection)
    starts = {one.course_run_id: term_start(one.term, rules.start_days) for one in days}
    raw = read_marts(connection, starts, days[0].load_day, rules.marking_lag_days, rules.high_risk)
    hidden = hide(_cells(raw.summary), rules.least, rules.high_risk)
    scored = set(raw.course.column("code_presentation").to_pylist())
    undated = sorted({one.term for one in days if starts[one.course_run_id] is None and one.term in scored})
    return Marts(_tables(raw, hidden), int(hidden.any.sum()), tuple(undated))


def _tables(raw: RawMarts, hidden: Hidden) -> Tables:
    rest = {"calendar": raw.calendar, "course": raw.course, "model_version": raw.model_version}
    return {STUDENTS: raw.students, SUMMARY: _summary(raw.summary, hidden), **rest}


def _cells(summary: pa.Table) -> Cells:
    """Classes are course runs; a total is over the classes of a term in one week."""

    def codes(*names: str) -> np.ndarray:
        keys = [tuple(row.values()) for row in summary.select(names).to_pylist()]
        order = {key: at for at, key in enumerate(sorted(set(keys)))}
        return np.array([order[key] for key in keys], np.int64)

    count, high, mean = (
        summary.column(name).to_numpy(zero_copy_only=False) for name in ("student_count", "high", "avg_risk_score")
    )
    series, period = codes(RUN), codes("code_presentation", "week")
    return Cells(series, period, count.astype(np.int64), high.astype(np.int64), mean.astype(np.float64))


def _summary(summary: pa.Table, hidden: Hidden) -> pa.Table:
    """The columns that are published, with nothing where something is hidden."""
    rate = pc.divide(summary.column("high").cast(pa.float64()), summary.column("student_count").cast(pa.float64()))
    masks = {"student_count": hidden.everything, "avg_risk_score": hidden.mean, "high_risk_rate": hidden.rate}
    columns = {name: summary.column(name) for name in ("run_date", "week", "code_module")}
    for name, mask in masks.items():
        values = rate if name == "high_risk_rate" else summary.column(name)
        columns[name] = pc.if_else(pa.array(mask | hidden.everything), None, values)
    columns |= {name: summary.column(name) for name in ("code_presentation", RUN)}
    return pa.table({**columns, "suppressed": pa.array(hidden.any)})


def latest(marts: Tables, name: str) -> pa.Table:
    """The rows of each course run's newest week."""
    course, table = marts["course"], marts[name]
    place = pc.index_in(table.column(RUN), value_set=course.column(RUN).combine_chunks())
    return table.filter(pc.equal(table.column("week"), course.column("newest_week").take(place)))


def sample(table: pa.Table, rows: int) -> pa.Table:
    """So many rows, evenly spread, or all where there are no more: the same ones every time."""
    if table.num_rows <= rows:
        return table
    return table.take(pa.array(np.linspace(0, table.num_rows - 1, rows).astype(np.int64)))


def under_pseudonyms(marts: Tables, aliases: pa.Table) -> Tables:
    """As the marts leave the warehouse: no id, no order that tells one, no row of a class that is hidden."""
    summary = marts[SUMMARY]
    hidden = summary.filter(pc.is_null(summary.column("student_count"))).column(RUN).unique()
    students = marts[STUDENTS].filter(pc.invert(pc.is_in(marts[STUDENTS].column(RUN), value_set=hidden)))
    places = pc.index_in(students.column("id_student"), value_set=aliases.column("id_student").combine_chunks())
    named = students.set_column(1, "id_student", aliases.column("pseudonym").take(places))
    keys = ("run_date", "week", "code_module", "code_presentation", "id_student")
    return {**marts, STUDENTS: named.sort_by([(key, "ascending") for key in keys])}
