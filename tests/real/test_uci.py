"""Two public tables of students load with no flag, complete and typed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest

from studentsuccess.config.values import RejectLimit
from studentsuccess.core.counts import Counts
from studentsuccess.core.grammar import Kind
from studentsuccess.core.parallel import Engine
from studentsuccess.core.probe import probe
from studentsuccess.core.reporter import SilentReporter
from studentsuccess.core.stream import StreamSettings
from studentsuccess.sources.landed import Landed, Places, Reading
from studentsuccess.sources.table import group, land

Load = Callable[[Path], Landed]


@pytest.fixture
def load(tmp_path: Path) -> Load:
    def landed(path: Path) -> Landed:
        (dataset,) = group([probe(path, path.name)], None, (), None)
        stream = StreamSettings(engine=Engine("threads", 2))
        reading = Reading(stream, ("", "?", "NA", "NULL"), 0.01, RejectLimit(share=0.01))
        return land(dataset, reading, Places("r", tmp_path / "s", tmp_path / "d", tmp_path / "x"), SilentReporter())

    return landed


def _same_as_pandas(landed: Landed, source: Path, separator: str) -> None:
    ours = pd.concat([pq.read_table(file.temp).to_pandas() for file in landed.files], ignore_index=True)
    theirs = pd.read_csv(source, sep=separator, keep_default_na=False)
    assert [column.strip() for column in theirs.columns] == list(ours.columns)
    theirs.columns = ours.columns
    pd.testing.assert_frame_equal(ours.fillna(""), theirs, check_dtype=False)


def test_uci697_is_4424_students_in_37_columns(real_data: Path, load: Load) -> None:
    source = real_data / "uci697" / "data.csv"
    landed = load(source)
    kinds = Counter(column.kind for column in landed.layout.columns)
    assert landed.counts == Counts(4_424, 4_424, 0, 0)
    assert kinds == {Kind.INTEGER: 29, Kind.DECIMAL: 7, Kind.TEXT: 1}
    assert landed.layout.columns[-1].name == "Target"
    assert "Daytime/evening attendance" in landed.layout.names
    assert not any(name != name.strip() for name in landed.layout.names)
    _same_as_pandas(landed, source, ";")


@pytest.mark.parametrize(("name", "rows"), [("student-mat.csv", 395), ("student-por.csv", 649)])
def test_both_files_of_uci_student_are_complete(real_data: Path, load: Load, name: str, rows: int) -> None:
    source = real_data / "uci_student" / name
    landed = load(source)
    kinds = {column.name: column.kind for column in landed.layout.columns}
    assert landed.counts == Counts(rows, rows, 0, 0)
    assert len(kinds) == 33
    assert {kinds[name] for name in ("age", "absences", "G1", "G2", "G3")} == {Kind.INTEGER}
    assert {kinds[name] for name in ("school", "sex", "higher", "Mjob")} == {Kind.TEXT}
    _same_as_pandas(landed, source, landed.inputs[0].dialect.delimiter)
