"""A model is believed when every byte is as its manifest says, and nothing in its folder can run code."""

from __future__ import annotations

import hashlib
import io
import json
import os
import pickle
import shutil
import sys
import warnings
import zipfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from made_models import class_metrics, make_files, make_manifest
from safetensors.numpy import load, save

from studentsuccess.core.digest import file_digest, file_fact
from studentsuccess.errors import ContractError
from studentsuccess.models.keep import (
    ALLOWED,
    MANIFEST,
    Kept,
    dump_pipeline,
    dump_weights,
    load_pipeline,
    load_weights,
    read_model,
    write_model,
)

KEY = b"a key of thirty-two random bytes"
NAMES = ("weights.safetensors", "pipeline.skops", "metrics.json", "card.md", "calibration.png")
FIXES = ("`ss verify`", "`ss models list`", "`ss train local`", "delete ")


@pytest.fixture(scope="session")
def files() -> dict[str, bytes]:
    return make_files()


@pytest.fixture
def folder(tmp_path: Path, files: dict[str, bytes]) -> Path:
    """An unsigned model."""
    place = tmp_path / "models" / "risk" / "1"
    write_model(place, make_manifest(), files)
    return place


@pytest.fixture
def signed(tmp_path: Path, files: dict[str, bytes]) -> Path:
    place = tmp_path / "signed" / "risk" / "1"
    write_model(place, make_manifest(), files, KEY)
    return place


def refused(act: Callable[[], object]) -> str:
    """The one line of a refusal, which names the model and a way out."""
    with pytest.raises(ContractError) as caught:
        act()
    assert "model `risk@1`: " in caught.value.message
    assert any(fix in caught.value.hint for fix in FIXES)
    assert "\n" not in caught.value.message
    return caught.value.message


def rewrite(folder: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """The manifest, changed by somebody who knows JSON."""
    document = json.loads((folder / MANIFEST).read_bytes())
    change(document)
    (folder / MANIFEST).write_text(json.dumps(document), "utf-8")


def test_what_was_written_is_what_is_read(folder: Path, files: dict[str, bytes]) -> None:
    kept = read_model(folder)
    assert replace(kept.manifest, files=()) == make_manifest()
    assert {name: path.read_bytes() for name, path in kept.files.items()} == files
    assert kept.manifest.files == tuple(file_fact(folder / name, name) for name in sorted(files))
    assert kept.sha256 == file_digest(folder / MANIFEST)


def test_the_manifest_returned_is_the_manifest_on_the_disk(tmp_path: Path) -> None:
    written = write_model(tmp_path / "risk" / "1", make_manifest(), {"card.md": b"x"}, KEY)
    assert written == read_model(tmp_path / "risk" / "1", KEY).manifest


def test_a_file_that_stands_there_already_is_bound_as_well(tmp_path: Path) -> None:
    place = tmp_path / "risk" / "1"
    place.mkdir(parents=True)
    (place / "weights.safetensors").write_bytes(save({"w": np.ones(2)}))
    write_model(place, make_manifest(), {"card.md": b"x"})
    assert set(read_model(place).files) == {"weights.safetensors", "card.md"}


def test_figures_that_json_does_not_know_become_nothing(tmp_path: Path) -> None:
    odd = class_metrics() | {"log_loss": np.float64("inf"), "rows": np.int64(7), "bins": np.arange(2)}
    write_model(tmp_path / "risk" / "1", make_manifest(metrics=odd), {}, KEY)
    metrics = read_model(tmp_path / "risk" / "1", KEY).manifest.metrics
    assert (metrics["log_loss"], metrics["rows"], metrics["bins"]) == (None, 7, [0, 1])


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (lambda content: bytes([content[0] ^ 1]) + content[1:], "has other content"),
        (lambda content: content[:-1], "bytes instead of"),
        (lambda content: content[:0], "has 0 bytes instead of"),
        (lambda content: content + b"\n", "bytes instead of"),
    ],
    ids=["flipped", "cut", "emptied", "longer"],
)
def test_a_damaged_file_is_named(folder: Path, name: str, harm: Callable[[bytes], bytes], said: str) -> None:
    (folder / name).write_bytes(harm((folder / name).read_bytes()))
    message = refused(lambda: read_model(folder))
    assert name in message
    assert said in message


@pytest.mark.parametrize("name", [*NAMES, MANIFEST])
def test_a_missing_file_is_named(folder: Path, name: str) -> None:
    (folder / name).unlink()
    assert name in refused(lambda: read_model(folder))


@given(data=st.data())
@settings(max_examples=150, deadline=None)
def test_a_flipped_bit_of_a_signed_manifest_changes_nothing_or_is_refused(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    place = tmp_path_factory.mktemp("flip") / "risk" / "1"
    written = write_model(place, make_manifest(), {}, KEY)
    whole = (place / MANIFEST).read_bytes()
    at = data.draw(st.integers(0, len(whole) - 1))
    flipped = bytearray(whole)
    flipped[at] ^= 1 << data.draw(st.integers(0, 7))
    (place / MANIFEST).write_bytes(flipped)
    try:
        believed = read_model(place, KEY).manifest
    except ContractError:
        believed = written
    assert believed == written
    refused(lambda: read_model(place, KEY, hashlib.sha256(whole).hexdigest()))


def test_a_folder_that_agrees_with_itself_but_was_never_registered_is_refused(folder: Path) -> None:
    registered = read_model(folder).sha256
    assert read_model(folder, sha256=registered).sha256 == registered
    shutil.rmtree(folder)
    write_model(folder, make_manifest(algorithm="search"), {"card.md": b"another"})
    assert "registered" in refused(lambda: read_model(folder, sha256=registered))


def test_a_key_asks_for_a_signature_made_with_it(folder: Path, signed: Path) -> None:
    assert read_model(signed, KEY) == read_model(signed)
    assert "unsigned" in refused(lambda: read_model(folder, KEY))
    assert "another key" in refused(lambda: read_model(signed, KEY[::-1]))


@pytest.mark.parametrize("forged", [None, "", "00" * 32, 7, ["a"], {"hmac": 1}, "é"])
def test_a_forged_signature_is_refused(signed: Path, forged: object) -> None:
    rewrite(signed, lambda document: document.update(hmac=forged))
    refused(lambda: read_model(signed, KEY))


def test_the_layout_of_a_signed_manifest_says_nothing(signed: Path) -> None:
    before = read_model(signed, KEY).manifest
    rewrite(signed, lambda _: None)
    assert read_model(signed, KEY).manifest == before


def test_a_signed_model_with_one_changed_word_is_refused(signed: Path) -> None:
    rewrite(signed, lambda document: document.update(target="age"))
    refused(lambda: read_model(signed, KEY))


class Canary:
    """Unpickled, it sings."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


@pytest.fixture
def canary(tmp_path: Path) -> Path:
    return tmp_path / "sang"


@pytest.fixture
def poison(canary: Path) -> bytes:
    content = pickle.dumps(Canary(canary))
    pickle.loads(content)  # noqa: S301 - the proof that it would
    assert canary.exists()
    canary.unlink()
    return content


def read_everything(kept: Kept) -> None:
    """As a scoring does, and worse: every file is given to every reader."""
    for path in kept.files.values():
        for reader in (load_weights, load_pipeline):
            with pytest.raises(ContractError):
                reader(path)


@pytest.mark.parametrize("name", [*NAMES, "model.pkl", "model.joblib", "weights.npz"])
def test_a_pickle_under_any_name_is_never_opened_as_one(tmp_path: Path, poison: bytes, canary: Path, name: str) -> None:
    place = tmp_path / "risk" / "1"
    write_model(place, make_manifest(), {name: poison})
    read_everything(read_model(place))
    assert not canary.exists()


@pytest.mark.parametrize("name", [MANIFEST, "model.pkl"])
def test_a_pickle_put_into_a_folder_is_refused(folder: Path, poison: bytes, canary: Path, name: str) -> None:
    (folder / name).write_bytes(poison)
    assert name in refused(lambda: read_model(folder))
    assert not canary.exists()


def test_a_pickled_array_inside_a_skops_file_is_refused(folder: Path, files: dict[str, bytes], canary: Path) -> None:
    evil = io.BytesIO()
    np.save(evil, np.array([Canary(canary)], dtype=object), allow_pickle=True)
    path = folder / "pipeline.skops"
    with zipfile.ZipFile(io.BytesIO(files["pipeline.skops"])) as good, zipfile.ZipFile(path, "w") as bad:
        for member in good.namelist():
            bad.writestr(member, evil.getvalue() if member.endswith(".npy") else good.read(member))
    assert "pipeline.skops" in refused(lambda: load_pipeline(path))
    assert not canary.exists()


def test_a_type_that_is_not_pinned_is_refused_by_its_name(folder: Path) -> None:
    from skops.io import dumps

    path = folder / "pipeline.skops"
    path.write_bytes(dumps({"run": os.system}))
    assert f"`{os.system.__module__}.system`" in refused(lambda: load_pipeline(path))


def test_a_module_that_a_file_names_is_not_imported(
    folder: Path, tmp_path: Path, canary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / "birdsong.py").write_text(f"from pathlib import Path\nPath({str(canary)!r}).touch()\n")
    monkeypatch.syspath_prepend(str(tmp_path / "lib"))
    from skops.io import dumps

    path = folder / "pipeline.skops"
    content = dumps({"run": os.system})
    with zipfile.ZipFile(io.BytesIO(content)) as good, zipfile.ZipFile(path, "w") as bad:
        for member in good.namelist():
            bad.writestr(member, good.read(member).replace(os.system.__module__.encode(), b"birdsong"))
    assert "birdsong" in refused(lambda: load_pipeline(path))
    assert not canary.exists()
    assert "birdsong" not in sys.modules


def test_a_pipeline_that_could_not_be_read_back_is_not_written() -> None:
    from sklearn.preprocessing import FunctionTransformer

    with pytest.raises(ContractError, match="can't be kept"):
        dump_pipeline(FunctionTransformer(os.getcwd))


def test_a_bomb_is_not_unpacked(folder: Path) -> None:
    path = folder / "pipeline.skops"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as bomb:
        bomb.writestr("schema.json", b" " * (80 * 2**20))
    assert "not readable skops" in refused(lambda: load_pipeline(path))


@given(content=st.binary(max_size=300))
@settings(max_examples=100, deadline=None)
def test_noise_is_neither_weights_nor_a_pipeline(content: bytes, tmp_path_factory: pytest.TempPathFactory) -> None:
    place = tmp_path_factory.mktemp("noise") / "risk" / "1"
    place.mkdir(parents=True)
    for name, reader in (("weights.safetensors", load_weights), ("pipeline.skops", load_pipeline)):
        (place / name).write_bytes(content)
        with pytest.raises(ContractError):
            reader(place / name)


@given(data=st.data())
@settings(max_examples=60, deadline=None)
def test_a_flipped_pipeline_is_read_or_refused(
    data: st.DataObject, files: dict[str, bytes], tmp_path_factory: pytest.TempPathFactory
) -> None:
    content = bytearray(files["pipeline.skops"])
    content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
    path = tmp_path_factory.mktemp("flip") / "pipeline.skops"
    path.write_bytes(content)
    with suppress(ContractError):
        load_pipeline(path)


OUTSIDE = ["../card.md", "..", ".", "", "/etc/hostname", "a/../card.md", "sub/card.md", "..\\card.md", "C:card.md"]


@pytest.mark.parametrize("path", [*OUTSIDE, "card.md\0", "card.md\n", MANIFEST, "Manifest.JSON", 7, None])
def test_a_listed_path_that_is_no_plain_name_is_refused(folder: Path, path: object) -> None:
    (folder.parent / "card.md").write_bytes((folder / "card.md").read_bytes())
    rewrite(folder, lambda document: document["files"][0].update(path=path))
    assert MANIFEST in refused(lambda: read_model(folder))


@pytest.mark.parametrize("size", ["12", None, 1.0])
def test_a_size_that_is_no_number_is_refused(folder: Path, size: object) -> None:
    rewrite(folder, lambda document: document["files"][0].update(size=size))
    refused(lambda: read_model(folder))


def test_a_file_listed_twice_is_refused(folder: Path) -> None:
    rewrite(folder, lambda document: document["files"].append(document["files"][0]))
    assert "twice" in refused(lambda: read_model(folder))


@pytest.mark.parametrize("name", ["", "../x", "a/b", MANIFEST, "a\\b"])
def test_a_file_without_a_plain_name_is_not_written(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match="plain name"):
        write_model(tmp_path / "risk" / "1", make_manifest(), {name: b""})


@pytest.mark.posix
@pytest.mark.parametrize("name", ["card.md", MANIFEST, "extra.md"])
def test_a_link_in_the_folder_is_refused(folder: Path, tmp_path: Path, name: str) -> None:
    outside = tmp_path / "outside"
    if (folder / name).exists():
        shutil.move(folder / name, outside)
    else:
        outside.touch()
    (folder / name).symlink_to(outside)
    message = refused(lambda: read_model(folder))
    assert name in message
    assert "is a link" in message


@pytest.mark.posix
def test_a_link_instead_of_the_folder_is_refused(folder: Path) -> None:
    folder.rename(folder.with_name("elsewhere"))
    folder.symlink_to(folder.with_name("elsewhere"))
    assert "is a link" in refused(lambda: read_model(folder))


def test_what_a_desktop_leaves_in_a_folder_is_no_attack(folder: Path) -> None:
    (folder / ".DS_Store").write_bytes(b"x")
    assert ".DS_Store" not in read_model(folder).files


def test_a_folder_inside_the_folder_is_refused(folder: Path) -> None:
    (folder / "sub").mkdir()
    assert "sub is not listed" in refused(lambda: read_model(folder))


def test_a_manifest_of_a_newer_program_says_so(folder: Path) -> None:
    rewrite(folder, lambda document: document.update(format=99))
    with pytest.raises(ContractError, match=r"newer version of ss wrote this model \(format 99") as caught:
        read_model(folder)
    assert "risk@1" in caught.value.message


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b"7", b"null", b"\xff\xfe", b'{"files": "\\ud800"}', b"[" * 100_000, b"{}", b'{"files": []}'],
    ids=["empty", "cut", "list", "number", "null", "not text", "half a sign", "deep", "object", "no model"],
)
def test_what_is_no_manifest_is_refused(folder: Path, content: bytes) -> None:
    (folder / MANIFEST).write_bytes(content)
    for key in (None, KEY):
        with pytest.raises(ContractError) as caught:
            read_model(folder, key)
        assert "risk@1" in caught.value.message


SHAPED = st.dictionaries(
    st.text("abcdefgh_é", min_size=1, max_size=8),
    arrays.arrays(
        st.sampled_from([np.float64, np.float32, np.int64, np.int32, np.uint8, np.bool_]),
        arrays.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=5),
    ),
    max_size=6,
)


@given(SHAPED)
@settings(max_examples=150, deadline=None)
def test_mapped_weights_are_those_that_the_library_reads(
    tmp_path_factory: pytest.TempPathFactory, weights: dict[str, np.ndarray]
) -> None:
    content = dump_weights(weights)
    path = tmp_path_factory.mktemp("map") / "weights.safetensors"
    path.write_bytes(content)
    mapped, expected = load_weights(path), load(content)
    assert mapped.keys() == expected.keys()
    for name, array in mapped.items():
        assert array.dtype == expected[name].dtype
        assert array.shape == expected[name].shape
        assert array.tobytes() == expected[name].tobytes()
    assert {name: one.tobytes() for name, one in load_weights(content).items()} == {
        name: one.tobytes() for name, one in expected.items()
    }


def test_weights_keep_their_values_whatever_their_order_in_memory() -> None:
    table = np.arange(24.0).reshape(4, 6)
    weights = {"turned": table.T, "every other": table[::2, ::-1], "one": np.asarray(3.5), "none": table[:0]}
    back = load_weights(dump_weights(weights))
    for name, array in weights.items():
        np.testing.assert_array_equal(back[name], array)
    assert dump_weights(weights) == dump_weights(dict(reversed(weights.items())))


def test_weights_are_mapped_and_can_not_be_written(folder: Path) -> None:
    for weights in (load_weights(folder / "weights.safetensors"), load_weights(save({"weights": np.ones((3, 4))}))):
        with pytest.raises(ValueError, match="read-only"):
            weights["weights"][0, 0] = 1.0
    array: Any = load_weights(folder / "weights.safetensors")["weights"]
    owner = array
    while isinstance(getattr(owner, "base", None), np.ndarray):
        owner = owner.base
    assert isinstance(owner, np.memmap)


@pytest.mark.parametrize("end", [0, 5, -1])
def test_cut_weights_are_refused(folder: Path, end: int) -> None:
    path = folder / "weights.safetensors"
    path.write_bytes(path.read_bytes()[:end])
    assert "not readable safetensors" in refused(lambda: load_weights(path))
    with pytest.raises(ContractError):
        load_weights(path.read_bytes())


def fitted_pipelines() -> dict[str, Any]:
    """One small pipeline of each family that the search may keep."""
    from lightgbm import LGBMClassifier, LGBMRegressor
    from sklearn import ensemble, linear_model
    from sklearn.calibration import CalibratedClassifierCV
    from sklearn.compose import ColumnTransformer
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import Pipeline, make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    table, target = sample()
    boosted: dict[str, Any] = {"n_estimators": 3, "verbose": -1, "n_jobs": 1}
    logistic, light = linear_model.LogisticRegression(), LGBMClassifier(**boosted)
    finals: list[Any] = [
        logistic,
        linear_model.Ridge(),
        ensemble.HistGradientBoostingClassifier(max_iter=3),
        ensemble.HistGradientBoostingRegressor(max_iter=3),
        light,
        LGBMRegressor(**boosted),
        ensemble.RandomForestClassifier(3),
        ensemble.RandomForestRegressor(3),
        ensemble.ExtraTreesClassifier(3),
        ensemble.ExtraTreesRegressor(3),
        ensemble.VotingClassifier([("a", logistic), ("b", light)], voting="soft"),
        CalibratedClassifierCV(logistic, method="isotonic", cv=2),
        CalibratedClassifierCV(light, method="sigmoid", cv=2),
    ]
    fitted = {}
    for number, final in enumerate(finals):
        numbers = make_pipeline(SimpleImputer(add_indicator=True), StandardScaler())
        codes = OneHotEncoder(handle_unknown="ignore", min_frequency=2, sparse_output=False)
        before = ColumnTransformer([("numbers", numbers, [0, 1]), ("codes", codes, [2])])
        fitted[f"{number} {type(final).__name__}"] = Pipeline([("before", before), ("final", final)]).fit(table, target)
    return fitted


def sample() -> tuple[Any, Any]:
    draw = np.random.default_rng(7)
    table = np.column_stack([draw.normal(size=(90, 2)), draw.integers(0, 4, 90)])
    table[::11, 0] = np.nan
    return table, draw.integers(0, 3, 90)


@pytest.fixture(scope="session")
def pipelines() -> dict[str, Any]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return fitted_pipelines()


def test_every_family_comes_back_with_equal_predictions(pipelines: dict[str, Any], tmp_path: Path) -> None:
    table, _ = sample()
    for name, pipeline in pipelines.items():
        path = tmp_path / "pipeline.skops"
        path.write_bytes(dump_pipeline(pipeline))
        back = load_pipeline(path)
        how = "predict_proba" if hasattr(pipeline, "predict_proba") else "predict"
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            np.testing.assert_array_equal(getattr(back, how)(table), getattr(pipeline, how)(table), err_msg=name)


def test_the_list_of_types_holds_what_the_families_need_and_no_more(pipelines: dict[str, Any]) -> None:
    from skops.io import dumps, get_untrusted_types

    needed = {kind for pipeline in pipelines.values() for kind in get_untrusted_types(data=dumps(pipeline))}
    assert sorted(needed) == sorted(ALLOWED)
