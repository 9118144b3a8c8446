"""Contacts from a file: any table with a column of students, such as the list of calls with its last columns filled."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np
import pyarrow as pa

from studentsuccess.core.digest import FileFact
from studentsuccess.core.formula import FORMULA_STARTS
from studentsuccess.core.grammar import Kind
from studentsuccess.core.layout import Column, Layout, Reject
from studentsuccess.core.names import nearest
from studentsuccess.core.probe import Probe, probe
from studentsuccess.core.stream import find_records, stream
from studentsuccess.errors import ContractError, UsageError
from studentsuccess.tasks.context import Context
from studentsuccess.tasks.inputs import NamedFile
from studentsuccess.warehouse.interventions import Contact

STUDENTS = ("student", "id_student", "student_id", "id")
DAYS, PEOPLE, NOTES = ("contacted_on", "on", "date"), ("contacted_by", "by"), ("note",)


@dataclass(frozen=True)
class Given:
    """One contact, and where it was said, for messages that must not repeat an id."""

    contact: Contact
    place: str


@dataclass(frozen=True)
class FileRows:
    """The contacts of a file, and how many of its rows are of students whom nobody contacted yet."""

    rows: tuple[Given, ...]
    skipped: int
    fact: FileFact


def read_file(file: NamedFile, default: Contact, context: Context) -> FileRows:
    """Every row of the file, or the one error that says where it can't be read.

    Without a column of days all rows are contacts of the default's day; with one, a row whose day is empty is none.
    """
    etl = context.settings.etl
    one = probe(file.path, file.shown, etl.encoding, etl.delimiter)
    columns = {what: _column(one, names) for what, names in _WANTED.items()}
    if columns["student"] is None:
        near = nearest("student", one.names)
        raise UsageError(
            f"{file.shown}: there is no column `student`",
            f"is `{near}` meant? rename it to `student`" if near else f"it begins with {', '.join(one.names[:6])}",
        )
    table, lines = _streamed(one, [name for name in columns.values() if name], context)
    found = list(_given(one, table, lines, columns, default))
    if not table.num_rows:
        raise one.given.origin.error("0 data rows", "export the file again")
    return FileRows(tuple(found), table.num_rows - len(found), one.given.origin.fact())


_WANTED = {"student": STUDENTS, "on": DAYS, "by": PEOPLE, "note": NOTES}


def _column(one: Probe, usual: Sequence[str]) -> str | None:
    by_fold = {name.casefold(): name for name in reversed(one.names)}
    return next((by_fold[name] for name in usual if name in by_fold), None)


def _streamed(one: Probe, names: Sequence[str], context: Context) -> tuple[pa.Table, list[int]]:
    """The rows as texts, and the line of each."""
    layout = Layout(tuple(Column(name, Kind.TEXT) for name in names), tuple(context.settings.etl.null_values))
    settings = context.reading().stream
    batches: list[pa.RecordBatch] = []
    rejects: list[Reject] = []
    for parsed in stream((one.given,), layout, settings):
        batches.append(parsed.batch)
        rejects += parsed.rejects
    if rejects:
        raise _refused(one, rejects[0].line, rejects[0].column, rejects[0].reason)
    table = pa.Table.from_batches(batches, layout.schema())
    wanted = np.arange(table.num_rows, dtype=np.int64)
    return table, [line for line, _ in find_records(one.given, wanted, settings)]


def _given(
    one: Probe, table: pa.Table, lines: Sequence[int], columns: dict[str, str | None], default: Contact
) -> Iterator[Given]:
    texts = {what: table.column(name).to_pylist() for what, name in columns.items() if name}
    for at, line in enumerate(lines):
        student = texts["student"][at]
        if "on" in texts and not (texts["on"][at] or "").strip():
            continue
        if not (student or "").strip():
            raise _refused(one, line, str(columns["student"]), "is empty")
        day = _day(one, line, columns["on"], texts["on"][at]) if "on" in texts else default.on
        by, note = ((texts[what][at] or "").strip() if what in texts else "" for what in ("by", "note"))
        contact = Contact(_bare(student.strip()), day, _bare(by) or default.by, _bare(note) or default.note)
        yield Given(contact, f"line {line:,} of {one.given.origin.shown}")


def _day(one: Probe, line: int, column: str | None, text: str) -> date:
    try:
        return date.fromisoformat(text.strip())
    except ValueError:
        raise _refused(one, line, str(column), "is not a day such as 2025-03-14") from None


def _refused(one: Probe, line: int, column: str, reason: str) -> ContractError:
    """Where a row can't be read; its text stays in the file."""
    where = f"line {line:,}: " + (f"`{column}` " if column else "")
    return one.given.origin.error(f"{where}{reason}: nothing was noted", "mend it in the file, then run it again")


def _bare(text: str) -> str:
    """A text as it was before our own CSV put a quote in front of what a spreadsheet would run."""
    return text[1:] if text[:1] == "'" and text[1:].startswith(FORMULA_STARTS) else text
