"""What `ss config show` prints: every setting, its value and where it came from."""

from __future__ import annotations

from dataclasses import dataclass

from studentsuccess.config.keys import settings_by_path
from studentsuccess.config.layers import Configuration, LayerName, Shown


@dataclass(frozen=True)
class SettingRow:
    """One setting as it may be shown: secrets are masked."""

    key: str
    value: Shown
    source: LayerName
    where: str


def rows(configuration: Configuration) -> list[SettingRow]:
    """Every setting, in the schema's order."""
    origins = configuration.origins
    return [
        SettingRow(path, configuration.shown_value(path), origins[path].layer, origins[path].where)
        for path in settings_by_path()
    ]
