"""The schema seen as a flat list of settings: what every layer, message and page about a key needs."""

from __future__ import annotations

import types
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import SecretStr
from pydantic.fields import FieldInfo

from studentsuccess.config.schema import Section, Settings

_PLAIN = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "text",
    tuple: "a list of texts",
    SecretStr: "text",
}


@dataclass(frozen=True)
class Setting:
    """One key of the schema."""

    section: str
    key: str
    model: type[Section]
    description: str
    expected: str
    default: object
    choices: tuple[str, ...]
    example: object
    old_names: tuple[str, ...]
    flag: str
    secret: bool
    many: bool

    @property
    def path(self) -> str:
        return f"{self.section}.{self.key}"

    @property
    def env_name(self) -> str:
        return env_name(self.path)

    @property
    def optional(self) -> bool:
        return self.default is None


def env_name(path: str) -> str:
    """The environment variable of a dotted path."""
    return "SS_" + path.replace(".", "__").upper()


@cache
def sections() -> Mapping[str, type[Section]]:
    """Every section's model, in the schema's order."""
    return {name: type(field.default) for name, field in Settings.model_fields.items()}


@cache
def settings_by_path() -> Mapping[str, Setting]:
    """Every setting by its dotted path, in the schema's order."""
    found = (
        _setting(section, key, model, field)
        for section, model in sections().items()
        for key, field in model.model_fields.items()
    )
    return {setting.path: setting for setting in found}


def _setting(section: str, key: str, model: type[Section], field: FieldInfo) -> Setting:
    extra: dict[str, Any] = dict(field.json_schema_extra) if isinstance(field.json_schema_extra, dict) else {}
    kind = _kind(field.annotation)
    choices = tuple(get_args(kind)) if get_origin(kind) is Literal else ()
    expected = extra["expects"] or _expected(kind, choices, field)
    return Setting(
        section,
        key,
        model,
        description=field.description or "",
        expected=f"{expected} ({extra['reason']})" if extra["reason"] else expected,
        default=field.default,
        choices=choices,
        example=field.examples[0] if field.examples else None,
        old_names=tuple(extra["env"]),
        flag=extra["flag"] or f"--{key.replace('_', '-')}",
        secret=kind is SecretStr,
        many=get_origin(kind) is tuple,
    )


def _kind(annotation: Any) -> Any:
    """The type without `| None` and without its validators."""
    if get_origin(annotation) in (Union, types.UnionType):
        annotation = next(arg for arg in get_args(annotation) if arg is not type(None))
    return get_args(annotation)[0] if get_origin(annotation) is Annotated else annotation


def _expected(kind: Any, choices: tuple[str, ...], field: FieldInfo) -> str:
    if choices:
        return ("one of " if len(choices) > 1 else "") + ", ".join(f"`{choice}`" for choice in choices)
    return _PLAIN[get_origin(kind) or kind] + _limits(field)


def _limits(field: FieldInfo) -> str:
    """The range of a number in words."""
    bounds = {
        name: f"{getattr(rule, name):,}"
        for rule in field.metadata
        for name in ("ge", "gt", "le", "lt")
        if hasattr(rule, name)
    }
    if not bounds:
        return ""
    low, to = (f" from {bounds['ge']}", "to") if "ge" in bounds else (f" above {bounds['gt']}", "and")
    if "le" in bounds:
        return f"{low} to {bounds['le']}"
    return f"{low} {to} below {bounds['lt']}" if "lt" in bounds else f"{low} upwards"
