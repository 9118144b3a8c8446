"""The wide table is the same for all who compare, and the plain scripts learn from it what can be learned."""

from __future__ import annotations

import csv
import json
import math
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
from loading import load_module

HERE = Path(__file__).parent
wide = load_module("wide_under_test", HERE / "wide.py")
plain_models = load_module("plain_models_under_test", HERE / "plain_models.py")

ROWS, SEED = wide.CHUNK + 3_000, 3
HELD_OUT = 2_000


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A table of more than one chunk."""
    path = tmp_path_factory.mktemp("wide") / "table.csv"
    wide.write_wide(path, ROWS, SEED)
    return path


@pytest.fixture(scope="module")
def held_out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("wide") / "held-out.csv"
    wide.write_wide(path, HELD_OUT, SEED + 1)
    return path


def _records(path: Path) -> Iterator[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as source:
        yield from csv.DictReader(source)


def _run(script: str, *paths: Path) -> dict[str, int]:
    done = subprocess.run(plain_models.command(script, *paths), capture_output=True, text=True, check=True)
    said: dict[str, int] = json.loads(done.stdout)
    return said


def test_the_same_seed_writes_the_same_bytes_and_another_seed_others(tmp_path: Path) -> None:
    for name, seed in (("a.csv", 1), ("b.csv", 1), ("c.csv", 2)):
        wide.write_wide(tmp_path / name, 2_000, seed)
    first, second, other = ((tmp_path / name).read_bytes() for name in ("a.csv", "b.csv", "c.csv"))
    assert first == second
    assert first != other


def test_the_columns_are_of_the_promised_kinds_and_no_field_is_quoted(table: Path) -> None:
    levels: dict[str, set[str]] = {name: set() for name in wide.CATEGORIES}
    missing = Counter[str]()
    for record in _records(table):
        assert tuple(record) == wide.COLUMNS
        missing.update(name for name in wide.NUMBERS if not record[name] or not math.isfinite(float(record[name])))
        for name in wide.CATEGORIES:
            levels[name].add(record[name])
    assert [len(found) for found in levels.values()] == list(wide.LEVELS)
    assert sorted(missing) == [name for at, name in enumerate(wide.NUMBERS) if at % wide.NULL_EVERY == 0]
    assert all(abs(count / ROWS - wide.NULLS) < 0.005 for count in missing.values())
    assert b'"' not in table.read_bytes()


def test_every_row_has_an_id_of_its_own_that_its_place_tells(table: Path) -> None:
    found = [int(record[wide.ID]) for record in _records(table)]
    assert found == [*wide.ids(0, 5).tolist(), *wide.ids(5, ROWS - 5).tolist()]
    assert len(set(found)) == ROWS
    assert found != sorted(found)


def test_the_facts_say_what_stands_in_the_table(table: Path) -> None:
    facts = wide.read_facts(table)
    assert (facts.rows, facts.seed, facts.generator) == (ROWS, SEED, wide.generator_digest())
    counted = Counter(record[wide.TARGET] for record in _records(table))
    assert dict(zip(wide.CLASSES, facts.counts, strict=True)) == counted
    assert min(facts.counts) > 0.1 * ROWS


@pytest.mark.full
def test_chance_and_products_leave_a_plain_model_between_the_law_and_the_shares_of_the_classes(
    table: Path, held_out: Path, tmp_path: Path
) -> None:
    facts = wide.read_facts(table)
    shares = [count / facts.rows for count in facts.counts]
    entropy = -sum(share * math.log(share) for share in shares)
    assert _run("train-sparse", table, tmp_path / "model") == {"rows": ROWS}
    assert _run("score", held_out, tmp_path / "scores.csv", tmp_path / "model") == {"rows": HELD_OUT}
    losses = [
        -math.log(float(scored[f"p_{record[wide.TARGET]}"]))
        for scored, record in zip(_records(tmp_path / "scores.csv"), _records(held_out), strict=True)
    ]
    assert wide.read_facts(held_out).bayes < sum(losses) / HELD_OUT < entropy


@pytest.mark.full
def test_both_plain_models_write_the_same_columns_and_polars_as_many(held_out: Path, tmp_path: Path) -> None:
    headers = {}
    for script in ("train-dense", "train-sparse"):
        scores = tmp_path / f"{script}.csv"
        _run(script, held_out, tmp_path / "model")
        _run("score", held_out, scores, tmp_path / "model")
        rows = list(_records(scores))
        headers[script] = list(rows[0])
        assert [row["id"] for row in rows] == [record["id"] for record in _records(held_out)]
        for row in rows:
            likely = {name: float(row[f"p_{name}"]) for name in wide.CLASSES}
            assert math.isclose(sum(likely.values()), 1, abs_tol=1e-9)
            assert float(row["confidence"]) == likely[row["predicted"]] == max(likely.values())
    assert headers["train-dense"] == headers["train-sparse"]
    _run("polars", held_out, tmp_path / "polars.csv")
    copied = list(_records(tmp_path / "polars.csv"))
    assert len(copied[0]) == len(headers["train-dense"])
    assert [float(row["n01"]) for row in copied] == [float(record["n01"]) for record in _records(held_out)]


def test_polars_is_given_no_column_to_skip(held_out: Path) -> None:
    import polars as pl

    plan = pl.scan_csv(held_out).select(plain_models.WRITTEN)
    assert f"/{len(wide.COLUMNS)} COLUMNS" in plan.explain()
    assert f"*/{len(wide.COLUMNS)} COLUMNS" not in plan.explain()
    assert f"*/{len(wide.COLUMNS)} COLUMNS" in plan.explain(optimizations=plain_models.every_column())


def test_the_reader_alone_reads_every_row_and_finds_the_kinds(held_out: Path) -> None:
    assert _run("reader", held_out) == {"rows": HELD_OUT}


def test_the_plain_scripts_know_the_columns_of_the_table() -> None:
    assert [plain_models.ID, *plain_models.NUMBERS, *plain_models.CATEGORIES, plain_models.TARGET] == list(wide.COLUMNS)
    assert set(plain_models.WRITTEN) <= set(wide.COLUMNS)
    assert plain_models.command("reader", HERE)[0] == sys.executable


@pytest.fixture
def scores_bench(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The section that scores; a section finds its neighbours as a script does."""
    monkeypatch.syspath_prepend(str(HERE))
    return load_module("score_under_test", HERE / "score.py")


GOOD = ("pass", 0.5, 0.3, 0.5, 0.2)


@pytest.mark.parametrize(
    ("row", "broken"),
    [
        pytest.param(("pass", 0.5, 0.3, 0.5, 0.19), "improbable", id="a sum of less than one"),
        pytest.param(("pass", 0.5, 0.3, 0.5, "nan"), "improbable", id="a probability that is no number"),
        pytest.param(("pass", 0.5, 0.3, 0.5, ""), "improbable", id="a missing probability"),
        pytest.param(("pass", 0.8, 0.3, 0.8, -0.1), "improbable", id="a negative probability"),
        pytest.param(("pass", 0.6, 0.3, 0.5, 0.2), "improbable", id="another confidence"),
        pytest.param(("fail", 0.5, 0.3, 0.5, 0.2), "unlikely", id="another class than the likeliest"),
        pytest.param(("distinction", 0.5, 0.3, 0.5, 0.2), "unlikely", id="a class that is none"),
    ],
)
def test_one_wrong_row_of_scores_is_found_among_good_ones(
    row: tuple[object, ...], broken: str, scores_bench: ModuleType, tmp_path: Path
) -> None:
    path = tmp_path / "scores.csv"
    key = wide.ids(0, 6).tolist()
    _write_scores(path, [(key[at], *(row if at == 4 else GOOD)) for at in range(6)])
    found = scores_bench.check(path, wide.ID, wide.TARGET, wide.CLASSES)
    assert (found.rows, found.misplaced, getattr(found, broken)) == (6, 0, 1)


def test_good_rows_of_scores_are_not_blamed(scores_bench: ModuleType, tmp_path: Path) -> None:
    path = tmp_path / "scores.csv"
    _write_scores(path, [(key, *GOOD) for key in wide.ids(0, 6).tolist()])
    assert scores_bench.check(path, wide.ID, wide.TARGET, wide.CLASSES) == scores_bench.Check(rows=6)


def test_rows_of_scores_out_of_their_order_are_found(scores_bench: ModuleType, tmp_path: Path) -> None:
    path = tmp_path / "scores.csv"
    key = wide.ids(0, 6).tolist()
    _write_scores(path, [(one, *GOOD) for one in sorted(key)])
    found = scores_bench.check(path, wide.ID, wide.TARGET, wide.CLASSES)
    assert found.misplaced == sum(one != other for one, other in zip(key, sorted(key), strict=True)) > 0


def _write_scores(path: Path, rows: list[tuple[object, ...]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as sink:
        writer = csv.writer(sink, lineterminator="\n")
        writer.writerow((wide.ID, f"predicted_{wide.TARGET}", "confidence", *(f"p_{name}" for name in wide.CLASSES)))
        writer.writerows(rows)
