"""What decides a result, and what whoever checks it has to know."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest
from made_models import context_of
from made_terms import Term, write_term

from studentsuccess.batching.inputs import Read, read_instance
from studentsuccess.config.layers import Overrides, load
from studentsuccess.errors import UsageError
from studentsuccess.tasks.batch_request import (
    BatchRequest,
    Beside,
    how,
    input_request,
    inputs_of,
    key_of,
    request_document,
    thresholds,
)
from studentsuccess.tasks.context import Context

DAY = date(2025, 9, 1)


def context(workspace: Path, **settings: object) -> Context:
    named = {name.replace("__", "."): value for name, value in settings.items()}
    return Context(load(Overrides(workspace=workspace, flags=named)))


@pytest.fixture
def term(tmp_path: Path) -> Path:
    return write_term(tmp_path / "term", Term(130, seed=3))


def key(term: Path, within: Context, request: BatchRequest | None = None) -> str:
    asked = request or BatchRequest(term, term.parent / "out", DAY)
    read: Read = read_instance(asked.folder, input_request(within, asked.beside))
    return key_of(asked, within, inputs_of(asked, read, within))


def test_the_key_is_of_what_decides(term: Path, tmp_path: Path) -> None:
    plain = key(term, context_of(tmp_path))
    assert key(term, context(tmp_path, budget__cpus=1)) == plain
    assert key(term, context(tmp_path, batch__strict=True)) == plain
    assert key(term, context(tmp_path), BatchRequest(term, tmp_path / "elsewhere", DAY)) == plain
    others = [
        key(term, context(tmp_path, batch__seed=1)),
        key(term, context(tmp_path, batch__performance=True)),
        key(term, context(tmp_path, batch__least_coherence=0.5)),
        key(term, context(tmp_path, batch__report_formats=("txt",))),
        key(term, context(tmp_path), BatchRequest(term, tmp_path / "out", date(2025, 9, 2))),
    ]
    assert len({plain, *others}) == len(others) + 1


def test_the_key_is_of_every_byte_that_is_read(term: Path, tmp_path: Path) -> None:
    within = context_of(tmp_path)
    plain = key(term, within)
    text = (term / "rooms.csv").read_text("utf-8")
    (term / "rooms.csv").write_text(text + "\n", "utf-8")
    assert key(term, within) != plain
    (term / "rooms.csv").write_text(text, "utf-8")
    assert key(term, within) == plain
    pins = tmp_path / "pins.csv"
    pins.write_text("student_id,group,relation\n", "utf-8")
    pinned = BatchRequest(term, tmp_path / "out", DAY, Beside(pins=pins))
    assert key(term, within, pinned) != plain


def test_former_batches_that_are_not_there_are_said(term: Path, tmp_path: Path) -> None:
    asked = BatchRequest(term, tmp_path / "out", DAY, Beside(previous=tmp_path))
    with pytest.raises(UsageError, match="batch_student_membership"):
        key(term, context_of(tmp_path), asked)


def test_settings_reach_the_reader_and_the_grouping(tmp_path: Path) -> None:
    within = context(
        tmp_path,
        batch__min_size=10,
        batch__target_size=20,
        batch__max_size=30,
        batch__size_weight=0.5,
        batch__homogeneity_weight=0.2,
        batch__relax=("semester",),
        batch__algorithm="kmeans",
        batch__time_limit=5.0,
        etl__delimiter=";",
    )
    asked = input_request(within, Beside())
    assert (asked.sizes.least, asked.sizes.target, asked.sizes.most) == (10, 20, 30)
    assert (asked.weights.homogeneity, asked.weights.balance, asked.weights.size) == (0.2, 0.3, 0.5)
    assert (asked.relax, asked.delimiter, asked.lenient) == (("semester",), ";", False)
    assert (how(within).algorithm, how(within).time_limit) == ("kmeans", 5.0)
    assert set(thresholds(within.settings.batch)) == {
        "academic_coherence",
        "resource_utilization",
        "constraint_satisfaction",
        "silhouette",
        "size_balance",
    }


def test_the_request_is_plain_json_that_says_who_is_pinned_by_id(term: Path, tmp_path: Path) -> None:
    pins, within = tmp_path / "pins.csv", context_of(tmp_path)
    ids = [line.split(",")[0] for line in (term / "student_data.csv").read_text("utf-8").splitlines()]
    first, second = [one.strip('"') for one in ids if one.strip('"').startswith("S0")][:2]
    pins.write_text(f"student_id,group,relation\n{first},a,apart\n{second},a,apart\n", "utf-8")
    asked = BatchRequest(term, tmp_path / "out", DAY, Beside(pins=pins))
    read = read_instance(term, input_request(within, asked.beside))
    assert read.instance is not None, read.problems
    said = json.loads(json.dumps(request_document(asked, within, read, read.instance), allow_nan=False))
    assert [set(pair) for pair in said["pins"]["apart"]] == [{first, second}]
    assert {one["role"] for one in said["files"]} >= {"student_data", "rooms", "courses"}
    assert [one["code"] for one in said["rules"]] == [one.code for one in read.instance.rules]
    relaxed = replace(read.instance, relax=("semester",))
    assert request_document(asked, within, read, relaxed)["relax"] == ["semester"]
