"""Extracted columns judged: converted by the grammar, held against the source's rules, rejects told apart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from studentsuccess.core.grammar import ARROW_TYPES, Kind, Mask, Typed, convert, fits, plainly_text, reason
from studentsuccess.core.layout import Column, Extracted, Fault, Layout, Parsed, Reject, Rows, Rules, Tally

PLAIN_SHARE = 0.9
WIDER = {Kind.INTEGER: Kind.DECIMAL, Kind.DATE: Kind.TIME}
GUESSABLE = (Kind.INTEGER, Kind.DECIMAL, Kind.DATE, Kind.TIME, Kind.BOOLEAN)


@dataclass(frozen=True)
class Guessing:
    """Text columns that may be another kind after all; for some, how many values refuse must be counted exactly."""

    columns: frozenset[str] = frozenset()
    exact: frozenset[str] = frozenset()


class Judgement:
    """The rows of one block that can't stay, each with the first reason found."""

    def __init__(self, extracted: Extracted) -> None:
        self._extracted = extracted
        self._found: dict[int, tuple[str, str]] = dict.fromkeys((), ("", ""))
        self._records = self._map_rows()
        for record, why in extracted.ragged:
            self._found[record] = ("", why)

    def _map_rows(self) -> Rows | None:
        """Which record each row of the columns is; ragged records have no row."""
        if not self._extracted.ragged:
            return None
        dropped = [record for record, _ in self._extracted.ragged]
        return np.delete(np.arange(self._extracted.records), dropped)

    def blame(self, rows: Rows, column: str, reasons: Sequence[str]) -> None:
        records = rows if self._records is None else self._records[rows]
        for record, why in zip(records.tolist(), reasons, strict=True):
            self._found.setdefault(record, (column, why))

    def rejects(self) -> tuple[Reject, ...]:
        return tuple(self._reject(record, *self._found[record]) for record in sorted(self._found))

    def records(self) -> Rows:
        return np.array(sorted(self._found), np.int64)

    def _reject(self, record: int, column: str, why: str) -> Reject:
        line, raw = self._extracted.locate(record)
        return Reject(line, column, why, raw)


def judge(
    extracted: Extracted, layout: Layout, source: int, rules: Rules | None, guessing: Guessing, size: int
) -> Parsed:
    """One block's verdict: what stays, typed and in its final shape, and what goes to the dead letters."""
    judgement = Judgement(extracted)
    arrays, tallies = [], {}
    rows = extracted.records - len(extracted.ragged)
    bad = np.zeros(rows, bool)
    for column in layout.columns:
        typed, tally = _column(extracted.columns[column.name], column, judgement)
        arrays.append(typed.values)
        tallies[column.name] = tally
        if typed.bad is not None:
            bad |= typed.bad
    guesses = {name: _guess(extracted.columns[name], exact=name in guessing.exact) for name in guessing.columns}
    batch = pa.RecordBatch.from_arrays(arrays, schema=layout.schema())
    batch = _apply(rules, batch, bad, judgement)
    return Parsed(source, extracted.records, batch, judgement.rejects(), judgement.records(), tallies, guesses, size)


def _column(values: pa.Array, column: Column, judgement: Judgement) -> tuple[Typed, Tally]:
    present = len(values) - values.null_count
    typed = Typed(values) if values.type == ARROW_TYPES[column.kind] else convert(values, column.kind)
    tally = Tally(present)
    if typed.bad is not None:
        rows = np.flatnonzero(typed.bad)
        texts = values.take(pa.array(rows))
        judgement.blame(rows, column.name, [reason(text, column.kind) for text in texts.to_pylist()])
        wider = WIDER.get(column.kind)
        wider_bad = int((~fits(texts, wider)).sum()) if wider else len(rows)
        tally = Tally(present, len(rows), wider_bad)
    if column.required and values.null_count:
        missing = np.flatnonzero(np.asarray(values.is_null().to_numpy(zero_copy_only=False)))
        judgement.blame(missing, column.name, ["is empty"] * len(missing))
        gone = np.zeros(len(values), bool)
        gone[missing] = True
        typed = Typed(typed.values, gone if typed.bad is None else typed.bad | gone)
    return typed, tally


def _guess(texts: pa.Array, *, exact: bool) -> dict[Kind, int]:
    """How many present values of a text column each other kind would refuse, or nearly so many in plain text.

    Where nine in ten values begin as no number, date or truth value does, those are counted and the patterns spared.
    """
    if pa.types.is_dictionary(texts.type):
        texts = texts.dictionary_decode()
    present = len(texts) - texts.null_count
    plain = 0 if exact else plainly_text(texts)
    if plain and plain >= PLAIN_SHARE * present:
        return dict.fromkeys(GUESSABLE, plain)
    return {kind: present - int(fits(texts, kind).sum()) for kind in GUESSABLE}


def _apply(rules: Rules | None, batch: pa.RecordBatch, bad: Mask, judgement: Judgement) -> pa.RecordBatch:
    """Drop bad rows, then let the source's rules judge and shape the rest."""
    kept = None
    if bad.any():
        kept = np.flatnonzero(~bad)
        batch = batch.filter(pa.array(~bad))
    if rules is None:
        return batch
    verdict = rules(batch)
    if not verdict.faults:
        return verdict.batch
    return _without_faults(verdict.batch, verdict.faults, kept, judgement)


def _without_faults(
    batch: pa.RecordBatch, faults: Sequence[Fault], kept: Rows | None, judgement: Judgement
) -> pa.RecordBatch:
    gone = np.zeros(batch.num_rows, bool)
    for fault in faults:
        rows = fault.rows if kept is None else kept[fault.rows]
        judgement.blame(rows, fault.column, [fault.reason] * len(rows))
        gone[fault.rows] = True
    return batch.filter(pa.array(~gone))
