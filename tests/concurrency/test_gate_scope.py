"""
The gate is for whatever writes, however it is written, and for nothing else.
"""

from __future__ import annotations

import asyncio

import pytest
from concurrency_support import (
    Counter,
    Model,
    Note,
    add_one,
    assert_at_rest,
    plain,
    until,
    writers_waiting,
)
from sqlalchemy import insert, select, text, update
from sqlalchemy.ext.asyncio import create_async_engine

from project_architect_db import (
    DatabaseEngine,
    SessionManager,
    StaleSnapshotError,
    TransactionAbortedError,
)
from project_architect_db.dialect.commit_log import Commit

MISJUDGED = {
    "data-modifying CTE": (
        "WITH c AS (INSERT INTO notes (id, body) VALUES (77, 'cte') RETURNING id) "
        "SELECT * FROM c"
    ),
    "nextval": "SELECT nextval('numbers')",
    "EXPLAIN ANALYZE": "EXPLAIN ANALYZE UPDATE counters SET plain = 1",
    "COPY FROM": "COPY notes FROM '{folder}/notes.csv'",
    "a view of nextval": "SELECT * FROM counting",
}


@pytest.fixture
async def open_engine(path, tmp_path):
    """
    A database that may read the files beside it.
    """
    (tmp_path / "notes.csv").write_text("id,body\n88,copied\n")
    async with DatabaseEngine(
        path, metadata=Model.metadata, allowed_directories=[tmp_path]
    ) as engine:
        await engine.create_all()
        async with engine.transaction() as session:
            session.add(Counter(id=1))
            await session.execute(text("CREATE SEQUENCE numbers"))
            await session.execute(
                text("CREATE VIEW counting AS SELECT nextval('numbers')")
            )
        yield engine


def commits_since(engine, sequence):
    return [c.tables for c in engine._database.commits.since(sequence)]


@pytest.mark.parametrize("kind", MISJUDGED)
async def test_a_write_that_looks_like_a_read_is_upgraded(open_engine, tmp_path, kind):
    engine = open_engine
    before = engine._database.commits.sequence
    async with engine.session() as session:
        await session.execute(text(MISJUDGED[kind].format(folder=tmp_path)))
        assert engine.stats()["writer_active"]
        await session.commit()
    assert commits_since(engine, before) == [None]
    await assert_at_rest(engine)


@pytest.mark.parametrize("kind", MISJUDGED)
async def test_a_write_that_looks_like_a_read_is_stale_after_another_commit(
    open_engine, tmp_path, kind
):
    engine = open_engine
    async with engine.session() as session:
        await session.scalar(select(Counter.plain))
        async with engine.transaction() as other:
            await add_one(other)
        with pytest.raises(StaleSnapshotError):
            await session.execute(text(MISJUDGED[kind].format(folder=tmp_path)))
        with pytest.raises(TransactionAbortedError):
            await session.commit()
    assert await plain(engine) == 1
    await assert_at_rest(engine)


@pytest.mark.parametrize("kind", MISJUDGED)
async def test_a_write_that_looks_like_a_read_waits_for_the_gate(
    open_engine, tmp_path, kind
):
    engine = open_engine

    async def write():
        async with engine.session() as session:
            await session.execute(text(MISJUDGED[kind].format(folder=tmp_path)))
            await session.commit()

    async with engine.session() as session:
        await session.execute(text("INSERT INTO notes (id, body) VALUES (1, 'a')"))
        task = asyncio.create_task(write())
        await writers_waiting(engine, 1)
        await session.commit()
    await task
    await assert_at_rest(engine)


async def test_a_session_that_read_before_another_commit_cannot_write(engine):
    async with engine.session() as session:
        counter = await session.get_one(Counter, 1)
        async with engine.transaction() as other:
            await add_one(other)
        counter.plain += 1
        with pytest.raises(StaleSnapshotError, match="run_in_transaction"):
            await session.commit()
    assert await plain(engine) == 1
    await assert_at_rest(engine)


async def test_a_stale_session_cannot_commit_even_if_the_error_is_swallowed(engine):
    async with engine.session() as session:
        await session.scalar(select(Counter.plain))
        async with engine.transaction() as other:
            await add_one(other)
        with pytest.raises(StaleSnapshotError):
            await add_one(session)
        with pytest.raises(TransactionAbortedError) as caught:
            await session.commit()
        assert isinstance(caught.value.original, StaleSnapshotError)
        await session.rollback()
        await add_one(session)
        await session.commit()
    assert await plain(engine) == 2


async def test_a_session_stays_as_old_as_its_first_read_over_an_error(engine):
    async with engine.session() as session:
        await session.scalar(select(Counter.plain))
        with pytest.raises(Exception, match="nowhere"):
            await session.execute(text("SELECT * FROM nowhere"))
        async with engine.transaction() as other:
            await add_one(other)
        assert await session.scalar(select(Counter.plain)) == 1
        with pytest.raises(StaleSnapshotError):
            await add_one(session)
    assert await plain(engine) == 1


async def test_a_session_that_read_and_met_no_other_commit_goes_on_as_a_writer(engine):
    async with engine.session() as session:
        counter = await session.get_one(Counter, 1)
        async with engine.session() as other:
            await other.scalar(select(Counter.plain))
            await other.commit()
        counter.plain += 1
        await session.commit()
    assert await plain(engine) == 1


async def test_run_in_transaction_tries_again_after_a_conflict(engine):
    tries = []

    async def work(session):
        tries.append(1)
        await add_one(session)
        if len(tries) < 3:
            raise StaleSnapshotError
        return "done"

    assert await engine.run_in_transaction(work) == "done"
    assert len(tries) == 3
    assert await plain(engine) == 1


async def test_run_in_transaction_gives_up_in_the_end(engine):
    tries = []

    async def work(session):
        tries.append(1)
        raise StaleSnapshotError

    with pytest.raises(StaleSnapshotError):
        await engine.run_in_transaction(work, retries=2)
    assert len(tries) == 3
    await assert_at_rest(engine)


# --- AUTOCOMMIT -----------------------------------------------------------------


async def test_autocommit_takes_the_gate_for_each_statement(engine):
    before = engine._database.commits.sequence
    async with engine.engine.connect() as connection:
        await connection.execution_options(isolation_level="AUTOCOMMIT")
        await connection.execute(update(Counter).values(plain=1))
        assert not engine.stats()["writer_active"]
        await connection.execute(text("UPDATE counters SET plain = plain + 1"))
        assert not engine.stats()["writer_active"]
        assert await plain(engine) == 2
    assert commits_since(engine, before) == [frozenset({"counters"}), None]
    await assert_at_rest(engine)


async def test_autocommit_waits_for_the_gate(engine):
    async def write():
        async with engine.engine.connect() as connection:
            await connection.execution_options(isolation_level="AUTOCOMMIT")
            await connection.execute(text("UPDATE counters SET plain = plain + 1"))
            (number,) = (await connection.execute(text("SELECT nextval('n')"))).one()
            return number

    async with engine.transaction() as session:
        await session.execute(text("CREATE SEQUENCE n"))
        task = asyncio.create_task(write())
        await writers_waiting(engine, 1)
    assert await task == 1
    assert await plain(engine) == 1


async def test_autocommit_reads_without_the_gate(engine):
    async with engine.transaction() as session:
        await add_one(session)
        async with engine.engine.connect() as connection:
            await connection.execution_options(isolation_level="AUTOCOMMIT")
            result = await connection.execute(text("SELECT plain FROM counters"))
            assert result.scalar() == 0


async def test_autocommit_logs_the_first_of_several_statements_if_a_later_one_fails(
    engine,
):
    before = engine._database.commits.sequence
    async with engine.engine.connect() as connection:
        await connection.execution_options(isolation_level="AUTOCOMMIT")
        with pytest.raises(Exception, match="nowhere"):
            await connection.execute(
                text("UPDATE counters SET plain = 5; UPDATE nowhere SET n = 1")
            )
    assert await plain(engine) == 5
    assert commits_since(engine, before) == [None]
    await assert_at_rest(engine)


# --- other ways to write --------------------------------------------------------


async def test_users_of_the_plain_engine_get_the_gate(engine, path):
    plain_engine = create_async_engine(f"duckdb+async:///{path}")

    async def write():
        async with plain_engine.begin() as connection:
            await connection.execute(text("UPDATE counters SET plain = plain + 1"))

    with pytest.raises(Exception, match="other settings"):
        await write()  # the other engine has two threads
    await plain_engine.dispose()

    plain_engine = create_async_engine(f"duckdb+async:///{path}?threads=2")
    async with engine.transaction() as session:
        await add_one(session)
        task = asyncio.create_task(write())
        await writers_waiting(engine, 1)
    await task
    await plain_engine.dispose()
    assert await plain(engine) == 2


async def test_a_session_manager_over_a_plain_engine_gets_the_gate(engine, path):
    """
    Its readers and writers share one pool, so a connection that still rolls back
    a reader's snapshot is handed to the next writer.
    """
    plain_engine = create_async_engine(
        f"duckdb+async:///{path}?threads=2", pool_size=1, max_overflow=0
    )
    manager = SessionManager(plain_engine)
    for _ in range(20):
        async with manager.session() as session:
            await session.execute(text("SELECT count(*) FROM range(100000)"))
        async with manager.transaction() as session:
            await add_one(session)
            await asyncio.sleep(0)
            assert engine.stats()["writer_active"]
    await plain_engine.dispose()
    assert await plain(engine) == 20


async def test_the_gate_stays_taken_when_a_busy_connection_is_handed_on(engine, path):
    """
    A ROLLBACK that is still queued belongs to the reader before, and must not
    open the gate of the writer after.
    """
    plain_engine = create_async_engine(
        f"duckdb+async:///{path}?threads=2", pool_size=1, max_overflow=0
    )
    manager = SessionManager(plain_engine)
    import threading

    go_on = threading.Event()
    async with manager.session() as session:
        await session.execute(text("SELECT 1"))
        connection = await session.connection()
        driver = (await connection.get_raw_connection()).driver_connection
        driver._worker.post(go_on.wait)

    async def write():
        async with manager.transaction() as session:
            await add_one(session)
            return engine.stats()["writer_active"]

    task = asyncio.create_task(write())
    await until(lambda: engine.stats()["writer_active"])
    await asyncio.sleep(0.05)
    go_on.set()
    assert await task
    await plain_engine.dispose()


async def test_a_symlink_to_the_file_leads_to_the_same_gate(engine, path, tmp_path):
    link = tmp_path / "link.duckdb"
    link.symlink_to(path)
    async with DatabaseEngine(link, threads=2) as other:
        assert other._database is engine._database
        async with engine.transaction() as session:
            await add_one(session)

            async def write():
                async with other.transaction() as session:
                    await add_one(session)

            task = asyncio.create_task(write())
            await writers_waiting(engine, 1)
        await task
    assert await plain(engine) == 2


async def test_a_relative_path_leads_to_the_same_gate(engine, path, monkeypatch):
    monkeypatch.chdir(path.parent)
    async with DatabaseEngine("./app.duckdb", threads=2) as other:
        assert other._database is engine._database


async def test_two_files_have_two_gates(engine, tmp_path):
    async with (
        DatabaseEngine(tmp_path / "other.duckdb") as other,
        engine.transaction() as session,
    ):
        await add_one(session)

        async def write():
            async with other.transaction() as session:
                await session.execute(text("CREATE TABLE t (n INTEGER)"))

        await asyncio.create_task(write())


# --- the commit log -------------------------------------------------------------


async def test_the_log_knows_the_tables_of_each_commit_in_order(engine):
    before = engine._database.commits.sequence
    async with engine.transaction() as session:
        session.add(Note(body="orm"))
    async with engine.transaction() as session:
        await session.execute(insert(Note).values(body="core"))
        await add_one(session)
    async with engine.transaction() as session:
        await session.execute(text("UPDATE counters SET plain = 9"))
    async with engine.session() as session:
        session.add(Note(body="session"))
        await session.commit()
    async with engine.transaction() as session:
        await session.execute(insert(Note), [{"body": str(n)} for n in range(10)])
    assert engine._database.commits.since(before) == [
        Commit(before + 1, frozenset({"notes"})),
        Commit(before + 2, frozenset({"counters", "notes"})),
        Commit(before + 3, None),
        Commit(before + 4, frozenset({"notes"})),
        Commit(before + 5, frozenset({"notes"})),
    ]
    assert engine.stats()["commits"] == before + 5


async def test_what_is_rolled_back_or_only_read_is_not_in_the_log(engine):
    before = engine._database.commits.sequence
    with pytest.raises(ZeroDivisionError):
        async with engine.transaction() as session:
            await add_one(session)
            raise ZeroDivisionError
    async with engine.transaction() as session:
        await session.scalar(select(Counter.plain))
    async with engine.session() as session:
        await session.scalar(select(Counter.plain))
        await session.commit()
    async with engine.session() as session:
        await add_one(session)
        await session.rollback()
        await session.commit()
    assert engine._database.commits.since(before) == []


async def test_one_statement_of_unknown_effect_makes_the_whole_commit_unknown(engine):
    before = engine._database.commits.sequence
    async with engine.transaction() as session:
        await add_one(session)
        await session.execute(text("DELETE FROM notes"))
        await add_one(session)
    assert commits_since(engine, before) == [None]


async def test_a_commit_is_in_the_log_before_the_next_writer_gets_in(engine):
    seen = []

    async def write():
        async with engine.transaction() as session:
            await add_one(session)
            seen.append(
                (
                    engine._database.commits.sequence,
                    await session.scalar(select(Counter.plain)),
                )
            )

    before = engine._database.commits.sequence
    await asyncio.gather(*(write() for _ in range(20)))
    assert seen == [(before + n, n + 1) for n in range(20)]
