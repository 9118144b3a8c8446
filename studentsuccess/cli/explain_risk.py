"""`ss explain` where the risk model is meant."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from studentsuccess.cli.output import Table

if TYPE_CHECKING:
    from studentsuccess.cli.frame import Frame
    from studentsuccess.tasks.context import Context
    from studentsuccess.tasks.risk_explain import Course

MOST = 15


def run(frame: Frame, context: Context, model: str | None, student: Sequence[str], top: int | None) -> None:
    """One student's reasons, or what the model looks at over all of them."""
    from studentsuccess.tasks import risk_explain as task

    if student:
        _show_students(frame, {one: task.student(one, context) for one in student})
        return
    with frame.working("looking at the model"):
        made = task.plan(model, context)
    if frame.dry_run:
        document = {"plan": "explain", "model": made.scoring.entry.label, "week": made.week}
        document["already_explained"] = bool(made.done)
        frame.output.result(document, Table(("model", "week"), [(made.scoring.entry.label, made.week)]))
        return
    result = task.run(made, frame.reporter())
    told = result.document["features"]
    shown = told[: top or MOST]
    rows = [
        (
            one["name"],
            f"{one['mean_abs']:.3f}",
            f"{one['share']:.1%}",
            "yes" if one["actionable"] else "no",
            one["direction"],
        )
        for one in shown
    ]
    document = {**result.document, "features": told[:top], "outputs": list(result.outputs), "run_id": result.run_id}
    document["already_explained"] = result.already_done
    frame.output.result(document, Table(("feature", "mean push", "share", "can be acted on", "what it does"), rows))
    if len(shown) < len(told):
        frame.output.note(f"the strongest {len(shown)} of {len(told)} features; `--top {len(told)}` shows all")
    state = "already explained by" if result.already_done else "explained:"
    frame.output.note(f"{state} run {result.run_id}: {', '.join(result.outputs)}")


def _show_students(frame: Frame, told: Mapping[str, Sequence[Course]]) -> None:
    """One student as a document, several as a list in one."""
    found = [_document(courses, student) for student, courses in told.items()]
    lines = [line for courses in told.values() for one in courses for line in _words(one)]
    frame.output.result(found[0] if len(found) == 1 else {"students": found}, Table((), (), lines))


def _document(courses: Sequence[Course], student: str) -> dict[str, Any]:
    return {
        "student": student,
        "courses": [
            {
                "course_run": one.course,
                "week": one.week,
                "probability": one.probability,
                "a_week_before": one.before,
                "decision": one.decision,
                "can_be_acted_on": list(one.can),
                "cannot_be_changed": list(one.cannot),
            }
            for one in courses
        ],
    }


def _words(one: Course) -> list[str]:
    before = f", a week before {one.before:.0%}" if one.before is not None else ""
    lines = [f"{one.course}, week {one.week}: {one.probability:.0%} risk of not passing ({one.decision}{before})"]
    parts: list[tuple[str, Any]] = [("to talk about", one.can), ("good to know", one.cannot)]
    for title, reasons in parts:
        lines += [f"  {title}:"] if reasons else []
        lines += [f"    {reason}" for reason in reasons]
    return lines
