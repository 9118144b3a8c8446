"""Bytes that no program wrote on purpose: never a traceback, every row accounted for, the exit code from the table."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest
from effort import FULL
from harness import Lab
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import seed as fixed
from hypothesis import strategies as st
from made_terms import Term, write_term
from trained import csv_text, students

import studentsuccess as ss
from studentsuccess.config.layers import Overrides, load
from studentsuccess.errors import ExitCode, SsError

Tally = Callable[..., None]
GOOD = {ExitCode.FAILED, ExitCode.USAGE, ExitCode.CONTRACT, ExitCode.STORAGE}
# No shrinking to death: the case that failed is printed, and small already.
LOTS = {"deadline": None, "suppress_health_check": list(HealthCheck), "print_blob": True, "database": None}
PHASES = (Phase.explicit, Phase.generate, Phase.shrink)
DAY = date(2026, 9, 1)

insertions = st.sampled_from(
    [
        *(b'"', b'""', b"'", b",", b";", b"\t", b"|", b"\n", b"\r", b"\r\n", b"\0", b"\xff", b"\xef\xbb\xbf", b"\xc3"),
        *(b"\x1b[2J", b"NaN", b"1e999", b"-inf", b"=1+1", b"3,5", b"\x80\x81", b" ", b"\\", b"?", b"NULL"),
        *(b"\xe2\x80\xa8", b"9" * 400),
    ]
)
encodings = st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "latin-1", "utf-32", "cp1252"])
ends = st.sampled_from(["\n", "\r\n", "\r", "\n\r", "\v"])
delimiters = st.sampled_from([",", ",", ",", ";", "\t", "|", ":"])


@st.composite
def garbage(draw: st.DrawFn) -> bytes:
    """A valid file, bent: its encoding, delimiter, line ends, and some of its bytes."""
    rows = students(draw(st.integers(0, 12)), seed=draw(st.integers(0, 9)))
    text = csv_text(rows, delimiter=draw(delimiters)).replace("\n", draw(ends))
    return draw(bent(text.encode(draw(encodings), "replace")))


@st.composite
def bent(draw: st.DrawFn, raw: bytes) -> bytes:
    """Some bytes more, fewer, others or again, up to five times."""
    for _ in range(draw(st.integers(0, 5))):
        at = draw(st.integers(0, len(raw)))
        kind = draw(st.sampled_from(["insert", "cut", "drop", "repeat", "flip"]))
        if kind == "insert":
            raw = raw[:at] + draw(insertions) + raw[at:]
        elif kind == "cut":
            raw = raw[:at]
        elif kind == "drop":
            raw = raw[:at] + raw[at + draw(st.integers(1, 40)) :]
        elif kind == "repeat":
            raw = raw[:at] + raw[at : at + draw(st.integers(1, 60))] * 2 + raw[at:]
        elif raw:
            at = min(at, len(raw) - 1)
            raw = raw[:at] + bytes([raw[at] ^ draw(st.integers(1, 255))]) + raw[at + 1 :]
    return raw


@pytest.fixture(scope="module")
def loading(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace into which something was loaded; not to be written to."""
    folder = tmp_path_factory.mktemp("loading")
    (folder / "first.csv").write_text("a\n1\n")
    ss.etl([folder / "first.csv"], folder)
    return folder


@pytest.fixture
def scoring(lab: Lab) -> Path:
    """A workspace with a model; not to be written to."""
    return lab.template(("train incremental",))


@pytest.fixture(scope="module")
def term(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_term(tmp_path_factory.mktemp("terms") / "term", Term(24))


def whole(folder: Path) -> bool:
    """No damage but the scores that the test itself takes away."""
    return not [one for one in ss.verify(folder) if one.level == "damage" and one.subject != "scored.csv"]


def renew(folder: Path, template: Path, tried: int) -> None:
    """The workspace as it was, every so often: each case leaves a line in its ledger, which each case reads."""
    if tried % 200 == 1:
        assert not folder.exists() or whole(folder)
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(template, folder)


def check_refusal(problem: SsError, raw: bytes) -> None:
    assert problem.code in GOOD, (raw, problem)
    assert problem.message, raw
    assert "defect" not in problem.message + problem.hint, (raw, problem.message)
    assert "do not add up" not in problem.message, raw


def check_config_refusal(problem: SsError, raw: bytes) -> None:
    assert problem.code == ExitCode.USAGE, (raw, problem)
    assert "\n" not in problem.message, raw


def test_etl_of_garbage(loading: Path, folder: Path, seed: int, tally: Tally) -> None:
    tried: list[int] = []

    @fixed(seed)
    @settings(max_examples=5000 if FULL else 60, phases=PHASES, **LOTS)
    @given(raw=garbage(), ids=st.booleans(), limit=st.sampled_from(["0", "1%", "100%"]))
    def case(raw: bytes, ids: bool, limit: str) -> None:
        tried.append(1)
        renew(folder, loading, len(tried))
        source = folder / "garbage.csv"
        source.write_bytes(raw)
        try:
            wanted = ["student_id"] if ids else []
            found = ss.etl([source], folder, ids=wanted, settings={"etl.max_rejects": limit}).tables["garbage"]
        except SsError as problem:
            check_refusal(problem, raw)
            return
        assert found.read == found.kept + found.rejected + found.duplicate, raw

    case()
    tally("garbage for etl", len(tried))
    assert whole(folder)


def test_score_of_garbage(scoring: Path, folder: Path, seed: int, tally: Tally) -> None:
    tried: list[int] = []

    @fixed(seed)
    @settings(max_examples=5000 if FULL else 60, phases=PHASES, **LOTS)
    @given(raw=garbage(), limit=st.sampled_from(["0", "100%"]), evaluate=st.booleans())
    def case(raw: bytes, limit: str, evaluate: bool) -> None:
        tried.append(1)
        renew(folder, scoring, len(tried))
        source, target = folder / "garbage.csv", folder / "scored.csv"
        source.write_bytes(raw)
        target.unlink(missing_ok=True)
        try:
            found = ss.score(
                source, folder, output=target, evaluate=evaluate, settings={"etl.max_rejects": limit}
            ).counts
        except SsError as problem:
            check_refusal(problem, raw)
            assert not target.exists(), raw
            return
        assert found.read == found.kept + found.rejected + found.duplicate, raw

    case()
    tally("garbage for score", len(tried))


def test_a_term_of_garbage(term: Path, tmp_path: Path, seed: int, tally: Tally) -> None:
    """One of its files is bent: it is read with its books right or refused; what is read is batched or can't be."""
    sound = {path.name: path.read_bytes() for path in term.iterdir()}
    tried: list[int] = []

    @fixed(seed)
    @settings(max_examples=5000 if FULL else 40, phases=PHASES, **LOTS)
    @given(data=st.data(), lenient=st.booleans(), whole_way=st.sampled_from([False] * 7 + [True]))
    def case(data: st.DataObject, lenient: bool, whole_way: bool) -> None:
        how = {"batch.lenient": lenient}
        name = data.draw(st.sampled_from(sorted(sound)))
        text = sound[name].decode("utf-8")
        raw = data.draw(bent(text.replace("\n", data.draw(ends)).encode(data.draw(encodings), "replace")))
        (term / name).write_bytes(raw)
        tried.append(1)
        try:
            found = ss.validate_batch_processing_inputs(term, tmp_path / "ws", settings=how)
            assert found.ready or found.errors, (name, raw)
            for file in found.files:
                if file.counts is not None:
                    file.counts.check(file.path)
            if found.ready and whole_way:
                ss.process_student_batching(term, tmp_path / "out", tmp_path / "ws", day=DAY, settings=how)
        except SsError as problem:
            check_refusal(problem, raw)
        finally:
            (term / name).write_bytes(sound[name])

    case()
    tally("garbage for batch process", len(tried))


def test_a_config_of_garbage(tmp_path: Path, seed: int, tally: Tally) -> None:
    template = (Path(__file__).resolve().parents[2] / "config_template.toml").read_bytes()
    lines = [line.removeprefix(b"# ") for line in template.splitlines() if b" = " in line or line.startswith(b"[")]

    tried: list[int] = []

    @fixed(seed)
    @settings(max_examples=10_000 if FULL else 60, phases=PHASES, **LOTS)
    @given(data=st.data())
    def case(data: st.DataObject) -> None:
        some = data.draw(st.lists(st.sampled_from(lines), max_size=8))
        raw = b"\n".join(some)
        for _ in range(data.draw(st.integers(0, 3))):
            at = data.draw(st.integers(0, len(raw)))
            raw = (
                raw[:at]
                + data.draw(st.one_of(insertions, st.binary(max_size=6)))
                + raw[at + data.draw(st.integers(0, 3)) :]
            )
        (tmp_path / "config.toml").write_bytes(raw)
        tried.append(1)
        try:
            load(Overrides(workspace=tmp_path), {}, tmp_path)
        except SsError as problem:
            check_config_refusal(problem, raw)

    case()
    tally("garbage for config.toml", len(tried))


@pytest.mark.parametrize("turn", range(40 if FULL else 3))
def test_garbage_as_it_is_typed(lab: Lab, tmp_path: Path, turn: int, seed: int, tally: Tally) -> None:
    """The same through the command line, where a defect would be a line of its own."""
    draw = random.Random(f"{seed}:typed:{turn}")  # noqa: S311 - no secret
    raw = bytearray(csv_text(students(20)).encode())
    for _ in range(draw.randint(1, 30)):
        raw[draw.randrange(len(raw))] = draw.choice(b'"\n\r\0,;\xff\xc3\x1b')
    (tmp_path / "garbage.csv").write_bytes(raw)
    done = lab.call(["etl", "garbage.csv", "-f", "json"], tmp_path)
    tally("garbage for etl")
    assert done.is_told(), (bytes(raw), done)
    assert done.code in {0, *map(int, GOOD)}, done
    assert "\x1b" not in done.err
