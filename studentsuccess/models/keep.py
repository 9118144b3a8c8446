"""Models on disk: believed only after every byte of them was held against the manifest.

Nothing here can run code that a file brings: weights are safetensors, pipelines are skops with a pinned list of
types, and whatever else lies in a model's folder is never opened to be parsed.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import math
import warnings
import zipfile
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from studentsuccess.core.digest import FileFact, canonical, file_digest, file_fact
from studentsuccess.errors import ContractError
from studentsuccess.models.manifest import Manifest, from_document

MANIFEST = "manifest.json"
WEIGHTS, PIPELINE = ".safetensors", ".skops"
SIGNATURE = "hmac"
# A manifest holds names and figures; this is a thousand times the largest one seen.
MAX_MANIFEST = 64 * 2**20
# Trees pack about tenfold; more than this is a bomb.
MAX_PACKED, ALWAYS_FITS = 200, 64 * 2**20
# What a desktop leaves in every folder that it shows.
DESKTOP = frozenset({".DS_Store", "Thumbs.db", "desktop.ini"})
# All that skops 0.16 does not trust by itself in the fitted pipelines that the search makes.
ALLOWED = (
    "collections.OrderedDict",
    "lightgbm.basic.Booster",
    "lightgbm.sklearn.LGBMClassifier",
    "lightgbm.sklearn.LGBMRegressor",
    "numpy.dtype",
    "sklearn.calibration._CalibratedClassifier",
    "sklearn.calibration._SigmoidCalibration",
    "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
    "sklearn.tree._tree.Tree",
    "sklearn.utils._bunch.Bunch",
)
_DTYPES = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "I64": "<i8", "I32": "<i4", "I16": "<i2", "I8": "i1"}
_DTYPES |= {"U64": "<u8", "U32": "<u4", "U16": "<u2", "U8": "u1", "BOOL": "?"}
_FIX = "see what is damaged: `ss verify`; put back a copy of the folder, or train it again: `ss train local`"
_OTHER = "see what there is: `ss models list`, or train it again: `ss train local`"
_UNSIGNED = (
    "train it again with the key in `SS_TRAIN__SIGNING_KEY`: `ss train local`; `ss models list` shows the others"
)

Weights = dict[str, npt.NDArray[Any]]


@dataclass(frozen=True)
class Kept:
    """A model whose files are all as its manifest says: `files` by name, and no other may be read."""

    manifest: Manifest
    files: Mapping[str, Path]
    sha256: str


def write_model(folder: Path, manifest: Manifest, files: Mapping[str, bytes], key: bytes | None = None) -> Manifest:
    """Write the files, then the manifest that binds them; what stands in the folder already is bound as well.

    The folder is a run's own, in staging: its files appear in the workspace with the commit.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        if not _is_plain(name):
            raise ValueError("a model's file has a plain name")
        (folder / name).write_bytes(content)
    bound = tuple(file_fact(path, path.name) for path in sorted(folder.iterdir()) if path.name != MANIFEST)
    document = _plain(replace(manifest, files=bound).document())
    if key is not None:
        document[SIGNATURE] = _signature(document, key)
    text = json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False)
    (folder / MANIFEST).write_bytes(text.encode("utf-8") + b"\n")
    return from_document(_unsigned(document), MANIFEST)


def read_model(folder: Path, key: bytes | None = None, sha256: str | None = None) -> Kept:
    """The manifest and the files that it vouches for. With `sha256` only the manifest that was registered will do."""
    label = f"{folder.parent.name}@{folder.name}"
    raw = _manifest_bytes(folder, label)
    found = hashlib.sha256(raw).hexdigest()
    if sha256 is not None and not hmac.compare_digest(found, sha256):
        raise _refused(label, f"{MANIFEST} is not the one that was registered")
    document = _parsed(raw, label)
    if key is not None:
        _check_signature(document, key, label)
    manifest = from_document(_unsigned(document), f"model `{label}`")
    return Kept(manifest, _checked(folder, manifest.files, label), found)


def _manifest_bytes(folder: Path, label: str) -> bytes:
    path = folder / MANIFEST
    for place in (folder, path):
        if place.is_symlink():
            raise _refused(label, f"{place.name} is a link")
    if not path.is_file():
        raise _refused(label, f"has no {MANIFEST}")
    with path.open("rb") as source:
        raw = source.read(MAX_MANIFEST + 1)
    if len(raw) > MAX_MANIFEST:
        raise _refused(label, f"{MANIFEST} is longer than {MAX_MANIFEST // 2**20} MB")
    return raw


def _parsed(raw: bytes, label: str) -> dict[str, Any]:
    try:
        document = json.loads(raw)
        canonical(document).encode("utf-8")
    except (ValueError, RecursionError):
        raise _refused(label, f"{MANIFEST} is not readable JSON") from None
    if not isinstance(document, dict):
        raise _refused(label, f"{MANIFEST} is not a manifest")
    return document


def _check_signature(document: Mapping[str, Any], key: bytes, label: str) -> None:
    given = document.get(SIGNATURE)
    if given is None:
        raise _refused(label, f"{MANIFEST} is unsigned, and `train.signing_key` asks for a signature", _UNSIGNED)
    if not hmac.compare_digest(str(given).encode("utf-8"), _signature(document, key).encode("utf-8")):
        raise _refused(label, f"{MANIFEST} was signed with another key, or changed since", _UNSIGNED)


def _signature(document: Mapping[str, Any], key: bytes) -> str:
    """Over the values, not the bytes: how the JSON is laid out says nothing."""
    return hmac.new(key, canonical(_unsigned(document)).encode("utf-8"), "sha256").hexdigest()


def _unsigned(document: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in document.items() if name != SIGNATURE}


def _checked(folder: Path, facts: Collection[FileFact], label: str) -> dict[str, Path]:
    """Every listed file as listed, and nothing else there: a stranger in the folder was put there by someone."""
    names = {str(fact.path).casefold() for fact in facts}
    if len(names) != len(facts) or not all(_is_plain(fact.path) and isinstance(fact.size, int) for fact in facts):
        raise _refused(label, f"{MANIFEST} lists a file twice, or one outside its own folder")
    listed = {fact.path for fact in facts}
    for path in sorted(folder.iterdir()):
        if path.is_symlink():
            raise _refused(label, f"{path.name} is a link", "delete the link; `ss verify` shows what is missing then")
        if path.name not in listed | DESKTOP | {MANIFEST}:
            raise _refused(label, f"{path.name} is not listed in its {MANIFEST}", f"delete `{path}` if it is not yours")
    for fact in facts:
        _check_file(folder / fact.path, fact, label)
    return {fact.path: folder / fact.path for fact in facts}


def _check_file(path: Path, fact: FileFact, label: str) -> None:
    if not path.is_file():
        raise _refused(label, f"{fact.path} is missing")
    size = path.stat().st_size
    if size != fact.size:
        raise _refused(label, f"{fact.path} has {size:,} bytes instead of {fact.size:,}")
    if not hmac.compare_digest(file_digest(path).encode(), str(fact.sha256).encode()):
        raise _refused(label, f"{fact.path} has other content than {MANIFEST} says")


def _is_plain(name: object) -> bool:
    """One file in the folder itself, on every system: no way up, no drive, no stream, not the manifest."""
    if not isinstance(name, str) or name.casefold() in ("", ".", "..", MANIFEST):
        return False
    return name.isprintable() and not set(name) & set('/\\:*?"<>|')


def _refused(label: str, what: str, hint: str = _FIX) -> ContractError:
    return ContractError(f"model `{label}`: {what}", hint)


def _plain(value: Any) -> Any:
    """Values that every JSON reader knows: no numpy scalars, and nothing instead of what is not finite."""
    if isinstance(value, Mapping):
        return {str(name): _plain(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    if isinstance(value, np.generic | np.ndarray):
        return _plain(value.tolist())
    return None if isinstance(value, float) and not math.isfinite(value) else value


def dump_weights(weights: Mapping[str, npt.NDArray[Any]]) -> bytes:
    """Arrays as safetensors bytes, whatever their order in memory; equal arrays give equal bytes."""
    from safetensors.numpy import save

    content: bytes = save({name: np.asarray(weights[name], order="C") for name in sorted(weights)})
    return content


def load_weights(source: Path | bytes) -> Weights:
    """The arrays of a safetensors file, read-only; from a path they stay on the disk and are shared by processes."""
    from safetensors import SafetensorError
    from safetensors.numpy import load

    if isinstance(source, Path):
        _refuse_other_kinds(source, WEIGHTS)
    try:
        if isinstance(source, Path):
            return _mapped(source)
        arrays = load(source)
    except (SafetensorError, KeyError, ValueError, MemoryError):
        raise _unreadable(source, "safetensors") from None
    for array in arrays.values():
        array.flags.writeable = False
    return dict(arrays)


def _mapped(path: Path) -> Weights:
    """Views of one memory map. The library copies, so it only checks the header: arrays without gaps to the end."""
    from safetensors import safe_open

    with safe_open(path, framework="np") as opened:
        kinds = {name: opened.get_slice(name) for name in opened.offset_keys()}
        shapes = {name: (np.dtype(_DTYPES[one.get_dtype()]), tuple(one.get_shape())) for name, one in kinds.items()}
    lengths = {name: dtype.itemsize * math.prod(shape) for name, (dtype, shape) in shapes.items()}
    content = np.memmap(path, np.uint8, "r").view(np.ndarray)
    at, arrays = content.size - sum(lengths.values()), {}
    for name, (dtype, shape) in shapes.items():
        arrays[name] = content[at : at + lengths[name]].view(dtype).reshape(shape)
        at += lengths[name]
    return arrays


def dump_pipeline(estimator: Any, allowed: Collection[str] = ALLOWED) -> bytes:
    """A fitted scikit-learn pipeline as skops bytes; one that could not be read back is refused now, not later."""
    from skops import io

    content: bytes = io.dumps(estimator, compression=zipfile.ZIP_DEFLATED, compresslevel=3)
    strange = sorted(set(io.get_untrusted_types(data=content)) - set(allowed))
    if strange:
        raise ContractError(
            f"a pipeline with `{strange[0]}` in it can't be kept: the type is not on the list of this program",
            "leave that family out, or report it: `ss doctor -f json`",
        )
    return content


def load_pipeline(path: Path, allowed: Collection[str] = ALLOWED) -> Any:
    """The pipeline in a verified skops file; a type that is not pinned is refused by its name before it is made.

    The list keeps code out. It can't see a tree whose numbers point outside itself: that is what digests are for.
    """
    from skops import io

    _refuse_other_kinds(path, PIPELINE)
    try:
        _refuse_bomb(path)
        found: list[str] = io.get_untrusted_types(file=path)
        strange = sorted(set(found) - set(allowed))
        if strange:
            raise _refused(_label(path), f"{path.name} holds `{strange[0]}`, a type that no model of ours has", _OTHER)
        with warnings.catch_warnings():
            # Another version of a library is said by the manifest.
            warnings.simplefilter("ignore")
            return io.load(path, trusted=found)
    except ContractError:
        raise
    except Exception:
        # A crafted file can make the library fail in any way; none of them is worth more than "unreadable".
        raise _unreadable(path, "skops") from None


def _refuse_bomb(path: Path) -> None:
    with zipfile.ZipFile(path) as archive:
        unpacked = sum(member.file_size for member in archive.infolist())
    if unpacked > max(ALWAYS_FITS, MAX_PACKED * path.stat().st_size):
        raise _unreadable(path, "skops")


def _refuse_other_kinds(path: Path, suffix: str) -> None:
    """Pickles, and whatever else may lie there, are never opened."""
    if path.suffix != suffix:
        what = f"{path.name} is of no kind that is ever read ({WEIGHTS} and {PIPELINE} are)"
        raise _refused(_label(path), what, _OTHER)


def _unreadable(source: Path | bytes, kind: str) -> ContractError:
    if isinstance(source, Path):
        return _refused(_label(source), f"{source.name} is not readable {kind}")
    return ContractError(f"the weights are not {kind}", _FIX)


def _label(file: Path) -> str:
    """The model that a file belongs to, by where it stands."""
    return f"{file.parent.parent.name}@{file.parent.name}"
