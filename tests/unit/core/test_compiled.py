"""Our own loops give the columns that the general way and the written grammar give, or leave them to it."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pyarrow as pa
import pytest
from effort import examples
from hypothesis import example, given, settings
from hypothesis import strategies as st

import studentsuccess.core.stream as streams
from studentsuccess.core.blocks import cut
from studentsuccess.core.compiled import take_apart
from studentsuccess.core.compiled_numbers import MOST_INTEGER, MOST_WHOLE
from studentsuccess.core.compiled_parts import RUN
from studentsuccess.core.compiled_texts import MOST_LEVELS
from studentsuccess.core.extract import Dialect, extract_csv
from studentsuccess.core.formats import Format
from studentsuccess.core.grammar import MAX_EXACT, MAX_INTEGER, Kind, convert
from studentsuccess.core.layout import Column, Extracted, Layout
from studentsuccess.core.origin import Origin
from studentsuccess.core.parallel import Engine
from studentsuccess.core.stream import Input, StreamSettings, stream
from studentsuccess.errors import ContractError

EXAMPLES = examples(10_000, daily=150)
ORIGIN = Origin(Path("t.csv"), "t.csv")
NULLS = ("", "?", "NA", "NULL")
KINDS = st.sampled_from([Kind.INTEGER, Kind.DECIMAL, Kind.LABEL, Kind.TEXT, Kind.DATE, Kind.BOOLEAN])

WHOLE = st.builds(
    lambda sign, zeros, digits: sign + zeros + digits,
    st.sampled_from(["", "", "", "-", "+"]),
    st.sampled_from(["", "", "", "0", "000", "0" * 25]),
    st.integers(0, 20).flatmap(lambda most: st.integers(0, 10**most)).map(str),
)
SPELLINGS = """
0 -0 +0 00 -00 . -. 5. .5 -.5 -0.0 0. 00.5 -00.5 + - --5 1.2.3 1_000 0x1F 1,5 ٣ ５ 1d5 1f
1e22 1e23 1e-22 1e-23 1e308 1e309 -1e999 1e-999 4.9e-324 2.4e-324 1e99999999999 1e e5 1e+ 1E-5 1.e5 .e5 0e0 0.1e1
123456.1 1234567. -123456. -1234567 12345678 12345678a a2345678 9007199254740993.0 NaN inf -Infinity nan
"""
LIMITS = st.sampled_from(
    [str(power + step) for power in (10**15, 10**18, 1 << 53, 1 << 63, 1 << 64) for step in (-1, 0, 1)]
    + ["9" * digits for digits in (7, 8, 9, 15, 16, 18, 19, 20)]
    + ["1" * 301 + ".0", "9" * 400 + ".5", "0." + "0" * 400 + "1", "5 5", " ", "\t"]
    + SPELLINGS.split()
)
DECIMAL = st.from_regex(r"[+-]?0{0,2}[0-9]{0,19}\.[0-9]{0,22}([eE][+-]?[0-9]{1,3})?", fullmatch=True)
FLOATS = st.floats(allow_nan=False, allow_infinity=False).map(repr)
NUMBERS = st.one_of(WHOLE, LIMITS, DECIMAL, FLOATS, st.decimals(-999, 999, places=2).map(str))
BLANKS = st.sampled_from(["", "", " ", "\t "])
PADDED = st.builds(lambda left, text, right: left + text + right, BLANKS, NUMBERS, BLANKS)
WORDS = st.text(st.characters(codec="utf-8", exclude_characters='\x00\r\n",;|\t\ufeff'), max_size=20)
FEW = st.sampled_from(
    ["a", "b", "abcdefgh", "abcdefghi", "abcdefghj", "é", "学生", "NA", "NULL", "NUL", "N", "", "?", "??"]
)
CELLS = st.one_of(NUMBERS, PADDED, WORDS, FEW, st.sampled_from(NULLS))
CLEAN = {Kind.INTEGER: st.one_of(st.integers(-(10**18) + 1, 10**18 - 1).map(str), st.sampled_from(NULLS))}
CLEAN[Kind.DECIMAL] = st.one_of(FLOATS, st.decimals(-9999, 9999, places=3).map(str), st.sampled_from(NULLS))
QUOTES = st.sampled_from(
    ['"x"', '""', '"1.5"', '"a,b"', '"a\nb"', '"a\r\nb"', '"a ""b"" c"', '"NA"', '" 7"', '"""', 'a"b', '"a"b']
)


def _layout(kinds: list[Kind], nulls: tuple[str, ...] = NULLS) -> Layout:
    return Layout(tuple(Column(f"c{place}", kind) for place, kind in enumerate(kinds)), nulls)


@st.composite
def tables(draw: st.DrawFn) -> tuple[str, str, Layout]:
    """A text, its delimiter and its layout: mostly clean columns, now and then anything."""
    kinds = draw(st.lists(KINDS, min_size=1, max_size=5))
    delimiter = draw(st.sampled_from([",", ",", ";", "\t", "|"]))
    ends = draw(
        st.sampled_from([["\n"], ["\n"], ["\r\n"], ["\n", "\r\n"], ["\n", "\n\n"], ["\n", "\r\n\r\n"], ["\n", "\r"]])
    )
    columns = [CLEAN.get(kind, FEW) if draw(st.booleans()) else CELLS for kind in kinds]
    odd = draw(st.sampled_from([st.nothing(), st.nothing(), QUOTES]))
    rows = draw(st.lists(st.tuples(*(st.one_of(cell, odd) for cell in columns)), min_size=1, max_size=12))
    lines = [delimiter.join(row) for row in rows]
    if draw(st.integers(0, 5)) == 0:
        lines.insert(draw(st.integers(0, len(lines))), draw(st.sampled_from(["x", "1" + delimiter, delimiter * 6])))
    text = "".join(line + draw(st.sampled_from(ends)) for line in lines)
    return (text if draw(st.booleans()) else text.rstrip("\r\n")), delimiter, _layout(kinds)


def _extract(data: bytes, delimiter: str, layout: Layout, *, typed: bool, compiled: bool) -> list[Extracted] | str:
    dialect, chosen = Dialect(delimiter, layout.names), frozenset(layout.names if typed else ())
    try:
        blocks = list(cut(iter([data]), ORIGIN, ord(delimiter), 10**6))
        return [extract_csv(block, ORIGIN, dialect, layout, chosen, compiled=compiled) for block in blocks]
    except ContractError as refused:
        return refused.message


def _shown(values: pa.Array) -> list[str]:
    """Every value with its sign and all its digits: -0.0 is not 0.0 here."""
    return [repr(value) for value in values.to_pylist()]


def _same(found: Extracted, texts: Extracted, layout: Layout) -> None:
    assert (found.records, found.ragged) == (texts.records, texts.ragged)
    assert [found.locate(at) for at in range(found.records)] == [texts.locate(at) for at in range(texts.records)]
    assert list(found.columns) == list(layout.names)
    for column in layout.columns:
        values, plain = found.columns[column.name], texts.columns[column.name]
        values.validate(full=True)
        if values.type != plain.type:
            typed = convert(plain, column.kind)
            assert typed.bad is None
            assert values.type == typed.values.type
            plain = typed.values
        assert values.null_count == plain.null_count
        assert _shown(values) == _shown(plain)
        if pa.types.is_dictionary(values.type):
            assert values.equals(plain)


@settings(max_examples=EXAMPLES, deadline=None)
@given(table=tables())
@example(table=("1\n\n2", ",", _layout([Kind.INTEGER])))
@example(table=("\n\r\n-0.0\r\n", ",", _layout([Kind.DECIMAL])))
@example(table=('"a\r"\r\n', ",", _layout([Kind.TEXT])))
@example(table=('"a\r', ",", _layout([Kind.TEXT])))
def test_every_column_is_that_of_the_general_way_or_what_the_grammar_makes_of_it(
    table: tuple[str, str, Layout],
) -> None:
    text, delimiter, layout = table
    data = text.encode()
    slow = _extract(data, delimiter, layout, typed=False, compiled=False)
    for typed in (True, False):
        fast = _extract(data, delimiter, layout, typed=typed, compiled=True)
        assert len(fast) == len(slow)
        if isinstance(fast, str) or isinstance(slow, str):
            assert fast == slow
            continue
        for found, texts in zip(fast, slow, strict=True):
            _same(found, texts, layout)


@settings(max_examples=EXAMPLES, deadline=None)
@given(cells=st.lists(PADDED, min_size=1, max_size=6), kind=st.sampled_from([Kind.INTEGER, Kind.DECIMAL]))
def test_a_number_column_comes_typed_exactly_when_the_grammar_takes_all_of_it(cells: list[str], kind: Kind) -> None:
    data = "".join(f"{cell};x\n" for cell in cells).encode()
    layout = _layout([kind, Kind.TEXT])
    taken = take_apart(data, ";", layout.names, layout, frozenset(layout.names))
    assert taken is not None
    texts = pa.array(cells, pa.string())
    wanted = convert(texts, kind)
    assert (taken.columns["c0"].type == pa.string()) == (wanted.bad is not None)
    assert _shown(taken.columns["c0"]) == _shown(texts if wanted.bad is not None else wanted.values)


@settings(max_examples=EXAMPLES, deadline=None)
@given(values=st.lists(st.one_of(FLOATS, st.decimals(-(10**9), 10**9, places=6).map(str)), min_size=1, max_size=20))
def test_decimals_are_those_of_python_to_the_last_bit(values: list[str]) -> None:
    layout = _layout([Kind.DECIMAL])
    taken = take_apart("\n".join(values).encode(), ",", layout.names, layout, frozenset(layout.names))
    assert taken is not None
    assert _shown(taken.columns["c0"]) == [repr(float(value)) for value in values]


def test_decimals_are_exact_at_every_power_of_ten() -> None:
    values = [f"{number}e{power}" for number in (1, 3, 7, 123456789, (1 << 53) - 1) for power in range(-330, 290)]
    layout = _layout([Kind.DECIMAL])
    taken = take_apart("\n".join(values).encode(), ",", layout.names, layout, frozenset(layout.names))
    assert taken is not None
    assert _shown(taken.columns["c0"]) == [repr(float(value)) for value in values]


def test_the_limits_are_those_of_the_grammar() -> None:
    assert (10**MOST_INTEGER, 10**MOST_WHOLE) == (MAX_INTEGER, MAX_EXACT)


def _apart(text: str, *kinds: Kind, nulls: tuple[str, ...] = NULLS) -> dict[str, pa.Array]:
    layout = _layout(list(kinds), nulls)
    taken = take_apart(text.encode(), ",", layout.names, layout, frozenset(layout.names))
    assert taken is not None
    return taken.columns


def test_one_value_that_is_none_costs_its_column_the_type_and_no_other() -> None:
    rows = [f"{number},{number}.5,{number}" for number in range(3 * RUN)]
    rows[2 * RUN + 1] = "7,twelve,8"
    columns = _apart("\n".join(rows), Kind.INTEGER, Kind.DECIMAL, Kind.INTEGER)
    assert [str(values.type) for values in columns.values()] == ["int64", "string", "int64"]
    assert columns["c1"][2 * RUN + 1].as_py() == "twelve"
    assert columns["c2"].to_pylist() == [*range(2 * RUN + 1), 8, *range(2 * RUN + 2, 3 * RUN)]


def test_a_number_can_mean_nothing_too() -> None:
    columns = _apart("-1,0\n0,-1\n5,x\n", Kind.INTEGER, Kind.LABEL, nulls=("-1", "0"))
    assert columns["c0"].to_pylist() == [None, None, 5]
    assert columns["c1"].to_pylist() == [None, None, "x"]


def test_without_null_texts_an_empty_text_is_a_text() -> None:
    columns = _apart("1,,\n,,\n", Kind.INTEGER, Kind.LABEL, Kind.TEXT, nulls=())
    assert columns["c0"].to_pylist() == ["1", ""]
    assert columns["c1"].to_pylist() == columns["c2"].to_pylist() == ["", ""]


@pytest.mark.parametrize("levels", [MOST_LEVELS - 1, MOST_LEVELS, MOST_LEVELS + 1, 3 * MOST_LEVELS])
def test_labels_keep_their_order_of_appearance_with_any_number_of_levels(levels: int) -> None:
    names = [f"level-{number * 7919 % levels}" for number in range(2 * levels)]
    (found,) = _apart("\n".join([*names, "", "NA", "NA"]), Kind.LABEL).values()
    assert found.type == pa.dictionary(pa.int32(), pa.string())
    assert found.equals(pa.array([*names, None, None], pa.string()).dictionary_encode())


def test_labels_that_begin_alike_are_told_apart() -> None:
    names = ["x" * size + end for size in range(20) for end in ("", "a", "b", "é")] * 3
    (found,) = _apart("\n".join(name or "?" for name in names), Kind.LABEL).values()
    assert found.to_pylist() == [name or None for name in names]


def test_texts_of_every_length_are_copied_whole() -> None:
    texts = ["ab" * (number % 23) + "é" * (number % 3) for number in range(5 * RUN)]
    columns = _apart("".join(f"{text},{text[::-1]}\n" for text in texts), Kind.TEXT, Kind.TEXT)
    assert columns["c0"].to_pylist() == [text or None for text in texts]
    assert columns["c1"].to_pylist() == [text[::-1] or None for text in texts]


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("last", [True, False])
def test_quoted_fields_are_taken_without_their_quotes(end: str, last: bool) -> None:
    lines = ['"1","a,b","say ""x"""', '-2,"two\nlines",""', '"NA","","y"', "", '4,"cr\r",zz']
    text = end.join(lines) + (end if last else "")
    columns = _apart(text, Kind.INTEGER, Kind.TEXT, Kind.LABEL)
    assert columns["c0"].to_pylist() == [1, -2, None, 4]
    assert columns["c1"].to_pylist() == ["a,b", "two\nlines", None, "cr\r"]
    assert columns["c2"].to_pylist() == ['say "x"', None, "y", "zz"]


@pytest.mark.parametrize(
    ("text", "delimiter"),
    [
        ("1,2\r3,4\n", ","),
        ("1,2\n3,4\r", ","),
        ('1,"a"b\n', ","),
        ('1,a"b"\n', ","),
        ('1,"a\n', ","),
        ('1, "a"\n', ","),
        ("1§2\n", "§"),
        ("\n\n", ","),
        ("1\n2,3,4\n", ","),
        ("", ","),
    ],
)
def test_what_the_loops_do_not_cover_is_left_alone(text: str, delimiter: str) -> None:
    layout = _layout([Kind.TEXT, Kind.TEXT])
    assert take_apart(text.encode(), delimiter, layout.names, layout, frozenset()) is None


def test_rows_of_a_wrong_width_stand_aside_with_their_place_and_width() -> None:
    layout = _layout([Kind.INTEGER, Kind.TEXT])
    taken = take_apart(b"1\n\n2,b\r\n3,c,\n4,d\n,,,", ",", layout.names, layout, frozenset(layout.names))
    assert taken is not None
    assert taken.ragged == ((0, 1), (2, 3), (4, 4))
    assert taken.columns["c0"].to_pylist() == [2, 4]


def test_only_wanted_columns_are_taken_in_the_order_of_the_layout() -> None:
    layout = Layout((Column("z", Kind.LABEL), Column("x", Kind.DECIMAL)), NULLS)
    taken = take_apart(b"1,2,3\n4,5,6\n", ",", ("x", "y", "z"), layout, frozenset("xyz"))
    assert taken is not None
    assert list(taken.columns) == ["z", "x"]
    assert [values.to_pylist() for values in taken.columns.values()] == [["3", "6"], [1.0, 4.0]]


def test_workers_side_by_side_do_not_disturb_each_other() -> None:
    layout = _layout([Kind.INTEGER, Kind.DECIMAL, Kind.LABEL, Kind.TEXT])
    pieces = [
        "".join(f"{n},{n}.{seed}25,l{n % (seed + 3)},t{n * seed}\n" for n in range(4_000)).encode() for seed in range(8)
    ]

    def shown(data: bytes) -> list[list[object]]:
        taken = take_apart(data, ",", layout.names, layout, frozenset(layout.names))
        return [values.to_pylist() for values in taken.columns.values()] if taken else []

    alone = [shown(data) for data in pieces]
    assert all(alone)
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(shown, pieces * 6)) == alone * 6


@pytest.mark.parametrize("packed", [False, True])
def test_a_stream_gives_the_same_whether_it_compiles_or_not(
    tmp_path: Path, packed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    import gzip

    rows = [f"{n},{n / 7},{'AB'[n % 2]},{'x' * (n % 9)}{'' if n % 500 else '007'}" for n in range(6_000)]
    rows[17], rows[4_000], rows[5_000] = "x,1,A,y", '5,"2.5","A","a\nb"', "1,2"
    data = ("\n".join(["c0,c1,c2,c3", *rows]) + "\n").encode()
    path = tmp_path / "t.csv"
    path.write_bytes(gzip.compress(data) if packed else data)
    layout = _layout([Kind.INTEGER, Kind.DECIMAL, Kind.LABEL, Kind.TEXT])
    given_input = Input(Origin(path, "t.csv"), Format.CSV, Dialect(",", layout.names))
    found = {}
    for least in (0, 1 << 60):
        monkeypatch.setattr(streams, "COMPILE_FROM_LOADED", least)
        parsed = list(stream([given_input], layout, StreamSettings(block_bytes=1 << 14, engine=Engine("threads", 2))))
        found[least] = [(one.batch.to_pylist(), one.rejects, one.tallies, one.read) for one in parsed]
    assert found[0] == found[1 << 60]
    assert sum(len(rejects) for _, rejects, *_ in found[0]) == 2


LOADS = """
import sys
from pathlib import Path
import studentsuccess.core.stream as streams
from studentsuccess.core.extract import Dialect
from studentsuccess.core.formats import Format
from studentsuccess.core.grammar import Kind
from studentsuccess.core.layout import Column, Layout
from studentsuccess.core.origin import Origin
streams.COMPILE_FROM = int(sys.argv[2])
layout = Layout((Column("a", Kind.INTEGER),), ())
given = streams.Input(Origin(Path(sys.argv[1]), "t"), Format.CSV, Dialect(",", ("a",)))
for _ in streams.stream([given], layout, streams.StreamSettings()):
    pass
print("numba" in sys.modules)
"""


@pytest.mark.parametrize(("content", "least", "loaded"), [("1", 10, True), ("1", 100, False), ('"1"', 10, False)])
def test_numba_is_loaded_only_for_much_text_and_not_for_quotes(
    tmp_path: Path, content: str, least: int, loaded: bool
) -> None:
    path = tmp_path / "t.csv"
    path.write_text("a\n" + f"{content}\n" * 12, encoding="utf-8")
    done = subprocess.run([sys.executable, "-c", LOADS, path, str(least)], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str(loaded)


KERNEL = """
import sys
import numba as nb
from studentsuccess.core.jit import kernel
if "full" in sys.argv:
    import resource
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
sys.path.insert(0, sys.argv[1])
from small import double
print(double(21))
"""


@pytest.mark.posix
@pytest.mark.parametrize("fault", ["nowhere", "full"])
def test_a_kernel_works_where_its_machine_code_cannot_be_kept(tmp_path: Path, fault: str) -> None:
    source = "import numba as nb\nfrom studentsuccess.core.jit import kernel\n"
    source += "@kernel(nb.int64(nb.int64))\ndef double(x):\n    return 2 * x\n"
    (tmp_path / "small.py").write_text(source, encoding="utf-8")
    environ = os.environ | {"PYTHONDONTWRITEBYTECODE": "1"}
    if fault == "nowhere":
        (tmp_path / "__pycache__").touch()
        environ |= {"NUMBA_CACHE_DIR": os.devnull, "HOME": os.devnull, "XDG_CACHE_HOME": os.devnull}
    done = subprocess.run(
        [sys.executable, "-c", KERNEL, tmp_path, fault], capture_output=True, text=True, env=environ, check=False
    )
    assert (done.stdout.strip(), done.returncode) == ("42", 0), done.stderr
