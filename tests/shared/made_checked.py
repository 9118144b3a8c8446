"""A small term with its batches as files, every figure worked out by plain loops: what a checker is checked with."""

from __future__ import annotations

import csv
import json
import uuid
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from math import sqrt
from pathlib import Path
from statistics import mean, pstdev
from typing import Any

SPACE = uuid.UUID("7b0c1a52-6f0c-4d0e-9a57-1f3f2d6b8a11")
SIZES = {"min": 2, "target": 3, "max": 4}
WEIGHTS = {"homogeneity": 0.4, "balance": 0.3, "size": 0.3}
RULES = (
    {"code": "P", "entity": "student", "field": "program_id", "kind": "no_mix", "hard": True},
    {"code": "MARGIN", "entity": "batch", "field": "size", "kind": "capacity_limit", "hard": True, "threshold": 0.9},
    {"code": "LANG", "entity": "student", "field": "preferred_languages", "kind": "homogeneous", "hard": False,
     "weight": 2.0, "threshold": 0.7},
    {"code": "SHIFT", "entity": "student", "field": "preferred_shift", "kind": "homogeneous", "hard": False,
     "weight": 1.0, "threshold": 0.5},
    {"code": "AGE", "entity": "student", "field": "age", "kind": "max_variance", "hard": False, "weight": 0.5,
     "threshold": 0.8},
)  # fmt: skip


@dataclass
class Made:
    """Everything as rows, to be bent before it is written."""

    files: dict[str, list[dict[str, Any]]]
    batches: list[list[int]]  # students of each batch, by their row
    slots: list[tuple[int, int]]  # room and shift of each batch
    rules: tuple[dict[str, Any], ...] = RULES
    request: dict[str, Any] = field(default_factory=dict)

    @property
    def students(self) -> list[dict[str, Any]]:
        return self.files["student_data"]

    def takes(self, row: int) -> set[str]:
        return set(self.students[row]["enrolled_courses"])


def made() -> Made:
    """Two programs of six and seven students; names that are awkward in a CSV."""
    names = ["Ann", 'Bo "B"', "=Eve", "李", "O'Neil, Jr.", "Ng\nAn", "-5", "Zoë"]
    students = []
    for at in range(13):
        program = "P1" if at < 6 else "P2"
        own = ["A", "B", "C"] if program == "P1" else ["C", "D", "E"]
        students.append(
            {
                "student_id": f"S{at:02}",
                "student_name": names[at % len(names)],
                "program_id": program,
                "academic_year": "2024",
                "preferred_shift": ("morning", "Evening", "")[at % 3],
                "preferred_languages": (["en"], ["en", "de"], [], ["fr"])[at % 4],
                "age": str(18 + (at * 7) % 5) if at != 4 else "",
                "enrolled_courses": [] if at == 9 else own[: 1 + at % 3] + (["F"] if at % 5 == 0 else []),
            }
        )
    courses = [
        {"course_id": one, "course_name": f"About {one}", "credits": at + 0.5, "weekly_hours": 2 + at % 3,
         "department_id": "DX" if one == "F" else ""}
        for at, one in enumerate("ABCDEF")
    ]  # fmt: skip
    rooms = [
        {"room_id": f"R{at}", "capacity": seats, "shifts": shifts}
        for at, (seats, shifts) in enumerate([(4, []), (5, ["morning"]), (6, None), (9, ["Evening", "m"])])
    ]
    files = {
        "student_data": students,
        "courses": courses,
        "programs": [
            {"program_id": "P1", "program_name": "One", "department_id": "D1"},
            {"program_id": "P2", "program_name": "Two", "department_id": "D2"},
        ],
        "rooms": rooms,
        "shifts": [{"shift_id": "e", "shift_name": "Evening"}, {"shift_id": "m", "shift_name": "morning"}],
        "faculty": [
            {"faculty_id": "F1", "department_id": "D1", "max_hours_per_week": 40, "shifts": None},
            {"faculty_id": "F2", "department_id": "D2", "max_hours_per_week": 40, "shifts": ["e"]},
            {"faculty_id": "F3", "department_id": "D2", "max_hours_per_week": 40, "shifts": ["m"]},
            {"faculty_id": "F4", "department_id": "DX", "max_hours_per_week": 20, "shifts": None},
        ],
    }
    batches = [[0, 2, 5], [1, 3, 4], [6, 8, 10, 12], [7, 9, 11]]
    return Made(files, batches, [(1, 1), (2, 0), (2, 1), (3, 0)])


def write_csv(
    path: Path, rows: Sequence[dict[str, Any]], listed: str = "json", delimiter: str = ",", encoding: str = "utf-8"
) -> None:
    with path.open("w", encoding=encoding, newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), delimiter=delimiter)
        writer.writeheader()
        writer.writerows({name: cell(value, listed) for name, value in row.items()} for row in rows)


def cell(value: Any, listed: str) -> Any:
    """A list in one of the three ways."""
    if not isinstance(value, list):
        return value
    ways = {"json": json.dumps(value), "braces": "{" + ",".join(value) + "}", "marks": ";".join(value)}
    return ways[listed] if value or listed != "marks" else "[]"


def write_term(folder: Path, term: Made, **how: str) -> Path:
    folder.mkdir(exist_ok=True)
    for name, rows in term.files.items():
        write_csv(folder / f"{name}.csv", rows, **how)
    return folder


def named(*parts: object) -> str:
    return str(uuid.uuid5(SPACE, "/".join(map(str, parts))))


def safe(text: str) -> str:
    """As spreadsheets need it; `-5` is a number."""
    return "'" + text if text[:1] in "=+@" and text else text


def tables(term: Made) -> dict[str, list[dict[str, Any]]]:
    """The four files."""
    courses = {row["course_id"]: row for row in term.files["courses"]}
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in (
        "student_batches", "batch_student_membership", "batch_course_enrollment", "batch_resource_assignment"
    )}  # fmt: skip
    for number, (rows, (room, shift)) in enumerate(zip(term.batches, term.slots, strict=True)):
        batch, seats = named("batch", number), term.files["rooms"][room]["capacity"]
        program = term.students[rows[0]]["program_id"]
        soft = [one for one in term.rules if not one["hard"] and not holds(term, one, number)]
        found["student_batches"].append(
            {"batch_id": batch, "batch_code": f"{program}-2024-{number:03}", "program_id": program,
             "academic_year": "2024", "size": len(rows), "coherence": pairwise(term, rows, ochiai),
             "program_consistency": 1.0, "resource_efficiency": len(rows) / seats, "violations": len(soft)}
        )  # fmt: skip
        for row in rows:
            one = term.students[row]
            found["batch_student_membership"].append(
                {"membership_id": named("m", number, row), "batch_id": batch, "student_id": one["student_id"],
                 "student_name": safe(one["student_name"]), "program_id": one["program_id"],
                 "academic_year": one["academic_year"], "enrollment_date": "2026-01-05", "membership_status": "ACTIVE"}
            )  # fmt: skip
        for course, many in sorted(Counter(one for row in rows for one in term.takes(row)).items()):
            found["batch_course_enrollment"].append(
                {"enrollment_id": named("e", number, course), "batch_id": batch, "course_id": course,
                 "course_name": courses[course]["course_name"], "credit_hours": courses[course]["credits"],
                 "enrollment_status": "POOLED" if pooled(many, len(rows)) else "ENROLLED", "expected_students": many,
                 "capacity_utilization": many / seats}
            )  # fmt: skip
        found["batch_resource_assignment"].append(
            {"assignment_id": named("a", number), "batch_id": batch, "room_id": term.files["rooms"][room]["room_id"],
             "shift_id": term.files["shifts"][shift]["shift_id"], "room_capacity": seats,
             "utilization": len(rows) / seats}
        )  # fmt: skip
    return found


def pooled(many: int, size: int) -> bool:
    return many < size and (many < 3 or many / size < 0.2)


def write_out(folder: Path, term: Made) -> Path:
    folder.mkdir(exist_ok=True)
    for name, rows in tables(term).items():
        write_csv(folder / f"{name}.csv", rows)
    (folder / "quality.json").write_text(json.dumps(quality(term)), "utf-8")
    return folder


def quality(term: Made) -> dict[str, Any]:
    """What a run would say of itself."""
    broken = {rule["code"]: sum(not holds(term, rule, at) for at in range(len(term.batches))) for rule in term.rules}
    reached = objective(term)
    return {
        "run_id": "r", "students": sum(map(len, term.batches)), "batches": len(term.batches), "objective": reached,
        "bound": 0.99, "random": 0.1, "gap_closed": (reached - 0.1) / (0.99 - 0.1),
        "hard_violations": sum(broken[rule["code"]] for rule in term.rules if rule["hard"]),
        "measures": {
            name: {"value": value, "ceiling": 1.0, "threshold": 0.5, "verdict": "PASS" if value >= 0.5 else "FAIL"}
            for name, value in measures(term).items()
        },
        "violations": [
            {"rule": rule["code"], "hard": rule["hard"], "count": broken[rule["code"]]} for rule in term.rules
        ],
        "request": {
            "sizes": SIZES, "weights": WEIGHTS, "rules": list(term.rules), "date": "2026-01-05", **term.request
        },
    }  # fmt: skip


def ochiai(one: set[str], other: set[str]) -> float:
    return len(one & other) / sqrt(len(one) * len(other)) if one and other else 0.0


def jaccard(one: set[str], other: set[str]) -> float:
    return len(one & other) / len(one | other) if one | other else 0.0


def pairwise(term: Made, rows: Sequence[int], alike: Any) -> float:
    pairs = [(one, other) for one in rows for other in rows if one != other]
    return mean(alike(term.takes(one), term.takes(other)) for one, other in pairs) if pairs else 0.0


def measures(term: Made) -> dict[str, float]:
    sizes = [len(rows) for rows in term.batches]
    students = sum(sizes)
    seats = sum(term.files["rooms"][room]["capacity"] for room, _ in term.slots)
    sections = [
        (many, len(rows))
        for rows in term.batches
        for many in Counter(one for row in rows for one in term.takes(row)).values()
        if not pooled(many, len(rows))
    ]
    soft = [rule for rule in term.rules if not rule["hard"]]
    kept = sum(
        rule["weight"] * len(rows) for rule in soft for at, rows in enumerate(term.batches) if holds(term, rule, at)
    )
    return {
        "academic_coherence": sum(len(rows) * pairwise(term, rows, ochiai) for rows in term.batches) / students,
        "jaccard_coherence": sum(len(rows) * pairwise(term, rows, jaccard) for rows in term.batches) / students,
        "section_fill": sum(many for many, _ in sections) / sum(size for _, size in sections),
        "resource_utilization": students / seats,
        "constraint_satisfaction": kept / (students * sum(rule["weight"] for rule in soft)) if soft else 1.0,
        "silhouette": silhouette(term, siblings=False),
        "silhouette_siblings": silhouette(term, siblings=True),
        "size_balance": 1 - pstdev(sizes) / mean(sizes),
    }


def holds(term: Made, rule: dict[str, Any], batch: int) -> bool:
    rows, name = term.batches[batch], rule["field"]
    if name == "size":
        return len(rows) <= rule["threshold"] * term.files["rooms"][term.slots[batch][0]]["capacity"] + 1e-9
    if rule["kind"] == "max_variance":
        cell_rows = [row for row in range(len(term.students)) if cell_of(term, row) == cell_of(term, rows[0])]
        inside, around = ([float(term.students[row][name]) for row in some if term.students[row][name]]
                          for some in (rows, cell_rows))  # fmt: skip
        return pstdev(inside) ** 2 <= rule["threshold"] * pstdev(around) ** 2 + 1e-9
    most = max(Counter(value for row in rows for value in values(term, row, name)).values(), default=0)
    if rule["kind"] == "no_mix":
        return most == len(rows)
    share = most / len(rows)
    return share >= rule["threshold"] - 1e-9 if rule["kind"] == "homogeneous" else share <= rule["threshold"] + 1e-9


def values(term: Made, row: int, name: str) -> list[str]:
    """What a rule's field holds for a student; of courses what any of theirs has, once."""
    if name.startswith("program."):
        programs = {one["program_id"]: one for one in term.files["programs"]}
        return [programs[term.students[row]["program_id"]][name.removeprefix("program.")]]
    if name == "course.department_id":
        own = values(term, row, "program.department_id")[0]
        courses = [one for one in term.files["courses"] if one["course_id"] in term.takes(row)]
        return sorted({one["department_id"] or own for one in courses})
    value = term.students[row][name]
    return value if isinstance(value, list) else [str(value).casefold()]


def cell_of(term: Made, row: int) -> tuple[str, str]:
    return term.students[row]["program_id"], term.students[row]["academic_year"]


def unit(weights: Counter[str]) -> dict[str, float]:
    length = sqrt(sum(value * value for value in weights.values()))
    return {name: value / length for name, value in weights.items()} if length else {}


def cosine(one: dict[str, float], other: dict[str, float]) -> float:
    return sum(value * other.get(name, 0.0) for name, value in one.items())


def student_vector(term: Made, row: int) -> dict[str, float]:
    return unit(Counter(dict.fromkeys(term.takes(row), 1)))


def mean_vector(term: Made, rows: Sequence[int]) -> dict[str, float]:
    total: Counter[str] = Counter()
    for row in rows:
        for name, value in student_vector(term, row).items():
            total[name] += value  # type: ignore[assignment]
    return unit(total)


def silhouette(term: Made, siblings: bool) -> float:
    means = [mean_vector(term, rows) for rows in term.batches]
    found = []
    for at, rows in enumerate(term.batches):
        others = [
            other for other, theirs in enumerate(term.batches)
            if other != at and (siblings or cell_of(term, theirs[0]) != cell_of(term, rows[0]))
        ]  # fmt: skip
        for row in rows:
            mine = student_vector(term, row)
            a = 1 - cosine(mine, means[at])
            b = min((1 - cosine(mine, means[other]) for other in others), default=None)
            found.append(0.0 if b is None or max(a, b) <= 1e-12 else (b - a) / max(a, b))
    return mean(found)


def objective(term: Made) -> float:
    """J: pair by pair, in vectors of courses and of the wishes for equal values."""
    wishes = [rule for rule in term.rules if not rule["hard"] and rule["kind"] == "homogeneous"]
    total = sum(rule["weight"] for rule in wishes)
    students = sum(map(len, term.batches))

    def alike(one: int, other: int) -> float:
        courses = cosine(student_vector(term, one), student_vector(term, other))
        if not total:
            return courses
        wished = [
            rule["weight"] / total
            * cosine(*(unit(Counter(values(term, row, rule["field"]))) for row in (one, other)))
            for rule in wishes
        ]  # fmt: skip
        return 0.8 * courses + 0.2 * sum(wished)

    h = sum(
        sum(alike(one, other) for one in rows for other in rows if one != other) / (len(rows) - 1)
        for rows in term.batches
        if len(rows) > 1
    )
    least, target, most = SIZES["min"], SIZES["target"], SIZES["max"]
    c = min(least / (target - least) ** 2, most / (most - target) ** 2)
    z = 1 - c * sum((len(rows) - target) ** 2 for rows in term.batches) / students
    return (0.4 * h / students + 0.3 * z) / 0.7
