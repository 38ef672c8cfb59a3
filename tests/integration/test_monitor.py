"""
What ran is counted, logged and told to hooks.
"""

from __future__ import annotations

import asyncio
import logging
import threading

import pytest
from sqlalchemy import bindparam, insert, select, text

from project_architect_db import (
    DatabaseEngine,
    InvalidStatementError,
    InvalidValueError,
    Project,
    QueryTimeoutError,
    TransactionAbortedError,
)

ROWS = [{"name": f"n{i}", "project_idea": "secret"} for i in range(3)]
SLOW = text("SELECT count(*) FROM range(100_000_000_000) t(i) WHERE hash(i) % 7 = 3")


@pytest.fixture
async def engine():
    async with DatabaseEngine(":memory:") as engine:
        await engine.create_all()
        yield engine


@pytest.fixture
def queries(engine):
    """
    What hooks were told since the test began.
    """
    queries = []
    engine.on_query(queries.append)
    return queries


async def test_a_hook_is_told_sql_rows_and_time(engine, queries):
    async with engine.transaction() as session:
        await session.execute(insert(Project), ROWS)
        await session.execute(text("SELECT * FROM projects"))
        await session.execute(text("UPDATE projects SET status = 'x' WHERE id < 3"))
    # After SQL that is text alone, COMMIT looks at the foreign keys.
    inserted, selected, updated, *checks, committed = queries
    assert all(check.statement.lstrip()[:6] in {"SELECT", "WITH r"} for check in checks)
    assert committed.statement == "COMMIT"
    assert inserted.statement.startswith("INSERT INTO projects")
    assert selected.statement == "SELECT * FROM projects"
    assert [q.rows for q in (inserted, selected, updated, committed)] == [3, 3, 2, None]
    assert all(0 < query.seconds < 5 for query in queries)
    assert all(query.error is None for query in queries)
    assert updated.values is None


async def test_a_hook_is_told_what_went_wrong(engine, queries):
    async with engine.session() as session:
        with pytest.raises(InvalidStatementError):
            await session.execute(text("SELECT nothing"))
    (query,) = queries
    assert query.statement == "SELECT nothing"
    assert query.error == "BinderException"
    assert query.rows is None
    assert query.seconds > 0


async def test_a_stream_is_told_once_with_unknown_rows(engine, queries):
    async with engine.session() as session:
        stream = await session.stream(text("SELECT range FROM range(10_000)"))
        assert len(await stream.all()) == 10_000
    (query,) = queries
    assert query.rows is None
    assert query.error is None


async def test_a_stream_that_fails_half_way_is_told_with_its_statement(engine, queries):
    sql = "SELECT if(i < 9000, '1', 'x' || i)::INT FROM range(10_000) t(i)"
    async with engine.session() as session:
        with pytest.raises(InvalidValueError) as caught:
            stream = await session.stream(text(sql))
            await stream.all()
    assert [query.statement for query in queries] == [sql, sql]
    assert [query.error is None for query in queries] == [True, False]
    assert caught.value.statement == sql


async def test_waiting_for_another_writer_is_not_running(engine, queries):
    async with engine.transaction() as writer, engine.session() as session:
        await writer.execute(text("SELECT 1"))
        task = asyncio.create_task(session.execute(text("CREATE TABLE w (n INT)")))
        while not engine.stats()["writers_waiting"]:
            await asyncio.sleep(0.001)
        await asyncio.sleep(0.5)
        await writer.rollback()
        await task
    (query,) = [query for query in queries if "CREATE TABLE w" in query.statement]
    assert query.seconds < 0.5


async def test_a_stopped_query_is_told(engine, queries):
    async with engine.session() as session:
        with pytest.raises(QueryTimeoutError):
            await session.execute(SLOW, execution_options={"timeout": 0.05})
    (query,) = queries
    assert query.error == "QueryTimeoutError"
    assert query.seconds >= 0.05


async def test_values_are_hidden_from_hooks_unless_asked_for():
    select_secret = select(bindparam("value", "secret"))
    for log_values in (False, True):
        queries = []
        async with DatabaseEngine(":memory:", log_values=log_values) as engine:
            engine.on_query(queries.append)
            async with engine.session() as session:
                await session.execute(select_secret)
        assert ("secret" in str(queries)) is log_values
        assert queries[0].values == (("secret",) if log_values else None)


async def test_values_stay_out_of_errors_too(engine):
    async with engine.session() as session:
        with pytest.raises(InvalidStatementError) as caught:
            await session.execute(
                text("SELECT :secret FROM nowhere"), {"secret": "hunter2"}
            )
    assert "hunter2" not in str(caught.value)
    assert "hunter2" not in str(caught.value.statement)


async def test_a_hook_is_called_until_it_is_taken_off(engine):
    first, second = [], []
    stop = engine.on_query(first.append)
    engine.on_query(second.append)
    await engine.health()
    stop()
    stop()
    await engine.health()
    assert (len(first), len(second)) == (1, 2)


async def test_a_failing_hook_is_logged_and_harms_nobody(engine, caplog):
    def fail(query):
        raise ZeroDivisionError

    engine.on_query(fail)
    queries = []
    engine.on_query(queries.append)
    assert (await engine.health()).ok
    assert len(queries) == 1
    (record,) = caplog.records
    assert record.levelno == logging.ERROR
    assert "fail" in record.getMessage()
    assert record.exc_info is not None


async def test_a_hook_runs_while_the_loop_runs(engine):
    """
    So that it may start tasks.
    """
    started = []

    async def task():
        started.append(True)

    engine.on_query(lambda query: asyncio.get_running_loop().create_task(task()))
    await engine.health()
    await asyncio.sleep(0)
    assert started == [True]


async def test_slow_queries_are_logged_without_values(caplog):
    sql = "SELECT count(*), :secret FROM range(50_000_000) t(i) WHERE hash(i) % 7 = 3"
    async with DatabaseEngine(":memory:", slow_query_seconds=0.05) as engine:
        async with engine.session() as session:
            await session.execute(text(sql), {"secret": "hunter2"})
        assert engine.stats()["slow_queries"] == len(caplog.records)
    (record,) = [record for record in caplog.records if "range" in record.getMessage()]
    assert record.levelno == logging.WARNING
    assert record.name == "project_architect_db.engine.monitor"
    assert record.getMessage().startswith("slow query, ")
    assert "hunter2" not in record.getMessage()


async def test_without_a_limit_no_query_is_slow(caplog):
    async with DatabaseEngine(":memory:", slow_query_seconds=None) as engine:
        await engine.health()
        assert engine.stats()["slow_queries"] == 0
    assert not caplog.records


async def test_the_commit_of_what_wrote_is_told(engine, queries):
    async with engine.session() as session:
        session.add(Project(id=1, name="a", project_idea="b"))
        await session.commit()
        await session.scalar(text("SELECT 1"))
        await session.commit()
    assert ["INSERT", "COMMIT", "SELECT"] == [q.statement[:6] for q in queries]
    assert (None, None) == (queries[1].rows, queries[1].error)


async def test_a_failed_commit_is_told(engine, queries):
    async with engine.session() as session:
        with pytest.raises(InvalidStatementError):
            await session.execute(text("UPDATE nowhere SET a = 1"))
        with pytest.raises(TransactionAbortedError):
            await session.commit()
    assert [
        ("UPDATE", "CatalogException"), ("COMMIT", "TransactionAbortedError"),
    ] == [(query.statement[:6], query.error) for query in queries]  # fmt: skip


@pytest.mark.parametrize("log_values", [False, True])
async def test_errors_that_quote_values_are_hidden_likewise(log_values):
    queries = []
    async with DatabaseEngine(":memory:", log_values=log_values) as engine:
        engine.on_query(queries.append)
        async with engine.session() as session:
            with pytest.raises(InvalidValueError):
                await session.execute(
                    text("SELECT CAST(CAST(:value AS VARCHAR) AS INTEGER)"),
                    {"value": "hunter2"},
                )
    assert "ConversionException" == queries[0].error
    assert ("hunter2" in str(queries)) is log_values
    assert ("hunter2" in str(queries[0].exception)) is log_values


async def test_hooks_run_on_the_event_loop_in_large_flushes_too(engine):
    places = []

    def hook(query):
        places.append((threading.current_thread(), asyncio.get_running_loop()))

    engine.on_query(hook)
    async with engine.transaction() as session:
        session.add_all([Project(name="a", project_idea="b") for _ in range(1_000)])
        await session.flush()
        await session.execute(insert(Project), ROWS * 400)
    here = (threading.current_thread(), asyncio.get_running_loop())
    assert [here] * 3 == places
