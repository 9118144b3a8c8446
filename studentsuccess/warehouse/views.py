"""`raw.<dataset>`: a view of each dataset's Parquet files, so that a table stands on the disk once.

A view can only be made when its file is in place, and that is after the COMMIT. So views are derived: made from
`ops.dataset` after the files, and by the next command that writes when they are missing, outdated, or when the
workspace was moved.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import duckdb
from duckdb import DuckDBPyConnection

from studentsuccess.config.workspace import Workspace
from studentsuccess.warehouse.migrate import has_table
from studentsuccess.warehouse.sql import identifier, literal, statement

FILES = "data*.parquet"


def refresh_views(workspace: Workspace, connection: DuckDBPyConnection) -> None:
    """Make the views that `ops.dataset` asks for and that are not as it says."""
    have = dict(connection.execute(statement("raw_views")).fetchall())
    for name, run_id, path in connection.execute(statement("dataset_files")).fetchall():
        folder = workspace.root / path
        mark = f"run {run_id} in {folder}"
        if have.get(name) != mark and folder.is_dir():
            _make(connection, name, folder, mark)


def missing_views(connection: DuckDBPyConnection) -> tuple[str, ...]:
    """Datasets without their view."""
    if not has_table(connection, "ops", "dataset"):
        return ()
    have = dict(connection.execute(statement("raw_views")).fetchall())
    names = (str(name) for name, _, _ in connection.execute(statement("dataset_files")).fetchall())
    return tuple(name for name in names if name not in have)


def _make(connection: DuckDBPyConnection, name: str, folder: Path, mark: str) -> None:
    view, files = f"raw.{identifier(name)}", literal(str(folder / FILES))
    connection.execute("BEGIN TRANSACTION")
    try:
        connection.execute(f"CREATE OR REPLACE VIEW {view} AS SELECT * FROM read_parquet({files})")  # noqa: S608
        connection.execute(f"COMMENT ON VIEW {view} IS {literal(mark)}")
        connection.execute("COMMIT")
    except duckdb.Error:
        # A damaged file has no view; `ss verify` names it.
        with suppress(duckdb.Error):
            connection.execute("ROLLBACK")
