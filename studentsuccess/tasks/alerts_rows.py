"""The list of calls as a spreadsheet opens it: whole percents without decimal points, and no cell that is a formula."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator

from studentsuccess.core.formula import formula_safe
from studentsuccess.insights.calls import Call, Calls, Course

# The last three are for the adviser to fill in: with a day in the first of them a row is a contact for `ss alerts log`.
HEADER = (
    *("place", "student", "course", "week", "risk_percent", "week_before_percent", "change_points", "how_sure"),
    *("reason_1", "reason_2", "new_since_week_before", "background", "other_courses"),
    *("contacts_before", "last_contact", "contacted_on", "contacted_by", "note"),
)
# Excel takes a file for UTF-8 only when it begins with this; our own reader and most others skip it.
MARK = "\ufeff"


def calls_text(calls: Calls) -> str:
    """The whole file."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow(HEADER)
    writer.writerows([_safe(cell) for cell in row] for row in call_rows(calls))
    return MARK + text.getvalue()


def _safe(cell: object) -> object:
    return formula_safe(cell) if isinstance(cell, str) else cell


def call_rows(calls: Calls) -> Iterator[tuple[object, ...]]:
    """The list's rows without their header."""
    return (_row(place, one) for place, one in enumerate(calls.calls, 1))


def _row(place: int, one: Call) -> tuple[object, ...]:
    now, before = whole_percent(one.worst.risk), whole_percent(one.worst.before)
    talk = (*one.talk, "", "")
    return (
        place,
        one.student_id,
        _line(one.worst.name),
        one.worst.week,
        now,
        before,
        None if now is None or before is None else now - before,
        one.worst.decision,
        *map(_line, talk[:2]),
        _line("; ".join(one.news)),
        _line(next(iter(one.background), "")),
        _line("; ".join(map(_course, one.courses[1:]))),
        one.contacts,
        one.last_contact,
        None,
        None,
        None,
    )


def _line(text: str) -> str:
    """A line end inside a cell would be a second row to the eye."""
    return " ".join(text.split())


def _course(one: Course) -> str:
    return f"{one.name} {whole_percent(one.risk)}%"


def whole_percent(risk: float | None) -> int | None:
    """Nobody needs more of a risk than this."""
    return None if risk is None else round(100 * risk)
