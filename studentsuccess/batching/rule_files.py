"""Rules from dynamic_parameters.csv, with what entity_parameter_values.csv says for a tenant, or from a TOML file.

A row of either file counts for a tenant when it names that tenant or none; a row that names it beats one that names
none. A value replaces what its `attribute` column says (threshold, weight or constraint_level), or the parts of a JSON
object; a number alone is the threshold, or the weight of a `no_mix`, which has no threshold. Rules hold for the whole
term: a value for one entity (`entity_id`) is refused, unless it is the tenant itself.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from studentsuccess.batching.input_problems import Code, Findings, Problem, shown, unknown
from studentsuccess.batching.input_roles import PARAMETERS, fold
from studentsuccess.batching.input_sheet import Sheet
from studentsuccess.batching.instance import Rule
from studentsuccess.batching.rules import HEAVIEST, Asked, RuleFields, checked, number_of
from studentsuccess.config.problems import Problem as TomlProblem
from studentsuccess.config.toml import read_toml
from studentsuccess.core.names import nearest

KEYS = tuple(field.name for field in PARAMETERS.fields if field.name != "tenant_id")
MOST = {"threshold": 1.0, "weight": HEAVIEST}
_TABLE = re.compile(r"^[ \t]*\[\[[ \t]*rule[ \t]*\]\]", re.MULTILINE)


@dataclass(frozen=True)
class _Row:
    """A rule of a sheet, and the row it stands in."""

    at: int
    tenant: str | None
    asked: Asked


def rules_of_sheet(sheet: Sheet, values: Sheet | None, tenant: str | None, fields: RuleFields) -> tuple[Rule, ...]:
    """The rules of a tenant; rows that are none are blamed."""
    sheet.settle_keys()
    sheet.require("parameter_code", "entity_type", "field_name", "rule_type", "constraint_level")
    rows = _mine(list(_rows(sheet)), tenant)
    if values is not None:
        rows = _with_values(rows, values, tenant)
    found = []
    for row in rows:
        rule = checked(row.asked, fields)
        if isinstance(rule, Rule):
            found.append(rule)
            continue
        for refusal in rule:
            said = f"{shown(row.asked.code)}: {refusal.message}"
            sheet.blame(np.array([row.at]), Code.INVALID_CONSTRAINT_RULE, refusal.column, said, refusal.fix)
    return tuple(sorted(found, key=lambda rule: rule.code))


def check_tenant(sheets: Sequence[Sheet], tenant: str | None, findings: Findings) -> None:
    """The tenant that was asked for is one of those in the files; several are a question."""
    known = sorted({text for sheet in sheets for text in sheet.texts("tenant_id").drop_null().to_pylist()})
    if not known or tenant in known:
        return
    if tenant is not None:
        said, fix = unknown("tenant", tenant, known)
        findings.add(Problem(Code.INVALID_ARGUMENT, said, fix or f"one of {', '.join(known)}", column="--tenant-id"))
    elif len(known) > 1:
        said = f"the rules are those of {len(known)} tenants: {', '.join(map(shown, known[:5]))}"
        findings.add(Problem(Code.INVALID_ARGUMENT, said, f"`--tenant-id {known[0]}`", column="--tenant-id"))


def _rows(sheet: Sheet) -> Iterator[_Row]:
    whole = sheet.stands & ~np.logical_or.reduce([sheet.missing(name) for name in KEYS[:5]])
    columns = [sheet.texts(name).to_pylist() for name in ("tenant_id", *KEYS)]
    for at in np.flatnonzero(whole).tolist():
        tenant, *rest = (column[at] for column in columns)
        yield _Row(at, tenant, Asked(*rest))


def _mine(rows: Sequence[_Row], tenant: str | None) -> list[_Row]:
    """Rows of the tenant (of the only one, where none is asked for) or of none, the tenant's own first."""
    if tenant is None and len(named := {row.tenant for row in rows if row.tenant}) == 1:
        tenant = next(iter(named))
    by_code: dict[str, _Row] = {}
    for row in rows:
        if row.tenant is None:
            by_code.setdefault(row.asked.code, row)
        elif row.tenant == tenant:
            by_code[row.asked.code] = row
    return list(by_code.values())


def _with_values(rows: Sequence[_Row], sheet: Sheet, tenant: str | None) -> list[_Row]:
    """The rules with what the tenant's values replace; those for all tenants come first, and give way."""
    sheet.settle_keys()
    sheet.require("parameter_code", "value")
    by_code = {row.asked.code: row for row in rows}
    names = ("tenant_id", "parameter_code", "entity_id", "attribute", "value")
    columns = {name: sheet.texts(name).to_pylist() for name in names}
    whole = np.flatnonzero(sheet.stands & ~sheet.missing("parameter_code") & ~sheet.missing("value")).tolist()
    for at in sorted(whole, key=lambda at: columns["tenant_id"][at] is not None):
        of, code, entity, attribute, value = (columns[name][at] for name in names)
        if of is not None and tenant is not None and of != tenant:
            continue
        if code not in by_code:
            sheet.blame_unknown(np.array([at]), [code], list(by_code), "parameter", "parameter_code")
        elif entity not in (None, "*", of, tenant):
            said = f"{shown(code)}: a value for one entity: rules hold for the whole term"
            sheet.blame(np.array([at]), Code.INVALID_CONSTRAINT_RULE, "entity_id", said, "leave entity_id empty")
        else:
            changed = _changed(by_code[code].asked, attribute, value)
            if isinstance(changed, str):
                said = f"{shown(code)}: {changed}"
                sheet.blame(
                    np.array([at]), Code.INVALID_CONSTRAINT_RULE, "value", said, "threshold 0 to 1, weight 0 to 10"
                )
            else:
                by_code[code] = replace(by_code[code], asked=changed)
    return list(by_code.values())


def _changed(asked: Asked, attribute: str | None, value: str) -> Asked | str:
    """The rule with a value in it, or why that is none."""
    parts: dict[str, object]
    if attribute is not None:
        parts = {fold(attribute): value}
    elif value.lstrip().startswith("{"):
        try:
            parts = {fold(name): part for name, part in json.loads(value).items()}
        except ValueError:
            return "not valid JSON"
    else:
        parts = {"weight" if fold(asked.kind) == "no_mix" else "threshold": value}
    for name, part in parts.items():
        text = str(part)
        if name in MOST:
            number = number_of(text)
            if number is None or not 0 <= number <= MOST[name]:
                return f"no {name}"
            asked = replace(asked, weight=text) if name == "weight" else replace(asked, threshold=text)
        elif name in ("constraint_level", "level"):
            asked = replace(asked, level=text)
        else:
            near = nearest(name, (*MOST, "constraint_level"))
            return f"nothing of a rule is called {shown(name)}" + (f"; did you mean `{near}`?" if near else "")
    return asked


def rules_of_toml(path: Path, fields: RuleFields, findings: Findings) -> tuple[Rule, ...]:
    """The rules of a file with `[[rule]]` tables, whose keys are the columns of dynamic_parameters."""
    read = read_toml(path, path.name)
    if isinstance(read, TomlProblem):
        findings.add(Problem(Code.INVALID_CONSTRAINT_RULE, read.text, "see `[[rule]]` in the README", path.name))
        return ()
    text = path.read_text(encoding="utf-8-sig")
    lines = [text.count("\n", 0, match.start()) + 1 for match in _TABLE.finditer(text)]
    tables = read.pop("rule", [])
    for name in read:
        _refuse_toml(findings, path, None, name, "a rule file has `[[rule]]` tables alone", "write `[[rule]]`")
    if not isinstance(tables, list) or not all(isinstance(one, dict) for one in tables):
        _refuse_toml(findings, path, None, "rule", "must be an array of tables", "write `[[rule]]`")
        return ()
    found, seen = [], set()
    for number, table in enumerate(tables):
        line = lines[number] if len(lines) == len(tables) else None
        asked, refused = _asked(table, number)
        if asked.code in seen:
            refused.append(("parameter_code", f"{shown(asked.code)} is there already", "give each rule its own code"))
        seen.add(asked.code)
        rule = checked(asked, fields)
        refused += [(one.column, one.message, one.fix) for one in (() if isinstance(rule, Rule) else rule)]
        for column, message, fix in refused:
            _refuse_toml(findings, path, line, column, f"{shown(asked.code)}: {message}", fix)
        if isinstance(rule, Rule):
            found.append(rule)
    return tuple(sorted(found, key=lambda rule: rule.code))


def _asked(table: dict[str, object], number: int) -> tuple[Asked, list[tuple[str, str, str]]]:
    refused = []
    for name in table:
        if name not in KEYS:
            near = nearest(name, KEYS)
            said = "a rule has no such key" + (f"; did you mean `{near}`?" if near else "")
            refused.append((name, said, f"keys are {', '.join(KEYS)}"))
    cells = {name: None if table.get(name) is None else str(table[name]) for name in KEYS}
    code = cells["parameter_code"] or f"RULE_{number + 1}"
    entity, name, kind, level = (cells[key] or "" for key in KEYS[1:5])
    return Asked(code, entity, name, kind, level, cells["weight"], cells["threshold"]), refused


def _refuse_toml(findings: Findings, path: Path, line: int | None, column: str, message: str, fix: str) -> None:
    findings.add(Problem(Code.INVALID_CONSTRAINT_RULE, message, fix, path.name, line, column))
