"""What a connection may do, and what its errors say."""

from __future__ import annotations

import os
import signal
import struct
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import duckdb
import pytest
from file_limits import no_file_longer_than

from studentsuccess.config.workspace import Workspace
from studentsuccess.errors import BusyError, ExitCode, SsError, StorageError, UsageError
from studentsuccess.warehouse.database import connect, meaning

_ENDLESS = "SELECT count(*) FROM range(100000000) a, range(100000) b WHERE (a.range * b.range) % 7 = 3"
_OPENING = """
import sys, duckdb
connection = duckdb.connect(sys.argv[1], read_only=True)
print("open", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def loaded(workspace: Workspace, job: ModuleType) -> Workspace:
    job.load(workspace)
    return workspace


def setting(connection: duckdb.DuckDBPyConnection, name: str) -> object:
    row = connection.execute("SELECT current_setting($name)", {"name": name}).fetchone()
    assert row is not None
    return row[0]


def test_limits_and_doors_are_set(loaded: Workspace, job: ModuleType) -> None:
    with connect(loaded, job.LIMITS) as connection:
        assert setting(connection, "memory_limit") == "256.0 MiB"
        assert setting(connection, "threads") == 1
        assert setting(connection, "TimeZone") == "UTC"
        assert setting(connection, "enable_external_access") is False
        assert setting(connection, "autoload_known_extensions") is False
        assert Path(str(setting(connection, "temp_directory"))).is_relative_to(loaded.staging)


@pytest.mark.parametrize(
    "statement",
    ["SET memory_limit = '64GB'", "SET enable_external_access = true", "ATTACH '../other.duckdb'", "INSTALL httpfs"],
)
def test_no_statement_opens_the_door_again(loaded: Workspace, job: ModuleType, statement: str) -> None:
    with (
        connect(loaded, job.LIMITS) as connection,
        pytest.raises((duckdb.InvalidInputException, duckdb.PermissionException)),
    ):
        connection.execute(statement)


def test_files_outside_the_workspace_can_be_neither_read_nor_written(
    loaded: Workspace, job: ModuleType, tmp_path: Path
) -> None:
    outside = tmp_path / "outside.csv"
    outside.write_text("a\n1\n")
    with connect(loaded, job.LIMITS) as connection:
        with pytest.raises(duckdb.PermissionException):
            connection.execute("SELECT * FROM read_csv($path)", {"path": str(outside)})
        with pytest.raises(duckdb.PermissionException):
            connection.execute(
                f"COPY (SELECT 1) TO '{(loaded.root / '..' / 'x.csv').as_posix().replace(chr(39), chr(39) * 2)}'"
            )
        connection.execute("SELECT * FROM read_csv($path)", {"path": str(loaded.outputs / "courses.csv")})


def test_a_block_that_fails_is_rolled_back(loaded: Workspace, job: ModuleType) -> None:
    def forget_then_fail() -> None:
        with connect(loaded, job.LIMITS) as connection:
            connection.execute("BEGIN TRANSACTION")
            connection.execute("DELETE FROM core.course_run")
            raise KeyError

    with pytest.raises(KeyError):
        forget_then_fail()
    with connect(loaded, job.LIMITS, read_only=True) as connection:
        assert connection.execute("SELECT count(*) FROM core.course_run").fetchone() == (3,)


@pytest.mark.skipif(os.name == "nt", reason="signals between threads are POSIX")
def test_an_interrupt_is_an_interrupt_again_and_rolls_back(loaded: Workspace, job: ModuleType) -> None:
    about_to_run = threading.Event()

    def interrupt() -> None:
        about_to_run.wait()
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()

    def query() -> None:
        with connect(loaded, job.LIMITS) as connection:
            connection.execute("BEGIN TRANSACTION")
            connection.execute("DELETE FROM core.course_run")
            about_to_run.set()
            connection.execute(_ENDLESS)

    with pytest.raises(KeyboardInterrupt):
        query()
    thread.join()
    with connect(loaded, job.LIMITS, read_only=True) as connection:
        assert connection.execute("SELECT count(*) FROM core.course_run").fetchone() == (3,)


def test_what_a_signal_handler_raised_comes_out_of_a_query(loaded: Workspace, job: ModuleType) -> None:
    class TerminatedError(BaseException):
        pass

    with pytest.raises(TerminatedError), connect(loaded, job.LIMITS):
        raise RuntimeError("Query interrupted") from TerminatedError()


def test_a_program_that_has_the_file_open_is_named(
    loaded: Workspace, job: ModuleType, child: Callable[..., subprocess.Popen[str]]
) -> None:
    with child("-c", _OPENING, str(loaded.warehouse)) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "open\n"
        with pytest.raises(BusyError) as raised, connect(loaded, job.LIMITS):
            pass
        other.kill()
    assert raised.value.code is ExitCode.BUSY
    if os.name != "nt":
        assert f"pid {other.pid}" in raised.value.message


def test_waiting_for_a_program_that_lets_go_succeeds(
    loaded: Workspace, job: ModuleType, child: Callable[..., subprocess.Popen[str]]
) -> None:
    with child("-c", _OPENING, str(loaded.warehouse)) as other:
        assert other.stdout is not None
        assert other.stdin is not None
        assert other.stdout.readline() == "open\n"
        other.stdin.close()
        with connect(loaded, job.LIMITS, wait=60) as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)


@pytest.mark.parametrize("content", [b"", b"hello", b"hello" * 5000])
def test_a_file_that_is_no_warehouse_is_called_so(workspace: Workspace, job: ModuleType, content: bytes) -> None:
    workspace.root.mkdir()
    workspace.warehouse.write_bytes(content)
    for read_only in (True, False):
        with (
            pytest.raises(StorageError, match="is not a readable warehouse") as raised,
            connect(workspace, job.LIMITS, read_only),
        ):
            pass
        assert "ss verify" in raised.value.hint
        assert workspace.warehouse.read_bytes() == content


def test_a_flipped_header_is_called_damage(loaded: Workspace, job: ModuleType) -> None:
    content = bytearray(loaded.warehouse.read_bytes())
    content[20] ^= 0xFF
    loaded.warehouse.write_bytes(content)
    with pytest.raises(StorageError, match="is not a readable warehouse"), connect(loaded, job.LIMITS):
        pass


def test_a_newer_storage_version_asks_for_an_upgrade(loaded: Workspace, job: ModuleType) -> None:
    content = bytearray(loaded.warehouse.read_bytes())
    content[12] = 200  # the low byte of the storage version, in the checked 4 KiB header block
    content[:8] = struct.pack("<Q", _block_checksum(bytes(content[8:4096])))
    loaded.warehouse.write_bytes(content)
    with pytest.raises(StorageError, match="newer DuckDB") as raised, connect(loaded, job.LIMITS):
        pass
    assert "upgrade" in raised.value.hint


def _block_checksum(block: bytes) -> int:
    """DuckDB's checksum of a block whose size divides by eight (duckdb, src/common/checksum.cpp)."""
    result = 5381
    for (word,) in struct.iter_unpack("<Q", block):
        result ^= (word * 0xBF58476D1CE4E5B9) & (2**64 - 1)
    return result


def test_no_warehouse_yet_names_the_command_that_makes_one(workspace: Workspace, job: ModuleType) -> None:
    with pytest.raises(UsageError) as raised, connect(workspace, job.LIMITS, read_only=True):
        pass
    assert "ss etl" in raised.value.hint
    assert not workspace.root.exists()


def test_too_little_memory_is_one_clear_error(loaded: Workspace, job: ModuleType) -> None:
    query = "SELECT list(range) FROM range(100000000)"
    with pytest.raises(SsError) as raised, connect(loaded, job.LIMITS) as connection:
        connection.execute(query).fetchall()
    assert "budget.memory" in raised.value.hint


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('IO Error: Could not write file "{warehouse}": No space left on device', "no space left"),
        (
            "FATAL Error: Failed to create checkpoint because of error: fsync failed!",
            "outcome unknown, safe to run again",
        ),
        ('IO Error: Could not read from file "{warehouse}": Input/output error', "outcome unknown, safe to run again"),
    ],
)
def test_a_storage_fault_names_the_path(workspace: Workspace, text: str, says: str) -> None:
    found = meaning(duckdb.IOException(text.format(warehouse=workspace.warehouse)), workspace)
    assert isinstance(found, StorageError)
    assert says in found.message
    assert str(workspace.warehouse) in found.message


def test_a_commit_that_the_disk_refuses_is_a_storage_error_and_nothing_of_it_is_kept(
    loaded: Workspace, job: ModuleType
) -> None:
    def add_a_lot() -> None:
        with connect(loaded, job.LIMITS) as connection:
            connection.execute("BEGIN TRANSACTION")
            connection.execute("INSERT INTO core.course_run SELECT range, 'BBB', '2014J', 240 FROM range(9999)")
            with no_file_longer_than(10_000):
                connection.execute("COMMIT")

    with pytest.raises(StorageError, match="outcome unknown, safe to run again") as refused:
        add_a_lot()
    assert str(loaded.root) in refused.value.message
    with connect(loaded, job.LIMITS, read_only=True) as connection:
        assert connection.execute("SELECT count(*) FROM core.course_run").fetchone() == (3,)


def test_a_defect_of_ours_is_not_dressed_up(loaded: Workspace, job: ModuleType) -> None:
    with pytest.raises(duckdb.CatalogException), connect(loaded, job.LIMITS) as connection:
        connection.execute("SELECT * FROM core.no_such_table")


def test_reading_changes_no_byte_and_makes_no_file(loaded: Workspace, job: ModuleType) -> None:
    before = {path: path.read_bytes() for path in loaded.root.rglob("*") if path.is_file()}
    with connect(loaded, job.LIMITS, read_only=True) as connection:
        connection.execute("SELECT * FROM core.course_run").fetchall()
    assert {path: path.read_bytes() for path in loaded.root.rglob("*") if path.is_file()} == before
