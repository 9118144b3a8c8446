"""What may be scored, where the scores may go, and which models are believed: refused by name, before a row is read."""

from __future__ import annotations

import json
import os
import pickle
import shutil
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from trained import FEATURES, HEADER, Row, context_of, put, score, students, trained_workspace

import studentsuccess as ss
from studentsuccess.core.digest import file_digest
from studentsuccess.errors import ContractError, SsError, UsageError
from studentsuccess.tasks.context import Context
from studentsuccess.tasks.inputs import NamedFile
from studentsuccess.tasks.models import resolve_model
from studentsuccess.tasks.models_open import open_predictor
from studentsuccess.tasks.score_input import ScoreInput, examine

FRESH = students(40, seed=9)
Place = Callable[..., Path]


@pytest.fixture(scope="module")
def once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trained_workspace(tmp_path_factory.mktemp("trained"), 150)


@pytest.fixture(scope="module")
def context(once: Path) -> Context:
    return context_of(once)


@pytest.fixture
def own(once: Path, tmp_path: Path) -> Path:
    """A workspace to be damaged."""
    return shutil.copytree(once, tmp_path / "own")


@pytest.fixture
def look(context: Context) -> Callable[..., ScoreInput]:
    """Files held against the model of classes."""
    manifest = open_predictor(context, resolve_model("Outcome", context.workspace, context.limits)).manifest

    def call(*files: Path, ids: tuple[str, ...] = (), evaluate: bool = False) -> ScoreInput:
        return examine([NamedFile(file, file.name) for file in files], manifest, context, ids, evaluate=evaluate)

    return call


def without(name: str, rows: list[Row] = FRESH) -> tuple[list[Row], list[str]]:
    place = HEADER.index(name)
    return [row[:place] + row[place + 1 :] for row in rows], [one for one in HEADER if one != name]


def renamed(**names: str) -> list[str]:
    return [names.get(name, name) for name in HEADER]


# --- columns


@pytest.mark.parametrize("name", FEATURES)
def test_a_missing_feature_is_named(look: Callable[..., ScoreInput], tmp_path: Path, name: str) -> None:
    with pytest.raises(ContractError) as refused:
        look(put(tmp_path / "new.csv", *without(name)))
    assert refused.value.message == f"new.csv: `Outcome@1` needs 6 columns, and 1 of them is missing: `{name}`"
    assert refused.value.code == 4


def test_the_nearest_column_is_offered_for_a_missing_one(look: Callable[..., ScoreInput], tmp_path: Path) -> None:
    with pytest.raises(ContractError) as refused:
        look(put(tmp_path / "new.csv", FRESH, renamed(Course="Cuorse", gpa="mark")))
    assert "2 of them are missing: `gpa`, `Course`" in refused.value.message
    with pytest.raises(ContractError) as refused:
        look(put(tmp_path / "new.csv", FRESH, renamed(Course="Cuorse")))
    assert refused.value.hint == "is `Cuorse` meant? rename it to `Course`"


def test_columns_are_found_by_name_whatever_their_case_and_place(
    look: Callable[..., ScoreInput], tmp_path: Path
) -> None:
    upper = look(put(tmp_path / "new.csv", [row[::-1] for row in FRESH], [name.upper() for name in HEADER[::-1]]))
    assert upper.layout == look(put(tmp_path / "plain.csv", FRESH)).layout
    assert (upper.ids, upper.id_names) == (("student_id",), ("STUDENT_ID",))
    assert upper.unused == ()


def test_the_fields_of_json_lines_are_not_guessed_by_case(look: Callable[..., ScoreInput], tmp_path: Path) -> None:
    lines = [json.dumps(dict(zip(renamed(age="AGE"), row, strict=True))) for row in FRESH]
    file = tmp_path / "new.jsonl"
    file.write_text("\n".join(lines), "utf-8")
    with pytest.raises(ContractError) as refused:
        look(file)
    assert (refused.value.message[-5:], refused.value.hint) == ("`age`", "is `AGE` meant? rename it to `age`")


def test_what_a_model_does_not_know_is_left_out_and_said(look: Callable[..., ScoreInput], tmp_path: Path) -> None:
    first = put(tmp_path / "a.csv", [[*row, "x", "y"] for row in FRESH], [*HEADER, "extra", "more"])
    second = put(tmp_path / "b.csv", [[*row, "x", "y"] for row in FRESH], [*HEADER, "extra", "other"])
    found = look(first, second)
    assert found.unused == ("extra", "more", "other")
    assert not {"extra", "Outcome", "note"} & set(found.layout.names)


def test_the_target_is_read_only_to_evaluate_and_never_names_a_row(
    look: Callable[..., ScoreInput], tmp_path: Path
) -> None:
    file = put(tmp_path / "new.csv", FRESH)
    assert "Outcome" in look(file, evaluate=True).layout.names
    with pytest.raises(UsageError, match="that is what `Outcome@1` predicts"):
        look(file, ids=("outcome",))
    with pytest.raises(ContractError, match="no column `Outcome` to evaluate against"):
        look(put(tmp_path / "bare.csv", *without("Outcome")), evaluate=True)


def test_ids_are_as_asked_else_the_models_where_all_files_have_them(
    look: Callable[..., ScoreInput], tmp_path: Path
) -> None:
    file, bare = put(tmp_path / "new.csv", FRESH), put(tmp_path / "bare.csv", *without("student_id"))
    assert look(file).ids == ("student_id",)
    assert look(file, bare).ids == look(bare).ids == ()
    assert look(file, ids=("note", "age", "note")).ids == ("note", "age")
    with pytest.raises(UsageError) as refused:
        look(file, ids=("studentid",))
    assert refused.value.hint == "did you mean `student_id`?"


def test_an_id_may_be_spelled_as_each_file_likes(look: Callable[..., ScoreInput], tmp_path: Path) -> None:
    first = put(tmp_path / "a.csv", FRESH, renamed(note="Key"))
    second = put(tmp_path / "b.csv", FRESH, renamed(note="KEY"))
    found = look(first, second, ids=("key",))
    assert (found.ids, found.id_names) == (("key",), ("Key",))
    lines = tmp_path / "c.jsonl"
    lines.write_text(json.dumps(dict(zip(renamed(note="kEY"), FRESH[0], strict=True))), "utf-8")
    with pytest.raises(UsageError, match="the files spell it `key` and `kEY`"):
        look(first, lines, ids=("key",))


def test_an_id_named_like_a_result_is_refused_instead_of_lost(context: Context, tmp_path: Path) -> None:
    for name in ("confidence", "p_Graduate", "predicted_Outcome", "reason_1"):
        file = put(tmp_path / "new.csv", FRESH, renamed(note=name))
        with pytest.raises(UsageError, match=f"the id `{name}`"):
            score(context, file, ids=(name,), reasons=1)
    assert score(context, file, ids=(name,)).result.counts.kept == len(FRESH)


# --- kinds

RETYPED = {"age": "old", "gpa": "good", "fee paid": "perhaps", "enrolled": "yesterday"}


@pytest.mark.parametrize("name", RETYPED)
def test_a_column_that_now_holds_texts_is_another_one(
    look: Callable[..., ScoreInput], tmp_path: Path, name: str
) -> None:
    place = HEADER.index(name)
    rows = [[*row[:place], RETYPED[name], *row[place + 1 :]] for row in FRESH]
    with pytest.raises(ContractError, match=f"the column `{name}` was of the kind .* when `Outcome@1` was trained"):
        look(put(tmp_path / "new.csv", rows))


def parquet(path: Path, name: str, values: pa.Array) -> Path:
    columns: dict[str, Any] = {one: [""] * len(values) for one in HEADER}
    columns |= {"age": [20] * len(values), "gpa": [2.5] * len(values), "year": [3] * len(values)}
    columns |= {"fee paid": [True] * len(values), "enrolled": [date(2020, 1, 1)] * len(values)}
    pq.write_table(pa.table({**columns, name: values}), path)
    return path


@pytest.mark.parametrize(
    ("name", "values", "found"),
    [
        ("age", pa.array(["20", "21"]), "text"),
        ("age", pa.array([date(2020, 1, 1)] * 2), "date"),
        ("gpa", pa.array([True, False]), "boolean"),
        ("fee paid", pa.array([1, 0]), "integer"),
        ("enrolled", pa.array([1.5, 2.5]), "decimal"),
    ],
)
def test_a_parquet_column_of_another_type_is_named(
    look: Callable[..., ScoreInput], tmp_path: Path, name: str, values: pa.Array, found: str
) -> None:
    with pytest.raises(ContractError, match=f"the column `{name}` was .*, and here it is {found}"):
        look(parquet(tmp_path / "new.parquet", name, values))


@pytest.mark.parametrize("name", FEATURES)
def test_a_parquet_column_without_a_type_has_no_value_in_it(context: Context, tmp_path: Path, name: str) -> None:
    empty = score(context, parquet(tmp_path / "empty.parquet", name, pa.nulls(3)))
    place = HEADER.index(name)
    row = ["", "20", "2.5", "", "3", "true", "2020-01-01", "", ""]
    plain = put(tmp_path / "plain.csv", [[*row[:place], "", *row[place + 1 :]]] * 3)
    assert empty.rows == score(context, plain).rows


def test_whole_numbers_may_come_as_decimals_and_half_ones_are_rejected(context: Context, tmp_path: Path) -> None:
    file = parquet(tmp_path / "new.parquet", "age", pa.array([20.0, None] + [30.0] * 300 + [20.5]))
    assert score(context, file).result.counts.rejected == 1


# --- files


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "new.csv: is empty"),
        (",".join(HEADER).encode(), "new.csv: 0 data rows"),
        (b"PK\x03\x04 a workbook", "new.csv: is a"),
        (b"a,b\n1,2\n", "needs 6 columns, and 6 of them are missing: `age`, `gpa`, `Course` and 3 more"),
    ],
    ids=["empty", "header only", "archive", "another table"],
)
def test_a_file_that_holds_nothing_to_score_is_refused(
    context: Context, tmp_path: Path, content: bytes, says: str
) -> None:
    (tmp_path / "new.csv").write_bytes(content)
    with pytest.raises(ContractError) as refused:
        score(context, tmp_path / "new.csv", output=str(tmp_path / "out.csv"))
    assert says in refused.value.message
    assert [path.name for path in tmp_path.iterdir()] == ["new.csv"]


def test_a_parquet_file_without_rows_is_refused_and_leaves_nothing(context: Context, tmp_path: Path) -> None:
    file = parquet(tmp_path / "new.parquet", "age", pa.array([], pa.int64()))
    with pytest.raises(ContractError, match="0 data rows"):
        score(context, file, output=str(tmp_path / "out.csv"))
    assert [path.name for path in tmp_path.iterdir()] == ["new.parquet"]


def test_a_model_of_nothing_but_categories_scores_a_csv(tmp_path: Path) -> None:
    """None of its columns can have become another kind, and so none is looked at."""
    rows = "".join(f"{number},{'red' if number % 3 else 'blue'},{number % 2}\n" for number in range(200))
    put_text = tmp_path / "colours.csv"
    put_text.write_text(f"id,colour,y\n{rows}", "utf-8")
    ss.train(put_text, "y", tmp_path / "own", ids=["id"], settings={"train.epochs": "1"})
    assert ss.score(put_text, tmp_path / "own").counts.kept == 200


def test_one_row_is_enough(context: Context, tmp_path: Path) -> None:
    assert len(score(context, put(tmp_path / "new.csv", FRESH[:1])).table) == 1


# --- outputs


@pytest.mark.parametrize("name", ["out.xlsx", "out.csv.gz", "out", "out.json"])
def test_an_output_of_no_format_of_ours_is_refused(context: Context, tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match=r"can't be written as|does not say how"):
        score(context, put(tmp_path / "new.csv", FRESH), output=str(tmp_path / name))
    assert [path.name for path in tmp_path.iterdir()] == ["new.csv"]


def test_a_folder_is_no_output(context: Context, tmp_path: Path) -> None:
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(UsageError, match="is a folder"):
        score(context, put(tmp_path / "new.csv", FRESH), output=str(tmp_path / "folder.csv"))


@pytest.mark.posix
def test_the_input_is_never_written_over_whatever_it_is_called(context: Context, tmp_path: Path) -> None:
    file = put(tmp_path / "sub/new.csv", FRESH)
    (tmp_path / "link.csv").symlink_to(file)
    os.link(file, tmp_path / "same.csv")
    before = file.read_bytes()
    for name in ("sub/new.csv", "sub/../sub/new.csv", "link.csv", "same.csv"):
        with pytest.raises(UsageError, match="is the input itself"):
            score(context, file, output=str(tmp_path / name))
    assert file.read_bytes() == before


def test_an_output_that_can_not_be_made_is_a_storage_error(context: Context, tmp_path: Path) -> None:
    file = put(tmp_path / "new.csv", FRESH)
    with pytest.raises(SsError) as refused:
        score(context, file, output=str(file / "out.csv"))
    assert refused.value.code == 6


@pytest.mark.posix
@pytest.mark.skipif(hasattr(os, "geteuid") and os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_can_not_be_written_is_a_storage_error(context: Context, tmp_path: Path) -> None:
    (tmp_path / "shut").mkdir(mode=0o500)
    with pytest.raises(SsError) as refused:
        score(context, put(tmp_path / "new.csv", FRESH), output=str(tmp_path / "shut/out.csv"))
    assert refused.value.code == 6


# --- models that are not believed


class Canary:
    """Writes a file when somebody unpickles it."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (self._path,))


def register_anew(workspace: Path) -> None:
    """What somebody who can write the warehouse would do: the manifest as it stands now is the registered one."""
    digest = file_digest(workspace / "models/Outcome/1/manifest.json")
    with duckdb.connect(str(workspace / "warehouse.duckdb")) as connection:
        connection.execute("UPDATE ml.model SET manifest_sha256 = ? WHERE name = 'Outcome'", [digest])


def rewrite(workspace: Path, change: Callable[[dict[str, Any]], None]) -> None:
    manifest = workspace / "models/Outcome/1/manifest.json"
    document = json.loads(manifest.read_text("utf-8"))
    change(document)
    manifest.write_text(json.dumps(document), "utf-8")


def refusal(workspace: Path, tmp_path: Path) -> SsError:
    file = put(tmp_path / "new.csv", FRESH)
    with pytest.raises(ContractError) as refused:
        score(context_of(workspace), file, output=str(tmp_path / "out.csv"))
    assert refused.value.code == 4
    assert not (tmp_path / "out.csv").exists()
    return refused.value


def test_a_flipped_byte_in_any_file_of_a_model_is_found(own: Path, tmp_path: Path) -> None:
    for path in sorted((own / "models/Outcome/1").iterdir()):
        whole = path.read_bytes()
        path.write_bytes(whole[:-3] + bytes([whole[-3] ^ 1]) + whole[-2:])
        assert path.name in refusal(own, tmp_path).message
        path.write_bytes(whole)


def test_a_manifest_that_was_changed_is_refused_and_a_newer_one_by_its_format(own: Path, tmp_path: Path) -> None:
    rewrite(own, lambda document: document.update(format=99))
    assert "is not the one that was registered" in refusal(own, tmp_path).message
    register_anew(own)
    assert "a newer version of ss wrote this model (format 99" in refusal(own, tmp_path).message


def test_an_unsigned_model_is_refused_where_a_key_is_configured(own: Path, tmp_path: Path) -> None:
    (own / "config.toml").write_text("[train]\nsigning_key = 'a secret of some length'\n", "utf-8")
    assert "is unsigned" in refusal(own, tmp_path).message


def test_a_pickle_in_the_place_of_weights_is_never_opened(own: Path, tmp_path: Path) -> None:
    canary, weights = tmp_path / "canary", own / "models/Outcome/1/weights.safetensors"
    weights.write_bytes(pickle.dumps(Canary(canary)))
    assert "weights.safetensors" in refusal(own, tmp_path).message

    def bind(document: dict[str, Any]) -> None:
        for file in document["files"]:
            if file["path"] == weights.name:
                file.update(size=weights.stat().st_size, sha256=file_digest(weights))

    rewrite(own, bind)
    register_anew(own)
    assert "is not readable safetensors" in refusal(own, tmp_path).message
    assert not canary.exists()


def test_a_model_that_is_not_there_is_a_wrong_call(context: Context, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no model `Outcom`"):
        score(context, put(tmp_path / "new.csv", FRESH), model="Outcom")
