"""The rows of a real trial, read by our own reader: nothing is guessed, and a row that can't be read stops it all.

A trial is small, and every row that silently went missing would bias it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from studentsuccess.core.digest import FileFact
from studentsuccess.core.formula import FORMULA_STARTS
from studentsuccess.core.grammar import Kind
from studentsuccess.core.layout import Column, Fault, Layout, Reject, Verdict
from studentsuccess.core.names import nearest
from studentsuccess.core.probe import Probe, probe
from studentsuccess.core.stream import stream
from studentsuccess.errors import ContractError, UsageError
from studentsuccess.insights.proportions import Floats
from studentsuccess.insights.trial import Observed
from studentsuccess.tasks.context import Context
from studentsuccess.tasks.inputs import NamedFile

PASSED = ("1", "1.0", "true", "t", "yes", "y", "pass", "passed", "distinction", "success")
FAILED = ("0", "0.0", "false", "f", "no", "n", "fail", "failed", "withdrawn", "failure")
TREATED = ("treatment", "treated", "treat", "intervention", "contacted", "contact", "t", "1", "yes", "true")
UNTREATED = ("control", "controls", "untreated", "not contacted", "none", "c", "0", "no", "false")
# What a column is called where nobody says.
ARMS, OUTCOMES = ("arm", "group", "treatment"), ("outcome", "passed", "result", "final_result")
IDS, RISK = ("id_student", "student_id", "id"), "risk_score"
NO_OUTCOME = "is neither passed (1, yes, pass) nor failed (0, no, fail)"
NOT_A_SHARE = "is no share from 0 to 1"
# Arms that are named in an error; more of them would be the wrong column.
MOST_NAMED = 4


@dataclass(frozen=True)
class TrialColumns:
    """Which columns hold what; without an id nothing can be matched, without a risk it is looked up."""

    arm: str
    outcome: str
    id: str | None
    risk: str | None

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(name for name in (self.arm, self.outcome, self.id, self.risk) if name is not None)


@dataclass(frozen=True)
class TrialRows:
    """A trial as it was written down."""

    fact: FileFact
    columns: TrialColumns
    control: str
    treatment: str
    ids: tuple[str, ...]
    repeats: int
    observed: Observed


@dataclass(frozen=True)
class Asked:
    """The columns that the user named, and which arm is the control."""

    arm: str | None = None
    outcome: str | None = None
    id: str | None = None
    control: str | None = None


def read_trial(file: NamedFile, asked: Asked, context: Context) -> TrialRows:
    """Every row of the file, or the one error that says where it can't be read."""
    etl = context.settings.etl
    one = probe(file.path, file.shown, etl.encoding, etl.delimiter)
    columns = columns_of(one, asked)
    table, rejects = _streamed(one, columns, context)
    if rejects:
        raise _refused(one, rejects)
    if not table.num_rows:
        raise one.given.origin.error("0 data rows", "export the file again")
    table, repeats = _once(one, table, columns)
    arms = _plain(table.column(columns.arm))
    control, treatment = _sides(one, arms, columns.arm, asked.control)
    ids = tuple(map(_bare, table.column(columns.id).to_pylist())) if columns.id else ()
    observed = Observed(
        np.asarray(pc.equal(arms, treatment).to_numpy(zero_copy_only=False), bool),
        _outcomes(table.column(columns.outcome)),
        _floats(table.column(columns.risk)) if columns.risk else np.full(table.num_rows, np.nan),
    )
    return TrialRows(one.given.origin.fact(), columns, control, treatment, ids, repeats, observed)


def columns_of(one: Probe, asked: Asked) -> TrialColumns:
    """The columns that were named, or those that are called as such columns are."""
    arm = _column(one, asked.arm, ARMS, "--arm")
    outcome = _column(one, asked.outcome, OUTCOMES, "--outcome")
    found = asked.id or next((name for name in one.names if name.casefold() in IDS), None)
    chosen = TrialColumns(
        arm,
        outcome,
        _column(one, found, IDS, "--id") if found else None,
        next((name for name in one.names if name.casefold() == RISK), None),
    )
    if len(set(chosen.names)) < len(chosen.names):
        raise UsageError(
            "one column can't be two things: arm, outcome and id must be different columns",
            f"the columns of {one.given.origin.shown} begin with {', '.join(one.names[:6])}",
        )
    return chosen


def _column(one: Probe, asked: str | None, usual: Sequence[str], flag: str) -> str:
    shown = one.given.origin.shown
    if asked is not None and asked in one.names:
        return asked
    found = None if asked is not None else next((name for name in one.names if name.casefold() in usual), None)
    if found is not None:
        return found
    near = nearest(asked or usual[0], one.names)
    raise UsageError(
        f"{shown}: there is no column `{asked or usual[0]}` for `{flag}`",
        f"did you mean `{flag} {near}`?" if near else f"name it: `{flag} COLUMN`, one of {', '.join(one.names[:6])}",
    )


def _streamed(one: Probe, columns: TrialColumns, context: Context) -> tuple[pa.Table, list[Reject]]:
    layout = Layout(
        tuple(
            Column(name, Kind.DECIMAL if name == columns.risk else Kind.TEXT, name in (columns.arm, columns.id))
            for name in columns.names
        ),
        tuple(context.settings.etl.null_values),
    )
    batches: list[pa.RecordBatch] = []
    rejects: list[Reject] = []
    for parsed in stream((one.given,), layout, context.reading().stream, _Rules(columns)):
        batches.append(parsed.batch)
        rejects += parsed.rejects
    return pa.Table.from_batches(batches, layout.schema()), rejects


@dataclass(frozen=True)
class _Rules:
    """What a row of a trial must be; an outcome that is missing is not wrong, only unknown."""

    columns: TrialColumns

    def __call__(self, batch: pa.RecordBatch) -> Verdict:
        texts = batch.column(self.columns.outcome)
        known = pc.or_(pc.is_in(_plain(texts), pa.array([*PASSED, *FAILED])), pc.is_null(texts))
        faults = [Fault(_places(pc.invert(known)), self.columns.outcome, NO_OUTCOME)]
        if self.columns.risk:
            risk = batch.column(self.columns.risk)
            outside = pc.fill_null(pc.or_(pc.less(risk, 0.0), pc.greater(risk, 1.0)), fill_value=False)
            faults.append(Fault(_places(outside), self.columns.risk, NOT_A_SHARE))
        return Verdict(batch, [fault for fault in faults if len(fault.rows)])


def _places(mask: pa.Array) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    return np.flatnonzero(np.asarray(mask.to_numpy(zero_copy_only=False), bool))


def _plain(texts: pa.Array | pa.ChunkedArray) -> pa.Array | pa.ChunkedArray:
    """Texts without blanks around and in small letters; what a dictionary hides is taken out of it."""
    return pc.utf8_lower(pc.utf8_trim_whitespace(texts))


def _refused(one: Probe, rejects: Sequence[Reject]) -> ContractError:
    """The first row that can't be read; its text is the user's and stays in the file."""
    first = rejects[0]
    where = f"line {first.line:,}: " + (f"`{first.column}` " if first.column else "")
    others = f" ({len(rejects):,} rows like this)" if len(rejects) > 1 else ""
    return one.given.origin.error(
        f"{where}{first.reason}{others}: nothing was analysed",
        "mend it in the file; an outcome that is not known yet is an empty field",
    )


def _once(one: Probe, table: pa.Table, columns: TrialColumns) -> tuple[pa.Table, int]:
    """Every student once: the same row again is dropped and counted, other contents under one id are refused."""
    if columns.id is None:
        return table, 0
    distinct = table.group_by(list(columns.names), use_threads=False).aggregate([])
    if len(distinct.column(columns.id).unique()) < distinct.num_rows:
        doubles = distinct.num_rows - len(distinct.column(columns.id).unique())
        raise one.given.origin.error(
            f"`{columns.id}` has {doubles:,} ids that stand for two different rows: nothing was analysed",
            "a student is in one arm and has one outcome: keep one row of each",
        )
    return distinct.select(columns.names), table.num_rows - distinct.num_rows


def _sides(one: Probe, arms: pa.ChunkedArray, column: str, asked: str | None) -> tuple[str, str]:
    """Which arm is the control, by its name or as it was said."""
    found = sorted(pc.unique(arms).to_pylist())
    if len(found) != 2:
        named = f": {', '.join(f'`{name}`' for name in found)}" if len(found) <= MOST_NAMED else ""
        raise one.given.origin.error(
            f"`{column}` must hold two arms and holds {len(found):,}{named}",
            "a trial needs both a treatment and a control arm; name the column that says it: `--arm COLUMN`",
        )
    if asked is not None:
        return _as_asked(one, found, column, asked)
    by_name = {name for name in found if name in UNTREATED}, {name for name in found if name in TREATED}
    control = by_name[0] or {name for name in found if name not in by_name[1]}
    if len(control) != 1 or not (by_name[0] or by_name[1]):
        raise UsageError(
            f"{one.given.origin.shown}: it is not clear which of `{found[0]}` and `{found[1]}` is the control arm",
            f"say it: `--control {found[0]}`",
        )
    (chosen,) = control
    return chosen, found[0] if found[1] == chosen else found[1]


def _as_asked(one: Probe, found: Sequence[str], column: str, asked: str) -> tuple[str, str]:
    chosen = asked.strip().lower()
    if chosen not in found:
        raise UsageError(
            f"{one.given.origin.shown}: `{column}` has no arm `{asked}`",
            f"its arms are `{found[0]}` and `{found[1]}`: `--control {nearest(chosen, found) or found[0]}`",
        )
    return chosen, found[0] if found[1] == chosen else found[1]


def _outcomes(texts: pa.ChunkedArray) -> Floats:
    plain = _plain(texts)
    passed = _mask(pc.is_in(plain, pa.array(PASSED)))
    return np.where(_mask(pc.is_null(texts)), np.nan, passed.astype(np.float64))


def _mask(found: pa.ChunkedArray) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    return np.asarray(found.to_numpy(), bool)


def _floats(column: pa.ChunkedArray) -> Floats:
    return np.asarray(pc.fill_null(column, float("nan")).to_numpy(), np.float64)


def _bare(text: str) -> str:
    """An id as it was before our own CSV put a quote in front of what a spreadsheet would run."""
    return text[1:] if text[:1] == "'" and text[1:].startswith(FORMULA_STARTS) else text


def looked_up(ids: Iterable[str], students: Sequence[str], risk: Floats) -> Floats:
    """Each id's predicted risk; NaN for those who are not scored."""
    known = dict(zip(students, risk.tolist(), strict=True))
    return np.array([known.get(one, np.nan) for one in ids], np.float64)
