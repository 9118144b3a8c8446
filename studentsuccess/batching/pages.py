"""The report as a page: how large and how alike the batches are, how full the rooms, what is not kept, who was hard to
place and why. No name of a student is on it; ids are, of those who were hard to place."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from studentsuccess.batching.quality import FAIL, PASS, UNATTAINABLE, Measure
from studentsuccess.batching.report_facts import BatchRow, Facts
from studentsuccess.core.charts import FIRST, PALE, SECOND, THIRD, About, Bar, bars, columns
from studentsuccess.core.page import Chart, Code, Grid, Headline, Note, Page, Paragraph, Section, Strong, say

# Rows of a table that is there to be looked at; the CSV has them all.
SHOWN = 20
BANDS = 10
TITLE = "Batches, rooms and shifts"
NAMES = {
    "academic_coherence": "Academic coherence",
    "jaccard_coherence": "Coherence by Jaccard",
    "section_fill": "Section fill",
    "resource_utilization": "Seats in use",
    "constraint_satisfaction": "Wishes kept, by weight",
    "silhouette": "Silhouette, against other cells",
    "silhouette_siblings": "Silhouette, against all batches",
    "size_balance": "Balance of sizes",
}
VERDICTS = {PASS: "met", FAIL: "not met", UNATTAINABLE: "not attainable here", None: "nothing is wanted"}
HUES = {PASS: THIRD, FAIL: SECOND, UNATTAINABLE: PALE, None: FIRST}


def page(facts: Facts) -> Page:
    """The whole report."""
    subtitle = f"{facts.students:,} students in {len(facts.batches):,} batches, from {facts.day.isoformat()} on"
    sections = (_gist(facts), _quality(facts), _sizes(facts), _coherence(facts), _rooms(facts), _rules(facts))
    return Page(TITLE, subtitle, (), (*sections, _hardest(facts), _trust(facts)))


def _gist(facts: Facts) -> Section:
    met = [one.verdict for one in facts.quality.measures.values() if one.verdict is not None]
    figures = [
        (f"{facts.students:,}", "students, each in one batch"),
        (f"{len(facts.batches):,}", f"batches of {facts.sizes[0]} to {facts.sizes[2]}"),
        (f"{facts.quality.hard_violations:,}", "hard rules broken"),
        (f"{met.count(PASS)} of {len(met)}", "wanted measures met"),
        (_share(facts.quality.measures["resource_utilization"].value), "of the seats in use"),
        ("–" if facts.gap_closed is None else _share(facts.gap_closed), "of the way from chance to the bound"),
    ]
    return Section("gist", "In short", (Headline(tuple(figures)), *(Note(say(one)) for one in facts.notes)))


def _quality(facts: Facts) -> Section:
    measures = facts.quality.measures
    rows = tuple(
        (NAMES[name], _number(one.value), _number(one.ceiling), _wanted(one), VERDICTS[one.verdict])
        for name, one in measures.items()
    )
    grid = Grid("Measures", ("measure", "value", "at most here", "wanted", "verdict"), rows)
    words = (
        "“At most here” is proved, for the seats with batches of these sizes, for the rest whatever the batches were."
        " It may be a little more than what is possible. What is wanted and lies above it is not attainable."
        " All figures were recomputed from the written files by another program before they were put in their place."
    )
    hued = [
        Bar(NAMES[name], max(one.value, 0.0), f"{_number(one.value)}, {VERDICTS[one.verdict]}", HUES[one.verdict])
        for name, one in measures.items()
    ]
    about = About("measures", "What was measured", "; ".join(f"{bar.label} {bar.told}" for bar in hued))
    return Section(
        "quality", "How good is it?", (Chart(bars(about, hued, 1.0), grid, is_open=True), Paragraph(say(words)))
    )


def _sizes(facts: Facts) -> Section:
    least, target, most = facts.sizes
    chart = _by_size([row.size for row in facts.batches], least, most)
    words = f"Between {least} and {most} are allowed, {target} are aimed at."
    if facts.balance and len(facts.balance) > 1:
        worst = sorted(facts.balance.items(), key=lambda one: (one[1], one[0]))[:SHOWN]
        rows = tuple((program, _number(value)) for program, value in worst)
        grid = Grid(_caption("Balance of sizes by program, the least even first", len(rows), len(facts.balance)),
                    ("program", "balance"), rows)  # fmt: skip
        return Section("sizes", "How large are the batches?", (Paragraph(say(words)), chart, grid))
    return Section("sizes", "How large are the batches?", (Paragraph(say(words)), chart))


def _coherence(facts: Facts) -> Section:
    chart = _by_share("coherence", "Batches by coherence", [row.coherence for row in facts.batches])
    words = (
        "Coherence is how much of what two members of a batch take is the same, on average over all pairs: 1 when all"
        " take the same courses, 0 when nobody shares one."
    )
    weakest = sorted(facts.batches, key=lambda row: (row.coherence, row.code))[:SHOWN]
    caption = _caption("The least coherent batches", len(weakest), len(facts.batches))
    return Section(
        "coherence", "How much do members have in common?", (Paragraph(say(words)), chart, _table(caption, weakest))
    )


def _table(caption: str, rows: Sequence[BatchRow]) -> Grid:
    header = ("batch", "students", "coherence", "room", "shift", "seats in use", "pooled courses")
    cells = tuple(
        (
            row.code,
            f"{row.size}",
            _number(row.coherence),
            row.room,
            row.shift,
            _share(row.fill),
            f"{row.pooled} of {row.courses}",
        )
        for row in rows
    )
    return Grid(caption, header, cells)


def _rooms(facts: Facts) -> Section:
    rows = tuple(
        (
            one.name,
            f"{one.open:,}",
            f"{one.used:,}",
            f"{one.seats:,}",
            f"{one.students:,}",
            _part(one.students, one.seats),
        )
        for one in facts.shifts
    )
    grid = Grid(
        "Use of rooms by shift", ("shift", "open rooms", "in use", "their seats", "students", "seats in use"), rows
    )
    hued = [
        Bar(one.name, one.used / one.open if one.open else 0.0, f"{one.used:,} of {one.open:,} rooms")
        for one in facts.shifts
    ]
    about = About("rooms-used", "Rooms in use by shift", "; ".join(f"{bar.label}: {bar.told}" for bar in hued))
    words = "Every batch has a room and a shift of its own."
    wished = [row.wished for row in facts.batches if row.wished is not None]
    if wished:
        words += f" {_part(sum(wished), facts.students)} of the students meet in the shift that they prefer."
    fill = _by_share("fill", "Batches by share of seats in use", [row.fill for row in facts.batches])
    return Section(
        "rooms", "How are rooms used?", (Paragraph(say(words)), Chart(bars(about, hued, 1.0), grid, is_open=True), fill)
    )


def _rules(facts: Facts) -> Section:
    if not facts.rules:
        return Section("rules", "What is not kept?", (Paragraph(say("There are no rules.")),))
    batches = len(facts.batches)
    rows = tuple(
        (one.code, one.words, one.kind,
         f"in {one.broken:,} of {batches:,} batches" if one.broken else "–")
        for one in facts.rules
    )  # fmt: skip
    grid = Grid("Rules", ("rule", "says", "kind", "not kept"), rows, words=True)
    hard = facts.quality.hard_violations
    open_ = " that was not relaxed" if any(one.relaxed for one in facts.rules) else ""
    kept = say(f"Every hard rule{open_} is kept in every batch.")
    first = say(Strong(f"Batches in which a hard rule is broken: {hard:,}.")) if hard else kept
    return Section("rules", "What is not kept?", (Paragraph(first), grid))


def _hardest(facts: Facts) -> Section:
    words = (
        "Those whose batch has least in common with what they take. “Could be” is how alike their own best partners"
        " are, if nobody else had to be placed."
    )
    rows = tuple(
        (one.student_id, one.batch, _number(one.likeness), _number(one.reach), one.why) for one in facts.hardest
    )
    caption = "Students who were hard to place"
    if len(rows) < facts.students:
        caption += f": {len(rows):,} of {facts.students:,}, all others have more in common with their batch"
    grid = Grid(caption, ("student_id", "batch", "in common", "could be", "why"), rows, words=True)
    return Section("hardest", "Who was hard to place, and why?", (Paragraph(say(words)), grid))


def _trust(facts: Facts) -> Section:
    share = facts.objective / facts.bound if facts.bound else 1.0
    words = (
        f"What batches are formed on (courses in common and sizes) reaches {facts.objective:.4f}. No solution of this"
        f" term can be above {facts.bound:.4f}, which is proved, so this one has at least {share:.1%} of the best."
        f" Batches drawn by lot within the same rules, of the best sizes, have {facts.random:.4f}: the share of the way"
        " from there to the bound is what the work was worth."
    )
    return Section(
        "trust",
        "How far from the best?",
        (Paragraph(say(words)), Paragraph(say("Again, from the files alone: ", Code("ss batch verify OUT DIR")))),
    )


def _by_size(sizes: Sequence[int], least: int, most: int) -> Chart:
    """Batches in about ten bands of whole sizes."""
    width = -(-(most - least + 1) // BANDS)
    starts = range(least, most + 1, width)
    labels = [_band(start, min(start + width - 1, most)) for start in starts]
    return _histogram("sizes", "Batches by size", labels, [(size - least) // width for size in sizes])


def _band(low: int, high: int) -> str:
    return f"{low} – {high}" if low < high else f"{low}"


def _by_share(name: str, title: str, shares: Sequence[float]) -> Chart:
    """Batches in bands of a tenth, from the lowest that is there to the highest."""
    bands = [min(max(int(share * BANDS + 1e-9), 0), BANDS - 1) for share in shares]
    low, high = min(bands, default=0), max(bands, default=BANDS - 1)
    labels = [f"{at / BANDS:.1f} – {(at + 1) / BANDS:.1f}" for at in range(low, high + 1)]
    return _histogram(name, title, labels, [band - low for band in bands])


def _histogram(name: str, title: str, labels: Sequence[str], places: Sequence[int]) -> Chart:
    """How many there are of each."""
    counts = Counter(places)
    rows = [Bar(label, float(counts[at]), f"{counts[at]:,}") for at, label in enumerate(labels)]
    says = "; ".join(f"{row.label}: {row.told}" for row in rows if row.length) or "no batch"
    grid = Grid(title, ("from – to", "batches"), tuple((row.label, row.told) for row in rows))
    return Chart(columns(About(f"{name}-chart", title, says), rows), grid)


def _caption(what: str, shown: int, of: int) -> str:
    """Cut output says so, and where the rest is."""
    return f"{what}: {shown:,} of {of:,}; the rest in the CSV files" if shown < of else what


def _wanted(one: Measure) -> str:
    return "–" if one.threshold is None else f"{one.threshold:.2f}"


def _number(value: float) -> str:
    return f"{value:.3f}".replace("-", "−")


def _share(value: float) -> str:
    return f"{value:.1%}".replace("-", "−")


def _part(some: float, of: float) -> str:
    return _share(some / of) if of else "–"
