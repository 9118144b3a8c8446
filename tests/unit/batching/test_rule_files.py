"""Where rules come from: a tenant's parameters and values, or a TOML file."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import tomli_w
from small_terms import RULES, Small, of_code, only

from studentsuccess.batching.inputs import Code
from studentsuccess.batching.instance import Rule
from studentsuccess.errors import UsageError

VALUES = "tenant_id,parameter_code,entity_id,value\n"
MARGIN = "M,batch,size,capacity_limit,hard,10,0.9"
LIKE = "L,student,preferred_languages,homogeneous,soft,2,0.5"
SAME = "S,student,program_id,no_mix,hard,3,"


@pytest.fixture
def small(tmp_path: Path) -> Small:
    return Small(tmp_path / "term")


def _rules(small: Small, tenant: str | None = None) -> dict[str, Rule]:
    return {rule.code: rule for rule in small.instance(tenant=tenant).rules}


def test_a_value_replaces_what_it_names(small: Small) -> None:
    small.rules(MARGIN, LIKE, SAME).add("entity_parameter_values.csv", VALUES)
    small.add("entity_parameter_values.csv", "T1,M,,0.8\nT1,S,,7\n")
    small.add(
        "entity_parameter_values.csv",
        f'T1,L,T1,"{json.dumps({"weight": 4, "threshold": 0.6}).replace(chr(34), chr(34) * 2)}"\n',
    )
    found = _rules(small, "T1")
    assert (found["M"].threshold, found["M"].weight) == (0.8, 10)
    assert (found["S"].threshold, found["S"].weight) == (None, 7)
    assert (found["L"].threshold, found["L"].weight) == (0.6, 4)


def test_an_attribute_says_what_a_value_is(small: Small) -> None:
    small.rules(MARGIN, LIKE).add("entity_parameter_values.csv", "tenant_id,parameter_code,attribute,value\n")
    small.add("entity_parameter_values.csv", "T1,M,weight,2\nT1,L,constraint_level,hard\n")
    found = _rules(small, "T1")
    assert (found["M"].threshold, found["M"].weight, found["L"].hard) == (0.9, 2, True)


def test_a_tenants_own_value_beats_that_for_all_in_any_order(small: Small) -> None:
    small.rules(MARGIN).add("entity_parameter_values.csv", VALUES + "T1,M,,0.8\n,M,,0.7\nT2,M,,0.6\n")
    assert _rules(small, "T1")["M"].threshold == 0.8
    assert _rules(small, "T2")["M"].threshold == 0.6


@pytest.mark.parametrize(
    ("row", "column", "said"),
    [
        ("T1,M,,1.5", "value", "no threshold"),
        ("T1,S,,11", "value", "no weight"),
        ("T1,S,,heavy", "value", "no weight"),
        ("T1,M,,{broken", "value", "not valid JSON"),
        ('T1,M,,"{""treshold"": 1}"', "value", "did you mean `threshold`?"),
        ("T1,M,P1,.8", "entity_id", "a value for one entity"),
    ],
)
def test_a_value_that_can_not_be_is_refused_with_its_line(small: Small, row: str, column: str, said: str) -> None:
    small.rules(MARGIN, SAME).add("entity_parameter_values.csv", f"{VALUES}{row}\n")
    problem = only(small.read(tenant="T1"), Code.INVALID_CONSTRAINT_RULE)
    assert (problem.file, problem.line, problem.column) == ("entity_parameter_values.csv", 2, column)
    assert said in problem.message


def test_a_value_of_no_parameter_is_an_orphan(small: Small) -> None:
    small.rules(MARGIN).add("entity_parameter_values.csv", VALUES + "T1,MM,,0.5\n")
    problem = only(small.read(tenant="T1"), Code.ORPHAN_REFERENCE)
    assert (problem.file, problem.line) == ("entity_parameter_values.csv", 2)


def test_rules_of_other_tenants_do_not_hold(small: Small) -> None:
    header = RULES.strip() + ",tenant_id\n"
    small.add(
        "dynamic_parameters.csv",
        header + f"{MARGIN},\n{LIKE},T1\n{SAME},T2\nM,batch,size,capacity_limit,hard,1,.5,T2\n",
    )
    assert {code: rule.threshold for code, rule in _rules(small, "T1").items()} == {"M": 0.9, "L": 0.5}
    assert {code: rule.threshold for code, rule in _rules(small, "T2").items()} == {"M": 0.5, "S": None}


def test_an_unknown_tenant_and_a_choice_of_several_are_problems(small: Small) -> None:
    small.rules(MARGIN).add("entity_parameter_values.csv", VALUES + "north,M,,0.8\nsouth,M,,0.7\n")
    problem = only(small.read(tenant="nort"), Code.INVALID_ARGUMENT)
    assert "did you mean `north`?" in problem.message
    problem = only(small.read(), Code.INVALID_ARGUMENT)
    assert problem.column == "--tenant-id"
    assert "2 tenants" in problem.message


def test_the_only_tenant_need_not_be_named(small: Small) -> None:
    small.rules(MARGIN).add("entity_parameter_values.csv", VALUES + "north,M,,0.8\n")
    assert _rules(small)["M"].threshold == 0.8


def _toml(folder: Path, *rules: dict[str, object]) -> Path:
    path = folder / "rules.toml"
    path.write_text(tomli_w.dumps({"rule": list(rules)}), encoding="utf-8")
    return path


FULL: dict[str, object] = {
    "parameter_code": "L", "entity_type": "student", "field_name": "preferred_languages", "rule_type": "homogeneous",
    "constraint_level": "soft", "weight": 2, "threshold": 0.5,
}  # fmt: skip


def test_rules_from_toml_take_the_place_of_those_in_the_folder(small: Small, tmp_path: Path) -> None:
    read = small.rules(MARGIN, SAME).read(rules=_toml(tmp_path, FULL))
    assert [(rule.code, rule.words, rule.weight) for rule in read.expect().rules] == [
        ("L", "homogeneous(preferred_languages, 0.5)", 2), ("DEFAULT_ROOM_MARGIN", "capacity_limit(size, 0.9)", 1),
    ]  # fmt: skip
    assert only(read, Code.FILE_UNUSED).file == "dynamic_parameters.csv"


def test_the_same_rules_are_the_same_from_either_file(small: Small, tmp_path: Path) -> None:
    from_toml = small.instance(rules=_toml(tmp_path, FULL)).rules
    assert small.rules(LIKE).instance().rules == from_toml


def test_a_rule_in_toml_needs_no_code(small: Small, tmp_path: Path) -> None:
    nameless = {name: value for name, value in FULL.items() if name != "parameter_code"}
    rules = small.instance(rules=_toml(tmp_path, nameless, nameless)).rules
    assert [rule.code for rule in rules] == ["RULE_1", "RULE_2", "DEFAULT_ROOM_MARGIN"]


@pytest.mark.parametrize(
    ("change", "column", "said"),
    [
        ({"treshold": 0.5}, "treshold", "did you mean `threshold`?"),
        ({"rule_type": "no_mixx"}, "rule_type", "did you mean `no_mix`?"),
        ({"threshold": 3}, "threshold", "3 is outside 0 to 1"),
        ({"weight": [1]}, "weight", "not a number"),
        ({"field_name": "x y"}, "field_name", "student has no field"),
    ],
)
def test_a_bad_rule_in_toml_is_named_with_its_line(
    small: Small, tmp_path: Path, change: dict[str, object], column: str, said: str
) -> None:
    path = _toml(tmp_path, FULL, FULL | {"parameter_code": "B"} | change)
    line = [at for at, text in enumerate(path.read_text().splitlines(), 1) if text == "[[rule]]"][1]
    found = [one for one in of_code(small.read(rules=path), Code.INVALID_CONSTRAINT_RULE) if one.column == column]
    assert [(one.file, one.line) for one in found] == [("rules.toml", line)]
    assert said in found[0].message
    assert "`B`" in found[0].message


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[[rule]]\nx = \n", "line 2"),
        ("rule = 3\n", "must be an array of tables"),
        ("[rules]\na = 1\n", "`[[rule]]` tables alone"),
    ],
)
def test_a_broken_toml_file_is_a_finding(small: Small, tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "rules.toml"
    path.write_text(text, encoding="utf-8")
    found = of_code(small.read(rules=path), Code.INVALID_CONSTRAINT_RULE)
    assert any(said in one.text for one in found)


def test_two_rules_of_one_code_are_refused(small: Small, tmp_path: Path) -> None:
    problem = only(small.read(rules=_toml(tmp_path, FULL, FULL)), Code.INVALID_CONSTRAINT_RULE)
    assert "is there already" in problem.message


def test_a_rule_file_that_is_not_there_is_usage(small: Small, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"none\.toml"):
        small.read(rules=tmp_path / "none.toml")
