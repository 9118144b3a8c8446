"""`ss roi`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from studentsuccess.cli.experiment import PLAN_NOT_EVIDENCE
from studentsuccess.cli.frame import Frame, command
from studentsuccess.cli.output import Table

if TYPE_CHECKING:
    from studentsuccess.insights.roi import BreakEven, Cell, Range
    from studentsuccess.tasks.roi import RoiPlan, RoiResult

FORMULA = "ROI = extra passes x value of a pass - cost of a contact x students contacted"


def _own(*flags: str, about: str) -> Any:
    return typer.Option(*flags, help=about, metavar="AMOUNT", show_default=False)


def register(app: typer.Typer) -> None:
    @command(app, "roi", changes=True, epilog="Example: ss roi --value-per-pass 2000 --intervention-cost 40")
    def roi(
        frame: Frame,
        value: Annotated[
            float | None, _own("--value-per-pass", about="Worth of one more student who passes; default: 1200.")
        ] = None,
        cost: Annotated[
            float | None, _own("--intervention-cost", about="Cost of contacting one student; default: 150.")
        ] = None,
    ) -> None:
        """What contact is worth, and up to which cost it pays."""
        configuration = frame.configuration({"roi.value_per_pass": value, "roi.intervention_cost": cost})
        from studentsuccess.tasks import roi as task
        from studentsuccess.tasks.context import Context

        made = task.plan(Context(configuration, frame.wait))
        for warning in made.warnings:
            frame.output.warn(warning)
        _show(frame, made, None if frame.dry_run else task.run(made, frame.reporter()))


def _show(frame: Frame, made: RoiPlan, done: RoiResult | None) -> None:
    found = made.found
    document = {
        "run_id": done.run_id if done else None,
        "already_done": bool(made.done),
        "formula": FORMULA,
        "contacted": found.contacted.students,
        "expected_passes": found.contacted.expected_passes,
        "value_per_pass": found.value,
        "grid": [_cell(cell) for cell in found.cells],
        "break_even": [
            {**_named(line), "cost_per_contact": line.mid, "low": line.low, "high": line.high}
            for line in found.break_even
        ],
        ("writes" if done is None else "outputs"): list(made.outputs),
        "warnings": list(made.warnings),
        "note": PLAN_NOT_EVIDENCE,
    }
    costs = list(dict.fromkeys(cell.cost for cell in found.cells))
    header = ("if contact adds", *(f"at {cost:g} a contact" for cost in costs), "pays up to (interval)")
    by_effect = {line.effect: [cell for cell in found.cells if cell.effect == line.effect] for line in found.break_even}
    rows = [
        (line.effect.label, *(f"{round(cell.roi.mid):,}" for cell in by_effect[line.effect]), _up_to(line))
        for line in found.break_even
    ]
    frame.output.result(document, Table(header, rows))
    _say(frame, made, done)


def _say(frame: Frame, made: RoiPlan, done: RoiResult | None) -> None:
    contacted = made.found.contacted
    frame.output.note(
        f"{contacted.students:,} students contacted, {contacted.expected_passes:.1f} of them expected to pass anyway;"
        f" {_amount(made.found.value)} a pass"
    )
    frame.output.note(PLAN_NOT_EVIDENCE)
    if done is None:
        return
    if done.already_done:
        frame.output.note(f"already computed by run {done.run_id}: nothing new, nothing changed")
    else:
        frame.output.note(f"run {done.run_id}: {', '.join(made.outputs)}")


def _up_to(line: BreakEven) -> str:
    if line.mid is None:
        return "never"
    low = "never" if line.low is None else _amount(line.low)
    return f"{_amount(line.mid)} ({low} to {_amount(line.high or 0.0)})"


def _amount(value: float) -> str:
    return f"{value:,.2f}".removesuffix(".00")


def _named(one: BreakEven | Cell) -> dict[str, object]:
    return {"kind": one.effect.kind, "name": one.effect.name, "uplift_scenario": one.effect.uplift}


def _cell(cell: Cell) -> dict[str, object]:
    return {
        **_named(cell),
        "cost_per_contact": cell.cost,
        "intervention_cost": cell.whole_cost,
        "incremental_passes": _range(cell.extra),
        "roi": _range(cell.roi),
        "cost_per_extra_pass": cell.cost_per_pass,
        "break_even_uplift": cell.break_even_uplift,
    }


def _range(one: Range) -> dict[str, float]:
    return {"low": one.low, "mid": one.mid, "high": one.high}
