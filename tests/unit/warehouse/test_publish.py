"""Publishing: readers see the old marts or the new ones, whatever stops it, and what is not ours stays."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
import real_postgres
from effort import sample
from made_predictions import LIMITS

from studentsuccess.config.workspace import Workspace
from studentsuccess.core.locks import hold
from studentsuccess.errors import ExitCode, SsError
from studentsuccess.warehouse import marts, publish_folder, recovery
from studentsuccess.warehouse.commit import Run, commit, new_run_id
from studentsuccess.warehouse.database import Connection, connect
from studentsuccess.warehouse.marts import Outgoing, outgoing
from studentsuccess.warehouse.publish_book import BOOK, Stamp, Target
from studentsuccess.warehouse.publish_to import target

STAMP = Stamp("20260101T000000-000001", "2026-01-01T00:00:00+00:00")
FOLDER, SQLITE, POSTGRES = "folder", "sqlite", "postgres"
WRONG = "geheim%21"
KINDS = (FOLDER, SQLITE, POSTGRES)
KILLED = 9
PATIENCE = 60  # seconds until a reader that says nothing is given up; never waited for otherwise
# Awkward on the way through CSV, COPY and parameters.
AWKWARD = ('Ada, "the" Countess', "=1+1", "two\nlines", "\\N", "\\.", "", " é物 ", "NULL", "'; DROP TABLE x; --")
numbers = count(1)


@pytest.fixture(scope="session")
def server(needs: Callable[..., str]) -> Iterator[real_postgres.Server]:
    pytest.importorskip("psycopg")
    with real_postgres.running(needs) as started:
        yield started


@pytest.fixture
def database(server: real_postgres.Server) -> Iterator[str]:
    """A database of the test's own."""
    name = f"bi{next(numbers)}"
    with server.connect() as connection:
        connection.execute(f"CREATE DATABASE {name}")
    yield name
    with server.connect() as connection:
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


@dataclass(frozen=True)
class Place:
    """Where a test publishes to, and how a reader that knows nothing of us reads it."""

    to: str
    target: Target
    read: Callable[[str], list[tuple[Any, ...]]]


@pytest.fixture
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    kind = request.param
    if kind == FOLDER:
        folder = tmp_path / "bi"
        return Place(str(folder), target(str(folder), "mart", tmp_path), lambda name: from_folder(folder, name))
    if kind == SQLITE:
        file = tmp_path / "bi.db"
        return Place(
            f"sqlite:///{file}", target("sqlite:///bi.db", "mart", tmp_path), lambda name: from_sqlite(file, name)
        )
    server, database = request.getfixturevalue("server"), request.getfixturevalue("database")
    url = server.url(database)
    return Place(url, target(url, "mart", tmp_path), lambda name: from_postgres(server, database, name))


everywhere = pytest.mark.parametrize("place", KINDS, indirect=True)


def from_folder(folder: Path, name: str) -> list[tuple[Any, ...]]:
    return [tuple(row.values()) for row in pq.read_table(folder / f"{name}.parquet").to_pylist()]


def from_sqlite(file: Path, name: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(file)) as connection:
        return connection.execute(f'SELECT * FROM "{name}"').fetchall()  # noqa: S608


def from_postgres(server: real_postgres.Server, database: str, name: str) -> list[tuple[Any, ...]]:
    with server.connect(database) as connection:
        return list(connection.execute(f'SELECT * FROM mart."{name}"').fetchall())  # noqa: S608


@pytest.fixture
def warehouse(tmp_path: Path) -> Workspace:
    """A warehouse whose marts were filled by hand."""
    workspace = Workspace(tmp_path / "workspace")
    fill(workspace, 30, 0.25)
    return workspace


def fill(workspace: Workspace, rows: int, score: float) -> None:
    """Marts of so many students, all with one score."""
    students = [
        {"run_date": "2014-10-01", "id_student": f"{AWKWARD[n % len(AWKWARD)]}{n}", "code_module": "AAA", "week": 0}
        | {"risk_score": score, "high_risk_flag": 0, "weekly_score_mean": None if n % 2 else 66.67}
        | {
            "cum_submissions": n,
            "code_presentation": "2014J",
            "course_run_id": "AAA-2014J",
            "decision": "" if n % 5 else "unsure",
        }
        | {"model": "risk@1"}
        for n in range(rows)
    ]

    def work(connection: Connection) -> None:
        for name in marts.BUILT:
            connection.execute(f"DELETE FROM mart.{name}")  # noqa: S608
        connection.register("incoming", pa.Table.from_pylist(students))
        connection.execute("INSERT INTO mart.student_risk_daily BY NAME SELECT * FROM incoming")
        connection.unregister("incoming")
        connection.execute(
            "INSERT INTO mart.course_summary_daily"
            " VALUES ('2014-10-01', 0, 'AAA', $n, $score, NULL, '2014J', 'AAA-2014J', true)",
            {"n": rows, "score": score},
        )
        connection.execute("INSERT INTO mart.calendar VALUES ('2014-10-01', 2014, 4, 10, 1, 2014, 40, 3)")
        connection.execute("INSERT INTO mart.course VALUES ('AAA-2014J', 'AAA', '2014J', '2014-10-01', 240, 0)")
        connection.execute(
            "INSERT INTO mart.model_version (model, name, version, trained_at)"
            " VALUES ('risk@1', 'risk', 1, '2026-01-01 10:30:00.25')"
        )

    run_id = new_run_id()
    commit(workspace, LIMITS, Run(run_id, run_id, "test", (run_id,), False, recovery_clock(), "c" * 64), (), work)


def recovery_clock() -> Any:
    from studentsuccess.core.locks import utc_now

    return utc_now()


def publish(workspace: Workspace, to: Target, step: Callable[[int], None] = lambda _: None) -> tuple[Outgoing, ...]:
    with connect(workspace, LIMITS, read_only=True) as connection, outgoing(connection, None) as tables:
        to.admit(tables)
        to.replace(tables, STAMP, step)
        return tables


def refused(call: Callable[[], object]) -> SsError:
    with pytest.raises(SsError) as caught:
        call()
    told = f"{caught.value.message} {caught.value.hint}"
    assert "\n" not in told
    assert real_postgres.PASSWORD not in told
    assert real_postgres.QUOTED not in told
    return caught.value


@everywhere
def test_every_row_arrives_as_it_is(warehouse: Workspace, place: Place) -> None:
    publish(warehouse, place.target)
    with duckdb.connect(str(warehouse.warehouse), read_only=True) as connection:
        for name in marts.KNOWN:
            expected = connection.execute(f"SELECT * FROM mart.{name}").fetchall()  # noqa: S608
            assert normal(place.read(name)) == normal(expected)


def normal(rows: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """SQLite has no days and no truth values: days are texts, true is 1."""
    plain = [
        tuple(int(v) if isinstance(v, bool) else str(v) if hasattr(v, "isoformat") else v for v in row) for row in rows
    ]
    return sorted(plain, key=repr)


@everywhere
def test_publishing_twice_leaves_the_rows_once(warehouse: Workspace, place: Place) -> None:
    publish(warehouse, place.target)
    tables = publish(warehouse, place.target)
    assert len(place.read(marts.STUDENTS)) == 30
    assert [(one.name, one.rows, one.digest) for one in place.target.look()] == [
        (one.name, one.content.rows, one.content.digest) for one in tables
    ]


@everywhere
def test_a_look_before_anything_was_published_finds_nothing(place: Place) -> None:
    assert place.target.look() == ()


@everywhere
def test_what_somebody_changed_there_is_seen(warehouse: Workspace, place: Place) -> None:
    publish(warehouse, place.target)
    change_there(place)
    found = {one.name: one for one in place.target.look()}
    here = {one.name: one.content for one in publish(warehouse, place.target)}
    course = found.get("course")
    assert course is None or (course.rows, course.digest) != (here["course"].rows, here["course"].digest)


def change_there(place: Place) -> None:
    if place.to.startswith("postgresql"):
        import psycopg

        with psycopg.connect(place.to) as connection:
            connection.execute("DELETE FROM mart.course")
    elif place.to.startswith("sqlite"):
        with closing(sqlite3.connect(place.to.removeprefix("sqlite:///"))) as connection:
            connection.execute("DELETE FROM course")
            connection.commit()
    else:
        (Path(place.to) / "course.csv").write_text("nothing\n", "utf-8")


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="a folder is read through what holds it open")
@everywhere
def test_a_reader_that_never_stops_sees_the_old_marts_or_the_new_ones(warehouse: Workspace, place: Place) -> None:
    """Two states take turns; the reader's every look must be exactly one of them, in every table."""
    sizes = (4_000, 3_000)
    publish(warehouse, place.target)
    fill(warehouse, sizes[0], 0.25)
    publish(warehouse, place.target)
    seen: list[tuple[int, float]] = []
    wrong: list[object] = []
    looked, over = threading.Semaphore(0), threading.Event()

    def look() -> None:
        while not over.is_set():
            try:
                seen.append(one_look(place))
            except Exception as problem:
                wrong.append(problem)
            looked.release()

    reader = threading.Thread(target=look)
    reader.start()
    try:
        for turn in range(1, 7):
            fill(warehouse, sizes[turn % 2], 0.5 if turn % 2 else 0.25)
            publish(warehouse, place.target)
            while looked.acquire(blocking=False):
                """What was looked at before this turn ended says nothing of it."""
            assert all(looked.acquire(timeout=PATIENCE) for _ in range(2))
    finally:
        over.set()
        reader.join()
    assert not wrong
    assert set(seen) == {(sizes[0], 0.25), (sizes[1], 0.5)}


def one_look(place: Place) -> tuple[int, float]:
    """How many students there are, and the score of all of them, which the summary must bear out."""
    if place.to.startswith("postgresql"):
        import psycopg

        with psycopg.connect(place.to) as connection:
            connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
            return judged(lambda sql: connection.execute(sql).fetchone(), "mart.")
    if place.to.startswith("sqlite"):
        with closing(
            sqlite3.connect(place.to.removeprefix("sqlite:///"), isolation_level=None, timeout=60)
        ) as connection:
            connection.execute("BEGIN")
            return judged(lambda sql: connection.execute(sql).fetchone(), "")
    # Whoever reads a folder file by file opens it once: a name that is looked up twice may be another folder's.
    opened = os.open(place.to, os.O_RDONLY)
    try:
        with duckdb.connect() as connection:
            folder = f"/proc/self/fd/{opened}"
            for name in ("student_risk_daily", "course_summary_daily"):
                connection.execute(f"CREATE VIEW {name} AS FROM '{folder}/{name}.parquet'")
            return judged(lambda sql: connection.execute(sql).fetchone(), "")
    except duckdb.IOException:
        return gone(opened, place)
    finally:
        os.close(opened)


def gone(opened: int, place: Place) -> tuple[int, float]:
    """The folder was replaced and cleared while it was read; its name never stopped to stand for a whole one."""
    assert Path(place.to).is_dir()
    assert os.fstat(opened).st_ino != Path(place.to).stat().st_ino
    return one_look(place)


def judged(ask: Callable[[str], Any], schema: str) -> tuple[int, float]:
    rows, low, high = ask(f"SELECT count(*), min(risk_score), max(risk_score) FROM {schema}student_risk_daily")  # noqa: S608
    noted, mean = ask(f"SELECT student_count, avg_risk_score FROM {schema}course_summary_daily")  # noqa: S608
    assert (rows, low, high) == (noted, mean, mean)
    return rows, mean


@pytest.mark.parametrize("place", [POSTGRES], indirect=True)
def test_a_reader_with_an_older_snapshot_still_has_all_of_its_rows(warehouse: Workspace, place: Place) -> None:
    """What a swap of tables would show as empty, and what would make it wait."""
    import psycopg

    publish(warehouse, place.target)
    with psycopg.connect(place.to) as reader:
        reader.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        assert reader.execute("SELECT count(*) FROM mart.course").fetchone() == (1,)
        fill(warehouse, 70, 0.75)
        publish(warehouse, place.target)
        assert reader.execute("SELECT count(*) FROM mart.student_risk_daily").fetchone() == (30,)
    assert len(place.read(marts.STUDENTS)) == 70


DIE = """
import os, sys
sys.path[:0] = [{shared!r}, {here!r}]
import test_publish
from pathlib import Path
from studentsuccess.config.workspace import Workspace
from studentsuccess.warehouse import recovery
from studentsuccess.warehouse.publish_to import target
recovery._step = lambda name: os._exit({code}) if name == sys.argv[3] else None
test_publish.publish(Workspace(Path(sys.argv[1])), target(sys.argv[2], "mart", Path.cwd()))
"""


@everywhere
@pytest.mark.parametrize(
    "step",
    sample(
        ["copying", "published-student_risk_daily", "published-calendar", "written", "published"],
        daily=["published-calendar", "written"],
    ),
)
def test_killed_halfway_it_leaves_the_old_marts_and_the_next_time_the_new_ones(
    warehouse: Workspace, place: Place, step: str
) -> None:
    publish(warehouse, place.target)
    fill(warehouse, 70, 0.75)
    code = DIE.format(shared=str(Path(real_postgres.__file__).parent), here=str(Path(__file__).parent), code=KILLED)
    arguments = [sys.executable, "-c", code, str(warehouse.root), place.to, step]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    died = subprocess.run(arguments, env=env, capture_output=True, text=True, check=False)
    assert died.returncode in (0, KILLED), died.stderr
    whole = step == "published" or died.returncode == 0
    assert len(place.read(marts.STUDENTS)) == (70 if whole else 30)
    publish(warehouse, place.target)
    assert len(place.read(marts.STUDENTS)) == 70
    if not place.to.startswith(("postgresql", "sqlite")):
        left = {path.name for path in Path(place.to).parent.iterdir()} - {"bi", ".bi.lock", "workspace"}
        assert left == set()


def test_a_kill_between_two_renames_is_mended_by_the_next_publishing(
    warehouse: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where no system call swaps folders, there is a moment without one; what stood there is not lost."""
    monkeypatch.setattr(publish_folder, "_exchange", lambda *_: False)
    place = target("bi", "mart", tmp_path)
    publish(warehouse, place)
    before = from_folder(tmp_path / "bi", marts.STUDENTS)

    def stop(name: str) -> None:
        if name == "between":
            raise KeyboardInterrupt

    monkeypatch.setattr(recovery, "_step", stop)
    with pytest.raises(KeyboardInterrupt):
        publish(warehouse, place)
    monkeypatch.setattr(recovery, "_step", lambda _: None)
    assert not (tmp_path / "bi").exists()

    def fails(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as full:
        full.setattr(publish_folder, "_write_table", fails)
        assert refused(lambda: publish(warehouse, place)).code == ExitCode.STORAGE
    assert from_folder(tmp_path / "bi", marts.STUDENTS) == before
    publish(warehouse, place)
    assert {path.name for path in tmp_path.iterdir()} == {"bi", ".bi.lock", "workspace"}


@everywhere
def test_an_error_on_the_way_changes_nothing(warehouse: Workspace, place: Place) -> None:
    publish(warehouse, place.target)
    fill(warehouse, 70, 0.75)

    def stop(_: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        publish(warehouse, place.target, stop)
    assert len(place.read(marts.STUDENTS)) == 30


@pytest.mark.parametrize("place", [SQLITE, POSTGRES], indirect=True)
def test_a_table_of_somebody_else_is_not_replaced(warehouse: Workspace, place: Place) -> None:
    put_there(place, "CREATE TABLE {}course (mine TEXT)", "INSERT INTO {}course VALUES ('kept')")
    said = refused(lambda: publish(warehouse, place.target))
    assert said.code == ExitCode.USAGE
    assert "`course`" in said.message
    assert place.read("course") == [("kept",)]


def put_there(place: Place, *sql: str) -> None:
    if place.to.startswith("postgresql"):
        import psycopg

        with psycopg.connect(place.to) as connection:
            connection.execute("CREATE SCHEMA IF NOT EXISTS mart")
            for one in sql:
                connection.execute(one.format("mart.").encode())
        return
    with closing(sqlite3.connect(place.to.removeprefix("sqlite:///"))) as connection:
        for one in sql:
            connection.execute(one.format(""))
        connection.commit()


@pytest.mark.parametrize("place", [SQLITE, POSTGRES], indirect=True)
def test_a_mart_of_an_older_shape_is_made_anew(warehouse: Workspace, place: Place) -> None:
    publish(warehouse, place.target)
    put_there(place, "ALTER TABLE {}course ADD COLUMN gone TEXT")
    publish(warehouse, place.target)
    assert len(place.read("course")[0]) == 6


@pytest.mark.parametrize("place", [SQLITE, POSTGRES], indirect=True)
def test_views_and_other_tables_stay(warehouse: Workspace, place: Place) -> None:
    publish(warehouse, place.target)
    put_there(
        place,
        "CREATE TABLE {}notes (text TEXT)",
        "CREATE VIEW {}late AS SELECT code_module FROM {}student_risk_daily".replace("{}student", "{0}student").replace(
            "{}late", "{0}late"
        ),
    )
    fill(warehouse, 70, 0.75)
    publish(warehouse, place.target)
    assert place.read("notes") == []
    assert len(place.read("late")) == 70


@pytest.mark.parametrize("place", [POSTGRES], indirect=True)
def test_grants_on_a_published_table_stay(
    warehouse: Workspace, place: Place, server: real_postgres.Server, database: str
) -> None:
    publish(warehouse, place.target)
    role = f"bi_{database}"
    put_there(
        place,
        f"CREATE ROLE {role} LOGIN PASSWORD 'reads'",
        f"GRANT USAGE ON SCHEMA mart TO {role}",
        f"GRANT SELECT ON mart.course TO {role}",
    )
    publish(warehouse, place.target)
    with server.connect(database, role, "reads") as connection:
        assert connection.execute("SELECT count(*) FROM mart.course").fetchone() == (1,)
    put_there(place, f"DROP OWNED BY {role}", f"DROP ROLE {role}")


def test_wrong_password_host_port_and_database_are_access_errors_without_a_secret(
    warehouse: Workspace, server: real_postgres.Server, database: str, tmp_path: Path
) -> None:
    def said(url: str) -> SsError:
        return refused(lambda: publish(warehouse, target(url, "mart", tmp_path)))

    wrong = {
        server.url(database, password=WRONG): "wrong password",
        server.url("nowhere"): "no such database",
        f"postgresql://owner:geheim%21@nowhere.invalid:{server.port}/x": "no such host",
        "postgresql://owner:geheim%21@127.0.0.1:1/x": "nothing listens",
        server.url(database, user="nobody_here", password=WRONG): "`nobody_here`",
    }
    for url, words in wrong.items():
        problem = said(url)
        assert problem.code == ExitCode.ACCESS
        assert words in problem.message
        assert "geheim" not in problem.message + problem.hint


def test_a_user_who_may_not_write_is_told_before_a_row_is_sent(
    warehouse: Workspace, server: real_postgres.Server, database: str, tmp_path: Path
) -> None:
    role = f"reader_{database}"
    with server.connect(database) as connection:
        connection.execute(f"CREATE ROLE {role} LOGIN PASSWORD 'reads'")
    url = server.url(database, role, "reads")
    try:
        problem = refused(lambda: publish(warehouse, target(url, "mart", tmp_path)))
        assert (problem.code, "may not create" in problem.message) == (ExitCode.ACCESS, True)
        publish(warehouse, target(server.url(database), "mart", tmp_path))
        with server.connect(database) as connection:
            connection.execute(f"GRANT USAGE ON SCHEMA mart TO {role}")
            connection.execute(f"GRANT SELECT ON ALL TABLES IN SCHEMA mart TO {role}")
        problem = refused(lambda: publish(warehouse, target(url, "mart", tmp_path)))
        assert (problem.code, "may not write" in problem.message) == (ExitCode.ACCESS, True)
        assert len(target(url, "mart", tmp_path).look()) == len(marts.KNOWN)
        with server.connect(database) as connection:
            connection.execute(f"GRANT INSERT, DELETE ON ALL TABLES IN SCHEMA mart TO {role}")
        publish(warehouse, target(url, "mart", tmp_path))
    finally:
        with server.connect(database) as connection:
            connection.execute(f"DROP OWNED BY {role}")
            connection.execute(f"DROP ROLE {role}")


def test_a_read_only_database_is_an_access_error(
    warehouse: Workspace, server: real_postgres.Server, database: str, tmp_path: Path
) -> None:
    with server.connect(database) as connection:
        connection.execute(f"ALTER DATABASE {database} SET default_transaction_read_only = on")
    problem = refused(lambda: publish(warehouse, target(server.url(database), "mart", tmp_path)))
    assert (problem.code, "read-only" in problem.message) == (ExitCode.ACCESS, True)


def test_a_connection_that_is_cut_is_an_access_error_and_leaves_the_old_marts(
    warehouse: Workspace, server: real_postgres.Server, database: str, tmp_path: Path
) -> None:
    place = target(server.url(database), "mart", tmp_path)
    publish(warehouse, place)
    fill(warehouse, 70, 0.75)

    def cut(_: int) -> None:
        with server.connect() as other:
            other.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [database])

    problem = refused(lambda: publish(warehouse, place, cut))
    assert (problem.code, "connection was lost" in problem.message) == (ExitCode.ACCESS, True)
    assert len(from_postgres(server, database, marts.STUDENTS)) == 30


@pytest.mark.parametrize(
    "held",
    [
        "LOCK TABLE mart.course IN EXCLUSIVE MODE",
        "SELECT pg_advisory_xact_lock(hashtextextended('studentsuccess marts mart', 0))",
    ],
)
def test_tables_that_somebody_holds_are_busy_and_not_waited_for_without_end(
    warehouse: Workspace,
    server: real_postgres.Server,
    database: str,
    tmp_path: Path,
    held: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    place = target(server.url(database), "mart", tmp_path)
    publish(warehouse, place)
    monkeypatch.setattr("studentsuccess.warehouse.publish_postgres.LOCK_TIMEOUT", "1ms")
    with server.connect(database) as holder, holder.transaction():
        holder.execute(held)
        assert refused(lambda: publish(warehouse, place)).code == ExitCode.BUSY


def test_a_view_on_a_mart_whose_columns_change_is_named_as_the_reason(
    warehouse: Workspace, server: real_postgres.Server, database: str, tmp_path: Path
) -> None:
    place = target(server.url(database), "mart", tmp_path)
    publish(warehouse, place)
    with server.connect(database) as connection:
        connection.execute("ALTER TABLE mart.course ADD COLUMN gone text")
        connection.execute("CREATE VIEW mart.mine AS SELECT gone FROM mart.course")
    problem = refused(lambda: publish(warehouse, place))
    assert (problem.code, "views" in problem.message) == (ExitCode.USAGE, True)


def test_a_schema_may_have_any_name(
    warehouse: Workspace, server: real_postgres.Server, database: str, tmp_path: Path
) -> None:
    place = target(server.url(database), 'odd "name"; x', tmp_path)
    publish(warehouse, place)
    assert len(place.look()) == len(marts.KNOWN)


def test_without_the_driver_the_exact_install_line_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    problem = refused(lambda: target("postgresql://host/db", "mart", tmp_path))
    assert problem.code == ExitCode.USAGE
    assert problem.hint == 'install it: python -m pip install "studentsuccess[postgres]"'


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://me:geheim@ss@host/db",
        "postgresql://me:gehe%im@host/db",
        "postgresql://me:geheim@host:port/db?nonsense=geheim",
        "mysql://me:geheim@host/db",
        "sqlite://",
        "sqlite:///",
        "",
    ],
)
def test_an_address_that_names_no_place_is_refused_without_repeating_it(url: str, tmp_path: Path) -> None:
    def use() -> None:
        target(url, "mart", tmp_path).look()

    problem = refused(use)
    assert problem.code in (ExitCode.USAGE, ExitCode.ACCESS)
    assert "geheim" not in problem.message + problem.hint
    assert "gehe%im" not in problem.message + problem.hint


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://me:geheim@host:5433/db?sslmode=require", "postgresql://host:5433/db (schema mart)"),
        ("postgres://host/db", "postgresql://host/db (schema mart)"),
        ("postgresql+psycopg2://me@host/db", "postgresql://host/db (schema mart)"),
        ("sqlite:///bi.db", "sqlite://{here}/bi.db"),
        ("sqlite:////bi.db", "sqlite:////bi.db"),
        ("bi/out", "{here}/bi/out"),
        ("bi/../out", "{here}/out"),
    ],
)
@pytest.mark.posix
def test_a_place_is_shown_without_its_secrets(url: str, shown: str, tmp_path: Path) -> None:
    if url.startswith("postgres"):
        pytest.importorskip("psycopg")
    here = f"/{tmp_path}" if url.startswith("sqlite:///bi") else str(tmp_path)
    place = target(url, "mart", tmp_path)
    assert place.shown == shown.format(here=here)
    assert "geheim" not in repr(place)


def test_a_file_that_is_no_sqlite_database_is_refused_and_kept(warehouse: Workspace, tmp_path: Path) -> None:
    (tmp_path / "bi.db").write_text("a diary, and not a database at all" * 40, "utf-8")
    problem = refused(lambda: publish(warehouse, target("sqlite:///bi.db", "mart", tmp_path)))
    assert problem.code == ExitCode.USAGE
    assert (tmp_path / "bi.db").read_text("utf-8").startswith("a diary")


def test_an_sqlite_file_that_somebody_writes_to_is_busy(
    warehouse: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("studentsuccess.warehouse.publish_sqlite.LOCK_SECONDS", 0.0)
    place = target("sqlite:///bi.db", "mart", tmp_path)
    publish(warehouse, place)
    with closing(sqlite3.connect(tmp_path / "bi.db", isolation_level=None)) as writer:
        writer.execute("BEGIN IMMEDIATE")
        assert refused(lambda: publish(warehouse, place)).code == ExitCode.BUSY


def test_what_a_killed_commit_left_in_an_sqlite_file_is_rolled_back_first(warehouse: Workspace, tmp_path: Path) -> None:
    """Its pages are half the new ones, and a journal beside it holds the old: only one who may write can use it."""
    place, file = target("sqlite:///bi.db", "mart", tmp_path), tmp_path / "bi.db"
    publish(warehouse, place)
    whole = file.read_bytes()
    with closing(sqlite3.connect(file, isolation_level=None)) as writer:
        writer.execute("PRAGMA cache_size = 1")  # so that changed pages go out before the end
        writer.execute("BEGIN")
        writer.execute(f'UPDATE "{marts.STUDENTS}" SET id_student = id_student || hex(randomblob(4000))')  # noqa: S608
        left = {path: path.read_bytes() for path in (file, tmp_path / "bi.db-journal")}
        writer.execute("ROLLBACK")
    for path, content in left.items():
        path.write_bytes(content)
    assert file.read_bytes() != whole
    assert {one.name: one.rows for one in place.look()}[marts.STUDENTS] == 30
    for path, content in left.items():
        path.write_bytes(content)
    fill(warehouse, 70, 0.75)
    publish(warehouse, place)
    assert len(from_sqlite(file, marts.STUDENTS)) == 70
    assert not (tmp_path / "bi.db-journal").exists()


def test_a_folder_that_is_missing_around_an_sqlite_file_is_named(warehouse: Workspace, tmp_path: Path) -> None:
    problem = refused(lambda: publish(warehouse, target("sqlite:///no/bi.db", "mart", tmp_path)))
    assert (problem.code, str(tmp_path / "no") in problem.message) == (ExitCode.USAGE, True)


@pytest.mark.posix
@pytest.mark.parametrize("to", ["/dev/full/bi.db", "/proc/bi.db"])
def test_a_place_where_no_file_can_be_is_a_storage_error(warehouse: Workspace, tmp_path: Path, to: str) -> None:
    problem = refused(lambda: publish(warehouse, target(f"sqlite:///{to}", "mart", tmp_path)))
    assert problem.code in (ExitCode.STORAGE, ExitCode.USAGE)


def test_a_folder_with_something_else_in_it_is_refused_and_kept(warehouse: Workspace, tmp_path: Path) -> None:
    (tmp_path / "bi").mkdir()
    (tmp_path / "bi/thesis.docx").write_text("years of work", "utf-8")
    problem = refused(lambda: publish(warehouse, target("bi", "mart", tmp_path)))
    assert (problem.code, "`thesis.docx`" in problem.message) == (ExitCode.USAGE, True)
    assert (tmp_path / "bi/thesis.docx").read_text("utf-8") == "years of work"


def test_a_file_in_place_of_the_folder_is_refused(warehouse: Workspace, tmp_path: Path) -> None:
    (tmp_path / "bi").write_text("", "utf-8")
    assert refused(lambda: publish(warehouse, target("bi", "mart", tmp_path))).code == ExitCode.USAGE


@pytest.mark.posix
def test_a_folder_where_nothing_can_be_written_is_a_storage_error(warehouse: Workspace, tmp_path: Path) -> None:
    problem = refused(lambda: publish(warehouse, target("/proc/bi", "mart", tmp_path)))
    assert problem.code == ExitCode.STORAGE


def test_two_publishers_of_one_folder_do_not_meet(warehouse: Workspace, tmp_path: Path) -> None:
    with hold(tmp_path / ".bi.lock", "marts publish"):
        assert refused(lambda: publish(warehouse, target("bi", "mart", tmp_path))).code == ExitCode.BUSY


def test_a_disk_that_is_full_is_a_storage_error_and_leaves_the_old_folder(
    warehouse: Workspace, tmp_path: Path, needs: Callable[..., str]
) -> None:
    mount, unmount, small = needs("mount"), needs("umount"), tmp_path / "small"
    small.mkdir()
    if subprocess.run(
        [mount, "-t", "tmpfs", "-o", "size=400k", "none", small], capture_output=True, check=False
    ).returncode:
        pytest.skip("this user may not mount a small disk")
    try:
        place = target(str(small / "bi"), "mart", tmp_path)
        publish(warehouse, place)
        fill(warehouse, 40_000, 0.5)
        problem = refused(lambda: publish(warehouse, place))
        assert (problem.code, "no space left" in problem.message) == (ExitCode.STORAGE, True)
        assert len(from_folder(small / "bi", marts.STUDENTS)) == 30
        assert refused(lambda: publish(warehouse, target(f"sqlite:///{small}/bi.db", "mart", tmp_path))).code == 6
    finally:
        subprocess.run([unmount, "-l", small], check=True)


def test_text_in_a_published_csv_is_no_formula_and_reads_back(warehouse: Workspace, tmp_path: Path) -> None:
    publish(warehouse, target("bi", "mart", tmp_path))
    text = (tmp_path / "bi/student_risk_daily.csv").read_text("utf-8")
    assert "'=1+1" in text
    assert ",=1+1" not in text
    options = pyarrow.csv.ParseOptions(newlines_in_values=True)
    assert pyarrow.csv.read_csv(tmp_path / "bi/student_risk_daily.csv", parse_options=options).num_rows == 30


def test_only_marts_and_the_book_of_them_are_published(
    warehouse: Workspace, server: real_postgres.Server, database: str, tmp_path: Path
) -> None:
    publish(warehouse, target(server.url(database), "mart", tmp_path))
    with server.connect(database) as connection:
        found = connection.execute(
            "SELECT table_schema, table_name FROM information_schema.tables"
            " WHERE table_schema NOT IN ('pg_catalog', 'information_schema')"
        ).fetchall()
    assert set(found) == {("mart", name) for name in (*marts.KNOWN, BOOK)}


def test_alerts_of_what_the_summary_hides_stay_in_the_house(warehouse: Workspace, tmp_path: Path) -> None:
    with duckdb.connect(str(warehouse.warehouse)) as connection:
        for module, week in (("AAA", 0), ("AAA", 1), (None, 0)):
            connection.execute(
                "INSERT INTO mart.alert_log BY NAME SELECT"
                " '2026-01-01'::TIMESTAMP AS run_ts, 'threshold' AS alert_type,"
                " 0.1 AS high_risk_rate, 'three of AAA' AS message, $module AS code_module,"
                " '2014J' AS code_presentation, $week AS week, '' AS run_id, '' AS alerts_digest",
                {"module": module, "week": week},
            )
    publish(warehouse, target("bi", "mart", tmp_path))
    found = pq.read_table(tmp_path / "bi/alert_log.parquet").to_pylist()
    assert {(row["code_module"], row["week"]) for row in found} == {(None, 0), ("AAA", 1)}


def test_a_copy_of_a_folder_can_be_looked_at(warehouse: Workspace, tmp_path: Path) -> None:
    publish(warehouse, target("bi", "mart", tmp_path))
    shutil.copytree(tmp_path / "bi", tmp_path / "copy")
    assert target("copy", "mart", tmp_path).look() == target("bi", "mart", tmp_path).look()
