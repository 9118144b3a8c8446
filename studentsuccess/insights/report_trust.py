"""How sure all this is, what it can't say, what it was made of, and how."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from studentsuccess.core import charts
from studentsuccess.core.charts import About, Point
from studentsuccess.core.counts import Counts
from studentsuccess.core.page import (
    Block,
    Bullets,
    Chart,
    Code,
    Grid,
    Note,
    Paragraph,
    Section,
    Strong,
    Text,
    missing,
    say,
)
from studentsuccess.insights.report_setting import Setting
from studentsuccess.insights.report_words import figure, listed, percent, several
from studentsuccess.warehouse.report import BacktestFigure, Facts, Load

BACKTEST = "ss train local --algorithm risk --backtest"
USE = "use"
# Of a bin of predicted risks: their mean, and the share that failed or left.
PROMISED, KEPT = "mean_predicted", "base_rate"
SHORT = 12
ByMetric = Mapping[str, BacktestFigure]


def how_sure(facts: Facts, setting: Setting) -> Section:
    """What the model got right on terms whose end is known."""
    return Section("sure", "How sure we are", tuple(_how_sure(facts, setting)))


def is_split(facts: Facts) -> bool:
    """Whether a single term had to be both teacher and pupil."""
    return any(run.taught for run in facts.runs)


def _how_sure(facts: Facts, setting: Setting) -> Iterator[Block]:
    if is_split(facts):
        yield Note(
            say(
                Strong("There is only one term."),
                " The model learned from some of its students and is shown for the others. How well it carries over to"
                " a new term is not known yet: with a second term it will be.",
            )
        )
    yield from _backtest(facts.backtest, _newest_week(facts), setting)
    yield from _model(facts)


def _newest_week(facts: Facts) -> int:
    return max((run.week for run in facts.runs), default=0)


def headline(found: Sequence[BacktestFigure], week: int) -> BacktestFigure | None:
    """The AUC of the week that is nearest to the one being reported."""
    mine = [one for one in _main(found) if one.metric == "auc" and one.scope == "all" and one.value is not None]
    return min(mine, key=lambda one: (abs(one.week - week), one.week), default=None)


def _main(found: Sequence[BacktestFigure]) -> list[BacktestFigure]:
    """One model's figures: with demographic columns where there is such a one."""
    used = USE if any(one.demographics == USE for one in found) else None
    return [one for one in found if used is None or one.demographics == used]


def _backtest(found: Sequence[BacktestFigure], week: int, setting: Setting) -> Iterator[Block]:
    mine = _main(found)
    if not mine:
        yield missing("A test on a past term, week by week and with intervals, has not been made yet:", BACKTEST)
        return
    best = headline(mine, week)
    yield Paragraph(
        say(
            f"Tested as it is used: the model learned from {_terms(mine[0].train_terms)} and was judged on"
            f" {_terms(mine[0].test_terms)}, whose end is known but which it had never seen."
        )
    )
    if best is not None and best.value is not None:
        yield Paragraph(
            say(
                f"Of two students, one who failed or left and one who passed, it ranked the right one higher in"
                f" {percent(best.value)} of all cases by week {best.week}; a coin gets 50 %."
            )
        )
    yield _figures(mine, setting)
    yield from _reliability(mine, best.week if best else week, setting)


def _terms(text: str) -> str:
    return ", ".join(part for part in re.split(r"[,+ ]+", text) if part)


def _figures(mine: Sequence[BacktestFigure], setting: Setting) -> Grid:
    weeks = sorted({one.week for one in mine if one.scope == "all"})
    rows = []
    for week in weeks:
        of: ByMetric = {one.metric: one for one in mine if one.scope == "all" and one.week == week}
        n = next(iter(of.values())).n
        if n < setting.least:
            rows.append((str(week), f"<{setting.least}", *["–"] * 4))
            continue
        rows.append((str(week), f"{n:,}", *(_one(of, name, places) for name, places in _SHOWN)))
    return Grid(
        "Figures by week, with 95 % intervals",
        ("week", "students", "ranked right (AUC)", "found by calling 20 %", "Brier score", "calibration error (ECE)"),
        tuple(rows),
    )


_MEASURED = (("auc", "an AUC of"), ("accuracy", "an accuracy of"), ("ece", "a calibration error (ECE) of"))
_SHOWN = (("auc", 2), ("recall_at_20", 2), ("brier", 3), ("ece", 3))


def _one(of: ByMetric, name: str, places: int) -> str:
    found = of.get(name)
    return figure(found.value, found.low, found.high, places) if found else figure(None)


def _reliability(mine: Sequence[BacktestFigure], week: int, setting: Setting) -> Iterator[Block]:
    """Bins of few students are left out: they would say more about those few than about the model."""
    found: dict[str, dict[str, BacktestFigure]] = {}
    for one in mine:
        if one.scope == "bin" and one.week == week and one.n >= setting.least:
            found.setdefault(one.member, {})[one.metric] = one
    pairs = [(of[PROMISED], of[KEPT]) for _, of in sorted(found.items()) if {PROMISED, KEPT} <= of.keys()]
    points = [
        Point(promised.value, kept.value, kept.low, kept.high)
        for promised, kept in pairs
        if promised.value is not None and kept.value is not None
    ]
    if len(points) < 2:
        return
    worst = max(points, key=lambda one: abs(one.kept - one.promised))
    says = (
        f"{len(points)} groups of students by predicted risk. On the dashed line, risks come true as predicted; the"
        f" farthest from it was predicted {percent(worst.promised)} and came to {percent(worst.kept)}."
    )
    rows = tuple((percent(one.promised), figure(one.kept, one.low, one.high)) for one in points)
    grid = Grid(f"Predicted and true, week {week}", ("predicted risk", "share that failed or left"), rows)
    yield Chart(charts.reliability(About("reliability", "Do predicted risks come true?", says), points), grid)


def _model(facts: Facts) -> Iterator[Block]:
    if not facts.runs:
        return
    known = facts.model
    label = facts.runs[0].model
    if known is None:
        yield Paragraph(say(f"Model {label}, of which this workspace's registry knows nothing more."))
        return
    yield Paragraph(
        say(
            f"Model {label}, trained on {several(known.rows_train, 'enrolment')} and judged on"
            f" {known.rows_holdout:,} that it never saw ({known.holdout_basis.replace(':', ' ')}). Everything shown"
            " here is of students from whom it did not learn." + _judged(known.figures)
        )
    )


def _judged(found: Mapping[str, float]) -> str:
    """What the training itself measured, which has no intervals."""
    told = [f"{said} {found[name]:.3f}" for name, said in _MEASURED if name in found]
    return f" There it had {listed(told)}." if told else ""


def limits(facts: Facts, setting: Setting) -> Section:
    """What nobody should read into the rest."""
    items = [
        say("A risk is not a verdict. Of ten students at 70 %, three are expected to pass; nobody can know which."),
        say("The model sees what the systems record. Illness, work or worries it sees only by what they leave undone."),
        say("What goes with failing need not be its cause, and what can't be changed must not decide who gets help."),
        say(
            f"Figures of fewer than {setting.least} students are hidden, and totals that would give them away."
            " A student in two courses counts twice."
        ),
        say("If courses, marking or rules have changed since the terms it learned from, it is less right than tested."),
    ]
    if not any("studentVle" in one for load in facts.loads for one in load.counts):
        items.append(say("No clicks were loaded: the model goes by marks and history alone."))
    return Section("limits", "What this can't say", (Bullets(tuple(items)),))


def data(facts: Facts, setting: Setting) -> Section:
    """The rows that were read, and what became of them."""
    return Section("data", "The data behind it", tuple(_data(facts, setting)))


def _data(facts: Facts, setting: Setting) -> Iterator[Block]:
    standing = standing_loads(facts.loads)
    if not standing:
        yield missing("Nothing is known of how the data came in:", "ss etl FOLDER")
        return
    rows: dict[str, Counts] = {}
    for load in standing:
        for name, counts in load.counts.items():
            rows[name] = rows.get(name, Counts()) + counts
    whole = sum(rows.values(), Counts())
    yield Paragraph(
        say(
            f"{several(whole.read, 'row')} read, {whole.kept:,} kept, {whole.rejected:,} rejected.",
            *_letters(whole, setting),
        )
    )
    yield Grid(
        "Rows by table",
        ("table", "read", "kept", "rejected", "repeats"),
        tuple(
            (name, *(f"{number:,}" for number in (one.read, one.kept, one.rejected, one.duplicate)))
            for name, one in rows.items()
        ),
    )
    earlier = len(facts.loads) - len(standing)
    if earlier:
        yield Paragraph(say(f"{several(earlier, 'earlier load')} of other course runs may stand beside this one."))


def _letters(whole: Counts, setting: Setting) -> Text:
    if not whole.rejected:
        return ()
    return say(" Each that was rejected stands with its reason and its place in ", Code(setting.letters_folder), ".")


def standing_loads(loads: Sequence[Load]) -> Sequence[Load]:
    """The newest load, and the mended rows that were fed back into it."""
    begins = [place for place, load in enumerate(loads) if not load.extends]
    return loads[begins[-1] :] if begins else ()


def how_made(facts: Facts) -> Section:
    """Enough for somebody else to hold this page against the ledger."""
    return Section("made", "How this was made", tuple(_how_made(facts)))


def _how_made(facts: Facts) -> Iterator[Block]:
    yield Paragraph(
        say("Made by ", Code("ss report"), " from the warehouse alone. ", Code("ss verify"), " holds every run and file"
            " below against the ledger.")
    )  # fmt: skip
    yield Grid(
        "Runs",
        ("step", "run", "settings", "program"),
        tuple((one.command, one.run_id, one.config_digest[:SHORT], one.program_version) for one in facts.made),
        words=True,
    )
    files = {fact.path: fact for load in standing_loads(facts.loads) for fact in load.inputs}
    if files:
        yield Grid(
            "Files that were read",
            ("file", "bytes", "sha256 begins with"),
            tuple((_file_name(path), f"{fact.size:,}", fact.sha256[:SHORT]) for path, fact in files.items()),
            words=True,
        )
    if facts.model is not None:
        yield Paragraph(say("The model's manifest has the sha256 ", Code(facts.model.manifest_sha256[:SHORT]), "…"))


def _file_name(path: str) -> str:
    """The folders of a path may name a person."""
    return re.split(r"[/\\]", path)[-1]
