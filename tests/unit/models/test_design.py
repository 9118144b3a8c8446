"""What a column becomes, and which weight is whose."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from gathered import Prepared, prepared, rows_of

from studentsuccess.errors import UsageError
from studentsuccess.models.design import NONE, decide
from studentsuccess.models.incremental import measure
from studentsuccess.models.roles import Role

ROWS = 400
RNG = np.random.default_rng(1)
NOISE = pa.array(RNG.normal(size=ROWS))
Y = pa.array(np.where(np.arange(ROWS) % 3 == 0, "no", "yes"))


def one(tmp_path: Path, name: str, column: pa.Array, **more: Any) -> Prepared:
    """The column in a table whose rows all differ, so that some of them are held out."""
    return prepared(tmp_path / "a.rows", {name: column, "noise": NOISE, "y": Y}, **more)


def strings(values: Any) -> pa.Array:
    return pa.array([None if value is None else str(value) for value in values], pa.string())


CASES: list[tuple[str, str, pa.Array, Role]] = [
    ("few texts", "x", strings(RNG.integers(0, 5, ROWS)), Role.CATEGORY),
    ("names", "x", strings(range(ROWS)), Role.IGNORE),
    ("names of two rows each", "x", strings(np.arange(ROWS) // 2), Role.CATEGORY),
    ("one text in every row", "x", strings(["same"] * ROWS), Role.IGNORE),
    ("one text or none", "x", strings(["same" if at % 2 else None for at in range(ROWS)]), Role.CATEGORY),
    ("no text at all", "x", pa.array([None] * ROWS, pa.string()), Role.IGNORE),
    ("few whole numbers", "x", pa.array(RNG.integers(0, 4, ROWS)), Role.BOTH),
    ("two whole numbers", "x", pa.array(np.arange(ROWS) % 2), Role.NUMBER),
    ("many whole numbers", "x", pa.array(RNG.integers(0, 300, ROWS)), Role.NUMBER),
    ("a counter", "x", pa.array(range(5, ROWS + 5)), Role.IGNORE),
    ("a counter with gaps", "x", pa.array([at if at % 5 else None for at in range(ROWS)]), Role.NUMBER),
    ("numbers called an id", "student_id", pa.array(RNG.permutation(ROWS) * 7), Role.IGNORE),
    ("codes called an id", "course_id", pa.array(RNG.integers(0, 4, ROWS)), Role.BOTH),
    ("one number in every row", "x", pa.array([7] * ROWS), Role.IGNORE),
    ("one decimal in every row", "x", pa.array([0.1] * ROWS), Role.IGNORE),
    ("one number or none", "x", pa.array([0.1 if at % 2 else None for at in range(ROWS)]), Role.NUMBER),
    ("no number at all", "x", pa.array([None] * ROWS, pa.float64()), Role.IGNORE),
    ("decimals", "x", pa.array(RNG.normal(size=ROWS)), Role.NUMBER),
    ("truths", "x", pa.array(np.arange(ROWS) % 4 == 1), Role.NUMBER),
    ("days", "x", pa.array([date(2024, 1, 1) + timedelta(int(at)) for at in RNG.integers(0, 99, ROWS)]), Role.NUMBER),
]


@pytest.mark.parametrize(("name", "column", "role"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_a_column_becomes_what_its_values_are(tmp_path: Path, name: str, column: pa.Array, role: Role) -> None:
    found = one(tmp_path, name, column)
    assert found.role(name) is role
    feature = found.design.features[0]
    assert bool(feature.why) == (role in (Role.IGNORE, Role.BOTH)), feature.why


@pytest.mark.parametrize("asked", list(Role))
@pytest.mark.parametrize(
    ("column", "allowed"),
    [
        (strings(RNG.integers(0, 5, ROWS)), {Role.CATEGORY: Role.CATEGORY}),
        (strings(range(ROWS)), {Role.CATEGORY: Role.CATEGORY}),
        (pa.array(RNG.integers(0, 9, ROWS)), dict.fromkeys([Role.NUMBER, Role.CATEGORY, Role.BOTH])),
        (pa.array(range(ROWS)), {Role.NUMBER: Role.NUMBER, Role.CATEGORY: Role.CATEGORY, Role.BOTH: Role.NUMBER}),
        (pa.array(RNG.normal(size=ROWS)), {Role.NUMBER: None, Role.CATEGORY: None, Role.BOTH: Role.NUMBER}),
        (pa.array(np.arange(ROWS) % 2 == 0), {Role.NUMBER: None, Role.CATEGORY: None, Role.BOTH: Role.NUMBER}),
    ],
    ids=["few texts", "names", "few whole numbers", "a counter", "decimals", "truths"],
)
def test_what_is_asked_for_is_done_or_refused_by_name(
    tmp_path: Path, asked: Role, column: pa.Array, allowed: dict[Role, Role | None]
) -> None:
    if asked is Role.IGNORE or asked in allowed:
        found = one(tmp_path, "x", column, types={"x": asked})
        assert found.role("x") is (allowed.get(asked) or asked)
        assert "--types" in found.design.features[0].why
        return
    with pytest.raises(UsageError, match=f"`--types x={asked}`: its values are texts"):
        one(tmp_path, "x", column, types={"x": asked})


@pytest.mark.parametrize(("repeats", "role"), [(3, Role.CATEGORY), (1, Role.IGNORE)])
def test_how_the_table_was_cut_does_not_decide_whether_texts_are_names(
    tmp_path: Path, repeats: int, role: Role
) -> None:
    """More levels than are learned by name: those beyond must not count more when they come in more pieces."""
    count = 30_000 * repeats
    columns = {
        "x": strings(np.arange(count) % 30_000),
        "y": pa.array(np.where(np.arange(count) % 2 == 0, "a", "b")),
    }
    roles = [prepared(tmp_path / "a.rows", columns, step=step).role("x") for step in (count, 2_000)]
    assert roles == [role, role]


def test_every_weight_has_its_place_and_its_owner(tmp_path: Path) -> None:
    columns = {
        "text": strings(np.array(["c", "a", "b"])[RNG.integers(0, 3, ROWS)]),
        "code": pa.array(RNG.integers(5, 8, ROWS)),
        "size": pa.array(RNG.normal(3, 2, ROWS)),
        "gone": pa.array([1.0] * ROWS),
        "y": Y,
    }
    found = prepared(tmp_path / "a.rows", columns)
    design, text, code = found.design, *found.gatherer.books[:2]
    assert [feature.role for feature in design.features] == [Role.CATEGORY, Role.BOTH, Role.NUMBER, Role.IGNORE]
    assert design.owner.tolist() == [NONE, 1, 1, 2, 2, 0, 0, 0, 1, 1, 1]
    assert (design.starts.tolist(), design.table.tolist()) == ([0, 3, 6], [5, 6, 7, 8, 9, 10])
    assert [feature.levels for feature in design.features] == [text.levels, code.levels, (), ()]
    rows = rows_of(found.store)
    mine = rows[found.training(rows)]
    for place in range(2):
        numbers = design.numbers_of(mine)[:, place].astype(np.float64)
        assert design.mean[place] == pytest.approx(numbers.mean())
        assert 1 / design.inverse[place] == pytest.approx(numbers.std())
    np.testing.assert_array_equal(design.codes_of(rows), rows["codes"])


def test_a_level_that_only_held_out_rows_have_has_no_weight(tmp_path: Path) -> None:
    plain = one(tmp_path, "x", strings(RNG.integers(0, 150, ROWS)))
    rows = rows_of(plain.store)
    held = plain.split.held_out(rows["key"])
    levels = np.array(plain.gatherer.books[0].levels)[rows["codes"][:, 0]]
    facts = measure(plain.store, plain.gatherer.books, plain.training)
    seen = [int((levels[~held] == level).sum()) for level in plain.gatherer.books[0].levels]
    assert facts["x"].counts.tolist() == seen
    assert 0 in seen
    assert (plain.design.table >= 0).tolist() == [count > 0 for count in seen]
    nobody = measure(plain.store, plain.gatherer.books, lambda _rows: np.zeros(0, np.int64))
    assert decide(plain.gatherer.books[0], nobody["x"], 0, None) == (Role.IGNORE, "empty")
