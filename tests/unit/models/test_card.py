"""The card is read as Markdown, as a person would see it: names stay names, small counts stay hidden."""

from __future__ import annotations

import html
import json
import re
import shlex
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from effort import examples
from hypothesis import example, given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from studentsuccess.core.digest import FileFact
from studentsuccess.core.grammar import Kind
from studentsuccess.models.card import card, command
from studentsuccess.models.card_asks import asks
from studentsuccess.models.card_cells import hide_line, hide_table
from studentsuccess.models.card_text import code, fenced, plain, table, visible
from studentsuccess.models.manifest import Holdout, Manifest, Trained, from_document
from studentsuccess.models.metrics import ClassMetrics, ValueMetrics, majority, mean_baseline
from studentsuccess.models.roles import Feature, Role

EXAMPLES = examples(2_000, daily=60)
HOSTILE = [
    *(
        "a|b",
        "`rm`",
        "``x``",
        "**bold**",
        "_x_",
        "[a](http://evil)",
        "<script>alert(1)</script>",
        "&lt;",
        "# x",
        "~~x~~",
    ),
    *("a\nb", "a\r\n| x | y |", "\x1b[31mred", "\u202egnp", "\\|", "|", "\\", "x\ty", "$x$", "www.evil.example"),
    *(
        "<!-- x",
        "![a](b)",
        "a@b.example",
        "https://evil.example",
        "=cmd|' /C calc'!A0",
        "1. x",
        "- x",
        "> x",
        "---",
        " x ",
    ),
]
NAMES = st.one_of(st.sampled_from(HOSTILE), st.text(max_size=90), st.text("|\\`*_[]<>#~&\n a1", max_size=12))


def _manifest(metrics: dict[str, Any], **other: Any) -> Manifest:
    """A model of three classes on three columns, unless `other` says otherwise."""
    facts: dict[str, Any] = {
        "name": "dropout",
        "version": 3,
        "algorithm": "incremental",
        "task": "classification",
        "target": "Target",
        "target_kind": Kind.TEXT,
        "ids": ("student_id",),
        "features": (
            Feature("Admission grade", Kind.DECIMAL, Role.NUMBER),
            Feature("Course", Kind.INTEGER, Role.BOTH, ("33", "171"), None, "17 whole numbers"),
            Feature("Surname", Kind.TEXT, Role.IGNORE, (), None, "nearly every value stands for one row alone"),
        ),
        "classes": ("Dropout", "Enrolled", "Graduate"),
        "null_values": ("CANARY-NULL",),
        "holdout": Holdout("student_id", 0.2, metrics.get("rows", 0), "ab" * 32),
        "trained": Trained(
            *("run-1", "local", "2025-01-01T10:00:00Z", "2025-01-01T10:00:09Z"),
            (FileFact("/home/jane.doe/exports/data.csv", 1234, "cd" * 32),),
            *("data", 3500),
        ),
        "settings": {"epochs": 7, "seed": 1, "types": {"Course": "both"}},
        "metrics": metrics,
        "baseline": {},
        "libraries": {"numpy": "2.4"},
    }
    return Manifest(**{**facts, **other})


def _figures(confusion: list[list[int]], classes: tuple[str, ...], unknown: tuple[int, ...] = ()) -> dict[str, Any]:
    """The metrics of a model with just this table of errors."""
    found = ClassMetrics(classes)
    for actual, row in [*enumerate(confusion), (-1, unknown)]:
        for predicted, count in enumerate(row):
            likely = np.full(len(classes), 0.3 / max(len(classes) - 1, 1))
            likely[predicted] = 0.7
            found.add(np.full(count, actual), np.tile(likely, (count, 1)))
    return found.result()


GOOD = _figures([[80, 12, 10], [20, 50, 15], [11, 13, 90]], ("Dropout", "Enrolled", "Graduate"))


def _seen(markdown: str) -> str:
    return html.unescape(re.sub(r"<[^>]+>", "", MarkdownIt("commonmark").enable("table").render(markdown)))


def _tables(markdown: str) -> list[list[list[str]]]:
    """The tables as a reader sees them."""
    page = MarkdownIt("commonmark").enable(["table", "strikethrough"]).render(markdown)
    return [
        [
            [
                html.unescape(re.sub(r"<[^>]+>", "", cell))
                for cell in re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row, re.S)
            ]
            for row in re.findall(r"<tr>(.*?)</tr>", found, re.S)
        ]
        for found in re.findall(r"<table>(.*?)</table>", page, re.S)
    ]


def _table(markdown: str, first_head: str) -> list[list[str]]:
    return next(found for found in _tables(markdown) if found[0][0] == first_head)


@settings(max_examples=EXAMPLES, deadline=None)
@given(name=NAMES)
@example(name="a" * 79 + "|b")
@example(name="\\" * 5)
def test_any_text_is_read_back_from_a_cell_as_it_was(name: str) -> None:
    (found,) = _tables("\n".join(table(("x", "y"), [(plain(name), "z")])))
    expected = visible(name) if len(visible(name)) <= 80 else visible(name)[:79] + "…"
    assert found == [["x", "y"], [expected.strip(), "z"]]


@settings(max_examples=EXAMPLES, deadline=None)
@given(text=NAMES.filter(str.strip))
def test_any_command_is_read_back_from_its_code(text: str) -> None:
    page = MarkdownIt("commonmark").render(f"x {code(text)} x")
    assert html.unescape(page).startswith("<p>x <code>")
    assert html.unescape(page.split("<code>")[1].split("</code>")[0]).strip() == visible(text).strip()
    block = MarkdownIt("commonmark").render("\n".join(fenced(text)))
    assert html.unescape(block) == f"<pre><code>{visible(text)}\n</code></pre>\n"


@settings(max_examples=EXAMPLES // 3, deadline=None)
@given(name=NAMES, label=NAMES)
@example(name="| x |\n| y |", label="|")
def test_hostile_names_change_neither_the_sections_nor_the_tables(name: str, label: str) -> None:
    labels = (label, "Enrolled", "Graduate") if label not in ("Enrolled", "Graduate") else ("a", "b", "c")
    metrics = _figures(GOOD["confusion"], labels)
    features = (Feature(name, Kind.TEXT, Role.CATEGORY), Feature(name + "2", Kind.TEXT, Role.IGNORE, why=name))
    found = card(
        _manifest(
            metrics, name=name, target=name, ids=(name,), features=features, classes=labels, libraries={name: name}
        )
    )
    usual = card(
        _manifest(GOOD, features=(Feature("x", Kind.TEXT, Role.CATEGORY), Feature("y", Kind.TEXT, Role.IGNORE)))
    )
    assert re.findall(r"(?m)^##+ .*", found) == re.findall(r"(?m)^##+ .*", usual)
    shape = [[len(row) for row in one] for one in _tables(usual)]
    assert [[len(row) for row in one] for one in _tables(found)] == shape
    assert all(mark.isprintable() or mark == "\n" for mark in found)
    page = MarkdownIt("commonmark").enable("table").render(found)
    assert set(re.findall(r"<(?:a|img|script)\b[^>]*>", page)) == {
        '<img src="calibration.png" alt="How often predictions of each confidence were right" />'
    }


def test_the_figures_stand_beside_their_intervals_and_the_plain_alternatives() -> None:
    baseline = {
        "majority": majority(np.array([40, 30, 30]), np.array([102, 85, 114])),
        "logistic": {"rows_fitted": 900},
    }
    found = card(_manifest(GOOD, baseline=baseline))
    rows = {row[0]: row[1:] for row in _table(found, "figure")}
    assert rows["figure"] == ["better", "this model", "95 % interval", "majority", "logistic"]
    low, high = GOOD["intervals"]["accuracy"]
    assert rows["accuracy"] == [
        *("more", f"{GOOD['accuracy']:.3f}", f"{low:.3f} to {high:.3f}", f"{102 / 301:.3f}", "–"),
    ]
    assert "was fitted on 900 rows" in found
    assert "beats every plain alternative" in found


def test_a_model_that_is_no_better_than_a_plain_one_says_so_at_the_top() -> None:
    found = card(_manifest(GOOD, baseline={"logistic": {"log_loss": GOOD["log_loss"]}, "majority": {"log_loss": 9.0}}))
    top = found.split("##")[0]
    assert "**It does not beat a plain alternative**" in top
    assert "logistic" in top


def test_nobody_elses_values_and_no_folders_are_on_the_card() -> None:
    features = (Feature("Town", Kind.TEXT, Role.CATEGORY, ("CANARY-LEVEL", "x"), None, ""),)
    found = card(_manifest(GOOD, features=features, extra={"note": "CANARY-EXTRA"}))
    assert "CANARY" not in found
    assert "jane" not in found
    assert ["data.csv", "cd" * 32, "1,234"] in _table(found, "file")
    assert ["Town", "code", "text", "2", ""] in _table(found, "column")


def test_columns_are_shown_with_their_roles_and_those_left_out_with_the_reason() -> None:
    found = card(_manifest(GOOD))
    assert ["Course", "number and code", "integer", "2", "17 whole numbers"] in _table(found, "column")
    assert ["Surname", "nearly every value stands for one row alone"] in _tables(found)[2]


def test_long_lists_are_folded_and_say_where_the_rest_is() -> None:
    features = tuple(
        Feature(f"{role} {place}", Kind.DECIMAL, role) for role in (Role.NUMBER, Role.IGNORE) for place in range(50)
    )
    found = card(_manifest(GOOD, features=features))
    assert len(_table(found, "column")) == 41
    assert found.count("And 10 more; see manifest.json.") == 2
    assert "number 39 " in found
    assert "number 40 " not in found


def test_small_classes_and_the_cells_that_would_tell_them_are_hidden() -> None:
    metrics = _figures([[3, 2, 1], [2, 60, 30], [4, 40, 90]], ("Dropout", "Enrolled", "Graduate"))
    found = card(_manifest(metrics))
    by_class = {row[0]: row[1:] for row in _table(found, "class")}
    assert by_class["Dropout"] == ["–", "–", "–", "<10"]
    assert by_class["Enrolled"][-1] == "–"
    assert by_class["Graduate"][-1] == "134"
    shown = [cell for row in _table(found, "truly \\ predicted")[1:] for cell in row[1:] if cell != "–"]
    assert all(int(cell) >= 10 for cell in shown)
    assert "hardly a figure: Dropout." in _seen(found)
    assert "`ss models show dropout@3`" in found


def test_the_limit_for_small_counts_can_be_set() -> None:
    assert "<" not in _seen(card(_manifest(GOOD), smallest=1))
    assert "<100" in _seen(card(_manifest(GOOD), smallest=100))


def test_bins_of_few_rows_keep_their_counts_to_themselves() -> None:
    metrics = {**GOOD, "calibration": [{**one, "rows": 4} for one in GOOD["calibration"][:2]] + GOOD["calibration"][2:]}
    rows = _table(card(_manifest(metrics)), "confidence")[1:]
    assert [row[1:] for row in rows[:2]] == [["<10", "–", "–"]] * 2


COUNTS = st.lists(st.integers(0, 40), min_size=12, max_size=12)


@settings(max_examples=EXAMPLES * 3, deadline=None)
@given(
    counts=COUNTS, shape=st.sampled_from([(3, 3), (4, 3), (2, 2), (3, 2), (1, 1), (2, 1)]), smallest=st.integers(1, 30)
)
def test_no_hidden_cell_stands_alone_in_anything_whose_sum_is_known(
    counts: list[int], shape: tuple[int, int], smallest: int
) -> None:
    """So no subtraction leads anywhere: rows with their sums, columns, the sums among themselves, the diagonal."""
    cells = np.array(counts[: shape[0] * shape[1]]).reshape(shape)
    hidden, sums = hide_table(cells, smallest)
    assert (cells[~hidden] >= smallest).all()
    assert (cells.sum(axis=1)[~sums] >= smallest).all()
    known = np.column_stack([hidden, sums])
    square = min(shape)
    lines = [*known, *known.T, known[:square, :square].diagonal()]
    assert all(line.sum() != 1 or len(line) == 1 for line in lines)


@given(counts=st.lists(st.integers(0, 40), min_size=2, max_size=8), smallest=st.integers(1, 30))
def test_one_small_count_takes_the_next_smallest_with_it(counts: list[int], smallest: int) -> None:
    hidden = hide_line(np.array(counts), smallest)
    small = sum(count < smallest for count in counts)
    assert hidden.sum() == (2 if small == 1 else small)
    assert not hidden.any() or max(np.array(counts)[hidden]) <= min(np.array(counts)[~hidden], default=99)


def test_a_table_without_small_cells_is_shown_whole() -> None:
    found = card(_manifest(GOOD))
    shown = [[int(cell) for cell in row[1:]] for row in _table(found, "truly \\ predicted")[1:]]
    assert shown == GOOD["confusion"]
    assert "are hidden" not in found


def test_labels_that_the_model_does_not_know_have_a_row_of_their_own() -> None:
    metrics = _figures(GOOD["confusion"], ("Dropout", "Enrolled", "Graduate"), (20, 21, 22))
    found = card(_manifest(metrics))
    assert _table(found, "truly \\ predicted")[-1] == ["a label it does not know", "20", "21", "22"]
    assert "a label that no training row has" in found


def test_a_hundred_classes_do_not_make_a_table_of_ten_thousand_cells() -> None:
    classes = tuple(f"course {place}" for place in range(100))
    found = card(_manifest(_figures((np.eye(100, dtype=int) * 12).tolist(), classes), classes=classes))
    assert "it is in metrics.json" in found
    assert "and 60 more" in found
    assert len(found.splitlines()) < 200


def test_a_model_of_a_number_is_shown_in_the_targets_own_unit() -> None:
    metrics = ValueMetrics(0.9)
    actual = np.arange(200.0)
    metrics.add(actual, actual + 3, actual - 5, actual + 5)
    found = card(
        _manifest(
            metrics.result(), task="regression", target="G3", classes=(), baseline={"mean": mean_baseline(90.0, actual)}
        )
    )
    rows = {row[0]: row[2:] for row in _table(found, "figure")}
    assert rows["RMSE, in the target's unit"][0] == "3"
    assert rows["R², share of the variance explained"][0] == "0.997"
    assert "for 90% of the rows; they held it for 100.0%" in found
    assert "calibration.png" not in found
    assert "RMSE 3, against 58.51 of the plain alternative “mean”" in found


def test_a_model_without_figures_still_has_a_card() -> None:
    found = card(_manifest({}))
    assert "It was not compared with a plain alternative." in found
    assert "## Make it again" in found


def test_a_refit_and_rows_without_an_outcome_are_said() -> None:
    trained = replace(_manifest(GOOD).trained, refit=True, unlabelled=1234, window="2023 to 2024")
    found = card(_manifest(GOOD, trained=trained))
    assert "This one was then trained on all." in found
    assert "1,234 left out because their outcome is unknown" in found
    assert "2023 to 2024" in found


def test_the_command_names_everything_that_was_set() -> None:
    made = _manifest(GOOD, target="Final result; rm -rf", settings={"epochs": 7, "types": {"My course": "both"}})
    assert shlex.split(command(made)) == [
        *("ss", "train", "local", "--data", "data", "--target", "Final result; rm -rf", "--algorithm", "incremental"),
        *("--name", "dropout", "--id", "student_id", "--holdout", "0.2", "--epochs", "7", "--types", "My course=both"),
    ]
    given = _manifest(GOOD, extra={"command": "ss train local --data x.csv --target y"})
    assert "ss train local --data x.csv --target y\n" in card(given)


def test_the_card_of_a_manifest_read_back_is_the_same() -> None:
    made = _manifest(GOOD, baseline={"majority": majority(np.array([40, 30, 30]), np.array([102, 85, 114]))})
    again = from_document(json.loads(json.dumps(made.document())), "manifest.json")
    assert card(again) == card(made)


@pytest.mark.parametrize(
    "name",
    [
        *(
            "Gender",
            "sex",
            "Age at enrollment",
            "age_band",
            "ageBand",
            "Nacionality",
            "Mother's qualification",
            "IMDBand",
        ),
        *(
            "imd_band",
            "disability",
            "Educational special needs",
            "Marital status",
            "highest_education",
            "Medu",
            "region",
        ),
    ],
)
def test_columns_that_may_be_protected_are_asked_about(name: str) -> None:
    assert asks(name)
    found = card(_manifest(GOOD, features=(Feature(name, Kind.TEXT, Role.CATEGORY),)))
    assert f"describe who a person is: {name}." in _seen(found).replace("’", "'")


@pytest.mark.parametrize(
    "name", ["Admission grade", "average", "page views", "Course", "absences", "", "stage", "sentiment"]
)
def test_columns_that_only_sound_alike_are_not(name: str) -> None:
    assert not asks(name)


def test_a_column_that_is_not_used_needs_no_question() -> None:
    assert "describe who" not in card(_manifest(GOOD, features=(Feature("Gender", Kind.TEXT, Role.IGNORE),)))
