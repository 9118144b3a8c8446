"""`raw.<dataset>`: a view of each dataset's Parquet file, so that a table stands on the disk once.

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
from studentsuccess.warehouse.sql import identifier, literal, statement


def refresh_views(workspace: Workspace, connection: DuckDBPyConnection) -> None:
    """Make the views that `ops.dataset` asks for and that are not as it says."""
    have = dict(connection.execute(statement("raw_views")).fetchall())
    for name, run_id, path in connection.execute(statement("dataset_files")).fetchall():
        file = workspace.root / path
        mark = f"run {run_id} in {file}"
        if have.get(name) != mark and file.is_file():
            _make(connection, name, file, mark)


def _make(connection: DuckDBPyConnection, name: str, file: Path, mark: str) -> None:
    view = f"raw.{identifier(name)}"
    connection.execute("BEGIN TRANSACTION")
    try:
        connection.execute(f"CREATE OR REPLACE VIEW {view} AS SELECT * FROM read_parquet({literal(str(file))})")  # noqa: S608
        connection.execute(f"COMMENT ON VIEW {view} IS {literal(mark)}")
        connection.execute("COMMIT")
    except duckdb.Error:
        # A damaged file has no view; `ss verify` names it.
        with suppress(duckdb.Error):
            connection.execute("ROLLBACK")
