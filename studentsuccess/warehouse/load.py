"""Finished tables into the warehouse: called inside the one transaction of a commit."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
from duckdb import DuckDBPyConnection

from studentsuccess.config.workspace import Workspace
from studentsuccess.core.digest import canonical
from studentsuccess.errors import UsageError
from studentsuccess.warehouse.database import EngineLimits, connect
from studentsuccess.warehouse.migrate import has_table
from studentsuccess.warehouse.sql import identifier, statement

OULAD = "oulad"
FORGET = ("activity", "submissions", "demographics", "assessments", "enrollments", "course_runs")
FILL = ("course_run", "enrollment", "demographic", "assessment", "submission")


@dataclass(frozen=True)
class DatasetEntry:
    """A dataset as the warehouse knows it. `spec` is what a later command needs to read rows like its own."""

    name: str
    kind: str
    run_id: str
    path: str
    rows: int
    spec: Mapping[str, Any]


def load_arrow(connection: DuckDBPyConnection, name: str, table: pa.Table) -> None:
    """A small table as `raw.<name>`."""
    connection.register("incoming", table)
    connection.execute(f"CREATE OR REPLACE TABLE raw.{identifier(name)} AS SELECT * FROM incoming")  # noqa: S608
    connection.unregister("incoming")


def load_oulad(
    connection: DuckDBPyConnection, tables: Mapping[str, pa.Table], clicks: Path | None, *, extends: bool = False
) -> None:
    """An export into `raw` and `core`; the course runs that it holds are replaced, others stay.

    With `extends` the clicks are some more rows of a load that stands: its own stay.
    """
    for name, table in tables.items():
        load_arrow(connection, name, table)
    connection.execute(statement("oulad_incoming_run"))
    connection.register("incoming", _with_places(tables["studentInfo"]))
    connection.execute(statement("oulad_enrolment_map"))
    connection.unregister("incoming")
    for part in FORGET[1:] if extends else FORGET:
        connection.execute(statement(f"oulad_forget_{part}"))
    for part in FILL:
        connection.execute(statement(f"oulad_{part}"))
    if clicks is not None:
        _load_clicks(connection, clicks)


def _with_places(info: pa.Table) -> pa.Table:
    """studentInfo with each row's place in it: what the clicks in staging call an enrolment."""
    places = pa.array(range(info.num_rows), pa.int32())
    return info.select(["code_module", "code_presentation", "id_student"]).append_column("place", places)


def _load_clicks(connection: DuckDBPyConnection, clicks: Path) -> None:
    """studentVle from its staging file, in its order."""
    known, least = connection.execute(
        "SELECT count(*) FILTER (NOT is_new), coalesce(min(enrollment_id), 0) FROM enrolment_map"
    ).fetchone() or (0, 0)
    with pa.OSFile(str(clicks), "rb") as source:
        connection.register("clicks", pa.ipc.open_stream(source))
        if known:
            connection.execute(statement("oulad_activity"))
        else:
            connection.execute(statement("oulad_activity_fresh"), {"offset": least})
        connection.unregister("clicks")


def register_dataset(connection: DuckDBPyConnection, entry: DatasetEntry) -> None:
    """Note a dataset, in place of an earlier one of that name."""
    connection.execute(statement("forget_dataset"), {"name": entry.name})
    connection.execute(
        statement("upsert_dataset"),
        {
            "name": entry.name,
            "kind": entry.kind,
            "run_id": entry.run_id,
            "path": entry.path,
            "rows": entry.rows,
            "spec": canonical(entry.spec),
            "loaded_at": datetime.now(UTC).replace(tzinfo=None).isoformat(),
        },
    )


def raw_tables(workspace: Workspace, limits: EngineLimits, names: Iterable[str]) -> dict[str, pa.Table]:
    """Tables of `raw` as they stand; one that is not there is left out."""
    found = {}
    with connect(workspace, limits, read_only=True) as connection:
        for name in names:
            if has_table(connection, "raw", name):
                query = f"SELECT * FROM raw.{identifier(name)}"  # noqa: S608
                found[name] = connection.execute(query).to_arrow_table()
    return found


def standing_datasets(connection: DuckDBPyConnection) -> tuple[DatasetEntry, ...]:
    """Every dataset, in a warehouse that may never have had one."""
    if not has_table(connection, "ops", "dataset"):
        return ()
    return tuple(_entry(row) for row in connection.execute(statement("datasets")).fetchall())


def _entry(row: tuple[Any, ...]) -> DatasetEntry:
    name, kind, run_id, path, rows, spec = row
    return DatasetEntry(name, kind, run_id, path, rows, json.loads(spec))


def all_datasets(workspace: Workspace, limits: EngineLimits) -> tuple[DatasetEntry, ...]:
    """Every dataset, for plans: reads only."""
    if not workspace.warehouse.is_file():
        return ()
    with connect(workspace, limits, read_only=True) as connection:
        return standing_datasets(connection)


def refuse_other_kind(standing: Iterable[DatasetEntry], names: Iterable[str], kind: str) -> None:
    """A table of one source must not replace one of another's that happens to have its name, in whatever case."""
    by_name = {entry.name.casefold(): entry for entry in standing}
    for name in names:
        entry = by_name.get(name.casefold())
        if entry is not None and entry.kind != kind:
            raise UsageError(
                f"`{name}` in this workspace was loaded as `{entry.kind}`, and this would replace it",
                "give the new one another name: `--name NAME`",
            )


def earlier_input_sizes(workspace: Workspace, limits: EngineLimits, target: str) -> tuple[tuple[int, ...], ...]:
    """The sizes of the inputs of each run that wrote a target: equal sizes are worth a digest."""
    if not workspace.warehouse.is_file():
        return ()
    with connect(workspace, limits, read_only=True) as connection:
        if not has_table(connection, "ops", "run_target"):
            return ()
        rows = connection.execute(statement("run_inputs"), {"target": target}).fetchall()
    return tuple(tuple(int(fact["size"]) for fact in json.loads(inputs)) for inputs, _ in rows)


def loaded_from(workspace: Workspace, limits: EngineLimits, target: str, places: Sequence[str]) -> bool:
    """Whether all that was loaded into a target came from such paths; so it is where nothing was."""
    if not workspace.warehouse.is_file():
        return True
    with connect(workspace, limits, read_only=True) as connection:
        if not has_table(connection, "ops", "run_target"):
            return True
        rows = connection.execute(statement("run_inputs"), {"target": target}).fetchall()
    paths = [Path(fact["path"]).as_posix() for inputs, _ in rows for fact in json.loads(inputs)]
    return all(any(place in path for place in places) for path in paths)
