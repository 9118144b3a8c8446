"""Types are decided over the whole table: where it begins is only where the guessing begins."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from studentsuccess.config.values import RejectLimit
from studentsuccess.core.grammar import Kind
from studentsuccess.core.infer import choose
from studentsuccess.core.parallel import Engine
from studentsuccess.core.probe import probe
from studentsuccess.core.reporter import SilentReporter
from studentsuccess.core.stream import StreamSettings
from studentsuccess.sources.landed import Landed, Places, Reading
from studentsuccess.sources.table import group, land

NULLS = ("", "?", "NA", "NULL")
ROWS = 6_000


class Table:
    """Lands a table of one column, in small blocks, so that its beginning is not all of it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __call__(self, cells: list[str], *, packed: bool = False, tolerance: float = 0.01) -> Landed:
        text = "".join(f"{number},{cell}\n" for number, cell in enumerate(cells, 1))
        path = self._folder / "t.csv"
        data = ("n,v\n" + text).encode()
        path.write_bytes(gzip.compress(data, 9, mtime=0) if packed else data)
        reading = Reading(
            StreamSettings(block_bytes=4_096, engine=Engine("serial")), NULLS, tolerance, RejectLimit(share=1)
        )
        places = Places("r", self._folder / "staging", self._folder / "dlq", self._folder / "datasets")
        (dataset,) = group([probe(path, "t.csv")], None, (), None)
        return land(dataset, reading, places, SilentReporter())


@pytest.fixture
def table(tmp_path: Path) -> Table:
    return Table(tmp_path)


def _kind(landed: Landed) -> Kind:
    return landed.layout.columns[1].kind


def _lines(landed: Landed) -> list[str]:
    if not landed.letters.count:
        return []
    return [line.split(",")[1] for line in landed.letters.temp.read_text().splitlines()[1:]]


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize(
    ("cells", "kind", "rejected"),
    [
        pytest.param(["7"] * ROWS, Kind.INTEGER, 0, id="whole numbers"),
        pytest.param(["7"] * (ROWS - 1) + ["7.5"], Kind.DECIMAL, 0, id="one late decimal"),
        pytest.param(["7"] * (ROWS - 1) + ["x"], Kind.INTEGER, 1, id="one late text"),
        pytest.param(["7"] * (ROWS - 100) + ["x"] * 100, Kind.TEXT, 0, id="much late text"),
        pytest.param(["x"] * 30 + ["7"] * (ROWS - 30), Kind.INTEGER, 30, id="text at the beginning only"),
        pytest.param(["x"] * 30 + ["2024-02-29"] * (ROWS - 30), Kind.DATE, 30, id="text, then dates"),
        pytest.param(["x"] * 30 + ["true"] * (ROWS - 30), Kind.BOOLEAN, 30, id="text, then truth values"),
        pytest.param([""] * (ROWS - 50) + ["8"] * 50, Kind.INTEGER, 0, id="nulls, then numbers"),
        pytest.param(["NA", "?", "", "NULL"] * (ROWS // 4), Kind.TEXT, 0, id="all null"),
        pytest.param(["007", "042"] * (ROWS // 2), Kind.TEXT, 0, id="codes with leading zeros"),
        pytest.param(["7"] * (ROWS // 2) + ["007"] * (ROWS // 2), Kind.TEXT, 0, id="late codes"),
        pytest.param(["7"] * 3000 + ["2024-01-01"] * 3000, Kind.TEXT, 0, id="numbers, then dates"),
        pytest.param(["7"] * 40 + ["2024-01-01"] * (ROWS - 40), Kind.DATE, 40, id="few numbers, then dates"),
        pytest.param(["2024-01-01"] * (ROWS - 1) + ["2024-01-01 10:00"], Kind.TIME, 0, id="one late time of day"),
        pytest.param(["2023-02-30"] * 200 + ["2024-01-01"] * (ROWS - 200), Kind.TEXT, 0, id="days that never were"),
        pytest.param(["true", "FALSE"] * (ROWS // 2), Kind.BOOLEAN, 0, id="truth values"),
        pytest.param(["1", "0"] * (ROWS // 2), Kind.INTEGER, 0, id="ones and zeros"),
        pytest.param(["3,5".replace(",", ".")] * ROWS, Kind.DECIMAL, 0, id="decimals"),
        pytest.param(["NaN"] * ROWS, Kind.TEXT, 0, id="nothing but NaN"),
    ],
)
def test_the_whole_column_decides(table: Table, cells: list[str], kind: Kind, rejected: int, packed: bool) -> None:
    landed = table(cells, packed=packed)
    assert _kind(landed) is kind
    assert landed.counts.rejected == rejected
    assert landed.counts.kept == len(cells) - rejected
    assert landed.letters.count == len(_lines(landed)) == rejected


@pytest.mark.parametrize(("bad", "kind"), [(59, Kind.INTEGER), (60, Kind.INTEGER), (61, Kind.TEXT)])
@pytest.mark.parametrize("early", [True, False])
def test_the_tolerance_is_a_share_of_the_values_present_and_exact_at_its_edge(
    table: Table, bad: int, kind: Kind, early: bool
) -> None:
    good, wrong = ["7"] * (ROWS - bad), ["x"] * bad
    landed = table([*(wrong + good if early else good + wrong), *[""] * 1000])
    assert _kind(landed) is kind
    assert landed.counts.rejected == (bad if kind is Kind.INTEGER else 0)


def test_without_tolerance_one_bad_value_makes_a_column_text(table: Table) -> None:
    assert _kind(table(["7"] * ROWS + ["x"], tolerance=0)) is Kind.TEXT


def test_a_column_of_another_kind_than_it_began_with_is_rejected_by_its_final_kind_only(table: Table) -> None:
    landed = table(["1.5"] * 20 + ["7"] * 3_000 + ["x"] * 5)
    assert _kind(landed) is Kind.DECIMAL
    assert _lines(landed) == [str(line) for line in range(3_022, 3_027)]


@pytest.mark.parametrize(
    ("present", "refused", "kind"),
    [
        (100, {Kind.INTEGER: 1, Kind.DECIMAL: 1}, Kind.INTEGER),
        (100, {Kind.INTEGER: 1, Kind.DECIMAL: 0}, Kind.DECIMAL),
        (100, {Kind.INTEGER: 2, Kind.DECIMAL: 2}, Kind.TEXT),
        (100, {Kind.INTEGER: 100, Kind.DATE: 0, Kind.TIME: 0}, Kind.DATE),
        (0, {Kind.INTEGER: 0}, Kind.TEXT),
        (100, {}, Kind.TEXT),
    ],
)
def test_the_kind_that_refuses_fewest_wins_and_of_equals_the_narrowest(
    present: int, refused: dict[Kind, int], kind: Kind
) -> None:
    assert choose(present, refused, 0.01) is kind


def test_the_tolerance_of_one_percent_allows_exactly_one_in_a_hundred_at_any_size() -> None:
    for hundreds in range(1, 3_000):
        assert choose(100 * hundreds, {Kind.INTEGER: hundreds}, 0.01) is Kind.INTEGER
        assert choose(100 * hundreds, {Kind.INTEGER: hundreds + 1}, 0.01) is Kind.TEXT


def test_a_column_that_begins_as_plain_text_is_counted_exactly_before_it_stays_text(tmp_path: Path) -> None:
    # 1.05% are no numbers, a tenth of them begin like a truth value: a cheap count of the first block sees .95%.
    cells = ["Ann"] * 190 + ["today"] * 20 + ["7"] * 19_790
    landed = Table(tmp_path)(cells)
    assert _kind(landed) == Kind.TEXT
    assert landed.counts.rejected == 0
