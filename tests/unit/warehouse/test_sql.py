"""Statements in files, names quoted."""

from __future__ import annotations

from importlib.resources import files

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from studentsuccess.warehouse.sql import identifier, statement


@given(st.text(st.characters(exclude_characters="\0", exclude_categories=("Cs",)), min_size=1, max_size=20))
def test_any_name_survives_quoting(name: str) -> None:
    with duckdb.connect() as connection:
        cursor = connection.execute(f"SELECT 1 AS {identifier(name)}")
        assert [column[0] for column in cursor.description] == [name]


@pytest.mark.parametrize("name", ["", "a\0b"])
def test_a_name_that_sql_cannot_hold_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="NUL"):
        identifier(name)


def test_every_statement_can_be_read() -> None:
    names = [entry.name for entry in (files("studentsuccess.warehouse") / "sql").iterdir()]
    assert names
    assert all(statement(name.removesuffix(".sql")).strip() for name in names)
