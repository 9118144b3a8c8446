"""From files to a fitted model: the same rows give the same bits, however they are stored, cut and worked on."""

from __future__ import annotations

import csv
import gzip
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq
import pytest
from gathered import rows_of

from studentsuccess.config.layers import Overrides, load
from studentsuccess.core.deadletters import DeadLetters
from studentsuccess.core.parallel import Engine, EngineName
from studentsuccess.core.reporter import SilentReporter
from studentsuccess.errors import ContractError
from studentsuccess.models.checkpoint import Checkpoints
from studentsuccess.models.linear import LinearModel
from studentsuccess.models.roles import Role
from studentsuccess.sources.landed import Reading
from studentsuccess.tasks import train_incremental
from studentsuccess.tasks.context import Context
from studentsuccess.tasks.inputs import NamedFile
from studentsuccess.tasks.train_data import Gathered, gather, of_files
from studentsuccess.tasks.train_fit import Fit, Study, Wanted, half_width, look

WEIGHTS = "weights.safetensors"
ROWS = 1_500


@dataclass(frozen=True)
class Steered(Context):
    """A context whose sizes and engine a test says."""

    block_bytes: int = 1 << 22
    batch_rows: int = 65_536
    engine: EngineName = "threads"
    workers: int = 2

    def reading(self) -> Reading:
        found = super().reading()
        stream = replace(
            found.stream,
            block_bytes=self.block_bytes,
            batch_rows=self.batch_rows,
            engine=Engine(self.engine, self.workers),
        )
        return replace(found, stream=stream)


def context_of(folder: Path, sets: Sequence[str] = (), **steer: Any) -> Steered:
    return Steered(load(Overrides(workspace=folder, sets=tuple(sets)), {}, folder), **steer)


def read(
    folder: Path, files: Sequence[Path], ids: Sequence[str] = (), types: Mapping[str, Role] | None = None,
    sets: Sequence[str] = (), **steer: Any,
) -> Gathered:  # fmt: skip
    context = context_of(folder, sets, **steer)
    source = of_files([NamedFile(path, path.name) for path in files], "y", ids, context)
    return gather(source, context, ("run", folder / "staging"), types or {}, SilentReporter())


def wanted(**changed: Any) -> Wanted:
    return replace(Wanted("auto", {}, 0.2, None, 0, refit=False, trials=1, cv=2), **changed)


def fit(found: Gathered, folder: Path, **changed: Any) -> tuple[Study, Fit]:
    what = wanted(**changed)
    study = look(found, what)
    return study, train_incremental.fit(study, what, Checkpoints(folder / "kept", "k" * 64, False), SilentReporter())


def table(rows: int = ROWS, seed: int = 0) -> pa.Table:
    """Numbers, codes, texts, truths and days, with gaps; the label follows some of them."""
    rng = np.random.default_rng(seed)
    size = np.round(rng.normal(5, 3, rows), 3)
    code, text = rng.integers(1, 6, rows), rng.integers(0, 3, rows)
    label = (size + 2 * (code == 3) - (text == 1) + rng.normal(size=rows) > 5).astype(int) + (text == 2)
    gone = rng.random((3, rows)) < 0.1
    day = np.datetime64("2024-01-01") + rng.integers(0, 300, rows)
    return pa.table(
        {
            "key": pa.array([f"S{one:06d}" for one in rng.permutation(rows)]),
            "size": pa.array([None if out else float(one) for out, one in zip(gone[0], size, strict=True)]),
            "code": pa.array([None if out else int(one) for out, one in zip(gone[1], code, strict=True)]),
            "text": pa.array(
                [None if out else ("ré,d", "green;x", "blue")[one] for out, one in zip(gone[2], text, strict=True)]
            ),
            "truth": pa.array(rng.random(rows) < 0.5),
            "day": pa.array(day),
            "y": pa.array(np.array(["low", "mid", "top"])[label]),
        }
    )


def as_csv(path: Path, content: pa.Table) -> Path:
    pacsv.write_csv(content, path, pacsv.WriteOptions(quoting_style="needed"))
    return path


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The table as one file."""
    return as_csv(tmp_path_factory.mktemp("plain") / "t.csv", table())


@dataclass(frozen=True)
class Reference:
    rows: bytes
    study: Study
    fit: Fit


@pytest.fixture(scope="module")
def reference(plain: Path, tmp_path_factory: pytest.TempPathFactory) -> Reference:
    """Its training, in one block and by one worker."""
    folder = tmp_path_factory.mktemp("reference")
    found = read(folder, [plain], engine="serial", workers=1)
    study, made = fit(found, folder)
    return Reference(rows_of(study.store).tobytes(), study, made)


def same(reference: Reference, study: Study, made: Fit) -> bool:
    """Hold-out, weights and figures are the same, to the last bit."""
    assert study.holdout == reference.study.holdout
    assert made.files[WEIGHTS] == reference.fit.files[WEIGHTS]
    assert (made.metrics, made.baseline, made.extra) == (
        reference.fit.metrics, reference.fit.baseline, reference.fit.extra,
    )  # fmt: skip
    return made.features == reference.fit.features


@pytest.mark.parametrize(
    "steer",
    [
        {"block_bytes": 64},
        {"block_bytes": 1_000, "workers": 3},
        {"block_bytes": 20_000, "workers": 1},
        {"block_bytes": 7_777, "engine": "serial", "workers": 1},
    ],
)
def test_neither_blocks_nor_workers_nor_the_engine_show(
    plain: Path, reference: Reference, tmp_path: Path, steer: dict[str, Any]
) -> None:
    found = read(tmp_path, [plain], **steer)
    study, made = fit(found, tmp_path)
    assert rows_of(study.store).tobytes() == reference.rows
    assert same(reference, study, made)


@pytest.mark.parametrize("kind", ["gzip", "parquet", "parquet of one row", "semicolons", "two files", "json lines"])
def test_the_file_format_does_not_show(plain: Path, reference: Reference, tmp_path: Path, kind: str) -> None:
    content, steer, path = table(), dict[str, Any](), tmp_path / "t.csv"
    paths = [path]
    if kind == "gzip":
        path.write_bytes(gzip.compress(plain.read_bytes()))
    elif kind.startswith("parquet"):
        paths = [tmp_path / "t.parquet"]
        pq.write_table(content, paths[0], row_group_size=100)
        steer = {"batch_rows": 1} if kind.endswith("one row") else {}
    elif kind == "semicolons":
        pacsv.write_csv(content, path, pacsv.WriteOptions(delimiter=";", quoting_style="all_valid"))
        path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    elif kind == "json lines":
        paths = [tmp_path / "t.jsonl"]
        frame = content.to_pandas()
        frame["day"] = frame["day"].astype(str)
        frame["code"] = frame["code"].astype("Int64")
        frame.to_json(paths[0], orient="records", lines=True, force_ascii=False)
    else:
        paths = [as_csv(tmp_path / f"t{part}.csv", content.slice(part * 700, 700)) for part in range(3)]
    found = read(tmp_path, paths, **steer)
    study, made = fit(found, tmp_path)
    assert same(reference, study, made)


def test_another_seed_is_another_model_of_the_same_hold_out(plain: Path, reference: Reference, tmp_path: Path) -> None:
    study, made = fit(read(tmp_path, [plain]), tmp_path, seed=1)
    assert study.holdout == reference.study.holdout
    assert made.files[WEIGHTS] != reference.fit.files[WEIGHTS]
    assert made.metrics["rows"] == reference.fit.metrics["rows"]
    assert made.metrics["log_loss"] == pytest.approx(reference.fit.metrics["log_loss"], abs=0.02)


def test_rows_in_another_order_are_held_out_all_the_same(reference: Reference, tmp_path: Path) -> None:
    shuffled = table().take(np.random.default_rng(5).permutation(ROWS))
    study, made = fit(read(tmp_path, [as_csv(tmp_path / "t.csv", shuffled)]), tmp_path)
    assert study.holdout == reference.study.holdout
    assert made.metrics["log_loss"] == pytest.approx(reference.fit.metrics["log_loss"], abs=0.02)


def test_with_an_id_the_hold_out_follows_the_id_whatever_else_changes(tmp_path: Path) -> None:
    content = table()
    before = look(read(tmp_path, [as_csv(tmp_path / "a.csv", content)], ["key"]), wanted()).holdout
    place = content.schema.names.index("size")
    other = content.set_column(place, "size", pa.array(np.arange(ROWS) / 7))
    after = look(read(tmp_path, [as_csv(tmp_path / "b.csv", other)], ["key"]), wanted()).holdout
    assert before == after
    assert before.basis == "id:key"


def test_the_figures_are_those_of_the_held_out_rows_and_better_than_the_majority(reference: Reference) -> None:
    study, made = reference.study, reference.fit
    rows = rows_of(study.store)
    held = study.held_out(rows)
    assert made.metrics["rows"] == len(held) == study.holdout.rows
    counts = np.bincount(study.target.labels.encode(rows["target"][held]).astype(int))
    assert made.metrics["log_loss"] < made.baseline["majority"]["log_loss"]
    assert made.metrics["accuracy"] > made.baseline["majority"]["accuracy"]
    assert sum(map(sum, made.metrics["confusion"])) == counts.sum()


def test_names_are_left_out_and_nothing_of_them_is_kept(reference: Reference) -> None:
    features = {feature.name: feature for feature in reference.fit.features}
    assert (features["key"].role, features["key"].levels) == (Role.IGNORE, ())
    assert b"S0000" not in reference.fit.files[WEIGHTS]


def write_rows(path: Path, header: Sequence[str], rows: Sequence[Sequence[object]]) -> Path:
    with path.open("w", newline="", encoding="utf-8") as sink:
        csv.writer(sink).writerows([header, *rows])
    return path


def letters_of(found: Gathered) -> list[dict[str, str]]:
    path = found.letters.temp
    with path.open(encoding="utf-8", newline="") as source:
        return list(csv.DictReader(source))


def some_rows(count: int) -> list[list[object]]:
    return [[f"S{at}", at * 3 % 17, "yes" if at % 3 else "no"] for at in range(count)]


def test_with_an_id_repeats_go_and_one_id_with_two_contents_is_rejected(tmp_path: Path) -> None:
    rows = some_rows(200)
    rows += [rows[5], rows[5], rows[7], ["S9", 999, "yes"], [*rows[11]]]
    path = write_rows(tmp_path / "t.csv", ["id", "x", "y"], rows)
    for block in (64, 1 << 20):
        found = read(tmp_path, [path], ["id"], sets=["etl.max_rejects=5"], block_bytes=block)
        assert (found.counts.read, found.counts.kept, found.counts.rejected, found.counts.duplicate) == (205, 199, 2, 4)
        told = [(int(one["line"]), one["column"], one["raw"]) for one in letters_of(found)]
        assert told == [(11, "id", "S9,10,no"), (205, "id", "S9,999,yes")]
        out = np.flatnonzero(np.isinf(rows_of(found.store)["target"])).tolist()
        assert out == [9, 200, 201, 202, 203, 204]
        study = look(found, wanted())
        assert study.rows + study.holdout.rows == 199


@pytest.mark.parametrize(("wish", "kept"), [("auto", 205), ("keep", 205), ("drop", 200)])
def test_without_an_id_repeats_are_kept_and_told_unless_they_shall_go(tmp_path: Path, wish: str, kept: int) -> None:
    rows = some_rows(200)
    path = write_rows(tmp_path / "t.csv", ["id", "x", "y"], [*rows, *rows[20:25]])
    found = read(tmp_path, [path], sets=[f"etl.duplicates={wish}"], block_bytes=200)
    assert (found.counts.kept, found.counts.duplicate, found.repeats) == (kept, 205 - kept, 5)
    assert bool(found.notes) == (wish != "drop")
    study = look(found, wanted())
    assert study.rows + study.holdout.rows == kept


def test_with_an_id_repeats_are_kept_where_that_is_asked_for(tmp_path: Path) -> None:
    rows = some_rows(100)
    path = write_rows(tmp_path / "t.csv", ["id", "x", "y"], [*rows, rows[0]])
    found = read(tmp_path, [path], ["id"], sets=["etl.duplicates=keep"])
    assert (found.counts.kept, found.counts.duplicate, found.repeats) == (101, 0, 1)


@pytest.mark.parametrize("rows", [100_000, pytest.param(1_000_000, marks=pytest.mark.full)])
def test_of_distinct_rows_none_is_lost_and_planted_repeats_are_found(tmp_path: Path, rows: int) -> None:
    number = np.arange(rows)
    again = np.random.default_rng(1).choice(rows, 300, replace=False)
    number = np.concatenate([number, again])
    content = pa.table({"a": number % 1000, "b": number // 1000, "y": np.where(number % 2 == 0, "even", "odd")})
    found = read(tmp_path, [as_csv(tmp_path / "t.csv", content)], sets=["etl.duplicates=drop"])
    assert (found.counts.read, found.counts.kept, found.counts.duplicate) == (rows + 300, rows, 300)
    out = np.flatnonzero(np.isinf(rows_of(found.store)["target"]))
    assert out.tolist() == list(range(rows, rows + 300))


def test_rows_with_a_wrong_number_of_fields_or_a_bad_value_are_dead_letters_and_nothing_more(tmp_path: Path) -> None:
    rows = some_rows(400)
    rows[50] = ["S50", "seven", "yes"]
    rows[60] = ["S60", 3]
    path = write_rows(tmp_path / "t.csv", ["id", "x", "y"], rows)
    whole = read(tmp_path, [path], block_bytes=1 << 20)
    assert [(one["line"], one["raw"]) for one in letters_of(whole)] == [("52", "S50,seven,yes"), ("62", "S60,3")]
    assert (whole.counts.read, whole.counts.kept, whole.counts.rejected) == (400, 398, 2)
    stored = rows_of(whole.store).tobytes()
    for block in (64, 300):
        cut = read(tmp_path, [path], block_bytes=block)
        assert rows_of(cut.store).tobytes() == stored


def test_a_text_that_only_a_rejected_row_has_does_not_move_the_others(tmp_path: Path) -> None:
    """Blocks with stray quotes are read by another path than plain ones: both must learn the same levels."""
    rng = np.random.default_rng(4)
    lines = [f"{'abc'[one]},{at % 13},{'yes' if at % 3 else 'no'}" for at, one in enumerate(rng.integers(0, 3, 500))]
    lines[0] = "z,seven,yes"
    lines[1] = 'a"b,3,no'
    path = tmp_path / "t.csv"
    path.write_text("text,x,y\n" + "\n".join(lines) + "\n", encoding="utf-8")
    fits = []
    for block in (30, 100, 1 << 20):
        study, made = fit(read(tmp_path, [path], block_bytes=block), tmp_path, epochs=2)
        fits.append((rows_of(study.store).tobytes(), made.files[WEIGHTS], [one.levels for one in made.features]))
    assert fits[0] == fits[1] == fits[2]


def test_more_rejects_than_allowed_refuse_the_training_and_keep_the_dead_letters(tmp_path: Path) -> None:
    rows: list[list[object]] = some_rows(100)
    rows[3] = ["S3", 1]
    rows[4] = ["S4", 1, "yes", "more"]
    path = write_rows(tmp_path / "t.csv", ["id", "x", "y"], rows)
    with pytest.raises(ContractError, match="2 of 100 rows rejected"):
        read(tmp_path, [path], sets=["etl.max_rejects=1"])
    kept = list((tmp_path / "inputs" / "dlq").glob("*.csv"))
    assert len(kept) == 1
    assert len(kept[0].read_text("utf-8").splitlines()) >= 3


def test_a_class_that_is_only_held_out_is_an_error_of_every_row_and_never_learned(tmp_path: Path) -> None:
    """Also not with `--refit`, which goes through the held-out rows: they have no place in the model."""
    rng = np.random.default_rng(6)
    x = rng.normal(size=800)
    plain = [[f"S{at}", f"{one:.5f}", "high" if one > 0 else "low"] for at, one in enumerate(x)]
    first = read(tmp_path, [write_rows(tmp_path / "a.csv", ["id", "x", "y"], plain)], ["id"])
    held = look(first, wanted()).held_out(rows_of(first.store))
    for at in held[:40].tolist():
        plain[at][2] = "zebra"
    again = read(tmp_path, [write_rows(tmp_path / "b.csv", ["id", "x", "y"], plain)], ["id"])
    study, made = fit(again, tmp_path, epochs=2)
    assert study.target.classes == ("high", "low")
    assert study.target.unknown == 40
    assert study.holdout.rows == len(held)
    correct = made.metrics["accuracy"] * len(held)
    assert correct <= len(held) - 40 + 1e-9
    without = [row for row in plain if row[2] != "zebra"]
    fewer = read(tmp_path, [write_rows(tmp_path / "c.csv", ["id", "x", "y"], without)], ["id"])
    _, refit = fit(again, tmp_path, epochs=3, refit=True)
    _, clean = fit(fewer, tmp_path, epochs=3, refit=True)
    ours, theirs = (arrays(one)["weights"] for one in (refit, clean))
    np.testing.assert_allclose(ours, theirs, atol=0.02)


def arrays(made: Fit) -> dict[str, Any]:
    from safetensors.numpy import load as load_arrays

    return load_arrays(made.files[WEIGHTS])


def test_a_refit_changes_the_weights_and_no_figure(plain: Path, reference: Reference, tmp_path: Path) -> None:
    _, made = fit(read(tmp_path, [plain]), tmp_path, refit=True)
    assert made.metrics == reference.fit.metrics
    assert made.baseline == reference.fit.baseline
    assert made.files[WEIGHTS] != reference.fit.files[WEIGHTS]


def test_the_interval_of_a_regression_holds_nine_in_ten_fresh_rows(tmp_path: Path) -> None:
    from made_models import make_manifest

    rng = np.random.default_rng(7)

    def drawn(rows: int) -> pa.Table:
        a, b = rng.normal(size=rows), rng.integers(0, 4, rows)
        y = 60 + 5 * a + 3 * (b == 2) + rng.standard_t(4, rows) * 4
        return pa.table({"a": a, "b": [f"g{one}" for one in b], "y": y})

    study, made = fit(read(tmp_path, [as_csv(tmp_path / "t.csv", drawn(6_000))]), tmp_path)
    fresh = drawn(20_000)
    model = LinearModel(make_manifest(task="regression", features=made.features, classes=()), arrays(made))
    found = model.predict(fresh.select(["a", "b"]).combine_chunks().to_batches()[0])
    assert found.low is not None
    assert found.high is not None
    actual = fresh["y"].to_numpy()
    assert ((found.low <= actual) & (actual <= found.high)).mean() == pytest.approx(0.9, abs=0.03)
    assert made.metrics["interval"]["coverage"] == pytest.approx(0.9, abs=0.05)
    assert made.metrics["r2"] == pytest.approx(made.baseline["ridge"]["r2"], abs=0.02)
    assert made.metrics["rmse"] < made.baseline["mean"]["rmse"]
    assert study.target.task == "regression"


@pytest.mark.parametrize("rows", [6, 12, 25])
@pytest.mark.parametrize("target", ["number", "class"])
def test_a_very_small_table_is_learned_or_refused_in_words(tmp_path: Path, rows: int, target: str) -> None:
    rng = np.random.default_rng(rows)
    y = rng.normal(size=rows) if target == "number" else np.where(np.arange(rows) % 2 == 0, "a", "b")
    content = pa.table({"x": rng.normal(size=rows), "y": y})
    found = read(tmp_path, [as_csv(tmp_path / "t.csv", content)])
    try:
        study, made = fit(found, tmp_path, task="regression" if target == "number" else "auto")
    except ContractError as refused:
        if "too few for an honest figure" not in refused.message:
            raise
        return
    assert study.holdout.rows + study.rows == rows
    assert np.isfinite([value for value in made.metrics.values() if isinstance(value, float)]).all()
    assert all(np.isfinite(one).all() for one in arrays(made).values())


def test_the_half_width_is_the_conformal_one() -> None:
    residuals = np.arange(1.0, 100.0)
    assert half_width(np.random.default_rng(0).permutation(residuals)) == 90.0
    assert half_width(np.array([3.0])) == 3.0


def test_dead_letters_of_a_reading_that_began_anew_are_not_told_twice(tmp_path: Path) -> None:
    """The beginning says whole numbers; the rest says decimals, and the file is read once more."""
    rows: list[list[object]] = [[f"S{at}", at % 50, "yes" if at % 3 else "no"] for at in range(3_000)]
    rows += [[f"S{at}", at / 8, "no" if at % 3 else "yes"] for at in range(3_000, 6_000)]
    rows[10] = ["S10", 1]
    found = read(tmp_path, [write_rows(tmp_path / "t.csv", ["id", "x", "y"], rows)], ["id"], block_bytes=2_000)
    assert isinstance(found.letters, DeadLetters)
    assert [one["line"] for one in letters_of(found)] == ["12"]
    assert (found.counts.read, found.counts.kept, found.counts.duplicate) == (6_000, 5_999, 0)
    assert found.store.rows == 5_999
