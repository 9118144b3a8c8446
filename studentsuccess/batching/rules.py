"""A rule as somebody wrote it, held against what rules can mean; one without a meaning is refused by its name.

What each entity can be asked about:
- student: every column of the students' file.
- batch: `size` (capacity_limit: members at most t of the room's seats), and every column of its members.
- program: every column of the programs, of the member's program. It is the member's field `program.COLUMN` then.
- course: every column of the courses with texts, of all courses a member takes, as a list. It is `course.COLUMN` then.
- institution: `size` alone, which is the same margin for every batch.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from studentsuccess.batching.input_problems import shown
from studentsuccess.batching.input_roles import fold
from studentsuccess.batching.instance import Rule
from studentsuccess.core.names import nearest

ENTITIES = ("student", "batch", "course", "program", "institution")
KINDS = ("no_mix", "homogeneous", "max_variance", "capacity_limit")
LEVELS = ("hard", "soft")
SIZE = "size"
MARGIN = 0.9
TEXT, LIST, NUMBER = "text", "list", "number"
MIXED = "mixed"  # mostly numbers: what is none is a bad value where a rule needs numbers, and text elsewhere
HEAVIEST = 10.0
DEFAULTS = (
    Rule("DEFAULT_PROGRAM", "student", "program_id", "no_mix", hard=True),
    Rule("DEFAULT_YEAR", "student", "academic_year", "no_mix", hard=True),
)
ROOM_MARGIN = Rule("DEFAULT_ROOM_MARGIN", "batch", SIZE, "capacity_limit", hard=True, threshold=MARGIN)


@dataclass(frozen=True)
class Asked:
    """A rule as it is written."""

    code: str
    entity: str
    field: str
    kind: str
    level: str
    weight: str | None = None
    threshold: str | None = None


@dataclass(frozen=True)
class Refusal:
    """Why a rule can't hold: which of its columns, and what to write."""

    column: str
    message: str
    fix: str = ""


@dataclass(frozen=True)
class RuleFields:
    """What can be asked about: for each entity its columns and what they hold."""

    student: Mapping[str, str]
    program: Mapping[str, str] = field(default_factory=dict)
    course: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class _Meant:
    """The field of a member (or the size) that a rule is about."""

    entity: str
    field: str
    holds: str


def checked(asked: Asked, fields: RuleFields) -> Rule | tuple[Refusal, ...]:
    """The rule, or everything that is wrong with it."""
    refused: list[Refusal] = []
    entity = _choice("entity_type", asked.entity, ENTITIES, refused)
    kind = _choice("rule_type", asked.kind, KINDS, refused)
    level = _choice("constraint_level", asked.level, LEVELS, refused)
    meant = _meant(entity, fold(asked.field), fields) if entity else None
    if isinstance(meant, Refusal):
        refused.append(meant)
    weight = _number("weight", asked.weight, 0.0, HEAVIEST, refused)
    threshold = _number("threshold", asked.threshold, 0.0, 1.0, refused)
    if kind and isinstance(meant, _Meant):
        refused.extend(_without_meaning(asked, kind, meant, threshold))
    if refused or not isinstance(meant, _Meant):
        return tuple(refused)
    limit = {"no_mix": None, "homogeneous": 1.0 if threshold is None else threshold}.get(kind, threshold)
    return Rule(asked.code, meant.entity, meant.field, kind, level == "hard", 1.0 if weight is None else weight, limit)


def _choice(column: str, text: str, known: tuple[str, ...], refused: list[Refusal]) -> str:
    folded = fold(text)
    if folded in known:
        return folded
    near = nearest(text, known)
    said = f"unknown {column}: {shown(text)}" + (f"; did you mean `{near}`?" if near else "")
    refused.append(Refusal(column, said, f"write one of {', '.join(known)}"))
    return ""


def _number(column: str, text: str | None, least: float, most: float, refused: list[Refusal]) -> float | None:
    if text is None or not text.strip():
        return None
    number = number_of(text)
    if number is None:
        refused.append(Refusal(column, "not a number", f"write a number from {least:g} to {most:g}"))
        return None
    if not least <= number <= most:
        refused.append(Refusal(column, f"{number:g} is outside {least:g} to {most:g}", "keep it inside"))
        return None
    return number


def number_of(text: str) -> float | None:
    """The finite number that a text is."""
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) and "_" not in text else None


def _meant(entity: str, name: str, fields: RuleFields) -> _Meant | Refusal:
    if entity in ("batch", "institution") and name == SIZE:
        return _Meant("batch", SIZE, NUMBER)
    if entity == "institution":
        return Refusal(
            "field_name", f"`{name}` has no meaning for an institution", f"an institution has `{SIZE}` alone"
        )
    if entity == "student" and name == SIZE and SIZE not in fields.student:
        return Refusal("field_name", "`size` has no meaning for a student", "write entity_type batch")
    known = {"program": fields.program, "course": fields.course}.get(entity, fields.student)
    if name not in known:
        every = [*known, SIZE] if entity == "batch" else list(known)
        near = nearest(name, every)
        said = f"{entity} has no field {shown(name)}" + (f"; did you mean `{near}`?" if near else "")
        return Refusal("field_name", said, f"it has {', '.join(every)}")
    return _member_field(entity, name, known[name])


def _member_field(entity: str, name: str, holds: str) -> _Meant | Refusal:
    if entity == "program":
        return (
            _Meant("student", "program_id", TEXT) if name == "program_id" else _Meant(entity, f"program.{name}", holds)
        )
    if entity == "course":
        if name == "course_id":
            return _Meant("student", "enrolled_courses", LIST)
        if holds == NUMBER:
            said = (
                f"`{name}` has no meaning for a course in a batch: its members take many, and the numbers are no one's"
            )
            return Refusal("field_name", said, "name a column of the courses that holds texts")
        return _Meant(entity, f"course.{name}", LIST)
    return _Meant("student", name, holds)


def _without_meaning(asked: Asked, kind: str, meant: _Meant, threshold: float | None) -> list[Refusal]:
    """What a kind of rule can't be asked of a field, and thresholds that are needed."""
    found = []
    if meant.field == SIZE and meant.entity == "batch" and kind != "capacity_limit":
        said = f"`{kind}` has no meaning for the size of a batch"
        found.append(Refusal("rule_type", said, "capacity_limit keeps it below the room's seats; --max-size bounds it"))
    elif kind == "max_variance" and meant.holds not in (NUMBER, MIXED):
        said = f"`max_variance` has no meaning for `{meant.field}`, which holds {meant.holds}s"
        found.append(Refusal("rule_type", said, "name a field with numbers, or write homogeneous"))
    if kind in ("max_variance", "capacity_limit") and threshold is None and not (asked.threshold or "").strip():
        found.append(Refusal("threshold", f"is missing, and `{kind}` needs one", "write a number from 0 to 1"))
    if kind == "capacity_limit" and threshold == 0:
        found.append(Refusal("threshold", "0 would allow no member at all", "write a number above 0"))
    return found
