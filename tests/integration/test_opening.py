"""
What opening a database says when it cannot, and what it makes sure of when it can.
"""

from __future__ import annotations

import asyncio
import errno
import gc
import logging
import os
import shutil
import subprocess
import sys
import textwrap
import threading

import duckdb
import pyarrow as pa
import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import create_async_engine

from project_architect_db import (
    ConfigurationError,
    CorruptDatabaseError,
    DatabaseEngine,
    DatabaseLockedError,
    DatabaseOpenError,
    DatabasePermissionError,
    DatabaseVersionError,
    InvalidStatementError,
    QueryTimeoutError,
    StatementError,
)
from project_architect_db.dialect.database import Database, open_files

ROOT = os.geteuid() == 0


@pytest.fixture
def path(tmp_path):
    return tmp_path / "app.duckdb"


@pytest.fixture
def existing(path):
    with duckdb.connect(
        str(path), config={"storage_compatibility_version": "v1.5.0"}
    ) as connection:
        connection.execute("CREATE TABLE t AS SELECT i AS n FROM range(1000) r(i)")
    return path


async def refused(database, error=DatabaseOpenError, **settings):
    """
    The message of the error that opening raises, twice.
    """
    messages = set()
    for _ in range(2):
        with pytest.raises(error) as caught:
            async with DatabaseEngine(database, **settings):
                pass
        assert error is type(caught.value)
        messages.add(str(caught.value))
        if isinstance(caught.value, DatabaseOpenError):
            assert str(database) == caught.value.path
    (message,) = messages
    return message


async def ask(engine, sql):
    async with engine.session() as session:
        return (await session.execute(sa.text(sql))).all()


# --- files that cannot be opened --------------------------------------------------


@pytest.mark.parametrize("content", [b"", b"SQLite format 3\x00" * 500, b"short"])
async def test_a_file_of_another_kind_is_refused_and_left_alone(path, content):
    path.write_bytes(content)

    message = await refused(path, CorruptDatabaseError)

    assert "cannot be read as a DuckDB database" in message
    assert content == path.read_bytes()


@pytest.mark.parametrize("size", [5000, 15_000])
async def test_a_truncated_file_is_refused_and_left_alone(existing, size):
    content = existing.read_bytes()[:size]
    existing.write_bytes(content)

    await refused(existing, CorruptDatabaseError)

    assert content == existing.read_bytes()


async def test_a_damaged_header_is_refused(existing):
    content = bytearray(existing.read_bytes())
    content[0:8] = b"\xff" * 8
    existing.write_bytes(content)

    assert "checksum" in (await refused(existing, CorruptDatabaseError)).lower()


async def test_a_directory_is_refused_with_a_hint(tmp_path):
    message = await refused(tmp_path)

    assert "is a directory; name a file in it, such as" in message


async def test_a_missing_folder_is_named(tmp_path):
    message = await refused(tmp_path / "no" / "app.duckdb")

    assert f"the folder {tmp_path / 'no'} does not exist" in message


@pytest.mark.parametrize("version", [1000, 5000, 2**63])
async def test_a_file_of_a_newer_duckdb_says_so(existing, version):
    content = bytearray(existing.read_bytes())
    content[12:20] = version.to_bytes(8, "little")
    existing.write_bytes(content)

    message = await refused(existing, DatabaseVersionError)

    assert f"storage version {version}" in message
    assert "upgrade duckdb" in message


@pytest.mark.skipif(ROOT, reason="root may write everywhere")
async def test_a_read_only_file_is_refused(existing):
    existing.chmod(0o400)

    await refused(existing, DatabasePermissionError)


@pytest.mark.skipif(ROOT, reason="root may write everywhere")
async def test_a_read_only_folder_is_refused(tmp_path):
    tmp_path.chmod(0o500)

    await refused(tmp_path / "app.duckdb", DatabasePermissionError)
    tmp_path.chmod(0o700)


async def test_a_place_where_nobody_may_write_is_refused():
    await refused("/proc/app.duckdb")


async def test_a_file_that_is_a_loop_of_links_is_refused(path):
    path.symlink_to(path)

    await refused(path)


@pytest.mark.slow
async def test_a_database_in_another_process_names_that_process(existing):
    child = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(f"""
            import duckdb, sys
            connection = duckdb.connect({str(existing)!r})
            print("open", flush=True)
            sys.stdin.read()
        """)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert "open\n" == await asyncio.to_thread(child.stdout.readline)
        with pytest.raises(DatabaseLockedError) as caught:
            async with DatabaseEngine(existing):
                pass
        with pytest.raises(DatabaseLockedError):
            async with DatabaseEngine(existing, read_only=True):
                pass
    finally:
        child.communicate()

    assert child.pid == caught.value.pid
    assert f"(pid {child.pid})" in str(caught.value)
    async with DatabaseEngine(existing) as engine:  # once it is gone
        assert [(1000,)] == await ask(engine, "SELECT count(*) FROM t")


async def test_a_file_to_read_only_has_to_be_there(path):
    message = await refused(path, read_only=True)

    assert "does not exist" in message


# --- wrong settings ---------------------------------------------------------------


@pytest.mark.parametrize("where", ["url", "constructor", "dialect"])
@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("memory_limt", "1GB", "memory_limt, neither .*; did you mean memory_limit"),
        ("qwertyuiop", "1", r"no setting qwertyuiop, neither here nor in DuckDB$"),
        ("write_timout", "3", "did you mean write_timeout"),
        ("pool_siez", "3", "did you mean pool_size"),
        ("memory_limit", "a lot", "Memory must have a number"),
        ("threads", "many", "threads|many"),
        ("TimeZone", "Nowhere/Land", "Nowhere/Land"),
        ("allowed_directories", "x", "setting 'allowed_directories'"),
    ],
)
async def test_a_wrong_setting_is_explained(where, name, value, message):
    with pytest.raises(ConfigurationError, match=message):
        if where == "dialect":
            engine = create_async_engine(f"duckdb+async://?{name}={value}")
            async with engine.connect():
                pass
        elif where == "url":
            async with DatabaseEngine(f"duckdb+async://?{name}={value}"):
                pass
        else:
            async with DatabaseEngine(":memory:", duckdb={name: value}):
                pass


@pytest.mark.parametrize("name", ["write_timeout", "query_timeout"])
@pytest.mark.parametrize("value", ["soon", "-1", "0", "nan"])
async def test_a_timeout_is_a_number_of_seconds(name, value):
    with pytest.raises(ConfigurationError, match="expected a number of seconds"):
        create_async_engine(f"duckdb+async://?{name}={value}")


@pytest.mark.parametrize(
    "url",
    [
        "duckdb+async://host/app.duckdb",
        "duckdb+async://user:pw@/x",
        "duckdb+async://:5/x",
    ],
)
async def test_a_url_with_a_host_is_refused_without_its_password(url):
    with pytest.raises(ConfigurationError, match="has three slashes") as caught:
        create_async_engine(url)

    assert "pw" not in str(caught.value)


async def test_one_file_is_opened_with_one_set_of_settings(path):
    async with DatabaseEngine(path, threads=1) as first:
        with pytest.raises(ConfigurationError, match=r"other settings \(threads\)"):
            async with DatabaseEngine(path, threads=2):
                pass
        async with DatabaseEngine(path, threads=1) as second:
            assert first._database is second._database
    async with DatabaseEngine(path, threads=2) as engine:
        assert [(2,)] == await ask(engine, "SELECT current_setting('threads')")


async def test_a_failed_opening_does_not_keep_its_settings(path):
    with pytest.raises(ConfigurationError):
        async with DatabaseEngine(path, duckdb={"threads": "x"}):
            pass
    async with DatabaseEngine(path, threads=2) as engine:
        assert [(2,)] == await ask(engine, "SELECT current_setting('threads')")


# --- databases in memory ----------------------------------------------------------


async def test_engines_in_memory_are_apart_unless_named():
    first, second = (create_async_engine("duckdb+async://") for _ in range(2))
    async with first.begin() as connection:
        await connection.exec_driver_sql("CREATE TABLE t (n INTEGER)")
    async with second.connect() as connection:
        with pytest.raises(sa.exc.ProgrammingError, match="does not exist"):
            await connection.exec_driver_sql("FROM t")
    await first.dispose()
    await second.dispose()

    first, second = (
        create_async_engine("duckdb+async:///:memory:together") for _ in range(2)
    )
    async with first.begin() as connection:
        await connection.exec_driver_sql("CREATE TABLE t (n INTEGER)")
    async with second.connect() as connection:
        assert [] == (await connection.exec_driver_sql("FROM t")).all()
    await first.dispose()
    await second.dispose()


# --- safe by default (D11) --------------------------------------------------------

secret_arrow_table = pa.table({"password": ["hunter2"]})


@pytest.fixture
def outside(tmp_path):
    file = tmp_path / "outside.csv"
    file.write_text("a\n1\n")
    return file


@pytest.mark.parametrize(
    "sql",
    ["FROM read_csv('{file}')", "FROM '{file}'", "FROM read_text('{file}')",
     "FROM glob('{folder}/*')", "COPY (SELECT 1) TO '{folder}/new.csv'",
     "ATTACH '{folder}/new.duckdb' AS new", "EXPORT DATABASE '{folder}/new'",
     "INSTALL httpfs", "LOAD httpfs", "SET enable_external_access = true",
     "SET allowed_directories = ['/']", "FROM secret_arrow_table"],
)  # fmt: skip
async def test_sql_cannot_reach_out_of_the_database(path, outside, sql):
    sql = sql.format(file=outside, folder=outside.parent)
    before = {*outside.parent.iterdir()}
    async with DatabaseEngine(path) as engine:
        with pytest.raises(StatementError):
            async with engine.transaction() as session:
                await session.execute(sa.text(sql))
        async with engine.session() as session:
            with pytest.raises(StatementError):
                await session.execute(sa.text(sql))

    assert {*before, path} == {*outside.parent.iterdir()}


async def test_sql_may_use_the_folders_it_was_given(path, tmp_path):
    folder = tmp_path / "it's allowed"
    folder.mkdir()
    async with DatabaseEngine(path, allowed_directories=[folder]) as engine:
        name = str(folder / "x.csv").replace("'", "''")
        async with engine.transaction() as session:
            await session.execute(sa.text(f"COPY (SELECT 5 AS n) TO '{name}'"))
        assert [(5,)] == await ask(engine, f"FROM read_csv('{name}')")
        with pytest.raises(StatementError, match="Permission"):
            await ask(
                engine, f"FROM read_csv('{folder}/../secret.csv')".replace("'s", "''s")
            )


async def test_external_access_can_be_allowed(path, outside):
    async with DatabaseEngine(path, external_access=True) as engine:
        assert [(1,)] == await ask(engine, f"FROM '{outside}'")
        with pytest.raises(InvalidStatementError, match="secret_arrow_table"):
            await ask(engine, "FROM secret_arrow_table")


async def test_a_locked_configuration_is_locked(path):
    async with DatabaseEngine(path, lock_configuration=True) as engine:
        for sql in (
            "SET threads = 1",
            "SET memory_limit = '1GB'",
            "SET TimeZone = 'UTC'",
        ):
            with pytest.raises(StatementError, match="locked"):
                await ask(engine, sql)
        assert [("UTC",)] == await ask(engine, "SELECT current_setting('TimeZone')")
        assert [(1,)] == await ask(engine, "SELECT 1")


async def test_times_are_in_utc_whatever_the_machine_thinks(path, monkeypatch):
    monkeypatch.setenv("TZ", "America/New_York")
    async with DatabaseEngine(path) as engine:
        assert [("UTC",)] == await ask(engine, "SELECT current_setting('TimeZone')")


# --- files older versions can read (D12) ------------------------------------------


def storage_version(path):
    return int.from_bytes(path.read_bytes()[12:20], "little")


@pytest.mark.parametrize(
    ("settings", "version"), [({}, 68), ({"storage_version": "latest"}, 999)]
)
async def test_a_new_file_has_the_version_asked_for(path, settings, version):
    async with DatabaseEngine(path, **settings):
        pass

    assert version == storage_version(path)


async def test_the_version_of_an_existing_file_is_kept(path):
    with duckdb.connect(str(path), config={"storage_compatibility_version": "v1.0.0"}):
        pass
    before = storage_version(path)
    async with DatabaseEngine(path) as engine, engine.transaction() as session:
        await session.execute(sa.text("CREATE TABLE t (n INTEGER)"))

    assert before == storage_version(path) < 68


async def test_what_only_newer_files_can_hold_is_refused_clearly(path):
    async with DatabaseEngine(path, storage_version="v1.0.0") as engine:
        with pytest.raises(StatementError, match="VARIANT"):
            async with engine.transaction() as session:
                await session.execute(sa.text("CREATE TABLE t (v VARIANT)"))


# --- the write-ahead log ----------------------------------------------------------


def crash(path, statements):
    """
    A process that commits each statement and dies, with its log not yet merged.
    """
    subprocess.run(
        [sys.executable, "-c", textwrap.dedent(f"""
            import duckdb, os
            connection = duckdb.connect(
                {str(path)!r},
                config={{"storage_compatibility_version": "v1.5.0"}},
            )
            for statement in {statements!r}:
                connection.execute(statement)
            os.kill(os.getpid(), 9)
        """)],
        check=False,
    )  # fmt: skip


@pytest.fixture(scope="module")
def left_behind(tmp_path_factory):
    """
    A database with a log that a process has left which died.
    """
    path = tmp_path_factory.mktemp("crashed") / "app.duckdb"
    inserts = [f"INSERT INTO t VALUES ({i}, repeat('x', 300))" for i in range(100)]
    crash(path, ["CREATE TABLE t (n INTEGER, s VARCHAR)", "CHECKPOINT", *inserts])
    return path


@pytest.fixture
def crashed(path, left_behind):
    for copied, there in ((path, left_behind), (wal_of(path), wal_of(left_behind))):
        shutil.copy(there, copied)
    return path


def wal_of(path):
    return path.with_name(path.name + ".wal")


def kept(path):
    return [*path.parent.glob("*.kept")]


async def opened(path, **settings):
    """
    How many rows there are when the database has been opened.
    """
    async with DatabaseEngine(path, **settings) as engine:
        ((count,),) = await ask(engine, "SELECT count(*) FROM t")
        return count


@pytest.mark.slow
async def test_an_intact_log_is_merged_without_a_word(crashed, caplog):
    assert wal_of(crashed).stat().st_size > 30_000
    async with DatabaseEngine(crashed) as engine:
        assert [(100,)] == await ask(engine, "SELECT count(*) FROM t")
        log = wal_of(crashed)
        assert not log.exists() or log.stat().st_size == 0

    assert [] == kept(crashed)
    assert [] == [r for r in caplog.records if r.levelno >= logging.WARNING]


async def test_a_log_cut_short_is_reported_and_kept(crashed, caplog):
    log = wal_of(crashed)
    content = log.read_bytes()[:-150]
    log.write_bytes(content)

    assert 99 == await opened(crashed)

    (copy,) = kept(crashed)
    assert content == copy.read_bytes()
    (record,) = (r for r in caplog.records if r.levelno == logging.WARNING)
    assert str(copy) in record.getMessage()
    assert str(crashed) in record.getMessage()
    assert 99 == await opened(crashed)  # reported once
    assert 1 == len(kept(crashed))


async def test_a_log_that_is_never_replayed_is_kept_once_and_never_overwritten(
    crashed, caplog
):
    assert 100 == await opened(crashed)
    contents = [b"\0" * 100, b"\0" * 200]
    for content in contents:
        wal_of(crashed).write_bytes(content)
        for _ in range(2):
            assert 100 == await opened(crashed)

    assert sorted(contents) == sorted(copy.read_bytes() for copy in kept(crashed))
    assert [] == [*crashed.parent.glob("*.tmp")]


async def test_a_log_cut_short_is_only_reported_to_who_may_only_read(crashed, caplog):
    content = wal_of(crashed).read_bytes()[:-150]
    wal_of(crashed).write_bytes(content)

    assert 99 == await opened(crashed, read_only=True)

    assert "stays where it is" in caplog.text
    assert [] == kept(crashed)
    assert content == wal_of(crashed).read_bytes()


async def test_a_log_that_cannot_be_kept_is_not_given_up(crashed, monkeypatch):
    content = wal_of(crashed).read_bytes()[:-150]
    wal_of(crashed).write_bytes(content)

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(shutil, "copy2", full)
    message = await refused(crashed, DatabaseOpenError)

    assert "No space left" in message
    assert content == wal_of(crashed).read_bytes()


@pytest.mark.slow
async def test_a_part_that_is_damaged_is_reported_by_who_reads_it(path):
    sql = "CREATE TABLE t AS SELECT md5(i::TEXT) AS n FROM range(200000) r(i)"
    async with DatabaseEngine(path) as engine, engine.transaction() as session:
        await session.execute(sa.text(sql))
    content = bytearray(path.read_bytes())
    for place in range(300_000, 1_000_000, 1000):
        content[place] ^= 0xFF
    path.write_bytes(content)
    async with DatabaseEngine(path) as engine, engine.session() as session:
        with pytest.raises(CorruptDatabaseError, match="restore a backup") as caught:
            await session.execute(sa.text("SELECT max(n) FROM t"))
    assert caught.value.path == str(path)


async def test_a_log_with_a_damaged_length_is_reported_and_kept(crashed, caplog):
    log = wal_of(crashed)
    content = bytearray(log.read_bytes())
    damaged = None
    for offset in range(len(content) // 2, len(content) // 2 + 400):
        trial = bytearray(content)
        trial[offset] ^= 0x40
        log.write_bytes(trial)
        probe = crashed.with_name("probe.duckdb")
        probe.write_bytes(crashed.read_bytes())
        wal_of(probe).write_bytes(trial)
        try:
            with duckdb.connect(str(probe), read_only=True) as connection:
                (count,) = connection.execute("SELECT count(*) FROM t").fetchone()
        except duckdb.Error:
            continue
        if count < 100:
            damaged = trial
            break
    assert damaged is not None
    wal_of(probe).unlink()

    assert count == await opened(crashed)

    (copy,) = kept(crashed)
    assert damaged == copy.read_bytes()
    assert "what follows is an unfinished commit or damage" in caplog.text


async def test_a_log_with_damaged_content_is_refused_and_left_alone(crashed):
    log = wal_of(crashed)
    content = bytearray(log.read_bytes())
    middle = content.index(b"x" * 200, len(content) // 2) + 100
    content[middle] ^= 1
    log.write_bytes(content)

    message = await refused(crashed, CorruptDatabaseError)

    assert "Corrupt WAL" in message
    assert content == log.read_bytes()


async def test_a_log_is_read_by_who_may_only_read(crashed, caplog):
    content = wal_of(crashed).read_bytes()

    assert 100 == await opened(crashed, read_only=True)

    assert content == wal_of(crashed).read_bytes()
    assert [] == kept(crashed)
    assert 100 == await opened(crashed)


@pytest.mark.slow
async def test_a_log_that_is_large_is_merged_too(path, caplog):
    crash(
        path,
        ["SET checkpoint_threshold = '1GB'",
         "CREATE TABLE t AS SELECT i AS n, md5(i::TEXT) AS s FROM range(100000) r(i)"],
    )  # fmt: skip
    assert wal_of(path).stat().st_size > 2**20

    assert 100_000 == await opened(path)
    assert [] == kept(path)


# --- connections ------------------------------------------------------------------


async def test_timeouts_may_stand_in_the_url():
    engine = create_async_engine("duckdb+async://?query_timeout=0.05&write_timeout=5")
    async with engine.connect() as connection:
        with pytest.raises(QueryTimeoutError, match=r"0\.05 s"):
            await connection.exec_driver_sql(
                "SELECT count(*) FROM range(10000000) a, range(100000) b"
            )
    await engine.dispose()


async def test_a_cancelled_statement_keeps_its_connection():
    engine = create_async_engine("duckdb+async://")
    async with engine.connect() as connection:
        raw = await connection.get_raw_connection()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await connection.exec_driver_sql(
                    "SELECT count(*) FROM range(10000000) a, range(100000) b"
                )
        assert 1 == await connection.scalar(sa.text("SELECT 1"))
        assert (
            raw.driver_connection
            is (await connection.get_raw_connection()).driver_connection
        )
    await engine.dispose()


async def test_a_connection_given_up_is_replaced(path):
    engine = create_async_engine(f"duckdb+async:///{path}")
    async with engine.connect() as connection:
        first = (await connection.get_raw_connection()).driver_connection
        await connection.invalidate()
    async with engine.connect() as connection:
        assert first is not (await connection.get_raw_connection()).driver_connection
        assert 1 == await connection.scalar(sa.text("SELECT 1"))
    await engine.dispose()


@pytest.mark.slow
async def test_a_connection_left_behind_rolls_back_and_lets_others_write():
    engine = create_async_engine("duckdb+async:///:memory:left-behind")
    async with engine.begin() as connection:
        await connection.exec_driver_sql("CREATE TABLE t (n INTEGER)")
    connections = [await engine.connect()]
    await connections[0].exec_driver_sql("INSERT INTO t VALUES (1)")

    def forget():
        connections.clear()
        gc.collect()

    with pytest.warns(sa.exc.SAWarning, match="non-checked-in connection"):
        forget()

    async with engine.begin() as connection:
        await connection.exec_driver_sql("INSERT INTO t VALUES (2)")
        assert [(2,)] == (await connection.exec_driver_sql("FROM t")).all()
    await engine.dispose()


async def test_the_open_files_of_the_process_are_known(path):
    async with DatabaseEngine(path), DatabaseEngine(":memory:"):
        assert path in open_files()
    assert path not in open_files()


# --- what other connections of this process have open -----------------------------

WRITE = """
import duckdb, sys
duckdb.connect(sys.argv[1]).execute("INSERT INTO t VALUES (-1)")
"""


async def test_a_refused_open_does_not_give_away_the_lock_of_a_raw_connection(existing):
    """
    Closing any descriptor of the file would: that is how POSIX locks are.
    """
    with duckdb.connect(str(existing)) as raw:
        message = await refused(existing)
        other = subprocess.run(
            [sys.executable, "-c", WRITE, str(existing)],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        raw.execute("INSERT INTO t VALUES (-2)")
    assert "is open in this process through duckdb.connect()" in message
    assert "Could not set lock" in other.stderr
    async with DatabaseEngine(existing) as engine:
        assert [(1001,)] == await ask(engine, "SELECT count(*) FROM t")


async def test_a_hard_link_is_the_same_database(existing, tmp_path):
    link = tmp_path / "link.duckdb"
    link.hardlink_to(existing)
    async with DatabaseEngine(existing) as one, DatabaseEngine(link) as other:
        async with one.transaction() as session:
            await session.execute(sa.text("INSERT INTO t VALUES (-1)"))
            async with other.session() as reader:
                assert 1000 == await reader.scalar(sa.text("SELECT count(*) FROM t"))
            assert other.stats()["writer_active"]
        assert [(1001,)] == await ask(other, "SELECT count(*) FROM t")


@pytest.mark.slow
async def test_the_loop_is_free_while_a_database_opens(existing, monkeypatch):
    """
    Replaying a long log takes a while; whoever else connects waits, and only they.
    """
    opening, go_on = threading.Event(), threading.Event()
    open_ = Database._open

    def slowly(database):
        opening.set()
        assert go_on.wait(20)
        return open_(database)

    monkeypatch.setattr(Database, "_open", slowly)
    engine, elsewhere = DatabaseEngine(existing), DatabaseEngine(":memory:")
    reader = asyncio.create_task(ask(engine, "SELECT count(*) FROM t"))
    await asyncio.to_thread(opening.wait, 20)

    async def write():
        async with engine.transaction() as session:
            await session.execute(sa.text("INSERT INTO t VALUES (-1)"))

    writer = asyncio.create_task(write())
    await asyncio.sleep(0.05)
    assert existing in engine.files()
    assert not reader.done()
    assert not writer.done()
    go_on.set()
    await asyncio.gather(reader, writer)
    await elsewhere.open()
    await elsewhere.close()
    await engine.close()
