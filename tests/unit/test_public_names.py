"""What `import studentsuccess` offers, and what it costs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import studentsuccess


def test_importing_the_package_imports_nothing_heavy() -> None:
    code = (
        "import sys, studentsuccess; print([m for m in ('pyarrow', 'duckdb', 'numpy', 'pydantic') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_every_public_name_is_there_and_an_unknown_one_is_an_attribute_error() -> None:
    for name in studentsuccess.__all__:
        assert getattr(studentsuccess, name) is not None
        assert name in dir(studentsuccess)
    with pytest.raises(AttributeError, match="no attribute 'etll'"):
        _ = studentsuccess.etll


def test_a_notebook_loads_mends_and_verifies_in_three_lines(tmp_path: Path) -> None:
    source = tmp_path / "grades.csv"
    source.write_text("id,score\n" + "".join(f"{number},{number / 4}\n" for number in range(400)) + "400,much\n")
    result = studentsuccess.etl([source], tmp_path / "ws", ids=["id"])
    assert (result.tables["grades"].kept, result.tables["grades"].rejected) == (400, 1)
    letters = tmp_path / "ws" / "inputs" / "dlq" / Path(result.dead_letters[0]).name
    letters.write_text(letters.read_text().replace("400,much", "400,7.5"))
    again = studentsuccess.etl_mended(letters, tmp_path / "ws")
    assert again.tables["grades"].kept == 1
    assert not [one for one in studentsuccess.verify(tmp_path / "ws") if one.level == "damage"]
