"""What `ss batch` shows: a plan, a result, findings, and why there is no solution."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from studentsuccess.cli.frame import Frame
from studentsuccess.cli.output import Shape, Table
from studentsuccess.core.counts import rows_of

if TYPE_CHECKING:
    from studentsuccess.batching.checker import Verified
    from studentsuccess.batching.inputs import Read
    from studentsuccess.batching.instance import Obstacle
    from studentsuccess.tasks.batch import BatchPlan, BatchResult, NoSolutionError

VERDICTS = {"PASS": "met", "FAIL": "not met", "UNATTAINABLE": "not attainable here", None: ""}
Said = Mapping[str, Mapping[str, object]]


def show_plan(frame: Frame, made: BatchPlan) -> None:
    """What a run would read and write."""
    document = {
        "plan": "batch process",
        "ready": True,
        "students": made.students,
        "reads": [one.path for one in made.read.files],
        "writes": list(made.outputs),
        "already_done": bool(made.done),
        "warnings": list(made.warnings),
    }
    words = [f"students  {made.students:,}", f"reads  {', '.join(one.path for one in made.read.files)}"]
    words += [f"already done by run {made.done}: a run would change nothing"] if made.done else []
    frame.output.result(document, Table(("writes",), [(one,) for one in made.outputs], words))


def show_result(frame: Frame, done: BatchResult) -> None:
    document = {
        "run_id": done.run_id,
        "students": done.students,
        "batches": done.batches,
        "objective": done.objective,
        "bound": done.bound,
        "random": done.random,
        "gap_closed": done.gap_closed,
        "moved": done.moved,
        "hard_violations": done.hard_violations,
        "soft_violations": done.soft_violations,
        "measures": done.measures,
        "outputs": list(done.outputs),
        "dead_letters": list(done.dead_letters),
        "already_done": done.already_done,
        "notes": list(done.notes),
    }
    frame.output.result(document, _measured(done.measures))
    for note in done.notes:
        if note not in frame.output.warnings:
            frame.output.note(note)
    if done.dead_letters:
        frame.output.warn(f"{rows_of(done.rejected)} rejected, none lost: {', '.join(done.dead_letters)}")
    if done.already_done:
        frame.output.note(f"already done by run {done.run_id}: nothing new, nothing changed")
        return
    closed = "" if done.gap_closed is None else f", {done.gap_closed:.0%} of the way from chance to it"
    share = done.objective / done.bound if done.bound else 1.0
    frame.output.note(
        f"{done.students:,} students in {done.batches:,} batches: {share:.1%} of what is provably the most{closed}"
    )
    frame.output.note(f"run {done.run_id}: {', '.join(done.outputs[:1])} and {len(done.outputs) - 1} more files")


def _measured(measures: Said) -> Table:
    rows = [
        (name, _number(one["value"]), _number(one["ceiling"]), _number(one["threshold"]), _verdict(one["verdict"]))
        for name, one in measures.items()
    ]
    return Table(("measure", "value", "at most here", "wanted", "verdict"), rows)


def _verdict(said: object) -> str:
    return VERDICTS[None if said is None else str(said)]


def _number(value: object) -> str:
    return f"{value:.3f}" if isinstance(value, float | int) else ""


def show_check(frame: Frame, read: Read) -> None:
    """Every problem, and of every file what it is and whether it is ready."""
    ready = read.instance is not None
    document = {
        "ready": ready,
        "files": [
            {
                "path": one.path,
                "role": one.role,
                "encoding": one.encoding,
                "delimiter": one.delimiter,
                "rows": one.rows,
                "columns": one.columns,
                "sha256": one.fact.sha256,
                "ready": one.ready,
            }
            for one in read.files
        ],
        "problems": [
            {
                "severity": one.severity,
                "code": str(one.code),
                "file": one.file,
                "line": one.line,
                "column": one.column,
                "message": one.message,
                "fix": one.fix,
                "count": one.count,
                "lines": list(one.lines),
            }
            for one in read.problems
        ],
    }
    rows = [(one.severity, str(one.code), one.text, one.fix) for one in read.problems]
    words = [
        f"{one.path}  {one.role}, {rows_of(one.rows or 0)}, {len(one.columns)} columns, {one.encoding}"
        f"{'' if one.ready else ', not ready'}"
        for one in read.files
    ]
    errors = sum(not one.warning for one in read.problems)
    words += ["ready" if ready else f"not ready: {errors} to mend"]
    frame.output.result(document, Table(("severity", "code", "what", "fix"), rows, words))


def show_no_solution(frame: Frame, problem: NoSolutionError) -> None:
    """The reasons, and the ways out that were tried and work; numbered for people."""
    if frame.output.shape is Shape.JSON:
        frame.output.result(problem.document, Table((), ()))
    elif frame.output.shape is Shape.CSV:
        header = ("code", "scope", "required", "available", "shortfall", "says", "way_out", "flag")
        frame.output.result(problem.document, Table(header, list(_csv_rows(problem.obstacles))))
    frame.output.error(problem)
    if frame.output.shape not in (Shape.JSON, Shape.CSV):
        others = [one.words for one in problem.obstacles[1:]]
        rows = [(number, *row) for number, row in enumerate(_ways_out(problem.obstacles), 1)]
        table = Table(("", "way out", "add to the command"), rows, [f"also: {words}" for words in others])
        frame.output.result(problem.document, table)


def _ways_out(obstacles: tuple[Obstacle, ...]) -> Iterator[tuple[str, str]]:
    seen = dict.fromkeys((fix.words, fix.flag) for one in obstacles for fix in one.fixes)
    yield from seen


def _csv_rows(obstacles: tuple[Obstacle, ...]) -> Iterator[tuple[object, ...]]:
    for one in obstacles:
        facts = (one.code, one.scope, one.required, one.available, one.shortfall, one.words)
        if not one.fixes:
            yield (*facts, "", "")
        for fix in one.fixes:
            yield (*facts, fix.words, fix.flag)


def show_verified(frame: Frame, found: Verified) -> None:
    document = {
        "ok": found.ok,
        "students": found.students,
        "batches": found.batches,
        "hard_violations": found.hard_violations,
        "violations": [{"rule": one.rule, "hard": one.hard, "count": one.count} for one in found.violations],
        "measures": found.measures,
        "disagreements": list(found.disagreements),
    }
    words = [f"differs: {one}" for one in found.disagreements]
    words += [f"not kept: {one.rule}, in {one.count:,} batches" for one in found.violations if one.hard and one.count]
    words += [
        f"{found.students:,} students in {found.batches:,} batches, all as it is said" if found.ok else "not in order"
    ]
    rows = [(name, f"{value:.6f}") for name, value in found.measures.items()]
    frame.output.result(document, Table(("measure", "recomputed"), rows, words))
