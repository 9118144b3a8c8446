"""What someone would write without `ss`: the plain scripts that it is measured against.

usage: plain.py pandas FILE.csv FOLDER | plain.py duckdb FOLDER DATABASE
Each does as much of the same job as its library can, with its defaults; neither can say which line was bad.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

CHUNK_ROWS = 100_000
# Those of the table that dirty.py writes.
NUMBERS = ("id", "age", "credits", "logins", "late_days", "points", "gpa", "hours", "balance", "rate")
OULAD = (
    "courses", "assessments", "vle", "studentInfo", "studentRegistration", "studentAssessment", "studentVle",
)  # fmt: skip


def pandas_loop(source: Path, folder: Path) -> dict[str, int]:
    """Chunk by chunk: numbers coerced, rows with a bad one dropped, repeats dropped by hash, Parquet out."""
    import pandas as pd
    import pyarrow as pa
    import pyarrow.parquet as pq

    seen: set[int] = set()
    books = {"read": 0, "kept": 0, "rejected": 0, "duplicate": 0}
    writer: Any = None
    chunks = pd.read_csv(
        source, chunksize=CHUNK_ROWS, engine="c", dtype=str, keep_default_na=True, na_values=["?"], on_bad_lines="skip"
    )
    for raw in chunks:
        chunk = raw.copy(deep=False)
        for name in NUMBERS:
            chunk[name] = pd.to_numeric(raw[name], errors="coerce").astype("float64")
        numbers = list(NUMBERS)
        bad = (chunk[numbers].isna() & raw[numbers].notna()).any(axis=1)
        good = chunk[~bad]
        repeated = [_seen_before(key, seen) for key in pd.util.hash_pandas_object(good, index=False).tolist()]
        kept = good[[not repeat for repeat in repeated]]
        table = pa.Table.from_pandas(kept, preserve_index=False)
        if writer is None:
            writer = pq.ParquetWriter(folder / "part.parquet", table.schema)
        writer.write_table(table.cast(writer.schema))
        _book(books, len(raw), len(kept), int(bad.sum()), sum(repeated))
    writer.close()
    return books


def _seen_before(key: int, seen: set[int]) -> bool:
    if key in seen:
        return True
    seen.add(key)
    return False


def _book(books: dict[str, int], read: int, kept: int, rejected: int, duplicate: int) -> None:
    for name, count in (("read", read), ("kept", kept), ("rejected", rejected), ("duplicate", duplicate)):
        books[name] += count


def duckdb_load(folder: Path, database: Path) -> dict[str, int]:
    """The seven files into a database file, types guessed from DuckDB's sample, nothing checked."""
    import duckdb

    counts = {}
    nulls = _null_option(folder)
    with duckdb.connect(str(database)) as connection:
        for name in OULAD:
            done = connection.execute(
                f"CREATE TABLE {name} AS SELECT * FROM read_csv('{folder / name}.csv'{nulls})"  # noqa: S608
            ).fetchone()
            counts[name] = int(done[0]) if done else 0
    return counts


def _null_option(folder: Path) -> str:
    """Only the dialect that writes nulls as `?` needs to be told so."""
    with (folder / "studentRegistration.csv").open("rb") as source:
        return ", nullstr = '?'" if b",?" in source.read(1 << 20) else ""


SCRIPTS = {"pandas": pandas_loop, "duckdb": duckdb_load}


def command(script: str, source: Path, target: Path) -> list[str]:
    """The command that runs one of them."""
    return [sys.executable, __file__, script, str(source), str(target)]


if __name__ == "__main__":
    sys.stdout.write(json.dumps(SCRIPTS[sys.argv[1]](Path(sys.argv[2]), Path(sys.argv[3]))) + "\n")
