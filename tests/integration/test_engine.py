"""
A `DatabaseEngine` opens, shares, measures and closes a database as it promises.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import subprocess
import sys
import threading
from inspect import CORO_CLOSED, getcoroutinestate
from pathlib import Path

import pytest
from sqlalchemy import Column, Integer, MetaData, String, Table, inspect, text
from sqlalchemy.engine import URL

from project_architect_db import (
    Base,
    ClosedError,
    ConfigurationError,
    CorruptDatabaseError,
    DatabaseEngine,
    DatabaseLockedError,
    DatabaseOpenError,
    DatabaseSettings,
    InvalidStatementError,
    PoolTimeoutError,
    Project,
    StatementError,
    WriteTimeoutError,
    run,
)

LONG = text("SELECT count(*) FROM range(100_000_000_000) t(i) WHERE hash(i) % 7 = 3")
COUNT = text("SELECT count(*) FROM notes")

METADATA = MetaData()
NOTES = Table(
    "notes", METADATA, Column("id", Integer, primary_key=True), Column("text", String)
)


def notes_engine(database, **settings):
    return DatabaseEngine(database, metadata=METADATA, **settings)


@pytest.fixture
async def engine():
    async with notes_engine(":memory:") as engine:
        await engine.create_all()
        yield engine


async def write(engine, value="x"):
    async with engine.transaction() as session:
        await session.execute(NOTES.insert().values(text=value))


async def count(engine):
    async with engine.session() as session:
        return await session.scalar(COUNT)


async def start_long_query(engine):
    """
    A task with a session whose query runs by now.
    """

    async def work():
        async with engine.session() as session:
            await session.execute(LONG)

    task = asyncio.create_task(work())
    while not engine.running():
        await asyncio.sleep(0.001)
    return task


# --- opening --------------------------------------------------------------------


@pytest.mark.parametrize(
    "address",
    [
        lambda path: path,
        str,
        lambda path: f"duckdb+async:///{path}",
        lambda path: f"duckdb:///{path}",
        lambda path: URL.create("duckdb+async", database=str(path)),
        lambda path: DatabaseSettings(url=str(path)),
    ],
    ids=["path", "text", "our URL", "plain URL", "URL object", "settings"],
)
async def test_a_file_is_opened_by_path_url_or_settings(tmp_path, address):
    path = tmp_path / "app.duckdb"
    for expected in (1, 2):
        async with notes_engine(address(path)) as engine:
            await engine.create_all()
            await write(engine)
            assert await count(engine) == expected
            assert engine.name == str(path)
    assert path.stat().st_size > 0


async def test_without_an_argument_the_environment_says_what_to_open(
    tmp_path, monkeypatch
):
    monkeypatch.setenv("PROJECT_ARCHITECT_DB_URL", str(tmp_path / "env.duckdb"))
    async with DatabaseEngine() as engine:
        assert engine.name == str(tmp_path / "env.duckdb")


@pytest.mark.parametrize("url", [":memory:", "duckdb+async://", "duckdb:///:memory:"])
async def test_each_engine_in_memory_has_a_database_of_its_own(url):
    async with notes_engine(url) as one, notes_engine(url) as other:
        await one.create_all()
        await write(one)
        assert await count(one) == 1
        async with other.session() as session:
            with pytest.raises(InvalidStatementError):
                await session.execute(COUNT)
        assert one.name == ":memory:"
        assert one.files() == []


async def test_a_named_database_in_memory_is_shared_by_name():
    url = "duckdb+async:///:memory:shared-by-name"
    async with notes_engine(url) as one, notes_engine(url) as other:
        await one.create_all()
        await write(one)
        assert await count(other) == 1


async def test_the_files_are_known_before_anything_is_opened(tmp_path):
    """
    Whoever must not touch them has to know them in time.
    """
    link = tmp_path / "link.duckdb"
    link.symlink_to(tmp_path / "real.duckdb")
    engine = DatabaseEngine(link)
    assert engine.name == str(tmp_path / "real.duckdb")
    assert engine.files() == [
        tmp_path / "real.duckdb",
        tmp_path / "real.duckdb.wal",
    ]
    assert not engine.files()[0].exists()


async def test_the_files_of_the_other_engines_are_named_too(tmp_path):
    async with DatabaseEngine(tmp_path / "one.duckdb"):
        async with DatabaseEngine(tmp_path / "other.duckdb") as engine:
            assert tmp_path / "one.duckdb" in engine.files()
        assert tmp_path / "other.duckdb" in engine.files()
        assert engine.files()[0] == tmp_path / "other.duckdb"


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("postgresql://localhost/x", "postgresql:// is not supported"),
        ("sqlite+aiosqlite:///x", "is not supported"),
        ("duckdb+sync:///x", "is no usable URL"),
        ("nonsense://x", "is no usable URL"),
        ("://", "is no usable URL"),
        ("what?.duckdb", "without '\\?' and NUL"),
        ("what\0.duckdb", "without '\\?' and NUL"),
        ("what\udc80.duckdb", "is UTF-8 text"),
        ("", "names no database"),
        (b"app.duckdb", "names no database"),
        (5, "names no database"),
        ("duckdb://host/x", "three slashes"),
        ("duckdb+async:///x?write_timeout=soon", "write_timeout"),
    ],
)
async def test_a_wrong_url_is_refused_with_a_hint(url, message):
    with pytest.raises(ConfigurationError, match=message):
        DatabaseEngine(url)


async def test_a_name_that_is_too_long_is_an_error_of_ours(tmp_path):
    with pytest.raises(DatabaseOpenError, match="too long"):
        await DatabaseEngine(tmp_path / ("x" * 300)).open()


@pytest.mark.parametrize("flag", ["enable_external_access", "external_access"])
async def test_external_access_may_be_given_in_a_url(flag):
    setting = text("SELECT current_setting('enable_external_access')")
    async with (
        DatabaseEngine(f"duckdb+async://?{flag}=true") as engine,
        engine.session() as session,
    ):
        assert await session.scalar(setting) is True


async def test_settings_may_stand_in_the_query_of_a_url(tmp_path):
    path = tmp_path / "app.duckdb"
    url = f"duckdb+async:///{path}?write_timeout=5&threads=1&default_order=desc"
    async with DatabaseEngine(url) as engine:
        assert engine.settings.write_timeout == 5
        assert engine.settings.threads == 1
        async with engine.session() as session:
            setting = await session.scalar(
                text("SELECT current_setting('default_order')")
            )
            threads = await session.scalar(text("SELECT current_setting('threads')"))
        assert (setting, threads) == ("DESC", 1)


async def test_the_environment_gives_way_to_the_query_of_a_url(monkeypatch):
    monkeypatch.setenv("PROJECT_ARCHITECT_DB_THREADS", "2")
    engine = DatabaseEngine("duckdb+async://?threads=1")
    assert engine.settings.threads == 1


async def test_a_path_may_contain_what_a_url_could_not(tmp_path):
    path = tmp_path / "what; 100% [é] #.duckdb"
    async with notes_engine(path) as engine:
        await engine.create_all()
    assert path.exists()


async def test_settings_come_whole_or_singly_but_not_both():
    with pytest.raises(ConfigurationError, match="either"):
        DatabaseEngine(DatabaseSettings(url=":memory:"), threads=2)


async def test_a_setting_duckdb_does_not_know_is_refused_with_a_suggestion():
    with pytest.raises(ConfigurationError, match="did you mean memory_limit"):
        await DatabaseEngine(":memory:", duckdb={"memory_limi": "1GB"}).open()


async def test_tuning_reaches_duckdb(tmp_path):
    async with DatabaseEngine(
        tmp_path / "app.duckdb",
        memory_limit="256MiB",
        threads=1,
        temp_directory=tmp_path / "spill",
        max_temp_directory_size="1GiB",
        duckdb={"default_null_order": "nulls_first"},
    ) as engine:
        async with engine.session() as session:
            row = await session.execute(
                text(
                    "SELECT current_setting('memory_limit'), "
                    "current_setting('threads'), current_setting('temp_directory'), "
                    "current_setting('max_temp_directory_size'), "
                    "current_setting('default_null_order'), "
                    "current_setting('TimeZone'), "
                    "current_setting('enable_external_access')"
                )
            )
        assert row.one() == (
            "256.0 MiB",
            1,
            str(tmp_path / "spill"),
            "1.0 GiB",
            "NULLS_FIRST",
            "UTC",
            False,
        )


async def test_sql_reaches_only_the_folders_it_was_given(tmp_path):
    allowed, forbidden = tmp_path / "allowed", tmp_path / "forbidden"
    allowed.mkdir()
    forbidden.mkdir()
    async with DatabaseEngine(":memory:", allowed_directories=[allowed]) as engine:
        for folder in (allowed, forbidden):
            copy = text(f"COPY (SELECT 1) TO '{folder}/x.csv'")
            refusal = (
                contextlib.nullcontext()
                if folder is allowed
                else pytest.raises(StatementError, match="disabled by configuration")
            )
            with refusal:
                async with engine.transaction() as session:
                    await session.execute(copy)
    assert [path.name for path in tmp_path.rglob("*.csv")] == ["x.csv"]


async def test_a_locked_configuration_cannot_be_changed():
    async with (
        DatabaseEngine(":memory:", lock_configuration=True) as engine,
        engine.session() as session,
    ):
        with pytest.raises(StatementError, match="locked"):
            await session.execute(text("SET threads = 1"))


async def test_a_failed_opening_names_the_reason_and_leaves_nothing_behind(tmp_path):
    path = tmp_path / "text.duckdb"
    path.write_text("no database " * 1000)
    threads = threading.active_count()
    engine = DatabaseEngine(path)
    with pytest.raises(CorruptDatabaseError, match=r"text\.duckdb"):
        await engine.open()
    with pytest.raises(CorruptDatabaseError):
        async with engine:
            pytest.fail("it was opened")
    with pytest.raises(CorruptDatabaseError):
        await write(engine)
    health = await engine.health()
    assert not health.ok
    assert "text.duckdb" in (health.error or "")
    assert health.database == str(path)
    assert health.version is None
    del engine
    gc.collect()  # it was never open: no warning
    await asyncio.sleep(0.02)
    assert threading.active_count() <= threads
    assert path.read_text().startswith("no database ")


async def test_a_database_another_process_writes_to_names_that_process(tmp_path):
    path = tmp_path / "locked.duckdb"
    script = f"import duckdb; c = duckdb.connect({str(path)!r}); print(1, flush=True)"
    holder = subprocess.Popen(
        [sys.executable, "-c", f"{script}; input()"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    with holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"1\n"
        with pytest.raises(DatabaseLockedError, match="stop that one") as caught:
            await DatabaseEngine(path).open()
        holder.communicate(b"\n")
    assert caught.value.pid == holder.pid
    assert caught.value.path == str(path)
    async with DatabaseEngine(path):
        pass


async def test_a_read_only_database_is_read_and_refuses_writes(tmp_path):
    path = tmp_path / "app.duckdb"
    async with notes_engine(path) as engine:
        await engine.create_all()
        await write(engine)
    async with notes_engine(path, read_only=True) as engine:
        assert await count(engine) == 1
        with pytest.raises(InvalidStatementError, match="read_only=True"):
            await write(engine)
        async with engine.session() as session:
            with pytest.raises(InvalidStatementError, match="read_only=True"):
                await session.execute(NOTES.insert().values(text="x"))
        assert await count(engine) == 1
        assert (await engine.health()).ok
    with pytest.raises(DatabaseOpenError):
        await DatabaseEngine(tmp_path / "absent.duckdb", read_only=True).open()
    assert not (tmp_path / "absent.duckdb").exists()


# --- two engines on one file ----------------------------------------------------


async def test_two_engines_on_one_file_share_data_and_the_write_gate(tmp_path):
    path = tmp_path / "app.duckdb"
    async with (
        notes_engine(path) as one,
        notes_engine(path, write_timeout=0.1) as other,
    ):
        await one.create_all()
        async with one.transaction() as session:
            await session.execute(NOTES.insert().values(text="x"))
            assert await count(other) == 0
            with pytest.raises(WriteTimeoutError):
                await asyncio.create_task(write(other))
        assert await count(other) == 1
        await one.close()
        await write(other)
        assert await count(other) == 2


async def test_two_engines_on_one_file_need_the_same_settings_of_duckdb(tmp_path):
    path = tmp_path / "app.duckdb"
    async with DatabaseEngine(path, threads=1):
        with pytest.raises(ConfigurationError, match="threads"):
            await DatabaseEngine(path, threads=2).open()
    async with DatabaseEngine(path, threads=2):
        pass


# --- the schema -----------------------------------------------------------------


async def test_create_all_and_drop_all_may_be_repeated(engine):
    async def tables():
        async with engine.engine.connect() as connection:
            return await connection.run_sync(lambda c: inspect(c).get_table_names())

    await engine.create_all()
    assert await tables() == ["notes"]
    await engine.drop_all()
    await engine.drop_all()
    assert await tables() == []
    await engine.create_all()
    await write(engine)
    assert await count(engine) == 1


async def test_the_tables_are_those_of_base_unless_others_are_given():
    assert DatabaseEngine(":memory:").metadata is Base.metadata
    async with DatabaseEngine(":memory:") as engine:
        await engine.create_all()
        async with engine.transaction() as session:
            session.add(Project(name="a", project_idea="b"))
        async with engine.session() as session:
            assert await session.scalar(text("SELECT name FROM projects")) == "a"


# --- the pool -------------------------------------------------------------------


async def test_readers_beyond_pool_and_overflow_queue():
    async with notes_engine(":memory:", pool_size=1, max_overflow=1) as engine:
        await engine.create_all()
        most = 0

        async def read():
            nonlocal most
            async with engine.session() as session:
                await session.scalar(COUNT)
                most = max(most, int(engine.stats()["connections_in_use"]))
                await asyncio.sleep(0.005)

        await asyncio.gather(*(read() for _ in range(10)))
        assert most == 2
        assert engine.stats()["connections_in_use"] == 0
        assert engine.stats()["connections_max"] == 4


async def test_a_reader_that_waits_too_long_is_told_what_to_do():
    async with notes_engine(
        ":memory:", pool_size=1, max_overflow=1, pool_timeout=0.05
    ) as engine:
        async with engine.session() as one, engine.session() as other:
            await one.execute(text("SELECT 1"))
            await other.execute(text("SELECT 1"))
            async with engine.session() as third:
                with pytest.raises(PoolTimeoutError, match="pool_size") as caught:
                    await third.execute(text("SELECT 1"))
            assert caught.value.connections == 2
            assert caught.value.seconds == 0.05
            health = await engine.health()
            assert not health.ok
            assert "all 2 connections" in (health.error or "")
        assert (await engine.health()).ok


async def test_the_writer_needs_no_connection_of_the_readers(tmp_path):
    async with notes_engine(
        tmp_path / "app.duckdb", pool_size=1, max_overflow=0, pool_timeout=0.1
    ) as engine:
        await engine.create_all()
        async with engine.session() as session:
            await session.execute(COUNT)
            await write(engine)
        assert await count(engine) == 1


async def test_waiting_readers_are_counted():
    async with notes_engine(":memory:", pool_size=1, max_overflow=0) as engine:
        async with engine.session() as session:
            await session.execute(text("SELECT 1"))
            task = asyncio.create_task(engine.health())
            await asyncio.sleep(0.01)
            assert engine.stats()["connections_waiting"] == 1
        assert (await task).ok


# --- closing --------------------------------------------------------------------


async def test_closing_twice_or_before_opening_is_fine(tmp_path):
    engine = DatabaseEngine(tmp_path / "app.duckdb")
    await engine.close()
    await engine.close()
    async with DatabaseEngine(":memory:") as engine:
        await engine.close()
    assert not (tmp_path / "app.duckdb").exists()


async def test_a_closed_engine_refuses_everything(tmp_path):
    path = tmp_path / "app.duckdb"
    engine = notes_engine(path)
    async with engine:
        await engine.create_all()
        early = engine.session()
        early_transaction = engine.transaction()
    path.unlink()
    with pytest.raises(ClosedError, match="this engine is closed"):
        engine.session()
    with pytest.raises(ClosedError):
        await write(engine)
    with pytest.raises(ClosedError):
        async with early_transaction:
            pytest.fail("it began")
    with pytest.raises(ClosedError):
        await early.execute(COUNT)
    for use in (engine.create_all, engine.drop_all, engine.checkpoint, engine.open):
        with pytest.raises(ClosedError):
            await use()
    with pytest.raises(ClosedError):
        async with engine:
            pytest.fail("it was opened again")
    with pytest.raises(ClosedError):
        await engine.run_in_transaction(lambda session: session.execute(COUNT))
    health = await engine.health()
    assert (health.ok, health.file_bytes, health.wal_bytes) == (False, 0, 0)
    assert engine.stats()["connections_open"] == 0
    assert engine.running() == []
    await early.close()
    assert engine.stats()["connections_max"] == 17
    assert not path.exists()


async def test_a_transaction_that_waits_while_the_engine_closes_is_told(tmp_path):
    path = tmp_path / "app.duckdb"
    engine = await notes_engine(path).open()
    await engine.create_all()
    async with engine.transaction() as session:
        await session.execute(NOTES.insert().values(text="first"))
        waiting = asyncio.create_task(write(engine))
        await asyncio.sleep(0.01)
        closing = asyncio.create_task(engine.close())
        await asyncio.sleep(0.01)
        await session.execute(NOTES.insert().values(text="second"))
    await closing
    with pytest.raises(ClosedError):
        await waiting
    async with notes_engine(path) as engine:
        assert await count(engine) == 2


async def test_close_lets_running_work_finish(engine):
    started = asyncio.Event()

    async def work():
        async with engine.transaction() as session:
            await session.execute(NOTES.insert().values(text="x"))
            started.set()
            await asyncio.sleep(0.05)
            await session.execute(NOTES.insert().values(text="y"))
            return await session.scalar(COUNT)

    task = asyncio.create_task(work())
    await started.wait()
    await engine.close()
    assert task.done()
    assert await task == 2


async def test_close_stops_what_does_not_finish_in_time(tmp_path):
    path = tmp_path / "app.duckdb"
    engine = await notes_engine(path, close_timeout=0.05).open()
    task = await start_long_query(engine)
    async with asyncio.timeout(5):
        await engine.close()
    with pytest.raises(ClosedError, match="its engine was closed"):
        await task
    subprocess.run(  # the file is free for others
        [sys.executable, "-c", f"import duckdb; duckdb.connect({str(path)!r})"],
        check=True,
    )


async def test_a_close_that_was_cancelled_is_finished_by_the_next(tmp_path):
    path = tmp_path / "app.duckdb"
    engine = await notes_engine(path).open()
    task = await start_long_query(engine)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await engine.close()
    async with asyncio.timeout(5):
        await engine.close()
        with pytest.raises(ClosedError):
            await task
    subprocess.run(  # the file is free for others
        [sys.executable, "-c", f"import duckdb; duckdb.connect({str(path)!r})"],
        check=True,
    )


async def test_whoever_closes_second_waits_for_the_first(tmp_path):
    engine = await notes_engine(tmp_path / "app.duckdb", close_timeout=0.2).open()
    task = await start_long_query(engine)
    first = asyncio.create_task(engine.close())
    await asyncio.sleep(0)
    await engine.close()
    await asyncio.sleep(0)
    assert first.done()
    assert not engine._connections or engine._is_disconnected()
    with pytest.raises(ClosedError):
        await task


async def test_statistics_of_an_engine_that_only_has_transactions():
    async with contextlib.AsyncExitStack() as stack:
        engine = DatabaseEngine(":memory:", metadata=METADATA)
        stack.push_async_callback(engine.close)
        await engine.create_all()
        async with engine.transaction() as session:
            await session.execute(NOTES.insert().values(text="x"))
            assert engine.stats()["writer_active"] == 1
        assert engine.stats()["commits"] == 2


async def test_close_takes_idle_sessions_their_connections(tmp_path):
    engine = await notes_engine(tmp_path / "app.duckdb", close_timeout=0).open()
    session = engine.session()
    await session.execute(text("SELECT 1"))
    async with asyncio.timeout(5):
        await engine.close()
    with pytest.raises(ClosedError):
        await session.execute(text("SELECT 1"))
    await session.close()
    assert engine.stats()["connections_open"] == 0


async def test_threads_end_with_the_engine():
    before = threading.active_count()
    async with notes_engine(":memory:") as engine:
        await engine.create_all()
        await asyncio.gather(*(engine.health() for _ in range(8)))
        assert threading.active_count() > before
    async with asyncio.timeout(2):
        while threading.active_count() > before:
            await asyncio.sleep(0.005)


async def test_an_error_in_the_block_closes_the_engine_too(tmp_path):
    with pytest.raises(ZeroDivisionError):
        async with DatabaseEngine(tmp_path / "app.duckdb") as engine:
            raise ZeroDivisionError
    with pytest.raises(ClosedError):
        engine.session()


async def test_an_engine_that_is_never_closed_is_reported():
    async def forget():
        engine = DatabaseEngine(":memory:")
        await engine.health()  # not even opened explicitly
        del engine
        gc.collect()

    message = (
        r"DatabaseEngine\(':memory:'\), created at .*test_engine\.py:\d+ in forget"
    )
    with pytest.warns(ResourceWarning, match=message):
        await forget()


async def test_an_engine_that_was_never_used_need_not_be_closed(tmp_path):
    DatabaseEngine(tmp_path / "app.duckdb")
    gc.collect()


# --- health, statistics, checkpoint ---------------------------------------------


async def test_health_tells_version_sizes_and_time(tmp_path):
    path = tmp_path / "app.duckdb"
    async with notes_engine(path) as engine:
        await engine.create_all()
        await write(engine)
        health = await engine.health()
        assert health.ok
        assert health.error is None
        assert health.version is not None
        assert health.version.startswith("v")
        assert 0 < health.seconds < 5
        assert health.database == str(path)
        assert health.file_bytes == path.stat().st_size > 0
        assert health.wal_bytes > 0
        await engine.checkpoint()
        health = await engine.health()
        assert health.wal_bytes == 0


async def test_health_in_memory_has_no_sizes(engine):
    health = await engine.health()
    assert (health.database, health.file_bytes, health.wal_bytes) == (":memory:", 0, 0)


STATS = [
    "connections_open",
    "connections_in_use",
    "connections_max",
    "connections_waiting",
    "writer_active",
    "writer_seconds",
    "writers_waiting",
    "commits",
    "queries",
    "query_errors",
    "query_seconds",
    "slow_queries",
    "queries_running",
]


async def test_the_names_of_the_statistics_are_stable(engine):
    closed = DatabaseEngine(":memory:")
    assert list(closed.stats()) == list(engine.stats()) == STATS
    assert all(f"``{name}``" in (DatabaseEngine.stats.__doc__ or "") for name in STATS)
    assert all(isinstance(value, int | float) for value in engine.stats().values())
    assert set(closed.stats().values()) == {0, 17}


async def test_statistics_count_what_happens(engine):
    before = engine.stats()
    async with engine.transaction() as session:
        await session.execute(NOTES.insert().values(text="x"))
        during = engine.stats()
        waiting = asyncio.create_task(write(engine))
        await asyncio.sleep(0.01)
        assert engine.stats()["writers_waiting"] == 1
    await waiting
    async with engine.session() as session:
        with pytest.raises(InvalidStatementError):
            await session.execute(text("SELECT nothing"))
    after = engine.stats()
    assert during["writer_active"] == 1
    assert during["writer_seconds"] > 0
    assert during["connections_in_use"] == 1
    assert after["writer_active"] == after["writer_seconds"] == 0
    assert after["writers_waiting"] == after["connections_in_use"] == 0
    assert after["commits"] == before["commits"] + 2
    assert after["queries"] == before["queries"] + 5  # two of them COMMIT
    assert after["query_errors"] == before["query_errors"] + 1
    assert after["query_seconds"] > before["query_seconds"]


async def test_running_statements_show_their_progress(engine):
    task = await start_long_query(engine)
    (query,) = engine.running()
    assert query.statement == LONG.text
    assert 0 <= query.progress <= 100
    assert engine.stats()["queries_running"] == 1
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert engine.running() == []


async def test_progress_grows():
    statement = text("SELECT count(*) FROM range(3_000_000_000) t(i) WHERE i % 7 = 3")
    async with DatabaseEngine(":memory:", threads=1) as engine:
        async with engine.session() as session:
            assert session.progress is None
            task = asyncio.create_task(session.execute(statement))
            seen = []
            async with asyncio.timeout(20):
                while len(set(seen)) < 3:
                    await asyncio.sleep(0.02)
                    seen += [q.progress for q in engine.running()]
                    assert session.progress is not None
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert session.progress is None
        assert seen == sorted(seen)
        assert 0 < seen[-1] <= 100


async def test_a_checkpoint_waits_for_the_writer_and_leaves_readers_alone(tmp_path):
    async with notes_engine(tmp_path / "app.duckdb", write_timeout=5) as engine:
        await engine.create_all()
        async with engine.session() as reader:
            await reader.execute(COUNT)
            async with engine.transaction() as session:
                await session.execute(NOTES.insert().values(text="x"))
                checkpoint = asyncio.create_task(engine.checkpoint())
                await asyncio.sleep(0.02)
                assert not checkpoint.done()
            await checkpoint


async def test_a_checkpoint_and_waiting_transactions_do_not_block_each_other(tmp_path):
    """
    Each needs the gate and a connection: in the same order, or both wait for ever.
    """
    async with notes_engine(
        tmp_path / "app.duckdb", write_timeout=2, pool_timeout=2
    ) as engine:
        await engine.create_all()
        async with asyncio.timeout(1.5):
            async with engine.transaction() as session:
                await session.execute(NOTES.insert().values(text="x"))
                others = [
                    asyncio.create_task(job)
                    for job in (
                        engine.checkpoint(),
                        write(engine),
                        engine.checkpoint(),
                        write(engine),
                    )
                ]
                await asyncio.sleep(0.02)
            await asyncio.gather(*others)
        assert await count(engine) == 3


# --- the event loop -------------------------------------------------------------


def test_run_uses_uvloop_where_it_is_installed():
    async def main():
        async with DatabaseEngine(":memory:") as engine:
            assert (await engine.health()).ok
        return type(asyncio.get_running_loop()).__module__

    pytest.importorskip("uvloop")
    assert run(main()) == "uvloop"


def test_run_goes_without_uvloop(monkeypatch):
    async def main():
        async with notes_engine(":memory:") as engine:
            await engine.create_all()
            await write(engine)
            assert await count(engine) == 1
        return type(asyncio.get_running_loop()).__module__

    monkeypatch.setitem(sys.modules, "uvloop", None)
    assert run(main()).startswith("asyncio.")


def test_run_passes_errors_on():
    async def main():
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run(main())


def test_run_leaves_nothing_that_was_never_awaited(monkeypatch):
    async def main():
        pass

    def interrupted(*, loop_factory):
        raise KeyboardInterrupt

    monkeypatch.setattr(asyncio, "Runner", interrupted)
    coroutine = main()
    with pytest.raises(KeyboardInterrupt):
        run(coroutine)
    assert getcoroutinestate(coroutine) == CORO_CLOSED


def test_an_engine_serves_several_event_loops_one_after_the_other():
    engine = notes_engine(":memory:")

    async def main():
        await engine.create_all()
        await write(engine)
        return await count(engine)

    assert [run(main()), run(main())] == [1, 2]
    run(engine.close())


def test_an_engine_is_described_by_its_address(tmp_path):
    assert repr(DatabaseEngine(":memory:")) == "DatabaseEngine(':memory:')"
    assert str(Path("x")) in repr(DatabaseEngine("x"))


FORGETFUL = """
import asyncio, sys, threading
from sqlalchemy import text
from project_architect_db import DatabaseEngine

async def main():
    global engine, session
    engine = DatabaseEngine(sys.argv[1])
    await engine.health()
    session = engine.session()
    if sys.argv[2] == "running":
        query = text("SELECT count(*) FROM range(100_000_000_000) t(i) WHERE i%7=3")
        asyncio.create_task(session.execute(query))
        while not engine.running():
            await asyncio.sleep(0.01)
    raise SystemExit(3)

if sys.argv[2] == "thread":  # a loop that nobody ends
    threading.Thread(target=lambda: asyncio.run(main()), daemon=True).start()
    threading.Event().wait(0.5)
    sys.exit(3)
asyncio.run(main())
"""


@pytest.mark.parametrize(
    "state",
    [pytest.param("idle", marks=pytest.mark.slow), "running",
     pytest.param("thread", marks=pytest.mark.slow)],
)  # fmt: skip
def test_a_program_that_forgets_to_close_ends_in_order(tmp_path, state):
    """
    A thread inside of DuckDB's code at that moment would abort the process.
    """
    done = subprocess.run(
        [sys.executable, "-c", FORGETFUL, str(tmp_path / "app.duckdb"), state],
        capture_output=True, text=True, check=False, timeout=30,
    )  # fmt: skip
    assert done.returncode == 3
    assert "nanobind" not in done.stderr
    assert "FATAL" not in done.stderr
