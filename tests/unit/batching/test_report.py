"""The reports of a run: what they count, what they say of the hard cases, and that nobody's name is in them."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from html.parser import HTMLParser

import numpy as np
import pytest
from made_batches import HARD, a_grouping, a_placement, a_problem, lists, texts

from studentsuccess.batching import report_files
from studentsuccess.batching.instance import Rule
from studentsuccess.batching.outputs import Solution, names_of
from studentsuccess.batching.pages import page
from studentsuccess.batching.quality import assess
from studentsuccess.batching.report_facts import HARDEST, Facts, facts_of, words_of
from studentsuccess.core.page_html import html

DAY = date(2025, 9, 1)
WANTED = {"academic_coherence": 0.7, "resource_utilization": 0.75, "size_balance": 0.99}
WISH = Rule("ONE_SHIFT", "student", "preferred_shift", "homogeneous", hard=False, weight=2.0, threshold=0.9)
NAMES = ("Ada Lovelace", "Grace <b>Hopper</b>", "=Eve", "Kurt Gödel", "Emmy Noether", "Alan Turing", "Mary Ann")


def facts(
    takes: Sequence[str] = ("ab", "ab", "ab", "ab", "bd", "bd", ""),
    batch: Sequence[int] = (0, 0, 0, 0, 1, 1, 1),
    *,
    shifts: Sequence[int] = (0, 1),
    notes: tuple[str, ...] = (),
    **problem: object,
) -> Facts:
    names = [NAMES[at % len(NAMES)] for at in range(len(takes))]
    instance = a_problem(list(takes), names=names, **({"rules": (*HARD, WISH)} | problem))  # type: ignore[arg-type]
    grouping = a_grouping(batch, list(range(max(batch) + 1)))
    placement = a_placement([0] * grouping.count, shifts, best=0.7)
    quality = assess(instance, grouping, placement, WANTED)
    solution = Solution(instance, grouping, placement)
    return facts_of(solution, names_of(instance, grouping, ""), quality, DAY, notes)


class Texts(HTMLParser):
    """What stands on a page, tag by tag."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.said: list[str] = []
        self.feed(re.sub(r"<style>.*?</style>", "", text, flags=re.DOTALL))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:  # noqa: ARG002
        self.tags.append(tag)

    def handle_data(self, data: str) -> None:
        self.said.append(data.strip())


def test_a_batch_is_told_with_its_room_its_seats_and_who_got_their_wish() -> None:
    first, second = facts().batches
    assert (first.code, first.size, first.room, first.shift, first.capacity) == ("P-2024-001", 4, "R0", "Evening", 10)
    assert (first.fill, first.coherence) == (0.4, pytest.approx(1.0))
    assert (first.wished, second.wished) == (2, 1)
    assert (second.courses, second.pooled) == (2, 2)


def test_shifts_count_their_rooms_seats_and_students() -> None:
    told = {one.name: (one.open, one.used, one.seats, one.students) for one in facts(shifts=(1, 1)).shifts}
    assert told == {"Evening": (4, 0, 0, 0), "Morning": (4, 2, 20, 7)}


def test_a_wish_may_name_several_shifts_or_call_one_by_its_name() -> None:
    several = {"preferred_shift": lists([["evening", "morning"], ["morning"], [], ["evening"]])}
    assert facts("aaaa", (0, 0, 0, 0), shifts=(0,), fields=several).batches[0].wished == 2
    named = {"preferred_shift": texts(["Evening", "EVENING", "night", None])}
    assert facts("aaaa", (0, 0, 0, 0), shifts=(0,), fields=named).batches[0].wished == 2


def test_without_wishes_nobody_says_that_they_were_met() -> None:
    instance = a_problem(["a"] * 2)
    fields = {name: one for name, one in instance.students.fields.items() if name != "preferred_shift"}
    instance = replace(instance, students=replace(instance.students, fields=fields))
    grouping, placement = a_grouping([0, 0]), a_placement([0], [0])
    quality = assess(instance, grouping, placement, {})
    solution = Solution(instance, grouping, placement)
    found = facts_of(solution, names_of(instance, grouping, ""), quality, DAY, ())
    assert found.batches[0].wished is None
    assert "prefer" not in " ".join(Texts(html(page(found))).said)


def test_the_hardest_come_first_and_with_a_reason() -> None:
    found = facts(("ab", "ab", "cd", "ab", "bd", "bd", ""), (0, 0, 0, 0, 1, 1, 1)).hardest
    assert [one.student_id for one in found[:2]] == ["S002", "S006"]
    reasons = {one.student_id: one.why for one in found}
    assert reasons["S002"].startswith("takes other courses than everybody")
    assert reasons["S006"].startswith("takes no course")
    assert reasons["S000"] == "goes best with students whose batches had no place left within the sizes and rules"
    assert reasons["S001"].endswith("and meets in another shift than preferred")


def test_only_the_hardest_are_named() -> None:
    many = facts(["a"] * 40, [0] * 20 + [1] * 20, capacities=(60,))
    assert len(many.hardest) == HARDEST
    caption = next(one for one in Texts(html(page(many))).said if one.startswith("Students who were hard"))
    assert f"{HARDEST} of 40" in caption


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        (Rule("X", "student", "town", "no_mix", hard=True), "one town in a batch"),
        (Rule("X", "student", "town", "homogeneous", hard=True, threshold=0.5), "one town for at least 50% of a batch"),
        (Rule("X", "student", "age", "max_variance", hard=True, threshold=0.8),
         "age varies in a batch at most 80% as much as in its cell"),
        (Rule("X", "student", "town", "capacity_limit", hard=True, threshold=0.3),
         "no town for more than 30% of a batch"),
        (Rule("X", "batch", "size", "capacity_limit", hard=True, threshold=0.9), "at most 90% of a room's seats taken"),
    ],
)  # fmt: skip
def test_a_rule_is_told_in_words(rule: Rule, words: str) -> None:
    assert words_of(rule) == words


def everything(found: Facts) -> str:
    document = json.dumps(report_files.document(found, "RUN"), ensure_ascii=False)
    table = report_files.table(found).to_pylist()
    return "\n".join((report_files.text(found), document, str(table), html(page(found))))


def test_nobody_is_named_and_ids_are_on_the_page_alone() -> None:
    found = facts()
    said = everything(found)
    assert not [name for name in NAMES if name.split()[0] in said]
    assert "S006" in html(page(found))
    others = report_files.text(found) + str(report_files.table(found)) + json.dumps(report_files.document(found, "RUN"))
    assert not re.search(r"\bS00\d\b", others)


def test_the_page_answers_every_question() -> None:
    said = " ".join(Texts(html(page(facts(notes=("prerequisites can't be verified",))))).said)
    for words in (
        "7 students in 2 batches, from 2025-09-01 on",
        "How large are the batches?",
        "How much do members have in common?",
        "How are rooms used?",
        "What is not kept?",
        "Who was hard to place, and why?",
        "How far from the best?",
        "prerequisites can't be verified",
        "at least 88.9% of the best",
        "not attainable here",
        "in 2 of 2 batches",
        "Every hard rule is kept in every batch.",
    ):
        assert words in said


def test_a_broken_hard_rule_is_not_hidden() -> None:
    mixed = facts(["a"] * 4, [0, 0, 1, 1], programs=["P", "Q", "P", "P"])
    assert "Batches in which a hard rule is broken: 1." in Texts(html(page(mixed))).said


def test_a_rule_that_was_relaxed_is_told_and_not_held_against_the_batches() -> None:
    mixed = facts(["a"] * 4, [0, 0, 1, 1], programs=["P", "Q", "P", "P"], relax=("program_id",))
    assert mixed.quality.hard_violations == 0
    assert "Every hard rule that was not relaxed is kept in every batch." in Texts(html(page(mixed))).said
    assert "PROGRAM (hard, relaxed): not kept in 1 of 2 batches" in report_files.text(mixed)


def test_an_id_can_not_be_markup() -> None:
    rooms = a_problem(["a"] * 4).rooms
    hostile = replace(rooms, ids=("<img src=x onerror=alert(1)>", *rooms.ids[1:]))
    instance = replace(a_problem(["a"] * 4), rooms=hostile)
    grouping, placement = a_grouping([0] * 4), a_placement([0], [0])
    quality = assess(instance, grouping, placement, {})
    solution = Solution(instance, grouping, placement)
    text = html(page(facts_of(solution, names_of(instance, grouping, ""), quality, DAY, ())))
    assert "img" not in Texts(text).tags
    assert "<img src=x onerror=alert(1)>" in Texts(text).said


def test_the_same_solution_gives_the_same_page() -> None:
    assert html(page(facts())) == html(page(facts()))


def test_the_text_has_every_measure_and_every_rule() -> None:
    found = facts()
    lines = report_files.text(found).splitlines()
    assert lines[1] == "7 students in 2 batches of 2 to 5 (target 3)"
    assert sum("met" in line or "wanted" in line or "attainable" in line for line in lines) == 9
    assert "ONE_SHIFT (wish, weight 2): not kept in 2 of 2 batches" in lines
    assert "PROGRAM (hard): kept" in lines
    assert all(len(line) <= 80 for line in lines)


def test_the_table_has_a_row_a_batch() -> None:
    table = report_files.table(facts())
    assert table["batch_code"].to_pylist() == ["P-2024-001", "P-2024-002"]
    assert table["utilization"].to_pylist() == [0.4, 0.3]


def test_the_document_is_plain_json() -> None:
    said = json.loads(json.dumps(report_files.document(facts(), "RUN"), allow_nan=False))
    assert (said["run_id"], said["students"], said["batches"]) == ("RUN", 7, 2)
    assert said["measures"]["resource_utilization"]["verdict"] == "UNATTAINABLE"
    assert said["gap_closed"] == pytest.approx(0.75)


def test_a_single_batch_and_a_perfect_one_are_drawn_too() -> None:
    one = facts(["a", "a"], [0, 0], shifts=(0,))
    assert one.quality.measures["academic_coherence"].value == pytest.approx(1.0)
    assert "0.9 – 1.0" in Texts(html(page(one))).said
    assert np.isclose(one.objective, 0.8)
