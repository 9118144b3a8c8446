from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_facts import NOTHING, SIZES, course, made_facts, made_result, made_setting, made_trial

from studentsuccess.core.counts import Counts
from studentsuccess.core.page import Chart, Code, Grid, Page, Paragraph, Section, say
from studentsuccess.core.page_html import html, template
from studentsuccess.core.page_markdown import markdown
from studentsuccess.features.risk_words import WORDS
from studentsuccess.insights.experiment_report import PLAN_NOT_EVIDENCE
from studentsuccess.insights.report import compose
from studentsuccess.insights.report_action import effects
from studentsuccess.insights.report_cells import bands, totals, weeks
from studentsuccess.insights.report_setting import Recovery, Setting
from studentsuccess.insights.report_words import ABOUT, money, percent
from studentsuccess.insights.roi import Contacted, grid
from studentsuccess.warehouse.report import Facts, Load, Published, Reason, ScoredRun, Shown

EVERY_SECTION = [
    *("In short", "The situation", "Who is at risk", "Why", "What to do this week", "What it is worth"),
    *("How sure we are", "What this can't say", "The data behind it", "How this was made"),
]
HOSTILE = (
    *("<script>alert(1)</script>", "a|b||c", "[click](http://evil.example)", "![x](http://evil.example/p.png)"),
    *("</table><h1>owned</h1>", "*bold* _it_ `code` ``", "=HYPERLINK()", "www.evil.example", "\u202egnp.exe"),
    *("line\nbreak\r\nmore", "\x1b[31mred\x00", "{{ 7 * 7 }}{% raw %}", "数学 Ά 🎓 é", "# not a heading", "&lt;b&gt;"),
)
VOID = {"meta", "link", "br", "img", "input", "hr", "line", "rect", "circle", "path"}


@dataclass
class Element:
    tag: str
    attributes: dict[str, str]
    text: str = ""


@dataclass
class Read(HTMLParser):
    """Every element in order with its own text; that what is opened is closed."""

    elements: list[Element] = field(default_factory=list)
    opened: list[Element] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        one = Element(tag, {name: value or "" for name, value in attrs})
        self.elements.append(one)
        if tag not in VOID:
            self.opened.append(one)

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.opened.pop().tag == tag

    def handle_data(self, data: str) -> None:
        for one in self.opened:
            one.text += data

    def all(self, *tags: str) -> list[Element]:
        return [one for one in self.elements if one.tag in tags]


def read(text: str) -> Read:
    found = Read()
    found.feed(text)
    found.close()
    assert found.opened == []
    return found


def page(setting: Setting | None = None, **changed: Any) -> Page:
    return compose(made_facts(**changed), setting or made_setting())


def text(setting: Setting | None = None, **changed: Any) -> str:
    return markdown(page(setting, **changed))


def section(name: str, setting: Setting | None = None, **changed: Any) -> Section:
    return next(one for one in page(setting, **changed).sections if one.name == name)


def grids(found: Section) -> Iterator[Grid]:
    for block in found.blocks:
        if isinstance(block, Grid):
            yield block
        elif isinstance(block, Chart):
            yield block.grid


def grid_of(found: Section, caption: str) -> Grid:
    return next(one for one in grids(found) if one.caption.startswith(caption))


def tables(text: str) -> list[list[str]]:
    """The lines of each Markdown table."""
    return [block.splitlines() for block in text.split("\n\n") if block.startswith("| ")]


def cells(line: str) -> int:
    return len(re.findall(r"(?<!\\)\|", line)) - 1


# What the page is


def test_both_forms_answer_the_same_questions_in_order() -> None:
    made = page()
    assert [one.title for one in made.sections] == EVERY_SECTION
    assert [line[3:] for line in markdown(made).splitlines() if line.startswith("## ")] == EVERY_SECTION
    assert [one.text for one in read(html(made)).all("h2")] == EVERY_SECTION


def test_the_same_facts_give_the_same_bytes() -> None:
    assert (markdown(page()), html(page())) == (markdown(page()), html(page()))


def test_a_figure_stands_in_both_forms() -> None:
    shown = read(html(page())).all("body")[0].text.replace("\u00a0", " ")
    for row in grid_of(section("who"), "Courses").rows:
        assert all(cell.replace("\u00a0", " ") in shown for cell in row)
        assert "| " + " | ".join(row).replace("\u00a0", " ") + " |" in text()


def test_the_page_needs_nobody_else() -> None:
    made = html(page())
    found = read(made)
    assert not found.all("script", "link", "img", "iframe", "object", "embed", "form", "base", "audio", "video")
    named = [value for one in found.elements for name, value in one.attributes.items() if name in ("href", "src")]
    assert all(value.startswith("#") for value in named)
    assert not re.search(r"url\(|@import|expression\(", made)
    assert set(re.findall(r"https?://[^\"' <]+", made)) == {"http://www.w3.org/2000/svg"}
    assert not [name for one in found.elements for name in one.attributes if name.startswith("on")]
    policy = next(one for one in found.all("meta") if one.attributes.get("http-equiv") == "Content-Security-Policy")
    assert policy.attributes["content"].startswith("default-src 'none'")


def test_who_can_t_see_the_page_can_read_it() -> None:
    found = read(html(page()))
    assert found.all("html")[0].attributes["lang"] == "en"
    levels = [int(one.tag[1]) for one in found.all("h1", "h2", "h3", "h4")]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in itertools.pairwise(levels))
    links = found.all("a")
    ids = [one.attributes["id"] for one in found.elements if "id" in one.attributes]
    assert len(ids) == len(set(ids))
    assert links[0].attributes["class"] == "skip"
    assert {one.attributes["href"][1:] for one in links} <= set(ids)
    assert all(one.attributes.get("scope") in ("col", "row") for one in found.all("th"))
    assert len(found.all("caption")) == len(found.all("table"))
    for one in found.all("svg"):
        assert one.attributes["role"] == "img"
        assert set(one.attributes["aria-labelledby"].split()) <= set(ids)
    assert len(found.all("main")) == len(found.all("header")) == 1


def luminance(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [one / 12.92 if one <= 0.04045 else ((one + 0.055) / 1.055) ** 2.4 for one in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("which", [0, 1], ids=["light", "dark"])
def test_every_colour_can_be_read_on_what_is_behind_it(which: int) -> None:
    """WCAG AA: 4.5 for text, 3 for what a picture needs."""
    palette = re.findall(r":root \{([^}]*)\}", template("page.css"))[which]
    colours = dict(re.findall(r"--(\w+): (#[0-9a-f]{6})", palette))
    for behind in ("paper", "panel", "note"):
        assert contrast(colours["ink"], colours[behind]) >= 4.5
    for behind in ("paper", "panel"):
        assert contrast(colours["quiet"], colours[behind]) >= 4.5
    assert contrast(colours["first"], colours["paper"]) >= 4.5
    for name in ("second", "third", "fourth", "edge"):
        assert contrast(colours[name], colours["paper"]) >= 3


def test_the_style_has_no_colour_that_was_not_tested() -> None:
    assert "#" not in re.sub(r":root \{[^}]*\}", "", template("page.css"))


# What it says


def test_the_banner_of_generated_data_is_the_first_line() -> None:
    recovery = Recovery(18, 17, 1, 3, 2, 0.021, -0.004, 0.81)
    made = page(made_setting(demo=recovery))
    first = markdown(made).splitlines()[0]
    assert first.startswith("> **This is generated data")
    for said in ("17 of 18 bad rows rejected, and 1 more", "2 of 3 planted effects", "2.1 points", "−0.4", "0.81"):
        assert said in first
    assert read(html(made)).all("p")[0].text.startswith("This is generated data")
    assert "generated" not in text()


def test_a_demo_whose_truth_is_gone_still_says_what_it_is() -> None:
    assert "generated data" in text(made_setting(demo=Recovery())).splitlines()[0]


def test_the_page_says_of_when_it_is() -> None:
    assert "Hill College · term 2014B · as of week 8 (29 March 2014)" in text()
    runs = (ScoredRun("autumn", "risk", 1, 8, 56, 300, 0, 5, 0),)
    assert "term autumn · as of week 8\n" in text(runs=runs)
    two = (*made_facts().runs, ScoredRun("2014B", "risk", 1, 6, 42, 300, 0, 5, 0))
    assert "weeks 6 to 8" in text(runs=two)


@pytest.mark.parametrize(
    ("gone", "name", "command"),
    [
        ({"runs": (), "risks": np.empty(0), "weeks": (), "reasons": ()}, "situation", "ss score"),
        ({"runs": (), "risks": np.empty(0), "weeks": (), "reasons": ()}, "who", "ss score"),
        ({"runs": (), "risks": np.empty(0), "weeks": (), "reasons": ()}, "why", "ss score"),
        ({"published": None}, "who", "ss marts build"),
        ({"made": ()}, "do", "ss alerts"),
        ({"results": ()}, "worth", "ss experiment"),
        ({"backtest": ()}, "sure", "ss train local --algorithm risk --backtest"),
        ({"loads": ()}, "data", "ss etl FOLDER"),
        ({"reasons": ()}, "why", "ss score"),
    ],
)
def test_a_section_whose_step_has_not_run_names_the_command(gone: dict[str, Any], name: str, command: str) -> None:
    told = [block for block in section(name, **gone).blocks if isinstance(block, Paragraph)]
    assert any(Code(command) in block.text for block in told)
    assert html(page(**gone))


def test_with_nothing_but_data_the_page_says_what_comes_next() -> None:
    made = made_facts(
        runs=(), risks=np.empty(0), weeks=(), reasons=(), published=None, alerts=(), results=(),
        candidates=np.empty(0), model=None, backtest=(), made=(),
    )  # fmt: skip
    said = markdown(compose(made, made_setting()))
    assert "900 enrolments in 3 terms are loaded, and nobody has been scored yet" in said
    assert "`ss run`" in said
    assert read(html(compose(made, made_setting()))).all("h2")


def test_the_simulation_is_called_a_plan() -> None:
    assert PLAN_NOT_EVIDENCE.partition(":")[0] in text()
    trial = text(results=(made_trial(),))
    assert "not evidence" not in trial
    assert "spring" in trial


def test_what_is_out_of_date_says_so() -> None:
    published = made_facts().published
    assert published is not None
    stale = Published(published.courses, published.newest, published.weeks, stale=True)
    assert "earlier scoring" in text(published=stale)
    assert "earlier scoring" in text(stale_results=True)
    assert "earlier scoring" not in text()


def test_one_term_is_warned_of() -> None:
    runs = tuple(ScoredRun("2014B", "risk", 1, 8, 56, size, 40, 5, 0) for size in SIZES.values())
    made = text(runs=runs)
    assert "**There is only one term\\.**" in made or "**There is only one term.**" in made
    assert "not known yet" in made


def test_the_figures_of_the_backtest_have_their_intervals() -> None:
    rows = grid_of(section("sure"), "Figures by week").rows
    assert rows[1][:3] == ("8", "300", "0.83 (0.82 to 0.90)")
    assert "83 % of all cases by week 8" in text().replace("\u00a0", " ")


def test_what_the_training_measured_is_told_where_there_is_no_backtest() -> None:
    told = text(backtest=())
    assert "an accuracy of 0.759 and a calibration error (ECE) of 0.021" in told


def test_a_bin_of_few_students_is_left_out() -> None:
    assert len(grid_of(section("sure"), "Predicted and true").rows) == 14


def test_the_return_is_that_of_the_grid() -> None:
    made, setting = made_facts(), made_setting()
    risks = made.candidates[: setting.top_k]
    contacted = Contacted(len(risks), float((1 - risks).sum()))
    known = grid(contacted, effects(made.results), [setting.contact_cost], setting.value_per_pass)
    rows = grid_of(section("worth"), "What contact is worth").rows
    assert [row[2] for row in rows] == [money(cell.roi.mid, "") for cell in known.cells]
    limits = [f"up to {money(line.mid, '')}" if line.mid is not None else "never" for line in known.break_even]
    assert [row[3] for row in rows] == limits


@pytest.mark.parametrize(
    ("cost", "said"), [(1.0, "but the lower ends"), (150.0, "under none"), (0.0, "but the lower ends")]
)
def test_it_says_whether_it_pays(cost: float, said: str) -> None:
    assert said in text(made_setting(contact_cost=cost))


def test_a_sure_return_is_told_from_a_hoped_one() -> None:
    assert "also at the lower end" in text(made_setting(contact_cost=20.0), results=(made_trial(),))


def test_the_return_of_few_is_not_told() -> None:
    said = text(candidates=np.full(9, 0.9))
    assert "What contact is worth" not in said
    assert "expected to pass" not in said.partition("## What it is worth")[2].partition("## How sure")[0]


def test_nothing_is_worth_anything_at_no_value() -> None:
    assert "under none" in text(made_setting(value_per_pass=0.0))


def test_rows_of_mended_loads_are_added_to_the_load_they_mend() -> None:
    first = made_facts().loads[0]
    mended = Load("20140330T100000-abcdef", extends=True, inputs=(), counts={"studentInfo": Counts(5, 5, 0, 0)})
    rows = grid_of(section("data", loads=(first, first, mended)), "Rows").rows
    assert rows[0] == ("studentInfo", "910", "905", "5", "0")
    assert "1 earlier load" in text(loads=(first, first, mended))


def test_no_folder_of_the_user_is_told() -> None:
    assert "lovelace" not in text()
    assert "studentInfo.csv" in text()


def test_a_model_without_clicks_is_told() -> None:
    load = Load("20140329T100000-abcdef", extends=False, inputs=(), counts={"studentInfo": Counts(9, 9, 0, 0)})
    assert "No clicks were loaded" in text(loads=(load,))
    assert "No clicks were loaded" not in text()


def test_every_feature_of_the_model_has_words() -> None:
    assert set(WORDS) <= set(ABOUT)


def test_a_feature_without_words_is_named_as_it_is_called() -> None:
    assert "Late fees paid" in text(reasons=(Reason("late_fees_paid", actionable=True, students=40, push=1.0),))


@pytest.mark.parametrize(
    ("share", "shown"),
    [(0.0, "0 %"), (0.001, "under 1 %"), (0.123, "12 %"), (0.999, "over 99 %"), (1.0, "100 %"), (None, "–")],
)
def test_a_share_is_never_rounded_into_a_certainty(share: float | None, shown: str) -> None:
    assert percent(share).replace("\u00a0", " ") == shown


@pytest.mark.parametrize(
    ("value", "currency", "shown"),
    [(1234.5, "€", "€1,234"), (-5.25, "CHF", "−CHF 5.25"), (0, "", "0"), (-0.001, "", "0.00"), (-0.4, "$", "−$0.40")],
)
def test_money_is_shown_as_people_write_it(value: float, currency: str, shown: str) -> None:
    assert money(value, currency).replace("\u00a0", " ") == shown


# What it must not say


@given(
    st.lists(st.floats(0, 1), max_size=400),
    st.floats(0.01, 0.99),
    st.integers(1, 30),
)
def test_no_band_is_small_and_none_gives_a_small_one_away(risks: list[float], threshold: float, least: int) -> None:
    found = np.array(risks, np.float64)
    high = int((found >= threshold).sum())
    safe = least <= high <= len(found) - least
    made = bands(found, threshold if safe else None, least)
    assert all(one.students >= least for one in made)
    assert sum(one.students for one in made) == (len(found) if len(found) >= least else 0)
    assert all(before.high == after.low for before, after in itertools.pairwise(made))
    if safe:
        assert sum(one.students for one in made if one.low >= threshold) == high


@given(st.lists(st.floats(0, 1), max_size=60), st.integers(2, 20), st.booleans())
def test_no_total_tells_of_few(risks: list[float], least: int, published: bool) -> None:
    found = np.array(sorted(risks), np.float64)
    marts = made_facts().published if published else None
    shown = totals(made_facts(risks=found, published=marts), 0.5, least)
    assert shown.students is None or shown.students >= least
    if shown.high is not None:
        assert least <= shown.high <= len(found) - least


def test_a_total_that_the_marts_count_on_being_unknown_is_not_told() -> None:
    published = made_facts().published
    assert published is not None
    no_rate = Shown(students=True, mean=True, rate=False)
    made = made_facts(published=Published(published.courses, no_rate, dict.fromkeys(range(9), no_rate), stale=False))
    assert totals(made, 0.5, 10).high is None
    assert all(not shown.rate for _, shown in weeks(made, 10))
    hidden = made_facts(published=Published(published.courses, NOTHING, {}, stale=False))
    found = totals(hidden, 0.5, 10)
    assert (found.students, found.high, found.mean) == (None, None, None)
    assert "Students by predicted risk" not in markdown(compose(hidden, made_setting()))


def test_a_class_that_is_hidden_is_told_as_hidden() -> None:
    published = made_facts().published
    assert published is not None
    courses = (course("AAA"), course("small", None, None, None), course("other", 40, None, 0.3))
    made = Published(courses, published.newest, published.weeks, stale=False)
    rows = {row[0]: row[1:] for row in grid_of(section("who", published=made), "Courses").rows}
    assert rows["small"] == ("<10 or hidden", "hidden", "–", "hidden")
    assert rows["other"][:2] == ("40", "hidden")
    assert "\\<10 or hidden" in text(published=made)
    assert "&lt;10 or hidden" in html(page(published=made))


def test_a_reason_that_few_share_is_not_told() -> None:
    assert "Other courses left this term" not in text()
    nearly = Reason("missed", actionable=True, students=len(made_facts().risks) - 3, push=1.0)
    assert ("Missed assignments", "nearly all") in grid_of(section("why", reasons=(nearly,)), "What can").rows


def test_few_who_left_are_not_counted_out() -> None:
    runs = tuple(ScoredRun("2014B", "risk", 1, 8, 56, size, 0, 1, 0) for size in SIZES.values())
    assert "\\<10 had left by then" in text(runs=runs)


def test_an_arm_of_few_is_not_told() -> None:
    assert "\\<10 in an arm" in text(results=(made_trial(n_control=4),))
    small = made_result(n_control=4, n_treatment=4)
    assert "too small to be shown" in text(made_setting(top_k=8), results=(small,), candidates=np.full(8, 0.9))


# Hostile and odd


@pytest.mark.parametrize("name", HOSTILE)
def test_a_course_may_be_called_anything(name: str) -> None:
    published = made_facts().published
    assert published is not None
    courses = (course(name), course("AAA", rate=0.2))
    odd = Published(courses, published.newest, published.weeks, stale=False)
    made = page(made_setting(title=name, school=name), published=odd)
    found = read(html(made))
    assert [one.text for one in found.all("h2")] == EVERY_SECTION
    assert len(found.all("h1")) == 1
    assert not found.all("script", "img", "b")
    assert {one.attributes["href"][0] for one in found.all("a")} == {"#"}
    assert not re.search("[\u202e\x00\x1b]", html(made) + markdown(made))
    written = markdown(made)
    assert [line[3:] for line in written.splitlines() if line.startswith("## ")] == EVERY_SECTION
    for table in tables(written):
        assert len({cells(line) for line in table}) == 1
    assert not re.search(r"(?<!\\)\]\(|(?<!\\)<\w|www\.evil|://evil", written)


def test_hundreds_of_courses_are_cut_and_it_is_said() -> None:
    published = made_facts().published
    assert published is not None
    courses = tuple(course(f"C{number:03}", 100, number / 1000 + 0.1) for number in range(200))
    many = Published(courses, published.newest, published.weeks, stale=False)
    rows = grid_of(section("who", published=many), "Courses").rows
    assert [row[0] for row in rows] == [f"C{number:03}" for number in range(199, 174, -1)]
    assert "25 of 200 courses are shown" in text(published=many)
    chart = next(block for block in section("who", published=many).blocks if isinstance(block, Chart))
    assert "The 12 highest of 200 courses" in chart.svg


def test_one_course_is_enough() -> None:
    published = made_facts().published
    assert published is not None
    one = Published((course("AAA"),), published.newest, published.weeks, stale=False)
    assert len(grid_of(section("who", published=one), "Courses").rows) == 1
    assert html(page(published=one))


def test_nobody_at_high_risk_is_not_told_as_none() -> None:
    made = made_facts(risks=np.linspace(0.01, 0.2, 300), candidates=np.linspace(0.2, 0.01, 300))
    said = markdown(compose(made, made_setting()))
    assert "How many students are at high risk is not shown" in said
    assert "Students by predicted risk" in said


def test_too_few_students_show_no_figure() -> None:
    made = made_facts(risks=np.array([0.9] * 7), candidates=np.array([0.9] * 7), published=None, weeks=(), backtest=())
    said = markdown(compose(made, made_setting()))
    assert "Too few students are scored" in said
    assert "| 7 |" not in said
    assert "90 %" not in said.replace("\u00a0", " ")


def test_courses_of_two_terms_are_told_apart() -> None:
    published = made_facts().published
    assert published is not None
    other = course("AAA", rate=0.4)
    both = (course("AAA"), type(other)(other.course, "2014J", other.on, other.students, other.mean, other.high_rate))
    two = Published(both, published.newest, published.weeks, stale=False)
    assert [row[0] for row in grid_of(section("who", published=two), "Courses").rows] == ["AAA 2014J", "AAA 2014B"]


def test_code_with_backticks_stays_code() -> None:
    made = Page("t", "", (), (Section("a", "A", (Paragraph(say("1. run ", Code("ss `x` ``y``"), " or - not")),)),))
    assert "1\\. run ``` ss `x` ``y`` ``` or - not" in markdown(made)


def test_facts_of_a_run_are_found_by_its_command() -> None:
    made: Facts = made_facts()
    last = made.last("score")
    assert last is not None
    assert last.command == "score"
    assert made.last("archive") is None
