"""Whom to call this week: the students whom a call is expected to help most, as many as can be called.

What a call does. A student at risk p is helped by `p · strength · s(p)`: the relative reduction of the risk follows
s(p) = 27/4 · p² · (1 − p), which is 1 at two thirds and falls to 0 on both sides, for those who would manage anyway and
for those who are nearly lost. That shape is an assumption. Its strength is fixed by one figure: a group at risk `at`
passes `gain` more often when it is called. It is measured where a trial was analysed (`at` is how many of its control
arm did not pass), otherwise it is the middle of `experiment.uplifts`, for students at two thirds. The strength is never
above 1: no call takes away more risk than there is. A call reaches all courses of a student: their benefits add up.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from studentsuccess.warehouse.alerts import Week
from studentsuccess.warehouse.experiment import Result
from studentsuccess.warehouse.interventions import Contact
from studentsuccess.warehouse.predictions import NOT_AT_RISK

Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]
PEAK = 2 / 3
MEASURED, ASSUMED = "measured", "assumed"
# Two benefits that differ less than this are one, and risk decides.
DIGITS = 12


def shape(risk: Floats) -> Floats:
    """The relative reduction at each risk, as a share of the largest one."""
    return np.asarray(27 / 4 * risk**2 * (1 - risk), np.float64)


@dataclass(frozen=True)
class Effect:
    """What a call does to the share that passes, in a group at risk `at`; `low` and `high` frame it."""

    gain: float
    at: float
    low: float
    high: float
    basis: str
    name: str = ""
    useless: str = ""

    def strength(self, gain: float) -> float:
        """The relative reduction where it is largest."""
        reach = self.at * float(shape(np.array([self.at]))[0])
        return min(1.0, max(0.0, gain) / reach) if reach > 0 else float(gain > 0)

    def benefit(self, risk: Floats) -> Floats:
        """By how much a call lowers each risk."""
        return np.asarray(risk * shape(risk) * self.strength(self.gain), np.float64)


def effect_of(trial: Result | None, uplifts: Sequence[float]) -> Effect:
    """The measured effect of the newest trial; where there is none, or it did not help, what the settings assume."""
    wanted = sorted(uplifts)
    middle = wanted[(len(wanted) - 1) // 2]
    assumed = Effect(middle, PEAK, wanted[0], wanted[-1], ASSUMED)
    if trial is None:
        return assumed
    gain, low, high = _measured(trial)
    if gain <= 0:
        return Effect(middle, PEAK, wanted[0], wanted[-1], ASSUMED, useless=trial.name)
    return Effect(gain, 1 - trial.control_rate, low, high, MEASURED, trial.name)


def _measured(trial: Result) -> tuple[float, float, float]:
    """The adjusted difference where there is one: it is the sharper of the two."""
    if trial.adjusted_diff is None or trial.adjusted_low is None or trial.adjusted_high is None:
        return trial.rate_diff, trial.ci_low, trial.ci_high
    return trial.adjusted_diff, trial.adjusted_low, trial.adjusted_high


@dataclass(frozen=True)
class Course:
    """One course of a student: the risk now and a week before (none: not scored then), and how sure that is."""

    code_module: str
    code_presentation: str
    week: int
    risk: float
    before: float | None
    decision: str

    @property
    def name(self) -> str:
        return f"{self.code_module} {self.code_presentation}".strip()


@dataclass(frozen=True)
class Reason:
    """What raises the risk, in words; `is_new` is unknown where the reasons of the week before are."""

    words: str
    actionable: bool
    is_new: bool | None


@dataclass(frozen=True)
class Call:
    """One student to call: the course at the highest risk first, what can be talked about first."""

    student_id: str
    benefit: float
    courses: tuple[Course, ...]
    reasons: tuple[Reason, ...]
    contacts: int
    last_contact: date | None

    @property
    def worst(self) -> Course:
        return self.courses[0]

    @property
    def talk(self) -> tuple[str, ...]:
        """What a conversation can be about."""
        return tuple(one.words for one in self.reasons if one.actionable)

    @property
    def background(self) -> tuple[str, ...]:
        return tuple(one.words for one in self.reasons if not one.actionable)

    @property
    def news(self) -> tuple[str, ...]:
        """The reasons that the week before did not have."""
        return tuple(one.words for one in self.reasons if one.is_new)


@dataclass(frozen=True)
class Expected:
    """How many more courses are passed when all of the list are called, and between what."""

    passes: float
    low: float
    high: float


@dataclass(frozen=True)
class Calls:
    """The list, and everyone who is not on it.

    Of `students` there are `cooling` (contacted lately) and `fine` (the model is sure that they are not at risk) left
    out, and for `waiting` there is no room. `above` of those are at a higher risk than anyone who is called.
    """

    on: date
    calls: tuple[Call, ...]
    students: int
    cooling: int
    fine: int
    waiting: int
    above: int
    effect: Effect
    expected: Expected


@dataclass(frozen=True)
class Rules:
    """How many can be called on which day, and how long nobody is called twice."""

    capacity: int
    cooldown_days: int
    on: date


def calls_of(week: Week, effect: Effect, rules: Rules) -> Calls:
    """The calls of the week, the most useful first."""
    everyone = _Everyone(week.predictions, effect)
    contacts = _by_student(one for one in week.contacts if one.on <= rules.on)
    cooling = np.array([_is_cooling(contacts.get(name, ()), rules) for name in everyone.names], bool)
    fine = everyone.fine & ~cooling
    order = everyone.order[~(cooling | fine)[everyone.order]]
    chosen, rest = order[: rules.capacity], order[rules.capacity :]
    details = _Details(week, contacts)
    most = everyone.risk[chosen].max() if len(chosen) else 1.0
    return Calls(
        rules.on,
        tuple(details.call(everyone.names[at], float(everyone.benefit[at])) for at in chosen.tolist()),
        len(everyone.names),
        int(cooling.sum()),
        int(fine.sum()),
        len(rest),
        int((everyone.risk[rest] > most).sum()),
        effect,
        everyone.expected(chosen),
    )


class _Everyone:
    """All students of the newest week: their risk, what a call would do, and whether they are surely fine."""

    def __init__(self, predictions: pa.Table, effect: Effect) -> None:
        now = predictions.filter(pa.array(np.asarray(predictions.column("weeks_back").to_numpy()) == 0))
        names = np.array(now.column("student_id").to_pylist(), object)
        risks = np.asarray(now.column("probability").to_numpy(), np.float64)
        unsure = np.array([word != NOT_AT_RISK for word in now.column("decision").to_pylist()], bool)
        found, place = np.unique(names, return_inverse=True)
        self._effect, self._risks, self._place = effect, risks, place.ravel()
        self.names: list[str] = [str(name) for name in found]
        self.benefit = np.bincount(self._place, effect.benefit(risks), len(found))
        self.risk = np.zeros(len(found))
        np.maximum.at(self.risk, self._place, risks)
        self.fine: Mask = np.bincount(self._place, unsure, len(found)) == 0

    @cached_property
    def order(self) -> npt.NDArray[np.int64]:
        """Benefit first, then risk, then the id, so that nothing is left to chance."""
        return np.lexsort((np.arange(len(self.names)), -self.risk, -np.round(self.benefit, DIGITS)))

    def expected(self, chosen: npt.NDArray[np.int64]) -> Expected:
        mine = self._risks[np.isin(self._place, chosen)]
        whole = float((mine * shape(mine)).sum())
        effect = self._effect
        return Expected(*(whole * effect.strength(gain) for gain in (effect.gain, effect.low, effect.high)))


def _by_student(contacts: Iterator[Contact]) -> Mapping[str, tuple[Contact, ...]]:
    found: dict[str, list[Contact]] = {}
    for one in contacts:
        found.setdefault(one.student_id, []).append(one)
    return {name: tuple(ones) for name, ones in found.items()}


def _is_cooling(contacts: Sequence[Contact], rules: Rules) -> bool:
    """After 14 days of cool-down a student can be called on the fourteenth day again: the same weekday."""
    return any((rules.on - one.on).days < rules.cooldown_days for one in contacts)


class _Details:
    """What is said of a student on the list."""

    def __init__(self, week: Week, contacts: Mapping[str, tuple[Contact, ...]]) -> None:
        self._contacts = contacts
        self._now: dict[str, list[dict[str, Any]]] = {}
        self._before: dict[int, float] = {}
        for row in week.predictions.to_pylist():
            if row["weeks_back"]:
                self._before[row["enrollment_id"]] = row["probability"]
            else:
                self._now.setdefault(row["student_id"], []).append(row)
        self._reasons: dict[int, list[dict[str, Any]]] = {}
        for row in week.reasons.to_pylist():
            self._reasons.setdefault(row["enrollment_id"], []).append(row)
        seen = week.seen.to_pylist()
        self._seen = {tuple(row.values()) for row in seen}
        self._known = {row["course_run_id"] for row in seen}

    def call(self, student: str, benefit: float) -> Call:
        rows = sorted(self._now[student], key=lambda row: (-row["probability"], row["course_run_id"]))
        contacts = self._contacts.get(student, ())
        return Call(
            student,
            benefit,
            tuple(self._course(row) for row in rows),
            self._why(rows),
            len(contacts),
            max((one.on for one in contacts), default=None),
        )

    def _course(self, row: dict[str, Any]) -> Course:
        before = self._before.get(row["enrollment_id"])
        names = (row["code_module"], row["code_presentation"])
        return Course(*names, row["week"], row["probability"], before, row["decision"])

    def _why(self, rows: Sequence[dict[str, Any]]) -> tuple[Reason, ...]:
        """Of all courses, what can be acted on first, then by strength; with several courses each says which."""
        reasons = [(row, reason) for row in rows for reason in self._reasons.get(row["enrollment_id"], ())]
        reasons.sort(key=lambda pair: (not pair[1]["actionable"], -pair[1]["effect"]))
        strongest: dict[tuple[int, str], str] = {}
        for _, reason in reasons:
            strongest.setdefault(_topic(reason), reason["feature"])
        # A second reason about another thing says more than a stronger one about the same: lowest mark, mean mark.
        reasons.sort(key=lambda pair: (not pair[1]["actionable"], strongest[_topic(pair[1])] != pair[1]["feature"]))
        said: dict[str, Reason] = {}
        for row, reason in reasons:
            words = f"{row['code_module']}: {reason['words']}" if len(rows) > 1 else reason["words"]
            said.setdefault(words, Reason(words, reason["actionable"], self._is_new(reason)))
        return tuple(said.values())

    def _is_new(self, reason: dict[str, Any]) -> bool | None:
        if reason["course_run_id"] not in self._known:
            return None
        return (reason["course_run_id"], reason["student_id"], reason["feature"]) not in self._seen


def _topic(reason: dict[str, Any]) -> tuple[int, str]:
    """What a feature is about, by the first word of its name: score_mean and score_last are about marks."""
    return reason["enrollment_id"], str(reason["feature"]).partition("_")[0]
