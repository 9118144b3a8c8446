"""Scoring: every row in its place or in the dead letters, and every figure told again by other means."""

from __future__ import annotations

import csv
import gzip
import io
import json
import math
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from trained import (
    FEATURES,
    HEADER,
    OUTCOMES,
    Row,
    Scored,
    Weights,
    context_of,
    csv_text,
    put,
    registered_copy,
    score,
    students,
    trained_workspace,
)

import studentsuccess as ss
from studentsuccess.core.parallel import Engine
from studentsuccess.core.reporter import SilentReporter
from studentsuccess.core.sinks import RowFormat, encode_csv
from studentsuccess.core.stream import StreamSettings, stream
from studentsuccess.errors import ContractError, SsError
from studentsuccess.models.keep import dump_weights, load_weights
from studentsuccess.models.predictor import Contributions, Predictions, Predictor
from studentsuccess.tasks import score as task
from studentsuccess.tasks.context import Context
from studentsuccess.tasks.inputs import resolved
from studentsuccess.tasks.models import resolve_model
from studentsuccess.tasks.models_open import open_predictor
from studentsuccess.tasks.score_input import examine
from studentsuccess.tasks.score_rows import Scorer
from studentsuccess.warehouse.ledger import read_chain

FEW = settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
FRESH = students(60, seed=9)


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trained_workspace(tmp_path_factory.mktemp("trained"))


@pytest.fixture(scope="module")
def context(workspace: Path) -> Context:
    return context_of(workspace, etl__max_rejects="100%")


@pytest.fixture
def fresh(tmp_path: Path) -> Path:
    return put(tmp_path / "fresh.csv", FRESH)


def letters_of(context: Context, scored: Scored) -> list[dict[str, str]]:
    if not scored.result.dead_letters:
        return []
    (name,) = (Path(path).name for path in scored.result.dead_letters)
    with (context.workspace.dead_letters / name).open(encoding="utf-8", newline="") as source:
        return list(csv.DictReader(source))


# --- every row, in its place

GOOD = st.fixed_dictionaries(
    {
        "age": st.sampled_from(["17", "60", "", "NA", " 31 ", "+20"]),
        "gpa": st.sampled_from(["2.5", "-1e3", ".5", "", "3"]),
        "Course": st.sampled_from(["Math", "物理", "never met", 'a "quoted", one', "two\nlines", ""]),
    }
)
BAD = {"age": ("x", "1.5", "007", "1_000"), "gpa": ("NaN", "1e999", "3,5", "0x1F")}


@st.composite
def dirty(draw: st.DrawFn) -> tuple[list[list[str]], list[bool]]:
    """Rows, and whether each of them can be scored."""
    rows, fine = [], []
    for number in range(draw(st.integers(1, 30))):
        cells = draw(GOOD)
        spoilt = draw(st.sampled_from(["", "", "", "age", "gpa", "short", "long"]))
        if spoilt in BAD:
            cells[spoilt] = draw(st.sampled_from(BAD[spoilt]))
        row = [f"{number:03d}", cells["age"], cells["gpa"], cells["Course"], "3", "true", "2020-02-29", "n", "x"]
        rows.append(row[:-2] if spoilt == "short" else [*row, "more"] if spoilt == "long" else row)
        fine.append(not spoilt)
    # Enough good values for a column to be taken for what it was.
    usual = [[f"u{number}", "20", "2.5", "Math", "3", "true", "2020-02-29", "n", "x"] for number in range(len(rows))]
    return rows + usual, fine + [True] * len(usual)


@FEW
@given(found=dirty(), ids=st.sampled_from([(), ("note", "student_id")]))
def test_every_row_is_scored_or_in_the_dead_letters_and_they_add_up(
    context: Context, tmp_path: Path, found: tuple[list[list[str]], list[bool]], ids: tuple[str, ...]
) -> None:
    rows, fine = found
    header = ("key", *HEADER[1:]) if not ids else HEADER
    scored = score(context, put(tmp_path / "dirty.csv", rows, header), ids=ids)
    good = [number for number, one in enumerate(fine, 1) if one]
    if ids:
        assert [(row["note"], row["student_id"]) for row in scored.table] == [("n", rows[at - 1][0]) for at in good]
    else:
        assert [int(row["row"]) for row in scored.table] == good
    letters = letters_of(context, scored)
    lines = np.cumsum([2, *(1 + "".join(row).count("\n") for row in rows)])
    assert [int(letter["line"]) for letter in letters] == [int(lines[at]) for at, one in enumerate(fine) if not one]
    counts = scored.result.counts
    assert (counts.read, counts.kept, counts.rejected) == (len(rows), len(good), len(letters))
    if ids and len(good) == len(rows) > 0:
        assert not scored.result.dead_letters


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rows = students(3_000, seed=4)
    rows[17][1] = rows[2_000][2] = "much"
    return put(tmp_path_factory.mktemp("many") / "many.csv", rows)


def opened(context: Context) -> Predictor:
    return open_predictor(context, resolve_model("Outcome", context.workspace, context.limits))


def streamed(context: Context, model: Predictor, file: Path, block: int, workers: int) -> bytes:
    with resolved([str(file)]) as files:
        found = examine(files, model.manifest, context)
        engine = Engine("threads" if workers > 1 else "serial", workers)
        reading = StreamSettings(block_bytes=block, batch_rows=max(block // 40, 1), engine=engine)
        parts = stream(found.inputs, found.layout, reading, Scorer(model, found, reasons=2))
        return b"".join(encode_csv(one.batch) for one in parts)


def test_neither_blocks_nor_workers_change_a_byte(context: Context, many: Path, tmp_path: Path) -> None:
    as_parquet(tmp_path / "many.parquet", students(3_000, seed=4))
    model = opened(context)
    for file in (many, tmp_path / "many.parquet"):
        whole = streamed(context, model, file, 1 << 24, 1)
        assert whole.count(b"\n") in (2_998, 3_000)
        for block, workers in ((7_000, 2), (50_000, 3), (1_000, 1)):
            assert streamed(context, model, file, block, workers) == whole


def test_workers_do_not_change_a_byte_of_a_file(workspace: Path, many: Path, tmp_path: Path) -> None:
    for workers, name in ((1, "one.csv"), (2, "two.csv")):
        score(context_of(workspace, budget__cpus=workers), many, output=str(tmp_path / name))
    assert (tmp_path / "one.csv").read_bytes() == (tmp_path / "two.csv").read_bytes()


def test_rows_of_several_files_are_counted_on(context: Context, tmp_path: Path) -> None:
    header = ("key", *HEADER[1:])
    first, second = put(tmp_path / "a.csv", FRESH[:3], header), put(tmp_path / "b.csv", FRESH[3:5], header)
    assert [row["row"] for row in score(context, first, second).table] == ["1", "2", "3", "4", "5"]


# --- ids

AWKWARD = ("007", "Zoë", '"', "a,b", "two\nlines", " padded ", "1e5", "物", "0x1F", "-5", "TRUE")


def test_ids_keep_their_name_and_their_text_to_the_letter(context: Context, tmp_path: Path) -> None:
    rows = [[name, *row[1:]] for name, row in zip(AWKWARD, FRESH, strict=False)]
    for header in (HEADER, ("STUDENT_ID", *HEADER[1:])):
        found = score(context, put(tmp_path / "ids.csv", rows, header)).table
        assert next(iter(found[0])) == header[0]
        assert [row[header[0]] for row in found] == list(AWKWARD)


def test_an_id_that_a_spreadsheet_would_run_is_neutralised_in_csv_alone(context: Context, tmp_path: Path) -> None:
    evil = ["=1+1", "+cmd|x", "@a", "-2+3"]
    file = put(tmp_path / "evil.csv", [[name, *row[1:]] for name, row in zip(evil, FRESH, strict=False)])
    assert [row["student_id"] for row in score(context, file).table] == [f"'{name}" for name in evil]
    told = json.loads(score(context, file, stdout_format=RowFormat.JSON).rows)
    assert [row["student_id"] for row in told] == evil


@pytest.mark.parametrize("name", ["age", "gpa", "Course", "fee paid", "enrolled"])
def test_a_feature_may_name_the_rows_and_is_seen_as_ever(context: Context, tmp_path: Path, name: str) -> None:
    rows = [list(row) for row in FRESH[:20]]
    rows[3][HEADER.index("age")] = " 30 "
    rows[4][HEADER.index("gpa")] = "2.50"
    file = put(tmp_path / "file.csv", rows)
    plain, named = score(context, file), score(context, file, ids=(name,))
    texts = [row[HEADER.index(name)] for row in rows]
    assert [row[name].removeprefix("'") for row in named.table] == texts
    assert [row["p_Dropout"] for row in named.table] == [row["p_Dropout"] for row in plain.table]
    assert named.result.unseen == plain.result.unseen


def test_a_bad_value_of_a_feature_that_names_the_rows_is_rejected_as_ever(context: Context, tmp_path: Path) -> None:
    rows = [list(row) for row in FRESH[:20]]
    rows[3][1], rows[4][2] = "old", "1e999"
    file = put(tmp_path / "file.csv", rows)
    plain, named = (letters_of(context, score(context, file, ids=ids)) for ids in (("student_id",), ("age", "gpa")))
    assert [(one["line"], one["column"], one["reason"]) for one in named] == [
        ("5", "age", "not a whole number"),
        ("6", "gpa", "not a finite number"),
    ]
    assert named == plain


# --- the figures

DAY = date(1970, 1, 1)
READ: dict[str, Callable[[str], Any]] = {
    "age": int,
    "gpa": float,
    "year": int,
    "fee paid": lambda text: float(text == "true"),
    "enrolled": lambda text: (date.fromisoformat(text) - DAY).days,
}


def values_of(row: Row) -> dict[str, Any]:
    """A row as the model should see it, read without our reader."""
    cells = dict(zip(HEADER, row, strict=True))
    return {name: READ.get(name, str)(text) if text else None for name, text in cells.items()}


def test_probabilities_are_those_of_the_weights_recomputed(context: Context, fresh: Path, tmp_path: Path) -> None:
    score(context, fresh, output=str(tmp_path / "out.parquet"))
    found = pq.read_table(tmp_path / "out.parquet").to_pylist()
    weights = Weights.of(context.workspace.root / "models/Outcome/1")
    for row, told in zip(FRESH, found, strict=True):
        wanted = weights.probabilities(values_of(row))
        likely = np.array([told[f"p_{label}"] for label in OUTCOMES])
        assert np.isfinite(likely).all()
        assert math.isclose(likely.sum(), 1, abs_tol=1e-5)
        np.testing.assert_allclose(likely, wanted, rtol=1e-9)
        assert told["predicted_Outcome"] == OUTCOMES[int(likely.argmax())]
        assert told["confidence"] == likely.max()


def test_numbers_come_with_their_interval_recomputed(context: Context, fresh: Path, tmp_path: Path) -> None:
    score(context, fresh, model="gpa", output=str(tmp_path / "out.parquet"))
    found = pq.read_table(tmp_path / "out.parquet").to_pylist()
    weights = Weights.of(context.workspace.root / "models/gpa/1")
    half = float(weights.arrays["half_width"][0])
    for row, told in zip(FRESH, found, strict=True):
        wanted = weights.value(values_of(row))
        assert told["predicted_gpa"] == pytest.approx(wanted, abs=1e-6)
        assert told["low_gpa"] == pytest.approx(wanted - half, abs=1e-6)
        assert told["high_gpa"] == pytest.approx(wanted + half, abs=1e-6)


def test_reasons_are_the_strongest_contributions_and_explain_the_score_exactly(context: Context, fresh: Path) -> None:
    weights = Weights.of(context.workspace.root / "models/Outcome/1")
    table, expected = weights.arrays["weights"], weights.arrays["expected"]
    relative = table - table.mean(1, keepdims=True)
    base = relative[0] + (relative * expected[:, None])[1:].sum(0)
    for row, told in zip(FRESH, score(context, fresh, reasons=99).table, strict=True):
        place = OUTCOMES.index(told["predicted_Outcome"])
        sums = weights.outputs(values_of(row))
        effects = [float(told[f"effect_{rank}"]) for rank in range(1, 7)]
        assert sum(effects) + base[place] == pytest.approx(sums[place] - sums.mean(), abs=1e-5)
        assert [abs(one) for one in effects] == sorted(map(abs, effects), reverse=True)
        assert {told[f"reason_{rank}"] for rank in range(1, 7)} == set(FEATURES)
    assert "reason_7" not in told


def test_fewer_reasons_are_the_first_of_all(context: Context, fresh: Path) -> None:
    every, two = score(context, fresh, reasons=99).table, score(context, fresh, reasons=2).table
    assert [list(row.items()) for row in two] == [list(row.items())[: len(two[0])] for row in every]
    assert list(two[0])[-4:] == ["reason_1", "effect_1", "reason_2", "effect_2"]


# --- one table in many forms


def as_parquet(path: Path, rows: Sequence[Row], names: Sequence[str] = HEADER) -> Path:
    columns = {name: [values_of(row)[name] for row in rows] for name in HEADER}
    columns["fee paid"] = [None if one is None else bool(one) for one in columns["fee paid"]]
    columns["student_id"] = [row[0] for row in rows]
    columns["enrolled"] = [None if not row[6] else date.fromisoformat(row[6]) for row in rows]
    pq.write_table(pa.table(dict(zip(names, columns.values(), strict=True))), path)
    return path


def as_json(path: Path, rows: Sequence[Row]) -> Path:
    lines = [json.dumps({name: text or None for name, text in zip(HEADER, row, strict=True)}) for row in rows]
    path.write_text("".join(f"{line}\n" for line in lines), "utf-8")
    return path


def forms(folder: Path) -> Iterator[Path]:
    yield put(folder / "semicolon.csv", FRESH, delimiter=";")
    yield put(folder / "reordered.csv", [row[::-1] for row in FRESH], HEADER[::-1])
    yield put(folder / "case.csv", FRESH, [name.upper() if name != HEADER[0] else name for name in HEADER])
    yield put(folder / "more.csv", [[*row, "x"] for row in FRESH], [*HEADER, "unknown"])
    yield as_parquet(folder / "file.parquet", FRESH)
    yield as_parquet(folder / "case.parquet", FRESH, [HEADER[0], *(name.swapcase() for name in HEADER[1:])])
    yield as_json(folder / "file.jsonl", FRESH)
    packed = folder / "file.csv.gz"
    packed.write_bytes(gzip.compress(csv_text(FRESH).encode("utf-8")))
    yield packed
    wide = folder / "utf16.csv"
    wide.write_bytes(csv_text(FRESH).encode("utf-16"))
    yield wide


def test_one_table_has_the_same_scores_in_every_form(context: Context, fresh: Path, tmp_path: Path) -> None:
    wanted = score(context, fresh).rows
    for file in forms(tmp_path):
        assert score(context, file).rows == wanted, file.name


def test_every_kind_of_output_holds_the_same_values(context: Context, fresh: Path, tmp_path: Path) -> None:
    for ending in ("csv", "parquet", "jsonl", "ndjson"):
        score(context, fresh, reasons=1, output=str(tmp_path / f"out.{ending}"))
    whole = pq.read_table(tmp_path / "out.parquet").to_pylist()
    lines = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text("utf-8").splitlines()]
    cells = list(csv.DictReader(io.StringIO((tmp_path / "out.csv").read_text("utf-8"))))
    assert (tmp_path / "out.jsonl").read_bytes() == (tmp_path / "out.ndjson").read_bytes()
    for exact, told, cell in zip(whole, lines, cells, strict=True):
        assert list(exact) == list(told) == list(cell)
        for name, value in exact.items():
            rounded = round(value, 6) if isinstance(value, float) else value
            assert told[name] == rounded
            assert (
                cell[name].removeprefix("'") == (f"{value:.6f}" if name.startswith(("p_", "conf")) else str(rounded))
                or float(cell[name]) == rounded
            )


def test_one_json_document_holds_what_json_lines_hold(context: Context, fresh: Path, tmp_path: Path) -> None:
    score(context, fresh, output=str(tmp_path / "out.jsonl"))
    document = score(context, fresh, stdout_format=RowFormat.JSON).rows.decode("utf-8")
    lines = (tmp_path / "out.jsonl").read_text("utf-8").splitlines()
    assert json.loads(document) == [json.loads(line) for line in lines]
    assert document.splitlines() == ["[", *(f"{line}," for line in lines[:-1]), lines[-1], "]"]


def test_a_json_document_of_no_rows_is_an_empty_one(context: Context, tmp_path: Path) -> None:
    done = score(context, put(tmp_path / "bad.csv", [["x"], ["y"]]), stdout_format=RowFormat.JSON)
    assert (done.rows, done.result.counts.rejected) == (b"[]\n", 2)


# --- blind


def test_the_target_in_the_input_changes_no_byte(context: Context, fresh: Path, tmp_path: Path) -> None:
    labels = [row[-1] for row in FRESH]
    others = {
        "shuffled": [[*row[:-1], label] for row, label in zip(FRESH, labels[::-1], strict=True)],
        "strange": [[*row[:-1], "\u2603 never met"] for row in FRESH],
        "empty": [[*row[:-1], ""] for row in FRESH],
    }
    wanted = score(context, fresh, reasons=3).rows
    without = put(tmp_path / "without.csv", [row[:-1] for row in FRESH], HEADER[:-1])
    assert score(context, without, reasons=3).rows == wanted
    for name, rows in others.items():
        assert score(context, put(tmp_path / f"{name}.csv", rows), reasons=3).rows == wanted, name
    assert score(context, fresh, reasons=3, evaluate=True).rows == wanted


def test_a_label_that_can_not_be_read_costs_no_row_its_score(context: Context, tmp_path: Path) -> None:
    rows = [list(row) for row in FRESH]
    rows[0][2], rows[1][2], rows[2][2] = "very good", "", "1e999"
    file = put(tmp_path / "labels.csv", rows)
    blind, compared = score(context, file, model="gpa"), score(context, file, model="gpa", evaluate=True)
    assert compared.rows == blind.rows
    assert compared.result.counts.rejected == 0
    assert compared.result.metrics is not None
    known = sum(row[2] not in ("", "very good", "1e999") for row in rows)
    assert compared.result.metrics["rows"] == known


def test_labels_in_numbers_are_the_same_however_they_are_written(tmp_path: Path) -> None:
    rows = [[str(number), f"{number % 7}", f"{int(number % 7 > 3)}"] for number in range(200)]
    file = put(tmp_path / "learn.csv", rows, ("id", "x", "passed"))
    ss.train(file, "passed", tmp_path / "ws", ids=["id"], settings={"train.epochs": "2"})
    some = [list(row) for row in rows[:20]]
    some[0][2], some[1][2], some[2][2], some[3][2] = "0.0", "maybe", "", "7"
    found = score(context_of(tmp_path / "ws"), put(tmp_path / "new.csv", some, ("id", "x", "passed")), model="passed",
                  evaluate=True)  # fmt: skip
    assert found.result.metrics is not None
    assert found.result.metrics["rows"] == 19
    assert found.result.metrics["classes"]["0"]["support"] == sum(row[2] in ("0", "0.0") for row in some)
    assert found.result.counts.kept == 20


# --- held against the truth


def test_the_figures_are_those_of_scikit_learn(context: Context, fresh: Path, tmp_path: Path) -> None:
    from sklearn import metrics as theirs

    found = score(context, fresh, evaluate=True, output=str(tmp_path / "out.parquet")).result.metrics
    table = pq.read_table(tmp_path / "out.parquet")
    likely = np.stack([table[f"p_{label}"].to_numpy() for label in OUTCOMES], 1)
    truth, predicted = [row[-1] for row in FRESH], table["predicted_Outcome"].to_pylist()
    assert found is not None
    assert found["rows"] == len(FRESH)
    assert found["accuracy"] == pytest.approx(theirs.accuracy_score(truth, predicted))
    assert found["log_loss"] == pytest.approx(theirs.log_loss(truth, likely, labels=list(OUTCOMES)))
    truths = np.array([[label == one for label in OUTCOMES] for one in truth])
    assert found["brier"] == pytest.approx(((likely - truths) ** 2).sum(1).mean())
    for mean in ("macro", "weighted"):
        figures = theirs.precision_recall_fscore_support(truth, predicted, average=mean, zero_division=0)
        assert [found[f"{mean}_{name}"] for name in ("precision", "recall", "f1")] == pytest.approx(list(figures[:3]))


def test_the_figures_of_a_number_are_those_of_scikit_learn(context: Context, fresh: Path, tmp_path: Path) -> None:
    from sklearn import metrics as theirs

    found = score(context, fresh, model="gpa", evaluate=True, output=str(tmp_path / "out.parquet")).result.metrics
    table = pq.read_table(tmp_path / "out.parquet")
    known = np.array([bool(row[2]) for row in FRESH])
    truth = np.array([float(row[2]) for row in FRESH if row[2]])
    predicted, low, high = (table[f"{part}_gpa"].to_numpy()[known] for part in ("predicted", "low", "high"))
    assert found is not None
    assert found["rows"] == known.sum() < len(FRESH)
    assert found["r2"] == pytest.approx(theirs.r2_score(truth, predicted))
    assert found["rmse"] == pytest.approx(theirs.root_mean_squared_error(truth, predicted))
    assert found["mae"] == pytest.approx(theirs.mean_absolute_error(truth, predicted))
    assert found["interval"]["coverage"] == pytest.approx(((truth >= low) & (truth <= high)).mean())


def test_an_unknown_label_is_a_miss_and_a_missing_one_is_left_out(context: Context, tmp_path: Path) -> None:
    rows = [list(row) for row in FRESH]
    right = [row["predicted_Outcome"] for row in score(context, put(tmp_path / "a.csv", rows)).table]
    for row, label in zip(rows, right, strict=True):
        row[-1] = label
    rows[0][-1], rows[1][-1], rows[2][-1] = "Expelled", "", "NA"
    found = score(context, put(tmp_path / "b.csv", rows), evaluate=True).result.metrics
    assert found is not None
    assert found["rows"] == len(rows) - 2
    assert found["accuracy"] == pytest.approx((len(rows) - 3) / (len(rows) - 2))


def test_nothing_to_compare_with_is_refused_and_nothing_is_kept(context: Context, tmp_path: Path) -> None:
    file = put(tmp_path / "bare.csv", [[*row[:-1], ""] for row in FRESH])
    with pytest.raises(ContractError, match="no row has a known `Outcome`") as refused:
        score(context, file, evaluate=True, output=str(tmp_path / "out.csv"))
    assert "`--evaluate`" in refused.value.hint
    assert [path.name for path in tmp_path.iterdir()] == ["bare.csv"]


def test_it_is_said_when_the_model_learned_from_the_very_file(context: Context, fresh: Path) -> None:
    assert score(context, context.workspace.root.parent / "learn.csv", evaluate=True).result.learned_from
    assert not score(context, fresh, evaluate=True).result.learned_from


# --- what the model never met


def test_values_that_were_never_met_are_counted_exactly(context: Context, tmp_path: Path) -> None:
    rows = [list(row) for row in FRESH]
    for number in range(7):
        rows[number][3] = f"new {number % 2}"
    rows[8][3], rows[9][3] = "", "NA"
    for number in range(10, 14):
        rows[number][4] = "99"
    scored = score(context, put(tmp_path / "new.csv", rows))
    assert scored.result.unseen == {"Course": 7, "year": 4}
    weights = Weights.of(context.workspace.root / "models/Outcome/1")
    assert float(scored.table[0]["p_Dropout"]) == pytest.approx(weights.probabilities(values_of(rows[0]))[0], abs=1e-6)


def test_a_value_of_held_out_rows_alone_was_never_met_either(tmp_path: Path) -> None:
    rows = [[str(n), f"rare {n}" if n < 40 else "usual", str(n % 5), "ab"[n % 2]] for n in range(400)]
    header = ("id", "text", "code", "y")
    for n in range(40):
        rows[n][2] = str(100 + n)
    file = put(tmp_path / "learn.csv", rows, header)
    ss.train(file, "y", tmp_path / "ws", ids=["id"], settings={"train.epochs": "1"}, types=["code=both"])
    weights = Weights.of(tmp_path / "ws/models/y/1")
    kept = np.split(weights.arrays["table"] >= 0, weights.arrays["starts"][1:-1])
    wanted = {"text": int((~kept[0]).sum()), "code": int((~kept[1]).sum())}
    assert min(wanted.values()) > 0
    assert score(context_of(tmp_path / "ws"), file, model="y").result.unseen == wanted


def test_a_column_without_a_value_is_missing_in_every_row(context: Context, tmp_path: Path) -> None:
    rows = [[row[0], "", *row[2:]] for row in FRESH]
    scored = score(context, put(tmp_path / "empty.csv", rows))
    weights = Weights.of(context.workspace.root / "models/Outcome/1")
    told = [float(row["p_Graduate"]) for row in scored.table]
    assert told == pytest.approx([weights.probabilities(values_of(row))[2] for row in rows], abs=1e-6)


# --- when a row has no score


@dataclass
class Broken:
    """A model that fails on batches with a certain id in them, or says what is no number."""

    inner: Predictor
    problem: Exception | None
    ids: tuple[str, ...]
    calls: list[int] = field(default_factory=list)

    @property
    def manifest(self) -> Any:
        return self.inner.manifest

    def predict(self, batch: pa.RecordBatch) -> Predictions:
        found = self.inner.predict(batch)
        hit = np.isin(batch.column("student_id").to_pylist(), self.ids)
        if hit.any() and self.problem is not None:
            raise self.problem
        assert found.probabilities is not None
        likely = found.probabilities.copy()
        likely[hit] = np.nan
        return replace(found, probabilities=likely)

    def contributions(self, batch: pa.RecordBatch, classes: Sequence[int]) -> Contributions:
        return self.inner.contributions(batch, classes)


class LibraryError(Exception):
    """As libraries have them: of no kind that anybody foresees."""


def run_broken(context: Context, file: Path, problem: Exception | None, ids: Sequence[str], output: str) -> Scored:
    sink = io.BytesIO()
    with resolved([str(file)]) as files:
        made = task.plan(task.ScoreRequest("Outcome", output), files, context)
        made = replace(made, model=Broken(made.model, problem, tuple(ids)), done=None)
        return Scored(task.run(made, SilentReporter(), sink), sink.getvalue())


@pytest.mark.parametrize("problem", [ValueError("Ada"), KeyError("Ada"), LibraryError("Ada"), AssertionError("Ada")])
def test_rows_of_a_batch_that_fails_are_dead_letters_and_named(
    workspace: Path, tmp_path: Path, problem: Exception
) -> None:
    small = context_of(workspace, budget__batch_rows=20, budget__cpus=2)
    as_parquet(tmp_path / "file.parquet", FRESH)
    done = run_broken(small, tmp_path / "file.parquet", problem, ["000025"], "-")
    assert [row["student_id"] for row in done.table] == [row[0] for row in [*FRESH[:20], *FRESH[40:]]]
    assert done.result.failed == f"20 rows between lines 21 and 40 of {tmp_path / 'file.parquet'}"
    letters = letters_of(small, done)
    assert [int(letter["line"]) for letter in letters] == list(range(21, 41))
    assert {letter["reason"] for letter in letters} == {f"could not be scored ({type(problem).__name__})"}
    assert done.result.counts.read == done.result.counts.kept + done.result.counts.rejected == 60


def test_a_score_that_is_not_finite_is_never_written(context: Context, fresh: Path, tmp_path: Path) -> None:
    for name in ("out.csv", "out.parquet", "out.jsonl"):
        done = run_broken(context, fresh, None, ["000003", "000059"], str(tmp_path / name)).result
        assert done.failed == f"2 rows between lines 5 and 61 of {fresh}"
        assert (done.counts.kept, done.counts.rejected) == (58, 2)
        assert b"nan" not in (tmp_path / name).read_bytes().lower().replace(b"\x00", b"")
    assert pq.read_table(tmp_path / "out.parquet")["student_id"].to_pylist() == [
        row[0] for row in FRESH if row[0] not in ("000003", "000059")
    ]


def test_what_was_scored_in_part_is_done_again(context: Context, fresh: Path, tmp_path: Path) -> None:
    output = str(tmp_path / "out.csv")
    assert run_broken(context, fresh, ValueError(), ["000003"], output).result.counts.kept == 0
    whole = score(context, fresh, output=output).result
    assert (whole.already_scored, whole.counts.kept) == (False, 60)
    assert score(context, fresh, output=output).result.already_scored


def test_our_own_failures_do_not_count_as_rejects_of_the_data(workspace: Path, fresh: Path) -> None:
    strict = context_of(workspace, etl__max_rejects="0")
    done = run_broken(strict, fresh, None, ["000003"], "-").result
    assert done.failed == f"line 5 of {fresh}"


def test_what_is_wrong_with_the_machine_is_no_dead_letter(context: Context, fresh: Path) -> None:
    for problem in (MemoryError(), OSError(5, "Input/output error"), SsError("said", "so")):
        with pytest.raises((MemoryError, SsError)):
            run_broken(context, fresh, problem, ["000003"], "-")


def other_weights(context: Context, model: str, name: str, **changed: Any) -> None:
    """Register the model again with some of its arrays made to be what is given."""
    entry = resolve_model(model, context.workspace, context.limits)
    weights = dict(load_weights((context.workspace.root / entry.path / "weights.safetensors").read_bytes()))
    weights |= {array: np.full_like(weights[array], value) for array, value in changed.items()}
    registered_copy(context, entry, name, {"weights.safetensors": dump_weights(weights)})


def test_a_model_whose_weights_are_no_numbers_scores_nothing(tmp_path: Path) -> None:
    context = context_of(trained_workspace(tmp_path, 120), etl__max_rejects="0")
    other_weights(context, "Outcome", "ill", weights=np.nan)
    done = score(context, put(tmp_path / "new.csv", FRESH), model="ill")
    assert done.table == []
    assert done.result.failed.startswith("60 rows between lines 2 and 61")


def test_without_a_known_spread_a_number_comes_without_an_interval(tmp_path: Path) -> None:
    context = context_of(trained_workspace(tmp_path, 120))
    other_weights(context, "gpa", "bare", half_width=np.nan)
    file = put(tmp_path / "new.csv", FRESH)
    bare, whole = score(context, file, model="bare", evaluate=True), score(context, file, model="gpa")
    assert bare.table == [{name: row[name] for name in ("student_id", "predicted_gpa")} for row in whole.table]
    assert "interval" not in (bare.result.metrics or {})


# --- twice, and when it is refused


def test_the_same_again_is_already_scored(context: Context, fresh: Path, tmp_path: Path) -> None:
    output = tmp_path / "out.csv"
    first = score(context, fresh, output=str(output)).result
    before = output.stat()
    again = score(context, fresh, output=str(output)).result
    assert (again.already_scored, again.run_id) == (True, first.run_id)
    assert output.stat() == before
    output.unlink()
    assert not score(context, fresh, output=str(output)).result.already_scored
    output.write_text("spoilt")
    assert not score(context, fresh, output=str(output)).result.already_scored
    assert output.stat().st_size == before.st_size


def test_dead_letters_are_named_the_second_time_as_well(context: Context, tmp_path: Path) -> None:
    file = put(tmp_path / "bad.csv", [*FRESH, ["x"]])
    told = [score(context, file).result.dead_letters for _ in range(2)]
    assert told[0] == told[1] != ()
    assert Path(told[0][0]).name in [path.name for path in context.workspace.dead_letters.iterdir()]


def test_too_many_rejects_keep_the_dead_letters_and_nothing_else(workspace: Path, tmp_path: Path) -> None:
    strict = context_of(workspace, etl__max_rejects="1")
    before = {path.name for path in strict.workspace.dead_letters.glob("*")}
    file = put(tmp_path / "bad.csv", [*FRESH, ["x"], ["y"]])
    with pytest.raises(ContractError, match="2 of 62 rows rejected") as refused:
        score(strict, file, output=str(tmp_path / "out.csv"))
    assert refused.value.code == 4
    assert [path.name for path in tmp_path.iterdir()] == ["bad.csv"]
    (fresh,) = {path.name for path in strict.workspace.dead_letters.glob("*")} - before
    assert fresh.endswith("-scores.csv")


def test_a_file_that_breaks_halfway_leaves_nothing_where_the_result_should_go(context: Context, tmp_path: Path) -> None:
    broken = tmp_path / "broken.csv"
    broken.write_bytes(csv_text(FRESH).encode("utf-8") * 1 + csv_text(FRESH * 2_000).encode("utf-8") + b"\xff\n")
    with pytest.raises(ContractError, match="not valid UTF-8"):
        score(context, broken, output=str(tmp_path / "elsewhere/out.csv"))
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_the_ledger_says_what_was_scored_with_what(context: Context, fresh: Path, tmp_path: Path) -> None:
    done = score(context, fresh, output=str(tmp_path / "out.csv")).result
    last = read_chain(context.workspace.ledger).entries[-1].record
    assert (last.run_id, last.command, last.status) == (done.run_id, "score", "done")
    assert [fact.path for fact in last.inputs] == [str(fresh), "models/Outcome/1/manifest.json"]
    assert [fact.path for fact in last.outputs] == [str(tmp_path / "out.csv")]


# --- a pipeline of another library


def test_a_searched_model_scores_the_same_in_every_thread(tmp_path: Path) -> None:
    file = put(tmp_path / "learn.csv", students(250))
    workspace = tmp_path / "ws"
    ss.train(file, "Outcome", workspace, ids=["student_id"], algorithm="search",
             settings={"train.trials": 2, "train.cv": 2})  # fmt: skip
    many = put(tmp_path / "many.csv", students(2_000, seed=5))
    context = context_of(workspace)
    model = opened(context)
    wanted = streamed(context, model, many, 1 << 24, 1)
    assert wanted.count(b"\n") == 2_000
    with ThreadPoolExecutor(2) as pool:
        found = pool.map(lambda block: streamed(context, model, many, block, 2), (9_000, 40_000))
        assert list(found) == [wanted] * 2
