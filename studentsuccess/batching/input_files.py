"""Which file of a folder is what: by its name and its header together, then by the header, then by the name."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from studentsuccess.batching.input_problems import Code, Findings, Problem
from studentsuccess.batching.input_roles import HISTORY, PASSED, ROLES, Field, Role, fold
from studentsuccess.core.names import nearest
from studentsuccess.core.origin import Origin, decompressed, first_bytes, reading, resolve_encoding
from studentsuccess.core.probe import Probe, probe
from studentsuccess.errors import ContractError, UsageError

# The same endings as wherever a folder is given.
_ENDING = re.compile(r"\.(csv|tsv|txt|psv|parquet|jsonl|ndjson|json)(\.(gz|zst))?$", re.IGNORECASE)
# What `ss batch process` writes is no input, also where it was written beside the inputs.
_OURS = frozenset(
    {
        *("student_batches", "batch_student_membership", "batch_course_enrollment", "batch_resource_assignment"),
        *("quality", "report", "infeasible"),
    }
)
_LINE = re.compile(r"^(?P<shown>.*?): (?:line (?P<line>[\d,]+)(?:, (?:byte|column) \d+)?: )?(?P<said>.*)$", re.DOTALL)


@dataclass(frozen=True)
class Dialects:
    """How all files of a folder are read, where it is not found out."""

    encoding: str = "auto"
    delimiter: str = "auto"


@dataclass(frozen=True)
class Found:
    """The files of each role that is there, and the files that can't be read."""

    by_role: dict[str, tuple[Probe, ...]]
    broken: tuple[Path, ...] = ()

    def of(self, role: Role) -> tuple[Probe, ...]:
        return self.by_role.get(role.name, ())


def find_files(folder: Path, dialects: Dialects, findings: Findings) -> Found:
    """Every file of a term in the folder; what is missing, doubled or of no use is a finding."""
    if not folder.is_dir():
        known = [inner.name for inner in folder.parent.iterdir()] if folder.parent.is_dir() else []
        near = nearest(folder.name, known)
        hint = f"did you mean `{folder.with_name(near)}`?" if near else "name the folder with the term's files"
        raise UsageError(f"{folder}: no such folder", hint)
    probes, broken = _probes(folder, dialects, findings)
    candidates: dict[str, list[tuple[Probe, bool]]] = {}
    strangers = []
    for one in probes:
        role, named = _role(one)
        if role is None:
            strangers.append(one)
        else:
            candidates.setdefault(role.name, []).append((one, named))
    by_role = {role.name: _chosen(role, candidates[role.name], findings) for role in ROLES if role.name in candidates}
    _missing(by_role, strangers, broken, findings)
    for one in strangers:
        message = "is not used: neither its name nor its header is that of a file of a term"
        findings.add(Problem(Code.FILE_UNUSED, message, file=one.given.origin.shown, warning=True))
    return Found(by_role, tuple(broken))


def _probes(folder: Path, dialects: Dialects, findings: Findings) -> tuple[list[Probe], list[Path]]:
    found, broken = [], []
    for path in sorted(folder.iterdir()):
        if not path.is_file() or not _ENDING.search(path.name) or path.name.startswith(".") or _stem(path) in _OURS:
            continue
        try:
            found.append(probe(path, path.name, dialects.encoding, dialects.delimiter))
        except ContractError as problem:
            broken.append(path)
            findings.add(unreadable(path.name, problem))
    return found, broken


def unreadable(shown: str, problem: ContractError) -> Problem:
    """What keeps a file from being read, as a finding."""
    match = _LINE.match(problem.message)
    line, said = (match["line"], match["said"]) if match and match["shown"] == shown else (None, problem.message)
    code = Code.FILE_EMPTY if said == "is empty" else Code.FILE_UNREADABLE
    fix = re.sub(r"`ss etl (.*?) (--\w+ \S+)`", r"`\2`", problem.hint)
    return Problem(code, said, fix, shown, int(line.replace(",", "")) if line else None)


def _role(one: Probe) -> tuple[Role | None, bool]:
    """What a file is, and whether its name says so too."""
    named = _named(one.given.origin.path)
    if named and _fits(named, one):
        return named, True
    told = next((role for role in ROLES if _fits(role, one) and (role is not HISTORY or _has_results(one))), None)
    return (told, False) if told else (named, True)


def _stem(path: Path) -> str:
    return fold(_ENDING.sub("", path.name))


def _named(path: Path) -> Role | None:
    stem = _stem(path)
    return next((role for role in ROLES if stem in (role.name, *role.aliases)), None)


def _fits(role: Role, one: Probe) -> bool:
    return set(role.tells) <= set(role.canonical(one.names))


def _has_results(one: Probe) -> bool:
    return bool(set(PASSED) & set(HISTORY.canonical(one.names)))


def _chosen(role: Role, candidates: Sequence[tuple[Probe, bool]], findings: Findings) -> tuple[Probe, ...]:
    """Those that are named for it; several with one header are one table, with different ones a question."""
    named = [one for one, by_name in candidates if by_name] or [one for one, _ in candidates]
    first = named[0]
    for one in [one for one, _ in candidates if one not in named]:
        message = f"is not used: it looks like {role.name}, which `{first.given.origin.shown}` is by its name"
        findings.add(Problem(Code.FILE_UNUSED, message, file=one.given.origin.shown, warning=True))
    same = [one for one in named if sorted(role.canonical(one.names)) == sorted(role.canonical(first.names))]
    for one in [one for one in named if one not in same]:
        message = f"is {role.name} like `{first.given.origin.shown}`, but has other columns"
        findings.add(Problem(Code.FILE_TWICE, message, "keep one of the two in the folder", one.given.origin.shown))
    return tuple(same)


def _missing(
    by_role: dict[str, tuple[Probe, ...]], strangers: list[Probe], broken: Sequence[Path], findings: Findings
) -> None:
    """Files that are needed and not there. A stranger that is nearly one of them is that file, to be mended."""
    said = {role.name for path in broken if (role := _named(path))}
    for role in ROLES:
        if not role.needed or role.name in by_role or role.name in said:
            continue
        near = _nearly(role, strangers)
        if near is not None:
            strangers.remove(near)
            by_role[role.name] = (near,)
            continue
        needs = f"add `{role.name}.csv` with {', '.join(role.needs)}"
        findings.add(Problem(Code.FILE_MISSING, f"{role.name} is missing", needs, f"{role.name}.csv"))


def _nearly(role: Role, strangers: Sequence[Probe]) -> Probe | None:
    """A file of nearly that name, or with most of the columns."""
    names = {_stem(one.given.origin.path): one for one in strangers}
    if near := nearest(role.name, names):
        return names[near]
    fields = {field.name for field in role.fields}
    shares = [(len(fields & set(role.canonical(one.names))) / len(fields), one) for one in strangers]
    best = max(shares, key=lambda share: share[0], default=None)
    return best[1] if best and best[0] > 0.5 else None


def check_columns(role: Role, one: Probe, findings: Findings) -> bool:
    """Whether all that is needed is there; each column that is missing is said, with the one that may be meant."""
    names, file = role.canonical(one.names), one.given.origin.shown
    known = {field.name for field in role.fields}
    spare = [name for name in names if name not in known]
    for name in sorted({name for name in names if names.count(name) > 1}):
        findings.add(Problem(Code.COLUMN_TWICE, "two columns have this name", "rename one", file, 1, name))
    absent = [field for field in role.fields if field.name not in names]
    for field in absent:
        if field.needed or field.without:
            findings.add(_absent(role, field, nearest(field.name, spare), file))
    return len(set(names)) == len(names) and not any(field.needed for field in absent)


def _absent(role: Role, field: Field, near: str | None, file: str) -> Problem:
    message = f"the column `{field.name}` of {role.name} is missing" + (f"; `{near}` is there" if near else "")
    fix = f"rename `{near}` to `{field.name}`" if near else f"add it: {role.name} has {_columns(role)}"
    if not field.needed:
        message += f": {field.without}"
    return Problem(Code.COLUMN_MISSING, message, fix, file, 1, field.name, warning=not field.needed)


def _columns(role: Role) -> str:
    return ", ".join(field.name if field.needed else f"[{field.name}]" for field in role.fields)


def encoding_of(origin: Origin) -> str:
    """What a file's bytes are read as; nothing where it holds no text."""
    if first_bytes(origin.path).startswith(b"PAR1"):
        return ""
    with reading(origin) as raw:
        return resolve_encoding(decompressed(raw, origin).read(1 << 16), origin)
