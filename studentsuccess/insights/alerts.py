"""When a class, or all classes together, gives reason for alarm: too many at high risk, or a risk that rose.

Both are about predictions, each with a limit of its own, and neither limit is the probability from which one student is
at high risk. What is hidden in the published summary is hidden here by the same rules (`suppress`), or what one of the
two shows would give away what the other hides. A class that is hidden altogether is not judged either, and one whose
rate or mean is hidden only where that gives nothing away (`alerts_told`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa

from studentsuccess.insights.alerts_told import Secret, may_tell
from studentsuccess.insights.suppress import Cells, Hidden, hide

NONE, THRESHOLD, SPIKE, BOTH = "none", "threshold", "spike", "threshold_and_spike"
ALL_CLASSES = "all classes"
# A rise is compared after rounding: 0.22 after 0.20 is 10%, and not a hair more.
DIGITS = 12
TINY = 1e-9
# A change that rounds to 0%.
SMALL_CHANGE = 0.005


@dataclass(frozen=True)
class Limits:
    """What raises an alert (shares), from which probability a student is at high risk, and what is too few to show."""

    high_risk_share: float
    spike: float
    high_risk: float
    least: int


@dataclass(frozen=True)
class Group:
    """A class in its newest week, or all of them: what is known, and what of it may be shown.

    `before` is the mean risk one week earlier, of the same classes; without a name it is all classes. A rate that is
    hidden may still be held against its limit where `share_told` says so.
    """

    code_module: str | None
    code_presentation: str | None
    week: int
    students: int
    high: int
    mean: float
    before: float | None
    hidden: bool = False
    rate_hidden: bool = False
    mean_hidden: bool = False
    share_told: bool = True

    @property
    def name(self) -> str:
        return " ".join(part for part in (self.code_module, self.code_presentation) if part) or ALL_CLASSES

    @property
    def rate(self) -> float:
        return self.high / self.students

    @property
    def spike(self) -> float | None:
        """By what share the mean rose (or fell); after nothing, or after 0, that can't be said."""
        return None if not self.before else round(self.mean / self.before - 1, DIGITS)


@dataclass(frozen=True)
class Alert:
    """What is said of a group, with nothing in it that may not be shown."""

    group: Group
    kind: str
    high_risk_rate: float | None
    spike_pct: float | None
    students: int | None
    message: str

    @property
    def raised(self) -> bool:
        return self.kind != NONE


def alerts(classes: pa.Table, limits: Limits) -> tuple[Alert, ...]:
    """Every class in its newest week by name, all of them together first. `classes` is that of the warehouse's week."""
    return tuple(judged(group, limits) for group in groups(classes, limits))


def groups(classes: pa.Table, limits: Limits) -> tuple[Group, ...]:
    """The groups behind the alerts, in their order."""
    hidden = hide(_cells(classes), limits.least, limits.high_risk)
    rows = classes.to_pylist()
    newest = {row["course_run_id"]: row["week"] for row in sorted(rows, key=lambda row: int(row["week"]))}
    places = {(row["course_run_id"], row["week"]): at for at, row in enumerate(rows)}
    found, before = [], []
    for (run, week), at in places.items():
        if newest[run] == week:
            earlier = places.get((run, week - 1))
            found.append(_group(rows, at, earlier, hidden))
            before.append(None if earlier is None else (rows[earlier]["students"], rows[earlier]["mean"]))
    everything = _together(found, before, limits.least)
    ordered = sorted(found, key=lambda one: (one.code_module or "", one.code_presentation or ""))
    return _told((everything, *ordered), limits)


def _told(found: tuple[Group, ...], limits: Limits) -> tuple[Group, ...]:
    """All hidden rates of the week are held against the limit, or none of them is."""
    everything, *classes = found
    secrets = [_secret(one, limits) for one in classes if one.rate_hidden]
    total = _secret(everything, limits) if everything.rate_hidden else None
    if may_tell(secrets, total, limits.high_risk, limits.high_risk_share, limits.least):
        return found
    return tuple(replace(one, share_told=not one.rate_hidden) for one in found)


def _secret(group: Group, limits: Limits) -> Secret:
    above = None if group.hidden else group.rate > limits.high_risk_share
    return Secret(group.students, group.high, None if group.mean_hidden else group.mean * group.students, above)


def _cells(classes: pa.Table) -> Cells:
    """As the summary sees them: a class is a course run, a total is over the classes of a term in one week."""

    def codes(*names: str) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
        keys = list(zip(*(classes.column(name).to_pylist() for name in names), strict=True))
        order = {key: at for at, key in enumerate(sorted(set(keys)))}
        return np.array([order[key] for key in keys], np.int64)

    count, high, mean = (np.asarray(classes.column(name).to_numpy()) for name in ("students", "high", "mean"))
    series, period = codes("course_run_id"), codes("code_presentation", "week")
    return Cells(series, period, count.astype(np.int64), high.astype(np.int64), mean.astype(np.float64))


def _group(rows: Sequence[dict[str, Any]], at: int, earlier: int | None, hidden: Hidden) -> Group:
    """A mean that is hidden in the week before hides the change as well: from it the mean could be worked out."""
    row, everything = rows[at], hidden.everything
    no_mean = any(bool(hidden.mean[one]) for one in (at, earlier) if one is not None)
    return Group(
        row["code_module"],
        row["code_presentation"],
        row["week"],
        row["students"],
        row["high"],
        row["mean"],
        None if earlier is None else rows[earlier]["mean"],
        bool(everything[at]),
        bool(everything[at] or hidden.rate[at]),
        bool(everything[at] or no_mean),
    )


def _together(found: Sequence[Group], before: Sequence[tuple[int, float] | None], least: int) -> Group:
    """All classes; the week before is of those that have one. What no class shows the total does not show either."""
    students = sum(one.students for one in found)
    earlier = [(one, known) for one, known in zip(found, before, strict=True) if known is not None]
    mean, past = sum(one.mean * one.students for one in found) / students, None
    if earlier and len(earlier) == len(found):
        past = sum(count * value for _, (count, value) in earlier) / sum(count for _, (count, _) in earlier)
    return Group(
        None,
        None,
        max(one.week for one in found),
        students,
        sum(one.high for one in found),
        mean,
        past,
        students < least or all(one.hidden for one in found),
        all(one.rate_hidden for one in found),
        all(one.mean_hidden for one in found),
    )


def judged(group: Group, limits: Limits) -> Alert:
    """Hold a group against the limits, and put that into a sentence."""
    if group.hidden:
        message = f"{_place(group)}: too few students to be shown"
        return Alert(group, NONE, None, None, None, message)
    many = group.share_told and group.rate > limits.high_risk_share
    spike = None if group.mean_hidden else group.spike
    rose = spike is not None and spike > limits.spike
    kind = {(False, False): NONE, (True, False): THRESHOLD, (False, True): SPIKE, (True, True): BOTH}[many, rose]
    message = f"{_place(group)}: " + "; ".join((_share(group, limits, many=many), _moved(group, limits)))
    return Alert(
        group,
        kind,
        None if group.rate_hidden else group.rate,
        spike,
        group.students,
        message,
    )


def headline(alert: Alert, limits: Limits) -> str:
    """An alert that was raised, in a few words."""
    group, kind = alert.group, alert.kind.replace("_", " ")
    if alert.kind == SPIKE:
        rise = beside(alert.spike_pct or 0.0, limits.spike)
        return f"{kind}: the mean risk of {group.name} rose by {rise} (limit {percent(limits.spike)})"
    rate, limit = alert.high_risk_rate, limits.high_risk_share
    share = f"more than {percent(limit)}" if rate is None else beside(rate, limit)
    return f"{kind}: {share} of {group.name} is at high risk" + ("" if rate is None else f" (limit {percent(limit)})")


def _place(group: Group) -> str:
    return f"{group.name}, week {group.week}"


def _share(group: Group, limits: Limits, *, many: bool) -> str:
    limit = limits.high_risk_share
    of_them = f"of {group.students:,} students are at high risk"
    if not group.rate_hidden:
        return f"{beside(group.rate, limit)} {of_them} (limit {percent(limit)})"
    if not group.share_told:
        return f"how many {of_them} is hidden, few students are behind it"
    return f"{'more than' if many else 'at most'} {percent(limit)} {of_them} (few students are behind it: hidden)"


def _moved(group: Group, limits: Limits) -> str:
    before, spike = group.week - 1, group.spike
    if group.mean_hidden:
        return "the mean risk is hidden"
    if group.before is None:
        return f"nothing was predicted for week {before} to compare the mean risk with"
    if spike is None:
        return f"the mean risk was 0 in week {before}, so that no share can say how it changed since"
    if abs(spike) < SMALL_CHANGE and spike <= limits.spike:
        return f"the mean risk is as good as unchanged since week {before}"
    limit = f" (limit {percent(limits.spike)})" if spike > 0 else ""
    return (
        f"the mean risk {'rose' if spike > 0 else 'fell'} by {beside(abs(spike), limits.spike)} since week {before},"
        f" from {group.before:.3f} to {group.mean:.3f}{limit}"
    )


def percent(share: float) -> str:
    """A share to its last decimal, within reason."""
    found = (f"{share:.{digits}%}" for digits in range(6))
    return next((text for text in found if abs(float(text[:-1]) - 100 * share) < TINY), f"{share:.6%}")


def beside(share: float, limit: float) -> str:
    """A share with as few decimals as tell it from its limit."""
    pairs = ((f"{share:.{digits}%}", f"{limit:.{digits}%}") for digits in range(7))
    return next((text for text, other in pairs if text != other or share == limit), f"{share:.9%}")
