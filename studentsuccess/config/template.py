"""config_template.toml, rendered from the schema so that it can't say anything else."""

from __future__ import annotations

import json
from collections.abc import Iterator
from textwrap import wrap

from studentsuccess.config.keys import Setting, sections, settings_by_path

_WIDTH = 100
_HEAD = """\
# The settings of a workspace. Copy this file there as config.toml, or let `ss init` do it.
# Every key shows its default: take the `# ` before it away to change it. An empty text means none.
# Defaults < this file < environment variables < flags (`--set section.key=value` for any key).
# `ss config validate` checks it, `ss config show` says where each value came from.
"""


def render_template() -> str:
    """The commented template: valid TOML that sets nothing, and still valid with every key uncommented."""
    blocks = [_HEAD]
    for section, model in sections().items():
        members = [setting for setting in settings_by_path().values() if setting.section == section]
        if members:
            blocks.append(f"# {model.__doc__}\n[{section}]\n")
            blocks.extend("\n".join([*_comment(setting), _key_line(setting), ""]) for setting in members)
    return "\n".join(blocks)


def _comment(setting: Setting) -> Iterator[str]:
    facts = [setting.expected + (", or none" if setting.optional else "")]
    if setting.example is not None:
        facts.append(f"example: {_toml(setting.example)}")
    if setting.secret:
        facts.append("secret: never a flag, never shown")
    names = [setting.env_name, *(f"{name} (old name)" for name in setting.old_names)]
    for paragraph in (setting.description, "; ".join(facts), f"environment: {', '.join(names)}"):
        yield from wrap(paragraph, _WIDTH, initial_indent="# ", subsequent_indent="#   ", break_long_words=False)


def _key_line(setting: Setting) -> str:
    return f"# {setting.key} = {_toml(setting.default)}"


def _toml(value: object) -> str:
    """A value as TOML writes it: JSON's texts, numbers, true, false and lists are TOML too; it has no null."""
    return json.dumps("" if value is None else value, ensure_ascii=False)
