"""Who must or must not be together, and where everyone was last time."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import combinations
from pathlib import Path

import numpy as np

from studentsuccess.batching.input_fields import code_of, coded_texts, through
from studentsuccess.batching.input_problems import Code, Findings, Problem
from studentsuccess.batching.input_roles import Field, Role
from studentsuccess.batching.input_sheet import Sheet
from studentsuccess.batching.input_students import must_agree
from studentsuccess.batching.instance import Codes, Pins, Rule, Sizes, Students, Texts
from studentsuccess.core.names import nearest
from studentsuccess.errors import UsageError

MEMBERSHIP = "batch_student_membership.csv"
RELATIONS = ("together", "apart")
# Every pair of such a group is kept apart: two million pairs are the most.
LARGEST_APART = 2000
PINS = Role(
    "pins",
    (Field("student_id"), Field("group"), Field("relation")),
    ("student_id", "group", "relation"),
    ("student_id", "group", "relation"),
    may_be_empty=True,
)
PREVIOUS = Role(
    "batch_student_membership",
    (Field("student_id"), Field("batch_id")),
    ("student_id", "batch_id"),
    ("student_id", "batch_id"),
    may_be_empty=True,
)


def membership_file(previous: Path) -> Path:
    """The memberships in a former output: the folder's, or the file itself."""
    path = previous / MEMBERSHIP if previous.is_dir() else previous
    if not path.is_file():
        raise UsageError(f"{previous}: no {MEMBERSHIP} in it", "name the folder of a former `ss batch process -o`")
    return path


def former_batches(sheet: Sheet, students: Students) -> Codes:
    """Each student's batch last time, -1 for who is new. Who left is no concern."""
    sheet.settle_keys()
    sheet.require("student_id", "batch_id")
    who, batch = sheet.coded("student_id"), coded_texts(sheet.coded("batch_id"))
    codes = through(who, code_of(_as_given(who.dictionary.to_pylist(), students), students.ids))
    found = np.full(students.count, -1, np.int32)
    mine = (codes >= 0) & (batch.codes >= 0) & sheet.stands
    found[codes[mine]] = batch.codes[mine]
    return found


def _as_given(texts: Sequence[str], students: Students) -> object:
    """Ids without the quote that our CSVs put before what a spreadsheet would run."""
    import pyarrow as pa

    quoted = {f"'{id_}": id_ for id_ in students.ids if id_[:1] in "=+-@\t\r"}
    return pa.array([quoted.get(text, text) for text in texts], pa.string())


def read_pins(sheet: Sheet, students: Students, rules: Iterable[Rule], sizes: Sizes, findings: Findings) -> Pins:
    """The groups of a file; those that can't hold, with each other or with hard rules, are findings."""
    sheet.settle_keys()
    sheet.require("student_id", "group", "relation")
    who = sheet.coded("student_id")
    codes = through(who, code_of(who.dictionary, students.ids))
    said, fix = "no such student in student_data", "drop the row"
    sheet.blame((codes < 0) & ~sheet.missing("student_id"), Code.ORPHAN_REFERENCE, "student_id", said, fix)
    relation = [(text or "").strip().casefold() for text in sheet.texts("relation").to_pylist()]
    for at, text in enumerate(relation):
        if text and text not in RELATIONS:
            near = nearest(text, RELATIONS)
            said = "is neither together nor apart" + (f"; did you mean `{near}`?" if near else "")
            sheet.blame(np.array([at]), Code.INVALID_PIN, "relation", said, "write together or apart")
    groups: dict[tuple[str, str], list[int]] = {}
    places: dict[tuple[str, str], list[int]] = {}
    names = sheet.texts("group").to_pylist()
    for at in np.flatnonzero(sheet.stands & (codes >= 0)).tolist():
        if names[at] and relation[at] in RELATIONS:
            groups.setdefault((relation[at], names[at]), []).append(int(codes[at]))
            places.setdefault((relation[at], names[at]), []).append(at)
    for key in [key for key, rows in groups.items() if key[0] == "apart" and len(rows) > LARGEST_APART]:
        said = f"a group of {len(groups.pop(key)):,} to be kept apart: at most {LARGEST_APART:,}"
        sheet.blame(np.array(places[key]), Code.INVALID_PIN, "group", said, "split it into smaller groups")
    file = sheet.probes[0].given.origin.shown
    pins = _pins(groups)
    findings.add(
        *(Problem(Code.CONFLICTING_RULES, text, fix, file) for text, fix in _clashes(pins, students, rules, sizes))
    )
    return pins


def _pins(groups: dict[tuple[str, str], list[int]]) -> Pins:
    """Groups that share a student are one group."""
    leader: dict[int, int] = {}

    def find(row: int) -> int:
        while leader.setdefault(row, row) != row:
            row = leader[row]
        return row

    apart: set[tuple[int, int]] = set()
    for (relation, _), rows in groups.items():
        if relation == "apart":
            apart.update(combinations(sorted(set(rows)), 2))
        else:
            for row in rows:
                low, high = sorted((find(rows[0]), find(row)))
                leader[high] = low
    together: dict[int, list[int]] = {}
    for row in sorted(leader):
        together.setdefault(find(row), []).append(row)
    return Pins(tuple(tuple(rows) for rows in together.values() if len(rows) > 1), tuple(sorted(apart)))


def _clashes(pins: Pins, students: Students, rules: Iterable[Rule], sizes: Sizes) -> Iterable[tuple[str, str]]:
    group_of = {row: number for number, rows in enumerate(pins.together) for row in rows}
    both = sum(1 for one, other in pins.apart if group_of.get(one, -1) == group_of.get(other, -2))
    if both:
        yield f"{both} pairs must be together and apart", "take them out of one of the two groups"
    large = [len(rows) for rows in pins.together if len(rows) > sizes.most]
    if large:
        fix = f"split it, or allow more: `--max-size {max(large)}`"
        yield f"{max(large)} students must be together, and a batch has at most {sizes.most}", fix
    agree = ["program_id", "academic_year", *(rule.field for rule in rules if rule.hard and must_agree(rule))]
    for name in dict.fromkeys(agree):
        found = students.fields.get(name)
        if isinstance(found, Texts):
            mixed = sum(1 for rows in pins.together if len(set(found.codes[list(rows)].tolist())) > 1)
            if mixed:
                yield (
                    f"{mixed} groups must be together and differ in `{name}`, which no batch mixes",
                    "split the groups",
                )
